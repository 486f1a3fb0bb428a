//! Strategy files: found, read once, and hashed as read.
//!
//! Whoever can write to the strategies folder can also race its renames. So a
//! file is opened once and read once, and everything after that (hash, lookup,
//! compilation) sees the one buffer that a [`Candidate`] owns.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};

use super::hash::Sha256;

/// The most strategy files that one folder may hold.
const FILES_MAX: usize = 1_000;

/// The bytes of a strategy file with their digest. The fields are private and
/// the digest is always computed here, so that the two cannot disagree.
#[derive(Clone, Debug)]
pub struct Candidate {
    bytes: Vec<u8>,
    sha256: Sha256,
    path: PathBuf,
}

impl Candidate {
    /// Takes bytes that are already in memory; `path` only names them in
    /// messages.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>, path: impl Into<PathBuf>) -> Self {
        Self { sha256: Sha256::of(&bytes), bytes, path: path.into() }
    }

    /// The bytes that were read, hashed, and are the ones to compile.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their digest.
    #[must_use]
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// Where they were read from: for messages, never to read again.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's name without its extension: how a strategy is called until
    /// the lock file or the strategy itself says otherwise.
    #[must_use]
    pub fn stem(&self) -> String {
        self.path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
    }
}

/// Why a strategy file was not read.
#[derive(Debug, thiserror::Error)]
pub enum CandidateError {
    /// It cannot be opened or read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Io {
        /// the file
        path: PathBuf,
        /// what the system said
        source: io::Error,
    },
    /// It is a symbolic link, which could point elsewhere by the next look.
    #[error("{path} is a symbolic link: put the file itself into the folder", path = path.display())]
    Symlink {
        /// the link
        path: PathBuf,
    },
    /// It is a folder, a pipe, a socket or a device.
    #[error("{path} is not a regular file", path = path.display())]
    NotRegular {
        /// what was asked for
        path: PathBuf,
    },
    /// It has further names, through which others may write to it.
    #[error("{path} has {links} hard links: copy the file so that it has one", path = path.display())]
    HardLinked {
        /// the file
        path: PathBuf,
        /// its number of names
        links: u64,
    },
    /// It is larger than allowed. Nothing of it was read.
    #[error("{path} has {size} bytes, more than the {cap} that a strategy may have", path = path.display())]
    TooLarge {
        /// the file
        path: PathBuf,
        /// its size in bytes
        size: u64,
        /// the largest size in bytes
        cap: u64,
    },
    /// Its size changed between the open and the end of the read.
    #[error("{path} changed while it was read", path = path.display())]
    Changed {
        /// the file
        path: PathBuf,
    },
    /// The folder holds more strategy files than the host will look at.
    #[error("{path} holds more than {FILES_MAX} strategy files", path = path.display())]
    TooMany {
        /// the folder
        path: PathBuf,
    },
}

/// Reads a strategy file of at most `cap` bytes: one open that follows no link
/// and blocks on no pipe, one read, one buffer. The file must be a regular one
/// with a single name.
///
/// # Errors
/// [`CandidateError`], naming the file.
pub fn read_candidate(path: &Path, cap: u64) -> Result<Candidate, CandidateError> {
    read(path, cap, true)
}

/// As [`read_candidate`] for a file that the operator named on the command
/// line, which may have further names: Cargo hard-links what it builds.
///
/// # Errors
/// [`CandidateError`], naming the file.
pub fn read_named(path: &Path, cap: u64) -> Result<Candidate, CandidateError> {
    read(path, cap, false)
}

fn read(path: &Path, cap: u64, one_link: bool) -> Result<Candidate, CandidateError> {
    let failed = |source: io::Error| CandidateError::Io { path: path.to_owned(), source };
    // Without NONBLOCK, opening a named pipe would wait for a writer for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let descriptor = open(path, flags, Mode::empty()).map_err(|errno| match errno {
        rustix::io::Errno::LOOP => CandidateError::Symlink { path: path.to_owned() },
        other => failed(other.into()),
    })?;
    let stat = fstat(&descriptor).map_err(|errno| failed(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(CandidateError::NotRegular { path: path.to_owned() });
    }
    #[allow(clippy::useless_conversion, reason = "the field's width differs between systems")]
    let links = u64::from(stat.st_nlink);
    if one_link && links != 1 {
        return Err(CandidateError::HardLinked { path: path.to_owned(), links });
    }
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    if size > cap {
        return Err(CandidateError::TooLarge { path: path.to_owned(), size, cap });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    // One byte more than the size shows a file that grew meanwhile.
    File::from(descriptor).take(size + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 != size {
        return Err(CandidateError::Changed { path: path.to_owned() });
    }
    Ok(Candidate::from_bytes(bytes, path))
}

/// The paths of a folder's `*.wasm` files, sorted by name; folders inside it
/// are not entered. What the names point at is judged by [`read_candidate`].
///
/// # Errors
/// [`CandidateError::Io`] for a folder that cannot be listed, and
/// [`CandidateError::TooMany`].
pub fn scan(folder: &Path) -> Result<Vec<PathBuf>, CandidateError> {
    let failed = |source: io::Error| CandidateError::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            if found.len() == FILES_MAX {
                return Err(CandidateError::TooMany { path: folder.to_owned() });
            }
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
