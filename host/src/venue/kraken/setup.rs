//! What a session is made of: wishes and times.

use thiserror::Error;

use crate::domain::{SymbolId, Ts};

/// Depths of a book that the venue offers.
pub(super) const DEPTHS: [u32; 5] = [10, 25, 100, 500, 1000];
/// Candle lengths in minutes that the venue offers.
pub(super) const MINUTES: [u32; 9] = [1, 5, 15, 30, 60, 240, 1440, 10_080, 21_600];

/// The smallest depth the venue offers that has this many levels a side.
#[must_use]
pub fn depth_for(levels: u32) -> Option<u32> {
    DEPTHS.into_iter().find(|&depth| levels > 0 && depth >= levels)
}

/// Why a session cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// No such symbol in the instrument table.
    #[error("symbol number {} is not in the instrument table", .0.0)]
    Symbol(SymbolId),
    /// The venue has no book of that depth.
    #[error("{symbol}: a book has 1 to 1000 levels, not {levels}")]
    Depth {
        /// whose
        symbol: String,
        /// what was asked for
        levels: u32,
    },
    /// The venue has no candles of that length.
    #[error("{symbol}: the venue has no candles of {minutes} minutes")]
    Candle {
        /// whose
        symbol: String,
        /// what was asked for
        minutes: u32,
    },
}

/// How long things may take, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// between two frames that are sent, once the burst is used up. The venue
    /// publishes no limit; 20 a second is what a large client found to work.
    pub frame_ns: i64,
    /// frames that may be sent at once
    pub burst: u32,
    /// from a request to its answer
    pub ack_ns: i64,
    /// from a granted subscription to its first data
    pub snapshot_ns: i64,
    /// how long a pair's trades wait for the candles of what came before them: candles
    /// of an outage count only where they come first
    pub history_ns: i64,
    /// between two messages of a book. A quiet pair is renewed for nothing
    /// now and then, which costs three frames.
    pub book_silence_ns: Option<i64>,
    /// between two trades, before they are asked for anew to see whether any were
    /// missed
    pub trade_silence_ns: Option<i64>,
    /// before the second try of a feed; doubles with each further one
    pub backoff_ns: i64,
    /// the longest that it grows to
    pub backoff_max_ns: i64,
    /// how long a feed must live for its tries to be forgotten
    pub stable_ns: i64,
    /// between two pings
    pub ping_ns: i64,
    /// between two frames of any kind. Heartbeats come each second.
    pub idle_ns: i64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            frame_ns: Ts::SECOND / 20,
            burst: 10,
            ack_ns: 5 * Ts::SECOND,
            snapshot_ns: 10 * Ts::SECOND,
            history_ns: Ts::SECOND,
            book_silence_ns: Some(60 * Ts::SECOND),
            trade_silence_ns: Some(600 * Ts::SECOND),
            backoff_ns: Ts::SECOND,
            backoff_max_ns: 60 * Ts::SECOND,
            stable_ns: 30 * Ts::SECOND,
            ping_ns: 30 * Ts::SECOND,
            idle_ns: 10 * Ts::SECOND,
        }
    }
}
