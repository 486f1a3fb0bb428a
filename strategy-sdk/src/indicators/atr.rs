//! The average true range.

use serde::{Deserialize, Serialize};

/// Average true range by J. Welles Wilder (1978), in quote units.
///
/// The true range of a candle is the largest of high − low, |high − previous
/// close| and |low − previous close|, for the first candle high − low. The
/// average is seeded with the simple mean of the first `period` ranges, with the
/// last of which its first value comes, and then smoothed by 1 / `period`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Atr {
    period: usize,
    last_close: Option<f64>,
    seen: usize,
    value: f64,
}

impl Atr {
    /// The average of this period.
    pub fn new(period: usize) -> Self {
        Self { period: period.max(1), last_close: None, seen: 0, value: 0.0 }
    }

    /// Takes a candle's prices and returns the average, once there is one.
    pub fn update(&mut self, high: f64, low: f64, close: f64) -> Option<f64> {
        if !(high.is_finite() && low.is_finite() && close.is_finite()) {
            return self.value();
        }
        let range = self.last_close.replace(close).map_or(high - low, |last| {
            larger(high - low, larger((high - last).abs(), (low - last).abs()))
        });
        if self.seen < self.period {
            self.seen += 1;
            self.value += (range - self.value) / self.seen as f64;
        } else {
            self.value += (range - self.value) / self.period as f64;
        }
        self.value()
    }

    /// The average of the ranges so far.
    pub fn value(&self) -> Option<f64> {
        (self.seen >= self.period).then_some(self.value)
    }
}

fn larger(left: f64, right: f64) -> f64 {
    if left > right { left } else { right }
}
