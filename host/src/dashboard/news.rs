//! From a piece of the engine's news to the histories that are shown.

use std::collections::BTreeMap;

use crate::domain::{Fill as EngineFill, Instrument, Liquidity, OrderId, Qty, Side};
use crate::engine::{Engine, LaneOutput, Output};
use crate::output::printable;

use super::build::{Builder, TEXT_MAX};
use super::hub::LaneHistory;
use super::model::{Event, Fill, Order};
use super::views::{amount_per_unit, trade};

/// What was asked of each order that waits, and what is left of it. The engine
/// bounds how many a strategy may have.
#[derive(Debug, Default)]
pub(super) struct Waiting(BTreeMap<OrderId, (Qty, Qty)>);

impl Waiting {
    /// An order waits with so much left; what was asked stays as it was.
    fn stands(&mut self, order: OrderId, leaves: Qty) -> (Qty, Qty) {
        let slot = self.0.entry(order).or_insert((leaves, leaves));
        slot.0 = Qty(slot.0.0.max(leaves.0));
        slot.1 = leaves;
        *slot
    }

    /// A part of an order was filled: what was asked, and what is left. An order
    /// that never waited is as large as its fill.
    fn filled(&mut self, order: OrderId, part: Qty) -> (Qty, Qty) {
        let Some((asked, leaves)) = self.0.get_mut(&order) else { return (part, Qty::ZERO) };
        *leaves = Qty((leaves.0 - part.0).max(0));
        let now = (*asked, *leaves);
        if leaves.is_zero() {
            self.0.remove(&order);
        }
        now
    }

    fn ended(&mut self, order: OrderId) {
        self.0.remove(&order);
    }

    pub(super) fn has(&self, order: u64) -> bool {
        self.0.contains_key(&OrderId(order))
    }
}

impl Builder {
    /// Keeps one piece of news, with the sentence that people get.
    pub fn news(&mut self, engine: &Engine, one: &Output, level: &str, text: &str) {
        let number = usize::from(one.lane);
        let lane = engine.lane(one.lane);
        let (Some(memory), Some(who)) = (self.lanes.get_mut(number), self.who.get(number)) else {
            return;
        };
        let mut history = self.hub.history();
        let Some(past) = history.lanes.get_mut(number) else { return };
        let at = one.ts.0.to_string();
        let name = |symbol| lane.instruments.at(symbol).symbol.clone();
        let (mut symbol, mut shown) = (None, None);
        let kind = match &one.body {
            LaneOutput::Fill { fill, reason, position, closed } => {
                let instrument = lane.instruments.at(fill.symbol);
                symbol = Some(instrument.symbol.clone());
                let view = fill_view(&who.name, instrument, fill, reason, *position);
                if let Some(trip) = closed {
                    past.trades.push(trade(instrument, trip, fill.cause, reason));
                }
                let stand = memory.waiting.filled(fill.order, fill.qty);
                filled_order(past, instrument, &view, stand);
                past.fills.push(view.clone());
                shown = Some(view);
                "fill"
            }
            LaneOutput::Accepted { order, symbol: of, action, leaves, limit, stop } => {
                let instrument = lane.instruments.at(*of);
                symbol = Some(instrument.symbol.clone());
                let (asked, leaves) = memory.waiting.stands(*order, *leaves);
                let price = |price| instrument.price_text(price);
                past.order(Order {
                    symbol: symbol.clone(),
                    action: Some(action.name().into()),
                    quantity: Some(instrument.qty_text(asked)),
                    filled: Some(instrument.qty_text(Qty(asked.0 - leaves.0))),
                    price: limit.or(*stop).map(price),
                    detail: stop.map(|stop| format!("waits for {}", price(stop))),
                    ..Order::new(order.0, "working", at.clone())
                });
                "order"
            }
            LaneOutput::Reject { order, symbol: of, reason, detail } => {
                symbol = of.map(name);
                past.order(Order {
                    symbol: symbol.clone(),
                    reason: Some(reason.name().into()),
                    detail: Some(printable(detail, TEXT_MAX)),
                    ..Order::new(order.0, "rejected", at.clone())
                });
                "reject"
            }
            LaneOutput::Canceled { order, symbol: of, leaves } => {
                symbol = Some(name(*of));
                memory.waiting.ended(*order);
                let left = lane.instruments.at(*of).qty_text(*leaves);
                let before = past.orders.get(&order.0).cloned();
                past.order(Order {
                    symbol: symbol.clone(),
                    status: "canceled".into(),
                    detail: Some(format!("{left} unfilled")),
                    ts_ns: at.clone(),
                    ..before.unwrap_or_else(|| Order::new(order.0, "canceled", at.clone()))
                });
                "order"
            }
            LaneOutput::Charge(charge) => {
                symbol = Some(name(charge.symbol));
                "charge"
            }
            LaneOutput::Dropped { orders } => {
                memory.dropped_orders += u64::from(*orders);
                "order"
            }
            LaneOutput::Log { .. } => "log",
            LaneOutput::Fault(_) => "fault",
            LaneOutput::Command { .. } => "operator",
            LaneOutput::Halted { .. } => "status",
        };
        let event = Event {
            seq: history.events.next(),
            ts_ns: at,
            level: level.into(),
            kind: kind.into(),
            strategy: Some(who.name.clone()),
            symbol,
            text: text.into(),
            fill: shown,
        };
        if kind == "log"
            && let Some(past) = history.lanes.get_mut(number)
        {
            past.logs.push(event.clone());
        }
        history.events.push(event);
    }
}

/// Orders that wait, oldest first.
pub(super) fn open_orders(past: &LaneHistory, waiting: &Waiting) -> Vec<Order> {
    past.orders.values().filter(|order| waiting.has(order.order)).cloned().collect()
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

/// Notes where an order stands after a fill of it.
fn filled_order(
    past: &mut LaneHistory,
    instrument: &Instrument,
    fill: &Fill,
    (asked, leaves): (Qty, Qty),
) {
    let status = if leaves.is_zero() { "filled" } else { "partially-filled" };
    past.order(Order {
        symbol: Some(fill.symbol.clone()),
        action: Some(fill.action.clone()),
        quantity: Some(instrument.qty_text(asked)),
        filled: Some(instrument.qty_text(Qty(asked.0 - leaves.0))),
        price: Some(fill.price.clone()),
        reason: Some(fill.reason.clone()),
        ..Order::new(fill.order, status, fill.ts_ns.clone())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_waits_is_filled_only_when_nothing_is_left() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.stands(OrderId(1), Qty(10)), (Qty(10), Qty(10)));
        assert_eq!(waiting.filled(OrderId(1), Qty(4)), (Qty(10), Qty(6)), "a part");
        assert!(waiting.has(1));
        // The engine says again what is left, after a change of the price.
        assert_eq!(waiting.stands(OrderId(1), Qty(6)), (Qty(10), Qty(6)));
        assert_eq!(waiting.filled(OrderId(1), Qty(6)), (Qty(10), Qty(0)), "the rest");
        assert!(!waiting.has(1));
        // One that never waited is as large as its fill.
        assert_eq!(waiting.filled(OrderId(2), Qty(5)), (Qty(5), Qty(0)));
        waiting.stands(OrderId(3), Qty(7));
        waiting.ended(OrderId(3));
        assert!(!waiting.has(3), "canceled");
    }
}
