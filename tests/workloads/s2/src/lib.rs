//! Workload S2: the imbalance of the last hundred trades by volume, long only,
//! one base unit at a time.
#![forbid(unsafe_code)]

use strategy_sdk::prelude::*;

const TRADES: usize = 100;
const THRESHOLD: f64 = 0.3;

/// Buys above 0.3 when flat, sells below −0.3 when long.
#[derive(Serialize, Deserialize)]
pub struct S2 {
    imbalance: PerSymbol<TradeImbalance>,
}

impl Strategy for S2 {
    fn describe() -> Description {
        Description::new("s2").version(env!("CARGO_PKG_VERSION")).trades().keep_trades(0)
    }

    fn new(ctx: &mut Context) -> Result<Self, String> {
        Ok(Self { imbalance: PerSymbol::new(ctx, |_| TradeImbalance::new(TRADES)) })
    }

    #[inline]
    fn on_trade(&mut self, ctx: &mut Context, trade: &Trade) {
        let symbol = trade.symbol;
        let imbalance = &mut self.imbalance[symbol];
        let Some(value) = imbalance.update(trade) else { return };
        if !imbalance.is_full() || value.abs() <= THRESHOLD || ctx.has_open_order(symbol) {
            return;
        }
        let position = ctx.position(symbol);
        // A refusal leaves the position as it was, and the next trade asks anew.
        if position.is_flat() && value > THRESHOLD {
            ctx.buy(symbol, Size::base(1.0)).send().ok();
        } else if position.is_long() && value < -THRESHOLD {
            ctx.sell(symbol, Size::base(1.0)).send().ok();
        }
    }
}

export!(S2);
