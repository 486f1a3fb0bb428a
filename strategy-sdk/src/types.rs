//! The contract's types as plain Rust, the same on every target.
//!
//! Each mirrors the WIT type of its name; the sandbox glue converts. Prices are
//! in quote units per base unit, quantities in base units, times in nanoseconds
//! since the Unix epoch, unless a field says otherwise.

use serde::{Deserialize, Serialize};

/// An instrument of the run: its index in the list given at start.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Symbol(pub u16);

impl Symbol {
    /// The position in per-symbol lists.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The host's number for an order of this strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OrderId(pub u64);

/// The side of a trade's taker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// The taker bought.
    Buy,
    /// The taker sold.
    Sell,
}

/// What an order does to the position.
///
/// An action that does not fit the position is rejected; nothing flips silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Opens or adds to a long.
    Buy,
    /// Reduces a long.
    Sell,
    /// Opens or adds to a short.
    Short,
    /// Reduces a short.
    Cover,
}

/// How much, in a stated unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Size {
    /// Base units.
    Base(f64),
    /// Units of the instrument's quote asset.
    Quote(f64),
    /// The whole position for `sell` and `cover`, everything affordable for
    /// `buy` and `short`.
    All,
}

impl Size {
    /// A size in base units.
    pub fn base(quantity: f64) -> Self {
        Self::Base(quantity)
    }

    /// A size in units of the quote asset.
    pub fn quote(amount: f64) -> Self {
        Self::Quote(amount)
    }
}

/// At which price an order may fill.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum OrderKind {
    /// At whatever the market gives.
    Market,
    /// At this price or better.
    Limit(f64),
    /// At the market once this price is reached.
    Stop(f64),
    /// At the limit or better once the stop is reached.
    StopLimit {
        /// The price that wakes the order.
        stop: f64,
        /// The worst price it then accepts.
        limit: f64,
    },
    /// At the market once the price has turned by this distance, in quote
    /// units, from the best price seen.
    TrailingStop(f64),
}

/// How long an order lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeInForce {
    /// Good till canceled.
    Gtc,
    /// Immediate or cancel.
    Ioc,
    /// Fill or kill.
    Fok,
    /// Until the end of the UTC day.
    Day,
}

/// An order as a strategy sends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// What it does to the position.
    pub action: Action,
    /// The instrument.
    pub symbol: Symbol,
    /// How much.
    pub size: Size,
    /// At which price.
    pub kind: OrderKind,
    /// For how long.
    pub time_in_force: TimeInForce,
    /// Reject instead of taking liquidity.
    pub post_only: bool,
    /// Reject instead of opening or adding.
    pub reduce_only: bool,
    /// Price at which the position that this order opens is closed at a loss.
    pub stop_loss: Option<f64>,
    /// Price at which the position that this order opens is closed at a gain.
    pub take_profit: Option<f64>,
    /// Why, in words: shown beside the fill.
    pub reason: String,
    /// Further facts for the record, as name and value.
    pub metadata: Vec<(String, String)>,
    /// Ends an order that waits at this time, nanoseconds since the Unix epoch.
    pub good_till_ns: Option<u64>,
}

impl Order {
    /// A market order, good till canceled, without stop, target or reason.
    pub fn market(action: Action, symbol: Symbol, size: Size) -> Self {
        Self {
            action,
            symbol,
            size,
            kind: OrderKind::Market,
            time_in_force: TimeInForce::Gtc,
            post_only: false,
            reduce_only: false,
            stop_loss: None,
            take_profit: None,
            reason: String::new(),
            metadata: Vec::new(),
            good_till_ns: None,
        }
    }
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderStatus {
    /// The simulated venue has it.
    Accepted,
    /// Refused; `OrderUpdate::reject` says why.
    Rejected,
    /// A part filled, the rest is open.
    PartiallyFilled,
    /// Nothing is left of it.
    Filled,
    /// Canceled by the strategy, the operator or its time in force.
    Canceled,
    /// Its time ran out.
    Expired,
    /// It is on its way to the venue.
    PendingNew,
    /// A change of it is on its way.
    PendingAmend,
    /// A cancel of it is on its way; it can still fill.
    PendingCancel,
}

impl OrderStatus {
    /// Whether no further update follows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Rejected | Self::Filled | Self::Canceled | Self::Expired)
    }
}

/// Who caused an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderCause {
    /// The strategy sent it.
    Strategy,
    /// The position's stop-loss was reached.
    StopLoss,
    /// The position's take-profit was reached.
    TakeProfit,
    /// The margin no longer carried the position.
    Liquidation,
    /// The operator closed it.
    Operator,
}

/// Whether a fill waited in the book or took from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Liquidity {
    /// The order rested.
    Maker,
    /// The order took.
    Taker,
}

/// Why an order was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RejectReason {
    /// A price or size that is not finite, not positive or out of range.
    InvalidNumber,
    /// No instrument of the run has this index.
    UnknownSymbol,
    /// No open order of the strategy has this number.
    UnknownOrder,
    /// This kind of order, or this combination of flags, is not supported.
    Unsupported,
    /// Below the instrument's minimum quantity.
    BelowMinimumQuantity,
    /// Below the instrument's minimum cost.
    BelowMinimumCost,
    /// The cash does not pay for it.
    InsufficientCash,
    /// `sell` without a long, or for more than is held.
    InsufficientPosition,
    /// `cover` without a short, or for more than is owed.
    NoShortPosition,
    /// `buy` while short, or `short` while long.
    OppositePosition,
    /// The instrument or the configuration allows no shorts.
    ShortNotAllowed,
    /// Total short notional would pass the leverage limit.
    LeverageExceeded,
    /// A stop or target on the wrong side of the price, or on an order that closes.
    WrongSide,
    /// The instrument has no price yet.
    NoMarketData,
    /// The instrument's price is stale or unverified.
    StaleData,
    /// The venue has paused the instrument.
    MarketPaused,
    /// The book holds nothing to fill against.
    NoLiquidity,
    /// More orders in one call, or open at once, than allowed.
    TooManyOrders,
    /// Sent while warm-up history is being delivered.
    WarmingUp,
    /// A pre-trade limit of the configuration.
    RiskLimit,
    /// Trading is halted for this strategy or for all.
    Halted,
    /// A post-only order that would take liquidity.
    WouldTake,
}

/// What became of an order, and where the account stands after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderUpdate {
    /// The order's number.
    pub order: OrderId,
    /// When it happened.
    pub ts_ns: u64,
    /// The instrument.
    pub symbol: Symbol,
    /// What the order does to the position.
    pub action: Action,
    /// Where it stands.
    pub status: OrderStatus,
    /// Who caused it.
    pub cause: OrderCause,
    /// Why it was refused; of an order that is open, why a change of it was.
    pub reject: Option<RejectReason>,
    /// The order's whole quantity, base units.
    pub quantity: f64,
    /// Quantity of this fill, 0 when this update is not a fill.
    pub filled: f64,
    /// Quantity still open.
    pub leaves: f64,
    /// Average price of this fill.
    pub price: f64,
    /// Fee of this fill, quote units.
    pub fee: f64,
    /// Whether this fill rested or took.
    pub liquidity: Option<Liquidity>,
    /// The order's reason, or the host's words on a refusal.
    pub reason: String,
    /// Position in this symbol after it, base units, negative when short.
    pub position: f64,
    /// Average entry price of that position, 0 when flat.
    pub entry_price: f64,
    /// Cash in the account currency.
    pub cash: f64,
    /// Equity in the account currency.
    pub equity: f64,
}

impl OrderUpdate {
    /// Whether this update carries a fill.
    pub fn is_fill(&self) -> bool {
        self.filled > 0.0
    }
}

/// What is traded, with its increments and minimums.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instrument {
    /// Its name, such as `XRP/USD`.
    pub symbol: String,
    /// The asset that is bought and sold.
    pub base: String,
    /// The asset that prices are in.
    pub quote: String,
    /// Smallest step of a price.
    pub price_increment: f64,
    /// Smallest step of a quantity.
    pub quantity_increment: f64,
    /// Smallest quantity of an order.
    pub quantity_min: f64,
    /// Smallest cost of an order, quote units.
    pub cost_min: f64,
    /// Whether it may be sold short.
    pub short_allowed: bool,
}

/// A position, negative when short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Base units, negative when short.
    pub quantity: f64,
    /// Average entry price, 0 when flat.
    pub entry_price: f64,
}

impl Position {
    /// Whether base units are held.
    pub fn is_long(&self) -> bool {
        self.quantity > 0.0
    }

    /// Whether base units are owed.
    pub fn is_short(&self) -> bool {
        self.quantity < 0.0
    }

    /// Whether nothing is held or owed.
    pub fn is_flat(&self) -> bool {
        self.quantity == 0.0
    }
}

/// The account as the host states it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The currency that cash and equity are in.
    pub currency: String,
    /// Cash.
    pub cash: f64,
    /// Cash and positions at the mark price.
    pub equity: f64,
    /// Positions that are not flat.
    pub positions: Vec<(Symbol, Position)>,
}

/// A price level of a book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Its price.
    pub price: f64,
    /// What rests there, base units.
    pub quantity: f64,
}

/// A public trade of the market.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trade {
    /// The instrument.
    pub symbol: Symbol,
    /// The host's event clock.
    pub ts_ns: u64,
    /// Its price.
    pub price: f64,
    /// Its quantity, base units.
    pub quantity: f64,
    /// The taker's side.
    pub side: Side,
    /// The venue's number for it.
    pub id: u64,
}

/// A closed candle.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candle {
    /// The instrument.
    pub symbol: Symbol,
    /// Its length in seconds.
    pub interval_s: u32,
    /// When it opened.
    pub open_ts_ns: u64,
    /// Price of its first trade.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Price of its last trade.
    pub close: f64,
    /// Traded quantity, base units.
    pub volume: f64,
    /// Volume-weighted average price.
    pub vwap: f64,
    /// Whether it is history, from before the run or of an outage; no order can be sent
    /// on it.
    pub warm_up: bool,
    /// Whether no trade fell in it.
    pub empty: bool,
    /// Whether trades may be missing from it: the feed was interrupted, or the run began
    /// within it.
    #[serde(default)]
    pub partial: bool,
}

impl Candle {
    /// The first instant after it.
    #[inline]
    pub fn end_ts_ns(&self) -> u64 {
        self.open_ts_ns.saturating_add(u64::from(self.interval_s) * 1_000_000_000)
    }
}

/// Whether and how an instrument can be traded now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarketStatus {
    /// As usual.
    #[default]
    Trading,
    /// Its data is stale or unverified; orders are refused.
    Stale,
    /// The venue has paused it.
    Paused,
    /// Orders can only be canceled.
    CancelOnly,
    /// Only orders that rest.
    PostOnly,
    /// Only orders with a limit.
    LimitOnly,
    /// Only orders that reduce.
    ReduceOnly,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// For finding faults.
    Debug,
    /// What a person wants to know.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something failed.
    Error,
}

/// A parameter's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// Yes or no.
    Flag(bool),
    /// Words.
    Text(String),
}

/// What a strategy is told when it starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartInfo {
    /// The run's name.
    pub run: String,
    /// The run's seed: the only source of randomness.
    pub seed: u64,
    /// The host's event clock.
    pub ts_ns: u64,
    /// The index in this list is the symbol number used everywhere.
    pub instruments: Vec<Instrument>,
    /// Declared parameters with their values for this run.
    pub parameters: Vec<(String, Value)>,
    /// The account at the start.
    pub account: Account,
}
