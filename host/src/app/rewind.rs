//! Snapshots while a run is taken again: they are compared with the record, and a run
//! that went on from one is taken from there.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use crate::engine::{Refusal, Verdict};
use crate::journal::{Outputs, Record, SnapshotRecord, VerdictRecord, decode};

use super::cut_run::SNAPSHOTS;
use super::record::{refused_record, snapshot_record};
use super::recorded::walk;
use super::replay::Identity;
use super::retrace::Retrace;
use super::session::replacement;
use super::snapshot::State;
use super::{Failure, setup};

/// What is needed to take a run again from a snapshot.
#[derive(Default)]
pub(super) struct Rewind {
    /// the record's segments
    pub(super) paths: Vec<PathBuf>,
    /// all verdicts of the record
    pub(super) verdicts: Vec<(u16, Verdict)>,
    /// the last states, by the numbers of their records
    states: VecDeque<(u64, State)>,
    /// what is taken now lies behind a snapshot: other processes that went on from
    /// there did the same
    again: bool,
}

impl Rewind {
    /// For the record in these segments, with these verdicts.
    pub(super) fn of(paths: Vec<PathBuf>, verdicts: &[VerdictRecord<Verdict>]) -> Self {
        let verdicts = verdicts.iter().map(|one| (one.lane, one.verdict)).collect();
        Self { paths, verdicts, ..Self::default() }
    }
}

impl Retrace {
    /// Strategies are asked for their state, and everything is compared.
    pub(super) fn snapshot(&mut self, record: &Record) -> Result<Result<(), String>, Failure> {
        self.settle(record.seq, &Outputs::default());
        let told: SnapshotRecord = match decode(&record.payload) {
            Ok(told) => told,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let image = match self.engine.image() {
            Ok(image) => image,
            Err(refusal) => return Ok(self.refused(record.seq, &told, &refusal)),
        };
        if told.shared.is_empty() {
            let lane = told.lanes.len().saturating_sub(1);
            let lane = u16::try_from(lane).unwrap_or(u16::MAX);
            self.differs(
                record.seq,
                lane,
                "it does not save its state, but does in a replay".into(),
            );
            return Ok(Ok(()));
        }
        let state = State::new(self.running.clone(), self.lengths.clone(), image);
        let held = match snapshot_record(&state.image, told.file.clone()) {
            Ok(held) => held,
            Err(what) => return Ok(Err(what)),
        };
        for (lane, held) in (0..).zip(&held.lanes) {
            let Some(told) = told.lanes.get(usize::from(lane)) else { continue };
            if told.host != held.host {
                self.differs(record.seq, lane, "its state is another in a replay".into());
            } else if told.saved != held.saved {
                self.differs(record.seq, lane, "what it saves is another in a replay".into());
            }
        }
        if !self.rewind.again {
            self.rewind.states.push_back((record.seq, state));
            let excess = self.rewind.states.len().saturating_sub(SNAPSHOTS);
            self.rewind.states.drain(..excess);
        }
        Ok(if told.lanes.len() != held.lanes.len() || told.events != held.events {
            Err("it tells of a state after other inputs, or of other strategies".into())
        } else if told.shared != held.shared {
            Err("the market's state is another in a replay".into())
        } else {
            Ok(())
        })
    }

    /// As the record says or not, a strategy did not save its state.
    fn refused(
        &mut self,
        seq: u64,
        told: &SnapshotRecord,
        refusal: &Refusal,
    ) -> Result<(), String> {
        let again = refused_record(refusal);
        if *told == again {
            return Ok(());
        }
        if told.events != again.events {
            return Err("it tells of a state after other inputs".into());
        }
        let pairs = told.lanes.iter().zip(&again.lanes);
        let apart = pairs.take_while(|(told, held)| told.saved == held.saved).count();
        let lane = u16::try_from(apart).unwrap_or(u16::MAX).min(refusal.lane);
        self.differs(seq, lane, format!("it does not save in a replay: {}", refusal.why));
        Ok(())
    }

    /// Another process went on at record `end` from the snapshot of record `seq`.
    /// Those that went on behind it, in what is taken again, had done that too.
    pub(super) fn go_back(&mut self, seq: u64, end: u64) -> Result<Result<(), String>, Failure> {
        if self.rewind.again {
            return Ok(Ok(()));
        }
        let at = self.rewind.states.iter().position(|(number, _)| *number == seq);
        let Some((_, state)) = at.and_then(|at| self.rewind.states.get(at).cloned()) else {
            return Ok(Err(format!("it goes on from record {seq}, which is no late snapshot")));
        };
        if let Err(what) = self.put_back(&state)? {
            return Ok(Err(format!("from the snapshot it cannot go on: {what}")));
        }
        let (shown, fills, restarts) = (self.shown.take(), self.fills, self.restarts);
        let paths = self.rewind.paths.clone();
        walk(&paths, |record| {
            if record.seq > seq && record.seq < end { self.take_behind(record) } else { Ok(()) }
        })?;
        (self.shown, self.fills, self.restarts) = (shown, fills, restarts);
        self.block.reset(self.engine.next_seq());
        Ok(Ok(()))
    }

    /// Takes a record that lies behind the snapshot that was put back.
    pub(super) fn take_behind(&mut self, record: &Record) -> Result<(), Failure> {
        self.rewind.again = true;
        let taken = self.take(record);
        self.rewind.again = false;
        taken
    }

    /// Puts the engine into a state, with the modules that ran then.
    pub(super) fn put_back(&mut self, state: &State) -> Result<Result<(), String>, Failure> {
        let mut modules = BTreeMap::new();
        for ((lane, then), now) in (0..).zip(&state.running).zip(&self.running) {
            let (identity, other) = (Identity::from(then), Identity::from(now));
            let same = (&identity.sha256, &identity.limits, identity.wasi)
                == (&other.sha256, &other.limits, other.wasi);
            if !same {
                let module = self.modules.load(&self.config, then)?;
                let parameters = setup::parameters(&self.config, &then.name);
                modules.insert(lane, replacement(module, now.sha256.clone(), parameters));
            }
        }
        if let Err(what) = self.engine.restore(&state.image, modules, &self.rewind.verdicts) {
            return Ok(Err(what));
        }
        self.running.clone_from(&state.running);
        self.lengths.clone_from(&state.lengths);
        self.block.reset(self.engine.next_seq());
        self.pending = None;
        self.news.clear();
        // That they were stopped lies behind the snapshot.
        self.stopped = false;
        Ok(Ok(()))
    }
}
