//! Counts what a guest uses: totals that are the same in every replay, and two
//! bounded histograms.

use histogram::{Config, Histogram};

use crate::strategy::{POWERS, Spread, Spreads, Usage};

/// Sixteen buckets for each power of two, up to 2⁴⁴: five hours in nanoseconds,
/// and more fuel than a call may be given.
#[allow(clippy::panic, reason = "evaluated by the compiler")]
const BUCKETS: Config = match Config::new(4, 44) {
    Ok(config) => config,
    Err(_) => panic!("wrong powers"),
};

/// What a call was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// market events
    Events,
    /// the news of an order
    Order,
    /// anything else
    Other,
}

/// The counts of one guest.
pub(super) struct Meter {
    pub(super) usage: Usage,
    fuel_per_event: Distribution,
    call_ns: Distribution,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            usage: Usage::default(),
            fuel_per_event: Distribution::new(),
            call_ns: Distribution::new(),
        }
    }

    /// Counts a call with its fuel and, in nanoseconds, its time.
    pub(super) fn call(&mut self, kind: Kind, fuel: u64, took_ns: u64) {
        self.usage.calls += 1;
        self.usage.fuel = self.usage.fuel.saturating_add(fuel);
        match kind {
            Kind::Events => self.usage.event_calls += 1,
            Kind::Order => self.usage.order_calls += 1,
            Kind::Other => return,
        }
        self.call_ns.add(took_ns, 1);
    }

    /// Counts the events that a call consumed, at so much fuel each.
    pub(super) fn events(&mut self, events: u32, fuel_each: u64) {
        self.usage.fuel_max_per_event = self.usage.fuel_max_per_event.max(fuel_each);
        self.fuel_per_event.add(fuel_each, u64::from(events));
    }

    /// Notes how much linear memory there is now.
    pub(super) fn memory(&mut self, bytes: u64) {
        self.usage.memory_bytes = bytes;
        self.usage.memory_peak_bytes = self.usage.memory_peak_bytes.max(bytes);
    }

    pub(super) fn spreads(&self) -> Spreads {
        Spreads { fuel_per_event: self.fuel_per_event.spread(), call_ns: self.call_ns.spread() }
    }
}

/// A histogram with what its buckets do not hold.
struct Distribution {
    buckets: Histogram,
    count: u64,
    sum: u64,
    max: u64,
    powers: [u64; POWERS],
}

impl Distribution {
    fn new() -> Self {
        let buckets = Histogram::with_config(&BUCKETS);
        Self { buckets, count: 0, sum: 0, max: 0, powers: [0; POWERS] }
    }

    fn add(&mut self, value: u64, times: u64) {
        self.count = self.count.saturating_add(times);
        self.sum = self.sum.saturating_add(value.saturating_mul(times));
        self.max = self.max.max(value);
        let power = value.checked_ilog2().map_or(0, |power| power as usize).min(POWERS - 1);
        self.powers[power] = self.powers[power].saturating_add(times);
        if self.buckets.add(value, times).is_err() {
            // Beyond the last bucket it is still among the largest.
            let _ = self.buckets.add((1 << 44) - 1, times);
        }
    }

    fn spread(&self) -> Spread {
        let mut found = [const { None }; 3];
        // Only quantiles outside of 0 to 1 are an error.
        let _ = self.buckets.quantile_buckets_into(&[0.5, 0.9, 0.99], &mut found);
        let [p50, p90, p99] =
            found.map(|bucket| bucket.map_or(0, |bucket| bucket.end().min(self.max)));
        let Self { count, sum, max, powers, .. } = *self;
        Spread { count, sum, p50, p90, p99, max, powers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_sixteenth() {
        let mut distribution = Distribution::new();
        assert_eq!(distribution.spread(), Spread::default());
        for value in 1..=10_000 {
            distribution.add(value, 1);
        }
        let spread = distribution.spread();
        assert_eq!((spread.count, spread.sum, spread.max), (10_000, 50_005_000, 10_000));
        for (found, exact) in [(spread.p50, 5_000), (spread.p90, 9_000), (spread.p99, 9_900)] {
            assert!(found >= exact && found - exact <= exact / 16, "{found} for {exact}");
        }
    }

    #[test]
    fn every_value_is_in_the_place_of_its_power_of_two() {
        let mut distribution = Distribution::new();
        for value in [0, 1, 2, 3, 4, 1 << 20, (1 << 21) - 1, 1 << 31, u64::MAX] {
            distribution.add(value, 2);
        }
        let mut places = [0; POWERS];
        for (power, count) in [(0, 4), (1, 4), (2, 2), (20, 4), (31, 4)] {
            places[power] = count;
        }
        let spread = distribution.spread();
        assert_eq!(spread.powers, places);
        assert_eq!(spread.powers.iter().sum::<u64>(), spread.count);
    }

    #[test]
    fn a_value_beyond_the_buckets_is_counted() {
        let mut distribution = Distribution::new();
        distribution.add(u64::MAX, 3);
        let spread = distribution.spread();
        assert_eq!((spread.count, spread.max), (3, u64::MAX));
        assert_eq!(spread.p50, (1 << 44) - 1);
    }
}
