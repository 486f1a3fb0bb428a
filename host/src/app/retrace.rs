//! Taking a run again beside its record: the same inputs, and every decision
//! compared.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::config::Config;
use crate::domain::Ts;
use crate::engine::{Command, Engine, Output};
use crate::input::InputBlock;
use crate::journal::{
    ChainHead, Commanded, Decision, Ended, Inputs, Kind, Manifest, Outputs, Record, Restarted,
    StrategyRecord, SwapRecord, decode,
};

use super::record::{decisions, grown};
use super::recorded::Modules;
use super::rewind::Rewind;
use super::session::{replacement, took_over};
use super::{Failure, setup};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// the first record that differs
    pub record: u64,
    /// whose decision it is, if one strategy's
    pub strategy: Option<String>,
    /// what differs
    pub what: String,
}

/// A run again, beside its record.
pub(super) struct Retrace {
    pub(super) manifest: Manifest,
    pub(super) config: Config,
    pub(super) modules: Modules,
    pub(super) engine: Engine,
    /// who runs in each lane, as of now
    pub(super) running: Vec<StrategyRecord>,
    pub(super) block: InputBlock,
    pub(super) lengths: Vec<u64>,
    /// what the last step gave, not yet compared
    pub(super) pending: Option<Outputs>,
    /// lanes that have gone another way
    apart: BTreeSet<u16>,
    pub(super) findings: Vec<Finding>,
    /// news of the last step, until the record tells of them
    pub(super) news: Vec<Output>,
    /// news that a follower was not shown yet
    pub(super) shown: Option<Vec<Output>>,
    /// how often another process went on
    pub(super) restarts: u64,
    /// the record tells of its end
    pub(super) ended: bool,
    /// the engine has finished
    pub(super) stopped: bool,
    /// fills that the record tells of and a replay makes too
    pub(super) fills: u64,
    /// records that were taken
    pub(super) taken: u64,
    /// the last snapshots
    pub(super) rewind: Rewind,
}

impl Retrace {
    /// By an engine that was started as the manifest says, and that was told before of
    /// the record's verdicts.
    pub(super) fn beside(
        (config, modules): (Config, Modules),
        manifest: Manifest,
        engine: Engine,
    ) -> Self {
        let block = InputBlock::new(engine.instruments(), 1);
        let mut again = Self {
            running: manifest.strategies.clone(),
            manifest,
            config,
            modules,
            engine,
            block,
            lengths: Vec::new(),
            pending: None,
            apart: BTreeSet::new(),
            findings: Vec::new(),
            news: Vec::new(),
            shown: None,
            restarts: 0,
            ended: false,
            stopped: false,
            fills: 0,
            taken: 0,
            rewind: Rewind::default(),
        };
        // The start brings news too.
        again.collect();
        again
    }

    /// Goes on comparing with a record's next record.
    ///
    /// # Errors
    /// A broken invariant, or a module that cannot be had.
    pub(super) fn take(&mut self, record: &Record) -> Result<(), Failure> {
        self.taken += 1;
        let done = match record.kind {
            Kind::Manifest => Err("a second manifest".to_owned()),
            Kind::Sealed | Kind::Synced => Ok(()),
            _ if self.ended => Err("a record after the end".to_owned()),
            Kind::Inputs => self.inputs(record)?,
            Kind::Command => self.command(record)?,
            Kind::Restart => self.restart(record)?,
            Kind::Snapshot => self.snapshot(record)?,
            Kind::Outputs => self.outputs(record)?,
            Kind::Swap => self.swap(record)?,
            // They were all told beforehand.
            Kind::Verdict => Ok(()),
            Kind::Ended => self.end(record)?,
        };
        if let Err(what) = done {
            self.findings.push(Finding { record: record.seq, strategy: None, what });
        }
        Ok(())
    }

    fn inputs(&mut self, record: &Record) -> Result<Result<(), String>, Failure> {
        self.settle(record.seq, &Outputs::default());
        let inputs: Inputs = match decode(&record.payload) {
            Ok(inputs) => inputs,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if self.block.is_empty() {
            self.block.reset(inputs.first_seq);
        }
        if let Err(error) = inputs.unpack(&mut self.block) {
            return Ok(Err(error.to_string()));
        }
        if record.flags & Record::MORE == 0 {
            self.engine.step(&self.block)?;
            self.block.reset(self.block.next_seq());
            self.collect();
        }
        Ok(Ok(()))
    }

    fn swap(&mut self, record: &Record) -> Result<Result<(), String>, Failure> {
        self.settle(record.seq, &Outputs::default());
        let swap: SwapRecord = match decode(&record.payload) {
            Ok(swap) => swap,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let module = self.modules.load(&self.config, &swap.to)?;
        let parameters = setup::parameters(&self.config, &swap.to.name);
        let replacement = replacement(module, swap.from, parameters);
        self.engine.swap(swap.ts, swap.lane, replacement)?;
        self.collect();
        if let Some(running) = self.running.get_mut(usize::from(swap.lane))
            && took_over(&self.news)
        {
            *running = swap.to;
        }
        Ok(Ok(()))
    }

    fn command(&mut self, record: &Record) -> Result<Result<(), String>, Failure> {
        self.settle(record.seq, &Outputs::default());
        let Commanded { seq, ts, command } = match decode::<Commanded<Command>>(&record.payload) {
            Ok(commanded) => commanded,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let next = self.engine.next_seq();
        self.engine.command(ts, &command)?;
        self.collect();
        Ok(if seq == next {
            Ok(())
        } else {
            Err(format!("a command has the number {seq}, and it is the {next}th input"))
        })
    }

    /// Another process goes on. What the step before gave may come behind this.
    fn restart(&mut self, record: &Record) -> Result<Result<(), String>, Failure> {
        self.restarts += 1;
        // Parts of a block whose rest was never written: nobody took them.
        self.block.reset(self.engine.next_seq());
        let restarted: Restarted = match decode(&record.payload) {
            Ok(restarted) => restarted,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if let Some(snapshot) = restarted.snapshot
            && let Err(what) = self.go_back(snapshot, record.seq)?
        {
            return Ok(Err(what));
        }
        let (told, held) = (restarted.events, self.engine.events());
        Ok(if told == held {
            Ok(())
        } else {
            Err(format!("it goes on behind {told} events, and {held} stand before"))
        })
    }

    fn outputs(&mut self, record: &Record) -> Result<Result<(), String>, Failure> {
        let outputs: Outputs = match decode(&record.payload) {
            Ok(outputs) => outputs,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if record.flags & Record::LAST != 0 {
            self.settle(record.seq, &Outputs::default());
            self.stop()?;
        }
        if self.pending.is_none() {
            return Ok(Err("it tells of decisions that nothing brought".into()));
        }
        let lanes = self.manifest.strategies.len();
        let lanes_told = outputs.decisions.iter().map(|one| one.0);
        let mut told = lanes_told.chain(outputs.chains.iter().map(|head| head.lane));
        let stranger = told.any(|lane| usize::from(lane) >= lanes);
        self.settle(record.seq, &outputs);
        Ok(if stranger { Err("it tells of a strategy that did not run".into()) } else { Ok(()) })
    }

    fn end(&mut self, record: &Record) -> Result<Result<(), String>, Failure> {
        self.settle(record.seq, &Outputs::default());
        self.stop()?;
        self.settle(record.seq, &Outputs::default());
        self.ended = true;
        let ended: Ended = match decode(&record.payload) {
            Ok(ended) => ended,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let heads = grown(&self.engine, &mut Vec::new());
        for lane in 0..self.manifest.strategies.len() as u16 {
            if self.engine.unfulfilled(lane) > 0 {
                let what = "what it tells of the wall clock or of fuel did not happen";
                self.differs(record.seq, lane, what.into());
            }
            let of = |heads: &[ChainHead]| heads.iter().find(|head| head.lane == lane).cloned();
            if of(&heads) != of(&ended.chains) {
                self.differs(record.seq, lane, "its decision chain ends otherwise".into());
            }
        }
        if ended.events != self.engine.events() {
            let (told, held) = (ended.events, self.engine.events());
            return Ok(Err(format!("it tells of {told} events and holds {held}")));
        }
        Ok(Ok(()))
    }

    fn stop(&mut self) -> Result<(), Failure> {
        if !self.stopped {
            self.stopped = true;
            self.engine.finish()?;
            self.collect();
        }
        Ok(())
    }

    pub(super) fn collect(&mut self) {
        self.news = self.engine.drain().collect();
        if let Some(shown) = &mut self.shown {
            shown.extend(self.news.iter().cloned());
        }
        let chains = grown(&self.engine, &mut self.lengths);
        self.pending = Some(Outputs { decisions: decisions(&self.news), chains });
    }

    /// Compares what the last step gave with what the record says of it.
    pub(super) fn settle(&mut self, seq: u64, recorded: &Outputs) {
        let Some(again) = self.pending.take() else { return };
        self.news.clear();
        for lane in 0..self.manifest.strategies.len() as u16 {
            let of = |outputs: &Outputs| -> Vec<(Ts, Decision)> {
                let own = outputs.decisions.iter().filter(|one| one.0 == lane);
                own.map(|(_, ts, decision)| (*ts, decision.clone())).collect()
            };
            let head =
                |outputs: &Outputs| outputs.chains.iter().find(|head| head.lane == lane).cloned();
            let (was, is) = (of(recorded), of(&again));
            let apart = was.iter().zip(&is).position(|(was, is)| was != is);
            let at = apart.unwrap_or(was.len().min(is.len()));
            if was.len() != is.len() || apart.is_some() {
                let (was, is) = (told(was.get(at)), told(is.get(at)));
                self.differs(seq, lane, format!("the record has {was}, a replay {is}"));
            } else if head(recorded) != head(&again) {
                self.differs(seq, lane, "its decision chain differs in a replay".into());
            } else {
                let fill =
                    |(_, decision): &&(Ts, Decision)| matches!(decision, Decision::Fill { .. });
                self.fills += was.iter().filter(fill).count() as u64;
            }
        }
    }

    /// One finding a lane: what follows a difference differs too.
    pub(super) fn differs(&mut self, record: u64, lane: u16, what: String) {
        if self.apart.insert(lane) {
            let strategy = self.manifest.strategies.get(usize::from(lane));
            let strategy = strategy.map(|strategy| strategy.name.clone());
            self.findings.push(Finding { record, strategy, what });
        }
    }
}

fn told(decision: Option<&(Ts, Decision)>) -> String {
    match decision {
        None => "nothing".into(),
        Some((_, Decision::Fill { fill, .. })) => {
            let (id, action) = (fill.id, fill.action.name());
            format!("fill {id}: {action} {} units for {} at {}", fill.qty.0, fill.amount, fill.ts.0)
        }
        Some((ts, other)) => format!("{other:?} at {}", ts.0),
    }
}
