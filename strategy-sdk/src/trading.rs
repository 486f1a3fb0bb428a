//! What a careful strategy does around its signals: one order at a time, a pause
//! after a refusal, stops and targets by percentage, sizes that fit.

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::types::{Instrument, MarketStatus, OrderStatus, OrderUpdate, Position, Symbol};

/// How long a gate stays shut after a refused order. What refused it (no cash, a
/// limit, a halt) seldom passes within seconds, and asking again on every event
/// would fill the log with refusals.
pub const REJECT_PAUSE_NS: u64 = 60_000_000_000;

/// Lets a symbol's next order through only when the last one is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    shut_until_ns: u64,
}

impl Gate {
    /// Whether an order may be sent: the market trades, no order of the symbol is
    /// open, and no refusal is fresh.
    pub fn is_open(&self, ctx: &Context<'_>, symbol: Symbol) -> bool {
        ctx.ts_ns() >= self.shut_until_ns
            && ctx.status(symbol) == MarketStatus::Trading
            && !ctx.has_open_order(symbol)
    }

    /// Takes note of an order update of the symbol.
    pub fn on_order(&mut self, update: &OrderUpdate) {
        if update.status == OrderStatus::Rejected {
            self.shut_until_ns = update.ts_ns.saturating_add(REJECT_PAUSE_NS);
        }
    }
}

/// Distances of stop-loss and take-profit from the entry, in percent of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bracket {
    /// Loss at which the position is closed.
    pub stop_loss_pct: f64,
    /// Gain at which the position is closed.
    pub take_profit_pct: f64,
}

/// A stop-loss price and a take-profit price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exits {
    /// Price at which the position is closed at a loss.
    pub stop_loss: f64,
    /// Price at which the position is closed at a gain.
    pub take_profit: f64,
}

impl Bracket {
    /// Exits of the long that buying `quantity` at `price` leaves, by its average
    /// entry. Where the price already stands beyond one of them, that one is
    /// taken from the price, because an exit on the wrong side is refused.
    pub fn long(&self, held: Position, quantity: f64, price: f64) -> Exits {
        let entry = average_entry(held, quantity, price);
        let stop = |from: f64| from * (1.0 - self.stop_loss_pct / 100.0);
        let target = |from: f64| from * (1.0 + self.take_profit_pct / 100.0);
        Exits {
            stop_loss: if stop(entry) < price { stop(entry) } else { stop(price) },
            take_profit: if target(entry) > price { target(entry) } else { target(price) },
        }
    }

    /// Exits of the short that selling `quantity` at `price` leaves, as
    /// [`Bracket::long`].
    pub fn short(&self, held: Position, quantity: f64, price: f64) -> Exits {
        let entry = average_entry(held, quantity, price);
        let stop = |from: f64| from * (1.0 + self.stop_loss_pct / 100.0);
        let target = |from: f64| from * (1.0 - self.take_profit_pct / 100.0);
        Exits {
            stop_loss: if stop(entry) > price { stop(entry) } else { stop(price) },
            take_profit: if target(entry) < price { target(entry) } else { target(price) },
        }
    }
}

fn average_entry(held: Position, quantity: f64, price: f64) -> f64 {
    let held_quantity = held.quantity.abs();
    let total = held_quantity + quantity;
    if held_quantity > 0.0 && total > 0.0 {
        (held_quantity * held.entry_price + quantity * price) / total
    } else {
        price
    }
}

/// Base units for an amount of quote asset at a price, at most `room`; nothing
/// when the venue would refuse so small an order.
pub fn fitting_quantity(
    instrument: &Instrument,
    quote_amount: f64,
    price: f64,
    room: f64,
) -> Option<f64> {
    if price.is_nan() || price <= 0.0 {
        return None;
    }
    let quantity = (quote_amount / price).min(room);
    let least = instrument.quantity_min.max(instrument.quantity_increment);
    let fits = quantity.is_finite()
        && quantity > 0.0
        && quantity >= least
        && quantity * price >= instrument.cost_min;
    fits.then_some(quantity)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRACKET: Bracket = Bracket { stop_loss_pct: 1.0, take_profit_pct: 2.0 };

    #[track_caller]
    fn close(got: Exits, stop_loss: f64, take_profit: f64) {
        assert!((got.stop_loss - stop_loss).abs() < 1e-9, "{got:?}");
        assert!((got.take_profit - take_profit).abs() < 1e-9, "{got:?}");
    }

    #[test]
    fn exits_of_a_new_position_are_percentages_of_the_price() {
        close(BRACKET.long(Position::default(), 5.0, 100.0), 99.0, 102.0);
        close(BRACKET.short(Position::default(), 5.0, 100.0), 101.0, 98.0);
    }

    #[test]
    fn exits_of_a_grown_position_are_percentages_of_its_average_entry() {
        let long = Position { quantity: 1.0, entry_price: 99.0 };
        close(BRACKET.long(long, 1.0, 100.0), 99.5 * 0.99, 99.5 * 1.02);
        let short = Position { quantity: -1.0, entry_price: 101.0 };
        close(BRACKET.short(short, 1.0, 100.0), 100.5 * 1.01, 100.5 * 0.98);
    }

    #[test]
    fn exit_that_the_price_has_passed_is_taken_from_the_price() {
        let long = Position { quantity: 1.0, entry_price: 150.0 };
        close(BRACKET.long(long, 1.0, 100.0), 99.0, 125.0 * 1.02);
        let short = Position { quantity: -1.0, entry_price: 50.0 };
        close(BRACKET.short(short, 1.0, 100.0), 101.0, 75.0 * 0.98);
    }

    #[test]
    fn quantity_fits_room_and_minimums() {
        let instrument = Instrument {
            symbol: "XRP/USD".into(),
            base: "XRP".into(),
            quote: "USD".into(),
            price_increment: 0.01,
            quantity_increment: 0.1,
            quantity_min: 2.0,
            cost_min: 5.0,
            short_allowed: true,
        };
        let fitting = |amount, room| fitting_quantity(&instrument, amount, 2.0, room);
        assert_eq!(fitting(20.0, 100.0), Some(10.0));
        assert_eq!(fitting(20.0, 4.0), Some(4.0));
        assert_eq!(fitting(20.0, 1.9), None, "below the minimum quantity");
        assert_eq!(fitting(4.9, 100.0), None, "below the minimum cost");
        assert_eq!(fitting_quantity(&instrument, 20.0, 0.0, 9.0), None);
    }
}
