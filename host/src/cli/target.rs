//! How a module is named on the command line: by its file or by its hash.

use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// A module that is to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModuleRef {
    /// the file whose bytes are hashed
    File(PathBuf),
    /// the SHA-256 itself, for a module that is not here
    Sha256([u8; 32]),
}

/// Why text that starts with `sha256:` is no hash.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'sha256:' must be followed by 64 hexadecimal digits")]
pub struct RefError;

impl FromStr for ModuleRef {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, RefError> {
        let Some(hex) = text.strip_prefix("sha256:") else {
            return Ok(Self::File(text.into()));
        };
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let mut hash = [0_u8; 32];
        if hex.len() != 64 {
            return Err(RefError);
        }
        for (byte, pair) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let (high, low) = digit(pair[0]).zip(digit(pair[1])).ok_or(RefError)?;
            *byte = high << 4 | low;
        }
        Ok(Self::Sha256(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_digits_and_anything_else_is_a_file() {
        let hex = "ab".repeat(32);
        assert_eq!(format!("sha256:{hex}").parse(), Ok(ModuleRef::Sha256([0xab; 32])));
        assert_eq!("a.wasm".parse(), Ok(ModuleRef::File("a.wasm".into())));
        for text in ["sha256:", "sha256:ab", &format!("sha256:{}", "g".repeat(64))] {
            assert_eq!(text.parse::<ModuleRef>(), Err(RefError), "{text}");
        }
    }
}
