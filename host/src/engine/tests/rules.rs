//! Increments and minimums that change while orders come.

use super::support::*;
use crate::domain::{Action, Money, Price, Qty, Rules, Side, SymbolId, Ts};
use crate::engine::{EngineConfig, Output};
use crate::input::{InputBlock, Trade};
use crate::strategy::Size;

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
