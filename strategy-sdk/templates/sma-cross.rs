use strategy_sdk::prelude::*;

/// Buys when the fast average rises above the slow one, sells when it falls below.
#[derive(Serialize, Deserialize)]
struct SmaCross(PerSymbol<(Sma, Sma)>);

impl Strategy for SmaCross {
    fn describe() -> Description {
        description!()
            .symbol("BTC/USD")
            .candles(60)
            .parameter("fast", 10, 1..=200, "candles in the fast average")
            .parameter("slow", 30, 2..=500, "candles in the slow average")
    }
    fn new(ctx: &mut Context) -> Result<Self, String> {
        let (fast, slow) = (ctx.param("fast")?, ctx.param("slow")?);
        Ok(Self(PerSymbol::new(ctx, |_| (Sma::new(fast), Sma::new(slow)))))
    }
    fn on_candle(&mut self, ctx: &mut Context, candle: &Candle) {
        let (symbol, (fast, slow)) = (candle.symbol, &mut self.0[candle.symbol]);
        let averages = fast.update(candle.close).zip(slow.update(candle.close));
        let Some((fast, slow)) = averages else { return };
        if fast > slow && ctx.position(symbol).is_flat() {
            ctx.buy(symbol, Size::quote(20.0)).reason("crossed above").send().ok();
        } else if fast < slow && ctx.position(symbol).is_long() {
            ctx.sell(symbol, Size::All).reason("crossed below").send().ok();
        }
    }
}
export!(SmaCross);
