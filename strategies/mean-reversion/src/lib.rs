//! Trades back towards the mean: near a Bollinger band when the relative strength
//! agrees, and half size below the volume-weighted price when it is neutral.
//!
//! On every closed five-minute candle, after its warm-up:
//!
//! | signal | flat | long | short |
//! |---|---|---|---|
//! | close at most `deviation_threshold` % above the lower band, RSI below `rsi_oversold` | buys | adds | covers all |
//! | close at most `deviation_threshold` % below the upper band, RSI above `rsi_overbought` | shorts | sells all | adds |
//! | close 0.3 % under VWAP, RSI from 40 to 60 | buys half | adds half | covers all |
//!
//! The position never passes `max_position`. One order of a symbol is open at a
//! time, the position is what order updates say, and after a refusal it waits.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use strategy_sdk::prelude::*;
use strategy_sdk::trading::{Bracket, Gate, fitting_quantity};

/// Five minutes, in seconds.
const INTERVAL_S: u32 = 300;

/// Standard deviations between the mean and a band.
const BAND_WIDTH: f64 = 2.0;

/// Wilder's own period.
const RSI_PERIOD: usize = 14;

/// RSI between which it is neutral.
const RSI_NEUTRAL: std::ops::RangeInclusive<f64> = 40.0..=60.0;

/// How far under the volume-weighted price a dip lies, as a factor.
const DIP_PRICE_FACTOR: f64 = 1.0 - 0.3 / 100.0;

/// Part of the full size that a dip is bought with.
const DIP_SIZE_FACTOR: f64 = 0.5;

/// What the price may move and fees may cost between the decision and the fill.
const CASH_RESERVE: f64 = 1.01;

/// The strategy.
#[derive(Serialize, Deserialize)]
pub struct MeanReversion {
    parameters: Parameters,
    symbols: PerSymbol<State>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Parameters {
    lookback_candles: usize,
    deviation_threshold: f64,
    position_size_usd: f64,
    rsi_oversold: f64,
    rsi_overbought: f64,
    max_position: f64,
    bracket: Bracket,
}

/// One symbol's indicators.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    bollinger: Bollinger,
    rsi: Rsi,
    vwap: RollingVwap,
    gate: Gate,
}

/// What a candle tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    LowerBand,
    UpperBand,
    UnderVwap,
}

impl Strategy for MeanReversion {
    fn describe() -> Description {
        description!()
            .symbol("XRP/USD")
            .candles(INTERVAL_S)
            .status()
            .keep_candles(1)
            .parameter("lookback_candles", 20, 2..=1000, "candles in the bands and in VWAP")
            .parameter("deviation_threshold", 0.5, 0.0..=50.0, "nearness to a band, percent of it")
            .parameter("position_size_usd", 20.0, 0.01..=1e9, "full size of an order, USD")
            .parameter("rsi_oversold", 35.0, 0.0..=100.0, "RSI under which the lower band counts")
            .parameter("rsi_overbought", 65.0, 0.0..=100.0, "RSI over which the upper band counts")
            .parameter("take_profit_pct", 0.4, 0.001..=100.0, "gain to close at, percent of entry")
            .parameter("stop_loss_pct", 0.6, 0.001..=99.0, "loss to close at, percent of entry")
            .parameter("max_position", 50.0, 1e-8..=1e12, "largest position, base units")
    }

    fn new(ctx: &mut Context) -> Result<Self, String> {
        let parameters = Parameters {
            lookback_candles: ctx.param("lookback_candles")?,
            deviation_threshold: ctx.param("deviation_threshold")?,
            position_size_usd: ctx.param("position_size_usd")?,
            rsi_oversold: ctx.param("rsi_oversold")?,
            rsi_overbought: ctx.param("rsi_overbought")?,
            max_position: ctx.param("max_position")?,
            bracket: Bracket {
                stop_loss_pct: ctx.param("stop_loss_pct")?,
                take_profit_pct: ctx.param("take_profit_pct")?,
            },
        };
        let symbols = PerSymbol::new(ctx, |_| State::new(parameters.lookback_candles));
        Ok(Self { parameters, symbols })
    }

    fn on_candle(&mut self, ctx: &mut Context, candle: &Candle) {
        let state = &mut self.symbols[candle.symbol];
        let signal = state.take(&self.parameters, candle);
        state.publish(ctx, candle.symbol);
        let Some(signal) = signal else { return };
        if !candle.warm_up && state.gate.is_open(ctx, candle.symbol) {
            act(&self.parameters, ctx, candle, signal);
        }
    }

    fn on_order(&mut self, _: &mut Context, update: &OrderUpdate) {
        self.symbols[update.symbol].gate.on_order(update);
    }

    /// Windows of another length say nothing to this run.
    fn resume(&mut self, saved: Self) {
        if saved.parameters.lookback_candles == self.parameters.lookback_candles {
            self.symbols = saved.symbols;
        }
    }
}

impl State {
    fn new(lookback: usize) -> Self {
        Self {
            bollinger: Bollinger::new(lookback, BAND_WIDTH),
            rsi: Rsi::new(RSI_PERIOD),
            vwap: RollingVwap::new(lookback),
            gate: Gate::default(),
        }
    }

    /// Publishes what it looks at, for a chart.
    fn publish(&self, ctx: &mut Context, symbol: Symbol) {
        let Some(instrument) = ctx.instrument(symbol) else { return };
        let bands = self.bollinger.value();
        let values = [
            ("lower band", bands.map(|bands| bands.lower)),
            ("upper band", bands.map(|bands| bands.upper)),
            ("VWAP", self.vwap.value()),
            ("RSI", self.rsi.value()),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                ctx.indicator(&format!("{name} {}", instrument.symbol), value);
            }
        }
    }

    /// Takes in a candle and says what it tells, once all indicators have values.
    fn take(&mut self, parameters: &Parameters, candle: &Candle) -> Option<Signal> {
        let close = candle.close;
        let bands = self.bollinger.update(close);
        let rsi = self.rsi.update(close);
        let vwap = self.vwap.update(candle.vwap, candle.volume);
        let (bands, rsi) = (bands?, rsi?);
        let near = parameters.deviation_threshold / 100.0;
        if close <= bands.lower * (1.0 + near) && rsi < parameters.rsi_oversold {
            Some(Signal::LowerBand)
        } else if close >= bands.upper * (1.0 - near) && rsi > parameters.rsi_overbought {
            Some(Signal::UpperBand)
        } else if vwap.is_some_and(|vwap| close <= vwap * DIP_PRICE_FACTOR)
            && RSI_NEUTRAL.contains(&rsi)
        {
            Some(Signal::UnderVwap)
        } else {
            None
        }
    }
}

fn act(parameters: &Parameters, ctx: &mut Context, candle: &Candle, signal: Signal) {
    let (symbol, price) = (candle.symbol, candle.close);
    let position = ctx.position(symbol);
    let buys = signal != Signal::UpperBand;
    let reason = match signal {
        Signal::LowerBand => "near the lower band and oversold",
        Signal::UpperBand => "near the upper band and overbought",
        Signal::UnderVwap => "under VWAP with a neutral RSI",
    };
    let closing = match buys {
        true if position.is_short() => Some(Action::Cover),
        false if position.is_long() => Some(Action::Sell),
        _ => None,
    };
    if let Some(action) = closing {
        // A refusal leaves the position, and the next candle asks anew.
        ctx.order(action, symbol, Size::All).reason(reason).send().ok();
        return;
    }
    let part = if signal == Signal::UnderVwap { DIP_SIZE_FACTOR } else { 1.0 };
    let size_usd = parameters.position_size_usd * part;
    let room = parameters.max_position - position.quantity.abs();
    let Some(quantity) = quantity(ctx, candle, size_usd, room, buys) else { return };
    let (action, exits) = if buys {
        (Action::Buy, parameters.bracket.long(position, quantity, price))
    } else {
        (Action::Short, parameters.bracket.short(position, quantity, price))
    };
    // A refusal leaves the position, and a later candle asks anew.
    ctx.order(action, symbol, Size::base(quantity))
        .stop_loss(exits.stop_loss)
        .take_profit(exits.take_profit)
        .reason(reason)
        .send()
        .ok();
}

/// Base units for an amount of USD, if room, venue, cash and instrument allow
/// them.
fn quantity(ctx: &Context, candle: &Candle, size_usd: f64, room: f64, buys: bool) -> Option<f64> {
    let instrument = ctx.instrument(candle.symbol)?;
    let amount = ctx.to_quote(candle.symbol, size_usd)?;
    let quantity = fitting_quantity(instrument, amount, candle.close, room)?;
    let cost = ctx.from_quote(candle.symbol, quantity * candle.close * CASH_RESERVE)?;
    let allowed = if buys { cost <= ctx.cash() } else { instrument.short_allowed };
    allowed.then_some(quantity)
}

export!(MeanReversion);
