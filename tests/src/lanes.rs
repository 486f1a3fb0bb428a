//! Engines over a tape with native or sandboxed strategies, by name.

use std::path::Path;

use sandpaper::domain::{Money, Ts};
use sandpaper::engine::{Engine, EngineBuilder, EngineConfig, LaneReport, LaneSpec};
use sandpaper::feed::tape::Tape;
use sandpaper::input::InputBlock;
use sandpaper::lockfile::{Approved, Wasi, read_named};
use sandpaper::portfolio::AccountConfig;
use sandpaper::sandbox::{Caps, Limits, Module, Runtime, RuntimeOptions};
use sandpaper::strategy::Strategy;

use crate::native::Native;

/// A workload or a reference strategy as native code.
///
/// # Panics
/// For any other name.
#[must_use]
pub fn native(name: &str) -> Box<dyn Strategy> {
    match name {
        "quoter" => Box::new(Native::<workload_quoter::Quoter>::new()),
        "s1" => Box::new(Native::<workload_s1::S1>::new()),
        "s2" => Box::new(Native::<workload_s2::S2>::new()),
        "s3" => Box::new(Native::<workload_s3::S3>::new()),
        "market-making" => Box::new(Native::<market_making::MarketMaking>::new()),
        "order-flow" => Box::new(Native::<order_flow::OrderFlow>::new()),
        "mean-reversion" => Box::new(Native::<mean_reversion::MeanReversion>::new()),
        other => panic!("no native strategy is called {other}"),
    }
}

/// A module file, compiled once and instantiated as often as needed.
pub struct Sandboxed(Module);

impl Sandboxed {
    /// Compiles a module.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        let runtime = Runtime::new(RuntimeOptions::default()).expect("a runtime");
        let candidate = read_named(path, 4 << 20).expect("a module");
        let approved = Approved::unsigned(candidate, Wasi::Refused);
        Self(Module::load(&runtime, &approved, &Caps::native()).expect("a strategy"))
    }

    /// A new instance.
    ///
    /// # Panics
    /// When it cannot be instantiated.
    #[must_use]
    pub fn instance(&self) -> Box<dyn Strategy> {
        Box::new(self.0.instantiate(Limits::default()).expect("an instance"))
    }
}

/// A tape's events, decoded, and its start.
pub struct Recording {
    /// the instruments
    pub instruments: sandpaper::domain::InstrumentTable,
    /// the events
    pub blocks: Vec<InputBlock>,
    /// the first event's time
    pub start: Ts,
}

impl Recording {
    /// Reads a tape whole.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let tape = Tape::open(path).expect("a tape");
        let start = tape.span().map(|(first, _)| first).unwrap_or_default();
        let instruments = tape.instruments().clone();
        let blocks = tape.blocks().expect("readable").map(|b| b.expect("sound")).collect();
        Self { instruments, blocks, start }
    }

    /// How many events it has.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.blocks.iter().map(|block| block.len() as u64).sum()
    }

    /// An engine over it with these strategies, on all of its symbols.
    ///
    /// # Panics
    /// When one of them cannot be described or configured.
    #[must_use]
    pub fn engine(
        &self,
        config: &EngineConfig,
        strategies: Vec<Box<dyn Strategy>>,
        capital: &str,
    ) -> Engine {
        let mut builder =
            EngineBuilder::new(config.clone(), self.instruments.clone()).expect("sound");
        let symbols: Vec<String> = self.instruments.iter().map(|(_, i)| i.symbol.clone()).collect();
        let currency = self.instruments.iter().next().map(|(_, i)| i.quote.clone());
        let mut names: Vec<String> = Vec::new();
        for mut strategy in strategies {
            let descriptor = strategy.describe().expect("a description");
            // Latencies are drawn by name: it is the same in every crowd.
            let twins = names.iter().filter(|name| **name == descriptor.name).count();
            names.push(descriptor.name.clone());
            builder
                .add(LaneSpec {
                    name: format!("{}-{twins}", descriptor.name),
                    strategy,
                    descriptor,
                    symbols: symbols.clone(),
                    parameters: Vec::new(),
                    account: AccountConfig {
                        currency: currency.clone().unwrap_or_default(),
                        capital: Money::parse(capital).expect("a decimal"),
                        assets: Vec::new(),
                        fills_kept: 1_000,
                        trips_kept: 1_000,
                    },
                })
                .expect("a lane");
        }
        builder.start(self.start)
    }

    /// Runs strategies over it and returns where each stands.
    ///
    /// # Panics
    /// When an invariant breaks.
    #[must_use]
    pub fn run(
        &self,
        config: &EngineConfig,
        strategies: Vec<Box<dyn Strategy>>,
        capital: &str,
    ) -> Vec<LaneReport> {
        let mut engine = self.engine(config, strategies, capital);
        for block in &self.blocks {
            engine.step(block).expect("invariants hold");
            engine.drain();
        }
        engine.finish().expect("the accounts add up");
        engine.reports()
    }
}
