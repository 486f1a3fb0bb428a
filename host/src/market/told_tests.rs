//! Candles where trades were missed: rules 6 to 8 of [`super::candles`].

use super::candles::{Candle, CandleSeries};
use super::{Market, MarketLimits};
use crate::domain::{Instrument, InstrumentTable, Price, Qty, Side, SymbolId, Ts};
use crate::input::{CandleInput, InputBlock, Trade};

const S: i64 = Ts::SECOND;
const M: i64 = 60 * S;

/// A series and what it closed: minute, prices, volume, whether it is partial.
struct Fixture {
    series: CandleSeries,
    closed: Vec<(i64, [i64; 4], i64, bool)>,
}

fn row(candle: Candle) -> (i64, [i64; 4], i64, bool) {
    let prices = [candle.open, candle.high, candle.low, candle.close];
    (candle.open_ts / M, prices, candle.volume, candle.partial)
}

impl Fixture {
    /// A series that begins at a whole minute, with nothing missing before.
    fn new(interval_s: u32) -> Self {
        let mut series = CandleSeries::new(interval_s, 10, 100);
        series.begin(0);
        Self { series, closed: Vec::new() }
    }

    fn trade(&mut self, id: u64, second: i64, price: i64, qty: i64) {
        self.series.expect(id, second * S);
        self.series.close_before(second * S, |candle| self.closed.push(row(candle)));
        self.series.add(second * S, price, qty);
    }

    /// The venue's candle of a minute.
    fn told(&mut self, minute: i64, [open, high, low, close]: [i64; 4], qty: i64) {
        let input = CandleInput {
            symbol: SymbolId(0),
            interval_s: 60,
            open_ts: Ts(minute * M),
            open: Price(open),
            high: Price(high),
            low: Price(low),
            close: Price(close),
            volume: Qty(qty),
            vwap: close as f64,
        };
        let instrument = Instrument::plain("X/USD", 0, 0);
        self.series.tell(&input, &instrument, |candle| self.closed.push(row(candle)));
    }

    fn clock(&mut self, second: i64) {
        self.series.close_by_clock(second * S, |candle| self.closed.push(row(candle)));
    }
}

/// Trades of minute 0, an outage in it, and the first trade after it in minute 3, whose
/// recent past reaches back into minute 2. `told` says whether the venue's candles come.
fn outage(interval_s: u32, told: bool) -> Fixture {
    let mut fixture = Fixture::new(interval_s);
    fixture.trade(1, 0, 10, 1);
    fixture.trade(2, 20, 12, 1);
    if told {
        fixture.told(0, [10, 12, 5, 7], 9);
        fixture.told(1, [7, 8, 7, 8], 4);
        fixture.told(2, [8, 20, 8, 11], 6);
    }
    fixture.trade(50, 170, 11, 2);
    fixture.trade(51, 190, 9, 3);
    fixture.clock(302);
    fixture
}

#[test]
fn add_13_candles_of_the_venue_complete_those_of_an_outage() {
    let expected = [
        (0, [10, 12, 5, 7], 9, false),
        (1, [7, 8, 7, 8], 4, false),
        (2, [8, 20, 8, 11], 6, false),
        (3, [9, 9, 9, 9], 3, false),
        (4, [9, 9, 9, 9], 0, false),
    ];
    assert_eq!(outage(60, true).closed, expected);
    // Five minutes in one: the seen part of minute 0 is in what was told of it, and the
    // trade of minute 2 that came later too.
    assert_eq!(outage(300, true).closed, [(0, [10, 20, 5, 9], 22, false)]);
}

#[test]
fn add_13_control_what_nobody_told_of_is_marked() {
    let expected = [
        (0, [10, 12, 10, 12], 2, true),
        (1, [12, 12, 12, 12], 0, true),
        (2, [11, 11, 11, 11], 2, true),
        (3, [9, 9, 9, 9], 3, false),
        (4, [9, 9, 9, 9], 0, false),
    ];
    assert_eq!(outage(60, false).closed, expected);
    assert_eq!(outage(300, false).closed, [(0, [10, 12, 9, 9], 7, true)]);
    // Candles shorter than a minute cannot be told of.
    let short = outage(30, true).closed;
    assert!(short[..6].iter().all(|candle| candle.3), "{short:?}");
    assert!(short[6..].iter().all(|candle| !candle.3), "{short:?}");
}

#[test]
fn add_13_only_what_was_not_seen_is_marked() {
    // More was missed than the recent past holds: of the minute that goes on, nobody
    // knows the beginning.
    let mut fixture = Fixture::new(60);
    fixture.trade(1, 0, 10, 1);
    fixture.told(0, [10, 12, 5, 7], 9);
    fixture.trade(50, 90, 11, 2);
    fixture.trade(51, 121, 9, 3);
    fixture.clock(182);
    let marks: Vec<_> = fixture.closed.iter().map(|candle| (candle.0, candle.3)).collect();
    assert_eq!(marks, [(0, false), (1, true), (2, false)]);
    // A start within a minute, and one with the candle of that minute from the venue.
    for (told, partial) in [(None, true), (Some(0), true), (Some(1), false)] {
        let mut fixture = Fixture::new(60);
        fixture.series.begin(70 * S);
        if let Some(minute) = told {
            fixture.told(minute, [10; 4], 5);
        }
        fixture.trade(7, 100, 10, 1);
        fixture.trade(8, 130, 10, 1);
        let candle = fixture.closed.iter().find(|candle| candle.0 == 1);
        assert_eq!(candle.map(|candle| candle.3), Some(partial), "{told:?}");
    }
    // Ids that are none say nothing.
    let mut fixture = Fixture::new(60);
    for second in [0, 50, 61, 130] {
        fixture.trade(0, second, 10, 1);
    }
    assert!(fixture.closed.iter().all(|candle| !candle.3), "{:?}", fixture.closed);
}

#[test]
fn add_13_what_is_known_is_not_told_again() {
    let mut fixture = outage(60, true);
    let closed = fixture.closed.clone();
    for minute in 0..5 {
        fixture.told(minute, [1; 4], 1);
    }
    assert_eq!(fixture.closed, closed);
    let mut long = outage(900, true);
    long.told(2, [1; 4], 1_000);
    long.clock(902);
    assert_eq!(long.closed, [(0, [10, 20, 5, 9], 22, false)]);
}

/// Minute and mark of what was closed, in pieces of `interval` minutes.
fn marks(fixture: &Fixture) -> Vec<(i64, bool)> {
    fixture.closed.iter().map(|candle| (candle.0, candle.3)).collect()
}

#[test]
fn add_13_a_long_candle_whose_beginning_nobody_told_is_marked() {
    let mut fixture = Fixture::new(3_600);
    fixture.series.begin(100 * M);
    for minute in 30..100 {
        fixture.told(minute, [10; 4], 1);
    }
    fixture.trade(1, 6_001, 10, 1);
    fixture.trade(2, 7_201, 10, 1);
    assert_eq!(marks(&fixture), [(0, true), (60, false)]);
}

#[test]
fn add_13_one_minute_that_is_told_late_tells_nothing_of_those_before_it() {
    for told in [false, true] {
        let mut fixture = Fixture::new(3_600);
        fixture.trade(1, 0, 10, 1);
        fixture.series.darken(5 * S);
        // Minutes 0 to 10 were missed; their candles come after the trades.
        fixture.trade(50, 630, 11, 1);
        if told {
            fixture.told(10, [11; 4], 5);
        }
        fixture.trade(51, 3_601, 12, 1);
        assert_eq!(marks(&fixture), [(0, true)]);
    }
}

#[test]
fn add_13_an_outage_longer_than_the_venue_tells_of_is_marked_where_nobody_told() {
    let outage = |told: std::ops::Range<i64>| {
        let mut fixture = Fixture::new(60);
        fixture.trade(1, 30, 10, 1);
        fixture.clock(302);
        fixture.series.darken(302 * S);
        told.for_each(|minute| fixture.told(minute, [10, 12, 9, 11], 5));
        fixture.trade(500, 20 * 60 + 30, 11, 1);
        fixture.clock(21 * 60 + 2);
        let partial = marks(&fixture).into_iter().filter(|(_, partial)| *partial);
        partial.map(|(minute, _)| minute).collect::<Vec<i64>>()
    };
    // The last five minutes before the mark are not sure to have come whole, so the
    // venue tells of them too; the minute that goes on has lost its beginning.
    assert_eq!(outage(2..20), [20]);
    assert_eq!(outage(12..20), [5, 6, 7, 8, 9, 10, 11, 20]);
}

#[test]
fn add_13_a_quiet_pair_is_not_marked_for_its_quiet() {
    for interval_s in [60, 3_600] {
        let mut fixture = Fixture::new(interval_s);
        fixture.trade(1, 30, 10, 1);
        fixture.clock(20 * 60);
        fixture.series.darken(20 * M);
        (17..30).for_each(|minute| fixture.told(minute, [10, 12, 9, 11], 5));
        fixture.trade(2, 30 * 60, 11, 1);
        fixture.clock(3_602);
        assert!(fixture.closed.iter().all(|candle| !candle.3), "{:?}", fixture.closed);
    }
}

#[test]
fn add_13_trades_that_are_counted_anew_or_belong_elsewhere_mark_their_candles() {
    let mut fixture = Fixture::new(60);
    fixture.trade(1_000, 10, 10, 1);
    fixture.trade(3, 130, 10, 1);
    fixture.trade(4, 190, 10, 1);
    fixture.trade(5, 250, 10, 1);
    fixture.series.doubt(251 * S);
    fixture.clock(362);
    let expected = [(0, true), (1, true), (2, true), (3, false), (4, true), (5, false)];
    assert_eq!(marks(&fixture), expected);
}

/// What prints are known to have taken of the best ask, by the venue's times of the book's
/// snapshot and of a trade that comes behind it; then at the event before it.
fn taken(snapshot: i64, trade: i64) -> (i64, i64) {
    let table = InstrumentTable::new(vec![Instrument::plain("X/USD", 0, 0)]);
    let mut market = Market::new(&table, MarketLimits::default(), 8);
    let mut block = InputBlock::new(&table, 1);
    let (bid, ask) = ((Price(99), Qty(5)), (Price(100), Qty(5)));
    block.push_book(Ts(9 * S), Ts(snapshot * S), SymbolId(0), true, &[bid], &[ask]);
    let print =
        Trade { symbol: SymbolId(0), side: Side::Buy, price: Price(100), qty: Qty(3), id: 1 };
    block.push_trade(Ts(9 * S), Ts(trade * S), &print);
    market.begin_block();
    market.apply_book(&block, 0);
    market.print(&block, 1, &print);
    market.pass(1);
    let after = market.book(SymbolId(0)).printed(Side::Sell, 100);
    market.seek_books(&block, Some(0));
    let before = market.book(SymbolId(0)).printed(Side::Sell, 100);
    market.seek_books(&block, Some(1));
    assert_eq!(market.book(SymbolId(0)).printed(Side::Sell, 100), after, "both ways");
    (after, before)
}

#[test]
fn add_09_a_trade_from_before_the_book_takes_nothing_of_it() {
    assert_eq!(taken(5, 4), (0, 0), "told again after an outage");
    assert_eq!(taken(5, 6), (3, 0));
    assert_eq!(taken(5, 5), (3, 0));
}
