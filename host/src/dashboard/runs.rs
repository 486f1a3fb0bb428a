//! Runs to compare: the one that is on, and those that are kept.

use serde::Serialize;
use utoipa::ToSchema;

use super::hub::State;

/// A run and how its strategies did.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct RunRow {
    /// its name
    pub run: String,
    /// where its market came from: `sim`, `live` or `replay`
    pub mode: String,
    /// `running`, `ended`, or what the record says of one that did not end well
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
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[allow(missing_docs, reason = "as in the leaderboard")]
pub struct RunStrategy {
    pub name: String,
    pub sha256: String,
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
}

/// The run that is on.
#[must_use]
pub fn current(state: &State) -> RunRow {
    let run = &state.run;
    let strategy = |lane: &super::model::StrategyDetail| {
        let row = &lane.row;
        RunStrategy {
            name: row.name.clone(),
            sha256: row.sha256.clone(),
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
            fees: Some(row.fees.clone()),
            chain: Some(lane.chain.clone()),
        }
    };
    RunRow {
        run: run.run.clone(),
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
