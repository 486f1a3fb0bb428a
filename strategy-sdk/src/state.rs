//! How a run's state is written down: MessagePack with named fields.

use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::account::OpenOrder;

/// The layout of [`SavedState`]; grows when it changes.
pub(crate) const STATE_FORMAT: u32 = 1;

/// Everything that a runner needs to go on where it stopped. The account is not
/// in it: the host states that at the start.
#[derive(Serialize, Deserialize)]
pub(crate) struct SavedState {
    pub(crate) format: u32,
    /// Names of the run's instruments, because symbols are indices into them.
    pub(crate) symbols: Vec<String>,
    pub(crate) strategy: Bytes,
    pub(crate) open_orders: Vec<OpenOrder>,
    /// Last price and the instant that it speaks of, by symbol.
    pub(crate) prices: Vec<(Option<f64>, u64)>,
    /// Trades, candles, books and statuses that were kept, as little-endian
    /// words of the contract: compact, and read by code that is there anyway.
    pub(crate) market: Bytes,
}

impl SavedState {
    /// The words of `market`; bytes beyond the last whole word are passed over.
    pub(crate) fn words(&self) -> Vec<u64> {
        let word =
            |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        self.market.0.chunks_exact(8).map(word).collect()
    }
}

/// Bytes that MessagePack keeps as one block instead of as a list of numbers.
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Block;
        impl Visitor<'_> for Block {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a block of bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Block)
    }
}

/// Writes a value.
///
/// # Errors
/// What its `Serialize` refuses, in words.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    rmp_serde::to_vec_named(value).map_err(|error| error.to_string())
}

/// Reads a value.
///
/// # Errors
/// Where the bytes are not such a value, in words.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    rmp_serde::from_slice(bytes).map_err(|error| error.to_string())
}
