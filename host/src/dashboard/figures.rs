//! Figures of a strategy that are shown as they are.

use std::collections::BTreeMap;

use crate::domain::Money;
use crate::engine::LaneReport;
use crate::strategy::Spread;

use super::model::Latency;

/// How long calls took, once there were any.
pub(super) fn latency(ns: &Spread) -> Option<Latency> {
    let us = |ns: u64| ns as f64 / 1_000.0;
    (ns.count > 0).then(|| Latency {
        p50: us(ns.p50),
        p90: us(ns.p90),
        p99: us(ns.p99),
        max: us(ns.max),
    })
}

/// Further figures of a strategy by their label.
pub(super) fn figures(report: &LaneReport) -> BTreeMap<String, Option<String>> {
    let (statistics, metrics) = (&report.statistics, &report.metrics);
    let money = |amount: Option<Money>| amount.map(|m| m.to_string());
    let sum = |sum: Money| money(statistics.known(sum));
    let number = |number: Option<f64>| number.map(|number| format!("{number:.4}"));
    [
        ("closed trades", Some(statistics.closed.to_string())),
        ("wins", Some(statistics.wins.to_string())),
        ("losses", Some(statistics.losses.to_string())),
        ("gross profit", sum(statistics.gross_profit)),
        ("gross loss", sum(statistics.gross_loss)),
        ("net of closed trades", sum(statistics.net)),
        ("best trade", statistics.best.and_then(sum)),
        ("worst trade", statistics.worst.and_then(sum)),
        ("fees", sum(statistics.fees)),
        ("charges on shorts", sum(statistics.carry)),
        ("turnover", sum(statistics.turnover)),
        ("realized", money(report.realized_pnl)),
        ("unrealized", money(report.unrealized_pnl)),
        ("events", Some(report.counters.events.to_string())),
        ("buy and hold of its symbols, %", number(metrics.buy_and_hold_pct)),
        ("yearly growth, %", number(metrics.cagr_pct)),
        ("yearly volatility, %", number(metrics.volatility_pct)),
        ("Sharpe ratio", number(metrics.sharpe)),
        ("Sortino ratio", number(metrics.sortino)),
        ("Calmar ratio", number(metrics.calmar)),
        ("expectancy", number(metrics.expectancy)),
        ("payoff", number(metrics.payoff)),
        ("most wins in a row", Some(metrics.win_streak.to_string())),
        ("most losses in a row", Some(metrics.loss_streak.to_string())),
        ("system quality number", number(metrics.sqn)),
        ("time with a position, %", number(metrics.exposure_pct)),
        ("length of the largest drawdown, s", number(metrics.drawdown_s)),
    ]
    .map(|(label, value)| (label.to_owned(), value))
    .into()
}
