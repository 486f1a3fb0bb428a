//! Exit codes.

use std::process::ExitCode;

/// How the process ends. Scripts rely on the numbers: they do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// what was asked is done; also an orderly stop by Ctrl-C
    Done = 0,
    /// a failure while running, such as a folder that cannot be written
    Runtime = 1,
    /// a command line that cannot be understood; clap's own code
    Usage = 2,
    /// an unknown key, a value out of range, a file that is no configuration
    Config = 3,
    /// a module whose hash is not listed, or was revoked, or has expired
    NotAllowed = 4,
    /// a module that is broken, of another world, or over a limit before it ran
    Incompatible = 5,
    /// market data that cannot be had or does not fit the strategies
    Feed = 6,
    /// the check ran well and found something
    Findings = 7,
    /// a tape, journal or lock file whose bytes are not those that were written
    DataDamaged = 8,
    /// a second Ctrl-C: ended at once, without draining anything
    Interrupted = 130,
}

impl Exit {
    /// All of them, by number.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::Runtime,
        Self::Usage,
        Self::Config,
        Self::NotAllowed,
        Self::Incompatible,
        Self::Feed,
        Self::Findings,
        Self::DataDamaged,
        Self::Interrupted,
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
