//! A run that was cut short, and how it goes on.
//!
//! Start and recovery are one path: the record is read to its last sound record,
//! what is torn behind that is cut off (nobody was told of it), and the engine takes
//! all inputs again. So it stands where it stood, with positions, cash and orders
//! that wait, and every decision is compared with the record on the way.
//!
//! 1. The last run of the folder is continued when it was cut short: by a crash, a
//!    kill, or a disk that failed. One that ended in order is over.
//! 2. It goes on with the same program, modules and settings. What decides nothing
//!    may change: where it is shown and logged, how long it runs, where modules lie.
//!    Anything else is refused, and `--fresh` begins a new run.
//! 3. A simulated market goes on behind the last input. A venue's has moved on: every
//!    symbol is stale until its data has come anew.

use std::path::{Path, PathBuf};

use crate::cli::Exit;
use crate::config::Config;
use crate::domain::{InstrumentTable, Ts};
use crate::engine::{Engine, Output};
use crate::feed::tape::CONTRACT;
use crate::journal::{End, Inputs, Kind, Manifest, Outputs, PayloadError, Record, Scanner, decode};
use crate::recorder::{Place, segments};
use crate::sandbox::RUNTIME_VERSION;

use super::Failure;
use super::replay::Identity;
use super::verify::{Replay, manifest, recorded_config};

/// What to do where a run cannot be continued.
pub const FRESH: &str = "begin a new run with --fresh; `sandpaper verify` tells of the old one";

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
    /// market events that were taken
    pub inputs: u64,
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
            if path.is_dir() && !segments(&path)?.is_empty() {
                runs.push(path);
            }
        }
        // A run's name begins with its time.
        let Some(path) = runs.into_iter().max() else { return Ok(None) };
        let Some(cut) = Self::read(&path)? else { return Ok(None) };
        cut.check_settings(config)?;
        Ok(Some(cut))
    }

    /// Reads a record to its end; none when the run is over or never began.
    fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let damaged = |what: String| {
            let message = format!("the record in {}: {what}", path.display());
            Failure::new(Exit::DataDamaged, message).hint(FRESH)
        };
        let (mut scanner, mut read, mut failed) = (Scanner::default(), Read::default(), None);
        let (mut place, mut torn) = (None, None);
        let paths = segments(path)?;
        for (index, segment) in paths.iter().enumerate() {
            let mut bytes = std::fs::read(segment)?;
            let last = index + 1 == paths.len();
            let end = scanner.segment(&bytes, last, |record| {
                failed = read.take(&record).err().or(failed.take());
            });
            if let End::Torn(what) = end.map_err(|damage| damaged(damage.to_string()))? {
                torn = Some(what.to_string());
                bytes.truncate(what.offset);
            }
            if let Some(run) = scanner.run().filter(|_| !bytes.is_empty()) {
                let (seq, chain, sealed) = (scanner.seq(), scanner.chain(), scanner.sealed());
                place = Some(Place { run, segment: index as u64 + 1, bytes, sealed, seq, chain });
            }
        }
        if let Some(error) = failed {
            return Err(damaged(error.to_string()));
        }
        let Read { manifest, lengths, inputs, over, .. } = read;
        let begun = manifest.zip(place).filter(|_| !over);
        Ok(begun.map(|(manifest, place)| Self {
            path: path.to_owned(),
            manifest,
            place,
            torn,
            lengths,
            inputs,
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

    /// Checks that the same strategies and instruments are here, and gives the time at
    /// which the run began.
    ///
    /// # Errors
    /// What differs.
    pub fn fits(
        &self,
        identities: &[Identity],
        instruments: &InstrumentTable,
    ) -> Result<Ts, Failure> {
        let was = self.manifest.strategies.iter().map(|one| (&one.name, &one.sha256));
        if !was.eq(identities.iter().map(|one| (&one.name, &one.sha256))) {
            return Err(self.refused("it ran other modules"));
        }
        let traded = self.manifest.instruments.iter();
        if !traded.eq(instruments.iter().map(|(_, instrument)| instrument)) {
            return Err(self.refused("its market had other instruments or rules"));
        }
        Ok(self.manifest.start)
    }

    fn refused(&self, why: &str) -> Failure {
        let run = &self.manifest.run;
        let message = format!("the run {run} was cut short and cannot be continued: {why}");
        Failure::new(Exit::Config, message).hint(FRESH)
    }

    /// Takes all inputs of the record again with an engine that was started as its
    /// manifest says. Gives it where the record ends, with the news that nobody was
    /// told of.
    ///
    /// # Errors
    /// An engine that decides otherwise than the record tells.
    pub fn replay(&self, engine: Engine) -> Result<(Engine, Vec<Output>), Failure> {
        let mut replay = Replay::beside(self.manifest.clone(), engine, Vec::new());
        let (mut scanner, mut first) = (Scanner::default(), true);
        let paths = segments(&self.path)?;
        for (index, path) in paths.iter().enumerate() {
            let (bytes, mut records) = (std::fs::read(path)?, Vec::new());
            let last = index + 1 == paths.len();
            scanner
                .segment(&bytes, last, |record| records.push(record))
                .map_err(|damage| Failure::new(Exit::DataDamaged, damage.to_string()))?;
            for record in records {
                if !std::mem::take(&mut first) {
                    replay.take(&record)?;
                }
            }
        }
        if let Some(finding) = replay.findings.first() {
            let (record, what) = (finding.record, &finding.what);
            let why = format!("taken again, record {record} is another: {what}");
            return Err(self.refused(&why));
        }
        let (engine, untold) = replay.into_engine();
        let (run, events) = (&self.manifest.run, engine.events());
        tracing::info!("continued from {run}, behind {events} events");
        if let Some(torn) = &self.torn {
            tracing::warn!("cut off the end of the record, which was never written whole: {torn}");
        }
        Ok((engine, untold))
    }
}

/// What a walk through a record gathers.
#[derive(Default)]
struct Read {
    manifest: Option<Manifest>,
    lengths: Vec<u64>,
    inputs: u64,
    /// events of a block whose end has not come yet
    partial: u64,
    over: bool,
}

impl Read {
    fn take(&mut self, record: &Record) -> Result<(), PayloadError> {
        match record.kind {
            Kind::Manifest => self.manifest = Some(manifest(record)?),
            Kind::Inputs => {
                self.partial += u64::from(decode::<Inputs>(&record.payload)?.events);
                if record.flags & Record::MORE == 0 {
                    self.inputs += std::mem::take(&mut self.partial);
                }
            }
            Kind::Outputs => {
                self.over |= record.flags & Record::LAST != 0;
                for head in decode::<Outputs>(&record.payload)?.chains {
                    let lane = usize::from(head.lane);
                    self.lengths.resize(self.lengths.len().max(lane + 1), 0);
                    self.lengths[lane] = head.records;
                }
            }
            Kind::Ended => self.over = true,
            Kind::Restart => self.partial = 0,
            Kind::Command | Kind::Sealed | Kind::Synced => {}
        }
        Ok(())
    }
}
