//! What `/metrics` says of each strategy.

use crate::dashboard::{Accounting, Calls, Quantiles, metrics};
use crate::strategy::Distribution;

use super::{app, state};

#[test]
fn x_exc_the_metrics_say_what_each_strategy_uses() {
    let app = app();
    let mut state = state(2);
    let mut times = Distribution::default();
    for ns in [700, 900, 1_500, 1 << 40] {
        times.add(ns, 1);
    }
    let lane = &mut state.lanes[0];
    lane.row.name = "a \"quoted\" one".into();
    lane.call_ns = times.spread();
    lane.accounting = Accounting {
        calls: Calls { all: 9, events: 3, orders: 1 },
        fuel: 1_234,
        fuel_failed: 55,
        fuel_per_event: Quantiles { p50: 11, p99: 17, max: 19, ..Quantiles::default() },
        log_bytes: 321,
        logs_dropped: 4,
        requests_dropped: 6,
        ..Accounting::default()
    };
    lane.sandbox.memory_bytes = 65_536;
    lane.sandbox.memory_peak_bytes = 131_072;
    (lane.sandbox.traps, lane.sandbox.host_calls) = (1, Some(8));
    app.hub.publish(state);
    let text = metrics::render(&app).expect("text");
    let name = "strategy=\"a \\\"quoted\\\" one\"";
    let lines = [
        format!("fuel_total{{{name}}} 1234"),
        format!("fuel_failed_total{{{name}}} 55"),
        format!("fuel_per_event_p50{{{name}}} 11.0"),
        format!("fuel_per_event_p99{{{name}}} 17.0"),
        format!("fuel_per_event_max{{{name}}} 19.0"),
        format!("log_bytes_total{{{name}}} 321"),
        format!("logs_dropped_total{{{name}}} 4"),
        format!("requests_dropped_total{{{name}}} 6"),
        format!("calls_by_kind_total{{{name},kind=\"events\"}} 3"),
        format!("calls_by_kind_total{{{name},kind=\"orders\"}} 1"),
        format!("calls_by_kind_total{{{name},kind=\"other\"}} 5"),
        format!("memory_bytes{{{name}}} 65536.0"),
        format!("memory_peak_bytes{{{name}}} 131072.0"),
        format!("traps{{{name}}} 1.0"),
        format!("host_calls{{{name}}} 8.0"),
        format!("call_seconds_count{{{name}}} 4"),
        format!("call_seconds_bucket{{le=\"0.000001024\",{name}}} 2"),
        format!("call_seconds_bucket{{le=\"0.000002048\",{name}}} 3"),
        format!("call_seconds_bucket{{le=\"+Inf\",{name}}} 4"),
    ];
    for line in lines {
        let line = format!("sandpaper_strategy_{line}");
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
    // One that has used nothing is there as well.
    assert!(text.contains("sandpaper_strategy_fuel_total{strategy=\"two\"} 0"), "{text}");
}
