//! Kraken spot, the public channels of WebSocket API v2: `status`, `instrument`,
//! `trade`, `book`, `ohlc`, heartbeats, pings and the answers to subscriptions.
//!
//! Facts from the venue's documentation (docs.kraken.com, "Spot WebSocket v2"):
//! numbers are JSON numbers whose zeros count; a book is sent to a fixed depth,
//! without sequence numbers, and each message carries the CRC-32 of the ten best
//! levels a side; each symbol of a subscription is answered by itself; a refused
//! one leaves the connection healthy and silent.

mod book;
mod checksum;
mod data;
mod follow;
mod instruments;
mod listing;
mod messages;
mod notice;
mod parse;
mod session;
mod setup;
mod skew;
mod streams;
mod subscriptions;

#[cfg(test)]
mod tests;

pub use crate::venue::Wanted;
pub use book::Desync;
pub use checksum::Precision;
pub use follow::Kraken;
pub use instruments::{Catalog, Pair, pair};
pub use listing::PairListing;
pub use messages::{
    BookData, InstrumentData, LevelData, Message, OhlcData, PairData, Reply, StatusData, TradeData,
    is_frame, parse,
};
pub use notice::{Counts, Notice};
pub use parse::{number_text, time};
pub use session::Session;
pub use setup::{SetupError, Timing, depth_for};
pub use subscriptions::{Channel, FeedKey};

pub(crate) use checksum::snapshot_precision;
