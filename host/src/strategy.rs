//! The trait that the engine drives. Sandboxed guests implement it in
//! `sandbox`, native test strategies in the test crate; the engine knows no
//! difference.
//!
//! Everything here is as a strategy sees it: symbol numbers are indices into the
//! strategy's own list, prices and sizes are doubles. The engine turns them into
//! integers when a call has returned well.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{Action, Cause, Liquidity, OrderStatus, RejectReason, Side, TimeInForce};

/// A size in a stated unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// base units
    Base(f64),
    /// quote units
    Quote(f64),
    /// the whole position, or everything affordable
    All,
}

/// What kind of order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OrderKind {
    /// at once, at the market
    Market,
    /// at this price or better
    Limit(f64),
    /// a market order once this price is reached
    Stop(f64),
    /// stop price, limit price
    StopLimit(f64, f64),
    /// distance from the best price seen, in quote
    TrailingStop(f64),
}

/// An order as a strategy asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderRequest {
    /// what it does to the position
    pub action: Action,
    /// index into the strategy's instruments
    pub symbol: u16,
    /// how much
    pub size: Size,
    /// which kind
    pub kind: OrderKind,
    /// how long it waits
    pub time_in_force: TimeInForce,
    /// must not take liquidity
    pub post_only: bool,
    /// must not open or add
    pub reduce_only: bool,
    /// closes the position at a loss
    pub stop_loss: Option<f64>,
    /// closes the position at a gain
    pub take_profit: Option<f64>,
    /// why, in words
    pub reason: String,
    /// further facts
    pub metadata: Vec<(String, String)>,
}

/// One thing that a strategy asked for during a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Intent {
    /// a new order under the number that `submit` returned
    Submit {
        /// the order's number in its lane
        order: u64,
        /// what was asked
        request: Box<OrderRequest>,
    },
    /// end an order
    Cancel {
        /// which
        order: u64,
    },
    /// end all orders, of one symbol or of all
    CancelAll {
        /// index into the strategy's instruments
        symbol: Option<u16>,
    },
    /// change a resting order
    Amend {
        /// which
        order: u64,
        /// new quantity in base units
        size: Option<f64>,
        /// new limit price
        price: Option<f64>,
    },
}

/// How important a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// finest
    Trace,
    /// for the author
    Debug,
    /// for the operator
    Info,
    /// needs a look
    Warn,
    /// something failed
    Error,
}

/// How much a call may ask for; beyond it, requests are refused and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EffectLimits {
    /// orders, cancels and amends in one call
    pub intents: u32,
    /// log lines in one call
    pub log_lines: u32,
    /// bytes of log text in one call
    pub log_bytes: u32,
    /// different indicator names of one strategy
    pub indicators: u32,
    /// bytes of a reason, an indicator's name or a metadata entry
    pub text_bytes: u32,
}

impl Default for EffectLimits {
    fn default() -> Self {
        Self { intents: 16, log_lines: 100, log_bytes: 16 << 10, indicators: 64, text_bytes: 1024 }
    }
}

/// What one call asked for. It gathers while the call runs and is applied only
/// when the call returned well; after a trap the engine drops it.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    limits: EffectLimits,
    next_order: u64,
    log_bytes: u32,
    /// orders, cancels and amends in the order asked
    pub intents: Vec<Intent>,
    /// log lines
    pub logs: Vec<(LogLevel, String)>,
    /// indicator values, the last of a name counts
    pub indicators: Vec<(String, f64)>,
    /// requests refused because the buffer was full
    pub dropped_intents: u32,
    /// log lines dropped or cut
    pub dropped_logs: u32,
}

impl Effects {
    /// An empty buffer with these limits.
    #[must_use]
    pub fn new(limits: EffectLimits) -> Self {
        Self { limits, next_order: 1, ..Self::default() }
    }

    /// Empties the buffer for the next call, whose first order gets this number
    /// and which may ask for at most `intents` things.
    pub fn begin(&mut self, next_order: u64, intents: u32) {
        self.next_order = next_order;
        self.limits.intents = intents;
        self.log_bytes = 0;
        self.dropped_intents = 0;
        self.dropped_logs = 0;
        self.intents.clear();
        self.logs.clear();
        self.indicators.clear();
    }

    /// True when nothing was asked for, logged or dropped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intents.is_empty()
            && self.logs.is_empty()
            && self.indicators.is_empty()
            && self.dropped_intents == 0
            && self.dropped_logs == 0
    }

    /// Takes an order and numbers it.
    ///
    /// # Errors
    /// [`RejectReason::TooManyOrders`] when the buffer is full.
    pub fn submit(&mut self, mut request: OrderRequest) -> Result<u64, RejectReason> {
        if !self.has_room() {
            return Err(RejectReason::TooManyOrders);
        }
        let limit = self.limits.text_bytes as usize;
        request.reason = clean_text(&request.reason, limit);
        request.metadata.truncate(16);
        for (key, value) in &mut request.metadata {
            *key = clean_text(key, limit);
            *value = clean_text(value, limit);
        }
        let order = self.next_order;
        self.next_order += 1;
        self.intents.push(Intent::Submit { order, request: Box::new(request) });
        Ok(order)
    }

    /// Takes a cancel, an amend or a cancel-all; false when the buffer is full.
    pub fn request(&mut self, intent: Intent) -> bool {
        let room = self.has_room();
        if room {
            self.intents.push(intent);
        }
        room
    }

    /// Takes a log line, cut to what is left of the call's allowance.
    pub fn log(&mut self, level: LogLevel, message: &str) {
        let left = self.limits.log_bytes.saturating_sub(self.log_bytes) as usize;
        if self.logs.len() >= self.limits.log_lines as usize || left == 0 {
            self.dropped_logs = self.dropped_logs.saturating_add(1);
            return;
        }
        let text = clean_text(message, left);
        if text.len() < message.len() && message.len() > left {
            self.dropped_logs = self.dropped_logs.saturating_add(1);
        }
        self.log_bytes = self.log_bytes.saturating_add(text.len() as u32);
        self.logs.push((level, text));
    }

    /// Takes an indicator value. Values that are not finite are passed on: the
    /// reader decides how to show them.
    pub fn indicator(&mut self, name: &str, value: f64) {
        let name = clean_text(name, self.limits.text_bytes.min(64) as usize);
        if let Some(slot) = self.indicators.iter_mut().find(|(known, _)| *known == name) {
            slot.1 = value;
        } else if self.indicators.len() < self.limits.indicators as usize {
            self.indicators.push((name, value));
        } else {
            self.dropped_logs = self.dropped_logs.saturating_add(1);
        }
    }

    fn has_room(&mut self) -> bool {
        let room = self.intents.len() < self.limits.intents as usize;
        if !room {
            self.dropped_intents = self.dropped_intents.saturating_add(1);
        }
        room
    }
}

/// Makes a string from a strategy safe for every place it may be shown in:
/// control characters (with the escape that starts terminal sequences) and
/// direction overrides become the replacement character, and it is cut to
/// `limit` bytes at a character.
#[must_use]
pub fn clean_text(text: &str, limit: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(limit));
    for character in text.chars() {
        let hidden = matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        let shown = if character.is_control() || hidden { '\u{fffd}' } else { character };
        if clean.len() + shown.len_utf8() > limit {
            break;
        }
        clean.push(shown);
    }
    clean
}

/// What kind of thing a strategy wants to be called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// public prints
    Trades,
    /// the book, to that many levels a side
    Book(u32),
    /// closed candles of that many seconds
    Candles(u32),
    /// a timer of that many milliseconds
    Timer(u32),
    /// changes of the trading status
    Status,
}

/// A channel of one symbol or of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// the symbol's name; none for each of the strategy's symbols
    pub symbol: Option<String>,
    /// what of it
    pub channel: Channel,
}

/// A parameter's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// yes or no
    Flag(bool),
    /// a whole number
    Integer(i64),
    /// a number
    Number(f64),
    /// text
    Text(String),
}

/// A parameter as a strategy declares it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// its name, as in `[strategy.NAME.params]`
    pub name: String,
    /// what it does
    pub description: String,
    /// its default, whose type is the parameter's
    pub default: Value,
    /// smallest value, inclusive
    pub minimum: Option<f64>,
    /// largest value, inclusive
    pub maximum: Option<f64>,
}

/// What a strategy says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// its name, from its author: shown, never trusted
    pub name: String,
    /// its version
    pub version: String,
    /// the symbols it is made for
    pub symbols: Vec<String>,
    /// what it wants to be called for
    pub subscriptions: Vec<Subscription>,
    /// its parameters
    pub parameters: Vec<Parameter>,
}

/// An instrument as a strategy sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct InstrumentInfo {
    /// name
    pub symbol: String,
    /// asset bought and sold
    pub base: String,
    /// asset of the price
    pub quote: String,
    /// price step
    pub price_increment: f64,
    /// quantity step
    pub quantity_increment: f64,
    /// smallest quantity
    pub quantity_min: f64,
    /// smallest cost
    pub cost_min: f64,
    /// whether it may be shorted
    pub short_allowed: bool,
}

/// A position as a strategy sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PositionInfo {
    /// index into the strategy's instruments
    pub symbol: u16,
    /// base units, negative when short
    pub quantity: f64,
    /// average entry price, 0 when flat
    pub entry_price: f64,
}

/// An account as a strategy sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountInfo {
    /// the account currency
    pub currency: String,
    /// cash in it
    pub cash: f64,
    /// cash plus positions at their marks
    pub equity: f64,
    /// open positions
    pub positions: Vec<PositionInfo>,
}

/// What a strategy is started with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StartInfo {
    /// the run's name
    pub run: String,
    /// the only source of randomness
    pub seed: u64,
    /// the event clock, nanoseconds since the Unix epoch
    pub ts_ns: u64,
    /// the strategy's symbols in order
    pub instruments: Vec<InstrumentInfo>,
    /// every declared parameter with its value for this run
    pub parameters: Vec<(String, Value)>,
    /// the account at the start
    pub account: AccountInfo,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderUpdate {
    /// the order's number in its lane
    pub order: u64,
    /// the event clock
    pub ts_ns: u64,
    /// index into the strategy's instruments
    pub symbol: u16,
    /// what it does to the position
    pub action: Action,
    /// where it stands
    pub status: OrderStatus,
    /// who caused it
    pub cause: Cause,
    /// why it was refused
    pub reject: Option<RejectReason>,
    /// its whole quantity
    pub quantity: f64,
    /// quantity of this fill
    pub filled: f64,
    /// quantity still open
    pub leaves: f64,
    /// average price of this fill
    pub price: f64,
    /// fee of this fill
    pub fee: f64,
    /// maker or taker
    pub liquidity: Option<Liquidity>,
    /// the order's reason
    pub reason: String,
    /// position in the symbol after it
    pub position: f64,
    /// its average entry price
    pub entry_price: f64,
    /// cash after it
    pub cash: f64,
    /// equity after it
    pub equity: f64,
}

/// A candle as a strategy sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CandleInfo {
    /// length in seconds
    pub interval_s: u32,
    /// start
    pub open_ts_ns: u64,
    /// first price
    pub open: f64,
    /// highest price
    pub high: f64,
    /// lowest price
    pub low: f64,
    /// last price
    pub close: f64,
    /// traded quantity
    pub volume: f64,
    /// volume-weighted average price
    pub vwap: f64,
}

/// A public print as a strategy sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TradeInfo {
    /// the event clock
    pub ts_ns: u64,
    /// price
    pub price: f64,
    /// quantity
    pub quantity: f64,
    /// the taker's side
    pub side: Side,
    /// the venue's number
    pub id: u64,
}

/// A book as a strategy sees it, best level first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BookInfo {
    /// price and quantity, highest first
    pub bids: Vec<(f64, f64)>,
    /// price and quantity, lowest first
    pub asks: Vec<(f64, f64)>,
}

/// What `start` and `on_order` may look back at. It answers as of the event
/// that is being processed. Symbols are the strategy's own numbers; an unknown
/// one has no history.
pub trait History: Send + Sync {
    /// The newest closed candles, oldest of them first.
    fn candles(&self, symbol: u16, interval_s: u32, newest: u32) -> Vec<CandleInfo>;
    /// The newest trades, oldest of them first.
    fn trades(&self, symbol: u16, newest: u32) -> Vec<TradeInfo>;
    /// The book to a depth.
    fn book(&self, symbol: u16, depth: u32) -> BookInfo;
    /// The account.
    fn account(&self) -> AccountInfo;
}

/// A shared look back, held by a strategy only while a call runs: the engine
/// stops if one is kept.
pub type HistoryRef = Arc<dyn History>;

/// What a strategy has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// calls into it
    pub calls: u64,
    /// fuel used, 0 for native strategies
    pub fuel: u64,
    /// the most fuel that one call used per event
    pub fuel_max_per_event: u64,
    /// bytes of linear memory now
    pub memory_bytes: u64,
}

/// How a strategy failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// it trapped: a panic, a division by zero, an access out of bounds
    Trap,
    /// it used up its fuel
    OutOfFuel,
    /// it asked for more memory or tables than allowed
    OutOfMemory,
    /// it recursed too deep
    StackOverflow,
    /// it handed the host more data than allowed
    Output,
    /// it answered outside the contract
    Protocol,
    /// it returned an error itself
    Refused,
    /// the wall-clock backstop stopped it: a fault of the machine, not proof of one of the strategy
    Deadline,
    /// a defect of the host, contained to this strategy
    Host,
}

impl FaultKind {
    /// The name used in files and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::OutOfFuel => "out-of-fuel",
            Self::OutOfMemory => "out-of-memory",
            Self::StackOverflow => "stack-overflow",
            Self::Output => "output",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::Deadline => "deadline",
            Self::Host => "host",
        }
    }
}

/// A failed call. The strategy is not called again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// how it failed
    pub kind: FaultKind,
    /// what is known of it, in words
    pub detail: String,
}

impl Fault {
    /// A fault with its detail.
    #[must_use]
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.detail)
    }
}

impl std::error::Error for Fault {}

/// A strategy, wherever its code runs.
pub trait Strategy: Send {
    /// What it says of itself. Called once, before `start`.
    ///
    /// # Errors
    /// Any fault: it is then not started.
    fn describe(&mut self) -> Result<Descriptor, Fault>;

    /// Begins the run.
    ///
    /// # Errors
    /// Any fault: it is then quarantined.
    fn start(
        &mut self,
        info: &StartInfo,
        history: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault>;

    /// Takes a batch of `events` events as words and says how many it consumed,
    /// 1 to `events`.
    ///
    /// # Errors
    /// Any fault: what the call asked for is dropped.
    fn handle(&mut self, words: &[u64], events: u32, effects: &mut Effects) -> Result<u32, Fault>;

    /// Takes the news of one order.
    ///
    /// # Errors
    /// As [`Strategy::handle`].
    fn on_order(
        &mut self,
        update: &OrderUpdate,
        history: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault>;

    /// Ends the run.
    ///
    /// # Errors
    /// As [`Strategy::handle`].
    fn stop(&mut self, effects: &mut Effects) -> Result<(), Fault>;

    /// Its state, to be given to `load` later.
    ///
    /// # Errors
    /// As [`Strategy::handle`].
    fn save(&mut self) -> Result<Vec<u8>, Fault>;

    /// Takes back a state that `save` of `from_version` gave.
    ///
    /// # Errors
    /// As [`Strategy::handle`].
    fn load(&mut self, state: &[u8], from_version: &str) -> Result<(), Fault>;

    /// What it has used so far.
    fn usage(&self) -> Usage;
}
