//! What is traded, in which units and increments.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::decimal::{self, Rounding};
use super::{Money, Price, Qty, Rate, SymbolId};

/// A traded pair: its units and the venue's rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// the venue's name for it, such as `XRP/USD`
    pub symbol: String,
    /// the asset bought and sold
    pub base: String,
    /// the asset that prices are in
    pub quote: String,
    /// decimals of a price unit
    pub price_decimals: u8,
    /// decimals of a quantity unit
    pub qty_decimals: u8,
    /// prices are multiples of this, in price units
    pub price_increment: Price,
    /// quantities are multiples of this, in quantity units
    pub qty_increment: Qty,
    /// smallest order, in quantity units
    pub qty_min: Qty,
    /// smallest order, in money of the quote asset
    pub cost_min: Money,
    /// whether it may be sold short
    pub short_allowed: bool,
}

/// What a venue may change of an instrument while it trades. Its units stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// prices are multiples of this, in price units
    pub price_increment: Price,
    /// quantities are multiples of this, in quantity units
    pub qty_increment: Qty,
    /// smallest order, in quantity units
    pub qty_min: Qty,
    /// smallest order, in money of the quote asset
    pub cost_min: Money,
    /// whether it may be sold short
    pub short_allowed: bool,
}

impl Instrument {
    /// The most decimals a price or a quantity may have together, so that the
    /// product of two `i64` always converts to money.
    pub const DECIMALS_MAX: u8 = 18;

    /// An instrument whose increments are one unit and that has no minimums.
    /// The symbol is split at `/` or `-`; without either it has no known quote.
    #[must_use]
    pub fn plain(symbol: &str, price_decimals: u8, qty_decimals: u8) -> Self {
        let (base, quote) = split_symbol(symbol);
        Self {
            symbol: symbol.to_owned(),
            base,
            quote,
            price_decimals,
            qty_decimals,
            price_increment: Price(1),
            qty_increment: Qty(1),
            qty_min: Qty(1),
            cost_min: Money::ZERO,
            short_allowed: true,
        }
    }

    /// The venue's present rules.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            price_increment: self.price_increment,
            qty_increment: self.qty_increment,
            qty_min: self.qty_min,
            cost_min: self.cost_min,
            short_allowed: self.short_allowed,
        }
    }

    /// The same instrument by other rules.
    #[must_use]
    pub fn with_rules(&self, rules: &Rules) -> Self {
        Self {
            price_increment: rules.price_increment,
            qty_increment: rules.qty_increment,
            qty_min: rules.qty_min,
            cost_min: rules.cost_min,
            short_allowed: rules.short_allowed,
            ..self.clone()
        }
    }

    /// Price times quantity as money, rounded as named; `None` beyond
    /// [`Money::LIMIT`].
    #[must_use]
    pub fn notional(&self, price: Price, qty: Qty, rounding: Rounding) -> Option<Money> {
        self.scaled(i128::from(price.0) * i128::from(qty.0), 1, rounding)
    }

    /// The value of `qty` at half of `twice_price`, rounded down, so that a long
    /// is never worth more and a debt never less than its exact value. Marks are
    /// kept twice as fine as prices because a mid can fall between two units.
    #[must_use]
    pub fn value_at(&self, twice_price: i64, qty: Qty) -> Option<Money> {
        self.scaled(i128::from(twice_price) * i128::from(qty.0), 2, Rounding::Floor)
    }

    /// A sum of price × quantity products as money, times a ratio, rounded once
    /// as named; `None` beyond [`Money::LIMIT`].
    #[must_use]
    pub fn amount(&self, product: i128, ratio: Rate, rounding: Rounding) -> Option<Money> {
        if ratio == Rate::ONE {
            return self.scaled(product, 1, rounding);
        }
        let product = product.checked_mul(i128::from(ratio.0))?;
        self.scaled(product, i128::from(Rate::ONE.0), rounding)
    }

    fn scaled(&self, product: i128, divisor: i128, rounding: Rounding) -> Option<Money> {
        let decimals = self.price_decimals + self.qty_decimals;
        let money = if decimals <= Money::DECIMALS {
            let factor = decimal::pow10(u32::from(Money::DECIMALS - decimals))?;
            let value = product.checked_mul(factor)?;
            if divisor == 1 { value } else { decimal::div_rounded(value, divisor, rounding) }
        } else {
            let factor = decimal::pow10(u32::from(decimals - Money::DECIMALS))?;
            decimal::div_rounded(product, factor.checked_mul(divisor)?, rounding)
        };
        (money.abs() <= Money::LIMIT.0).then_some(Money(money))
    }

    /// The largest quantity, in whole increments, that costs at most `money` at
    /// `price`; `None` when the price is not positive.
    #[must_use]
    pub fn affordable(&self, money: Money, price: Price) -> Option<Qty> {
        self.affordable_units(money, price).map(|qty| self.round_qty(qty))
    }

    /// The same in quantity units, whatever the increment: for a part of an order.
    #[must_use]
    pub fn affordable_units(&self, money: Money, price: Price) -> Option<Qty> {
        if price.0 <= 0 || money.0 <= 0 {
            return (price.0 > 0).then_some(Qty::ZERO);
        }
        let decimals = self.price_decimals + self.qty_decimals;
        let (numerator, divisor) = if decimals <= Money::DECIMALS {
            let factor = decimal::pow10(u32::from(Money::DECIMALS - decimals))?;
            (money.0, i128::from(price.0).checked_mul(factor)?)
        } else {
            let factor = decimal::pow10(u32::from(decimals - Money::DECIMALS))?;
            (money.0.checked_mul(factor)?, i128::from(price.0))
        };
        i64::try_from(numerator / divisor).ok().map(Qty)
    }

    /// The largest quantity, in whole increments, that is worth at most `money` at
    /// `price` and at half of `twice_mark`, where that is known.
    #[must_use]
    pub fn owing(&self, money: Money, price: Price, twice_mark: i64) -> Option<Qty> {
        let at_price = self.affordable(money, price)?;
        if twice_mark <= 0 {
            return Some(at_price);
        }
        // Worth half of it at twice the mark.
        let at_mark = self.affordable(Money(money.0.checked_mul(2)?), Price(twice_mark))?;
        Some(at_price.min(at_mark))
    }

    /// Rounds a quantity down to its increment.
    #[must_use]
    pub fn round_qty(&self, qty: Qty) -> Qty {
        Qty(qty.0 - qty.0.rem_euclid(self.qty_increment.0.max(1)))
    }

    /// Rounds a price to its increment; `None` on overflow.
    #[must_use]
    pub fn round_price(&self, price: Price, rounding: Rounding) -> Option<Price> {
        let increment = i128::from(self.price_increment.0.max(1));
        let steps = decimal::div_rounded(price.0.into(), increment, rounding);
        i64::try_from(steps.checked_mul(increment)?).ok().map(Price)
    }

    /// The price as a double.
    #[must_use]
    pub fn price_f64(&self, price: Price) -> f64 {
        decimal::to_f64(price.0, self.price_decimals)
    }

    /// The quantity as a double.
    #[must_use]
    pub fn qty_f64(&self, qty: Qty) -> f64 {
        decimal::to_f64(qty.0, self.qty_decimals)
    }

    /// The price as text, with all its decimals.
    #[must_use]
    pub fn price_text(&self, price: Price) -> String {
        decimal::format(price.0.into(), self.price_decimals)
    }

    /// The quantity as text, without trailing zeros.
    #[must_use]
    pub fn qty_text(&self, qty: Qty) -> String {
        decimal::format_short(qty.0.into(), self.qty_decimals)
    }

    /// Checks what arithmetic relies on.
    ///
    /// # Errors
    /// A sentence that names the symbol and the field.
    pub fn validate(&self) -> Result<(), String> {
        if self.price_decimals + self.qty_decimals > Self::DECIMALS_MAX {
            return Err(format!("{}: more than 18 decimals in price and quantity", self.symbol));
        }
        if self.price_increment.0 <= 0 || self.qty_increment.0 <= 0 {
            return Err(format!("{}: an increment is not positive", self.symbol));
        }
        if self.qty_min.0 < 0 || self.cost_min.0 < 0 {
            return Err(format!("{}: a minimum is negative", self.symbol));
        }
        Ok(())
    }
}

/// Splits `XRP/USD`, `SOL-USD` or `BTCUSDT` into base and quote. Names without a
/// separator are split before a known quote asset.
fn split_symbol(symbol: &str) -> (String, String) {
    if let Some((base, quote)) = symbol.split_once(['/', '-']) {
        return (base.to_owned(), quote.to_owned());
    }
    for quote in ["USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USD", "EUR", "GBP", "BTC", "ETH", "BNB"]
    {
        if let Some(base) = symbol.strip_suffix(quote).filter(|base| !base.is_empty()) {
            return (base.to_owned(), quote.to_owned());
        }
    }
    (symbol.to_owned(), String::new())
}

/// The run's instruments; a [`SymbolId`] is an index into it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Instrument>", into = "Vec<Instrument>")]
pub struct InstrumentTable(Arc<[Instrument]>);

impl From<Vec<Instrument>> for InstrumentTable {
    fn from(instruments: Vec<Instrument>) -> Self {
        Self::new(instruments)
    }
}

impl From<InstrumentTable> for Vec<Instrument> {
    fn from(table: InstrumentTable) -> Self {
        table.0.to_vec()
    }
}

impl InstrumentTable {
    /// A table in the given order.
    #[must_use]
    pub fn new(instruments: Vec<Instrument>) -> Self {
        Self(instruments.into())
    }

    /// The instrument of a symbol of this table.
    ///
    /// # Panics
    /// When the symbol is not from this table, which is a defect of the host:
    /// numbers from outside go through [`InstrumentTable::get`].
    #[must_use]
    pub fn at(&self, symbol: SymbolId) -> &Instrument {
        &self.0[symbol.index()]
    }

    /// The instrument, when there is such a symbol.
    #[must_use]
    pub fn get(&self, symbol: SymbolId) -> Option<&Instrument> {
        self.0.get(symbol.index())
    }

    /// The symbol of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<SymbolId> {
        let index = self.0.iter().position(|i| i.symbol == name)?;
        u16::try_from(index).ok().map(SymbolId)
    }

    /// The same table with other rules of one symbol; without that symbol, as it
    /// is.
    #[must_use]
    pub fn with_rules(&self, symbol: SymbolId, rules: &Rules) -> Self {
        let mut table = self.0.to_vec();
        if let Some(instrument) = table.get_mut(symbol.index()) {
            *instrument = instrument.with_rules(rules);
        }
        Self::new(table)
    }

    /// All instruments in order.
    pub fn iter(&self) -> impl Iterator<Item = (SymbolId, &Instrument)> {
        (0_u16..).map(SymbolId).zip(self.0.iter())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
