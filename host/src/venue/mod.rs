//! Exchange protocols without I/O: text in, market events out.
//!
//! A protocol never reads a clock or a socket. What happens to the connection
//! and the time at which it happens go in by the methods `handle_*`, events come
//! out in the block that the caller passes, and what the protocol wants from the
//! outside is asked for by [`Protocol::poll_frame`] and
//! [`Protocol::poll_request`]. The contract is: hand in one thing, drain all
//! frames and requests, only then hand in the next; and hand in the time when
//! [`Protocol::next_deadline`] has come.

pub mod binance;
pub(crate) mod depth;
pub mod kraken;
pub mod live;

use std::collections::BTreeMap;

use thiserror::Error;

use crate::domain::{DecimalError, SymbolId, Ts};
use crate::input::InputBlock;

pub use live::{Listing, Live, Mark, News, NewsLevel, SessionPlan, Tally, VENUES, Venue, Wanted};

/// An exchange's public protocol for one connection.
pub trait Protocol {
    /// The connection stands; what is wanted is to be subscribed. A venue whose
    /// subscriptions are in its address has nothing to do.
    fn handle_connected(&mut self, _now: Ts, _out: &mut InputBlock) {}

    /// The connection is gone: nothing that it brought is current any more.
    fn handle_disconnected(&mut self, now: Ts, out: &mut InputBlock);

    /// Takes a frame that arrived at `now` and appends what it means to `out`,
    /// a block of the instruments that the protocol was made for.
    ///
    /// # Errors
    /// Why the frame, or a part of it, was refused; that part then changed
    /// nothing but the freshness of a book that it would have changed. The error
    /// is also counted.
    fn handle_text(&mut self, text: &str, now: Ts, out: &mut InputBlock) -> Result<(), FrameError>;

    /// Time has come to [`next_deadline`](Self::next_deadline), or passed it.
    fn handle_deadline(&mut self, _now: Ts, _out: &mut InputBlock) {}

    /// When [`handle_deadline`](Self::handle_deadline) is to be called even if
    /// nothing else happens.
    fn next_deadline(&self) -> Option<Ts> {
        None
    }

    /// The next frame to send; ask until it is `None`.
    fn poll_frame(&mut self) -> Option<String> {
        None
    }

    /// What the shell must do next; ask until it is `None`.
    fn poll_request(&mut self) -> Option<Request>;
}

/// What a protocol needs from the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Fetch the whole book of this symbol by the venue's other channel and
    /// hand it in: the deltas alone do not say what it is.
    Snapshot(SymbolId),
    /// Close the connection and make a new one: nothing comes on this one.
    Reconnect,
}

/// Why a frame was refused.
#[derive(Debug, Error)]
pub enum FrameError {
    /// It is not JSON, or lacks a field of its kind.
    #[error("not a valid message: {0}")]
    Json(#[from] serde_json::Error),
    /// It names a symbol that was not asked for.
    #[error("unknown symbol '{0}'")]
    UnknownSymbol(String),
    /// It names no symbol, and several are traded.
    #[error("a {0} without a symbol where several are traded")]
    NoSymbol(&'static str),
    /// A number cannot be represented.
    #[error("{field}: {source}")]
    Number {
        /// which field
        field: &'static str,
        /// what is wrong with it
        source: DecimalError,
    },
    /// A price that is not positive, or a quantity below zero.
    #[error("{field}: {value} units are out of range")]
    Range {
        /// which field
        field: &'static str,
        /// its value
        value: i64,
    },
    /// A time is not one.
    #[error("'{0}' is not a time")]
    Time(String),
    /// A side is neither buy nor sell.
    #[error("'{0}' is neither buy nor sell")]
    Side(String),
    /// A candle is none.
    #[error("a candle: {0}")]
    Candle(&'static str),
    /// The ids of a delta's first and last change contradict each other.
    #[error("update ids run backwards from {first} to {last}")]
    UpdateIds {
        /// id of the first change
        first: u64,
        /// id of the last change
        last: u64,
    },
}

impl FrameError {
    /// The kind as a label for counters.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Json(_) => "json",
            Self::UnknownSymbol(_) => "unknown-symbol",
            Self::NoSymbol(_) => "no-symbol",
            Self::Number { .. } => "number",
            Self::Range { .. } => "range",
            Self::Time(_) => "time",
            Self::Side(_) => "side",
            Self::Candle(_) => "candle",
            Self::UpdateIds { .. } => "update-ids",
        }
    }
}

/// How often frames were refused, by [`FrameError::kind`].
pub type ErrorCounts = BTreeMap<&'static str, u64>;
