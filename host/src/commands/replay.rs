//! `sandpaper replay`.

use std::ops::ControlFlow;
use std::path::PathBuf;

use serde::Serialize;

use crate::app::console::{Console, report_table};
use crate::app::replay::{Identity, Replayed, reads_ahead, replay as replay_tapes};
use crate::app::strategies::{Refused, Selection};
use crate::app::{Failure, Interrupt};
use crate::cli::{Exit, ReplayArgs};
use crate::config::{Config, LogFormat};
use crate::dashboard::Accounting;
use crate::domain::Money;
use crate::engine::{LaneReport, LaneState};
use crate::output;
use crate::portfolio::{AssetTotals, Summary, Totals};

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
    fees: Option<String>,
    realized_pnl: Option<String>,
    roi_pct: Option<f64>,
    trades: u64,
    win_rate_pct: Option<f64>,
    max_drawdown_pct: f64,
    carry: Option<String>,
    unrealized_pnl: Option<String>,
    metrics: Summary,
    /// what each quote asset did by itself
    by_asset: Vec<AssetPart>,
    by_symbol: Vec<Part>,
    by_tag: Vec<Part>,
    /// milliseconds since the Unix epoch, then lowest, highest and last equity
    equity_curve: Vec<(i64, String, String, String)>,
    fuel: u64,
    sandbox: Accounting,
    chain: String,
}

/// What one symbol or tag contributed; amounts of a symbol are in its quote.
#[derive(Clone, Debug, Serialize)]
struct Part {
    name: String,
    fills: u64,
    trades: u64,
    win_rate_pct: Option<f64>,
    profit_factor: Option<f64>,
    net: Option<String>,
    fees: Option<String>,
    carry: Option<String>,
    turnover: Option<String>,
}

/// What one quote asset did by itself, in that asset.
#[derive(Clone, Debug, Serialize)]
struct AssetPart {
    asset: String,
    cash: String,
    realized: String,
    fees: String,
    carry: String,
    net: String,
    turnover: String,
}

impl AssetPart {
    fn of(totals: &AssetTotals) -> Self {
        Self {
            asset: totals.asset.clone(),
            cash: totals.cash.to_string(),
            realized: totals.realized.to_string(),
            fees: totals.fees.to_string(),
            carry: totals.carry.to_string(),
            net: totals.net.to_string(),
            turnover: totals.turnover.to_string(),
        }
    }
}

impl Part {
    fn of(name: &str, totals: &Totals) -> Self {
        Self {
            name: name.to_owned(),
            fills: totals.fill_count,
            trades: totals.closed,
            win_rate_pct: totals.win_rate_pct(),
            profit_factor: totals.profit_factor(),
            net: text(totals.known(totals.net)),
            fees: text(totals.known(totals.fees)),
            carry: text(totals.known(totals.carry)),
            turnover: text(totals.known(totals.turnover)),
        }
    }
}

/// What is unknown is null.
fn text(amount: Option<Money>) -> Option<String> {
    amount.map(|amount| amount.to_string())
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
            LaneState::Restarting { fault, .. } => ("restarting", Some(fault.to_string())),
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
            fees: text(statistics.known(statistics.fees)),
            realized_pnl: text(report.realized_pnl),
            roi_pct: report.roi_pct,
            trades: statistics.closed,
            win_rate_pct: statistics.win_rate_pct(),
            max_drawdown_pct: report.max_drawdown_pct,
            carry: text(statistics.known(statistics.carry)),
            unrealized_pnl: text(report.unrealized_pnl),
            metrics: report.metrics.clone(),
            by_asset: report.assets.iter().map(AssetPart::of).collect(),
            by_symbol: report
                .instruments
                .iter()
                .zip(report.breakdown.symbols())
                .map(|((_, instrument), totals)| Part::of(&instrument.symbol, totals))
                .collect(),
            by_tag: report
                .breakdown
                .tags()
                .iter()
                .map(|(tag, totals)| Part::of(tag, totals))
                .collect(),
            equity_curve: report
                .curve
                .points()
                .iter()
                .map(|p| {
                    let show = |amount: Money| amount.to_string();
                    (p.ts.0 / 1_000_000, show(p.min), show(p.max), show(p.last))
                })
                .collect(),
            fuel: report.usage.fuel,
            sandbox: Accounting::of(report),
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
    /// with --strict: who decides otherwise in batches
    reads_ahead: Vec<String>,
    config_sha256: String,
    strategies: Vec<StrategyResult>,
    refused: Vec<Refused>,
}

pub(super) fn replay(context: &Context, args: &ReplayArgs) -> Result<Exit, Failure> {
    let config = &context.config;
    let selection =
        Selection { files: args.strategies.wasm.clone(), unsigned: args.strategies.unsigned };
    let interrupt = Interrupt::listen()?;
    let mut progress = None;
    let mut console = Console::new(config.run.status_every, config.log.format == LogFormat::Json);
    let replayed = replay_tapes(config, &selection, &args.tapes, &interrupt, |engine, total| {
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
    let ahead = if args.strategies.strict && replayed.complete {
        ahead_in_batches(config, &selection, &args.tapes, &interrupt, &replayed)?
    } else {
        Vec::new()
    };
    for name in &ahead {
        tracing::warn!(
            "{name} reads ahead: in batches of up to {} events it decides otherwise",
            config.engine.batch
        );
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
            reads_ahead: ahead.clone(),
            config_sha256: config.sha256(),
            strategies: strategies.collect(),
            refused: replayed.refused,
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
    Ok(if ahead.is_empty() { Exit::Done } else { Exit::Findings })
}

/// Who decides otherwise when the same tapes are replayed in batches.
fn ahead_in_batches(
    config: &Config,
    selection: &Selection,
    tapes: &[PathBuf],
    interrupt: &Interrupt,
    strict: &Replayed,
) -> Result<Vec<String>, Failure> {
    let mut batched = config.clone();
    batched.engine.strict = false;
    let batched = replay_tapes(&batched, selection, tapes, interrupt, |_, _| {
        if interrupt.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if !batched.complete {
        tracing::warn!("stopped early: whether a strategy reads ahead was not found out");
        return Ok(Vec::new());
    }
    let pairs = strict.reports.iter().zip(&batched.reports).zip(&strict.identities);
    let ahead = pairs.filter(|((single, batched), _)| reads_ahead(single, batched));
    Ok(ahead.map(|(_, identity)| identity.name.clone()).collect())
}
