//! How well an account did: ratios over a regular sampling of its equity, and
//! what its round trips have in common.
//!
//! Floats live here and nowhere else in the portfolio: a ratio is looked at and
//! never booked. Everything is streaming and bounded, and depends on the inputs
//! alone, so that a replay gives the same digits.
//!
//! 1. Equity is sampled every [`Terms::sample_ns`] of market time from the first
//!    event on; a sample is the equity that stood just before that instant. Time
//!    without events counts: the equity then did not change.
//! 2. A year has 365 days, because these markets never close. The risk-free rate
//!    is zero. Volatility, Sharpe and Sortino need 30 samples and a day.
//! 3. What is unknown is `None`, never zero: a ratio whose divisor is zero, or
//!    one that has too little to go by.

#![allow(clippy::float_arithmetic, reason = "statistics, never booked")]

mod curve;
mod drawdown;
mod moments;
mod returns;
mod summary;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::domain::{Money, Rate, Ts};

pub use curve::{Curve, Point};
pub use drawdown::{Drawdown, Span};
pub use moments::Moments;
pub use returns::Returns;
pub use summary::{Facts, Summary};

/// What an account is charged over time and how it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// part of what a short fetches, charged when it is opened or added to
    pub short_open: Rate,
    /// part of what an open short fetched, charged every
    /// [`Terms::ROLLOVER_NS`] that it stays open
    pub short_rollover: Rate,
    /// time between two samples of the equity, at least 1
    pub sample_ns: i64,
}

impl Terms {
    /// Time between two rollover charges: four hours.
    pub const ROLLOVER_NS: i64 = 4 * 3_600 * Ts::SECOND;
}

impl Default for Terms {
    /// Nothing is charged; a sample every fifteen minutes.
    fn default() -> Self {
        Self { short_open: Rate(0), short_rollover: Rate(0), sample_ns: 900 * Ts::SECOND }
    }
}

/// The running state behind a [`Summary`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    now: i64,
    started: Option<i64>,
    returns: Returns,
    drawdown: Drawdown,
    curve: Curve,
    exposed_ns: i64,
    exposed_since: Option<i64>,
    trips: Moments,
}

impl Metrics {
    /// Before the first event.
    #[must_use]
    pub fn new(sample_ns: i64) -> Self {
        Self {
            now: 0,
            started: None,
            returns: Returns::new(sample_ns),
            drawdown: Drawdown::default(),
            curve: Curve::default(),
            exposed_ns: 0,
            exposed_since: None,
            trips: Moments::default(),
        }
    }

    /// True once the first event has come while the equity was known.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.started.is_some()
    }

    /// Moves the time to `now`; `equity` stood until then. Time never runs back.
    pub fn advance(&mut self, now: Ts, equity: Option<Money>) {
        self.now = self.now.max(now.0);
        let Some(equity) = equity else { return };
        if self.started.is_none() {
            self.started = Some(self.now);
            self.returns.start(self.now, equity);
            self.curve.push(self.now, equity);
            self.drawdown.follow(self.now, equity, equity, false);
        }
        self.returns.advance(self.now, equity);
        self.drawdown.advance(self.now);
    }

    /// Takes a new equity and the highest so far, this one included; `deeper`
    /// when it is the largest fall from a peak so far.
    pub fn follow(&mut self, equity: Money, peak: Money, deeper: bool) {
        if self.started.is_some() {
            self.curve.push(self.now, equity);
        }
        self.drawdown.follow(self.now, equity, peak, deeper);
    }

    /// Takes whether anything is held or owed from now on.
    pub fn expose(&mut self, exposed: bool) {
        match (self.exposed_since, exposed) {
            (None, true) => self.exposed_since = Some(self.now),
            (Some(since), false) => {
                self.exposed_ns = self.exposed_ns.saturating_add(self.now - since);
                self.exposed_since = None;
            }
            _ => {}
        }
    }

    /// Takes the net profit of a closed round trip.
    pub fn on_round_trip(&mut self, net: Money) {
        self.trips.add(net.to_f64(), 1);
    }

    /// The equity curve.
    #[must_use]
    pub fn curve(&self) -> &Curve {
        &self.curve
    }

    /// Share of time in the market until `now` in percent.
    fn exposure_pct(&self, now: i64) -> Option<f64> {
        let span = now - self.started?;
        let open = self.exposed_since.map_or(0, |since| now - since);
        (span > 0).then(|| 100.0 * self.exposed_ns.saturating_add(open) as f64 / span as f64)
    }
}
