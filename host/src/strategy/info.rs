//! What a strategy is told: its start, its account, the news of its orders, and
//! what it may look back at.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{Action, Cause, Liquidity, OrderStatus, RejectReason, Side};

use super::Value;

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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// why it was refused; of an order that is open, why a change of it was
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
