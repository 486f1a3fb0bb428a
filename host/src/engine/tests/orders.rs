//! What becomes of orders.

use super::support::*;
use crate::domain::{Action, Price, Qty, SymbolId, Ts};
use crate::engine::{EngineConfig, LaneOutput, LaneState};
use crate::input::{InputBlock, TradingStatus};
use crate::strategy::{Channel, FaultKind, Size};

#[test]
fn high_008_sell_without_a_long_is_refused_visibly() {
    let orders = vec![
        market(Action::Sell, Size::Base(1.0)),
        market(Action::Cover, Size::Base(1.0)),
        market(Action::Buy, Size::Base(1.0)),
        market(Action::Short, Size::Base(1.0)),
        market(Action::Sell, Size::Base(1.01)),
        market(Action::Sell, Size::All),
        market(Action::Short, Size::Base(1.0)),
        market(Action::Buy, Size::Base(1.0)),
        market(Action::Cover, Size::Base(1.01)),
    ];
    let (strategy, news) = listening(sends(orders));
    let (report, outputs) = run(strategy, "1000", &trades(&[10_000; 9]));
    let expected = [
        "insufficient-position",
        "no-short-position",
        "opposite-position",
        "insufficient-position",
        "opposite-position",
        "no-short-position",
    ];
    assert_eq!(rejects(&outputs), expected);
    let news = news.lock().unwrap();
    let told: Vec<_> = news.iter().filter_map(|u| u.reject).map(|r| r.name()).collect();
    assert_eq!(told, expected, "the strategy hears the same reasons");
    assert_eq!((report.counters.orders, report.counters.rejected), (9, 6));
}

#[test]
fn high_008_brackets_on_the_wrong_side_are_refused() {
    let with = |action, stop, target| {
        let mut order = market(action, Size::Base(0.1));
        (order.stop_loss, order.take_profit) = (stop, target);
        order
    };
    let cases = [
        (with(Action::Buy, Some(100.0), None), Some("wrong-side")),
        (with(Action::Buy, Some(101.0), None), Some("wrong-side")),
        (with(Action::Buy, None, Some(100.0)), Some("wrong-side")),
        (with(Action::Buy, Some(99.0), Some(101.0)), None),
        (with(Action::Short, Some(99.0), None), Some("wrong-side")),
        (with(Action::Short, None, Some(101.0)), Some("wrong-side")),
        (with(Action::Short, Some(101.0), Some(99.0)), None),
        (with(Action::Buy, Some(f64::NAN), None), Some("invalid-number")),
        (with(Action::Buy, Some(-1.0), None), Some("invalid-number")),
    ];
    for (order, expected) in cases {
        let name = format!("{order:?}");
        let (_, outputs) = run(sends(vec![order]), "1000", &trades(&[10_000]));
        assert_eq!(rejects(&outputs).first().copied(), expected, "{name}");
    }
}

#[test]
fn low_005_an_order_for_an_unknown_symbol_is_an_event_and_counted() {
    let mut order = market(Action::Buy, Size::Base(1.0));
    order.symbol = 7;
    let (report, outputs) = run(sends(vec![order]), "1000", &trades(&[10_000]));
    assert_eq!(rejects(&outputs), ["unknown-symbol"]);
    assert_eq!((report.counters.orders, report.counters.rejected), (1, 1));
}

#[test]
fn add_15_increments_and_minimums_are_enforced_and_say_why() {
    let mut table = instruments().at(SymbolId(0)).clone();
    table.qty_increment = Qty(10);
    table.qty_min = Qty(50);
    table.cost_min = usd("60");
    let check = |qty: f64, price: i64| {
        let qty = Qty((qty * 100.0).round() as i64);
        let rounded = table.round_qty(qty);
        crate::risk::check_minimums(&table, rounded, Price(price), false).map_err(|r| r.name())
    };
    assert_eq!(check(0.49, 10_000), Err("below-minimum-quantity"));
    assert_eq!(check(0.05, 10_000), Err("below-minimum-quantity"));
    assert_eq!(check(0.55, 10_000), Err("below-minimum-cost"));
    assert_eq!(check(0.60, 10_000), Ok(()));
}

#[test]
fn add_15_sizes_round_down_to_the_increment() {
    let orders =
        vec![market(Action::Buy, Size::Base(1.239)), market(Action::Buy, Size::Base(0.001))];
    let (_, outputs) = run(sends(orders), "1000", &trades(&[10_000, 10_000]));
    assert_eq!(fills(&outputs), [("buy", 123, "123.00000000".into())]);
    assert_eq!(rejects(&outputs), ["below-minimum-quantity"]);
}

#[test]
fn add_17_the_unit_of_a_size_is_typed() {
    let orders = vec![
        market(Action::Buy, Size::Base(2.0)),
        market(Action::Sell, Size::All),
        market(Action::Buy, Size::Quote(2.0)),
        market(Action::Sell, Size::All),
        market(Action::Buy, Size::All),
    ];
    let (_, outputs) = run(sends(orders), "1000", &trades(&[5_000; 5]));
    let quantities: Vec<i64> = fills(&outputs).iter().map(|f| f.1).collect();
    assert_eq!(quantities, [200, 200, 4, 4, 2_000]);
}

#[test]
fn numbers_that_are_none_are_refused() {
    for size in [f64::NAN, f64::INFINITY, -1.0, 0.0, -0.0, 1e300, f64::MIN_POSITIVE] {
        for size in [Size::Base(size), Size::Quote(size)] {
            let (_, outputs) =
                run(sends(vec![market(Action::Buy, size)]), "1000", &trades(&[10_000]));
            let reason = rejects(&outputs)[0];
            assert!(
                ["invalid-number", "below-minimum-quantity"].contains(&reason),
                "{size:?}: {reason}"
            );
        }
    }
}

#[test]
fn nothing_is_filled_on_stale_data_or_while_paused() {
    for (status, reason) in
        [(TradingStatus::Stale, "stale-data"), (TradingStatus::Paused, "market-paused")]
    {
        let mut block = InputBlock::new(&instruments(), 1);
        block.push_status(Ts(1), SymbolId(0), status);
        let trade = trades(&[10_000]);
        block.extend_exact(trade.exact_words(), &[Ts::SECOND]).unwrap();
        let (_, outputs) = run(sends(vec![market(Action::Buy, Size::Base(1.0))]), "1000", &block);
        assert_eq!(rejects(&outputs), [reason]);
    }
}

#[test]
fn x_multi_several_orders_in_one_call_happen_in_order() {
    let mut sent = false;
    let strategy = Scripted::new(&[Channel::Trades], move |_, effects| {
        if !sent {
            sent = true;
            for action in [Action::Buy, Action::Sell, Action::Short, Action::Cover] {
                effects.submit(market(action, Size::Base(1.0))).unwrap();
            }
        }
    });
    let (_, outputs) = run(strategy, "1000", &trades(&[10_000]));
    let actions: Vec<_> = fills(&outputs).iter().map(|f| f.0).collect();
    assert_eq!(actions, ["buy", "sell", "short", "cover"]);
}

#[test]
fn orders_beyond_the_limit_of_one_event_are_dropped_and_counted() {
    let strategy = Scripted::new(&[Channel::Trades], |_, effects| {
        for _ in 0..100 {
            let _full = effects.submit(market(Action::Buy, Size::Base(0.01)));
        }
    });
    let (report, outputs) = run(strategy, "1000", &trades(&[10_000]));
    assert_eq!(fills(&outputs).len(), 16);
    assert_eq!((report.counters.orders, report.counters.rejected), (100, 84));
}

#[test]
fn an_answer_to_every_rejection_ends() {
    let strategy =
        sends(vec![market(Action::Sell, Size::Base(1.0))]).with_orders(|_, _, effects| {
            let _full = effects.submit(market(Action::Sell, Size::Base(1.0)));
        });
    let (report, outputs) = run(strategy, "1000", &trades(&[10_000]));
    assert_eq!(rejects(&outputs).len(), 16, "as many as one event may cause");
    assert_eq!(report.state, LaneState::Stopped);
}

#[test]
fn add_03_a_stop_closes_exactly_the_position() {
    let mut order = market(Action::Buy, Size::Base(1.23));
    order.stop_loss = Some(99.0);
    let more = market(Action::Buy, Size::Base(0.77));
    let (strategy, news) = listening(sends(vec![order, more]));
    let (report, outputs) = run(strategy, "1000", &trades(&[10_000, 10_000, 9_901, 9_890, 9_000]));
    let last = fills(&outputs).pop().unwrap();
    assert_eq!(last, ("sell", 200, "197.80000000".into()), "at the market, not at the level");
    assert!(report.positions.is_empty());
    // ADD-06: the strategy hears of it like of any other fill.
    let news = news.lock().unwrap();
    let told = news.last().unwrap();
    assert_eq!((told.cause.name(), told.filled, told.position), ("stop-loss", 2.0, 0.0));
}

#[test]
fn add_06_fills_of_stops_and_targets_are_news_like_any_other() {
    let mut order = market(Action::Short, Size::Base(1.0));
    (order.stop_loss, order.take_profit) = (Some(110.0), Some(95.0));
    let (strategy, news) = listening(sends(vec![order]));
    let (report, outputs) = run(strategy, "1000", &trades(&[10_000, 9_600, 9_500, 12_000]));
    let causes: Vec<_> = outputs
        .iter()
        .filter_map(|o| match &o.body {
            LaneOutput::Fill { fill, .. } => Some(fill.cause.name()),
            _ => None,
        })
        .collect();
    assert_eq!(causes, ["strategy", "take-profit"]);
    assert_eq!(news.lock().unwrap().len(), 2);
    assert_eq!(report.statistics.closed, 1);
    assert_eq!(report.statistics.fill_count, 2);
    assert_eq!(report.cash, usd("1005"));
}

#[test]
fn add_12_a_strategy_runs_when_something_happens_and_a_throttle_is_optional() {
    let counting = || {
        let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let copy = std::sync::Arc::clone(&seen);
        let strategy = Scripted::new(&[Channel::Trades], move |event, _| {
            copy.lock().unwrap().push(event.ts / 1_000_000_000);
        });
        (strategy, seen)
    };
    let block = trades(&[10_000; 10]);
    let (strategy, seen) = counting();
    let config = EngineConfig { batch: 1, ..free() };
    let (report, _) = run_with(&config, strategy, "1000", &block);
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(report.usage.calls, 10);
    for batch in [1, 3, 256] {
        let (strategy, seen) = counting();
        let config = EngineConfig { batch, interval_ns: 3 * Ts::SECOND, ..free() };
        let (report, _) = run_with(&config, strategy, "1000", &block);
        assert_eq!(*seen.lock().unwrap(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "no event is lost");
        assert_eq!(report.usage.calls, 4, "at seconds 1, 4, 7 and 10, batch {batch}");
    }
}

#[test]
fn x_exc_a_fault_quarantines_one_strategy_and_leaves_the_others() {
    let block = trades(&[10_000, 10_100, 10_200]);
    let alone = run(sends(vec![market(Action::Buy, Size::Base(1.0))]), "1000", &block).0;
    let mut faulty = sends(vec![market(Action::Buy, Size::Base(1.0))]);
    faulty.consumes = |_| 1_000;
    let good = sends(vec![market(Action::Buy, Size::Base(1.0))]);
    let mut engine = engine(&free(), vec![(faulty, "1000"), (good, "1000")]);
    engine.step(&block).unwrap();
    engine.finish().unwrap();
    let reports = engine.reports();
    let LaneState::Quarantined(fault) = &reports[0].state else { panic!("{:?}", reports[0].state) };
    assert_eq!(fault.kind, FaultKind::Protocol);
    assert_eq!(reports[0].counters.orders, 0, "what a failed call asked for never happened");
    assert_eq!(reports[1].chain, alone.chain, "the neighbor's chain is the same as alone");
}

#[test]
fn add_19_order_and_fill_ids_are_sequential() {
    let orders = vec![
        market(Action::Buy, Size::Base(1.0)),
        market(Action::Cover, Size::Base(1.0)),
        market(Action::Sell, Size::Base(1.0)),
    ];
    let (_, outputs) = run(sends(orders), "1000", &trades(&[10_000; 3]));
    let ids: Vec<_> = outputs
        .iter()
        .filter_map(|o| match &o.body {
            LaneOutput::Fill { fill, .. } => Some((fill.id, fill.order.0)),
            LaneOutput::Reject { order, .. } => Some((0, order.0)),
            _ => None,
        })
        .collect();
    assert_eq!(ids, [(1, 1), (0, 2), (2, 3)]);
}

#[test]
fn add_07_looking_back_returns_the_newest() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let copy = std::sync::Arc::clone(&seen);
    let mut at = 0;
    let strategy = Scripted::new(&[Channel::Trades], move |_, effects| {
        at += 1;
        if at == 4 {
            effects.submit(market(Action::Buy, Size::Base(1.0))).unwrap();
        }
    })
    .with_orders(move |_, history, _| {
        let prices = history.trades(0, 2).iter().map(|t| t.price).collect::<Vec<_>>();
        copy.lock().unwrap().push(prices);
    });
    // In one batch: the host's market already stands at the sixth trade.
    run(strategy, "1000", &trades(&[10_000, 10_100, 10_200, 10_300, 10_400, 10_500]));
    assert_eq!(*seen.lock().unwrap(), [[102.0, 103.0]], "the newest two as of the order");
}
