//! Fees by tier: what a maker and a taker pay, by what was traded in thirty days.
//!
//! 1. The volume that counts is what the account traded on the current UTC day and
//!    the 29 before it, in the account currency at the marks of the fills, plus a
//!    volume that is given. What cannot be converted does not count.
//! 2. A fill pays the rates of the volume before it.
//! 3. The thresholds of a venue are in US dollars and are compared with the volume as
//!    it stands, so the account currency should be worth about as much.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::domain::{Money, Rate, Ts};

/// What a fill costs, as a ratio of its amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// provided liquidity
    pub maker: Rate,
    /// took it
    pub taker: Rate,
}

/// Where rates come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// they are given and stay
    #[default]
    Flat,
    /// [`KRAKEN`]
    Kraken,
}

/// One step of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// from this volume of thirty days on
    pub from: Money,
    /// what it costs
    pub rates: Rates,
}

const fn tier(thousands: i128, maker: i64, taker: i64) -> Tier {
    let rates = Rates { maker: Rate(maker * 100_000), taker: Rate(taker * 100_000) };
    Tier { from: Money(thousands * 100_000_000_000), rates }
}

/// Kraken Pro, spot, pairs that are not of stablecoins or currencies alone: volume
/// in thousands of US dollars, maker and taker in hundredths of a percent. As
/// published at kraken.com/features/fee-schedule and taken down on 2026-05-30; that
/// source names no steps between 500,000 and 10,000,000, where rates here are
/// therefore never lower than the venue's.
pub const KRAKEN: [Tier; 6] = [
    tier(0, 25, 40),
    tier(10, 20, 35),
    tier(50, 14, 24),
    tier(100, 12, 22),
    tier(500, 8, 18),
    tier(10_000, 0, 10),
];

/// Days whose volume counts, the current one included.
const DAYS: i64 = 30;
const DAY_NS: i64 = 86_400 * Ts::SECOND;

/// The fees of one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    schedule: Schedule,
    flat: Rates,
    given: Money,
    /// volume by UTC day, oldest first, at most [`DAYS`] of them
    days: VecDeque<(i64, Money)>,
}

impl Fees {
    /// Fees of an account that has traded nothing here.
    #[must_use]
    pub fn new(schedule: Schedule, flat: Rates, given: Money) -> Self {
        Self { schedule, flat, given, days: VecDeque::new() }
    }

    /// What a fill at `now` pays.
    pub fn rates(&mut self, now: Ts) -> Rates {
        let tiers = match self.schedule {
            Schedule::Flat => return self.flat,
            Schedule::Kraken => &KRAKEN,
        };
        let volume = self.volume(now);
        let reached = tiers.iter().rev().find(|tier| volume >= tier.from);
        reached.map_or(tiers[0].rates, |tier| tier.rates)
    }

    /// The volume that counts at `now`.
    pub fn volume(&mut self, now: Ts) -> Money {
        let first = now.0.div_euclid(DAY_NS) - (DAYS - 1);
        while self.days.front().is_some_and(|(day, _)| *day < first) {
            self.days.pop_front();
        }
        self.given + self.days.iter().map(|(_, volume)| *volume).sum()
    }

    /// Counts a fill; the amount is in the account currency, unknown without a rate.
    pub fn on_fill(&mut self, now: Ts, amount: Option<Money>) {
        if self.schedule == Schedule::Flat {
            return;
        }
        let (day, amount) = (now.0.div_euclid(DAY_NS), amount.unwrap_or_default());
        match self.days.back_mut() {
            Some((last, volume)) if *last == day => *volume = *volume + amount,
            _ => self.days.push_back((day, amount)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Money {
        Money::parse(text).expect("a decimal")
    }

    #[test]
    fn add_14_the_tier_follows_the_volume_of_thirty_days() {
        let flat = Rates { maker: Rate(1), taker: Rate(2) };
        let mut fees = Fees::new(Schedule::Kraken, flat, Money::ZERO);
        let day = |day: i64| Ts(day * DAY_NS + 7);
        let percent = |fees: &mut Fees, at: Ts| {
            let rates = fees.rates(at);
            (rates.maker.to_string(), rates.taker.to_string())
        };
        let pair = |maker: &str, taker: &str| (maker.to_owned(), taker.to_owned());
        assert_eq!(percent(&mut fees, day(0)), pair("0.0025", "0.004"));
        fees.on_fill(day(0), Some(usd("9999.99999999")));
        assert_eq!(percent(&mut fees, day(0)), pair("0.0025", "0.004"));
        fees.on_fill(day(1), Some(usd("0.00000001")));
        assert_eq!(percent(&mut fees, day(1)), pair("0.002", "0.0035"), "from 10,000 on");
        fees.on_fill(day(2), None);
        fees.on_fill(day(2), Some(usd("90000")));
        assert_eq!(percent(&mut fees, day(29)), pair("0.0012", "0.0022"), "100,000 of 30 days");
        assert_eq!(percent(&mut fees, day(30)), pair("0.0014", "0.0024"), "the first day is over");
        assert_eq!(percent(&mut fees, day(32)), pair("0.0025", "0.004"), "all of them are");
        let mut given = Fees::new(Schedule::Kraken, flat, usd("20000000"));
        assert_eq!(percent(&mut given, day(0)), pair("0", "0.001"));
        let mut control = Fees::new(Schedule::Flat, flat, usd("20000000"));
        assert_eq!(control.rates(day(0)), flat, "control: flat rates know no volume");
    }

    #[test]
    fn add_14_a_day_of_the_volume_is_a_utc_day() {
        let flat = Rates { maker: Rate(1), taker: Rate(2) };
        let mut fees = Fees::new(Schedule::Kraken, flat, Money::ZERO);
        let midnight = 86_400_000_000_000;
        fees.on_fill(Ts(midnight - 1), Some(usd("1")));
        fees.on_fill(Ts(midnight), Some(usd("2")));
        assert_eq!(fees.volume(Ts(30 * midnight - 1)), usd("3"), "the 30th day's last moment");
        assert_eq!(fees.volume(Ts(30 * midnight)), usd("2"));
        assert_eq!(fees.volume(Ts(31 * midnight - 1)), usd("2"));
        assert_eq!(fees.volume(Ts(31 * midnight)), usd("0"));
    }

    #[test]
    fn tiers_rise_in_volume_and_fall_in_price() {
        for pair in KRAKEN.windows(2) {
            assert!(pair[0].from < pair[1].from);
            assert!(pair[0].rates.maker > pair[1].rates.maker);
            assert!(pair[0].rates.taker > pair[1].rates.taker);
        }
        assert!(KRAKEN.iter().all(|tier| tier.rates.maker <= tier.rates.taker));
    }
}
