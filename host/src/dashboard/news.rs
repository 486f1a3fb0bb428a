//! From a piece of the engine's news to what is shown of it.

use std::collections::BTreeMap;

use crate::domain::{Fill as EngineFill, Instrument, Liquidity, OrderId, Qty, Side, SymbolId};
use crate::engine::{Engine, LaneOutput, Output};
use crate::output::printable;
use crate::strategy::{OrderKind, OrderRequest, Size};

use super::build::{Builder, TEXT_MAX, Who};
use super::desk::Note;
use super::model::{Event, Fill, Order};
use super::views::{amount_per_unit, trade};

/// Orders that wait: what was asked of each, what is left of it, and how it is
/// shown. The engine bounds how many a strategy may have.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    at_venue: BTreeMap<OrderId, Waits>,
    /// on their way: the engine bounds these as well
    sent: BTreeMap<OrderId, Order>,
}

#[derive(Debug)]
struct Waits {
    asked: Qty,
    leaves: Qty,
    shown: Option<Order>,
}

impl Waiting {
    /// An order waits with so much left; what was asked stays as it was.
    fn stands(&mut self, order: OrderId, leaves: Qty) -> (Qty, Qty) {
        let slot =
            self.at_venue.entry(order).or_insert(Waits { asked: leaves, leaves, shown: None });
        slot.asked = Qty(slot.asked.0.max(leaves.0));
        slot.leaves = leaves;
        (slot.asked, slot.leaves)
    }

    /// A part of an order was filled: what was asked, and what is left. An order
    /// that never waited is as large as its fill.
    fn filled(&mut self, order: OrderId, part: Qty) -> (Qty, Qty, Option<Order>) {
        let sent = self.arrived(order);
        let Some(slot) = self.at_venue.get_mut(&order) else { return (part, Qty::ZERO, sent) };
        slot.leaves = Qty((slot.leaves.0 - part.0).max(0));
        let now = (slot.asked, slot.leaves, slot.shown.clone());
        if now.1.is_zero() {
            self.at_venue.remove(&order);
        }
        now
    }

    fn ended(&mut self, order: OrderId) -> Option<Order> {
        let sent = self.sent.remove(&order);
        self.at_venue.remove(&order).map_or(sent, |slot| slot.shown)
    }

    /// How an order that waits is shown.
    fn shown(&self, order: OrderId) -> Option<Order> {
        self.at_venue.get(&order).map_or(self.sent.get(&order).cloned(), |slot| slot.shown.clone())
    }

    /// An order is on its way.
    fn send(&mut self, order: &Order) {
        self.sent.insert(OrderId(order.order), order.clone());
    }

    /// An order is at the venue: how it was shown on its way.
    fn arrived(&mut self, order: OrderId) -> Option<Order> {
        let sent = self.sent.remove(&order)?;
        Some(Order { detail: None, ..sent })
    }

    /// How an order that waits is shown from now on.
    fn show(&mut self, order: &Order) {
        if let Some(slot) = self.at_venue.get_mut(&OrderId(order.order)) {
            slot.shown = Some(order.clone());
        }
    }

    /// Those that wait, oldest first.
    pub(super) fn open(&self) -> Vec<Order> {
        self.at_venue.values().filter_map(|slot| slot.shown.clone()).collect()
    }
}

impl Builder {
    /// Notes one piece of news, with the sentence that people get.
    pub fn news(&mut self, engine: &Engine, one: &Output, level: &str, text: &str) {
        let number = usize::from(one.lane);
        let lane = engine.lane(one.lane);
        let (Some(memory), Some(who)) = (self.lanes.get_mut(number), self.who.get_mut(number))
        else {
            return;
        };
        let at = one.ts.0.to_string();
        let name = |symbol| lane.instruments.at(symbol).symbol.clone();
        let mut event = Event {
            seq: 0,
            ts_ns: at.clone(),
            level: level.into(),
            kind: kind(&one.body).into(),
            strategy: Some(who.name.clone()),
            symbol: None,
            text: text.into(),
            fill: None,
        };
        let (mut trade_ended, mut order_now) = (None, None);
        match &one.body {
            LaneOutput::Fill { fill, reason, position, closed } => {
                let instrument = lane.instruments.at(fill.symbol);
                event.symbol = Some(instrument.symbol.clone());
                let view = fill_view(&who.name, instrument, fill, reason, *position);
                trade_ended =
                    closed.as_ref().map(|trip| trade(instrument, trip, fill.cause, reason));
                let stand = memory.waiting.filled(fill.order, fill.qty);
                order_now = Some(filled_order(instrument, &view, stand));
                event.fill = Some(view);
            }
            LaneOutput::Accepted { order, symbol, action, leaves, limit, stop } => {
                let instrument = lane.instruments.at(*symbol);
                event.symbol = Some(instrument.symbol.clone());
                let (asked, leaves) = memory.waiting.stands(*order, *leaves);
                let price = |price| instrument.price_text(price);
                // A trailing stop stands like a stop: what was asked says which.
                let sent = memory.waiting.arrived(*order).and_then(|sent| sent.kind);
                let kind = || order_kind(limit.is_some(), stop.is_some()).to_owned();
                order_now = Some(Order {
                    symbol: event.symbol.clone(),
                    action: Some(action.name().into()),
                    kind: Some(sent.unwrap_or_else(kind)),
                    quantity: Some(instrument.qty_text(asked)),
                    filled: Some(instrument.qty_text(Qty(asked.0 - leaves.0))),
                    price: limit.or(*stop).map(price),
                    detail: stop.map(|stop| format!("waits for {}", price(stop))),
                    ..Order::new(order.0, "working", at)
                });
            }
            LaneOutput::Reject { order, symbol, reason, detail, asked } => {
                let asked = asked.as_deref();
                let instrument = symbol.or(asked.map(|asked| SymbolId(asked.symbol)));
                event.symbol = instrument.map(name);
                *memory.refused.entry(reason.name().into()).or_default() += 1;
                // A refused change leaves an order as it is.
                if asked.is_some() || memory.waiting.shown(*order).is_none() {
                    memory.waiting.ended(*order);
                    order_now = Some(Order {
                        symbol: event.symbol.clone(),
                        reason: Some(reason.name().into()),
                        detail: Some(printable(detail, TEXT_MAX)),
                        ..asked_order(order.0, "rejected", at, asked)
                    });
                }
            }
            LaneOutput::Canceled { order, symbol, leaves }
            | LaneOutput::Expired { order, symbol, leaves } => {
                event.symbol = Some(name(*symbol));
                let left = lane.instruments.at(*symbol).qty_text(*leaves);
                let expired = matches!(one.body, LaneOutput::Expired { .. });
                let status = if expired { "expired" } else { "canceled" };
                let before = memory.waiting.ended(*order);
                order_now = Some(Order {
                    symbol: event.symbol.clone(),
                    status: status.into(),
                    detail: Some(format!("{left} unfilled")),
                    ts_ns: at.clone(),
                    ..before.unwrap_or_else(|| Order::new(order.0, status, at))
                });
            }
            LaneOutput::Sent { what, order, symbol, asked, .. } => {
                event.symbol = symbol.map(name);
                if let Some(order) = order {
                    let before = memory.waiting.shown(*order);
                    let new = || asked_order(order.0, "pending", at.clone(), asked.as_deref());
                    let now = Order {
                        symbol: event.symbol.clone(),
                        detail: Some(format!("{} on its way", what.name())),
                        ts_ns: at.clone(),
                        ..before.unwrap_or_else(new)
                    };
                    if asked.is_some() {
                        memory.waiting.send(&now);
                    }
                    order_now = Some(now);
                }
            }
            LaneOutput::Asked { request, .. } => {
                let instrument = lane.instruments.get(SymbolId(request.symbol));
                event.symbol = instrument.map(|instrument| instrument.symbol.clone());
            }
            LaneOutput::Charge(charge) => {
                event.symbol = Some(name(charge.symbol));
            }
            LaneOutput::Swapped { to, refused: None, .. } => {
                memory.earlier.push(who.sha256.clone());
                let build = self.builds.iter().find(|build| build.sha256 == *to);
                who.clone_from(
                    build
                        .filter(|build| build.name == who.name)
                        .unwrap_or(&Who { sha256: to.clone(), ..who.clone() }),
                );
            }
            LaneOutput::Fault(_) => memory.last_fault = Some(text.to_owned()),
            LaneOutput::Restarted { .. } => memory.restarts += 1,
            LaneOutput::Dropped { .. }
            | LaneOutput::Log { .. }
            | LaneOutput::Command { .. }
            | LaneOutput::Restarting { .. }
            | LaneOutput::Swapped { .. }
            | LaneOutput::Halted { .. } => {}
        }
        if let Some(order) = &order_now {
            memory.waiting.show(order);
        }
        let fill = event.fill.clone();
        self.desk.note(Note {
            lane: Some(number),
            event,
            fill,
            trade: trade_ended,
            order: order_now,
        });
    }
}

/// What kind of event that is.
fn kind(body: &LaneOutput) -> &'static str {
    match body {
        LaneOutput::Fill { .. } => "fill",
        LaneOutput::Asked { .. }
        | LaneOutput::Accepted { .. }
        | LaneOutput::Canceled { .. }
        | LaneOutput::Expired { .. }
        | LaneOutput::Sent { .. }
        | LaneOutput::Dropped { .. } => "order",
        LaneOutput::Reject { .. } => "reject",
        LaneOutput::Charge(_) => "charge",
        LaneOutput::Log { .. } => "log",
        LaneOutput::Fault(_) => "fault",
        LaneOutput::Command { .. } => "operator",
        LaneOutput::Restarting { .. }
        | LaneOutput::Restarted { .. }
        | LaneOutput::Swapped { .. }
        | LaneOutput::Halted { .. } => "status",
    }
}

/// An order of which there is only what the strategy asked for.
fn asked_order(order: u64, status: &str, ts_ns: String, asked: Option<&OrderRequest>) -> Order {
    let known = Order::new(order, status, ts_ns);
    let Some(asked) = asked else { return known };
    let (kind, price) = match asked.kind {
        OrderKind::Market => ("market", None),
        OrderKind::Limit(limit) => ("limit", Some(limit)),
        OrderKind::Stop(stop) => ("stop", Some(stop)),
        OrderKind::StopLimit(_, limit) => ("stop-limit", Some(limit)),
        OrderKind::TrailingStop(_) => ("trailing-stop", None),
    };
    // What no number is was refused for it, and the detail says what it was.
    let text = |number: f64| (number.abs() < 1e15).then(|| number.to_string());
    Order {
        action: Some(asked.action.name().into()),
        kind: Some(kind.into()),
        quantity: if let Size::Base(base) = asked.size { text(base) } else { None },
        size: match asked.size {
            Size::Base(_) => None,
            Size::Quote(amount) => text(amount).map(|amount| format!("for {amount}")),
            Size::All => Some("all".into()),
        },
        price: price.and_then(text),
        ..known
    }
}

/// The kind of an order that waits.
fn order_kind(limit: bool, stop: bool) -> &'static str {
    match (limit, stop) {
        (true, true) => "stop-limit",
        (false, true) => "stop",
        (true, false) => "limit",
        // A stop that was reached.
        (false, false) => "market",
    }
}

fn fill_view(
    strategy: &str,
    instrument: &Instrument,
    fill: &EngineFill,
    reason: &str,
    position: Qty,
) -> Fill {
    let average = amount_per_unit(instrument, fill.amount, fill.qty);
    Fill {
        id: fill.id,
        order: fill.order.0,
        strategy: strategy.to_owned(),
        symbol: instrument.symbol.clone(),
        action: fill.action.name().into(),
        side: if fill.action.side() == Side::Buy { "buy" } else { "sell" }.into(),
        quantity: instrument.qty_text(fill.qty),
        price: average.unwrap_or_else(|| instrument.price_text(fill.best_price)),
        fee: fill.fee.to_string(),
        liquidity: match fill.liquidity {
            Liquidity::Maker => "maker",
            Liquidity::Taker => "taker",
        }
        .into(),
        cause: fill.cause.name().into(),
        reason: printable(reason, TEXT_MAX),
        ts_ns: fill.ts.0.to_string(),
        position: instrument.qty_text(position),
    }
}

/// Where an order stands after a fill of it.
fn filled_order(
    instrument: &Instrument,
    fill: &Fill,
    (asked, leaves, before): (Qty, Qty, Option<Order>),
) -> Order {
    let status = if leaves.is_zero() { "filled" } else { "partially-filled" };
    let before = before.unwrap_or_else(|| Order::new(fill.order, status, fill.ts_ns.clone()));
    Order {
        symbol: Some(fill.symbol.clone()),
        action: Some(fill.action.clone()),
        quantity: Some(instrument.qty_text(asked)),
        filled: Some(instrument.qty_text(Qty(asked.0 - leaves.0))),
        // What waits keeps the price that it asks for.
        price: before.price.clone().filter(|_| !leaves.is_zero()).or(Some(fill.price.clone())),
        status: status.into(),
        reason: Some(fill.reason.clone()),
        ts_ns: fill.ts_ns.clone(),
        ..before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_waits_is_filled_only_when_nothing_is_left() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.stands(OrderId(1), Qty(10)), (Qty(10), Qty(10)));
        waiting.show(&Order::new(1, "working", String::new()));
        let filled = |waiting: &mut Waiting, order, part| {
            let (asked, leaves, _) = waiting.filled(OrderId(order), Qty(part));
            (asked, leaves)
        };
        assert_eq!(filled(&mut waiting, 1, 4), (Qty(10), Qty(6)), "a part");
        assert_eq!(waiting.open().len(), 1);
        // The engine says again what is left, after a change of the price.
        assert_eq!(waiting.stands(OrderId(1), Qty(6)), (Qty(10), Qty(6)));
        assert_eq!(filled(&mut waiting, 1, 6), (Qty(10), Qty(0)), "the rest");
        assert!(waiting.open().is_empty());
        // One that never waited is as large as its fill.
        assert_eq!(filled(&mut waiting, 2, 5), (Qty(5), Qty(0)));
        waiting.stands(OrderId(3), Qty(7));
        waiting.show(&Order::new(3, "working", String::new()));
        assert!(waiting.ended(OrderId(3)).is_some());
        assert!(waiting.open().is_empty(), "canceled");
    }
}
