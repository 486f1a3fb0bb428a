//! What can be wrong with a tape.

use std::path::{Path, PathBuf};
use std::{fmt, io};

/// A tape that cannot be read or written, and why.
#[derive(Debug)]
pub struct TapeError {
    /// which file
    pub path: PathBuf,
    /// what is wrong with it
    pub fault: TapeFault,
}

/// Why a tape was refused.
#[derive(Debug, thiserror::Error)]
pub enum TapeFault {
    /// The operating system refused.
    #[error("cannot {action}: {source}")]
    Io {
        /// what was tried
        action: &'static str,
        /// its answer
        source: io::Error,
    },
    /// The file does not begin like a tape.
    #[error("not a tape: it does not begin with SNDPTAPE")]
    NotATape,
    /// The file's layout is of another version.
    #[error("tape version {found}, this host reads version {supported}")]
    Version {
        /// the file's
        found: u32,
        /// ours
        supported: u32,
    },
    /// The events are words of another contract.
    #[error("the tape's events follow contract {found}, this host's is {supported}")]
    Contract {
        /// the file's
        found: String,
        /// ours
        supported: &'static str,
    },
    /// The file ends before its index: it was cut, or never finished.
    #[error("cut short at byte {offset}: {what}")]
    Truncated {
        /// the file's length
        offset: u64,
        /// what is missing
        what: &'static str,
    },
    /// Bytes are not what was written.
    #[error("damaged at byte {offset}{}: {what}", in_block(*block))]
    Damaged {
        /// where the damaged part begins
        offset: u64,
        /// the block it lies in, counted from 0
        block: Option<u64>,
        /// how it shows
        what: String,
    },
    /// Something that must not be written was handed to the writer.
    #[error("event {seq} cannot be recorded: {what}")]
    Event {
        /// the event's sequence number
        seq: u64,
        /// the rule that it breaks
        what: String,
    },
    /// A header that does not describe a tape was handed to the writer.
    #[error("the tape's description is refused: {0}")]
    Header(String),
}

fn in_block(block: Option<u64>) -> String {
    block.map_or_else(String::new, |number| format!(" (block {number})"))
}

impl TapeError {
    pub(super) fn new(path: &Path, fault: TapeFault) -> Self {
        Self { path: path.to_owned(), fault }
    }

    /// True when the file's content is at fault and not the access to it.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self.fault, TapeFault::Truncated { .. } | TapeFault::Damaged { .. })
    }
}

impl fmt::Display for TapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.fault)
    }
}

impl std::error::Error for TapeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            TapeFault::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
