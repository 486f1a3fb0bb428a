//! A strategy's code changes while it runs.
//!
//! 1. A swap is an input like a command: it has a number and a time, falls between
//!    two events, and enters the lane's chain with the hash of the new code and how
//!    it went.
//! 2. The old instance saves its state; the new one is started with the account as
//!    it stands and loads it. Only then does it take the old one's place. If either
//!    refuses, or the new one fails, the old one goes on as if nothing had been.
//! 3. Positions, orders that wait, stops and the chain are the lane's, and stay. No
//!    event is missed and none is told twice.
//! 4. What it hears of must not change: that would change which events there are.

use crate::domain::Ts;
use crate::portfolio::InvariantBroken;
use crate::strategy::{Descriptor, Effects, Fault, FaultKind, Strategy, Value, clean_text};

use super::Engine;
use super::builder::{check_descriptor, class_key, resolve};
use super::chain::{Record, RecordKind};
use super::lane::{Batch, Lane};
use super::output::{LaneOutput, Output};
use super::stream::ClassKey;
use super::verdict::Call;

/// What is to take a strategy's place.
pub struct Replacement {
    /// the code
    pub strategy: Box<dyn Strategy>,
    /// what it says of itself
    pub descriptor: Descriptor,
    /// parameters that differ from their defaults
    pub parameters: Vec<(String, Value)>,
    /// SHA-256 of the file that runs, in hex
    pub from: String,
    /// SHA-256 of the new file, in hex
    pub to: String,
}

impl Engine {
    /// Swaps a lane's strategy at `ts`. How that went comes out as an output; a swap
    /// that fails leaves everything as it was.
    ///
    /// # Errors
    /// A broken invariant: the engine must not be stepped again.
    pub fn swap(
        &mut self,
        ts: Ts,
        number: u16,
        replacement: Replacement,
    ) -> Result<(), InvariantBroken> {
        let keys: Vec<ClassKey> = self.classes.iter().map(|class| class.key.clone()).collect();
        let instruments = self.instruments.clone();
        let mut replacement = Some(replacement);
        self.between_events(ts, |lane, batch, moment| {
            let new = replacement.take_if(|_| lane.number == number);
            let Some(new) = new else { return Ok(()) };
            let key = class_key(&instruments, &lane.symbols, &new.descriptor);
            let same = keys.get(lane.class) == Some(&key);
            lane.swap(batch, moment, new, same)
        })
    }
}

impl Lane {
    fn swap(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        new: Replacement,
        same_events: bool,
    ) -> Result<(), InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        let (from, to) = (new.from.clone(), new.to.clone());
        let refused = self.exchange(batch, moment, new, same_events)?.err();
        let record = Record::new(RecordKind::Swap, place.seq, place.phase);
        self.chain.absorb(&record.text(&to).byte(u8::from(refused.is_none())));
        let body = LaneOutput::Swapped {
            seq: batch.block.first_seq(),
            from,
            to,
            version: self.version.to_string(),
            refused,
        };
        batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
        self.effects.begin(self.next_order, self.limits.intents_per_event);
        self.settle(batch, moment)
    }

    /// Takes on what one event of a new module may cause.
    pub(super) fn adopt_limits(&mut self, strategy: &dyn Strategy) {
        if let Some(limits) = strategy.effect_limits() {
            self.effects = Effects::new(limits);
            self.limits.intents_per_event = limits.intents;
        }
    }

    /// The exchange itself, or why it did not take place.
    fn exchange(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        mut new: Replacement,
        same_events: bool,
    ) -> Result<Result<(), String>, InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        if !self.state.is_called() {
            return Ok(Err("it does not run".into()));
        }
        if !same_events {
            return Ok(Err("it subscribes to other events, which needs a new run".into()));
        }
        let fits = check_descriptor(&new.descriptor)
            .and_then(|()| resolve(&new.descriptor, &new.parameters));
        let parameters = match fits {
            Ok(parameters) => parameters,
            Err(why) => return Ok(Err(why)),
        };
        let state = match self.foretold(Call::Save).and_then(|()| self.strategy.save()) {
            Ok(state) => state,
            Err(refused) if refused.kind == FaultKind::Refused => {
                return Ok(Err(format!("the old one does not save its state, {refused}")));
            }
            Err(fault) => {
                let why = format!("the old one failed when it saved its state, {fault}");
                self.fail(fault, place.ts, batch.outputs);
                return Ok(Err(why));
            }
        };
        let mut info = self.info.clone();
        info.parameters = parameters;
        let version = std::sync::Arc::clone(&self.version);
        let state = Some((state.as_slice(), &*version));
        let begun: Result<(), Fault> = match self.foretold(Call::Begin) {
            Ok(()) => self.begin(batch, moment, &mut *new.strategy, info.clone(), state)?,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = begun {
            self.judge_other(fault.kind);
            return Ok(Err(format!("the new one does not take it over, {fault}")));
        }
        self.adopt_limits(&*new.strategy);
        self.version = clean_text(&new.descriptor.version, 64).into();
        self.info = info;
        self.recovery.forget();
        (self.unsaved, self.rehearsed) = (None, false);
        self.replace(new.strategy);
        Ok(Ok(()))
    }
}
