//! Verdicts: what a replay could not find out by running a strategy again.
//!
//! 1. That a call was stopped by the machine's clock. Such a call has a place in the
//!    strategy's own history that does not depend on batches; the record keeps it,
//!    and a replay is told of it beforehand and fails the call at that place without
//!    making it. This holds for every sort of call.
//! 2. That a call of several events used more fuel than one event may. Fuel is
//!    granted for a call as a whole, so within it one event may have used what
//!    others left. From then on the strategy is called with one event at a time. A
//!    replay, which calls so from the beginning, lets the same events use as much.
//!    So a strategy that breaks its limit for the first time inside a batch may get
//!    through with it that once, and never differs afterwards.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::strategy::{Fault, FaultKind};

use super::lane::Lane;

/// The most events that a verdict may let share their fuel.
const SHARED_MAX: u32 = 1 << 16;

/// What a call was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// market events
    #[default]
    Events,
    /// the news of an order
    Order,
    /// the start of an instance, with the state that it loads
    Begin,
    /// its state is saved
    Save,
    /// the end
    Stop,
    /// not a call that was stopped: so many events shared their fuel
    Shared(u32),
}

/// A place in a strategy's history: how much it had done before that call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// events that it had consumed
    pub events: u64,
    /// order news that it had been told
    pub updates: u64,
    /// faults that it had had, and exchanges of its code that the clock stopped
    pub faults: u64,
    /// the call
    pub call: Call,
}

/// A lane's verdicts.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    pub(super) updates: u64,
    pub(super) faults: u64,
    /// the call that was last made or is being made
    call: Call,
    pub(super) given: Vec<Verdict>,
    pub(super) foretold: VecDeque<Verdict>,
    /// foretold ones whose place was passed
    pub(super) missed: usize,
    /// where those end that share their fuel
    pub(super) shared_until: Option<u64>,
}

impl Lane {
    fn here(&self, call: Call) -> Verdict {
        let Verdicts { updates, faults, .. } = self.verdicts;
        Verdict { events: self.counters.events, updates, faults, call }
    }

    /// Asked before each call: the fault that was foretold for it.
    pub(super) fn foretold(&mut self, call: Call) -> Result<(), Fault> {
        self.verdicts.call = call;
        // One that was passed by must not hide those behind it.
        let Verdict { events, updates, faults, .. } = self.here(call);
        while self.verdicts.foretold.front().is_some_and(|next| {
            next.events < events || next.updates < updates || next.faults < faults
        }) {
            self.verdicts.foretold.pop_front();
            self.verdicts.missed += 1;
        }
        if self.verdicts.foretold.front() != Some(&self.here(call)) {
            return Ok(());
        }
        self.verdicts.foretold.pop_front();
        Err(Fault::new(FaultKind::Deadline, "stopped by the wall clock, as the record says"))
    }

    /// Calls the strategy with events, and sees to it that a replay can.
    pub(super) fn handle(&mut self, words: &[u64], events: u32) -> Result<u32, Fault> {
        self.foretold(Call::Events)?;
        self.share();
        let answer = self.strategy.handle(words, events, &mut self.effects);
        let shared = match &answer {
            Ok(consumed) => self.strategy.overdrew().then_some(*consumed),
            // What it used of its fuel before it failed is not known, and one that
            // ran out of it does so one event at a time as well.
            Err(fault) => {
                let decided = matches!(fault.kind, FaultKind::Deadline | FaultKind::OutOfFuel);
                (events > 1 && !decided).then_some(events)
            }
        };
        if let Some(events) = shared.filter(|_| self.verdicts.shared_until.is_none()) {
            self.verdicts.given.push(self.here(Call::Shared(events)));
            self.limits.events_per_call = 1;
        }
        answer
    }

    /// Lets the events that are told next share their fuel, where that was foretold,
    /// and ends it behind them.
    fn share(&mut self) {
        if let Some(front) = self.verdicts.foretold.front().copied()
            && let Call::Shared(events) = front.call
            && front == self.here(front.call)
        {
            let events = events.min(SHARED_MAX);
            self.verdicts.foretold.pop_front();
            self.verdicts.given.push(front);
            self.limits.events_per_call = 1;
            self.verdicts.shared_until = Some(self.counters.events + u64::from(events));
            self.strategy.grant(events);
        } else if self.verdicts.shared_until.is_some_and(|end| self.counters.events >= end) {
            self.verdicts.shared_until = None;
            self.strategy.grant(1);
        }
    }

    /// Counts a fault, and keeps its place when it is one of the wall clock.
    pub(super) fn judge(&mut self, kind: FaultKind) {
        if kind == FaultKind::Deadline {
            self.verdicts.given.push(self.here(self.verdicts.call));
        }
        self.verdicts.faults += 1;
    }

    /// As [`Lane::judge`], for another instance's call that is no fault of this one.
    pub(super) fn judge_other(&mut self, kind: FaultKind) {
        if kind == FaultKind::Deadline {
            self.judge(kind);
        }
    }

    /// The verdicts so far.
    pub(super) fn verdicts(&self) -> &[Verdict] {
        &self.verdicts.given
    }

    /// Lets a verdict come again.
    pub(super) fn foretell(&mut self, verdict: Verdict) {
        self.verdicts.foretold.push_back(verdict);
    }

    /// How many foretold verdicts have found no place.
    pub(super) fn unfulfilled(&self) -> usize {
        self.verdicts.missed + self.verdicts.foretold.len()
    }
}
