//! What a fill took is not there for the next one: hand-computed tables of rule
//! 13 in `execution`.

use super::steps::Step::{Book, Levels, Print};
use super::steps::*;
use super::support::*;
use crate::domain::{Action, Side, TimeInForce, Ts};
use crate::engine::{Command, CommandAction};
use crate::strategy::{Intent, OrderKind, OrderRequest, Size};

fn buys(qty: f64) -> OrderRequest {
    market(Action::Buy, Size::Base(qty))
}

fn both(orders: [OrderRequest; 2]) -> Vec<Intent> {
    orders.into_iter().flat_map(submit).collect()
}

#[test]
fn add_18_what_an_order_took_is_gone_until_the_market_shows_it_again() {
    // Asks: 1.00 at 100.00, 2.00 at 100.10, 10.00 at 100.50. The first order takes
    // the 1.00; the second is sent at the next step, or at the print after it where
    // that step changes nothing that is displayed.
    let first = "1 Taker 100 for 100 at 1s";
    let mut within = waits(Action::Buy, 1.0, OrderKind::Limit(100.0));
    within.time_in_force = TimeInForce::Ioc;
    let stop = waits(Action::Buy, 1.0, OrderKind::Stop(100.0));
    let cases: Vec<(&str, OrderRequest, Step, Vec<&str>)> = vec![
        (
            "a print shows no level",
            buys(1.0),
            Print(Side::Buy, 10_000, 900),
            vec!["2 Taker 100 for 100.1 at 2s"],
        ),
        (
            "nor does another level",
            buys(1.0),
            Levels(&[], &[(10_010, 50)]),
            vec!["2 Taker 100 for 100.3 at 2s"],
        ),
        (
            "a bid is no ask",
            buys(1.0),
            Levels(&[(9_990, 100)], &[]),
            vec!["2 Taker 100 for 100.1 at 3s"],
        ),
        (
            "the level again, as it was",
            buys(1.0),
            Levels(&[], &[(10_000, 100)]),
            vec!["2 Taker 100 for 100.1 at 3s"],
        ),
        (
            "the level with less",
            buys(1.0),
            Levels(&[], &[(10_000, 30)]),
            vec!["2 Taker 100 for 100.1 at 2s"],
        ),
        // 0.30 at 100.00 and 0.70 at 100.10 are 30 + 70.07.
        (
            "the level with more",
            buys(1.0),
            Levels(&[], &[(10_000, 130)]),
            vec!["2 Taker 100 for 100.07 at 2s"],
        ),
        ("a snapshot", buys(1.0), Book(BIDS, ASKS), vec!["2 Taker 100 for 100.1 at 2s"]),
        (
            "a limit at what is gone",
            within,
            Print(Side::Buy, 10_000, 9),
            vec!["2 open 100", "2 ends 100"],
        ),
        (
            "a stop",
            stop,
            Print(Side::Buy, 10_000, 9),
            vec!["2 open 100", "2 open 100", "2 Taker 100 for 100.1 at 3s"],
        ),
        // 2.00 at 100.10 and 10.00 at 100.50 are 200.2 + 1005, more than there is.
        (
            "all there is",
            buys(99.0),
            Print(Side::Buy, 10_000, 9),
            vec!["2 Taker 1200 for 1205.2 at 2s", "2 ends 8700"],
        ),
    ];
    for (name, order, step, then) in cases {
        let asked = asks(vec![submit(buys(1.0)), submit(order)]);
        let steps = [Book(BIDS, ASKS), step, Print(Side::Buy, 9_995, 1)];
        let (_, outputs) = run(asked, "9000", &market_of(&steps));
        let expected: Vec<_> = [first].into_iter().chain(then).collect();
        assert_eq!(story(&outputs), expected, "{name}");
    }
}

#[test]
fn add_18_two_orders_of_one_event_do_not_fill_from_the_same_quantity() {
    let (_, outputs) =
        run(asks(vec![both([buys(1.5), buys(1.5)])]), "9000", &market_of(&[Book(BIDS, ASKS)]));
    // 1.00 at 100.00 and 0.50 at 100.10; then 1.50 at 100.10.
    assert_eq!(story(&outputs), ["1 Taker 150 for 150.05 at 1s", "2 Taker 150 for 150.15 at 1s"]);
    let all = buys(13.0);
    let (_, outputs) =
        run(asks(vec![both([all, buys(0.1)])]), "9000", &market_of(&[Book(BIDS, ASKS)]));
    assert_eq!(story(&outputs), ["1 Taker 1300 for 1305.2 at 1s", "2 no-liquidity"]);
}

#[test]
fn add_18_all_of_the_cash_buys_only_what_is_left() {
    let all = market(Action::Buy, Size::All);
    let asked = asks(vec![both([buys(1.0), all])]);
    let (report, outputs) = run(asked, "300.2", &market_of(&[Book(BIDS, ASKS)]));
    // 200.20 are left, which is 2.00 at 100.10 and no cash.
    assert_eq!(story(&outputs), ["1 Taker 100 for 100 at 1s", "2 Taker 200 for 200.2 at 1s"]);
    assert!(report.cash.0 == 0);
}

#[test]
fn add_18_a_bracket_and_a_flatten_get_only_what_is_left() {
    // Bids: 1.00 at 99.95, 3.00 at 99.80.
    let mut long = buys(2.0);
    long.stop_loss = Some(99.9);
    let sell = market(Action::Sell, Size::Base(1.0));
    let asked = || asks(vec![submit(long.clone()), submit(sell.clone())]);
    let steps = [Book(&[(9_995, 100), (9_980, 300)], ASKS), Print(Side::Buy, 9_995, 1)];
    let block = market_of(&steps);
    let mut before = vec!["1 Taker 200 for 200.1 at 1s", "2 Taker 100 for 99.95 at 2s"];
    let mut flattened = engine(&free(), vec![(asked(), "1000")]);
    flattened.step(&block).unwrap();
    let action = CommandAction::Flatten;
    let command = Command { lane: None, action, reason: "enough".into() };
    flattened.command(Ts(3 * Ts::SECOND), &command).unwrap();
    let outputs: Vec<_> = flattened.drain().collect();
    before.push("3 Taker 100 for 99.8 at 3s");
    assert_eq!(story(&outputs), before);
    // At 99.80 by then: the bracket acts, and the 2.00 that a sale took are gone.
    let sell = market(Action::Sell, Size::Base(2.0));
    let mut long = buys(3.0);
    long.stop_loss = Some(99.8);
    let low: Step = Levels(&[(9_995, 0), (9_980, 250), (9_970, 900)], &[]);
    let steps = [Book(&[(9_995, 300)], ASKS), low, Print(Side::Buy, 9_995, 1)];
    let asked = asks(vec![submit(long), submit(sell)]);
    let (_, outputs) = run(asked, "1000", &market_of(&steps));
    // The bracket looks before the strategy: all 3.00 close there and then, 2.50
    // at 99.80 and 0.50 at 99.70; nothing is left to sell.
    assert_eq!(
        story(&outputs),
        ["1 Taker 300 for 300.2 at 1s", "2 Taker 300 for 299.35 at 2s", "3 insufficient-position"]
    );
}

#[test]
fn add_18_orders_that_wait_share_a_quote_that_crosses_them() {
    let limit = || waits(Action::Buy, 2.0, OrderKind::Limit(99.95));
    let asked = asks(vec![both([limit(), limit()])]);
    let steps = [
        Book(BIDS, ASKS),
        Levels(&[], &[(9_995, 300)]),
        Levels(&[(9_980, 10)], &[]),
        Levels(&[], &[(9_995, 400)]),
    ];
    let (_, outputs) = run(asked, "1000", &market_of(&steps));
    // 2.00 and 1.00 of the 3.00; the bid shows nothing of it; of the 4.00 then
    // displayed the second has had 1.00 before.
    let expected = [
        "1 open 200",
        "2 open 200",
        "1 Maker 200 for 199.9 at 2s",
        "2 Maker 100 for 99.95 at 2s",
        "2 Maker 100 for 99.95 at 4s",
    ];
    assert_eq!(story(&outputs), expected);
}

#[test]
fn add_18_what_one_strategy_took_is_there_for_another_and_for_every_batch_size() {
    let asked = || asks(vec![submit(buys(1.0)), submit(buys(1.0)), submit(buys(1.0))]);
    let steps = [
        Book(BIDS, ASKS),
        Print(Side::Buy, 10_000, 1),
        Levels(&[], &[(10_000, 50)]),
        Print(Side::Buy, 10_000, 1),
    ];
    let block = market_of(&steps);
    let alone = run(asked(), "1000", &block).0.chain;
    for batch in [1, 2, 3, 256] {
        let config = crate::engine::EngineConfig { batch, ..free() };
        let mut two = engine(&config, vec![(asked(), "1000"), (asked(), "1000")]);
        two.step(&block).unwrap();
        two.finish().unwrap();
        for report in two.reports() {
            assert_eq!(report.chain, alone, "batch {batch}");
        }
    }
}
