//! Limits over time: the rate of orders, the loss of a day, the fall from the peak,
//! and the margin that shorts need.
//!
//! 1. No more than the limit of orders is considered in any sixty seconds of the
//!    inputs' time. One beyond it is refused and does not count.
//! 2. A day is a UTC day of the inputs' time. It begins with the equity that stood
//!    before its first price; a charge that falls due in it is a loss of it.
//! 3. The drawdown is counted from the highest equity so far, not from the start.
//! 4. Both losses halt the strategy when the limit is exceeded: its orders that wait
//!    are canceled, it is not called again, and its positions stay or are closed as
//!    `on_halt` says. There is no way back within a run.
//! 5. The margin is breached when the equity is less than its part of what all shorts
//!    are worth. Then all orders that wait are canceled and all shorts closed at the
//!    market, as far as that takes them, and the rest as soon as it does. The
//!    strategy goes on; this is what a venue does, not a punishment.
//! 6. They are looked at whenever a price can have moved the equity, after orders and
//!    brackets have acted and before the strategy is told, and after every order that
//!    waited, arrived or was asked for: what comes behind a breach is refused.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::RiskConfig;
use crate::domain::{Money, Rounding, Ts};

/// A minute and a day, in nanoseconds.
const MINUTE_NS: i64 = 60 * Ts::SECOND;
const DAY_NS: i64 = 86_400 * Ts::SECOND;

/// A loss beyond its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// within a day
    DailyLoss {
        /// how much was lost
        lost: Money,
        /// how much may be
        limit: Money,
    },
    /// from the peak
    Drawdown {
        /// the highest equity
        peak: Money,
        /// the equity now
        equity: Money,
    },
}

impl Breach {
    /// In one sentence.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::DailyLoss { lost, limit } => {
                format!("daily loss of {lost} beyond {limit}")
            }
            Self::Drawdown { peak, equity } => {
                format!("drawdown from the peak of {peak} to {equity}")
            }
        }
    }
}

/// What the limits of one strategy remember.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// times of the newest orders that were considered, at most the limit of them
    sent: VecDeque<i64>,
    day: i64,
    /// the equity before the day's first price
    opening: Option<Money>,
    /// the equity when it was last looked at
    last: Option<Money>,
    breached: bool,
}

impl Watch {
    /// Whether another order may be considered at `now`; counts it if so.
    pub fn admits(&mut self, limits: &RiskConfig, now: Ts) -> bool {
        let Some(most) = limits.max_orders_per_minute else { return true };
        while self.sent.front().is_some_and(|&at| now.since(Ts(at)) >= MINUTE_NS) {
            self.sent.pop_front();
        }
        let room = self.sent.len() < most as usize;
        if room {
            self.sent.push_back(now.0);
        }
        room
    }

    /// Looks at the equity and its peak at `now`; tells of the first breach, once.
    pub fn look(
        &mut self,
        limits: &RiskConfig,
        now: Ts,
        equity: Money,
        peak: Money,
    ) -> Option<Breach> {
        let breaches = self.losses(limits, now, equity, peak);
        if self.breached {
            return None;
        }
        let breach = breaches.into_iter().flatten().next();
        self.breached = breach.is_some();
        breach
    }

    /// Takes the equity and its peak at `now`; tells which losses are beyond their limit:
    /// that of the day, and the fall from the peak.
    pub(super) fn losses(
        &mut self,
        limits: &RiskConfig,
        now: Ts,
        equity: Money,
        peak: Money,
    ) -> [Option<Breach>; 2] {
        let day = now.0.div_euclid(DAY_NS);
        if day != self.day || self.opening.is_none() {
            self.day = day;
            self.opening = Some(self.last.unwrap_or(peak));
        }
        self.last = Some(equity);
        let lost = self.opening.unwrap_or(peak) - equity;
        let daily = limits.max_daily_loss.filter(|limit| lost > *limit);
        let allowed = limits.max_drawdown.map(|rate| peak.times(rate, Rounding::Floor));
        let fell = allowed.filter(|allowed| peak - equity > *allowed);
        [
            daily.map(|limit| Breach::DailyLoss { lost, limit }),
            fell.map(|_| Breach::Drawdown { peak, equity }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Rate;

    fn usd(text: &str) -> Money {
        Money::parse(text).expect("a decimal")
    }

    #[test]
    fn any_sixty_seconds_hold_no_more_than_the_limit() {
        let limits = RiskConfig { max_orders_per_minute: Some(3), ..RiskConfig::default() };
        let mut watch = Watch::default();
        let seconds = [0, 30, 59, 59, 60, 61, 89, 90, 119, 120];
        let admitted = [true, true, true, false, true, false, false, true, true, true];
        for (second, expected) in seconds.into_iter().zip(admitted) {
            assert_eq!(watch.admits(&limits, Ts(second * Ts::SECOND)), expected, "{second}");
        }
        assert!(watch.admits(&RiskConfig::default(), Ts(0)), "control: without a limit");
    }

    #[test]
    fn a_day_begins_with_what_stood_before_it() {
        let limits = RiskConfig { max_daily_loss: Some(usd("10")), ..RiskConfig::default() };
        let mut watch = Watch::default();
        let day = |day: i64, second: i64| Ts(day * DAY_NS + second * Ts::SECOND);
        let mut look = |ts, equity| watch.look(&limits, ts, usd(equity), usd("100"));
        assert_eq!(look(day(0, 5), "100"), None);
        assert_eq!(look(day(0, 9), "90"), None, "the limit itself is no breach");
        assert_eq!(look(day(1, 0), "80"), None, "10 of the new day, which began with 90");
        let lost = usd("10.00000001");
        let breach = Some(Breach::DailyLoss { lost, limit: usd("10") });
        assert_eq!(look(day(1, 1), "79.99999999"), breach);
        assert_eq!(look(day(1, 2), "10"), None, "it is told once");
    }

    #[test]
    fn a_day_is_a_utc_day_of_the_inputs() {
        let limits = RiskConfig { max_daily_loss: Some(usd("10")), ..RiskConfig::default() };
        let mut watch = Watch::default();
        // 1970-01-02 begins 86,400 seconds behind the epoch.
        let midnight = 86_400_000_000_000;
        let mut look = |ns, equity| watch.look(&limits, Ts(ns), usd(equity), usd("100"));
        assert_eq!(look(midnight - 2, "100"), None);
        assert_eq!(look(midnight - 1, "95"), None);
        assert_eq!(look(midnight, "85"), None, "10 less than at the end of the day before");
        assert!(look(midnight + 1, "84.99").is_some());
        let mut watch = Watch::default();
        let mut look = |ns, equity| watch.look(&limits, Ts(ns), usd(equity), usd("100"));
        assert_eq!(look(midnight, "95"), None);
        assert!(look(2 * midnight - 1, "89").is_some(), "control: the same day, to its end");
    }

    #[test]
    fn a_drawdown_is_counted_from_the_peak() {
        let limits = RiskConfig { max_drawdown: Some(Rate(100_000_000)), ..RiskConfig::default() };
        let mut watch = Watch::default();
        let mut look = |equity, peak| watch.look(&limits, Ts(1), usd(equity), usd(peak));
        assert_eq!(look("180", "200"), None, "ten percent of the peak");
        let (peak, equity) = (usd("200"), usd("179.9"));
        assert_eq!(look("179.9", "200"), Some(Breach::Drawdown { peak, equity }));
    }
}
