//! A closed round trip.

use serde::{Deserialize, Serialize};

use super::Position;
use crate::domain::{Cause, Fill, Instrument, Money, Qty, Side, SymbolId, Ts};

/// A closed round trip: from flat to flat in one symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundTrip {
    /// number within the lane, from 1
    pub id: u64,
    /// in what
    pub symbol: SymbolId,
    /// true for a short
    pub short: bool,
    /// the largest size
    pub qty_max: Qty,
    /// when it began
    pub opened: Ts,
    /// when it ended
    pub closed: Ts,
    /// profit before fees and charges
    pub gross: Money,
    /// fees of entry and exit
    pub fees: Money,
    /// charges for opening the short and keeping it open
    pub carry: Money,
    /// what ended it
    pub exit: Cause,
    /// the reason of the order that began it
    pub tag: String,
    /// quote amount of its opening fills
    pub opened_amount: Money,
    /// quote amount of its closing fills
    pub closed_amount: Money,
    /// base units opened in total, and closed as many
    pub traded: i128,
    /// the lowest that its profit before fees ever stood, at most zero
    pub worst: Money,
    /// the highest that its profit before fees ever stood, at least zero
    pub best: Money,
}

impl RoundTrip {
    /// Profit after all fees and charges: exactly the change of cash that it
    /// made.
    #[must_use]
    pub fn net(&self) -> Money {
        self.gross - self.fees - self.carry
    }

    /// The round trip that `position` was when `fill` closed it.
    #[must_use]
    pub fn of(id: u64, position: &Position, fill: &Fill) -> Self {
        Self {
            id,
            symbol: fill.symbol,
            short: fill.action.side() == Side::Buy,
            qty_max: position.qty_max,
            opened: position.opened,
            closed: fill.ts,
            gross: position.realized,
            fees: position.fees,
            carry: position.carry,
            exit: fill.cause,
            tag: position.tag.clone(),
            opened_amount: position.opened_amount,
            closed_amount: position.closed_amount,
            traded: position.traded,
            worst: position.worst,
            best: position.best,
        }
    }

    /// Average price of its opening fills.
    #[must_use]
    pub fn entry_price(&self, instrument: &Instrument) -> Option<f64> {
        self.price(self.opened_amount, instrument)
    }

    /// Average price of its closing fills.
    #[must_use]
    pub fn exit_price(&self, instrument: &Instrument) -> Option<f64> {
        self.price(self.closed_amount, instrument)
    }

    #[allow(clippy::float_arithmetic, reason = "shown, never counted with")]
    fn price(&self, amount: Money, instrument: &Instrument) -> Option<f64> {
        let units = self.traded as f64 / crate::domain::decimal::power(instrument.qty_decimals);
        (units > 0.0).then(|| amount.to_f64() / units)
    }

    /// Its net as a percentage of what its opening fills were worth.
    #[must_use]
    pub fn net_pct(&self) -> Option<f64> {
        self.of_opened(self.net())
    }

    /// The most adverse excursion: how far it ever stood below its entry, in
    /// percent of what its opening fills were worth, at most zero.
    #[must_use]
    pub fn mae_pct(&self) -> Option<f64> {
        self.of_opened(self.worst)
    }

    /// The most favorable excursion, at least zero.
    #[must_use]
    pub fn mfe_pct(&self) -> Option<f64> {
        self.of_opened(self.best)
    }

    #[allow(clippy::float_arithmetic, reason = "a statistic")]
    fn of_opened(&self, amount: Money) -> Option<f64> {
        let opened = self.opened_amount;
        opened.is_positive().then(|| 100.0 * amount.to_f64() / opened.to_f64())
    }
}
