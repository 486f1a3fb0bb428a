//! A position in one symbol, and the round trip that it is part of.

use serde::{Deserialize, Serialize};

use super::Terms;
use crate::domain::decimal;
use crate::domain::{Action, Fill, Instrument, Money, Qty, Rounding, Ts};

/// What is held (positive) or owed (negative) in one symbol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// base units, negative when short
    pub qty: Qty,
    /// quote paid for a long, or received for a short, of what is still open
    pub cost: Money,
    /// when the round trip began
    pub opened: Ts,
    /// gross profit that reductions of this round trip have realized
    pub realized: Money,
    /// fees of this round trip so far
    pub fees: Money,
    /// fills of this round trip so far
    pub fills: u32,
    /// the largest size of this round trip
    pub qty_max: Qty,
    /// quote amount of the opening fills of this round trip
    pub opened_amount: Money,
    /// quote amount of the closing fills of this round trip
    pub closed_amount: Money,
    /// base units that the opening fills of this round trip add up to
    pub traded: i128,
    /// charges on this short so far
    pub carry: Money,
    /// when the next charge on this short falls due
    pub rolls_at: Ts,
    /// the reason of the order that began this round trip
    pub tag: String,
    /// the lowest that this round trip's profit before fees ever stood
    pub worst: Money,
    /// the highest that it ever stood
    pub best: Money,
}

/// What a fill did to a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// gross profit realized by this fill
    pub realized: Money,
    /// the round trip as it stood when this fill made the position flat
    pub closed: Option<Position>,
}

impl Position {
    /// True when nothing is held or owed.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.qty.is_zero()
    }

    /// Applies a fill. The caller has checked that the action fits the position
    /// and that a reduction is not larger than it. `None` on overflow.
    #[must_use]
    pub fn apply(&mut self, fill: &Fill) -> Option<Change> {
        if self.is_flat() {
            let rolls_at = Ts(fill.ts.0.saturating_add(Terms::ROLLOVER_NS));
            *self = Self { opened: fill.ts, rolls_at, ..Self::default() };
        }
        self.fees = self.fees + fill.fee;
        self.fills = self.fills.saturating_add(1);
        let realized = if fill.action.opens() {
            self.open(fill)?;
            Money::ZERO
        } else {
            self.reduce(fill)?
        };
        self.realized = self.realized + realized;
        let closed = self.is_flat().then(|| {
            self.excurse(Money::ZERO);
            self.clone()
        });
        Some(Change { realized, closed })
    }

    /// Takes the value of the open part (negative when short): the round trip's
    /// profit before fees as it stands.
    pub fn excurse(&mut self, value: Money) {
        let cost = if self.qty.0 < 0 { -self.cost } else { self.cost };
        let profit = self.realized + value - cost;
        self.worst = self.worst.min(profit);
        self.best = self.best.max(profit);
    }

    fn open(&mut self, fill: &Fill) -> Option<()> {
        let signed = if fill.action == Action::Buy { fill.qty } else { Qty(-fill.qty.0) };
        self.qty = self.qty.checked_add(signed)?;
        self.cost = self.cost + fill.amount;
        self.opened_amount = self.opened_amount + fill.amount;
        self.traded = self.traded.checked_add(i128::from(fill.qty.0))?;
        self.qty_max = self.qty_max.max(self.qty.magnitude());
        Some(())
    }

    /// Takes the share of the cost that leaves with the fill, rounded against the trader;
    /// the last reduction takes exactly what is left, so the sum is exact.
    fn reduce(&mut self, fill: &Fill) -> Option<Money> {
        let held = i128::from(self.qty.magnitude().0);
        let part = i128::from(fill.qty.0);
        // What a long cost rounds up, what a short fetched down. Whole units of cost an
        // increment and the rest apart: their product with the part fits, the cost's may not.
        let rounding = if self.qty.0 > 0 { Rounding::Ceil } else { Rounding::Floor };
        let (each, rest) = (self.cost.0 / held, self.cost.0 % held);
        let share = each.checked_mul(part)? + decimal::div_rounded(rest * part, held, rounding);
        let share = Money(share);
        self.cost = self.cost - share;
        self.closed_amount = self.closed_amount + fill.amount;
        if fill.action == Action::Sell {
            self.qty = self.qty.checked_sub(fill.qty)?;
            Some(fill.amount - share)
        } else {
            self.qty = self.qty.checked_add(fill.qty)?;
            Some(share - fill.amount)
        }
    }

    /// The average entry price as a double, 0 when flat.
    #[must_use]
    #[allow(clippy::float_arithmetic, reason = "shown and told, never counted with")]
    pub fn entry_price(&self, instrument: &Instrument) -> f64 {
        if self.is_flat() {
            return 0.0;
        }
        self.cost.to_f64() / instrument.qty_f64(self.qty.magnitude())
    }
}
