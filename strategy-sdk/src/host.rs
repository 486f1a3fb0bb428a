//! What a strategy may ask of whoever runs it.

use crate::types::{Account, Candle, Level, LogLevel, Order, OrderId, RejectReason, Symbol, Trade};

/// The host's side of the contract, as the runner calls it.
///
/// The sandbox glue implements it with the module's imports; a native engine
/// and the test harness implement it directly.
pub trait Host {
    /// Takes an order. What becomes of it arrives as an order update.
    ///
    /// # Errors
    /// Why it is refused at once.
    fn submit(&mut self, order: Order) -> Result<OrderId, RejectReason>;

    /// Takes a request to cancel; false when the call's buffer is full.
    fn cancel(&mut self, order: OrderId) -> bool;

    /// Takes a request to cancel all orders, or all of one instrument.
    fn cancel_all(&mut self, symbol: Option<Symbol>);

    /// Takes a new size in base units and a new limit price of a resting order;
    /// false when the call's buffer is full.
    fn amend(&mut self, order: OrderId, size: Option<f64>, price: Option<f64>) -> bool;

    /// The account. Only asked at the start and on order updates.
    fn account(&mut self) -> Account;

    /// The newest closed candles, newest last. Only asked at the start and on
    /// order updates.
    fn candles(&mut self, symbol: Symbol, interval_s: u32, newest: u32) -> Vec<Candle>;

    /// The newest trades, newest last. Only asked at the start and on order
    /// updates.
    fn trades(&mut self, symbol: Symbol, newest: u32) -> Vec<Trade>;

    /// Bids and asks, best first. Only asked at the start and on order updates.
    fn book(&mut self, symbol: Symbol, depth: u32) -> (Vec<Level>, Vec<Level>);

    /// Takes a line for the log.
    fn log(&mut self, level: LogLevel, message: &str);

    /// Takes a number to plot or watch.
    fn indicator(&mut self, name: &str, value: f64);
}
