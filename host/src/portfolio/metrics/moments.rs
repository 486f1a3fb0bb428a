//! Mean and variance of a stream (Welford's method).

use serde::{Deserialize, Serialize};

/// Count, mean and sum of squared distances from the mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Adds `value` `times` times.
    pub fn add(&mut self, value: f64, times: u64) {
        if times == 0 {
            return;
        }
        let (before, added) = (self.count as f64, times as f64);
        self.count += times;
        let distance = value - self.mean;
        self.mean += distance * added / self.count as f64;
        self.squares += distance * distance * before * added / self.count as f64;
    }

    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; unknown without any.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// Their sample standard deviation; unknown below two.
    #[must_use]
    pub fn deviation(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.squares / (self.count - 1) as f64).sqrt())
    }
}
