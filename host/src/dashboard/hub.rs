//! What the server's threads read. One thread writes it, the desk's; the engine's
//! never touches it.
//!
//! What changes all the time is published as a whole: readers hold one immutable
//! [`State`] and can never see half of another. What must not be lost goes into
//! bounded rings under running numbers, so that a reader notices what it missed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use super::model::{
    Book, Event, Feed, Fill, Level, Order, Plots, Print, Run, Strategy, StrategyDetail, Symbol,
    Total, Trade,
};
use super::ring::Ring;

/// Events kept.
const EVENTS_MAX: usize = 10_000;
/// Log lines, fills, trades and orders kept of each strategy.
const LANE_MAX: usize = 1_000;

/// A point of an equity curve: milliseconds, equity, drawdown in percent.
pub type Point = [f64; 3];

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
    /// each strategy's equity over time, shared from state to state while it is
    /// the same
    pub curves: Vec<Arc<Vec<Point>>>,
    /// what each strategy published over time, shared likewise
    pub plots: Vec<Arc<Plots>>,
    /// holding equal amounts of all symbols instead, once there are prices
    pub benchmark: Option<Strategy>,
    /// its equity over time
    pub benchmark_curve: Arc<Vec<Point>>,
    /// the feed
    pub feed: Feed,
    /// texts that many readers want, made by the first
    pub texts: Texts,
}

/// What a state gives as text.
#[derive(Debug, Default)]
pub struct Texts([OnceLock<Arc<str>>; 4]);

impl State {
    /// The strategy of that name.
    #[must_use]
    pub fn lane(&self, name: &str) -> Option<&StrategyDetail> {
        self.lanes.iter().find(|lane| lane.row.name == name)
    }

    /// The equity over time of the row of that name.
    #[must_use]
    pub fn curve(&self, name: &str) -> Option<&Arc<Vec<Point>>> {
        if self.benchmark.as_ref().is_some_and(|row| row.name == name) {
            return Some(&self.benchmark_curve);
        }
        self.curves.get(self.lanes.iter().position(|lane| lane.row.name == name)?)
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
            totals: &'a [Total],
            strategies: Vec<&'a Strategy>,
        }
        self.text(1, || {
            let rows = self.lanes.iter().map(|lane| &lane.row);
            let strategies = rows.chain(&self.benchmark).collect();
            json(&All { seq: self.run.seq, totals: &self.run.totals, strategies })
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
        Arc::clone(self.texts.0[which].get_or_init(|| make().into()))
    }
}

/// JSON of what is only text, numbers and lists, which cannot fail.
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
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
    pub orders: BTreeMap<u64, Arc<Order>>,
    /// log lines
    pub logs: Ring<Event>,
    /// stops and targets of its positions, at each change
    pub levels: Ring<Level>,
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
            levels: Ring::new(LANE_MAX),
        }
    }

    /// Notes what became of an order.
    pub fn order(&mut self, order: Order) {
        self.orders.insert(order.order, Arc::new(order));
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

/// Where the server's threads find what the desk's left for them.
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

    /// The past. A reader copies references out of it and lets it go before it
    /// makes text of them.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
