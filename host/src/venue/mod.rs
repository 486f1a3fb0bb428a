//! Exchange protocols without I/O: text in, market events out.
//!
//! A protocol never reads a clock or a socket. Text and the time at which it
//! came go in by [`Protocol::handle_text`], events come out in the block that
//! the caller passes, and what the protocol needs from the outside is asked for
//! by [`Protocol::poll_request`]. The contract is: hand in one text, drain all
//! requests, only then hand in the next.

pub mod binance;
pub(crate) mod depth;

use std::collections::BTreeMap;

use thiserror::Error;

use crate::domain::{DecimalError, SymbolId, Ts};
use crate::input::InputBlock;

/// An exchange's public protocol for one connection.
pub trait Protocol {
    /// Takes a frame that arrived at `now` and appends what it means to `out`,
    /// a block of the instruments that the protocol was made for.
    ///
    /// # Errors
    /// Why the frame was refused; it then changed nothing, and the error is
    /// also counted.
    fn handle_text(&mut self, text: &str, now: Ts, out: &mut InputBlock) -> Result<(), FrameError>;

    /// What the shell must do next; ask until it is `None`.
    fn poll_request(&mut self) -> Option<Request>;
}

/// What a protocol needs from the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Fetch the whole book of this symbol by the venue's other channel and
    /// hand it in: the deltas alone do not say what it is.
    Snapshot(SymbolId),
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
            Self::UpdateIds { .. } => "update-ids",
        }
    }
}

/// How often frames were refused, by [`FrameError::kind`].
pub type ErrorCounts = BTreeMap<&'static str, u64>;
