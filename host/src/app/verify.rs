//! Checking the record of a run: every byte, and every decision, by running it
//! again.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::Exit;
use crate::config::{Config, Sources};
use crate::domain::{InstrumentTable, Ts};
use crate::engine::{Command, Engine, Output, Verdict};
use crate::input::InputBlock;
use crate::journal::{
    ChainHead, Commanded, Decision, End, Ended, HEAD_LEN, Inputs, Kind, Manifest, Outputs,
    PayloadError, Record, Scanner, StrategyRecord, SwapRecord, VerdictRecord, decode,
};
use crate::lockfile::{self, Approved, Candidate, LimitOverride, Lock, Sha256, Wasi};
use crate::recorder::{segment_name, segments};
use crate::strategy::FaultKind;

use super::given::{Runtimes, check_range, given};
use super::modules::Kept;
use super::record::{decisions, grown};
use super::session::replacement;
use super::strategies::{self, Loaded, Selection};
use super::{Failure, claims, setup};

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
    /// what the record had to tell the replay: calls that the wall clock stopped, and
    /// events that shared their fuel
    pub told: u64,
    /// strategies for which the lock file was bypassed, in the run or here
    pub unsigned: Vec<String>,
    /// what a replay, one event a call, does otherwise
    pub findings: Vec<Finding>,
}

impl Verified {
    /// The exit code that says so.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match (&self.damage, self.findings.is_empty()) {
            (Some(_), _) => Exit::DataDamaged,
            (None, false) => Exit::Findings,
            (None, true) => Exit::Done,
        }
    }
}

/// Who is shown a run as it is replayed from its record.
pub trait Follow {
    /// The engine is started.
    ///
    /// # Errors
    /// Whatever keeps it from following.
    fn opened(&mut self, engine: &Engine) -> io::Result<()>;

    /// This came of a record.
    ///
    /// # Errors
    /// As above.
    fn stepped(&mut self, engine: &Engine, news: &[Output]) -> io::Result<()>;

    /// That was all.
    ///
    /// # Errors
    /// As above.
    fn closed(&mut self, engine: &Engine) -> io::Result<()>;
}

/// Replays the record in `folder` as it was run, and shows it to `follower`.
///
/// # Errors
/// As [`verify`], and what keeps the follower.
pub fn follow(
    config: &Config,
    folder: &Path,
    given: &Selection,
    follower: &mut dyn Follow,
) -> Result<Verified, Failure> {
    walk(config, folder, given, false, Some(follower))
}

/// Walks the record in `folder` and replays it with the modules that it names.
///
/// # Errors
/// A folder without a record, or modules that cannot be had.
pub fn verify(config: &Config, folder: &Path, given: &Selection) -> Result<Verified, Failure> {
    let mut verified = walk(config, folder, given, true, None)?;
    if !verified.findings.is_empty() && verified.damage.is_none() {
        // What a replay in batches does not find was read ahead in a batch.
        let again = walk(config, folder, given, false, None)?;
        let still: BTreeSet<_> = again.findings.iter().map(|one| &one.strategy).collect();
        for finding in &mut verified.findings {
            let reads = !finding.what.contains(FaultKind::OutOfFuel.name());
            if reads && finding.strategy.is_some() && !still.contains(&finding.strategy) {
                finding.what.push_str("; in batches it does the same as in the record: it reads ahead of the event that it is called for");
            }
        }
    }
    Ok(verified)
}

fn walk(
    config: &Config,
    folder: &Path,
    given: &Selection,
    strict: bool,
    mut follower: Option<&mut dyn Follow>,
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
                    let told = verdicts(&paths)?;
                    let mut opened =
                        Replay::open((config, folder), manifest, &told, given, strict)?;
                    if let Some(follower) = &mut follower {
                        follower.opened(&opened.engine)?;
                        opened.shown = Some(Vec::new());
                    }
                    replay = Some(opened);
                }
                Some(replay) => {
                    replay.take(&record)?;
                    if let (Some(follower), Some(news)) = (&mut follower, &mut replay.shown) {
                        follower.stepped(&replay.engine, news)?;
                        news.clear();
                    }
                }
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
    if let Some(follower) = &mut follower {
        follower.closed(&replay.engine)?;
    }
    let told = (0..replay.engine.chains().count() as u16)
        .map(|lane| replay.engine.verdicts(lane).len() as u64)
        .sum();
    let unsigned = replay.modules.unsigned.iter().cloned().collect();
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
        records: scanner.seq(),
        events: replay.engine.events(),
        fills: replay.fills,
        damage,
        torn,
        told,
        unsigned,
        findings,
    })
}

/// All verdicts of the wall clock in a record: they must be known before the inputs
/// during which they fell.
fn verdicts(paths: &[PathBuf]) -> Result<Vec<VerdictRecord<Verdict>>, Failure> {
    let (mut scanner, mut found) = (Scanner::default(), Vec::new());
    for (index, path) in paths.iter().enumerate() {
        let bytes = std::fs::read(path)?;
        let last = index + 1 == paths.len();
        let end = scanner.segment(&bytes, last, |record| {
            if record.kind == Kind::Verdict {
                found.extend(decode::<VerdictRecord<Verdict>>(&record.payload));
            }
        });
        // The walk that follows says what is wrong with it.
        if end.is_err() {
            break;
        }
    }
    Ok(found)
}

fn manifest(record: &Record) -> Result<Manifest, PayloadError> {
    // Any other kind lacks a manifest's fields.
    decode(&record.payload)
}

/// The run again, beside its record.
struct Replay {
    manifest: Manifest,
    config: Config,
    modules: Modules,
    engine: Engine,
    block: InputBlock,
    lengths: Vec<u64>,
    /// what the last step gave, not yet compared
    pending: Option<Outputs>,
    /// news that a follower was not shown yet
    shown: Option<Vec<Output>>,
    /// lanes that have gone another way
    apart: BTreeSet<u16>,
    findings: Vec<Finding>,
    ended: bool,
    stopped: bool,
    fills: u64,
}

impl Replay {
    fn open(
        (here, folder): (&Config, &Path),
        manifest: Manifest,
        told: &[VerdictRecord<Verdict>],
        given: &Selection,
        strict: bool,
    ) -> Result<Self, Failure> {
        let mut config = recorded_config(&manifest)?;
        let wrong = claims::disagreeing(&manifest, &config, &Kept::of_run(folder));
        let finding = |(strategy, what)| Finding { record: 1, strategy, what };
        let findings = wrong.into_iter().map(finding).collect();
        // Where modules and permissions lie is this machine's affair.
        config.strategies = crate::config::StrategiesConfig {
            only: if given.files.is_empty() { config.strategies.only.clone() } else { Vec::new() },
            ..here.strategies.clone()
        };
        config.engine.strict = strict;
        let mut modules = Modules::open(&config, folder, &manifest, given)?;
        let loaded = manifest
            .strategies
            .iter()
            .map(|strategy| modules.load(&config, strategy))
            .collect::<Result<Vec<_>, _>>()?;
        let instruments = InstrumentTable::new(manifest.instruments.clone());
        let symbols = setup::choose_symbols(&config, &loaded, &config.run.default_symbols);
        let block = InputBlock::new(&instruments, 1);
        let mut builder = setup::builder(&config, "run", instruments, loaded, symbols)?;
        told.iter().for_each(|one| builder.foretell(one.lane, one.verdict));
        let engine = builder.start(manifest.start);
        Ok(Self {
            manifest,
            config,
            modules,
            engine,
            block,
            lengths: Vec::new(),
            pending: None,
            shown: None,
            apart: BTreeSet::new(),
            findings,
            ended: false,
            stopped: false,
            fills: 0,
        })
    }

    fn take(&mut self, record: &Record) -> Result<(), Failure> {
        let done = match record.kind {
            Kind::Manifest => Err("a second manifest".to_owned()),
            Kind::Sealed | Kind::Synced => Ok(()),
            _ if self.ended => Err("a record after the end".to_owned()),
            Kind::Inputs => self.inputs(record)?,
            Kind::Command => self.command(record)?,
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
            if self.engine.unfulfilled(lane) > 0 {
                self.differs(
                    record.seq,
                    lane,
                    "what it tells of the wall clock or of fuel did not happen".into(),
                );
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

    fn collect(&mut self) {
        let news: Vec<_> = self.engine.drain().collect();
        if let Some(shown) = &mut self.shown {
            shown.extend(news.iter().cloned());
        }
        let chains = grown(&self.engine, &mut self.lengths);
        self.pending = Some(Outputs { decisions: decisions(&news), chains });
    }

    /// Compares what the last step gave with what the record says of it.
    fn settle(&mut self, seq: u64, recorded: &Outputs) {
        let Some(again) = self.pending.take() else { return };
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
fn recorded_config(manifest: &Manifest) -> Result<Config, Failure> {
    Ok(Config::load(&Sources { text: Some(manifest.config.clone()), ..Sources::default() })?)
}

/// The modules of a run, found by their hashes wherever they lie.
struct Modules {
    lock: Lock,
    runtimes: Runtimes,
    kept: Kept,
    /// the operator lets those run that the lock file does not allow
    bypass: bool,
    /// those that ran so, by name
    unsigned: BTreeSet<String>,
    /// files that were named, here or when the run began, and the strategies folder's
    paths: Vec<PathBuf>,
    /// read and hashed, each once
    read: Vec<Candidate>,
}

impl Modules {
    fn open(
        config: &Config,
        folder: &Path,
        manifest: &Manifest,
        given: &Selection,
    ) -> Result<Self, Failure> {
        let mut paths = given.files.clone();
        paths.extend(manifest.files.iter().map(PathBuf::from));
        paths.extend(lockfile::scan(Path::new(&config.strategies.dir)).unwrap_or_default());
        Ok(Self {
            lock: strategies::read_lock(config)?,
            runtimes: Runtimes::new(config)?,
            kept: Kept::of_run(folder),
            bypass: given.unsigned,
            unsigned: BTreeSet::new(),
            paths,
            read: Vec::new(),
        })
    }

    /// The bytes of this hash.
    fn find(&mut self, sha256: &Sha256, cap: u64) -> Option<Candidate> {
        if let Some(kept) = self.kept.find(sha256, cap) {
            return Some(kept);
        }
        loop {
            if let Some(known) = self.read.iter().find(|known| known.sha256() == *sha256) {
                return Some(known.clone());
            }
            let path = self.paths.pop()?;
            self.read.extend(lockfile::read_named(&path, cap));
        }
    }

    /// A module that the record names, under the limits that it had. It must be
    /// allowed, or have been, unless the operator bypasses the lock file.
    fn load(&mut self, config: &Config, strategy: &StrategyRecord) -> Result<Loaded, Failure> {
        let (name, hash) = (&strategy.name, &strategy.sha256);
        let refused = |what: &str| {
            let message = format!("the module of '{name}' with SHA-256 {hash} {what}");
            Failure::new(Exit::NotAllowed, message)
        };
        let sha256: Sha256 = hash.parse().map_err(|_| refused("has no hash"))?;
        let own: LimitOverride = match strategy.limits.as_str() {
            "" => LimitOverride::default(),
            text => {
                serde_json::from_str(text).map_err(|_| refused("has limits that cannot be read"))?
            }
        };
        if self.lock.revoked().iter().any(|known| known.sha256 == sha256) {
            return Err(refused("was denied, and is not run again, not even to prove a run"));
        }
        check_range(&own)
            .map_err(|why| refused(&format!("has limits beyond all bounds: {why}")))?;
        // What a record says of permissions gives none.
        let allowed = self.lock.was_allowed(&sha256);
        if !allowed && !self.bypass {
            let hint = if strategy.unsigned {
                "the run bypassed the lock file; to do so again: --unsigned".to_owned()
            } else {
                format!("to allow it: sandpaper allow sha256:{hash} --name {name}")
            };
            return Err(refused("is not among those that may run here").hint(hint));
        }
        if strategy.unsigned || !allowed {
            self.unsigned.insert(name.clone());
        }
        let cap = given(config, &own).caps.file_bytes;
        let candidate = self
            .find(&sha256, cap)
            .ok_or_else(|| refused("is nowhere to be found").hint("name it with --wasm FILE"))?;
        let wasi = if strategy.wasi { Wasi::Deterministic } else { Wasi::Refused };
        let approved = Approved::unsigned(candidate, wasi).limited(own);
        strategies::compile(config, &mut self.runtimes, (name.clone(), approved))
    }
}
