//! The relative strength index.

use serde::{Deserialize, Serialize};

/// Relative strength index by J. Welles Wilder, *New Concepts in Technical
/// Trading Systems* (1978), from 0 to 100.
///
/// Average gain and loss are seeded with the simple mean of the first `period`
/// changes and then smoothed by 1 / `period`, so the first value comes with
/// input `period` + 1. A series without any change has neither gain nor loss and
/// stands at 50; one that only rises stands at 100.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rsi {
    period: usize,
    last: Option<f64>,
    changes: usize,
    gain: f64,
    loss: f64,
}

impl Rsi {
    /// The index of this period.
    pub fn new(period: usize) -> Self {
        Self { period: period.max(1), last: None, changes: 0, gain: 0.0, loss: 0.0 }
    }

    /// Takes a price and returns the index, once there is one.
    pub fn update(&mut self, price: f64) -> Option<f64> {
        if !price.is_finite() {
            return self.value();
        }
        if let Some(last) = self.last.replace(price) {
            let change = price - last;
            self.smooth(
                if change > 0.0 { change } else { 0.0 },
                if change < 0.0 { -change } else { 0.0 },
            );
        }
        self.value()
    }

    /// While seeding, gain and loss are sums; the mean is taken at the end of it.
    fn smooth(&mut self, gain: f64, loss: f64) {
        let period = self.period as f64;
        if self.changes < self.period {
            self.changes += 1;
            self.gain += gain;
            self.loss += loss;
            if self.changes == self.period {
                self.gain /= period;
                self.loss /= period;
            }
        } else {
            self.gain = (self.gain * (period - 1.0) + gain) / period;
            self.loss = (self.loss * (period - 1.0) + loss) / period;
        }
    }

    /// The index after the newest price.
    pub fn value(&self) -> Option<f64> {
        if self.changes < self.period {
            return None;
        }
        Some(if self.loss > 0.0 {
            100.0 - 100.0 / (1.0 + self.gain / self.loss)
        } else if self.gain > 0.0 {
            100.0
        } else {
            50.0
        })
    }
}
