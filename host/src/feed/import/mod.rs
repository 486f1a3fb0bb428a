//! Recordings of others, made into tapes.
//!
//! A recording is read twice: first for its symbols and for how many decimals
//! their prices and quantities need, then to convert. Anything that cannot be
//! read ends the import with its line, since a tape with holes would look like
//! a market without trades.
//!
//! The engine's clock never runs backwards, recordings sometimes do: an event
//! recorded before its predecessor gets the predecessor's `ts_received`, is
//! counted, and keeps its own `ts_exchange`.

mod binance;
mod csv;
mod kraken;
mod source;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use crate::domain::{DecimalError, Instrument, Ts};
use crate::feed::tape::{TapeError, TapeSummary};
use crate::venue::FrameError;
use crate::venue::{binance::Counts, kraken as kraken_venue};

use source::Source;

/// What a recording consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// lines `RECEIVED_NS JSON` of Binance's public spot streams
    Binance,
    /// trades with the header `ts_ns,symbol,price,qty,side`
    Csv,
    /// lines `JSON` or `RECEIVED_NS JSON` of Kraken's public channels, API v2
    Kraken,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Binance => "binance",
            Self::Csv => "csv",
            Self::Kraken => "kraken",
        })
    }
}

/// How to import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// what the file is; by its content when `None`
    pub format: Option<Format>,
    /// levels a side to keep of books; all of them when `None`
    pub depth: Option<u32>,
    /// text for the tape's header
    pub note: String,
}

/// What an import made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportSummary {
    /// what the file was taken for
    pub format: Format,
    /// lines read, without a header
    pub lines: u64,
    /// events recorded before their predecessor
    pub out_of_order: u64,
    /// what is traded, with the decimals that the recording needs
    pub instruments: Vec<Instrument>,
    /// what Binance's protocol said
    pub binance: Option<Counts>,
    /// what Kraken's protocol said
    pub kraken: Option<kraken_venue::Counts>,
    /// the tape
    pub tape: TapeSummary,
}

/// Compressed bytes read so far, and in all (both passes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// bytes read
    pub done: u64,
    /// bytes that will have been read at the end
    pub total: u64,
}

/// Is told how far an import is, every 8,192 lines; `Break` ends the import.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Why a recording was not imported. No tape was made then.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The operating system refused, or the compression is damaged.
    #[error("{path}: cannot read: {source}", path = path.display())]
    Io {
        /// which file
        path: PathBuf,
        /// its answer
        source: io::Error,
    },
    /// The content is of no known format.
    #[error(
        "{path}: neither Binance lines (RECEIVED_NS JSON) nor Kraken lines (JSON, or RECEIVED_NS JSON) \
         nor CSV (ts_ns,symbol,price,qty,side): it begins with '{start}'", path = path.display()
    )]
    UnknownFormat {
        /// which file
        path: PathBuf,
        /// its first characters
        start: String,
    },
    /// A line cannot be read.
    #[error("{path}: line {line}: {fault}", path = path.display())]
    Line {
        /// which file
        path: PathBuf,
        /// which line, from 1
        line: u64,
        /// what is wrong with it
        fault: LineFault,
    },
    /// The recording as a whole cannot become a tape.
    #[error("{path}: {what}", path = path.display())]
    Content {
        /// which file
        path: PathBuf,
        /// why
        what: String,
    },
    /// The tape could not be written.
    #[error(transparent)]
    Tape(#[from] TapeError),
    /// The caller ended it.
    #[error("the import was canceled")]
    Canceled,
}

/// What is wrong with a line.
#[derive(Debug, Error)]
pub enum LineFault {
    /// It does not begin with the receive time.
    #[error("it does not begin with a receive time in nanoseconds and a blank")]
    ReceiveTime,
    /// It is not UTF-8.
    #[error("it is not UTF-8 text")]
    Encoding,
    /// Its message was refused.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The header lacks a column.
    #[error("the header lacks the column '{0}'")]
    MissingColumn(&'static str),
    /// The row cannot be split into columns.
    #[error("{0}")]
    Row(String),
    /// A number cannot be read.
    #[error("column '{column}': {source}")]
    Number {
        /// which column
        column: &'static str,
        /// why
        source: DecimalError,
    },
    /// A value is not one of those that the column may have.
    #[error("column '{column}': '{value}' is not {expected}")]
    Value {
        /// which column
        column: &'static str,
        /// what stands there
        value: String,
        /// what may stand there
        expected: &'static str,
    },
}

/// Makes a tape at `out` from the recording at `path`, plain or gzip.
///
/// # Errors
/// What is wrong with the recording or the tape; see [`ImportError`].
pub fn import(
    path: &Path,
    out: &Path,
    options: &ImportOptions,
    progress: OnProgress<'_>,
) -> Result<ImportSummary, ImportError> {
    let format = match options.format {
        Some(format) => format,
        None => detect(path)?,
    };
    match format {
        Format::Binance => binance::import_binance(path, out, options, progress),
        Format::Csv => csv::import_csv(path, out, options, progress),
        Format::Kraken => kraken::import_kraken(path, out, options, progress),
    }
}

/// Tells what a recording is by its first line.
///
/// # Errors
/// A file that cannot be read or is of no known format.
pub fn detect(path: &Path) -> Result<Format, ImportError> {
    let mut source = Source::open(path)?;
    let line = source.next_line()?.map(String::from_utf8_lossy).unwrap_or_default();
    if kraken::is_line(&line) {
        return Ok(Format::Kraken);
    }
    let after_digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    if after_digits.len() < line.len() && after_digits.starts_with(" {") {
        return Ok(Format::Binance);
    }
    if csv::is_header(&line) {
        return Ok(Format::Csv);
    }
    let start = line.chars().take(40).collect();
    Err(ImportError::UnknownFormat { path: path.to_owned(), start })
}

/// The engine's clock over a recording.
struct Clock {
    last: Ts,
    out_of_order: u64,
}

impl Clock {
    fn new() -> Self {
        Self { last: Ts(i64::MIN), out_of_order: 0 }
    }

    /// The time at which an event recorded at `ts` counts as received.
    fn received(&mut self, ts: Ts) -> Ts {
        if ts < self.last {
            self.out_of_order += 1;
        } else {
            self.last = ts;
        }
        self.last
    }
}

/// Reports the progress of two passes over one file.
struct Meter<'a, 'b> {
    report: OnProgress<'a>,
    pass: u64,
    lines: &'b mut u64,
}

impl Meter<'_, '_> {
    /// Lines between two reports: a few milliseconds of work.
    const EVERY: u64 = 8_192;

    fn line(&mut self, source: &Source) -> Result<(), ImportError> {
        *self.lines += 1;
        if self.lines.is_multiple_of(Self::EVERY) { self.tell(source) } else { Ok(()) }
    }

    fn tell(&mut self, source: &Source) -> Result<(), ImportError> {
        let done = self.pass * source.len() + source.position();
        match (self.report)(Progress { done, total: 2 * source.len() }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ImportError::Canceled),
        }
    }
}
