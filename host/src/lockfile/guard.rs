//! The lock file as it may be believed: signed where a signature is asked for,
//! and never older than one that was seen before.
//!
//! The newest serial and digest that were seen lie in the private folder, out of
//! reach of whoever can write the lock file. An older file put back in place, or
//! another of the same serial, is refused; so is a missing one when denials went
//! with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use minisign_verify::{PublicKey, Signature};

use super::store::{self, LockError};
use super::{Lock, PrivateFolder, Sha256};

/// What is appended to the lock file's name for its signature.
const SIGNATURE_SUFFIX: &str = ".minisig";

/// Where the lock file is and how far it is believed.
#[derive(Clone)]
pub struct LockSource {
    path: PathBuf,
    key: Option<PublicKey>,
    seen: Option<Arc<PrivateFolder>>,
}

/// The newest lock file that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    serial: u64,
    sha256: Sha256,
    revoked: u64,
}

impl Seen {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let serial = words.next()?.parse().ok()?;
        let sha256 = words.next()?.parse().ok()?;
        let revoked = words.next()?.parse().ok()?;
        Some(Self { serial, sha256, revoked })
    }

    fn text(self) -> String {
        format!("{} {} {}\n", self.serial, self.sha256, self.revoked)
    }

    fn of(lock: &Lock) -> Option<Self> {
        let revoked = lock.revoked.len() as u64;
        Some(Self { serial: lock.serial, sha256: lock.source?, revoked })
    }
}

/// A public key as `minisign -G` prints it: one line of Base64.
///
/// # Errors
/// When it is none.
pub fn public_key(text: &str) -> Result<PublicKey, LockError> {
    PublicKey::from_base64(text.trim()).map_err(|_| LockError::BadEntry {
        detail: "strategies.public_key is no minisign public key, such as RWQf6LRCGA9i5…".into(),
    })
}

impl LockSource {
    /// The lock file at `path`. With a key, a file that is not signed by it allows
    /// nothing; with a folder, an older file is noticed.
    #[must_use]
    pub fn new(path: &Path, key: Option<PublicKey>, seen: Option<Arc<PrivateFolder>>) -> Self {
        Self { path: path.to_owned(), key, seen }
    }

    /// The lock file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files that decide what it says: itself, and its signature where one is
    /// asked for.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let signature = self.key.as_ref().map(|_| self.signature_path());
        [self.path.clone()].into_iter().chain(signature).collect()
    }

    fn signature_path(&self) -> PathBuf {
        let mut path = self.path.as_os_str().to_owned();
        path.push(SIGNATURE_SUFFIX);
        path.into()
    }

    /// Reads the file once: the bytes whose signature holds are those that count.
    ///
    /// # Errors
    /// [`LockError`]; nothing may run then.
    pub fn read(&self) -> Result<Lock, LockError> {
        Ok(self.read_with_text()?.0)
    }

    /// The same with the file's text, which is empty where there is no file.
    ///
    /// # Errors
    /// As [`LockSource::read`].
    pub fn read_with_text(&self) -> Result<(Lock, String), LockError> {
        let Some(text) = store::read_text(&self.path)? else {
            self.check_missing()?;
            return Ok((Lock::default(), String::new()));
        };
        if let Some(key) = &self.key {
            self.check_signature(key, &text)?;
        }
        let lock = Lock::parse(&text, &self.path)?;
        self.check_serial(&lock)?;
        Ok((lock, text))
    }

    /// Writes the file and remembers it as the newest. A signature of the file
    /// before does not hold for it.
    ///
    /// # Errors
    /// As [`Lock::write`].
    pub fn write(&self, lock: &mut Lock) -> Result<(), LockError> {
        // One that begins anew goes on counting: a file of before would be newer.
        if let Some(seen) = self.seen()?.filter(|_| lock.source.is_none()) {
            lock.serial = lock.serial.max(seen.serial);
        }
        lock.write(&self.path)?;
        Seen::of(lock).map_or(Ok(()), |newest| self.remember(newest))
    }

    /// True when what was just written must be signed before it counts.
    #[must_use]
    pub fn wants_signature(&self) -> bool {
        self.key.is_some()
    }

    fn check_signature(&self, key: &PublicKey, text: &str) -> Result<(), LockError> {
        let path = self.signature_path();
        let unsigned = |detail: String| LockError::Unsigned { path: self.path.clone(), detail };
        let signature = store::read_text(&path)?
            .ok_or_else(|| unsigned(format!("there is no {}", path.display())))?;
        let signature = Signature::decode(&signature).map_err(|e| unsigned(e.to_string()))?;
        key.verify(text.as_bytes(), &signature, false).map_err(|e| unsigned(e.to_string()))
    }

    fn check_serial(&self, lock: &Lock) -> Result<(), LockError> {
        let Some(found) = Seen::of(lock) else { return Ok(()) };
        let older = |detail: String| self.rolled_back(detail);
        match self.seen()? {
            Some(seen) if found.serial < seen.serial => {
                Err(older(format!("its serial is {}, after {}", found.serial, seen.serial)))
            }
            Some(seen) if found.serial == seen.serial && found.sha256 != seen.sha256 => {
                Err(older(format!("it is another file of serial {}", seen.serial)))
            }
            Some(seen)
                if found.serial == seen.serial + 1 && lock.prev_sha256 != Some(seen.sha256) =>
            {
                Err(older(format!("serial {} does not follow the one before", found.serial)))
            }
            Some(seen) if found == seen => Ok(()),
            _ => self.remember(found),
        }
    }

    fn check_missing(&self) -> Result<(), LockError> {
        match self.seen()? {
            Some(seen) if seen.revoked > 0 => {
                Err(self.rolled_back(format!("it is gone, and {} denials with it", seen.revoked)))
            }
            _ => Ok(()),
        }
    }

    fn rolled_back(&self, detail: String) -> LockError {
        let note = self.seen.as_ref().map(|folder| folder.path().join(self.note_name()));
        LockError::RolledBack { path: self.path.clone(), detail, note: note.unwrap_or_default() }
    }

    /// What was seen of the file at this place. A note that the folder's key did
    /// not make is as bad as an older file.
    fn seen(&self) -> Result<Option<Seen>, LockError> {
        let Some(folder) = &self.seen else { return Ok(None) };
        let name = self.note_name();
        match folder.note(&name) {
            Some(text) => Ok(Seen::parse(&text)),
            None if folder.has(&name) => {
                Err(self.rolled_back("what was noted of it is damaged".to_owned()))
            }
            None => Ok(None),
        }
    }

    fn remember(&self, newest: Seen) -> Result<(), LockError> {
        let Some(folder) = &self.seen else { return Ok(()) };
        folder
            .write(&self.note_name(), &newest.text())
            .map_err(|source| LockError::Io { path: folder.path().join(self.note_name()), source })
    }

    /// Each lock file has a note of its own, by where it lies: the same place by
    /// another path, such as through a link to its folder, has the same.
    fn note_name(&self) -> String {
        let absolute = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        let whole = absolute
            .parent()
            .and_then(|folder| folder.canonicalize().ok())
            .zip(absolute.file_name())
            .map_or(absolute.clone(), |(folder, name)| folder.join(name));
        format!("{}.lock-seen", Sha256::of(whole.as_os_str().as_encoded_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::Timestamp;

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().expect("a folder") }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("strategies.lock")
        }

        fn source(&self, state: &str) -> LockSource {
            let private = PrivateFolder::open(&self.folder.path().join(state)).expect("made");
            LockSource::new(&self.path(), None, Some(Arc::new(private)))
        }

        /// Denies one more and gives the file that was written.
        fn deny(&self, source: &LockSource, byte: u8) -> Vec<u8> {
            let mut lock = source.read().expect("read");
            lock.deny(Sha256::from([byte; 32]), "", Timestamp::UNIX_EPOCH);
            source.write(&mut lock).expect("written");
            fs::read(self.path()).expect("bytes")
        }
    }

    #[track_caller]
    fn check_refused(source: &LockSource, message: &str) {
        let error = source.read().expect_err("refused");
        assert!(matches!(error, LockError::RolledBack { .. }), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }

    #[test]
    fn crit_001_an_older_lock_file_is_noticed() {
        let place = Place::new();
        let source = place.source("state");
        let first = place.deny(&source, 1);
        let second = place.deny(&source, 2);
        assert_eq!(source.read().expect("read").serial(), 2);
        fs::write(place.path(), &first).expect("written");
        check_refused(&source, "its serial is 1, after 2");
        // The control: who has not seen the newer one cannot know.
        assert_eq!(place.source("elsewhere").read().expect("read").serial(), 1);
        fs::remove_file(place.path()).expect("removed");
        check_refused(&source, "2 denials with it");
        fs::write(place.path(), &second).expect("written");
        assert_eq!(source.read().expect("read").serial(), 2);
    }

    /// A lock file is known by its place, not by the path that leads there.
    #[test]
    fn crit_001_an_older_lock_file_is_noticed_by_every_path_to_it() {
        let place = Place::new();
        let source = place.source("state");
        let old = place.deny(&source, 1);
        place.deny(&source, 2);
        fs::write(place.path(), old).expect("written");
        let folder = place.path().parent().expect("a folder").to_owned();
        let link = folder.join("link");
        std::os::unix::fs::symlink(&folder, &link).expect("linked");
        let other = LockSource { path: link.join("strategies.lock"), ..source };
        check_refused(&other, "its serial is 1, after 2");
    }

    #[test]
    fn crit_001_a_lock_file_that_does_not_follow_is_noticed() {
        let place = Place::new();
        let source = place.source("state");
        let text = String::from_utf8(place.deny(&source, 1)).expect("text");
        fs::write(place.path(), text.replace("serial = 1", "serial = 1 ")).expect("written");
        check_refused(&source, "another file of serial 1");
        fs::write(place.path(), text.replace("serial = 1", "serial = 2")).expect("written");
        check_refused(&source, "does not follow");
    }

    #[test]
    fn crit_001_what_was_noted_cannot_be_forged() {
        let place = Place::new();
        let source = place.source("state");
        place.deny(&source, 1);
        let note = place.folder.path().join("state").join(source.note_name());
        let text = fs::read_to_string(&note).expect("a note");
        fs::write(&note, text.replace("\n1 ", "\n0 ")).expect("written");
        check_refused(&source, "is damaged");
    }

    #[test]
    fn a_lock_file_that_denies_nothing_may_begin_anew() {
        let place = Place::new();
        let source = place.source("state");
        source.write(&mut Lock::default()).expect("written");
        fs::remove_file(place.path()).expect("removed");
        assert_eq!(source.read().expect("read").serial(), 0);
    }

    /// A file of before a new beginning is no newer than it.
    #[test]
    fn crit_001_beginning_anew_does_not_let_an_older_file_back() {
        let place = Place::new();
        let source = place.source("state");
        let mut lock = Lock::default();
        let old = (0..3).map(|_| {
            source.write(&mut lock).expect("written");
            fs::read(place.path()).expect("bytes")
        });
        let old: Vec<Vec<u8>> = old.collect();
        fs::remove_file(place.path()).expect("removed");
        let mut anew = source.read().expect("read");
        source.write(&mut anew).expect("written");
        assert_eq!(anew.serial(), 4, "it goes on counting");
        for (serial, old) in (1..).zip(&old) {
            fs::write(place.path(), old).expect("written");
            check_refused(&source, &format!("its serial is {serial}, after 4"));
        }
    }
}
