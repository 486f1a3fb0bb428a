//! What the verbs take that decide what may run.

use clap::{Args, ValueEnum};

use super::ModuleRef;

/// What `allow` takes.
#[derive(Debug, Args)]
pub struct AllowArgs {
    /// Module files, or hashes as sha256:HEX
    #[arg(required = true, value_name = "FILE|sha256:HEX")]
    pub targets: Vec<ModuleRef>,
    /// Call it by this name; the file's name when left out
    ///
    /// For a module that is allowed already, what no flag names stays as it is.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Write down why
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Let the permission end after this long, such as 90d, or never
    #[arg(long, value_name = "TIME")]
    pub expires: Option<String>,
    /// Grant a component built for wasm32-wasip2 the WASI that it imports
    ///
    /// Without it such a component is refused. What is granted is an empty
    /// world: no files, sockets, environment or arguments, the market's time for
    /// a clock, random numbers from the run's seed, and the strategy's log for
    /// what it prints.
    #[arg(long, value_name = "GRANT")]
    pub wasi: Option<WasiGrant>,
    /// Set a limit for it alone, such as fuel_per_event=20000000
    ///
    /// May be given several times.
    /// Names are those of [sandbox] in config.toml, sizes with _bytes:
    /// module_bytes, fuel_describe, fuel_start, fuel_per_event,
    /// fuel_per_second, fuel_per_call, memory_bytes, table_elements,
    /// stack_bytes, hostcall_bytes, deadline_ms, orders_per_event, log_lines,
    /// log_bytes, indicators, text_bytes, state_bytes. profile=interpreter is
    /// for a module that holds an interpreter, and raises what such a one needs.
    /// NAME=default takes a limit of its own away.
    #[arg(long, value_name = "NAME=VALUE")]
    pub limit: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// How much of WASI can be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WasiGrant {
    /// an empty world in which nothing can differ from run to run
    Deterministic,
}

/// What `deny` takes.
#[derive(Debug, Args)]
pub struct DenyArgs {
    /// A strategy's name in the lock file, or a hash as sha256:HEX
    #[arg(value_name = "NAME|sha256:HEX")]
    pub target: String,
    /// Write down why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}
