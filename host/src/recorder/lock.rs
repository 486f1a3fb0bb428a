//! One program a folder.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::storage::make_folders;

/// The file that is locked.
const NAME: &str = ".lock";

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
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
