//! What a person sees of a run: fills as they happen, a status line now and
//! then, the final report.

use std::time::{Duration, Instant};

use crate::domain::{InstrumentTable, Money, Price};
use crate::engine::report::totals;
use crate::engine::{Engine, LaneOutput, LaneReport, LaneState, Output};
use crate::output::{self, Align, Table};
use crate::strategy::LogLevel;

use super::live::Watch;
use super::replay::Identity;

/// How many strategies a status line names.
const BEST_SHOWN: usize = 5;

/// Follows an engine and says what happens on the log.
pub struct Console {
    status_every: Duration,
    last_status: Instant,
    names: Vec<String>,
}

impl Console {
    /// A console with a status line every so often.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "when to say something is for people")]
    pub fn new(status_every: Duration) -> Self {
        Self { status_every, last_status: Instant::now(), names: Vec::new() }
    }

    /// Says the news since the last call.
    pub fn news(&mut self, engine: &mut Engine) {
        let news: Vec<Output> = engine.drain().collect();
        if news.is_empty() {
            return;
        }
        for one in news {
            let (name, instruments) = engine.lane(one.lane);
            Self::say(name, instruments, &one.body);
        }
    }

    /// Follows a replay: what failed is said, the rest is left to the report,
    /// because a year of fills is no news.
    pub fn digest(&mut self, engine: &mut Engine) {
        let news: Vec<Output> = engine.drain().collect();
        for one in news {
            let (name, instruments) = engine.lane(one.lane);
            let failed = matches!(&one.body, LaneOutput::Fault(_))
                || matches!(&one.body, LaneOutput::Log { level, .. } if *level >= LogLevel::Warn);
            if failed || tracing::enabled!(tracing::Level::DEBUG) {
                Self::say(name, instruments, &one.body);
            }
        }
    }

    fn say(name: &str, instruments: &InstrumentTable, body: &LaneOutput) {
        match body {
            LaneOutput::Fill { fill, reason, position, closed } => {
                let instrument = instruments.at(fill.symbol);
                let quantity = instrument.qty_text(fill.qty);
                let average = fill.amount.to_f64() / instrument.qty_f64(fill.qty);
                let decimals = usize::from(instrument.price_decimals);
                let net = closed.as_ref().map(|trip| {
                    format!(
                        ", closed with {} {}",
                        output::signed_money(trip.net()),
                        instrument.quote
                    )
                });
                tracing::info!(
                    "{name}: {} {quantity} {} at {average:.decimals$} (fee {}), position {}{}{}{}",
                    fill.action.name(),
                    instrument.symbol,
                    output::money_short(fill.fee),
                    instrument.qty_text(*position),
                    net.unwrap_or_default(),
                    if reason.is_empty() { "" } else { " · " },
                    output::printable(reason, 120),
                );
            }
            LaneOutput::Reject { order, reason, detail, .. } => {
                tracing::info!("{name}: order {} rejected, {reason}: {detail}", order.0);
            }
            LaneOutput::Canceled { order, symbol, leaves } => {
                let instrument = instruments.at(*symbol);
                let leaves = instrument.qty_text(*leaves);
                tracing::info!(
                    "{name}: order {}: {leaves} {} unfilled, canceled",
                    order.0,
                    instrument.symbol
                );
            }
            LaneOutput::Dropped { orders } => {
                tracing::warn!("{name}: {orders} orders dropped, too many in one event");
            }
            LaneOutput::Fault(fault) => {
                tracing::error!(
                    "{name}: quarantined, {}",
                    output::printable(&fault.to_string(), 2_000)
                );
            }
            LaneOutput::Log { level, text } => {
                let text = output::printable(text, 2_000);
                match level {
                    LogLevel::Trace => tracing::trace!("{name}: {text}"),
                    LogLevel::Debug => tracing::debug!("{name}: {text}"),
                    LogLevel::Info => tracing::info!("{name}: {text}"),
                    LogLevel::Warn => tracing::warn!("{name}: {text}"),
                    LogLevel::Error => tracing::error!("{name}: {text}"),
                }
            }
        }
    }

    #[allow(clippy::disallowed_methods, reason = "when to say something is for people")]
    fn status(&mut self, engine: &Engine) {
        self.last_status = Instant::now();
        tracing::info!("{}", status_line(engine));
    }
}

impl Watch for Console {
    fn started(&mut self, engine: &Engine, identities: &[Identity]) {
        self.names = identities.iter().map(|i| i.name.clone()).collect();
        for (identity, report) in identities.iter().zip(engine.reports()) {
            let symbols: Vec<&str> =
                report.instruments.iter().map(|(_, i)| i.symbol.as_str()).collect();
            let capital = output::money(report.cash);
            let unsigned = if identity.unsigned { " UNSIGNED" } else { "" };
            tracing::info!(
                "{}{unsigned} on {} with {capital} {} (sha256 {}…)",
                identity.name,
                symbols.join(", "),
                report.currency,
                &identity.sha256[..identity.sha256.len().min(12)],
            );
        }
    }

    fn stepped(&mut self, engine: &mut Engine) {
        self.news(engine);
        if self.last_status.elapsed() >= self.status_every {
            self.status(engine);
        }
    }
}

/// Ticks, orders, fills, total equity, prices, and who leads.
#[must_use]
pub fn status_line(engine: &Engine) -> String {
    let reports = engine.reports();
    let orders: u64 = reports.iter().map(|r| r.counters.orders).sum();
    let fills: u64 = reports.iter().map(|r| r.statistics.fill_count).sum();
    let equity = totals(&reports).into_iter().map(|(currency, total)| match total {
        Some(total) => format!("{} {currency}", output::money(total)),
        None => format!("– {currency}"),
    });
    let prices = engine.instruments().iter().filter_map(|(symbol, instrument)| {
        let top = engine.market().top(symbol);
        let mark = top.mark2() / 2;
        (mark > 0).then(|| format!("{} {}", instrument.symbol, instrument.price_text(Price(mark))))
    });
    let mut ranked: Vec<(&LaneReport, f64)> =
        reports.iter().filter_map(|r| Some((r, r.roi_pct?))).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let best = ranked
        .iter()
        .take(BEST_SHOWN)
        .map(|(r, roi)| format!("{} {}", r.name, output::percent(Some(*roi))));
    format!(
        "{} ticks, {}, {}, equity {} | {} | best: {}",
        output::count(engine.events()),
        output::plural(orders, "order"),
        output::plural(fills, "fill"),
        equity.collect::<Vec<_>>().join(" + "),
        prices.collect::<Vec<_>>().join(", "),
        best.collect::<Vec<_>>().join(", "),
    )
}

/// The final table, one row a strategy, best first.
#[must_use]
pub fn report_table(identities: &[Identity], reports: &[LaneReport]) -> Table {
    let mut table = Table::new(&[
        ("strategy", Align::Left),
        ("state", Align::Left),
        ("capital", Align::Right),
        ("equity", Align::Right),
        ("P&L", Align::Right),
        ("ROI", Align::Right),
        ("fills", Align::Right),
        ("trades", Align::Right),
        ("win rate", Align::Right),
        ("max drawdown", Align::Right),
        ("fees", Align::Right),
        ("rejected", Align::Right),
        ("fuel/event", Align::Right),
    ]);
    let mut rows: Vec<(&Identity, &LaneReport)> = identities.iter().zip(reports).collect();
    rows.sort_by(|a, b| {
        let key = |r: &LaneReport| r.roi_pct.unwrap_or(f64::NEG_INFINITY);
        key(b.1).total_cmp(&key(a.1)).then_with(|| a.0.name.cmp(&b.0.name))
    });
    for (identity, report) in rows {
        table.row(row(identity, report));
    }
    table
}

fn row(identity: &Identity, report: &LaneReport) -> Vec<String> {
    let statistics = &report.statistics;
    let unsigned = if identity.unsigned { " UNSIGNED" } else { "" };
    let state = match &report.state {
        LaneState::Running | LaneState::Stopped => "ok".to_owned(),
        LaneState::Quarantined(fault) => format!("quarantined: {}", fault.kind.name()),
    };
    let known = |amount: Option<Money>, show: fn(Money) -> String| {
        amount.map_or_else(|| "–".to_owned(), show)
    };
    let pnl = report.equity.zip(report.start_equity).map(|(now, start)| now - start);
    let win_rate = statistics.win_rate_pct();
    vec![
        format!("{}{unsigned}", identity.name),
        state,
        format!("{} {}", known(report.start_equity, output::money), report.currency),
        known(report.equity, output::money),
        known(pnl, output::signed_money),
        output::percent(report.roi_pct),
        output::count(statistics.fill_count),
        output::count(statistics.closed),
        win_rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1}%")),
        format!("{:.2}%", report.max_drawdown_pct),
        output::money_short(statistics.fees),
        output::count(report.counters.rejected),
        output::count(report.usage.fuel.checked_div(report.counters.events).unwrap_or(0)),
    ]
}
