//! A run that was cut short, and how it goes on.
//!
//! Start and recovery are one path: the record is read to its last sound record,
//! what is torn behind that is cut off (nobody was told of it), and the engine takes
//! all inputs again. So it stands where it stood, with positions, cash and orders
//! that wait, and every decision is compared with the record on the way.
//!
//! 1. The last run of the folder is continued when it was cut short: by a crash, a
//!    kill, or a disk that failed. One that ended in order is over.
//! 2. It goes on with the same program, strategies and settings. What decides nothing
//!    may change: where it is shown and logged, how long it runs, where modules lie.
//!    Anything else is refused, and `--fresh` begins a new run. A strategy with a new
//!    build is exchanged where the record ends, as it would be while the run goes on.
//! 3. A simulated market goes on behind the last input. A venue's has moved on: every
//!    symbol is stale until its data has come anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::cli::Exit;
use crate::config::Config;
use crate::domain::{Instrument, InstrumentTable, Ts};
use crate::engine::{Engine, Output, Verdict};
use crate::feed::tape::CONTRACT;
use crate::journal::{
    Kind, Manifest, Outputs, PayloadError, Record, SnapshotRecord, StrategyRecord, VerdictRecord,
    decode,
};
use crate::recorder::{Place, segment_name, segments};
use crate::sandbox::RUNTIME_VERSION;

use super::recorded::{Modules, Walk, manifest, never_began, recorded_config, walk, walk_from};
use super::replay::Identity;
use super::retrace::Retrace;
use super::rewind::Rewind;
use super::snapshot::State;
use super::strategies::{Loaded, Selection};
use super::strikes::Gate;
use super::{Failure, setup, told};

/// What to do where a run cannot be continued.
pub const FRESH: &str = "begin a new run with --fresh; `sandpaper verify` tells of the old one";

/// Files of so many snapshots are kept.
pub(super) const SNAPSHOTS: usize = 3;

/// The last run of a folder, which did not end in order.
#[derive(Debug)]
pub struct CutRun {
    /// its folder
    pub path: PathBuf,
    /// what ran
    pub manifest: Manifest,
    /// where its record ends
    pub place: Place,
    /// what is torn behind that
    pub torn: Option<String>,
    /// by lane: decisions that the record tells of
    pub lengths: Vec<u64>,
    /// verdicts of the wall clock in it
    pub verdicts: Vec<VerdictRecord<Verdict>>,
    /// how often it was continued before
    pub restarts: u64,
    /// its last snapshots, with the numbers of their records
    pub snapshots: Vec<(u64, SnapshotRecord)>,
    /// the walk that read it
    walked: Walk,
    /// market events that were taken
    inputs: u64,
    /// the latest time in it
    pub last: Ts,
}

/// An engine that stands where a cut run ended.
pub struct TakenUp {
    /// the engine
    pub engine: Engine,
    /// who runs in each lane
    pub identities: Vec<Identity>,
    /// news that the record does not hold, so that nobody was told of them
    pub untold: Vec<Output>,
    /// builds that are to run now in the place of others
    pub changed: Vec<Loaded>,
    /// candle intervals that the run began with, in seconds
    pub intervals: Vec<u32>,
    /// when it began
    pub start: Ts,
    /// market events that were taken
    pub inputs: u64,
    /// the strategies were stopped already: only the word of the end is missing
    pub over: bool,
    /// the record of the snapshot that it stands on, where not all inputs were taken
    pub snapshot: Option<u64>,
}

/// What this process would run, and how.
pub struct Here<'a> {
    /// the settings
    pub config: &'a Config,
    /// what was named on the command line
    pub selection: &'a Selection,
    /// who may run, marked while it is called
    pub gate: &'a Arc<Gate>,
}

impl CutRun {
    /// The last run below `dir`, if it can be continued under `config`; none when it
    /// ended, or never began.
    ///
    /// # Errors
    /// A damaged record, or one of other settings or another program.
    pub fn find(config: &Config, dir: &Path) -> Result<Option<Self>, Failure> {
        let mut runs = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() && !never_began(&segments(&path)?)? {
                runs.push(path);
            }
        }
        // A run's name begins with its time.
        let Some(path) = runs.into_iter().max() else { return Ok(None) };
        let Some(cut) = Self::read(&path)? else { return Ok(None) };
        cut.check_settings(config)?;
        Ok(Some(cut))
    }

    /// The same, to be taken again from its beginning.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.snapshots.clear();
        self
    }

    /// Reads a record to its end; none when the run is over or never began.
    fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let damaged = |what: String| {
            let message = format!("the record in {}: {what}", path.display());
            Failure::new(Exit::DataDamaged, message).hint(FRESH)
        };
        let (paths, mut read) = (segments(path)?, Read::default());
        let mut walked =
            walk(&paths, |record| read.take(record).map_err(|error| damaged(error.to_string())))?;
        if let Some(damage) = walked.damage {
            return Err(damaged(damage.to_string()));
        }
        let Read { manifest, lengths, verdicts, restarts, snapshots, inputs, ended, last, .. } =
            read;
        let begun = manifest.zip(walked.place.take()).filter(|_| !ended);
        let Some((manifest, place)) = begun else { return Ok(None) };
        // The next file is there before the word that it follows.
        if place.sealed && !path.join(segment_name(place.segment + 1)).exists() {
            return Err(damaged("its last segment is missing".into()));
        }
        if told::of_end(path, &manifest.run).is_some() {
            return Err(damaged("result.json tells of an end that it does not have".into()));
        }
        let torn = walked.torn.take().map(|what| what.to_string());
        let path = path.to_owned();
        Ok(Some(Self {
            path,
            manifest,
            place,
            torn,
            lengths,
            verdicts,
            restarts,
            snapshots,
            walked,
            inputs,
            last,
        }))
    }

    /// Refuses settings that would decide otherwise, and another program.
    fn check_settings(&self, here: &Config) -> Result<(), Failure> {
        let config = recorded_config(&self.manifest)?;
        let differs = if self.manifest.host != env!("CARGO_PKG_VERSION")
            || self.manifest.runtime != RUNTIME_VERSION
            || self.manifest.contract != CONTRACT
        {
            Some("another version of this program")
        } else {
            (config.decisive() != here.decisive()).then_some("other settings")
        };
        differs.map_or(Ok(()), |what| Err(self.refused(&format!("it ran with {what}"))))
    }

    fn refused(&self, why: &str) -> Failure {
        let run = &self.manifest.run;
        let message = format!("the run {run} was cut short and cannot be continued: {why}");
        Failure::new(Exit::Config, message).hint(FRESH)
    }

    /// Takes all inputs of the record again, with the modules that it names, and
    /// compares every decision.
    ///
    /// # Errors
    /// Other strategies or instruments than those that ran, a module that cannot be
    /// had, and decisions that differ from the record's.
    pub fn take_up(
        &self,
        here: &Here<'_>,
        loaded: Vec<Loaded>,
        instruments: &InstrumentTable,
    ) -> Result<TakenUp, Failure> {
        let traded: Vec<_> = self.manifest.instruments.iter().map(units).collect();
        let now: Vec<_> = instruments.iter().map(|(_, instrument)| units(instrument)).collect();
        if traded != now {
            return Err(self.refused(&otherwise(&traded, &now)));
        }
        let Here { config, selection, gate } = here;
        let modules = Modules::open(config, &self.path, &self.manifest, selection)?;
        let mut modules = modules.through(Arc::clone(gate));
        let (began, wanted) = self.as_it_began(config, &mut modules, loaded)?;
        let intervals = setup::candle_intervals(config, &began);
        let mut again = self.begin((config, modules), began)?;
        let mut snapshot = self.state();
        if let Some((seq, state)) = &snapshot
            && !self.go_on_from(&mut again, *seq, state)?
        {
            snapshot = None;
            let mut modules = again.modules;
            let records = self.manifest.strategies.iter();
            let began = records.map(|record| modules.load(config, record));
            let began = began.collect::<Result<Vec<_>, _>>()?;
            again = self.begin((config, modules), began)?;
        }
        if snapshot.is_none() {
            self.retrace(&mut again)?;
        }
        self.tell(&again, snapshot.as_ref().map(|(seq, _)| *seq));
        let start = self.manifest.start;
        let mut changed = Vec::new();
        for (wanted, runs) in wanted.into_iter().zip(&again.running) {
            match wanted {
                Wanted::Build(module) if !same(&Identity::of(&module), runs) => {
                    changed.push(*module);
                }
                // The one that the run began with, and another had taken its place.
                Wanted::AsItBegan(first) if !same(&Identity::from(&first), runs) => {
                    changed.push(again.modules.load(config, &first)?);
                }
                _ => {}
            }
        }
        Ok(TakenUp {
            identities: again.running.iter().map(Identity::from).collect(),
            engine: again.engine,
            untold: again.news,
            changed,
            intervals,
            start,
            inputs: self.inputs,
            over: again.stopped,
            snapshot: snapshot.map(|(seq, _)| seq),
        })
    }

    /// The run at its beginning.
    fn begin(
        &self,
        (config, modules): (&Config, Modules),
        began: Vec<Loaded>,
    ) -> Result<Retrace, Failure> {
        // What has changed of their rules since comes behind what is taken again.
        let table = InstrumentTable::new(self.manifest.instruments.clone());
        let symbols = setup::choose_symbols(config, &began, &config.run.default_symbols);
        let mut builder = setup::builder(config, "run", table, began, symbols)?;
        self.verdicts.iter().for_each(|one| builder.foretell(one.lane, one.verdict));
        let engine = builder.start(self.manifest.start);
        let mut again = Retrace::beside((config.clone(), modules), self.manifest.clone(), engine);
        again.rewind = Rewind::of(segments(&self.path)?, &self.verdicts);
        Ok(again)
    }

    /// The newest snapshot whose file is sound, but not the last one. Whether a strategy
    /// saves all that it needs shows only in what it does afterwards: so at least what
    /// lies between two snapshots is taken again, and the later one compared.
    fn state(&self) -> Option<(u64, State)> {
        self.snapshots.iter().rev().skip(1).find_map(|(seq, snapshot)| {
            let hash = snapshot.file.as_ref()?;
            match State::read(&self.path, *seq, hash) {
                Ok(state) => Some((*seq, state)),
                Err(error) => {
                    tracing::warn!("the snapshot of record {seq} is not used: {error}");
                    None
                }
            }
        })
    }

    /// Goes on from a snapshot and takes what lies behind it again, with every decision
    /// compared; false when that gives other decisions than the record has.
    fn go_on_from(&self, again: &mut Retrace, seq: u64, state: &State) -> Result<bool, Failure> {
        let unused = |why: &str| {
            tracing::warn!(
                "the snapshot of record {seq} is not used: {why}; all inputs are taken again"
            );
            Ok(false)
        };
        let Some(start) = self.walked.start_behind(seq) else { return unused("it is nowhere") };
        // Whatever fails here is found again when all inputs are taken, if it is not the
        // snapshot's.
        match again.put_back(state) {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return unused(&why),
            Err(failure) => return unused(&failure.message),
        }
        let paths = segments(&self.path)?;
        let walked = walk_from(start, &paths, |record| {
            if record.seq > seq { again.take_behind(record) } else { Ok(()) }
        });
        if let Err(failure) = walked {
            return unused(&failure.message);
        }
        match again.findings.first() {
            Some(finding) => {
                let who = finding.strategy.as_deref().unwrap_or("the run");
                unused(&format!("from there {who} does otherwise: {}", finding.what))
            }
            None => Ok(true),
        }
    }

    fn tell(&self, again: &Retrace, snapshot: Option<u64>) {
        let (run, events, taken) = (&self.manifest.run, again.engine.events(), again.taken);
        let records = crate::output::plural(taken, "record");
        let from =
            snapshot.map_or(String::new(), |seq| format!(" behind the snapshot of record {seq}"));
        tracing::info!("continued from {run}, behind {events} events: took {records}{from} again");
        if let Some(torn) = &self.torn {
            tracing::warn!("cut off the end of the record, which was never written whole: {torn}");
        }
    }

    /// The modules that the run began with, in the order of its lanes, and what is
    /// wanted now of each.
    fn as_it_began(
        &self,
        config: &Config,
        modules: &mut Modules,
        mut loaded: Vec<Loaded>,
    ) -> Result<(Vec<Loaded>, Vec<Wanted>), Failure> {
        let (mut began, mut wanted) = (Vec::new(), Vec::new());
        for record in &self.manifest.strategies {
            let here = loaded.iter().position(|one| one.name == record.name);
            let here = here.map(|index| loaded.remove(index));
            let here = here.ok_or_else(|| {
                self.refused(&format!("it ran '{}', which does not run here now", record.name))
            })?;
            if same(&Identity::of(&here), record) {
                began.push(here);
                wanted.push(Wanted::AsItBegan(record.clone()));
            } else {
                began.push(modules.load(config, record)?);
                wanted.push(Wanted::Build(Box::new(here)));
            }
        }
        match loaded.first() {
            Some(new) => Err(self.refused(&format!("'{}' was no part of it", new.name))),
            None => Ok((began, wanted)),
        }
    }

    fn retrace(&self, again: &mut Retrace) -> Result<(), Failure> {
        let mut first = true;
        walk(&segments(&self.path)?, |record| {
            if std::mem::take(&mut first) { Ok(()) } else { again.take(record) }
        })?;
        if let Some(finding) = again.findings.first() {
            let (record, what) = (finding.record, &finding.what);
            let who = finding.strategy.as_deref().unwrap_or("the run");
            let why = format!("taken again, record {record} is another: {who}: {what}");
            return Err(self.refused(&why));
        }
        Ok(())
    }
}

/// What is to run in a lane from now on.
enum Wanted {
    /// the module that the run began with
    AsItBegan(StrategyRecord),
    /// another build, or the same under other limits
    Build(Box<Loaded>),
}

/// Symbol, base, quote, and decimals of price and quantity.
type Units<'a> = (&'a str, &'a str, &'a str, u8, u8);

/// What an instrument's numbers mean, which must not change; its rules may.
fn units(one: &Instrument) -> Units<'_> {
    (&one.symbol, &one.base, &one.quote, one.price_decimals, one.qty_decimals)
}

/// In which way instruments of before and of now differ.
fn otherwise(before: &[Units<'_>], now: &[Units<'_>]) -> String {
    let names = |all: &[Units<'_>]| all.iter().map(|one| one.0.to_owned()).collect::<Vec<_>>();
    let (was, is) = (names(before), names(now));
    if was != is {
        return format!("it traded {}, and this would be {}", was.join(", "), is.join(", "));
    }
    let changed = before.iter().zip(now).filter(|(a, b)| a != b);
    let changed: Vec<&str> = changed.map(|(one, _)| one.0).collect();
    format!("the units of {} were others", changed.join(", "))
}

/// The same code under the same limits.
fn same(one: &Identity, record: &StrategyRecord) -> bool {
    (&one.sha256, &one.limits, one.wasi) == (&record.sha256, &record.limits, record.wasi)
}

/// How many events a record of inputs holds, without these.
#[derive(Deserialize)]
pub(super) struct Counted {
    pub(super) events: u32,
}

/// What a walk through a record gathers.
#[derive(Default)]
struct Read {
    manifest: Option<Manifest>,
    lengths: Vec<u64>,
    verdicts: Vec<VerdictRecord<Verdict>>,
    restarts: u64,
    snapshots: Vec<(u64, SnapshotRecord)>,
    inputs: u64,
    /// events of a block whose end has not come yet
    partial: u64,
    ended: bool,
    last: Ts,
}

impl Read {
    fn take(&mut self, record: &Record) -> Result<(), PayloadError> {
        self.last = self.last.max(Ts(record.event_ns));
        match record.kind {
            Kind::Manifest => self.manifest = Some(manifest(record)?),
            Kind::Inputs => {
                self.partial += u64::from(decode::<Counted>(&record.payload)?.events);
                if record.flags & Record::MORE == 0 {
                    self.inputs += std::mem::take(&mut self.partial);
                }
            }
            Kind::Outputs => {
                for head in decode::<Outputs>(&record.payload)?.chains {
                    let lane = usize::from(head.lane);
                    self.lengths.resize(self.lengths.len().max(lane + 1), 0);
                    self.lengths[lane] = head.records;
                }
            }
            Kind::Verdict => self.verdicts.push(decode(&record.payload)?),
            Kind::Restart => {
                self.partial = 0;
                self.restarts += 1;
            }
            Kind::Snapshot => {
                let told: SnapshotRecord = decode(&record.payload)?;
                // Of one for which a strategy did not save nothing can be compared.
                if !told.shared.is_empty() {
                    self.snapshots.push((record.seq, told));
                }
                let excess = self.snapshots.len().saturating_sub(SNAPSHOTS);
                self.snapshots.drain(..excess);
            }
            Kind::Ended => self.ended = true,
            Kind::Command | Kind::Swap | Kind::Sealed | Kind::Synced => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_004_how_a_market_differs_from_the_one_before_is_said() {
        let one = ("X/USD", "X", "USD", 2, 2);
        let other = ("Y/USD", "Y", "USD", 2, 2);
        let said = otherwise(&[one, other], &[one]);
        assert_eq!(said, "it traded X/USD, Y/USD, and this would be X/USD");
        let finer = ("Y/USD", "Y", "USD", 3, 2);
        assert_eq!(otherwise(&[one, other], &[one, finer]), "the units of Y/USD were others");
    }
}
