//! Newtypes for what is counted: prices, quantities, nanoseconds, ids.
//!
//! | operation | result |
//! |---|---|
//! | `Qty ± Qty` | `Option<Qty>` (`checked_add`, `checked_sub`) |
//! | `Price × Qty` | [`Money`](super::Money), by [`Instrument::notional`](super::Instrument::notional), rounding named |
//! | `Ts - Ts` | nanoseconds, saturating |
//!
//! There is no arithmetic between prices and quantities of different
//! instruments: their units differ, and only the instrument knows them.

use serde::{Deserialize, Serialize};

/// A price in units of 10^-`price_decimals` of the quote asset per base unit.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Price(pub i64);

/// A quantity in units of 10^-`qty_decimals` of the base asset; negative for a
/// short position, never in an order or a trade.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Qty(pub i64);

/// Nanoseconds since the Unix epoch, on the clock that the input names.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Ts(pub i64);

/// A symbol's number: in the run's instrument table, or in a lane's own list.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct SymbolId(pub u16);

/// An order's number within its lane, from 1, in the order of submission.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct OrderId(pub u64);

impl Qty {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The sum, or `None` when it overflows.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` when it overflows.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The size without the sign.
    #[must_use]
    pub fn magnitude(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// True when nothing is held or owed.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl Ts {
    /// Nanoseconds in a second.
    pub const SECOND: i64 = 1_000_000_000;

    /// Nanoseconds from `earlier` to `self`, saturating.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl SymbolId {
    /// The number as an index.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}
