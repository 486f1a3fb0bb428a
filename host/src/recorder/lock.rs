//! One program a folder.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::storage::make_folders;

/// The file that is locked.
const NAME: &str = ".lock";

/// How often a lock is tried, and how long between: whoever looks holds it for a moment.
const TRIES: u32 = 5;
const BETWEEN: std::time::Duration = std::time::Duration::from_millis(10);

/// Keeps other programs from writing to a folder, until it is dropped or the
/// process ends, however that happens.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    /// True when a program holds the lock of this folder.
    #[must_use]
    pub fn is_held(folder: &Path) -> bool {
        let Ok(file) = File::open(folder.join(NAME)) else { return false };
        flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
    }

    /// Locks a folder, which is made if need be. `None` when another program
    /// has it.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn take(folder: &Path) -> io::Result<Option<Self>> {
        make_folders(folder)?;
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).open(folder.join(NAME))?;
        for _ in 0..TRIES {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Self(file))),
                // Perhaps only somebody who looks whether it is held.
                Err(error) if error == rustix::io::Errno::WOULDBLOCK => {
                    std::thread::park_timeout(BETWEEN);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}
