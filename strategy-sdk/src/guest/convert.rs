//! Between the generated types and the SDK's own.

use super::wit;
use crate::description::{Channel, Description, Parameter, Subscription};
use crate::types::{
    Account, Action, Candle, Instrument, Level, Liquidity, LogLevel, Order, OrderCause, OrderId,
    OrderKind, OrderStatus, OrderUpdate, Position, RejectReason, Side, Size, StartInfo, Symbol,
    TimeInForce, Trade, Value,
};

macro_rules! same_cases {
    ($from:ty => $to:ty { $($case:ident),* $(,)? }) => {
        impl From<$from> for $to {
            fn from(value: $from) -> Self {
                match value { $(<$from>::$case => Self::$case,)* }
            }
        }
    };
}

same_cases!(Action => wit::Action { Buy, Sell, Short, Cover });
same_cases!(wit::Action => Action { Buy, Sell, Short, Cover });
same_cases!(wit::Side => Side { Buy, Sell });
same_cases!(LogLevel => wit::LogLevel { Trace, Debug, Info, Warn, Error });
same_cases!(TimeInForce => wit::TimeInForce { Gtc, Ioc, Fok, Day });
same_cases!(wit::Liquidity => Liquidity { Maker, Taker });
same_cases!(wit::OrderStatus => OrderStatus {
    Accepted, Rejected, PartiallyFilled, Filled, Canceled, Expired, PendingNew, PendingAmend,
    PendingCancel,
});
same_cases!(wit::OrderCause => OrderCause {
    Strategy, StopLoss, TakeProfit, Liquidation, Operator,
});
same_cases!(wit::RejectReason => RejectReason {
    InvalidNumber, UnknownSymbol, UnknownOrder, Unsupported, BelowMinimumQuantity,
    BelowMinimumCost, InsufficientCash, InsufficientPosition, NoShortPosition, OppositePosition,
    ShortNotAllowed, LeverageExceeded, WrongSide, NoMarketData, StaleData, MarketPaused,
    NoLiquidity, TooManyOrders, WarmingUp, RiskLimit, Halted, WouldTake,
});

impl From<Order> for wit::Order {
    fn from(order: Order) -> Self {
        Self {
            action: order.action.into(),
            symbol: order.symbol.0,
            size: match order.size {
                Size::Base(quantity) => wit::Size::Base(quantity),
                Size::Quote(amount) => wit::Size::Quote(amount),
                Size::All => wit::Size::All,
            },
            kind: match order.kind {
                OrderKind::Market => wit::OrderKind::Market,
                OrderKind::Limit(price) => wit::OrderKind::Limit(price),
                OrderKind::Stop(price) => wit::OrderKind::Stop(price),
                OrderKind::StopLimit { stop, limit } => wit::OrderKind::StopLimit((stop, limit)),
                OrderKind::TrailingStop(distance) => wit::OrderKind::TrailingStop(distance),
            },
            time_in_force: order.time_in_force.into(),
            post_only: order.post_only,
            reduce_only: order.reduce_only,
            stop_loss: order.stop_loss,
            take_profit: order.take_profit,
            reason: order.reason,
            metadata: order.metadata,
            good_till_ns: order.good_till_ns,
        }
    }
}

impl From<wit::OrderUpdate> for OrderUpdate {
    fn from(update: wit::OrderUpdate) -> Self {
        Self {
            order: OrderId(update.order),
            ts_ns: update.ts_ns,
            symbol: Symbol(update.symbol),
            action: update.action.into(),
            status: update.status.into(),
            cause: update.cause.into(),
            reject: update.reject.map(Into::into),
            quantity: update.quantity,
            filled: update.filled,
            leaves: update.leaves,
            price: update.price,
            fee: update.fee,
            liquidity: update.liquidity.map(Into::into),
            reason: update.reason,
            position: update.position,
            entry_price: update.entry_price,
            cash: update.cash,
            equity: update.equity,
        }
    }
}

impl From<wit::Account> for Account {
    fn from(account: wit::Account) -> Self {
        let position = |position: wit::Position| {
            let wit::Position { symbol, quantity, entry_price } = position;
            (Symbol(symbol), Position { quantity, entry_price })
        };
        Self {
            currency: account.currency,
            cash: account.cash,
            equity: account.equity,
            positions: account.positions.into_iter().map(position).collect(),
        }
    }
}

impl From<wit::Instrument> for Instrument {
    fn from(instrument: wit::Instrument) -> Self {
        Self {
            symbol: instrument.symbol,
            base: instrument.base,
            quote: instrument.quote,
            price_increment: instrument.price_increment,
            quantity_increment: instrument.quantity_increment,
            quantity_min: instrument.quantity_min,
            cost_min: instrument.cost_min,
            short_allowed: instrument.short_allowed,
        }
    }
}

impl From<wit::Value> for Value {
    fn from(value: wit::Value) -> Self {
        match value {
            wit::Value::Integer(value) => Self::Integer(value),
            wit::Value::Number(value) => Self::Number(value),
            wit::Value::Flag(value) => Self::Flag(value),
            wit::Value::Text(value) => Self::Text(value),
        }
    }
}

impl From<Value> for wit::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Integer(value) => Self::Integer(value),
            Value::Number(value) => Self::Number(value),
            Value::Flag(value) => Self::Flag(value),
            Value::Text(value) => Self::Text(value),
        }
    }
}

impl From<wit::StartInfo> for StartInfo {
    fn from(info: wit::StartInfo) -> Self {
        Self {
            run: info.run,
            seed: info.seed,
            ts_ns: info.ts_ns,
            instruments: info.instruments.into_iter().map(Into::into).collect(),
            parameters: info
                .parameters
                .into_iter()
                .map(|(name, value)| (name, value.into()))
                .collect(),
            account: info.account.into(),
        }
    }
}

impl From<&Subscription> for wit::Subscription {
    fn from(subscription: &Subscription) -> Self {
        Self {
            symbol: subscription.symbol.clone(),
            channel: match subscription.channel {
                Channel::Trades => wit::Channel::Trades,
                Channel::Book(depth) => wit::Channel::Book(depth),
                Channel::Candles(interval_s) => wit::Channel::Candles(interval_s),
                Channel::Timer(interval_ms) => wit::Channel::Timer(interval_ms),
                Channel::Status => wit::Channel::Status,
            },
        }
    }
}

impl From<&Parameter> for wit::Parameter {
    fn from(parameter: &Parameter) -> Self {
        Self {
            name: parameter.name.clone(),
            description: parameter.description.clone(),
            default: parameter.default.clone().into(),
            minimum: parameter.minimum,
            maximum: parameter.maximum,
        }
    }
}

impl From<&Description> for wit::Descriptor {
    fn from(description: &Description) -> Self {
        Self {
            name: description.name.clone(),
            version: description.version.clone(),
            symbols: description.symbols.clone(),
            subscriptions: description.subscriptions.iter().map(Into::into).collect(),
            parameters: description.parameters.iter().map(Into::into).collect(),
        }
    }
}

/// History carries neither symbol nor flags: every candle in it is closed, one
/// without volume had no trade, and none says what may be missing from it.
pub(super) fn candle(symbol: Symbol, candle: wit::Candle) -> Candle {
    Candle {
        symbol,
        interval_s: candle.interval_s,
        open_ts_ns: candle.open_ts_ns,
        open: candle.open,
        high: candle.high,
        low: candle.low,
        close: candle.close,
        volume: candle.volume,
        vwap: candle.vwap,
        warm_up: false,
        empty: candle.volume == 0.0,
        partial: false,
    }
}

pub(super) fn trade(symbol: Symbol, trade: wit::Trade) -> Trade {
    Trade {
        symbol,
        ts_ns: trade.ts_ns,
        price: trade.price,
        quantity: trade.quantity,
        side: trade.side.into(),
        id: trade.id,
    }
}

pub(super) fn levels(levels: Vec<wit::Level>) -> Vec<Level> {
    let level = |level: wit::Level| Level { price: level.price, quantity: level.quantity };
    levels.into_iter().map(level).collect()
}
