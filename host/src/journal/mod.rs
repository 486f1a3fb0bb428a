//! The record of a run as bytes: framing, checks, hash chain, and reading it
//! back. No file is touched here.
//!
//! A journal is a sequence of segments, numbered from 1. A segment is a header
//! and records:
//!
//! ```text
//! header  magic "SNDPJRNL" | version u16 | 0 u16 | run 16 bytes | segment u64
//!         | first sequence u64 | digest of the segment before, 16 bytes | crc32c u32
//! record  length u32 | crc32c of the length u32
//!         | crc32c u32 over segment number, length and everything below
//!         | kind u8 | schema u8 | flags u16 | sequence u64 | engine time i64
//!         | wall time i64 | synced up to u64 | chain 16 bytes | payload
//! ```
//!
//! All numbers are little-endian. The length has a check of its own and a cap, so
//! that a flipped bit cannot ask for a huge allocation. The segment number in the
//! CRC refuses stale bytes of another segment; the chain, the first half of
//! BLAKE3 over the chain before and the record, refuses whatever was swapped,
//! repeated or left out. `synced up to` is the last sequence number that was
//! durable when the record was written. A bad record that a later one calls durable
//! is damage; without such a word it was never wholly written, as a crash leaves it.

mod payload;
mod record;
mod scan;
mod segment;
mod status;
#[cfg(test)]
mod tests;

pub use payload::{
    Bytes, ChainHead, Commanded, Decision, Ended, Inputs, Manifest, Outputs, PayloadError,
    Restarted, SnapshotRecord, StateHash, StrategyRecord, SwapRecord, VerdictRecord, decode,
    encode,
};
pub use record::{Chain, HEAD_LEN, Kind, PAYLOAD_MAX, Record};
pub use scan::{Damage, End, Scanner};
pub use segment::{HEADER_LEN, Header, RunId};
pub use status::{Facts, Status};
