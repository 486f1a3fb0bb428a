//! The volume-weighted average price.

use serde::{Deserialize, Serialize};

use super::precise::Precise;
use crate::window::Window;

/// Volume-weighted average price of the newest `period` trades or candles:
/// Σ price × quantity / Σ quantity. It has a value from the first quantity on,
/// and none while all quantities are 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollingVwap {
    window: Window<(f64, f64)>,
    cost: Precise,
    volume: Precise,
}

impl RollingVwap {
    /// The average over this many inputs.
    pub fn new(period: usize) -> Self {
        Self { window: Window::new(period), cost: Precise::default(), volume: Precise::default() }
    }

    /// Takes a price and its quantity and returns the average, once there is one.
    pub fn update(&mut self, price: f64, quantity: f64) -> Option<f64> {
        if price.is_finite() && quantity.is_finite() && quantity >= 0.0 {
            self.cost = self.cost.plus(Precise::product(price, quantity));
            self.volume = self.volume.plus(quantity.into());
            if let Some((price, quantity)) = self.window.push((price, quantity)) {
                self.cost = self.cost.minus(Precise::product(price, quantity));
                self.volume = self.volume.minus(quantity.into());
            }
        }
        self.value()
    }

    /// The average of the newest inputs.
    pub fn value(&self) -> Option<f64> {
        let volume = self.volume.value();
        (volume > 0.0).then(|| self.cost.value() / volume)
    }

    /// The quantity of the newest inputs.
    pub fn volume(&self) -> f64 {
        self.volume.value()
    }

    /// Whether the window holds as many inputs as its period.
    pub fn is_full(&self) -> bool {
        self.window.is_full()
    }
}
