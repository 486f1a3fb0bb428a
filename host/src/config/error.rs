//! What is wrong with a configuration: every problem names its key, where it
//! was set, what was found and what is allowed.

use std::fmt;

use thiserror::Error;

use super::source::Origin;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// A file that cannot be read.
    File {
        /// its path as given
        file: String,
        /// why
        reason: String,
    },
    /// Text that is not TOML, or a flag that is not `SECTION.KEY=VALUE`.
    Syntax {
        /// where
        origin: Origin,
        /// what the parser says
        reason: String,
    },
    /// A key that nothing reads.
    UnknownKey {
        /// its path
        key: String,
        /// where it was set
        origin: Origin,
        /// the known key that is most like it
        nearest: Option<String>,
    },
    /// A value of the wrong type or out of range.
    Value {
        /// its path
        key: String,
        /// where it was set
        origin: Origin,
        /// what was found
        got: String,
        /// what is allowed
        allowed: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, reason } => write!(f, "cannot read '{file}': {reason}"),
            Self::Syntax { origin, reason } => write!(f, "{origin}: {reason}"),
            Self::UnknownKey { key, origin, nearest: Some(nearest) } => {
                write!(f, "{origin}: unknown key '{key}'; the nearest known key is '{nearest}'")
            }
            Self::UnknownKey { key, origin, nearest: None } => {
                write!(f, "{origin}: unknown key '{key}'")
            }
            Self::Value { key, origin, got, allowed } => {
                write!(f, "{origin}: '{key}' is {got}, but must be {allowed}")
            }
        }
    }
}

/// Why there is no configuration: all problems at once, in the order of their
/// layers and keys.
#[derive(Clone, Debug, PartialEq, Error)]
pub struct ConfigError {
    /// what is wrong; never empty
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// The entry of `known` that is most like `key`: the fewest edits, where a name
/// that stands in another section counts as near.
pub(super) fn nearest(key: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    let split = |path: &str| {
        let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
        (section.to_owned(), name.to_owned())
    };
    let (section, name) = split(key);
    known.into_iter().min_by_key(|candidate| {
        let (other_section, other_name) = split(candidate);
        let whole = strsim::damerau_levenshtein(key, candidate);
        let moved = strsim::damerau_levenshtein(&name, &other_name)
            + if section == other_section { 0 } else { 2 };
        (whole.min(moved), candidate.clone())
    })
}
