//! The deterministic WASI: an empty world for components that were built for
//! `wasm32-wasip2` and whose entry in the lock file grants it.
//!
//! 1. There are no files, sockets, environment variables or arguments. An
//!    import that Rust's standard library does not need is refused by name
//!    before anything here is asked; see [`serves`].
//! 2. Both clocks tell the event's time, which does not move while a call runs.
//!    A granted strategy is given one event a call, so that its clock is that
//!    event's at every batch size.
//! 3. Nothing waits. Every pollable is ready at once: a guest that sleeps goes
//!    on as if it had slept.
//! 4. Random numbers come from the run's seed. What is drawn before `start`,
//!    where the seed is told, comes from a fixed one.
//! 5. What is printed is logged by the line: standard output as information,
//!    standard error as a warning.
//! 6. Every function that a guest can reach charges fuel, as our own imports do.
//!
//! `wasmtime-wasi` defines the interfaces' types, and `exit`, terminals and
//! files in whole: their functions need handles that this world never gives
//! out. Its own polls, streams and clocks are not used. They run on a tokio
//! runtime, which fails inside of another one and sleeps for real even where
//! the clock is virtual, and none of what it does costs fuel.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceTable, ResourceType};
use wasmtime_wasi::cli::{WasiCli, WasiCliCtx, WasiCliCtxView};
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystem, WasiFilesystemCtx};
use wasmtime_wasi::p2::bindings::cli::{exit, terminal_input, terminal_output};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::sync::filesystem::types as files;
use wasmtime_wasi::p2::bindings::sync::io::streams::StreamError;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, IoError};

use super::fault::Breach;
use super::imports::{CALL_FUEL, Caller, RECORD_FUEL, enter};
use super::state::State;
use crate::strategy::LogLevel;

/// Bytes that one `write` may carry, and that one draw of random bytes may ask
/// for: as much as the standard library moves in one piece.
const PIECE_BYTES_MAX: u64 = 64 << 10;
/// Bytes after which a line that does not end is logged all the same.
const LINE_BYTES_MAX: usize = 4 << 10;
/// The version that this is defined as. wasmtime gives it to every guest that
/// asks for another one of 0.2.
const VERSION: &str = "0.2.12";

/// The interfaces, without `wasi:` and version: those that Rust's standard
/// library imports, and their nearest of the same package.
const INTERFACES: [&str; 20] = [
    "cli/environment",
    "cli/exit",
    "cli/stderr",
    "cli/stdin",
    "cli/stdout",
    "cli/terminal-input",
    "cli/terminal-output",
    "cli/terminal-stderr",
    "cli/terminal-stdin",
    "cli/terminal-stdout",
    "clocks/monotonic-clock",
    "clocks/wall-clock",
    "filesystem/preopens",
    "filesystem/types",
    "io/error",
    "io/poll",
    "io/streams",
    "random/insecure",
    "random/insecure-seed",
    "random/random",
];

/// True for an import that belongs to WASI, whether or not this world has it.
pub(super) fn is_wasi(import: &str) -> bool {
    import.starts_with("wasi:") || import.starts_with("wasi_")
}

/// True for an import that this world has.
pub(super) fn serves(import: &str) -> bool {
    let Some((interface, version)) = import.strip_prefix("wasi:").and_then(|i| i.split_once('@'))
    else {
        return false;
    };
    let patch = version.strip_prefix("0.2.").unwrap_or_default();
    INTERFACES.contains(&interface)
        && !patch.is_empty()
        && patch.bytes().all(|byte| byte.is_ascii_digit())
}

/// What a granted strategy finds around it.
pub(super) struct World {
    now_ns: u64,
    random: Xoshiro256PlusPlus,
    /// what was printed without a line's end
    printed: [Vec<u8>; 2],
    table: ResourceTable,
    files: WasiFilesystemCtx,
    cli: WasiCliCtx,
}

impl Default for World {
    fn default() -> Self {
        Self {
            now_ns: 0,
            random: random(0),
            printed: [Vec::new(), Vec::new()],
            table: ResourceTable::new(),
            files: WasiFilesystemCtx::default(),
            cli: WasiCliCtx::default(),
        }
    }
}

impl World {
    /// Begins the run with its seed. From here on the clock is the start's.
    pub(super) fn start(&mut self, seed: u64, ts_ns: u64) {
        self.random = random(seed);
        self.now_ns = ts_ns;
    }

    /// Moves the clock to an event. It never goes back.
    pub(super) fn at(&mut self, ts_ns: u64) {
        self.now_ns = self.now_ns.max(ts_ns);
    }
}

/// The stream of a seed. It is hashed, so that it has nothing in common with
/// what a strategy makes of the same seed itself.
fn random(seed: u64) -> Xoshiro256PlusPlus {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"wasi random");
    hasher.update(&seed.to_le_bytes());
    Xoshiro256PlusPlus::from_seed(*hasher.finalize().as_bytes())
}

/// Where something is printed to. The numbers are those of the handles.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Printed {
    Output = 0,
    Error = 1,
}

impl Printed {
    fn of(stream: &Resource<DynOutputStream>) -> Self {
        if stream.rep() == Self::Error as u32 { Self::Error } else { Self::Output }
    }

    fn level(self) -> LogLevel {
        match self {
            Self::Output => LogLevel::Info,
            Self::Error => LogLevel::Warn,
        }
    }
}

/// Takes what was printed and logs each line that it ends.
fn print(state: &mut State, to: Printed, bytes: &[u8]) {
    let mut line = std::mem::take(&mut state.world().printed[to as usize]);
    for byte in bytes {
        if *byte != b'\n' {
            line.push(*byte);
        }
        if *byte == b'\n' || line.len() >= LINE_BYTES_MAX {
            state.log(to.level(), &String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    state.world().printed[to as usize] = line;
}

/// Logs what was printed without a line's end: a log line belongs to the call
/// that it was printed in.
pub(super) fn end_lines(state: &mut State) {
    for to in [Printed::Output, Printed::Error] {
        let line = std::mem::take(&mut state.world().printed[to as usize]);
        if !line.is_empty() {
            state.log(to.level(), &String::from_utf8_lossy(&line));
        }
    }
}

/// Defines the whole world beside what the linker already has.
pub(super) fn add_to(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add_polls(linker)?;
    add_input_streams(linker)?;
    add_output_streams(linker)?;
    add_clocks(linker)?;
    add_random(linker)?;
    add_process(linker)?;
    add_files(linker)
}

fn interface<'a>(
    linker: &'a mut Linker<State>,
    name: &str,
) -> wasmtime::Result<LinkerInstance<'a, State>> {
    linker.instance(&format!("wasi:{name}@{VERSION}"))
}

/// A resource without anything behind its handles.
fn resource<T: 'static>(
    instance: &mut LinkerInstance<'_, State>,
    name: &str,
) -> wasmtime::Result<()> {
    instance.resource(name, ResourceType::host::<T>(), |_, _| Ok(()))
}

fn call(caller: &mut Caller) -> wasmtime::Result<()> {
    enter(caller, CALL_FUEL)
}

/// The one pollable that there is.
fn ready() -> Resource<DynPollable> {
    Resource::new_own(0)
}

fn add_polls(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut error = interface(linker, "io/error")?;
    resource::<IoError>(&mut error, "error")?;
    type Failed = Resource<IoError>;
    error.func_wrap("[method]error.to-debug-string", |mut caller: Caller, (_,): (Failed,)| {
        call(&mut caller).map(|()| (String::new(),))
    })?;

    let mut poll = interface(linker, "io/poll")?;
    resource::<DynPollable>(&mut poll, "pollable")?;
    type Pollable = Resource<DynPollable>;
    poll.func_wrap("[method]pollable.ready", |mut caller: Caller, (_,): (Pollable,)| {
        call(&mut caller).map(|()| (true,))
    })?;
    poll.func_wrap("[method]pollable.block", |mut caller: Caller, (_,): (Pollable,)| {
        call(&mut caller)
    })?;
    poll.func_wrap("poll", |mut caller: Caller, (all,): (Vec<Pollable>,)| {
        enter(&mut caller, CALL_FUEL + RECORD_FUEL * all.len() as u64)?;
        if all.is_empty() {
            return Err(Breach("it polls an empty list".to_owned()).into());
        }
        Ok(((0..all.len() as u32).collect::<Vec<_>>(),))
    })
}

/// Standard input, which has ended.
fn add_input_streams(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Input = Resource<DynInputStream>;
    let mut streams = interface(linker, "io/streams")?;
    resource::<DynInputStream>(&mut streams, "input-stream")?;
    for read in ["[method]input-stream.read", "[method]input-stream.blocking-read"] {
        streams.func_wrap(read, |mut caller: Caller, (_, _): (Input, u64)| {
            call(&mut caller).map(|()| (Err::<Vec<u8>, _>(StreamError::Closed),))
        })?;
    }
    for skip in ["[method]input-stream.skip", "[method]input-stream.blocking-skip"] {
        streams.func_wrap(skip, |mut caller: Caller, (_, _): (Input, u64)| {
            call(&mut caller).map(|()| (Err::<u64, _>(StreamError::Closed),))
        })?;
    }
    streams.func_wrap("[method]input-stream.subscribe", |mut caller: Caller, (_,): (Input,)| {
        call(&mut caller).map(|()| (ready(),))
    })
}

/// Standard output and error.
fn add_output_streams(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Output = Resource<DynOutputStream>;
    type Done = Result<(), StreamError>;
    let mut streams = interface(linker, "io/streams")?;
    resource::<DynOutputStream>(&mut streams, "output-stream")?;
    streams.func_wrap(
        "[method]output-stream.check-write",
        |mut caller: Caller, (_,): (Output,)| {
            call(&mut caller).map(|()| (Ok::<_, StreamError>(PIECE_BYTES_MAX),))
        },
    )?;
    for write in ["write", "blocking-write-and-flush"] {
        let name = format!("[method]output-stream.{write}");
        streams.func_wrap(&name, |mut caller: Caller, (to, bytes): (Output, Vec<u8>)| {
            charge_piece(&mut caller, bytes.len() as u64)?;
            print(caller.data_mut(), Printed::of(&to), &bytes);
            Ok((Done::Ok(()),))
        })?;
    }
    for write in ["write-zeroes", "blocking-write-zeroes-and-flush"] {
        let name = format!("[method]output-stream.{write}");
        streams.func_wrap(&name, |mut caller: Caller, (to, bytes): (Output, u64)| {
            charge_piece(&mut caller, bytes)?;
            print(caller.data_mut(), Printed::of(&to), &vec![0; bytes as usize]);
            Ok((Done::Ok(()),))
        })?;
    }
    for flush in ["flush", "blocking-flush"] {
        let name = format!("[method]output-stream.{flush}");
        streams.func_wrap(&name, |mut caller: Caller, (_,): (Output,)| {
            call(&mut caller).map(|()| (Done::Ok(()),))
        })?;
    }
    type Splice = (Output, Resource<DynInputStream>, u64);
    for splice in ["splice", "blocking-splice"] {
        let name = format!("[method]output-stream.{splice}");
        streams.func_wrap(&name, |mut caller: Caller, (_, _, _): Splice| {
            call(&mut caller).map(|()| (Err::<u64, _>(StreamError::Closed),))
        })?;
    }
    streams.func_wrap("[method]output-stream.subscribe", |mut caller: Caller, (_,): (Output,)| {
        call(&mut caller).map(|()| (ready(),))
    })
}

/// Charges for bytes that the host moves or makes.
fn charge_piece(caller: &mut Caller, bytes: u64) -> wasmtime::Result<()> {
    if bytes > PIECE_BYTES_MAX {
        let what = format!("it moves {bytes} bytes at once, more than {PIECE_BYTES_MAX}");
        return Err(Breach(what).into());
    }
    enter(caller, CALL_FUEL + bytes)
}

fn add_clocks(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    const NS_PER_S: u64 = 1_000_000_000;
    let mut monotonic = interface(linker, "clocks/monotonic-clock")?;
    monotonic.func_wrap("now", |mut caller: Caller, (): ()| {
        call(&mut caller).map(|()| (caller.data_mut().world().now_ns,))
    })?;
    monotonic.func_wrap("resolution", |mut caller: Caller, (): ()| {
        call(&mut caller).map(|()| (1_u64,))
    })?;
    for subscribe in ["subscribe-instant", "subscribe-duration"] {
        monotonic.func_wrap(subscribe, |mut caller: Caller, (_,): (u64,)| {
            call(&mut caller).map(|()| (ready(),))
        })?;
    }
    let mut wall = interface(linker, "clocks/wall-clock")?;
    wall.func_wrap("now", |mut caller: Caller, (): ()| {
        call(&mut caller)?;
        let now_ns = caller.data_mut().world().now_ns;
        let nanoseconds = (now_ns % NS_PER_S) as u32;
        Ok((Datetime { seconds: now_ns / NS_PER_S, nanoseconds },))
    })?;
    wall.func_wrap("resolution", |mut caller: Caller, (): ()| {
        call(&mut caller).map(|()| (Datetime { seconds: 0, nanoseconds: 1 },))
    })
}

fn add_random(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for (name, prefix) in
        [("random/random", "get-random"), ("random/insecure", "get-insecure-random")]
    {
        let mut random = interface(linker, name)?;
        random.func_wrap(&format!("{prefix}-bytes"), |mut caller: Caller, (len,): (u64,)| {
            charge_piece(&mut caller, len)?;
            let mut bytes = vec![0_u8; len as usize];
            caller.data_mut().world().random.fill_bytes(&mut bytes);
            Ok((bytes,))
        })?;
        random.func_wrap(&format!("{prefix}-u64"), |mut caller: Caller, (): ()| {
            call(&mut caller).map(|()| (caller.data_mut().world().random.next_u64(),))
        })?;
    }
    let mut seed = interface(linker, "random/insecure-seed")?;
    seed.func_wrap("insecure-seed", |mut caller: Caller, (): ()| {
        call(&mut caller)?;
        let random = &mut caller.data_mut().world().random;
        Ok(((random.next_u64(), random.next_u64()),))
    })
}

/// What a process has around it: nothing, and the standard streams.
fn add_process(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut environment = interface(linker, "cli/environment")?;
    environment.func_wrap("get-environment", |mut caller: Caller, (): ()| {
        call(&mut caller).map(|()| (Vec::<(String, String)>::new(),))
    })?;
    environment.func_wrap("get-arguments", |mut caller: Caller, (): ()| {
        call(&mut caller).map(|()| (Vec::<String>::new(),))
    })?;
    environment.func_wrap("initial-cwd", |mut caller: Caller, (): ()| {
        call(&mut caller).map(|()| (None::<String>,))
    })?;
    interface(linker, "cli/stdin")?.func_wrap("get-stdin", |mut caller: Caller, (): ()| {
        call(&mut caller).map(|()| (Resource::<DynInputStream>::new_own(0),))
    })?;
    for (name, to) in [("stdout", Printed::Output), ("stderr", Printed::Error)] {
        let mut stream = interface(linker, &format!("cli/{name}"))?;
        stream.func_wrap(&format!("get-{name}"), move |mut caller: Caller, (): ()| {
            call(&mut caller).map(|()| (Resource::<DynOutputStream>::new_own(to as u32),))
        })?;
    }
    exit::add_to_linker::<State, WasiCli>(linker, cli)?;
    terminal_input::add_to_linker::<State, WasiCli>(linker, cli)?;
    terminal_output::add_to_linker::<State, WasiCli>(linker, cli)?;
    add_no_terminal::<terminal_input::TerminalInput>(linker, "stdin")?;
    add_no_terminal::<terminal_output::TerminalOutput>(linker, "stdout")?;
    add_no_terminal::<terminal_output::TerminalOutput>(linker, "stderr")
}

fn cli(state: &mut State) -> WasiCliCtxView<'_> {
    let World { cli, table, .. } = state.world();
    WasiCliCtxView { ctx: cli, table }
}

/// No standard stream is a terminal.
fn add_no_terminal<T: 'static>(linker: &mut Linker<State>, stream: &str) -> wasmtime::Result<()> {
    let mut terminal = interface(linker, &format!("cli/terminal-{stream}"))?;
    terminal.func_wrap(&format!("get-terminal-{stream}"), |mut caller: Caller, (): ()| {
        call(&mut caller).map(|()| (None::<Resource<T>>,))
    })
}

/// A file system without a folder to begin at. All but one function of its
/// types needs a handle of a file or a folder, and that one the handle of an
/// error: none is ever given out.
fn add_files(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    files::add_to_linker::<State, WasiFilesystem>(linker, |state| {
        let World { files, table, .. } = state.world();
        WasiFilesystemCtxView { ctx: files, table }
    })?;
    let mut preopens = interface(linker, "filesystem/preopens")?;
    preopens.func_wrap("get-directories", |mut caller: Caller, (): ()| {
        call(&mut caller).map(|()| (Vec::<(Resource<Descriptor>, String)>::new(),))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crit_001_only_what_std_needs_is_served() {
        for name in INTERFACES {
            assert!(
                serves(&format!("wasi:{name}@0.2.0")) && serves(&format!("wasi:{name}@0.2.12"))
            );
        }
        let foreign = [
            "wasi:sockets/tcp@0.2.0",
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:cli/run@0.2.0",
            "wasi:clocks/timezone@0.2.0",
            "wasi:io/streams",
            "wasi:io/streams@0.2.",
            "wasi:io/streams@0.2.0-rc",
            "wasi:io/streams@0.3.0",
            "vendor:io/streams@0.2.0",
            "wasi_snapshot_preview1",
        ];
        for name in foreign {
            assert!(!serves(name), "{name}");
        }
    }

    #[test]
    fn the_clock_never_goes_back() {
        let mut world = World::default();
        world.start(1, 100);
        world.at(50);
        assert_eq!(world.now_ns, 100);
        world.at(101);
        assert_eq!(world.now_ns, 101);
    }

    #[test]
    fn seeds_have_streams_of_their_own() {
        let drawn = |seed| random(seed).next_u64();
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }

    /// Every interface that may be imported is there, so that no granted
    /// component fails for want of one.
    #[test]
    fn what_is_served_is_defined() {
        let runtime = super::super::Runtime::new(super::super::RuntimeOptions::default());
        let mut linker = Linker::clone(&runtime.expect("an engine").linker);
        add_to(&mut linker).expect("defined once each");
        for name in INTERFACES {
            let text = format!("(component (import \"wasi:{name}@0.2.3\" (instance)))");
            let bytes = wat::parse_str(text).expect("wat");
            let component = wasmtime::component::Component::from_binary(linker.engine(), &bytes);
            linker.instantiate_pre(&component.expect("compiled")).expect(name);
        }
    }
}
