//! A run on a market as it goes: for now, the simulated one.

use std::time::{Duration, Instant};

use crate::cli::Exit;
use crate::config::{Config, FeedKind};
use crate::domain::{Rate, Ts};
use crate::engine::{Engine, LaneReport};
use crate::feed::sim::{SimConfig, SimSymbol, Simulator};
use crate::input::InputBlock;

use super::replay::{Identity, identities};
use super::strategies::{self, Selection};
use super::{Failure, Interrupt, setup};

/// How often the simulator is asked for what has happened since.
const TICK: Duration = Duration::from_millis(20);

/// What a run is told about itself as it goes.
pub trait Watch {
    /// The engine is started.
    fn started(&mut self, engine: &Engine, identities: &[Identity]);
    /// The engine has taken inputs.
    fn stepped(&mut self, engine: &mut Engine);
}

/// What a run gave.
pub struct Ran {
    /// who ran
    pub identities: Vec<Identity>,
    /// where each stands
    pub reports: Vec<LaneReport>,
    /// inputs taken
    pub events: u64,
    /// market time from first to last
    pub span: Duration,
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
    watch: &mut impl Watch,
) -> Result<Ran, Failure> {
    let FeedKind::Sim = config.feed.kind;
    let loaded = strategies::load(config, selection)?;
    let symbols = setup::choose_symbols(config, &loaded, &config.run.default_symbols);
    let wanted = setup::union(config, &symbols);
    let known: Vec<String> = config.sim.prices.keys().cloned().collect();
    setup::check_symbols(&wanted, &known, "the simulated market (feed.sim.prices)")?;
    let intervals = setup::candle_intervals(config, &loaded);
    let identities = identities(&loaded);
    let simulator = Simulator::new(sim_config(config, &wanted)?)
        .map_err(|what| Failure::new(Exit::Config, format!("feed.sim: {what}")))?;
    let instruments = simulator.instruments().clone();
    let start = config.sim.start;
    let mut engine = setup::engine(config, "run", instruments, loaded, symbols, start)?;
    watch.started(&engine, &identities);
    let warm_up = simulator.warm_up(&intervals, config.sim.warm_up_candles);
    engine.step(&warm_up)?;
    watch.stepped(&mut engine);
    let mut market = SimulatedRun { simulator, next_seq: warm_up.next_seq(), start };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(market.follow(config, &mut engine, interrupt, watch))?;
    engine.finish()?;
    watch.stepped(&mut engine);
    let span = Duration::from_nanos(u64::try_from(engine.now().since(start)).unwrap_or(0));
    Ok(Ran { identities, reports: engine.reports(), events: engine.events(), span })
}

struct SimulatedRun {
    simulator: Simulator,
    next_seq: u64,
    start: Ts,
}

impl SimulatedRun {
    /// Steps the engine as market time passes.
    #[allow(clippy::disallowed_methods, reason = "simulated time follows the wall, in the shell")]
    async fn follow(
        &mut self,
        config: &Config,
        engine: &mut Engine,
        interrupt: &Interrupt,
        watch: &mut impl Watch,
    ) -> Result<(), Failure> {
        let end = (!config.run.duration.is_zero()).then(|| {
            let length = i64::try_from(config.run.duration.as_nanos()).unwrap_or(i64::MAX);
            Ts(self.start.0.saturating_add(length))
        });
        let began = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        let mut block = InputBlock::new(self.simulator.instruments(), self.next_seq);
        while engine.is_running() && !interrupt.is_asked() {
            let now = self.now(config.sim.speed, began);
            let until = end.map_or(now, |end| now.min(end));
            block.reset(self.next_seq);
            let caught_up = self.simulator.advance(until, &mut block);
            self.next_seq = block.next_seq();
            engine.step(&block)?;
            watch.stepped(engine);
            if caught_up && end.is_some_and(|end| until >= end) {
                break;
            }
            if caught_up {
                tokio::select! {
                    _ = tick.tick() => {}
                    () = interrupt.asked() => {}
                }
            }
        }
        if interrupt.is_asked() {
            tracing::info!("stopping; press Ctrl-C again to end at once");
        }
        if !engine.is_running() {
            tracing::error!("every strategy has failed: the run ends");
        }
        Ok(())
    }

    /// Market time: wall time since the start times the speed, or, with speed 0,
    /// as far as it goes.
    fn now(&self, speed: Rate, began: Instant) -> Ts {
        if speed.0 == 0 {
            return Ts(i64::MAX);
        }
        let wall = i128::try_from(began.elapsed().as_nanos()).unwrap_or(i128::MAX);
        let market = wall.saturating_mul(i128::from(speed.0)) / i128::from(Rate::ONE.0);
        Ts(self.start.0.saturating_add(i64::try_from(market).unwrap_or(i64::MAX)))
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
