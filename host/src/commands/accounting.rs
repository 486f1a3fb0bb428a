//! What a strategy used of the host, as scripts read it.

use serde::Serialize;

use crate::engine::LaneReport;
use crate::strategy::Spread;

/// One strategy's use of the sandbox.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Accounting {
    calls: Calls,
    fuel: u64,
    fuel_per_event: Quantiles,
    /// nanoseconds on the wall of this machine
    call_ns: Quantiles,
    memory_bytes: u64,
    memory_peak_bytes: u64,
    traps: u64,
    host_calls: u64,
    log_lines: u64,
    log_bytes: u64,
    logs_dropped: u64,
    requests_dropped: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Calls {
    all: u64,
    events: u64,
    orders: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Quantiles {
    count: u64,
    sum: u64,
    p50: u64,
    p90: u64,
    p99: u64,
    max: u64,
}

impl From<Spread> for Quantiles {
    fn from(spread: Spread) -> Self {
        let Spread { count, sum, p50, p90, p99, max } = spread;
        Self { count, sum, p50, p90, p99, max }
    }
}

impl Accounting {
    pub(super) fn of(report: &LaneReport) -> Self {
        let (usage, spreads, counters) = (report.usage, report.spreads, report.counters);
        Self {
            calls: Calls { all: usage.calls, events: usage.event_calls, orders: usage.order_calls },
            fuel: usage.fuel,
            fuel_per_event: spreads.fuel_per_event.into(),
            call_ns: spreads.call_ns.into(),
            memory_bytes: usage.memory_bytes,
            memory_peak_bytes: usage.memory_peak_bytes,
            traps: usage.traps,
            host_calls: usage.host_calls,
            log_lines: counters.log_lines,
            log_bytes: counters.log_bytes,
            logs_dropped: counters.logs_dropped,
            requests_dropped: counters.dropped,
        }
    }
}
