//! A run on a market as it goes: the simulated one, or a venue's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::Exit;
use crate::config::{Config, FeedKind};
use crate::domain::{InstrumentTable, Rate, Ts};
use crate::engine::{Engine, LaneReport};
use crate::feed::sim::{SimConfig, SimSymbol, Simulator};
use crate::input::InputBlock;

use super::cut_run::{CutRun, Here, TakenUp};
use super::operator::Requests;
use super::replay::{Identity, identities};
use super::session::{Build, Flow, Session, Source, Watch};
use super::setup::Symbols;
use super::strategies::{self, Loaded, Refused, Selected, Selection};
use super::strikes::{Gate, Strikes};
use super::swap::SwapWatch;
use super::trial::Trial;
use super::trust::TrustWatch;
use super::venue::{Plan, VenueSource};
use super::{Failure, Interrupt, setup};

/// How often the simulator is asked for what has happened since.
const TICK: Duration = Duration::from_millis(20);

/// What a run gave.
pub struct Ran {
    /// who ran
    pub identities: Vec<Identity>,
    /// where each stands
    pub reports: Vec<LaneReport>,
    /// what did not run
    pub refused: Vec<Refused>,
    /// inputs taken
    pub events: u64,
    /// market time from first to last
    pub span: Duration,
}

impl Ran {
    /// The user ended it before it began.
    fn nothing(identities: Vec<Identity>) -> Self {
        let (reports, refused) = (Vec::new(), Vec::new());
        Self { identities, reports, refused, events: 0, span: Duration::ZERO }
    }
}

/// Runs until the configured duration has passed, the user ends it, or every
/// strategy has failed.
///
/// # Errors
/// Modules that may not run, symbols that the market does not have.
pub fn run(
    config: &Config,
    selection: &Selection,
    interrupt: &Interrupt,
    watchers: Vec<&mut dyn Watch>,
    requests: Requests,
    cut: Option<CutRun>,
) -> Result<Ran, Failure> {
    let strikes = Strikes::open(config)?;
    if !strikes.kept() {
        tracing::warn!(
            "there is no folder for private state: an older strategies.lock put back in place would not be noticed; name one: --set strategies.state=DIR"
        );
    }
    let trial = Trial::of_this_program();
    strikes.judge(|sha256| trial.run(config, sha256, selection.unsigned, interrupt))?;
    let gate = Arc::new(Gate::new(strikes, &mark_name()?)?);
    let marks = gate.marks();
    if let Some(marks) = marks {
        interrupt.forgets(marks.path());
    }
    let through = Some(Arc::clone(&gate));
    let selected = strategies::load_unless_asked(config, selection, through, interrupt)?;
    let Some(Selected { loaded, refused }) = selected else {
        // The thread that loads is left as it is, and is nobody's fault.
        gate.close();
        return Ok(Ran::nothing(Vec::new()));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let symbols = setup::choose_symbols(config, &loaded, &config.run.default_symbols);
    let wanted = setup::union(config, &symbols);
    let here = Here { config, selection, gate: &gate };
    let party = Party { here, interrupt, watchers, requests, cut };
    let ran = runtime.block_on(async {
        match config.feed.kind {
            FeedKind::Sim => {
                let source = SimulatedSource::open(config, &wanted)?;
                follow(party, loaded, symbols, source).await
            }
            FeedKind::Live(venue) => {
                let plan = Plan {
                    symbols: wanted,
                    depths: setup::depths(&loaded, &symbols),
                    intervals: setup::candle_intervals(config, &loaded),
                    after: party.cut.as_ref().map(|cut| cut.last),
                };
                match VenueSource::open(venue, config, &plan, interrupt).await? {
                    Some(source) => follow(party, loaded, symbols, source).await,
                    None => Ok(Ran::nothing(identities(&loaded))),
                }
            }
        }
    });
    // A name that is still being looked up must not hold the end of the process.
    runtime.shutdown_background();
    ran.map(|ran| Ran { refused, ..ran })
}

/// A name that no other process has.
fn mark_name() -> Result<String, Failure> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::new(Exit::Runtime, format!("no random numbers: {error}")))?;
    Ok(format!("{:016x}", u64::from_le_bytes(random)))
}

/// Who takes part in a run beside its market and its strategies.
struct Party<'a, 'w> {
    here: Here<'a>,
    interrupt: &'a Interrupt,
    watchers: Vec<&'w mut dyn Watch>,
    requests: Requests,
    cut: Option<CutRun>,
}

/// Starts the engine on a source, or takes a run up that was cut short, and follows
/// it to the end.
async fn follow(
    party: Party<'_, '_>,
    loaded: Vec<Loaded>,
    symbols: Symbols,
    mut source: impl Source,
) -> Result<Ran, Failure> {
    let Party { here, interrupt, mut watchers, requests, cut } = party;
    let Here { config, selection, gate } = here;
    let marks = gate.marks();
    for watcher in &mut watchers {
        watcher.modules(&loaded)?;
    }
    let (instruments, start) = (source.instruments().clone(), source.start());
    let begun = match &cut {
        Some(cut) => cut.take_up(&here, loaded, &instruments)?,
        None => TakenUp {
            identities: identities(&loaded),
            intervals: setup::candle_intervals(config, &loaded),
            engine: setup::engine(config, "run", instruments, loaded, symbols, start)?,
            untold: Vec::new(),
            changed: Vec::new(),
            start,
            inputs: 0,
            over: false,
            snapshot: None,
        },
    };
    let trust = TrustWatch::new(
        strategies::lock_source(config)?,
        strategies::read_lock(config)?,
        &begun.identities,
    );
    let trust = trust.with_builds(SwapWatch::new(config, &selection.files, marks.cloned()));
    let TakenUp { engine, identities, untold, changed, intervals, start, inputs, over, snapshot } =
        begun;
    for watcher in &mut watchers {
        watcher.taken_up(snapshot)?;
    }
    let mut session = Session::begin(engine, &identities, watchers, untold)?
        .guarded(Box::new(trust))
        .commanded(requests);
    session.feed(&source)?;
    if over {
        tracing::warn!("the run had come to its end and was cut short there: it ends now");
        return ran(session.end()?, &identities, start);
    }
    let mut block = InputBlock::new(source.instruments(), session.engine.next_seq());
    source.warm_up(&intervals, &mut block);
    if session.engine.events() > 0 {
        let taken = inputs.saturating_sub(block.len() as u64);
        block = InputBlock::new(source.instruments(), session.engine.next_seq());
        source.go_on(taken, &mut block);
        changed_rules(&session.engine, &source, &mut block);
    }
    if !block.is_empty() {
        session.step(&block)?;
    }
    let build = |module: Loaded| {
        let parameters = setup::parameters(config, &module.name);
        Build { module, parameters }
    };
    session.take_over(changed.into_iter().map(build).collect())?;
    session.follow(&mut source, interrupt).await?;
    let identities = session.identities().to_vec();
    ran(session.finish()?, &identities, start)
}

/// Appends the rules that the market has now, where the engine goes by others.
fn changed_rules(engine: &Engine, source: &impl Source, block: &mut InputBlock) {
    for (symbol, instrument) in source.instruments().iter() {
        let rules = instrument.rules();
        if engine.instruments().at(symbol).rules() != rules {
            block.push_rules(source.start(), symbol, &rules);
        }
    }
}

fn ran(engine: Engine, identities: &[Identity], start: Ts) -> Result<Ran, Failure> {
    let span = Duration::from_nanos(u64::try_from(engine.now().since(start)).unwrap_or(0));
    let (identities, refused) = (identities.to_vec(), Vec::new());
    let (reports, events) = (engine.reports(), engine.events());
    Ok(Ran { identities, reports, refused, events, span })
}

/// The simulated market at the pace of the wall clock.
pub(super) struct SimulatedSource {
    simulator: Simulator,
    warm_up_candles: u32,
    start: Ts,
    /// market time when this process began
    base: Ts,
    end: Option<Ts>,
    speed: Rate,
    began: Option<Instant>,
    tick: tokio::time::Interval,
    caught_up: bool,
}

impl SimulatedSource {
    pub(super) fn open(config: &Config, wanted: &[String]) -> Result<Self, Failure> {
        let known: Vec<String> = config.sim.prices.keys().cloned().collect();
        setup::check_symbols(wanted, &known, "the simulated market (feed.sim.prices)")?;
        let simulator = Simulator::new(sim_config(config, wanted)?)
            .map_err(|what| Failure::new(Exit::Config, format!("feed.sim: {what}")))?;
        let start = config.sim.start;
        let end = (!config.run.duration.is_zero()).then(|| {
            let length = i64::try_from(config.run.duration.as_nanos()).unwrap_or(i64::MAX);
            Ts(start.0.saturating_add(length))
        });
        Ok(Self {
            simulator,
            warm_up_candles: config.sim.warm_up_candles,
            start,
            base: start,
            end,
            speed: config.sim.speed,
            began: None,
            tick: tokio::time::interval(TICK),
            caught_up: false,
        })
    }

    /// Market time: wall time since the first call times the speed, or, with
    /// speed 0, as far as it goes.
    #[allow(clippy::disallowed_methods, reason = "simulated time follows the wall, in the shell")]
    fn now(&mut self) -> Ts {
        let began = *self.began.get_or_insert_with(Instant::now);
        if self.speed.0 == 0 {
            return Ts(i64::MAX);
        }
        let wall = i128::try_from(began.elapsed().as_nanos()).unwrap_or(i128::MAX);
        let market = wall.saturating_mul(i128::from(self.speed.0)) / i128::from(Rate::ONE.0);
        Ts(self.base.0.saturating_add(i64::try_from(market).unwrap_or(i64::MAX)))
    }
}

impl Source for SimulatedSource {
    fn instruments(&self) -> &InstrumentTable {
        self.simulator.instruments()
    }

    fn start(&self) -> Ts {
        self.start
    }

    fn warm_up(&mut self, intervals: &[u32], block: &mut InputBlock) {
        *block = self.simulator.warm_up(intervals, self.warm_up_candles);
    }

    fn go_on(&mut self, taken: u64, block: &mut InputBlock) {
        self.simulator.skip(taken, block);
        self.base = self.simulator.next_ts();
    }

    async fn next(&mut self, block: &mut InputBlock) -> Result<Flow, Failure> {
        if self.caught_up {
            self.tick.tick().await;
        }
        let now = self.now();
        let until = self.end.map_or(now, |end| now.min(end));
        self.caught_up = self.simulator.advance(until, block);
        let ended = self.caught_up && self.end.is_some_and(|end| until >= end);
        Ok(if ended { Flow::End } else { Flow::More })
    }
}

/// The simulator's part of the configuration, for these symbols.
///
/// # Errors
/// A price that no instrument can have.
pub fn sim_config(config: &Config, symbols: &[String]) -> Result<SimConfig, Failure> {
    let sim = &config.sim;
    let mut simulated = Vec::new();
    for symbol in symbols {
        let Some(price) = sim.prices.get(symbol) else { continue };
        let one = SimSymbol::new(symbol, &price.to_string()).map_err(|error| {
            Failure::new(Exit::Config, format!("feed.sim.prices.\"{symbol}\": {error}"))
        })?;
        simulated.push(one);
    }
    // Rates are in 10^-9; the simulator counts in its own whole units.
    let scaled = |rate: Rate, divisor: i64| u32::try_from(rate.0 / divisor).unwrap_or(u32::MAX);
    Ok(SimConfig {
        symbols: simulated,
        spread_ppm: scaled(sim.spread, 1_000),
        levels: sim.levels,
        rate_hz: sim.rate_hz,
        trades_per_minute: scaled(sim.trade_rate_hz, 1_000_000_000 / 60),
        volatility_ppm: scaled(sim.volatility, 1_000),
        seed: config.run.seed,
        start: sim.start,
    })
}
