//! The wasmtime host: load, limits, calls, faults. Nothing else in the host
//! names wasmtime.
//!
//! 1. Only an [`Approved`](crate::lockfile::Approved) is compiled: the bytes
//!    that were hashed are the bytes that run.
//! 2. A strategy imports our own package and nothing else, but for the empty
//!    WASI where the lock file grants it; what it would import beyond that is
//!    named when it is refused.
//! 3. Fuel decides, because it stops at the same instruction every time. The
//!    wall clock only guards the machine, and its verdict has a kind of its own.
//! 4. One store per strategy, dropped at its first fault and never used again.
//! 5. What a call asks for counts only when the call returns well.
//! 6. A fault of one strategy, or of this host on behalf of one, is a value: it
//!    reaches no other strategy.
//!
//! 7. A file is compiled here only after a child process has compiled it within
//!    limits on memory and time ([`Vetting`]).
//! 8. Of what was compiled before, only what this installation compiled itself is
//!    taken back ([`CodeCache`]).

mod cache;
mod caps;
mod child;
mod contract;
mod fault;
mod guest;
mod imports;
mod inspect;
mod limits;
mod load;
mod meter;
mod runtime;
#[cfg(test)]
mod smith_tests;
mod state;
#[cfg(test)]
mod tests;
mod vet;
mod wasi;

/// The version of the WebAssembly runtime, which every record names.
pub const RUNTIME_VERSION: &str = "48.0.8";

pub use cache::CodeCache;
pub use caps::Caps;
pub use child::compile_child;
pub use guest::Guest;
pub use inspect::{Inspection, Kind, MemoryBounds, inspect, inspect_vetted};
pub use limits::{DeadlineLimits, FuelLimits, Limits};
pub use load::{LoadError, Module};
pub use runtime::{Determinism, Runtime, RuntimeOptions};
pub use vet::{CHILD_VERB, VetLimits, Vetting};
