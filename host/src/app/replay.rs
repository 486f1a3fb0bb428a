//! Replaying tapes, as fast as it goes.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use crate::cli::Exit;
use crate::config::Config;
use crate::engine::{Engine, LaneReport, LaneState};
use crate::feed::tape::Tape;
use crate::journal::StrategyRecord;
use crate::lockfile::Wasi;
use crate::strategy::FaultKind;

use super::pace::Pace;
use super::strategies::{self, Loaded, Refused, Selected, Selection};
use super::{Failure, Interrupt, setup};

/// True when a strategy decided otherwise in batches than event by event. One that ran
/// out of fuel event by event did not: in a batch, events share their fuel.
#[must_use]
pub fn reads_ahead(single: &LaneReport, batched: &LaneReport) -> bool {
    let out_of_fuel = |report: &LaneReport| match &report.state {
        LaneState::Quarantined(fault) => fault.kind == FaultKind::OutOfFuel,
        _ => false,
    };
    single.chain != batched.chain && !out_of_fuel(single)
}

/// How many blocks the reading thread may be ahead: enough to hide a slow
/// read, little enough to stay in the cache.
const BLOCKS_AHEAD: usize = 4;

/// A strategy's identity, kept beside its lane.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// the operator's name for it
    pub name: String,
    /// SHA-256 of its file, in hex
    pub sha256: String,
    /// true when the lock file was bypassed
    pub unsigned: bool,
    /// limits of its own, as JSON; empty when there are none
    pub limits: String,
    /// true when it was granted the deterministic WASI
    pub wasi: bool,
}

impl Identity {
    /// A module's identity.
    #[must_use]
    pub fn of(module: &Loaded) -> Self {
        let limits = module.approved.limits();
        let text = serde_json::to_string(&limits).unwrap_or_default();
        Self {
            name: module.name.clone(),
            sha256: module.sha256.clone(),
            unsigned: module.unsigned,
            limits: if limits.is_empty() { String::new() } else { text },
            wasi: module.approved.wasi() == Wasi::Deterministic,
        }
    }

    /// What the record keeps of it, with its own word on its version.
    #[must_use]
    pub fn record(&self, version: &str) -> StrategyRecord {
        StrategyRecord {
            name: self.name.clone(),
            version: version.to_owned(),
            sha256: self.sha256.clone(),
            unsigned: self.unsigned,
            limits: self.limits.clone(),
            wasi: self.wasi,
        }
    }
}

impl From<&StrategyRecord> for Identity {
    fn from(record: &StrategyRecord) -> Self {
        Self {
            name: record.name.clone(),
            sha256: record.sha256.clone(),
            unsigned: record.unsigned,
            limits: record.limits.clone(),
            wasi: record.wasi,
        }
    }
}

/// What a replay gave.
#[derive(Default)]
pub struct Replayed {
    /// events taken
    pub events: u64,
    /// CPU seconds of the engine's thread, reading excluded
    pub engine_cpu_s: f64,
    /// seconds on the wall
    pub wall_s: f64,
    /// who ran
    pub identities: Vec<Identity>,
    /// what did not run
    pub refused: Vec<Refused>,
    /// where each stands
    pub reports: Vec<LaneReport>,
    /// false when the user ended it early
    pub complete: bool,
}

/// Replays `tapes` one after the other. `watch` is called after every block and
/// may end the replay; `total` is told first.
///
/// # Errors
/// Modules that may not run, tapes that are damaged or do not fit.
#[allow(clippy::disallowed_methods, reason = "how long it took is told, never used")]
pub fn replay(
    config: &Config,
    selection: &Selection,
    tapes: &[PathBuf],
    interrupt: &Interrupt,
    mut watch: impl FnMut(&mut Engine, u64) -> ControlFlow<()>,
) -> Result<Replayed, Failure> {
    let started = Instant::now();
    let tapes = open(tapes)?;
    let Some(first) = tapes.first() else {
        return Err(Failure::new(Exit::Usage, "no tape to replay"));
    };
    let total: u64 = tapes.iter().map(|tape| tape.totals().events).sum();
    let instruments = first.instruments().clone();
    let start = first.span().map(|(first, _)| first).unwrap_or_default();
    let selected = strategies::load_unless_asked(config, selection, None, interrupt)?;
    let Some(Selected { loaded, refused }) = selected else {
        return Ok(Replayed::default());
    };
    let identities = identities(&loaded);
    let known: Vec<String> = instruments.iter().map(|(_, i)| i.symbol.clone()).collect();
    let symbols = setup::choose_symbols(config, &loaded, &known);
    setup::check_symbols(&setup::union(config, &symbols), &known, "the tape")?;
    let mut engine = setup::engine(config, "replay", instruments, loaded, symbols, start)?;
    let (mut cpu_s, mut complete, mut next_seq) = (0.0, true, 1);
    let mut pace = Pace::default();
    'tapes: for tape in tapes {
        let mut blocks = tape.prefetch(BLOCKS_AHEAD)?;
        while let Some(block) = blocks.next() {
            let mut block = block?;
            block.renumber(next_seq);
            next_seq = block.next_seq();
            let goes_on = Cell::new(true);
            let whole = pace.steps(
                &block,
                || goes_on.get(),
                |part| -> Result<(), Failure> {
                    let before = cpu_seconds();
                    engine.step(part)?;
                    cpu_s += cpu_seconds() - before;
                    goes_on.set(watch(&mut engine, total).is_continue());
                    Ok(())
                },
            )?;
            blocks.recycle(block);
            if !(whole && goes_on.get()) {
                complete = false;
                break 'tapes;
            }
        }
    }
    let before = cpu_seconds();
    engine.finish()?;
    cpu_s += cpu_seconds() - before;
    let _ = watch(&mut engine, total);
    Ok(Replayed {
        events: engine.events(),
        engine_cpu_s: cpu_s,
        wall_s: started.elapsed().as_secs_f64(),
        identities,
        refused,
        reports: engine.reports(),
        complete,
    })
}

/// Who the loaded modules are, in order.
#[must_use]
pub fn identities(loaded: &[Loaded]) -> Vec<Identity> {
    loaded.iter().map(Identity::of).collect()
}

/// Opens all tapes; they must tell of the same instruments and follow each
/// other in time.
fn open(paths: &[PathBuf]) -> Result<Vec<Tape>, Failure> {
    let mut tapes: Vec<Tape> = Vec::new();
    for path in paths {
        let tape = Tape::open(path)?;
        if let Some(last) = tapes.last() {
            if last.instruments() != tape.instruments() {
                let message =
                    format!("{} has other instruments than the tape before it", path.display());
                return Err(Failure::new(Exit::Feed, message));
            }
            let end = last.span().map(|(_, end)| end);
            let begin = tape.span().map(|(begin, _)| begin);
            if end.zip(begin).is_some_and(|(end, begin)| begin < end) {
                let message = format!("{} begins before the tape before it ends", path.display());
                return Err(Failure::new(Exit::Feed, message).hint("give tapes in order of time"));
            }
        }
        tapes.push(tape);
    }
    Ok(tapes)
}

/// CPU seconds that this thread has used.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
