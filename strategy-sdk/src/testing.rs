//! Runs a strategy natively, in `cargo test`.
//!
//! The harness encodes what it is fed into the words of the contract and gives
//! them to the same [`Runner`] that the sandbox uses, so a test exercises the
//! strategy as it will run. Market orders fill at once and whole, at the last
//! price; other kinds are accepted and wait until the test says what becomes of
//! them. Stops and targets close the position at the price that reaches them.
//!
//! It is no matcher: how a book fills an order is the host's affair.

mod desk;

use desk::Desk;
pub use desk::SentOrder;

use crate::description::Description;
use crate::runner::Runner;
use crate::strategy::Strategy;
use crate::types::{
    Account, Candle, Instrument, Level, LogLevel, MarketStatus, OrderId, OrderUpdate, Position,
    RejectReason, Side, StartInfo, Symbol, Trade, Value,
};
use crate::words;

/// Where a harness's clock starts: 2025-01-01T00:00:00Z.
pub const START_TS_NS: u64 = 1_735_689_600_000_000_000;

/// Most rounds of orders answering order updates; more is a strategy that never
/// comes to rest.
const ROUNDS_MAX: usize = 1_000;

/// What a run of the harness begins with.
#[derive(Clone, Debug)]
pub struct Setup {
    info: StartInfo,
    fee_rate: f64,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// 10,000 USD, no fees, and the symbols that the strategy names itself, or
    /// `BTC/USD` where it names none.
    pub fn new() -> Self {
        let account = Account {
            currency: "USD".to_owned(),
            cash: 10_000.0,
            equity: 10_000.0,
            positions: Vec::new(),
        };
        let info = StartInfo {
            run: "test".to_owned(),
            seed: 1,
            ts_ns: START_TS_NS,
            instruments: Vec::new(),
            parameters: Vec::new(),
            account,
        };
        Self { info, fee_rate: 0.0 }
    }

    /// Sets the starting cash.
    #[must_use]
    pub fn cash(mut self, cash: f64) -> Self {
        self.info.account.cash = cash;
        self.info.account.equity = cash;
        self
    }

    /// Sets the fee as a fraction of each fill's cost.
    #[must_use]
    pub fn fee_rate(mut self, fee_rate: f64) -> Self {
        self.fee_rate = fee_rate;
        self
    }

    /// Adds a symbol such as `XRP/USD`, with increments of 1e-8, without
    /// minimums, and with shorts allowed.
    #[must_use]
    pub fn symbol(self, symbol: &str) -> Self {
        let (base, quote) = symbol.split_once('/').unwrap_or((symbol, "USD"));
        self.instrument(Instrument {
            symbol: symbol.to_owned(),
            base: base.to_owned(),
            quote: quote.to_owned(),
            price_increment: 1e-8,
            quantity_increment: 1e-8,
            quantity_min: 0.0,
            cost_min: 0.0,
            short_allowed: true,
        })
    }

    /// Adds an instrument.
    #[must_use]
    pub fn instrument(mut self, instrument: Instrument) -> Self {
        self.info.instruments.push(instrument);
        self
    }

    /// Sets a parameter.
    #[must_use]
    pub fn param(mut self, name: &str, value: Value) -> Self {
        self.info.parameters.push((name.to_owned(), value));
        self
    }

    /// Starts the strategy.
    ///
    /// # Errors
    /// As [`Runner::start`].
    pub fn start<S: Strategy>(mut self) -> Result<Harness<S>, String> {
        let mut runner = Runner::<S>::new();
        if self.info.instruments.is_empty() {
            let mut named = runner.describe().symbols.clone();
            if named.is_empty() {
                named.push("BTC/USD".to_owned());
            }
            self = named.iter().fold(self, |setup, symbol| setup.symbol(symbol));
        }
        let mut desk = Desk::new(&self.info, self.fee_rate);
        runner.start(&mut desk, self.info.clone())?;
        Ok(Harness { runner, desk, words: Vec::new(), ts_ns: START_TS_NS, trades: 0 })
    }
}

/// A strategy, a market to feed it, and a desk that takes its orders.
pub struct Harness<S> {
    runner: Runner<S>,
    desk: Desk,
    words: Vec<u64>,
    ts_ns: u64,
    trades: u64,
}

impl<S: Strategy> Harness<S> {
    /// Starts the strategy as [`Setup::new`] describes.
    ///
    /// # Errors
    /// As [`Runner::start`].
    pub fn start() -> Result<Self, String> {
        Setup::new().start()
    }

    /// What the strategy says about itself.
    pub fn description(&self) -> &Description {
        self.runner.describe()
    }

    /// The runner, for saving and restoring.
    pub fn runner(&mut self) -> &mut Runner<S> {
        &mut self.runner
    }

    /// Moves the clock on.
    pub fn advance_ns(&mut self, ns: u64) {
        self.ts_ns += ns;
    }

    /// The clock.
    pub fn ts_ns(&self) -> u64 {
        self.ts_ns
    }

    /// Feeds a trade of the first symbol.
    #[track_caller]
    pub fn trade(&mut self, price: f64, quantity: f64, side: Side) {
        self.trade_of(Symbol(0), price, quantity, side);
    }

    /// Feeds a trade.
    #[track_caller]
    pub fn trade_of(&mut self, symbol: Symbol, price: f64, quantity: f64, side: Side) {
        self.trades += 1;
        let trade = Trade { symbol, ts_ns: self.ts_ns, price, quantity, side, id: self.trades };
        words::push_trade(&mut self.words, &trade);
        self.desk.mark(symbol, price);
        self.run();
    }

    /// Feeds a whole book of the first symbol, as (price, quantity) pairs.
    #[track_caller]
    pub fn book(&mut self, bids: &[(f64, f64)], asks: &[(f64, f64)]) {
        self.book_of(Symbol(0), true, bids, asks);
    }

    /// Feeds a whole book, best levels first, or changed levels. A whole book
    /// also sets the last price to its mid.
    #[track_caller]
    pub fn book_of(
        &mut self,
        symbol: Symbol,
        snapshot: bool,
        bids: &[(f64, f64)],
        asks: &[(f64, f64)],
    ) {
        let levels = |pairs: &[(f64, f64)]| -> Vec<Level> {
            pairs.iter().map(|&(price, quantity)| Level { price, quantity }).collect()
        };
        let (bids, asks) = (levels(bids), levels(asks));
        words::push_book(&mut self.words, symbol, self.ts_ns, snapshot, &bids, &asks);
        if let (true, Some(bid), Some(ask)) = (snapshot, bids.first(), asks.first()) {
            self.desk.mark(symbol, (bid.price + ask.price) / 2.0);
        }
        self.run();
    }

    /// Feeds a closed candle of the first symbol that opened, stayed and closed
    /// at a price; the clock moves to its end.
    #[track_caller]
    pub fn candle(&mut self, interval_s: u32, close: f64, volume: f64) {
        self.candle_with(interval_s, close, volume, |_| {});
    }

    /// Feeds such a candle after changing it.
    #[track_caller]
    pub fn candle_with(
        &mut self,
        interval_s: u32,
        close: f64,
        volume: f64,
        change: impl FnOnce(&mut Candle),
    ) {
        let mut candle = Candle {
            symbol: Symbol(0),
            interval_s,
            open_ts_ns: self.ts_ns,
            open: close,
            high: close,
            low: close,
            close,
            volume,
            vwap: close,
            warm_up: false,
            empty: volume == 0.0,
            partial: false,
        };
        change(&mut candle);
        self.ts_ns = self.ts_ns.max(candle.end_ts_ns());
        words::push_candle(&mut self.words, self.ts_ns, &candle);
        self.desk.mark(candle.symbol, candle.close);
        self.run();
    }

    /// Feeds a timer.
    #[track_caller]
    pub fn timer(&mut self, interval_ms: u32) {
        words::push_timer(&mut self.words, self.ts_ns, interval_ms);
        self.run();
    }

    /// Feeds a change of a market's status.
    #[track_caller]
    pub fn status(&mut self, symbol: Symbol, status: MarketStatus) {
        words::push_status(&mut self.words, symbol, self.ts_ns, status);
        self.run();
    }

    /// Ends the run.
    #[track_caller]
    pub fn stop(&mut self) {
        self.expect("stop", |runner, desk| runner.stop(desk));
    }

    /// Every order sent so far, oldest first.
    pub fn orders(&self) -> &[SentOrder] {
        &self.desk.sent
    }

    /// The newest order.
    pub fn last_order(&self) -> Option<&SentOrder> {
        self.desk.sent.last()
    }

    /// Every update given to the strategy so far.
    pub fn updates(&self) -> &[OrderUpdate] {
        &self.desk.updates
    }

    /// Orders that the strategy asked to cancel.
    pub fn canceled(&self) -> &[OrderId] {
        &self.desk.canceled
    }

    /// The position in the first symbol.
    pub fn position(&self) -> Position {
        self.position_of(Symbol(0))
    }

    /// The position in a symbol.
    pub fn position_of(&self, symbol: Symbol) -> Position {
        self.desk.position(symbol)
    }

    /// Cash.
    pub fn cash(&self) -> f64 {
        self.desk.cash
    }

    /// Cash and positions at the last price.
    pub fn equity(&self) -> f64 {
        self.desk.equity()
    }

    /// The values reported under a name, oldest first.
    pub fn indicator(&self, name: &str) -> Vec<f64> {
        let named = self.desk.indicators.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| *value).collect()
    }

    /// The log's lines, oldest first.
    pub fn logs(&self) -> &[(LogLevel, String)] {
        &self.desk.logs
    }

    /// Whether market orders fill at once, as they do at first. While they do
    /// not, orders wait for [`Harness::fill`] or [`Harness::reject`].
    pub fn fill_at_once(&mut self, at_once: bool) {
        self.desk.fill_at_once = at_once;
    }

    /// Refuses every order from now on for this reason, or takes them again.
    pub fn reject_all(&mut self, reason: Option<RejectReason>) {
        self.desk.reject_all = reason;
    }

    /// Fills what is left of a waiting order at a price.
    #[track_caller]
    pub fn fill(&mut self, order: OrderId, price: f64) {
        self.fill_part(order, f64::INFINITY, price);
    }

    /// Fills a part of a waiting order, in base units, at a price.
    #[track_caller]
    pub fn fill_part(&mut self, order: OrderId, quantity: f64, price: f64) {
        self.desk.fill(order, quantity, price, self.ts_ns);
        self.settle();
    }

    /// Refuses a waiting order.
    #[track_caller]
    pub fn reject(&mut self, order: OrderId, reason: RejectReason) {
        self.desk.reject(order, reason, self.ts_ns);
        self.settle();
    }

    /// Gives the waiting words to the strategy, event by event as it consumes
    /// them, and answers what it asks for.
    #[track_caller]
    fn run(&mut self) {
        self.desk.close_reached(self.ts_ns);
        self.settle();
        let words = std::mem::take(&mut self.words);
        self.expect("handle", |runner, desk| runner.handle(desk, &words).map(drop));
        self.settle();
    }

    #[track_caller]
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let updates = self.desk.answer(self.ts_ns);
            if updates.is_empty() {
                return;
            }
            for update in updates {
                self.expect("on_order", |runner, desk| runner.on_order(desk, &update));
            }
        }
        panic!("orders and their updates never come to rest");
    }

    #[track_caller]
    fn expect(
        &mut self,
        what: &str,
        call: impl FnOnce(&mut Runner<S>, &mut Desk) -> Result<(), String>,
    ) {
        if let Err(error) = call(&mut self.runner, &mut self.desk) {
            panic!("{what}: {error}");
        }
    }
}
