//! Files behind a small trait, so that faults can be injected.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What a recorder needs of a folder.
pub trait Storage {
    /// Makes a new, empty file; one of that name must not exist.
    ///
    /// # Errors
    /// Those of the disk.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Appends bytes to a file, all of them or an error.
    ///
    /// # Errors
    /// Those of the disk.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes a file's bytes durable.
    ///
    /// # Errors
    /// Those of the disk.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Makes the folder's names durable.
    ///
    /// # Errors
    /// Those of the disk.
    fn sync_folder(&mut self) -> io::Result<()>;
}

/// A folder of this machine.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    open: BTreeMap<String, File>,
}

impl Folder {
    /// Makes the folder, which must not exist, in one that may.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn create(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::create_dir(path)?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self { path: path.to_owned(), open: BTreeMap::new() })
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        self.open.get_mut(name).ok_or_else(|| io::Error::other(format!("{name} is not open")))
    }
}

impl Storage for Folder {
    fn create(&mut self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        // Segments are written one after the other: the one before is done.
        self.open.clear();
        self.open.insert(name.to_owned(), file);
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all(bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// The file name of a segment.
#[must_use]
pub fn segment_name(number: u64) -> String {
    format!("{number:08}.journal")
}

/// The segments in a folder, in order of their numbers.
///
/// # Errors
/// A folder that cannot be read.
pub fn segments(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "journal") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
