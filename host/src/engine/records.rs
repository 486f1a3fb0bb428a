//! What requests may combine, and the chain records of orders and fills.

use crate::domain::{Action, Fill, OrderId, RejectReason, TimeInForce};
use crate::input::TradingStatus;
use crate::risk;
use crate::strategy::{OrderKind, OrderRequest, Size};

use super::chain::{Record, RecordKind};
use super::timeline::Moment;

/// Whether the venue takes an order that may wait, or a change of it.
pub(super) fn check_open(
    status: TradingStatus,
    action: Action,
    is_limit: bool,
    post_only: bool,
) -> Result<(), RejectReason> {
    match status {
        TradingStatus::LimitOnly if is_limit => Ok(()),
        TradingStatus::PostOnly if is_limit && post_only => Ok(()),
        _ => risk::check_status(status, action),
    }
}

/// What an order that may wait may say.
pub(super) fn combination(request: &OrderRequest) -> Result<(), &'static str> {
    let immediate = matches!(request.time_in_force, TimeInForce::Ioc | TimeInForce::Fok);
    let limit = matches!(request.kind, OrderKind::Limit(_));
    if request.post_only && (!limit || immediate) {
        return Err("only a limit order that waits can be post-only");
    }
    if request.good_till_ns.is_some() && immediate {
        return Err("an immediate order is not good till a date");
    }
    if !limit && immediate {
        return Err("a stop waits: it is good till canceled or for the day");
    }
    if request.reduce_only && request.action.opens() {
        return Err("an order that opens cannot be reduce-only");
    }
    Ok(())
}

/// What a strategy asked for.
pub(super) fn order_record(place: &Moment, order: OrderId, request: &OrderRequest) -> Record {
    let (size_kind, size) = match request.size {
        Size::Base(size) => (0, size),
        Size::Quote(size) => (1, size),
        Size::All => (2, 0.0),
    };
    let (kind, first, second) = match request.kind {
        OrderKind::Market => (0, 0.0, 0.0),
        OrderKind::Limit(limit) => (1, limit, 0.0),
        OrderKind::Stop(stop) => (2, stop, 0.0),
        OrderKind::StopLimit(stop, limit) => (3, stop, limit),
        OrderKind::TrailingStop(distance) => (4, distance, 0.0),
    };
    let mut record = Record::new(RecordKind::Order, place.seq, place.phase)
        .int(i128::from(order.0))
        .byte(request.action as u8)
        .int(i128::from(request.symbol))
        .byte(size_kind)
        .float(size)
        .byte(kind)
        .float(first)
        .float(second)
        .byte(request.time_in_force as u8)
        .byte(u8::from(request.post_only) | u8::from(request.reduce_only) << 1)
        .maybe(request.stop_loss)
        .maybe(request.take_profit)
        .text(&request.reason);
    for (key, value) in &request.metadata {
        record = record.text(key).text(value);
    }
    if let Some(date) = request.good_till_ns {
        record = record.text("good-till").int(i128::from(date));
    }
    record
}

/// What was filled.
pub(super) fn fill_record(place: &Moment, fill: &Fill) -> Record {
    Record::new(RecordKind::Fill, place.seq, place.phase)
        .int(i128::from(fill.id))
        .int(i128::from(fill.order.0))
        .int(i128::from(fill.ts.0))
        .int(i128::from(fill.symbol.0))
        .byte(fill.action as u8)
        .int(i128::from(fill.qty.0))
        .int(fill.amount.0)
        .int(fill.fee.0)
        .byte(fill.liquidity as u8)
        .byte(fill.cause as u8)
        .int(i128::from(fill.best_price.0))
}
