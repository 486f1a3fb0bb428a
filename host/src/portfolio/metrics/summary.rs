//! The figures of an account at one moment.

use serde::Serialize;

use super::returns::growth;
use super::{Metrics, Span};
use crate::domain::{Money, Ts};
use crate::portfolio::Statistics;

/// What SQN multiplies by at most: beyond a hundred round trips it would only
/// grow with their number.
const SQN_TRIPS_MAX: u64 = 100;
/// The fewest round trips that SQN is told from.
const SQN_TRIPS_MIN: u64 = 30;

/// How an account did. Ratios and percentages are numbers, amounts are in the
/// account currency; what is unknown is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// time measured, in seconds
    pub span_s: Option<f64>,
    /// time between two samples, in seconds
    pub sample_s: f64,
    /// returns sampled
    pub samples: u64,
    /// return since the start
    pub return_pct: Option<f64>,
    /// return of holding equal amounts of all symbols instead, without costs
    pub buy_and_hold_pct: Option<f64>,
    /// yearly growth
    pub cagr_pct: Option<f64>,
    /// yearly standard deviation of the sampled returns
    pub volatility_pct: Option<f64>,
    /// yearly mean over standard deviation
    pub sharpe: Option<f64>,
    /// yearly mean over downside deviation
    pub sortino: Option<f64>,
    /// yearly growth over largest drawdown
    pub calmar: Option<f64>,
    /// largest fall from a peak
    pub max_drawdown_pct: f64,
    /// its last moment at the peak, nanoseconds since the Unix epoch
    pub drawdown_start_ns: Option<i64>,
    /// its lowest moment
    pub drawdown_trough_ns: Option<i64>,
    /// when the peak was reached again; `None` while it was not
    pub drawdown_recovery_ns: Option<i64>,
    /// from its start to its recovery, or to now
    pub drawdown_s: Option<f64>,
    /// net profits over net losses
    pub profit_factor: Option<f64>,
    /// mean net of a round trip
    pub expectancy: Option<f64>,
    /// share of winners among round trips
    pub win_rate_pct: Option<f64>,
    /// mean winner over mean loser
    pub payoff: Option<f64>,
    /// best net of a round trip
    pub best: Option<f64>,
    /// worst net of a round trip
    pub worst: Option<f64>,
    /// most winners in a row
    pub win_streak: u64,
    /// most losers in a row
    pub loss_streak: u64,
    /// root of the number of round trips (at most 100) times mean over standard
    /// deviation of their nets
    pub sqn: Option<f64>,
    /// share of time with a position
    pub exposure_pct: Option<f64>,
    /// amount of all fills over the starting equity
    pub turnover: Option<f64>,
    /// all fees over the starting equity
    pub fees_pct: Option<f64>,
    /// all charges on shorts over the starting equity
    pub carry_pct: Option<f64>,
}

/// What a summary is made of beside the metrics.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// fills and round trips
    pub statistics: &'a Statistics,
    /// equity at the start
    pub start: Option<Money>,
    /// equity now
    pub equity: Option<Money>,
    /// largest fall from a peak in percent
    pub max_drawdown_pct: f64,
    /// return of holding, in percent
    pub buy_and_hold_pct: Option<f64>,
}

impl Metrics {
    /// The figures at `now`.
    #[must_use]
    pub fn summary(&self, now: Ts, facts: &Facts<'_>) -> Summary {
        let now = now.0.max(self.now);
        let mut returns = self.returns.clone();
        if let Some(equity) = facts.equity {
            returns.advance(now, equity);
        }
        let ends = facts.start.zip(facts.equity).filter(|(start, _)| start.is_positive());
        let span = self.started.map(|start| now - start);
        let cagr = ends.zip(span).and_then(|((start, end), span)| growth(start, end, span));
        let fall = facts.max_drawdown_pct / 100.0;
        let worst = self.drawdown.worst();
        let of_start =
            |amount: Option<Money>| Some(ratio(amount?, facts.start.filter(|s| s.is_positive())?));
        let statistics = facts.statistics;
        let known = |sum| statistics.known(sum);
        Summary {
            span_s: span.map(seconds),
            sample_s: seconds(returns.interval()),
            samples: returns.count(),
            return_pct: ends.map(|(start, end)| 100.0 * ratio(end - start, start)),
            buy_and_hold_pct: facts.buy_and_hold_pct,
            cagr_pct: cagr.map(|growth| 100.0 * growth),
            volatility_pct: returns.volatility().map(|v| 100.0 * v),
            sharpe: returns.sharpe(),
            sortino: returns.sortino(),
            calmar: cagr.filter(|_| fall > 0.0).map(|growth| growth / fall),
            max_drawdown_pct: facts.max_drawdown_pct,
            drawdown_start_ns: worst.map(|span| span.start.0),
            drawdown_trough_ns: worst.map(|span| span.trough.0),
            drawdown_recovery_ns: worst.and_then(|span| span.recovery).map(|ts| ts.0),
            drawdown_s: worst.map(|Span { start, recovery, .. }| {
                seconds(recovery.map_or(now, |ts| ts.0) - start.0)
            }),
            profit_factor: statistics.profit_factor(),
            expectancy: self.trips.mean().filter(|_| statistics.unconverted == 0),
            win_rate_pct: statistics.win_rate_pct(),
            payoff: statistics.payoff(),
            best: statistics.best.and_then(known).map(Money::to_f64),
            worst: statistics.worst.and_then(known).map(Money::to_f64),
            win_streak: statistics.win_streak,
            loss_streak: statistics.loss_streak,
            sqn: self.sqn().filter(|_| statistics.unconverted == 0),
            exposure_pct: self.exposure_pct(now),
            turnover: of_start(known(statistics.turnover)),
            fees_pct: of_start(known(statistics.fees)).map(|r| 100.0 * r),
            carry_pct: of_start(known(statistics.carry)).map(|r| 100.0 * r),
        }
    }

    pub(super) fn sqn(&self) -> Option<f64> {
        let count = self.trips.count();
        let deviation = self.trips.deviation().filter(|d| count >= SQN_TRIPS_MIN && *d > 0.0)?;
        let root = (count.min(SQN_TRIPS_MAX) as f64).sqrt();
        Some(root * self.trips.mean()? / deviation)
    }
}

fn ratio(amount: Money, of: Money) -> f64 {
    amount.to_f64() / of.to_f64()
}

fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}
