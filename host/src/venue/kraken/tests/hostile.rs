//! What a venue that is broken, or not the venue, can send.

use super::*;
use crate::input::TradingStatus;

fn live(channels: impl Fn(Wanted) -> Wanted) -> Fixture {
    let mut fixture = Fixture::live(&[channels(wanted(0)), channels(wanted(1))]);
    fixture.frames();
    fixture
}

fn with_trades(want: Wanted) -> Wanted {
    Wanted { trades: true, levels: None, ..want }
}

/// One trade of BTC/USD in the venue's shape.
fn print(id: u64, price: &str, qty: &str, time: &str) -> String {
    format!(
        r#"{{"symbol":"BTC/USD","side":"sell","price":{price},"qty":{qty},"ord_type":"market","trade_id":{id},"timestamp":"{time}"}}"#
    )
}

const NOW: &str = "2026-08-24T22:21:57.110183Z";

fn update_of(rows: &[String]) -> String {
    format!(r#"{{"channel":"trade","type":"update","data":[{}]}}"#, rows.join(","))
}

#[test]
fn high_007_ids_of_trades_that_jump_to_and_fro_are_counted_without_end() {
    let mut fixture = live(with_trades);
    fixture.ok(&trade(1, "snapshot"));
    for _ in 0..3 {
        fixture.ok(&trade(u64::MAX, "update"));
        fixture.ok(&trade(2, "update"));
    }
    assert_eq!(fixture.session.counts().trades_missed, u64::MAX);
    assert_eq!(fixture.session.counts().trades, 6);
}

/// A venue that was started anew counts its trades from below, at later times. One time
/// alone proves nothing: it may have been wrong.
#[test]
fn high_005_trades_that_are_counted_anew_are_told_from_those_that_are_repeated() {
    // Those that are counted anew come later.
    let later = NOW.replace(":57", ":59");
    let row = |id| print(id, "100.5", "1.00000000", if id < 100 { &later } else { NOW });
    let odd = |id| print(id, "100.5", "1.00000000", "1970-01-01T00:00:00.000000Z");
    let mut fixture = live(with_trades);
    fixture.now = time(NOW).expect("a time").0;
    fixture.ok(&trade(1_000, "snapshot"));
    fixture.ok(&update_of(&[odd(1_001), row(1_001), row(990)]));
    let snapshot = |ids: &[u64]| {
        let rows: Vec<String> = ids.iter().map(|&id| row(id)).collect();
        update_of(&rows).replace("update", "snapshot")
    };
    // An old snapshot that comes again is a repeat.
    fixture.ok(&snapshot(&[998, 999, 1_000]));
    let mut reconnect = |ids: &[u64], more: &[u64]| {
        let before = fixture.events().len();
        fixture.session.handle_disconnected(Ts(1), &mut fixture.out);
        fixture.session.handle_connected(Ts(2), &mut fixture.out);
        fixture.frames();
        fixture.ok(&snapshot(ids));
        more.iter().for_each(|&id| fixture.ok(&update_of(&[row(id)])));
        let came = fixture.events().split_off(before).into_iter();
        let anew = |notice: &Notice| matches!(notice, Notice::TradeIdsRestarted { .. });
        let anew = fixture.notices().iter().filter(|notice| anew(notice)).count();
        (came.filter(|event| event.starts_with("trade")).collect::<Vec<_>>(), anew)
    };
    let trades =
        |ids: &[u64]| ids.iter().map(|id| format!("trade {id} 1005 Sell")).collect::<Vec<_>>();
    assert_eq!(reconnect(&[1_000, 1_001], &[1_001, 1_002]), (trades(&[1_002]), 0));
    assert_eq!(reconnect(&[4, 5, 6], &[5, 7, 7]), (trades(&[4, 5, 6, 7]), 1));
    assert_eq!(fixture.session.counts().trades_repeated, 2 + 3 + 2 + 1 + 2);
}

/// The protocol refuses what the engine's arithmetic has no room for, so that the
/// rest of a block reaches it.
#[test]
fn high_007_numbers_and_times_that_the_engine_has_no_room_for_are_refused_one_by_one() {
    let mut fixture = live(with_trades);
    fixture.ok(&trade(1, "snapshot"));
    let huge = "900000000000000000.0";
    let odd = [
        print(2, huge, "1.00000000", NOW),
        print(3, "100.5", "90000000000.00000000", NOW),
        print(4, "100.5", "1.00000000", "1969-12-31T23:59:59.000000Z"),
        print(5, "100.5", "1.00000000", "2200-01-02T00:00:00.000000Z"),
    ];
    for row in odd {
        assert!(fixture.feed(&update_of(std::slice::from_ref(&row))).is_err(), "{row}");
        let good = print(6, "100.5", "1.00000000", NOW);
        assert!(fixture.feed(&update_of(&[row, good])).is_err());
    }
    for index in 0..fixture.out.len() {
        assert_eq!(fixture.out.check(index), Ok(()), "{:?}", fixture.events());
    }
    let came: Vec<String> =
        fixture.events().into_iter().filter(|event| event.starts_with("trade")).collect();
    assert_eq!(came, ["trade 6 1005 Sell"], "the one beside them, once");
}

#[test]
fn high_007_levels_and_rules_that_the_engine_has_no_room_for_change_nothing() {
    let mut fixture = live(|want| want);
    fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
    let rules = |increment: &str, minimum: &str| {
        format!(
            r#"{{"channel":"instrument","type":"update","data":{{"assets":[],"pairs":[{{"symbol":"BTC/USD","base":"BTC","quote":"USD","status":"online","qty_precision":8,"qty_increment":1e-08,"price_precision":1,"cost_precision":5,"marginable":true,"has_index":true,"cost_min":"0.50","price_increment":{increment},"qty_min":{minimum}}}]}}}}"#
        )
    };
    assert!(fixture.feed(&rules("900000000000000000", "0.0001")).is_err());
    assert!(fixture.feed(&rules("0.1", "90000000000")).is_err());
    fixture.ok(&rules("0.1", "0.0001"));
    assert!(fixture.feed(&snapshot("BTC/USD", "99.5x1", "900000000000000000.0x2")).is_err());
    assert!(fixture.feed(&snapshot("ETH/USD", "9.5x90000000000", "10.5x2")).is_err());
    for index in 0..fixture.out.len() {
        assert_eq!(fixture.out.check(index), Ok(()), "{:?}", fixture.events());
    }
    assert_eq!(fixture.events().last().map(String::as_str), Some("0 Stale"));
}

/// Sorting them in one by one would take seconds.
#[test]
fn high_007_a_message_with_more_levels_than_any_book_has_is_refused() {
    let mut fixture = live(|want| want);
    fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
    let levels: Vec<String> =
        (1..=10_001).map(|n| format!(r#"{{"price":{n}.0,"qty":1.00000000}}"#)).collect();
    let text = format!(
        r#"{{"channel":"book","type":"update","data":[{{"symbol":"BTC/USD","bids":[{}],"asks":[],"checksum":1,"timestamp":"{NOW}"}}]}}"#,
        levels.join(",")
    );
    assert!(fixture.feed(&text).is_err_and(|error| error.contains("bids")));
    assert_eq!(fixture.events().last().map(String::as_str), Some("0 Stale"));
}

#[test]
fn add_09_a_symbol_that_one_connection_was_refused_is_asked_for_on_the_next() {
    let mut fixture = Fixture::live(&[wanted(0)]);
    let frames = fixture.frames();
    let id: u64 = serde_json::from_str::<serde_json::Value>(&frames[1]).expect("JSON")["req_id"]
        .as_u64()
        .expect("a number");
    fixture.ok(&nack("Currency pair not supported BTC/USD", "BTC/USD", id));
    assert!(fixture.frames().is_empty());
    fixture.session.handle_disconnected(Ts(1), &mut fixture.out);
    fixture.session.handle_connected(Ts(2), &mut fixture.out);
    assert!(fixture.frames().iter().any(|frame| frame.contains("BTC/USD")));
}

#[test]
fn add_13_candles_of_two_symbols_that_come_mixed_are_filled_each_by_itself() {
    let candle = |symbol: &str, minute: u32, close: &str| {
        format!(
            r#"{{"symbol":"{symbol}","open":{close},"high":{close},"low":{close},"close":{close},"vwap":{close},"trades":1,"volume":1.0,"interval_begin":"2026-08-24T22:{minute:02}:00.000000000Z","interval":1}}"#
        )
    };
    let rows = [
        candle("BTC/USD", 1, "10.5"),
        candle("ETH/USD", 1, "1.5"),
        candle("BTC/USD", 4, "11.5"),
        candle("ETH/USD", 3, "2.5"),
    ];
    let text = format!(
        r#"{{"channel":"ohlc","type":"snapshot","timestamp":"2026-08-24T22:21:57.110183000Z","data":[{}]}}"#,
        rows.join(",")
    );
    let want = |symbol| Wanted { levels: None, candle_minutes: Some(1), ..wanted(symbol) };
    let mut fixture = Fixture::recorded(&[want(0), want(1)]);
    fixture.now = time(NOW).expect("a time").0;
    fixture.ok(&text);
    // Three of the first with two between, two of the second with one between.
    assert_eq!(fixture.session.counts().candles, 4 + 3, "{:?}", fixture.events());
}

/// Twenty minutes of a pair whose book never changes: it is asked for once a minute,
/// and is stale for no longer than that takes.
#[test]
fn add_09_a_quiet_pair_is_renewed_each_minute_and_hardly_ever_stale() {
    let mut fixture = Fixture::live(&[wanted(0)]);
    fixture.frames();
    fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
    let (mut stale, mut ended, step) = (0, 0, Ts::SECOND / 10);
    for _ in 0..20 * 600 {
        let next = fixture.now + step;
        for (_, frame) in fixture.run_to(next) {
            let value: serde_json::Value = serde_json::from_str(&frame).expect("JSON");
            let id = value["req_id"].as_u64().expect("a number");
            if !frame.contains("book") {
                continue;
            }
            if frame.contains("unsubscribe") {
                ended += 1;
                fixture.ok(&ack("unsubscribe", "book", "BTC/USD", id));
            } else {
                fixture.ok(&ack("subscribe", "book", "BTC/USD", id));
                fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
            }
        }
        fixture.ok(r#"{"channel":"heartbeat"}"#);
        let last = fixture.events().into_iter().rfind(|event| event.starts_with("0 "));
        stale += u32::from(last.as_deref() == Some("0 Stale"));
        if fixture.out.len() > 100 {
            // What was last told of it stays the last thing told.
            fixture.out.reset(1);
            let status = if last.as_deref() == Some("0 Stale") {
                TradingStatus::Stale
            } else {
                TradingStatus::Trading
            };
            fixture.out.push_status(Ts(fixture.now), SymbolId(0), status);
        }
    }
    assert!((19..=20).contains(&ended), "{ended}");
    assert!(stale <= 12_000 / 50, "stale for {stale} tenths of a second");
}

#[test]
fn add_09_trades_that_fall_silent_are_asked_for_anew_and_no_mark_flickers() {
    let stop = Some(600 * Ts::SECOND);
    for (silence, renewals) in [(stop, 1), (None, 0)] {
        let timing = Timing { trade_silence_ns: silence, ..Timing::default() };
        let want = with_trades(wanted(0));
        let session = Session::new(table(), &[want], timing).expect("a session");
        let mut fixture = Fixture { session, out: InputBlock::new(&table(), 1), now: 0 };
        fixture.session.handle_connected(Ts(0), &mut fixture.out);
        fixture.frames();
        fixture.ok(&trade(1, "snapshot"));
        let mut ended = 0;
        while fixture.now < 601 * Ts::SECOND {
            let next = fixture.now + Ts::SECOND;
            for (_, frame) in fixture.run_to(next) {
                let value: serde_json::Value = serde_json::from_str(&frame).expect("JSON");
                let id = value["req_id"].as_u64().expect("a number");
                if frame.contains("unsubscribe") {
                    ended += 1;
                    fixture.ok(&ack("unsubscribe", "trade", "BTC/USD", id));
                }
            }
            fixture.ok(r#"{"channel":"heartbeat"}"#);
        }
        assert_eq!(ended, renewals, "{silence:?}");
        if renewals == 0 {
            continue;
        }
        assert_eq!(fixture.events(), ["0 Stale", "0 Trading"], "nothing is known to be wrong");
        fixture.frames();
        fixture.ok(&trades(&[1, 2, 5], "snapshot"));
        let came: Vec<String> = fixture.events().split_off(2);
        assert_eq!(came, ["trade 2 1005 Sell", "trade 5 1005 Sell"], "what was missed comes");
        // A channel that does not answer at all is another matter.
        for _ in 0..620 {
            let next = fixture.now + Ts::SECOND;
            fixture.run_to(next);
            fixture.ok(r#"{"channel":"heartbeat"}"#);
        }
        assert_eq!(fixture.events().last().map(String::as_str), Some("0 Stale"));
    }
}
