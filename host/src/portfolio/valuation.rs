//! What an account is worth: marks, conversion, equity, its peak and its falls.

use super::Account;
use super::ledger::{Owner, Unit};
use super::totals::{AssetTotals, Booked};
use crate::domain::decimal;
use crate::domain::{Fill, Money, Rounding, SymbolId};

/// Percent in the unit that drawdowns are kept in: 10^-9 of the peak, rounded
/// up, so that a state compares and hashes exactly.
const DRAWDOWN_UNIT: i128 = 1_000_000_000;

impl Account {
    /// Cash in the quote asset of a symbol less what open shorts quoted in it
    /// would cost to close at their marks: what may be spent on a long. The
    /// proceeds of a short are not the strategy's to spend.
    #[must_use]
    pub fn spendable(&self, symbol: SymbolId) -> Money {
        let asset = self.quote[symbol.index()];
        let owed = (0..self.positions.len())
            .filter(|&s| self.quote[s] == asset && self.positions[s].qty.0 < 0)
            .map(|s| self.values[s])
            .sum::<Money>();
        self.cash_for(symbol) + owed
    }

    /// What all shorts are worth at their marks, in the account currency,
    /// positive. Shorts in an asset that cannot be valued count as unbounded.
    #[must_use]
    pub fn short_notional(&self) -> Option<Money> {
        let mut total = Money::ZERO;
        for (index, position) in self.positions.iter().enumerate() {
            if position.qty.0 < 0 {
                total = total - self.to_currency(self.quote[index], self.values[index])?;
            }
        }
        Some(total)
    }

    /// What all positions are worth at their marks, long or short, in the account
    /// currency; unknown while one of them is.
    #[must_use]
    pub fn exposure(&self) -> Option<Money> {
        let value = |(symbol, _): (SymbolId, _)| {
            let value = self.in_currency(symbol, self.values[symbol.index()])?;
            Some(value.max(-value))
        };
        self.open_positions().map(value).sum()
    }

    /// True when a symbol is quoted in the account currency.
    #[must_use]
    pub fn is_in_currency(&self, symbol: SymbolId) -> bool {
        self.quote[symbol.index()] == 0
    }

    /// Converts an amount of a symbol's quote asset to the account currency,
    /// rounded down; `None` while there is no mark for the rate.
    #[must_use]
    pub fn in_currency(&self, symbol: SymbolId, amount: Money) -> Option<Money> {
        self.to_currency(self.quote[symbol.index()], amount)
    }

    /// A cost in a symbol's quote asset, converted likewise, rounded up.
    #[must_use]
    pub fn cost_in_currency(&self, symbol: SymbolId, cost: Money) -> Option<Money> {
        self.in_currency(symbol, -cost).map(|converted| -converted)
    }

    /// What a fill moved in the account currency, at the marks of this moment.
    pub(super) fn booked(&self, fill: &Fill, realized: Money) -> Booked {
        Booked {
            amount: self.in_currency(fill.symbol, fill.amount),
            fee: self.cost_in_currency(fill.symbol, fill.fee),
            realized: self.in_currency(fill.symbol, realized),
        }
    }

    /// What the account did in each asset that its symbols are quoted in, exactly:
    /// the cash, and the sums over the symbols of that quote.
    #[must_use]
    pub fn by_asset(&self) -> Vec<AssetTotals> {
        let mut all: Vec<AssetTotals> = Vec::with_capacity(self.assets.len());
        for (number, asset) in (0_u8..).zip(&self.assets) {
            let cash = Money(self.ledger.balance(Owner::Strategy, Unit::Asset(number)));
            let mut totals = AssetTotals { asset: asset.name.clone(), cash, ..Default::default() };
            let quoted = self.quote.iter().zip(self.breakdown.symbols());
            for (_, symbol) in quoted.filter(|(quote, _)| **quote == number) {
                totals.realized = totals.realized + symbol.realized;
                totals.fees = totals.fees + symbol.fees;
                totals.carry = totals.carry + symbol.carry;
                totals.net = totals.net + symbol.net;
                totals.turnover = totals.turnover + symbol.turnover;
            }
            all.push(totals);
        }
        all
    }

    /// The symbols whose marks convert other assets to the currency.
    pub fn rates(&self) -> impl Iterator<Item = SymbolId> {
        self.assets.iter().filter_map(|asset| asset.rate)
    }

    /// True when a change of a mark can change the equity.
    #[must_use]
    pub fn needs_marks(&self) -> bool {
        self.open_positions > 0 || self.foreign_cash
    }

    /// Equity at the last marks; unknown until every asset held has a mark.
    #[must_use]
    pub fn equity(&self) -> Option<Money> {
        self.equity
    }

    /// Equity at the first moment when it was known.
    #[must_use]
    pub fn start_equity(&self) -> Option<Money> {
        self.start_equity
    }

    /// The highest equity so far.
    #[must_use]
    pub fn peak(&self) -> Option<Money> {
        self.start_equity.map(|_| self.peak)
    }

    /// Return since the start in percent; unknown while the equity is.
    #[must_use]
    #[allow(clippy::float_arithmetic, reason = "a statistic")]
    pub fn roi_pct(&self) -> Option<f64> {
        let (start, now) = (self.start_equity?, self.equity?);
        Some(100.0 * (now - start).to_f64() / start.to_f64())
    }

    /// The largest fall from a peak so far, in percent of that peak, sampled at
    /// every mark.
    #[must_use]
    #[allow(clippy::float_arithmetic, reason = "a statistic")]
    pub fn max_drawdown_pct(&self) -> f64 {
        self.max_drawdown_pct as f64 / 1e7
    }

    /// The present fall from the peak in percent.
    #[must_use]
    #[allow(clippy::float_arithmetic, reason = "a statistic")]
    pub fn drawdown_pct(&self) -> Option<f64> {
        let now = self.equity?;
        Some(100.0 * (self.peak - now).to_f64() / self.peak.to_f64())
    }

    /// Profit of open positions at their marks, before fees, in the currency.
    #[must_use]
    pub fn unrealized(&self) -> Option<Money> {
        let mut total = Money::ZERO;
        for (symbol, position) in self.open_positions() {
            let value = self.values[symbol.index()];
            let cost = if position.qty.0 > 0 { position.cost } else { -position.cost };
            total = total + self.in_currency(symbol, value - cost)?;
        }
        Some(total)
    }

    /// Takes a symbol's mark (twice the price) and samples the equity when it
    /// can have changed.
    pub fn mark(&mut self, symbol: SymbolId, twice_price: i64) {
        let index = symbol.index();
        // No price is known: the last one that was stays.
        if self.marks[index] == twice_price || twice_price <= 0 {
            return;
        }
        self.marks[index] = twice_price;
        let before = self.values[index];
        if !self.positions[index].is_flat() {
            self.revalue(symbol);
            self.positions[index].excurse(self.values[index]);
        }
        match self.equity {
            // The common case, exact: only this position's value changed. Whoever never
            // had another asset has none that this mark could convert.
            Some(equity) if self.quote[index] == 0 && !self.foreign_cash => {
                let delta = self.values[index] - before;
                if delta != Money::ZERO {
                    self.track(equity + delta);
                }
            }
            _ => self.sample(),
        }
    }

    pub(super) fn revalue(&mut self, symbol: SymbolId) {
        self.values[symbol.index()] = self.worth(symbol);
    }

    /// What a position is worth at its mark. No position counts for more than
    /// [`Money::LIMIT`]: where a price takes it beyond, the account must stay
    /// exact, and one strategy's fortune must not end the run of the others.
    fn worth(&self, symbol: SymbolId) -> Money {
        let qty = self.positions[symbol.index()].qty;
        if qty.is_zero() {
            return Money::ZERO;
        }
        let most = if qty.0 < 0 { -Money::LIMIT } else { Money::LIMIT };
        self.instruments.at(symbol).value_at(self.marks[symbol.index()], qty).unwrap_or(most)
    }

    fn to_currency(&self, asset: u8, amount: Money) -> Option<Money> {
        if asset == 0 || amount == Money::ZERO {
            return Some(amount);
        }
        let rate = self.assets[usize::from(asset)].rate?;
        let mark = self.marks[rate.index()];
        if mark == 0 {
            return None;
        }
        let scale = decimal::pow10(u32::from(self.instruments.at(rate).price_decimals))?;
        let product = amount.0.checked_mul(i128::from(mark))?;
        Some(Money(decimal::div_rounded(product, 2 * scale, Rounding::Floor)))
    }

    /// Equity from the ledger and the marks, without the running value.
    #[must_use]
    pub fn recompute_equity(&self) -> Option<Money> {
        let mut total = Money::ZERO;
        for number in 0..self.assets.len() {
            let number = u8::try_from(number).ok()?;
            let mut amount = Money(self.ledger.balance(Owner::Strategy, Unit::Asset(number)));
            for (symbol, _) in self.open_positions() {
                if self.quote[symbol.index()] == number {
                    amount = amount + self.worth(symbol);
                }
            }
            total = total + self.to_currency(number, amount)?;
        }
        Some(total)
    }

    pub(super) fn sample(&mut self) {
        if let Some(equity) = self.recompute_equity() {
            self.track(equity);
        }
    }

    /// Follows peak and drawdown. The ratio is computed only at a new low since
    /// the peak, where alone it can grow.
    fn track(&mut self, equity: Money) {
        self.equity = Some(equity);
        let mut deeper = false;
        if self.start_equity.is_none() {
            self.start_equity = Some(equity);
            self.peak = equity;
            self.trough = equity;
        } else if equity > self.peak {
            self.peak = equity;
            self.trough = equity;
        } else if equity < self.trough {
            self.trough = equity;
            let fall = (self.peak - equity).0 * DRAWDOWN_UNIT;
            let ratio = decimal::div_rounded(fall, self.peak.0.max(1), Rounding::Ceil);
            let ratio = u64::try_from(ratio).unwrap_or(u64::MAX);
            deeper = ratio > self.max_drawdown_pct;
            self.max_drawdown_pct = self.max_drawdown_pct.max(ratio);
        }
        self.metrics.follow(equity, self.peak, deeper);
    }
}
