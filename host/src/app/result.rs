//! Keeps what a run came to beside its record, for looking at and comparing.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::dashboard::runs::{RunCurve, RunDetail, RunRow, RunStrategy};
use crate::domain::Ts;
use crate::engine::{Engine, LaneOutput, Output};

use super::Failure;
use super::replay::Identity;
use super::session::Watch;

/// How often it is written while the run goes on.
const WRITE_EVERY: Duration = Duration::from_secs(30);

/// What a run is called by its market: what is simulated is never shown as live, nor
/// the other way round.
#[must_use]
pub fn mode(config: &Config) -> &'static str {
    if config.feed.kind.name() == "sim" { "sim" } else { "live" }
}

/// Writes the result of one run.
#[derive(Debug)]
pub struct RunResults {
    folder: PathBuf,
    row: RunRow,
    /// of each strategy: the hash of what runs, and of what ran before it
    hashes: Vec<String>,
    earlier: Vec<Vec<String>>,
    /// when the run began, where an earlier process began it
    began: Option<Ts>,
    written: Option<Instant>,
}

impl RunResults {
    /// Into the folder of the run's record.
    #[must_use]
    pub fn new(config: &Config, folder: PathBuf, run: &str) -> Self {
        let row = RunRow {
            run: run.to_owned(),
            mode: mode(config).into(),
            seed: config.run.seed.to_string(),
            config_sha256: config.sha256(),
            version: env!("CARGO_PKG_VERSION").into(),
            ..RunRow::default()
        };
        let (hashes, earlier) = (Vec::new(), Vec::new());
        Self { folder, row, hashes, earlier, began: None, written: None }
    }

    /// Of a run that an earlier process began at a time, and that is continued for the
    /// nth time.
    #[must_use]
    pub fn going_on(mut self, before: Option<(Ts, u64)>) -> Self {
        self.began = before.map(|(began, _)| began);
        self.row.continued = before.map_or(0, |(_, continued)| continued);
        self
    }

    #[allow(clippy::disallowed_methods, reason = "how often it is written is of the wall")]
    fn write(&mut self, engine: &Engine, state: &str) {
        self.written = Some(Instant::now());
        let reports = engine.reports();
        let strategies = reports.iter().zip(self.hashes.iter().zip(&self.earlier));
        let ended = (state == "ended").then(|| engine.now().0.to_string());
        let row = RunRow {
            state: state.into(),
            ended_ns: ended,
            events: Some(engine.events()),
            strategies: strategies
                .map(|(report, (sha256, earlier))| RunStrategy {
                    earlier: earlier.clone(),
                    ..RunStrategy::of(report, sha256)
                })
                .collect(),
            ..self.row.clone()
        };
        let curves = reports.iter().map(RunCurve::of).collect();
        // The record is what counts; a run does not end for want of this.
        if let Err(error) = (RunDetail { row, curves }).write(&self.folder) {
            tracing::warn!("the result is not kept in {}: {error}", self.folder.display());
        }
    }
}

impl Watch for RunResults {
    fn started(&mut self, engine: &Engine, identities: &[Identity]) -> Result<(), Failure> {
        self.row.started_ns = self.began.unwrap_or(engine.now()).0.to_string();
        self.row.symbols = engine.instruments().iter().map(|(_, i)| i.symbol.clone()).collect();
        self.row.unsigned = identities.iter().any(|identity| identity.unsigned);
        self.hashes = identities.iter().map(|identity| identity.sha256.clone()).collect();
        self.earlier = vec![Vec::new(); self.hashes.len()];
        self.write(engine, "running");
        Ok(())
    }

    fn stepped(&mut self, engine: &Engine, news: &[Output]) -> Result<(), Failure> {
        for one in news {
            if let LaneOutput::Swapped { to, refused: None, .. } = &one.body
                && let Some(hash) = self.hashes.get_mut(usize::from(one.lane))
            {
                let before = std::mem::replace(hash, to.clone());
                self.earlier[usize::from(one.lane)].push(before);
            }
        }
        if self.written.is_none_or(|at| at.elapsed() >= WRITE_EVERY) {
            self.write(engine, "running");
        }
        Ok(())
    }

    fn finished(&mut self, engine: &Engine) -> Result<(), Failure> {
        self.write(engine, "ended");
        Ok(())
    }
}
