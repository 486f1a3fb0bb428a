//! The limits over all strategies: when they are looked at, and what they do.
//!
//! They are looked at behind every [`LOOK_EVERY`]th input, counted by the numbers of the
//! inputs, so that neither batches nor the cuts of a source decide where they act.

use crate::domain::Money;
use crate::portfolio::InvariantBroken;
use crate::risk::{OnTotal, Sum, TotalLimits, TotalWatch};

use super::chain::{Record, RecordKind};
use super::command::CommandAction;
use super::lane::{Batch, Lane, LaneState};
use super::output::{LaneOutput, Output};

/// Between two looks batches are whole; between two of fewer inputs strategies would be
/// called for a few events each.
pub(super) const LOOK_EVERY: u64 = 32;

/// The limits over all strategies of an engine.
#[derive(Debug)]
pub(super) struct Total {
    limits: TotalLimits,
    pub(super) watch: TotalWatch,
    /// the number of the input behind which they are looked at next
    pub(super) next: u64,
}

impl Total {
    pub(super) fn new(limits: TotalLimits) -> Self {
        Self { limits, watch: TotalWatch::default(), next: LOOK_EVERY }
    }

    /// Where a batch must end: behind the event with the number of the next look.
    /// `from` and `to` are places in a block whose first event has this number.
    pub(super) fn batch_end(&self, first_seq: u64, from: usize, to: usize) -> usize {
        if !self.limits.any() {
            return to;
        }
        let events = self.next.saturating_sub(first_seq + from as u64).saturating_add(1);
        let most = usize::try_from(events).unwrap_or(usize::MAX);
        to.min(from.saturating_add(most.max(1)))
    }

    /// Looks at the limits at `moment`, the last of the batch, when it is time to, and
    /// stops all lanes when one is passed.
    pub(super) fn look(
        &mut self,
        lanes: &mut [Lane],
        batch: &mut Batch<'_>,
        moment: u32,
    ) -> Result<(), InvariantBroken> {
        let Some(place) = batch.timeline.moments().get(moment as usize) else { return Ok(()) };
        if !self.limits.any() || place.seq < self.next {
            return Ok(());
        }
        self.next = (place.seq / LOOK_EVERY + 1) * LOOK_EVERY;
        let Some(reason) = self.watch.look(&self.limits, place.ts, &sum(lanes)) else {
            return Ok(());
        };
        let actions: &[CommandAction] = match self.limits.action {
            OnTotal::Pause => &[CommandAction::Pause],
            OnTotal::Flatten => &[CommandAction::Pause, CommandAction::Flatten],
            OnTotal::Kill => &[CommandAction::Kill],
        };
        for lane in lanes {
            for action in actions {
                lane.stop_with_all(batch, moment, *action, &reason)?;
            }
        }
        Ok(())
    }
}

/// What all lanes have together.
fn sum(lanes: &[Lane]) -> Sum {
    let total = |amount: &dyn Fn(&Lane) -> Option<Money>| -> Option<Money> {
        lanes.iter().map(amount).sum()
    };
    Sum {
        start: total(&|lane| lane.account.start_equity()),
        equity: total(&|lane| lane.account.equity()),
        base: total(&Lane::short_base),
        exposure: total(&|lane| lane.account.exposure()),
        shorts: total(&|lane| lane.account.short_notional()),
        orders: lanes.iter().map(|lane| lane.counters.orders).sum(),
    }
}

impl Lane {
    /// Does what a limit over all strategies does with each of them.
    fn stop_with_all(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        action: CommandAction,
        reason: &str,
    ) -> Result<(), InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        let record = Record::new(RecordKind::Command, place.seq, place.phase);
        self.chain.absorb(&record.byte(action as u8).text(reason));
        let body = LaneOutput::Command { seq: place.seq, action, reason: reason.to_owned() };
        batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
        self.effects.begin(self.next_order, self.limits.intents_per_event);
        match action {
            CommandAction::Pause if self.state == LaneState::Running => {
                self.state = LaneState::Paused;
            }
            CommandAction::Flatten => self.flatten(batch, moment)?,
            CommandAction::Kill => self.halt(batch, moment, reason.to_owned())?,
            _ => self.pause_restart(true),
        }
        self.settle(batch, moment)
    }
}
