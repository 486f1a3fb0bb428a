//! What becomes of a strategy that fails.
//!
//! 1. It is quarantined: not called again, its orders that wait end, its position
//!    stays with its stop and target, or is closed where the policy says so.
//! 2. Where it may be started again, a new instance takes its place at its first
//!    event at or after a time: the fault's, and the back-off, which doubles with
//!    each fault of the run. It is started as at the beginning, with the account as
//!    it stands, and is given the last state that was saved. What happened in
//!    between it has not seen. One fault too many is a quarantine.
//! 3. States are saved between two events, in market time.
//! 4. Both need to know at which event it failed. So a strategy under such a policy
//!    is called with one event at a time, and its chain is the same at every batch
//!    size all the same.

use std::sync::Arc;

use crate::domain::Ts;
use crate::portfolio::InvariantBroken;
use crate::strategy::{Fault, FaultKind, StartInfo, Strategy};

use super::chain::{Record, RecordKind};
use super::lane::{Batch, Lane, LaneState};
use super::output::{LaneOutput, Output};
use super::verdict::Call;
use super::view::{LaneView, account_info, instrument_info};

/// What is done about faults. The default is to quarantine and to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultPolicy {
    /// how often one strategy is started again in a run
    pub restarts: u32,
    /// market time from the first fault to its restart, in nanoseconds
    pub backoff_ns: i64,
    /// market time from one saved state to the next, in nanoseconds
    pub save_every_ns: i64,
    /// closes positions when their strategy fails
    pub flatten: bool,
}

impl FaultPolicy {
    /// True when it must be known at which event a strategy fails.
    #[must_use]
    pub fn needs_place(&self) -> bool {
        self.restarts > 0 || self.flatten
    }
}

/// A lane's faults so far, and what is kept against the next one.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) policy: FaultPolicy,
    /// a call has just failed, and nothing was done about it yet
    failed: bool,
    /// no new orders after a restart, because there were none to be before
    pub(super) paused: bool,
    pub(super) restarts: u32,
    /// the last saved state, and the version that saved it
    pub(super) saved: Option<(Vec<u8>, Arc<str>)>,
    pub(super) next_save: i64,
}

impl Recovery {
    pub(super) fn new(policy: FaultPolicy) -> Self {
        let next_save = i64::MIN;
        Self { policy, failed: false, paused: false, restarts: 0, saved: None, next_save }
    }

    /// True when a call has just failed and [`Lane::recover`] is due.
    pub(super) fn is_due(&self) -> bool {
        self.failed
    }

    /// Forgets states of a strategy that is no longer there.
    pub(super) fn forget(&mut self) {
        self.saved = None;
        self.next_save = i64::MIN;
    }
}

/// Whether another instance could do better: not when the operator ended it.
fn may_restart(kind: FaultKind) -> bool {
    kind != FaultKind::Revoked
}

impl Lane {
    /// Ends the strategy for a fault at a place that is known when the policy needs
    /// it; [`Lane::recover`] does the rest.
    pub(super) fn fail(&mut self, fault: Fault, ts: Ts, outputs: &mut Vec<Output>) {
        self.recovery.paused = self.state == LaneState::Paused;
        self.quarantine(fault, ts, outputs);
        self.recovery.failed = self.recovery.policy.needs_place();
    }

    /// What the policy says about the fault at `moment`, if there was one.
    pub(super) fn recover(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
    ) -> Result<(), InvariantBroken> {
        if !std::mem::take(&mut self.recovery.failed) {
            return Ok(());
        }
        let LaneState::Quarantined(fault) = self.state.clone() else { return Ok(()) };
        let place = batch.timeline.moments()[moment as usize];
        let policy = self.recovery.policy;
        if policy.flatten {
            self.effects.begin(self.next_order, 0);
            self.flatten(batch, moment)?;
            self.updates.clear();
        }
        if self.recovery.restarts >= policy.restarts || !may_restart(fault.kind) {
            return Ok(());
        }
        let wait = policy.backoff_ns.saturating_mul(1 << self.recovery.restarts.min(40));
        let until = Ts(place.ts.0.saturating_add(wait));
        self.recovery.restarts += 1;
        let record = Record::new(RecordKind::Restart, place.seq, place.phase);
        self.chain.absorb(&record.byte(0).int(i128::from(until.0)));
        let body = LaneOutput::Restarting { attempt: self.recovery.restarts, until };
        batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
        self.state = LaneState::Restarting { fault, until };
        Ok(())
    }

    /// Pauses or resumes what waits for its restart.
    pub(super) fn pause_restart(&mut self, paused: bool) {
        self.recovery.paused = paused;
    }

    /// The first own event from `told`, before moment `stop`, at which it is started
    /// again.
    pub(super) fn wakes(&self, batch: &Batch<'_>, told: usize, stop: u32) -> Option<(usize, u32)> {
        let LaneState::Restarting { until, .. } = &self.state else { return None };
        let class = &batch.classes[self.class];
        let due =
            |&event: &usize| batch.timeline.moments()[class.moment(event) as usize].ts >= *until;
        let event = (told..class.before(stop)).find(due)?;
        Some((event, class.moment(event)))
    }

    /// Puts a new instance in the place of the one that failed.
    pub(super) fn restart(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
    ) -> Result<(), InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        let made = self.foretold(Call::Begin).and_then(|()| {
            self.strategy.fresh().unwrap_or_else(|| {
                Err(Fault::new(FaultKind::Host, "it cannot be started a second time"))
            })
        });
        let saved = self.recovery.saved.clone();
        let state = saved.as_ref().map(|(state, version)| (state.as_slice(), &**version));
        let begun = match made {
            Ok(mut fresh) => {
                let info = self.info.clone();
                self.begin(batch, moment, &mut *fresh, info, state)?.map(|()| fresh)
            }
            Err(fault) => Err(fault),
        };
        let record = Record::new(RecordKind::Restart, place.seq, place.phase);
        match begun {
            Ok(fresh) => {
                self.chain.absorb(&record.byte(1));
                self.replace(fresh);
                let paused = self.recovery.paused;
                self.state = if paused { LaneState::Paused } else { LaneState::Running };
                let body = LaneOutput::Restarted {
                    attempt: self.recovery.restarts,
                    state: saved.is_some(),
                };
                batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
                Ok(())
            }
            Err(fault) => {
                self.chain.absorb(&record.byte(2));
                let paused = self.recovery.paused;
                self.fail(fault, place.ts, batch.outputs);
                self.recovery.paused = paused;
                self.recover(batch, moment)
            }
        }
    }

    /// Saves the strategy's state, where that is due at `moment`.
    pub(super) fn checkpoint(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
    ) -> Result<(), InvariantBroken> {
        let ts = batch.timeline.moments()[moment as usize].ts;
        let policy = self.recovery.policy;
        if policy.restarts == 0 || ts.0 < self.recovery.next_save || !self.state.is_called() {
            return Ok(());
        }
        self.recovery.next_save = ts.0.saturating_add(policy.save_every_ns);
        match self.foretold(Call::Save).and_then(|()| self.strategy.save()) {
            Ok(state) => self.recovery.saved = Some((state, Arc::clone(&self.version))),
            // A strategy that will not say what it knows keeps what it said before.
            Err(refused) if refused.kind == FaultKind::Refused => {}
            Err(fault) => {
                self.fail(fault, ts, batch.outputs);
                self.recover(batch, moment)?;
            }
        }
        Ok(())
    }

    /// Starts an instance that is not the lane's yet, as at the beginning but with
    /// the account as it stands, and lets it load a state. What it logs is kept.
    pub(super) fn begin(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        strategy: &mut dyn Strategy,
        mut info: StartInfo,
        state: Option<(&[u8], &str)>,
    ) -> Result<Result<(), Fault>, InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        self.seek(batch, moment)?;
        let view = LaneView::new(self, batch.market, batch.timeline.number(moment));
        info.ts_ns = place.ts.0 as u64;
        info.account = account_info(&self.account, &self.instruments);
        // The venue may have changed its rules since the first instance began.
        info.instruments = self.instruments.iter().map(|(_, i)| instrument_info(i)).collect();
        self.effects.begin(self.next_order, 0);
        let begun = strategy.start(&info, Arc::new(view), &mut self.effects);
        let begun = begun.and_then(|()| match state {
            Some((state, version)) => strategy.load(state, version),
            None => Ok(()),
        });
        self.effects.intents.clear();
        self.publish(place.ts, batch.outputs);
        Ok(begun)
    }

    /// Puts an instance that has begun in the lane's place.
    pub(super) fn replace(&mut self, strategy: Box<dyn Strategy>) {
        self.past = self.past.then(self.strategy.usage());
        if let Some(own) = self.strategy.distributions() {
            self.past_spread.get_or_insert_default().merge(own);
        }
        self.strategy = strategy;
    }
}
