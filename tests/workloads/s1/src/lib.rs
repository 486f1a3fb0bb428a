//! Workload S1: the relative strength index on one-minute closes, long only, one
//! base unit at a time.
#![forbid(unsafe_code)]

use strategy_sdk::prelude::*;

const PERIOD: usize = 14;
const OVERSOLD: f64 = 30.0;
const OVERBOUGHT: f64 = 70.0;

/// Buys below 30 when flat, sells above 70 when long.
#[derive(Serialize, Deserialize)]
pub struct S1 {
    rsi: PerSymbol<Rsi>,
}

impl Strategy for S1 {
    fn describe() -> Description {
        Description::new("s1").version(env!("CARGO_PKG_VERSION")).candles(60).keep_candles(1)
    }

    fn new(ctx: &mut Context) -> Result<Self, String> {
        Ok(Self { rsi: PerSymbol::new(ctx, |_| Rsi::new(PERIOD)) })
    }

    fn on_candle(&mut self, ctx: &mut Context, candle: &Candle) {
        let symbol = candle.symbol;
        let Some(rsi) = self.rsi[symbol].update(candle.close) else { return };
        if candle.warm_up || ctx.has_open_order(symbol) {
            return;
        }
        let position = ctx.position(symbol);
        // A refusal leaves the position as it was, and the next candle asks anew.
        if position.is_flat() && rsi < OVERSOLD {
            ctx.buy(symbol, Size::base(1.0)).send().ok();
        } else if position.is_long() && rsi > OVERBOUGHT {
            ctx.sell(symbol, Size::base(1.0)).send().ok();
        }
    }
}

export!(S1);
