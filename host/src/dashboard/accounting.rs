//! What a strategy uses of the sandbox, as scripts read it: in the result of a run or a
//! replay, and beside the record of a run.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::engine::LaneReport;
use crate::strategy::Spread;

/// One strategy's use of the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Accounting {
    /// calls into it
    pub calls: Calls,
    /// fuel of calls that returned well
    pub fuel: u64,
    /// fuel that failed calls were charged: all that each was given
    pub fuel_failed: u64,
    /// fuel of each event
    pub fuel_per_event: Quantiles,
    /// nanoseconds on the wall of this machine
    pub call_ns: Quantiles,
    /// linear memory now
    pub memory_bytes: u64,
    /// the most linear memory that it had
    pub memory_peak_bytes: u64,
    /// calls that ended in a fault
    pub traps: u64,
    /// its calls into the host
    pub host_calls: u64,
    /// log lines taken
    pub log_lines: u64,
    /// bytes of their text
    pub log_bytes: u64,
    /// log lines cut or dropped
    pub logs_dropped: u64,
    /// orders, cancels and changes dropped
    pub requests_dropped: u64,
}

/// Calls by their kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Calls {
    /// of every kind
    pub all: u64,
    /// with market events
    pub events: u64,
    /// with order news
    pub orders: u64,
}

/// How a value is spread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[allow(missing_docs, reason = "as in `Spread`")]
pub struct Quantiles {
    pub count: u64,
    pub sum: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub max: u64,
}

impl From<Spread> for Quantiles {
    fn from(spread: Spread) -> Self {
        let Spread { count, sum, p50, p90, p99, max, powers: _ } = spread;
        Self { count, sum, p50, p90, p99, max }
    }
}

impl Accounting {
    /// What a lane has used.
    #[must_use]
    pub fn of(report: &LaneReport) -> Self {
        let (usage, spreads, counters) = (report.usage, report.spreads, report.counters);
        Self {
            calls: Calls { all: usage.calls, events: usage.event_calls, orders: usage.order_calls },
            fuel: usage.fuel,
            fuel_failed: usage.fuel_failed,
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
