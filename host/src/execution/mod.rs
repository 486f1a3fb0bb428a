//! The simulated venue: what an order meets and what it costs.
//!
//! Market orders take what stands when they arrive:
//!
//! 1. Model `book`: where the feed has a book, the order walks it from the best
//!    level, each level at its own price. What the book cannot fill is canceled
//!    (or, for fill-or-kill, nothing is filled).
//! 2. Where the feed has no book, and always in model `instant`, the whole order
//!    fills at one price, moved against the trader by the slippage rate: the
//!    last trade, or in model `instant` the price that caused the order.
//! 3. Amounts round against the trader: what is paid rounds up, what is received
//!    rounds down, fees round up; all to 10^-8 of the quote asset.
//! 4. Nothing is filled on stale data or while the venue does not trade.
//!
//! Resting orders, queue position and latency join here: an order that does not
//! take at once will be kept by the lane beside its [`Brackets`] and asked, at
//! each moment, whether it acts.

pub mod bracket;
pub mod matching;

use crate::domain::Rate;

pub use bracket::{Bracket, Brackets};
pub use matching::{Taken, Venue, Want};

/// How market orders are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// by walking the book where there is one
    Book,
    /// at once, whole, at the price that caused the order
    Instant,
}

/// What trading costs and allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutionConfig {
    /// how market orders are filled
    pub model: Model,
    /// fee on the amount of every fill
    pub fee: Rate,
    /// how far a price without a book moves against the trader
    pub slippage: Rate,
    /// all shorts together may be worth this many times the starting equity
    pub max_short_leverage: Rate,
}

impl Default for ExecutionConfig {
    /// The built-in costs: fee 0.1 %, slippage 0.05 %, shorts up to twice the
    /// starting equity.
    fn default() -> Self {
        Self {
            model: Model::Book,
            fee: Rate(1_000_000),
            slippage: Rate(500_000),
            max_short_leverage: Rate(2_000_000_000),
        }
    }
}
