//! Compiled components that a program keeps from one start to the next.
//!
//! wasmtime takes compiled code on trust (`Component::deserialize` is unsafe: bytes
//! that it did not write itself can do anything). [`seal`] puts a code in front of
//! what wasmtime wrote, which only the holder of a key can make, and [`unseal`]
//! gives wasmtime nothing whose code is another. The code also covers a statement of
//! all that the compilation depended on, so that one component's code is never taken
//! for another's.
//!
//! This is the one place of the project with unsafe code, and holds nothing else.
//! The code is a keyed BLAKE3 hash (BLAKE3 specification, section 2.3).

#![deny(unsafe_code)]

use wasmtime::Engine;
use wasmtime::component::Component;

/// Bytes of the code that stands in front.
const CODE_LEN: usize = blake3::OUT_LEN;

/// A key for sealing. Whoever has it can make this program run any code.
#[derive(Clone)]
pub struct Key([u8; blake3::KEY_LEN]);

impl Key {
    /// Derives a key from secret bytes of an installation. It is of no other use.
    #[must_use]
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key("sandpaper 2026-11-25 compiled code of strategies", secret))
    }

    /// The code of what was compiled under a statement. The length keeps the two
    /// apart.
    fn code(&self, statement: &str, compiled: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&(statement.len() as u64).to_le_bytes());
        hasher.update(statement.as_bytes());
        hasher.update(compiled);
        hasher.finalize()
    }
}

/// The compiled code of a component, to be kept in a file.
///
/// # Errors
/// When wasmtime cannot write it.
pub fn seal(key: &Key, statement: &str, component: &Component) -> wasmtime::Result<Vec<u8>> {
    Ok(sealed(key, statement, &component.serialize()?))
}

fn sealed(key: &Key, statement: &str, compiled: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(CODE_LEN + compiled.len());
    bytes.extend_from_slice(key.code(statement, compiled).as_bytes());
    bytes.extend_from_slice(compiled);
    bytes
}

/// The component that was sealed with this key under this statement; nothing if the
/// bytes are any others, or of another engine.
#[must_use]
pub fn unseal(key: &Key, statement: &str, engine: &Engine, bytes: &[u8]) -> Option<Component> {
    let compiled = authentic(key, statement, bytes)?;
    // SAFETY: `seal` alone makes the code of these bytes, from what
    // `Component::serialize` wrote in a process that had the key. wasmtime itself
    // refuses bytes of another version or of other settings.
    #[allow(unsafe_code)]
    let component = unsafe { Component::deserialize(engine, compiled) };
    component.ok()
}

/// What was sealed, if it is what its code says.
fn authentic<'a>(key: &Key, statement: &str, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (code, compiled) = bytes.split_first_chunk::<CODE_LEN>()?;
    // Hashes compare in constant time.
    (key.code(statement, compiled) == *code).then_some(compiled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> (Engine, Key, Vec<u8>) {
        let engine = Engine::default();
        let bytes = wat::parse_str("(component (core module (func (export \"f\"))))");
        let component = Component::from_binary(&engine, &bytes.expect("wat")).expect("compiled");
        let key = Key::derive(b"of this test");
        let sealed = seal(&key, "a", &component).expect("sealed");
        (engine, key, sealed)
    }

    #[test]
    fn crit_001_what_was_sealed_is_taken_back() {
        let (engine, key, sealed) = parts();
        assert!(unseal(&key, "a", &engine, &sealed).is_some());
        // Another start of the program derives the same key.
        assert!(unseal(&Key::derive(b"of this test"), "a", &engine, &sealed).is_some());
    }

    #[test]
    fn crit_001_one_changed_bit_is_not_taken_back() {
        let (engine, key, mut bytes) = parts();
        // Each byte of the code, and some of every part of what follows.
        let step = (bytes.len() / 500).max(1);
        for at in (0..CODE_LEN).chain((CODE_LEN..bytes.len()).step_by(step)) {
            let bit = 1 << (at % 8);
            bytes[at] ^= bit;
            assert!(unseal(&key, "a", &engine, &bytes).is_none(), "byte {at}");
            if let Some(changed) = bytes.get(CODE_LEN..).filter(|_| at >= CODE_LEN) {
                // The control: it is the code that refuses them. Sealed anew, the same
                // bytes would have gone to wasmtime.
                assert!(authentic(&key, "a", &sealed(&key, "a", changed)).is_some());
            }
            bytes[at] ^= bit;
        }
        assert!(unseal(&key, "a", &engine, &bytes).is_some(), "all are as they were");
    }

    #[test]
    fn crit_001_what_is_cut_or_from_elsewhere_is_not_taken_back() {
        let (engine, key, sealed) = parts();
        for len in [0, 1, CODE_LEN - 1, CODE_LEN, CODE_LEN + 1, sealed.len() - 1] {
            assert!(unseal(&key, "a", &engine, &sealed[..len]).is_none(), "{len} bytes");
        }
        assert!(unseal(&key, "b", &engine, &sealed).is_none(), "another statement");
        let other = Key::derive(b"of another installation");
        assert!(unseal(&other, "a", &engine, &sealed).is_none(), "another key");
        // Where a statement ends and what was compiled begins is part of the code.
        let moved = [&sealed[..CODE_LEN], b"a", &sealed[CODE_LEN..]].concat();
        assert!(unseal(&key, "", &engine, &moved).is_none());
        let mut settings = wasmtime::Config::new();
        settings.consume_fuel(true);
        let fueled = Engine::new(&settings).expect("an engine");
        assert!(unseal(&key, "a", &fueled, &sealed).is_none(), "another engine");
    }
}
