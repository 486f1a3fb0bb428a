//! A folder that belongs to this installation alone: what was proved of a file,
//! and the newest lock file that was seen. Nobody else may read or write it, and
//! what lies in it carries a code that only the folder's own key can make.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The file of the key that authenticates the others.
const KEY: &str = "install.key";
/// The largest note that is read.
const NOTE_BYTES_MAX: u64 = 4_096;
/// The most files that the folder may hold; past it the notes begin anew.
const FILES_MAX: usize = 4_096;

/// The private folder.
#[derive(Clone)]
pub struct PrivateFolder {
    path: PathBuf,
    key: [u8; 32],
}

/// Without the key, which is nobody's to read.
impl fmt::Debug for PrivateFolder {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_tuple("PrivateFolder").field(&self.path).finish()
    }
}

impl PrivateFolder {
    /// Opens the folder, and makes it and its key when they are missing.
    ///
    /// # Errors
    /// When it cannot be made, belongs to someone else, or is open to others.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::check(path)?;
        Ok(Self { path: path.to_owned(), key: key(path)? })
    }

    /// Makes a folder that only this user may enter, when it is missing.
    ///
    /// # Errors
    /// When it cannot be made, belongs to someone else, or is open to others.
    pub fn check(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let found = fs::symlink_metadata(path)?;
        let refused = |why: &str| Err(io::Error::other(format!("{}: {why}", path.display())));
        if !found.is_dir() {
            return refused("it is not a folder");
        }
        if found.uid() != rustix::process::geteuid().as_raw() {
            return refused("it belongs to another user");
        }
        if found.mode() & 0o077 != 0 {
            return refused("others may read or write it: chmod 700");
        }
        Ok(())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret that all of the folder's codes come from.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.key
    }

    /// The note of this name, if there is one that this folder's key made.
    #[must_use]
    pub fn note(&self, name: &str) -> Option<String> {
        let file = File::open(self.path.join(name)).ok()?;
        let mut text = String::new();
        file.take(NOTE_BYTES_MAX).read_to_string(&mut text).ok()?;
        let (code, note) = text.split_once('\n')?;
        let expected = self.code(name, note);
        // Hashes compare in constant time.
        (blake3::Hash::from_hex(code).ok()? == expected).then(|| note.to_owned())
    }

    /// True when there is a file of this name, whoever made it.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path.join(name)).is_ok()
    }

    /// Writes a note: a new file, synced and renamed into place.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, name: &str, note: &str) -> io::Result<()> {
        self.make_room()?;
        let text = format!("{}\n{note}", self.code(name, note).to_hex());
        // Each process writes a file of its own, so that two of them do not mix.
        let temporary = self.path.join(format!("{name}.{}.tmp", std::process::id()));
        let mut file = private(OpenOptions::new().truncate(true).create(true)).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, self.path.join(name))
    }

    /// The code of a note under its name: a note cannot stand in for another.
    fn code(&self, name: &str, note: &str) -> blake3::Hash {
        blake3::keyed_hash(&self.key, format!("{name}\n{note}").as_bytes())
    }

    /// Proofs can be made again, so a full folder drops them all.
    fn make_room(&self) -> io::Result<()> {
        let files: Vec<_> = fs::read_dir(&self.path)?.take(FILES_MAX + 1).flatten().collect();
        if files.len() <= FILES_MAX {
            return Ok(());
        }
        for file in files {
            if file.path().extension().is_some_and(|end| end == "proof" || end == "tmp") {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.write(true).mode(0o600)
}

/// Reads the key, or makes one. Of two processes that make it, one wins, and
/// both read what it wrote.
fn key(folder: &Path) -> io::Result<[u8; 32]> {
    let path = folder.join(KEY);
    if fs::symlink_metadata(&path).is_err() {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(|error| io::Error::other(error.to_string()))?;
        let temporary = folder.join(format!("{KEY}.{}.tmp", std::process::id()));
        let mut file = private(OpenOptions::new().create(true).truncate(true)).open(&temporary)?;
        file.write_all(&fresh)?;
        file.sync_all()?;
        // A link does not replace what is there.
        let linked = fs::hard_link(&temporary, &path);
        fs::remove_file(&temporary)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let mut key = Vec::new();
    File::open(&path)?.take(33).read_to_end(&mut key)?;
    key.try_into().map_err(|_| io::Error::other(format!("{} is not a key", path.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_what_its_own_key_made_is_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().join("state");
        let private = PrivateFolder::open(&at).expect("made");
        assert_eq!(fs::metadata(&at).expect("there").mode() & 0o777, 0o700);
        private.write("a.proof", "yes").expect("written");
        let again = PrivateFolder::open(&at).expect("opened");
        assert_eq!(again.note("a.proof").as_deref(), Some("yes"));
        // Under another name, or with another text, it is worth nothing.
        fs::copy(at.join("a.proof"), at.join("b.proof")).expect("copied");
        assert_eq!(again.note("b.proof"), None);
        let text = fs::read_to_string(at.join("a.proof")).expect("text");
        fs::write(at.join("a.proof"), text.replace("yes", "no!")).expect("written");
        assert_eq!(again.note("a.proof"), None);
        assert!(again.has("a.proof") && !again.has("c.proof"));
        // A folder with another key believes nothing of this one.
        let other = PrivateFolder::open(&folder.path().join("other")).expect("made");
        fs::write(other.path().join("a.proof"), &text).expect("written");
        assert_eq!(other.note("a.proof"), None);
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().join("state");
        PrivateFolder::open(&at).expect("made");
        fs::set_permissions(&at, fs::Permissions::from_mode(0o755)).expect("changed");
        let error = PrivateFolder::open(&at).expect_err("refused");
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }
}
