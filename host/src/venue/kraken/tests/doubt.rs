//! Trades that come again or are counted anew, candles that cannot be, clocks that
//! differ: what is believed of it.

use super::*;
use crate::input::TradingStatus;

const SECOND: i64 = Ts::SECOND;

fn time(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns)).expect("a time").to_string()
}

/// Trades as `(id, second)`.
fn prints(kind: &str, rows: &[(u64, i64)]) -> String {
    let row = |&(id, second): &(u64, i64)| {
        format!(
            r#"{{"symbol":"BTC/USD","side":"sell","price":100.5,"qty":1.00000000,"ord_type":"market","trade_id":{id},"timestamp":"{}"}}"#,
            time(second * SECOND)
        )
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    format!(r#"{{"channel":"trade","type":"{kind}","data":[{}]}}"#, rows.join(","))
}

/// What came of the trades behind a reconnect, by id, and how often the venue was
/// taken to count anew.
fn behind_a_reconnect(snapshot: &[(u64, i64)], updates: &[(u64, i64)]) -> (Vec<u64>, u64) {
    let want = Wanted { trades: true, levels: None, ..wanted(0) };
    let mut fixture = Fixture::live(&[want]);
    fixture.frames();
    fixture.now = 1_000 * SECOND;
    fixture.ok(&prints("snapshot", &[(98, 980), (99, 990), (100, 995)]));
    fixture.ok(&prints("update", &[(101, 999), (102, 1_000)]));
    fixture.now = 1_010 * SECOND;
    fixture.session.handle_disconnected(Ts(fixture.now), &mut fixture.out);
    fixture.session.handle_connected(Ts(fixture.now), &mut fixture.out);
    fixture.frames();
    let begin = fixture.out.len();
    fixture.ok(&prints("snapshot", snapshot));
    updates.iter().for_each(|row| fixture.ok(&prints("update", &[*row])));
    let came = (begin..fixture.out.len()).filter_map(|index| match fixture.out.get(index) {
        EventRef::Trade(trade) => Some(trade.id),
        _ => None,
    });
    let anew = |notice: &Notice| matches!(notice, Notice::TradeIdsRestarted { .. });
    let came = came.collect();
    let count = fixture.notices().iter().filter(|notice| anew(notice)).count() as u64;
    assert_eq!(fixture.session.counts().trade_id_gaps, count, "each is a gap");
    (came, count)
}

#[test]
fn high_005_a_snapshot_that_lags_behind_repeats_no_trade() {
    // All that it has is older than the newest that came before the reconnect.
    let lagging = [(99, 990), (100, 995), (101, 999)];
    let updates = [(101, 999), (102, 1_000), (103, 1_009)];
    assert_eq!(behind_a_reconnect(&lagging, &updates), (vec![103], 0));
    // Low ids alone prove nothing either.
    assert_eq!(behind_a_reconnect(&[(4, 990)], &[(5, 1_000), (103, 1_009)]), (vec![103], 0));
}

#[test]
fn high_005_a_venue_that_counts_anew_is_followed_and_what_it_lacks_is_told() {
    // What is later than all that came is new, the rest is not.
    let anew = [(4, 999), (5, 1_000), (6, 1_005), (7, 1_006)];
    assert_eq!(behind_a_reconnect(&anew, &[(7, 1_006), (8, 1_010)]), (vec![6, 7, 8], 1));
    // It lags behind as well: the updates tell.
    assert_eq!(behind_a_reconnect(&[(4, 999)], &[(5, 1_005), (6, 1_006)]), (vec![5, 6], 1));
}

#[test]
fn high_005_trades_with_wrong_times_are_not_taken_twice() {
    let want = Wanted { trades: true, levels: None, ..wanted(0) };
    let mut fixture = Fixture::live(&[want]);
    fixture.frames();
    fixture.now = 1_000 * SECOND;
    fixture.ok(&prints("snapshot", &[(100, 990)]));
    // One from 1970 and one from the far future; then all again with their true times.
    fixture.ok(&prints("update", &[(101, 0), (102, 900_000)]));
    fixture.now = 1_001 * SECOND;
    fixture.ok(&prints("update", &[(101, 999), (102, 1_000), (101, 999)]));
    assert_eq!(fixture.session.counts().trades, 2);
    assert_eq!(fixture.session.counts().trades_repeated, 3);
}

/// A row of `ohlc` for the minute that begins at this second.
fn row(begin: i64, [open, high, low, close]: [u32; 4], volume: &str) -> String {
    format!(
        r#"{{"symbol":"BTC/USD","open":{open}.0,"high":{high}.0,"low":{low}.0,"close":{close}.0,"vwap":{close}.0,"trades":3,"volume":{volume},"interval_begin":"{}","interval":1,"timestamp":"{}"}}"#,
        time(begin * SECOND),
        time((begin + 60) * SECOND),
    )
}

fn candles(sent: i64, rows: &[String]) -> String {
    format!(
        r#"{{"channel":"ohlc","type":"snapshot","timestamp":"{}","data":[{}]}}"#,
        time(sent * SECOND),
        rows.join(",")
    )
}

fn with_candles(now: i64) -> Fixture {
    let want = Wanted { trades: true, candle_minutes: Some(1), ..wanted(0) };
    let mut fixture = Fixture::live(&[want]);
    fixture.frames();
    fixture.now = now * SECOND;
    fixture
}

#[test]
fn add_13_candles_that_cannot_be_are_refused_and_not_bridged() {
    let good = [10, 12, 9, 11];
    let bad = [
        row(1_145, good, "1.0"),
        row(1_140, [13, 12, 9, 11], "1.0"),
        row(1_140, [10, 12, 9, 8], "1.0"),
        row(1_140, [10, 8, 12, 11], "1.0"),
    ];
    for bad in bad {
        let mut fixture = with_candles(1_290);
        let rows = [row(1_080, good, "1.0"), bad, row(1_200, good, "1.0")];
        let error = fixture.feed(&candles(1_290, &rows)).expect_err("refused");
        assert!(error.starts_with("a candle: "), "{error}");
        let told: Vec<String> =
            fixture.events().into_iter().filter(|e| e.starts_with("candle")).collect();
        assert_eq!(told, ["candle 18 110 100000000", "candle 20 110 100000000"]);
        assert_eq!(fixture.session.counts().errors.get("candle"), Some(&1));
    }
    // Far in the future, by a message that says so itself.
    let mut fixture = with_candles(1_290);
    let rows = [row(1_080, good, "1.0"), row(900_000, good, "1.0")];
    assert!(fixture.feed(&candles(900_100, &rows)).is_err());
    let told = fixture.events().into_iter().filter(|e| e.starts_with("candle"));
    assert_eq!(told.collect::<Vec<_>>(), ["candle 18 110 100000000"]);
}

/// Until when a pair is stale whose trades are granted and never come.
fn silent_trades(volume: Option<&str>) -> bool {
    let mut fixture = with_candles(1_290);
    if let Some(volume) = volume {
        fixture.ok(&candles(1_290, &[row(1_260, [10; 4], volume)]));
    }
    for _ in 0..60 {
        for frame in fixture.frames() {
            let value: serde_json::Value = serde_json::from_str(&frame).expect("JSON");
            let method = value["method"].as_str().expect("a method");
            for channel in ["book", "trade", "ohlc"] {
                if value["params"]["channel"] == channel {
                    let id = value["req_id"].as_u64().expect("a number");
                    fixture.ok(&ack(method, channel, "BTC/USD", id));
                    if method == "subscribe" && channel == "book" {
                        fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
                    }
                }
            }
        }
        fixture.ok(r#"{"channel":"heartbeat"}"#);
        fixture.run_quiet(fixture.now + SECOND);
    }
    let status = |index| match fixture.out.get(index) {
        EventRef::Status { status, .. } => Some(status),
        _ => None,
    };
    (0..fixture.out.len()).filter_map(status).any(|status| status == TradingStatus::Trading)
}

#[test]
fn add_09_a_dead_trade_channel_is_no_quiet_pair_where_candles_have_volume() {
    assert!(!silent_trades(Some("1.5")), "it trades, and its trades do not come");
    assert!(silent_trades(Some("0.0")), "it has never traded");
    assert!(silent_trades(None), "nothing is known of it");
}

#[test]
fn add_09_candles_with_volume_that_come_late_correct_what_was_thought() {
    let mut stream = streams::Stream::new(&Instrument::plain("BTC/USD", 1, 8));
    stream.trades_wanted = true;
    assert!(!stream.has_no_trades() && stream.has_no_trades());
    assert!(stream.trades_ready);
    assert!(stream.note_volume(), "it was taken for one without trades");
    assert!(!stream.trades_ready && !stream.has_no_trades());
    assert!(!stream.note_volume(), "once");
}

/// When the first request goes out behind so many refusals at once, in milliseconds.
fn pause_behind(refusals: usize) -> i64 {
    let names: Vec<String> = (0..refusals).map(|n| format!("A{n}/USD")).collect();
    let table = InstrumentTable::new(names.iter().map(|n| Instrument::plain(n, 1, 8)).collect());
    let wants: Vec<Wanted> = (0..refusals as u16).map(wanted).collect();
    let session = Session::new(table.clone(), &wants, Timing::default()).expect("a session");
    let mut fixture = Fixture { session, out: InputBlock::new(&table, 1), now: 0 };
    fixture.session.handle_connected(Ts(0), &mut fixture.out);
    let frames = fixture.frames();
    let value: serde_json::Value = serde_json::from_str(&frames[1]).expect("JSON");
    let id = value["req_id"].as_u64().expect("a number");
    names.iter().for_each(|name| fixture.ok(&nack("Exceeded msg rate", name, id)));
    let sent = fixture.run_to(9 * SECOND);
    sent.iter().find(|(_, frame)| frame.contains("book")).expect("asked anew").0
}

#[test]
fn high_005_a_burst_of_refusals_is_one_back_off() {
    assert_eq!(pause_behind(1), pause_behind(50));
    assert!((1_000..2_000).contains(&pause_behind(50)), "{}", pause_behind(50));
}

#[test]
fn add_13_a_machine_clock_far_behind_the_venue_is_told() {
    let mut fixture = Fixture::live(&[Wanted { trades: true, levels: None, ..wanted(0) }]);
    fixture.frames();
    fixture.now = 1_000 * SECOND;
    fixture.ok(&prints("snapshot", &[(1, 1_500)]));
    for id in 2..10 {
        fixture.ok(&prints("update", &[(id, 1_600)]));
    }
    let told: Vec<Notice> = fixture
        .notices()
        .into_iter()
        .filter(|notice| matches!(notice, Notice::Clock { .. }))
        .collect();
    assert_eq!(told, [Notice::Clock { ahead_ns: 600 * SECOND }]);
}
