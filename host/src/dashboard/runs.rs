//! Runs to compare: the one that is on, and those whose results are kept.
//!
//! A run leaves a small file in the folder of its record, written anew while it goes
//! on. What such a file says is believed as far as it can be read: it is for looking
//! at, and proves nothing; `sandpaper verify` does.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounting::Accounting;
use super::hub::{Point, State};
use super::model::StrategyDetail;
use super::views::{curve, status};
use crate::domain::Money;
use crate::engine::LaneReport;

/// The file's name in a run's folder.
pub const FILE: &str = "result.json";
/// Runs that are listed, the newest.
const RUNS_MAX: usize = 200;
/// The largest file that is read. One of a thousand strategies with all their curves is
/// a third of it.
const FILE_MAX: u64 = 64 << 20;

/// A run and how its strategies did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RunRow {
    /// its name
    pub run: String,
    /// how often it was cut short, by a crash or a kill, and went on
    pub continued: u64,
    /// where its market came from: `sim`, `live` or `replay`
    pub mode: String,
    /// `running`, `ended`, or `unfinished` when it stopped without an end
    pub state: String,
    /// start of everything random
    pub seed: String,
    /// the engine's clock at the start
    pub started_ns: String,
    /// the engine's clock at the end
    pub ended_ns: Option<String>,
    /// inputs taken
    pub events: Option<u64>,
    /// all symbols
    pub symbols: Vec<String>,
    /// hash of all settings
    pub config_sha256: String,
    /// the program's version
    pub version: String,
    /// true when the lock file was bypassed
    pub unsigned: bool,
    /// how each strategy did
    pub strategies: Vec<RunStrategy>,
}

/// How a strategy did in a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[allow(missing_docs, reason = "as in the leaderboard")]
pub struct RunStrategy {
    pub name: String,
    pub sha256: String,
    /// hashes of the builds that it took the place of, oldest first
    pub earlier: Vec<String>,
    pub status: Option<String>,
    pub equity: Option<String>,
    pub pnl: Option<String>,
    pub return_pct: Option<f64>,
    pub max_drawdown_pct: Option<f64>,
    pub sharpe: Option<f64>,
    pub win_rate_pct: Option<f64>,
    pub profit_factor: Option<f64>,
    pub trades: Option<u64>,
    pub fills: Option<u64>,
    pub fees: Option<String>,
    pub chain: Option<String>,
    /// what it used; null in results of earlier versions
    pub sandbox: Option<Accounting>,
}

/// A run with its curves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RunDetail {
    /// the run
    #[serde(flatten)]
    pub row: RunRow,
    /// each strategy's equity over time
    pub curves: Vec<RunCurve>,
}

/// Equity of a strategy over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RunCurve {
    /// whose
    pub name: String,
    /// milliseconds, equity, drawdown in percent
    pub points: Vec<[f64; 3]>,
}

impl RunStrategy {
    /// How a strategy stands now.
    #[must_use]
    pub fn of(report: &LaneReport, sha256: &str) -> Self {
        let money = |amount: Option<Money>| amount.map(|amount| amount.to_string());
        let statistics = &report.statistics;
        Self {
            name: report.name.to_string(),
            sha256: sha256.into(),
            earlier: Vec::new(),
            status: Some(status(&report.state).0.into()),
            equity: money(report.equity),
            pnl: money(report.equity.zip(report.start_equity).map(|(now, was)| now - was)),
            return_pct: report.roi_pct,
            max_drawdown_pct: Some(report.max_drawdown_pct),
            sharpe: report.metrics.sharpe,
            win_rate_pct: statistics.win_rate_pct(),
            profit_factor: statistics.profit_factor(),
            trades: Some(statistics.closed),
            fills: Some(statistics.fill_count),
            fees: Some(statistics.fees.to_string()),
            chain: Some(report.chain.clone()),
            sandbox: Some(Accounting::of(report)),
        }
    }
}

impl RunCurve {
    /// A strategy's equity until now.
    #[must_use]
    pub fn of(report: &LaneReport) -> Self {
        Self { name: report.name.to_string(), points: curve(&report.curve) }
    }
}

impl RunDetail {
    /// The run that a state is of.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let curve = |(lane, points): (&StrategyDetail, &std::sync::Arc<Vec<Point>>)| RunCurve {
            name: lane.row.name.clone(),
            points: points.to_vec(),
        };
        let curves = state.lanes.iter().zip(&state.curves).map(curve).collect();
        Self { row: row(state), curves }
    }

    /// Writes it into a run's folder, whole or not at all.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let beside = folder.join(format!("{FILE}.new"));
        let mut file = File::create(&beside)?;
        file.write_all(serde_json::to_string(self)?.as_bytes())?;
        file.sync_data()?;
        fs::rename(beside, folder.join(FILE))
    }
}

/// The run that a state is of, without its curves.
#[must_use]
pub fn row(state: &State) -> RunRow {
    let run = &state.run;
    let strategy = |lane: &StrategyDetail| {
        let row = &lane.row;
        RunStrategy {
            name: row.name.clone(),
            sha256: row.sha256.clone(),
            earlier: lane.sandbox.earlier.clone(),
            status: Some(row.status.clone()),
            equity: row.equity.clone(),
            pnl: row.pnl.clone(),
            return_pct: row.return_pct,
            max_drawdown_pct: Some(row.max_drawdown_pct),
            sharpe: row.sharpe,
            win_rate_pct: row.win_rate_pct,
            profit_factor: row.profit_factor,
            trades: Some(row.trades),
            fills: Some(row.fills),
            fees: row.fees.clone(),
            chain: Some(lane.chain.clone()),
            sandbox: Some(lane.accounting.clone()),
        }
    };
    RunRow {
        run: run.run.clone(),
        continued: run.continued,
        mode: run.mode.clone(),
        state: run.state.clone(),
        seed: run.seed.clone(),
        started_ns: run.started_ns.clone(),
        ended_ns: (run.state == "ended").then(|| run.now_ns.clone()),
        events: Some(run.events),
        symbols: run.symbols.clone(),
        config_sha256: run.config_sha256.clone(),
        version: run.version.clone(),
        unsigned: run.unsigned,
        strategies: state.lanes.iter().map(strategy).collect(),
    }
}

/// Rows of kept runs. Their files hold curves as well, so each is read again only when
/// it is another one than before.
#[derive(Debug, Default)]
pub struct Kept(BTreeMap<String, (Stamp, Option<RunRow>)>);

/// What tells a file from the one before: when it was written, and its size.
type Stamp = (Option<SystemTime>, u64);

impl Kept {
    /// The runs below a folder but the one of that name, newest first.
    pub fn list(&mut self, folder: &Path, but: &str) -> Vec<RunRow> {
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        // A run's name begins with its time.
        names.sort_unstable_by(|a, b| b.cmp(a));
        let (mut rows, mut now) = (Vec::new(), BTreeMap::new());
        for name in names.into_iter().filter(|name| name != but) {
            if rows.len() == RUNS_MAX {
                break;
            }
            let Ok(file) = fs::metadata(folder.join(&name).join(FILE)) else { continue };
            let stamp = (file.modified().ok(), file.len());
            let known = self.0.remove(&name).filter(|(before, _)| *before == stamp);
            let row = match known {
                Some((_, row)) => row,
                None => read(folder, &name).map(|detail| detail.row),
            };
            rows.extend(row.clone());
            now.insert(name, (stamp, row));
        }
        self.0 = now;
        rows
    }
}

/// The run of that name below a folder.
#[must_use]
pub fn read(folder: &Path, name: &str) -> Option<RunDetail> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
        return None;
    }
    read_in(&folder.join(name)).filter(|detail| detail.row.run == name)
}

/// The run of this folder, whatever the folder is called now.
#[must_use]
pub fn read_in(folder: &Path) -> Option<RunDetail> {
    let file = File::open(folder.join(FILE)).ok()?;
    let mut text = String::new();
    file.take(FILE_MAX).read_to_string(&mut text).ok()?;
    let mut detail: RunDetail = serde_json::from_str(&text).ok()?;
    // Whoever reads a kept run is another one: this one is not on any more.
    if detail.row.state == "running" {
        detail.row.state = "unfinished".into();
    }
    Some(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(run: &str, state: &str) -> RunDetail {
        let strategies = vec![RunStrategy { name: "one".into(), ..RunStrategy::default() }];
        let row = RunRow { run: run.into(), state: state.into(), strategies, ..RunRow::default() };
        let curves = vec![RunCurve { name: "one".into(), points: vec![[1.0, 2.0, 3.5]] }];
        RunDetail { row, curves }
    }

    #[test]
    fn high_004_the_result_of_a_thousand_strategies_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut large = detail("1-a", "ended");
        let row = |number: u32| RunStrategy {
            name: format!("s{number}"),
            ..large.row.strategies[0].clone()
        };
        large.row.strategies = (0..1_000).map(row).collect();
        let points = vec![[1_700_000_000.5, 10_000.25, 0.125]; 500];
        let curve = |number: u32| RunCurve { name: format!("s{number}"), points: points.clone() };
        large.curves = (0..1_000).map(curve).collect();
        large.write(folder.path()).unwrap();
        assert!(fs::metadata(folder.path().join(FILE)).unwrap().len() > 12 << 20);
        assert_eq!(read_in(folder.path()), Some(large));
    }

    #[test]
    fn kept_runs_are_listed_newest_first_and_nothing_else_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for (run, state) in [("1-a", "ended"), ("2-b", "running"), ("3-c", "running")] {
            fs::create_dir(folder.path().join(run)).unwrap();
            detail(run, state).write(&folder.path().join(run)).unwrap();
        }
        fs::create_dir(folder.path().join("4-broken")).unwrap();
        fs::write(folder.path().join("4-broken").join(FILE), "{\"run\":").unwrap();
        fs::create_dir(folder.path().join("5-other")).unwrap();
        detail("1-a", "ended").write(&folder.path().join("5-other")).unwrap();
        let mut cache = Kept::default();
        let rows = cache.list(folder.path(), "3-c");
        let names: Vec<(&str, &str)> =
            rows.iter().map(|row| (row.run.as_str(), row.state.as_str())).collect();
        assert_eq!(names, [("2-b", "unfinished"), ("1-a", "ended")]);
        assert_eq!(cache.list(folder.path(), "3-c"), rows, "as before, without reading");
        // What is known of a file that has changed is forgotten.
        cache.0.values_mut().for_each(|(_, row)| *row = None);
        assert_eq!(cache.list(folder.path(), "3-c"), [], "it is not read again");
        let mut changed = detail("2-b", "ended");
        changed.row.seed = "another".into();
        changed.write(&folder.path().join("2-b")).unwrap();
        assert_eq!(cache.list(folder.path(), "3-c"), [changed.row]);
        assert_eq!(read(folder.path(), "1-a"), Some(detail("1-a", "ended")));
        for name in ["", ".", "..", "../1-a", "1-a/", "1-a/../1-a", "%2e", "none", "1-a\0"] {
            assert_eq!(read(folder.path(), name), None, "{name}");
        }
    }
}
