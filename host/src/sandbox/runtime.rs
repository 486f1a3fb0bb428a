//! One `wasmtime::Engine` for the process, configured once, and the thread that
//! moves its wall-clock backstop.

use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmtime::component::Linker;
use wasmtime::{
    Config, Engine, EngineWeak, InstanceAllocationStrategy, OperatorCost, WasmBacktraceDetails,
};
// wasmtime does not re-export the feature set under its default features, but
// takes the parser's own type.
use wasmparser::WasmFeatures;

use super::cache::CodeCache;
use super::imports;
use super::load::LoadError;
use super::state::State;
use super::vet::Vetting;

/// How far apart the ticks of the wall-clock backstop are.
const TICK_MS: u64 = 10;

/// For whom results must be equal to the last bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Determinism {
    /// For machines of the same architecture. What is not a number is made
    /// canonical where it crosses to the host.
    #[default]
    SameArch,
    /// For machines of all architectures: every float operation gives the
    /// canonical NaN, at up to twice the cost of float-heavy code.
    CrossArch,
}

/// What the engine is built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeOptions {
    /// whether NaNs are canonical in every operation
    pub determinism: Determinism,
    /// stack of a strategy in bytes; a calling thread must have 256 KiB more
    pub stack_bytes: usize,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self { determinism: Determinism::default(), stack_bytes: 512 << 10 }
    }
}

/// What compiles and runs strategies. Clones share the engine.
#[derive(Clone)]
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Arc<Linker<State>>,
    pub(super) options: RuntimeOptions,
    pub(super) vetting: Option<Arc<Vetting>>,
    pub(super) cache: Option<Arc<CodeCache>>,
    _ticker: Arc<Ticker>,
}

impl Runtime {
    /// Builds the engine and starts the thread behind its backstop, which stops
    /// when the last clone is dropped.
    ///
    /// # Errors
    /// [`LoadError::Engine`] when this machine cannot run what we need.
    pub fn new(options: RuntimeOptions) -> Result<Self, LoadError> {
        let failed = |error: wasmtime::Error| LoadError::Engine(format!("{error:#}"));
        let engine = Engine::new(&config(options)).map_err(failed)?;
        let mut linker = Linker::new(&engine);
        imports::add_to(&mut linker).map_err(failed)?;
        let ticker = Ticker::start(engine.weak()).map_err(|e| LoadError::Engine(e.to_string()))?;
        Ok(Self {
            engine,
            linker: Arc::new(linker),
            options,
            vetting: None,
            cache: None,
            _ticker: Arc::new(ticker),
        })
    }

    /// Lets a child process prove of every file that it can be compiled, before it
    /// is compiled here. Without it the caps alone bound what a file can cost: for
    /// tests, and for the child itself.
    #[must_use]
    pub fn vetted(mut self, vetting: Vetting) -> Self {
        self.vetting = Some(Arc::new(vetting));
        self
    }

    /// Keeps what is compiled for the next start, if there is a place for it.
    #[must_use]
    pub fn cached(mut self, cache: Option<Arc<CodeCache>>) -> Self {
        self.cache = cache;
        self
    }

    /// A number that changes whenever fuel may be counted differently: with
    /// wasmtime's version, the operator costs or the enabled proposals.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        use std::hash::{Hash as _, Hasher as _};
        // This hasher's keys are fixed, so that the number is the same in every
        // process.
        #[allow(deprecated, reason = "the only hasher of the standard library with fixed keys")]
        let mut hasher = std::hash::SipHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    }
}

/// What real guests use: Rust's and CPython's compilers emit these and no more.
/// Every other proposal is off, and most of wasmtime's advisories with them.
pub(super) fn features() -> WasmFeatures {
    WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::CALL_INDIRECT_OVERLONG
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::BULK_MEMORY_OPT
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::FLOATS
        | WasmFeatures::COMPONENT_MODEL
}

fn config(options: RuntimeOptions) -> Config {
    let mut config = Config::new();
    config.wasm_features(WasmFeatures::all(), false);
    config.wasm_features(features(), true);
    config.concurrency_support(false).shared_memory(false);
    config.consume_fuel(true).operator_cost(operator_costs()).epoch_interruption(true);
    config.cranelift_nan_canonicalization(options.determinism == Determinism::CrossArch);
    config.max_wasm_stack(options.stack_bytes);
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    config.wasm_backtrace_max_frames(NonZeroUsize::new(20));
    // Debug information in a file is its author's: nothing here parses it.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config.native_unwind_info(false);
    config
}

/// Costs that follow the time that operators take. With one unit for each, the
/// time per unit differs 150-fold between operators, with this table 7-fold.
fn operator_costs() -> OperatorCost {
    let mut costs = OperatorCost::new();
    costs.MemoryGrow = 255;
    costs.TableGrow = 255;
    costs.F32Sqrt = 8;
    costs.F64Sqrt = 8;
    costs.F32Div = 8;
    costs.F64Div = 8;
    costs.MemoryFill = 20;
    costs.MemoryCopy = 20;
    costs.Br = 2;
    costs.variable.memory_grow_per_page = 255;
    costs
}

/// The number of ticks after which a call of that many milliseconds is late.
/// The first may come at once, so there is one more.
pub(super) fn ticks(ms: u64) -> u64 {
    ms.div_ceil(TICK_MS) + 1
}

/// Moves the engine's epoch until it is dropped.
struct Ticker {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("sandbox-ticker".to_owned())
            .spawn(move || tick_until(&seen, &engine))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

fn tick_until(stop: &(Mutex<bool>, Condvar), engine: &EngineWeak) {
    let mut stopped = stop.0.lock().unwrap_or_else(PoisonError::into_inner);
    while !*stopped {
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
        drop(engine);
        let waited = stop.1.wait_timeout(stopped, Duration::from_millis(TICK_MS));
        stopped = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A ticker that panicked has nothing left to clean up.
            let _ = thread.join();
        }
    }
}
