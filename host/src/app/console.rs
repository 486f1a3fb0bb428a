//! What a person sees of a run: fills as they happen, a status line now and
//! then, the final report.

use std::time::{Duration, Instant};

use crate::domain::{Fill, InstrumentTable, Money, Price, Qty, SymbolId};
use crate::engine::report::totals;
use crate::engine::{Engine, LaneOutput, LaneRef, LaneReport, LaneState, Output};
use crate::feed::tape::CONTRACT;
use crate::output::{self, Align, Table};
use crate::portfolio::RoundTrip;
use crate::strategy::LogLevel;

use super::Failure;
use super::replay::Identity;
use super::session::Watch;

/// How many strategies a status line names.
const BEST_SHOWN: usize = 5;

/// The longest text of a strategy that is shown on one line.
const TEXT_CHARS_MAX: usize = 2_000;

/// Follows an engine and says what happens on the log.
pub struct Console {
    fields: bool,
    status_every: Duration,
    last_status: Instant,
    names: Vec<String>,
}

impl Console {
    /// A console with a status line every so often. With `fields`, records of a
    /// strategy name it, its version and the contract's apart from the text.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "when to say something is for people")]
    pub fn new(status_every: Duration, fields: bool) -> Self {
        Self { fields, status_every, last_status: Instant::now(), names: Vec::new() }
    }

    /// Follows a replay: what failed is said, the rest is left to the report,
    /// because a year of fills is no news.
    pub fn digest(&mut self, engine: &mut Engine) {
        let news: Vec<Output> = engine.drain().collect();
        for one in news {
            let failed = matches!(&one.body, LaneOutput::Fault(_))
                || matches!(&one.body, LaneOutput::Log { level, .. } if *level >= LogLevel::Warn);
            if failed || tracing::enabled!(tracing::Level::DEBUG) {
                self.say(engine.lane(one.lane), &one.body);
            }
        }
    }

    fn say(&self, lane: LaneRef<'_>, body: &LaneOutput) {
        let (level, text) = sentence(lane.instruments, body);
        // People read one sentence; machines also get who said it, in fields.
        macro_rules! say {
            ($level:ident) => {
                if self.fields {
                    tracing::$level!(
                        strategy = lane.name,
                        version = lane.version,
                        wit = CONTRACT,
                        "{text}"
                    );
                } else {
                    tracing::$level!("{}: {text}", lane.name);
                }
            };
        }
        match level {
            LogLevel::Trace => say!(trace),
            LogLevel::Debug => say!(debug),
            LogLevel::Info => say!(info),
            LogLevel::Warn => say!(warn),
            LogLevel::Error => say!(error),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "when to say something is for people")]
    fn status(&mut self, engine: &Engine) {
        self.last_status = Instant::now();
        tracing::info!("{}", status_line(engine));
    }
}

impl Watch for Console {
    fn started(&mut self, engine: &Engine, identities: &[Identity]) -> Result<(), Failure> {
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
        Ok(())
    }

    fn stepped(&mut self, engine: &Engine, news: &[Output]) -> Result<(), Failure> {
        for one in news {
            self.say(engine.lane(one.lane), &one.body);
        }
        if self.last_status.elapsed() >= self.status_every {
            self.status(engine);
        }
        Ok(())
    }
}

/// What happened, in one sentence, and how important it is.
#[must_use]
pub fn sentence(instruments: &InstrumentTable, body: &LaneOutput) -> (LogLevel, String) {
    match body {
        LaneOutput::Asked { order, request } => {
            let symbol = instruments.get(SymbolId(request.symbol));
            let mut text = format!(
                "order {}: {}",
                order.0,
                request.words(symbol.map_or("?", |instrument| &instrument.symbol))
            );
            let facts = request.metadata.iter().map(|(key, value)| format!("{key}={value}"));
            let facts: Vec<String> = facts.collect();
            for (open, said) in [(": ", request.reason.clone()), ("; ", facts.join(", "))] {
                if !said.is_empty() {
                    text.push_str(open);
                    text.push_str(&said);
                }
            }
            (LogLevel::Debug, output::printable(&text, TEXT_CHARS_MAX))
        }
        LaneOutput::Fill { fill, reason, position, closed } => {
            (LogLevel::Info, fill_sentence(instruments, fill, reason, *position, closed.as_deref()))
        }
        LaneOutput::Reject { order, reason, detail, .. } => {
            (LogLevel::Info, format!("order {} rejected, {reason}: {detail}", order.0))
        }
        LaneOutput::Accepted { order, symbol, action, leaves, limit, stop } => {
            let instrument = instruments.at(*symbol);
            let mut text = format!(
                "order {}: {} {} {} {}",
                order.0,
                action.name(),
                instrument.qty_text(*leaves),
                instrument.symbol,
                if limit.or(*stop).is_some() { "waits" } else { "meets the market" },
            );
            for (name, price) in [("stop", stop), ("limit", limit)] {
                if let Some(price) = price {
                    text.push_str(&format!(", {name} {}", instrument.price_text(*price)));
                }
            }
            (LogLevel::Info, text)
        }
        LaneOutput::Canceled { order, symbol, leaves } => {
            let instrument = instruments.at(*symbol);
            let leaves = instrument.qty_text(*leaves);
            let text =
                format!("order {}: {leaves} {} unfilled, canceled", order.0, instrument.symbol);
            (LogLevel::Info, text)
        }
        LaneOutput::Expired { order, symbol, leaves } => {
            let instrument = instruments.at(*symbol);
            let leaves = instrument.qty_text(*leaves);
            let text =
                format!("order {}: {leaves} {} unfilled, expired", order.0, instrument.symbol);
            (LogLevel::Info, text)
        }
        LaneOutput::Sent { what, order, .. } => {
            let of = order.map_or("all orders".into(), |order| format!("order {}", order.0));
            (LogLevel::Debug, format!("{of}: {} on its way", what.name()))
        }
        LaneOutput::Charge(charge) => {
            let instrument = instruments.at(charge.symbol);
            let (kind, amount) = (charge.kind.name(), charge.amount);
            let text =
                format!("{kind} charge of {amount} {} on {}", instrument.quote, instrument.symbol);
            (LogLevel::Debug, text)
        }
        LaneOutput::Dropped { orders } => (
            LogLevel::Warn,
            format!(
                "{} dropped, too many in one event",
                output::plural(u64::from(*orders), "order")
            ),
        ),
        LaneOutput::Fault(fault) => {
            let text = output::printable(&fault.to_string(), TEXT_CHARS_MAX);
            (LogLevel::Error, format!("quarantined, {text}"))
        }
        LaneOutput::Command { action, reason, .. } => {
            let reason = output::printable(reason, TEXT_CHARS_MAX);
            (LogLevel::Warn, format!("operator: {}, {reason}", action.name()))
        }
        LaneOutput::Restarting { attempt, until } => {
            let until = jiff::Timestamp::from_nanosecond(until.0.into());
            let until = until.map(|until| until.to_string()).unwrap_or_default();
            (LogLevel::Warn, format!("restart {attempt} at its first event from {until} on"))
        }
        LaneOutput::Restarted { attempt, state } => {
            let state = if *state { "with its saved state" } else { "without a saved state" };
            (LogLevel::Warn, format!("restart {attempt}: it runs again, {state}"))
        }
        LaneOutput::Swapped { from, to, version, refused, .. } => {
            let (from, to) = (short(from), short(to));
            match refused {
                None => (LogLevel::Warn, format!("module {from} became {to}, version {version}")),
                Some(why) => {
                    let why = output::printable(why, TEXT_CHARS_MAX);
                    (LogLevel::Error, format!("module {from} stays, not {to}: {why}"))
                }
            }
        }
        LaneOutput::Halted { reason } => {
            (LogLevel::Error, format!("halted, {}", output::printable(reason, TEXT_CHARS_MAX)))
        }
        LaneOutput::Log { level, text } => (*level, output::printable(text, TEXT_CHARS_MAX)),
    }
}

/// The first digits of a hash.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn fill_sentence(
    instruments: &InstrumentTable,
    fill: &Fill,
    reason: &str,
    position: Qty,
    closed: Option<&RoundTrip>,
) -> String {
    let instrument = instruments.at(fill.symbol);
    let average = fill.amount.to_f64() / instrument.qty_f64(fill.qty);
    let decimals = usize::from(instrument.price_decimals);
    let net = closed.map(|trip| {
        format!(", closed with {} {}", output::signed_money(trip.net()), instrument.quote)
    });
    format!(
        "{} {} {} at {average:.decimals$} (fee {}), position {}{}{}{}",
        fill.action.name(),
        instrument.qty_text(fill.qty),
        instrument.symbol,
        output::money_short(fill.fee),
        instrument.qty_text(position),
        net.unwrap_or_default(),
        if reason.is_empty() { "" } else { " · " },
        output::printable(reason, 120),
    )
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
        ("Sharpe", Align::Right),
        ("hold", Align::Right),
        ("fees", Align::Right),
        ("rejected", Align::Right),
        ("fuel/event", Align::Right),
        ("p99", Align::Right),
        ("memory", Align::Right),
        ("call p99", Align::Right),
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
        LaneState::Paused => "paused".to_owned(),
        LaneState::Halted(_) => "halted".to_owned(),
        LaneState::Quarantined(fault) => format!("quarantined: {}", fault.kind.name()),
        LaneState::Restarting { fault, .. } => format!("restarting: {}", fault.kind.name()),
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
        report.metrics.sharpe.map_or_else(|| "–".to_owned(), |sharpe| format!("{sharpe:.2}")),
        output::percent(report.metrics.buy_and_hold_pct),
        known(statistics.known(statistics.fees), output::money_short),
        output::count(report.counters.rejected),
        output::count(report.spreads.fuel_per_event.mean()),
        output::count(report.spreads.fuel_per_event.p99),
        output::bytes(report.usage.memory_peak_bytes),
        format!("{:.1} µs", report.spreads.call_ns.p99 as f64 / 1e3),
    ]
}
