//! The parts of a tape file that are not events: header, descriptors, index.

use serde::{Deserialize, Serialize};

use super::CONTRACT;
use super::error::TapeFault;
use crate::domain::{Instrument, InstrumentTable, Ts};
use crate::words::LEVELS_MAX;

/// How a tape begins.
pub(super) const MAGIC: &[u8; 8] = b"SNDPTAPE";
/// How a tape ends.
pub(super) const END_MAGIC: &[u8; 8] = b"SNDPTEND";
/// The layout that this code reads and writes.
pub(super) const VERSION: u32 = 1;
/// What each block begins with.
pub(super) const BLOCK_MARK: &[u8; 4] = b"BLCK";
/// What the index begins with.
pub(super) const INDEX_MARK: &[u8; 4] = b"INDX";

/// Bytes before the header's MessagePack: magic, version, length.
pub(super) const PREFIX_LEN: usize = 16;
/// Bytes of a [`Descriptor`].
const DESCRIPTOR_LEN: usize = 40;
/// Bytes before a block's payload: mark, descriptor, CRC.
pub(super) const BLOCK_HEAD_LEN: usize = 4 + DESCRIPTOR_LEN + 4;
/// Bytes of one block in the index.
const INDEX_ENTRY_LEN: usize = 8 + DESCRIPTOR_LEN;
/// Bytes of the totals at the end of the index.
const TOTALS_LEN: usize = 32;
/// Bytes of the trailer.
pub(super) const TRAILER_LEN: usize = 28;

/// Longest header: all 65,536 symbols with room to spare.
pub(super) const HEADER_LEN_MAX: u32 = 32 << 20;
/// Longest index, enough for 2 × 10^10 events.
pub(super) const INDEX_LEN_MAX: u32 = 256 << 20;
/// Most events of a block.
pub(super) const BLOCK_EVENTS_MAX: u32 = 1 << 16;
/// Most exact words of a block: the writer closes a block at
/// [`BLOCK_WORDS`](super::writer::BLOCK_WORDS), and the event that reaches it
/// may be a book with the most levels on both sides.
pub(super) const BLOCK_WORDS_MAX: usize = super::writer::BLOCK_WORDS + 2 + 4 * LEVELS_MAX;
/// Longest payload before compression: all words and exchange times at full
/// width, and two bases for each symbol.
pub(super) const RAW_LEN_MAX: u32 =
    8 * (BLOCK_WORDS_MAX as u32 + BLOCK_EVENTS_MAX) + 16 * (1 << 16) + 64;
/// Longest payload; zstd adds less than 1/128 and a constant to what it cannot
/// compress.
pub(super) const COMPRESSED_LEN_MAX: u32 = RAW_LEN_MAX + RAW_LEN_MAX / 128 + 1024;

/// What a tape says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapeHeader {
    /// where the data comes from, such as `binance` or `csv`
    pub venue: String,
    /// what is traded; an event's symbol number is an index into it
    pub instruments: Vec<Instrument>,
    /// levels a side that book events cover; `None` for all that the venue sends
    pub depth: Option<u32>,
    /// the contract whose words the events are
    pub contract: String,
    /// free text about the recording
    pub note: String,
}

impl TapeHeader {
    /// A header for this host's contract.
    #[must_use]
    pub fn new(venue: &str, instruments: Vec<Instrument>) -> Self {
        Self {
            venue: venue.to_owned(),
            instruments,
            depth: None,
            contract: CONTRACT.to_owned(),
            note: String::new(),
        }
    }

    /// The instruments as the table that blocks are made for.
    #[must_use]
    pub fn table(&self) -> InstrumentTable {
        InstrumentTable::new(self.instruments.clone())
    }

    /// Checks what decoding relies on.
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.instruments.len() > usize::from(u16::MAX) + 1 {
            return Err("more than 65,536 instruments".into());
        }
        for instrument in &self.instruments {
            // Each alone first: their sum could overflow before it is compared.
            if instrument.price_decimals.max(instrument.qty_decimals) > Instrument::DECIMALS_MAX {
                return Err(format!("{}: more than 18 decimals", instrument.symbol));
            }
            instrument.validate()?;
        }
        let mut names: Vec<_> = self.instruments.iter().map(|i| i.symbol.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("{} is listed twice", pair[0])),
            None => Ok(()),
        }
    }
}

/// How much a tape holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TapeTotals {
    /// all events
    pub events: u64,
    /// trades among them
    pub trades: u64,
    /// book changes and snapshots among them
    pub books: u64,
    /// candles among them
    pub candles: u64,
}

/// What a block says about its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) raw_len: u32,
    pub(super) compressed_len: u32,
    pub(super) events: u32,
    pub(super) payload_crc: u32,
    pub(super) first_seq: u64,
    pub(super) first_ts: Ts,
    pub(super) last_ts: Ts,
}

impl Descriptor {
    fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.raw_len, self.compressed_len, self.events, self.payload_crc] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        out.extend_from_slice(&self.first_ts.0.to_le_bytes());
        out.extend_from_slice(&self.last_ts.0.to_le_bytes());
    }

    fn decode(bytes: &mut Bytes<'_>) -> Option<Self> {
        Some(Self {
            raw_len: bytes.u32()?,
            compressed_len: bytes.u32()?,
            events: bytes.u32()?,
            payload_crc: bytes.u32()?,
            first_seq: bytes.u64()?,
            first_ts: Ts(bytes.u64()? as i64),
            last_ts: Ts(bytes.u64()? as i64),
        })
    }

    /// The bytes that stand before the payload.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BLOCK_HEAD_LEN);
        out.extend_from_slice(BLOCK_MARK);
        self.encode(&mut out);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Refuses lengths that no writer produces, before anything is allocated.
    fn check_caps(&self) -> Result<(), String> {
        let caps = [
            ("raw length", self.raw_len, RAW_LEN_MAX),
            ("compressed length", self.compressed_len, COMPRESSED_LEN_MAX),
            ("event count", self.events, BLOCK_EVENTS_MAX),
        ];
        for (name, value, cap) in caps {
            if value == 0 || value > cap {
                return Err(format!("a block's {name} {value} is not in 1..={cap}"));
            }
        }
        Ok(())
    }
}

/// A block's place in the file and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) offset: u64,
    pub(super) block: Descriptor,
}

impl IndexEntry {
    /// The byte after the block.
    fn end(&self) -> Option<u64> {
        self.offset.checked_add(BLOCK_HEAD_LEN as u64 + u64::from(self.block.compressed_len))
    }
}

/// The index as bytes.
pub(super) fn encode_index(entries: &[IndexEntry], totals: &TapeTotals) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + entries.len() * INDEX_ENTRY_LEN + TOTALS_LEN);
    out.extend_from_slice(INDEX_MARK);
    for entry in entries {
        out.extend_from_slice(&entry.offset.to_le_bytes());
        entry.block.encode(&mut out);
    }
    for number in [totals.events, totals.trades, totals.books, totals.candles] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out
}

/// Reads an index whose CRC was checked, and checks that its blocks fill the
/// bytes from `start` to `end` and count on from 1.
pub(super) fn decode_index(
    index: &[u8],
    start: u64,
    end: u64,
) -> Result<(Vec<IndexEntry>, TapeTotals), String> {
    let mut bytes = Bytes(index);
    let short = || "the index is cut short".to_owned();
    if bytes.take(4) != Some(INDEX_MARK) {
        return Err("the index does not begin with INDX".into());
    }
    let room = bytes.0.len().checked_sub(TOTALS_LEN).ok_or_else(short)?;
    if room % INDEX_ENTRY_LEN != 0 {
        return Err("the index has no whole number of blocks".into());
    }
    let mut entries: Vec<IndexEntry> = Vec::with_capacity(room / INDEX_ENTRY_LEN);
    let (mut offset, mut seq) = (start, 1_u64);
    for _ in 0..room / INDEX_ENTRY_LEN {
        let found = bytes.u64().ok_or_else(short)?;
        let entry =
            IndexEntry { offset: found, block: Descriptor::decode(&mut bytes).ok_or_else(short)? };
        entry.block.check_caps()?;
        let last_ts = entries.last().map_or(Ts(i64::MIN), |e| e.block.last_ts);
        if found != offset || entry.block.first_seq != seq || entry.block.first_ts < last_ts {
            return Err(format!("the index contradicts itself at block {}", entries.len()));
        }
        offset = entry.end().ok_or("an offset overflows")?;
        seq += u64::from(entry.block.events);
        entries.push(entry);
    }
    let mut number = || bytes.u64().ok_or_else(short);
    let totals =
        TapeTotals { events: number()?, trades: number()?, books: number()?, candles: number()? };
    if offset != end || totals.events != seq - 1 {
        return Err("the index does not cover the file".into());
    }
    Ok((entries, totals))
}

/// Reads what stands before a block's payload.
pub(super) fn decode_block_head(head: &[u8; BLOCK_HEAD_LEN]) -> Result<Descriptor, String> {
    let mut bytes = Bytes(head);
    if bytes.take(4) != Some(BLOCK_MARK) {
        return Err("a block does not begin with BLCK".into());
    }
    let block = Descriptor::decode(&mut bytes).ok_or("a block head is cut short")?;
    if bytes.u32() != Some(crc32c::crc32c(&head[..BLOCK_HEAD_LEN - 4])) {
        return Err("a block head's checksum differs".into());
    }
    block.check_caps()?;
    Ok(block)
}

/// Where the index lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) index_offset: u64,
    pub(super) index_len: u32,
    pub(super) index_crc: u32,
}

impl Trailer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(TRAILER_LEN);
        out.extend_from_slice(&self.index_offset.to_le_bytes());
        out.extend_from_slice(&self.index_len.to_le_bytes());
        out.extend_from_slice(&self.index_crc.to_le_bytes());
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(END_MAGIC);
        out
    }

    /// Reads the last bytes of a file of `file_len` bytes.
    pub(super) fn decode(trailer: &[u8; TRAILER_LEN], file_len: u64) -> Result<Self, TapeFault> {
        if !trailer.ends_with(END_MAGIC) {
            let what = "the index at the end is missing";
            return Err(TapeFault::Truncated { offset: file_len, what });
        }
        let offset = file_len - TRAILER_LEN as u64;
        let damaged =
            |what: &str| TapeFault::Damaged { offset, block: None, what: what.to_owned() };
        let mut bytes = Bytes(trailer);
        let mut read = || Some((bytes.u64()?, bytes.u32()?, bytes.u32()?, bytes.u32()?));
        let (index_offset, index_len, index_crc, crc) =
            read().ok_or_else(|| damaged("the trailer is cut short"))?;
        if crc != crc32c::crc32c(&trailer[..16]) {
            return Err(damaged("the trailer's checksum differs"));
        }
        if index_len > INDEX_LEN_MAX
            || index_offset.checked_add(u64::from(index_len)) != Some(offset)
        {
            return Err(damaged("the trailer contradicts the file's length"));
        }
        Ok(Self { index_offset, index_len, index_crc })
    }
}

/// Takes little-endian numbers off the front of a slice.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }
}
