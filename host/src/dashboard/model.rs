//! The shapes of the API. Money, prices and quantities are decimal text, ratios
//! are numbers, what is not known is null, and text of strategies is cleaned
//! before it comes here.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::accounting::Accounting;
use crate::strategy::Spread;

/// The run as a whole.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Run {
    /// its name; another one means that the host was started anew
    pub run: String,
    /// how often it was cut short, by a crash or a kill, and went on
    pub continued: u64,
    /// where the market comes from: `sim`, `live` or `replay`
    pub mode: String,
    /// always true: no order leaves the program
    pub paper: bool,
    /// true when the lock file was bypassed
    pub unsigned: bool,
    /// start of everything random
    pub seed: String,
    /// the engine's clock at the start
    pub started_ns: String,
    /// the engine's clock
    pub now_ns: String,
    /// the wall's clock when this was made
    pub wall_ns: String,
    /// inputs taken
    pub events: u64,
    /// inputs a second of wall time, lately
    pub events_per_s: f64,
    /// number of this state, rising
    pub seq: u64,
    /// `running` or `ended`
    pub state: String,
    /// all symbols
    pub symbols: Vec<String>,
    /// hash of all settings
    pub config_sha256: String,
    /// true when a halt, as by `kill`, closes positions; else they are kept
    pub halt_flattens: bool,
    /// the program's version
    pub version: String,
    /// the contract's version
    pub wit: String,
    /// equity by currency
    pub totals: Vec<Total>,
    /// the strategy that is ahead
    pub best: Option<String>,
    /// the one that is behind
    pub worst: Option<String>,
    /// open positions of all strategies
    pub open_positions: u64,
    /// strategies that failed
    pub traps: u64,
    /// `ok`, `stale` or `down`
    pub feed: String,
}

/// The equity of all strategies that count in one currency.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Total {
    /// the currency
    pub currency: String,
    /// sum of the equities, null while one of them is unknown
    pub equity: Option<String>,
    /// the same at the start
    pub start: Option<String>,
}

/// A row of the leaderboard.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says, in the units of the module's head")]
pub struct Strategy {
    pub name: String,
    pub version: String,
    pub sha256: String,
    pub wit: String,
    /// `allowed` or `unsigned`
    pub trust: String,
    /// `running`, `quarantined` or `stopped`
    pub status: String,
    pub status_detail: Option<String>,
    pub currency: String,
    pub start_equity: Option<String>,
    pub equity: Option<String>,
    pub cash: String,
    pub pnl: Option<String>,
    pub return_pct: Option<f64>,
    pub max_drawdown_pct: f64,
    pub drawdown_pct: Option<f64>,
    pub sharpe: Option<f64>,
    pub win_rate_pct: Option<f64>,
    pub profit_factor: Option<f64>,
    pub trades: u64,
    pub fills: u64,
    pub orders: u64,
    pub rejected: u64,
    pub fees: Option<String>,
    pub exposure_pct: Option<f64>,
    /// the mean
    pub fuel_per_event: u64,
    /// what one event in a hundred takes more than
    pub fuel_p99: u64,
    pub fuel_limit: u64,
    pub latency_p99_us: Option<f64>,
    pub positions: Vec<Position>,
    /// equity lately, at most 60 values
    pub sparkline: Vec<f64>,
    pub benchmark: bool,
}

/// An open position.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says, in the units of the module's head")]
pub struct Position {
    pub strategy: String,
    pub symbol: String,
    pub quantity: String,
    /// `long` or `short`
    pub side: String,
    pub entry_price: String,
    pub mark: Option<String>,
    pub unrealized: Option<String>,
    pub stop: Option<String>,
    pub target: Option<String>,
}

/// One strategy, whole.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StrategyDetail {
    /// its row of the leaderboard
    #[serde(flatten)]
    pub row: Strategy,
    /// its symbols
    pub symbols: Vec<String>,
    /// its parameters as configured
    pub parameters: Vec<Parameter>,
    /// newest values of its indicators
    pub indicators: Vec<Indicator>,
    /// head of its chain of decisions, in hex
    pub chain: String,
    /// further figures by their label, null when unknown
    pub statistics: BTreeMap<String, Option<String>>,
    /// orders that wait
    pub orders_open: Vec<Order>,
    /// what it uses
    #[serde(skip)]
    pub sandbox: Sandbox,
    /// the same in numbers, for metrics and results
    #[serde(skip)]
    pub accounting: Accounting,
    /// how long its calls took, in nanoseconds
    #[serde(skip)]
    pub call_ns: Spread,
}

/// A parameter and its configured value.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Parameter {
    /// its name
    pub name: String,
    /// its value
    pub value: String,
}

/// An indicator and its newest value.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Indicator {
    /// its name, in the strategy's words
    pub name: String,
    /// null when it is not finite
    pub value: Option<f64>,
}

/// What a strategy published by name, over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Plots {
    /// seconds from one moment to the next; more the longer the run is
    pub width_s: f64,
    /// the moments in milliseconds, rising
    pub ms: Vec<f64>,
    /// by name
    pub series: Vec<Plot>,
}

/// What was published under one name.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Plot {
    /// its name, in the strategy's words
    pub name: String,
    /// the newest value at each moment, null where there was none or it is not finite
    #[schema(value_type = Vec<Option<f64>>)]
    pub values: Vec<f64>,
}

/// A closed round trip.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says, in the units of the module's head")]
pub struct Trade {
    pub n: u64,
    pub symbol: String,
    pub side: String,
    pub quantity: String,
    pub entry_ns: String,
    pub exit_ns: String,
    pub entry_price: Option<String>,
    pub exit_price: Option<String>,
    pub fees: String,
    pub pnl: String,
    pub pnl_pct: Option<f64>,
    pub mae_pct: Option<f64>,
    pub mfe_pct: Option<f64>,
    pub duration_s: f64,
    pub exit_reason: String,
}

/// What is known of an order.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says, in the units of the module's head")]
pub struct Order {
    pub order: u64,
    pub symbol: Option<String>,
    pub action: Option<String>,
    pub kind: Option<String>,
    pub quantity: Option<String>,
    /// what was asked, where that is no quantity: an amount, or all
    pub size: Option<String>,
    pub filled: Option<String>,
    pub price: Option<String>,
    /// `pending`, `working`, `partially-filled`, `filled`, `rejected` or `canceled`
    pub status: String,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub ts_ns: String,
}

impl Order {
    /// An order of which only this is known.
    #[must_use]
    pub fn new(order: u64, status: &str, ts_ns: String) -> Self {
        Self {
            order,
            symbol: None,
            action: None,
            kind: None,
            quantity: None,
            size: None,
            filled: None,
            price: None,
            status: status.into(),
            reason: None,
            detail: None,
            ts_ns,
        }
    }
}

/// The stop and the target of a position from a moment on; both null once there is
/// neither, or no position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says, in the units of the module's head")]
pub struct Level {
    pub ts_ns: String,
    pub symbol: String,
    pub stop: Option<String>,
    pub target: Option<String>,
}

/// A fill.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says, in the units of the module's head")]
pub struct Fill {
    pub id: u64,
    pub order: u64,
    pub strategy: String,
    pub symbol: String,
    pub action: String,
    /// `buy` or `sell`
    pub side: String,
    pub quantity: String,
    /// average price
    pub price: String,
    pub fee: String,
    pub liquidity: String,
    pub cause: String,
    /// why, in the strategy's words
    pub reason: String,
    pub ts_ns: String,
    /// the position after it
    pub position: String,
}

/// What a strategy uses of what it may.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says, in the units of the module's head")]
pub struct Sandbox {
    pub fuel: Fuel,
    pub memory_bytes: u64,
    pub memory_peak_bytes: u64,
    pub memory_limit: u64,
    pub calls: u64,
    /// of these: batches of market events
    pub event_calls: u64,
    /// of these: order news
    pub order_calls: u64,
    pub traps: u64,
    pub host_calls: Option<u64>,
    pub log_lines: u64,
    pub log_bytes: u64,
    pub logs_dropped: u64,
    pub dropped_orders: u64,
    pub latency_us: Option<Latency>,
    pub imports: Vec<String>,
    pub sha256: String,
    pub size: Option<u64>,
    /// how long it took to check and compile it
    pub compile_ms: Option<u64>,
    /// hashes of the builds that it took the place of in this run, oldest first
    pub earlier: Vec<String>,
    /// how often it was started again
    pub restarts: u64,
    /// how its last fault was, with what the runtime says of it
    pub last_fault: Option<String>,
    /// refused orders by the rule that refused them
    pub refused: BTreeMap<String, u64>,
    /// what its permission says; null when the lock file was bypassed
    pub grant: Option<Grant>,
}

/// A strategy's entry in the lock file: who may run it says so there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Grant {
    /// when it was allowed
    pub allowed_at: String,
    /// from when on it may no longer run, if ever
    pub expires: Option<String>,
    /// why, in the operator's words
    pub note: String,
    /// where its file was
    pub file: String,
    /// the contract that it was checked against
    pub world: String,
    /// true when it was granted the deterministic WASI
    pub wasi: bool,
    /// limits of its own, as JSON
    pub limits: Option<String>,
}

/// Fuel, one unit an instruction or so.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Fuel {
    /// used so far
    pub total: String,
    /// the most that an event used
    pub per_event_max: u64,
    /// half of the events use no more
    pub per_event_p50: u64,
    /// all but one in a hundred use no more
    pub per_event_p99: u64,
    /// the most that an event may use
    pub limit: u64,
}

/// How long calls took.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "microseconds")]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
    /// how many took how long, from the fastest to the slowest
    pub spread: Vec<Took>,
}

/// Calls that took about the same time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Took {
    /// at least so long, in microseconds
    pub from: f64,
    /// less than that; null for all that took longer
    pub to: Option<f64>,
    /// how many
    pub calls: u64,
}

/// A symbol's prices.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says, in the units of the module's head")]
pub struct Symbol {
    pub symbol: String,
    pub bid: Option<String>,
    pub ask: Option<String>,
    pub last: Option<String>,
    pub spread_bps: Option<f64>,
    /// `trading`, `stale`, `paused` and so on
    pub status: String,
    pub change_pct: Option<f64>,
    /// lengths in seconds of the candles that are kept
    pub intervals: Vec<u32>,
}

/// An order book's best levels, best first.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says, in the units of the module's head")]
pub struct Book {
    pub symbol: String,
    pub status: String,
    pub bids: Vec<[String; 2]>,
    pub asks: Vec<[String; 2]>,
}

/// A public print.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says, in the units of the module's head")]
pub struct Print {
    pub ts_ns: String,
    pub price: String,
    pub quantity: String,
    pub side: String,
}

/// How the source of market data is doing.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says, in the units of the module's head")]
pub struct Feed {
    pub kind: String,
    /// `ok`, `stale` or `down`
    pub state: String,
    /// since when, on the engine's clock
    pub since_ns: String,
    pub symbols: Vec<FeedSymbol>,
    pub reconnects: Option<u64>,
    pub parse_errors: Option<u64>,
    pub outages: Vec<Outage>,
    /// which venue, where the market is a live one
    pub venue: Option<String>,
    pub url: Option<String>,
    pub connected: Option<bool>,
    /// attempts to connect
    pub attempts: Option<u64>,
    /// why the last attempt or connection ended
    pub last_loss: Option<String>,
    /// frames that were read
    pub frames: Option<u64>,
    /// refused frames by what was wrong with them
    pub errors: BTreeMap<String, u64>,
    /// why the last of them was refused
    pub last_refusal: Option<String>,
    /// trades that the gaps lack
    pub trades_missed: Option<u64>,
    /// channels of a symbol that were asked for anew
    pub resubscriptions: Option<u64>,
    /// our clock minus the venue's at the latest event: a delay and the
    /// difference of two clocks
    pub skew_ms: Option<f64>,
}

/// How one symbol's data is doing.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says, in the units of the module's head")]
pub struct FeedSymbol {
    pub symbol: String,
    pub status: String,
    pub last_message_age_ms: Option<u64>,
    /// the same by channel: `book`, `trade`
    pub ages_ms: BTreeMap<String, u64>,
    pub messages: Option<u64>,
    pub gaps: Option<u64>,
    pub checksum_failures: Option<u64>,
}

/// A time without usable data.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says, in the units of the module's head")]
pub struct Outage {
    pub from_ns: String,
    pub to_ns: Option<String>,
    pub symbol: Option<String>,
    pub why: String,
}

/// Something that happened.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says, in the units of the module's head")]
pub struct Event {
    pub seq: u64,
    pub ts_ns: String,
    pub level: String,
    pub kind: String,
    pub strategy: Option<String>,
    pub symbol: Option<String>,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill: Option<Fill>,
}

/// A setting with where it came from.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "each is what its name says")]
pub struct Setting {
    pub key: String,
    pub value: String,
    pub origin: String,
}
