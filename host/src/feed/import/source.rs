//! A recording as lines, plain or gzip, with its position and bounded memory.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use super::ImportError;

/// Longest line: a snapshot of 5,000 levels a side takes a third of a MiB.
const LINE_LEN_MAX: usize = 16 << 20;
/// How a gzip file begins.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// An open recording.
pub(super) struct Source {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    position: Rc<Cell<u64>>,
    len: u64,
    line: Vec<u8>,
}

impl Source {
    /// Opens a file; whether it is compressed shows in its first bytes.
    pub(super) fn open(path: &Path) -> Result<Self, ImportError> {
        let fail = |source| ImportError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(fail)?;
        let len = file.metadata().map_err(fail)?.len();
        let position = Rc::new(Cell::new(0));
        let counted = Counted { file, position: Rc::clone(&position) };
        let mut raw = BufReader::with_capacity(1 << 18, counted);
        let gzip = raw.fill_buf().map_err(fail)?.starts_with(&GZIP_MAGIC);
        let reader: Box<dyn BufRead> = if gzip {
            Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        };
        Ok(Self { path: path.to_owned(), reader, position, len, line: Vec::new() })
    }

    /// The file's length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// How many bytes of the file were read.
    pub(super) fn position(&self) -> u64 {
        self.position.get()
    }

    /// The next line without its end; `None` at the end of the file.
    pub(super) fn next_line(&mut self) -> Result<Option<&[u8]>, ImportError> {
        self.line.clear();
        let limited = &mut (&mut self.reader).take(LINE_LEN_MAX as u64 + 1);
        let read = limited.read_until(b'\n', &mut self.line);
        let count = read.map_err(|e| fail(&self.path, e))?;
        if count == 0 {
            return Ok(None);
        }
        if count > LINE_LEN_MAX {
            let error = io::Error::other(format!("a line is longer than {LINE_LEN_MAX} bytes"));
            return Err(fail(&self.path, error));
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }
}

fn fail(path: &Path, source: io::Error) -> ImportError {
    ImportError::Io { path: path.to_owned(), source }
}

/// Counts the bytes that are taken from a file.
struct Counted {
    file: File,
    position: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.position.set(self.position.get() + count as u64);
        Ok(count)
    }
}
