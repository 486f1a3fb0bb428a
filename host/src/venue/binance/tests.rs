//! Frames and splicing, with frames made by hand in the venue's shape.

use super::splice::{Delta, Splice, Spliced, Verdict, WAITING_MAX};
use super::*;
use crate::domain::{Instrument, InstrumentTable, Price, Qty, Side, SymbolId, Ts};
use crate::input::{EventRef, InputBlock, Trade, TradingStatus};
use crate::venue::{Protocol, Request};

fn table() -> InstrumentTable {
    InstrumentTable::new(vec![Instrument::plain("BTCUSDT", 2, 5)])
}

/// A session and what it has put out.
struct Fixture {
    session: Session,
    out: InputBlock,
    now: i64,
}

impl Fixture {
    fn new(depth: Option<usize>) -> Self {
        Self { session: Session::new(table(), depth), out: InputBlock::new(&table(), 1), now: 0 }
    }

    fn feed(&mut self, text: &str) -> Result<(), String> {
        self.now += 1;
        let result = self.session.handle_text(text, Ts(self.now), &mut self.out);
        result.map_err(|error| error.to_string())
    }

    #[track_caller]
    fn ok(&mut self, text: &str) {
        self.feed(text).expect("a valid frame");
    }

    #[track_caller]
    fn delta(&mut self, first: u64, last: u64, bids: &str, asks: &str) {
        self.ok(&delta(first, last, bids, asks));
    }

    /// The events as short text.
    fn events(&self) -> Vec<String> {
        let levels = |levels: crate::input::Levels<'_>| {
            levels.iter().map(|(p, q)| format!("{}x{}", p.0, q.0)).collect::<Vec<_>>().join(",")
        };
        let show = |index| match self.out.get(index) {
            EventRef::Trade(t) => format!("trade {} {}", t.id, t.price.0),
            EventRef::Book { snapshot, bids, asks, .. } => {
                let kind = if snapshot { "snapshot" } else { "delta" };
                format!("{kind} {} | {}", levels(bids), levels(asks))
            }
            EventRef::Status { status, .. } => format!("{status:?}"),
            other => format!("{other:?}"),
        };
        (0..self.out.len()).map(show).collect()
    }
}

fn side(levels: &str) -> String {
    let level = |l: &str| {
        let (price, qty) = l.split_once('x').expect("PRICExQTY");
        format!("[\"{price}\",\"{qty}\"]")
    };
    levels.split_whitespace().map(level).collect::<Vec<_>>().join(",")
}

fn delta(first: u64, last: u64, bids: &str, asks: &str) -> String {
    format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{last},"s":"BTCUSDT","U":{first},"u":{last},"b":[{}],"a":[{}]}}}}"#,
        side(bids),
        side(asks)
    )
}

fn snapshot(last: u64, bids: &str, asks: &str) -> String {
    format!(r#"{{"lastUpdateId":{last},"bids":[{}],"asks":[{}]}}"#, side(bids), side(asks))
}

fn ticker(id: u64, bid: (&str, &str), ask: (&str, &str)) -> String {
    format!(
        r#"{{"u":{id},"s":"BTCUSDT","b":"{}","B":"{}","a":"{}","A":"{}"}}"#,
        bid.0, bid.1, ask.0, ask.1
    )
}

fn trade(id: u64) -> String {
    format!(
        r#"{{"e":"trade","E":9,"s":"BTCUSDT","t":{id},"p":"100.50000000","q":"0.02000000","T":7,"m":true,"M":true}}"#
    )
}

#[test]
fn a_trade_is_read_with_exact_numbers_and_both_clocks() {
    let mut fixture = Fixture::new(None);
    fixture.ok(&trade(5));
    let expected = Trade {
        symbol: SymbolId(0),
        // The buyer rested, so the taker sold.
        side: Side::Sell,
        price: Price(10_050),
        qty: Qty(2_000),
        id: 5,
    };
    assert!(matches!(fixture.out.get(0), EventRef::Trade(trade) if trade == expected));
    assert_eq!((fixture.out.ts(0), fixture.out.ts_exchange(0)), (Ts(1), Ts(7_000_000)));
}

#[test]
fn times_in_microseconds_are_told_by_their_size() {
    let mut fixture = Fixture::new(None);
    fixture.ok(&trade(1).replace("\"T\":7", "\"T\":1723161255342"));
    fixture.ok(&trade(2).replace("\"T\":7", "\"T\":1723161255342001"));
    assert_eq!(fixture.out.ts_exchange(0), Ts(1_723_161_255_342_000_000));
    assert_eq!(fixture.out.ts_exchange(1), Ts(1_723_161_255_342_001_000));
}

#[test]
fn kinds_are_told_in_any_order_of_fields_and_in_both_wrappings() {
    let kind = |text: &str| match parse(text).expect("a frame") {
        Message::Trade(_) => "trade",
        Message::Depth(_) => "depth",
        Message::Ticker(_) => "ticker",
        Message::Snapshot(_) => "snapshot",
        Message::Other => "other",
    };
    let ticker = ticker(1, ("1", "1"), ("2", "1"));
    let wrapped = |stream: &str, data: &str| format!(r#"{{"stream":"{stream}","data":{data}}}"#);
    let cases = [
        (trade(1), "trade"),
        (wrapped("btcusdt@trade", &trade(1)), "trade"),
        (format!(r#"{{"data":{},"stream":"btcusdt@trade"}}"#, trade(1)), "trade"),
        (r#"{"s":"BTCUSDT","e":"trade","t":1,"p":"1","q":"1","T":1,"m":false}"#.into(), "trade"),
        (delta(1, 2, "", ""), "depth"),
        (r#"{"U":1,"u":2,"s":"X","E":1,"e":"depthUpdate","b":[],"a":[]}"#.into(), "depth"),
        (ticker.clone(), "ticker"),
        (wrapped("btcusdt@bookTicker", &ticker), "ticker"),
        (snapshot(1, "", ""), "snapshot"),
        (r#"{"bids":[],"asks":[],"lastUpdateId":3}"#.into(), "snapshot"),
        (r#"{"result":null,"id":1}"#.into(), "other"),
        (r#"{"e":"kline","E":1,"s":"BTCUSDT"}"#.into(), "other"),
        (wrapped("btcusdt@kline_1m", r#"{"e":"kline","s":"BTCUSDT"}"#), "other"),
    ];
    for (text, expected) in cases {
        assert_eq!(kind(&text), expected, "{text}");
    }
}

#[test]
fn high_007_a_refused_frame_is_counted_by_its_cause_and_changes_nothing() {
    let mut fixture = Fixture::new(None);
    let negative = r#"{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[["1","-1"]],"a":[]}"#;
    let cases = [
        (String::new(), "json"),
        ("{\"e\":\"trade\"".into(), "json"),
        (r#"{"e":"trade","s":"BTCUSDT"}"#.into(), "json"),
        ("[1,2]".into(), "json"),
        (trade(1).replace("BTCUSDT", "ETHUSDT"), "unknown-symbol"),
        (trade(1).replace("100.50000000", "1e5x"), "number"),
        (trade(1).replace("100.50000000", "100.505"), "number"),
        (trade(1).replace("100.50000000", "0"), "range"),
        (trade(1).replace("0.02000000", "0.0"), "range"),
        (trade(1).replace("\"T\":7", "\"T\":18446744073709551615"), "range"),
        (negative.into(), "range"),
        (delta(5, 4, "", ""), "update-ids"),
    ];
    for (text, kind) in &cases {
        let before = fixture.session.counts().errors.get(kind).copied().unwrap_or(0);
        assert!(fixture.feed(text).is_err(), "{text}");
        assert_eq!(fixture.session.counts().errors.get(kind), Some(&(before + 1)), "{text}");
    }
    assert!(fixture.out.is_empty());
    assert_eq!(fixture.session.counts().trades, 0);
}

#[test]
fn a_snapshot_among_several_symbols_must_come_with_its_symbol() {
    let table = InstrumentTable::new(vec![
        Instrument::plain("BTCUSDT", 2, 5),
        Instrument::plain("ETHUSDT", 2, 5),
    ]);
    let mut out = InputBlock::new(&table, 1);
    let mut session = Session::new(table, None);
    let text = snapshot(1, "1x1", "2x1");
    assert!(session.handle_text(&text, Ts(1), &mut out).is_err());
    assert_eq!(session.counts().errors.get("no-symbol"), Some(&1));
    session.handle_snapshot(SymbolId(1), &text, Ts(1), &mut out).expect("a snapshot");
    assert_eq!(out.header(0).symbol(), SymbolId(1));
    assert!(session.handle_snapshot(SymbolId(2), &text, Ts(1), &mut out).is_err());
}

#[test]
fn the_splice_drops_what_the_snapshot_covers_and_applies_the_rest() {
    let mut fixture = Fixture::new(None);
    fixture.delta(1, 3, "99x1", "");
    assert_eq!(fixture.session.poll_request(), Some(Request::Snapshot(SymbolId(0))));
    fixture.delta(4, 6, "98x2", "");
    fixture.delta(7, 9, "97x3", "");
    assert_eq!(fixture.session.poll_request(), None, "asked once");
    fixture.ok(&trade(1));
    // The second delta lies astride of the snapshot.
    fixture.ok(&snapshot(5, "99x1", "101x1"));
    fixture.delta(10, 10, "99x0", "101x5");
    let expected = [
        "trade 1 10050",
        "snapshot 9900x100000 | 10100x100000",
        "delta 9800x200000 | ",
        "delta 9700x300000 | ",
        "delta 9900x0 | 10100x500000",
    ];
    assert_eq!(fixture.events(), expected);
    // The snapshot has the exchange time of the newest delta in it.
    assert_eq!(fixture.out.ts_exchange(1), Ts(3_000_000));
    assert_eq!(fixture.session.counts().gaps, 0);
}

#[test]
fn a_first_delta_that_begins_right_after_the_snapshot_joins() {
    let mut fixture = Fixture::new(None);
    fixture.delta(6, 8, "98x2", "");
    fixture.ok(&snapshot(5, "99x1", "101x1"));
    assert_eq!(fixture.events().len(), 2);
    assert_eq!(fixture.session.counts().snapshots, 1);
}

#[test]
fn a_snapshot_older_than_what_waits_is_asked_for_again() {
    let mut fixture = Fixture::new(None);
    fixture.delta(7, 8, "98x2", "");
    assert!(fixture.session.poll_request().is_some());
    fixture.ok(&snapshot(5, "99x1", "101x1"));
    assert!(fixture.events().is_empty());
    assert_eq!(fixture.session.counts().snapshots_unusable, 1);
    assert_eq!(fixture.session.poll_request(), Some(Request::Snapshot(SymbolId(0))));
    fixture.ok(&snapshot(7, "99x1", "101x1"));
    assert_eq!(fixture.events().len(), 2);
}

#[test]
fn old_deltas_and_deletes_of_unknown_levels_are_normal() {
    let mut fixture = Fixture::new(None);
    fixture.ok(&snapshot(5, "99x1", "101x1"));
    fixture.delta(2, 5, "99x7", "");
    fixture.delta(5, 6, "50x0", "");
    assert_eq!(
        fixture.events(),
        ["snapshot 9900x100000 | 10100x100000", "delta 5000x0 | "],
        "the old one is ignored, the one that overlaps is applied"
    );
    assert_eq!(fixture.session.counts().deltas_applied, 1);
}

#[test]
fn add_09_a_lost_delta_makes_the_symbol_stale_until_the_next_snapshot() {
    let mut fixture = Fixture::new(None);
    fixture.ok(&snapshot(5, "99x1", "101x1"));
    fixture.delta(6, 7, "99x2", "");
    fixture.delta(9, 10, "99x3", "");
    assert_eq!(fixture.session.poll_request(), Some(Request::Snapshot(SymbolId(0))));
    assert_eq!(fixture.session.best(SymbolId(0)), None, "no best price from a wrong book");
    fixture.delta(11, 12, "99x4", "");
    fixture.ok(&snapshot(10, "99x3", "101x1"));
    let expected = [
        "snapshot 9900x100000 | 10100x100000",
        "delta 9900x200000 | ",
        "Stale",
        "snapshot 9900x300000 | 10100x100000",
        "Trading",
        "delta 9900x400000 | ",
    ];
    assert_eq!(fixture.events(), expected);
    let counts = fixture.session.counts();
    assert_eq!((counts.gaps, counts.snapshots), (1, 2));
}

#[test]
fn add_09_a_lost_connection_makes_a_joined_book_stale_until_the_next_snapshot() {
    let mut fixture = Fixture::new(None);
    fixture.session.handle_disconnected(Ts(1), &mut fixture.out);
    assert!(fixture.out.is_empty(), "there was no book yet");
    fixture.ok(&snapshot(5, "99x1", "101x1"));
    fixture.session.handle_disconnected(Ts(2), &mut fixture.out);
    fixture.session.handle_disconnected(Ts(3), &mut fixture.out);
    assert_eq!(fixture.session.best(SymbolId(0)), None);
    assert_eq!(fixture.session.poll_request(), None, "a snapshot now would be too old");
    fixture.delta(9, 10, "99x2", "");
    assert_eq!(fixture.session.poll_request(), Some(Request::Snapshot(SymbolId(0))));
    fixture.ok(&snapshot(9, "99x2", "101x1"));
    assert_eq!(fixture.events()[1..3], ["Stale", "snapshot 9900x200000 | 10100x100000"]);
    assert_eq!(fixture.events()[3], "Trading");
}

#[test]
fn add_08_a_crossed_book_is_not_shown() {
    let mut fixture = Fixture::new(None);
    fixture.ok(&snapshot(5, "99x1", "101x1"));
    fixture.delta(6, 6, "101x1", "");
    assert_eq!(fixture.events()[1..], [format!("{:?}", TradingStatus::Stale)]);
    assert_eq!(fixture.session.counts().crossed, 1);
    assert!(fixture.session.poll_request().is_some());
    fixture.ok(&snapshot(7, "102x1", "101x1"));
    assert_eq!(fixture.events().len(), 2, "a crossed snapshot neither");
}

#[test]
fn add_08_a_second_snapshot_replaces_the_book_and_an_older_one_does_not() {
    let mut fixture = Fixture::new(None);
    fixture.ok(&snapshot(5, "99x1 98x1", "101x1"));
    fixture.ok(&snapshot(4, "90x1", "101x1"));
    assert_eq!(fixture.events().len(), 1);
    fixture.ok(&snapshot(8, "97x1", "101x1"));
    assert_eq!(fixture.session.best(SymbolId(0)).map(|(bid, _)| bid.0), Some(Price(9_700)));
}

#[test]
fn a_limited_depth_shows_levels_that_come_into_view() {
    let mut fixture = Fixture::new(Some(2));
    fixture.ok(&snapshot(5, "99x1 98x1 97x1 96x1", "101x1"));
    fixture.delta(6, 6, "95x9", "");
    fixture.delta(7, 7, "99x0", "");
    fixture.delta(8, 8, "98.5x4", "");
    let expected = [
        "snapshot 9900x100000,9800x100000 | 10100x100000",
        "delta 9900x0,9700x100000 | ",
        "delta 9700x0,9850x400000 | ",
    ];
    assert_eq!(fixture.events(), expected, "a change below the view is no event");
}

#[test]
fn repeated_trades_are_dropped_and_skipped_ids_counted() {
    let mut fixture = Fixture::new(None);
    for id in [5, 6, 6, 5, 7, 9] {
        fixture.ok(&trade(id));
    }
    let counts = fixture.session.counts();
    assert_eq!((counts.trades, counts.trades_repeated, counts.trade_id_gaps), (4, 2, 1));
}

#[test]
fn best_prices_are_compared_where_the_update_ids_meet() {
    let mut fixture = Fixture::new(None);
    let best = (("99", "1"), ("101", "1"));
    // Before its snapshot, before its delta, after its delta, and never.
    fixture.ok(&ticker(5, best.0, best.1));
    fixture.ok(&snapshot(5, "99x1", "101x1"));
    fixture.ok(&ticker(6, best.0, best.1));
    fixture.ok(&ticker(7, ("99", "2"), best.1));
    fixture.delta(6, 7, "99x2", "");
    fixture.ok(&ticker(7, ("99", "3"), best.1));
    let counts = fixture.session.counts();
    assert_eq!((counts.tickers_compared, counts.tickers_equal), (3, 2));
}

fn bare(first_id: u64, last_id: u64) -> Delta {
    Delta { first_id, last_id, ..Delta::default() }
}

#[test]
fn deltas_that_wait_are_bounded() {
    let mut splice = Splice::default();
    for id in 1..=WAITING_MAX as u64 + 5 {
        assert_eq!(splice.on_delta(bare(id, id)), Verdict::Waits);
    }
    // The first five are gone, so a snapshot before the sixth cannot join.
    assert_eq!(splice.on_snapshot(4), Spliced::TooOld);
    assert!(matches!(
        splice.on_snapshot(5),
        Spliced::Joined { then, .. } if then.len() == WAITING_MAX
    ));
}

#[test]
fn update_ids_at_the_end_of_their_range_do_not_overflow() {
    let mut splice = Splice::default();
    assert!(matches!(splice.on_snapshot(u64::MAX), Spliced::Joined { .. }));
    assert_eq!(splice.on_delta(bare(u64::MAX, u64::MAX)), Verdict::Old);
}
