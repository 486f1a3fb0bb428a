//! Files behind a small trait, so that faults can be injected.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Place;

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
            make_folders(parent)?;
        }
        fs::create_dir(path)?;
        sync_names(path)?;
        Ok(Self { path: path.to_owned(), open: BTreeMap::new() })
    }

    /// Opens a run's folder to go on with behind `place`: cuts off what lies behind it.
    /// The file of the next segment, which was made before the last one was sealed, is
    /// emptied where that seal stands, and else removed. Whatever happens on the way,
    /// the folder can be read as before.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn reopen(path: &Path, place: &Place) -> io::Result<Self> {
        let mut open = BTreeMap::new();
        let next = segment_name(place.segment + 1);
        if place.sealed {
            let file = OpenOptions::new().append(true).open(path.join(&next))?;
            file.set_len(0)?;
            file.sync_all()?;
            open.insert(next, file);
        } else if let Err(error) = fs::remove_file(path.join(next))
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let name = segment_name(place.segment);
        let file = OpenOptions::new().append(true).open(path.join(&name))?;
        let length = place.bytes.len() as u64;
        if file.metadata()?.len() > length {
            file.set_len(length)?;
        }
        // What was read may have come from the page cache alone.
        file.sync_all()?;
        open.insert(name, file);
        File::open(path)?.sync_all()?;
        Ok(Self { path: path.to_owned(), open })
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        self.open.get_mut(name).ok_or_else(|| io::Error::other(format!("{name} is not open")))
    }
}

impl Storage for Folder {
    fn create(&mut self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        // A segment is sealed when the next one's file is there; those before are
        // done.
        while self.open.len() > 1 {
            self.open.pop_first();
        }
        self.open.insert(name.to_owned(), file);
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all(bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let file = self.file(name)?;
        file.sync_data()?;
        // A file without a name keeps nothing once it is closed.
        if file.metadata()?.nlink() == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{name} was removed")));
        }
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// Makes a folder and those above it, each durable in the one above.
pub(super) fn make_folders(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_folders(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => Err(error),
        _ => sync_names(path),
    }
}

/// Makes the name of `path` durable in the folder that holds it.
fn sync_names(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// The file name of a segment.
#[must_use]
pub fn segment_name(number: u64) -> String {
    format!("{number:08}.journal")
}

/// The segments in a folder, in order of their numbers. A last file without a byte
/// is left out: it is there before the segment before it is sealed.
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
    if let Some(last) = found.last()
        && found.len() > 1
        && fs::metadata(last)?.len() == 0
    {
        found.pop();
    }
    Ok(found)
}
