//! What one module is given: the configuration, with what its entry in the lock
//! file sets in its place.

use std::sync::Arc;

use crate::cli::Exit;
use crate::config::{Config, Determinism as ConfigDeterminism, ModuleProfile, Sources};
use crate::lockfile::{LimitOverride, Lock, PrivateFolder, Profile};
use crate::sandbox::{
    Caps, CodeCache, DeadlineLimits, Determinism, FuelLimits, Limits, Runtime, RuntimeOptions,
    VetLimits, Vetting,
};
use crate::strategy::EffectLimits;

use super::Failure;
use super::strategies::private_folder;

/// Limits, caps, and what its code is compiled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// while it runs
    pub limits: Limits,
    /// on its file
    pub caps: Caps,
    /// of the engine that compiles and runs it
    pub options: RuntimeOptions,
    /// on the trial compilation
    pub trial: VetLimits,
}

/// What a module with these limits of its own is given.
#[must_use]
pub fn given(config: &Config, own: &LimitOverride) -> Given {
    let sandbox = &config.sandbox;
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let interpreter = is_interpreter(config, own);
    let stack = own.stack_bytes.unwrap_or(sandbox.stack.0);
    let mut trial = VetLimits {
        memory_bytes: sandbox.compile_memory.0,
        cpu_s: sandbox.compile_cpu_s.into(),
        wall_ms: millis(sandbox.compile_wall),
    };
    let mut caps = if interpreter { Caps::interpreter() } else { Caps::native() };
    caps.file_bytes = own.module_bytes.unwrap_or(sandbox.module_size.0);
    let mut limits = limits(config, own);
    if own.profile == Some(Profile::Interpreter) {
        // The entry speaks of the module's nature alone; what goes with it is not
        // to be set for every other module too.
        caps.file_bytes = caps.file_bytes.max(INTERPRETER_FILE_BYTES);
        limits.table_elements = limits.table_elements.max(20_000);
        if own.fuel_per_second.is_none() {
            limits.fuel.second = limits.fuel.second.max(INTERPRETER_FUEL_PER_SECOND);
        }
        trial.memory_bytes = trial.memory_bytes.max(4 << 30);
        trial.cpu_s = trial.cpu_s.max(300);
        trial.wall_ms = trial.wall_ms.max(600_000);
    }
    let determinism = match sandbox.determinism {
        ConfigDeterminism::Native => Determinism::SameArch,
        ConfigDeterminism::CrossArch => Determinism::CrossArch,
    };
    let options = RuntimeOptions { determinism, stack_bytes: size(stack) };
    Given { limits, caps, options, trial }
}

/// Bytes that the file of an interpreter may have.
const INTERPRETER_FILE_BYTES: u64 = 64 << 20;

/// Fuel of a second that an interpreter may use: an event takes it some hundred
/// thousand.
const INTERPRETER_FUEL_PER_SECOND: u64 = 2_000_000_000;

fn is_interpreter(config: &Config, own: &LimitOverride) -> bool {
    match own.profile {
        Some(profile) => profile == Profile::Interpreter,
        None => config.sandbox.profile == ModuleProfile::Interpreter,
    }
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn limits(config: &Config, own: &LimitOverride) -> Limits {
    let sandbox = &config.sandbox;
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut defaults = Limits::default();
    if is_interpreter(config, own) {
        // CPython comes as more than a hundred modules that share one memory.
        (defaults.instances, defaults.tables) = (256, 64);
    }
    let describe = own.fuel_describe.unwrap_or(sandbox.fuel_describe);
    let event = own.fuel_per_event.unwrap_or(sandbox.fuel_per_event);
    let call = own.fuel_per_call.unwrap_or(sandbox.fuel_per_call);
    Limits {
        fuel: FuelLimits {
            instantiate: describe,
            describe,
            start: own.fuel_start.unwrap_or(sandbox.fuel_start),
            event,
            on_order: event,
            second: own.fuel_per_second.unwrap_or(sandbox.fuel_per_second),
            stop: call,
            save: call,
            load: call,
        },
        deadline: DeadlineLimits {
            call_ms: own.deadline_ms.unwrap_or(millis(sandbox.deadline)),
            event_ms: millis(sandbox.deadline_per_event),
        },
        memory_bytes: own.memory_bytes.unwrap_or(sandbox.memory.0),
        table_elements: own.table_elements.unwrap_or(sandbox.table_elements),
        hostcall_bytes: size(own.hostcall_bytes.unwrap_or(sandbox.hostcall_bytes.0)),
        state_bytes: size(own.state_bytes.unwrap_or(sandbox.state.0)),
        effects: effects(config, own),
        ..defaults
    }
}

/// How much one event of a strategy may cause.
#[must_use]
pub fn effects(config: &Config, own: &LimitOverride) -> EffectLimits {
    let sandbox = &config.sandbox;
    let small = |own: Option<u64>, configured: u64| {
        u32::try_from(own.unwrap_or(configured)).unwrap_or(u32::MAX)
    };
    EffectLimits {
        intents: small(own.orders_per_event, sandbox.orders_per_event.into()),
        log_lines: small(own.log_lines, sandbox.log_lines.into()),
        log_bytes: small(own.log_bytes, sandbox.log_bytes.0),
        indicators: small(own.indicators, sandbox.indicators.into()),
        text_bytes: small(own.text_bytes, sandbox.text_bytes.0),
    }
}

/// Checks that the limits of an entry are such as the configuration could set too.
///
/// # Errors
/// Which one is not, in words.
pub fn check_range(own: &LimitOverride) -> Result<(), String> {
    for (name, value) in own.numbers() {
        let (key, unit) = match name {
            "module_bytes" => ("module_size", ""),
            "memory_bytes" => ("memory", ""),
            "stack_bytes" => ("stack", ""),
            "state_bytes" => ("state", ""),
            "deadline_ms" => ("deadline", "ms"),
            same => (same, ""),
        };
        let set = vec![format!("sandbox.{key}={value}{unit}")];
        Config::load(&Sources { set, ..Sources::default() })
            .map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

/// The most bytes of a file that anything is allowed to have; what this one may
/// have is known when its hash is.
#[must_use]
pub fn file_bytes_max(config: &Config, lock: &Lock) -> u64 {
    let own = lock.entries().iter().filter_map(|entry| entry.limits);
    let caps = own.map(|own| given(config, &own).caps.file_bytes);
    caps.fold(config.sandbox.module_size.0, u64::max)
}

/// The engines of a process: one for all modules that are compiled alike.
pub struct Runtimes {
    private: Option<Arc<PrivateFolder>>,
    cache: Option<Arc<CodeCache>>,
    made: Vec<(RuntimeOptions, VetLimits, Runtime)>,
}

impl Runtimes {
    /// None yet.
    ///
    /// # Errors
    /// A folder of private state that cannot be used.
    pub fn new(config: &Config) -> Result<Self, Failure> {
        let private = private_folder(config)?.map(Arc::new);
        let cache = private.as_ref().filter(|_| config.sandbox.code_cache.0 > 0);
        let cache = cache.map(|private| CodeCache::of(private, config.sandbox.code_cache.0));
        Ok(Self { private, cache: cache.transpose()?.map(Arc::new), made: Vec::new() })
    }

    /// The one that a module is compiled with.
    ///
    /// # Errors
    /// When this machine cannot run one.
    pub fn of(&mut self, given: &Given) -> Result<Runtime, Failure> {
        let known = self.made.iter().find(|(o, t, _)| (*o, *t) == (given.options, given.trial));
        if let Some((.., runtime)) = known {
            return Ok(runtime.clone());
        }
        let runtime = Runtime::new(given.options)
            .map_err(|error| Failure::new(Exit::Runtime, error.to_string()))?;
        let runtime = runtime
            .vetted(Vetting::of_this_program(given.trial, self.private.clone()))
            .cached(self.cache.clone());
        self.made.push((given.options, given.trial, runtime.clone()));
        Ok(runtime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number of an entry replaces the configured one, and no other.
    #[test]
    fn x_exc_every_limit_of_an_entry_takes_effect() {
        let config = Config::load(&Sources::default()).expect("built in");
        let usual = given(&config, &LimitOverride::default());
        let mut seen = Vec::new();
        for name in LimitOverride::NUMBERS {
            let mut own = LimitOverride::default();
            assert!(own.set(name, 77_777));
            let changed = given(&config, &own);
            assert_ne!(changed, usual, "{name} changes nothing");
            assert!(!seen.contains(&changed), "{name} is the same as another");
            seen.push(changed);
        }
        assert!(!LimitOverride::default().set("fuel", 1));
        for name in LimitOverride::NUMBERS {
            let mut own = LimitOverride::default();
            own.set(name, if name.ends_with("_bytes") { 65_536 } else { 10_000 });
            assert_eq!(check_range(&own), Ok(()), "{name}");
            own.set(name, u64::MAX / 2);
            assert!(check_range(&own).is_err_and(|why| why.contains(name)), "{name}");
            assert!(own.unset(name) && own.is_empty());
        }
        let profile = Some(Profile::Interpreter);
        let own = given(&config, &LimitOverride { profile, ..LimitOverride::default() });
        assert_eq!(own.caps.file_bytes, 64 << 20);
        assert_eq!((own.trial.cpu_s, own.limits.table_elements), (300, 20_000));
        assert_eq!(own.limits.fuel.second, 4 * usual.limits.fuel.second);
        assert!(own.caps.nesting > usual.caps.nesting && own.limits.instances == 256);
    }
}
