//! Verdicts of the wall clock.
//!
//! That a call was stopped by the machine's clock cannot be found out by running it
//! again. So each such fault has a place in the strategy's own history that does not
//! depend on batches; the record keeps it, and a replay is told of it beforehand and
//! fails the call at that place without making it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::strategy::{Fault, FaultKind};

use super::lane::Lane;

/// Where the wall clock stopped a strategy: how much it had done before that call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// events that it had consumed
    pub events: u64,
    /// order news that it had been told
    pub updates: u64,
    /// faults that it had had
    pub faults: u64,
    /// true for its last call
    pub stopping: bool,
}

/// A lane's verdicts.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    pub(super) updates: u64,
    faults: u64,
    stopping: bool,
    given: Vec<Verdict>,
    foretold: VecDeque<Verdict>,
}

impl Lane {
    fn here(&self) -> Verdict {
        Verdict {
            events: self.counters.events,
            updates: self.verdicts.updates,
            faults: self.verdicts.faults,
            stopping: self.verdicts.stopping,
        }
    }

    /// The fault of the next call, where it was foretold.
    pub(super) fn foretold(&mut self) -> Result<(), Fault> {
        if self.verdicts.foretold.front() != Some(&self.here()) {
            return Ok(());
        }
        self.verdicts.foretold.pop_front();
        Err(Fault::new(FaultKind::Deadline, "stopped by the wall clock, as the record says"))
    }

    /// The next call is the last.
    pub(super) fn stopping(&mut self) {
        self.verdicts.stopping = true;
    }

    /// Counts a fault, and keeps its place when it is one of the wall clock.
    pub(super) fn judge(&mut self, kind: FaultKind) {
        if kind == FaultKind::Deadline {
            self.verdicts.given.push(self.here());
        }
        self.verdicts.faults += 1;
    }

    /// The verdicts so far.
    pub(super) fn verdicts(&self) -> &[Verdict] {
        &self.verdicts.given
    }

    /// Lets a verdict come again.
    pub(super) fn foretell(&mut self, verdict: Verdict) {
        self.verdicts.foretold.push_back(verdict);
    }
}
