//! What a simulated market is like.

use crate::domain::{DecimalError, Instrument, Price, Qty, Ts, decimal};

/// Settings of a simulated market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimConfig {
    /// what is traded
    pub symbols: Vec<SimSymbol>,
    /// mean spread in millionths of the price, 1,000 is 0.1 %
    pub spread_ppm: u32,
    /// levels a side
    pub levels: u32,
    /// book changes a second for each symbol
    pub rate_hz: u32,
    /// trades a minute for each symbol, on average
    pub trades_per_minute: u32,
    /// standard deviation of a year's return, in millionths: 800,000 is 80 %
    pub volatility_ppm: u32,
    /// what all randomness comes from
    pub seed: u64,
    /// the time of the first event
    pub start: Ts,
}

impl Default for SimConfig {
    /// Four symbols, ten changes and three trades a second, 80 % volatility,
    /// from 2026-01-01.
    fn default() -> Self {
        let symbols = [
            ("XRP/USD", "2.35"),
            ("BTC/USD", "104500"),
            ("ETH/USD", "3900"),
            ("XRP/BTC", "0.0000225"),
        ];
        Self {
            symbols: symbols.iter().filter_map(|(s, p)| SimSymbol::new(s, p).ok()).collect(),
            spread_ppm: 1_000,
            levels: 10,
            rate_hz: 10,
            trades_per_minute: 180,
            volatility_ppm: 800_000,
            seed: 1,
            start: Ts(1_767_225_600 * Ts::SECOND),
        }
    }
}

impl SimConfig {
    /// Checks each setting's range.
    ///
    /// # Errors
    /// The setting, its value and its range.
    pub fn validate(&self) -> Result<(), String> {
        let ranges = [
            ("symbols", self.symbols.len() as u64, 1, 1_000),
            ("spread_ppm", self.spread_ppm.into(), 1, 100_000),
            ("levels", self.levels.into(), 1, 1_000),
            ("rate_hz", self.rate_hz.into(), 1, 10_000),
            ("trades_per_minute", self.trades_per_minute.into(), 0, 600_000),
            ("volatility_ppm", self.volatility_ppm.into(), 0, 10_000_000),
        ];
        for (name, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(format!("{name} {value} is not in {least}..={most}"));
            }
        }
        if self.start.0 < 0 {
            return Err("the start lies before 1970".into());
        }
        let mut names: Vec<_> = self.symbols.iter().map(|s| &s.instrument.symbol).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("{} is listed twice", pair[0])),
            None => Ok(()),
        }
    }
}

/// A symbol of a simulated market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimSymbol {
    instrument: Instrument,
    start_price: Price,
    typical_qty: Qty,
}

impl SimSymbol {
    /// Price units that 0.1 % of the price must have at least, so that a spread
    /// and levels behind it have room. With it the four default symbols get the
    /// decimals that Kraken gives them, and XRP/BTC, where its eight would leave
    /// two units for the spread, gets ten.
    const UNITS_PER_MILLE: i128 = 200;
    /// Decimals of quantities, as on most venues.
    const QTY_DECIMALS: u8 = 8;

    /// A symbol that starts at `start_price`, a decimal. Its price has as many
    /// decimals as a 0.1 % spread needs.
    ///
    /// # Errors
    /// A price that is no positive decimal number, or too small or too large.
    pub fn new(symbol: &str, start_price: &str) -> Result<Self, DecimalError> {
        let range = || DecimalError::Range(start_price.to_owned());
        let finest = Instrument::DECIMALS_MAX - Self::QTY_DECIMALS;
        let written = decimal::significant_decimals(start_price)?;
        let enough = |&decimals: &u8| {
            let units = decimal::parse(start_price, decimals).unwrap_or(0);
            units >= 1_000 * Self::UNITS_PER_MILLE
        };
        let decimals = (written..=finest).find(enough).ok_or_else(range)?;
        let price = decimal::parse_i64(start_price, decimals)?;
        // Leaves room for a price sixteen times as high with 16 more bits.
        if price > i64::MAX >> 24 {
            return Err(range());
        }
        let instrument = Instrument::plain(symbol, decimals, Self::QTY_DECIMALS);
        let typical_qty = typical_qty(&instrument, price).ok_or_else(range)?;
        Ok(Self { instrument, start_price: Price(price), typical_qty })
    }

    /// The instrument.
    #[must_use]
    pub fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    /// The price at the start.
    #[must_use]
    pub fn start_price(&self) -> Price {
        self.start_price
    }

    /// The size of a common trade.
    pub(super) fn typical_qty(&self) -> Qty {
        self.typical_qty
    }
}

/// What about 250 US dollars buy, in quantity units.
fn typical_qty(instrument: &Instrument, price: i64) -> Option<Qty> {
    // In millionths of the quote asset; the rates only have to be plausible.
    let notional: i128 = match instrument.quote.as_str() {
        "BTC" | "XBT" => 2_500,
        "ETH" => 70_000,
        _ => 250_000_000,
    };
    let decimals = instrument.price_decimals + instrument.qty_decimals;
    let scaled = notional.checked_mul(decimal::pow10(decimals.into())?)?;
    let qty = scaled / (1_000_000 * i128::from(price));
    // At least enough to draw smaller sizes from, and room for larger ones.
    i64::try_from(qty.max(1_000)).ok().filter(|&q| q < i64::MAX >> 24).map(Qty)
}
