//! The runs whose records lie in a folder, each as its own record tells of it.
//!
//! Every record is read whole, because a status that the end alone told would be a
//! guess; nothing is replayed, so `verify` alone proves what is listed here.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::dashboard::runs::read_in;
use crate::journal::{Decision, Facts, Kind, Manifest, Outputs, Record, Status, decode};
use crate::recorder::{Lock, segments};

use super::Failure;
use super::cut_run::Counted;
use super::recorded::{manifest, never_began, walk};

/// A run of the folder.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Listed {
    /// its folder's name
    pub run: String,
    /// `running`, `cut` short, `quarantined` (no strategy lived to the end),
    /// `recovered` (it went on behind a crash and ended in order), `ended`, or
    /// `unreadable`
    pub status: &'static str,
    /// why it cannot be read, or what of its record is damaged
    pub problem: Option<String>,
    /// the wall clock at its first record
    pub started: Option<String>,
    /// seconds of the wall clock from its first record to its last
    pub seconds: Option<f64>,
    /// market events
    pub events: Option<u64>,
    /// how often it was continued behind a crash
    pub restarts: u64,
    /// who runs
    pub strategies: Vec<String>,
    /// whom a fault ended
    pub quarantined: Vec<String>,
    /// how each strategy stood when that was last written beside the record
    pub results: Vec<ListedResult>,
}

/// How a strategy stood.
#[derive(Clone, Debug, Serialize)]
pub struct ListedResult {
    /// its name
    pub name: String,
    /// decimal, in the account's currency
    pub equity: Option<String>,
    /// percent of what it began with
    pub return_pct: Option<f64>,
}

impl Listed {
    /// The mean return of its strategies, in percent: each begins with a capital of its
    /// own.
    #[must_use]
    pub fn return_pct(&self) -> Option<f64> {
        let known: Vec<f64> = self.results.iter().filter_map(|one| one.return_pct).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }
}

/// The runs below a folder, newest first. One that cannot be read is a row that says
/// why; a folder that is not there holds none.
///
/// # Errors
/// A folder that cannot be listed.
pub fn list(dir: &Path) -> Result<Vec<Listed>, Failure> {
    let mut folders = match folders(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found?,
    };
    folders.reverse();
    let on = on(dir);
    let listed = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match row(path, on.as_ref() == Some(path)) {
            Ok(row) => row.map(|row| Listed { run: name, ..row }),
            Err(failure) => Some(Listed {
                run: name,
                status: "unreadable",
                problem: Some(failure.message),
                ..Listed::default()
            }),
        }
    };
    Ok(folders.iter().filter_map(listed).collect())
}

/// The run in `folder` is on: a program holds the lock beside it, and it is the one
/// that such a program writes.
#[must_use]
pub fn is_on(folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    folder.parent().and_then(on) == Some(folder.clone())
}

/// The run that a program writes below this folder: the newest that began.
fn on(dir: &Path) -> Option<PathBuf> {
    if !Lock::is_held(dir) {
        return None;
    }
    let began = |path: &PathBuf| {
        segments(path).and_then(|paths| never_began(&paths)).is_ok_and(|never| !never)
    };
    folders(dir).ok()?.into_iter().rev().find(began)
}

/// Folders below this one, oldest run first: a run's name begins with its time.
fn folders(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// What the record in a folder tells; none when it never began, or is no record.
fn row(path: &Path, held: bool) -> Result<Option<Listed>, Failure> {
    let paths = segments(path)?;
    if never_began(&paths)? {
        return Ok(None);
    }
    let mut told = Told::default();
    let walked = walk(&paths, |record| {
        told.take(record);
        Ok(())
    })?;
    let problem = walked.damage.map(|damage| format!("damaged: {damage}"));
    let Some(manifest) = told.manifest else {
        let problem = problem.or(Some("its record does not begin with what runs".into()));
        return Ok(Some(Listed { status: "unreadable", problem, ..Listed::default() }));
    };
    let strategies: Vec<String> =
        manifest.strategies.iter().map(|strategy| strategy.name.clone()).collect();
    let out = told.lanes.iter().enumerate().filter(|(_, lane)| lane.is_out(told.ended));
    let quarantined: Vec<String> =
        out.filter_map(|(lane, _)| strategies.get(lane).cloned()).collect();
    let facts = Facts {
        held,
        ended: told.ended,
        restarts: told.restarts,
        strategies: strategies.len(),
        quarantined: quarantined.len(),
    };
    let result = read_in(path).filter(|result| result.row.run == manifest.run);
    let results = result.map(|result| result.row.strategies).unwrap_or_default();
    let results = results.into_iter().map(|one| ListedResult {
        name: one.name,
        equity: one.equity,
        return_pct: one.return_pct,
    });
    let started = Timestamp::from_nanosecond(told.first_ns.into()).ok();
    Ok(Some(Listed {
        run: String::new(),
        status: Status::of(facts).name(),
        problem,
        started: started.map(|time| time.to_string()),
        // A wall clock that was set back makes no run shorter than nothing.
        seconds: Some(told.last_ns.saturating_sub(told.first_ns).max(0) as f64 / 1e9),
        events: Some(told.events),
        restarts: told.restarts,
        strategies,
        quarantined,
        results: results.collect(),
    }))
}

/// How a lane stands as far as faults go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lane {
    #[default]
    Well,
    /// it failed, and is started again later
    Waits,
    Out,
}

impl Lane {
    /// What waits when the run ends is not started again.
    fn is_out(self, ended: bool) -> bool {
        self == Self::Out || (ended && self == Self::Waits)
    }

    /// What a decision makes of it. Those that the record keeps in words begin with
    /// their name.
    fn after(self, decision: &Decision) -> Self {
        match decision {
            Decision::Fault { .. } => Self::Out,
            Decision::Other { what } if what.starts_with("Restarting") => Self::Waits,
            Decision::Other { what } if what.starts_with("Restarted") => Self::Well,
            Decision::Other { what }
                if what.starts_with("Swapped") && what.contains("refused: None") =>
            {
                Self::Well
            }
            _ => self,
        }
    }
}

/// What a walk gathers. A payload that cannot be read is `verify`'s to tell.
#[derive(Default)]
struct Told {
    manifest: Option<Manifest>,
    first_ns: i64,
    last_ns: i64,
    events: u64,
    /// events of a block whose end has not come yet
    partial: u64,
    restarts: u64,
    ended: bool,
    lanes: Vec<Lane>,
}

impl Told {
    fn take(&mut self, record: &Record) {
        if self.first_ns == 0 {
            self.first_ns = record.wall_ns;
        }
        self.last_ns = record.wall_ns;
        match record.kind {
            Kind::Manifest => self.manifest = self.manifest.take().or(manifest(record).ok()),
            Kind::Inputs => {
                let counted = decode::<Counted>(&record.payload);
                self.partial += counted.map_or(0, |counted| u64::from(counted.events));
                if record.flags & Record::MORE == 0 {
                    self.events += std::mem::take(&mut self.partial);
                }
            }
            Kind::Outputs => {
                for (lane, _, decision) in
                    decode::<Outputs>(&record.payload).unwrap_or_default().decisions
                {
                    let lane = usize::from(lane);
                    self.lanes.resize(self.lanes.len().max(lane + 1), Lane::Well);
                    self.lanes[lane] = self.lanes[lane].after(&decision);
                }
            }
            Kind::Restart => {
                self.partial = 0;
                self.restarts += 1;
            }
            Kind::Ended => self.ended = true,
            Kind::Command
            | Kind::Swap
            | Kind::Verdict
            | Kind::Sealed
            | Kind::Synced
            | Kind::Snapshot => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::LaneOutput;

    #[test]
    fn a_fault_is_undone_by_a_restart_and_by_a_new_build_that_took_over() {
        let other = |one: LaneOutput| Decision::Other { what: format!("{one:?}") };
        let fault = Decision::Fault { kind: "trap".into() };
        let swap = |refused: Option<String>| {
            let (from, to) = (String::new(), String::new());
            other(LaneOutput::Swapped { seq: 1, from, to, version: String::new(), refused })
        };
        let waits = other(LaneOutput::Restarting { attempt: 1, until: Default::default() });
        let again = other(LaneOutput::Restarted { attempt: 1, state: false });
        let end = |decisions: &[&Decision]| {
            decisions.iter().fold(Lane::default(), |lane, decision| lane.after(decision))
        };
        assert_eq!(end(&[]), Lane::Well);
        assert_eq!(end(&[&fault]), Lane::Out);
        assert_eq!(end(&[&fault, &waits]), Lane::Waits);
        assert_eq!(end(&[&fault, &waits, &again]), Lane::Well);
        assert_eq!(end(&[&fault, &waits, &again, &fault]), Lane::Out);
        assert_eq!(end(&[&fault, &swap(None)]), Lane::Well);
        assert_eq!(end(&[&fault, &swap(Some("it traps".into()))]), Lane::Out);
        assert!(Lane::Waits.is_out(true) && !Lane::Waits.is_out(false));
    }
}
