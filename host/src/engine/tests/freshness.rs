//! Nothing fills at a price that is not there any more.

use super::steps::Step::Book;
use super::steps::*;
use super::support::*;
use crate::domain::{Action, Price, Qty, Side, SymbolId, TimeInForce, Ts};
use crate::engine::{Command, CommandAction, EngineConfig, LaneOutput};
use crate::execution::{Delay, Model};
use crate::input::{InputBlock, Trade, TradingStatus};
use crate::strategy::{Channel, OrderKind, OrderRequest, Size};

const X: SymbolId = SymbolId(0);

fn print(block: &mut InputBlock, second: i64, symbol: SymbolId, price: i64) {
    let ts = Ts(second * Ts::SECOND);
    let (side, price, qty) = (Side::Buy, Price(price), Qty(100));
    block.push_trade(ts, ts, &Trade { symbol, side, price, qty, id: 0 });
}

/// Asks for this order at every event of Y/USD, a candle or a timer included.
fn on_y(channel: Channel, order: &OrderRequest) -> Scripted {
    let order = order.clone();
    Scripted::new(&[channel], move |event, effects| {
        if event.header.kind() != crate::words::TRADE || event.header.symbol() == SymbolId(1) {
            effects.submit(order.clone()).unwrap();
        }
    })
}

#[test]
fn no_order_fills_at_a_trade_of_long_ago() {
    let buy = market(Action::Buy, Size::Base(0.1));
    let block = |ages: &[i64]| {
        let mut block = InputBlock::new(&instruments(), 1);
        print(&mut block, 1_000, X, 10_000);
        for age in ages {
            print(&mut block, 1_000 + age, SymbolId(1), 500);
        }
        block
    };
    for model in [Model::Book, Model::Instant] {
        let mut config = free();
        config.execution.model = model;
        let (_, outputs) =
            run_with(&config, on_y(Channel::Trades, &buy), "1000", &block(&[0, 60, 61, 9_000]));
        let fresh = fills(&outputs).len();
        assert_eq!((fresh, rejects(&outputs)), (2, vec!["stale-data"; 2]), "{model:?}");
        config.execution.max_trade_age_ns = 10_000 * Ts::SECOND;
        let (_, outputs) =
            run_with(&config, on_y(Channel::Trades, &buy), "1000", &block(&[0, 60, 61, 9_000]));
        assert_eq!(fills(&outputs).len(), 4, "{model:?}: the control, where any age is allowed");
    }
}

#[test]
fn a_candle_after_a_silence_is_no_price_to_trade_at() {
    let buy = market(Action::Buy, Size::Base(0.1));
    let mut block = InputBlock::new(&instruments(), 1);
    for second in [10, 20, 70] {
        print(&mut block, second, X, 10_000);
    }
    // The candle of the first minute closes when the trade at 70 s comes; the next
    // one only after the silence, before the trade that ends it is known.
    print(&mut block, 4_000, X, 20_000);
    for model in [Model::Book, Model::Instant] {
        let mut config = free();
        config.market.fill_gaps = 0;
        config.execution.model = model;
        let (_, outputs) = run_with(&config, on_y(Channel::Candles(60), &buy), "1000", &block);
        let bought = fills(&outputs);
        assert_eq!(bought, [("buy", 10, "10.00000000".into())], "{model:?}");
        assert_eq!(rejects(&outputs), ["stale-data"], "{model:?}");
    }
}

#[test]
fn stops_and_brackets_wait_for_the_next_trade() {
    let mut long = market(Action::Buy, Size::Base(1.0));
    long.stop_loss = Some(90.0);
    let stop = waits(Action::Sell, 0.5, OrderKind::Stop(95.0));
    let mut block = InputBlock::new(&instruments(), 1);
    print(&mut block, 1, X, 10_000);
    print(&mut block, 2, X, 10_000);
    // Falls while the data are stale; long after, the status alone returns.
    block.push_status(Ts(3 * Ts::SECOND), X, TradingStatus::Stale);
    print(&mut block, 4, X, 8_900);
    block.push_status(Ts(500 * Ts::SECOND), X, TradingStatus::Trading);
    print(&mut block, 501, X, 8_000);
    let (_, outputs) = run(asks(vec![submit(long), submit(stop)]), "1000", &block);
    let expected = [
        "1 Taker 100 for 100 at 1s",
        "2 open 50",
        "2 open 50",
        "2 Taker 50 for 40 at 501s",
        "3 Taker 50 for 40 at 501s",
    ];
    assert_eq!(story(&outputs), expected);
}

#[test]
fn nothing_fills_while_the_data_are_stale() {
    let limit = |price| waits(Action::Buy, 1.0, OrderKind::Limit(price));
    let mut immediate = limit(101.0);
    immediate.time_in_force = TimeInForce::Ioc;
    let mut long = market(Action::Buy, Size::Base(1.0));
    long.stop_loss = Some(99.9);
    // Each is asked for before, in flight or waiting while the data are stale.
    let orders = [
        ("market", market(Action::Buy, Size::Base(1.0))),
        ("limit", limit(101.0)),
        ("immediate", immediate),
        ("stop", waits(Action::Buy, 1.0, OrderKind::Stop(99.0))),
        ("bracket", long),
    ];
    for with_book in [true, false] {
        for late in [0, 1_500_000_000] {
            for (name, order) in &orders {
                let mut config = free();
                config.latency.order = Delay::Fixed(late);
                let mut block = InputBlock::new(&instruments(), 1);
                let quote = |block: &mut InputBlock, second: i64| {
                    if with_book {
                        let (bids, asks) =
                            ([(Price(9_990), Qty(500))], [(Price(10_000), Qty(500))]);
                        let ts = Ts(second * Ts::SECOND);
                        block.push_book(ts, ts, X, true, &bids, &asks);
                    }
                };
                quote(&mut block, 1);
                print(&mut block, 2, X, 10_000);
                block.push_status(Ts(3 * Ts::SECOND), X, TradingStatus::Stale);
                quote(&mut block, 4);
                for second in 4..20 {
                    print(&mut block, second, X, 9_900);
                }
                let order = order.clone();
                let strategy = Scripted::new(&[Channel::Trades], move |_, effects| {
                    effects.submit(order.clone()).unwrap();
                });
                let mut engine = engine(&config, vec![(strategy, "1000")]);
                engine.step(&block).unwrap();
                let flatten =
                    Command { lane: None, action: CommandAction::Flatten, reason: "now".into() };
                engine.command(Ts(20 * Ts::SECOND), &flatten).unwrap();
                let filled: Vec<_> = engine
                    .drain()
                    .filter(|one| matches!(one.body, LaneOutput::Fill { .. }))
                    .map(|one| one.ts.0 / Ts::SECOND)
                    .collect();
                let case = format!("{name}, book {with_book}, late {late}");
                assert!(filled.iter().all(|second| *second < 3), "{case}: {filled:?}");
                // The control: sound data fill it. A stop acts at the event after.
                assert_eq!(filled.is_empty(), late > 0 || *name == "stop", "{case}: {filled:?}");
            }
        }
    }
}

#[test]
fn a_good_till_date_ends_an_order_that_waits_and_is_told_apart_from_a_cancel() {
    let second = |s: u64| Some(s * 1_000_000_000);
    let with = |mut order: OrderRequest, till, tif| {
        (order.good_till_ns, order.time_in_force) = (till, tif);
        order
    };
    let limit = || waits(Action::Buy, 1.0, OrderKind::Limit(99.9));
    let (gtc, ioc, day) = (TimeInForce::Gtc, TimeInForce::Ioc, TimeInForce::Day);
    let stop = waits(Action::Buy, 1.0, OrderKind::Stop(150.0));
    let cases = [
        ("before", with(limit(), second(4), gtc), vec!["1 open 100", "1 Maker 100 for 99.9 at 3s"]),
        ("at", with(limit(), second(3), gtc), vec!["1 open 100", "1 expires 100"]),
        (
            "between events",
            with(limit(), Some(2_000_000_001), gtc),
            vec!["1 open 100", "1 expires 100"],
        ),
        ("sooner than the day", with(limit(), second(2), day), vec!["1 open 100", "1 expires 100"]),
        ("a stop", with(stop, second(2), gtc), vec!["1 open 100", "1 expires 100"]),
        ("over", with(limit(), second(1), gtc), vec!["1 invalid-number"]),
        ("immediate", with(limit(), second(9), ioc), vec!["1 unsupported"]),
        (
            "market",
            with(market(Action::Buy, Size::Base(1.0)), second(9), gtc),
            vec!["1 unsupported"],
        ),
    ];
    let quiet = || Step::Print(Side::Buy, 9_995, 1);
    for (name, order, expected) in cases {
        let steps = [Book(BIDS, ASKS), quiet(), Step::Print(Side::Sell, 9_980, 100)];
        let (strategy, news) = listening(asks(vec![submit(order)]));
        let (_, outputs) = run(strategy, "1000", &market_of(&steps));
        assert_eq!(story(&outputs), expected, "{name}");
        let last = news.lock().unwrap().last().unwrap().status;
        let expired = expected.last().is_some_and(|line| line.contains("expires"));
        assert_eq!(last == crate::domain::OrderStatus::Expired, expired, "{name}: {last:?}");
    }
    // On its way too long: refused on arrival.
    let config = EngineConfig {
        latency: crate::execution::LatencyConfig {
            order: Delay::Fixed(2 * Ts::SECOND),
            ..Default::default()
        },
        ..free()
    };
    let order = with(limit(), second(2), gtc);
    let steps = [Book(BIDS, ASKS), quiet(), quiet()];
    let (_, outputs) = run_with(&config, asks(vec![submit(order)]), "1000", &market_of(&steps));
    assert_eq!(story(&outputs), ["1 new until 3s", "1 invalid-number"]);
}
