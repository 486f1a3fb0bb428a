//! Every limit on its own: a guest that a low value stops and the built-in one
//! does not, with the value once from the configuration and once from the entry in
//! the lock file.

use std::sync::Arc;

use sandpaper::app::given::{Given, given};
use sandpaper::config::{Config, Sources};
use sandpaper::lockfile::{Approved, Candidate, LimitOverride, Wasi};
use sandpaper::sandbox::{Module, Runtime};
use sandpaper::strategy::{
    AccountInfo, BookInfo, CandleInfo, Effects, Fault, History, HistoryRef, Intent, StartInfo,
    Strategy as _, TradeInfo,
};
use sandpaper::words::Header;

use super::guests::{INDICATOR, LOG, Parts, SOUND, SUBMIT};

/// A limit, how it is called in both places, a low value, and the guest.
struct Case {
    key: &'static str,
    own: &'static str,
    low: u64,
    guest: Vec<u8>,
    /// what is told of the guest under the low value, and not otherwise
    told: &'static str,
}

/// A loop that uses five units of fuel a turn.
fn burn(turns: u32) -> String {
    format!(
        "(local $i i32) (local.set $i (i32.const {turns}))
         (loop $more (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
    )
}

fn cases() -> Vec<Case> {
    let case =
        |key, own, low, parts: Parts<'_>, told| Case { key, own, low, guest: parts.build(), told };
    let busy = burn(20_000);
    let (in_handle, in_start) = (format!("{busy} i32.const 1"), format!("{busy} i32.const 2048"));
    let at_load = format!("(func $first {busy}) (start $first)");
    let deep = "(func $deep (param i32) (if (local.get 0) (then
        (call $deep (i32.sub (local.get 0) (i32.const 1))))))";
    let text = r#"(data (i32.const 8192) "twenty-four bytes of text")"#;
    let log = "(call $log (i32.const 2) (i32.const 8192) (i32.const 24))";
    let submit = "(i32.store offset=88 (i32.const 4096) (i32.const 8192))
        (i32.store offset=92 (i32.const 4096) (i32.const 24))
        (call $submit (i32.const 4096) (i32.const 5120))";
    let twice = |part: &str| format!("{part} {part} i32.const 1");
    let indicators = "(call $indicator (i32.const 8192) (i32.const 3) (f64.const 1))
        (call $indicator (i32.const 8192) (i32.const 4) (f64.const 1)) i32.const 1";
    let long = "(call $log (i32.const 2) (i32.const 8192) (i32.const 9000)) i32.const 1";
    let logging = Parts { imports: LOG, extra: text, ..SOUND };
    let trading = Parts { imports: SUBMIT, extra: text, ..SOUND };
    let grows = Parts {
        extra: "(table $t 1 funcref)",
        handle: "(drop (table.grow $t (ref.null func) (i32.const 1000))) i32.const 1",
        ..SOUND
    };
    let saves = Parts {
        extra: r#"(data (i32.const 3072) "\00\00\00\00\00\00\00\00\00\10\00\00")"#,
        save: "i32.const 3072",
        ..SOUND
    };
    let recursive =
        Parts { extra: deep, handle: "(call $deep (i32.const 6000)) i32.const 1", ..SOUND };
    let starts = Parts { start: &in_start, ..SOUND };
    vec![
        case("module_size", "module_bytes", 1_024, recursive_padded(deep), "bytes in the file"),
        case(
            "fuel_describe",
            "fuel_describe",
            50_000,
            Parts { extra: &at_load, ..SOUND },
            "out-of-fuel",
        ),
        case("fuel_start", "fuel_start", 50_000, starts, "out-of-fuel"),
        case(
            "fuel_per_event",
            "fuel_per_event",
            50_000,
            Parts { handle: &in_handle, ..SOUND },
            "out-of-fuel",
        ),
        case(
            "fuel_per_second",
            "fuel_per_second",
            250_000,
            Parts { handle: &in_handle, ..SOUND },
            "more than 250000 fuel in a second of market time",
        ),
        case(
            "fuel_per_call",
            "fuel_per_call",
            50_000,
            Parts { stop: &busy, ..SOUND },
            "out-of-fuel",
        ),
        case("memory", "memory_bytes", 65_536, SOUND, "out-of-memory"),
        case("table_elements", "table_elements", 100, grows, "table elements"),
        case("stack", "stack_bytes", 65_536, recursive, "stack-overflow"),
        case(
            "hostcall_bytes",
            "hostcall_bytes",
            4_096,
            Parts { handle: long, ..logging },
            "output",
        ),
        case(
            "orders_per_event",
            "orders_per_event",
            1,
            Parts { handle: &twice(submit), ..trading },
            "1 requests dropped",
        ),
        case(
            "log_lines",
            "log_lines",
            1,
            Parts { handle: &twice(log), ..logging },
            "1 lines dropped",
        ),
        case(
            "log_bytes",
            "log_bytes",
            40,
            Parts { handle: &twice(log), ..logging },
            "1 lines dropped",
        ),
        case(
            "indicators",
            "indicators",
            1,
            Parts { imports: INDICATOR, extra: text, handle: indicators, ..SOUND },
            "1 lines dropped",
        ),
        case(
            "text_bytes",
            "text_bytes",
            16,
            Parts { handle: &twice(submit), ..trading },
            "reason of 16 bytes",
        ),
        case("state", "state_bytes", 1_024, saves, "a state of 4096 bytes, more than 1024"),
    ]
}

/// A guest of more than a kibibyte.
fn recursive_padded(deep: &'static str) -> Parts<'static> {
    Parts {
        extra: Box::leak(format!("{}{deep}", "(func)".repeat(1_000)).into_boxed_str()),
        ..SOUND
    }
}

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

/// A life of eight events in one second, and what is told of it.
fn life(given: &Given, bytes: Vec<u8>) -> String {
    let runtime = Runtime::new(given.options).expect("an engine");
    let approved = Approved::unsigned(Candidate::from_bytes(bytes, "x.wasm"), Wasi::Refused);
    let module = match Module::load(&runtime, &approved, &given.caps) {
        Ok(module) => module,
        Err(error) => return error.to_string(),
    };
    let mut told = String::new();
    let lived = (|| -> Result<(), Fault> {
        let mut guest = module.instantiate(given.limits)?;
        guest.describe()?;
        let mut effects = Effects::new(given.limits.effects);
        let history: HistoryRef = Arc::new(Nothing);
        effects.begin(1, given.limits.effects.intents);
        guest.start(&StartInfo::default(), history, &mut effects)?;
        for ts in 0..8 {
            effects.begin(1, given.limits.effects.intents);
            guest.handle(&[Header::timer(1_000).0, ts], 1, &mut effects)?;
            told = format!(
                "{} requests dropped, {} lines dropped",
                effects.dropped_intents, effects.dropped_logs
            );
            if let Some(Intent::Submit { request, .. }) = effects.intents.first() {
                told += &format!(", reason of {} bytes", request.reason.len());
            }
        }
        guest.save()?;
        guest.stop(&mut effects)
    })();
    match lived {
        Ok(()) => told,
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn x_exc_every_limit_holds_from_the_configuration_and_from_the_lock_file() {
    let usual = Config::load(&Sources::default()).expect("built in");
    for case in cases() {
        let Case { key, own, low, guest, told } = case;
        let set = vec![format!("sandbox.{key}={low}")];
        let configured = Config::load(&Sources { set, ..Sources::default() }).expect(key);
        let mut entry = LimitOverride::default();
        assert!(entry.set(own, low), "{own}");
        let none = LimitOverride::default();
        let stopped = life(&given(&configured, &none), guest.clone());
        assert!(stopped.contains(told), "{key} of the configuration: {stopped}");
        let stopped = life(&given(&usual, &entry), guest.clone());
        assert!(stopped.contains(told), "{own} of the lock file: {stopped}");
        // The control: under the built-in value the same guest is not stopped.
        let free = life(&given(&usual, &none), guest);
        assert!(!free.contains(told), "{key} is not what stops it: {free}");
    }
}

/// A state of another, larger limit is refused before it is copied, and harms nobody.
#[test]
fn x_exc_a_state_that_is_too_large_is_not_handed_over() {
    let usual = Config::load(&Sources::default()).expect("built in");
    let own = LimitOverride { state_bytes: Some(1_024), ..LimitOverride::default() };
    let given = given(&usual, &own);
    let runtime = Runtime::new(given.options).expect("an engine");
    let candidate = Candidate::from_bytes(SOUND.build(), "x.wasm");
    let approved = Approved::unsigned(candidate, Wasi::Refused);
    let module = Module::load(&runtime, &approved, &given.caps).expect("loaded");
    let mut guest = module.instantiate(given.limits).expect("a guest");
    let fault = guest.load(&[0; 1_025], "1").expect_err("refused");
    assert!(fault.to_string().contains("1025 bytes, more than 1024"), "{fault}");
    assert_eq!(guest.fault(), None, "it goes on");
    // The control: one that fits.
    assert_eq!(guest.load(&[0; 1_024], "1"), Ok(()));
}

/// All strategies share a thread: one that stays below the limit of every event must
/// not take the whole of every second.
#[test]
fn x_exc_who_is_below_every_limit_of_an_event_does_not_hold_up_a_second() {
    let usual = Config::load(&Sources::default()).expect("built in");
    let given = given(&usual, &LimitOverride::default());
    let turns = u32::try_from(given.limits.fuel.event * 9 / 50).expect("small");
    let handle = format!("{} i32.const 1", burn(turns));
    let runtime = Runtime::new(given.options).expect("an engine");
    let bytes = Parts { handle: &handle, ..SOUND }.build();
    let approved = Approved::unsigned(Candidate::from_bytes(bytes, "x.wasm"), Wasi::Refused);
    let module = Module::load(&runtime, &approved, &given.caps).expect("loaded");
    let mut guest = module.instantiate(given.limits).expect("a guest");
    let mut effects = Effects::new(given.limits.effects);
    let mut step = |ts: u64| {
        effects.begin(1, 16);
        guest.handle(&[Header::timer(1_000).0, ts], 1, &mut effects)
    };
    let ended = (0..400).find_map(|event| step(event).err().map(|fault| (event, fault)));
    let (event, fault) = ended.expect("it does not go on for ever");
    assert!(fault.detail.contains("in a second of market time"), "{fault}");
    // Half a billion of 4.5 million each.
    assert_eq!(event, 111);
}

/// Fuel of a second counts anew in the next one, and news of orders counts too.
#[test]
fn x_exc_fuel_per_second_follows_the_markets_time() {
    let usual = Config::load(&Sources::default()).expect("built in");
    let own = LimitOverride { fuel_per_second: Some(250_000), ..LimitOverride::default() };
    let given = given(&usual, &own);
    let handle = format!("{} i32.const 1", burn(20_000));
    let runtime = Runtime::new(given.options).expect("an engine");
    let guest = || {
        let bytes = Parts { handle: &handle, ..SOUND }.build();
        let approved = Approved::unsigned(Candidate::from_bytes(bytes, "x.wasm"), Wasi::Refused);
        let module = Module::load(&runtime, &approved, &given.caps).expect("loaded");
        module.instantiate(given.limits).expect("a guest")
    };
    let step = |guest: &mut sandpaper::sandbox::Guest, times: &[u64]| {
        let words: Vec<u64> = times.iter().flat_map(|ts| [Header::timer(1_000).0, *ts]).collect();
        let mut effects = Effects::new(given.limits.effects);
        effects.begin(1, 16);
        guest.handle(&words, times.len() as u32, &mut effects)
    };
    let second = 1_000_000_000;
    // Two a second, for as long as anyone likes.
    let mut slow = guest();
    for turn in 0..20 {
        assert_eq!(step(&mut slow, &[turn * second]), Ok(1));
        assert_eq!(step(&mut slow, &[turn * second + 5]), Ok(1));
    }
    // A batch over many seconds is cut where one of them could be exceeded.
    let many: Vec<u64> = (0..10).map(|turn| turn * second).collect();
    assert_eq!(step(&mut guest(), &many), Ok(1));
    let mut fast = guest();
    assert_eq!(step(&mut fast, &[7]), Ok(1));
    assert_eq!(step(&mut fast, &[8]), Ok(1));
    let fault = step(&mut fast, &[9]).expect_err("the third is one too many");
    assert!(fault.detail.contains("in a second of market time"), "{fault}");
    assert_eq!(fast.fault(), Some(&fault), "and stays what ended it");
}
