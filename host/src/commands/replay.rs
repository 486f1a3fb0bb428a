//! `sandpaper replay`.

use std::ops::ControlFlow;

use serde::Serialize;

use crate::app::console::{Console, report_table};
use crate::app::replay::{Identity, replay as replay_tapes};
use crate::app::strategies::Selection;
use crate::app::{Failure, Interrupt};
use crate::cli::{Exit, ReplayArgs};
use crate::config::LogFormat;
use crate::engine::{LaneReport, LaneState};
use crate::output;

use super::Context;

/// One strategy's result as scripts read it; amounts are decimal text.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StrategyResult {
    name: String,
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<&'static str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    currency: String,
    events: u64,
    calls: u64,
    orders: u64,
    fills: u64,
    rejected: u64,
    cash: String,
    equity: Option<String>,
    fees: String,
    realized_pnl: String,
    roi_pct: Option<f64>,
    trades: u64,
    win_rate_pct: Option<f64>,
    max_drawdown_pct: f64,
    fuel: u64,
    chain: String,
}

impl StrategyResult {
    pub(super) fn of(identity: &Identity, report: &LaneReport) -> Self {
        let statistics = &report.statistics;
        let (state, fault) = match &report.state {
            LaneState::Running => ("running", None),
            LaneState::Stopped => ("stopped", None),
            LaneState::Paused => ("paused", None),
            LaneState::Halted(reason) => ("halted", Some(reason.clone())),
            LaneState::Quarantined(fault) => ("quarantined", Some(fault.to_string())),
        };
        Self {
            name: identity.name.clone(),
            sha256: identity.sha256.clone(),
            trust: identity.unsigned.then_some("UNSIGNED"),
            state,
            fault,
            currency: report.currency.clone(),
            events: report.counters.events,
            calls: report.usage.calls,
            orders: report.counters.orders,
            fills: statistics.fill_count,
            rejected: report.counters.rejected,
            cash: report.cash.to_string(),
            equity: report.equity.map(|e| e.to_string()),
            fees: statistics.fees.to_string(),
            realized_pnl: report.realized_pnl.to_string(),
            roi_pct: report.roi_pct,
            trades: statistics.closed,
            win_rate_pct: statistics.win_rate_pct(),
            max_drawdown_pct: report.max_drawdown_pct,
            fuel: report.usage.fuel,
            chain: report.chain.clone(),
        }
    }
}

#[derive(Serialize)]
struct ReplayResult {
    events: u64,
    engine_cpu_s: f64,
    wall_s: f64,
    complete: bool,
    strict: bool,
    config_sha256: String,
    strategies: Vec<StrategyResult>,
}

pub(super) fn replay(context: &Context, args: &ReplayArgs) -> Result<Exit, Failure> {
    let config = &context.config;
    let selection =
        Selection { files: args.strategies.wasm.clone(), unsigned: args.strategies.unsigned };
    let interrupt = Interrupt::listen()?;
    let mut progress = None;
    let mut console = Console::new(config.run.status_every, config.log.format == LogFormat::Json);
    let replayed = replay_tapes(config, &selection, &args.tapes, |engine, total| {
        let progress = progress.get_or_insert_with(|| context.output.progress("replay", total));
        progress.set(engine.events());
        console.digest(engine);
        if interrupt.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let Some(progress) = progress {
        progress.finish();
    }
    if !replayed.complete {
        tracing::warn!("stopped early: these are the results up to here");
    }
    if context.output.json {
        let strategies = replayed
            .identities
            .iter()
            .zip(&replayed.reports)
            .map(|(i, r)| StrategyResult::of(i, r));
        let result = ReplayResult {
            events: replayed.events,
            engine_cpu_s: replayed.engine_cpu_s,
            wall_s: replayed.wall_s,
            complete: replayed.complete,
            strict: config.engine.strict,
            config_sha256: config.sha256(),
            strategies: strategies.collect(),
        };
        context.output.print_json("sandpaper.replay/1", &result)?;
    } else {
        if !context.output.quiet {
            context.output.note(&format!(
                "{} in {:.2} s ({:.2} s of engine time)",
                output::plural(replayed.events, "event"),
                replayed.wall_s,
                replayed.engine_cpu_s,
            ));
        }
        let table = report_table(&replayed.identities, &replayed.reports);
        context.output.print_table(&table)?;
        let chains = replayed.identities.iter().zip(&replayed.reports);
        for (identity, report) in chains.filter(|_| !context.output.quiet) {
            context.output.note(&format!("chain of {}: {}", identity.name, report.chain));
        }
    }
    Ok(Exit::Done)
}
