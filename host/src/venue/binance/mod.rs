//! Binance spot, public streams: `trade`, `depth`, `bookTicker`, and the REST
//! depth snapshot.
//!
//! Facts from the venue's documentation (`web-socket-streams.md`): prices and
//! quantities are strings; times are milliseconds or, on request, microseconds;
//! depth deltas carry the ids of their first and last change, absolute
//! quantities, and neither a checksum nor a snapshot in the stream.

mod messages;
mod news;
mod session;
mod splice;

#[cfg(test)]
mod tests;

pub use messages::{DepthSnapshot, DepthUpdate, LevelText, Message, Ticker, TradeMessage, parse};
pub use session::{Counts, Session};
