//! What single frames lead to, made by hand in the venue's shape.

use super::*;
use crate::input::TradingStatus;

fn update(bids: &str, asks: &str, checksum: u32) -> String {
    format!(
        r#"{{"channel":"book","type":"update","data":[{{"symbol":"BTC/USD","bids":[{bids}],"asks":[{asks}],"checksum":{checksum},"timestamp":"2026-08-24T22:21:58.343688Z"}}]}}"#
    )
}

#[test]
fn add_09_a_wrong_checksum_makes_the_symbol_stale_until_the_next_snapshot() {
    let mut fixture = Fixture::recorded(&[wanted(0), wanted(1)]);
    fixture.session.handle_connected(Ts(0), &mut fixture.out);
    fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
    fixture.ok(&snapshot("ETH/USD", "9.5x1", "10.5x2"));
    fixture.ok(&update(r#"{"price":99.5,"qty":3.00000000}"#, "", 7));
    assert_eq!(fixture.session.best(SymbolId(0)), None, "no best price from a wrong book");
    assert!(fixture.session.best(SymbolId(1)).is_some(), "the other symbol goes on");
    fixture.ok(&update(r#"{"price":99.5,"qty":3.00000000}"#, "", 7));
    fixture.ok(&snapshot("BTC/USD", "99.5x3", "100.5x2"));
    let expected = [
        "0 Stale",
        "1 Stale",
        "snapshot 995x100000000 | 1005x200000000",
        "0 Trading",
        "snapshot 950x100000000 | 1050x200000000",
        "1 Trading",
        "0 Stale",
        "snapshot 995x300000000 | 1005x200000000",
        "0 Trading",
    ];
    assert_eq!(fixture.events(), expected);
    let counts = fixture.session.counts();
    assert_eq!((counts.checksums_verified, counts.checksums_failed), (3, 1));
    assert_eq!((counts.updates_unusable, counts.snapshots), (1, 3));
}

#[test]
fn add_09_a_book_frame_that_cannot_be_read_makes_its_book_stale() {
    let mut fixture = Fixture::recorded(&[wanted(0)]);
    fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
    // More decimals than the pair has.
    let error = fixture.feed(&update(r#"{"price":99.55,"qty":3.0}"#, "", 7));
    assert!(error.is_err_and(|text| text.contains("price: '99.55' has more than 1 decimals")));
    assert_eq!(fixture.events().last().map(String::as_str), Some("0 Stale"));
    assert_eq!(fixture.session.counts().errors.get("number"), Some(&1));
}

#[test]
fn add_09_the_states_of_system_and_pair_pause_trading() {
    let mut fixture = Fixture::recorded(&[wanted(0)]);
    fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
    let system = |state: &str, id: &str| {
        format!(
            r#"{{"channel":"status","data":[{{"api_version":"v2",{id}"system":"{state}","version":"2.0.6","upcoming_maintenance":[{{"event_id":"x"}}]}}],"type":"update"}}"#
        )
    };
    let pair = |state: &str| pair_frame("update", state, "0.1", 1);
    fixture.ok(&system("online", r#""connection_id":18266300427528990701,"#));
    fixture.ok(&system("maintenance", ""));
    fixture.ok(&pair("limit_only"));
    fixture.ok(&system("cancel_only", ""));
    fixture.ok(&system("post_only", ""));
    fixture.ok(&system("online", ""));
    fixture.ok(&pair("reduce_only"));
    fixture.ok(&pair("a state of the future"));
    fixture.ok(&pair("online"));
    let states: Vec<_> =
        ["Paused", "CancelOnly", "PostOnly", "LimitOnly", "ReduceOnly", "Paused", "Trading"]
            .iter()
            .map(|state| format!("0 {state}"))
            .collect();
    let of_btc: Vec<_> = fixture.events().into_iter().filter(|e| e.starts_with("0 ")).collect();
    assert_eq!(of_btc, states);
    assert!(fixture.notices().contains(&Notice::System(TradingStatus::CancelOnly)));
}

fn pair_frame(kind: &str, status: &str, increment: &str, precision: u8) -> String {
    format!(
        r#"{{"channel":"instrument","type":"{kind}","data":{{"assets":[],"pairs":[{{"symbol":"BTC/USD","base":"BTC","quote":"USD","status":"{status}","qty_precision":8,"qty_increment":1e-08,"price_precision":{precision},"cost_precision":5,"marginable":true,"has_index":true,"cost_min":"0.50","tick_size":0.1,"price_increment":{increment},"qty_min":5e-05,"new_field":[]}}]}}}}"#
    )
}

#[test]
fn rules_follow_the_instrument_channel() {
    let mut fixture = Fixture::recorded(&[wanted(0)]);
    fixture.ok(&snapshot("BTC/USD", "99.5x1", "100.5x2"));
    fixture.ok(&pair_frame("snapshot", "online", "0.1", 1));
    let rules = fixture.session.rules(SymbolId(0)).expect("rules");
    assert_eq!((rules.price_increment.0, rules.qty_increment.0, rules.qty_min.0), (1, 1, 5_000));
    assert_eq!(rules.cost_min.to_string(), "0.50000000");
    fixture.ok(&pair_frame("update", "online", "0.5", 1));
    assert_eq!(fixture.session.rules(SymbolId(0)).map(|r| r.price_increment.0), Some(5));
    assert_eq!(fixture.notices().len(), 2, "one for each change");
    // The run's units have one decimal: numbers with two cannot be held.
    fixture.ok(&pair_frame("update", "online", "0.05", 2));
    assert_eq!(fixture.notices(), [Notice::PrecisionChanged(SymbolId(0))]);
    // The engine has each change in its place, and none where nothing changed.
    assert_eq!(fixture.events()[1..], ["rules 0 1", "rules 0 5", "0 Stale"]);
    fixture.ok(&pair_frame("update", "online", "0.5", 1));
    assert_eq!(fixture.events()[4..], ["0 Trading"]);
    let broken = pair_frame("update", "online", "0.05", 1);
    assert!(fixture.feed(&broken).is_err(), "an increment finer than the precision");
}

#[test]
fn med_008_the_catalog_offers_names_near_an_unknown_one() {
    let mut catalog = Catalog::default();
    assert!(catalog.handle_text(&pair_frame("snapshot", "online", "0.1", 1)).expect("a list"));
    assert_eq!((catalog.len(), catalog.refused()), (1, 0));
    for name in ["XBT/USD", "btc/usd", "BTC/USDT", "BTC-USD"] {
        assert!(catalog.get(name).is_none());
        assert_eq!(catalog.near(name), ["BTC/USD"], "{name}");
    }
    assert!(catalog.near("ABCDE/JPY").is_empty());
}

fn with_trades() -> Wanted {
    Wanted { trades: true, levels: None, ..wanted(0) }
}

#[test]
fn high_005_trades_are_taken_once_and_skipped_ids_told() {
    let mut fixture = Fixture::recorded(&[with_trades()]);
    fixture.ok(&trades(&[3, 4, 5], "snapshot"));
    fixture.ok(&trades(&[5, 6], "update"));
    fixture.ok(&trade(9, "update"));
    // The same connection made anew: the snapshot overlaps and fills what it can.
    fixture.ok(&trades(&[6, 9, 10], "snapshot"));
    let expected = ["trade 6 1005 Sell", "trade 9 1005 Sell", "trade 10 1005 Sell"];
    assert_eq!(fixture.events(), expected);
    let counts = fixture.session.counts().clone();
    assert_eq!((counts.trades, counts.trades_history, counts.trades_repeated), (3, 3, 3));
    assert_eq!((counts.trade_id_gaps, counts.trades_missed), (1, 2));
    let gap = Notice::TradeGap { symbol: SymbolId(0), after: 6, before: 9 };
    assert_eq!(fixture.notices(), [gap]);
}

#[test]
fn trade_ids_that_begin_anew_do_not_silence_the_channel() {
    let mut fixture = Fixture::recorded(&[with_trades()]);
    fixture.ok(&trade(70_635_251, "update"));
    fixture.ok(&trade(1, "update"));
    fixture.ok(&trade(2, "update"));
    assert_eq!(fixture.session.counts().trades, 3);
}

#[test]
fn add_13_closed_candles_of_the_first_snapshot_are_history() {
    let want = Wanted { candle_minutes: Some(1), levels: None, ..wanted(0) };
    let mut fixture = Fixture::recorded(&[want]);
    fixture.now = time("2024-05-17T11:16:30Z").expect("a time").0;
    let row = |minute: u32, close: &str| {
        format!(
            r#"{{"symbol":"BTC/USD","open":100.0,"high":102.0,"low":99.0,"close":{close},"trades":9,"volume":1.5,"vwap":100.27,"interval_begin":"2024-05-17T11:{minute:02}:00.000000000Z","interval":1,"timestamp":"2024-05-17T11:{:02}:00.000000Z"}}"#,
            minute + 1
        )
    };
    let frame = |kind: &str, rows: &[String]| {
        format!(
            r#"{{"channel":"ohlc","type":"{kind}","timestamp":"2024-05-17T11:16:30.318303322Z","data":[{}]}}"#,
            rows.join(",")
        )
    };
    // Minutes 12 and 15 are closed, 13 and 14 had no trade, 16 is forming.
    let rows = [row(12, "101.0"), row(15, "101.5"), row(15, "101.5"), row(16, "100.0")];
    fixture.ok(&frame("snapshot", &rows));
    fixture.ok(&frame("update", &[row(16, "100.5")]));
    fixture.ok(&frame("snapshot", &rows));
    let first = 28_599_072;
    let expected = [
        format!("candle {first} 1010 150000000"),
        format!("candle {} 1010 0", first + 1),
        format!("candle {} 1010 0", first + 2),
        format!("candle {} 1015 150000000", first + 3),
    ];
    let base: i64 = "2024-05-17T11:12:00Z".parse::<jiff::Timestamp>().expect("a time").as_second();
    assert_eq!(base / 60, first);
    assert_eq!(fixture.events(), expected);
    assert_eq!(fixture.session.counts().candles_ignored, 7);
}

#[test]
fn high_007_a_refused_frame_is_counted_by_its_cause_and_never_panics() {
    let want = Wanted { trades: true, candle_minutes: Some(1), ..wanted(0) };
    let mut fixture = Fixture::recorded(&[want]);
    let good = trade(1, "update");
    let cases = [
        (String::new(), "json"),
        ("[1,2]".into(), "json"),
        (r#"{"channel":"trade","type":"update","data":[{"symbol":1}]}"#.into(), "json"),
        (r#"{"channel":"book","type":"update","data":{}}"#.into(), "json"),
        (good.replace("BTC/USD", "XBT/USD"), "unknown-symbol"),
        (good.replace("100.5", "100.55"), "number"),
        (good.replace("100.5", "\"x\""), "number"),
        (good.replace("100.5", "-100.5"), "range"),
        (good.replace("0.00100000", "0"), "range"),
        (good.replace("\"sell\"", "\"hold\""), "side"),
        (good.replace("2026-08-24T", "yesterday"), "time"),
    ];
    for (text, kind) in &cases {
        let before = fixture.session.counts().errors.get(kind).copied().unwrap_or(0);
        assert!(fixture.feed(text).is_err(), "{text}");
        assert_eq!(fixture.session.counts().errors.get(kind), Some(&(before + 1)), "{text}");
    }
    assert!(fixture.events().is_empty());
    // Any cut of a valid frame is an error, not a panic.
    for frame in [good, snapshot("BTC/USD", "99.5x1", "100.5x1")] {
        for end in (0..frame.len()).filter(|end| frame.is_char_boundary(*end)) {
            assert!(fixture.feed(&frame[..end]).is_err());
        }
    }
}

#[test]
fn unknown_channels_methods_and_orders_of_fields_are_no_errors() {
    let mut fixture = Fixture::recorded(&[with_trades()]);
    for text in [
        r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD"}]}"#,
        r#"{"channel":"of the future"}"#,
        r#"{"method":"pong","req_id":101,"time_in":"x","time_out":"y"}"#,
        r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"]}}"#,
        r#"{"channel":"heartbeat"}"#,
        "{}",
    ] {
        fixture.ok(text);
    }
    let data = trade(5, "update");
    let rows = &data[data.find('[').expect("rows")..data.len() - 1];
    fixture.ok(&format!(r#"{{"data":{rows},"type":"update","channel":"trade"}}"#));
    assert_eq!(fixture.events(), ["trade 5 1005 Sell"]);
    let counts = fixture.session.counts();
    assert_eq!((counts.signs_of_life, counts.ignored), (2, 4));
}
