//! Figures of a strategy that are shown as they are.

use std::collections::BTreeMap;

use crate::domain::Money;
use crate::engine::LaneReport;
use crate::strategy::Spread;

use super::model::{Latency, Took};

/// How long calls took, once there were any.
pub(super) fn latency(ns: &Spread) -> Option<Latency> {
    let us = |ns: u64| ns as f64 / 1_000.0;
    (ns.count > 0).then(|| Latency {
        p50: us(ns.p50),
        p90: us(ns.p90),
        p99: us(ns.p99),
        max: us(ns.max),
        spread: took(&ns.powers),
    })
}

/// How many calls took how long, from the fastest to the slowest.
fn took(powers: &[u64]) -> Vec<Took> {
    let us = |power: usize| (1_u64 << power) as f64 / 1_000.0;
    let place = |(power, &calls): (usize, &u64)| Took {
        from: if power == 0 { 0.0 } else { us(power) },
        to: (power + 1 < powers.len()).then(|| us(power + 1)),
        calls,
    };
    let first = powers.iter().position(|&calls| calls > 0).unwrap_or(powers.len());
    let last = powers.iter().rposition(|&calls| calls > 0).map_or(0, |last| last + 1);
    powers.iter().enumerate().take(last).skip(first).map(place).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_left_out_of_how_long_they_took_and_the_ends_are_not_empty() {
        let mut powers = [0; 32];
        assert_eq!(took(&powers).len(), 0);
        (powers[10], powers[12]) = (3, 1);
        let told: Vec<_> = took(&powers).iter().map(|it| (it.from, it.to, it.calls)).collect();
        let between = |from, to, calls| (from, Some(to), calls);
        let wanted = [between(1.024, 2.048, 3), between(2.048, 4.096, 0), between(4.096, 8.192, 1)];
        assert_eq!(told, wanted);
        (powers[0], powers[31]) = (2, 5);
        let told = took(&powers);
        assert_eq!((told[0].from, told[31].to), (0.0, None), "both ends are open");
        assert_eq!(told.iter().map(|it| it.calls).sum::<u64>(), 11);
    }
}
