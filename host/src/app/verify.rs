//! Checking the record of a run: every byte, and every decision, by running it
//! again.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::cli::Exit;
use crate::config::{Config, StrategiesConfig};
use crate::domain::InstrumentTable;
use crate::engine::{Engine, Output, Verdict};
use crate::journal::{HEAD_LEN, Manifest, VerdictRecord};
use crate::recorder::{segment_name, segments};
use crate::strategy::FaultKind;

use super::modules::Kept;
use super::recorded::{Modules, manifest, recorded_config, verdicts, walk};
use super::retrace::{Finding, Retrace};
use super::rewind::Rewind;
use super::strategies::Selection;
use super::{Failure, claims, setup, told};

/// What a record holds, and what is wrong with it.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// the run's name
    pub run: String,
    /// `ended` in order, `cut` short, or `running`: then what stands here is of the moment
    /// when it was read
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
    check(config, folder, given, false, Some(follower))
}

/// Walks the record in `folder` and replays it with the modules that it names.
///
/// # Errors
/// A folder without a record, or modules that cannot be had.
pub fn verify(config: &Config, folder: &Path, given: &Selection) -> Result<Verified, Failure> {
    let mut verified = check(config, folder, given, true, None)?;
    if !verified.findings.is_empty() && verified.damage.is_none() {
        // What a replay in batches does not find was read ahead in a batch.
        let again = check(config, folder, given, false, None)?;
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

fn check(
    config: &Config,
    folder: &Path,
    given: &Selection,
    strict: bool,
    mut follower: Option<&mut dyn Follow>,
) -> Result<Verified, Failure> {
    let damaged =
        |what: String| Failure::new(Exit::DataDamaged, format!("{}: {what}", folder.display()));
    if !folder.is_dir() {
        let what = "is no folder of a run: those lie in runs/, or where record.dir says";
        return Err(Failure::new(Exit::Usage, format!("{} {what}", folder.display())));
    }
    let paths = segments(folder).map_err(|error| damaged(error.to_string()))?;
    if paths.is_empty() {
        return Err(damaged("there is no record of a run".into()));
    }
    // Asked before it is read: a run that ends meanwhile has its end in the record.
    let running = super::runs::is_on(folder);
    let told = verdicts(&paths)?;
    let mut replay: Option<Retrace> = None;
    let walked = walk(&paths, |record| {
        let Some(again) = &mut replay else {
            let manifest = manifest(record).map_err(|error| damaged(error.to_string()))?;
            let mut opened = retrace((config, strict), folder, manifest, given, &told)?;
            if let Some(follower) = &mut follower {
                follower.opened(&opened.engine)?;
                opened.shown = Some(opened.news.clone());
            }
            replay = Some(opened);
            return Ok(());
        };
        again.take(record)?;
        if let (Some(follower), Some(news)) = (&mut follower, &mut again.shown) {
            follower.stepped(&again.engine, news)?;
            news.clear();
        }
        Ok(())
    })?;
    let mut damage = walked.damage.map(|what| what.to_string());
    let mut torn = walked.torn.map(|what| what.to_string());
    let replay = replay.ok_or_else(|| damaged(damage.clone().unwrap_or("it is empty".into())))?;
    if let Some(follower) = &mut follower {
        follower.closed(&replay.engine)?;
    }
    let verdicts_told = (0..replay.engine.chains().count() as u16)
        .map(|lane| replay.engine.verdicts(lane).len() as u64)
        .sum();
    let unsigned = replay.modules.unsigned.iter().cloned().collect();
    let mut findings = replay.findings;
    if damage.is_none() && replay.ended && walked.left > HEAD_LEN {
        // Only the word that it is durable follows the end: this is no crash's trace.
        damage = torn.take();
    }
    let next = folder.join(segment_name(paths.len() as u64 + 1));
    if damage.is_none() && !replay.ended && walked.sealed && !next.exists() {
        damage = Some("the last segment is sealed, and the one that follows is missing".into());
    }
    if let Some(result) = told::of_end(folder, &replay.manifest.run) {
        if damage.is_none() && !replay.ended {
            damage = Some("result.json tells of an end that the record does not have".into());
        }
        for (name, what) in told::differs(&result, &replay.engine) {
            // Where the replay decides otherwise, the result does too.
            if damage.is_none() && findings.iter().all(|one| one.strategy.as_ref() != Some(&name)) {
                findings.push(Finding { record: walked.seq, strategy: Some(name), what });
            }
        }
    }
    findings.sort_by_key(|finding| finding.record);
    Ok(Verified {
        run: replay.manifest.run,
        status: match replay.ended {
            true => "ended",
            false if running => "running",
            false => "cut",
        },
        restarts: replay.restarts,
        records: walked.seq,
        events: replay.engine.events(),
        fills: replay.fills,
        damage,
        torn,
        told: verdicts_told,
        unsigned,
        findings,
    })
}

/// An engine as it began the run, with the modules that it had.
fn retrace(
    (here, strict): (&Config, bool),
    folder: &Path,
    manifest: Manifest,
    given: &Selection,
    told: &[VerdictRecord<Verdict>],
) -> Result<Retrace, Failure> {
    let mut config = recorded_config(&manifest)?;
    let wrong = claims::disagreeing(&manifest, &config, &Kept::of_run(folder));
    let finding = |(strategy, what)| Finding { record: 1, strategy, what };
    let findings = wrong.into_iter().map(finding).collect();
    // Where modules and permissions lie is this machine's affair.
    config.strategies = StrategiesConfig {
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
    let mut builder = setup::builder(&config, "run", instruments, loaded, symbols)?;
    told.iter().for_each(|one| builder.foretell(one.lane, one.verdict));
    let engine = builder.start(manifest.start);
    let mut replay = Retrace::beside((config, modules), manifest, engine);
    replay.rewind = Rewind::of(segments(folder)?, told);
    replay.findings = findings;
    Ok(replay)
}
