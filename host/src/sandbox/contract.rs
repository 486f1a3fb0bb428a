//! The bindings to `wit/strategy.wit`, and the conversions between its types
//! and the engine's.

use wit_parser::{Resolve, WorldId};

use super::fault::Breach;
use crate::domain::{Action, Cause, Liquidity, OrderStatus, RejectReason, Side, TimeInForce};
use crate::strategy as engine;

/// Generated from the contract.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]
pub(super) mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "strategy",
    });
}

pub(super) use bindings::sandpaper::strategy::types as wit;

/// The package whose interfaces a strategy may import.
pub(super) const PACKAGE: &str = "sandpaper:strategy";
/// Everything that a strategy may import, by its whole name.
pub(super) const INTERFACES: [&str; 4] = [
    "sandpaper:strategy/types@0.1.0",
    "sandpaper:strategy/trading@0.1.0",
    "sandpaper:strategy/history@0.1.0",
    "sandpaper:strategy/report@0.1.0",
];
/// Everything that a strategy must export.
pub(super) const EXPORTS: [&str; 7] =
    ["describe", "start", "handle", "on-order", "stop", "save", "load"];

/// The contract's text.
const TEXT: &str = include_str!("../../../wit/strategy.wit");

/// The contract as `wit-parser` reads it.
pub(super) fn world() -> Result<(Resolve, WorldId), String> {
    let failed = |error: &dyn std::fmt::Display| format!("the contract: {error:#}");
    let mut resolve = Resolve::default();
    let package = resolve.push_str("strategy.wit", TEXT).map_err(|error| failed(&error))?;
    let world = resolve.select_world(&[package], Some("strategy")).map_err(|e| failed(&e))?;
    Ok((resolve, world))
}

/// Items that one list of a descriptor may have.
const DESCRIPTOR_ITEMS_MAX: usize = 1_000;
/// Bytes of a text in a descriptor.
const TEXT_BYTES_MAX: usize = 1_024;

/// Both enums have the same variants under the same names; a variant that is
/// missing on either side does not compile.
macro_rules! same_names {
    ($($from:ty => $to:ty { $($name:ident),* $(,)? })*) => {$(
        impl From<$from> for $to {
            fn from(value: $from) -> Self {
                match value { $(<$from>::$name => Self::$name,)* }
            }
        }
    )*};
}

same_names! {
    wit::Action => Action { Buy, Sell, Short, Cover }
    Action => wit::Action { Buy, Sell, Short, Cover }
    wit::TimeInForce => TimeInForce { Gtc, Ioc, Fok, Day }
    wit::LogLevel => engine::LogLevel { Trace, Debug, Info, Warn, Error }
    Side => wit::Side { Buy, Sell }
    OrderStatus => wit::OrderStatus {
        Accepted, Rejected, PartiallyFilled, Filled, Canceled, Expired, PendingNew, PendingAmend,
        PendingCancel,
    }
    Cause => wit::OrderCause { Strategy, StopLoss, TakeProfit, Liquidation, Operator }
    Liquidity => wit::Liquidity { Maker, Taker }
    RejectReason => wit::RejectReason {
        InvalidNumber, UnknownSymbol, UnknownOrder, Unsupported, BelowMinimumQuantity,
        BelowMinimumCost, InsufficientCash, InsufficientPosition, NoShortPosition,
        OppositePosition, ShortNotAllowed, LeverageExceeded, WrongSide, NoMarketData, StaleData,
        MarketPaused, NoLiquidity, TooManyOrders, WarmingUp, RiskLimit, Halted, WouldTake,
    }
}

/// Makes what is not a number the one canonical NaN, so that its payload, which
/// differs between machines, crosses to neither side.
pub(super) fn canonical(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

impl From<wit::Size> for engine::Size {
    fn from(size: wit::Size) -> Self {
        match size {
            wit::Size::Base(quantity) => Self::Base(canonical(quantity)),
            wit::Size::Quote(amount) => Self::Quote(canonical(amount)),
            wit::Size::All => Self::All,
        }
    }
}

impl From<wit::OrderKind> for engine::OrderKind {
    fn from(kind: wit::OrderKind) -> Self {
        match kind {
            wit::OrderKind::Market => Self::Market,
            wit::OrderKind::Limit(price) => Self::Limit(canonical(price)),
            wit::OrderKind::Stop(price) => Self::Stop(canonical(price)),
            wit::OrderKind::StopLimit((stop, limit)) => {
                Self::StopLimit(canonical(stop), canonical(limit))
            }
            wit::OrderKind::TrailingStop(distance) => Self::TrailingStop(canonical(distance)),
        }
    }
}

impl From<wit::Order> for engine::OrderRequest {
    fn from(order: wit::Order) -> Self {
        Self {
            action: order.action.into(),
            symbol: order.symbol,
            size: order.size.into(),
            kind: order.kind.into(),
            time_in_force: order.time_in_force.into(),
            post_only: order.post_only,
            reduce_only: order.reduce_only,
            stop_loss: order.stop_loss.map(canonical),
            take_profit: order.take_profit.map(canonical),
            reason: order.reason,
            metadata: order.metadata,
            good_till_ns: order.good_till_ns,
        }
    }
}

impl From<engine::AccountInfo> for wit::Account {
    fn from(account: engine::AccountInfo) -> Self {
        let positions = account.positions.iter().map(|position| wit::Position {
            symbol: position.symbol,
            quantity: position.quantity,
            entry_price: position.entry_price,
        });
        Self {
            positions: positions.collect(),
            currency: account.currency,
            cash: account.cash,
            equity: account.equity,
        }
    }
}

impl From<engine::CandleInfo> for wit::Candle {
    fn from(candle: engine::CandleInfo) -> Self {
        Self {
            interval_s: candle.interval_s,
            open_ts_ns: candle.open_ts_ns,
            open: candle.open,
            high: candle.high,
            low: candle.low,
            close: candle.close,
            volume: candle.volume,
            vwap: candle.vwap,
        }
    }
}

impl From<engine::TradeInfo> for wit::Trade {
    fn from(trade: engine::TradeInfo) -> Self {
        Self {
            ts_ns: trade.ts_ns,
            price: trade.price,
            quantity: trade.quantity,
            side: trade.side.into(),
            id: trade.id,
        }
    }
}

impl From<engine::BookInfo> for wit::Book {
    fn from(book: engine::BookInfo) -> Self {
        let levels = |side: Vec<(f64, f64)>| {
            side.into_iter().map(|(price, quantity)| wit::Level { price, quantity }).collect()
        };
        Self { bids: levels(book.bids), asks: levels(book.asks) }
    }
}

impl From<&engine::OrderUpdate> for wit::OrderUpdate {
    fn from(update: &engine::OrderUpdate) -> Self {
        Self {
            order: update.order,
            ts_ns: update.ts_ns,
            symbol: update.symbol,
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
            reason: update.reason.clone(),
            position: update.position,
            entry_price: update.entry_price,
            cash: update.cash,
            equity: update.equity,
        }
    }
}

impl From<&engine::StartInfo> for wit::StartInfo {
    fn from(info: &engine::StartInfo) -> Self {
        let instruments = info.instruments.iter().map(|known| wit::Instrument {
            symbol: known.symbol.clone(),
            base: known.base.clone(),
            quote: known.quote.clone(),
            price_increment: known.price_increment,
            quantity_increment: known.quantity_increment,
            quantity_min: known.quantity_min,
            cost_min: known.cost_min,
            short_allowed: known.short_allowed,
        });
        let parameters =
            info.parameters.iter().map(|(name, value)| (name.clone(), value.clone().into()));
        Self {
            run: info.run.clone(),
            seed: info.seed,
            ts_ns: info.ts_ns,
            instruments: instruments.collect(),
            parameters: parameters.collect(),
            account: info.account.clone().into(),
        }
    }
}

impl From<engine::Value> for wit::Value {
    fn from(value: engine::Value) -> Self {
        match value {
            engine::Value::Flag(flag) => Self::Flag(flag),
            engine::Value::Integer(integer) => Self::Integer(integer),
            engine::Value::Number(number) => Self::Number(number),
            engine::Value::Text(text) => Self::Text(text),
        }
    }
}

/// Takes what a strategy says of itself: lists and texts cut to sane sizes,
/// texts made safe to show, numbers finite.
///
/// # Errors
/// [`Breach`] naming what the contract does not allow.
pub(super) fn descriptor(said: wit::Descriptor) -> Result<engine::Descriptor, Breach> {
    check_items("symbols", said.symbols.len())?;
    check_items("subscriptions", said.subscriptions.len())?;
    check_items("parameters", said.parameters.len())?;
    let subscriptions = said.subscriptions.into_iter().map(|subscription| engine::Subscription {
        symbol: subscription.symbol.as_deref().map(text),
        channel: channel(subscription.channel),
    });
    let parameters = said.parameters.into_iter().map(parameter).collect::<Result<_, _>>()?;
    Ok(engine::Descriptor {
        name: text(&said.name),
        version: text(&said.version),
        symbols: said.symbols.iter().map(|symbol| text(symbol)).collect(),
        subscriptions: subscriptions.collect(),
        parameters,
    })
}

fn text(text: &str) -> String {
    engine::clean_text(text, TEXT_BYTES_MAX)
}

fn check_items(what: &str, count: usize) -> Result<(), Breach> {
    if count <= DESCRIPTOR_ITEMS_MAX {
        return Ok(());
    }
    Err(Breach(format!("it describes {count} {what}, more than {DESCRIPTOR_ITEMS_MAX}")))
}

fn channel(channel: wit::Channel) -> engine::Channel {
    match channel {
        wit::Channel::Trades => engine::Channel::Trades,
        wit::Channel::Book(depth) => engine::Channel::Book(depth),
        wit::Channel::Candles(interval_s) => engine::Channel::Candles(interval_s),
        wit::Channel::Timer(interval_ms) => engine::Channel::Timer(interval_ms),
        wit::Channel::Status => engine::Channel::Status,
    }
}

fn parameter(said: wit::Parameter) -> Result<engine::Parameter, Breach> {
    let name = text(&said.name);
    let default = match said.default {
        wit::Value::Integer(integer) => engine::Value::Integer(integer),
        wit::Value::Number(number) => engine::Value::Number(number),
        wit::Value::Flag(flag) => engine::Value::Flag(flag),
        wit::Value::Text(said) => engine::Value::Text(text(&said)),
    };
    let number = if let engine::Value::Number(number) = default { Some(number) } else { None };
    let mut numbers = [number, said.minimum, said.maximum].into_iter().flatten();
    if numbers.any(|number| !number.is_finite()) {
        return Err(Breach(format!("the parameter {name:?} has a number that is not finite")));
    }
    Ok(engine::Parameter {
        name,
        description: text(&said.description),
        default,
        minimum: said.minimum,
        maximum: said.maximum,
    })
}
