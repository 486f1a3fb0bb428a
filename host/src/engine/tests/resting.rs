//! Orders that wait: hand-computed tables of the rules in `execution`.

use super::steps::Step::{Book, Levels, Print};
use super::steps::*;
use super::support::*;
use crate::domain::{
    Action, OrderStatus, Price, Qty, RejectReason, Side, SymbolId, TimeInForce, Ts,
};
use crate::input::{InputBlock, Trade};
use crate::risk::ShortBase;
use crate::strategy::{Intent, OrderKind, OrderRequest, Size};

#[test]
fn add_04_a_limit_order_rests_until_the_market_reaches_it_and_fills_at_its_limit() {
    let cases: Vec<(&str, OrderRequest, Vec<Step>, Vec<&str>)> = vec![
        (
            "it takes what its limit allows, the rest waits with nobody ahead",
            waits(Action::Buy, 4.0, OrderKind::Limit(100.10)),
            vec![Book(BIDS, ASKS), Print(Side::Sell, 10_010, 40)],
            // 1.00 at 100.00 and 2.00 at 100.10; 0.40 by the print.
            vec!["1 open 400", "1 Taker 300 for 300.2 at 1s", "1 Maker 40 for 40.04 at 2s"],
        ),
        (
            "it waits behind the 1.00 displayed at its price",
            waits(Action::Buy, 2.0, OrderKind::Limit(99.90)),
            vec![
                Book(BIDS, ASKS),
                Print(Side::Sell, 9_990, 60),
                Print(Side::Buy, 9_990, 500),
                Print(Side::Sell, 9_990, 90),
            ],
            // 0.60 and 0.40 of those ahead, then 0.50 of ours at 99.90.
            vec!["1 open 200", "1 Maker 50 for 49.95 at 4s"],
        ),
        (
            "those ahead cancel down to what is displayed",
            waits(Action::Buy, 2.0, OrderKind::Limit(99.90)),
            vec![
                Book(BIDS, ASKS),
                Book(&[(9_990, 10), (9_980, 300)], ASKS),
                Book(&[(9_990, 900), (9_980, 300)], ASKS),
                Book(&[(9_990, 900), (9_980, 300)], ASKS),
                Book(&[(9_990, 900), (9_980, 300)], ASKS),
                Print(Side::Sell, 9_990, 30),
            ],
            vec!["1 open 200", "1 Maker 20 for 19.98 at 6s"],
        ),
        (
            "a book event and a print that tell of the same trade count once",
            waits(Action::Buy, 2.0, OrderKind::Limit(99.90)),
            vec![
                Book(BIDS, ASKS),
                // 0.60 of those ahead are gone, and then the print of it comes.
                Levels(&[(9_990, 40)], &[]),
                Print(Side::Sell, 9_990, 60),
                // 0.40 are ahead: 0.50 printed are 0.10 of ours.
                Print(Side::Sell, 9_990, 50),
            ],
            vec!["1 open 200", "1 Maker 10 for 9.99 at 4s"],
        ),
        (
            "all ahead gone at once: the print of it fills only what is beyond",
            waits(Action::Buy, 2.0, OrderKind::Limit(99.90)),
            vec![Book(BIDS, ASKS), Levels(&[(9_990, 0)], &[]), Print(Side::Sell, 9_990, 105)],
            vec!["1 open 200", "1 Maker 5 for 4.995 at 3s"],
        ),
        (
            "another level between a change of the queue and its print tells nothing",
            waits(Action::Buy, 2.0, OrderKind::Limit(99.90)),
            vec![
                Book(BIDS, ASKS),
                Levels(&[(9_990, 40)], &[]),
                Levels(&[(9_980, 10)], &[]),
                Print(Side::Sell, 9_990, 60),
            ],
            vec!["1 open 200"],
        ),
        (
            "what no print has told for some seconds was canceled",
            waits(Action::Buy, 2.0, OrderKind::Limit(99.90)),
            vec![
                Book(BIDS, ASKS),
                Levels(&[(9_990, 40)], &[]),
                Levels(&[(9_980, 10)], &[]),
                Levels(&[(9_980, 20)], &[]),
                Levels(&[(9_980, 30)], &[]),
                Print(Side::Sell, 9_990, 60),
            ],
            vec!["1 open 200", "1 Maker 20 for 19.98 at 6s"],
        ),
        (
            "whoever lifts what it took sells it nothing",
            waits(Action::Buy, 2.0, OrderKind::Limit(100.05)),
            vec![Book(BIDS, ASKS), Print(Side::Buy, 10_000, 100)],
            vec!["1 open 200", "1 Taker 100 for 100 at 1s"],
        ),
        (
            "a print beyond it fills it at its own limit",
            waits(Action::Buy, 2.0, OrderKind::Limit(99.90)),
            vec![Book(BIDS, ASKS), Print(Side::Sell, 9_980, 30)],
            vec!["1 open 200", "1 Maker 30 for 29.97 at 2s"],
        ),
        (
            "a crossing quote fills it once",
            waits(Action::Buy, 2.0, OrderKind::Limit(99.90)),
            vec![
                Book(BIDS, ASKS),
                Book(&[(9_980, 300)], &[(9_990, 70), (10_000, 100)]),
                Book(&[(9_980, 300)], &[(9_990, 70), (10_000, 100)]),
            ],
            vec!["1 open 200", "1 Maker 70 for 69.93 at 2s"],
        ),
        (
            "without a book only a print beyond the limit fills",
            waits(Action::Buy, 2.0, OrderKind::Limit(99.90)),
            vec![
                Print(Side::Buy, 10_000, 10),
                Print(Side::Sell, 9_990, 100),
                Print(Side::Sell, 9_989, 30),
            ],
            vec!["1 open 200", "1 Maker 30 for 29.97 at 3s"],
        ),
        (
            "a short sells at its limit",
            waits(Action::Short, 0.5, OrderKind::Limit(100.05)),
            vec![Book(BIDS, ASKS), Print(Side::Buy, 10_006, 70)],
            vec!["1 open 50", "1 Maker 50 for 50.025 at 2s"],
        ),
        (
            "a stop wakes at the ask and takes the book",
            waits(Action::Buy, 2.0, OrderKind::Stop(100.10)),
            vec![Book(BIDS, ASKS), Book(BIDS, &[(10_010, 50), (10_020, 50)])],
            // 0.50 at 100.10 and 0.50 at 100.20; the rest ends.
            vec!["1 open 200", "1 open 200", "1 Taker 100 for 100.15 at 2s", "1 ends 100"],
        ),
        (
            "a stop-limit takes within its limit and waits",
            waits(Action::Buy, 2.0, OrderKind::StopLimit(100.10, 100.10)),
            vec![Book(BIDS, ASKS), Book(BIDS, &[(10_010, 50), (10_020, 50)])],
            vec!["1 open 200", "1 open 200", "1 Taker 50 for 50.05 at 2s"],
        ),
    ];
    for (name, order, steps, expected) in cases {
        let (strategy, news) = listening(asks(vec![submit(order)]));
        let (_, outputs) = run(strategy, "1000", &market_of(&steps));
        assert_eq!(story(&outputs), expected, "{name}");
        assert_eq!(news.lock().unwrap().len(), expected.len(), "{name}: the strategy hears it all");
    }
}

#[test]
fn time_in_force_and_flags() {
    let limit = |qty, price| waits(Action::Buy, qty, OrderKind::Limit(price));
    let with = |mut order: OrderRequest, tif| {
        order.time_in_force = tif;
        order
    };
    let post = |mut order: OrderRequest| {
        order.post_only = true;
        order
    };
    let ioc = with(limit(4.0, 100.0), TimeInForce::Ioc);
    let fok = with(limit(4.0, 100.0), TimeInForce::Fok);
    let stop = with(waits(Action::Buy, 1.0, OrderKind::Stop(101.0)), TimeInForce::Ioc);
    let mut opens = limit(1.0, 99.0);
    opens.reduce_only = true;
    let cases = [
        ("the rest ends", ioc, vec!["1 open 400", "1 Taker 100 for 100 at 1s", "1 ends 300"]),
        ("fill or kill: nothing", fok, vec!["1 open 400", "1 ends 400"]),
        ("post-only that would take", post(limit(1.0, 100.0)), vec!["1 would-take"]),
        ("post-only that waits", post(limit(1.0, 99.95)), vec!["1 open 100"]),
        ("a stop cannot be immediate", stop, vec!["1 unsupported"]),
        ("reduce-only cannot open", opens, vec!["1 unsupported"]),
        ("more than the cash", limit(11.0, 99.0), vec!["1 insufficient-cash"]),
        ("no number", limit(1.0, f64::NAN), vec!["1 invalid-number"]),
    ];
    for (name, order, expected) in cases {
        let (_, outputs) = run(asks(vec![submit(order)]), "1000", &market_of(&[Book(BIDS, ASKS)]));
        assert_eq!(story(&outputs), expected, "{name}");
    }
}

#[test]
fn orders_are_canceled_and_changed_on_request() {
    let buy = |qty, price| submit(waits(Action::Buy, qty, OrderKind::Limit(price)));
    let steps = [Book(BIDS, ASKS), Book(BIDS, ASKS), Book(BIDS, ASKS)];
    let cancel = vec![Intent::Cancel { order: 1 }];
    let amend = |size, price| vec![Intent::Amend { order: 1, size, price }];
    let all = vec![Intent::CancelAll { symbol: None }];
    let cases = [
        (
            "cancel",
            vec![buy(2.0, 99.0), cancel.clone(), cancel],
            vec!["1 open 200", "1 ends 200", "1 unknown-order"],
        ),
        ("smaller", vec![buy(2.0, 99.0), amend(Some(1.5), None)], vec!["1 open 200", "1 open 150"]),
        (
            "to a price that takes",
            vec![buy(2.0, 99.0), amend(None, Some(100.0))],
            vec!["1 open 200", "1 open 200", "1 Taker 100 for 100 at 2s"],
        ),
        (
            "beyond the cash: it stays",
            vec![buy(2.0, 99.0), amend(Some(99.0), None), all.clone()],
            vec!["1 open 200", "1 insufficient-cash", "1 open 200", "1 ends 200"],
        ),
        (
            "two reserve the cash",
            vec![buy(6.0, 99.0), buy(6.0, 99.0), all],
            vec!["1 open 600", "2 insufficient-cash", "1 ends 600"],
        ),
    ];
    for (name, asked, expected) in cases {
        let (_, outputs) = run(asks(asked), "1000", &market_of(&steps));
        assert_eq!(story(&outputs), expected, "{name}");
    }
}

#[test]
fn a_refused_change_and_a_woken_stop_are_told_to_the_strategy() {
    let asked = vec![
        submit(market(Action::Buy, Size::Base(1.0))),
        submit(waits(Action::Sell, 1.0, OrderKind::StopLimit(99.0, 98.0))),
        submit(market(Action::Sell, Size::Base(0.4))),
        vec![Intent::Amend { order: 2, size: Some(0.9), price: None }],
    ];
    let low: &[(i64, i64)] = &[(9_900, 10)];
    let quotes = [BIDS, BIDS, BIDS, BIDS, low];
    let (strategy, news) = listening(asks(asked));
    let (_, outputs) = run(strategy, "1000", &market_of(&quotes.map(|bids| Book(bids, ASKS))));
    let expected = [
        "1 Taker 100 for 100 at 1s",
        "2 open 100",
        "3 Taker 40 for 39.96 at 3s",
        "2 open 60",
        "2 insufficient-position",
        "2 open 60",
        "2 open 60",
        "2 Taker 10 for 9.9 at 5s",
    ];
    assert_eq!(story(&outputs), expected);
    let told: Vec<_> = {
        let news = news.lock().unwrap();
        let of = news.iter().filter(|u| u.order == 2);
        of.map(|u| (u.status, u.reject, u.leaves)).collect()
    };
    let accepted = OrderStatus::Accepted;
    let expected = [
        (accepted, None, 1.0),
        // It shrinks with the position.
        (accepted, None, 0.6),
        (accepted, Some(RejectReason::InsufficientPosition), 0.6),
        // Woken.
        (accepted, None, 0.6),
        (OrderStatus::PartiallyFilled, None, 0.5),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_reduces_ends_with_the_position() {
    let asked = vec![
        submit(market(Action::Buy, Size::Base(1.0))),
        submit(waits(Action::Sell, 1.0, OrderKind::Limit(101.0))),
        submit(waits(Action::Sell, 1.0, OrderKind::Stop(99.0))),
    ];
    let low: &[(i64, i64)] = &[(9_900, 500)];
    let quotes = [BIDS, BIDS, BIDS, low, low];
    let (report, outputs) =
        run(asks(asked), "1000", &market_of(&quotes.map(|bids| Book(bids, ASKS))));
    let expected = [
        "1 Taker 100 for 100 at 1s",
        "2 open 100",
        "3 open 100",
        "3 open 100",
        "3 Taker 100 for 99 at 4s",
        "2 ends 100",
    ];
    assert_eq!(story(&outputs), expected);
    assert!(report.positions.is_empty());
}

#[test]
fn a_day_order_expires_with_its_day() {
    let mut order = waits(Action::Buy, 1.0, OrderKind::Limit(90.0));
    order.time_in_force = TimeInForce::Day;
    let mut block = trades(&[10_000]);
    let (side, price, qty) = (Side::Sell, Price(8_000), Qty(500));
    let next_day = Ts(86_400 * Ts::SECOND);
    let trade = Trade { symbol: SymbolId(0), side, price, qty, id: 0 };
    block.push_trade(next_day, next_day, &trade);
    let (strategy, news) = listening(asks(vec![submit(order)]));
    let (report, _) = run(strategy, "1000", &block);
    let told: Vec<_> = news.lock().unwrap().iter().map(|u| u.status).collect();
    assert_eq!(told, [OrderStatus::Accepted, OrderStatus::Expired]);
    assert_eq!(report.statistics.fill_count, 0);
}

#[test]
fn med_006_shorts_of_all_symbols_stay_within_the_leverage_of_the_base() {
    let short = |symbol, qty| {
        let mut order = market(Action::Short, Size::Base(qty));
        order.symbol = symbol;
        submit(order)
    };
    let prices = |later: i64| {
        let mut block = InputBlock::new(&instruments(), 1);
        for second in 1..=4 {
            let price = Price(if second < 3 { 10_000 } else { later });
            for symbol in [SymbolId(1), SymbolId(0)] {
                let (ts, qty) = (Ts(second * Ts::SECOND), Qty(100));
                block.push_trade(ts, ts, &Trade { symbol, side: Side::Buy, price, qty, id: 0 });
            }
        }
        block
    };
    let asked =
        || vec![vec![], short(0, 10.0), short(1, 5.0), short(1, 5.1), vec![], short(1, 4.0)];
    // 1000 of capital, twice that in shorts: 1000 + 500, then 510 more are too
    // many. Then 4 more: at 110, 1650 + 440 exceed 2000; at 105, 1575 + 420 do
    // not, but exceed twice the equity of 925; at 90 both bases allow it.
    let cases = [
        (11_000, ShortBase::Starting, 2),
        (10_500, ShortBase::Starting, 1),
        (9_000, ShortBase::Starting, 1),
        (11_000, ShortBase::Equity, 2),
        (10_500, ShortBase::Equity, 2),
        (9_000, ShortBase::Equity, 1),
    ];
    for (price, base, refused) in cases {
        let mut config = free();
        config.execution.short_base = base;
        let (_, outputs) = run_with(&config, asks(asked()), "1000", &prices(price));
        assert_eq!(rejects(&outputs), vec!["leverage-exceeded"; refused], "{price} {base:?}");
    }
}

#[test]
fn orders_and_positions_stay_within_their_limits() {
    let buy = |qty| submit(market(Action::Buy, Size::Base(qty)));
    let close = || submit(market(Action::Sell, Size::All));
    let asked = || vec![buy(3.01), buy(3.0), buy(2.0), buy(1.01), close()];
    let mut config = free();
    let (_, outputs) = run_with(&config, asks(asked()), "1000", &trades(&[10_000; 5]));
    assert_eq!(rejects(&outputs), Vec::<&str>::new(), "no limit is set");
    config.risk.max_order = Some(usd("300"));
    config.risk.max_position = Some(usd("500"));
    let (_, outputs) = run_with(&config, asks(asked()), "1000", &trades(&[10_000; 5]));
    assert_eq!(rejects(&outputs), ["risk-limit", "risk-limit"]);
    assert_eq!(fills(&outputs).len(), 3, "what closes is not limited");
}

#[test]
fn orders_of_one_lane_share_a_print_the_best_limit_first() {
    let buy = |price| waits(Action::Buy, 1.0, OrderKind::Limit(price));
    let all = [99.0, 99.5, 98.0, 99.5].into_iter().flat_map(|price| submit(buy(price))).collect();
    let steps = [Book(BIDS, ASKS), Print(Side::Sell, 9_850, 250)];
    let (_, outputs) = run(asks(vec![all]), "1000", &market_of(&steps));
    // Those at 99.50 come first, the older of them before, then 99.00; 98.00 is not
    // reached.
    let expected = [
        "1 open 100",
        "2 open 100",
        "3 open 100",
        "4 open 100",
        "2 Maker 100 for 99.5 at 2s",
        "4 Maker 100 for 99.5 at 2s",
        "1 Maker 50 for 49.5 at 2s",
    ];
    assert_eq!(story(&outputs), expected);
}
