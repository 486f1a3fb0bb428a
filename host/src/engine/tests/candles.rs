//! Candles as the engine delivers them, and whole snapshots.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::support::*;
use crate::domain::{Price, Qty, Side, SymbolId, Ts};
use crate::engine::EngineConfig;
use crate::input::{CandleInput, InputBlock, Trade};
use crate::strategy::Channel;
use crate::words;

/// A candle as a strategy saw it: open second, open, high, low, close, volume.
type Seen = (u64, f64, f64, f64, f64, f64);

fn candles_seen(block: &InputBlock, batch: usize) -> Vec<Seen> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let copy = Arc::clone(&seen);
    let strategy = Scripted::new(&[Channel::Candles(60)], move |event, _| {
        assert_eq!(event.header.kind(), words::CANDLE);
        if event.header.flags() & words::EMPTY == 0 {
            let value = |i: usize| f64::from_bits(event.payload[i]);
            let open = event.payload[1] / 1_000_000_000;
            copy.lock().unwrap().push((open, value(2), value(3), value(4), value(5), value(6)));
        }
    });
    let config = EngineConfig { batch, ..free() };
    run_with(&config, strategy, "100", block);
    let seen = seen.lock().unwrap();
    seen.clone()
}

/// The candles of trades `(second, cents, hundredths)`, from the definition.
fn recomputed(trades: &[(i64, i64, i64)]) -> Vec<Seen> {
    let mut minutes: Vec<i64> = trades.iter().map(|t| t.0 / 60).collect();
    minutes.dedup();
    minutes.pop(); // the last one never closes
    let candle = |minute: i64| {
        let inside: Vec<_> = trades.iter().filter(|t| t.0 / 60 == minute).collect();
        let price = |units: i64| units as f64 / 100.0;
        let high = inside.iter().map(|t| t.1).max().unwrap();
        let low = inside.iter().map(|t| t.1).min().unwrap();
        let volume: i64 = inside.iter().map(|t| t.2).sum();
        (
            minute as u64 * 60,
            price(inside[0].1),
            price(high),
            price(low),
            price(inside[inside.len() - 1].1),
            volume as f64 / 100.0,
        )
    };
    minutes.into_iter().map(candle).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn med_007_a_candle_equals_the_one_recomputed_from_its_trades(
        steps in prop::collection::vec((0_i64..90, 1_i64..20_000, 1_i64..500), 2..120),
        batch in 1_usize..40,
    ) {
        let mut second = 1_000_000;
        let trades: Vec<_> = steps.into_iter().map(|(step, price, qty)| {
            second += step;
            (second, price, qty)
        }).collect();
        let mut block = InputBlock::new(&instruments(), 1);
        for &(second, price, qty) in &trades {
            let ts = Ts(second * Ts::SECOND);
            let trade = Trade { symbol: SymbolId(0), side: Side::Sell, price: Price(price), qty: Qty(qty), id: 0 };
            block.push_trade(ts, ts, &trade);
        }
        prop_assert_eq!(candles_seen(&block, batch), recomputed(&trades));
    }
}

#[test]
fn med_001_equal_content_has_an_equal_hash_and_a_replay_gives_it_again() {
    let block = trades(&[10_000, 10_100, 9_900]);
    let snapshot = || {
        let buy = market(crate::domain::Action::Buy, crate::strategy::Size::Base(1.0));
        let mut engine = engine(&free(), vec![(sends(vec![buy]), "1000"), (sends(vec![]), "50")]);
        engine.step(&block).unwrap();
        engine.snapshot()
    };
    let (first, second) = (snapshot(), snapshot());
    assert_eq!(first, second);
    assert_eq!(first.sha256(), second.sha256());
    let mut other = first.clone();
    other.lanes[0].cash.push('0');
    assert_ne!(other.sha256(), first.sha256());
    assert_eq!(first.totals, [("USD".to_owned(), "1049.00000000".to_owned())]);
    // The encoding is text and integers only, so it is the same everywhere.
    assert_eq!(first.sha256(), "ca24c020da623c2d8d4c634e845c69891f5fec1049722d0be39dd0900f59669e",);
}

#[test]
fn x_async_readers_get_one_value_made_at_one_moment() {
    let block = trades(&[10_000, 10_100]);
    let buy = market(crate::domain::Action::Buy, crate::strategy::Size::Base(1.0));
    let mut engine = engine(&free(), vec![(sends(vec![buy]), "1000")]);
    engine.step(&block).unwrap();
    let before = engine.snapshot();
    let mut later = trades(&[20_000, 20_000]);
    let words = later.exact_words().to_vec();
    later.reset(3);
    later.extend_exact(&words, &[Ts::SECOND, 2 * Ts::SECOND]).unwrap();
    engine.step(&later).unwrap();
    assert_eq!((before.seq, engine.snapshot().seq), (3, 5));
    let equity = before.lanes[0].equity.clone();
    assert_eq!(equity.as_deref(), Some("1001.00000000"), "a snapshot does not change");
}

#[test]
fn low_002_a_step_without_inputs_does_nothing() {
    let mut engine = engine(&free(), vec![(sends(vec![]), "1000")]);
    engine.step(&trades(&[10_000])).unwrap();
    let (snapshot, calls) = (engine.snapshot(), engine.reports()[0].usage.calls);
    let mut empty = trades(&[]);
    empty.reset(2);
    for _ in 0..100 {
        engine.step(&empty).unwrap();
    }
    assert_eq!(engine.snapshot(), snapshot);
    assert_eq!(engine.reports()[0].usage.calls, calls);
    assert_eq!(engine.drain().count(), 0);
}

/// A venue's clock may be ahead of ours. One that is years ahead would end every
/// candle there will be.
#[test]
fn high_005_a_trade_from_the_far_future_does_not_stop_the_candles() {
    let far = Ts(7_200_000_000 * Ts::SECOND);
    for (ahead, last) in [(30 * Ts::SECOND, 16), (far.0 - 990 * Ts::SECOND, 16)] {
        let mut block = InputBlock::new(&instruments(), 1);
        for step in 0..20_i64 {
            let ts = Ts((960 + step * 6) * Ts::SECOND);
            let venue = Ts(ts.0 + if step == 5 { ahead } else { 0 });
            let trade = Trade {
                symbol: SymbolId(0),
                side: Side::Sell,
                price: Price(10_000 + step),
                qty: Qty(1),
                id: 0,
            };
            block.push_trade(ts, venue, &trade);
        }
        block.push_timer(Ts(1_085 * Ts::SECOND));
        let seen = candles_seen(&block, 7);
        let volume: f64 = seen.iter().map(|candle| candle.5).sum();
        assert_eq!(seen.first().map(|candle| candle.0), Some(960), "{seen:?}");
        assert_eq!(seen.last().map(|candle| candle.0), Some((last + 1) * 60), "{seen:?}");
        assert!((volume - 0.2).abs() < 1e-9, "every trade counts once: {seen:?}");
        for batch in [1, 3, 1_024] {
            assert_eq!(candles_seen(&block, batch), seen);
        }
    }
}

/// The history of a venue arrives at one moment, long after most of it; the
/// intervals without any are filled behind it, not in place of it.
#[test]
fn add_13_history_at_one_moment_is_told_whole_and_goes_on_without_a_gap() {
    let start = Ts(1_000 * 60 * Ts::SECOND);
    let mut block = InputBlock::new(&instruments(), 1);
    block.push_timer(start);
    for minute in 900..995_i64 {
        let price = Price(10_000 + minute);
        block.push_candle(
            start,
            &CandleInput {
                symbol: SymbolId(0),
                interval_s: 60,
                open_ts: Ts(minute * 60 * Ts::SECOND),
                open: price,
                high: price,
                low: price,
                close: price,
                volume: Qty(5),
                vwap: 100.0,
            },
        );
    }
    block.push_timer(Ts(start.0 + 10 * Ts::SECOND));
    for batch in [1, 7, 1_024] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let copy = Arc::clone(&seen);
        let strategy = Scripted::new(&[Channel::Candles(60)], move |event, _| {
            let minute = event.payload[1] / 60_000_000_000;
            let close = (f64::from_bits(event.payload[5]) * 100.0).round() as i64;
            copy.lock().unwrap().push((minute as i64, close, event.header.flags()));
        });
        run_with(&EngineConfig { batch, ..free() }, strategy, "100", &block);
        let told = (900..995).map(|minute| (minute, 10_000 + minute, words::WARM_UP));
        // Nobody saw them: the start is behind them.
        let unseen = words::EMPTY | words::PARTIAL;
        let filled = (995..1_000).map(|minute| (minute, 10_994, unseen));
        assert_eq!(*seen.lock().unwrap(), told.chain(filled).collect::<Vec<_>>(), "{batch}");
    }
}
