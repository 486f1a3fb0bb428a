//! The engine: inputs in, decisions and fills out.
//!
//! It is the only place that orders the stages. At each moment: the market
//! moves, brackets act, accounts are marked, strategies are told, and what they
//! ask for is checked, executed and booked, before the next moment. Lanes share
//! the market and nothing else, so each gives the same chain alone or among
//! five hundred.
//!
//! An [`Engine`] comes only out of an [`EngineBuilder`], after every strategy was
//! described, configured and started: there is no half-started engine to call.

mod booking;
mod builder;
mod calls;
pub mod chain;
mod changes;
mod command;
mod entering;
mod faults;
mod flight;
mod funds;
pub mod image;
mod intake;
mod lane;
mod limits;
pub mod output;
mod records;
pub mod report;
mod resting;
mod rules;
mod stream;
mod swap;
mod throttle;
mod timeline;
mod total;
mod verdict;
mod view;

use std::sync::Arc;

use crate::domain::{InstrumentTable, Ts};
use crate::execution::Brackets;
use crate::input::InputBlock;
use crate::market::Market;
use crate::portfolio::InvariantBroken;

pub use builder::{BuildError, EngineBuilder, EngineConfig, LaneSpec, check_descriptor};
pub use command::{Command, CommandAction};
pub use faults::FaultPolicy;
pub use image::{Image, Refusal};
pub use lane::{Counters, LaneLimits, LaneState};
pub use output::{LaneOutput, Output};
pub use report::{LaneReport, Snapshot};
pub use swap::Replacement;
pub use verdict::{Call, Verdict};

use lane::{Batch, Lane};
use stream::Class;
use timeline::Timeline;
use total::Total;

/// Who a lane is.
#[derive(Clone, Copy, Debug)]
pub struct LaneRef<'a> {
    /// the operator's name for it
    pub name: &'a str,
    /// its strategy's version, in its own words
    pub version: &'a str,
    /// what its news are counted in
    pub instruments: &'a InstrumentTable,
    /// stops and targets of its positions
    pub brackets: &'a Brackets,
    /// newest values of its indicators
    pub indicators: &'a [(String, f64)],
}

/// A started engine.
pub struct Engine {
    instruments: InstrumentTable,
    batch: usize,
    market: Arc<Market>,
    timeline: Timeline,
    classes: Vec<Class>,
    lanes: Vec<Lane>,
    outputs: Vec<Output>,
    total: Total,
    next_seq: u64,
    events: u64,
}

impl Engine {
    /// Takes a block of inputs, in batches of the configured size.
    ///
    /// # Errors
    /// A broken invariant: the engine must not be stepped again.
    pub fn step(&mut self, block: &InputBlock) -> Result<(), InvariantBroken> {
        self.market_mut()?.begin_block();
        let mut from = 0;
        while from < block.len() {
            let to = rules::batch_end(block, from, self.batch);
            let first = self.timeline.market_number(block.first_seq());
            let to = self.total.batch_end(first, from, to);
            self.step_batch(block, from, to)?;
            self.take_rules(block, to - 1);
            from = to;
        }
        self.next_seq = self.next_seq.max(block.next_seq());
        self.events += block.len() as u64;
        Ok(())
    }

    fn step_batch(
        &mut self,
        block: &InputBlock,
        from: usize,
        to: usize,
    ) -> Result<(), InvariantBroken> {
        let market = Arc::get_mut(&mut self.market).ok_or_else(kept_a_look_back)?;
        self.timeline.build(block, from, to, market, &mut self.classes);
        let mut batch = Batch {
            block,
            timeline: &self.timeline,
            classes: &self.classes,
            market: &mut self.market,
            outputs: &mut self.outputs,
        };
        for lane in &mut self.lanes {
            lane.walk(&mut batch)?;
        }
        let last = batch.timeline.moments().len().saturating_sub(1) as u32;
        self.total.look(&mut self.lanes, &mut batch, last)?;
        self.market_mut()?.commit(block);
        Ok(())
    }

    fn market_mut(&mut self) -> Result<&mut Market, InvariantBroken> {
        Arc::get_mut(&mut self.market).ok_or_else(kept_a_look_back)
    }

    /// Takes an operator's command: an input like any other. It takes the next
    /// sequence number (the next block begins at [`Engine::next_seq`] or later),
    /// moves the clock to `ts`, enters the chain of each lane that it is for, and
    /// comes out as an output. A command for a lane that does not exist is only
    /// a number and a time.
    ///
    /// # Errors
    /// A broken invariant: the engine must not be stepped again.
    pub fn command(&mut self, ts: Ts, command: &Command) -> Result<(), InvariantBroken> {
        self.between_events(ts, |lane, batch, moment| {
            if command.lane.is_none_or(|number| number == lane.number) {
                lane.command(batch, moment, command)?;
            }
            Ok(())
        })
    }

    /// Lets every lane act at one moment of its own, which takes a number among the
    /// inputs.
    fn between_events(
        &mut self,
        ts: Ts,
        mut act: impl FnMut(&mut Lane, &mut Batch<'_>, u32) -> Result<(), InvariantBroken>,
    ) -> Result<(), InvariantBroken> {
        // The moment of a command is one at which only the clock moved.
        let mut block = InputBlock::new(&self.instruments, self.next_seq);
        block.push_timer(ts.max(self.now()));
        let market = Arc::get_mut(&mut self.market).ok_or_else(kept_a_look_back)?;
        market.begin_block();
        self.timeline.build(&block, 0, 1, market, &mut self.classes);
        let moment = self.timeline.moments().len().saturating_sub(1) as u32;
        let mut batch = Batch {
            block: &block,
            timeline: &self.timeline,
            classes: &self.classes,
            market: &mut self.market,
            outputs: &mut self.outputs,
        };
        for lane in &mut self.lanes {
            lane.walk(&mut batch)?;
            act(lane, &mut batch, moment)?;
        }
        self.total.look(&mut self.lanes, &mut batch, moment)?;
        self.market_mut()?.commit(&block);
        self.timeline.set_aside();
        self.next_seq = block.next_seq();
        self.events += 1;
        Ok(())
    }

    /// What has happened to a lane so far that a replay must be told.
    #[must_use]
    pub fn verdicts(&self, number: u16) -> &[Verdict] {
        self.lanes.get(usize::from(number)).map_or(&[], Lane::verdicts)
    }

    /// How many verdicts that [`EngineBuilder::foretell`] told of have found no place
    /// yet.
    #[must_use]
    pub fn unfulfilled(&self, number: u16) -> usize {
        self.lanes.get(usize::from(number)).map_or(0, Lane::unfulfilled)
    }

    /// The number that the next input takes.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Ends the run: every strategy's `stop`, every chain's last record.
    ///
    /// # Errors
    /// An account that does not add up.
    pub fn finish(&mut self) -> Result<(), InvariantBroken> {
        let now = self.timeline.now();
        for lane in &mut self.lanes {
            lane.stop(self.next_seq, now, &mut self.outputs);
        }
        self.check()
    }

    /// Checks that every account adds up.
    ///
    /// # Errors
    /// Names the lane and what does not.
    pub fn check(&self) -> Result<(), InvariantBroken> {
        for lane in &self.lanes {
            lane.account
                .check()
                .map_err(|broken| InvariantBroken(format!("{}: {}", lane.name, broken.0)))?;
        }
        Ok(())
    }

    /// Takes the news since the last call.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Output> {
        for lane in &mut self.lanes {
            lane.logs_held = 0;
        }
        self.outputs.drain(..)
    }

    /// The run's instruments.
    #[must_use]
    pub fn instruments(&self) -> &InstrumentTable {
        &self.instruments
    }

    /// The engine's clock.
    #[must_use]
    pub fn now(&self) -> Ts {
        self.timeline.now()
    }

    /// How many inputs it has taken.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The market.
    #[must_use]
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// Whose news it is.
    ///
    /// # Panics
    /// When there is no such lane: numbers come from [`Output::lane`].
    #[must_use]
    pub fn lane(&self, number: u16) -> LaneRef<'_> {
        let lane = &self.lanes[usize::from(number)];
        LaneRef {
            name: &lane.name,
            version: &lane.version,
            instruments: &lane.instruments,
            brackets: &lane.brackets,
            indicators: &lane.indicators,
        }
    }

    /// The number of the lane of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<u16> {
        self.lanes.iter().find(|lane| *lane.name == *name).map(|lane| lane.number)
    }

    /// Every lane's decision chain, in order.
    pub fn chains(&self) -> impl Iterator<Item = &chain::Chain> {
        self.lanes.iter().map(|lane| &lane.chain)
    }

    /// True while at least one strategy is called, or will be again.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.lanes.iter().any(|lane| lane.state.goes_on())
    }

    /// True while the market can still change what the run comes to: a strategy runs,
    /// or a stop, a target or a close that was begun stands on a position of one that
    /// has ended.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.is_running() || self.lanes.iter().any(|lane| !lane.brackets.is_empty())
    }

    /// Where every lane stands.
    #[must_use]
    pub fn reports(&self) -> Vec<LaneReport> {
        let now = self.now();
        self.lanes.iter().map(|lane| LaneReport::of(lane, &self.market, now)).collect()
    }

    /// The whole state that readers may see, made in one place and at one
    /// moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.next_seq, self.now(), &self.instruments, &self.market, self.reports())
    }
}

fn kept_a_look_back() -> InvariantBroken {
    InvariantBroken("a strategy kept a look back at the market".into())
}

#[cfg(test)]
mod tests;
