//! Hostile guests, each matched to the exact fault, with the host alive after.
//! Their sources are `tests/guests/*.wat`.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::*;
use crate::lockfile::{Approved, Candidate, Lock, Wasi};
use crate::strategy::{
    AccountInfo, BookInfo, CandleInfo, EffectLimits, Effects, Fault, FaultKind, History,
    HistoryRef, Intent, StartInfo, Strategy, TradeInfo,
};
use crate::words::Header;

/// A market in which every look back finds as much as was asked for.
struct Plenty;

impl History for Plenty {
    fn candles(&self, _: u16, interval_s: u32, newest: u32) -> Vec<CandleInfo> {
        let candle = CandleInfo {
            interval_s,
            open_ts_ns: 0,
            open: 1.0,
            high: 1.0,
            low: 1.0,
            close: 1.0,
            volume: 1.0,
            vwap: 1.0,
        };
        vec![candle; newest as usize]
    }

    fn trades(&self, _: u16, _: u32) -> Vec<TradeInfo> {
        Vec::new()
    }

    fn book(&self, _: u16, _: u32) -> BookInfo {
        BookInfo::default()
    }

    fn account(&self) -> AccountInfo {
        AccountInfo::default()
    }
}

fn history() -> HistoryRef {
    Arc::new(Plenty)
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new(RuntimeOptions::default()).expect("an engine"))
}

fn source(name: &str) -> String {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/guests"));
    std::fs::read_to_string(folder.join(format!("{name}.wat"))).expect("a guest")
}

fn binary(name: &str) -> Vec<u8> {
    wat::parse_str(source(name)).expect("wat")
}

fn approved(bytes: Vec<u8>) -> Approved {
    Approved::unsigned(Candidate::from_bytes(bytes, "x.wasm"), Wasi::Refused)
}

fn load(bytes: Vec<u8>) -> Result<Module, LoadError> {
    Module::load(runtime(), &approved(bytes), &Caps::native())
}

#[track_caller]
fn guest(name: &str) -> Guest {
    guest_with(name, Limits::default())
}

#[track_caller]
fn guest_with(name: &str, limits: Limits) -> Guest {
    load(binary(name)).expect("loaded").instantiate(limits).expect("instantiated")
}

fn effects() -> Effects {
    let mut effects = Effects::new(EffectLimits::default());
    effects.begin(1, EffectLimits::default().intents);
    effects
}

/// A batch of timers: events of two words each.
fn timers(events: u32) -> Vec<u64> {
    (0..u64::from(events)).flat_map(|ts| [Header::timer(1_000).0, ts]).collect()
}

fn handle(guest: &mut Guest, events: u32, effects: &mut Effects) -> Result<u32, Fault> {
    guest.handle(&timers(events), events, effects)
}

/// The guest fails in `handle` with this kind, stays failed, and neither it nor
/// the host is worse for it: another guest works right after.
#[track_caller]
fn check_handle(name: &str, kind: FaultKind, detail: &str) {
    let mut hostile = guest(name);
    let mut wanted = effects();
    let fault = handle(&mut hostile, 1, &mut wanted).expect_err("a fault");
    assert_eq!(fault.kind, kind, "{fault}");
    assert!(fault.detail.contains(detail), "{fault}");
    assert_eq!(wanted.intents, [], "what a failed call asked for happened");
    assert_eq!(handle(&mut hostile, 1, &mut wanted), Err(fault.clone()));
    assert_eq!(hostile.stop(&mut wanted), Err(fault.clone()));
    assert_eq!(hostile.fault(), Some(&fault));
    assert_eq!(handle(&mut guest("well_behaved"), 1, &mut effects()), Ok(1));
}

#[track_caller]
fn check_load(bytes: Vec<u8>, message: &str) -> LoadError {
    let error = load(bytes).err().expect("refused");
    assert!(error.to_string().contains(message), "{error}");
    error
}

#[test]
fn a_sound_guest_goes_through_its_life() {
    let mut guest = guest("well_behaved");
    let described = guest.describe().expect("described");
    assert_eq!(described.name, "quiet");
    assert_eq!(guest.start(&StartInfo::default(), history(), &mut effects()), Ok(()));
    assert_eq!(handle(&mut guest, 64, &mut effects()), Ok(1));
    assert_eq!(guest.save(), Ok(Vec::new()));
    assert_eq!(guest.load(b"state", "0.1.0"), Ok(()));
    assert_eq!(guest.stop(&mut effects()), Ok(()));
    let usage = guest.usage();
    assert_eq!(usage.calls, 6);
    assert_eq!(usage.memory_bytes, 16 << 16);
    assert!(usage.fuel > 0 && usage.fuel < 1_000, "{usage:?}");
    assert_eq!((usage.event_calls, usage.order_calls, usage.traps), (1, 0, 0));
    let spreads = guest.distributions().expect("counted").spreads();
    assert_eq!((spreads.call_ns.count, spreads.fuel_per_event.count), (1, 1));
    assert!(spreads.call_ns.max > 0 && spreads.fuel_per_event.p99 > 0, "{spreads:?}");
}

#[test]
fn orders_and_logs_arrive_when_a_call_returns_well() {
    let mut guest = guest("orders_then_returns");
    let mut wanted = effects();
    wanted.begin(41, 16);
    assert_eq!(handle(&mut guest, 1, &mut wanted), Ok(1));
    assert!(matches!(wanted.intents[..], [Intent::Submit { order: 41, .. }]));
    assert_eq!(wanted.logs[0].1, "bought \u{fffd}[31mred");
    let mut silent = guest_with("orders_in_describe", Limits::default());
    assert!(silent.describe().is_ok());
}

#[test]
fn fuel_is_counted_and_the_same_every_time() {
    let used = || {
        let mut guest = guest("orders_then_returns");
        for _ in 0..10 {
            handle(&mut guest, 1, &mut effects()).expect("handled");
        }
        guest.usage()
    };
    assert_eq!(used(), used());
    assert!(used().fuel > 10 * 400, "calls into the host cost fuel: {:?}", used());
    assert_eq!(used().host_calls, 10 * 2, "an order and a line each");
}

#[test]
fn x_exc_a_loop_in_the_start_section_is_out_of_fuel() {
    let module = load(binary("loop_in_start_section")).expect("loaded");
    let fault = module.instantiate(Limits::default()).err().expect("a fault");
    assert_eq!(fault.kind, FaultKind::OutOfFuel, "{fault}");
}

#[test]
fn x_exc_a_loop_in_describe_is_out_of_fuel() {
    let fault = guest("loop_in_describe").describe().expect_err("a fault");
    assert_eq!(fault.kind, FaultKind::OutOfFuel, "{fault}");
}

#[test]
fn x_exc_a_loop_in_start_is_out_of_fuel() {
    let mut hostile = guest("loop_in_start");
    let fault =
        hostile.start(&StartInfo::default(), history(), &mut effects()).expect_err("a fault");
    assert_eq!(fault.kind, FaultKind::OutOfFuel, "{fault}");
    assert_eq!(hostile.usage().fuel_failed / 1_000_000, 200);
}

#[test]
fn x_exc_a_loop_in_handle_is_out_of_fuel() {
    check_handle("loop_in_handle", FaultKind::OutOfFuel, "fuel");
}

#[test]
fn x_exc_what_outlasts_the_wall_clock_is_a_deadline() {
    let limits = Limits {
        fuel: FuelLimits { event: u64::MAX, ..FuelLimits::default() },
        deadline: DeadlineLimits { call_ms: 0, event_ms: 0 },
        ..Limits::default()
    };
    let module = load(binary("loop_in_handle")).expect("loaded");
    // Instantiation is under the same short deadline and may meet a tick.
    let mut hostile = (0..100).find_map(|_| module.instantiate(limits).ok()).expect("a guest");
    let fault = handle(&mut hostile, 1, &mut effects()).expect_err("a fault");
    assert_eq!(fault.kind, FaultKind::Deadline, "{fault}");
}

#[test]
fn x_exc_growing_memory_is_out_of_memory() {
    check_handle("memory_grow_loop", FaultKind::OutOfMemory, "67108864");
    check_handle("table_grow_loop", FaultKind::OutOfMemory, "table elements");
    let mut sound = guest("memory_grow_within_maximum");
    assert_eq!(handle(&mut sound, 1, &mut effects()), Ok(1));
    assert_eq!(sound.usage().memory_bytes, 17 << 16);
    // What it had is told of after its end, what it has is nothing.
    let mut greedy = guest("memory_grow_loop");
    handle(&mut greedy, 1, &mut effects()).expect_err("a fault");
    let usage = greedy.usage();
    assert_eq!((usage.memory_bytes, usage.traps), (0, 1));
    assert!(usage.memory_peak_bytes > 17 << 16, "{usage:?}");
}

#[test]
fn x_exc_a_memory_over_the_limit_is_refused_before_it_runs() {
    check_load(binary("four_gib_memory"), "4294967296 bytes in a memory");
    let limits = Limits { memory_bytes: 15 << 16, ..Limits::default() };
    let fault = load(binary("well_behaved")).expect("loaded").instantiate(limits);
    let fault = fault.err().expect("a fault");
    assert_eq!(fault.kind, FaultKind::OutOfMemory, "{fault}");
}

#[test]
fn x_exc_deep_recursion_is_a_stack_overflow() {
    check_handle("deep_recursion", FaultKind::StackOverflow, "stack");
}

#[test]
fn x_exc_a_panic_is_a_trap_with_its_message() {
    check_handle("panic_in_handle", FaultKind::Trap, "panicked at src/lib.rs:7: no such level");
    check_handle("divides_by_zero", FaultKind::Trap, "divide by zero");
    check_handle("reads_out_of_bounds", FaultKind::Trap, "out of bounds");
}

#[test]
fn x_exc_a_trap_costs_the_whole_budget() {
    let mut hostile = guest("reads_out_of_bounds");
    let before = hostile.usage().fuel;
    handle(&mut hostile, 3, &mut effects()).expect_err("a fault");
    let usage = hostile.usage();
    assert_eq!(usage.fuel_failed, 3 * FuelLimits::default().event);
    assert_eq!(usage.fuel, before, "which is no work that was done");
}

#[test]
fn x_exc_a_wrong_count_is_a_breach_of_the_contract() {
    check_handle("consumes_too_much", FaultKind::Protocol, "1000000 of 1");
    check_handle("consumes_nothing", FaultKind::Protocol, "0 of 1");
    // What such a call used is no work that was done either.
    let mut hostile = guest("consumes_nothing");
    let before = hostile.usage().fuel;
    handle(&mut hostile, 1, &mut effects()).expect_err("a fault");
    let usage = hostile.usage();
    assert!(usage.fuel == before && usage.fuel_failed > 0, "{usage:?}");
    assert_eq!(hostile.distributions().expect("counted").fuel_per_event.spread().count, 0);
}

#[test]
fn x_exc_unreadable_values_are_a_breach_of_the_contract() {
    check_handle("log_out_of_bounds", FaultKind::Protocol, "");
    check_handle("log_not_utf8", FaultKind::Protocol, "utf-8");
    check_handle("invalid_log_level", FaultKind::Protocol, "");
}

#[test]
fn x_exc_floods_are_cut_counted_or_out_of_fuel() {
    let mut wanted = effects();
    let mut flood = guest("order_flood");
    assert_eq!(handle(&mut flood, 1, &mut wanted), Ok(1));
    assert_eq!((wanted.intents.len(), wanted.dropped_intents), (16, 984));

    let mut wanted = effects();
    let mut flood = guest("log_flood");
    assert_eq!(handle(&mut flood, 1, &mut wanted), Ok(1));
    assert_eq!((wanted.logs.len(), wanted.dropped_logs), (100, 9_900));
    check_handle("endless_order_flood", FaultKind::OutOfFuel, "fuel");
}

#[test]
fn x_exc_too_much_data_for_the_host_is_an_output_fault() {
    check_handle("one_huge_log_line", FaultKind::Output, "more data");
    check_handle("amplified_metadata", FaultKind::Output, "more data");
}

#[test]
fn high_004_a_state_beyond_the_limit_is_refused_and_the_strategy_goes_on() {
    let mut guest = guest("saves_too_much");
    let fault = guest.save().expect_err("too large");
    assert_eq!(fault.kind, FaultKind::Refused, "{fault}");
    assert!(fault.detail.starts_with("a state of"), "{fault}");
    assert_eq!(handle(&mut guest, 1, &mut effects()), Ok(1));
}

#[test]
fn x_exc_a_look_back_inside_handle_is_refused() {
    let mut guest = guest("looks_back_in_handle");
    assert_eq!(guest.start(&StartInfo::default(), history(), &mut effects()), Ok(()));
    check_handle("looks_back_in_handle", FaultKind::Protocol, "only in `start`");
}

#[test]
fn x_exc_the_history_is_given_back_after_the_call() {
    let look_back = history();
    let mut guest = guest("looks_back_in_handle");
    guest.start(&StartInfo::default(), Arc::clone(&look_back), &mut effects()).expect("started");
    assert_eq!(Arc::strong_count(&look_back), 1);
}

#[test]
fn x_exc_a_refusal_of_its_own_keeps_its_words() {
    let mut refusing = guest("refuses_to_start");
    let saved = refusing.save().expect_err("a refusal");
    assert_eq!(saved, Fault::new(FaultKind::Refused, "no symbols"));
    assert_eq!(refusing.load(b"", "1").expect_err("a refusal").kind, FaultKind::Refused);
    assert_eq!(handle(&mut refusing, 1, &mut effects()), Ok(1), "it still runs");
    let start = refusing.start(&StartInfo::default(), history(), &mut effects());
    assert_eq!(start, Err(Fault::new(FaultKind::Refused, "no symbols")));
    assert_eq!(handle(&mut refusing, 1, &mut effects()), start.map(|()| 0));
}

#[test]
fn x_exc_a_panic_of_the_host_is_contained() {
    struct Broken;
    impl History for Broken {
        fn candles(&self, _: u16, _: u32, _: u32) -> Vec<CandleInfo> {
            panic!("a defect")
        }
        fn trades(&self, _: u16, _: u32) -> Vec<TradeInfo> {
            Vec::new()
        }
        fn book(&self, _: u16, _: u32) -> BookInfo {
            BookInfo::default()
        }
        fn account(&self) -> AccountInfo {
            AccountInfo::default()
        }
    }
    let mut guest = guest("looks_back_in_handle");
    let fault =
        guest.start(&StartInfo::default(), Arc::new(Broken), &mut effects()).expect_err("a fault");
    assert_eq!(fault, Fault::new(FaultKind::Host, "the host panicked: a defect"));
    check_handle("divides_by_zero", FaultKind::Trap, "");
}

#[test]
fn crit_001_imports_outside_the_contract_are_named_and_refused() {
    let sockets = check_load(
        binary("imports_sockets"),
        "imports wasi:sockets/tcp@0.2.0, which strategies are not given",
    );
    assert!(matches!(sockets, LoadError::ForeignImport(_)));
    let error = check_load(binary("foreign_component"), "imports vendor:broker/orders@1.0.0");
    assert!(matches!(error, LoadError::ForeignImport(_)));
    check_load(binary("imports_preview1"), "imports wasi_snapshot_preview1");
    check_load(binary("imports_env"), "imports env, which strategies are not given");
    let granted = Candidate::from_bytes(binary("imports_sockets"), "x.wasm");
    let granted = Approved::unsigned(granted, Wasi::Deterministic);
    let error = Module::load(runtime(), &granted, &Caps::native()).err().expect("refused");
    assert_eq!(error, LoadError::WasiNotAvailable("wasi:sockets/tcp@0.2.0".to_owned()));
}

#[test]
fn crit_001_a_wrong_world_is_refused_with_what_is_wrong() {
    check_load(binary("without_handle"), "handle");
    check_load(binary("exports_wrong_types"), "does not implement sandpaper:strategy/strategy");
    check_load(wat::parse_str("(component)").expect("wat"), "does not export describe, start");
}

/// What a file says of its own world is not believed, and not even parsed.
#[test]
fn crit_001_a_world_in_the_file_is_not_read() {
    for content in ["", "garbage", "\\00asm\\0d\\00\\01\\00\\ff\\ff"] {
        let text = source("well_behaved").replacen(
            "(module",
            &format!("(module (@custom \"component-type:strategy\" \"{content}\")"),
            1,
        );
        let bytes = wat::parse_str(text).expect("wat");
        assert!(inspect(&bytes, &Caps::native(), Wasi::Refused).loadable);
        assert!(load(bytes).is_ok());
    }
}

#[test]
fn crit_001_only_wasm_is_loaded() {
    for bytes in [&b""[..], b"\0asm", b"\0asm\x02\0\0\0", b"\x7fELF\x02\x01\x01\0", b"(module)"] {
        assert!(matches!(load(bytes.to_vec()), Err(LoadError::NotWasm(_))), "{bytes:?}");
    }
}

#[test]
fn crit_001_what_was_hashed_is_what_runs() {
    let bytes = binary("well_behaved");
    let now = jiff::Timestamp::UNIX_EPOCH;
    let candidate = || Candidate::from_bytes(bytes.clone(), "x.wasm");
    assert!(Lock::default().approve(candidate(), now).is_err());
    let module = load(bytes.clone()).expect("loaded");
    assert_eq!(module.sha256(), candidate().sha256());
}

#[test]
fn crit_001_proposals_that_are_off_are_refused() {
    let cases = [
        ("threads", "(module (memory 1 1 shared))"),
        ("simd", "(module (func (result v128) (v128.const i64x2 0 0)))"),
        ("memory64", "(module (memory i64 1))"),
        ("multi-memory", "(module (memory 1) (memory 1))"),
        ("tail call", "(module (func $f return_call $f))"),
        ("exceptions", "(module (tag))"),
        ("gc", "(module (type (struct)))"),
    ];
    for (name, text) in cases {
        let error = load(wat::parse_str(text).expect("wat")).err().expect("refused");
        assert!(matches!(error, LoadError::Structure(_)), "{name}: {error}");
    }
}

#[test]
fn caps_hold_at_their_edge() {
    let caps = Caps { functions: 3, locals: 5, nesting: 2, body_bytes: 100, ..Caps::native() };
    let check = |text: &str| caps.check(&wat::parse_str(text).expect("wat"));
    assert_eq!(check("(module (func) (func) (func))"), Ok(()));
    assert_eq!(
        check("(module (func) (func) (func) (func))"),
        Err("4 functions, more than 3".into())
    );
    assert!(check("(module (func (local i32 i32 i32 i32 i32)))").is_ok());
    assert!(check("(module (func (local i32 i32 i32 i32 i32 i32)))").is_err());
    assert!(check("(module (func block block end end))").is_ok());
    assert!(check("(module (func block block block end end end))").is_err());
    assert!(check(&format!("(module (func {}))", "nop ".repeat(99))).is_err());
    assert!(check("(module (table 10001 funcref))").is_err());
    let mut large = binary("well_behaved");
    large.resize(5 << 20, 0);
    assert!(Caps::native().check(&large).is_err_and(|error| error.contains("bytes in the file")));
}

#[test]
fn inspect_says_what_a_file_is() {
    let caps = Caps::native();
    let module = inspect(&binary("orders_then_returns"), &caps, Wasi::Refused);
    assert_eq!((module.kind, module.problem.as_deref()), (Kind::CoreModule, None));
    assert!(module.loadable);
    assert!(module.imports.contains(&"sandpaper:strategy/trading@0.1.0".to_owned()));
    assert!(module.exports.contains(&"handle".to_owned()));
    assert_eq!(module.memories, [MemoryBounds { min_bytes: 16 << 16, max_bytes: None }]);
    assert_eq!(module.functions, 8);

    let component = load::prepare(&binary("well_behaved"), &caps, Wasi::Refused).expect("ok");
    assert_eq!(inspect(&component.bytes, &caps, Wasi::Refused).kind, Kind::Component);
    assert!(inspect(&component.bytes, &caps, Wasi::Refused).loadable);

    let sockets = inspect(&binary("imports_sockets"), &caps, Wasi::Refused);
    assert_eq!(sockets.kind, Kind::WasiComponent);
    assert!(sockets.problem.is_some_and(|problem| problem.contains("wasi:sockets/tcp")));
    assert_eq!(inspect(b"MZ", &caps, Wasi::Refused).kind, Kind::NotWasm);
}

/// Cuts and changed bytes of real files, and bytes that only begin like one:
/// looking and loading answer, whatever they answer.
#[test]
fn any_bytes_are_looked_at_without_a_panic() {
    let caps = Caps::native();
    let module = binary("orders_then_returns");
    let component = load::prepare(&module, &caps, Wasi::Refused).expect("prepared").bytes;
    for whole in [module, component] {
        for cut in (0..whole.len()).step_by(7) {
            assert!(!inspect(&whole[..cut], &caps, Wasi::Refused).loadable);
        }
        for at in (8..whole.len()).step_by(11) {
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            let seen = inspect(&changed, &caps, Wasi::Refused);
            assert_ne!(seen.problem.as_deref(), Some("the tool that reads it failed"));
        }
    }
}

#[test]
fn engines_start_stop_and_tell_themselves_apart() {
    let options =
        RuntimeOptions { determinism: Determinism::CrossArch, ..RuntimeOptions::default() };
    let other = Runtime::new(options).expect("an engine");
    assert_ne!(other.fingerprint(), runtime().fingerprint());
    let again = Runtime::new(RuntimeOptions::default()).expect("an engine");
    assert_eq!(again.fingerprint(), runtime().fingerprint());

    let module = Module::load(&other, &approved(binary("well_behaved")), &Caps::native());
    let mut guest = module.expect("loaded").instantiate(Limits::default()).expect("instantiated");
    // The guest keeps the engine and its backstop; dropping the last of them
    // ends the ticking thread, or this test would not return.
    drop(other);
    assert_eq!(handle(&mut guest, 1, &mut effects()), Ok(1));
}
