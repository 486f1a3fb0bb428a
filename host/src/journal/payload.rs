//! What records carry: MessagePack maps with field names, so that a field can be
//! added without breaking older journals.

use std::fmt;

use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::domain::{Fill, Instrument, Money, OrderId, Qty, RejectReason, SymbolId, Ts};
use crate::input::InputBlock;
use crate::words::Header;

use super::PAYLOAD_MAX;

/// The most exact words in one record of inputs; a longer block is split.
const WORDS_MAX: usize = 1 << 16;
/// Fast, and half of what the words take.
const COMPRESSION: i32 = 1;

/// A payload that cannot be read or written.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct PayloadError(String);

/// A strategy of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyRecord {
    /// the operator's name for it
    pub name: String,
    /// its own version
    pub version: String,
    /// SHA-256 of its file, in hex
    pub sha256: String,
    /// true when the lock file was bypassed
    pub unsigned: bool,
    /// limits of its own, as JSON; empty when there are none
    #[serde(default)]
    pub limits: String,
    /// true when it was granted the deterministic WASI
    #[serde(default)]
    pub wasi: bool,
}

/// A module that takes another one's place, between two events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapRecord {
    /// the lane's number
    pub lane: u16,
    /// the engine's clock
    pub ts: Ts,
    /// SHA-256 of the module that ran, in hex
    pub from: String,
    /// the new one
    pub to: StrategyRecord,
}

/// What runs: enough to run it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// the run's name
    pub run: String,
    /// this program's version
    pub host: String,
    /// the WebAssembly runtime's version
    pub runtime: String,
    /// the contract with strategies
    pub contract: String,
    /// the whole configuration as TOML
    pub config: String,
    /// its SHA-256, in hex
    pub config_sha256: String,
    /// start of everything random
    pub seed: u64,
    /// the engine's clock before the first input
    pub start: Ts,
    /// what can be traded, in the run's order
    pub instruments: Vec<Instrument>,
    /// who runs, in the order of their lanes
    pub strategies: Vec<StrategyRecord>,
    /// modules that were named by file
    pub files: Vec<String>,
    /// the whole lock file that the run began with; empty when there was none, or
    /// when it was too large to keep
    #[serde(default)]
    pub lock: String,
}

/// What no replay would find out by itself, such as that the wall clock stopped a
/// strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictRecord<V> {
    /// the lane's number
    pub lane: u16,
    /// what, and at which place in the strategy's history
    pub verdict: V,
}

/// Market events, as exact words and exchange times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// sequence number of the first
    pub first_seq: u64,
    /// how many words there are
    pub words: u32,
    /// how many events
    pub events: u32,
    /// words, then times, compressed
    pub data: Bytes,
}

/// A command to the engine, at its place among the inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commanded<C> {
    /// its sequence number
    pub seq: u64,
    /// its time
    pub ts: Ts,
    /// what was commanded
    pub command: C,
}

/// What an engine decided, without what only the strategy said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// an order was filled
    Fill {
        /// the fill
        fill: Fill,
        /// why, in the strategy's words
        reason: String,
        /// the position after it
        position: Qty,
    },
    /// an order was refused
    Reject {
        /// which
        order: OrderId,
        /// in what, when that is known
        symbol: Option<SymbolId>,
        /// why
        reason: RejectReason,
    },
    /// the unfilled rest of an order ended
    Canceled {
        /// which
        order: OrderId,
        /// in what
        symbol: SymbolId,
        /// how much was left
        leaves: Qty,
    },
    /// a short was charged
    Charge {
        /// which
        symbol: SymbolId,
        /// how much, in the symbol's quote asset
        amount: Money,
        /// what for: `opening` or `rollover`
        kind: String,
    },
    /// requests beyond what one event may ask for were dropped
    Dropped {
        /// how many
        orders: u32,
    },
    /// the strategy failed
    Fault {
        /// how; the particulars depend on where it ran
        kind: String,
    },
    /// something else that the engine tells
    Other {
        /// in words
        what: String,
    },
}

/// A lane's decision chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// the lane's number
    pub lane: u16,
    /// the head in hex
    pub head: String,
    /// decisions in it
    pub records: u64,
}

/// What came of the inputs before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    /// lane, time and what, in order
    pub decisions: Vec<(u16, Ts, Decision)>,
    /// chains that grew
    pub chains: Vec<ChainHead>,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// inputs taken
    pub events: u64,
    /// every lane's chain
    pub chains: Vec<ChainHead>,
}

/// A run that goes on behind a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarted {
    /// the program's version that goes on
    pub host: String,
    /// inputs and commands taken before
    pub events: u64,
    /// what was cut off the record's end, which nobody had been told of
    pub cut: Option<String>,
    /// number of the record of the snapshot from which it goes on: strategies know
    /// what they saved there, and what happened since; none when all inputs were taken
    /// again
    #[serde(default)]
    pub snapshot: Option<u64>,
}

/// The state of an engine between two inputs, after its strategies were asked for
/// theirs: a replay asks there too, and its state must have the same hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRecord {
    /// inputs and commands taken before
    pub events: u64,
    /// hash of what all strategies share, in hex
    pub shared: String,
    /// in the order of lanes
    pub lanes: Vec<StateHash>,
    /// BLAKE3 of the file with the state itself, in hex; none when a strategy does not
    /// save its own
    pub file: Option<String>,
}

/// A strategy's state as hashes, in hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateHash {
    /// of what the host keeps for it
    pub host: String,
    /// of what it saved, if it did
    pub saved: Option<String>,
}

impl Inputs {
    /// A block's events, in records of bounded size.
    ///
    /// # Errors
    /// An event too large for any record, which no venue comes near.
    pub fn of(block: &InputBlock) -> Result<Vec<Self>, PayloadError> {
        let mut all = Vec::new();
        let words = block.exact_words();
        let (mut first, mut start, mut at) = (0, 0, 0);
        for index in 0..block.len() {
            let next = at + Header(block.header(index).0).words().unwrap_or(1);
            if next - start > WORDS_MAX && index > first {
                all.push(Self::pack(block, first..index, &words[start..at])?);
                (first, start) = (index, at);
            }
            at = next;
        }
        if block.len() > first {
            all.push(Self::pack(block, first..block.len(), &words[start..])?);
        }
        Ok(all)
    }

    fn pack(
        block: &InputBlock,
        events: std::ops::Range<usize>,
        words: &[u64],
    ) -> Result<Self, PayloadError> {
        let times = events.clone().map(|index| block.ts_exchange(index).0 as u64);
        let plain: Vec<u8> =
            words.iter().copied().chain(times).flat_map(u64::to_le_bytes).collect();
        let data = zstd::bulk::compress(&plain, COMPRESSION)
            .map_err(|error| PayloadError(error.to_string()))?;
        if data.len() > PAYLOAD_MAX / 2 {
            return Err(PayloadError("an event is too large for the record".into()));
        }
        Ok(Self {
            first_seq: block.first_seq() + events.start as u64,
            words: words.len() as u32,
            events: events.len() as u32,
            data: Bytes(data),
        })
    }

    /// Appends the events to a block.
    ///
    /// # Errors
    /// Events that are none, or not as many as said.
    pub fn unpack(&self, block: &mut InputBlock) -> Result<(), PayloadError> {
        let (words, events) = (self.words as usize, self.events as usize);
        let length = words.saturating_add(events).saturating_mul(8);
        if length > 8 * PAYLOAD_MAX {
            return Err(PayloadError("more events than a record can hold".into()));
        }
        let plain = zstd::bulk::decompress(&self.data.0, length)
            .map_err(|error| PayloadError(error.to_string()))?;
        if plain.len() != length {
            return Err(PayloadError("fewer events than the record says".into()));
        }
        let numbers: Vec<u64> = plain
            .chunks_exact(8)
            .filter_map(|chunk| chunk.try_into().ok().map(u64::from_le_bytes))
            .collect();
        let times: Vec<i64> = numbers[words..].iter().map(|&time| time as i64).collect();
        block.extend_exact(&numbers[..words], &times).map_err(PayloadError)
    }
}

/// A payload's bytes.
///
/// # Errors
/// A payload beyond [`PAYLOAD_MAX`].
pub fn encode(payload: &impl Serialize) -> Result<Vec<u8>, PayloadError> {
    let bytes =
        rmp_serde::to_vec_named(payload).map_err(|error| PayloadError(error.to_string()))?;
    match bytes.len() {
        0..=PAYLOAD_MAX => Ok(bytes),
        length => Err(PayloadError(format!("a record of {length} bytes is too large"))),
    }
}

/// A payload of a record.
///
/// # Errors
/// Bytes that are none.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PayloadError> {
    rmp_serde::from_slice(bytes).map_err(|error| PayloadError(error.to_string()))
}

/// Bytes, kept as such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Read)
    }
}
