//! The trait that a strategy implements.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::book::Book;
use crate::context::Context;
use crate::description::Description;
use crate::types::{Candle, MarketStatus, OrderUpdate, Symbol, Trade};

/// A strategy: a value that is called when something that it subscribed to
/// happens, and that can send orders.
///
/// Its state is what its fields hold; they are saved and restored by serde, so
/// that a run can be restarted and a strategy replaced by a newer version.
pub trait Strategy: Sized + Serialize + DeserializeOwned {
    /// What it is and what it wants.
    fn describe() -> Description;

    /// Makes it, at the start of a run.
    ///
    /// # Errors
    /// Why it cannot run so; the host shows the words.
    fn new(ctx: &mut Context) -> Result<Self, String>;

    /// A trade of the market.
    fn on_trade(&mut self, ctx: &mut Context, trade: &Trade) {
        let _ = (ctx, trade);
    }

    /// A change of a book, already merged.
    fn on_book(&mut self, ctx: &mut Context, book: &Book) {
        let _ = (ctx, book);
    }

    /// A closed candle. Those with `warm_up` set are history from before the run, or of
    /// an outage that is over: they fill indicators, and no order can be sent on them.
    /// In one with `partial` set trades may be missing.
    fn on_candle(&mut self, ctx: &mut Context, candle: &Candle) {
        let _ = (ctx, candle);
    }

    /// A timer of this interval.
    fn on_timer(&mut self, ctx: &mut Context, interval_ms: u32) {
        let _ = (ctx, interval_ms);
    }

    /// A change of a market's status.
    fn on_status(&mut self, ctx: &mut Context, symbol: Symbol, status: MarketStatus) {
        let _ = (ctx, symbol, status);
    }

    /// What became of an order. Position and cash in the context already stand
    /// after it.
    fn on_order(&mut self, ctx: &mut Context, update: &OrderUpdate) {
        let _ = (ctx, update);
    }

    /// The end of the run. No order can be sent here.
    fn on_stop(&mut self, ctx: &mut Context) {
        let _ = ctx;
    }

    /// Reads a state that was saved by the version named. To be overridden by a
    /// strategy whose fields have changed since.
    ///
    /// # Errors
    /// Why the state cannot be used.
    fn migrate(state: &[u8], from_version: &str) -> Result<Self, String> {
        crate::state::decode(state)
            .map_err(|error| format!("state of version {from_version}: {error}"))
    }

    /// Takes over a saved state, after [`Strategy::new`] has read this run's
    /// parameters. To be overridden by a strategy whose parameters may differ
    /// from those that the state was made with.
    fn resume(&mut self, saved: Self) {
        *self = saved;
    }
}
