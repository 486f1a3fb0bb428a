//! Reading a tape: the header and index at once, the blocks one by one.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use sha2::{Digest, Sha256};

use super::codec::Decoder;
use super::error::TapeFault;
use super::format::{
    BLOCK_HEAD_LEN, HEADER_LEN_MAX, IndexEntry, MAGIC, PREFIX_LEN, TRAILER_LEN, TapeHeader,
    TapeTotals, Trailer, VERSION, decode_block_head, decode_index,
};
use super::writer::hex;
use super::{CONTRACT, TapeError};
use crate::domain::{InstrumentTable, Ts};
use crate::input::InputBlock;

/// An open tape whose header and index are whole.
pub struct Tape {
    path: PathBuf,
    file: File,
    header: TapeHeader,
    table: InstrumentTable,
    index: Vec<IndexEntry>,
    totals: TapeTotals,
}

impl Tape {
    /// Opens a tape and checks everything but its blocks.
    ///
    /// # Errors
    /// What is wrong with the file; see [`TapeFault`].
    pub fn open(path: &Path) -> Result<Self, TapeError> {
        let fail = |fault| TapeError::new(path, fault);
        let mut file = File::open(path).map_err(|e| fail(io_fault("open", e)))?;
        let length = file.metadata().map_err(|e| fail(io_fault("open", e)))?.len();
        let (header, start) = read_header(&mut file, length).map_err(fail)?;
        let (index, totals) = read_index(&mut file, start, length).map_err(fail)?;
        file.seek(SeekFrom::Start(start)).map_err(|e| fail(io_fault("read", e)))?;
        let table = header.table();
        Ok(Self { path: path.to_owned(), file, header, table, index, totals })
    }

    /// What the tape says about itself.
    #[must_use]
    pub fn header(&self) -> &TapeHeader {
        &self.header
    }

    /// Its instruments; events carry indices into it.
    #[must_use]
    pub fn instruments(&self) -> &InstrumentTable {
        &self.table
    }

    /// How much it holds.
    #[must_use]
    pub fn totals(&self) -> TapeTotals {
        self.totals
    }

    /// The times of its first and last event; `None` without events.
    #[must_use]
    pub fn span(&self) -> Option<(Ts, Ts)> {
        let (first, last) = self.index.first().zip(self.index.last())?;
        Some((first.block.first_ts, last.block.last_ts))
    }

    /// The sha256 of the whole file in hexadecimal, as `sha256sum` prints it.
    /// Reads the file once.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn sha256(&mut self) -> Result<String, TapeError> {
        let read = |file: &mut File| -> io::Result<String> {
            let position = file.stream_position()?;
            file.seek(SeekFrom::Start(0))?;
            let mut digest = Sha256::new();
            let mut buffer = vec![0; 1 << 18];
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    count => digest.update(&buffer[..count]),
                }
            }
            file.seek(SeekFrom::Start(position))?;
            Ok(hex(&digest.finalize()))
        };
        read(&mut self.file).map_err(|e| TapeError::new(&self.path, io_fault("read", e)))
    }

    /// Its blocks in order, decoded by the caller's thread.
    ///
    /// # Errors
    /// What zstd says when it cannot begin.
    pub fn blocks(self) -> Result<Blocks, TapeError> {
        let decompressor = zstd::bulk::Decompressor::new()
            .map_err(|e| TapeError::new(&self.path, io_fault("decompress", e)))?;
        Ok(Blocks {
            path: self.path,
            file: BufReader::with_capacity(1 << 18, self.file),
            table: self.table,
            index: self.index.into_iter().enumerate(),
            failed: false,
            decompressor,
            decoder: Decoder::default(),
            compressed: Vec::new(),
            raw: Vec::new(),
        })
    }

    /// Its blocks in order, decoded by a thread of their own that stays at most
    /// `ahead` blocks in front (at least one).
    ///
    /// # Errors
    /// What zstd or the operating system says when they cannot begin.
    pub fn prefetch(self, ahead: usize) -> Result<Prefetch, TapeError> {
        let path = self.path.clone();
        let mut blocks = self.blocks()?;
        let (sender, receiver) = sync_channel(ahead.max(1));
        let (recycle, recycled) = channel();
        let thread = thread::Builder::new()
            .name("tape".into())
            .spawn(move || decode_ahead(&mut blocks, &sender, &recycled))
            .map_err(|e| TapeError::new(&path, io_fault("start a thread to read", e)))?;
        Ok(Prefetch { receiver: Some(receiver), recycle, thread: Some(thread), path })
    }
}

fn io_fault(action: &'static str, source: io::Error) -> TapeFault {
    TapeFault::Io { action, source }
}

/// Reads exactly; an early end is damage, anything else the operating system's.
fn read_exact(
    file: &mut impl Read,
    buffer: &mut [u8],
    offset: u64,
    what: &'static str,
) -> Result<(), TapeFault> {
    file.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => TapeFault::Truncated { offset, what },
        _ => io_fault("read", error),
    })
}

/// Reads the header; also the offset that follows it.
fn read_header(file: &mut File, file_len: u64) -> Result<(TapeHeader, u64), TapeFault> {
    let damaged = |what: String| TapeFault::Damaged { offset: 0, block: None, what };
    let mut start = vec![0; PREFIX_LEN];
    let present = usize::try_from(file_len).unwrap_or(usize::MAX).min(PREFIX_LEN);
    read_exact(file, &mut start[..present], file_len, "the header is missing")?;
    if present < MAGIC.len() || !start.starts_with(MAGIC) {
        return Err(TapeFault::NotATape);
    }
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u32, |n, &b| n << 8 | u32::from(b));
    let (version, length) = (number(&start[8..12]), number(&start[12..16]));
    if present < PREFIX_LEN {
        return Err(TapeFault::Truncated { offset: file_len, what: "the header is missing" });
    }
    if version != VERSION {
        return Err(TapeFault::Version { found: version, supported: VERSION });
    }
    if length > HEADER_LEN_MAX {
        return Err(damaged(format!("a header of {length} bytes")));
    }
    let end = PREFIX_LEN as u64 + u64::from(length) + 4;
    if end > file_len {
        return Err(TapeFault::Truncated { offset: file_len, what: "the header is cut short" });
    }
    start.resize(end as usize, 0);
    read_exact(file, &mut start[PREFIX_LEN..], file_len, "the header is cut short")?;
    let (content, crc) = start.split_at(start.len() - 4);
    if number(crc) != crc32c::crc32c(content) {
        return Err(damaged("the header's checksum differs".into()));
    }
    let header: TapeHeader = rmp_serde::from_slice(&content[PREFIX_LEN..])
        .map_err(|error| damaged(format!("the header cannot be read: {error}")))?;
    if header.contract != CONTRACT {
        return Err(TapeFault::Contract { found: header.contract, supported: CONTRACT });
    }
    header.validate().map_err(damaged)?;
    Ok((header, end))
}

/// Reads trailer and index of a file whose blocks begin at `start`.
fn read_index(
    file: &mut File,
    start: u64,
    file_len: u64,
) -> Result<(Vec<IndexEntry>, TapeTotals), TapeFault> {
    let missing = "the index at the end is missing";
    if file_len < start + TRAILER_LEN as u64 {
        return Err(TapeFault::Truncated { offset: file_len, what: missing });
    }
    let seek =
        |file: &mut File, to| file.seek(SeekFrom::Start(to)).map_err(|e| io_fault("read", e));
    seek(file, file_len - TRAILER_LEN as u64)?;
    let mut trailer = [0; TRAILER_LEN];
    read_exact(file, &mut trailer, file_len, missing)?;
    let trailer = Trailer::decode(&trailer, file_len)?;
    let damaged =
        |what: String| TapeFault::Damaged { offset: trailer.index_offset, block: None, what };
    if trailer.index_offset < start {
        return Err(damaged("the index lies inside the header".into()));
    }
    seek(file, trailer.index_offset)?;
    // At most what the file is long, which the trailer was checked against.
    let mut index = vec![0; trailer.index_len as usize];
    read_exact(file, &mut index, file_len, missing)?;
    if crc32c::crc32c(&index) != trailer.index_crc {
        return Err(damaged("the index's checksum differs".into()));
    }
    decode_index(&index, start, trailer.index_offset).map_err(damaged)
}

/// A tape's blocks in order. After an error it ends.
pub struct Blocks {
    path: PathBuf,
    file: BufReader<File>,
    table: InstrumentTable,
    index: std::iter::Enumerate<std::vec::IntoIter<IndexEntry>>,
    failed: bool,
    decompressor: zstd::bulk::Decompressor<'static>,
    decoder: Decoder,
    compressed: Vec<u8>,
    raw: Vec<u8>,
}

impl Blocks {
    /// Replaces the content of `block`, which must be of this tape's
    /// instruments, by the next block; false at the end.
    ///
    /// # Errors
    /// What is wrong with the block; reading then ends.
    pub fn read_into(&mut self, block: &mut InputBlock) -> Result<bool, TapeError> {
        if self.failed {
            return Ok(false);
        }
        let Some((number, entry)) = self.index.next() else { return Ok(false) };
        self.read_block(number as u64, &entry, block).map_err(|fault| {
            self.failed = true;
            TapeError::new(&self.path, fault)
        })?;
        Ok(true)
    }

    /// An empty block for this tape's instruments.
    #[must_use]
    pub fn new_block(&self) -> InputBlock {
        InputBlock::new(&self.table, 1)
    }

    fn read_block(
        &mut self,
        number: u64,
        entry: &IndexEntry,
        block: &mut InputBlock,
    ) -> Result<(), TapeFault> {
        let IndexEntry { offset, block: expected } = *entry;
        let damaged = |what| TapeFault::Damaged { offset, block: Some(number), what };
        let cut = "a block is cut short";
        let mut head = [0; BLOCK_HEAD_LEN];
        read_exact(&mut self.file, &mut head, offset, cut)?;
        if decode_block_head(&head).map_err(damaged)? != expected {
            return Err(damaged("the block and the index differ".into()));
        }
        self.compressed.resize(expected.compressed_len as usize, 0);
        read_exact(&mut self.file, &mut self.compressed, offset, cut)?;
        if crc32c::crc32c(&self.compressed) != expected.payload_crc {
            return Err(damaged("the payload's checksum differs".into()));
        }
        self.raw.clear();
        self.raw.reserve(expected.raw_len as usize);
        let length = self
            .decompressor
            .decompress_to_buffer(&self.compressed, &mut self.raw)
            .map_err(|error| damaged(format!("the payload does not decompress: {error}")))?;
        if length != expected.raw_len as usize {
            return Err(damaged(format!("{length} bytes instead of {}", expected.raw_len)));
        }
        let (events, symbols) = (expected.events as usize, self.table.len());
        let span = (expected.first_ts, expected.last_ts);
        self.decoder.decode(&self.raw, events, span, symbols).map_err(damaged)?;
        block.reset(expected.first_seq);
        block.extend_exact(&self.decoder.words, &self.decoder.ts_exchange).map_err(damaged)
    }
}

impl Iterator for Blocks {
    type Item = Result<InputBlock, TapeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut block = self.new_block();
        match self.read_into(&mut block) {
            Ok(true) => Some(Ok(block)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// Decodes until the tape or the consumer ends.
fn decode_ahead(
    blocks: &mut Blocks,
    sender: &SyncSender<Result<InputBlock, TapeError>>,
    recycled: &Receiver<InputBlock>,
) {
    loop {
        let mut block = recycled.try_recv().unwrap_or_else(|_| blocks.new_block());
        let item = match blocks.read_into(&mut block) {
            Ok(true) => Ok(block),
            Ok(false) => return,
            Err(error) => Err(error),
        };
        // The consumer is gone: nobody waits for more.
        if sender.send(item).is_err() {
            return;
        }
    }
}

/// A tape's blocks in order, decoded ahead by another thread. Dropping it ends
/// the thread.
pub struct Prefetch {
    receiver: Option<Receiver<Result<InputBlock, TapeError>>>,
    recycle: Sender<InputBlock>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl Prefetch {
    /// Gives a block back, so that its memory is used again. Give back only
    /// blocks that came from here.
    pub fn recycle(&self, block: InputBlock) {
        // When the thread has ended there is nothing to save.
        let _ = self.recycle.send(block);
    }

    /// The thread ended without a word: at the tape's end, or by a defect of
    /// ours, which must not pass for the end.
    fn join(&mut self) -> Option<TapeError> {
        let result = self.thread.take()?.join();
        result.err().map(|_| {
            let source = io::Error::other("the reading thread panicked");
            TapeError::new(&self.path, io_fault("read", source))
        })
    }
}

impl Iterator for Prefetch {
    type Item = Result<InputBlock, TapeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.receiver.as_ref()?.recv() {
            Ok(item) => Some(item),
            Err(_) => self.join().map(Err),
        }
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        // Closing the channel first wakes a thread that waits for room.
        self.receiver = None;
        let _ = self.join();
    }
}
