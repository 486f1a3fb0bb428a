//! Counts what a guest uses: totals that are the same in every replay, and how
//! values are spread.

use crate::strategy::{Distributions, Usage};

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
#[derive(Default)]
pub(super) struct Meter {
    pub(super) usage: Usage,
    pub(super) spread: Distributions,
}

impl Meter {
    /// Counts a call that returned, with its fuel and, in nanoseconds, its time.
    pub(super) fn call(&mut self, kind: Kind, fuel: u64, took_ns: u64) {
        self.usage.fuel = self.usage.fuel.saturating_add(fuel);
        self.any(kind, took_ns);
    }

    /// Counts a call that failed. What it is charged is kept apart: it is what the
    /// call was given, and so a matter of how many events that was made for.
    pub(super) fn failed(&mut self, kind: Kind, charged: u64, took_ns: u64) {
        self.usage.fuel_failed = self.usage.fuel_failed.saturating_add(charged);
        self.any(kind, took_ns);
    }

    /// Says of a call that was counted as one that returned that it failed all the
    /// same, because of what it returned.
    pub(super) fn failed_after_all(&mut self, fuel: u64) {
        self.usage.fuel = self.usage.fuel.saturating_sub(fuel);
        self.usage.fuel_failed = self.usage.fuel_failed.saturating_add(fuel);
    }

    fn any(&mut self, kind: Kind, took_ns: u64) {
        self.usage.calls += 1;
        match kind {
            Kind::Events => self.usage.event_calls += 1,
            Kind::Order => self.usage.order_calls += 1,
            Kind::Other => return,
        }
        self.spread.call_ns.add(took_ns, 1);
    }

    /// Counts the events that a call consumed, at so much fuel each.
    pub(super) fn events(&mut self, events: u32, fuel_each: u64) {
        self.usage.fuel_max_per_event = self.usage.fuel_max_per_event.max(fuel_each);
        self.spread.fuel_per_event.add(fuel_each, u64::from(events));
    }

    /// Notes how much linear memory there is now.
    pub(super) fn memory(&mut self, bytes: u64) {
        self.usage.memory_bytes = bytes;
        self.usage.memory_peak_bytes = self.usage.memory_peak_bytes.max(bytes);
    }
}
