//! Where the account stands, from the host's statements alone.

use serde::{Deserialize, Serialize};

use crate::market::Market;
use crate::types::{Account, Action, OrderId, OrderUpdate, Position, Symbol};

/// Open orders that are remembered. The host allows far fewer; the bound is for
/// a host that never says what became of them.
const OPEN_ORDERS_MAX: usize = 4_096;

/// Cash and positions after the newest order update.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccountView {
    pub(crate) cash: f64,
    /// Equity as the host last stated it.
    stated_equity: f64,
    positions: Vec<Position>,
}

impl AccountView {
    pub(crate) fn new(account: &Account, symbols: usize) -> Self {
        let mut positions = vec![Position::default(); symbols];
        for (symbol, position) in &account.positions {
            if let Some(slot) = positions.get_mut(symbol.index()) {
                *slot = *position;
            }
        }
        Self { cash: account.cash, stated_equity: account.equity, positions }
    }

    pub(crate) fn apply(&mut self, update: &OrderUpdate) {
        self.cash = update.cash;
        self.stated_equity = update.equity;
        if let Some(slot) = self.positions.get_mut(update.symbol.index()) {
            *slot = Position { quantity: update.position, entry_price: update.entry_price };
        }
    }

    pub(crate) fn position(&self, symbol: Symbol) -> Position {
        self.positions.get(symbol.index()).copied().unwrap_or_default()
    }

    /// Cash and every position at its last price, or at its entry while it has
    /// none. The host's last statement holds where a position cannot be turned
    /// into account currency.
    pub(crate) fn equity(&self, market: &Market) -> f64 {
        let mut equity = self.cash;
        for (index, position) in (0..=u16::MAX).zip(&self.positions) {
            if position.is_flat() {
                continue;
            }
            let symbol = Symbol(index);
            let Some(rate) = market.quote_rate(symbol) else { return self.stated_equity };
            equity +=
                position.quantity * market.price(symbol).unwrap_or(position.entry_price) * rate;
        }
        equity
    }
}

/// An order that has no final update yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrder {
    /// Its number.
    pub id: OrderId,
    /// The instrument.
    pub symbol: Symbol,
    /// What it does to the position.
    pub action: Action,
}

/// What the strategy has asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    pub(crate) open: Vec<OpenOrder>,
    /// Whether the running call asked the host for something about orders, so
    /// that the batch must end at this event.
    pub(crate) sent: bool,
}

impl Requests {
    pub(crate) fn remember(&mut self, order: OpenOrder) {
        if self.open.len() >= OPEN_ORDERS_MAX {
            self.open.remove(0);
        }
        self.open.push(order);
    }

    pub(crate) fn apply(&mut self, update: &OrderUpdate) {
        if update.status.is_final() {
            self.open.retain(|order| order.id != update.order);
        }
    }
}
