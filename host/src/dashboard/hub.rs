//! Between the engine's thread, which writes, and the server's, which read.
//!
//! What changes all the time is published as a whole: readers hold one immutable
//! [`State`] and can never see half of another. What must not be lost goes into
//! bounded rings under running numbers, so that a reader notices what it missed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use super::model::{Book, Event, Feed, Fill, Order, Print, Run, StrategyDetail, Symbol, Trade};

/// Events kept.
const EVENTS_MAX: usize = 10_000;
/// Log lines, fills, trades and orders kept of each strategy.
const LANE_MAX: usize = 1_000;
/// Points of an equity curve.
const POINTS_MAX: usize = 2_000;

/// The candles of one symbol and interval: opened at in seconds, open, high,
/// low, close, volume. The last one is not closed yet.
#[derive(Clone, Debug, Default)]
pub struct Candles {
    /// the symbol's place in the market
    pub symbol: usize,
    /// length in seconds
    pub interval_s: u32,
    /// closed ones, shared from state to state while none closes
    pub closed: Arc<Vec<[f64; 6]>>,
    /// the open one
    pub forming: Option<[f64; 6]>,
}

impl Candles {
    /// The newest `n`, the open one included.
    #[must_use]
    pub fn newest(&self, n: usize) -> Vec<[f64; 6]> {
        let closed = n.saturating_sub(usize::from(self.forming.is_some()));
        let from = self.closed.len().saturating_sub(closed);
        self.closed[from..].iter().copied().chain(self.forming).collect()
    }
}

/// Everything that is shown of one moment.
#[derive(Debug, Default)]
pub struct State {
    /// the run
    pub run: Run,
    /// every strategy, in the run's order
    pub lanes: Vec<StrategyDetail>,
    /// every symbol
    pub market: Vec<Symbol>,
    /// every book, in the same order
    pub books: Vec<Book>,
    /// the newest prints, in the same order
    pub tapes: Vec<Vec<Print>>,
    /// all candles
    pub candles: Vec<Candles>,
    /// the feed
    pub feed: Feed,
    /// texts that many readers want, made by the first
    pub(super) texts: [OnceLock<Arc<str>>; 4],
}

impl State {
    /// The strategy of that name.
    #[must_use]
    pub fn lane(&self, name: &str) -> Option<&StrategyDetail> {
        self.lanes.iter().find(|lane| lane.row.name == name)
    }

    /// The place of a symbol.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<usize> {
        self.market.iter().position(|symbol| symbol.symbol == name)
    }

    /// The run as JSON, as the topic `run` and `GET /run` give it.
    pub fn run_json(&self) -> Arc<str> {
        self.text(0, || json(&self.run))
    }

    /// The leaderboard as JSON.
    pub fn strategies_json(&self) -> Arc<str> {
        #[derive(Serialize)]
        struct All<'a> {
            seq: u64,
            strategies: Vec<&'a super::model::Strategy>,
        }
        self.text(1, || {
            let strategies = self.lanes.iter().map(|lane| &lane.row).collect();
            json(&All { seq: self.run.seq, strategies })
        })
    }

    /// The market as JSON.
    pub fn market_json(&self) -> Arc<str> {
        self.text(2, || json(&BTreeMap::from([("symbols", &self.market)])))
    }

    /// The feed as JSON.
    pub fn feed_json(&self) -> Arc<str> {
        self.text(3, || json(&self.feed))
    }

    fn text(&self, which: usize, make: impl FnOnce() -> String) -> Arc<str> {
        Arc::clone(self.texts[which].get_or_init(|| make().into()))
    }
}

/// JSON of what is only text, numbers and lists, which cannot fail.
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
}

/// The newest of something, each under a running number from 1.
#[derive(Debug)]
pub struct Ring<T> {
    items: VecDeque<Arc<T>>,
    limit: usize,
    next: u64,
}

impl<T> Ring<T> {
    /// An empty one.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { items: VecDeque::new(), limit, next: 1 }
    }

    /// The number that the next item gets.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Appends; the oldest makes room.
    pub fn push(&mut self, item: T) {
        if self.items.len() >= self.limit {
            self.items.pop_front();
        }
        self.items.push_back(Arc::new(item));
        self.next += 1;
    }

    /// Those after number `after`, at most `limit` of them and the oldest first,
    /// with the last one's number. None when some of them are gone.
    #[must_use]
    pub fn after(&self, after: u64, limit: usize) -> Option<(Vec<Arc<T>>, u64)> {
        let first = self.next - self.items.len() as u64;
        let skip = usize::try_from(after.saturating_add(1).checked_sub(first)?).ok()?;
        let items: Vec<Arc<T>> = self.items.iter().skip(skip).take(limit).cloned().collect();
        let last = after.min(self.next - 1) + items.len() as u64;
        Some((items, last))
    }

    /// The oldest `n` that are kept, with the last one's number.
    #[must_use]
    pub fn oldest(&self, n: usize) -> (Vec<Arc<T>>, u64) {
        let before = self.next - self.items.len() as u64 - 1;
        let items: Vec<Arc<T>> = self.items.iter().take(n).cloned().collect();
        let last = before + items.len() as u64;
        (items, last)
    }

    /// The newest `n`, oldest of them first, with the last one's number.
    #[must_use]
    pub fn newest(&self, n: usize) -> (Vec<Arc<T>>, u64) {
        let skip = self.items.len().saturating_sub(n);
        (self.items.iter().skip(skip).cloned().collect(), self.next - 1)
    }
}

/// An equity curve of bounded length: when it is full, every second point goes
/// and from then on half as many are taken.
#[derive(Debug)]
pub struct Curve {
    points: Vec<[f64; 3]>,
    every_ms: i64,
    next_ms: i64,
}

impl Default for Curve {
    fn default() -> Self {
        Self { points: Vec::new(), every_ms: 1_000, next_ms: i64::MIN }
    }
}

impl Curve {
    /// Takes a point when it is time: milliseconds, equity, drawdown in percent.
    #[allow(clippy::cast_precision_loss, reason = "milliseconds fit a double")]
    pub fn add(&mut self, ts_ms: i64, equity: f64, drawdown_pct: f64) {
        if ts_ms < self.next_ms {
            return;
        }
        self.points.push([ts_ms as f64, equity, drawdown_pct]);
        if self.points.len() > POINTS_MAX {
            let mut even = false;
            self.points.retain(|_| {
                even = !even;
                even
            });
            self.every_ms *= 2;
        }
        self.next_ms = ts_ms.saturating_add(self.every_ms);
    }

    /// The points after a time.
    #[must_use]
    pub fn after(&self, ts_ms: f64) -> &[[f64; 3]] {
        &self.points[self.points.partition_point(|point| point[0] <= ts_ms)..]
    }
}

/// What is kept of one strategy's past.
#[derive(Debug)]
pub struct LaneHistory {
    /// its name
    pub name: String,
    /// closed round trips
    pub trades: Ring<Trade>,
    /// fills
    pub fills: Ring<Fill>,
    /// orders by their number
    pub orders: BTreeMap<u64, Order>,
    /// log lines
    pub logs: Ring<Event>,
    /// equity over time
    pub equity: Curve,
}

impl LaneHistory {
    /// A strategy without a past.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self {
            name,
            trades: Ring::new(LANE_MAX),
            fills: Ring::new(LANE_MAX),
            orders: BTreeMap::new(),
            logs: Ring::new(LANE_MAX),
            equity: Curve::default(),
        }
    }

    /// Notes what became of an order.
    pub fn order(&mut self, order: Order) {
        self.orders.insert(order.order, order);
        if self.orders.len() > LANE_MAX {
            self.orders.pop_first();
        }
    }
}

/// What happened.
#[derive(Debug)]
pub struct History {
    /// everything, of all strategies
    pub events: Ring<Event>,
    /// by strategy, in the run's order
    pub lanes: Vec<LaneHistory>,
}

impl History {
    /// The past of the strategy of that name.
    #[must_use]
    pub fn lane(&self, name: &str) -> Option<&LaneHistory> {
        self.lanes.iter().find(|lane| lane.name == name)
    }
}

/// Where the engine's thread leaves what the server's take.
#[derive(Debug)]
pub struct Hub {
    state: watch::Sender<Arc<State>>,
    history: Mutex<History>,
}

impl Default for Hub {
    fn default() -> Self {
        let history = History { events: Ring::new(EVENTS_MAX), lanes: Vec::new() };
        Self { state: watch::Sender::new(Arc::default()), history: Mutex::new(history) }
    }
}

impl Hub {
    /// Publishes a state.
    pub fn publish(&self, state: State) {
        self.state.send_replace(Arc::new(state));
    }

    /// The newest state.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.borrow())
    }

    /// Tells of each new state.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Arc<State>> {
        self.state.subscribe()
    }

    /// The past; held as short as it takes to copy references out of it.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_tells_when_something_was_missed() {
        let mut ring = Ring::new(3);
        for number in 1..=5 {
            ring.push(number);
        }
        let items = |answer: Option<(Vec<Arc<i32>>, u64)>| {
            answer.map(|(items, last)| (items.iter().map(|i| **i).collect::<Vec<_>>(), last))
        };
        assert_eq!(items(ring.after(2, 10)), Some((vec![3, 4, 5], 5)));
        assert_eq!(items(ring.after(2, 2)), Some((vec![3, 4], 4)));
        assert_eq!(items(ring.after(5, 10)), Some((vec![], 5)));
        assert_eq!(items(ring.after(99, 10)), Some((vec![], 5)), "a number of another run");
        assert_eq!(items(ring.after(1, 10)), None, "number 2 is gone");
        assert_eq!(ring.newest(2).1, 5);
    }

    #[test]
    fn a_curve_is_bounded_and_keeps_its_start() {
        let mut curve = Curve::default();
        for second in 0..100_000 {
            curve.add(second * 1_000, 100.0, 0.0);
        }
        let points = curve.after(f64::NEG_INFINITY);
        assert!(points.len() <= POINTS_MAX, "{}", points.len());
        assert_eq!(points[0][0], 0.0);
        assert!(points.windows(2).all(|pair| pair[0][0] < pair[1][0]));
        assert_eq!(curve.after(1e15).len(), 0);
    }
}
