//! What a strategy has used: counts that a replay gives again, and how they are
//! spread.

use serde::{Deserialize, Serialize};

/// What a strategy has used so far. Nothing of it is a time of this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// calls into it, of every kind
    pub calls: u64,
    /// of these: batches of market events
    pub event_calls: u64,
    /// of these: order news
    pub order_calls: u64,
    /// calls that ended in a fault of its code
    pub traps: u64,
    /// its calls into the host
    pub host_calls: u64,
    /// fuel of the calls that returned well, 0 for native strategies
    pub fuel: u64,
    /// the most fuel that one call used per event
    pub fuel_max_per_event: u64,
    /// bytes of linear memory now
    pub memory_bytes: u64,
    /// the most bytes of linear memory that it had
    pub memory_peak_bytes: u64,
    /// fuel that calls were charged which failed: all that they were given, so it
    /// depends on how many events each was made for
    #[serde(default)]
    pub fuel_failed: u64,
}

impl Usage {
    /// This, and what another instance in the same place has used after it.
    #[must_use]
    pub fn then(self, after: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(after.calls),
            event_calls: self.event_calls.saturating_add(after.event_calls),
            order_calls: self.order_calls.saturating_add(after.order_calls),
            traps: self.traps.saturating_add(after.traps),
            host_calls: self.host_calls.saturating_add(after.host_calls),
            fuel: self.fuel.saturating_add(after.fuel),
            fuel_max_per_event: self.fuel_max_per_event.max(after.fuel_max_per_event),
            memory_bytes: after.memory_bytes,
            memory_peak_bytes: self.memory_peak_bytes.max(after.memory_peak_bytes),
            fuel_failed: self.fuel_failed.saturating_add(after.fuel_failed),
        }
    }
}

/// How a value is spread over many calls; all zero before the first. Quantiles
/// are exact to a sixteenth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// how many values
    pub count: u64,
    /// all of them together
    pub sum: u64,
    /// half of them are not above this
    pub p50: u64,
    /// nine of ten are not above this
    pub p90: u64,
    /// all but one in a hundred are not above this
    pub p99: u64,
    /// the largest
    pub max: u64,
    /// how many were at least that power of two and below the next, zero with the
    /// first; the last place has everything beyond it too
    pub powers: [u64; POWERS],
}

impl Spread {
    /// The average, rounded down; 0 before the first value.
    #[must_use]
    pub fn mean(&self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or(0)
    }
}

/// Powers of two that a spread tells apart: up to two seconds in nanoseconds.
pub const POWERS: usize = 32;

/// How a strategy's calls are spread, those of its earlier instances included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spreads {
    /// fuel of each consumed event; within a batch, its average
    pub fuel_per_event: Spread,
    /// nanoseconds on the wall of each call with events or order news: a figure
    /// of this machine, which decides nothing
    pub call_ns: Spread,
}
