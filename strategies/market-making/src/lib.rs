//! Makes a market by inventory: buys and shorts on the imbalance of the book
//! while the spread is wide enough to pay for it.
//!
//! On every change of a book whose spread is at least `min_spread_pct`:
//!
//! | position | imbalance of the book | what it does |
//! |---|---|---|
//! | long | below −0.2 | sells all |
//! | short | above 0.2 | covers all |
//! | long or flat | above 0.1 | buys |
//! | short or flat | below −0.1 | shorts |
//!
//! It does not open where the stop would lie inside the spread.
//! An order's size shrinks with the inventory, to 10 % at least, and never takes
//! the inventory past `max_inventory`. One order of a symbol is open at a time,
//! the position is what order updates say, and after a refusal it waits.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use strategy_sdk::prelude::*;
use strategy_sdk::trading::{Bracket, Exits, Gate, fitting_quantity};

/// Levels of each side that the imbalance weighs, and that are subscribed to.
const DEPTH: u32 = 10;

/// Imbalance at which a position is opened or grown.
const ENTRY_IMBALANCE: f64 = 0.1;

/// Imbalance against the position at which it is closed; wider than the entry's,
/// so that a book in balance does not trade to and fro.
const EXIT_IMBALANCE: f64 = 0.2;

/// The least part of the full size that inventory leaves.
const SIZE_FACTOR_MIN: f64 = 0.1;

/// What the price may move and fees may cost between the decision and the fill.
const CASH_RESERVE: f64 = 1.01;

/// The strategy.
#[derive(Serialize, Deserialize)]
pub struct MarketMaking {
    parameters: Parameters,
    gates: PerSymbol<Gate>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Parameters {
    min_spread_pct: f64,
    position_size_usd: f64,
    max_inventory: f64,
    inventory_skew: f64,
    bracket: Bracket,
}

impl Strategy for MarketMaking {
    fn describe() -> Description {
        description!()
            .symbol("XRP/USD")
            .book(DEPTH)
            .status()
            .parameter("min_spread_pct", 0.1, 0.0..=50.0, "least spread, percent of the mid price")
            .parameter("position_size_usd", 20.0, 0.01..=1e9, "full size of an order, USD")
            .parameter("max_inventory", 100.0, 1e-8..=1e12, "largest position, base units")
            .parameter(
                "inventory_skew",
                0.5,
                0.0..=1.0,
                "how much of the size a full inventory takes away",
            )
            .parameter("take_profit_pct", 0.3, 0.001..=100.0, "gain to close at, percent of entry")
            .parameter("stop_loss_pct", 0.5, 0.001..=99.0, "loss to close at, percent of entry")
    }

    fn new(ctx: &mut Context) -> Result<Self, String> {
        let parameters = Parameters {
            min_spread_pct: ctx.param("min_spread_pct")?,
            position_size_usd: ctx.param("position_size_usd")?,
            max_inventory: ctx.param("max_inventory")?,
            inventory_skew: ctx.param("inventory_skew")?,
            bracket: Bracket {
                stop_loss_pct: ctx.param("stop_loss_pct")?,
                take_profit_pct: ctx.param("take_profit_pct")?,
            },
        };
        Ok(Self { parameters, gates: PerSymbol::new(ctx, |_| Gate::default()) })
    }

    fn on_book(&mut self, ctx: &mut Context, book: &Book) {
        let wide = book.spread_pct().is_some_and(|spread| spread >= self.parameters.min_spread_pct);
        if !wide || !self.gates[book.symbol()].is_open(ctx, book.symbol()) {
            return;
        }
        let Some(imbalance) = book.imbalance(DEPTH as usize) else { return };
        let position = ctx.position(book.symbol());
        if position.is_long() && imbalance < -EXIT_IMBALANCE {
            close(ctx, Action::Sell, book.symbol(), imbalance);
        } else if position.is_short() && imbalance > EXIT_IMBALANCE {
            close(ctx, Action::Cover, book.symbol(), imbalance);
        } else if !position.is_short() && imbalance > ENTRY_IMBALANCE {
            self.open(ctx, Action::Buy, book, imbalance);
        } else if !position.is_long() && imbalance < -ENTRY_IMBALANCE {
            self.open(ctx, Action::Short, book, imbalance);
        }
    }

    fn on_order(&mut self, _: &mut Context, update: &OrderUpdate) {
        self.gates[update.symbol].on_order(update);
    }

    /// Parameters are this run's; the state is only about orders.
    fn resume(&mut self, saved: Self) {
        self.gates = saved.gates;
    }
}

impl MarketMaking {
    fn open(&self, ctx: &mut Context, action: Action, book: &Book, imbalance: f64) {
        let symbol = book.symbol();
        let buys = action == Action::Buy;
        let best = if buys { book.best_ask() } else { book.best_bid() };
        let (Some(best), Some(instrument)) = (best, ctx.instrument(symbol)) else { return };
        let Some((quantity, exits)) = self.size(ctx, symbol, buys, best.price) else { return };
        // A stop inside the spread would close the position the moment it opens.
        let beyond_spread = if buys {
            book.best_bid().is_some_and(|bid| exits.stop_loss < bid.price)
        } else {
            book.best_ask().is_some_and(|ask| exits.stop_loss > ask.price)
        };
        if !beyond_spread || !(buys || instrument.short_allowed) {
            return;
        }
        // A refusal arrives as an order update, or leaves the next book to ask.
        ctx.indicator("imbalance", imbalance);
        ctx.order(action, symbol, Size::base(quantity))
            .stop_loss(exits.stop_loss)
            .take_profit(exits.take_profit)
            .reason(format!("book imbalance {imbalance:.3}"))
            .send()
            .ok();
    }

    /// The quantity that inventory, room and cash leave, and the exits of the
    /// position it would make.
    fn size(&self, ctx: &Context, symbol: Symbol, buys: bool, price: f64) -> Option<(f64, Exits)> {
        let parameters = &self.parameters;
        let position = ctx.position(symbol);
        let inventory = position.quantity.abs();
        let full = inventory / parameters.max_inventory;
        let factor = (1.0 - parameters.inventory_skew * full).clamp(SIZE_FACTOR_MIN, 1.0);
        let amount = ctx.to_quote(symbol, parameters.position_size_usd * factor)?;
        let room = parameters.max_inventory - inventory;
        let quantity = fitting_quantity(ctx.instrument(symbol)?, amount, price, room)?;
        let cost = ctx.from_quote(symbol, quantity * price * CASH_RESERVE)?;
        if buys && cost > ctx.cash() {
            return None;
        }
        let exits = if buys {
            parameters.bracket.long(position, quantity, price)
        } else {
            parameters.bracket.short(position, quantity, price)
        };
        Some((quantity, exits))
    }
}

fn close(ctx: &mut Context, action: Action, symbol: Symbol, imbalance: f64) {
    // A refusal arrives as an order update, or leaves the next book to ask.
    ctx.indicator("imbalance", imbalance);
    ctx.order(action, symbol, Size::All)
        .reason(format!("book imbalance {imbalance:.3}"))
        .send()
        .ok();
}

export!(MarketMaking);
