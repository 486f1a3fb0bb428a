//! Orders and fills as the host keeps them, after a strategy's request has
//! become integers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Money, OrderId, Price, Qty, SymbolId, Ts};

/// The taker's or the order's direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// takes from the asks
    Buy,
    /// takes from the bids
    Sell,
}

/// What an order does to the position. Opening a long and closing a short are
/// different requests, so that a mistake is refused instead of flipping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// opens or adds to a long
    Buy,
    /// reduces a long
    Sell,
    /// opens or adds to a short
    Short,
    /// reduces a short
    Cover,
}

impl Action {
    /// The side of the book that the order is on.
    #[must_use]
    pub fn side(self) -> Side {
        match self {
            Self::Buy | Self::Cover => Side::Buy,
            Self::Sell | Self::Short => Side::Sell,
        }
    }

    /// True when it opens or adds to a position.
    #[must_use]
    pub fn opens(self) -> bool {
        matches!(self, Self::Buy | Self::Short)
    }

    /// The name used in files and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
            Self::Short => "short",
            Self::Cover => "cover",
        }
    }
}

/// How long an order waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeInForce {
    /// until it is canceled
    Gtc,
    /// fills what it can at once, the rest is canceled
    Ioc,
    /// fills whole at once or not at all
    Fok,
    /// until the end of the UTC day
    Day,
}

impl TimeInForce {
    /// The name used in files and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gtc => "gtc",
            Self::Ioc => "ioc",
            Self::Fok => "fok",
            Self::Day => "day",
        }
    }
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// taken by the venue
    Accepted,
    /// refused, with a [`RejectReason`]
    Rejected,
    /// filled in part
    PartiallyFilled,
    /// filled whole
    Filled,
    /// ended by request, or the unfilled rest of an immediate order
    Canceled,
    /// ended by time
    Expired,
    /// a new order is on its way to the venue
    PendingNew,
    /// a change is on its way
    PendingAmend,
    /// a cancel is on its way
    PendingCancel,
}

/// Who caused an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// the strategy asked
    Strategy,
    /// the position's stop-loss was reached
    StopLoss,
    /// the position's take-profit was reached
    TakeProfit,
    /// the maintenance margin was breached
    Liquidation,
    /// the operator asked
    Operator,
}

impl Cause {
    /// The name used in files and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Strategy => "strategy",
            Self::StopLoss => "stop-loss",
            Self::TakeProfit => "take-profit",
            Self::Liquidation => "liquidation",
            Self::Operator => "operator",
        }
    }
}

/// Whether a fill took displayed liquidity or provided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liquidity {
    /// provided it
    Maker,
    /// took it
    Taker,
}

/// Why an order was refused: data for the strategy and the log, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RejectReason {
    /// a price or size that is not finite, not positive or out of range
    InvalidNumber,
    /// a symbol that the strategy was not given
    UnknownSymbol,
    /// an order that is not open
    UnknownOrder,
    /// a kind of order, or a combination of flags, that is not supported
    Unsupported,
    /// below the instrument's minimum quantity
    BelowMinimumQuantity,
    /// below the instrument's minimum cost
    BelowMinimumCost,
    /// the cash does not cover cost and fee
    InsufficientCash,
    /// `sell` without a long, or for more than is held
    InsufficientPosition,
    /// `cover` without a short, or for more than is owed
    NoShortPosition,
    /// `buy` while short, or `short` while long
    OppositePosition,
    /// the instrument may not be sold short
    ShortNotAllowed,
    /// shorts would exceed the allowed multiple of the capital
    LeverageExceeded,
    /// a stop-loss or take-profit on the wrong side, or on an order that closes
    WrongSide,
    /// no price is known yet
    NoMarketData,
    /// the market data is stale or unverified
    StaleData,
    /// the venue does not trade it now
    MarketPaused,
    /// the book is empty on the side needed
    NoLiquidity,
    /// more orders in one event than allowed
    TooManyOrders,
    /// sent while warm-up history is delivered
    WarmingUp,
    /// a risk limit
    RiskLimit,
    /// the strategy is halted
    Halted,
    /// a post-only order that would take liquidity
    WouldTake,
}

impl RejectReason {
    /// The name used in files and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidNumber => "invalid-number",
            Self::UnknownSymbol => "unknown-symbol",
            Self::UnknownOrder => "unknown-order",
            Self::Unsupported => "unsupported",
            Self::BelowMinimumQuantity => "below-minimum-quantity",
            Self::BelowMinimumCost => "below-minimum-cost",
            Self::InsufficientCash => "insufficient-cash",
            Self::InsufficientPosition => "insufficient-position",
            Self::NoShortPosition => "no-short-position",
            Self::OppositePosition => "opposite-position",
            Self::ShortNotAllowed => "short-not-allowed",
            Self::LeverageExceeded => "leverage-exceeded",
            Self::WrongSide => "wrong-side",
            Self::NoMarketData => "no-market-data",
            Self::StaleData => "stale-data",
            Self::MarketPaused => "market-paused",
            Self::NoLiquidity => "no-liquidity",
            Self::TooManyOrders => "too-many-orders",
            Self::WarmingUp => "warming-up",
            Self::RiskLimit => "risk-limit",
            Self::Halted => "halted",
            Self::WouldTake => "would-take",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An execution of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// number within the lane, from 1
    pub id: u64,
    /// the order it belongs to
    pub order: OrderId,
    /// the input that caused it
    pub seq: u64,
    /// when, on the engine's clock
    pub ts: Ts,
    /// what was traded, in the run's table
    pub symbol: SymbolId,
    /// what it did to the position
    pub action: Action,
    /// how much
    pub qty: Qty,
    /// quote paid (for a buy) or received (for a sell), before the fee
    pub amount: Money,
    /// fee in the quote asset, never negative
    pub fee: Money,
    /// maker or taker
    pub liquidity: Liquidity,
    /// who caused the order
    pub cause: Cause,
    /// best price at which any part of it was filled, in price units; the
    /// average is `amount / qty`
    pub best_price: Price,
}
