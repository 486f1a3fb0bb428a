//! Returns between samples of the equity at regular intervals.

use serde::{Deserialize, Serialize};

use super::Moments;
use crate::domain::{Money, Ts};

/// The fewest samples that a ratio over returns is told from.
const SAMPLES_MIN: u64 = 30;
/// The shortest span that a ratio over a year is told from.
const DAY_NS: i64 = 86_400 * Ts::SECOND;
/// Nanoseconds of a year of 365 days.
pub(super) const YEAR_NS: f64 = 365.0 * 86_400.0 * 1e9;

/// Simple returns from sample to sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Returns {
    interval: i64,
    /// when the next sample is due
    next: i64,
    /// equity at the last sample
    last: Money,
    moments: Moments,
    /// sum of the squares of the negative returns
    downside: f64,
    /// an equity at or below zero has no return after it
    broken: bool,
}

impl Returns {
    /// Returns over intervals of so many nanoseconds.
    #[must_use]
    pub fn new(interval: i64) -> Self {
        Self {
            interval: interval.max(1),
            next: i64::MAX,
            last: Money::ZERO,
            moments: Moments::default(),
            downside: 0.0,
            broken: false,
        }
    }

    /// Takes the first sample.
    pub fn start(&mut self, now: i64, equity: Money) {
        self.next = now.saturating_add(self.interval);
        self.last = equity;
        self.broken = !equity.is_positive();
    }

    /// Takes every sample that is due by `now`, of the equity that stood.
    pub fn advance(&mut self, now: i64, equity: Money) {
        if now < self.next || self.next == i64::MAX {
            return;
        }
        let due = (now - self.next) / self.interval + 1;
        self.next = self.next.saturating_add(due.saturating_mul(self.interval));
        if self.broken || !equity.is_positive() {
            self.broken = true;
            return;
        }
        let change = (equity - self.last).to_f64() / self.last.to_f64();
        self.last = equity;
        self.moments.add(change, 1);
        // Nothing happened between the further samples of a silence.
        self.moments.add(0.0, due.unsigned_abs() - 1);
        if change < 0.0 {
            self.downside += change * change;
        }
    }

    /// The interval in nanoseconds.
    #[must_use]
    pub fn interval(&self) -> i64 {
        self.interval
    }

    /// How many returns.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.moments.count()
    }

    /// True with enough returns over enough time.
    fn is_enough(&self) -> bool {
        let span = i128::from(self.count()) * i128::from(self.interval);
        !self.broken && self.count() >= SAMPLES_MIN && span >= i128::from(DAY_NS)
    }

    /// The square root of the samples of a year.
    fn yearly(&self) -> f64 {
        (YEAR_NS / self.interval as f64).sqrt()
    }

    /// Standard deviation of the returns over a year, as a ratio.
    #[must_use]
    pub fn volatility(&self) -> Option<f64> {
        let deviation = self.moments.deviation().filter(|_| self.is_enough())?;
        Some(deviation * self.yearly())
    }

    /// Mean over standard deviation, over a year.
    #[must_use]
    pub fn sharpe(&self) -> Option<f64> {
        let deviation = self.moments.deviation().filter(|d| self.is_enough() && *d > 0.0)?;
        Some(self.moments.mean()? / deviation * self.yearly())
    }

    /// Mean over the root of the mean square of the negative returns, over a
    /// year; unknown without a negative one.
    #[must_use]
    pub fn sortino(&self) -> Option<f64> {
        if !self.is_enough() || self.downside <= 0.0 {
            return None;
        }
        let downside = (self.downside / self.count() as f64).sqrt();
        Some(self.moments.mean()? / downside * self.yearly())
    }
}

/// The yearly growth that leads from `start` to `end` in `span_ns`, as a ratio;
/// unknown below a day, or when either is not positive.
#[must_use]
pub(super) fn growth(start: Money, end: Money, span_ns: i64) -> Option<f64> {
    if span_ns < DAY_NS || !start.is_positive() || !end.is_positive() {
        return None;
    }
    let grown = (end.to_f64() / start.to_f64()).powf(YEAR_NS / span_ns as f64) - 1.0;
    grown.is_finite().then_some(grown)
}
