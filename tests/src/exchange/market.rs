//! The true market: books, trades and candles of real pairs, from a seed.

use std::collections::{BTreeMap, VecDeque};

use super::book::View;
use super::random::Random;

/// A pair as the venue lists it.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// name, as `BASE/QUOTE`
    pub symbol: &'static str,
    /// decimals of a price
    pub price_decimals: u8,
    /// decimals of a quantity
    pub qty_decimals: u8,
    /// where its price begins, in units
    pub price: i64,
    /// what a level holds about, in units
    pub qty: i64,
    /// smallest order, in units
    pub qty_min: i64,
}

const fn pair(
    symbol: &'static str,
    (price_decimals, qty_decimals): (u8, u8),
    price: i64,
    qty: i64,
    qty_min: i64,
) -> Pair {
    Pair { symbol, price_decimals, qty_decimals, price, qty, qty_min }
}

/// Pairs with the precisions that the venue gives them.
pub const PAIRS: [Pair; 8] = [
    pair("BTC/USD", (1, 8), 1_112_345, 25_000_000, 5_000),
    pair("ETH/USD", (2, 8), 401_234, 400_000_000, 200_000),
    pair("SOL/USD", (2, 8), 18_721, 5_000_000_000, 2_000_000),
    pair("XRP/USD", (5, 8), 235_012, 300_000_000_000, 165_000_000),
    pair("DOGE/USD", (7, 8), 2_145_678, 2_000_000_000_000, 1_300_000_000),
    pair("SHIB/USD", (9, 5), 12_345, 5_000_000_000_000, 16_000_000_000),
    pair("ETH/BTC", (5, 8), 3_612, 300_000_000, 200_000),
    pair("XRP/BTC", (8, 8), 2_113, 300_000_000_000, 165_000_000),
];

/// A public print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    /// number, contiguous within the pair
    pub id: u64,
    /// whether the taker bought
    pub buy: bool,
    /// price in units
    pub price: i64,
    /// quantity in units
    pub qty: i64,
    /// when, in nanoseconds since 1970
    pub ts: i64,
}

/// Trades of one minute.
#[derive(Clone, Copy, Debug)]
pub struct Minute {
    /// first price
    pub open: i64,
    /// highest price
    pub high: i64,
    /// lowest price
    pub low: i64,
    /// last price
    pub close: i64,
    /// sum of quantities
    pub volume: i64,
    /// sum of price times quantity
    pub turnover: i128,
    /// number of trades
    pub trades: u64,
}

/// How the market is made.
#[derive(Clone, Copy, Debug)]
pub struct MarketConfig {
    /// where all randomness comes from
    pub seed: u64,
    /// how many of [`PAIRS`] it has, from the first on
    pub pairs: usize,
    /// changes of each pair's market in a second
    pub rate_hz: u32,
    /// levels a side that it keeps about
    pub levels: usize,
    /// trades of each pair that are remembered
    pub trades_kept: usize,
    /// its first moment, in nanoseconds since 1970
    pub start: i64,
}

impl Default for MarketConfig {
    fn default() -> Self {
        // 2026-08-24T22:00:00Z.
        let start = 1_787_608_800 * SECOND;
        Self { seed: 1, pairs: PAIRS.len(), rate_hz: 4, levels: 40, trades_kept: 100_000, start }
    }
}

pub(super) const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
/// Minutes of history before the start.
const HISTORY: i64 = 120;
/// Minutes that are remembered.
const MINUTES_MAX: usize = 800;
/// A market that nobody watched goes on from here, at most so long ago.
const CATCH_UP: i64 = 10 * SECOND;

/// All pairs.
pub struct Market {
    /// in the order of [`PAIRS`]
    pub books: Vec<TrueBook>,
}

/// One pair's truth.
pub struct TrueBook {
    /// what it is
    pub pair: Pair,
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    trades: VecDeque<Print>,
    next_id: u64,
    minutes: BTreeMap<i64, Minute>,
    random: Random,
    next_step: i64,
    last_step: i64,
    config: MarketConfig,
}

impl Market {
    /// A market at its start.
    #[must_use]
    pub fn new(config: MarketConfig) -> Self {
        Self {
            books: PAIRS
                .iter()
                .take(config.pairs)
                .map(|pair| TrueBook::new(*pair, config))
                .collect(),
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, now: i64) {
        for book in &mut self.books {
            book.next_step = book.next_step.max(now - CATCH_UP);
            while book.next_step <= now {
                book.last_step = book.next_step;
                book.step(book.next_step);
                let mean = SECOND / i64::from(book.config.rate_hz.max(1));
                book.next_step += book.random.between(mean / 2, mean * 3 / 2);
            }
        }
    }

    /// Brings the next change of each pair forward to the last moment.
    pub fn hurry(&mut self) {
        for book in &mut self.books {
            book.next_step = book.last_step;
        }
    }

    /// The place of a pair by its name.
    #[must_use]
    pub fn find(&self, symbol: &str) -> Option<usize> {
        self.books.iter().position(|book| book.pair.symbol == symbol)
    }
}

impl TrueBook {
    fn new(pair: Pair, config: MarketConfig) -> Self {
        let mut book = Self {
            pair,
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            trades: VecDeque::new(),
            next_id: 1,
            minutes: BTreeMap::new(),
            random: Random::new(config.seed, pair.symbol),
            next_step: config.start,
            last_step: config.start,
            config,
        };
        book.next_id = 1_000_000 + book.random.below(100_000_000);
        book.refill();
        book.past();
        for number in 0..60 {
            book.trade(config.start - (60 - number) * SECOND / 7);
        }
        book
    }

    /// Candles before the start, which lead to the price that the market begins at;
    /// minutes without a trade are missing.
    fn past(&mut self) {
        let first = self.config.start / MINUTE - HISTORY;
        let mut close = self.pair.price;
        for minute in (first..self.config.start / MINUTE).rev() {
            if self.random.chance(150) {
                continue;
            }
            let range = (close / 2_000).max(1);
            let open = (close + self.random.between(-range, range)).max(1);
            let wick = (range / 4).max(1);
            let low = (open.min(close) - self.random.between(0, wick)).max(1);
            let high = open.max(close) + self.random.between(0, wick);
            let trades = self.random.between(3, 300).unsigned_abs();
            let volume = self.random.between(1, self.pair.qty) * 10;
            let turnover = i128::from(close) * i128::from(volume);
            let row = Minute { open, high, low, close, volume, turnover, trades };
            self.minutes.insert(minute, row);
            close = open;
        }
    }

    /// The book to a depth.
    #[must_use]
    pub fn view(&self, depth: usize) -> View {
        View {
            bids: self.bids.iter().rev().take(depth).map(|(p, q)| (*p, *q)).collect(),
            asks: self.asks.iter().take(depth).map(|(p, q)| (*p, *q)).collect(),
        }
    }

    /// Whether a level of that price stands on the side of the bids or asks.
    #[must_use]
    pub fn has(&self, bid: bool, price: i64) -> bool {
        if bid { self.bids.contains_key(&price) } else { self.asks.contains_key(&price) }
    }

    /// The trade of that number, while it is remembered.
    #[must_use]
    pub fn print(&self, id: u64) -> Option<Print> {
        let first = self.trades.front()?.id;
        self.trades.get(usize::try_from(id.checked_sub(first)?).ok()?).copied()
    }

    /// Trades from number `id` on, as far as they are remembered.
    pub fn prints_from(&self, id: u64) -> impl Iterator<Item = Print> + '_ {
        self.trades.iter().copied().skip_while(move |print| print.id < id)
    }

    /// The number that the next trade gets.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// A minute's trades, numbered from 1970, while it is remembered.
    #[must_use]
    pub fn minute(&self, minute: i64) -> Option<Minute> {
        self.minutes.get(&minute).copied()
    }

    /// Candles of so many minutes, oldest first: minute of their start and sums.
    #[must_use]
    pub fn candles(&self, minutes: i64) -> Vec<(i64, Minute)> {
        let mut rows: Vec<(i64, Minute)> = Vec::new();
        for (&minute, row) in &self.minutes {
            let begin = minute - minute.rem_euclid(minutes);
            match rows.last_mut() {
                Some((start, sum)) if *start == begin => sum.add(row),
                _ => rows.push((begin, *row)),
            }
        }
        rows
    }

    fn step(&mut self, now: i64) {
        for _ in 0..self.random.between(1, 4) {
            match self.random.below(10) {
                0..=3 => self.change(),
                4 | 5 => self.remove(),
                6 | 7 => self.improve(),
                _ => self.trade(now),
            }
        }
        self.refill();
    }

    /// A number near 0: changes come near the best prices.
    fn place(&mut self, count: usize) -> usize {
        let reach = 1 + self.random.below(count.max(1) as u64);
        self.random.below(reach) as usize
    }

    fn qty(&mut self) -> i64 {
        self.random.between(self.pair.qty / 50 + 1, self.pair.qty)
    }

    /// The price of a random level of a random side.
    fn some_level(&mut self) -> Option<(bool, i64)> {
        let bid = self.random.chance(500);
        let count = if bid { self.bids.len() } else { self.asks.len() };
        let place = self.place(count);
        let price =
            if bid { self.bids.keys().rev().nth(place) } else { self.asks.keys().nth(place) };
        price.map(|price| (bid, *price))
    }

    fn side(&mut self, bid: bool) -> &mut BTreeMap<i64, i64> {
        if bid { &mut self.bids } else { &mut self.asks }
    }

    fn change(&mut self) {
        let qty = self.qty();
        if let Some((bid, price)) = self.some_level() {
            self.side(bid).insert(price, qty);
        }
    }

    fn remove(&mut self) {
        if let Some((bid, price)) = self.some_level()
            && self.side(bid).len() > 3
        {
            self.side(bid).remove(&price);
        }
    }

    /// A new level between the best prices, or just behind them.
    fn improve(&mut self) {
        let (Some(&best_bid), Some(&best_ask)) =
            (self.bids.keys().next_back(), self.asks.keys().next())
        else {
            return;
        };
        let (bid, qty) = (self.random.chance(500), self.qty());
        let gap = self.spacing();
        let price = if bid {
            self.random.between(best_bid - gap, best_ask - 1)
        } else {
            self.random.between(best_bid + 1, best_ask + gap)
        };
        if price > 0 {
            self.side(bid).insert(price, qty);
        }
    }

    /// A taker meets the best price.
    fn trade(&mut self, ts: i64) {
        let buy = self.random.chance(500);
        let part = self.random.between(1, 100);
        let best = if buy { self.asks.first_key_value() } else { self.bids.last_key_value() };
        let Some((&price, &available)) = best else { return };
        let all = self.random.chance(200) && self.side(!buy).len() > 3;
        let qty = if all { available } else { (available / 200 * part).max(1).min(available) };
        if qty == available && self.side(!buy).len() > 3 {
            self.side(!buy).remove(&price);
        } else if qty < available {
            self.side(!buy).insert(price, available - qty);
        }
        let print = Print { id: self.next_id, buy, price, qty, ts: ts - ts % 1_000 };
        self.next_id += 1;
        self.trades.push_back(print);
        while self.trades.len() > self.config.trades_kept.max(100) {
            self.trades.pop_front();
        }
        let turnover = i128::from(price) * i128::from(qty);
        let (open, high, low, close) = (price, price, price, price);
        let row = Minute { open, high, low, close, volume: qty, turnover, trades: 1 };
        let minute = ts.div_euclid(MINUTE);
        self.minutes.entry(minute).and_modify(|sum| sum.add(&row)).or_insert(row);
        while self.minutes.len() > MINUTES_MAX {
            self.minutes.pop_first();
        }
    }

    /// How far levels stand apart at most.
    fn spacing(&self) -> i64 {
        (self.pair.price / 20_000).max(2)
    }

    /// Keeps as many levels as configured, at the far end.
    fn refill(&mut self) {
        let (levels, gap) = (self.config.levels.max(4), self.spacing());
        for bid in [true, false] {
            while self.side(bid).len() > levels * 3 / 2 {
                if bid {
                    self.bids.pop_first()
                } else {
                    self.asks.pop_last()
                };
            }
            while self.side(bid).len() < levels {
                let (qty, step) = (self.qty(), self.random.between(1, gap));
                let last = if bid { self.bids.keys().next() } else { self.asks.keys().next_back() };
                let from = last.copied().unwrap_or(self.pair.price);
                let price = if bid { from - step } else { from + step };
                if price <= 0 {
                    break;
                }
                self.side(bid).insert(price, qty);
            }
        }
    }
}

impl Minute {
    fn add(&mut self, later: &Self) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.volume = self.volume.saturating_add(later.volume);
        self.turnover += later.turnover;
        self.trades += later.trades;
    }
}
