//! Metrics for Prometheus. Labels are names that the operator gave: strategies'
//! lock-file names and the market's symbols, never text of a strategy.

mod strategies;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::App;
use super::hub;

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;
type Counts = Family<Labels, Counter>;

/// What Prometheus asks for.
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    let text = render(&app).unwrap_or_default();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// A label's value: the encoder writes it between quotes as it is.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A family whose value of each strategy is `value`, where it is known.
fn by_strategy(
    state: &hub::State,
    value: impl Fn(&super::model::StrategyDetail) -> Option<f64>,
) -> Gauges {
    let family = Gauges::default();
    for lane in &state.lanes {
        if let Some(value) = value(lane) {
            family.get_or_create(&vec![("strategy", escaped(&lane.row.name))]).set(value);
        }
    }
    family
}

/// What a live connection counts. Channels and kinds of errors are ours.
fn feed(registry: &mut Registry, feed: &super::model::Feed) {
    let Some(connected) = feed.connected else { return };
    let by_symbol = Gauges::default();
    let (gaps, failures, messages) = (Counts::default(), Counts::default(), Counts::default());
    for symbol in &feed.symbols {
        let labels = vec![("symbol", escaped(&symbol.symbol))];
        for (family, count) in [
            (&gaps, symbol.gaps),
            (&failures, symbol.checksum_failures),
            (&messages, symbol.messages),
        ] {
            family.get_or_create(&labels).inc_by(count.unwrap_or(0));
        }
        for (channel, age) in &symbol.ages_ms {
            let labels = vec![("symbol", escaped(&symbol.symbol)), ("channel", channel.clone())];
            by_symbol.get_or_create(&labels).set(*age as f64 / 1e3);
        }
    }
    let errors = Counts::default();
    for (kind, count) in &feed.errors {
        errors.get_or_create(&vec![("kind", kind.clone())]).inc_by(*count);
    }
    let up = ConstGauge::new(i64::from(connected));
    registry.register("feed_connected", "1 while the connection stands", up);
    registry.register("feed_last_data_seconds", "Age of the latest data", by_symbol);
    registry.register("feed_messages", "Events that reached the engine", messages);
    registry.register("feed_trade_gaps", "Times that ids of trades skipped some", gaps);
    registry.register("feed_checksum_failures", "Books that could not be trusted", failures);
    registry.register("feed_refused", "Refused frames by what was wrong", errors);
    for (name, help, count) in [
        ("feed_connection_attempts", "Attempts to connect", feed.attempts),
        ("feed_frames", "Frames that were read", feed.frames),
        ("feed_trades_missed", "Trades that the gaps lack", feed.trades_missed),
        ("feed_resubscriptions", "Channels that were asked for anew", feed.resubscriptions),
    ] {
        registry.register(name, help, ConstCounter::new(count.unwrap_or(0)));
    }
    if let Some(skew) = feed.skew_ms {
        let help = "Our clock minus the venue's at the latest event";
        registry.register("feed_skew_seconds", help, ConstGauge::new(skew / 1e3));
    }
}

pub(super) fn render(app: &App) -> Result<String, std::fmt::Error> {
    let state = app.hub.state();
    let run = &state.run;
    let mut registry = Registry::with_prefix("sandpaper");
    registry.register("events", "Inputs taken by the engine", ConstCounter::new(run.events));
    registry.register("events_per_second", "Inputs a second", ConstGauge::new(run.events_per_s));
    registry.register(
        "running",
        "1 while a run is on",
        ConstGauge::new(i64::from(run.state == "running")),
    );
    registry.register("traps", "Strategies that failed", ConstCounter::new(run.traps));
    let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
    let families = [
        ("equity", "Equity in its currency", by_strategy(&state, |l| number(&l.row.equity))),
        ("return_percent", "Return since the start", by_strategy(&state, |l| l.row.return_pct)),
        (
            "max_drawdown_percent",
            "Largest fall from a peak",
            by_strategy(&state, |l| Some(l.row.max_drawdown_pct)),
        ),
        ("fills", "Fills", by_strategy(&state, |l| Some(l.row.fills as f64))),
        ("trades", "Closed round trips", by_strategy(&state, |l| Some(l.row.trades as f64))),
        ("orders", "Orders", by_strategy(&state, |l| Some(l.row.orders as f64))),
        ("rejected", "Refused orders", by_strategy(&state, |l| Some(l.row.rejected as f64))),
        (
            "fuel_per_event",
            "Fuel an event",
            by_strategy(&state, |l| Some(l.row.fuel_per_event as f64)),
        ),
        (
            "memory_bytes",
            "Linear memory",
            by_strategy(&state, |l| Some(l.sandbox.memory_bytes as f64)),
        ),
        (
            "memory_peak_bytes",
            "The most linear memory",
            by_strategy(&state, |l| Some(l.sandbox.memory_peak_bytes as f64)),
        ),
        ("calls", "Calls into it", by_strategy(&state, |l| Some(l.sandbox.calls as f64))),
        ("traps", "Calls that failed", by_strategy(&state, |l| Some(l.sandbox.traps as f64))),
        (
            "host_calls",
            "Its calls into the host",
            by_strategy(&state, |l| l.sandbox.host_calls.map(|calls| calls as f64)),
        ),
        (
            "call_p50_microseconds",
            "Half of its calls took no longer",
            by_strategy(&state, |l| l.sandbox.latency_us.as_ref().map(|us| us.p50)),
        ),
        (
            "call_p99_microseconds",
            "All but one in a hundred of its calls took no longer",
            by_strategy(&state, |l| l.sandbox.latency_us.as_ref().map(|us| us.p99)),
        ),
        (
            "log_lines",
            "Lines of its log",
            by_strategy(&state, |l| Some(l.sandbox.log_lines as f64)),
        ),
        (
            "quarantined",
            "1 when it failed",
            by_strategy(&state, |l| Some(f64::from(u8::from(l.row.status == "quarantined")))),
        ),
    ];
    for (name, help, family) in families {
        registry.register(format!("strategy_{name}"), help, family);
    }
    strategies::register(&mut registry, &state);
    let usable = Gauges::default();
    for symbol in &state.feed.symbols {
        let labels = vec![("symbol", escaped(&symbol.symbol))];
        usable.get_or_create(&labels).set(f64::from(u8::from(symbol.status != "stale")));
    }
    registry.register("feed_usable", "1 while its data is fresh and verified", usable);
    feed(&mut registry, &state.feed);
    if let Some(errors) = state.feed.parse_errors {
        let help = "Messages of the venue that could not be read";
        registry.register("feed_parse_errors", help, ConstCounter::new(errors));
    }
    if let Some(reconnects) = state.feed.reconnects {
        registry.register("feed_reconnects", "Connections lost", ConstCounter::new(reconnects));
    }
    let counts = &app.counts;
    let sockets = i64::try_from(counts.sockets.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
    registry.register("dashboard_websockets", "Open WebSockets", ConstGauge::new(sockets));
    for (name, help, count) in [
        ("dashboard_stalled", "WebSockets dropped because they did not read", &counts.stalled),
        ("dashboard_limited", "Requests refused because there were too many", &counts.limited),
        ("dashboard_refused", "Wrong credentials", &counts.refused),
    ] {
        registry.register(name, help, ConstCounter::new(count.load(Ordering::Relaxed)));
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}
