//! Statistics over all closed round trips, exact and running: the history kept
//! in memory is bounded, the sums are not.

use std::collections::VecDeque;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::totals::Booked;
use super::{RoundTrip, Totals};
use crate::domain::{Fill, Money};

/// Running totals and the newest fills and round trips.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    fills_kept: usize,
    trips_kept: usize,
    fills: VecDeque<Fill>,
    trips: VecDeque<RoundTrip>,
    totals: Totals,
}

/// The totals are what statistics are asked for.
impl Deref for Statistics {
    type Target = Totals;
    fn deref(&self) -> &Totals {
        &self.totals
    }
}

impl Statistics {
    /// Empty statistics that keep at most so many fills and round trips.
    #[must_use]
    pub fn new(fills_kept: usize, trips_kept: usize) -> Self {
        Self {
            fills_kept,
            trips_kept,
            fills: VecDeque::new(),
            trips: VecDeque::new(),
            totals: Totals::default(),
        }
    }

    /// Counts a fill and what it realized.
    pub fn on_fill(&mut self, fill: &Fill, booked: &Booked) {
        self.totals.on_fill(booked);
        keep(&mut self.fills, self.fills_kept, fill.clone());
    }

    /// Counts a charge on a short.
    pub fn on_carry(&mut self, amount: Option<Money>) {
        self.totals.on_carry(amount);
    }

    /// Counts a closed round trip, with its net in the account currency.
    pub fn on_round_trip(&mut self, trip: RoundTrip, net: Option<Money>) {
        self.totals.on_net(trip.net(), net);
        keep(&mut self.trips, self.trips_kept, trip);
    }

    /// The newest `n` fills, oldest of them first.
    pub fn newest_fills(&self, n: usize) -> impl Iterator<Item = &Fill> {
        self.fills.iter().skip(self.fills.len().saturating_sub(n))
    }

    /// The newest `n` round trips, oldest of them first.
    pub fn newest_round_trips(&self, n: usize) -> impl Iterator<Item = &RoundTrip> {
        self.trips.iter().skip(self.trips.len().saturating_sub(n))
    }
}

/// Appends to a bounded history; the oldest entry makes room.
fn keep<T>(history: &mut VecDeque<T>, limit: usize, item: T) {
    if limit == 0 {
        return;
    }
    if history.len() >= limit {
        history.pop_front();
    }
    history.push_back(item);
}
