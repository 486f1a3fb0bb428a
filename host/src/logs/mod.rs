//! Logs as JSON Lines: one folder, one file a stream, rotated by size.
//!
//! ```text
//! logs/system/system.jsonl            what the host did
//! logs/strategies/NAME.jsonl          what one strategy did and said
//! logs/trades/trades.jsonl            every fill of every strategy
//! logs/aggregated/aggregated.jsonl    everything, in order
//! logs/archive/STREAM-00000001.jsonl.gz
//! ```
//!
//! 1. A file never exceeds its limit, unless one record alone does.
//! 2. Rotation loses no record and writes none twice: a full file is renamed
//!    into the archive, and the next record begins a new one.
//! 3. An archived file is removed only when its `.gz` was written, synced, read
//!    back and found equal. A crash leaves the plain file or the packed one,
//!    never neither; what is left over is packed at the next start.
//! 4. Each stream keeps its own number of archives; the oldest goes first.
//! 5. A write that fails is an error for the caller, who stops trading: no
//!    record is dropped in silence.

mod archive;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use archive::Archive;
pub use stream::Flush;
use stream::Stream;

/// Which kind of stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamName {
    /// what the host did
    System,
    /// what one strategy did and said
    Strategy(String),
    /// fills
    Trades,
    /// everything
    Aggregated,
}

impl StreamName {
    /// Its folder and the stem of its file.
    fn place(&self) -> (&'static str, String) {
        match self {
            Self::System => ("system", "system".into()),
            Self::Strategy(name) => ("strategies", file_stem(name)),
            Self::Trades => ("trades", "trades".into()),
            Self::Aggregated => ("aggregated", "aggregated".into()),
        }
    }

    /// What its archives' names begin with. Streams of strategies carry a
    /// prefix, so that a strategy called `trades` is not the stream of trades.
    fn archive_stem(&self) -> String {
        match self {
            Self::Strategy(name) => format!("strategy-{}", file_stem(name)),
            _ => self.place().1,
        }
    }
}

/// How large logs may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// bytes after which a file is rotated
    pub rotate_bytes: u64,
    /// archives kept of the host's stream
    pub keep_system: u32,
    /// archives kept of each strategy's stream
    pub keep_strategies: u32,
    /// archives kept of the stream of fills
    pub keep_trades: u32,
    /// archives kept of the stream of everything
    pub keep_aggregated: u32,
}

impl Limits {
    fn keep(&self, name: &StreamName) -> usize {
        let keep = match name {
            StreamName::System => self.keep_system,
            StreamName::Strategy(_) => self.keep_strategies,
            StreamName::Trades => self.keep_trades,
            StreamName::Aggregated => self.keep_aggregated,
        };
        keep as usize
    }
}

/// All streams of one folder.
#[derive(Debug)]
pub struct Logs {
    dir: PathBuf,
    limits: Limits,
    streams: BTreeMap<StreamName, Stream>,
    archive: Archive,
}

impl Logs {
    /// Makes the folders and takes up what an earlier run left behind.
    ///
    /// # Errors
    /// A folder that cannot be made or read, with its path.
    pub fn open(dir: &Path, limits: Limits) -> io::Result<Self> {
        for folder in ["system", "strategies", "trades", "aggregated", "archive"] {
            let path = dir.join(folder);
            std::fs::create_dir_all(&path).map_err(|error| at(&path, &error))?;
        }
        let archive = Archive::open(&dir.join("archive"))?;
        Ok(Self { dir: dir.to_owned(), limits, streams: BTreeMap::new(), archive })
    }

    /// Appends one record, a line without its end, to a stream.
    ///
    /// # Errors
    /// A file that cannot be opened, written or rotated, with its path.
    pub fn append(&mut self, name: &StreamName, line: &str, flush: Flush) -> io::Result<()> {
        if !self.streams.contains_key(name) {
            let (folder, stem) = name.place();
            let path = self.dir.join(folder).join(format!("{stem}.jsonl"));
            self.streams.insert(name.clone(), Stream::open(path)?);
        }
        let Some(stream) = self.streams.get_mut(name) else { return Ok(()) };
        if stream.is_full(line.len(), self.limits.rotate_bytes) {
            let (stem, keep) = (name.archive_stem(), self.limits.keep(name));
            stream.rotate(&self.archive.next_path(&stem))?;
            self.archive.pack(&stem, keep)?;
        }
        stream.append(line, flush)
    }

    /// Hands what is buffered to the operating system.
    ///
    /// # Errors
    /// A file that cannot be written, with its path.
    pub fn flush(&mut self) -> io::Result<()> {
        self.streams.values_mut().try_for_each(Stream::flush)
    }

    /// Writes out and closes a stream; its next record opens it again.
    ///
    /// # Errors
    /// As [`Logs::flush`].
    pub fn close(&mut self, name: &StreamName) -> io::Result<()> {
        self.streams.remove(name).map_or(Ok(()), |mut stream| stream.flush())
    }

    /// How many files are open.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.streams.len()
    }

    /// Writes out every stream and waits until every archive is packed, for `patience` at
    /// most; what is left plain is packed at the next start.
    ///
    /// # Errors
    /// What failed, of writing or of packing.
    pub fn finish(mut self, patience: Duration) -> io::Result<()> {
        let flushed = self.flush();
        self.streams.clear();
        flushed.and(self.archive.finish(patience))
    }
}

/// A name as a file's stem. Names come from the lock file or a file's own name;
/// whatever could leave the folder or confuse a shell becomes `_`, and a hash
/// keeps names apart that would then be the same.
fn file_stem(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let usable = !name.is_empty() && name.len() <= 64 && name.chars().all(plain);
    if usable {
        return name.to_owned();
    }
    let hash = blake3::hash(name.as_bytes()).to_hex();
    let shown: String = name.chars().take(48).map(|c| if plain(c) { c } else { '_' }).collect();
    format!("{shown}-{}", &hash[..8])
}

/// An error that names the file.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
