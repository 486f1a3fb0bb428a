//! How values are spread over many calls: bounded histograms that add up over the
//! instances of a strategy.

use histogram::{Config, Histogram};

use super::usage::{POWERS, Spread, Spreads};

/// Sixteen buckets for each power of two, up to 2⁴⁴: five hours in nanoseconds,
/// and more fuel than a call may be given.
#[allow(clippy::panic, reason = "evaluated by the compiler")]
const BUCKETS: Config = match Config::new(4, 44) {
    Ok(config) => config,
    Err(_) => panic!("wrong powers"),
};

/// The distributions of one strategy's calls.
#[derive(Clone, Debug, Default)]
pub struct Distributions {
    /// fuel of each consumed event; within a batch, its average
    pub fuel_per_event: Distribution,
    /// nanoseconds on the wall of each call with events or order news
    pub call_ns: Distribution,
}

impl Distributions {
    /// Counts what another instance in the same place had, too.
    pub fn merge(&mut self, other: &Self) {
        self.fuel_per_event.merge(&other.fuel_per_event);
        self.call_ns.merge(&other.call_ns);
    }

    /// What is shown of them.
    #[must_use]
    pub fn spreads(&self) -> Spreads {
        Spreads { fuel_per_event: self.fuel_per_event.spread(), call_ns: self.call_ns.spread() }
    }
}

/// A histogram with what its buckets do not hold.
#[derive(Clone, Debug)]
pub struct Distribution {
    buckets: Histogram,
    count: u64,
    sum: u64,
    max: u64,
    powers: [u64; POWERS],
}

impl Default for Distribution {
    fn default() -> Self {
        let buckets = Histogram::with_config(&BUCKETS);
        Self { buckets, count: 0, sum: 0, max: 0, powers: [0; POWERS] }
    }
}

impl Distribution {
    /// Counts a value so many times.
    pub fn add(&mut self, value: u64, times: u64) {
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

    /// Counts all values of another one too.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
        for (own, more) in self.powers.iter_mut().zip(other.powers) {
            *own = own.saturating_add(more);
        }
        let buckets = self.buckets.as_mut_slice().iter_mut().zip(other.buckets.as_slice());
        buckets.for_each(|(own, more)| *own = own.saturating_add(*more));
    }

    /// What is shown of it.
    #[must_use]
    pub fn spread(&self) -> Spread {
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
        let mut distribution = Distribution::default();
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
        let mut distribution = Distribution::default();
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
        let mut distribution = Distribution::default();
        distribution.add(u64::MAX, 3);
        let spread = distribution.spread();
        assert_eq!((spread.count, spread.max), (3, u64::MAX));
        assert_eq!(spread.p50, (1 << 44) - 1);
    }

    #[test]
    fn two_that_are_merged_are_as_one_that_had_all_values() {
        let (mut first, mut second, mut all) =
            (Distribution::default(), Distribution::default(), Distribution::default());
        for value in 0..10_000_u64 {
            let value = value * value;
            if value % 3 == 0 { &mut first } else { &mut second }.add(value, 2);
            all.add(value, 2);
        }
        first.merge(&second);
        assert_eq!(first.spread(), all.spread());
        assert_ne!(second.spread(), all.spread());
    }
}
