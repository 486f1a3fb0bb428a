//! One file that records are appended to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::at;

/// Whether a record may wait in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// it is in the operating system's hands when the call returns: fills and
    /// errors
    Now,
    /// it may wait for the next flush
    Later,
}

/// What one step back looks at for the end of the last whole record.
const TAIL_STEP: u64 = 64 << 10;

/// An open file with its length.
#[derive(Debug)]
pub(super) struct Stream {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

impl Stream {
    /// Opens a file for appending. A record that a crash cut in two is cut off:
    /// half a line would spoil the one after it.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true);
        let mut file = options.open(&path).map_err(|error| at(&path, &error))?;
        let metadata = file.metadata().map_err(|error| at(&path, &error))?;
        let mut bytes = 0;
        if metadata.is_file() {
            bytes = whole(&mut file, metadata.len()).map_err(|error| at(&path, &error))?;
            if bytes < metadata.len() {
                file.set_len(bytes).map_err(|error| at(&path, &error))?;
            }
        }
        Ok(Self { path, file: BufWriter::new(file), bytes })
    }

    /// True when a record of `length` bytes and its line's end must go into a
    /// new file.
    pub(super) fn is_full(&self, length: usize, limit: u64) -> bool {
        self.bytes > 0 && self.bytes + length as u64 + 1 > limit
    }

    pub(super) fn append(&mut self, line: &str, flush: Flush) -> io::Result<()> {
        let written = self
            .file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.write_all(b"\n"))
            .and_then(|()| if flush == Flush::Now { self.file.flush() } else { Ok(()) });
        written.map_err(|error| at(&self.path, &error))?;
        self.bytes += line.len() as u64 + 1;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|error| at(&self.path, &error))
    }

    /// Moves the file to `archived` and begins an empty one in its place.
    pub(super) fn rotate(&mut self, archived: &Path) -> io::Result<()> {
        self.flush()?;
        fs::rename(&self.path, archived).map_err(|error| at(&self.path, &error))?;
        *self = Self::open(std::mem::take(&mut self.path))?;
        Ok(())
    }
}

/// The length of a file up to the end of its last whole line.
fn whole(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut buffer = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(TAIL_STEP);
        file.seek(SeekFrom::Start(start))?;
        buffer.clear();
        io::Read::by_ref(file).take(end - start).read_to_end(&mut buffer)?;
        if let Some(newline) = buffer.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
