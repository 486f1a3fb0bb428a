//! Orders built step by step.

use crate::context::Context;
use crate::types::{Order, OrderId, OrderKind, RejectReason, TimeInForce};

/// An order in the making: a market order unless told otherwise.
#[must_use = "an order is sent by `send`"]
pub struct OrderBuilder<'c, 'a> {
    context: &'c mut Context<'a>,
    order: Order,
}

impl<'c, 'a> OrderBuilder<'c, 'a> {
    pub(crate) fn new(context: &'c mut Context<'a>, order: Order) -> Self {
        Self { context, order }
    }

    fn with(mut self, change: impl FnOnce(&mut Order)) -> Self {
        change(&mut self.order);
        self
    }

    /// Fills at this price or better.
    pub fn limit(self, price: f64) -> Self {
        self.with(|order| order.kind = OrderKind::Limit(price))
    }

    /// Fills at the market once this price is reached.
    pub fn stop(self, price: f64) -> Self {
        self.with(|order| order.kind = OrderKind::Stop(price))
    }

    /// Fills at the limit or better once the stop is reached.
    pub fn stop_limit(self, stop: f64, limit: f64) -> Self {
        self.with(|order| order.kind = OrderKind::StopLimit { stop, limit })
    }

    /// Fills at the market once the price has turned by this distance in quote
    /// units.
    pub fn trailing_stop(self, distance: f64) -> Self {
        self.with(|order| order.kind = OrderKind::TrailingStop(distance))
    }

    /// How long it lives.
    pub fn time_in_force(self, time_in_force: TimeInForce) -> Self {
        self.with(|order| order.time_in_force = time_in_force)
    }

    /// Ends at this time if it still waits, nanoseconds since the Unix epoch.
    pub fn good_till(self, ts_ns: u64) -> Self {
        self.with(|order| order.good_till_ns = Some(ts_ns))
    }

    /// Rejected instead of taking liquidity.
    pub fn post_only(self) -> Self {
        self.with(|order| order.post_only = true)
    }

    /// Rejected instead of opening or adding.
    pub fn reduce_only(self) -> Self {
        self.with(|order| order.reduce_only = true)
    }

    /// Price at which the position is closed at a loss.
    pub fn stop_loss(self, price: f64) -> Self {
        self.with(|order| order.stop_loss = Some(price))
    }

    /// Price at which the position is closed at a gain.
    pub fn take_profit(self, price: f64) -> Self {
        self.with(|order| order.take_profit = Some(price))
    }

    /// Why, in words: shown beside the fill.
    pub fn reason(self, reason: impl Into<String>) -> Self {
        self.with(|order| order.reason = reason.into())
    }

    /// A further fact for the record.
    pub fn metadata(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|order| order.metadata.push((name.into(), value.into())))
    }

    /// Sends it.
    ///
    /// # Errors
    /// As [`Context::submit`].
    pub fn send(self) -> Result<OrderId, RejectReason> {
        self.context.submit(self.order)
    }
}
