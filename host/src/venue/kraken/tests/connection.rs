//! Subscriptions, deadlines and pace, on injected time.

use super::*;
use crate::venue::Request;

const SECOND: i64 = Ts::SECOND;

/// Sends heartbeats up to `at`, one a second, and gives the frames sent.
fn beat_to(fixture: &mut Fixture, at: i64) -> Vec<(i64, String)> {
    let mut sent = Vec::new();
    while fixture.now < at {
        let next = (fixture.now + SECOND).min(at);
        sent.extend(fixture.run_to(next));
        fixture.ok(r#"{"channel":"heartbeat"}"#);
    }
    sent
}

fn id_of(frame: &str) -> u64 {
    let value: serde_json::Value = serde_json::from_str(frame).expect("a frame is JSON");
    value["req_id"].as_u64().expect("a number")
}

/// A live book of BTC/USD.
fn live_book() -> Fixture {
    let mut fixture = Fixture::live(&[wanted(0)]);
    let frames = fixture.frames();
    fixture.ok(&ack("subscribe", "book", "BTC/USD", id_of(&frames[1])));
    fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
    assert_eq!(fixture.events()[0], "0 Stale");
    assert_eq!(fixture.events()[2], "0 Trading");
    fixture
}

#[test]
fn subscriptions_carry_many_symbols_and_name_their_depth() {
    let want = |symbol| Wanted { trades: true, levels: Some(11), ..wanted(symbol) };
    let mut fixture = Fixture::live(&[want(0), want(1)]);
    let expected = [
        r#"{"method":"subscribe","params":{"channel":"instrument","snapshot":true},"req_id":1}"#,
        r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","ETH/USD"],"depth":25,"snapshot":true},"req_id":2}"#,
        r#"{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD","ETH/USD"],"snapshot":true},"req_id":3}"#,
    ];
    assert_eq!(fixture.frames(), expected);
    let deep = Wanted { levels: Some(1_001), ..wanted(0) };
    let error = Session::new(table(), &[deep], Timing::default()).err().expect("no such depth");
    assert_eq!(error.to_string(), "BTC/USD: a book has 1 to 1000 levels, not 1001");
    assert_eq!([1, 10, 11, 500, 1_000].map(depth_for), [10, 10, 25, 500, 1_000].map(Some));
}

#[test]
fn high_005_a_desync_renews_one_book_once_after_its_end_was_answered() {
    let mut fixture = live_book();
    let bad = snapshot("BTC/USD", "99.5x1", "100.5x2").replace("1.00000000", "1.00000001");
    fixture.ok(&bad);
    fixture.ok(&bad);
    let frames = fixture.frames();
    assert_eq!(frames.len(), 1, "ended once, not on each wrong message: {frames:?}");
    assert!(frames[0].starts_with(
        r#"{"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":10}"#
    ));
    // A book that still comes from the old subscription is not taken.
    fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
    assert_eq!(fixture.events().last().map(String::as_str), Some("0 Stale"));
    fixture.ok(&ack("unsubscribe", "book", "BTC/USD", id_of(&frames[0])));
    let frames = fixture.frames();
    assert!(frames[0].starts_with(r#"{"method":"subscribe""#), "{frames:?}");
    fixture.ok(&ack("subscribe", "book", "BTC/USD", id_of(&frames[0])));
    fixture.ok(&snapshot("BTC/USD", "99.5x3", "100.5x2"));
    assert_eq!(fixture.events().last().map(String::as_str), Some("0 Trading"));
    // The second time soon after, the venue is given a pause.
    fixture.ok(&bad);
    let frames = fixture.frames();
    fixture.ok(&ack("unsubscribe", "book", "BTC/USD", id_of(&frames[0])));
    assert!(fixture.frames().is_empty());
    let sent = fixture.run_to(SECOND);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, 1_000, "after the back-off");
}

#[test]
fn high_005_a_missing_answer_is_asked_for_again_with_growing_pauses() {
    let mut fixture = Fixture::live(&[wanted(0)]);
    assert_eq!(fixture.frames().len(), 2);
    let sent = beat_to(&mut fixture, 25 * SECOND);
    let times: Vec<i64> =
        sent.iter().filter(|(_, f)| f.contains("\"book\"")).map(|(at, _)| *at).collect();
    // Five seconds for the answer, then pauses of one, two and four seconds.
    assert_eq!(times, [6_000, 13_000, 22_000]);
    assert!(fixture.notices().iter().any(|n| matches!(n, Notice::AckOverdue(_))));
}

#[test]
fn add_09_granted_but_silent_feeds_stay_stale_and_are_renewed() {
    let mut fixture = Fixture::live(&[wanted(0)]);
    let frames = fixture.frames();
    fixture.ok(&ack("subscribe", "book", "BTC/USD", id_of(&frames[1])));
    let sent = beat_to(&mut fixture, 11 * SECOND);
    assert!(sent.iter().any(|(at, f)| *at == 10_000 && f.contains("unsubscribe")), "{sent:?}");
    assert_eq!(fixture.events(), ["0 Stale"]);
    assert!(fixture.notices().iter().any(|n| matches!(n, Notice::SnapshotOverdue(_))));
}

/// Grants every subscription to trades, keeps a book alive, and gives no trade.
fn without_trades(fixture: &mut Fixture, seconds: i64) {
    let end = fixture.now + seconds * SECOND;
    while fixture.now < end {
        for (_, frame) in beat_to(fixture, fixture.now + SECOND) {
            let method = if frame.contains("unsubscribe") { "unsubscribe" } else { "subscribe" };
            for channel in ["book", "trade"] {
                if frame.contains(&format!("\"{channel}\"")) {
                    fixture.ok(&ack(method, channel, "BTC/USD", id_of(&frame)));
                }
            }
            if method == "subscribe" && frame.contains("\"book\"") {
                fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
            }
        }
    }
}

/// When a pair is first told to trade, in seconds; trades up to this id are known of it
/// from before.
fn quiet_until(known: Option<u64>, seconds: i64) -> (Fixture, Option<i64>) {
    let silence = Timing { book_silence_ns: None, ..Timing::default() };
    let want = [Wanted { trades: true, ..wanted(0) }];
    let session = Session::new(table(), &want, silence).expect("a session");
    let mut fixture = Fixture { session, out: InputBlock::new(&table(), 1), now: 0 };
    fixture.session.handle_connected(Ts(0), &mut fixture.out);
    if let Some(id) = known {
        fixture.frames();
        fixture.ok(&trade(id, "snapshot"));
        fixture.session.handle_disconnected(Ts(0), &mut fixture.out);
        fixture.session.handle_connected(Ts(0), &mut fixture.out);
    }
    let begin = fixture.out.len();
    without_trades(&mut fixture, seconds);
    let trades = |i: &usize| fixture.events()[*i] == "0 Trading";
    let first = (begin..fixture.out.len()).find(trades).map(|i| fixture.out.ts(i).0 / SECOND);
    (fixture, first)
}

#[test]
fn add_09_a_pair_that_has_never_traded_is_not_stale_for_that() {
    let (mut fixture, first) = quiet_until(None, 60);
    // Granted twice without effect, ten seconds each: a dead channel is one that is
    // silent once.
    assert!(first.is_some_and(|at| (20..30).contains(&at)), "{first:?}");
    let told = fixture.notices();
    assert_eq!(told.iter().filter(|n| matches!(n, Notice::NoTrades(_))).count(), 1, "{told:?}");
    // It stays so, is asked now and then, and its first trade is one.
    without_trades(&mut fixture, 1_300);
    assert_eq!(fixture.events().last().map(String::as_str), Some("0 Trading"));
    fixture.ok(&trade(1, "update"));
    assert_eq!(fixture.events().last().map(String::as_str), Some("trade 1 1005 Sell"));
    // Now it has a past, which must come on the next connection.
    let begin = fixture.out.len();
    fixture.session.handle_disconnected(Ts(fixture.now), &mut fixture.out);
    fixture.session.handle_connected(Ts(fixture.now), &mut fixture.out);
    without_trades(&mut fixture, 60);
    assert!(!fixture.events()[begin..].contains(&"0 Trading".to_owned()));

    // The control: where trades are known, that none comes is no sign of a quiet pair.
    let (_, first) = quiet_until(Some(7), 300);
    assert_eq!(first, None);
}

#[test]
fn add_09_a_silent_book_becomes_stale_in_spite_of_heartbeats() {
    let mut fixture = live_book();
    let sent = beat_to(&mut fixture, 61 * SECOND);
    assert_eq!(fixture.events().last().map(String::as_str), Some("0 Stale"));
    assert!(sent.iter().any(|(at, f)| *at == 60_000 && f.contains("unsubscribe")), "{sent:?}");
    let pings = sent.iter().filter(|(_, f)| f.contains("\"ping\"")).count();
    assert_eq!(pings, 2);
}

#[test]
fn high_005_a_connection_without_any_frame_is_given_up() {
    let mut fixture = live_book();
    fixture.run_to(10 * SECOND);
    assert_eq!(fixture.session.poll_request(), Some(Request::Reconnect));
    assert_eq!(fixture.session.poll_request(), None, "once");
    assert_eq!(fixture.events().last().map(String::as_str), Some("0 Stale"));
    assert_eq!(fixture.session.next_deadline(), None);
    fixture.session.handle_connected(Ts(fixture.now), &mut fixture.out);
    assert_eq!(fixture.frames().len(), 2, "everything is subscribed anew");
    fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
    assert_eq!(fixture.events().last().map(String::as_str), Some("0 Trading"));
}

#[test]
fn refusals_by_kind() {
    let mut fixture = Fixture::live(&[wanted(0), wanted(1)]);
    let id = id_of(&fixture.frames()[1]);
    fixture.ok(&nack("Currency pair not supported BTC/USD", "BTC/USD", id));
    fixture.ok(&nack("Exceeded msg rate", "ETH/USD", id));
    fixture.ok(&nack("Currency pair not supported XBT/USD", "XBT/USD", id));
    let refusals: Vec<(bool, bool)> = fixture
        .notices()
        .into_iter()
        .filter_map(|notice| match notice {
            Notice::Refused { feed, permanent, .. } => Some((feed.is_some(), permanent)),
            _ => None,
        })
        .collect();
    assert_eq!(refusals, [(true, true), (true, false), (false, false)]);
    let sent = beat_to(&mut fixture, 3 * SECOND);
    let books: Vec<_> = sent.iter().filter(|(_, f)| f.contains("\"book\"")).collect();
    assert_eq!(books.len(), 1);
    assert!(books[0].1.contains(r#"["ETH/USD"]"#), "only the one that can succeed: {books:?}");
    // A second subscription to the same book is in the way: it is ended first.
    fixture.ok(&nack("Already subscribed", "ETH/USD", id_of(&books[0].1)));
    let frames = fixture.frames();
    assert!(frames[0].contains("unsubscribe"), "{frames:?}");
}

#[test]
fn answers_may_come_in_any_order_among_data() {
    let mut fixture = Fixture::live(&[wanted(0), wanted(1)]);
    let id = id_of(&fixture.frames()[1]);
    fixture.ok(&ack("subscribe", "book", "ETH/USD", id));
    fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
    fixture.ok(&ack("subscribe", "book", "BTC/USD", id));
    fixture.ok(&snapshot("ETH/USD", "99.5x1", "100.5x2"));
    assert_eq!(fixture.events().iter().filter(|e| e.ends_with("Trading")).count(), 2);
    let sent = beat_to(&mut fixture, 9 * SECOND);
    assert!(sent.iter().all(|(_, f)| f.contains("instrument")), "{sent:?}");
}

#[test]
fn frames_are_paced_after_a_burst() {
    let names: Vec<String> = (0..1_500).map(|n| format!("A{n}/USD")).collect();
    let table = InstrumentTable::new(names.iter().map(|n| Instrument::plain(n, 1, 8)).collect());
    let wanted: Vec<Wanted> = (0..1_500).map(wanted).collect();
    let session = Session::new(table.clone(), &wanted, Timing::default()).expect("a session");
    let mut fixture = Fixture { session, out: InputBlock::new(&table, 1), now: 0 };
    fixture.session.handle_connected(Ts(0), &mut fixture.out);
    // The list of pairs, and 15 requests of 100 symbols each.
    let sent = fixture.run_to(SECOND);
    let times: Vec<i64> = sent.iter().map(|(at, _)| *at).collect();
    assert_eq!(times[..10], [0; 10]);
    assert_eq!(times[10..], [50, 100, 150, 200, 250, 300]);
}

/// Candles of these minutes, the last of them still open.
fn candles(minutes: std::ops::RangeInclusive<i64>) -> String {
    let time = |ns: i64| jiff::Timestamp::from_nanosecond(i128::from(ns)).expect("a time");
    let row = |minute: i64| {
        format!(
            r#"{{"symbol":"BTC/USD","open":100.0,"high":{0},"low":100.0,"close":{0},"vwap":100.0,"trades":3,"volume":1.0,"interval_begin":"{1}","interval":1,"timestamp":"{2}"}}"#,
            100 + minute,
            time(minute * 60 * SECOND),
            time((minute + 1) * 60 * SECOND),
        )
    };
    let sent = time((minutes.end() * 60 + 30) * SECOND);
    let rows: Vec<String> = minutes.map(row).collect();
    format!(
        r#"{{"channel":"ohlc","type":"snapshot","timestamp":"{sent}","data":[{}]}}"#,
        rows.join(",")
    )
}

/// A pair that is followed, with its candles of a minute, on its second connection, ten
/// minutes after the first was lost.
fn after_an_outage() -> Fixture {
    let want = [Wanted { trades: true, candle_minutes: Some(1), ..wanted(0) }];
    let mut fixture = Fixture::live(&want);
    fixture.frames();
    fixture.ok(&candles(0..=1));
    fixture.now = 600 * SECOND;
    fixture.session.handle_disconnected(Ts(fixture.now), &mut fixture.out);
    fixture.now += 600 * SECOND;
    fixture.session.handle_connected(Ts(fixture.now), &mut fixture.out);
    fixture
}

#[test]
fn add_13_behind_an_outage_candles_come_before_the_trades() {
    let mut fixture = after_an_outage();
    let begin = fixture.out.len();
    let about = |frames: &[String], what: &str| frames.iter().filter(|f| f.contains(what)).count();
    let frames = fixture.frames();
    assert_eq!((about(&frames, "\"ohlc\""), about(&frames, "\"trade\"")), (1, 0), "{frames:?}");
    fixture.ok(&candles(1..=20));
    // The minutes from a little before the loss on; the one that is open is left out.
    let expected: Vec<String> =
        (7..20).map(|m| format!("candle {m} {} ", 1_000 + 10 * m)).collect();
    let events = fixture.events()[begin..].to_vec();
    assert_eq!(events.len(), expected.len(), "{events:?}");
    assert!(events.iter().zip(&expected).all(|(e, x)| e.starts_with(x.as_str())), "{events:?}");
    let frames = fixture.frames();
    assert_eq!(about(&frames, "\"trade\""), 1, "{frames:?}");
    let ends = frames.iter().find(|f| f.contains("unsubscribe")).expect("it is ended");
    assert!(ends.contains("\"ohlc\""), "{ends}");
    fixture.ok(&ack("unsubscribe", "ohlc", "BTC/USD", id_of(ends)));
    let sent = beat_to(&mut fixture, 1_300 * SECOND);
    assert!(!sent.iter().any(|(_, f)| f.contains("ohlc")), "not asked again: {sent:?}");
}

/// Without them the pair trades all the same: prices matter more than the past.
#[test]
fn add_13_candles_that_do_not_come_keep_nobody_waiting() {
    let mut fixture = after_an_outage();
    let frames = fixture.frames();
    assert!(!frames.iter().any(|frame| frame.contains("trade")), "{frames:?}");
    let sent = fixture.run_to(fixture.now + 2 * SECOND);
    let asked = sent.iter().find(|(_, frame)| frame.contains("trade")).map(|(at, _)| *at);
    assert_eq!(asked, Some(1_201_000), "after a second");
    fixture.ok(&trade(7, "snapshot"));
    fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
    assert_eq!(fixture.events().last().map(String::as_str), Some("0 Trading"));
}
