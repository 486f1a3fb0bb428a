//! What the simulated market did before it started, as candles.

use super::config::{SimConfig, SimSymbol};
use super::market::{deviation_ppb, scaled};
use super::random::Random;
use crate::domain::{Price, Qty, SymbolId, Ts, decimal};
use crate::input::CandleInput;

/// Candles of the common divisor that are made at most for a symbol: seventy
/// days of minutes.
const BASE_MAX: i64 = 100_000;

/// A candle of the shortest length.
#[derive(Clone, Copy)]
struct Base {
    open: i64,
    high: i64,
    low: i64,
    close: i64,
    volume: i64,
}

/// The candles of all symbols and intervals, in the order in which they closed.
pub(super) fn candles(config: &SimConfig, intervals_s: &[u32], count: u32) -> Vec<CandleInput> {
    let mut intervals: Vec<i64> =
        intervals_s.iter().filter(|&&i| i > 0).map(|&i| i64::from(i)).collect();
    intervals.sort_unstable();
    intervals.dedup();
    let Some(base) = intervals.iter().copied().reduce(common_divisor) else { return Vec::new() };
    let start = config.start.0 / Ts::SECOND;
    // How many whole candles of an interval there are before the start.
    let wanted =
        |interval: i64| i64::from(count).min(BASE_MAX * base / interval).min(start / interval);
    let oldest = intervals.iter().map(|i| start / i * i - wanted(*i) * i).min();
    let end = start / base * base;
    let needed = (end - oldest.unwrap_or(end)) / base;
    let mut candles = Vec::new();
    for (number, symbol) in (0_u16..).zip(&config.symbols) {
        let bases = walk_back(config, symbol, base, needed);
        for &interval in &intervals {
            let last = start / interval * interval;
            for open in (1..=wanted(interval)).rev().map(|n| last - n * interval) {
                let first = bases.len() as i64 - (end - open) / base;
                let range = first as usize..(first + interval / base) as usize;
                candles.push(aggregate(&bases[range], SymbolId(number), interval, open, symbol));
            }
        }
    }
    candles.sort_by_key(|c| (c.open_ts.0 + i64::from(c.interval_s) * Ts::SECOND, c.symbol.0));
    candles
}

fn common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// `count` candles of `base` seconds, oldest first, the last one closing at the
/// start price. Walking backwards is what makes it end there.
fn walk_back(config: &SimConfig, symbol: &SimSymbol, base: i64, count: i64) -> Vec<Base> {
    let mut random = Random::new(config.seed, &symbol.instrument().symbol, "history");
    let deviation = deviation_ppb(config.volatility_ppm, base as u64 * Ts::SECOND as u64);
    let start = symbol.start_price().0;
    let trades = (i64::from(config.trades_per_minute) * base / 60).max(1);
    let mut close = start;
    let mut bases = Vec::with_capacity(count.max(0) as usize);
    for _ in 0..count {
        let moved = close - scaled(close, deviation, random.normal());
        let open = moved.clamp(start / 16, start.saturating_mul(16));
        let beyond = |factor: i64| scaled(close, deviation, factor.abs()) / 2;
        let (up, down) = (beyond(random.normal()), beyond(random.normal()));
        let mean = i128::from(symbol.typical_qty().0) * i128::from(trades);
        let volume = mean * i128::from(512 + random.below(1_024)) / 1_024;
        bases.push(Base {
            open,
            high: open.max(close) + up,
            low: (open.min(close) - down).max(1),
            close,
            // A hundredth of the range, so that a day's sum fits.
            volume: volume.min(i128::from(i64::MAX / BASE_MAX)) as i64,
        });
        close = open;
    }
    bases.reverse();
    bases
}

/// The candle that these make together.
fn aggregate(
    bases: &[Base],
    symbol: SymbolId,
    interval: i64,
    open_s: i64,
    sim: &SimSymbol,
) -> CandleInput {
    let price = |value: Option<i64>| Price(value.unwrap_or(sim.start_price().0));
    let volume: i64 = bases.iter().map(|b| b.volume).sum();
    // A candle's typical price stands for its trades.
    let turnover: i128 =
        bases.iter().map(|b| i128::from(b.high + b.low + b.close) / 3 * i128::from(b.volume)).sum();
    let vwap = (turnover / i128::from(volume.max(1))) as i64;
    CandleInput {
        symbol,
        interval_s: interval as u32,
        open_ts: Ts(open_s * Ts::SECOND),
        open: price(bases.first().map(|b| b.open)),
        high: price(bases.iter().map(|b| b.high).max()),
        low: price(bases.iter().map(|b| b.low).min()),
        close: price(bases.last().map(|b| b.close)),
        volume: Qty(volume),
        vwap: decimal::to_f64(vwap, sim.instrument().price_decimals),
    }
}
