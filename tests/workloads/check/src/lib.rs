//! Runs a strategy natively on trades, with market orders that fill at once at
//! the price that caused them: the rules of the three benchmark workloads, in the
//! least code, to hold the workloads themselves against the expected figures.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use strategy_sdk::types::{
    Account, Action, Candle, Instrument, Level, Liquidity, LogLevel, Order, OrderCause, OrderId,
    OrderStatus, OrderUpdate, RejectReason, Size, StartInfo, Symbol, Trade,
};
use strategy_sdk::{Host, Runner, Strategy, words};

const CASH: f64 = 100_000.0;
const FEE_RATE: f64 = 0.001;
const SLIPPAGE_RATE: f64 = 0.0005;
const MINUTE_NS: u64 = 60_000_000_000;

/// Fills every order whole and at once.
#[derive(Debug, Default)]
pub struct InstantHost {
    sent: Vec<Order>,
    orders: u64,
    /// Fills so far.
    pub fills: u64,
    /// Cash now.
    pub cash: f64,
    /// Position in the one symbol, base units.
    pub position: f64,
    price: f64,
}

impl InstantHost {
    /// Cash, and the position at the last price.
    pub fn equity(&self) -> f64 {
        self.cash + self.position * self.price
    }

    fn fill(&mut self, order: &Order, id: OrderId, ts_ns: u64) -> OrderUpdate {
        let quantity = match order.size {
            Size::Base(quantity) => quantity,
            Size::Quote(amount) => amount / self.price,
            Size::All => self.position,
        };
        let signed = if order.action == Action::Buy { quantity } else { -quantity };
        let price = self.price * (1.0 + SLIPPAGE_RATE * signed.signum());
        let fee = price * quantity * FEE_RATE;
        self.cash -= signed * price + fee;
        self.position += signed;
        self.fills += 1;
        OrderUpdate {
            order: id,
            ts_ns,
            symbol: order.symbol,
            action: order.action,
            status: OrderStatus::Filled,
            cause: OrderCause::Strategy,
            reject: None,
            quantity,
            filled: quantity,
            leaves: 0.0,
            price,
            fee,
            liquidity: Some(Liquidity::Taker),
            reason: String::new(),
            position: self.position,
            entry_price: price,
            cash: self.cash,
            equity: self.equity(),
        }
    }
}

impl Host for InstantHost {
    fn submit(&mut self, order: Order) -> Result<OrderId, RejectReason> {
        self.sent.push(order);
        self.orders += 1;
        Ok(OrderId(self.orders))
    }
    fn cancel(&mut self, _: OrderId) -> bool {
        true
    }
    fn cancel_all(&mut self, _: Option<Symbol>) {}
    fn amend(&mut self, _: OrderId, _: Option<f64>, _: Option<f64>) -> bool {
        true
    }
    fn account(&mut self) -> Account {
        Account { cash: self.cash, equity: self.equity(), ..Account::default() }
    }
    fn candles(&mut self, _: Symbol, _: u32, _: u32) -> Vec<Candle> {
        Vec::new()
    }
    fn trades(&mut self, _: Symbol, _: u32) -> Vec<Trade> {
        Vec::new()
    }
    fn book(&mut self, _: Symbol, _: u32) -> (Vec<Level>, Vec<Level>) {
        (Vec::new(), Vec::new())
    }
    fn log(&mut self, _: LogLevel, _: &str) {}
    fn indicator(&mut self, _: &str, _: f64) {}
}

/// One-minute candles of a single symbol, closed by the first later trade.
#[derive(Debug, Default)]
struct Minutes {
    open: Option<Candle>,
}

impl Minutes {
    fn take(&mut self, trade: &Trade) -> Option<Candle> {
        let open_ts_ns = trade.ts_ns - trade.ts_ns % MINUTE_NS;
        if let Some(candle) = self.open.as_mut().filter(|candle| candle.open_ts_ns == open_ts_ns) {
            candle.high = candle.high.max(trade.price);
            candle.low = candle.low.min(trade.price);
            candle.close = trade.price;
            candle.volume += trade.quantity;
            return None;
        }
        self.open.replace(Candle {
            symbol: trade.symbol,
            interval_s: 60,
            open_ts_ns,
            open: trade.price,
            high: trade.price,
            low: trade.price,
            close: trade.price,
            volume: trade.quantity,
            vwap: trade.price,
            warm_up: false,
            empty: false,
        })
    }
}

/// Runs a strategy over trades of one symbol.
///
/// # Errors
/// What the strategy or the trades' source says.
pub fn run<S: Strategy>(
    trades: impl Iterator<Item = Result<Trade, String>>,
) -> Result<(Runner<S>, InstantHost), String> {
    let mut runner = Runner::<S>::new();
    let mut host = InstantHost { cash: CASH, ..InstantHost::default() };
    runner.start(&mut host, start_info())?;
    let (mut minutes, mut batch) = (Minutes::default(), Vec::new());
    for trade in trades {
        let trade = trade?;
        if let Some(candle) = minutes.take(&trade) {
            words::push_candle(&mut batch, trade.ts_ns, &candle);
            host.price = candle.close;
            step(&mut runner, &mut host, &mut batch, trade.ts_ns)?;
        }
        words::push_trade(&mut batch, &trade);
        host.price = trade.price;
        step(&mut runner, &mut host, &mut batch, trade.ts_ns)?;
    }
    Ok((runner, host))
}

fn step<S: Strategy>(
    runner: &mut Runner<S>,
    host: &mut InstantHost,
    batch: &mut Vec<u64>,
    ts_ns: u64,
) -> Result<(), String> {
    runner.handle(host, batch)?;
    batch.clear();
    for order in std::mem::take(&mut host.sent) {
        let update = host.fill(&order, OrderId(host.orders), ts_ns);
        runner.on_order(host, &update)?;
    }
    Ok(())
}

fn start_info() -> StartInfo {
    StartInfo {
        run: "workload".to_owned(),
        seed: 1,
        ts_ns: 0,
        instruments: vec![Instrument {
            symbol: "SOL-USD".to_owned(),
            base: "SOL".to_owned(),
            quote: "USD".to_owned(),
            price_increment: 0.01,
            quantity_increment: 0.001,
            quantity_min: 0.0,
            cost_min: 0.0,
            short_allowed: false,
        }],
        parameters: Vec::new(),
        account: Account {
            currency: "USD".to_owned(),
            cash: CASH,
            equity: CASH,
            positions: Vec::new(),
        },
    }
}
