//! Each indicator against a straightforward computation over the whole series.

use super::*;
use crate::types::{Side, Symbol, Trade};

const TOLERANCE: f64 = 1e-9;
const PERIODS: [usize; 6] = [1, 2, 5, 14, 20, 50];
const SEEDS: [u64; 4] = [1, 0x5eed, 0x00c0_ffee, u64::MAX];

/// SplitMix64 by Sebastiano Vigna: enough for test series, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Prices as they come: steps of a cent, a jump now and then, and stretches
/// where nothing moves.
fn prices(seed: u64, count: usize) -> Vec<f64> {
    let mut random = Random(seed);
    let mut cents = 10_450_000_i64;
    let mut flat = 0;
    (0..count)
        .map(|_| {
            if flat > 0 {
                flat -= 1;
            } else {
                match random.below(40) {
                    0 => cents = (cents + random.below(9_000_000) as i64 - 4_500_000).max(100),
                    1 => flat = random.below(80),
                    _ => cents = (cents + random.below(401) as i64 - 200).max(100),
                }
            }
            cents as f64 / 100.0
        })
        .collect()
}

/// Quantities with eight decimals, from dust to a fortune, sometimes 0.
fn quantities(seed: u64, count: usize) -> Vec<f64> {
    let mut random = Random(seed ^ 0xa5a5);
    let limits = [10, 100_000_000, 100_000_000_000_000];
    (0..count)
        .map(|_| {
            let limit = limits[random.below(3) as usize];
            random.below(limit) as f64 / 1e8
        })
        .collect()
}

/// Both sides agree on whether there is a value, and on the value, relative to
/// the size of the inputs.
#[track_caller]
fn close(got: Option<f64>, expect: Option<f64>, scale: f64, what: &str) {
    match (got, expect) {
        (None, None) => {}
        (Some(got), Some(expect)) => {
            let error = (got - expect).abs() / scale.max(1.0);
            assert!(error <= TOLERANCE, "{what}: {got} is not {expect}");
        }
        _ => panic!("{what}: {got:?} is not {expect:?}"),
    }
}

/// Runs a check over every seed and period, on random series and on a flat one.
fn everywhere(check: impl Fn(&[f64], &[f64], usize, &str)) {
    for period in PERIODS {
        for seed in SEEDS {
            let count = 600;
            let what = format!("seed {seed}, period {period}");
            check(&prices(seed, count), &quantities(seed, count), period, &what);
        }
        check(&[104.5; 200], &[2.5; 200], period, &format!("flat, period {period}"));
    }
}

fn tail(series: &[f64], period: usize) -> Option<&[f64]> {
    series.len().checked_sub(period).map(|start| &series[start..])
}

fn mean(series: &[f64]) -> f64 {
    series.iter().sum::<f64>() / series.len() as f64
}

fn last(series: &[f64]) -> f64 {
    series.last().copied().unwrap_or_default()
}

/// Seeds with the mean of the first `period` and smooths by `weight` from there.
fn smoothed(series: &[f64], period: usize, weight: f64) -> Option<f64> {
    let (seed, rest) = series.split_at_checked(period)?;
    Some(rest.iter().fold(mean(seed), |value, input| value * (1.0 - weight) + input * weight))
}

#[test]
fn low_007_sma_agrees_with_the_mean_of_the_window() {
    everywhere(|prices, _, period, what| {
        let mut sma = Sma::new(period);
        for n in 1..=prices.len() {
            let got = sma.update(prices[n - 1]);
            close(got, tail(&prices[..n], period).map(mean), prices[n - 1], what);
        }
    });
}

#[test]
fn low_007_ema_agrees_with_the_fold_from_the_seed() {
    everywhere(|prices, _, period, what| {
        let mut ema = Ema::new(period);
        for n in 1..=prices.len() {
            let expect = smoothed(&prices[..n], period, 2.0 / (period as f64 + 1.0));
            close(ema.update(prices[n - 1]), expect, prices[n - 1], what);
        }
    });
}

fn reference_rsi(prices: &[f64], period: usize) -> Option<f64> {
    let changes: Vec<f64> = prices.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let gains: Vec<f64> = changes.iter().map(|change| change.max(0.0)).collect();
    let losses: Vec<f64> = changes.iter().map(|change| (-change).max(0.0)).collect();
    let weight = 1.0 / period as f64;
    let gain = smoothed(&gains, period, weight)?;
    let loss = smoothed(&losses, period, weight)?;
    Some(if gain + loss == 0.0 { 50.0 } else { 100.0 * gain / (gain + loss) })
}

#[test]
fn low_007_rsi_agrees_with_wilder() {
    everywhere(|prices, _, period, what| {
        let mut rsi = Rsi::new(period);
        for n in 1..=prices.len() {
            close(rsi.update(prices[n - 1]), reference_rsi(&prices[..n], period), 1.0, what);
        }
    });
}

/// How many random series: `PROPTEST_CASES` sets it, as for the host's properties.
fn cases() -> u64 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(256)
}

#[test]
fn a18_rsi_and_vwap_of_any_series_and_length_equal_their_definitions() {
    for seed in 1..=cases() {
        let mut random = Random(seed);
        let period = 1 + random.below(30) as usize;
        // Just too short for a value, just long enough, and longer.
        let count = period + random.below(4) as usize + random.below(2) as usize * 40;
        let (prices, quantities) = (prices(seed, count), quantities(seed, count));
        let (mut rsi, mut vwap) = (Rsi::new(period), RollingVwap::new(period));
        let what = format!("seed {seed}, period {period}, length {count}");
        for n in 1..=count {
            let got = rsi.update(prices[n - 1]);
            assert_eq!(got.is_some(), n > period, "{what}: a first value at period + 1");
            close(got, reference_rsi(&prices[..n], period), 1.0, &what);
            let expect = reference_vwap(&prices[..n], &quantities[..n], period);
            close(vwap.update(prices[n - 1], quantities[n - 1]), expect, last(&prices), &what);
        }
    }
}

#[test]
fn a18_control_another_period_is_another_value() {
    let prices: Vec<f64> = (0..40).map(|n| f64::from(n * n % 17)).collect();
    assert_ne!(reference_rsi(&prices, 14), reference_rsi(&prices, 13));
    assert_eq!(reference_rsi(&prices[..14], 14), None);
}

#[test]
fn low_007_rsi_of_flat_series_is_50() {
    let mut rsi = Rsi::new(14);
    for n in 1..=100 {
        let expect = (n > 14).then_some(50.0);
        assert_eq!(rsi.update(2.35), expect, "after {n} equal prices");
    }
}

#[test]
fn low_007_rsi_has_its_first_value_at_period_plus_one() {
    // Wilder's own worked example is of this shape: fourteen changes, one value.
    let prices = [
        44.34, 44.09, 44.15, 43.61, 44.33, 44.83, 45.10, 45.42, 45.84, 46.08, 45.89, 46.03, 45.61,
        46.28, 46.28,
    ];
    let mut rsi = Rsi::new(14);
    for (n, price) in (1..).zip(&prices[..14]) {
        assert_eq!(rsi.update(*price), None, "after {n} prices");
    }
    // Gains sum to 3.34 and losses to 1.40 over the fourteen changes.
    close(rsi.update(prices[14]), Some(100.0 * 3.34 / 4.74), 1.0, "first value");
}

#[test]
fn low_007_rsi_of_a_rising_series_is_100_and_of_a_falling_one_0() {
    let (mut rising, mut falling) = (Rsi::new(3), Rsi::new(3));
    for step in 0..10 {
        rising.update(100.0 + f64::from(step));
        falling.update(100.0 - f64::from(step));
    }
    assert_eq!((rising.value(), falling.value()), (Some(100.0), Some(0.0)));
}

#[test]
fn low_007_bollinger_agrees_with_the_two_pass_deviation() {
    everywhere(|prices, _, period, what| {
        let mut bollinger = Bollinger::new(period, 2.0);
        for n in 1..=prices.len() {
            let got = bollinger.update(prices[n - 1]);
            let expect = tail(&prices[..n], period).map(|window| {
                let middle = mean(window);
                let squares: f64 = window.iter().map(|x| (x - middle) * (x - middle)).sum();
                (middle, 2.0 * (squares / period as f64).sqrt())
            });
            let scale = prices[n - 1];
            close(got.map(|bands| bands.middle), expect.map(|e| e.0), scale, what);
            close(got.map(|bands| bands.lower), expect.map(|e| e.0 - e.1), scale, what);
            close(got.map(|bands| bands.upper), expect.map(|e| e.0 + e.1), scale, what);
        }
    });
}

#[test]
fn low_007_bollinger_of_a_flat_stretch_has_no_width() {
    let mut bollinger = Bollinger::new(20, 2.0);
    for price in prices(7, 300) {
        bollinger.update(price);
    }
    for _ in 0..20 {
        bollinger.update(0.000_022_5);
    }
    let bands = bollinger.value().map(|bands| bands.upper - bands.lower);
    assert!(bands.is_some_and(|width| width < TOLERANCE), "{bands:?}");
}

#[test]
fn low_007_atr_agrees_with_wilder() {
    everywhere(|prices, quantities, period, what| {
        let candles: Vec<(f64, f64, f64)> = prices
            .iter()
            .zip(quantities)
            .map(|(close, width)| (close + width % 3.0, close - width % 2.0, *close))
            .collect();
        let mut atr = Atr::new(period);
        let mut ranges = Vec::new();
        for (n, (high, low, close_price)) in candles.iter().enumerate() {
            let before = n.checked_sub(1).map_or(*close_price, |before| candles[before].2);
            let top = if n == 0 { *high } else { high.max(before) };
            let bottom = if n == 0 { *low } else { low.min(before) };
            ranges.push(top - bottom);
            let expect = smoothed(&ranges, period, 1.0 / period as f64);
            close(atr.update(*high, *low, *close_price), expect, *close_price, what);
        }
    });
}

fn reference_vwap(prices: &[f64], quantities: &[f64], period: usize) -> Option<f64> {
    let start = prices.len().saturating_sub(period);
    let volume: f64 = quantities[start..].iter().sum();
    let pairs = prices[start..].iter().zip(&quantities[start..]);
    let cost: f64 = pairs.map(|(price, quantity)| price * quantity).sum();
    (volume > 0.0).then(|| cost / volume)
}

#[test]
fn low_007_vwap_agrees_with_the_sums_of_the_window() {
    everywhere(|prices, quantities, period, what| {
        let mut vwap = RollingVwap::new(period);
        for n in 1..=prices.len() {
            let expect = reference_vwap(&prices[..n], &quantities[..n], period);
            close(vwap.update(prices[n - 1], quantities[n - 1]), expect, last(prices), what);
        }
    });
}

#[test]
fn low_007_trade_imbalance_agrees_with_the_sums_of_the_window() {
    everywhere(|prices, quantities, period, what| {
        let trades: Vec<Trade> = prices
            .iter()
            .zip(quantities)
            .map(|(price, quantity)| Trade {
                symbol: Symbol(0),
                ts_ns: 0,
                price: *price,
                quantity: *quantity,
                side: if price.to_bits() & 8 == 0 { Side::Buy } else { Side::Sell },
                id: 0,
            })
            .collect();
        let mut imbalance = TradeImbalance::new(period);
        for n in 1..=trades.len() {
            let window = &trades[n.saturating_sub(period)..n];
            let volume = |side: Side| -> f64 {
                window.iter().filter(|trade| trade.side == side).map(|trade| trade.quantity).sum()
            };
            let (bought, sold) = (volume(Side::Buy), volume(Side::Sell));
            let expect = (bought + sold > 0.0).then(|| (bought - sold) / (bought + sold));
            close(imbalance.update(&trades[n - 1]), expect, 1.0, what);
            assert_eq!(imbalance.is_full(), n >= period, "{what}");
        }
    });
}

#[test]
fn low_007_trade_imbalance_meets_a_threshold_exactly() {
    // 0.65 against 0.35 is 0.3 exactly, however often it has been added up.
    let mut imbalance = TradeImbalance::new(2);
    for _ in 0..100_000 {
        imbalance.push(Side::Buy, 0.65);
        imbalance.push(Side::Sell, 0.35);
    }
    assert_eq!(imbalance.value(), Some(0.3));
}

#[test]
fn low_007_one_value_that_is_not_finite_is_passed_over() {
    let (mut sma, mut ema, mut rsi) = (Sma::new(2), Ema::new(2), Rsi::new(2));
    let (mut bollinger, mut atr, mut vwap) =
        (Bollinger::new(2, 2.0), Atr::new(2), RollingVwap::new(2));
    let mut imbalance = TradeImbalance::new(2);
    for price in [1.0, f64::NAN, 2.0, f64::INFINITY, 4.0] {
        sma.update(price);
        ema.update(price);
        rsi.update(price);
        bollinger.update(price);
        atr.update(price, price, price);
        vwap.update(price, 1.0);
        imbalance.push(Side::Buy, price);
    }
    assert_eq!((sma.value(), vwap.value(), rsi.value()), (Some(3.0), Some(3.0), Some(100.0)));
    assert!(ema.value().is_some_and(f64::is_finite) && atr.value().is_some_and(f64::is_finite));
    assert_eq!(bollinger.value().map(|bands| bands.middle), Some(3.0));
    assert_eq!(imbalance.value(), Some(1.0));
}
