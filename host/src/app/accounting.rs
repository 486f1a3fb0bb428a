//! What the strategies of a run use, beside its record, where another process can watch
//! it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::dashboard::Accounting;
use crate::engine::{Engine, LaneOutput, LaneReport, LaneState, Output};

use super::Failure;
use super::replay::Identity;
use super::session::Watch;

/// How often the file of a run is written anew.
const EVERY: Duration = Duration::from_secs(1);
/// The largest file that is read.
const BYTES_MAX: u64 = 16 << 20;

/// One strategy of a run, as another process sees it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Used {
    /// the operator's name for it
    pub name: String,
    /// SHA-256 of its file, in hex
    pub sha256: String,
    /// running, paused, halted, quarantined, restarting or stopped
    pub state: String,
    /// events that it has consumed
    pub events: u64,
    /// what it has used
    pub sandbox: Accounting,
}

/// What the strategies of a run use, at one moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UsageNow {
    /// the run's name
    pub run: String,
    /// when, on the wall
    pub at: String,
    /// false when the run is over
    pub running: bool,
    /// its strategies
    pub strategies: Vec<Used>,
}

impl UsageNow {
    /// What the newest run wrote; nothing when there is none.
    #[must_use]
    pub fn read(config: &Config) -> Option<Self> {
        use std::io::Read as _;
        let file = fs::File::open(place(config)).ok()?;
        let mut text = String::new();
        file.take(BYTES_MAX).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }
}

fn place(config: &Config) -> PathBuf {
    Path::new(&config.record.dir).join("usage.json")
}

/// Writes what the strategies of a run use, once a second.
pub struct UsageFile {
    path: PathBuf,
    now: UsageNow,
    identities: Vec<Identity>,
    written: Instant,
}

impl UsageFile {
    /// The file beside the records.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "when to write is no result")]
    pub fn new(config: &Config, run: &str) -> Self {
        let now = UsageNow { run: run.to_owned(), ..UsageNow::default() };
        Self { path: place(config), now, identities: Vec::new(), written: Instant::now() }
    }

    /// Writes the file whole or not at all; a file that cannot be written is told and
    /// ends nothing.
    #[allow(clippy::disallowed_methods, reason = "when to write is no result")]
    fn write(&mut self, engine: &Engine, running: bool) {
        self.written = Instant::now();
        let used = |(identity, report): (&Identity, &LaneReport)| Used {
            name: identity.name.clone(),
            sha256: identity.sha256.clone(),
            state: state_name(&report.state).to_owned(),
            events: report.counters.events,
            sandbox: Accounting::of(report),
        };
        let reports = engine.reports();
        self.now.at = Timestamp::now().to_string();
        self.now.running = running;
        self.now.strategies = self.identities.iter().zip(&reports).map(used).collect();
        let temporary = self.path.with_extension("json.tmp");
        let written =
            serde_json::to_vec(&self.now).map_err(std::io::Error::from).and_then(|text| {
                fs::File::create(&temporary)?.write_all(&text)?;
                fs::rename(&temporary, &self.path)
            });
        if let Err(error) = written {
            tracing::warn!("{} cannot be written: {error}", self.path.display());
        }
    }
}

/// A lane's state in one word.
fn state_name(state: &LaneState) -> &'static str {
    match state {
        LaneState::Running => "running",
        LaneState::Paused => "paused",
        LaneState::Halted(_) => "halted",
        LaneState::Quarantined(_) => "quarantined",
        LaneState::Restarting { .. } => "restarting",
        LaneState::Stopped => "stopped",
    }
}

impl Watch for UsageFile {
    fn started(&mut self, engine: &Engine, identities: &[Identity]) -> Result<(), Failure> {
        self.identities = identities.to_vec();
        self.write(engine, true);
        Ok(())
    }

    fn stepped(&mut self, engine: &Engine, news: &[Output]) -> Result<(), Failure> {
        for one in news {
            if let LaneOutput::Swapped { to, refused: None, .. } = &one.body
                && let Some(identity) = self.identities.get_mut(usize::from(one.lane))
            {
                identity.sha256.clone_from(to);
            }
        }
        if self.written.elapsed() >= EVERY {
            self.write(engine, true);
        }
        Ok(())
    }

    fn finished(&mut self, engine: &Engine) -> Result<(), Failure> {
        self.write(engine, false);
        Ok(())
    }
}
