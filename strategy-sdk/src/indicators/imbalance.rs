//! Which side weighs more, among trades and in the book.

use serde::{Deserialize, Serialize};

use crate::book::Book;
use crate::types::{Side, Trade};
use crate::window::Window;

/// Quantities are counted in this fraction of a base unit, the finest that
/// venues quote, so that sums are exact and a threshold is met exactly.
const UNITS_PER_BASE: f64 = 1e8;

/// (B − S) / (B + S) of the newest `period` trades by volume: 1 when takers only
/// bought, −1 when they only sold. It has a value from the first quantity on.
///
/// The sums are whole numbers of 1e-8 base units, so they neither drift nor
/// depend on the order of the trades.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TradeImbalance {
    /// Positive when the taker bought.
    window: Window<i64>,
    bought: i64,
    sold: i64,
    /// The most that one trade counts for, so that no sum can overflow.
    most: i64,
}

impl TradeImbalance {
    /// The imbalance of this many trades.
    pub fn new(period: usize) -> Self {
        let window = Window::new(period);
        let most = i64::try_from(window.size()).map_or(1, |size| i64::MAX / 4 / size);
        Self { window, bought: 0, sold: 0, most }
    }

    /// Takes a trade and returns the imbalance, once there is one.
    #[inline]
    pub fn update(&mut self, trade: &Trade) -> Option<f64> {
        self.push(trade.side, trade.quantity);
        self.value()
    }

    /// Takes a trade without computing the imbalance.
    #[inline]
    pub fn push(&mut self, side: Side, quantity: f64) {
        if !quantity.is_finite() {
            return;
        }
        // The cast saturates.
        let units = ((quantity * UNITS_PER_BASE + 0.5) as i64).clamp(0, self.most);
        let signed = if side == Side::Buy { units } else { -units };
        self.count(signed, 1);
        if let Some(left) = self.window.push(signed) {
            self.count(left, -1);
        }
    }

    #[inline]
    fn count(&mut self, signed: i64, times: i64) {
        if signed >= 0 {
            self.bought += times * signed;
        } else {
            self.sold -= times * signed;
        }
    }

    /// The imbalance of the newest trades.
    #[inline]
    pub fn value(&self) -> Option<f64> {
        let total = self.bought + self.sold;
        (total > 0).then(|| (self.bought - self.sold) as f64 / total as f64)
    }

    /// What takers bought and sold, base units.
    pub fn volumes(&self) -> (f64, f64) {
        (self.bought as f64 / UNITS_PER_BASE, self.sold as f64 / UNITS_PER_BASE)
    }

    /// Whether the window holds as many trades as its period.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.window.is_full()
    }
}

/// (B − A) / (B + A) of the quantities on the best levels of each side of a book,
/// kept until the next change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BookImbalance {
    levels: usize,
    value: Option<f64>,
}

impl BookImbalance {
    /// The imbalance of this many levels a side.
    pub fn new(levels: usize) -> Self {
        Self { levels: levels.max(1), value: None }
    }

    /// Takes a changed book and returns its imbalance, unless it is empty.
    pub fn update(&mut self, book: &Book) -> Option<f64> {
        self.value = book.imbalance(self.levels);
        self.value
    }

    /// The imbalance of the newest book.
    pub fn value(&self) -> Option<f64> {
        self.value
    }
}
