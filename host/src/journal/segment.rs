//! The header of a segment: whose it is, and what came before it.

use super::Chain;

/// How a segment begins.
const MAGIC: &[u8; 8] = b"SNDPJRNL";
/// The layout that this code reads and writes.
const VERSION: u16 = 1;
/// Bytes of a header.
pub const HEADER_LEN: usize = 64;

/// What tells one run's segments from another's.
pub type RunId = [u8; 16];

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// the run
    pub run: RunId,
    /// number of the segment, from 1
    pub segment: u64,
    /// sequence number of its first record
    pub first_seq: u64,
    /// digest of the whole segment before it; zeros in the first
    pub before: Chain,
}

impl Header {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..28].copy_from_slice(&self.run);
        bytes[28..36].copy_from_slice(&self.segment.to_le_bytes());
        bytes[36..44].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[44..60].copy_from_slice(&self.before);
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or("its header is cut short")?;
        if crc32c::crc32c(&bytes[..60]).to_le_bytes() != bytes[60..] {
            return Err("its header is damaged");
        }
        if &bytes[..8] != MAGIC {
            return Err("it is no journal");
        }
        if bytes[8..10] != VERSION.to_le_bytes() {
            return Err("its version is unknown");
        }
        let half = |at: usize| {
            let mut half = [0; 16];
            half.copy_from_slice(&bytes[at..at + 16]);
            half
        };
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        };
        Ok(Self { run: half(12), segment: number(28), first_seq: number(36), before: half(44) })
    }
}
