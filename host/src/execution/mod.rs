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
//!    (An extra may be set: then a market order that walks a book fills worse than
//!    its levels by that rate. An order with a limit keeps to its limit.)
//! 3. Amounts round against the trader: what is paid rounds up, what is received
//!    rounds down, fees round up; all to 10^-8 of the quote asset.
//! 4. Nothing is filled on stale data or while the venue does not trade. Without a
//!    book a last trade older than `max_trade_age` is no price: a market order is
//!    refused as stale, and stops and brackets wait for the next trade.
//!
//! Orders with a price may wait. The life of an order, and what each step needs:
//!
//! | from | to | when |
//! |---|---|---|
//! | asked | pending | with latency: it is on its way, see [`latency`] |
//! | asked, pending | rejected | a check fails; nothing else of it happens |
//! | asked, pending | accepted | a limit, a stop, a stop-limit or a trailing stop passes them |
//! | asked, pending | filled, or partially filled and canceled | a market order |
//! | accepted | woken | its stop is reached, which is told as accepted without a stop; it then meets the market as it stands |
//! | accepted, partially filled | partially filled, filled | rules 7 to 9 |
//! | pending, accepted, partially filled | pending change, pending cancel | with latency: either is on its way, and the order goes on meanwhile |
//! | accepted, partially filled, pending change | accepted | it is changed, or the change is refused: the reason comes with it |
//! | accepted, partially filled | canceled | on request, with latency when that arrives; an immediate rest; what it reduces is closed; cash, leverage or position no longer allow a fill; a halt or a fault |
//! | accepted, partially filled | expired | a day order, at the first moment of its symbol on the next UTC day; good till date, at the first at or after that time |
//!
//! 5. Limits round to the price increment in the trader's favor, so that none
//!    fills worse than asked; stops so that they act no later than asked.
//! 6. An order with a limit first takes what stands at its limit or better, as a
//!    taker at the prices of the levels (without a book: all of it, when the price
//!    with slippage is within the limit). Post-only is refused where it would take.
//!    Immediate-or-cancel ends then; fill-or-kill takes all or nothing.
//! 7. What waits joins behind everything displayed at its price. Prints there by
//!    takers of the other side fill those ahead first. Cancellations shrink those
//!    ahead only to what the level still displays after a book event; as much of
//!    the prints of the next two to four seconds fills nobody, because both may tell of the same
//!    trade. Below the displayed levels the queue is unknown, and nothing fills until
//!    the level shows or is passed.
//! 8. A print beyond the limit by a taker of the other side fills it by the print's
//!    quantity; a taker of its own side sold nothing to it. An opposite quote at the
//!    limit or beyond fills it by what rule 13 leaves of its quantity.
//!    Orders of one lane share a print, the best limit first, those of one limit in
//!    the order of their numbers.
//! 9. Where there is no book only a print beyond the limit fills, by its quantity.
//!    Waiting orders fill at their limit exactly, as makers.
//! 10. A stop wakes when the price that it would meet (the opposite best, without
//!     a book the last trade) is at it or beyond; a trailing one first follows the
//!     best such price at its distance. A woken stop takes what stands and its rest
//!     is canceled; a stop-limit becomes a limit order.
//! 11. A waiting buy with a limit reserves its cost and fee. What reduces never
//!     exceeds the position: it shrinks with it and ends with it, at once.
//!     A bracket is right for every price at which its order may fill, as far as that
//!     is known: limit, stop, and what it would meet at once.
//! 12. A change to a smaller size keeps the place in the queue; any other change
//!     is a new arrival. Every change meets the checks of a new order: the rate of
//!     orders, the market's state, post-only, minimums, bracket, position, cash and
//!     leverage. One that is refused leaves the order as it was; one of an order whose
//!     time is over ends it.
//! 13. What a lane's fills took of a displayed level is not there for its next fill,
//!     whichever order or bracket asks, until the market shows the level anew: a
//!     book event that names its price, or a snapshot, shows what it adds to what
//!     is left of it.
//!     Without a book nothing is displayed and rule 2
//!     holds: what one order may take there is bounded by nothing but the account.
//!     What prints took at a displayed price is likewise not there for an order that
//!     takes, until a book event names that price: the book may tell of a trade later
//!     than the print does. (Where it told it before, the level is counted shorter than
//!     it is until its next event.)
//! 14. At each moment a lane's orders look first, in the order of rule 8, those
//!     without a limit last, then its bracket acts where they have left its position, then what was on its way arrives, then its strategy is
//!     told.

pub mod bracket;
pub mod depleted;
pub mod fees;
pub mod latency;
pub mod matching;
pub mod orders;

use crate::domain::{Money, Rate, Ts};
use crate::risk::ShortBase;

pub use bracket::{Bracket, Brackets};
pub use depleted::Depleted;
pub use fees::{Fees, Rates, Schedule};
pub use latency::{Delay, LatencyConfig};
pub use matching::{Taken, Venue, Want};
pub use orders::{Order, Orders};

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
    /// fee on the amount of a fill that takes, now
    pub fee: Rate,
    /// without a book, how old the last trade may be to be traded at, nanoseconds
    pub max_trade_age_ns: i64,
    /// fee on the amount of a fill that waited, now
    pub maker: Rate,
    /// how both follow from what was traded
    pub schedule: Schedule,
    /// volume of thirty days on top of what is traded here
    pub volume: Money,
    /// how much worse than the levels that it walks a market order fills
    pub book_slippage: Rate,
    /// how far a price without a book moves against the trader
    pub slippage: Rate,
    /// all shorts together may be worth this many times the base
    pub max_short_leverage: Rate,
    /// the base of that multiple
    pub short_base: ShortBase,
}

impl Default for ExecutionConfig {
    /// The built-in costs: fee 0.1 %, slippage 0.05 %, shorts up to twice the
    /// starting equity.
    fn default() -> Self {
        Self {
            model: Model::Book,
            fee: Rate(1_000_000),
            maker: Rate(1_000_000),
            schedule: Schedule::Flat,
            volume: Money::ZERO,
            book_slippage: Rate(0),
            slippage: Rate(500_000),
            max_trade_age_ns: 60 * Ts::SECOND,
            max_short_leverage: Rate(2_000_000_000),
            short_base: ShortBase::Starting,
        }
    }
}
