//! How long what a strategy sends is on its way to the venue.
//!
//! 1. An order or a change takes `order`, a cancel takes `cancel`. Each draw comes
//!    from the run's seed, the lane's name and the order's number alone, so it is
//!    the same at every batch size and whatever other strategies do: it is the first
//!    eight bytes of the BLAKE3 hash of the seed, what is sent (1 order, 2 change, 3
//!    cancel, 4 cancel of all), the order's number (of all: the next one's) and the
//!    lane's name, numbers as 8, 1 and 8 bytes, the lowest first. As a number of 64
//!    bits it is scaled over the range.
//! 2. With `ns_per_fuel` the strategy's own computing counts: what it asks for
//!    leaves when the call is done, and a call begins when the one before it is.
//!    Native strategies use no fuel and compute in no time.
//! 3. What a strategy sends arrives in the order in which it was sent, as over one
//!    connection.
//! 4. It arrives at the first print, quote or status of the lane's own symbols at or
//!    after its time, after orders that wait and brackets have met that event; with
//!    no latency at all, at the event that it was asked at. What it finds then is
//!    what it meets: status, book, cash and position are judged on arrival.
//! 5. A cancel or a change may find its order filled, and is refused then
//!    (`unknown-order`).
//! 6. Stops, targets and what the operator or a limit does are with the venue
//!    already: no latency. News come back at once; whoever wants their way counted
//!    adds it to the latency.
//! 7. Model `instant` knows no latency. Elsewhere the program's default is 50 ms for
//!    orders and cancels, and no time for fuel; [`LatencyConfig::default`] is none.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::Rate;

/// A latency in nanoseconds, or what it is drawn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delay {
    /// always the same
    Fixed(i64),
    /// each from the first to the last is as likely
    Uniform(i64, i64),
    /// each of these is as likely
    Recorded(Arc<[i64]>),
}

impl Default for Delay {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

impl Delay {
    /// The latency that a uniform 64-bit number stands for, in nanoseconds.
    #[must_use]
    pub fn draw(&self, uniform: u64) -> i64 {
        // The whole range is scaled: no modulo, whose low values come up more often.
        let scaled = |n: u64| (u128::from(uniform) * u128::from(n)) >> 64;
        match self {
            Self::Fixed(ns) => (*ns).max(0),
            Self::Uniform(low, high) => {
                let width = high.saturating_sub(*low).max(0) as u64 + 1;
                low.saturating_add(scaled(width) as i64).max(0)
            }
            Self::Recorded(samples) => {
                let at = scaled(samples.len() as u64) as usize;
                samples.get(at).map_or(0, |ns| (*ns).max(0))
            }
        }
    }
}

/// The latencies of all strategies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyConfig {
    /// of new orders and changes
    pub order: Delay,
    /// of cancels
    pub cancel: Delay,
    /// nanoseconds of computing that a unit of fuel stands for
    pub ns_per_fuel: Rate,
}

impl LatencyConfig {
    /// What tells recorded latencies apart, as hex; nothing without any.
    #[must_use]
    pub fn recording(&self) -> Option<String> {
        let recorded = |delay: &Delay| match delay {
            Delay::Recorded(samples) => samples.to_vec(),
            Delay::Fixed(_) | Delay::Uniform(..) => Vec::new(),
        };
        let mut hasher = blake3::Hasher::new();
        for samples in [recorded(&self.order), recorded(&self.cancel)] {
            hasher.update(&(samples.len() as u64).to_le_bytes());
            for ns in samples {
                hasher.update(&ns.to_le_bytes());
            }
        }
        let any = [&self.order, &self.cancel].into_iter().any(|d| matches!(d, Delay::Recorded(_)));
        any.then(|| hasher.finalize().to_hex().to_string())
    }

    /// How long so much fuel computes, in nanoseconds, rounded up.
    #[must_use]
    pub fn computing(&self, fuel: u64) -> i64 {
        let units = u128::from(fuel) * u128::from(self.ns_per_fuel.0.max(0) as u64);
        i64::try_from(units.div_ceil(Rate::ONE.0 as u128)).unwrap_or(i64::MAX)
    }
}

/// What is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Sent {
    /// a new order
    New = 1,
    /// a change of an order
    Amend = 2,
    /// a cancel of an order
    Cancel = 3,
    /// a cancel of all orders
    CancelAll = 4,
}

impl Sent {
    /// The name used in files and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Amend => "amend",
            Self::Cancel => "cancel",
            Self::CancelAll => "cancel-all",
        }
    }
}

/// A uniform 64-bit number for one thing that one lane sends about one order.
#[must_use]
pub fn uniform(seed: u64, lane: &str, sent: Sent, order: u64) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(&[sent as u8]);
    hasher.update(&order.to_le_bytes());
    hasher.update(lane.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_cover_their_range_and_nothing_else() {
        let uniform_delay = Delay::Uniform(10, 13);
        let recorded = Delay::Recorded(vec![5, 7, 7, 100].into());
        let (mut seen, mut sevens) = ([0_u32; 4], 0);
        for order in 0..10_000 {
            let number = uniform(1, "s", Sent::New, order);
            let drawn = uniform_delay.draw(number);
            assert!((10..=13).contains(&drawn), "{drawn}");
            seen[(drawn - 10) as usize] += 1;
            sevens += u32::from(recorded.draw(number) == 7);
        }
        // A quarter each, half of the recorded ones; four deviations of 43 and 50.
        assert!(seen.iter().all(|n| (2_327..=2_673).contains(n)), "{seen:?}");
        assert!((4_800..=5_200).contains(&sevens), "{sevens}");
        assert_eq!(Delay::Uniform(10, 13).draw(u64::MAX), 13);
        assert_eq!(Delay::Uniform(0, i64::MAX).draw(u64::MAX), i64::MAX);
        assert_eq!(Delay::Recorded([].into()).draw(1), 0);
        assert_eq!(Delay::Fixed(9).draw(1), 9);
    }

    #[test]
    fn a_draw_depends_on_seed_lane_kind_and_order_and_on_nothing_else() {
        let all = [
            uniform(1, "a", Sent::New, 1),
            uniform(2, "a", Sent::New, 1),
            uniform(1, "b", Sent::New, 1),
            uniform(1, "a", Sent::Cancel, 1),
            uniform(1, "a", Sent::New, 2),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{all:?}");
        }
        assert_eq!(uniform(1, "a", Sent::New, 1), all[0]);
    }

    #[test]
    fn what_was_recorded_is_told_apart_by_all_of_it() {
        let of = |order: Delay, cancel: Delay| {
            LatencyConfig { order, cancel, ..LatencyConfig::default() }.recording()
        };
        let recorded = |samples: &[i64]| Delay::Recorded(samples.into());
        assert_eq!(of(Delay::Fixed(5), Delay::Uniform(5, 7)), None);
        let all = [
            of(recorded(&[5, 7]), Delay::Fixed(0)),
            of(recorded(&[7, 5]), Delay::Fixed(0)),
            of(recorded(&[5]), Delay::Fixed(0)),
            of(Delay::Fixed(0), recorded(&[5, 7])),
            of(recorded(&[5]), recorded(&[7])),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(one.is_some() && !all[..index].contains(one), "{all:?}");
        }
        assert_eq!(of(recorded(&[5, 7]), Delay::Fixed(9)), all[0], "and by nothing else");
    }

    #[test]
    fn fuel_rounds_up_and_never_wraps() {
        let config = |text| LatencyConfig {
            ns_per_fuel: Rate::parse(text).unwrap(),
            ..LatencyConfig::default()
        };
        assert_eq!(config("0.5").computing(3), 2);
        assert_eq!(config("0").computing(u64::MAX), 0);
        assert_eq!(config("1000").computing(u64::MAX), i64::MAX);
    }
}
