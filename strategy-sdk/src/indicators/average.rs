//! Moving averages.

use serde::{Deserialize, Serialize};

use super::precise::Precise;
use crate::window::Window;

/// Simple moving average; its first value comes with input `period`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sma {
    window: Window<f64>,
    sum: Precise,
}

impl Sma {
    /// The average of the newest `period` inputs.
    pub fn new(period: usize) -> Self {
        Self { window: Window::new(period), sum: Precise::default() }
    }

    /// Takes an input and returns the average, once there is one.
    pub fn update(&mut self, input: f64) -> Option<f64> {
        if input.is_finite() {
            self.sum = self.sum.plus(input.into());
            if let Some(left) = self.window.push(input) {
                self.sum = self.sum.minus(left.into());
            }
        }
        self.value()
    }

    /// The average of the newest inputs.
    pub fn value(&self) -> Option<f64> {
        self.window.is_full().then(|| self.sum.value() / self.window.size() as f64)
    }
}

/// Exponential moving average with weight 2 / (period + 1), seeded with the
/// simple mean of the first `period` inputs, with the last of which its first
/// value comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ema {
    period: usize,
    seen: usize,
    value: f64,
}

impl Ema {
    /// The exponential average of this period.
    pub fn new(period: usize) -> Self {
        Self { period: period.max(1), seen: 0, value: 0.0 }
    }

    /// Takes an input and returns the average, once there is one.
    pub fn update(&mut self, input: f64) -> Option<f64> {
        if !input.is_finite() {
            return self.value();
        }
        if self.seen < self.period {
            self.seen += 1;
            self.value += (input - self.value) / self.seen as f64;
        } else {
            self.value += (input - self.value) * (2.0 / (self.period as f64 + 1.0));
        }
        self.value()
    }

    /// The average of the inputs so far.
    pub fn value(&self) -> Option<f64> {
        (self.seen >= self.period).then_some(self.value)
    }
}
