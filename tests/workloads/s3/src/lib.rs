//! Workload S3: counts trades, so that it costs nothing but its delivery.
#![forbid(unsafe_code)]

use strategy_sdk::prelude::*;

/// Counts trades.
#[derive(Serialize, Deserialize)]
pub struct S3 {
    events: u64,
}

impl S3 {
    /// How many trades it has been given.
    pub fn events(&self) -> u64 {
        self.events
    }
}

impl Strategy for S3 {
    fn describe() -> Description {
        Description::new("s3").version(env!("CARGO_PKG_VERSION")).trades().keep_trades(0)
    }

    fn new(_: &mut Context) -> Result<Self, String> {
        Ok(Self { events: 0 })
    }

    #[inline]
    fn on_trade(&mut self, _: &mut Context, _: &Trade) {
        self.events += 1;
    }

    fn on_stop(&mut self, ctx: &mut Context) {
        ctx.indicator("events", self.events as f64);
    }
}

export!(S3);
