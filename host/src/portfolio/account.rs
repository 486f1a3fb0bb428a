//! A strategy's account: ledger, positions, equity, peak and drawdown.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::ledger::{Entry, Ledger, Owner, Unit};
use super::position::Change;
use super::{Breakdown, InvariantBroken, Metrics, Position, RoundTrip, Statistics, Terms};
use crate::domain::decimal;
use crate::domain::{Action, Fill, InstrumentTable, Money, Qty, Rounding, SymbolId};

/// What an account starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountConfig {
    /// the currency that equity is counted in
    pub currency: String,
    /// starting cash in the currency
    pub capital: Money,
    /// starting cash in other assets, by name
    pub assets: Vec<(String, Money)>,
    /// how many fills to keep in memory
    pub fills_kept: usize,
    /// how many round trips to keep in memory
    pub trips_kept: usize,
}

/// Why an account cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartError {
    /// Capital must be positive.
    #[error("the starting capital must be positive, got {0}")]
    Capital(Money),
    /// A starting amount must not be negative.
    #[error("the starting amount of {0} must not be negative")]
    Negative(String),
    /// An asset cannot be valued.
    #[error("{asset} cannot be valued in {currency}: no symbol {asset}/{currency} is in the run")]
    NoValuation {
        /// the asset
        asset: String,
        /// the account currency
        currency: String,
    },
}

/// A quote asset of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asset {
    name: String,
    /// the symbol whose mark converts it to the currency; none for the currency
    rate: Option<SymbolId>,
}

/// One strategy's account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    instruments: InstrumentTable,
    assets: Vec<Asset>,
    /// by symbol: the number of its quote asset
    pub(super) quote: Vec<u8>,
    pub(super) ledger: Ledger,
    pub(super) positions: Vec<Position>,
    /// by symbol: twice the mark price, 0 while unknown
    marks: Vec<i64>,
    /// by symbol: value of the position in its quote asset
    values: Vec<Money>,
    open_positions: usize,
    foreign_cash: bool,
    pub(super) equity: Option<Money>,
    start_equity: Option<Money>,
    peak: Money,
    trough: Money,
    max_drawdown_pct: u64,
    /// number of the last fill that was booked
    last_fill: u64,
    pub(super) terms: Terms,
    /// when the next charge on a short falls due
    pub(super) due: i64,
    pub(super) metrics: Metrics,
    pub(super) breakdown: Breakdown,
    /// by symbol: twice its first price, 0 while there was none
    pub(super) first: Vec<i64>,
    /// symbols without a first price
    pub(super) unpriced: usize,
    /// statistics over fills and round trips
    pub statistics: Statistics,
}

/// Percent in the unit that drawdowns are kept in: 10^-9 of the peak, rounded
/// up, so that a state compares and hashes exactly.
const DRAWDOWN_UNIT: i128 = 1_000_000_000;

impl Account {
    /// Opens an account over the symbols of a run.
    ///
    /// # Errors
    /// Capital that is not positive, or a starting asset without a valuation.
    pub fn open(config: &AccountConfig, instruments: &InstrumentTable) -> Result<Self, StartError> {
        if !config.capital.is_positive() {
            return Err(StartError::Capital(config.capital));
        }
        let mut account = Self::empty(config, instruments);
        account.deposit(0, config.capital);
        for (name, amount) in &config.assets {
            if amount.0 < 0 {
                return Err(StartError::Negative(name.clone()));
            }
            let index = account.asset_number(name);
            if index != 0 && account.assets[usize::from(index)].rate.is_none() {
                let currency = config.currency.clone();
                return Err(StartError::NoValuation { asset: name.clone(), currency });
            }
            account.deposit(index, *amount);
            account.foreign_cash |= index != 0 && amount.is_positive();
        }
        account.sample();
        Ok(account)
    }

    fn empty(config: &AccountConfig, instruments: &InstrumentTable) -> Self {
        let count = instruments.len();
        let mut account = Self {
            instruments: instruments.clone(),
            assets: vec![Asset { name: config.currency.clone(), rate: None }],
            quote: Vec::with_capacity(count),
            ledger: Ledger::default(),
            positions: vec![Position::default(); count],
            marks: vec![0; count],
            values: vec![Money::ZERO; count],
            open_positions: 0,
            foreign_cash: false,
            equity: None,
            start_equity: None,
            peak: Money::ZERO,
            trough: Money::ZERO,
            max_drawdown_pct: 0,
            last_fill: 0,
            terms: Terms::default(),
            due: i64::MAX,
            metrics: Metrics::new(Terms::default().sample_ns),
            breakdown: Breakdown::new(count),
            first: vec![0; count],
            unpriced: count,
            statistics: Statistics::new(config.fills_kept, config.trips_kept),
        };
        for (_, instrument) in instruments.iter() {
            let number = account.asset_number(&instrument.quote);
            account.quote.push(number);
        }
        account
    }

    /// The number of an asset, which is added when it is new. A run has few
    /// quote assets; beyond 255 the last one would be shared, so the table of
    /// instruments is checked for that at start.
    fn asset_number(&mut self, name: &str) -> u8 {
        if let Some(index) = self.assets.iter().position(|a| a.name == name) {
            return u8::try_from(index).unwrap_or(u8::MAX);
        }
        let currency = &self.assets[0].name;
        let rate = self
            .instruments
            .iter()
            .find(|(_, i)| i.base == name && i.quote == *currency)
            .map(|(symbol, _)| symbol);
        self.assets.push(Asset { name: name.to_owned(), rate });
        u8::try_from(self.assets.len() - 1).unwrap_or(u8::MAX)
    }

    fn deposit(&mut self, asset: u8, amount: Money) {
        let unit = Unit::Asset(asset);
        let posted = self.ledger.post(&[
            Entry::new(Owner::Strategy, unit, amount.0),
            Entry::new(Owner::Capital, unit, -amount.0),
        ]);
        debug_assert_eq!(posted, Ok(()), "a deposit balances by construction");
    }

    /// The account currency.
    #[must_use]
    pub fn currency(&self) -> &str {
        &self.assets[0].name
    }

    /// Cash in the account currency.
    #[must_use]
    pub fn cash(&self) -> Money {
        Money(self.ledger.balance(Owner::Strategy, Unit::Asset(0)))
    }

    /// Cash in the quote asset of a symbol.
    #[must_use]
    pub fn cash_for(&self, symbol: SymbolId) -> Money {
        let unit = Unit::Asset(self.quote[symbol.index()]);
        Money(self.ledger.balance(Owner::Strategy, unit))
    }

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

    /// Converts an amount of a symbol's quote asset to the account currency,
    /// rounded down; `None` while there is no mark for the rate.
    #[must_use]
    pub fn in_currency(&self, symbol: SymbolId, amount: Money) -> Option<Money> {
        self.to_currency(self.quote[symbol.index()], amount)
    }

    /// The symbols whose marks convert other assets to the currency.
    pub fn rates(&self) -> impl Iterator<Item = SymbolId> {
        self.assets.iter().filter_map(|asset| asset.rate)
    }

    /// A symbol's position.
    #[must_use]
    pub fn position(&self, symbol: SymbolId) -> &Position {
        &self.positions[symbol.index()]
    }

    /// All positions that are not flat.
    pub fn open_positions(&self) -> impl Iterator<Item = (SymbolId, &Position)> {
        (0_u16..).map(SymbolId).zip(&self.positions).filter(|(_, p)| !p.is_flat())
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
    pub fn mark(&mut self, symbol: SymbolId, twice_price: i64) -> Result<(), InvariantBroken> {
        let index = symbol.index();
        // No price is known: the last one that was stays.
        if self.marks[index] == twice_price || twice_price <= 0 {
            return Ok(());
        }
        self.marks[index] = twice_price;
        let before = self.values[index];
        if !self.positions[index].is_flat() {
            self.revalue(symbol)?;
            self.positions[index].excurse(self.values[index]);
        }
        match self.equity {
            // The common case, exact: only this position's value changed.
            Some(equity)
                if self.quote[index] == 0 && !self.foreign_cash && !self.is_rate(symbol) =>
            {
                let delta = self.values[index] - before;
                if delta != Money::ZERO {
                    self.track(equity + delta);
                }
            }
            _ => self.sample(),
        }
        Ok(())
    }

    /// True when this symbol's mark converts another asset of the account.
    fn is_rate(&self, symbol: SymbolId) -> bool {
        self.assets.len() > 1 && self.assets.iter().any(|a| a.rate == Some(symbol))
    }

    fn revalue(&mut self, symbol: SymbolId) -> Result<(), InvariantBroken> {
        let index = symbol.index();
        let qty = self.positions[index].qty;
        self.values[index] = if qty.is_zero() {
            Money::ZERO
        } else {
            self.instruments.at(symbol).value_at(self.marks[index], qty).ok_or_else(|| {
                InvariantBroken(format!("the value of {qty:?} at {} overflows", self.marks[index]))
            })?
        };
        Ok(())
    }

    /// Books a fill, whose action fits the position. One that was booked before
    /// changes nothing.
    ///
    /// # Errors
    /// Anything that breaks the double entry or overflows.
    pub fn apply(&mut self, fill: &Fill) -> Result<Option<RoundTrip>, InvariantBroken> {
        self.apply_tagged(fill, "")
    }

    /// Books a fill as [`Account::apply`] does, of an order with this reason.
    ///
    /// # Errors
    /// As [`Account::apply`].
    pub fn apply_tagged(
        &mut self,
        fill: &Fill,
        reason: &str,
    ) -> Result<Option<RoundTrip>, InvariantBroken> {
        if fill.id <= self.last_fill {
            return Ok(None);
        }
        self.check_fits(fill)?;
        self.accrue(fill.ts)?;
        self.last_fill = fill.id;
        self.post(fill)?;
        let change = self.change(fill, reason)?;
        self.statistics.on_fill(fill, change.realized);
        let tag = self.positions[fill.symbol.index()].tag.clone();
        self.breakdown.on_fill(fill, change.realized, &tag);
        if fill.action == Action::Short {
            self.charge(fill.symbol, fill.amount.times(self.terms.short_open, Rounding::Ceil))?;
        }
        let trip = change.closed.map(|p| RoundTrip::of(self.statistics.closed + 1, &p, fill));
        if let Some(trip) = &trip {
            self.statistics.on_round_trip(trip.clone());
            self.breakdown.on_round_trip(trip);
            self.metrics.on_round_trip(trip.net());
        }
        self.set_due();
        self.metrics.expose(self.open_positions > 0);
        self.sample();
        Ok(trip)
    }

    /// Posts a fill.
    fn post(&mut self, fill: &Fill) -> Result<(), InvariantBroken> {
        let index = fill.symbol.index();
        let asset = Unit::Asset(self.quote[index]);
        let base = Unit::Base(fill.symbol);
        let buys = fill.action.side() == crate::domain::Side::Buy;
        let sign = if buys { 1 } else { -1 };
        let (qty, amount) = (sign * i128::from(fill.qty.0), sign * fill.amount.0);
        self.ledger.post(&[
            Entry::new(Owner::Strategy, base, qty),
            Entry::new(Owner::Venue, base, -qty),
            Entry::new(Owner::Strategy, asset, -amount - fill.fee.0),
            Entry::new(Owner::Venue, asset, amount),
            Entry::new(Owner::Fees, asset, fill.fee.0),
        ])
    }

    /// Changes the position of a fill.
    fn change(&mut self, fill: &Fill, reason: &str) -> Result<Change, InvariantBroken> {
        let index = fill.symbol.index();
        let was_flat = self.positions[index].is_flat();
        let change = self.positions[index]
            .apply(fill)
            .ok_or_else(|| InvariantBroken(format!("position overflows at {fill:?}")))?;
        let base = Unit::Base(fill.symbol);
        if i128::from(self.positions[index].qty.0) != self.ledger.balance(Owner::Strategy, base) {
            return Err(InvariantBroken(format!("position and balance differ after {fill:?}")));
        }
        match (was_flat, self.positions[index].is_flat()) {
            (true, false) => {
                self.open_positions += 1;
                self.positions[index].tag = self.breakdown.tag(reason);
            }
            (false, true) => self.open_positions -= 1,
            _ => {}
        }
        self.foreign_cash |= self.quote[index] != 0;
        self.revalue(fill.symbol)?;
        if self.marks[index] > 0 && !self.positions[index].is_flat() {
            self.positions[index].excurse(self.values[index]);
        }
        Ok(change)
    }

    /// The stated netting rule: `buy` and `short` only add to a position of
    /// their direction, `sell` and `cover` only reduce one, never beyond flat.
    fn check_fits(&self, fill: &Fill) -> Result<(), InvariantBroken> {
        let held = self.positions[fill.symbol.index()].qty.0;
        let fits = fill.qty.0 > 0
            && fill.amount.0 >= 0
            && fill.fee.0 >= 0
            && match fill.action {
                Action::Buy => held >= 0,
                Action::Short => held <= 0,
                Action::Sell => fill.qty.0 <= held,
                Action::Cover => fill.qty.0 <= held.saturating_neg(),
            };
        if fits {
            Ok(())
        } else {
            Err(InvariantBroken(format!("{fill:?} on a position of {held}")))
        }
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
            for (symbol, position) in self.open_positions() {
                if self.quote[symbol.index()] == number {
                    let mark = self.marks[symbol.index()];
                    amount = amount + self.instruments.at(symbol).value_at(mark, position.qty)?;
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

    /// Checks everything that must hold between fills.
    ///
    /// # Errors
    /// Names what does not.
    pub fn check(&self) -> Result<(), InvariantBroken> {
        self.ledger.check()?;
        if self.equity.is_some() && self.equity != self.recompute_equity() {
            return Err(InvariantBroken(format!(
                "running equity {:?} is not {:?}",
                self.equity,
                self.recompute_equity()
            )));
        }
        for (index, position) in self.positions.iter().enumerate() {
            let symbol = SymbolId(u16::try_from(index).unwrap_or(u16::MAX));
            let balance = self.ledger.balance(Owner::Strategy, Unit::Base(symbol));
            if i128::from(position.qty.0) != balance {
                return Err(InvariantBroken(format!("position {index} differs from its balance")));
            }
        }
        Ok(())
    }

    /// The ledger, for reading.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The quantity held or owed in a symbol.
    #[must_use]
    pub fn qty(&self, symbol: SymbolId) -> Qty {
        self.positions[symbol.index()].qty
    }
}
