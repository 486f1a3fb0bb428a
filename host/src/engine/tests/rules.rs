//! Increments and minimums that change while orders come.

use std::sync::{Arc, Mutex};

use super::steps::waits;
use super::support::*;
use crate::domain::{Action, Money, Price, Qty, Rules, Side, SymbolId, Ts};
use crate::engine::{EngineConfig, LaneOutput, Output, Replacement};
use crate::input::{EventRef, InputBlock, Trade};
use crate::journal::{Inputs, decode, encode};
use crate::strategy::{OrderKind, Size, StartInfo, Strategy as _};

fn rules(qty_increment: i64, qty_min: i64, cost_min: &str, short_allowed: bool) -> Rules {
    Rules {
        price_increment: Price(1),
        qty_increment: Qty(qty_increment),
        qty_min: Qty(qty_min),
        cost_min: usd(cost_min),
        short_allowed,
    }
}

/// Eight trades of X/USD at 100.00, and new rules before the third, the fifth
/// and the seventh: the last ones of Y/USD, which concern nobody.
fn market_with_rules(changes: bool) -> InputBlock {
    let mut block = InputBlock::new(&instruments(), 1);
    for second in 1..=8 {
        let ts = Ts(second * Ts::SECOND);
        let symbol = SymbolId(u16::from(second == 7));
        match second {
            3 if changes => block.push_rules(ts, symbol, &rules(10, 50, "0", true)),
            5 if changes => block.push_rules(ts, symbol, &rules(1, 1, "60", false)),
            7 if changes => block.push_rules(ts, symbol, &rules(1_000, 1_000, "0", true)),
            _ => {}
        }
        let trade = Trade {
            symbol: SymbolId(0),
            side: Side::Buy,
            price: Price(10_000),
            qty: Qty(100_000),
            id: 0,
        };
        block.push_trade(ts, ts, &trade);
    }
    block
}

/// One order at each trade: 0.49 and 0.55 by each set of rules, and a short.
fn orders() -> Vec<crate::strategy::OrderRequest> {
    [0.49, 0.55, 0.49, 0.55, 0.59, 0.61]
        .map(|size| market(Action::Buy, Size::Base(size)))
        .into_iter()
        .chain([market(Action::Sell, Size::All), market(Action::Short, Size::Base(1.0))])
        .collect()
}

fn outcome(batch: usize, block: &InputBlock) -> (Vec<Output>, String) {
    let config = EngineConfig { batch, ..free() };
    let (report, outputs) = run_with(&config, sends(orders()), "10000", block);
    (outputs, report.chain)
}

#[test]
fn add_15_orders_meet_the_rules_that_hold_at_their_place_at_every_batch_size() {
    let block = market_with_rules(true);
    let (outputs, chain) = outcome(1, &block);
    let expected = ["below-minimum-quantity", "below-minimum-cost", "short-not-allowed"];
    assert_eq!(rejects(&outputs), expected);
    let quantities: Vec<i64> = fills(&outputs).iter().map(|fill| fill.1).collect();
    // By steps of a tenth 0.55 becomes 0.50; all of a position is all of it.
    assert_eq!(quantities, [49, 55, 50, 61, 215]);
    for batch in [2, 3, 4, 5, 7, 64, 1_024] {
        let (others, other) = outcome(batch, &block);
        assert_eq!((rejects(&others), fills(&others)), (rejects(&outputs), fills(&outputs)));
        assert_eq!(other, chain, "batch {batch}");
    }
    // The control: without the events the table of the start holds throughout.
    let (outputs, other) = outcome(1, &market_with_rules(false));
    assert_eq!((rejects(&outputs).len(), other == chain), (0, false));
}

#[test]
fn add_15_rules_survive_the_block_that_brought_them_and_reach_the_reports() {
    let mut engine =
        engine(&free(), vec![(sends(vec![market(Action::Buy, Size::Base(0.49))]), "100")]);
    let mut block = InputBlock::new(&instruments(), 1);
    block.push_rules(Ts(1), SymbolId(0), &rules(1, 50, "0.5", true));
    engine.step(&block).unwrap();
    assert_eq!(engine.instruments().at(SymbolId(0)).qty_min, Qty(50));
    assert_eq!(engine.lane(0).instruments.at(SymbolId(0)).cost_min, Money(50_000_000));
    let mut later = trades(&[10_000]);
    later.renumber(engine.next_seq());
    engine.step(&later).unwrap();
    let outputs: Vec<Output> = engine.drain().collect();
    assert_eq!(rejects(&outputs), ["below-minimum-quantity"]);
}

/// Prints of X/USD, and a coarser grid of prices before the third.
fn market_with_a_grid() -> InputBlock {
    let mut block = InputBlock::new(&instruments(), 1);
    for second in 1..=5 {
        let ts = Ts(second * Ts::SECOND);
        if second == 3 {
            let coarse = Rules { price_increment: Price(50), ..rules(10, 50, "0", true) };
            block.push_rules(ts, SymbolId(0), &coarse);
        }
        let (symbol, price, qty) = (SymbolId(0), Price(10_000), Qty(100_000));
        block.push_trade(ts, ts, &Trade { symbol, side: Side::Buy, price, qty, id: 0 });
    }
    block
}

/// A bid at each print, and what became of it.
fn bids(batch: usize, blocks: &[InputBlock]) -> (Vec<(u64, i64)>, Vec<&'static str>, String) {
    let bid = |size, price| waits(Action::Buy, size, OrderKind::Limit(price));
    let orders = vec![bid(1.0, 99.97), bid(0.49, 99.97), bid(1.0, 99.97), bid(0.49, 99.97)];
    let mut engine = engine(&EngineConfig { batch, ..free() }, vec![(sends(orders), "10000")]);
    for block in blocks {
        engine.step(block).unwrap();
    }
    engine.finish().unwrap();
    let outputs: Vec<Output> = engine.drain().collect();
    let limit = |output: &Output| match &output.body {
        LaneOutput::Accepted { order, limit, .. } => limit.map(|price| (order.0, price.0)),
        _ => None,
    };
    let accepted = outputs.iter().filter_map(limit).collect();
    (accepted, rejects(&outputs), engine.reports().remove(0).chain)
}

#[test]
fn add_15_limits_meet_the_grid_that_holds_at_their_place() {
    let block = market_with_a_grid();
    let (accepted, refused, chain) = bids(1, std::slice::from_ref(&block));
    // What waits keeps its price; a later bid is rounded down to the new grid, and
    // one below the new minimum is refused.
    assert_eq!(accepted, [(1, 9_997), (2, 9_997), (3, 9_950)]);
    assert_eq!(refused, ["below-minimum-quantity"]);
    for batch in [7, 64, 1_024] {
        let again = bids(batch, std::slice::from_ref(&block));
        assert_eq!((again.0, again.1, again.2), (accepted.clone(), refused.clone(), chain.clone()));
    }
}

/// The blocks of a record of this block.
fn through_the_journal(block: &InputBlock) -> Vec<InputBlock> {
    let mut unpacked = Vec::new();
    for part in Inputs::of(block).unwrap() {
        let part: Inputs = decode(&encode(&part).unwrap()).unwrap();
        let mut copy = InputBlock::new(&instruments(), part.first_seq);
        part.unpack(&mut copy).unwrap();
        unpacked.push(copy);
    }
    unpacked
}

#[test]
fn add_15_the_journal_repeats_what_changed_rules_led_to() {
    let block = market_with_a_grid();
    for batch in [1, 7, 64, 1_024] {
        let live = bids(batch, std::slice::from_ref(&block));
        assert_eq!(bids(batch, &through_the_journal(&block)), live, "batch {batch}");
    }
    // The control: a copy that leaves the rules out decides otherwise.
    let mut without = InputBlock::new(&instruments(), 1);
    for index in 0..block.len() {
        if let EventRef::Trade(trade) = block.get(index) {
            without.push_trade(block.ts(index), block.ts_exchange(index), &trade);
        }
    }
    assert_ne!(bids(7, &[without]).2, bids(7, &[block]).2);
}

/// Who takes over, or is started again, is told what holds then.
#[test]
fn add_15_an_instance_that_begins_later_is_told_the_rules_of_its_time() {
    let first = sends(Vec::new());
    let before = Arc::clone(&first.started);
    let mut engine = engine(&free(), vec![(first, "100")]);
    let mut block = InputBlock::new(&instruments(), 1);
    block.push_rules(Ts(1), SymbolId(0), &rules(10, 50, "0.5", true));
    engine.step(&block).unwrap();
    let mut second = sends(Vec::new());
    let after = Arc::clone(&second.started);
    let descriptor = second.describe().unwrap();
    let (from, to) = ("a".repeat(64), "b".repeat(64));
    let parameters = Vec::new();
    let new = Replacement { strategy: Box::new(second), descriptor, parameters, from, to };
    engine.swap(Ts(2), 0, new).unwrap();
    let told = |started: &Arc<Mutex<Vec<StartInfo>>>| {
        started.lock().unwrap().iter().map(|info| info.instruments[0].clone()).collect::<Vec<_>>()
    };
    assert_eq!(told(&before).len(), 1);
    let [now] = told(&after).try_into().unwrap();
    let held = engine.lane(0).instruments.at(SymbolId(0)).clone();
    assert_eq!(now, crate::engine::view::instrument_info(&held));
    assert_ne!(now, told(&before)[0]);
}
