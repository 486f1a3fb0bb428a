//! Follows spikes of aggressive volume, and buys dips under the volume-weighted
//! price when buyers are nearly as strong.
//!
//! A spike is a trade larger than `volume_spike_mult` times the mean of the
//! `lookback_trades` before it, on the side to which the imbalance of the last
//! `lookback_trades` leans by more than `imbalance_threshold`.
//!
//! | signal | flat | long | short |
//! |---|---|---|---|
//! | spike of buying | buys | holds | covers all |
//! | spike of selling | shorts | sells all | holds |
//! | imbalance above 0.7 of the threshold, price 0.1 % under VWAP | buys 75 %, target VWAP | holds | covers all |
//!
//! A position is never added to. After an order it lets `cooldown_trades` trades
//! of the symbol pass; one order of a symbol is open at a time, the position is
//! what order updates say, and after a refusal it waits.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use strategy_sdk::prelude::*;
use strategy_sdk::trading::{Bracket, Gate, fitting_quantity};

/// Part of the threshold that the imbalance needs for a dip to be bought.
const DIP_THRESHOLD_FACTOR: f64 = 0.7;

/// Part of the full size that a dip is bought with.
const DIP_SIZE_FACTOR: f64 = 0.75;

/// How far under the volume-weighted price a dip lies, as a factor.
const DIP_PRICE_FACTOR: f64 = 1.0 - 0.1 / 100.0;

/// What the price may move and fees may cost between the decision and the fill.
const CASH_RESERVE: f64 = 1.01;

/// The strategy.
#[derive(Serialize, Deserialize)]
pub struct OrderFlow {
    parameters: Parameters,
    symbols: PerSymbol<State>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Parameters {
    imbalance_threshold: f64,
    volume_spike_mult: f64,
    position_size_usd: f64,
    lookback_trades: usize,
    cooldown_trades: u32,
    bracket: Bracket,
}

/// What is known of one symbol's trades.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    imbalance: TradeImbalance,
    vwap: RollingVwap,
    cooldown: u32,
    gate: Gate,
}

/// What a trade tells.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Signal {
    BuySpike,
    SellSpike,
    Dip { vwap: f64 },
}

impl Strategy for OrderFlow {
    fn describe() -> Description {
        description!()
            .symbol("XRP/USD")
            .symbol("BTC/USD")
            .trades()
            .status()
            .keep_trades(0)
            .parameter("imbalance_threshold", 0.3, 0.0..=1.0, "imbalance that makes a spike count")
            .parameter("volume_spike_mult", 2.0, 1.0..=1000.0, "a spike, in mean trade quantities")
            .parameter("position_size_usd", 25.0, 0.01..=1e9, "full size of an order, USD")
            .parameter("lookback_trades", 50, 2..=10_000, "trades to look back on")
            .parameter("cooldown_trades", 10, 0..=100_000, "trades to let pass after an order")
            .parameter("take_profit_pct", 0.5, 0.001..=100.0, "gain to close at, percent of entry")
            .parameter("stop_loss_pct", 0.3, 0.001..=99.0, "loss to close at, percent of entry")
    }

    fn new(ctx: &mut Context) -> Result<Self, String> {
        let parameters = Parameters {
            imbalance_threshold: ctx.param("imbalance_threshold")?,
            volume_spike_mult: ctx.param("volume_spike_mult")?,
            position_size_usd: ctx.param("position_size_usd")?,
            lookback_trades: ctx.param("lookback_trades")?,
            cooldown_trades: ctx.param("cooldown_trades")?,
            bracket: Bracket {
                stop_loss_pct: ctx.param("stop_loss_pct")?,
                take_profit_pct: ctx.param("take_profit_pct")?,
            },
        };
        let symbols = PerSymbol::new(ctx, |_| State::new(parameters.lookback_trades));
        Ok(Self { parameters, symbols })
    }

    fn on_trade(&mut self, ctx: &mut Context, trade: &Trade) {
        let state = &mut self.symbols[trade.symbol];
        let signal = state.take(&self.parameters, trade);
        if state.cooldown > 0 {
            state.cooldown -= 1;
            return;
        }
        let Some(signal) = signal else { return };
        if state.gate.is_open(ctx, trade.symbol) && act(&self.parameters, ctx, trade, signal) {
            state.cooldown = self.parameters.cooldown_trades;
        }
    }

    fn on_order(&mut self, _: &mut Context, update: &OrderUpdate) {
        self.symbols[update.symbol].gate.on_order(update);
    }

    /// Windows of another length say nothing to this run.
    fn resume(&mut self, saved: Self) {
        if saved.parameters.lookback_trades == self.parameters.lookback_trades {
            self.symbols = saved.symbols;
        }
    }
}

impl State {
    fn new(lookback: usize) -> Self {
        Self {
            imbalance: TradeImbalance::new(lookback),
            vwap: RollingVwap::new(lookback),
            cooldown: 0,
            gate: Gate::default(),
        }
    }

    /// Takes in a trade and says what it tells, once the trades before it fill
    /// the window.
    fn take(&mut self, parameters: &Parameters, trade: &Trade) -> Option<Signal> {
        let usual = self.vwap.is_full().then(|| self.vwap.volume());
        let imbalance = self.imbalance.update(trade);
        let vwap = self.vwap.update(trade.price, trade.quantity);
        let (usual, imbalance, vwap) = (usual?, imbalance?, vwap?);
        let mean = usual / parameters.lookback_trades as f64;
        let threshold = parameters.imbalance_threshold;
        let spike = trade.quantity > parameters.volume_spike_mult * mean;
        if spike && trade.side == Side::Buy && imbalance > threshold {
            Some(Signal::BuySpike)
        } else if spike && trade.side == Side::Sell && imbalance < -threshold {
            Some(Signal::SellSpike)
        } else if imbalance > DIP_THRESHOLD_FACTOR * threshold
            && trade.price <= vwap * DIP_PRICE_FACTOR
        {
            Some(Signal::Dip { vwap })
        } else {
            None
        }
    }
}

/// Does what the signal asks for in this position; says whether an order went out.
fn act(parameters: &Parameters, ctx: &mut Context, trade: &Trade, signal: Signal) -> bool {
    let position = ctx.position(trade.symbol);
    let reason = match signal {
        Signal::BuySpike => "spike of buying".to_owned(),
        Signal::SellSpike => "spike of selling".to_owned(),
        Signal::Dip { vwap } => format!("under VWAP {vwap:.8}"),
    };
    let size = parameters.position_size_usd;
    let (action, size, target) = match signal {
        Signal::BuySpike | Signal::Dip { .. } if position.is_short() => {
            return close(ctx, Action::Cover, trade.symbol, reason);
        }
        Signal::SellSpike if position.is_long() => {
            return close(ctx, Action::Sell, trade.symbol, reason);
        }
        _ if !position.is_flat() => return false,
        Signal::BuySpike => (Action::Buy, size, None),
        Signal::SellSpike => (Action::Short, size, None),
        Signal::Dip { vwap } => (Action::Buy, size * DIP_SIZE_FACTOR, Some(vwap)),
    };
    let Some(quantity) = quantity(ctx, action, trade, size) else { return false };
    let exits = if action == Action::Buy {
        parameters.bracket.long(position, quantity, trade.price)
    } else {
        parameters.bracket.short(position, quantity, trade.price)
    };
    ctx.order(action, trade.symbol, Size::base(quantity))
        .stop_loss(exits.stop_loss)
        .take_profit(target.unwrap_or(exits.take_profit))
        .reason(reason)
        .send()
        .is_ok()
}

fn close(ctx: &mut Context, action: Action, symbol: Symbol, reason: String) -> bool {
    ctx.order(action, symbol, Size::All).reason(reason).send().is_ok()
}

/// Base units for an amount of USD, if venue, cash and instrument allow them.
fn quantity(ctx: &Context, action: Action, trade: &Trade, size_usd: f64) -> Option<f64> {
    let instrument = ctx.instrument(trade.symbol)?;
    let amount = ctx.to_quote(trade.symbol, size_usd)?;
    let affordable = match action {
        Action::Buy => size_usd * CASH_RESERVE <= ctx.cash(),
        _ => instrument.short_allowed,
    };
    let quantity = fitting_quantity(instrument, amount, trade.price, f64::INFINITY)?;
    affordable.then_some(quantity)
}

export!(OrderFlow);
