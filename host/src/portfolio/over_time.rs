//! What an account does as time passes: charges on shorts, samples of equity,
//! and the measure of doing nothing but hold.
//!
//! A short costs `short_open` of what it fetched when it is opened or added to,
//! and `short_rollover` of what its open part fetched every four hours from the
//! moment at which it was opened; a part added in between pays the next charge
//! whole. Each charge is rounded up to 10^-8 and booked by itself. It falls due
//! by the clock and is booked at the next event of the account's symbols, before
//! that event's price.

use serde::{Deserialize, Serialize};

use super::ledger::{Entry, Owner, Unit};
use super::metrics::{Curve, Summary};
use super::{Account, Breakdown, InvariantBroken, Terms};
use crate::domain::{Money, Rounding, SymbolId, Ts};
use crate::portfolio::metrics::Facts;

/// Why a short was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeKind {
    /// it was opened or added to
    Opening,
    /// it stayed open
    Rollover,
}

impl ChargeKind {
    /// The name used in files and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Rollover => "rollover",
        }
    }
}

/// A charge that was booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// the short
    pub symbol: SymbolId,
    /// how much, in the symbol's quote asset
    pub amount: Money,
    /// why
    pub kind: ChargeKind,
}

impl Account {
    /// Sets what is charged and how it is measured, before the first event.
    pub fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
        self.metrics = super::Metrics::new(terms.sample_ns);
    }

    /// Moves the account's time to `now`, before the prices of `now`: what was
    /// stood until then is sampled, and what fell due on shorts is charged.
    ///
    /// # Errors
    /// Anything that breaks the double entry.
    pub fn accrue(&mut self, now: Ts) -> Result<(), InvariantBroken> {
        self.metrics.advance(now, self.equity);
        if now.0 >= self.due { self.roll_over(now) } else { Ok(()) }
    }

    /// True while the account must see events although nothing is held: for the
    /// start of its time and the first price of each symbol.
    #[must_use]
    pub fn observes(&self) -> bool {
        self.unpriced > 0 || !self.metrics.is_started()
    }

    /// Takes the first price of a symbol (twice the price), against which
    /// holding it is measured.
    pub fn observe(&mut self, symbol: SymbolId, twice_price: i64) {
        let first = &mut self.first[symbol.index()];
        if *first == 0 && twice_price > 0 {
            *first = twice_price;
            self.unpriced -= 1;
        }
    }

    /// Charges `amount` on the short in `symbol`.
    pub(super) fn charge(
        &mut self,
        symbol: SymbolId,
        amount: Money,
        kind: ChargeKind,
    ) -> Result<(), InvariantBroken> {
        if !amount.is_positive() {
            return Ok(());
        }
        let unit = Unit::Asset(self.quote[symbol.index()]);
        self.ledger.post(&[
            Entry::new(Owner::Strategy, unit, -amount.0),
            Entry::new(Owner::Carry, unit, amount.0),
        ])?;
        let converted = self.cost_in_currency(symbol, amount);
        let position = &mut self.positions[symbol.index()];
        position.carry = position.carry + amount;
        self.statistics.on_carry(converted);
        self.breakdown.on_carry(symbol, amount, converted, &position.tag);
        self.charges.push(Charge { symbol, amount, kind });
        Ok(())
    }

    /// Takes the charges that were booked since the last call, in order.
    #[must_use]
    pub fn take_charges(&mut self) -> Vec<Charge> {
        std::mem::take(&mut self.charges)
    }

    /// True when a charge falls due at or before `now`.
    #[must_use]
    pub fn is_due(&self, now: Ts) -> bool {
        now.0 >= self.due
    }

    fn roll_over(&mut self, now: Ts) -> Result<(), InvariantBroken> {
        for symbol in (0_u16..).map(SymbolId).take(self.positions.len()) {
            let position = &mut self.positions[symbol.index()];
            if position.qty.0 >= 0 || now < position.rolls_at {
                continue;
            }
            let times = (now.0 - position.rolls_at.0) / Terms::ROLLOVER_NS + 1;
            let next = times.saturating_mul(Terms::ROLLOVER_NS);
            position.rolls_at = Ts(position.rolls_at.0.saturating_add(next));
            let each = position.cost.times(self.terms.short_rollover, Rounding::Ceil);
            let amount = each.0.checked_mul(i128::from(times)).map(Money);
            let overflow = || InvariantBroken(format!("charges of {each} overflow at {now:?}"));
            self.charge(symbol, amount.ok_or_else(overflow)?, ChargeKind::Rollover)?;
        }
        self.set_due();
        self.sample();
        Ok(())
    }

    /// Finds when the next charge falls due.
    pub(super) fn set_due(&mut self) {
        let shorts = self.positions.iter().filter(|p| p.qty.0 < 0).map(|p| p.rolls_at.0);
        let charged = self.terms.short_rollover.0 > 0;
        self.due = shorts.min().filter(|_| charged).unwrap_or(i64::MAX);
    }

    /// What each symbol and tag contributed.
    #[must_use]
    pub fn breakdown(&self) -> &Breakdown {
        &self.breakdown
    }

    /// The equity over time.
    #[must_use]
    pub fn curve(&self) -> &Curve {
        self.metrics.curve()
    }

    /// How the account did until `now`, with the present marks (twice the price,
    /// 0 while unknown) of all symbols for the measure of holding them.
    #[must_use]
    pub fn summary(&self, now: Ts, marks: impl Fn(SymbolId) -> i64) -> Summary {
        self.metrics.summary(
            now,
            &Facts {
                statistics: &self.statistics,
                start: self.start_equity(),
                equity: self.equity(),
                max_drawdown_pct: self.max_drawdown_pct(),
                buy_and_hold_pct: self.buy_and_hold_pct(marks),
            },
        )
    }

    /// Return of equal amounts put into every symbol at its first price. Symbols
    /// that never had a price are left out; unknown when none had.
    #[allow(clippy::float_arithmetic, reason = "a statistic")]
    fn buy_and_hold_pct(&self, marks: impl Fn(SymbolId) -> i64) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0.0);
        for (symbol, &first) in (0_u16..).map(SymbolId).zip(&self.first) {
            let mark = marks(symbol);
            if first > 0 && mark > 0 {
                sum += mark as f64 / first as f64 - 1.0;
                count += 1.0;
            }
        }
        (count > 0.0).then(|| 100.0 * sum / count)
    }
}
