//! Limits over all strategies of a run together.
//!
//! 1. What all accounts are worth, hold and owe is added up behind every 32nd input of
//!    the run, whatever batches and blocks it comes in. All count in one currency.
//! 2. No order is refused for it: what is beyond a limit stops all strategies there, as
//!    an operator's command would. Only where such a limit is set do strategies depend
//!    on each other.
//! 3. Loss of a day and fall from the peak are those of the sum, by the rules of
//!    [`Watch`]. Shorts stay within a multiple of the base, which is the
//!    sum of what the leverage of each is counted from; exposure is what all positions
//!    are worth, long or short.
//! 4. Orders are counted in the sixty seconds before each look.
//! 5. A limit acts once when it is passed, and again only after it was kept: that of a
//!    day's loss also when another day begins.
//! 6. While what one strategy is worth is not known, limits of worth wait; the rate of
//!    orders does not.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Breach, RiskConfig, Watch, check_leverage, check_margin};
use crate::domain::{Money, Rate, Ts};

/// A minute in nanoseconds.
const MINUTE_NS: i64 = 60 * Ts::SECOND;

/// What a limit over all strategies does with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTotal {
    /// no new orders until they are resumed
    Pause,
    /// likewise, and all positions are closed
    Flatten,
    /// all are ended for good
    #[default]
    Kill,
}

/// The limits over all strategies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TotalLimits {
    /// what becomes of all strategies
    pub action: OnTotal,
    /// the most that the sum of equities may fall within a UTC day
    pub max_daily_loss: Option<Money>,
    /// the most that it may fall from its peak, as a ratio of the peak
    pub max_drawdown: Option<Rate>,
    /// the most that all positions may be worth
    pub max_exposure: Option<Money>,
    /// all shorts may be worth this many times the sum of bases
    pub max_short_leverage: Option<Rate>,
    /// the least sum of equities, as a ratio of what all shorts are worth
    pub maintenance_margin: Option<Rate>,
    /// the most orders in sixty seconds
    pub max_orders_per_minute: Option<u32>,
}

impl TotalLimits {
    /// True when there is any.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self { action: self.action, ..Self::default() }
    }

    /// The limits that one strategy may have too.
    fn over_time(&self) -> RiskConfig {
        RiskConfig {
            max_daily_loss: self.max_daily_loss,
            max_drawdown: self.max_drawdown,
            maintenance_margin: self.maintenance_margin,
            ..RiskConfig::default()
        }
    }
}

/// What all strategies have together. An amount is unknown while one of them is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// equity at the start
    pub start: Option<Money>,
    /// equity at the last marks
    pub equity: Option<Money>,
    /// what the leverage of shorts is a multiple of
    pub base: Option<Money>,
    /// what all positions are worth
    pub exposure: Option<Money>,
    /// what all shorts are worth
    pub shorts: Option<Money>,
    /// orders so far
    pub orders: u64,
}

/// What the limits over all strategies remember.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotalWatch {
    watch: Watch,
    peak: Option<Money>,
    /// when so many orders had been sent, the newest last
    sent: VecDeque<(i64, u64)>,
    orders: u64,
    /// which limits are passed
    passed: [bool; 6],
}

impl TotalWatch {
    /// Looks at the sum at `now`; tells why all strategies must be stopped, when one
    /// of the limits was kept at the last look and is not now.
    pub fn look(&mut self, limits: &TotalLimits, now: Ts, sum: &Sum) -> Option<String> {
        let [daily, drawdown] = match sum.equity {
            Some(equity) => self.losses(limits, now, sum.start, equity),
            None => [None, None],
        };
        let found = [
            daily.map(|breach| breach.words()),
            drawdown.map(|breach| breach.words()),
            self.orders(limits, now, sum.orders),
            exposure(limits, sum),
            leverage(limits, sum),
            margin(limits, sum),
        ];
        let (worth, shorts) = (sum.equity.is_some(), sum.shorts.is_some());
        let known = [
            worth,
            worth,
            true,
            sum.exposure.is_some(),
            sum.base.is_some() && shorts,
            worth && shorts,
        ];
        let mut reasons: Vec<String> = Vec::new();
        let looks = self.passed.iter_mut().zip(found).zip(known);
        for ((passed, reason), _) in looks.filter(|(_, known)| *known) {
            let before = std::mem::replace(passed, reason.is_some());
            reasons.extend(reason.filter(|_| !before));
        }
        (!reasons.is_empty()).then(|| format!("all strategies together: {}", reasons.join("; ")))
    }

    fn losses(
        &mut self,
        limits: &TotalLimits,
        now: Ts,
        start: Option<Money>,
        equity: Money,
    ) -> [Option<Breach>; 2] {
        let peak = self.peak.or(start).unwrap_or(equity).max(equity);
        self.peak = Some(peak);
        self.watch.losses(&limits.over_time(), now, equity, peak)
    }

    /// Too many orders in the minute before `now`.
    fn orders(&mut self, limits: &TotalLimits, now: Ts, orders: u64) -> Option<String> {
        let most = limits.max_orders_per_minute?;
        if orders > self.orders {
            self.sent.push_back((now.0, orders - self.orders));
            self.orders = orders;
        }
        // Each has at least one order: more of them than the limit tell nothing more.
        let old = |at: i64| now.since(Ts(at)) >= MINUTE_NS;
        while self.sent.front().is_some_and(|&(at, _)| old(at))
            || self.sent.len() > most as usize + 1
        {
            self.sent.pop_front();
        }
        let count: u64 = self.sent.iter().map(|(_, orders)| orders).sum();
        (count > u64::from(most)).then(|| format!("{count} orders in a minute, over {most}"))
    }
}

fn exposure(limits: &TotalLimits, sum: &Sum) -> Option<String> {
    let (limit, worth) = (limits.max_exposure?, sum.exposure?);
    (worth > limit).then(|| format!("positions worth {worth}, over {limit}"))
}

fn leverage(limits: &TotalLimits, sum: &Sum) -> Option<String> {
    let (limit, base, shorts) = (limits.max_short_leverage?, sum.base?, sum.shorts?);
    check_leverage(shorts, Money::ZERO, base, limit)
        .is_err()
        .then(|| format!("shorts worth {shorts}, over {limit} x {base}"))
}

fn margin(limits: &TotalLimits, sum: &Sum) -> Option<String> {
    let (equity, shorts) = (sum.equity?, sum.shorts?);
    check_margin(&limits.over_time(), Some(equity), Some(shorts))
        .is_err()
        .then(|| format!("equity {equity} does not carry shorts worth {shorts}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Money {
        Money::parse(text).expect("a decimal")
    }

    fn sum(equity: &str) -> Sum {
        Sum { equity: Some(usd(equity)), ..Sum::default() }
    }

    #[test]
    fn the_sum_may_lose_so_much_of_its_peak_and_of_its_day() {
        let limits = TotalLimits {
            max_drawdown: Some(Rate(100_000_000)),
            max_daily_loss: Some(usd("50")),
            ..TotalLimits::default()
        };
        let mut watch = TotalWatch::default();
        let mut look = |second: i64, equity: &str| {
            watch.look(&limits, Ts(second * Ts::SECOND), &sum(equity)).is_some()
        };
        assert!(!look(1, "300"));
        assert!(!look(2, "400"), "the peak follows");
        assert!(!look(3, "360"), "the limit itself is kept");
        assert!(look(4, "359.99999999"));
        assert!(!look(5, "300"), "told once");
        let begun = Sum { start: Some(usd("300")), ..sum("200") };
        assert!(TotalWatch::default().look(&limits, Ts(1), &begun).is_some(), "from the start");
        let unknown = Sum::default();
        assert_eq!(TotalWatch::default().look(&limits, Ts(1), &unknown), None);
    }

    #[test]
    fn a_limit_acts_again_only_after_it_was_kept() {
        let limits = TotalLimits { max_exposure: Some(usd("10")), ..TotalLimits::default() };
        let mut watch = TotalWatch::default();
        let told: Vec<bool> = ["10", "10.1", "12", "9", "11"]
            .iter()
            .map(|worth| {
                let sum = Sum { exposure: Some(usd(worth)), ..Sum::default() };
                watch.look(&limits, Ts(1), &sum).is_some()
            })
            .collect();
        assert_eq!(told, [false, true, false, false, true]);
    }

    #[test]
    fn each_loss_acts_by_itself_and_that_of_a_day_again_on_the_next() {
        let limits = TotalLimits {
            max_daily_loss: Some(usd("50")),
            max_drawdown: Some(Rate(500_000_000)),
            ..TotalLimits::default()
        };
        let mut watch = TotalWatch::default();
        const DAY: i64 = 86_400;
        // Seconds, equity, and how many limits tell.
        let looks = [
            (0, "300", 0),
            (1, "249", 1), // of the day
            (2, "240", 0),
            (DAY, "240", 0),
            (DAY + 1, "180", 1), // of the next day
            (DAY + 2, "149", 1), // half of the peak
            (DAY + 3, "100", 0),
            (DAY + 4, "160", 0), // within the fall, not within the day
            (DAY + 5, "140", 1), // beyond it again
            (DAY + 6, "", 0),    // unknown: nothing is kept by that
            (DAY + 7, "140", 0),
            (2 * DAY, "140", 0),
        ];
        for (second, equity, expected) in looks {
            let sum = if equity.is_empty() { Sum::default() } else { sum(equity) };
            let told = watch.look(&limits, Ts(second * Ts::SECOND), &sum);
            let count = told.as_ref().map_or(0, |told| 1 + told.matches(';').count());
            assert_eq!(count, expected, "{second} {equity}: {told:?}");
        }
    }

    #[test]
    fn shorts_stay_within_the_leverage_and_the_margin_of_all() {
        let of = |equity: &str, base: &str, shorts: &str| Sum {
            equity: Some(usd(equity)),
            base: Some(usd(base)),
            shorts: Some(usd(shorts)),
            ..Sum::default()
        };
        let leverage =
            TotalLimits { max_short_leverage: Some(Rate(2_000_000_000)), ..TotalLimits::default() };
        let margin =
            TotalLimits { maintenance_margin: Some(Rate(200_000_000)), ..TotalLimits::default() };
        let cases = [
            (leverage, of("1", "100", "200"), false),
            (leverage, of("1", "100", "200.00000001"), true),
            (margin, of("40", "100", "200"), false),
            (margin, of("39.99999999", "100", "200"), true),
            (TotalLimits::default(), of("0", "0", "200"), false),
        ];
        for (limits, sum, passed) in cases {
            let told = TotalWatch::default().look(&limits, Ts(1), &sum);
            assert_eq!(told.is_some(), passed, "{sum:?}: {told:?}");
        }
    }

    #[test]
    fn orders_of_all_are_counted_over_a_minute() {
        let limits = TotalLimits { max_orders_per_minute: Some(5), ..TotalLimits::default() };
        let mut watch = TotalWatch::default();
        // Seconds and orders so far.
        let looks = [(0, 3), (30, 5), (59, 6), (60, 6), (70, 8), (71, 9), (200, 9), (201, 20)];
        let told = looks.map(|(second, orders)| {
            let sum = Sum { orders, ..Sum::default() };
            watch.look(&limits, Ts(second * Ts::SECOND), &sum).is_some()
        });
        // 3 + 2 + 1 at 59 s; 2 + 1 at 60 s; 1 + 2 + 1 and then 2 + 1 + 2 + 1 at 71 s.
        assert_eq!(told, [false, false, true, false, false, true, false, true]);
        assert!(watch.sent.len() <= 6);
    }
}
