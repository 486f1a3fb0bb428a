//! What is on its way: hand-computed tables of the rules in `execution::latency`.

use super::steps::Step::{Book, Levels, Print};
use super::steps::*;
use super::support::*;
use crate::domain::{Action, OrderStatus, Rate, Side, TimeInForce, Ts};
use crate::engine::{Command, CommandAction, EngineConfig};
use crate::execution::{Delay, LatencyConfig, Model};
use crate::strategy::{Channel, Intent, OrderKind, OrderRequest, Size};

const MS: i64 = 1_000_000;

/// Latencies of orders and cancels in milliseconds.
fn late(order: i64, cancel: i64) -> EngineConfig {
    let latency = LatencyConfig {
        order: Delay::Fixed(order * MS),
        cancel: Delay::Fixed(cancel * MS),
        ..LatencyConfig::default()
    };
    EngineConfig { latency, ..free() }
}

fn limit(qty: f64, price: f64) -> OrderRequest {
    waits(Action::Buy, qty, OrderKind::Limit(price))
}

fn buys(qty: f64) -> Vec<Intent> {
    submit(market(Action::Buy, Size::Base(qty)))
}

#[test]
fn an_order_meets_the_book_that_stands_when_it_arrives() {
    let with = |mut order: OrderRequest, tif, post_only| {
        (order.time_in_force, order.post_only) = (tif, post_only);
        submit(order)
    };
    let ask = || Levels(&[], &[(10_000, 0), (10_010, 150)]);
    let steps =
        || [Book(BIDS, ASKS), Print(Side::Buy, 9_995, 1), ask(), Print(Side::Buy, 10_005, 1)];
    // At 1 s the best ask is 1.00 at 100.00, from 3 s on 1.50 at 100.10.
    let cases: Vec<(&str, Vec<Intent>, i64, Vec<&str>)> = vec![
        (
            "before the change",
            buys(1.0),
            900,
            vec!["1 new until 1.9s", "1 Taker 100 for 100 at 2s"],
        ),
        (
            "at the time of an event it arrives there",
            buys(1.0),
            1_000,
            vec!["1 new until 2s", "1 Taker 100 for 100 at 2s"],
        ),
        (
            "after the change",
            buys(1.0),
            1_001,
            vec!["1 new until 2.001s", "1 Taker 100 for 100.1 at 3s"],
        ),
        ("after the end", buys(1.0), 9_000, vec!["1 new until 10s"]),
        (
            "immediate: the limit is judged on arrival",
            with(limit(1.0, 100.0), TimeInForce::Ioc, false),
            1_500,
            vec!["1 new until 2.5s", "1 open 100", "1 ends 100"],
        ),
        (
            "fill or kill as well",
            with(limit(1.6, 100.1), TimeInForce::Fok, false),
            1_500,
            vec!["1 new until 2.5s", "1 open 160", "1 ends 160"],
        ),
        (
            "post-only would have taken",
            with(limit(1.0, 100.0), TimeInForce::Gtc, true),
            1_500,
            vec!["1 new until 2.5s", "1 open 100"],
        ),
        (
            "post-only takes by then",
            with(limit(1.0, 100.1), TimeInForce::Gtc, true),
            1_500,
            vec!["1 new until 2.5s", "1 would-take"],
        ),
    ];
    for (name, order, order_ms, expected) in cases {
        let (_, outputs) =
            run_with(&late(order_ms, 0), asks(vec![order]), "1000", &market_of(&steps()));
        assert_eq!(story(&outputs), expected, "{name}");
    }
}

#[test]
fn a_limit_joins_the_queue_on_arrival_and_not_before_its_event() {
    // The print that it arrives with is over; the next one finds it behind 1.00.
    let steps = [Book(BIDS, ASKS), Print(Side::Sell, 9_990, 500), Print(Side::Sell, 9_990, 130)];
    let asked = || asks(vec![submit(limit(1.0, 99.9))]);
    let (_, outputs) = run_with(&late(1, 0), asked(), "1000", &market_of(&steps));
    let expected = ["1 new until 1.001s", "1 open 100", "1 Maker 30 for 29.97 at 3s"];
    assert_eq!(story(&outputs), expected);
    let (_, outputs) = run_with(&late(0, 0), asked(), "1000", &market_of(&steps));
    assert_eq!(story(&outputs), ["1 open 100", "1 Maker 100 for 99.9 at 2s"], "without latency");
}

#[test]
fn a_cancel_and_a_change_can_lose_the_race_and_say_so() {
    let cancel = || vec![Intent::Cancel { order: 1 }];
    let amend = vec![Intent::Amend { order: 1, size: None, price: Some(99.0) }];
    let steps = |sold| {
        let quiet = || Print(Side::Buy, 9_995, 1);
        [Book(BIDS, ASKS), quiet(), Print(Side::Sell, 9_980, sold), quiet(), quiet()]
    };
    // The order is sent at 1 s and arrives at 2 s; what follows is sent at 2 s; the
    // sale comes at 3 s.
    let cases = [
        (
            "at the very event",
            cancel(),
            100,
            900,
            vec!["1 cancel until 2.9s", "1 Maker 100 for 99.9 at 3s", "1 unknown-order"],
        ),
        (
            "lost",
            cancel(),
            100,
            1_500,
            vec!["1 cancel until 3.5s", "1 Maker 100 for 99.9 at 3s", "1 unknown-order"],
        ),
        (
            "in part",
            cancel(),
            40,
            1_500,
            vec!["1 cancel until 3.5s", "1 Maker 40 for 39.96 at 3s", "1 ends 60"],
        ),
        (
            "a change",
            amend,
            100,
            0,
            vec!["1 amend until 3s", "1 Maker 100 for 99.9 at 3s", "1 unknown-order"],
        ),
    ];
    for (name, asked, sold, cancel_ms, then) in cases {
        let (strategy, news) = listening(asks(vec![submit(limit(1.0, 99.9)), asked]));
        let config = late(1_000, cancel_ms);
        let (_, outputs) = run_with(&config, strategy, "1000", &market_of(&steps(sold)));
        let expected: Vec<_> = ["1 new until 2s", "1 open 100"].into_iter().chain(then).collect();
        assert_eq!(story(&outputs), expected, "{name}");
        let news = news.lock().unwrap();
        assert_eq!(news.len(), expected.len(), "{name}: the strategy hears it all");
        let last = news.last().unwrap();
        let refused = expected.last() == Some(&"1 unknown-order");
        assert_eq!(last.reject.is_some(), refused, "{name}: {last:?}");
    }
    // Nobody cancels on the news that fills: at the event itself the order looks
    // first. Between two events the cancel is in time.
    let between = [
        Book(BIDS, ASKS),
        Print(Side::Buy, 9_995, 1),
        Print(Side::Buy, 9_995, 1),
        Print(Side::Sell, 9_980, 100),
    ];
    let strategy = asks(vec![submit(limit(1.0, 99.9)), cancel()]);
    let (_, outputs) = run_with(&late(1_000, 900), strategy, "1000", &market_of(&between));
    assert_eq!(
        story(&outputs),
        ["1 new until 2s", "1 open 100", "1 cancel until 2.9s", "1 ends 100"]
    );
}

#[test]
fn nothing_overtakes_what_was_sent_before_it() {
    let asked = asks(vec![
        submit(limit(1.0, 99.0)),
        vec![Intent::Cancel { order: 1 }, Intent::CancelAll { symbol: None }],
    ]);
    let (strategy, news) = listening(asked);
    let steps = [
        Book(BIDS, ASKS),
        Print(Side::Buy, 9_995, 1),
        Print(Side::Buy, 9_995, 1),
        Print(Side::Buy, 9_995, 1),
    ];
    let (_, outputs) = run_with(&late(2_500, 10), strategy, "1000", &market_of(&steps));
    let expected = [
        "1 new until 3.5s",
        "1 cancel until 3.5s",
        "0 cancel-all until 3.5s",
        "1 open 100",
        "1 ends 100",
    ];
    assert_eq!(story(&outputs), expected);
    let told: Vec<_> = news.lock().unwrap().iter().map(|update| update.status).collect();
    use OrderStatus::{Accepted, Canceled, PendingCancel, PendingNew};
    assert_eq!(told, [PendingNew, PendingCancel, Accepted, Canceled]);
}

#[test]
fn what_is_on_its_way_ends_with_the_strategy() {
    let asked = || asks(vec![submit(limit(1.0, 99.0)), vec![Intent::Cancel { order: 1 }]]);
    let steps = [Book(BIDS, ASKS), Print(Side::Buy, 9_995, 1), Print(Side::Buy, 9_995, 1)];
    let (before, after) = (market_of(&steps[..2]), {
        let mut block = crate::input::InputBlock::new(&instruments(), 4);
        let ts = Ts(9 * Ts::SECOND);
        block.push_status(ts, crate::domain::SymbolId(0), crate::input::TradingStatus::Trading);
        block
    });
    for (action, then) in [
        (CommandAction::Kill, vec!["1 halted"]),
        (CommandAction::Pause, vec!["1 halted", "1 unknown-order"]),
    ] {
        let mut engine = engine(&late(5_000, 0), vec![(asked(), "1000")]);
        engine.step(&before).unwrap();
        let command = Command { lane: None, action, reason: "enough".into() };
        engine.command(Ts(3 * Ts::SECOND), &command).unwrap();
        engine.step(&after).unwrap();
        let outputs: Vec<_> = engine.drain().collect();
        let expected: Vec<_> =
            ["1 new until 6s", "1 cancel until 6s"].into_iter().chain(then).collect();
        assert_eq!(story(&outputs), expected, "{action:?}");
    }
    let mut faulty = asked();
    faulty.fails_at = Some(3);
    let (_, outputs) = run_with(&late(5_000, 0), faulty, "1000", &market_of(&steps));
    assert_eq!(story(&outputs), ["1 new until 6s", "1 cancel until 6s", "1 halted"]);
}

#[test]
fn only_so_much_may_be_on_its_way_and_what_is_unknown_never_leaves() {
    let mut sent = 0;
    let strategy = Scripted::new(&[Channel::Trades], move |_, effects| {
        sent += 1;
        for _ in 0..16 {
            if sent <= 17 {
                effects.submit(limit(0.01, 99.0)).unwrap();
            }
        }
    });
    let (_, outputs) = run_with(&late(900_000, 0), strategy, "1000", &trades(&[10_000; 18]));
    assert_eq!(rejects(&outputs), vec!["too-many-orders"; 16], "256 of 272 are on their way");
    let mut elsewhere = limit(1.0, 99.0);
    elsewhere.symbol = 9;
    let asked = asks(vec![submit(elsewhere), vec![Intent::Cancel { order: 7 }]]);
    let (_, outputs) = run_with(&late(1, 1), asked, "1000", &trades(&[10_000; 3]));
    assert_eq!(story(&outputs), ["1 unknown-symbol", "7 unknown-order"]);
}

#[test]
fn the_instant_model_knows_no_latency() {
    let mut config = late(500, 500);
    config.execution.model = Model::Instant;
    let (_, outputs) = run_with(&config, asks(vec![buys(1.0)]), "1000", &trades(&[10_000; 3]));
    assert_eq!(story(&outputs), ["1 Taker 100 for 100 at 1s"]);
}

/// A strategy whose calls use that much fuel each.
fn burning(fuel: u64, asked: Vec<Vec<Intent>>) -> Scripted {
    let mut strategy = asks(asked);
    strategy.burns = fuel;
    strategy
}

#[test]
fn a_slower_build_of_the_same_strategy_trades_later() {
    let mut config = free();
    config.latency.ns_per_fuel = Rate::parse("0.5").unwrap();
    let steps = [
        Book(BIDS, ASKS),
        Print(Side::Buy, 9_995, 1),
        Levels(&[], &[(10_000, 0)]),
        Print(Side::Buy, 9_995, 1),
    ];
    // The book event that is told to it takes one call, like each print.
    let cases = [
        (0, vec!["1 Taker 100 for 100 at 1s"]),
        (1_000_000, vec!["1 new until 1.0005s", "1 Taker 100 for 100 at 2s"]),
        (3_000_000_000, vec!["1 new until 2.5s", "1 Taker 100 for 100.1 at 3s"]),
    ];
    for (fuel, expected) in cases {
        for batch in [1, 256] {
            let config = EngineConfig { batch, ..config.clone() };
            let strategy = burning(fuel, vec![buys(1.0)]);
            let (_, outputs) = run_with(&config, strategy, "1000", &market_of(&steps));
            assert_eq!(story(&outputs), expected, "{fuel} fuel, batch {batch}");
        }
    }
    // Whoever computes longer than events are apart falls behind: 1.5 s of work a
    // second, and an order at the second event leaves after both, at 4 s.
    let strategy = burning(3_000_000_000, vec![vec![], buys(1.0)]);
    let (_, outputs) = run_with(&config, strategy, "1000", &market_of(&steps));
    assert_eq!(story(&outputs), ["1 new until 4s", "1 Taker 100 for 100.1 at 4s"]);
}
