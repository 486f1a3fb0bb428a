//! What a strategy reads and asks while it is called.

use std::fmt;

use crate::account::{AccountView, OpenOrder, Requests};
use crate::book::Book;
use crate::description::FromValue;
use crate::host::Host;
use crate::market::{Market, RecentCandles, RecentTrades};
use crate::order::OrderBuilder;
use crate::types::{
    Account, Action, Candle, Instrument, Level, LogLevel, MarketStatus, Order, OrderId, Position,
    RejectReason, Size, Symbol, Trade, Value,
};

/// What the runner is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The start, or the restoring of a saved state.
    Start,
    /// A market event.
    Event,
    /// A candle from before the run.
    WarmUp,
    /// An order update.
    Order,
    /// The end.
    Stop,
}

/// Returned when history or account is asked for inside a market event, where
/// the host may already stand at the end of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAvailable;

impl fmt::Display for NotAvailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host answers this only at the start and on order updates")
    }
}

impl std::error::Error for NotAvailable {}

/// The run's fixed facts.
#[derive(Clone, Debug)]
pub(crate) struct RunFacts {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) parameters: Vec<(String, Value)>,
}

/// The market, the account and the host, as a strategy sees them during a call.
///
/// What it reads here comes from the events and updates that the strategy has
/// been given, never from the host's present, so that a replay in batches sees
/// exactly what a live run saw.
pub struct Context<'a> {
    pub(crate) facts: &'a RunFacts,
    pub(crate) market: &'a Market,
    pub(crate) account: &'a AccountView,
    pub(crate) requests: &'a mut Requests,
    pub(crate) host: &'a mut dyn Host,
    pub(crate) phase: Phase,
}

impl<'a> Context<'a> {
    /// The host's event clock, nanoseconds since the Unix epoch.
    pub fn ts_ns(&self) -> u64 {
        self.market.ts_ns
    }

    /// The run's name.
    pub fn run(&self) -> &'a str {
        &self.facts.name
    }

    /// The run's seed: the only source of randomness.
    pub fn seed(&self) -> u64 {
        self.facts.seed
    }

    /// The value of a declared parameter for this run.
    ///
    /// # Errors
    /// The parameter is not declared, or not of the type asked for.
    pub fn param<T: FromValue>(&self, name: &str) -> Result<T, String> {
        let (_, value) = self
            .facts
            .parameters
            .iter()
            .find(|(known, _)| known == name)
            .ok_or_else(|| format!("parameter {name} is not declared"))?;
        T::from_value(value)
            .ok_or_else(|| format!("parameter {name}: {value:?} is not of the type asked for"))
    }

    /// Every symbol of the run.
    pub fn symbols(&self) -> impl ExactSizeIterator<Item = Symbol> + use<> {
        // The market refuses more instruments than this holds.
        (0..u16::try_from(self.market.instruments.len()).unwrap_or(u16::MAX)).map(Symbol)
    }

    /// The symbol of this name.
    pub fn symbol(&self, name: &str) -> Option<Symbol> {
        self.market.find(name)
    }

    /// The instrument behind a symbol.
    pub fn instrument(&self, symbol: Symbol) -> Option<&'a Instrument> {
        self.market.instruments.get(symbol.index())
    }

    /// The last price seen: of a trade, of a candle's close, or the book's mid
    /// while neither has come.
    pub fn price(&self, symbol: Symbol) -> Option<f64> {
        self.market.price(symbol)
    }

    /// The book of a symbol, empty when it is not subscribed to.
    pub fn book(&self, symbol: Symbol) -> Option<&'a Book> {
        self.market.symbol(symbol).map(|state| &state.book)
    }

    /// The newest trades of a symbol, as many as the description keeps.
    pub fn trades(&self, symbol: Symbol) -> Option<&'a RecentTrades> {
        self.market.symbol(symbol).map(|state| &state.trades)
    }

    /// The newest closed candles of a subscribed interval.
    pub fn candles(&self, symbol: Symbol, interval_s: u32) -> Option<&'a RecentCandles> {
        self.market.symbol(symbol)?.candles.iter().find(|kept| kept.interval_s == interval_s)
    }

    /// Whether and how the symbol can be traded, if status is subscribed to.
    pub fn status(&self, symbol: Symbol) -> MarketStatus {
        self.market.symbol(symbol).map(|state| state.status).unwrap_or_default()
    }

    /// The position in a symbol, after the newest order update.
    pub fn position(&self, symbol: Symbol) -> Position {
        self.account.position(symbol)
    }

    /// Cash in the account currency, after the newest order update.
    pub fn cash(&self) -> f64 {
        self.account.cash
    }

    /// Cash and positions at the last price seen, in the account currency.
    pub fn equity(&self) -> f64 {
        self.account.equity(self.market)
    }

    /// Turns an amount of account currency into the symbol's quote asset, at the
    /// last price of an instrument of the run that links the two.
    pub fn to_quote(&self, symbol: Symbol, amount: f64) -> Option<f64> {
        self.market.quote_rate(symbol).filter(|rate| *rate > 0.0).map(|rate| amount / rate)
    }

    /// Turns an amount of the symbol's quote asset into account currency.
    pub fn from_quote(&self, symbol: Symbol, amount: f64) -> Option<f64> {
        self.market.quote_rate(symbol).map(|rate| amount * rate)
    }

    /// Orders of a symbol that have no final update yet.
    pub fn open_orders(&self, symbol: Symbol) -> impl Iterator<Item = OpenOrder> {
        self.requests.open.iter().copied().filter(move |order| order.symbol == symbol)
    }

    /// Whether the symbol has an order without a final update.
    pub fn has_open_order(&self, symbol: Symbol) -> bool {
        self.open_orders(symbol).next().is_some()
    }

    /// Begins an order that opens or adds to a long.
    pub fn buy(&mut self, symbol: Symbol, size: Size) -> OrderBuilder<'_, 'a> {
        self.order(Action::Buy, symbol, size)
    }

    /// Begins an order that reduces a long.
    pub fn sell(&mut self, symbol: Symbol, size: Size) -> OrderBuilder<'_, 'a> {
        self.order(Action::Sell, symbol, size)
    }

    /// Begins an order that opens or adds to a short.
    pub fn short(&mut self, symbol: Symbol, size: Size) -> OrderBuilder<'_, 'a> {
        self.order(Action::Short, symbol, size)
    }

    /// Begins an order that reduces a short.
    pub fn cover(&mut self, symbol: Symbol, size: Size) -> OrderBuilder<'_, 'a> {
        self.order(Action::Cover, symbol, size)
    }

    /// Begins an order of any action.
    pub fn order(&mut self, action: Action, symbol: Symbol, size: Size) -> OrderBuilder<'_, 'a> {
        OrderBuilder::new(self, Order::market(action, symbol, size))
    }

    /// Sends an order; [`Context::buy`] and its like build one.
    ///
    /// # Errors
    /// [`RejectReason::WarmingUp`] while history is delivered, and whatever the
    /// host refuses at once. Most refusals come later, as an order update.
    pub fn submit(&mut self, order: Order) -> Result<OrderId, RejectReason> {
        match self.phase {
            Phase::WarmUp => return Err(RejectReason::WarmingUp),
            Phase::Stop => return Err(RejectReason::Halted),
            Phase::Start | Phase::Event | Phase::Order => {}
        }
        let (symbol, action) = (order.symbol, order.action);
        self.requests.sent = true;
        let id = self.host.submit(order)?;
        self.requests.remember(OpenOrder { id, symbol, action });
        Ok(id)
    }

    /// Asks for an order to be canceled; its fate arrives as an order update.
    /// False when the host takes no more requests in this call.
    pub fn cancel(&mut self, order: OrderId) -> bool {
        self.requests.sent = true;
        self.host.cancel(order)
    }

    /// Asks for all orders to be canceled, or all of one symbol.
    pub fn cancel_all(&mut self, symbol: Option<Symbol>) {
        self.requests.sent = true;
        self.host.cancel_all(symbol);
    }

    /// Asks for a new size in base units, or a new limit price, of a resting
    /// order. False when the host takes no more requests in this call.
    pub fn amend(&mut self, order: OrderId, size: Option<f64>, price: Option<f64>) -> bool {
        self.requests.sent = true;
        self.host.amend(order, size, price)
    }

    /// Writes a line to the strategy's log.
    pub fn log(&mut self, level: LogLevel, message: &str) {
        self.host.log(level, message);
    }

    /// Writes a line that a person wants to know.
    pub fn info(&mut self, message: &str) {
        self.log(LogLevel::Info, message);
    }

    /// Writes a line about something that is not as it should be.
    pub fn warn(&mut self, message: &str) {
        self.log(LogLevel::Warn, message);
    }

    /// Reports a number to plot or watch. It costs a call to the host, so it is
    /// better sent when it matters than on every event.
    pub fn indicator(&mut self, name: &str, value: f64) {
        self.host.indicator(name, value);
    }

    /// The account as the host has it.
    ///
    /// # Errors
    /// [`NotAvailable`] except at the start and on order updates.
    pub fn host_account(&mut self) -> Result<Account, NotAvailable> {
        self.ask().map(|host| host.account())
    }

    /// The host's newest closed candles, newest last.
    ///
    /// # Errors
    /// [`NotAvailable`] except at the start and on order updates.
    pub fn host_candles(
        &mut self,
        symbol: Symbol,
        interval_s: u32,
        newest: u32,
    ) -> Result<Vec<Candle>, NotAvailable> {
        self.ask().map(|host| host.candles(symbol, interval_s, newest))
    }

    /// The host's newest trades, newest last.
    ///
    /// # Errors
    /// [`NotAvailable`] except at the start and on order updates.
    pub fn host_trades(&mut self, symbol: Symbol, newest: u32) -> Result<Vec<Trade>, NotAvailable> {
        self.ask().map(|host| host.trades(symbol, newest))
    }

    /// The host's book as bids and asks, best first.
    ///
    /// # Errors
    /// [`NotAvailable`] except at the start and on order updates.
    pub fn host_book(
        &mut self,
        symbol: Symbol,
        depth: u32,
    ) -> Result<(Vec<Level>, Vec<Level>), NotAvailable> {
        self.ask().map(|host| host.book(symbol, depth))
    }

    fn ask(&mut self) -> Result<&mut dyn Host, NotAvailable> {
        match self.phase {
            Phase::Start | Phase::Order => Ok(self.host),
            Phase::Event | Phase::WarmUp | Phase::Stop => Err(NotAvailable),
        }
    }
}
