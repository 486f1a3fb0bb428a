//! The invariants of the simulated market, by number, and how realistic it is.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::{Price, Qty, Side};
use crate::input::{EventRef, Levels};

fn at(config: &SimConfig, seconds: i64) -> Ts {
    Ts(config.start.0 + seconds * Ts::SECOND)
}

/// All events of that many seconds in one block.
fn run(config: &SimConfig, seconds: i64) -> InputBlock {
    let mut simulator = Simulator::new(config.clone()).expect("a valid configuration");
    let mut block = InputBlock::new(simulator.instruments(), 1);
    while !simulator.advance(at(config, seconds), &mut block) {}
    block
}

fn hash(block: &InputBlock) -> String {
    let mut hasher = blake3::Hasher::new();
    for word in block.exact_words() {
        hasher.update(&word.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// A book as a strategy would keep it.
#[derive(Default)]
struct Book {
    bids: BTreeMap<Price, Qty>,
    asks: BTreeMap<Price, Qty>,
}

impl Book {
    fn apply(&mut self, snapshot: bool, bids: Levels<'_>, asks: Levels<'_>) {
        if snapshot {
            *self = Self::default();
        }
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for (price, qty) in levels.iter() {
                if qty.is_zero() {
                    assert!(side.remove(&price).is_some(), "an unknown level was deleted");
                } else {
                    assert!(price.0 > 0 && qty.0 > 0);
                    side.insert(price, qty);
                }
            }
        }
    }

    fn best(&self) -> (Price, Price) {
        let bid = self.bids.last_key_value().expect("a bid").0;
        let ask = self.asks.first_key_value().expect("an ask").0;
        (*bid, *ask)
    }

    /// (bids − asks) / (bids + asks), permille.
    fn imbalance(&self) -> i64 {
        let sum =
            |side: &BTreeMap<Price, Qty>| side.values().map(|q| i128::from(q.0)).sum::<i128>();
        let (bids, asks) = (sum(&self.bids), sum(&self.asks));
        ((bids - asks) * 1_000 / (bids + asks)) as i64
    }
}

/// Follows a run; calls `each` with an event's symbol, the event, and the book
/// after it. Checks invariant 3 on the way.
fn follow(block: &InputBlock, symbols: usize, mut each: impl FnMut(usize, EventRef<'_>, &Book)) {
    let mut books: Vec<Book> = (0..symbols).map(|_| Book::default()).collect();
    let mut seen = vec![false; symbols];
    let mut last = Ts(0);
    for index in 0..block.len() {
        assert!(block.ts(index) >= last, "time runs backwards at event {index}");
        last = block.ts(index);
        let symbol = block.header(index).symbol().index();
        let event = block.get(index);
        if let EventRef::Book { snapshot, bids, asks, .. } = event {
            assert_eq!(snapshot, !std::mem::replace(&mut seen[symbol], true));
            books[symbol].apply(snapshot, bids, asks);
            let (bid, ask) = books[symbol].best();
            assert!(bid < ask, "crossed at event {index}");
        }
        assert!(seen[symbol], "an event before the snapshot");
        each(symbol, event, &books[symbol]);
    }
}

#[test]
fn invariant_1_a_seed_gives_the_same_market_everywhere() {
    let block = run(&SimConfig::default(), 60);
    // Changes only when the model does, which a CHANGELOG entry must then say:
    // runs of one version cannot be repeated with another.
    assert_eq!(hash(&block), "bc5e4ac8a30e328359a632d7dce301ec9a37485c71029d7f4812b3631c57464e");
    let other = SimConfig { seed: 2, ..SimConfig::default() };
    assert_ne!(hash(&run(&other, 60)), hash(&block));
}

#[test]
fn the_default_symbols_have_the_decimals_that_their_spread_needs() {
    let config = SimConfig::default();
    let decimals: Vec<_> = config
        .symbols
        .iter()
        .map(|s| (s.instrument().symbol.as_str(), s.instrument().price_decimals, s.start_price()))
        .collect();
    let expected = [
        ("XRP/USD", 5, Price(235_000)),
        ("BTC/USD", 1, Price(1_045_000)),
        ("ETH/USD", 2, Price(390_000)),
        ("XRP/BTC", 10, Price(225_000)),
    ];
    assert_eq!(decimals, expected);
}

fn any_config() -> impl Strategy<Value = SimConfig> {
    (any::<u64>(), 1_u32..100_000, 1_u32..30, 1_u32..60, 0_u32..20_000, 0_u32..10_000_000).prop_map(
        |(seed, spread_ppm, levels, rate_hz, trades_per_minute, volatility_ppm)| SimConfig {
            seed,
            spread_ppm,
            levels,
            rate_hz,
            trades_per_minute,
            volatility_ppm,
            ..SimConfig::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn invariant_1_one_big_step_is_many_small_ones(
        config in any_config(),
        steps in prop::collection::vec(1_i64..2_000_000_000, 1..40),
    ) {
        let mut simulator = Simulator::new(config.clone()).expect("a valid configuration");
        let mut small = InputBlock::new(simulator.instruments(), 1);
        let mut until = config.start;
        for step in steps {
            until = Ts(until.0 + step);
            while !simulator.advance(until, &mut small) {}
        }
        let mut simulator = Simulator::new(config).expect("a valid configuration");
        let mut big = InputBlock::new(simulator.instruments(), 1);
        while !simulator.advance(until, &mut big) {}
        prop_assert_eq!(small.exact_words(), big.exact_words());
    }

    #[test]
    fn invariant_3_no_book_is_ever_crossed(config in any_config()) {
        let block = run(&config, 20);
        follow(&block, config.symbols.len(), |_, _, _| {});
    }
}

#[test]
fn invariant_2_a_symbol_does_not_depend_on_its_neighbors() {
    let all = SimConfig::default();
    let alone = SimConfig { symbols: vec![all.symbols[1].clone()], ..SimConfig::default() };
    let content = |block: &InputBlock, wanted: &str, config: &SimConfig| {
        let mut words = Vec::new();
        let mut rest = block.exact_words();
        for index in 0..block.len() {
            let header = block.header(index);
            let (event, tail) = rest.split_at(header.words().expect("a known kind"));
            rest = tail;
            let name = &config.symbols[header.symbol().index()].instrument().symbol;
            if name == wanted {
                words.push(header.with_symbol(SymbolId(0)).0);
                words.extend_from_slice(&event[2..]);
            }
        }
        words
    };
    let (together, single) = (run(&all, 30), run(&alone, 30));
    let (together, single) =
        (content(&together, "BTC/USD", &all), content(&single, "BTC/USD", &alone));
    let common = together.len().min(single.len());
    assert!(common > 1_000);
    assert_eq!(together[..common], single[..common]);
}

#[test]
fn high_004_what_is_skipped_and_what_follows_are_the_whole() {
    let config = SimConfig::default();
    let whole = run(&config, 3);
    let until = at(&config, 3);
    // Anywhere, also in the middle of a step.
    for taken in (0..whole.len()).step_by(7).chain([whole.len() - 1, whole.len()]) {
        let mut simulator = Simulator::new(config.clone()).expect("valid");
        let mut rest = InputBlock::new(simulator.instruments(), 1 + taken as u64);
        simulator.skip(taken as u64, &mut rest);
        simulator.advance(until, &mut rest);
        let mut again = InputBlock::default();
        whole.copy_part(taken..whole.len(), &mut again);
        assert_eq!(rest.first_seq(), again.first_seq());
        assert_eq!(rest.exact_words(), again.exact_words(), "behind {taken} events");
    }
}

#[test]
fn one_call_is_bounded() {
    let config = SimConfig::default();
    let mut simulator = Simulator::new(config.clone()).expect("a valid configuration");
    let mut block = InputBlock::new(simulator.instruments(), 1);
    assert!(!simulator.advance(at(&config, 1_000_000), &mut block), "there is more");
    assert!(block.len() >= ADVANCE_EVENTS_MAX && block.len() < ADVANCE_EVENTS_MAX + 100);
    assert!(simulator.next_ts() > block.ts(block.len() - 1));
    let before = block.len();
    assert!(simulator.advance(config.start, &mut block), "that time has passed");
    assert_eq!(block.len(), before);
}

#[test]
fn trades_print_at_the_best_prices_and_take_what_they_trade() {
    let config = SimConfig::default();
    let block = run(&config, 120);
    let mut trades = 0;
    let mut last_id = vec![0; config.symbols.len()];
    let mut swept = vec![None; config.symbols.len()];
    follow(&block, config.symbols.len(), |symbol, event, book| match event {
        EventRef::Trade(trade) => {
            trades += 1;
            assert_eq!(trade.id, last_id[symbol] + 1, "ids are contiguous");
            last_id[symbol] = trade.id;
            // A sweep, or several trades of one step, go on behind the best
            // price that the last book event showed.
            let (bid, ask) = book.best();
            match trade.side {
                Side::Buy => assert!(trade.price >= ask),
                Side::Sell => assert!(trade.price <= bid),
            }
            if swept[symbol].is_none() {
                let side = if trade.side == Side::Buy { &book.asks } else { &book.bids };
                assert!(trade.price == ask || trade.price == bid);
                assert!(trade.qty <= side[&trade.price], "more than stood there");
            }
            swept[symbol] = Some(trade.price);
        }
        _ => swept[symbol] = None,
    });
    assert!(trades > 1_000, "{trades} trades");
}

#[test]
fn the_market_is_lively_enough_to_trade_in() {
    let config = SimConfig::default();
    let block = run(&config, 600);
    let count = config.symbols.len();
    let mut trades = vec![0_i64; count];
    let mut spreads: Vec<Vec<i64>> = vec![Vec::new(); count];
    let mut imbalances: Vec<Vec<i64>> = vec![Vec::new(); count];
    follow(&block, count, |symbol, event, book| match event {
        EventRef::Trade(_) => trades[symbol] += 1,
        _ => {
            let (bid, ask) = book.best();
            spreads[symbol].push((ask.0 - bid.0) * 2_000_000 / (ask.0 + bid.0));
            imbalances[symbol].push(book.imbalance());
        }
    });
    for symbol in 0..count {
        let name = &config.symbols[symbol].instrument().symbol;
        // Three a second asked for.
        assert!((1_200..2_600).contains(&trades[symbol]), "{name}: {} trades", trades[symbol]);
        let mean = |values: &[i64]| values.iter().sum::<i64>() / values.len() as i64;
        let share = |values: &[i64], wanted: fn(i64) -> bool| {
            values.iter().filter(|&&v| wanted(v)).count() * 100 / values.len()
        };
        let (spread, lean) = (&spreads[symbol], &imbalances[symbol]);
        assert!((900..1_150).contains(&mean(spread)), "{name}: spread {} ppm", mean(spread));
        let wide = share(spread, |v| v >= 1_000);
        assert!((30..75).contains(&wide), "{name}: {wide} % of spreads are wide");
        for (what, part) in
            [("bids", share(lean, |v| v > 200)), ("asks", share(lean, |v| v < -200))]
        {
            assert!((10..60).contains(&part), "{name}: {what} lead {part} % of the time");
        }
    }
}

#[test]
fn prices_move_as_much_as_configured() {
    let config = SimConfig::default();
    let block = run(&config, 4 * 3_600);
    let count = config.symbols.len();
    let mut mids: Vec<Vec<f64>> = vec![Vec::new(); count];
    let mut latest = vec![0.0; count];
    let mut next = at(&config, 300);
    let mut books: Vec<Book> = (0..count).map(|_| Book::default()).collect();
    for index in 0..block.len() {
        if block.ts(index) >= next {
            mids.iter_mut().zip(&latest).for_each(|(symbol, &mid)| symbol.push(mid));
            next = Ts(next.0 + 300 * Ts::SECOND);
        }
        if let EventRef::Book { symbol, snapshot, bids, asks } = block.get(index) {
            books[symbol.index()].apply(snapshot, bids, asks);
            let (bid, ask) = books[symbol.index()].best();
            latest[symbol.index()] = (bid.0 + ask.0) as f64;
        }
    }
    let returns: Vec<f64> = mids
        .iter()
        .flat_map(|symbol| symbol.windows(2).map(|pair| (pair[1] / pair[0]).ln()))
        .collect();
    let variance = returns.iter().map(|r| r * r).sum::<f64>() / returns.len() as f64;
    let yearly = (variance * 31_557_600.0 / 300.0).sqrt();
    assert!((0.65..0.95).contains(&yearly), "{yearly} instead of 0.8 a year");
}

#[test]
fn add_13_history_ends_at_the_start_price_and_intervals_agree() {
    let mut config = SimConfig::default();
    // In the middle of an interval, as real starts are.
    config.start = at(&config, 12_345);
    let mut simulator = Simulator::new(config.clone()).expect("a valid configuration");
    let block = simulator.warm_up(&[300, 60], 40);
    assert_eq!(block.len(), config.symbols.len() * 2 * 40);
    let mut last_close = Ts(0);
    let mut by_interval: BTreeMap<(u16, u32), Vec<crate::input::CandleInput>> = BTreeMap::new();
    for index in 0..block.len() {
        let EventRef::Candle(candle) = block.get(index) else { panic!("only candles") };
        let close_ts = Ts(candle.open_ts.0 + i64::from(candle.interval_s) * Ts::SECOND);
        assert!(
            close_ts >= last_close && close_ts <= config.start && block.ts(index) == config.start
        );
        last_close = close_ts;
        assert_eq!(candle.open_ts.0 % (i64::from(candle.interval_s) * Ts::SECOND), 0);
        assert!(candle.low <= candle.open.min(candle.close) && candle.low.0 > 0);
        assert!(candle.high >= candle.open.max(candle.close) && candle.volume.0 > 0);
        by_interval.entry((candle.symbol.0, candle.interval_s)).or_default().push(candle);
    }
    for (symbol, sim) in (0..).zip(&config.symbols) {
        let (minutes, fives) = (&by_interval[&(symbol, 60)], &by_interval[&(symbol, 300)]);
        assert_eq!(minutes.last().map(|c| c.close), Some(sim.start_price()));
        let end = |five: &crate::input::CandleInput| five.open_ts.0 + 300 * Ts::SECOND;
        let mut compared = 0;
        for five in fives {
            let inside: Vec<_> = minutes
                .iter()
                .filter(|m| m.open_ts >= five.open_ts && m.open_ts.0 < end(five))
                .collect();
            if inside.len() == 5 {
                compared += 1;
                assert_eq!((five.open, five.close), (inside[0].open, inside[4].close));
                assert_eq!(Some(five.high), inside.iter().map(|m| m.high).max());
                assert_eq!(Some(five.low), inside.iter().map(|m| m.low).min());
                assert_eq!(five.volume.0, inside.iter().map(|m| m.volume.0).sum::<i64>());
            }
        }
        assert!(compared >= 6, "{compared} candles compared");
    }
    let mut events = InputBlock::new(simulator.instruments(), 1);
    simulator.advance(at(&config, 5), &mut events);
    let again = simulator.warm_up(&[300, 60], 40);
    assert_eq!(again.exact_words(), block.exact_words());
}

#[test]
fn a_history_is_bounded_and_never_begins_before_1970() {
    let config = SimConfig { start: Ts(600 * Ts::SECOND), ..SimConfig::default() };
    let simulator = Simulator::new(config).expect("a valid configuration");
    assert_eq!(simulator.warm_up(&[60], u32::MAX).len(), 4 * 10);
    assert!(simulator.warm_up(&[], 10).is_empty());
    assert!(simulator.warm_up(&[0], 10).is_empty());
    assert!(simulator.warm_up(&[60], 0).is_empty());
    let default = Simulator::new(SimConfig::default()).expect("a valid configuration");
    let days = default.warm_up(&[60, 86_400], 1_000);
    assert_eq!(days.len(), 4 * (1_000 + 69));
}

#[test]
fn settings_out_of_range_are_named() {
    let cases = [
        (SimConfig { symbols: Vec::new(), ..SimConfig::default() }, "symbols 0"),
        (SimConfig { spread_ppm: 0, ..SimConfig::default() }, "spread_ppm 0"),
        (SimConfig { levels: 0, ..SimConfig::default() }, "levels 0"),
        (SimConfig { rate_hz: 0, ..SimConfig::default() }, "rate_hz 0"),
        (SimConfig { start: Ts(-1), ..SimConfig::default() }, "before 1970"),
    ];
    for (config, expected) in cases {
        let error = Simulator::new(config).map(|_| ()).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    }
    let twice = SimSymbol::new("A/B", "5").expect("a symbol");
    let config = SimConfig { symbols: vec![twice.clone(), twice], ..SimConfig::default() };
    assert!(Simulator::new(config).is_err());
    for price in ["0", "-1", "x", "1e30", "1e-30", ""] {
        assert!(SimSymbol::new("A/B", price).is_err(), "{price}");
    }
}

#[test]
fn a_market_without_volatility_and_trades_stands_still() {
    let config = SimConfig { volatility_ppm: 0, trades_per_minute: 0, ..SimConfig::default() };
    let block = run(&config, 60);
    follow(&block, config.symbols.len(), |symbol, event, book| {
        assert!(!matches!(event, EventRef::Trade(_)));
        let (bid, ask) = book.best();
        let drift = (bid.0 + ask.0) / 2 - config.symbols[symbol].start_price().0;
        assert!(drift.abs() * 1_000 <= config.symbols[symbol].start_price().0);
    });
}
