//! The harness's side of the contract: takes orders and keeps the account.

use crate::host::Host;
use crate::types::{
    Account, Action, Candle, Instrument, Level, Liquidity, LogLevel, Order, OrderCause, OrderId,
    OrderKind, OrderStatus, OrderUpdate, Position, RejectReason, Size, StartInfo, Symbol, Trade,
};

/// An order as the strategy sent it, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct SentOrder {
    /// Its number.
    pub id: OrderId,
    /// The order.
    pub order: Order,
    /// Where it stands.
    pub status: OrderStatus,
    /// Its whole quantity in base units.
    pub quantity: f64,
    /// What has been filled of it, base units.
    pub filled: f64,
}

/// Stop and target of a position.
#[derive(Clone, Copy, Debug, Default)]
struct Exits {
    stop_loss: Option<f64>,
    take_profit: Option<f64>,
}

/// The account and the orders.
pub(super) struct Desk {
    currency: String,
    instruments: Vec<Instrument>,
    fee_rate: f64,
    prices: Vec<f64>,
    positions: Vec<Position>,
    exits: Vec<Exits>,
    pub(super) cash: f64,
    pub(super) sent: Vec<SentOrder>,
    pub(super) updates: Vec<OrderUpdate>,
    pub(super) canceled: Vec<OrderId>,
    pub(super) indicators: Vec<(String, f64)>,
    pub(super) logs: Vec<(LogLevel, String)>,
    pub(super) fill_at_once: bool,
    pub(super) reject_all: Option<RejectReason>,
    /// Orders not yet answered.
    fresh: Vec<usize>,
    cancels: Vec<OrderId>,
    /// Updates not yet given to the strategy.
    outgoing: Vec<OrderUpdate>,
    /// Numbers of closing orders that the desk itself makes.
    next_own_order: u64,
}

impl Desk {
    pub(super) fn new(info: &StartInfo, fee_rate: f64) -> Self {
        let symbols = info.instruments.len();
        Self {
            currency: info.account.currency.clone(),
            instruments: info.instruments.clone(),
            fee_rate,
            prices: vec![0.0; symbols],
            positions: vec![Position::default(); symbols],
            exits: vec![Exits::default(); symbols],
            cash: info.account.cash,
            sent: Vec::new(),
            updates: Vec::new(),
            canceled: Vec::new(),
            indicators: Vec::new(),
            logs: Vec::new(),
            fill_at_once: true,
            reject_all: None,
            fresh: Vec::new(),
            cancels: Vec::new(),
            outgoing: Vec::new(),
            next_own_order: 1 << 32,
        }
    }

    pub(super) fn mark(&mut self, symbol: Symbol, price: f64) {
        self.prices[symbol.index()] = price;
    }

    pub(super) fn position(&self, symbol: Symbol) -> Position {
        self.positions[symbol.index()]
    }

    pub(super) fn equity(&self) -> f64 {
        let marked = self.positions.iter().zip(&self.prices);
        self.cash + marked.map(|(position, price)| position.quantity * price).sum::<f64>()
    }

    /// Decides on what was asked for, and hands over the updates so far.
    pub(super) fn answer(&mut self, ts_ns: u64) -> Vec<OrderUpdate> {
        for index in std::mem::take(&mut self.fresh) {
            self.decide(index, ts_ns);
        }
        for id in std::mem::take(&mut self.cancels) {
            self.canceled.push(id);
            if let Some(index) = self.open(id) {
                self.update(index, OrderStatus::Canceled, None, ts_ns);
            }
        }
        let updates = std::mem::take(&mut self.outgoing);
        self.updates.extend(updates.iter().cloned());
        updates
    }

    fn decide(&mut self, index: usize, ts_ns: u64) {
        let order = &self.sent[index].order;
        let market = order.kind == OrderKind::Market;
        let symbol = order.symbol;
        match self.reject_all.map_or_else(|| self.quantity(order), Err) {
            Err(reason) => self.update(index, OrderStatus::Rejected, Some(reason), ts_ns),
            Ok(quantity) => {
                self.sent[index].quantity = quantity;
                self.update(index, OrderStatus::Accepted, None, ts_ns);
                if market && self.fill_at_once {
                    self.fill_index(index, quantity, self.prices[symbol.index()], ts_ns);
                }
            }
        }
    }

    /// The order's quantity in base units, if its action fits the position.
    fn quantity(&self, order: &Order) -> Result<f64, RejectReason> {
        let slot = order.symbol.index();
        let instrument = self.instruments.get(slot).ok_or(RejectReason::UnknownSymbol)?;
        let (price, held) = (self.prices[slot], self.positions[slot].quantity);
        if price <= 0.0 {
            return Err(RejectReason::NoMarketData);
        }
        let closes = matches!(order.action, Action::Sell | Action::Cover);
        let quantity = match order.size {
            Size::Base(quantity) => quantity,
            Size::Quote(amount) => amount / price,
            Size::All if closes => held.abs(),
            Size::All => self.cash / (price * (1.0 + self.fee_rate)),
        };
        let right_side = |long: bool, exit: Option<f64>| {
            exit.is_none_or(|exit| if long { exit > price } else { exit < price })
        };
        match order.action {
            Action::Sell if held <= 0.0 || quantity > held => {
                Err(RejectReason::InsufficientPosition)
            }
            Action::Cover if held >= 0.0 || quantity > -held => Err(RejectReason::NoShortPosition),
            Action::Buy if held < 0.0 => Err(RejectReason::OppositePosition),
            Action::Short if held > 0.0 => Err(RejectReason::OppositePosition),
            Action::Short if !instrument.short_allowed => Err(RejectReason::ShortNotAllowed),
            _ if closes && (order.stop_loss.is_some() || order.take_profit.is_some()) => {
                Err(RejectReason::WrongSide)
            }
            Action::Buy | Action::Short
                if !right_side(order.action == Action::Buy, order.take_profit)
                    || !right_side(order.action == Action::Short, order.stop_loss) =>
            {
                Err(RejectReason::WrongSide)
            }
            Action::Buy if quantity * price * (1.0 + self.fee_rate) > self.cash * (1.0 + 1e-12) => {
                Err(RejectReason::InsufficientCash)
            }
            _ if !(quantity > 0.0 && quantity.is_finite()) => Err(RejectReason::InvalidNumber),
            _ if quantity < instrument.quantity_min => Err(RejectReason::BelowMinimumQuantity),
            _ if quantity * price < instrument.cost_min => Err(RejectReason::BelowMinimumCost),
            _ => Ok(quantity),
        }
    }

    fn open(&self, id: OrderId) -> Option<usize> {
        self.sent.iter().position(|sent| sent.id == id && !sent.status.is_final())
    }

    #[track_caller]
    pub(super) fn fill(&mut self, id: OrderId, quantity: f64, price: f64, ts_ns: u64) {
        let Some(index) = self.open(id) else { panic!("no open order {}", id.0) };
        self.fill_index(index, quantity, price, ts_ns);
    }

    #[track_caller]
    pub(super) fn reject(&mut self, id: OrderId, reason: RejectReason, ts_ns: u64) {
        let Some(index) = self.open(id) else { panic!("no open order {}", id.0) };
        self.update(index, OrderStatus::Rejected, Some(reason), ts_ns);
    }

    fn fill_index(&mut self, index: usize, quantity: f64, price: f64, ts_ns: u64) {
        let sent = &mut self.sent[index];
        let leaves = sent.quantity - sent.filled;
        let whole = quantity >= leaves;
        let filled = if whole { leaves } else { quantity };
        sent.filled += filled;
        let status = if whole { OrderStatus::Filled } else { OrderStatus::PartiallyFilled };
        let order = sent.order.clone();
        let exits = &mut self.exits[order.symbol.index()];
        exits.stop_loss = order.stop_loss.or(exits.stop_loss);
        exits.take_profit = order.take_profit.or(exits.take_profit);
        self.apply(order.symbol, order.action, filled, price);
        self.update(index, status, None, ts_ns);
        if let Some(update) = self.outgoing.last_mut() {
            update.filled = filled;
            update.price = price;
            update.fee = filled * price * self.fee_rate;
            update.liquidity = Some(Liquidity::Taker);
        }
    }

    /// Books a fill.
    fn apply(&mut self, symbol: Symbol, action: Action, quantity: f64, price: f64) {
        let position = &mut self.positions[symbol.index()];
        let held = position.quantity.abs();
        match action {
            Action::Buy | Action::Short => {
                position.entry_price =
                    (held * position.entry_price + quantity * price) / (held + quantity);
            }
            Action::Sell | Action::Cover if quantity >= held => {
                self.exits[symbol.index()] = Exits::default();
                position.entry_price = 0.0;
            }
            Action::Sell | Action::Cover => {}
        }
        let buys = matches!(action, Action::Buy | Action::Cover);
        let signed = if buys { quantity } else { -quantity };
        position.quantity += signed;
        self.cash -= signed * price + quantity * price * self.fee_rate;
    }

    /// Closes the positions whose stop or target the last price has reached.
    pub(super) fn close_reached(&mut self, ts_ns: u64) {
        for slot in 0..self.positions.len() {
            let (position, exits, price) =
                (self.positions[slot], self.exits[slot], self.prices[slot]);
            let passed = |exit: Option<f64>, below: bool| {
                exit.is_some_and(|exit| if below { price <= exit } else { price >= exit })
            };
            let cause = if position.is_flat() {
                continue;
            } else if passed(exits.stop_loss, position.is_long()) {
                OrderCause::StopLoss
            } else if passed(exits.take_profit, position.is_short()) {
                OrderCause::TakeProfit
            } else {
                continue;
            };
            self.close(slot, cause, ts_ns);
        }
    }

    fn close(&mut self, slot: usize, cause: OrderCause, ts_ns: u64) {
        let (position, price) = (self.positions[slot], self.prices[slot]);
        let action = if position.is_long() { Action::Sell } else { Action::Cover };
        let symbol = self.symbol(slot);
        let quantity = position.quantity.abs();
        self.apply(symbol, action, quantity, price);
        let id = OrderId(self.next_own_order);
        self.next_own_order += 1;
        let mut update = self.statement(id, symbol, action, ts_ns);
        update.status = OrderStatus::Filled;
        update.cause = cause;
        update.quantity = quantity;
        update.filled = quantity;
        update.price = price;
        update.fee = quantity * price * self.fee_rate;
        update.liquidity = Some(Liquidity::Taker);
        self.outgoing.push(update);
    }

    fn symbol(&self, slot: usize) -> Symbol {
        Symbol(u16::try_from(slot).unwrap_or(u16::MAX))
    }

    fn update(
        &mut self,
        index: usize,
        status: OrderStatus,
        reject: Option<RejectReason>,
        ts_ns: u64,
    ) {
        self.sent[index].status = status;
        let sent = &self.sent[index];
        let mut update = self.statement(sent.id, sent.order.symbol, sent.order.action, ts_ns);
        update.status = status;
        update.reject = reject;
        update.quantity = sent.quantity;
        update.leaves = if status.is_final() { 0.0 } else { sent.quantity - sent.filled };
        update.reason.clone_from(&sent.order.reason);
        self.outgoing.push(update);
    }

    /// An update that says where the account stands.
    fn statement(&self, order: OrderId, symbol: Symbol, action: Action, ts_ns: u64) -> OrderUpdate {
        let position = self.position(symbol);
        OrderUpdate {
            order,
            ts_ns,
            symbol,
            action,
            status: OrderStatus::Accepted,
            cause: OrderCause::Strategy,
            reject: None,
            quantity: 0.0,
            filled: 0.0,
            leaves: 0.0,
            price: 0.0,
            fee: 0.0,
            liquidity: None,
            reason: String::new(),
            position: position.quantity,
            entry_price: position.entry_price,
            cash: self.cash,
            equity: self.equity(),
        }
    }
}

impl Host for Desk {
    fn submit(&mut self, order: Order) -> Result<OrderId, RejectReason> {
        let id = OrderId(self.sent.len() as u64 + 1);
        self.fresh.push(self.sent.len());
        let status = OrderStatus::Accepted;
        self.sent.push(SentOrder { id, order, status, quantity: 0.0, filled: 0.0 });
        Ok(id)
    }

    fn cancel(&mut self, order: OrderId) -> bool {
        self.cancels.push(order);
        true
    }

    fn cancel_all(&mut self, symbol: Option<Symbol>) {
        let chosen = self.sent.iter().filter(|sent| {
            !sent.status.is_final() && symbol.is_none_or(|symbol| sent.order.symbol == symbol)
        });
        self.cancels.extend(chosen.map(|sent| sent.id));
    }

    fn amend(&mut self, order: OrderId, size: Option<f64>, price: Option<f64>) -> bool {
        if let Some(index) = self.open(order) {
            let sent = &mut self.sent[index];
            sent.quantity = size.unwrap_or(sent.quantity);
            if let (OrderKind::Limit(limit), Some(price)) = (&mut sent.order.kind, price) {
                *limit = price;
            }
        }
        true
    }

    fn account(&mut self) -> Account {
        let held = |(slot, position): (usize, &Position)| {
            (!position.is_flat()).then(|| (self.symbol(slot), *position))
        };
        Account {
            currency: self.currency.clone(),
            cash: self.cash,
            equity: self.equity(),
            positions: self.positions.iter().enumerate().filter_map(held).collect(),
        }
    }

    /// Before the start there was nothing; warm-up candles are fed as events.
    fn candles(&mut self, _: Symbol, _: u32, _: u32) -> Vec<Candle> {
        Vec::new()
    }

    fn trades(&mut self, _: Symbol, _: u32) -> Vec<Trade> {
        Vec::new()
    }

    fn book(&mut self, _: Symbol, _: u32) -> (Vec<Level>, Vec<Level>) {
        (Vec::new(), Vec::new())
    }

    fn log(&mut self, level: LogLevel, message: &str) {
        self.logs.push((level, message.to_owned()));
    }

    fn indicator(&mut self, name: &str, value: f64) {
        self.indicators.push((name.to_owned(), value));
    }
}
