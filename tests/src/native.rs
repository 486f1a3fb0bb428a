//! A strategy of the SDK as native code behind the engine's trait, with the
//! same runner that drives it inside the sandbox: what the two give must be
//! equal to the last bit.

use std::sync::Arc;

use sandpaper::domain;
use sandpaper::strategy as engine;
use sandpaper::strategy::{Effects, Fault, FaultKind, HistoryRef};
use strategy_sdk::types as sdk;
use strategy_sdk::{Channel, Host, Runner, Strategy};

/// A native strategy.
pub struct Native<S: Strategy> {
    runner: Runner<S>,
    calls: u64,
}

impl<S: Strategy> Native<S> {
    /// Before its start.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a strategy is made, not defaulted")]
    pub fn new() -> Self {
        Self { runner: Runner::new(), calls: 0 }
    }
}

/// What the runner asks of the engine during one call.
struct Call<'a> {
    effects: &'a mut Effects,
    history: Option<HistoryRef>,
}

impl Call<'_> {
    /// The look back, which the runner asks for only where there is one.
    fn history(&self) -> Arc<dyn engine::History> {
        self.history.clone().expect("only asked at the start and on order news")
    }
}

impl Host for Call<'_> {
    fn submit(&mut self, order: sdk::Order) -> Result<sdk::OrderId, sdk::RejectReason> {
        self.effects.submit(request(order)).map(sdk::OrderId).map_err(reason)
    }

    fn cancel(&mut self, order: sdk::OrderId) -> bool {
        self.effects.request(engine::Intent::Cancel { order: order.0 })
    }

    fn cancel_all(&mut self, symbol: Option<sdk::Symbol>) {
        self.effects.request(engine::Intent::CancelAll { symbol: symbol.map(|s| s.0) });
    }

    fn amend(&mut self, order: sdk::OrderId, size: Option<f64>, price: Option<f64>) -> bool {
        self.effects.request(engine::Intent::Amend { order: order.0, size, price })
    }

    fn account(&mut self) -> sdk::Account {
        account(&self.history().account())
    }

    fn candles(&mut self, symbol: sdk::Symbol, interval_s: u32, newest: u32) -> Vec<sdk::Candle> {
        let candle = |c: engine::CandleInfo| sdk::Candle {
            symbol,
            interval_s: c.interval_s,
            open_ts_ns: c.open_ts_ns,
            open: c.open,
            high: c.high,
            low: c.low,
            close: c.close,
            volume: c.volume,
            vwap: c.vwap,
            warm_up: false,
            empty: false,
            partial: false,
        };
        self.history().candles(symbol.0, interval_s, newest).into_iter().map(candle).collect()
    }

    fn trades(&mut self, symbol: sdk::Symbol, newest: u32) -> Vec<sdk::Trade> {
        let trade = |t: engine::TradeInfo| sdk::Trade {
            symbol,
            ts_ns: t.ts_ns,
            price: t.price,
            quantity: t.quantity,
            side: match t.side {
                domain::Side::Buy => sdk::Side::Buy,
                domain::Side::Sell => sdk::Side::Sell,
            },
            id: t.id,
        };
        self.history().trades(symbol.0, newest).into_iter().map(trade).collect()
    }

    fn book(&mut self, symbol: sdk::Symbol, depth: u32) -> (Vec<sdk::Level>, Vec<sdk::Level>) {
        let book = self.history().book(symbol.0, depth);
        let levels = |levels: Vec<(f64, f64)>| {
            levels.into_iter().map(|(price, quantity)| sdk::Level { price, quantity }).collect()
        };
        (levels(book.bids), levels(book.asks))
    }

    fn log(&mut self, level: sdk::LogLevel, message: &str) {
        let level = match level {
            sdk::LogLevel::Trace => engine::LogLevel::Trace,
            sdk::LogLevel::Debug => engine::LogLevel::Debug,
            sdk::LogLevel::Info => engine::LogLevel::Info,
            sdk::LogLevel::Warn => engine::LogLevel::Warn,
            sdk::LogLevel::Error => engine::LogLevel::Error,
        };
        self.effects.log(level, message);
    }

    fn indicator(&mut self, name: &str, value: f64) {
        self.effects.indicator(name, value);
    }
}

impl<S: Strategy + Send> engine::Strategy for Native<S> {
    fn describe(&mut self) -> Result<engine::Descriptor, Fault> {
        let d = self.runner.describe();
        let subscription = |s: &strategy_sdk::Subscription| engine::Subscription {
            symbol: s.symbol.clone(),
            channel: match s.channel {
                Channel::Trades => engine::Channel::Trades,
                Channel::Book(depth) => engine::Channel::Book(depth),
                Channel::Candles(interval_s) => engine::Channel::Candles(interval_s),
                Channel::Timer(interval_ms) => engine::Channel::Timer(interval_ms),
                Channel::Status => engine::Channel::Status,
            },
        };
        let parameter = |p: &strategy_sdk::Parameter| engine::Parameter {
            name: p.name.clone(),
            description: p.description.clone(),
            default: value_from(&p.default),
            minimum: p.minimum,
            maximum: p.maximum,
        };
        Ok(engine::Descriptor {
            name: d.name.clone(),
            version: d.version.clone(),
            symbols: d.symbols.clone(),
            subscriptions: d.subscriptions.iter().map(subscription).collect(),
            parameters: d.parameters.iter().map(parameter).collect(),
        })
    }

    fn start(
        &mut self,
        info: &engine::StartInfo,
        history: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        self.calls += 1;
        let info = start_info(info);
        let mut call = Call { effects, history: Some(history) };
        self.runner.start(&mut call, info).map_err(|e| Fault::new(FaultKind::Refused, e))
    }

    fn handle(&mut self, words: &[u64], _: u32, effects: &mut Effects) -> Result<u32, Fault> {
        self.calls += 1;
        let mut call = Call { effects, history: None };
        self.runner.handle(&mut call, words).map_err(|e| Fault::new(FaultKind::Trap, e))
    }

    fn on_order(
        &mut self,
        update: &engine::OrderUpdate,
        history: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        self.calls += 1;
        let mut call = Call { effects, history: Some(history) };
        let update = order_update(update);
        self.runner.on_order(&mut call, &update).map_err(|e| Fault::new(FaultKind::Trap, e))
    }

    fn stop(&mut self, effects: &mut Effects) -> Result<(), Fault> {
        let mut call = Call { effects, history: None };
        self.runner.stop(&mut call).map_err(|e| Fault::new(FaultKind::Trap, e))
    }

    fn save(&mut self) -> Result<Vec<u8>, Fault> {
        self.runner.save().map_err(|e| Fault::new(FaultKind::Refused, e))
    }

    fn load(&mut self, state: &[u8], from_version: &str) -> Result<(), Fault> {
        let loaded = self.runner.load(state, from_version);
        loaded.map_err(|e| Fault::new(FaultKind::Refused, e))
    }

    fn usage(&self) -> engine::Usage {
        engine::Usage { calls: self.calls, ..engine::Usage::default() }
    }
}

fn request(order: sdk::Order) -> engine::OrderRequest {
    engine::OrderRequest {
        action: match order.action {
            sdk::Action::Buy => domain::Action::Buy,
            sdk::Action::Sell => domain::Action::Sell,
            sdk::Action::Short => domain::Action::Short,
            sdk::Action::Cover => domain::Action::Cover,
        },
        symbol: order.symbol.0,
        size: match order.size {
            sdk::Size::Base(size) => engine::Size::Base(size),
            sdk::Size::Quote(size) => engine::Size::Quote(size),
            sdk::Size::All => engine::Size::All,
        },
        kind: match order.kind {
            sdk::OrderKind::Market => engine::OrderKind::Market,
            sdk::OrderKind::Limit(limit) => engine::OrderKind::Limit(limit),
            sdk::OrderKind::Stop(stop) => engine::OrderKind::Stop(stop),
            sdk::OrderKind::StopLimit { stop, limit } => engine::OrderKind::StopLimit(stop, limit),
            sdk::OrderKind::TrailingStop(distance) => engine::OrderKind::TrailingStop(distance),
        },
        time_in_force: match order.time_in_force {
            sdk::TimeInForce::Gtc => domain::TimeInForce::Gtc,
            sdk::TimeInForce::Ioc => domain::TimeInForce::Ioc,
            sdk::TimeInForce::Fok => domain::TimeInForce::Fok,
            sdk::TimeInForce::Day => domain::TimeInForce::Day,
        },
        post_only: order.post_only,
        reduce_only: order.reduce_only,
        stop_loss: order.stop_loss,
        take_profit: order.take_profit,
        reason: order.reason,
        metadata: order.metadata,
        good_till_ns: order.good_till_ns,
    }
}

/// Both sides list the reasons in the order of the contract.
fn reason(reason: domain::RejectReason) -> sdk::RejectReason {
    use domain::RejectReason as From;
    use sdk::RejectReason as To;
    match reason {
        From::InvalidNumber => To::InvalidNumber,
        From::UnknownSymbol => To::UnknownSymbol,
        From::UnknownOrder => To::UnknownOrder,
        From::Unsupported => To::Unsupported,
        From::BelowMinimumQuantity => To::BelowMinimumQuantity,
        From::BelowMinimumCost => To::BelowMinimumCost,
        From::InsufficientCash => To::InsufficientCash,
        From::InsufficientPosition => To::InsufficientPosition,
        From::NoShortPosition => To::NoShortPosition,
        From::OppositePosition => To::OppositePosition,
        From::ShortNotAllowed => To::ShortNotAllowed,
        From::LeverageExceeded => To::LeverageExceeded,
        From::WrongSide => To::WrongSide,
        From::NoMarketData => To::NoMarketData,
        From::StaleData => To::StaleData,
        From::MarketPaused => To::MarketPaused,
        From::NoLiquidity => To::NoLiquidity,
        From::TooManyOrders => To::TooManyOrders,
        From::WarmingUp => To::WarmingUp,
        From::RiskLimit => To::RiskLimit,
        From::Halted => To::Halted,
        From::WouldTake => To::WouldTake,
    }
}

fn value_from(value: &sdk::Value) -> engine::Value {
    match value {
        sdk::Value::Integer(value) => engine::Value::Integer(*value),
        sdk::Value::Number(value) => engine::Value::Number(*value),
        sdk::Value::Flag(value) => engine::Value::Flag(*value),
        sdk::Value::Text(value) => engine::Value::Text(value.clone()),
    }
}

fn value_to(value: &engine::Value) -> sdk::Value {
    match value {
        engine::Value::Integer(value) => sdk::Value::Integer(*value),
        engine::Value::Number(value) => sdk::Value::Number(*value),
        engine::Value::Flag(value) => sdk::Value::Flag(*value),
        engine::Value::Text(value) => sdk::Value::Text(value.clone()),
    }
}

fn account(account: &engine::AccountInfo) -> sdk::Account {
    let position = |p: &engine::PositionInfo| {
        let position = sdk::Position { quantity: p.quantity, entry_price: p.entry_price };
        (sdk::Symbol(p.symbol), position)
    };
    sdk::Account {
        currency: account.currency.clone(),
        cash: account.cash,
        equity: account.equity,
        positions: account.positions.iter().map(position).collect(),
    }
}

fn start_info(info: &engine::StartInfo) -> sdk::StartInfo {
    let instrument = |i: &engine::InstrumentInfo| sdk::Instrument {
        symbol: i.symbol.clone(),
        base: i.base.clone(),
        quote: i.quote.clone(),
        price_increment: i.price_increment,
        quantity_increment: i.quantity_increment,
        quantity_min: i.quantity_min,
        cost_min: i.cost_min,
        short_allowed: i.short_allowed,
    };
    sdk::StartInfo {
        run: info.run.clone(),
        seed: info.seed,
        ts_ns: info.ts_ns,
        instruments: info.instruments.iter().map(instrument).collect(),
        parameters: info.parameters.iter().map(|(n, v)| (n.clone(), value_to(v))).collect(),
        account: account(&info.account),
    }
}

fn order_update(update: &engine::OrderUpdate) -> sdk::OrderUpdate {
    sdk::OrderUpdate {
        order: sdk::OrderId(update.order),
        ts_ns: update.ts_ns,
        symbol: sdk::Symbol(update.symbol),
        action: match update.action {
            domain::Action::Buy => sdk::Action::Buy,
            domain::Action::Sell => sdk::Action::Sell,
            domain::Action::Short => sdk::Action::Short,
            domain::Action::Cover => sdk::Action::Cover,
        },
        status: match update.status {
            domain::OrderStatus::Accepted => sdk::OrderStatus::Accepted,
            domain::OrderStatus::Rejected => sdk::OrderStatus::Rejected,
            domain::OrderStatus::PartiallyFilled => sdk::OrderStatus::PartiallyFilled,
            domain::OrderStatus::Filled => sdk::OrderStatus::Filled,
            domain::OrderStatus::Canceled => sdk::OrderStatus::Canceled,
            domain::OrderStatus::Expired => sdk::OrderStatus::Expired,
            domain::OrderStatus::PendingNew => sdk::OrderStatus::PendingNew,
            domain::OrderStatus::PendingAmend => sdk::OrderStatus::PendingAmend,
            domain::OrderStatus::PendingCancel => sdk::OrderStatus::PendingCancel,
        },
        cause: match update.cause {
            domain::Cause::Strategy => sdk::OrderCause::Strategy,
            domain::Cause::StopLoss => sdk::OrderCause::StopLoss,
            domain::Cause::TakeProfit => sdk::OrderCause::TakeProfit,
            domain::Cause::Liquidation => sdk::OrderCause::Liquidation,
            domain::Cause::Operator => sdk::OrderCause::Operator,
        },
        reject: update.reject.map(reason),
        quantity: update.quantity,
        filled: update.filled,
        leaves: update.leaves,
        price: update.price,
        fee: update.fee,
        liquidity: update.liquidity.map(|liquidity| match liquidity {
            domain::Liquidity::Maker => sdk::Liquidity::Maker,
            domain::Liquidity::Taker => sdk::Liquidity::Taker,
        }),
        reason: update.reason.clone(),
        position: update.position,
        entry_price: update.entry_price,
        cash: update.cash,
        equity: update.equity,
    }
}
