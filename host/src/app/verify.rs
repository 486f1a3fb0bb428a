//! Checking the record of a run: every byte, and every decision, by running it
//! again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::Exit;
use crate::config::{Config, Sources};
use crate::domain::{InstrumentTable, Ts};
use crate::engine::{Command, Engine, Output};
use crate::input::InputBlock;
use crate::journal::{
    ChainHead, Commanded, Decision, End, Ended, HEAD_LEN, Inputs, Kind, Manifest, Outputs,
    PayloadError, Record, Restarted, Scanner, decode,
};
use crate::recorder::{segment_name, segments};

use super::record::{decisions, grown};
use super::strategies::{self, Loaded, Selection};
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

/// What a record holds, and what is wrong with it.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// the run's name
    pub run: String,
    /// `ended` in order, or `cut` short
    pub status: &'static str,
    /// how often it was continued behind a crash
    pub restarts: u64,
    /// sound records
    pub records: u64,
    /// market events in them
    pub events: u64,
    /// fills in them
    pub fills: u64,
    /// bytes that are not those that were written
    pub damage: Option<String>,
    /// bytes at the end that were never wholly written: a crash leaves them
    pub torn: Option<String>,
    /// what a replay, one event a call, does otherwise
    pub findings: Vec<Finding>,
}

/// Walks the record in `folder` and replays it with the modules that it names.
///
/// # Errors
/// A folder without a record, or modules that cannot be had.
pub fn verify(config: &Config, folder: &Path, wasm: &[PathBuf]) -> Result<Verified, Failure> {
    let mut verified = walk(config, folder, wasm, true)?;
    if !verified.findings.is_empty() && verified.damage.is_none() {
        // What a replay in batches does not find was read ahead in a batch.
        let again = walk(config, folder, wasm, false)?;
        let still: BTreeSet<_> = again.findings.iter().map(|one| &one.strategy).collect();
        for finding in &mut verified.findings {
            if finding.strategy.is_some() && !still.contains(&finding.strategy) {
                finding.what.push_str("; in batches it does the same as in the record: it reads ahead of the event that it is called for");
            }
        }
    }
    Ok(verified)
}

fn walk(
    config: &Config,
    folder: &Path,
    wasm: &[PathBuf],
    strict: bool,
) -> Result<Verified, Failure> {
    let damaged =
        |what: String| Failure::new(Exit::DataDamaged, format!("{}: {what}", folder.display()));
    let paths = segments(folder).map_err(|error| damaged(error.to_string()))?;
    if paths.is_empty() {
        return Err(damaged("there is no record of a run".into()));
    }
    let (mut scanner, mut replay) = (Scanner::default(), None);
    let (mut damage, mut torn, mut left) = (None, None, 0);
    for (index, path) in paths.iter().enumerate() {
        let bytes = std::fs::read(path)?;
        let mut records = Vec::new();
        let end = scanner.segment(&bytes, index + 1 == paths.len(), |record| records.push(record));
        for record in records {
            match &mut replay {
                None => {
                    let manifest = manifest(&record).map_err(|e| damaged(e.to_string()))?;
                    replay = Some(Replay::open(config, manifest, wasm, strict)?);
                }
                Some(replay) => replay.take(&record)?,
            }
        }
        match end {
            Ok(End::Clean | End::Sealed) => {}
            Ok(End::Torn(what)) => {
                left = bytes.len().saturating_sub(what.offset);
                torn = Some(what.to_string());
            }
            Err(what) => {
                damage = Some(what.to_string());
                break;
            }
        }
    }
    let replay = replay.ok_or_else(|| damaged(damage.clone().unwrap_or("it is empty".into())))?;
    let mut findings = replay.findings;
    if damage.is_none() && replay.ended && left > HEAD_LEN {
        // Only the word that it is durable follows the end: this is no crash's trace.
        damage = torn.take();
    }
    let next = folder.join(segment_name(paths.len() as u64 + 1));
    if damage.is_none() && !replay.ended && scanner.sealed() && !next.exists() {
        damage = Some("the last segment is sealed, and the one that follows is missing".into());
    }
    findings.sort_by_key(|finding| finding.record);
    Ok(Verified {
        run: replay.manifest.run,
        status: if replay.ended { "ended" } else { "cut" },
        restarts: replay.restarts,
        records: scanner.seq(),
        events: replay.engine.events(),
        fills: replay.fills,
        damage,
        torn,
        findings,
    })
}

pub(super) fn manifest(record: &Record) -> Result<Manifest, PayloadError> {
    // Any other kind lacks a manifest's fields.
    decode(&record.payload)
}

/// The run again, beside its record.
pub(super) struct Replay {
    manifest: Manifest,
    engine: Engine,
    block: InputBlock,
    lengths: Vec<u64>,
    /// what the last step gave, not yet compared
    pending: Option<Outputs>,
    /// lanes that have gone another way
    apart: BTreeSet<u16>,
    pub(super) findings: Vec<Finding>,
    /// news of the last step, until the record tells of them
    news: Vec<Output>,
    restarts: u64,
    ended: bool,
    stopped: bool,
    fills: u64,
}

impl Replay {
    fn open(
        here: &Config,
        manifest: Manifest,
        wasm: &[PathBuf],
        strict: bool,
    ) -> Result<Self, Failure> {
        let mut config = recorded_config(&manifest)?;
        let mut findings = Vec::new();
        if config.sha256() != manifest.config_sha256 {
            let what = "its configuration does not have the hash that the record names";
            findings.push(Finding { record: 1, strategy: None, what: what.into() });
        }
        // Where modules and permissions lie is this machine's affair.
        config.strategies = crate::config::StrategiesConfig {
            only: if wasm.is_empty() { config.strategies.only.clone() } else { Vec::new() },
            ..here.strategies.clone()
        };
        config.engine.strict = strict;
        let loaded = modules(&config, &manifest, wasm)?;
        let instruments = InstrumentTable::new(manifest.instruments.clone());
        let symbols = setup::choose_symbols(&config, &loaded, &config.run.default_symbols);
        let engine = setup::engine(&config, "run", instruments, loaded, symbols, manifest.start)?;
        Ok(Self::beside(manifest, engine, findings))
    }

    /// A replay of a record by an engine that was started as its manifest says.
    pub(super) fn beside(manifest: Manifest, engine: Engine, findings: Vec<Finding>) -> Self {
        let block = InputBlock::new(engine.instruments(), 1);
        Self {
            manifest,
            engine,
            block,
            lengths: Vec::new(),
            pending: None,
            apart: BTreeSet::new(),
            findings,
            news: Vec::new(),
            restarts: 0,
            ended: false,
            stopped: false,
            fills: 0,
        }
    }

    /// The engine where the record ends, with the news that it does not hold.
    pub(super) fn into_engine(self) -> (Engine, Vec<Output>) {
        (self.engine, self.news)
    }

    pub(super) fn take(&mut self, record: &Record) -> Result<(), Failure> {
        let done = match record.kind {
            Kind::Manifest => Err("a second manifest".to_owned()),
            Kind::Sealed | Kind::Synced => Ok(()),
            _ if self.ended => Err("a record after the end".to_owned()),
            Kind::Inputs => self.inputs(record)?,
            Kind::Command => self.command(record)?,
            Kind::Restart => self.restart(record),
            Kind::Outputs => self.outputs(record)?,
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
    fn restart(&mut self, record: &Record) -> Result<(), String> {
        self.restarts += 1;
        // Parts of a block whose rest was never written: nobody took them.
        self.block.reset(self.engine.next_seq());
        let restarted: Restarted = decode(&record.payload).map_err(|error| error.to_string())?;
        let (told, held) = (restarted.events, self.engine.events());
        if told == held {
            Ok(())
        } else {
            Err(format!("it goes on behind {told} events, and {held} stand before"))
        }
    }

    fn outputs(&mut self, record: &Record) -> Result<Result<(), String>, Failure> {
        let outputs: Outputs = match decode(&record.payload) {
            Ok(outputs) => outputs,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let fill =
            |(_, _, decision): &&(u16, Ts, Decision)| matches!(decision, Decision::Fill { .. });
        self.fills += outputs.decisions.iter().filter(fill).count() as u64;
        if record.flags & Record::LAST != 0 {
            self.settle(record.seq, &Outputs::default());
            self.stop()?;
        }
        self.settle(record.seq, &outputs);
        Ok(Ok(()))
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

    fn collect(&mut self) {
        self.news = self.engine.drain().collect();
        let chains = grown(&self.engine, &mut self.lengths);
        self.pending = Some(Outputs { decisions: decisions(&self.news), chains });
    }

    /// Compares what the last step gave with what the record says of it.
    fn settle(&mut self, seq: u64, recorded: &Outputs) {
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
            }
        }
    }

    /// One finding a lane: what follows a difference differs too.
    fn differs(&mut self, record: u64, lane: u16, what: String) {
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

/// The configuration that the run had, and nothing of this machine's.
pub(super) fn recorded_config(manifest: &Manifest) -> Result<Config, Failure> {
    Ok(Config::load(&Sources { text: Some(manifest.config.clone()), ..Sources::default() })?)
}

/// The modules of the run by their hashes, in its order and under its names.
fn modules(config: &Config, manifest: &Manifest, wasm: &[PathBuf]) -> Result<Vec<Loaded>, Failure> {
    let files = if wasm.is_empty() {
        manifest.files.iter().map(PathBuf::from).collect()
    } else {
        wasm.to_vec()
    };
    let unsigned = manifest.strategies.iter().any(|strategy| strategy.unsigned);
    let mut loaded = strategies::load(config, &Selection { files, unsigned })?;
    let mut ordered = Vec::new();
    for strategy in &manifest.strategies {
        let place = loaded.iter().position(|one| one.sha256 == strategy.sha256);
        let Some(place) = place else {
            let message = format!(
                "the module of '{}' with SHA-256 {} is not among those that may run here",
                strategy.name, strategy.sha256
            );
            return Err(Failure::new(Exit::NotAllowed, message).hint("name it with --wasm FILE"));
        };
        let mut one = loaded.remove(place);
        one.name.clone_from(&strategy.name);
        ordered.push(one);
    }
    Ok(ordered)
}
