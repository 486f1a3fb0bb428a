//! Checking the record of a run: every byte, and every decision, by running it
//! again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::Exit;
use crate::config::{Config, StrategiesConfig};
use crate::domain::InstrumentTable;
use crate::journal::{HEAD_LEN, Manifest, VerdictRecord};
use crate::recorder::{segment_name, segments};

use super::recorded::{Modules, manifest, recorded_config, verdicts, walk};
use super::retrace::{Finding, Retrace};
use super::{Failure, setup};

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
    let mut verified = check(config, folder, wasm, true)?;
    if !verified.findings.is_empty() && verified.damage.is_none() {
        // What a replay in batches does not find was read ahead in a batch.
        let again = check(config, folder, wasm, false)?;
        let still: BTreeSet<_> = again.findings.iter().map(|one| &one.strategy).collect();
        for finding in &mut verified.findings {
            if finding.strategy.is_some() && !still.contains(&finding.strategy) {
                finding.what.push_str("; in batches it does the same as in the record: it reads ahead of the event that it is called for");
            }
        }
    }
    Ok(verified)
}

fn check(
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
    let foretold = verdicts(&paths)?;
    let mut replay: Option<Retrace> = None;
    let walked = walk(&paths, |record| match &mut replay {
        None => {
            let manifest = manifest(record).map_err(|error| damaged(error.to_string()))?;
            replay = Some(retrace((config, strict), folder, manifest, wasm, &foretold)?);
            Ok(())
        }
        Some(replay) => replay.take(record),
    })?;
    let mut damage = walked.damage.map(|what| what.to_string());
    let mut torn = walked.torn.map(|what| what.to_string());
    let replay = replay.ok_or_else(|| damaged(damage.clone().unwrap_or("it is empty".into())))?;
    let mut findings = replay.findings;
    if damage.is_none() && replay.ended && walked.left > HEAD_LEN {
        // Only the word that it is durable follows the end: this is no crash's trace.
        damage = torn.take();
    }
    let next = folder.join(segment_name(paths.len() as u64 + 1));
    if damage.is_none() && !replay.ended && walked.sealed && !next.exists() {
        damage = Some("the last segment is sealed, and the one that follows is missing".into());
    }
    findings.sort_by_key(|finding| finding.record);
    Ok(Verified {
        run: replay.manifest.run,
        status: if replay.ended { "ended" } else { "cut" },
        restarts: replay.restarts,
        records: walked.seq,
        events: replay.engine.events(),
        fills: replay.fills,
        damage,
        torn,
        findings,
    })
}

/// An engine as it began the run, with the modules that it had.
fn retrace(
    (here, strict): (&Config, bool),
    folder: &Path,
    manifest: Manifest,
    wasm: &[PathBuf],
    verdicts: &[VerdictRecord],
) -> Result<Retrace, Failure> {
    let mut config = recorded_config(&manifest)?;
    let mut findings = Vec::new();
    if config.sha256() != manifest.config_sha256 {
        let what = "its configuration does not have the hash that the record names";
        findings.push(Finding { record: 1, strategy: None, what: what.into() });
    }
    // Where modules and permissions lie is this machine's affair.
    config.strategies = StrategiesConfig {
        only: if wasm.is_empty() { config.strategies.only.clone() } else { Vec::new() },
        ..here.strategies.clone()
    };
    config.engine.strict = strict;
    let mut modules = Modules::open(&config, folder, &manifest, wasm)?;
    let loaded = manifest
        .strategies
        .iter()
        .map(|strategy| modules.load(&config, strategy))
        .collect::<Result<Vec<_>, _>>()?;
    let instruments = InstrumentTable::new(manifest.instruments.clone());
    let symbols = setup::choose_symbols(&config, &loaded, &config.run.default_symbols);
    let engine = setup::engine(&config, "run", instruments, loaded, symbols, manifest.start)?;
    let mut replay = Retrace::beside((config, modules), manifest, engine, verdicts);
    replay.findings = findings;
    Ok(replay)
}
