//! Strategy files: found, read once, and hashed as read.
//!
//! Whoever can write to the strategies folder can also race its renames. So a
//! file is opened once and read once, and everything after that (hash, lookup,
//! compilation) sees the one buffer that a [`Candidate`] owns.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open, openat};
use rustix::io::Errno;

use super::hash::Sha256;
use super::owner::Access;

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
    /// Its path leads out of the folder.
    #[error("{path} is not in the strategies folder", path = path.display())]
    Outside {
        /// what was asked for
        path: PathBuf,
    },
    /// It is a folder, a pipe, a socket or a device.
    #[error("{path} is not a regular file", path = path.display())]
    NotRegular {
        /// what was asked for
        path: PathBuf,
    },
    /// Others than this user may write it, or its folder.
    #[error("{path} {why}", path = path.display())]
    Open {
        /// the file or folder
        path: PathBuf,
        /// who
        why: &'static str,
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

/// Reads a file of a strategies folder, of at most `cap` bytes: one open that
/// leaves the folder by no link, no `..` and no mount trick, and blocks on no
/// pipe; one read, one buffer. The file must be a regular one with a single name.
///
/// # Errors
/// [`CandidateError`], naming the file.
pub fn read_candidate(path: &Path, cap: u64) -> Result<Candidate, CandidateError> {
    let Some(name) = path.file_name() else {
        return Err(CandidateError::Outside { path: path.to_owned() });
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    read_beneath(folder.unwrap_or(Path::new(".")), Path::new(name), cap)
}

/// As [`read_candidate`], for a path relative to the folder. The folder itself is
/// the operator's, and may be a link.
///
/// # Errors
/// [`CandidateError`], naming the file.
pub fn read_beneath(folder: &Path, name: &Path, cap: u64) -> Result<Candidate, CandidateError> {
    let path = folder.join(name);
    let failed = |errno: Errno| CandidateError::Io { path: path.clone(), source: errno.into() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(folder, flags, Mode::empty()).map_err(failed)?;
    let found = fstat(&root).map_err(failed)?;
    if let Some(why) = Access::from(&found).others_in_folder() {
        return Err(CandidateError::Open { path: folder.to_owned(), why });
    }
    let descriptor = open_beneath(&root, name).map_err(|errno| refusal(errno, &path))?;
    read(descriptor, &path, cap, true)
}

/// Reads a file that the operator named on the command line: as
/// [`read_candidate`], but it may have further names, because Cargo hard-links
/// what it builds.
///
/// # Errors
/// [`CandidateError`], naming the file.
pub fn read_named(path: &Path, cap: u64) -> Result<Candidate, CandidateError> {
    let descriptor = open(path, FILE_FLAGS, Mode::empty()).map_err(|errno| refusal(errno, path))?;
    read(descriptor, path, cap, false)
}

/// Without NONBLOCK, opening a named pipe would wait for a writer for ever.
const FILE_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

#[cfg(target_os = "linux")]
fn open_beneath(root: &OwnedFd, name: &Path) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, name, FILE_FLAGS, Mode::empty(), within) {
        // An old kernel does not know the call, some sandboxes forbid it.
        Err(Errno::NOSYS | Errno::PERM) => open_single(root, name),
        opened => opened,
    }
}

#[cfg(not(target_os = "linux"))]
fn open_beneath(root: &OwnedFd, name: &Path) -> Result<OwnedFd, Errno> {
    open_single(root, name)
}

/// Where the system cannot hold a path to a folder: a name alone, which nothing
/// can lead elsewhere but a link in its own place, and that is not followed.
fn open_single(root: &OwnedFd, name: &Path) -> Result<OwnedFd, Errno> {
    let mut parts = name.components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(one)), None) => openat(root, one, FILE_FLAGS, Mode::empty()),
        _ => Err(Errno::XDEV),
    }
}

fn refusal(errno: Errno, path: &Path) -> CandidateError {
    let path = path.to_owned();
    match errno {
        Errno::LOOP => CandidateError::Symlink { path },
        Errno::XDEV => CandidateError::Outside { path },
        other => CandidateError::Io { path, source: other.into() },
    }
}

fn read(
    descriptor: OwnedFd,
    path: &Path,
    cap: u64,
    one_link: bool,
) -> Result<Candidate, CandidateError> {
    let failed = |source: io::Error| CandidateError::Io { path: path.to_owned(), source };
    let stat = fstat(&descriptor).map_err(|errno| failed(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(CandidateError::NotRegular { path: path.to_owned() });
    }
    if let Some(why) = Access::from(&stat).others() {
        return Err(CandidateError::Open { path: path.to_owned(), why });
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
    let bytes = read_whole(File::from(descriptor), size).map_err(failed)?;
    let bytes = bytes.ok_or_else(|| CandidateError::Changed { path: path.to_owned() })?;
    Ok(Candidate::from_bytes(bytes, path))
}

/// Reads exactly `size` bytes; nothing when there are fewer or more, which is a
/// file that changed after it was looked at. One byte more than the size is asked
/// for, so a file that grows cannot make the buffer grow.
fn read_whole(file: impl io::Read, size: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    file.take(size.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 == size).then_some(bytes))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crit_001_a_file_that_changes_while_it_is_read_is_refused() {
        assert_eq!(read_whole(&b"1234"[..], 4).expect("read").as_deref(), Some(&b"1234"[..]));
        for (content, size) in [(&b"123"[..], 4), (b"12345", 4), (b"", 1), (b"1", 0)] {
            assert_eq!(read_whole(content, size).expect("read"), None, "{content:?}");
        }
        // A file that grows for ever is read once over its size, not to its end.
        assert_eq!(read_whole(io::repeat(7), 1 << 20).expect("read"), None);
    }

    #[test]
    fn crit_001_no_path_leads_out_of_the_folder() {
        use std::os::unix::fs::symlink;
        let outer = tempfile::tempdir().expect("a folder");
        let folder = outer.path().join("strategies");
        std::fs::create_dir_all(folder.join("real")).expect("made");
        std::fs::write(outer.path().join("secret.wasm"), b"secret").expect("written");
        std::fs::write(folder.join("real/a.wasm"), b"a").expect("written");
        std::fs::write(folder.join("b.wasm"), b"b").expect("written");
        symlink("real", folder.join("linked")).expect("linked");
        symlink("..", folder.join("up")).expect("linked");
        let read = |name: &str| read_beneath(&folder, Path::new(name), 100);
        let bytes = |name: &str| read(name).map(|found| found.bytes().to_vec()).ok();
        assert_eq!(bytes("b.wasm").as_deref(), Some(&b"b"[..]));
        assert_eq!(bytes("real/a.wasm").as_deref(), Some(&b"a"[..]), "a folder inside is inside");
        for name in ["../secret.wasm", "real/../../secret.wasm", "/etc/hostname"] {
            assert!(matches!(read(name), Err(CandidateError::Outside { .. })), "{name}");
        }
        for name in ["linked/a.wasm", "up/secret.wasm", "linked"] {
            assert!(matches!(read(name), Err(CandidateError::Symlink { .. })), "{name}");
        }
        // The control: without the folder in hand the same names lead out.
        assert!(read_named(&folder.join("up/secret.wasm"), 100).is_ok());
        assert!(read_candidate(&folder.join(".."), 100).is_err());

        let root = open(&folder, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
        let root = root.expect("opened");
        assert!(open_single(&root, Path::new("b.wasm")).is_ok(), "as without openat2");
        for name in ["../secret.wasm", "/etc/hostname", "linked/a.wasm", "..", "."] {
            assert_eq!(open_single(&root, Path::new(name)).err(), Some(Errno::XDEV), "{name}");
        }
        symlink("b.wasm", folder.join("c.wasm")).expect("linked");
        assert_eq!(open_single(&root, Path::new("c.wasm")).err(), Some(Errno::LOOP));
    }
}
