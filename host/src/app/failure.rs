//! How a verb fails: with an exit code, a sentence and a next step.

use std::fmt;
use std::io::ErrorKind;

use crate::cli::Exit;
use crate::config::ConfigError;
use crate::engine::BuildError;
use crate::feed::tape::TapeError;
use crate::lockfile::{CandidateError, LockError};
use crate::portfolio::InvariantBroken;

/// A failed verb. It is printed once, in `main`.
#[derive(Debug)]
pub struct Failure {
    /// the process's exit code
    pub exit: Exit,
    /// what failed, naming the thing
    pub message: String,
    /// what to do next, when that is known
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Config, error.to_string())
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::new(Exit::Config, error.to_string())
    }
}

impl From<TapeError> for Failure {
    fn from(error: TapeError) -> Self {
        let exit = if error.is_damage() { Exit::DataDamaged } else { Exit::Feed };
        Self::new(exit, error.to_string())
    }
}

impl From<InvariantBroken> for Failure {
    fn from(broken: InvariantBroken) -> Self {
        Self::new(Exit::Runtime, format!("{broken}; the run ends here and its result is void"))
            .hint("this is a defect of the host: please report it with the tape and the modules")
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let exit = match error {
            LockError::Io { .. } => Exit::Runtime,
            LockError::Revoked { .. } | LockError::Unsigned { .. } | LockError::Open { .. } => {
                Exit::NotAllowed
            }
            LockError::BadEntry { .. } => Exit::Usage,
            _ => Exit::DataDamaged,
        };
        Self::new(exit, error.to_string())
    }
}

/// A file that is not there is a wrong command line; one that may not be read is the
/// machine's affair; any other is not what a module's file may be.
impl From<CandidateError> for Failure {
    fn from(error: CandidateError) -> Self {
        let exit = match &error {
            CandidateError::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
                Exit::Usage
            }
            CandidateError::Io { .. } => Exit::Runtime,
            _ => Exit::Incompatible,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Runtime, error.to_string())
    }
}
