//! The run's logs: what happened, as records for machines.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::cli::Exit;
use crate::config::LogFilesConfig;
use crate::domain::{Fill, Money, Qty, SymbolId, Ts};
use crate::engine::{Engine, LaneOutput, LaneRef, LaneReport, LaneState, Output};
use crate::feed::live::{Health, HealthNews};
use crate::feed::tape::CONTRACT;
use crate::logs::{Flush, Limits, Logs, StreamName};
use crate::portfolio::RoundTrip;
use crate::recorder::Lock;
use crate::strategy::{OrderRequest, Size};
use crate::venue::NewsLevel;

use super::Failure;
use super::replay::Identity;
use super::session::Watch;

/// The longest that a record without haste waits in memory.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// How long the end of a run waits for packing: with the webhook's and the dashboard's
/// share it stays below five seconds.
const PACKING_MAX: Duration = Duration::from_secs(1);

/// A strategy's last words may be longer than any log wants.
const FAULT_BYTES_MAX: usize = 16 << 10;

/// Writes the logs of one run.
///
/// Every record carries the session and a number that rises by one over all
/// streams, so that the stream of everything can be checked for completeness.
/// `correlation` is the same for an order's decision, its fills and its end.
pub struct RunLogs {
    logs: Option<Logs>,
    session: String,
    next: u64,
    identities: Vec<Identity>,
    flushed: Instant,
    feed: Option<watch::Receiver<Health>>,
    /// number of the last news of the feed that is written
    feed_seen: u64,
    /// strategies that have ended, by their numbers
    over: BTreeSet<u16>,
    /// last, so that the files are closed before another run may write them
    _lock: Lock,
}

/// One line: what all have first, then its own.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// What every record begins with.
#[derive(Serialize)]
struct Head<'a> {
    ts: String,
    ts_ns: i64,
    session: &'a str,
    seq: u64,
    kind: &'a str,
    level: &'a str,
}

impl RunLogs {
    /// Opens the folder of the configuration. The session is the run's own name
    /// in every record.
    ///
    /// # Errors
    /// A folder that cannot be made or read.
    #[allow(clippy::disallowed_methods, reason = "when to flush is no result")]
    pub fn open(config: &LogFilesConfig, session: &str) -> Result<Self, Failure> {
        let limits = Limits {
            rotate_bytes: config.rotate_size.0,
            keep_system: config.keep_system,
            keep_strategies: config.keep_strategies,
            keep_trades: config.keep_trades,
            keep_aggregated: config.keep_aggregated,
        };
        let dir = Path::new(&config.dir);
        let unwritable = |error: io::Error| {
            failure(&error).hint("choose another folder with --set log.files.dir=DIR, or write none with --set log.files.enabled=false")
        };
        let lock = Lock::take(dir)
            .map_err(|e| unwritable(io::Error::new(e.kind(), format!("{}: {e}", dir.display()))))?;
        // Two that count and rename the same files would lose records of both.
        let lock = lock.ok_or_else(|| {
            let message = format!("another run writes its logs in {}/", dir.display());
            Failure::new(Exit::Runtime, message)
                .hint("end it first, or choose another folder with --set log.files.dir=DIR")
        })?;
        let logs = Logs::open(dir, limits).map_err(unwritable)?;
        Ok(Self {
            logs: Some(logs),
            session: session.to_owned(),
            next: 1,
            identities: Vec::new(),
            flushed: Instant::now(),
            feed: None,
            feed_seen: 0,
            over: BTreeSet::new(),
            _lock: lock,
        })
    }

    /// Writes a record to its own stream and to the one of everything.
    fn write(
        &mut self,
        stream: &StreamName,
        ts: Ts,
        (kind, level): (&str, &str),
        fields: Map<String, Value>,
    ) -> Result<(), Failure> {
        let Some(logs) = &mut self.logs else { return Ok(()) };
        let head = Head {
            ts: rfc3339(ts),
            ts_ns: ts.0,
            session: &self.session,
            seq: self.next,
            kind,
            level,
        };
        let line = serde_json::to_string(&Record { head, fields }).map_err(|error| {
            Failure::new(Exit::Runtime, format!("a log record cannot be written: {error}"))
        })?;
        self.next += 1;
        let flush = match kind {
            "fill" | "round-trip" | "fault" => Flush::Now,
            _ if level == "error" => Flush::Now,
            _ => Flush::Later,
        };
        logs.append(&StreamName::Aggregated, &line, flush).map_err(|error| failure(&error))?;
        if kind == "fill" || kind == "round-trip" {
            logs.append(&StreamName::Trades, &line, flush).map_err(|error| failure(&error))?;
        }
        logs.append(stream, &line, flush).map_err(|error| failure(&error))
    }

    fn system(
        &mut self,
        engine: &Engine,
        kind: &str,
        fields: Map<String, Value>,
    ) -> Result<(), Failure> {
        self.write(&StreamName::System, engine.now(), (kind, "info"), fields)
    }

    /// What every record of a strategy says of it.
    /// Writes what the feed tells since the last time: outages, gaps, books that
    /// could not be trusted, frames that could not be read.
    fn feed_news(&mut self) -> Result<(), Failure> {
        let Some(feed) = &self.feed else { return Ok(()) };
        let news: Vec<HealthNews> = feed.borrow().news_after(self.feed_seen).cloned().collect();
        for one in news {
            let lost = one.number - self.feed_seen - 1;
            self.feed_seen = one.number;
            if lost > 0 {
                let text = format!("{lost} records of the feed were not taken in time");
                let fields = object(json!({ "text": text }));
                self.write(&StreamName::System, one.at, ("feed", "warn"), fields)?;
            }
            let level = match one.level {
                NewsLevel::Debug => "debug",
                NewsLevel::Info => "info",
                NewsLevel::Warn => "warn",
                NewsLevel::Error => "error",
            };
            let fields = object(json!({ "symbol": one.symbol, "text": one.text }));
            self.write(&StreamName::System, one.at, ("feed", level), fields)?;
        }
        Ok(())
    }

    fn identity(&self, number: u16, lane: &LaneRef<'_>) -> Map<String, Value> {
        let mut fields = object(json!({
            "strategy": lane.name,
            "version": lane.version,
            "wit": CONTRACT,
        }));
        if let Some(identity) = self.identities.get(usize::from(number)) {
            fields.insert("sha256".into(), identity.sha256.clone().into());
            if identity.unsigned {
                fields.insert("trust".into(), "UNSIGNED".into());
            }
        }
        fields
    }

    fn news(
        &mut self,
        engine: &Engine,
        one: &Output,
        state: Option<&State>,
    ) -> Result<(), Failure> {
        let lane = engine.lane(one.lane);
        let stream = StreamName::Strategy(lane.name.to_owned());
        let mut fields = self.identity(one.lane, &lane);
        if let LaneOutput::Swapped { to, refused: None, .. } = &one.body
            && let Some(identity) = self.identities.get_mut(usize::from(one.lane))
        {
            identity.sha256.clone_from(to);
            fields = self.identity(one.lane, &lane);
        }
        let (kind, level, own) = describe(&lane, &one.body);
        fields.extend(own);
        if let (Some(state), LaneOutput::Fill { .. }) = (state, &one.body) {
            fields.extend(state.fields(one.lane));
        }
        self.write(&stream, one.ts, (kind, level), fields)?;
        if let LaneOutput::Fill { closed: Some(trip), .. } = &one.body {
            let mut fields = self.identity(one.lane, &lane);
            fields.extend(round_trip(&lane, trip));
            self.write(&stream, one.ts, ("round-trip", "info"), fields)?;
        }
        match &one.body {
            LaneOutput::Fault(_) | LaneOutput::Halted { .. } => drop(self.over.insert(one.lane)),
            LaneOutput::Restarted { .. } | LaneOutput::Swapped { refused: None, .. } => {
                self.over.remove(&one.lane);
            }
            _ => {}
        }
        Ok(())
    }

    /// Closes the files of strategies that have ended, once all of a step is written: what
    /// an end cancels is told behind it, and a last line opens a file again.
    fn close_what_is_over(&mut self, engine: &Engine, news: &[Output]) -> Result<(), Failure> {
        let told: BTreeSet<u16> = news.iter().map(|one| one.lane).collect();
        for lane in told.intersection(&self.over) {
            let stream = StreamName::Strategy(engine.lane(*lane).name.to_owned());
            if let Some(logs) = &mut self.logs {
                logs.close(&stream).map_err(|error| failure(&error))?;
            }
        }
        Ok(())
    }
}

impl Watch for RunLogs {
    fn started(&mut self, engine: &Engine, identities: &[Identity]) -> Result<(), Failure> {
        self.identities = identities.to_vec();
        let strategies: Vec<Value> = (0_u16..)
            .zip(identities)
            .map(|(number, _)| Value::Object(self.identity(number, &engine.lane(number))))
            .collect();
        let symbols: Vec<&str> =
            engine.instruments().iter().map(|(_, i)| i.symbol.as_str()).collect();
        let fields = json!({
            "host": env!("CARGO_PKG_VERSION"),
            "symbols": symbols,
            "strategies": strategies,
        });
        self.system(engine, "run-started", object(fields))
    }

    fn feed(&mut self, health: watch::Receiver<Health>) -> Result<(), Failure> {
        self.feed = Some(health);
        Ok(())
    }

    #[allow(clippy::disallowed_methods, reason = "when to flush is no result")]
    fn stepped(&mut self, engine: &Engine, news: &[Output]) -> Result<(), Failure> {
        self.feed_news()?;
        // The state is costly to describe, and only fills say which it was.
        let filled = news.iter().any(|one| matches!(one.body, LaneOutput::Fill { .. }));
        let state = filled.then(|| State::of(engine));
        for one in news {
            self.news(engine, one, state.as_ref())?;
        }
        self.close_what_is_over(engine, news)?;
        if self.flushed.elapsed() >= FLUSH_EVERY
            && let Some(logs) = &mut self.logs
        {
            logs.flush().map_err(|error| failure(&error))?;
            self.flushed = Instant::now();
        }
        Ok(())
    }

    fn finished(&mut self, engine: &Engine) -> Result<(), Failure> {
        self.feed_news()?;
        for report in engine.reports() {
            let fault = match &report.state {
                LaneState::Quarantined(fault) => Some(fault.to_string()),
                LaneState::Halted(reason) => Some(format!("halted {reason}")),
                _ => None,
            };
            let fields = json!({
                "strategy": &*report.name,
                "fills": report.statistics.fill_count,
                "trades": report.statistics.closed,
                "equity": report.equity.map(|e| e.to_string()),
                "fees": report.statistics.known(report.statistics.fees).map(|fees| fees.to_string()),
                "chain": report.chain,
                "fault": fault,
            });
            self.system(engine, "strategy-ended", object(fields))?;
        }
        let fields = json!({ "events": engine.events(), "records": self.next });
        self.system(engine, "run-ended", object(fields))?;
        self.logs
            .take()
            .map_or(Ok(()), |logs| logs.finish(PACKING_MAX))
            .map_err(|error| failure(&error))
    }
}

/// The state at the end of a step, for the fills of that step.
struct State {
    snapshot_sha256: String,
    reports: Vec<LaneReport>,
}

impl State {
    fn of(engine: &Engine) -> Self {
        Self { snapshot_sha256: engine.snapshot().sha256(), reports: engine.reports() }
    }

    fn of_lane(&self, number: u16) -> Option<&LaneReport> {
        self.reports.get(usize::from(number))
    }

    fn fields(&self, number: u16) -> Map<String, Value> {
        let mut fields = object(json!({ "snapshot_sha256": self.snapshot_sha256 }));
        if let Some(report) = self.of_lane(number) {
            let indicators: Map<String, Value> = report
                .indicators
                .iter()
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect();
            fields.insert("indicators".into(), Value::Object(indicators));
            fields.insert("fuel".into(), report.usage.fuel.into());
            fields.insert("calls".into(), report.usage.calls.into());
            fields.insert("memory_bytes".into(), report.usage.memory_bytes.into());
            fields.insert("host_calls".into(), report.usage.host_calls.into());
        }
        fields
    }
}

/// Kind, level and fields of a piece of news.
fn describe(
    lane: &LaneRef<'_>,
    body: &LaneOutput,
) -> (&'static str, &'static str, Map<String, Value>) {
    let (kind, level, fields) = match body {
        LaneOutput::Asked { order, request } => {
            ("order", "info", asked_fields(lane, order.0, request))
        }
        LaneOutput::Fill { fill, reason, position, .. } => {
            ("fill", "info", fill_fields(lane, fill, reason, *position))
        }
        LaneOutput::Reject { order, symbol, reason, detail, .. } => {
            let fields = json!({
                "correlation": correlation(lane, order.0),
                "order": order.0,
                "symbol": symbol.map(|s| symbol_name(lane, s)),
                "reason": reason.name(),
                "detail": detail,
            });
            ("reject", "warn", fields)
        }
        LaneOutput::Accepted { order, symbol, action, leaves, limit, stop } => {
            let instrument = lane.instruments.at(*symbol);
            let fields = json!({
                "correlation": correlation(lane, order.0),
                "order": order.0,
                "symbol": symbol_name(lane, *symbol),
                "action": action.name(),
                "leaves": instrument.qty_text(*leaves),
                "limit": limit.map(|price| instrument.price_text(price)),
                "stop": stop.map(|price| instrument.price_text(price)),
            });
            ("accepted", "info", fields)
        }
        LaneOutput::Canceled { order, symbol, leaves } => {
            let fields = json!({
                "correlation": correlation(lane, order.0),
                "order": order.0,
                "symbol": symbol_name(lane, *symbol),
                "leaves": lane.instruments.at(*symbol).qty_text(*leaves),
            });
            ("canceled", "info", fields)
        }
        LaneOutput::Expired { order, symbol, leaves } => {
            let fields = json!({
                "correlation": correlation(lane, order.0),
                "order": order.0,
                "symbol": symbol_name(lane, *symbol),
                "leaves": lane.instruments.at(*symbol).qty_text(*leaves),
            });
            ("expired", "info", fields)
        }
        LaneOutput::Sent { what, order, symbol, arrives, .. } => {
            let fields = json!({
                "correlation": order.map(|order| correlation(lane, order.0)),
                "order": order.map(|order| order.0),
                "what": what.name(),
                "symbol": symbol.map(|s| symbol_name(lane, s)),
                "arrives_ns": arrives.0.to_string(),
            });
            ("sent", "debug", fields)
        }
        LaneOutput::Charge(charge) => {
            let fields = json!({
                "symbol": symbol_name(lane, charge.symbol),
                "amount": charge.amount.to_string(),
                "asset": lane.instruments.at(charge.symbol).quote,
                "charge": charge.kind.name(),
            });
            ("charge", "info", fields)
        }
        LaneOutput::Dropped { orders } => ("dropped", "warn", json!({ "orders": orders })),
        LaneOutput::Fault(fault) => {
            let text = crate::strategy::clean_text(&fault.detail, FAULT_BYTES_MAX);
            ("fault", "error", json!({ "fault": fault.kind.name(), "detail": text }))
        }
        LaneOutput::Command { seq, action, reason } => {
            ("command", "warn", json!({ "input": seq, "action": action.name(), "reason": reason }))
        }
        LaneOutput::Restarting { attempt, until } => {
            ("restarting", "warn", json!({ "attempt": attempt, "until_ns": until.0 }))
        }
        LaneOutput::Restarted { attempt, state } => {
            ("restarted", "warn", json!({ "attempt": attempt, "state": state }))
        }
        LaneOutput::Swapped { seq, from, to, version, refused } => {
            let level = if refused.is_none() { "warn" } else { "error" };
            let fields = json!({
                "input": seq, "from": from, "to": to, "version": version, "refused": refused,
            });
            ("swapped", level, fields)
        }
        LaneOutput::Halted { reason } => ("halted", "error", json!({ "reason": reason })),
        LaneOutput::Log { level, text } => ("log", level.name(), json!({ "text": text })),
    };
    (kind, level, object(fields))
}

/// What a strategy asked for: the decision that its fills and its end follow.
fn asked_fields(lane: &LaneRef<'_>, order: u64, request: &OrderRequest) -> Value {
    let (limit, stop) = request.kind.prices();
    let symbol = lane.instruments.get(SymbolId(request.symbol));
    let metadata = request.metadata.iter().map(|(key, value)| (key.clone(), json!(value)));
    json!({
        "correlation": correlation(lane, order),
        "order": order,
        "symbol": symbol.map(|instrument| &instrument.symbol),
        "action": request.action.name(),
        "size": match request.size {
            Size::Base(size) => json!({ "base": size }),
            Size::Quote(size) => json!({ "quote": size }),
            Size::All => json!("all"),
        },
        "type": request.kind.name(),
        "limit": limit,
        "stop": stop,
        "time_in_force": request.time_in_force.name(),
        "good_till_ns": request.good_till_ns.map(|ns| ns.to_string()),
        "post_only": request.post_only,
        "reduce_only": request.reduce_only,
        "stop_loss": request.stop_loss,
        "take_profit": request.take_profit,
        "reason": request.reason,
        "metadata": Value::Object(metadata.collect()),
    })
}

fn fill_fields(lane: &LaneRef<'_>, fill: &Fill, reason: &str, position: Qty) -> Value {
    let instrument = lane.instruments.at(fill.symbol);
    json!({
        "correlation": correlation(lane, fill.order.0),
        "order": fill.order.0,
        "fill": fill.id,
        "input": fill.seq,
        "symbol": instrument.symbol,
        "action": fill.action.name(),
        "quantity": instrument.qty_text(fill.qty),
        "amount": fill.amount.to_string(),
        "best_price": instrument.price_text(fill.best_price),
        "fee": fill.fee.to_string(),
        "liquidity": fill.liquidity,
        "cause": fill.cause.name(),
        "reason": reason,
        "position": instrument.qty_text(position),
    })
}

fn round_trip(lane: &LaneRef<'_>, trip: &RoundTrip) -> Map<String, Value> {
    let instrument = lane.instruments.at(trip.symbol);
    let amount = |money: Money| money.to_string();
    object(json!({
        "trade": trip.id,
        "symbol": instrument.symbol,
        "side": if trip.short { "short" } else { "long" },
        "quantity": instrument.qty_text(trip.qty_max),
        "opened": rfc3339(trip.opened),
        "closed": rfc3339(trip.closed),
        "gross": amount(trip.gross),
        "fees": amount(trip.fees),
        "net": amount(trip.net()),
        "exit": trip.exit.name(),
    }))
}

/// The same for an order's decision, its fills and its end.
fn correlation(lane: &LaneRef<'_>, order: u64) -> String {
    format!("{}/{order}", lane.name)
}

fn symbol_name(lane: &LaneRef<'_>, symbol: SymbolId) -> String {
    lane.instruments.at(symbol).symbol.clone()
}

fn rfc3339(ts: Ts) -> String {
    Timestamp::from_nanosecond(i128::from(ts.0)).map(|t| t.to_string()).unwrap_or_default()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn failure(error: &io::Error) -> Failure {
    let message = format!("{error}; trading stops here, so that nothing goes unrecorded");
    Failure::new(Exit::Runtime, message)
}
