//! Tapes: recorded inputs in a file that says what it holds and whether it is
//! whole.
//!
//! ```text
//! "SNDPTAPE" | version u32 | length u32 | header (MessagePack) | crc32c u32
//! per block:  "BLCK" | descriptor (40 bytes) | crc32c u32 | zstd payload
//! "INDX" | per block: offset u64, descriptor | totals
//! index offset u64 | index length u32 | index crc32c u32 | crc32c u32 | "SNDPTEND"
//! ```
//!
//! Numbers are little-endian. A descriptor holds the payload's two lengths, its
//! event count, its CRC, the first sequence number and the first and last
//! times; the index repeats it, so that a reader seeks without scanning and a
//! scanner reads without seeking. Each byte of the file is covered by a CRC or
//! compared with a constant, so that any flipped bit is found, and the index at
//! the end shows any missing byte.
//!
//! Invariants, each with its test:
//! 1. What is read is what was written: exact words, both clocks, sequence
//!    numbers from 1 without a gap.
//! 2. A file that was cut or changed anywhere gives a [`TapeError`] that names
//!    the place, never a panic and never fewer events.
//! 3. No length from the file is used to allocate before it is capped.
//! 4. A tape appears under its name only when it is complete and on disk.

mod codec;
mod error;
mod format;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{TapeError, TapeFault};
pub use format::{TapeHeader, TapeTotals};
pub use reader::{Blocks, Prefetch, Tape};
pub use writer::{TapeSummary, TapeWriter};

/// The version of the contract whose words a tape holds, from
/// `wit/strategy.wit`. A tape with other words is refused.
pub const CONTRACT: &str = "0.1.0";
