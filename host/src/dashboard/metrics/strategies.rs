//! What each strategy uses of the sandbox, as metrics. All of it adds up over the
//! instances of a strategy, so that no counter ever falls.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::super::accounting::Accounting;
use super::super::hub::State;
use super::{Counts, Gauges, Labels, escaped};
use crate::strategy::Spread;

/// A name, what it says, and its value of a strategy.
type Row<T> = (&'static str, &'static str, fn(&Accounting) -> T);

const COUNTERS: &[Row<u64>] = &[
    ("fuel", "Fuel of calls that returned well", |used| used.fuel),
    ("fuel_failed", "Fuel that failed calls were charged", |used| used.fuel_failed),
    ("log_bytes", "Bytes of its log", |used| used.log_bytes),
    ("logs_dropped", "Lines of its log that were cut or dropped", |used| used.logs_dropped),
    ("requests_dropped", "Orders, cancels and changes dropped", |used| used.requests_dropped),
];

const GAUGES: &[Row<u64>] = &[
    ("fuel_per_event_p50", "Half of its events used no more", |used| used.fuel_per_event.p50),
    ("fuel_per_event_p99", "All but one in a hundred of its events used no more", |used| {
        used.fuel_per_event.p99
    }),
    ("fuel_per_event_max", "The most that an event used", |used| used.fuel_per_event.max),
];

/// Registers the metrics of all strategies of a state.
pub(super) fn register(registry: &mut Registry, state: &State) {
    let labels = |name: &str| -> Labels { vec![("strategy", escaped(name))] };
    for (name, help, value) in COUNTERS {
        let family = Counts::default();
        for lane in &state.lanes {
            family.get_or_create(&labels(&lane.row.name)).inc_by(value(&lane.accounting));
        }
        registry.register(format!("strategy_{name}"), *help, family);
    }
    for (name, help, value) in GAUGES {
        let family = Gauges::default();
        for lane in &state.lanes {
            family.get_or_create(&labels(&lane.row.name)).set(value(&lane.accounting) as f64);
        }
        registry.register(format!("strategy_{name}"), *help, family);
    }
    let kinds = Counts::default();
    for lane in &state.lanes {
        let calls = &lane.accounting.calls;
        let other = calls.all.saturating_sub(calls.events).saturating_sub(calls.orders);
        for (kind, count) in [("events", calls.events), ("orders", calls.orders), ("other", other)]
        {
            let mut labels = labels(&lane.row.name);
            labels.push(("kind", kind.to_owned()));
            kinds.get_or_create(&labels).inc_by(count);
        }
    }
    registry.register("strategy_calls_by_kind", "Calls into it by what they carried", kinds);
    let of = |lane: &super::super::model::StrategyDetail| {
        (labels(&lane.row.name), CallTimes(lane.call_ns))
    };
    registry.register_collector(Box::new(Latencies(state.lanes.iter().map(of).collect())));
}

/// How long the calls of each strategy took.
#[derive(Debug)]
struct Latencies(Vec<(Labels, CallTimes)>);

impl Collector for Latencies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "How long its calls with events or order news took on this machine";
        let mut family = encoder.encode_descriptor(
            "strategy_call_seconds",
            help,
            None,
            MetricType::Histogram,
        )?;
        for (labels, times) in &self.0 {
            times.encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }
}

/// Nanoseconds, of which each power of two is a bucket.
#[derive(Debug)]
struct CallTimes(Spread);

impl EncodeMetric for CallTimes {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Spread { count, sum, powers, .. } = self.0;
        let last = powers.len() - 1;
        let bucket = |(power, &calls): (usize, &u64)| {
            // The last one holds everything beyond it as well.
            let bound = if power == last { f64::MAX } else { (1_u64 << (power + 1)) as f64 / 1e9 };
            (bound, calls)
        };
        let buckets: Vec<(f64, u64)> = powers.iter().enumerate().map(bucket).collect();
        encoder.encode_histogram::<Labels>(sum as f64 / 1e9, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
