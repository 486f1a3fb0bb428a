//! A market in steps, a strategy that asks for one list of things at each of them,
//! and what came of it as lines of text.

use super::support::*;
use crate::domain::{Action, Price, Qty, Side, SymbolId, TimeInForce, Ts};
use crate::engine::{LaneOutput, Output};
use crate::input::{InputBlock, Trade};
use crate::strategy::{Channel, Intent, OrderKind, OrderRequest, Size};

pub(super) fn waits(action: Action, qty: f64, kind: OrderKind) -> OrderRequest {
    let mut order = market(action, Size::Base(qty));
    (order.kind, order.time_in_force) = (kind, TimeInForce::Gtc);
    order
}

/// What is written down of an outcome: accepted, fills with price and maker,
/// canceled.
pub(super) fn story(outputs: &[Output]) -> Vec<String> {
    let line = |output: &Output| match &output.body {
        LaneOutput::Accepted { order, leaves, .. } => {
            Some(format!("{} open {}", order.0, leaves.0))
        }
        LaneOutput::Fill { fill, .. } => Some(format!(
            "{} {:?} {} for {} at {}s",
            fill.order.0,
            fill.liquidity,
            fill.qty.0,
            fill.amount.to_string().trim_end_matches('0').trim_end_matches('.'),
            output.ts.0 / Ts::SECOND
        )),
        LaneOutput::Canceled { order, leaves, .. } => {
            Some(format!("{} ends {}", order.0, leaves.0))
        }
        LaneOutput::Expired { order, leaves, .. } => {
            Some(format!("{} expires {}", order.0, leaves.0))
        }
        LaneOutput::Sent { what, order, arrives, .. } => Some(format!(
            "{} {} until {}s",
            order.map_or(0, |order| order.0),
            what.name(),
            arrives.0 as f64 / 1e9
        )),
        LaneOutput::Reject { order, reason, .. } => Some(format!("{} {reason}", order.0)),
        _ => None,
    };
    outputs.iter().filter_map(line).collect()
}

/// One step of a hand-made market, a second each.
pub(super) enum Step {
    Print(Side, i64, i64),
    /// a snapshot: bids, asks
    Book(&'static [(i64, i64)], &'static [(i64, i64)]),
    /// changed levels: bids, asks
    Levels(&'static [(i64, i64)], &'static [(i64, i64)]),
}
use Step::{Book, Levels, Print};

pub(super) fn market_of(steps: &[Step]) -> InputBlock {
    let mut block = InputBlock::new(&instruments(), 1);
    let levels =
        |levels: &[(i64, i64)]| levels.iter().map(|&(p, q)| (Price(p), Qty(q))).collect::<Vec<_>>();
    for (second, step) in (1_i64..).zip(steps) {
        let (ts, symbol) = (Ts(second * Ts::SECOND), SymbolId(0));
        match *step {
            Print(side, price, qty) => {
                let trade = Trade { symbol, side, price: Price(price), qty: Qty(qty), id: 0 };
                block.push_trade(ts, ts, &trade);
            }
            Book(bids, asks) => {
                block.push_book(ts, ts, symbol, true, &levels(bids), &levels(asks));
            }
            Levels(bids, asks) => {
                block.push_book(ts, ts, symbol, false, &levels(bids), &levels(asks));
            }
        }
    }
    block
}

/// Asks for these things, one list at each event.
pub(super) fn asks(steps: Vec<Vec<Intent>>) -> Scripted {
    let mut steps = steps.into_iter();
    Scripted::new(&[Channel::Trades, Channel::Book(10)], move |_, effects| {
        for intent in steps.next().unwrap_or_default() {
            match intent {
                Intent::Submit { request, .. } => assert!(effects.submit(*request).is_ok()),
                other => assert!(effects.request(other)),
            }
        }
    })
}

pub(super) fn submit(request: OrderRequest) -> Vec<Intent> {
    vec![Intent::Submit { order: 0, request: Box::new(request) }]
}

pub(super) const BIDS: &[(i64, i64)] = &[(9_990, 100), (9_980, 300)];
pub(super) const ASKS: &[(i64, i64)] = &[(10_000, 100), (10_010, 200), (10_050, 1_000)];
