//! What a session tells its owner besides market events.

use serde::Serialize;

use super::book::Desync;
use super::subscriptions::FeedKey;
use crate::domain::SymbolId;
use crate::input::TradingStatus;
use crate::venue::ErrorCounts;

/// Something that happened on the connection, for logs and counters. Market
/// events say what it means for trading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The venue's system changed its state.
    System(TradingStatus),
    /// A pair's increments, minimums or status changed;
    /// [`Session::rules`](super::Session::rules) has them.
    Rules(SymbolId),
    /// A pair's numbers have more decimals now than the run's units: the symbol
    /// stays stale until the host is started anew.
    PrecisionChanged(SymbolId),
    /// The venue's list of pairs lacks a symbol.
    NotListed(SymbolId),
    /// A book cannot be trusted; it was cleared and is asked for anew.
    Desync {
        /// whose
        symbol: SymbolId,
        /// why
        cause: Desync,
    },
    /// Trade ids skipped some.
    TradeGap {
        /// whose
        symbol: SymbolId,
        /// the last id before the gap
        after: u64,
        /// the first id behind it
        before: u64,
    },
    /// Trade ids began anew, below the last one: trades may be missing before the first
    /// that follows.
    TradeIdsRestarted {
        /// whose
        symbol: SymbolId,
        /// the last id before
        after: u64,
        /// the id that came
        id: u64,
    },
    /// The venue's times are so far from the machine's clock that one of the two is wrong.
    Clock {
        /// by how many nanoseconds the venue is ahead; negative for behind
        ahead_ns: i64,
    },
    /// A subscription was not answered in time.
    AckOverdue(FeedKey),
    /// A subscription was granted, and nothing came in time.
    SnapshotOverdue(FeedKey),
    /// A pair's trades were granted twice and none came: it has not traded yet.
    NoTrades(SymbolId),
    /// A feed fell silent.
    Silent(FeedKey),
    /// A request was refused.
    Refused {
        /// for which feed, when that can be told
        feed: Option<FeedKey>,
        /// in the venue's words
        error: String,
        /// it will not be asked for again
        permanent: bool,
    },
    /// The venue granted a subscription with a warning.
    Warning(String),
    /// Nothing at all came for too long: the connection is given up.
    Idle,
}

/// What a session has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// frames handed in
    pub frames: u64,
    /// trades passed on
    pub trades: u64,
    /// trades from before the first subscription, not passed on
    pub trades_history: u64,
    /// trades dropped because their id is not above the one before
    pub trades_repeated: u64,
    /// how often trade ids skipped one or more, or began anew
    pub trade_id_gaps: u64,
    /// trades that those gaps lack
    pub trades_missed: u64,
    /// books that began or were replaced
    pub snapshots: u64,
    /// book updates applied
    pub updates: u64,
    /// book updates without a book that they could change
    pub updates_unusable: u64,
    /// book messages after which the checksum was the venue's
    pub checksums_verified: u64,
    /// book messages after which it was not
    pub checksums_failed: u64,
    /// books with the best bid at or above the best ask in spite of the checksum
    pub crossed: u64,
    /// deletes of levels that the book did not have
    pub unknown_deletes: u64,
    /// candles of history passed on, with those that fill empty intervals
    pub candles: u64,
    /// candles that are still forming or repeat history
    pub candles_ignored: u64,
    /// feeds that were asked for anew
    pub resubscriptions: u64,
    /// heartbeats and pongs
    pub signs_of_life: u64,
    /// frames of other kinds
    pub ignored: u64,
    /// notices that nobody took in time
    pub notices_lost: u64,
    /// frames refused, by kind of error
    pub errors: ErrorCounts,
}
