//! Writing a tape: blocks as they fill, the index at the end, the name last.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::TapeError;
use super::codec::Encoder;
use super::error::TapeFault;
use super::format::{
    Descriptor, HEADER_LEN_MAX, INDEX_LEN_MAX, IndexEntry, MAGIC, TapeHeader, TapeTotals, Trailer,
    VERSION, encode_index,
};
use crate::domain::Ts;
use crate::input::{EventRef, InputBlock};
use crate::words;

/// Events of a block. Over 2,000,000 trades decoding takes 34 to 41 ns of CPU an
/// event with anything from 1,024 to 16,384 of them, and the file shrinks from
/// 12.7 to 12.1 MB, so memory decides: a decoded block of 4,096 trades takes
/// 0.4 MB, several of which wait in a prefetching reader.
pub(super) const BLOCK_EVENTS: usize = 4_096;
/// Exact words at which a block is closed early, for tapes of whole books.
pub(super) const BLOCK_WORDS: usize = 1 << 16;
/// zstd's level: 3 packs as tightly as higher ones do on these columns, within
/// a percent, and is read at the same speed.
const ZSTD_LEVEL: i32 = 3;

/// Writes one tape.
///
/// Events go into [`block`](Self::block), followed by
/// [`commit`](Self::commit); [`finish`](Self::finish) gives the file its name.
/// A writer that is dropped before leaves nothing behind. Memory is bounded by
/// one block and 48 bytes of index for each block written.
pub struct TapeWriter {
    path: PathBuf,
    partial: Partial,
    file: BufWriter<File>,
    digest: Sha256,
    offset: u64,
    block: InputBlock,
    checked: usize,
    last_ts: Ts,
    symbols: usize,
    index: Vec<IndexEntry>,
    totals: TapeTotals,
    encoder: Encoder,
    compressor: zstd::bulk::Compressor<'static>,
    raw: Vec<u8>,
}

/// What a finished tape is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TapeSummary {
    /// where it lies
    pub path: PathBuf,
    /// what it holds
    pub totals: TapeTotals,
    /// in how many blocks
    pub blocks: u64,
    /// the file's length
    pub bytes: u64,
    /// the file's sha256 in hexadecimal, which names it
    pub sha256: String,
    /// the first event's time, 0 without events
    pub first_ts: Ts,
    /// the last event's time, 0 without events
    pub last_ts: Ts,
}

/// The file under its working name; deleted unless it is renamed.
struct Partial(Option<PathBuf>);

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // There is nobody to tell, and the next run overwrites it.
            let _ = fs::remove_file(path);
        }
    }
}

impl TapeWriter {
    /// Begins a tape that will be at `path`, replacing what is there only when
    /// it is finished.
    ///
    /// # Errors
    /// A header that describes no tape, or what the operating system says.
    pub fn create(path: &Path, header: &TapeHeader) -> Result<Self, TapeError> {
        let fail = |fault| TapeError::new(path, fault);
        header.validate().map_err(|what| fail(TapeFault::Header(what)))?;
        let packed = rmp_serde::to_vec_named(header)
            .map_err(|error| fail(TapeFault::Header(error.to_string())))?;
        let length = u32::try_from(packed.len()).ok().filter(|&l| l <= HEADER_LEN_MAX);
        let length = length.ok_or_else(|| fail(TapeFault::Header("it is too long".into())))?;
        let io = |action| move |source| TapeError::new(path, TapeFault::Io { action, source });
        let compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(io("compress"))?;
        let working = partial_path(path);
        let file = File::create(&working).map_err(io("create"))?;
        let table = header.table();
        let mut writer = Self {
            path: path.to_owned(),
            partial: Partial(Some(working)),
            file: BufWriter::with_capacity(1 << 18, file),
            digest: Sha256::new(),
            offset: 0,
            block: InputBlock::new(&table, 1),
            checked: 0,
            last_ts: Ts(i64::MIN),
            symbols: table.len(),
            index: Vec::new(),
            totals: TapeTotals::default(),
            encoder: Encoder::default(),
            compressor,
            raw: Vec::new(),
        };
        let mut start = Vec::with_capacity(packed.len() + 20);
        start.extend_from_slice(MAGIC);
        start.extend_from_slice(&VERSION.to_le_bytes());
        start.extend_from_slice(&length.to_le_bytes());
        start.extend_from_slice(&packed);
        let crc = crc32c::crc32c(&start);
        start.extend_from_slice(&crc.to_le_bytes());
        writer.write(&start)?;
        Ok(writer)
    }

    /// Where the next events go. It may be empty or hold events that are not
    /// written yet; only append to it.
    pub fn block(&mut self) -> &mut InputBlock {
        &mut self.block
    }

    /// Accepts what was appended to [`block`](Self::block) and writes it when
    /// there is enough.
    ///
    /// # Errors
    /// An event earlier than the one before it, or what the operating system
    /// says. The tape cannot be finished then.
    pub fn commit(&mut self) -> Result<(), TapeError> {
        for index in self.checked..self.block.len() {
            let ts = self.block.ts(index);
            if let Err(what) = self.block.check(index) {
                let seq = self.block.first_seq() + index as u64;
                return Err(self.fail(TapeFault::Event { seq, what }));
            }
            if ts < self.last_ts {
                let what = format!("its time {} is before {}", ts.0, self.last_ts.0);
                let seq = self.block.first_seq() + index as u64;
                return Err(self.fail(TapeFault::Event { seq, what }));
            }
            self.last_ts = ts;
            match self.block.get(index) {
                EventRef::Trade(_) => self.totals.trades += 1,
                EventRef::Book { .. } => self.totals.books += 1,
                EventRef::Candle(_) => self.totals.candles += 1,
                EventRef::Timer | EventRef::Status { .. } | EventRef::Rules { .. } => {}
            }
            self.totals.events += 1;
        }
        self.checked = self.block.len();
        if self.block.len() >= BLOCK_EVENTS || self.block.exact_words().len() >= BLOCK_WORDS {
            self.flush_block()?;
        }
        Ok(())
    }

    /// Appends all events of a block made for the same instruments; they are
    /// numbered anew.
    ///
    /// # Errors
    /// As [`commit`](Self::commit), and for symbols that the header does not
    /// name.
    pub fn append(&mut self, events: &InputBlock) -> Result<(), TapeError> {
        let times: Vec<i64> = (0..events.len()).map(|i| events.ts_exchange(i).0).collect();
        if let Err(what) = self.block.extend_exact(events.exact_words(), &times) {
            let seq = self.block.next_seq();
            return Err(self.fail(TapeFault::Event { seq, what }));
        }
        self.commit()
    }

    /// What it holds so far.
    #[must_use]
    pub fn totals(&self) -> &TapeTotals {
        &self.totals
    }

    /// Writes the rest, the index and the trailer, waits until all of it is on
    /// disk, and gives the tape its name.
    ///
    /// # Errors
    /// What the operating system says, or an event that cannot be recorded;
    /// nothing is left behind then.
    pub fn finish(mut self) -> Result<TapeSummary, TapeError> {
        self.commit()?;
        self.flush_block()?;
        let index = encode_index(&self.index, &self.totals);
        let index_len = u32::try_from(index.len()).ok().filter(|&l| l <= INDEX_LEN_MAX);
        let index_len = index_len.ok_or_else(|| {
            self.fail(TapeFault::Header("the tape has more blocks than an index holds".into()))
        })?;
        let index_crc = crc32c::crc32c(&index);
        let trailer = Trailer { index_offset: self.offset, index_len, index_crc }.encode();
        self.write(&index)?;
        self.write(&trailer)?;
        self.file.flush().map_err(|e| self.io("write", e))?;
        self.file.get_ref().sync_all().map_err(|e| self.io("sync", e))?;
        if let Some(working) = self.partial.0.take() {
            fs::rename(&working, &self.path).map_err(|source| {
                self.partial.0 = Some(working);
                self.io("name", source)
            })?;
        }
        sync_folder(&self.path).map_err(|e| self.io("sync the folder of", e))?;
        Ok(TapeSummary {
            totals: self.totals,
            blocks: self.index.len() as u64,
            bytes: self.offset,
            sha256: hex(&self.digest.finalize()),
            first_ts: self.index.first().map_or(Ts(0), |e| e.block.first_ts),
            last_ts: self.index.last().map_or(Ts(0), |e| e.block.last_ts),
            path: self.path,
        })
    }

    /// Writes the events at hand, in as many blocks as the limits ask for: one
    /// commit may bring a snapshot and everything that waited for it.
    fn flush_block(&mut self) -> Result<(), TapeError> {
        let mut block = std::mem::take(&mut self.block);
        let result = self.write_blocks(&block);
        block.reset(block.next_seq());
        // Also after an error: callers keep pushing into it until they see one.
        self.block = block;
        self.checked = 0;
        result
    }

    fn write_blocks(&mut self, block: &InputBlock) -> Result<(), TapeError> {
        let mut rest = block.exact_words();
        let mut start = 0;
        while start < block.len() {
            let (mut end, mut length) = (start, 0);
            while end < block.len() && end - start < BLOCK_EVENTS && length < BLOCK_WORDS {
                length += block.header(end).words().unwrap_or(words::BARE_WORDS);
                end += 1;
            }
            let (events, tail) = rest.split_at(length);
            self.write_block(block, start, end, events)?;
            (rest, start) = (tail, end);
        }
        Ok(())
    }

    fn write_block(
        &mut self,
        block: &InputBlock,
        start: usize,
        end: usize,
        events: &[u64],
    ) -> Result<(), TapeError> {
        let times: Vec<i64> = (start..end).map(|i| block.ts_exchange(i).0).collect();
        let (first_ts, last_ts) = (block.ts(start), block.ts(end - 1));
        let mut raw = std::mem::take(&mut self.raw);
        raw.clear();
        self.encoder.encode(events, &times, first_ts, self.symbols, &mut raw);
        let payload = self.compressor.compress(&raw).map_err(|e| self.io("compress", e))?;
        let descriptor = Descriptor {
            raw_len: raw.len() as u32,
            compressed_len: payload.len() as u32,
            events: (end - start) as u32,
            payload_crc: crc32c::crc32c(&payload),
            first_seq: block.first_seq() + start as u64,
            first_ts,
            last_ts,
        };
        self.raw = raw;
        self.index.push(IndexEntry { offset: self.offset, block: descriptor });
        self.write(&descriptor.head())?;
        self.write(&payload)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), TapeError> {
        self.file.write_all(bytes).map_err(|e| self.io("write", e))?;
        self.digest.update(bytes);
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn fail(&self, fault: TapeFault) -> TapeError {
        TapeError::new(&self.path, fault)
    }

    fn io(&self, action: &'static str, source: io::Error) -> TapeError {
        self.fail(TapeFault::Io { action, source })
    }
}

/// The working name, in the same folder because renaming works only within a
/// file system, and with the process id so that two imports do not mix.
fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    path.with_file_name(name)
}

/// Makes a rename last: it is the folder that holds names.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
