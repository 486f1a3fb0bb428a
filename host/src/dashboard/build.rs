//! From the engine to what is shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::domain::{Money, Rounding, decimal};
use crate::engine::report::totals;
use crate::engine::{Engine, LaneReport};
use crate::feed::live::{Health, LinkState};
use crate::market::Candle;
use crate::output::printable;
use crate::portfolio::metrics::{Curve, Point as LedgerPoint};

use super::accounting::Accounting;
use super::desk::{Desk, Note};
use super::figures::{figures, latency};
use super::hub::{Candles, Point, State};
use super::model::{
    Feed, FeedSymbol, Fuel, Grant, Indicator, Level, Parameter, Position, Run, Sandbox, Strategy,
    StrategyDetail, Symbol, Total,
};
use super::news::Waiting;
use super::plots::Published;
use super::views::{book_and_tape, changes, curve, numbers, position, sparks, status, symbols};

/// Least wall time between two states.
const EVERY: Duration = Duration::from_millis(100);
/// Making a state may take this part of the engine's time: with very many
/// strategies they come less often.
const SHARE: u32 = 20;
/// Values of a sparkline.
const SPARKS: usize = 60;
/// The name of the row that is no strategy.
const BENCHMARK: &str = "Buy & hold";
/// Longest text of a strategy that is shown.
pub(super) const TEXT_MAX: usize = 500;

/// Who runs, as the composition root knows it.
#[derive(Clone, Debug, Default)]
pub struct Who {
    /// the operator's name for it
    pub name: String,
    /// SHA-256 of its file, in hex
    pub sha256: String,
    /// true when the lock file was bypassed
    pub unsigned: bool,
    /// its parameters as configured
    pub parameters: Vec<Parameter>,
    /// the most fuel that an event of it may use
    pub fuel_limit: u64,
    /// the most memory that it may have
    pub memory_limit: u64,
    /// what it imports
    pub imports: Vec<String>,
    /// bytes of its file
    pub size: u64,
    /// how long it took to check and compile it
    pub compile_ms: u64,
    /// its entry in the lock file
    pub grant: Option<Grant>,
}

/// What holds for the whole run.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// the run's name
    pub run: String,
    /// how often it was cut short and went on
    pub continued: u64,
    /// `sim`, `live` or `replay`
    pub mode: String,
    /// start of everything random
    pub seed: String,
    /// hash of all settings
    pub config_sha256: String,
    /// true when a halt closes positions: `risk.on_halt`
    pub halt_flattens: bool,
    /// the contract's version
    pub wit: String,
}

#[derive(Debug, Default)]
pub(super) struct LaneMemory {
    pub(super) waiting: Waiting,
    pub(super) earlier: Vec<String>,
    pub(super) restarts: u64,
    pub(super) last_fault: Option<String>,
    pub(super) refused: BTreeMap<String, u64>,
    levels: Vec<Level>,
    plots: Published,
    curve: Arc<Vec<Point>>,
    /// what the ledger's curve was when `curve` was made of it: its length, the
    /// width of its buckets, and its last one
    curve_of: (usize, i64, Option<LedgerPoint>),
}

impl LaneMemory {
    fn refresh_curve(&mut self, ledger: &Curve) {
        let of = (ledger.points().len(), ledger.width(), ledger.points().last().copied());
        if of != self.curve_of {
            self.curve = Arc::new(curve(ledger));
            self.curve_of = of;
        }
    }
}

/// Turns what the engine says into states and histories.
#[derive(Debug)]
pub struct Builder {
    pub(super) desk: Desk,
    facts: Facts,
    pub(super) who: Vec<Who>,
    pub(super) builds: Vec<Who>,
    pub(super) lanes: Vec<LaneMemory>,
    started_ns: i64,
    starts: Vec<Option<i64>>,
    last: Option<(Instant, u64)>,
    took: Duration,
    seq: u64,
    feed_state: &'static str,
    feed_since: i64,
    health: Option<watch::Receiver<Health>>,
    /// the newest of the feed's news that was told
    heard: u64,
    candles: Vec<Candles>,
    holding: Curve,
}

impl Builder {
    /// A builder that leaves what it makes at `desk`.
    #[must_use]
    pub fn new(desk: Desk, facts: Facts) -> Self {
        Self {
            desk,
            facts,
            who: Vec::new(),
            builds: Vec::new(),
            lanes: Vec::new(),
            started_ns: 0,
            starts: Vec::new(),
            last: None,
            took: Duration::ZERO,
            seq: 0,
            feed_state: "ok",
            feed_since: 0,
            health: None,
            heard: 0,
            candles: Vec::new(),
            holding: Curve::default(),
        }
    }

    /// The engine is started.
    pub fn start(&mut self, engine: &Engine, who: Vec<Who>) {
        self.desk.begin(who.iter().map(|one| one.name.clone()).collect());
        self.lanes = who.iter().map(|_| LaneMemory::default()).collect();
        self.who = who;
        self.started_ns = engine.now().0;
        self.feed_since = engine.now().0;
        self.starts = vec![None; engine.instruments().len()];
        let state = self.state(engine, "running");
        self.desk.publish(state);
    }

    /// Another build of the strategy of that name may take over.
    pub fn build(&mut self, who: Who) {
        self.builds.retain(|other| other.name != who.name);
        self.builds.push(who);
    }

    /// Shows how this connection to a venue is.
    pub fn follow(&mut self, health: watch::Receiver<Health>) {
        self.health = Some(health);
    }

    /// Publishes a state when the last is old enough.
    #[allow(clippy::disallowed_methods, reason = "how often people look is of the wall")]
    pub fn tick(&mut self, engine: &Engine) {
        for (number, memory) in (0_u16..).zip(&mut self.lanes) {
            memory.plots.take(engine.now().0, engine.lane(number).indicators);
        }
        let every = EVERY.max(self.took * SHARE);
        if self.last.is_none_or(|(at, _)| at.elapsed() >= every) {
            let began = Instant::now();
            let state = self.state(engine, "running");
            self.desk.publish(state);
            self.took = began.elapsed();
        }
    }

    /// Publishes the last state, and waits until everything is shown.
    pub fn finish(&mut self, engine: &Engine) {
        let state = self.state(engine, "ended");
        self.desk.close(state);
    }

    #[allow(clippy::disallowed_methods, reason = "the wall's clock is shown beside the engine's")]
    fn state(&mut self, engine: &Engine, state: &str) -> State {
        let now = Instant::now();
        let events = engine.events();
        let rate = self.last.map_or(0.0, |(at, before)| {
            let seconds = now.saturating_duration_since(at).as_secs_f64().max(1e-3);
            (events.saturating_sub(before)) as f64 / seconds
        });
        self.last = Some((now, events));
        self.seq += 1;
        let reports = engine.reports();
        let market = symbols(engine, &mut self.starts);
        let feed = self.feed(engine, &market);
        self.refresh_candles(engine);
        let lanes: Vec<StrategyDetail> =
            (0..reports.len()).map(|number| self.lane(engine, number, &reports[number])).collect();
        self.refresh_levels(engine, &lanes);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let run = self.run(engine, &reports, &lanes, &feed, rate, wall.as_nanos(), state);
        let (books, tapes) =
            engine.instruments().iter().map(|(symbol, _)| book_and_tape(engine, symbol)).unzip();
        let candles = self.candles.clone();
        let curves = self.lanes.iter().map(|memory| Arc::clone(&memory.curve)).collect();
        let plots = self.lanes.iter().map(|memory| memory.plots.all()).collect();
        let (benchmark, benchmark_curve) = self.benchmark(engine, &market, &reports).unzip();
        State {
            run,
            lanes,
            market,
            books,
            tapes,
            candles,
            curves,
            plots,
            benchmark,
            benchmark_curve: benchmark_curve.unwrap_or_default(),
            feed,
            ..State::default()
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one moment's parts, each made once")]
    fn run(
        &self,
        engine: &Engine,
        reports: &[LaneReport],
        lanes: &[StrategyDetail],
        feed: &Feed,
        events_per_s: f64,
        wall_ns: u128,
        state: &str,
    ) -> Run {
        let mut starts: Vec<(String, Option<Money>)> = Vec::new();
        for report in reports {
            match starts.iter_mut().find(|(currency, _)| *currency == report.currency) {
                Some((_, sum)) => *sum = sum.zip(report.start_equity).map(|(a, b)| a + b),
                None => starts.push((report.currency.clone(), report.start_equity)),
            }
        }
        let totals = totals(reports).into_iter().zip(starts).map(|((currency, equity), start)| {
            let text = |money: Option<Money>| money.map(|m| m.to_string());
            Total { currency, equity: text(equity), start: text(start.1) }
        });
        let mut ranked: Vec<(f64, &str)> = lanes
            .iter()
            .filter_map(|lane| Some((lane.row.return_pct?, lane.row.name.as_str())))
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        Run {
            run: self.facts.run.clone(),
            continued: self.facts.continued,
            mode: self.facts.mode.clone(),
            paper: true,
            unsigned: self.who.iter().any(|one| one.unsigned),
            seed: self.facts.seed.clone(),
            started_ns: self.started_ns.to_string(),
            now_ns: engine.now().0.to_string(),
            wall_ns: wall_ns.to_string(),
            events: engine.events(),
            events_per_s,
            seq: self.seq,
            state: state.into(),
            symbols: engine.instruments().iter().map(|(_, i)| i.symbol.clone()).collect(),
            config_sha256: self.facts.config_sha256.clone(),
            halt_flattens: self.facts.halt_flattens,
            version: env!("CARGO_PKG_VERSION").into(),
            wit: self.facts.wit.clone(),
            totals: totals.collect(),
            best: ranked.first().map(|(_, name)| (*name).to_owned()),
            worst: ranked.last().map(|(_, name)| (*name).to_owned()),
            open_positions: lanes.iter().map(|lane| lane.row.positions.len() as u64).sum(),
            traps: lanes.iter().map(|lane| lane.sandbox.traps).sum(),
            feed: feed.state.clone(),
        }
    }

    fn feed(&mut self, engine: &Engine, market: &[Symbol]) -> Feed {
        let stale = market.iter().filter(|symbol| symbol.status == "stale").count();
        let connected = self
            .health
            .as_ref()
            .is_some_and(|health| health.borrow().link.state == LinkState::Connected);
        let state = match stale {
            0 => "ok",
            // While the connection stands it is only silent.
            all if all == market.len() && !connected => "down",
            _ => "stale",
        };
        if state != self.feed_state {
            (self.feed_state, self.feed_since) = (state, engine.now().0);
        }
        let symbol = |symbol: &Symbol| FeedSymbol {
            symbol: symbol.symbol.clone(),
            status: symbol.status.clone(),
            last_message_age_ms: None,
            ages_ms: BTreeMap::new(),
            messages: None,
            gaps: None,
            checksum_failures: None,
        };
        let mut feed = Feed {
            kind: self.facts.mode.clone(),
            state: state.into(),
            since_ns: self.feed_since.to_string(),
            symbols: market.iter().map(symbol).collect(),
            ..Feed::default()
        };
        if let Some(health) = &self.health {
            let health = health.borrow();
            super::feed::fill(&mut feed, &health, engine.now());
            for event in super::feed::news(&health, &mut self.heard) {
                self.desk.note(Note { lane: None, event, fill: None, trade: None, order: None });
            }
        }
        feed
    }

    /// What equal amounts of all symbols, held since their first prices, would be
    /// worth, without costs. Its drawdown is of the moments that were shown.
    fn benchmark(
        &mut self,
        engine: &Engine,
        market: &[Symbol],
        reports: &[LaneReport],
    ) -> Option<(Strategy, Arc<Vec<Point>>)> {
        let changes: Option<Vec<f64>> = market.iter().map(|symbol| symbol.change_pct).collect();
        let changes = changes.filter(|changes| !changes.is_empty())?;
        let return_pct = changes.iter().sum::<f64>() / changes.len() as f64;
        let start = reports.first()?.start_equity?;
        let gain = start.to_f64() * return_pct / 100.0;
        let gain = Money(decimal::from_f64(gain, Money::DECIMALS, Rounding::Floor)?);
        let equity = start + gain;
        self.holding.push(engine.now().0, equity);
        let points = curve(&self.holding);
        let text = |money: Money| Some(money.to_string());
        let row = Strategy {
            name: BENCHMARK.into(),
            status: "running".into(),
            currency: reports.first()?.currency.clone(),
            start_equity: text(start),
            equity: text(equity),
            cash: Money::ZERO.to_string(),
            pnl: text(gain),
            return_pct: Some(return_pct),
            max_drawdown_pct: points.iter().map(|point| point[2]).fold(0.0, f64::max),
            drawdown_pct: points.last().map(|point| point[2]),
            fees: Some(Money::ZERO.to_string()),
            exposure_pct: Some(100.0),
            sparkline: sparks(&points, SPARKS),
            benchmark: true,
            ..Strategy::default()
        };
        Some((row, Arc::new(points)))
    }

    fn lane(&mut self, engine: &Engine, number: usize, report: &LaneReport) -> StrategyDetail {
        let who = self.who.get(number).cloned().unwrap_or_default();
        let memory = &mut self.lanes[number];
        let equity = report.equity.map(Money::to_f64);
        let lane = engine.lane(u16::try_from(number).unwrap_or(u16::MAX));
        memory.refresh_curve(&report.curve);
        let positions: Vec<(Position, Option<f64>)> = report
            .positions
            .iter()
            .map(|(symbol, quantity, entry)| position(engine, lane, symbol, quantity, *entry))
            .collect();
        let exposure = positions
            .iter()
            .map(|(_, exposure)| *exposure)
            // From zero: the sum of nothing would be the negative zero.
            .try_fold(0.0, |sum, one| Some(sum + one?))
            .zip(equity.filter(|equity| *equity > 0.0))
            .map(|(exposure, equity)| 100.0 * exposure / equity);
        let (status, status_detail) = status(&report.state);
        let statistics = &report.statistics;
        let (usage, counters) = (report.usage, report.counters);
        let money = |amount: Option<Money>| amount.map(|m| m.to_string());
        StrategyDetail {
            row: Strategy {
                version: printable(lane.version, 64),
                sha256: who.sha256.clone(),
                wit: self.facts.wit.clone(),
                trust: if who.unsigned { "unsigned" } else { "allowed" }.into(),
                status: status.into(),
                status_detail,
                currency: report.currency.clone(),
                start_equity: money(report.start_equity),
                equity: money(report.equity),
                cash: report.cash.to_string(),
                pnl: money(report.equity.zip(report.start_equity).map(|(now, was)| now - was)),
                return_pct: report.roi_pct,
                max_drawdown_pct: report.max_drawdown_pct,
                drawdown_pct: report.drawdown_pct,
                sharpe: report.metrics.sharpe,
                win_rate_pct: statistics.win_rate_pct(),
                profit_factor: statistics.profit_factor(),
                trades: statistics.closed,
                fills: statistics.fill_count,
                orders: counters.orders,
                rejected: counters.rejected,
                fees: money(statistics.known(statistics.fees)),
                exposure_pct: exposure,
                fuel_per_event: report.spreads.fuel_per_event.mean(),
                fuel_p99: report.spreads.fuel_per_event.p99,
                fuel_limit: who.fuel_limit,
                latency_p99_us: latency(&report.spreads.call_ns).map(|latency| latency.p99),
                positions: positions.into_iter().map(|(position, _)| position).collect(),
                sparkline: sparks(&memory.curve, SPARKS),
                benchmark: false,
                name: who.name,
            },
            symbols: report.instruments.iter().map(|(_, i)| i.symbol.clone()).collect(),
            parameters: who.parameters,
            indicators: report
                .indicators
                .iter()
                .map(|(name, value)| Indicator {
                    name: printable(name, 64),
                    value: value.is_finite().then_some(*value),
                })
                .collect(),
            chain: report.chain.clone(),
            statistics: figures(report),
            orders_open: memory.waiting.open(),
            accounting: Accounting::of(report),
            call_ns: report.spreads.call_ns,
            sandbox: Sandbox {
                fuel: Fuel {
                    total: usage.fuel.to_string(),
                    per_event_max: usage.fuel_max_per_event,
                    per_event_p50: report.spreads.fuel_per_event.p50,
                    per_event_p99: report.spreads.fuel_per_event.p99,
                    limit: who.fuel_limit,
                },
                memory_bytes: usage.memory_bytes,
                memory_limit: who.memory_limit,
                calls: usage.calls,
                memory_peak_bytes: usage.memory_peak_bytes,
                event_calls: usage.event_calls,
                order_calls: usage.order_calls,
                traps: usage.traps,
                host_calls: Some(usage.host_calls),
                log_lines: counters.log_lines,
                log_bytes: counters.log_bytes,
                logs_dropped: counters.logs_dropped,
                dropped_orders: counters.dropped,
                latency_us: latency(&report.spreads.call_ns),
                imports: who.imports,
                sha256: who.sha256,
                size: Some(who.size),
                compile_ms: Some(who.compile_ms),
                earlier: memory.earlier.clone(),
                restarts: memory.restarts,
                last_fault: memory.last_fault.clone(),
                refused: memory.refused.clone(),
                grant: who.grant,
            },
        }
    }

    /// Notes the stops and targets that are not what they were.
    fn refresh_levels(&mut self, engine: &Engine, lanes: &[StrategyDetail]) {
        for (number, (memory, lane)) in self.lanes.iter_mut().zip(lanes).enumerate() {
            for level in changes(&mut memory.levels, &lane.row.positions, engine.now().0) {
                self.desk.level(number, level);
            }
        }
    }

    /// Takes over candles that have closed, and the open ones.
    fn refresh_candles(&mut self, engine: &Engine) {
        let mut at = 0;
        for (symbol, instrument) in engine.instruments().iter() {
            for series in engine.market().series(symbol) {
                let numbers = |candle: &Candle| numbers(instrument, candle);
                let newest = series.newest_at(u64::MAX, 1).next().map(|c| numbers(&c.candle));
                if self.candles.len() <= at {
                    self.candles.push(Candles::default());
                }
                let kept = &mut self.candles[at];
                at += 1;
                (kept.symbol, kept.interval_s) = (symbol.index(), series.interval_s());
                kept.forming = series.forming().map(numbers);
                if kept.closed.last() != newest.as_ref() {
                    let closed = series.newest_at(u64::MAX, usize::MAX);
                    kept.closed = Arc::new(closed.map(|c| numbers(&c.candle)).collect());
                }
            }
        }
    }
}
