//! The deterministic WASI: refused until it is granted, an empty world when it
//! is, and the same result every time.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use sandpaper::domain::SymbolId;
use sandpaper::lockfile::{Approved, Candidate, Wasi};
use sandpaper::sandbox::inspect;
use sandpaper::sandbox::{Caps, Guest, Kind, Limits, LoadError, Module, Runtime, RuntimeOptions};
use sandpaper::strategy::{
    AccountInfo, BookInfo, CandleInfo, EffectLimits, Effects, Fault, FaultKind, History,
    InstrumentInfo, Intent, LogLevel, StartInfo, Strategy as _, TradeInfo, Value,
};
use sandpaper::words::{Header, TRADE};
use sandpaper_tests::Folder;
use sandpaper_tests::repository;

/// 2024-08-08 00:00 UTC.
const START_NS: u64 = 1_723_075_200_000_000_000;
const S: u64 = 1_000_000_000;

struct Nothing;

impl History for Nothing {
    fn candles(&self, _: u16, _: u32, _: u32) -> Vec<CandleInfo> {
        Vec::new()
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

fn bytes() -> Option<Vec<u8>> {
    repository::wasi_guest("wasi-strategy").map(|path| std::fs::read(path).expect("a file"))
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new(RuntimeOptions::default()).expect("an engine"))
}

fn load(bytes: Vec<u8>, wasi: Wasi) -> Result<Module, LoadError> {
    let approved = Approved::unsigned(Candidate::from_bytes(bytes, "x.wasm"), wasi);
    Module::load(runtime(), &approved, &Caps::native())
}

/// Compiled once for all tests here.
fn module() -> Option<Module> {
    static MODULE: OnceLock<Option<Module>> = OnceLock::new();
    let load = || bytes().map(|bytes| load(bytes, Wasi::Deterministic).expect("loaded"));
    MODULE.get_or_init(load).clone()
}

fn effects() -> Effects {
    let limits = EffectLimits::default();
    let mut effects = Effects::new(limits);
    effects.begin(1, limits.intents);
    effects
}

fn info(probe: &str, seed: u64) -> StartInfo {
    let instrument = InstrumentInfo {
        symbol: "BTC/USD".to_owned(),
        base: "BTC".to_owned(),
        quote: "USD".to_owned(),
        price_increment: 0.01,
        quantity_increment: 0.01,
        quantity_min: 0.01,
        cost_min: 1.0,
        short_allowed: true,
    };
    StartInfo {
        seed,
        ts_ns: START_NS,
        instruments: vec![instrument],
        parameters: vec![("probe".to_owned(), Value::Text(probe.to_owned()))],
        account: AccountInfo { currency: "USD".to_owned(), cash: 1e6, ..AccountInfo::default() },
        ..StartInfo::default()
    }
}

fn start(module: &Module, probe: &str, seed: u64) -> (Guest, Result<(), Fault>, Effects) {
    let mut guest = module.instantiate(Limits::default()).expect("instantiated");
    guest.describe().expect("described");
    let mut effects = effects();
    let started = guest.start(&info(probe, seed), Arc::new(Nothing), &mut effects);
    (guest, started, effects)
}

/// What the guest prints while it starts.
#[track_caller]
fn printed(module: &Module, probe: &str) -> Vec<String> {
    let (_, started, effects) = start(module, probe, 1);
    assert_eq!(started, Ok(()));
    effects.logs.into_iter().map(|(_, line)| line).collect()
}

/// Trades a second apart, as one batch.
fn trades(count: u64) -> Vec<u64> {
    let header = Header::new(TRADE, 0, SymbolId(0), 0, 0).0;
    let trade = |id| {
        let price = 100.0 + id as f64;
        [header, START_NS + id * S, price.to_bits(), 1.0_f64.to_bits(), id]
    };
    (1..=count).flat_map(trade).collect()
}

#[test]
fn crit_001_wasi_is_refused_without_the_grant() {
    let Some(bytes) = bytes() else { return };
    let error = load(bytes.clone(), Wasi::Refused).err().expect("refused");
    let LoadError::WasiNotGranted(name) = &error else { panic!("{error}") };
    assert!(name.starts_with("wasi:") && error.to_string().contains(name.as_str()), "{error}");
    let refused = inspect(&bytes, &Caps::native(), Wasi::Refused);
    assert_eq!((refused.kind, refused.loadable), (Kind::WasiComponent, false));
    assert!(inspect(&bytes, &Caps::native(), Wasi::Deterministic).loadable);
    assert!(load(bytes, Wasi::Deterministic).is_ok());
}

#[test]
fn wasi_the_clock_is_the_events() {
    let Some(module) = module() else { return };
    let (mut guest, started, effects) = start(&module, "", 1);
    assert_eq!(started, Ok(()));
    assert_eq!(effects.logs, [(LogLevel::Info, format!("started at {} s", START_NS / S))]);

    // One event a call, whatever the batch: its clock is the first one's.
    let words = trades(3);
    let mut effects = self::effects();
    assert_eq!(guest.handle(&words, 3, &mut effects), Ok(1));
    let (level, line) = &effects.logs[0];
    assert_eq!(*level, LogLevel::Info);
    assert!(line.starts_with(&format!("trade 1 at {} s", START_NS / S + 1)), "{line}");
    effects.begin(1, 4);
    assert_eq!(guest.handle(&words[5..], 2, &mut effects), Ok(1));
    let line = &effects.logs[0].1;
    assert!(line.starts_with(&format!("trade 2 at {} s", START_NS / S + 2)), "{line}");
}

/// Were the clock or the sleep a real one, this would not end.
#[test]
fn wasi_sleep_does_not_wait() {
    let Some(module) = module() else { return };
    let (guest, started, effects) = start(&module, "sleep", 1);
    assert_eq!(started, Ok(()));
    let lines: Vec<&str> = effects.logs.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines, ["slept, 0ns passed", "and Some(0ns)"]);
    assert!(guest.usage().fuel < 1_000_000, "{:?}", guest.usage());
}

#[test]
fn wasi_there_is_nothing_around() {
    let Some(module) = module() else { return };
    let lines = printed(&module, "surroundings");
    let expected =
        ["0 variables", "0 arguments", "Some(0) bytes of input", "1 processors", "a warning"];
    assert_eq!(lines, expected);
    assert_eq!(printed(&module, "files"), ["open: false", "create: false", "list: false"]);
}

#[test]
fn wasi_what_is_printed_is_logged_within_bounds() {
    let Some(module) = module() else { return };
    let lines = printed(&module, "print");
    assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [4_096, 4_096, 1_808]);
}

#[test]
fn x_exc_wasi_calls_cost_fuel() {
    let Some(module) = module() else { return };
    let (_, started, _) = start(&module, "random", 1);
    assert_eq!(started.expect_err("a fault").kind, FaultKind::OutOfFuel);
}

#[test]
fn x_exc_wasi_exit_ends_the_strategy_alone() {
    let Some(module) = module() else { return };
    let (mut guest, started, _) = start(&module, "fault", 1);
    assert_eq!(started, Ok(()));
    let mut effects = effects();
    let fault = guest.handle(&trades(1), 1, &mut effects).expect_err("a fault");
    assert_eq!(fault.kind, FaultKind::Protocol, "{fault}");
    assert!(fault.detail.contains("exit status"), "{fault}");
    // What a call said that did not return well does not count.
    assert_eq!(effects.logs, Vec::new());
    assert_eq!(guest.fault(), Some(&fault));
}

/// All that a run asks for and logs, event by event.
fn trace(module: &Module, seed: u64) -> (Vec<Intent>, Vec<String>, u64) {
    let (mut guest, started, _) = start(module, "", seed);
    assert_eq!(started, Ok(()));
    let (mut intents, mut lines) = (Vec::new(), Vec::new());
    for trade in trades(40).chunks(5) {
        let mut effects = effects();
        guest.handle(trade, 1, &mut effects).expect("handled");
        intents.append(&mut effects.intents);
        lines.extend(effects.logs.into_iter().map(|(_, line)| line));
    }
    (intents, lines, guest.usage().fuel)
}

#[test]
fn wasi_random_numbers_are_the_seeds() {
    let Some(module) = module() else { return };
    assert_eq!(trace(&module, 7), trace(&module, 7));
    assert_ne!(trace(&module, 7).1, trace(&module, 8).1);
}

/// A trade every second around a price that goes up and down.
fn market(folder: &Folder) {
    let mut csv = "ts_ns,symbol,price,qty,side\n".to_owned();
    for id in 0..500_u64 {
        let (ts, price) = (START_NS + id * S, 100 + id % 17);
        writeln!(csv, "{ts},BTC/USD,{price}.5,10,buy").expect("written");
    }
    folder.write("trades.csv", csv);
    let _ = folder.run(&["import", "trades.csv", "--out", "t.tape"]).expect(0);
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn wasi_the_grant_is_asked_for_shown_and_holds() {
    let Some(bytes) = bytes() else { return };
    let folder = Folder::new();
    folder.write("strategies/w.wasm", bytes);
    let refused = folder.run(&["allow", "strategies/w.wasm", "--yes"]).expect(5);
    assert!(refused.stderr.contains("wasi:"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--wasi deterministic"), "{}", refused.stderr);
    let _ = folder.run(&["inspect", "strategies/w.wasm"]).expect(5);

    let grant = ["allow", "strategies/w.wasm", "--wasi", "deterministic", "--yes"];
    let _ = folder.run(&grant).expect(0);
    let listed = json(&folder.run(&["list", "--json"]).expect(0).stdout).to_string();
    assert!(listed.contains(r#""wasi":"deterministic""#), "{listed}");
    let seen = json(&folder.run(&["inspect", "strategies/w.wasm", "--json"]).expect(0).stdout);
    assert_eq!((&seen["wasi"], &seen["kind"]), (&"deterministic".into(), &"wasi-component".into()));
    let _ = folder.run(&["check", "strategies/w.wasm"]).expect(0);
}

#[test]
fn wasi_the_same_seed_gives_the_same_chain_at_every_batch_size() {
    let Some(bytes) = bytes() else { return };
    let folder = Folder::new();
    market(&folder);
    folder.write("strategies/w.wasm", bytes);
    let grant = ["allow", "strategies/w.wasm", "--wasi", "deterministic", "--yes"];
    let _ = folder.run(&grant).expect(0);
    let replay = |seed: &str, batch: &str| {
        let batch = format!("engine.batch={batch}");
        let arguments =
            ["replay", "t.tape", "--json", "--capital", "100000", "--seed", seed, "--set", &batch];
        let report = json(&folder.run(&arguments).expect(0).stdout)["strategies"][0].clone();
        assert!(report["fills"].as_u64() > Some(10), "{report}");
        report["chain"].as_str().expect("a chain").to_owned()
    };
    let chain = replay("7", "1");
    for batch in ["1", "7", "64", "1024"] {
        assert_eq!(replay("7", batch), chain, "at a batch of {batch}");
    }
    assert_ne!(replay("8", "64"), chain);
}

/// Where it stands in its random numbers is nothing that it can save.
#[test]
fn high_004_a_strategy_with_wasi_has_no_snapshot() {
    let Some(module) = module() else { return };
    let guest = module.instantiate(Limits::default()).expect("an instance");
    assert!(guest.keeps_back().is_some_and(|what| what.contains("WASI")));
}
