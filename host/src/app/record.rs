//! Keeps the record of a run: the first watcher, so that nothing is shown before
//! it is kept.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::Exit;
use crate::config::Config;
use crate::domain::Ts;
use crate::engine::{Command, Engine, Image, LaneOutput, Output, Refusal};
use crate::feed::tape::CONTRACT;
use crate::input::InputBlock;
use crate::journal::{
    ChainHead, Commanded, Decision, Ended, Inputs, Kind, Manifest, Outputs, PayloadError, Record,
    Restarted, SnapshotRecord, StateHash, SwapRecord, VerdictRecord, encode,
};
use crate::recorder::{Folder, Lock, Recorder};
use crate::sandbox::RUNTIME_VERSION;

use super::Failure;
use super::claims::lock_text;
use super::cut_run::CutRun;
use super::modules::Kept;
use super::replay::Identity;
use super::session::Watch;
use super::snapshot::{self, Packed, State};
use super::strategies::{Loaded, Selection};

/// The longest that inputs without a fill wait for the disk.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Writes the record of one run.
pub struct RunRecord {
    recorder: Recorder<Folder>,
    _lock: Lock,
    path: PathBuf,
    config: Config,
    manifest: Manifest,
    /// its first record is written
    begun: bool,
    /// the run was cut short before, with what was cut off its record
    goes_on: Option<Option<String>>,
    /// the snapshot that it goes on from
    snapshot: Option<u64>,
    /// how many inputs there were when a snapshot was last thought of
    imaged: u64,
    lengths: Vec<u64>,
    /// verdicts of the wall clock that are in the record, by lane
    verdicts: Vec<usize>,
    /// the engine has been given inputs since its last news
    stepping: bool,
    /// somebody waits to hear that a command was taken
    commanded: bool,
    synced: Instant,
}

impl RunRecord {
    /// Goes on with the last run below `record.dir` where that was cut short, and
    /// else, or when a `fresh` one is asked for, makes the folder of a new one.
    ///
    /// # Errors
    /// A folder that cannot be written, or in which another program runs; a run
    /// that cannot be continued.
    #[allow(clippy::disallowed_methods, reason = "when to sync is no result")]
    pub fn open(
        config: &Config,
        selection: &Selection,
        run: &str,
        fresh: bool,
    ) -> Result<(Self, Option<CutRun>), Failure> {
        let dir = Path::new(&config.record.dir);
        let lock = Lock::take(dir).map_err(|error| unwritable(dir, &error))?.ok_or_else(|| {
            let message = format!("another run keeps its record in {}/", dir.display());
            Failure::new(Exit::Runtime, message)
                .hint("end it first, or choose another folder with --set record.dir=DIR")
        })?;
        if !fresh && let Some(cut) = CutRun::find(config, dir)? {
            return Ok((Self::resume(config, lock, &cut)?, Some(cut)));
        }
        let path = dir.join(run);
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::hash(run.as_bytes()).as_bytes()[..16]);
        let recorder = Folder::create(&path)
            .and_then(|folder| Recorder::create(folder, id))
            .map_err(|error| unwritable(&path, &error))?;
        let manifest = Manifest {
            run: run.to_owned(),
            host: env!("CARGO_PKG_VERSION").into(),
            runtime: RUNTIME_VERSION.into(),
            contract: CONTRACT.into(),
            config: config.to_toml(),
            config_sha256: config.sha256(),
            seed: config.run.seed,
            start: Ts::default(),
            instruments: Vec::new(),
            strategies: Vec::new(),
            files: selection.files.iter().map(|file| file.display().to_string()).collect(),
            lock: String::new(),
        };
        let record = Self {
            recorder,
            _lock: lock,
            path,
            config: config.clone(),
            manifest,
            begun: false,
            goes_on: None,
            snapshot: None,
            imaged: 0,
            lengths: Vec::new(),
            verdicts: Vec::new(),
            // The start brings news too.
            stepping: true,
            commanded: false,
            synced: Instant::now(),
        };
        Ok((record, None))
    }

    #[allow(clippy::disallowed_methods, reason = "when to sync is no result")]
    fn resume(config: &Config, lock: Lock, cut: &CutRun) -> Result<Self, Failure> {
        let recorder = Folder::reopen(&cut.path, &cut.place)
            .and_then(|folder| Recorder::resume(folder, &cut.place))
            .map_err(|error| unwritable(&cut.path, &error))?;
        snapshot::tidy(&cut.path).map_err(|error| unwritable(&cut.path, &error))?;
        let mut verdicts = vec![0; cut.manifest.strategies.len()];
        for verdict in &cut.verdicts {
            if let Some(count) = verdicts.get_mut(usize::from(verdict.lane)) {
                *count += 1;
            }
        }
        Ok(Self {
            recorder,
            _lock: lock,
            path: cut.path.clone(),
            config: config.clone(),
            manifest: cut.manifest.clone(),
            begun: true,
            goes_on: Some(cut.torn.clone()),
            snapshot: None,
            imaged: cut.snapshots.last().map_or(0, |(_, snapshot)| snapshot.events),
            lengths: cut.lengths.clone(),
            verdicts,
            // The last inputs may have brought what nobody was told of.
            stepping: true,
            commanded: false,
            synced: Instant::now(),
        })
    }

    /// The run's name.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.manifest.run
    }

    /// The run's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(
        &mut self,
        kind: Kind,
        flags: u16,
        event_ns: i64,
        payload: &impl Serialize,
    ) -> Result<u64, Failure> {
        let payload = encode(payload).map_err(|error| self.too_large(&error))?;
        self.recorder
            .append(kind, flags, event_ns, wall_ns(), payload)
            .map_err(|error| self.failed(&error))
    }

    #[allow(clippy::disallowed_methods, reason = "when to sync is no result")]
    fn sync(&mut self) -> Result<(), Failure> {
        self.recorder.sync().map_err(|error| self.failed(&error))?;
        self.synced = Instant::now();
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> Failure {
        let message = format!(
            "the record in {} cannot be kept: {error}; the run ends here, and no fill was shown that is not in it",
            self.path.display()
        );
        Failure::new(Exit::Runtime, message)
            .hint("see to the disk, then start again; `sandpaper verify` tells what is there")
    }

    /// It only makes a restart shorter, so a run goes on without.
    fn no_snapshot<T>(&self, error: &io::Error) -> Option<T> {
        tracing::warn!(
            "no snapshot is kept in {}: {error}; a restart will take more inputs again",
            self.path.display()
        );
        None
    }

    fn too_large(&self, error: &PayloadError) -> Failure {
        Failure::new(Exit::Runtime, format!("the record in {}: {error}", self.path.display()))
    }
}

/// A run that ended before it began leaves nothing behind.
impl Drop for RunRecord {
    fn drop(&mut self) {
        if !self.begun
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!("{} is empty and cannot be removed: {error}", self.path.display());
        }
    }
}

impl RunRecord {
    /// How many inputs lie between two snapshots.
    fn every(&self) -> Option<u64> {
        Some(u64::from(self.config.record.snapshot_every)).filter(|every| *every > 0)
    }

    /// Keeps new verdicts of the wall clock; true when there were any.
    fn judged(&mut self, engine: &Engine) -> Result<bool, Failure> {
        let mut judged = false;
        self.verdicts.resize(engine.chains().count(), 0);
        for lane in 0..self.verdicts.len() {
            let number = u16::try_from(lane).unwrap_or(u16::MAX);
            let all = engine.verdicts(number);
            for verdict in &all[self.verdicts[lane].min(all.len())..] {
                let record = VerdictRecord { lane: number, verdict: *verdict };
                self.append(Kind::Verdict, 0, engine.now().0, &record)?;
                judged = true;
            }
            // One of an earlier process may not have come again yet.
            self.verdicts[lane] = self.verdicts[lane].max(all.len());
        }
        Ok(judged)
    }
}

impl Watch for RunRecord {
    fn modules(&mut self, modules: &[Loaded]) -> Result<(), Failure> {
        let kept = Kept::of_run(&self.path);
        self.manifest.lock = lock_text(&self.config, modules)?;
        modules.iter().try_for_each(|module| kept.keep(module.approved.candidate()))
    }

    fn started(&mut self, engine: &Engine, identities: &[Identity]) -> Result<(), Failure> {
        if let Some(cut) = self.goes_on.take() {
            // A snapshot that is due just here is made up for, if it is not there yet.
            let behind = engine.events();
            let due = self.every().is_some_and(|every| behind.is_multiple_of(every));
            let made = self.imaged == behind;
            self.imaged = if due && !made { behind.saturating_sub(1) } else { behind };
            let (host, events) = (env!("CARGO_PKG_VERSION").into(), engine.events());
            let restarted = Restarted { host, events, cut, snapshot: self.snapshot };
            self.append(Kind::Restart, 0, engine.now().0, &restarted)?;
            return self.sync();
        }
        let mut manifest = self.manifest.clone();
        manifest.start = engine.now();
        manifest.instruments = engine.instruments().iter().map(|(_, i)| i.clone()).collect();
        let strategy =
            |(lane, identity): (u16, &Identity)| identity.record(engine.lane(lane).version);
        manifest.strategies = (0..).zip(identities).map(strategy).collect();
        self.begun = true;
        self.append(Kind::Manifest, 0, engine.now().0, &manifest)?;
        self.sync()?;
        tracing::info!("the record is kept in {}", self.path.display());
        Ok(())
    }

    fn inputs(&mut self, block: &InputBlock) -> Result<(), Failure> {
        self.stepping = true;
        let parts = Inputs::of(block).map_err(|error| self.too_large(&error))?;
        let event_ns = if block.is_empty() { 0 } else { block.ts(0).0 };
        for (index, part) in parts.iter().enumerate() {
            let flags = if index + 1 < parts.len() { Record::MORE } else { 0 };
            self.append(Kind::Inputs, flags, event_ns, part)?;
        }
        Ok(())
    }

    /// The module's bytes and the swap are on the disk before it takes place.
    fn swap(&mut self, swap: &SwapRecord, module: &Loaded) -> Result<(), Failure> {
        self.stepping = true;
        Kept::of_run(&self.path).keep(module.approved.candidate())?;
        self.append(Kind::Swap, 0, swap.ts.0, swap)?;
        self.sync()
    }

    fn command(&mut self, seq: u64, ts: Ts, command: &Command) -> Result<(), Failure> {
        (self.stepping, self.commanded) = (true, true);
        self.append(Kind::Command, 0, ts.0, &Commanded { seq, ts, command }).map(drop)
    }

    fn taken_up(&mut self, snapshot: Option<u64>) -> Result<(), Failure> {
        self.snapshot = snapshot;
        Ok(())
    }

    fn next_image(&self) -> Option<u64> {
        self.every().map(|every| (self.imaged / every + 1).saturating_mul(every))
    }

    /// The record has its hashes before the state is anywhere.
    fn image(
        &mut self,
        engine: &Engine,
        identities: &[Identity],
        image: &Image,
    ) -> Result<(), Failure> {
        self.imaged = image.events();
        let record = |(lane, one): (u16, &Identity)| one.record(engine.lane(lane).version);
        let running = (0..).zip(identities).map(record).collect();
        let state = State::new(running, self.lengths.clone(), image.clone());
        let packed = state.pack().map_or_else(|error| self.no_snapshot(&error), Some);
        let told = snapshot_record(image, packed.as_ref().map(|packed| packed.hash.clone()))
            .map_err(|what| Failure::new(Exit::Runtime, what))?;
        self.judged(engine)?;
        let seq = self.append(Kind::Snapshot, 0, engine.now().0, &told)?;
        self.sync()?;
        if let Some(Err(error)) = packed.map(|packed| packed.write(&self.path, seq)) {
            let _: Option<Packed> = self.no_snapshot(&error);
        }
        Ok(())
    }

    /// That strategies were asked is in the record, because a replay must ask them too.
    fn no_image(&mut self, engine: &Engine, refusal: Option<&Refusal>) -> Result<(), Failure> {
        self.imaged = engine.events();
        let Some(refusal) = refusal else { return Ok(()) };
        tracing::info!(
            strategy = engine.lane(refusal.lane).name,
            "does not save its state ({}): there will be no snapshots while it runs, and a restart takes all inputs again",
            refusal.why
        );
        self.judged(engine)?;
        self.append(Kind::Snapshot, 0, engine.now().0, &refused_record(refusal)).map(drop)
    }

    fn stepped(&mut self, engine: &Engine, news: &[Output]) -> Result<(), Failure> {
        let flags = if self.stepping { 0 } else { Record::LAST };
        self.stepping = false;
        // A verdict comes before what it brought: a replay that finds the one has to
        // know of the other.
        let judged = self.judged(engine)?;
        let outputs =
            Outputs { decisions: decisions(news), chains: grown(engine, &mut self.lengths) };
        if outputs != Outputs::default() {
            self.append(Kind::Outputs, flags, engine.now().0, &outputs)?;
        }
        let fills = judged || news.iter().any(|one| matches!(one.body, LaneOutput::Fill { .. }));
        let must = fills || std::mem::take(&mut self.commanded);
        if must || self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    fn finished(&mut self, engine: &Engine) -> Result<(), Failure> {
        let ended = Ended { events: engine.events(), chains: grown(engine, &mut Vec::new()) };
        self.append(Kind::Ended, 0, engine.now().0, &ended)?;
        self.sync()
    }
}

/// What the record keeps of strategies that were asked for their state, of which the last
/// did not give it: nothing of the host's was hashed.
pub(super) fn refused_record(refusal: &Refusal) -> SnapshotRecord {
    let asked = refusal.saved.iter().cloned().chain([None]);
    let lanes = asked.map(|saved| StateHash { host: String::new(), saved });
    let (events, lanes) = (refusal.events, lanes.collect());
    SnapshotRecord { events, shared: String::new(), lanes, file: None }
}

/// What the record keeps of a state.
///
/// # Errors
/// A state that cannot be encoded.
pub(super) fn snapshot_record(
    image: &Image,
    file: Option<String>,
) -> Result<SnapshotRecord, String> {
    let lanes = image.lane_hashes()?.into_iter().map(|(host, saved)| StateHash { host, saved });
    let (events, shared) = (image.events(), image.shared_hash()?);
    Ok(SnapshotRecord { events, shared, lanes: lanes.collect(), file })
}

/// What the record keeps of an engine's news.
pub(super) fn decisions(news: &[Output]) -> Vec<(u16, Ts, Decision)> {
    // Lanes that have failed, and do not run again yet.
    let mut failed = BTreeSet::new();
    let decision = |one: &Output| {
        match &one.body {
            LaneOutput::Fault(_) => failed.insert(one.lane),
            LaneOutput::Restarted { .. } => failed.remove(&one.lane),
            _ => false,
        };
        let decision = match &one.body {
            LaneOutput::Fill { fill, reason, position, .. } => {
                let (fill, reason) = (fill.clone(), reason.clone());
                Decision::Fill { fill, reason, position: *position }
            }
            LaneOutput::Reject { order, symbol, reason, .. } => {
                Decision::Reject { order: *order, symbol: *symbol, reason: *reason }
            }
            LaneOutput::Canceled { order, symbol, leaves } => {
                Decision::Canceled { order: *order, symbol: *symbol, leaves: *leaves }
            }
            LaneOutput::Charge(charge) => Decision::Charge {
                symbol: charge.symbol,
                amount: charge.amount,
                kind: charge.kind.name().to_owned(),
            },
            LaneOutput::Dropped { orders } => Decision::Dropped { orders: *orders },
            LaneOutput::Fault(fault) => Decision::Fault { kind: fault.kind.name().to_owned() },
            // What was asked is in the chain already.
            LaneOutput::Sent { what, order, symbol, arrives, .. } => Decision::Other {
                what: format!(
                    "Sent {{ what: {what:?}, order: {order:?}, symbol: {symbol:?}, arrives: {arrives:?} }}"
                ),
            },
            // Which lines are kept of a flood depends on how often they are taken.
            // What was asked for is in the chain.
            LaneOutput::Log { .. } | LaneOutput::Asked { .. } => return None,
            #[allow(unreachable_patterns, reason = "whatever else the engine tells")]
            other => Decision::Other { what: format!("{other:?}") },
        };
        // A failed call has no place within its batch, and what it ends has none either.
        let placeless = matches!(
            decision,
            Decision::Fault { .. } | Decision::Canceled { .. } | Decision::Reject { .. }
        );
        let ts = if placeless && failed.contains(&one.lane) { Ts::default() } else { one.ts };
        Some((one.lane, ts, decision))
    };
    news.iter().filter_map(decision).collect()
}

/// The chains that have grown since `lengths` was last seen.
pub(super) fn grown(engine: &Engine, lengths: &mut Vec<u64>) -> Vec<ChainHead> {
    let mut heads = Vec::new();
    for (lane, chain) in (0_u16..).zip(engine.chains()) {
        let index = usize::from(lane);
        lengths.resize(lengths.len().max(index + 1), 0);
        if lengths[index] != chain.records() {
            lengths[index] = chain.records();
            heads.push(ChainHead { lane, head: chain.hex(), records: chain.records() });
        }
    }
    heads
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let message = format!("the record cannot be kept in {}: {error}", path.display());
    Failure::new(Exit::Runtime, message)
        .hint("choose another folder with --set record.dir=DIR, or keep none with --no-record")
}

/// For people: it decides nothing.
fn wall_ns() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}
