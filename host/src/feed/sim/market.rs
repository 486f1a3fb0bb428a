//! One symbol's market, step by step.

use super::config::{SimConfig, SimSymbol};
use super::random::{ONE, Random};
use crate::domain::{Price, Qty, Side, SymbolId, Ts};
use crate::input::{InputBlock, Trade};
use crate::venue::depth::{Level, ascending, descending, differences};

/// Seconds of a Julian year.
const YEAR_S: u64 = 31_557_600;
/// How far flow leans outside of bursts, permille.
const FLOW_MAX: i64 = 700;
/// How far it leans in a burst, permille.
const FLOW_BURST: i64 = 850;
/// Mean time between bursts, seconds.
const BURST_EVERY_S: u64 = 16;
/// How long a burst is at least, and at most twice, seconds.
const BURST_LENGTH_S: u64 = 3;
/// Parts of a step's standard deviation: by chance, by a flow that leans fully,
/// and by one common trade. Flow persists, so its part adds up over seconds; the
/// three together give the configured volatility within a tenth over minutes.
const CHANCE_PERCENT: i64 = 75;
const DRIFT_PERCENT: i64 = 8;
const IMPACT_PERCENT: i64 = 12;
/// Book quantities lean by this part of the flow.
const TILT_PERCENT: i64 = 75;
/// A level's mean quantity, in typical trades.
const LEVEL_TRADES: i64 = 8;
/// Levels a side that get a new quantity in each step.
const REFRESHED: usize = 2;
/// Levels that one trade takes from at most.
const SWEEP_LEVELS: usize = 3;

/// A standard deviation of a return over `seconds`, in units of 10^-9.
pub(super) fn deviation_ppb(volatility_ppm: u32, nanoseconds: u64) -> i64 {
    // The root of the fraction of a year, with six digits.
    let share = u128::from(nanoseconds) * 1_000_000_000_000 / (u128::from(YEAR_S) * 1_000_000_000);
    let root = (share as u64).isqrt();
    (u64::from(volatility_ppm) * root / 1_000) as i64
}

/// `price` × `ppb` × `factor` / (10^9 × [`ONE`]).
pub(super) fn scaled(price: i64, ppb: i64, factor: i64) -> i64 {
    let product = i128::from(price) * i128::from(ppb) * i128::from(factor);
    (product / (1_000_000_000 * i128::from(ONE))) as i64
}

pub(super) struct Market {
    symbol: SymbolId,
    random: Random,
    levels: usize,
    rate_hz: u64,
    typical: i64,
    /// trades in 1,000 steps, on average
    trades_per_mille: u64,
    deviation_ppb: i64,
    spread_mean_ppm: i64,
    /// current spread, millionths of the price, times [`ONE`]
    spread: i64,
    start: i64,
    /// fair price in units times [`ONE`]
    fair: i64,
    /// permille, positive when buyers are eager
    flow: i64,
    burst_left: u64,
    burst_sign: i64,
    bids: Vec<Level>,
    asks: Vec<Level>,
    shown: bool,
    trade_id: u64,
}

impl Market {
    pub(super) fn new(symbol: SymbolId, sim: &SimSymbol, config: &SimConfig) -> Self {
        let rate_hz = u64::from(config.rate_hz);
        let fair = sim.start_price().0 * ONE;
        Self {
            symbol,
            random: Random::new(config.seed, &sim.instrument().symbol, "market"),
            levels: config.levels as usize,
            rate_hz,
            typical: sim.typical_qty().0,
            trades_per_mille: u64::from(config.trades_per_minute) * 1_000 / (60 * rate_hz),
            deviation_ppb: deviation_ppb(config.volatility_ppm, Ts::SECOND as u64 / rate_hz),
            spread_mean_ppm: config.spread_ppm.into(),
            spread: i64::from(config.spread_ppm) * ONE,
            start: fair,
            fair,
            flow: 0,
            burst_left: 0,
            burst_sign: 1,
            bids: Vec::new(),
            asks: Vec::new(),
            shown: false,
            trade_id: 0,
        }
    }

    /// Appends what happens at `ts`.
    pub(super) fn step(&mut self, ts: Ts, out: &mut InputBlock) {
        if !self.shown {
            self.shown = true;
            self.requote();
            out.push_book(ts, ts, self.symbol, true, &self.bids, &self.asks);
            return;
        }
        let (bids, asks) = (self.bids.clone(), self.asks.clone());
        let lean = self.lean();
        for _ in 0..self.trade_count() {
            self.trade(lean, ts, out);
        }
        self.drift(lean);
        self.breathe();
        self.requote();
        self.refresh(lean);
        let bids = differences(&bids, &self.bids, descending);
        let asks = differences(&asks, &self.asks, ascending);
        if !(bids.is_empty() && asks.is_empty()) {
            out.push_book(ts, ts, self.symbol, false, &bids, &asks);
        }
    }

    /// Moves the order flow on; gives which way it leans now, permille.
    fn lean(&mut self) -> i64 {
        // A memory of two seconds, and a deviation of about 350.
        let memory = 2 * self.rate_hz as i64;
        let noise = self.random.normal() * 500 / (ONE * memory.max(1).isqrt());
        self.flow = (self.flow - self.flow / memory + noise).clamp(-FLOW_MAX, FLOW_MAX);
        if self.burst_left > 0 {
            self.burst_left -= 1;
        } else if self.random.below(BURST_EVERY_S * self.rate_hz) == 0 {
            let shortest = BURST_LENGTH_S * self.rate_hz;
            self.burst_left = shortest + self.random.below(shortest);
            // Bursts rather go on with what the flow already does.
            let with_flow = self.random.chance(700);
            self.burst_sign = if (self.flow >= 0) == with_flow { 1 } else { -1 };
        }
        if self.burst_left > 0 { self.burst_sign * FLOW_BURST } else { self.flow }
    }

    /// How many trades this step has. Bursts, a fifth of the time, have four
    /// times as many as the rest, which gives the configured mean.
    fn trade_count(&mut self) -> u64 {
        let factor = if self.burst_left > 0 { 20 } else { 5 };
        let mean = self.trades_per_mille * factor / 8;
        mean / 1_000 + u64::from(self.random.chance(mean % 1_000))
    }

    /// One taker: prints at the best prices and takes what it trades.
    fn trade(&mut self, lean: i64, ts: Ts, out: &mut InputBlock) {
        let buys = self.random.below(2_000) < (1_000 + lean) as u64;
        let mut wanted = self.size();
        // What the price gives way by, for a common trade.
        let give = scaled(self.fair, self.deviation_ppb, ONE * IMPACT_PERCENT / 100);
        let weight = (wanted / self.typical.max(1)).clamp(1, 8);
        self.fair += if buys { give * weight } else { -give * weight };
        let (side, book) =
            if buys { (Side::Buy, &mut self.asks) } else { (Side::Sell, &mut self.bids) };
        for _ in 0..SWEEP_LEVELS {
            // The last level stays: a book without a side has no price.
            let Some(&(price, available)) = book.first().filter(|_| book.len() > 1) else { return };
            let qty = Qty(wanted.min(available.0));
            self.trade_id += 1;
            let trade = Trade { symbol: self.symbol, side, price, qty, id: self.trade_id };
            out.push_trade(ts, ts, &trade);
            wanted -= qty.0;
            if wanted > 0 {
                book.remove(0);
            } else {
                book[0].1 = Qty((available.0 - qty.0).max(1));
                return;
            }
        }
    }

    /// A size with a long tail: around a typical trade, doubled with a chance of
    /// a quarter up to four times.
    fn size(&mut self) -> i64 {
        let spread = 128 + self.random.below(1_024) as i64;
        let doublings = (self.random.bits().trailing_zeros() / 2).min(4);
        (self.typical * spread / 512).max(1) << doublings
    }

    /// Moves the fair price by chance and by the flow.
    fn drift(&mut self, lean: i64) {
        let chance = self.random.normal() * CHANCE_PERCENT / 100;
        let factor = chance + lean * ONE * DRIFT_PERCENT / 100_000;
        let moved = self.fair + scaled(self.fair, self.deviation_ppb, factor);
        // Keeps every number in range however long it runs.
        self.fair = moved.clamp(self.start / 16, self.start * 16);
    }

    /// Lets the spread breathe: back to its mean within sixteen steps, with a
    /// deviation of about a fifth.
    fn breathe(&mut self) {
        let mean = self.spread_mean_ppm * ONE;
        let noise = self.random.normal() * self.spread_mean_ppm / 16;
        let moved = self.spread + (mean - self.spread) / 16 + noise;
        self.spread = moved.clamp(mean * 2 / 5, mean * 5 / 2);
    }

    /// Moves the best prices to where they should be and fills up the levels
    /// behind them. Levels stand on a grid, so that most survive a small move.
    fn requote(&mut self) {
        let half = scaled(self.fair, self.spread, 1_000).max(1) / 2;
        let bid = ((self.fair - half) / ONE).max(2);
        let ask = (self.fair + half + ONE - 1) / ONE;
        let ask = ask.max(bid + 1);
        let mean = scaled(self.fair, self.spread_mean_ppm * ONE, 1_000) / ONE;
        let (tick, grid) = ((mean / 10).max(1), (mean / 4).max(1));
        let stays = |levels: &[Level], target: i64| {
            let best = levels.first().map(|level| level.0.0)?;
            ((best - target).abs() < tick).then_some(best)
        };
        let mut best =
            (stays(&self.bids, bid).unwrap_or(bid), stays(&self.asks, ask).unwrap_or(ask));
        if best.0 >= best.1 {
            best = (bid, ask);
        }
        let below = (0..).map(|n| ((best.0 - 1).div_euclid(grid) - n) * grid);
        let above = (0..).map(|n| (best.1.div_euclid(grid) + 1 + n) * grid);
        let bids: Vec<i64> = std::iter::once(best.0)
            .chain(below.take_while(|&price| price > 0))
            .take(self.levels)
            .collect();
        let asks: Vec<i64> = std::iter::once(best.1).chain(above).take(self.levels).collect();
        let lean = if self.burst_left > 0 { self.burst_sign * FLOW_BURST } else { self.flow };
        self.bids = self.place(&self.bids.clone(), &bids, lean);
        self.asks = self.place(&self.asks.clone(), &asks, -lean);
    }

    fn place(&mut self, old: &[Level], prices: &[i64], lean: i64) -> Vec<Level> {
        let mut levels = Vec::with_capacity(prices.len());
        for (depth, &price) in prices.iter().enumerate() {
            let known = old.iter().find(|level| level.0.0 == price).map(|level| level.1);
            let qty = known.unwrap_or_else(|| self.level_qty(depth, lean));
            levels.push((Price(price), qty));
        }
        levels
    }

    /// A level's quantity: more on the side that the flow supports, more behind
    /// the best.
    fn level_qty(&mut self, depth: usize, lean: i64) -> Qty {
        let chance = 256 + self.random.below(1_536) as i64;
        let behind = 10 + depth.min(20) as i64;
        let tilt = 1_000 + lean * TILT_PERCENT / 100;
        let qty = i128::from(self.typical * LEVEL_TRADES) * i128::from(chance * behind * tilt);
        Qty(((qty / (1_024 * 10 * 1_000)) as i64).max(1))
    }

    /// Gives some levels a new quantity.
    fn refresh(&mut self, lean: i64) {
        for _ in 0..REFRESHED {
            let depth = self.random.below(self.bids.len() as u64) as usize;
            self.bids[depth].1 = self.level_qty(depth, lean);
            let depth = self.random.below(self.asks.len() as u64) as usize;
            self.asks[depth].1 = self.level_qty(depth, -lean);
        }
    }
}
