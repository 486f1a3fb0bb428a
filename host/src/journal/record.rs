//! One record: its frame, its checks and its place in the chain.

/// Bytes of a record before its payload.
pub const HEAD_LEN: usize = FRAME_LEN + BODY_LEN;
/// Length, its check, and the CRC.
const FRAME_LEN: usize = 12;
/// Kind to chain.
const BODY_LEN: usize = 52;
/// Where the chain stands in the body.
const CHAIN_AT: usize = 36;
/// The largest payload. A block of inputs is split long before.
pub const PAYLOAD_MAX: usize = 8 << 20;

/// A record's place in the chain: half a BLAKE3 digest.
pub type Chain = [u8; 16];

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// what runs: the first record
    Manifest = 1,
    /// market events that the engine is about to take
    Inputs = 2,
    /// what came of them
    Outputs = 3,
    /// the run ended in order
    Ended = 4,
    /// the segment is full and another follows
    Sealed = 5,
    /// a command that the engine is about to take
    Command = 6,
    /// a module is about to take another one's place
    Swap = 7,
    /// the wall clock stopped a strategy
    Verdict = 8,
    /// nothing but the head, which says what is durable: written behind a sync, so
    /// that a bad record before it is known for damage
    Synced = 9,
    /// the run goes on in another process, behind all that stands before
    Restart = 11,
    /// the state that the engine is in, and what its strategies were just asked to save
    Snapshot = 12,
}

impl Kind {
    fn from_u8(number: u8) -> Option<Self> {
        const ALL: [Kind; 11] = [
            Kind::Manifest,
            Kind::Inputs,
            Kind::Outputs,
            Kind::Ended,
            Kind::Sealed,
            Kind::Command,
            Kind::Swap,
            Kind::Verdict,
            Kind::Synced,
            Kind::Restart,
            Kind::Snapshot,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// A record without its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// what it tells
    pub kind: Kind,
    /// the layout of its payload
    pub schema: u8,
    /// [`Record::MORE`], [`Record::LAST`] or nothing
    pub flags: u16,
    /// number within the journal, from 1
    pub seq: u64,
    /// the engine's clock, nanoseconds since the Unix epoch
    pub event_ns: i64,
    /// the wall clock, nanoseconds since the Unix epoch; tells people when, and
    /// decides nothing
    pub wall_ns: i64,
    /// the last record that was durable when this one was written
    pub synced_upto: u64,
    /// what it tells, encoded
    pub payload: Vec<u8>,
}

impl Record {
    /// The next record continues this one.
    pub const MORE: u16 = 1;
    /// Outputs of the end, which no inputs brought.
    pub const LAST: u16 = 2;

    /// Appends the record's bytes for a segment and returns the chain after it.
    pub fn write(&self, segment: u64, before: Chain, out: &mut Vec<u8>) -> Chain {
        let start = out.len();
        let length = (BODY_LEN + self.payload.len()) as u32;
        out.extend(length.to_le_bytes());
        out.extend(crc32c::crc32c(&length.to_le_bytes()).to_le_bytes());
        out.extend([0; 4]);
        let body = out.len();
        out.extend([self.kind as u8, self.schema]);
        out.extend(self.flags.to_le_bytes());
        out.extend(self.seq.to_le_bytes());
        out.extend(self.event_ns.to_le_bytes());
        out.extend(self.wall_ns.to_le_bytes());
        out.extend(self.synced_upto.to_le_bytes());
        out.extend([0; 16]);
        out.extend(&self.payload);
        let chain = next_chain(before, &out[body..]);
        out[body + CHAIN_AT..body + BODY_LEN].copy_from_slice(&chain);
        let crc = checksum(segment, length, &out[body..]);
        out[start + 8..start + FRAME_LEN].copy_from_slice(&crc.to_le_bytes());
        chain
    }
}

/// A record as it lies in a segment, its frame checked and its chain not yet.
pub(super) struct Framed<'a> {
    pub(super) body: &'a [u8],
    /// bytes of frame and body
    pub(super) length: usize,
    pub(super) chain: Chain,
}

impl<'a> Framed<'a> {
    /// The record at the start of `bytes`, if there is a whole and sound one.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn read(segment: u64, bytes: &'a [u8]) -> Result<Self, &'static str> {
        let (Some(length), Some(check), Some(crc)) =
            (u32_at(bytes, 0), u32_at(bytes, 4), u32_at(bytes, 8))
        else {
            return Err("it is cut short");
        };
        if crc32c::crc32c(&length.to_le_bytes()) != check {
            return Err("its length is damaged");
        }
        let size = length as usize;
        if !(BODY_LEN..=BODY_LEN + PAYLOAD_MAX).contains(&size) {
            return Err("its length is out of range");
        }
        let body = bytes.get(FRAME_LEN..FRAME_LEN + size).ok_or("it is cut short")?;
        if checksum(segment, length, body) != crc {
            return Err("its checksum is wrong");
        }
        let chain = body.get(CHAIN_AT..BODY_LEN).and_then(|c| c.try_into().ok());
        Ok(Self { body, length: FRAME_LEN + size, chain: chain.ok_or("it is cut short")? })
    }

    /// Its sequence number.
    pub(super) fn seq(&self) -> u64 {
        u64_at(self.body, 4)
    }

    /// The last record that was durable when this one was written.
    pub(super) fn synced_upto(&self) -> u64 {
        u64_at(self.body, 28)
    }

    /// True when it follows a record with that chain.
    pub(super) fn follows(&self, before: Chain) -> bool {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&before);
        hasher.update(&self.body[..CHAIN_AT]);
        hasher.update(&[0; 16]);
        hasher.update(&self.body[BODY_LEN..]);
        half(&hasher) == self.chain
    }

    /// The record.
    ///
    /// # Errors
    /// A kind that this program does not know.
    pub(super) fn record(&self) -> Result<Record, &'static str> {
        Ok(Record {
            kind: Kind::from_u8(self.body[0]).ok_or("its kind is unknown")?,
            schema: self.body[1],
            flags: u16::from_le_bytes([self.body[2], self.body[3]]),
            seq: self.seq(),
            event_ns: u64_at(self.body, 12) as i64,
            wall_ns: u64_at(self.body, 20) as i64,
            synced_upto: u64_at(self.body, 28),
            payload: self.body[BODY_LEN..].to_vec(),
        })
    }
}

fn next_chain(before: Chain, body: &[u8]) -> Chain {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before);
    hasher.update(body);
    half(&hasher)
}

/// The first half of a digest.
pub(super) fn half(hasher: &blake3::Hasher) -> Chain {
    let mut chain = [0; 16];
    chain.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    chain
}

fn checksum(segment: u64, length: u32, body: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&segment.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &length.to_le_bytes());
    crc32c::crc32c_append(crc, body)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}
