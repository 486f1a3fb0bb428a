//! A short life of one module on a synthetic market, to see how it behaves.

use crate::cli::Exit;
use crate::config::Config;
use crate::engine::LaneReport;
use crate::feed::sim::{SimSymbol, Simulator};
use crate::input::InputBlock;

use super::strategies::Loaded;
use super::{Failure, live, setup};

/// Events of the synthetic market, enough for every channel to be heard of.
const SMOKE_EVENTS: usize = 500;

/// How often the synthetic market calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// with one event
    Single,
    /// with batches that are small beside the market, so that the end of many is seen
    Batches,
}

/// Events of a batch.
const BATCH: u32 = 16;

/// What a module does on the synthetic market.
///
/// # Errors
/// A market that the configuration makes impossible, a broken invariant.
pub fn smoke(config: &Config, loaded: Loaded, calls: Calls) -> Result<LaneReport, Failure> {
    let fallback: Vec<String> = config.sim.prices.keys().take(1).cloned().collect();
    let loaded = vec![loaded];
    let mut symbols = setup::choose_symbols(config, &loaded, &fallback);
    // A symbol that the simulator does not know is simulated at a made-up price:
    // whether it exists is not this module's fault.
    let wanted = setup::union(config, &symbols);
    let mut simulated = live::sim_config(config, &wanted)?;
    for symbol in wanted.iter().filter(|s| !config.sim.prices.contains_key(*s)) {
        let made_up = SimSymbol::new(symbol, "100");
        simulated.symbols.extend(made_up.ok());
    }
    symbols.iter_mut().for_each(|s| s.truncate(64));
    let mut simulator = Simulator::new(simulated)
        .map_err(|what| Failure::new(Exit::Config, format!("feed.sim: {what}")))?;
    let intervals = setup::candle_intervals(config, &loaded);
    let warm_up = simulator.warm_up(&intervals, 50);
    let mut block = InputBlock::new(simulator.instruments(), warm_up.next_seq());
    while block.len() < SMOKE_EVENTS {
        let next = simulator.next_ts();
        simulator.advance(next, &mut block);
    }
    let instruments = simulator.instruments().clone();
    let mut called = config.clone();
    (called.engine.strict, called.engine.batch) = (calls == Calls::Single, BATCH);
    let mut engine =
        setup::engine(&called, "check", instruments, loaded, symbols, config.sim.start)?;
    engine.step(&warm_up)?;
    engine.step(&block)?;
    engine.finish()?;
    let report = engine.reports().pop();
    report.ok_or_else(|| Failure::new(Exit::Runtime, "no lane was made"))
}
