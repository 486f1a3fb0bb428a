//! A strategy's account: ledger, positions, equity, peak and drawdown.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::ledger::{Entry, Ledger, Owner, Unit};
use super::over_time::{Charge, ChargeKind};
use super::position::Change;
use super::totals::Booked;
use super::{Breakdown, InvariantBroken, Metrics, Position, RoundTrip, Statistics, Terms};
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
pub(super) struct Asset {
    pub(super) name: String,
    /// the symbol whose mark converts it to the currency; none for the currency
    pub(super) rate: Option<SymbolId>,
}

/// One strategy's account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub(super) instruments: InstrumentTable,
    pub(super) assets: Vec<Asset>,
    /// by symbol: the number of its quote asset
    pub(super) quote: Vec<u8>,
    pub(super) ledger: Ledger,
    pub(super) positions: Vec<Position>,
    /// by symbol: twice the mark price, 0 while unknown
    pub(super) marks: Vec<i64>,
    /// by symbol: value of the position in its quote asset
    pub(super) values: Vec<Money>,
    pub(super) open_positions: usize,
    pub(super) foreign_cash: bool,
    pub(super) equity: Option<Money>,
    pub(super) start_equity: Option<Money>,
    pub(super) peak: Money,
    pub(super) trough: Money,
    pub(super) max_drawdown_pct: u64,
    /// number of the last fill that was booked
    last_fill: u64,
    pub(super) terms: Terms,
    /// when the next charge on a short falls due
    pub(super) due: i64,
    /// booked and not yet told
    pub(super) charges: Vec<Charge>,
    pub(super) metrics: Metrics,
    pub(super) breakdown: Breakdown,
    /// by symbol: twice its first price, 0 while there was none
    pub(super) first: Vec<i64>,
    /// symbols without a first price
    pub(super) unpriced: usize,
    /// statistics over fills and round trips
    pub statistics: Statistics,
}

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
            charges: Vec::new(),
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

    /// A symbol's position.
    #[must_use]
    pub fn position(&self, symbol: SymbolId) -> &Position {
        &self.positions[symbol.index()]
    }

    /// All positions that are not flat.
    pub fn open_positions(&self) -> impl Iterator<Item = (SymbolId, &Position)> {
        (0_u16..).map(SymbolId).zip(&self.positions).filter(|(_, p)| !p.is_flat())
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
        let own = Booked {
            amount: Some(fill.amount),
            fee: Some(fill.fee),
            realized: Some(change.realized),
        };
        let booked = self.booked(fill, change.realized);
        self.statistics.on_fill(fill, &booked);
        let tag = self.positions[fill.symbol.index()].tag.clone();
        self.breakdown.on_fill(fill.symbol, &own, &booked, &tag);
        if fill.action == Action::Short {
            let amount = fill.amount.times(self.terms.short_open, Rounding::Ceil);
            self.charge(fill.symbol, amount, ChargeKind::Opening)?;
        }
        let trip = change.closed.map(|p| RoundTrip::of(self.statistics.closed + 1, &p, fill));
        if let Some(trip) = &trip {
            let net = self.in_currency(fill.symbol, trip.net());
            self.statistics.on_round_trip(trip.clone(), net);
            self.breakdown.on_round_trip(trip, net);
            if let Some(net) = net {
                self.metrics.on_round_trip(net);
            }
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
        self.revalue(fill.symbol);
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
