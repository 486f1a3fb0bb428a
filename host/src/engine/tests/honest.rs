//! What must not flatter: limits that act between two orders of one call, changes that
//! are checked like new orders, liquidity that prints have taken, sizes that fit.

use super::steps::Step::{Book, Levels, Print};
use super::steps::*;
use super::support::*;
use crate::domain::{
    Action, Cause, OrderStatus, Price, Qty, Rate, RejectReason, Side, SymbolId, TimeInForce, Ts,
};
use crate::engine::{EngineConfig, LaneOutput, LaneState, Output};
use crate::input::{InputBlock, Trade, TradingStatus};
use crate::risk::OnHalt;
use crate::strategy::{Intent, OrderKind, OrderRequest, Size};

fn buys(qty: f64) -> OrderRequest {
    market(Action::Buy, Size::Base(qty))
}

fn limit(price: f64) -> OrderRequest {
    waits(Action::Buy, 1.0, OrderKind::Limit(price))
}

fn amend(price: f64) -> Vec<Intent> {
    vec![Intent::Amend { order: 1, size: None, price: Some(price) }]
}

/// Several things at one event.
fn together(all: Vec<Vec<Intent>>) -> Vec<Intent> {
    all.into_iter().flatten().collect()
}

#[test]
fn a_limit_acts_between_two_orders_of_one_call() {
    let mut config = free();
    config.execution.fee = Rate(20_000_000);
    config.risk.max_drawdown = Some(Rate(1_000_000));
    let calls = vec![together(vec![submit(buys(1.0)), submit(buys(1.0)), submit(limit(90.0))])];
    let steps = [Book(BIDS, ASKS), Book(BIDS, ASKS)];
    for on_halt in [OnHalt::Hold, OnHalt::Flatten] {
        config.risk.on_halt = on_halt;
        let (report, outputs) = run_with(&config, asks(calls.clone()), "1000", &market_of(&steps));
        let mut expected = vec!["1 Taker 100 for 100 at 1s"];
        if on_halt == OnHalt::Flatten {
            // The numbers of the orders behind it are given already.
            expected.push("4 Taker 100 for 99.9 at 1s");
        }
        expected.extend(["2 halted", "3 halted"]);
        assert_eq!(story(&outputs), expected);
        assert!(matches!(report.state, LaneState::Halted(_)));
    }
    let (_, outputs) = run_with(&free(), asks(calls), "1000", &market_of(&steps));
    assert_eq!(story(&outputs).len(), 3, "control: without a limit all three are taken");
}

#[test]
fn a_limit_acts_between_two_orders_that_arrive_or_wait_at_one_event() {
    let mut config = free();
    (config.execution.fee, config.execution.maker) = (Rate(20_000_000), Rate(20_000_000));
    config.risk.max_drawdown = Some(Rate(1_000_000));
    config.latency.order = crate::execution::Delay::Fixed(1);
    let calls = || vec![together(vec![submit(buys(0.5)), submit(buys(0.5))])];
    let steps = [Book(BIDS, ASKS), Book(BIDS, ASKS)];
    let (_, outputs) = run_with(&config, asks(calls()), "1000", &market_of(&steps));
    assert_eq!(story(&outputs)[2..], ["1 Taker 50 for 50 at 2s", "2 halted"]);
    config.latency.order = crate::execution::Delay::Fixed(0);
    let calls = vec![together(vec![submit(limit(99.9)), submit(limit(99.9))])];
    let steps = [Book(BIDS, ASKS), Print(Side::Sell, 9_980, 500)];
    let (_, outputs) = run_with(&config, asks(calls), "1000", &market_of(&steps));
    assert_eq!(story(&outputs)[2..], ["1 Maker 100 for 99.9 at 2s", "2 ends 100"]);
}

#[test]
fn a_change_is_checked_like_a_new_order() {
    let post = |mut order: OrderRequest| {
        order.post_only = true;
        order
    };
    let with_stop = |mut order: OrderRequest| {
        order.stop_loss = Some(95.0);
        order
    };
    let cases = [
        ("post-only to what it would take", post(limit(99.9)), amend(100.0), "1 would-take"),
        ("post-only that still waits", post(limit(99.0)), amend(99.95), ""),
        ("below its own stop", with_stop(limit(99.0)), amend(94.0), "1 wrong-side"),
        ("above its stop", with_stop(limit(99.0)), amend(96.0), ""),
    ];
    for (name, order, change, refused) in cases {
        let steps = [Book(BIDS, ASKS), Book(BIDS, ASKS), Book(BIDS, ASKS)];
        let (_, outputs) = run(asks(vec![submit(order), change]), "1000", &market_of(&steps));
        let told = story(&outputs);
        let mut expected = vec!["1 open 100", refused, "1 open 100"];
        expected.retain(|line| !line.is_empty());
        assert_eq!(told, expected, "{name}");
    }
}

/// A block of books of X/USD a second apart, some of them after a status.
fn statuses(all: &[(i64, Option<TradingStatus>)]) -> InputBlock {
    let mut block = InputBlock::new(&instruments(), 1);
    let (bids, asks) = ([(Price(9_990), Qty(100))], [(Price(10_000), Qty(100))]);
    for &(second, status) in all {
        let ts = Ts(second * Ts::SECOND);
        if let Some(status) = status {
            block.push_status(ts, SymbolId(0), status);
        }
        block.push_book(ts, ts, SymbolId(0), true, &bids, &asks);
    }
    block
}

#[test]
fn nothing_is_changed_while_the_venue_takes_no_orders() {
    for (status, reason) in [
        (TradingStatus::Stale, "stale-data"),
        (TradingStatus::Paused, "market-paused"),
        (TradingStatus::CancelOnly, "market-paused"),
    ] {
        let block = statuses(&[(1, None), (2, Some(status))]);
        let (_, outputs) = run(asks(vec![submit(limit(99.0)), amend(99.5)]), "1000", &block);
        let refused = format!("1 {reason}");
        assert_eq!(story(&outputs), ["1 open 100", refused.as_str(), "1 open 100"], "{status:?}");
    }
}

#[test]
fn an_order_whose_time_is_over_is_not_changed() {
    let mut order = limit(99.0);
    order.good_till_ns = Some(1_500_000_000);
    // The second event is of the other symbol, so nobody has looked at the order.
    let mut block = statuses(&[(1, None)]);
    let ts = Ts(2 * Ts::SECOND);
    let trade =
        Trade { symbol: SymbolId(1), side: Side::Buy, price: Price(10_000), qty: Qty(1), id: 0 };
    block.push_trade(ts, ts, &trade);
    let (_, outputs) = run(asks(vec![submit(order), amend(100.0)]), "1000", &block);
    assert_eq!(story(&outputs), ["1 open 100", "1 expires 100", "1 unknown-order"]);
}

#[test]
fn changes_count_as_orders() {
    let mut config = free();
    config.risk.max_orders_per_minute = Some(2);
    let calls = vec![submit(limit(99.0)), amend(99.1), amend(99.2)];
    let steps = [Book(BIDS, ASKS), Book(BIDS, ASKS), Book(BIDS, ASKS)];
    let (strategy, news) = listening(asks(calls));
    let (_, outputs) = run_with(&config, strategy, "1000", &market_of(&steps));
    let expected = ["1 open 100", "1 open 100", "1 risk-limit", "1 open 100"];
    assert_eq!(story(&outputs), expected);
    let last = news.lock().unwrap().last().cloned().unwrap();
    assert_eq!((last.status, last.reject), (OrderStatus::Accepted, Some(RejectReason::RiskLimit)));
}

#[test]
fn high_008_a_bracket_is_right_for_what_the_order_meets() {
    let with = |kind, stop, target| {
        let mut order = waits(Action::Buy, 0.5, kind);
        (order.stop_loss, order.take_profit) = (stop, target);
        order
    };
    // The ask is 100.00.
    let cases = [
        (
            "a limit far above, its stop above the ask",
            OrderKind::Limit(110.0),
            Some(105.0),
            None,
            true,
        ),
        ("its stop below the ask", OrderKind::Limit(110.0), Some(99.0), None, false),
        (
            "a target between the ask and the limit",
            OrderKind::Limit(110.0),
            None,
            Some(105.0),
            true,
        ),
        ("a target above both", OrderKind::Limit(110.0), None, Some(111.0), false),
        (
            "a stop that is passed, its target below the ask",
            OrderKind::Stop(95.0),
            None,
            Some(99.0),
            true,
        ),
        (
            "a stop-limit between whose prices the stop lies",
            OrderKind::StopLimit(101.0, 103.0),
            Some(102.0),
            None,
            true,
        ),
        ("below both", OrderKind::StopLimit(101.0, 103.0), Some(100.5), None, false),
    ];
    for (name, kind, stop, target, refused) in cases {
        let steps = [Book(BIDS, ASKS)];
        let (_, outputs) =
            run(asks(vec![submit(with(kind, stop, target))]), "1000", &market_of(&steps));
        assert_eq!(rejects(&outputs) == ["wrong-side"], refused, "{name}: {:?}", story(&outputs));
    }
}

#[test]
fn all_that_may_be_short_is_sold_whatever_the_spread() {
    let wide: &[(i64, i64)] = &[(10_400, 1_000)];
    let deep: &[(i64, i64)] = &[(9_600, 5_000)];
    for kind in [OrderKind::Market, OrderKind::Limit(95.0)] {
        let mut order = market(Action::Short, Size::All);
        (order.kind, order.time_in_force) = (kind, TimeInForce::Ioc);
        let (report, outputs) =
            run(asks(vec![submit(order)]), "1000", &market_of(&[Book(deep, wide)]));
        // Twice 1000 at the mid of 100 is 20; each fetches 96.
        let sold: i64 = fills(&outputs).iter().map(|fill| fill.1).sum();
        assert_eq!(sold, 2_000, "{kind:?}: {:?}", story(&outputs));
        assert_eq!(report.positions[0].1, "-20");
    }
}

#[test]
fn what_a_print_took_is_not_there_for_an_order_that_takes() {
    let first = |step| vec![Book(BIDS, ASKS), step, Print(Side::Buy, 9_995, 1)];
    let cases = [
        ("the whole level", Print(Side::Buy, 10_000, 100), "1 Taker 100 for 100.1 at 2s"),
        // 0.40 at 100.00 and 0.60 at 100.10.
        ("a part of it", Print(Side::Buy, 10_000, 60), "1 Taker 100 for 100.06 at 2s"),
        ("of the other side", Print(Side::Sell, 9_990, 100), "1 Taker 100 for 100 at 2s"),
        ("where nothing is shown", Print(Side::Buy, 10_005, 100), "1 Taker 100 for 100 at 2s"),
    ];
    for (name, step, expected) in cases {
        let calls = vec![vec![], submit(buys(1.0))];
        let (_, outputs) = run(asks(calls), "1000", &market_of(&first(step)));
        assert_eq!(story(&outputs), [expected], "{name}");
    }
    // A book event that names the level tells how much is there.
    let steps = [
        Book(BIDS, ASKS),
        Print(Side::Buy, 10_000, 100),
        Levels(&[], &[(10_000, 80)]),
        Print(Side::Buy, 9_995, 1),
    ];
    let calls = vec![vec![], vec![], submit(buys(1.0))];
    let (_, outputs) = run(asks(calls), "1000", &market_of(&steps));
    assert_eq!(story(&outputs), ["1 Taker 100 for 100.02 at 3s"]);
}

#[test]
fn a_status_between_a_change_of_the_queue_and_its_print_tells_nothing() {
    let outcome = |status: bool| {
        let mut block = market_of(&[Book(BIDS, ASKS), Levels(&[(9_990, 40)], &[])]);
        let at = |second: i64| Ts(second * Ts::SECOND);
        if status {
            block.push_status(at(3), SymbolId(0), TradingStatus::Trading);
        }
        // 0.60 of the print may be what the book event told; 0.40 wait ahead.
        let trade = Trade {
            symbol: SymbolId(0),
            side: Side::Sell,
            price: Price(9_990),
            qty: Qty(105),
            id: 0,
        };
        block.push_trade(at(4), at(4), &trade);
        story(&run(asks(vec![submit(limit(99.9))]), "1000", &block).1)
    };
    for status in [false, true] {
        assert_eq!(outcome(status), ["1 open 100", "1 Maker 5 for 4.995 at 4s"], "{status}");
    }
}

#[test]
fn a_bracket_ends_with_the_position_that_it_was_set_for() {
    // Long with a target; an order sells at the target, and a stop buys anew behind it.
    let mut opens = buys(1.0);
    opens.take_profit = Some(110.0);
    let outcome = |sells: bool| {
        let sell = waits(Action::Sell, 1.0, OrderKind::Limit(110.0));
        let again = submit(waits(Action::Buy, 1.0, OrderKind::Stop(110.0)));
        let calls = if sells {
            vec![submit(opens.clone()), submit(sell), again]
        } else {
            vec![submit(opens.clone()), vec![], again]
        };
        let steps = [
            Book(BIDS, ASKS),
            Book(BIDS, ASKS),
            Book(BIDS, ASKS),
            Book(&[(11_000, 900)], &[(11_001, 900)]),
        ];
        let (report, outputs) = run(asks(calls), "1000", &market_of(&steps));
        let causes = outputs.iter().filter_map(|one| match &one.body {
            LaneOutput::Fill { fill, .. } => Some(fill.cause),
            _ => None,
        });
        (causes.collect::<Vec<_>>(), report.positions.len())
    };
    use Cause::{Strategy, TakeProfit};
    assert_eq!(outcome(true), (vec![Strategy, Strategy, Strategy], 1), "the new one stays");
    assert_eq!(outcome(false).0.last(), Some(&TakeProfit), "control: the target acts");
}

#[test]
fn what_waits_to_reduce_shrinks_and_ends_with_the_position_at_once() {
    let sells = |qty| waits(Action::Sell, qty, OrderKind::Limit(101.0));
    let calls = vec![
        together(vec![submit(buys(1.0)), submit(sells(1.0))]),
        submit(market(Action::Sell, Size::Base(0.4))),
        // Closed and opened anew at one event: the order of before is gone.
        together(vec![
            submit(market(Action::Sell, Size::All)),
            submit(market(Action::Buy, Size::Base(0.1))),
        ]),
    ];
    let steps =
        [Book(BIDS, ASKS), Book(BIDS, ASKS), Book(BIDS, ASKS), Print(Side::Buy, 10_200, 500)];
    let (report, outputs) = run(asks(calls), "1000", &market_of(&steps));
    let expected = [
        "1 Taker 100 for 100 at 1s",
        "2 open 100",
        "3 Taker 40 for 39.96 at 2s",
        "2 open 60",
        "4 Taker 60 for 59.94 at 3s",
        "2 ends 60",
        "5 Taker 10 for 10.01 at 3s",
    ];
    assert_eq!(story(&outputs), expected);
    assert_eq!(report.positions[0].1, "0.1");
}

#[test]
fn a_run_has_work_while_a_close_waits_for_the_market() {
    let mut config = free();
    config.risk.max_drawdown = Some(Rate(1_000_000));
    config.risk.on_halt = OnHalt::Flatten;
    let block = |from: i64, status: Option<TradingStatus>, price: i64| {
        let mut block = InputBlock::new(&instruments(), from as u64);
        let ts = Ts(from * Ts::SECOND);
        let levels = ([(Price(price - 10), Qty(500))], [(Price(price), Qty(500))]);
        if let Some(status) = status {
            block.push_status(ts, SymbolId(0), status);
        }
        block.push_book(ts, ts, SymbolId(0), true, &levels.0, &levels.1);
        block
    };
    let mut engine = engine(&config, vec![(asks(vec![submit(buys(1.0))]), "1000")]);
    engine.step(&block(1, None, 10_000)).unwrap();
    assert!(engine.is_running() && engine.has_work());
    // It falls while the market is paused: halted, and not closed yet.
    engine.step(&block(2, Some(TradingStatus::Paused), 9_000)).unwrap();
    assert!(!engine.is_running() && engine.has_work());
    engine.step(&block(4, Some(TradingStatus::Trading), 9_000)).unwrap();
    assert!(!engine.has_work(), "closed: nothing is left");
    assert!(engine.reports()[0].positions.is_empty());
}

#[test]
fn what_waits_or_is_on_its_way_at_the_end_ends_there() {
    let mut config = EngineConfig::default();
    config.latency.order = crate::execution::Delay::Fixed(Ts::SECOND);
    let calls = vec![submit(limit(99.0)), submit(limit(98.0))];
    let steps = [Book(BIDS, ASKS), Book(BIDS, ASKS)];
    let mut engine = engine(&config, vec![(asks(calls), "1000")]);
    engine.step(&market_of(&steps)).unwrap();
    engine.drain().for_each(drop);
    engine.finish().unwrap();
    let outputs: Vec<Output> = engine.drain().collect();
    assert_eq!(story(&outputs), ["1 ends 100", "2 halted"]);
    assert!(outputs.iter().all(|one| !matches!(one.body, LaneOutput::Fill { .. })));
}
