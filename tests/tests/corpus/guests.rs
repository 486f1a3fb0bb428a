//! The members of the corpus: files of `tests/guests`, and guests made of parts
//! where only a few lines differ from a sound one.

use std::path::PathBuf;

use sandpaper::domain::RejectReason;
use sandpaper::engine::LaneOutput;
use sandpaper::strategy::FaultKind::{
    OutOfFuel, OutOfMemory, Output, Protocol, StackOverflow, Trap,
};
use sandpaper_tests::repository;

use super::{End, Ended, FUEL};

/// A hostile strategy and how it must end.
pub struct Member {
    /// its name in the table of kinds
    pub name: &'static str,
    /// the module
    pub bytes: Vec<u8>,
    /// its end
    pub end: End,
}

/// A guest of `tests/guests`, compiled.
pub fn file(name: &str) -> Vec<u8> {
    let path: PathBuf = repository::root().join(format!("tests/guests/{name}.wat"));
    wat::parse_str(std::fs::read_to_string(path).expect("a guest")).expect("wat")
}

/// A made guest by its name.
pub fn made(name: &str) -> Vec<u8> {
    let all = members().into_iter().chain(readers());
    all.filter(|member| member.name == name).map(|member| member.bytes).next().expect(name)
}

pub(super) const SUBMIT: &str = r#"(import "sandpaper:strategy/trading@0.1.0" "submit"
    (func $submit (param i32 i32)))"#;
pub(super) const LOG: &str = r#"(import "sandpaper:strategy/report@0.1.0" "log"
    (func $log (param i32 i32 i32)))"#;
pub(super) const INDICATOR: &str = r#"(import "sandpaper:strategy/report@0.1.0" "indicator"
    (func $indicator (param i32 i32 f64)))"#;

/// A sound guest, part by part. Its order lies at 4096: buy one base unit of
/// symbol 0 at the market.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) imports: &'a str,
    pub(super) extra: &'a str,
    pub(super) realloc: &'a str,
    pub(super) start: &'a str,
    pub(super) handle: &'a str,
    pub(super) on_order: &'a str,
    pub(super) stop: &'a str,
    pub(super) save: &'a str,
}

pub(super) const SOUND: Parts<'_> = Parts {
    imports: "",
    extra: "",
    realloc: "i32.const 65536",
    start: "i32.const 2048",
    handle: "i32.const 1",
    on_order: "",
    stop: "",
    save: "i32.const 2048",
};

impl Parts<'_> {
    pub(super) fn build(self) -> Vec<u8> {
        let Parts { imports, extra, realloc, start, handle, on_order, stop, save } = self;
        let text = format!(
            r#"(module {imports} (memory (export "memory") 16)
            (data (i32.const 4112) "\00\00\00\00\00\00\f0\3f") {extra}
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
            (func (export "describe") (result i32) i32.const 1024)
            (func (export "start")
                (param i32 i32 i64 i64 i32 i32 i32 i32 i32 i32 f64 f64 i32 i32) (result i32)
                {start})
            (func (export "handle") (param $words i32) (param $count i32) (result i32) {handle})
            (func (export "on-order") (param $update i32) {on_order})
            (func (export "stop") {stop})
            (func (export "save") (result i32) {save})
            (func (export "load") (param i32 i32 i32 i32) (result i32) i32.const 2048))"#
        );
        wat::parse_str(text).expect("wat")
    }
}

/// A component that imports one interface by its name, with no function of it.
fn importing(interface: &str) -> Vec<u8> {
    wat::parse_str(format!("(component (import \"{interface}\" (instance)))")).expect("wat")
}

fn module(text: &str) -> Vec<u8> {
    wat::parse_str(format!("(module {text})")).expect("wat")
}

/// Ten that mean well: the reference strategies, the workloads, and four of a few
/// lines. Where the former are not built, something simpler stands for them.
pub fn neighbors() -> Vec<Vec<u8>> {
    use repository::{guest, workload};
    let built = [
        guest("market-making"),
        guest("order-flow"),
        guest("mean-reversion"),
        workload("s1"),
        workload("s2"),
        workload("s3"),
    ];
    let read = |path| std::fs::read::<PathBuf>(path).expect("readable");
    let submit = "(call $submit (i32.const 4096) (i32.const 5120)) i32.const 1";
    let simple = [
        file("orders_then_returns"),
        Parts { imports: SUBMIT, handle: submit, ..SOUND }.build(),
        Parts { imports: SUBMIT, handle: "i32.const 1", stop: "nop", ..SOUND }.build(),
        SOUND.build(),
    ];
    let stand_in = || file("orders_then_returns");
    built.map(|path| path.map_or_else(stand_in, read)).into_iter().chain(simple).collect()
}

/// All of them.
pub fn members() -> Vec<Member> {
    let mut all = refused();
    all.extend(failing());
    all.extend(inert());
    all
}

fn refused() -> Vec<Member> {
    let from_file =
        |name: &'static str, words| Member { name, bytes: file(name), end: End::Refused(words) };
    let make = |name, bytes, words| Member { name, bytes, end: End::Refused(words) };
    let many = |part: &str, times: usize| module(&part.repeat(times));
    let function = |body: String| Parts { extra: &format!("(func {body})"), ..SOUND }.build();
    let mut padded = file("well_behaved");
    padded.resize(5 << 20, 0);
    let types: String =
        (0..2_000).map(|n| format!("(type (func (param{})))", " i32".repeat(n % 64))).collect();
    vec![
        from_file("four_gib_memory", "bytes in a memory"),
        make("memory64", module("(memory i64 1)"), "memory64"),
        make("many_memories", many("(memory 1)", 10_000), "refused before compilation"),
        make("ten_million_elements", module("(table 10000000 funcref)"), "elements in a table"),
        make("many_globals", many("(global i32 (i32.const 0))", 100_000), "globals, more than"),
        make("many_types", module(&types), "types, more than"),
        make("many_functions", many("(func)", 100_000), "functions, more than"),
        make(
            "many_segments",
            module(&format!("(memory 1){}", "(data (i32.const 0) \"x\")".repeat(100_000))),
            "segments, more than",
        ),
        from_file("imports_env", "imports env"),
        from_file("foreign_component", "imports vendor:broker/orders"),
        from_file("imports_preview1", "imports wasi_snapshot_preview1"),
        from_file("imports_sockets", "imports wasi:sockets/tcp"),
        make("wasi_filesystem", importing("wasi:filesystem/types@0.2.0"), "wasi:filesystem/types"),
        make("wasi_environment", importing("wasi:cli/environment@0.2.0"), "wasi:cli/environment"),
        make("wasi_clocks", importing("wasi:clocks/monotonic-clock@0.2.0"), "wasi:clocks"),
        make("wasi_random", importing("wasi:random/random@0.2.0"), "wasi:random/random"),
        from_file("exports_wrong_types", "does not implement"),
        from_file("without_handle", "handle"),
        make(
            "imports_wrong_types",
            Parts {
                imports: r#"(import "sandpaper:strategy/trading@0.1.0" "submit" (func (param i64)))"#,
                ..SOUND
            }
            .build(),
            "does not implement",
        ),
        make(
            "imports_a_memory",
            Parts {
                imports: r#"(import "sandpaper:strategy/trading@0.1.0" "m" (global i32))"#,
                ..SOUND
            }
            .build(),
            "does not implement",
        ),
        make("simd", module("(func (result v128) v128.const i64x2 0 0)"), "SIMD"),
        make("bomb_of_size", function("nop ".repeat(200_000)), "bytes in a function"),
        make("bomb_of_parameters", function("(param i32)".repeat(900)), "parameters of a function"),
        make("bomb_of_blocks", function("block ".repeat(4_000) + &"end ".repeat(4_000)), "nested blocks"),
        make(
            "bomb_of_branches",
            function(format!("block i32.const 0 br_table {} end", "0 ".repeat(40_000))),
            "targets of a branch table",
        ),
        make("bomb_of_locals", function("(local i32)".repeat(20_000)), "locals in a function"),
        make("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), "not a WebAssembly file"),
        make("padding", padded, "bytes in the file"),
        make("precompiled", b"\x7fELF\x02\x01\x01\0\0\0".to_vec(), "native or precompiled code"),
    ]
}

fn failing() -> Vec<Member> {
    let from_file = |name: &'static str, kind, words| Member {
        name,
        bytes: file(name),
        end: End::Fault(kind, words),
    };
    let not_started = |name: &'static str, kind, words| Member {
        name,
        bytes: file(name),
        end: End::NotStarted(kind, words),
    };
    let make = |name, parts: Parts<'_>, kind, words| Member {
        name,
        bytes: parts.build(),
        end: End::Fault(kind, words),
    };
    let endless = |body: &str| format!("(local $i i32) (loop $more {body} (br $more)) i32.const 1");
    let handle = |name, body: &str, kind, words| {
        make(name, Parts { handle: &endless(body), ..SOUND }, kind, words)
    };
    vec![
        not_started("loop_in_start_section", OutOfFuel, "fuel"),
        not_started("loop_in_describe", OutOfFuel, "fuel"),
        from_file("loop_in_handle", OutOfFuel, "fuel"),
        from_file("loop_in_start", OutOfFuel, "fuel"),
        handle(
            "square_roots",
            "(f64.store (i32.const 0) (f64.sqrt (f64.load (i32.const 0))))",
            OutOfFuel,
            "fuel",
        ),
        handle(
            "divisions",
            "(f64.store (i32.const 0) (f64.div (f64.load (i32.const 0)) (f64.const 3)))",
            OutOfFuel,
            "fuel",
        ),
        handle(
            "walks_pages",
            "(local.set $i (i32.and (i32.add (local.get $i) (i32.const 4096)) (i32.const 0xfffff)))
             (i32.store8 (local.get $i) (i32.const 1))",
            OutOfFuel,
            "fuel",
        ),
        handle(
            "fills_memory",
            "(memory.fill (i32.const 0) (i32.const 7) (i32.const 1048576))",
            OutOfFuel,
            "fuel",
        ),
        from_file("memory_grow_loop", OutOfMemory, "memory bytes"),
        from_file("table_grow_loop", OutOfMemory, "table elements"),
        from_file("deep_recursion", StackOverflow, "stack"),
        make(
            "enters_again",
            Parts {
                imports: SUBMIT,
                realloc: "(call $submit (i32.const 4096) (i32.const 5120)) i32.const 65536",
                ..SOUND
            },
            Protocol,
            "cannot leave component",
        ),
        make("traps_in_start", Parts { start: "unreachable", ..SOUND }, Trap, "unreachable"),
        from_file("panic_in_handle", Trap, "no such level"),
        from_file("divides_by_zero", Trap, "divide by zero"),
        from_file("reads_out_of_bounds", Trap, "out of bounds"),
        make(
            "traps_on_fill",
            Parts {
                imports: SUBMIT,
                handle: "(call $submit (i32.const 4096) (i32.const 5120)) i32.const 1",
                on_order: "unreachable",
                ..SOUND
            },
            Trap,
            "unreachable",
        ),
        make("traps_in_stop", Parts { stop: "unreachable", ..SOUND }, Trap, "unreachable"),
        from_file("log_out_of_bounds", Protocol, "out of bounds"),
        make(
            "log_of_two_gib",
            Parts {
                imports: LOG,
                handle: "(call $log (i32.const 2) (i32.const 0) (i32.const 0x80000000)) i32.const 1",
                ..SOUND
            },
            Protocol,
            "out of bounds",
        ),
        from_file("amplified_metadata", Output, "more data"),
        from_file("endless_order_flood", OutOfFuel, "fuel"),
        from_file("one_huge_log_line", Output, "more data"),
        make(
            "huge_reason",
            Parts {
                imports: SUBMIT,
                handle: "(i32.store offset=92 (i32.const 4096) (i32.const 900000))
                    (call $submit (i32.const 4096) (i32.const 5120)) i32.const 1",
                ..SOUND
            },
            Output,
            "more data",
        ),
        from_file("log_not_utf8", Protocol, "utf-8"),
        from_file("consumes_nothing", Protocol, "0 of"),
        from_file("consumes_too_much", Protocol, "1000000 of"),
        from_file("invalid_log_level", Protocol, "unexpected discriminant: 99"),
    ]
}

fn inert() -> Vec<Member> {
    let make =
        |name, parts: Parts<'_>, look| Member { name, bytes: parts.build(), end: End::Inert(look) };
    let from_file =
        |name: &'static str, look| Member { name, bytes: file(name), end: End::Inert(look) };
    // A loop of five units of fuel a turn, for all but a little of what is given.
    let turns = (FUEL - 10_000) / 5;
    let burn = format!(
        "(local $i i32) (local.set $i (i32.const {turns}))
         (loop $more (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
         i32.const 1"
    );
    let orders = senseless_orders();
    let numbers = orders_without_numbers();
    vec![
        make("burns_nearly_all_fuel", Parts { handle: &burn, ..SOUND }, stays_within_its_fuel),
        from_file("order_flood", loses_its_orders),
        from_file("orders_then_returns", trades),
        from_file("log_flood", loses_its_lines),
        make(
            "prints_controls",
            Parts {
                imports: LOG,
                extra: r#"(data (i32.const 8192) "a\00b\1b[31mc\e2\80\aed\e2\80\8be\0af\0dg\c2\9b")"#,
                handle: "(call $log (i32.const 2) (i32.const 8192) (i32.const 20)) i32.const 1",
                ..SOUND
            },
            prints_nothing_hidden,
        ),
        make(
            "prints_markup",
            Parts {
                imports: LOG,
                extra: r#"(data (i32.const 8192) "<script>=cmd()\0a{\22type\22:\22fill\22}")"#,
                handle: "(call $log (i32.const 2) (i32.const 8192) (i32.const 30)) i32.const 1",
                ..SOUND
            },
            prints_nothing_hidden,
        ),
        make(
            "orders_without_numbers",
            Parts { imports: SUBMIT, handle: &numbers, ..SOUND },
            has_every_order_refused,
        ),
        make(
            "senseless_orders",
            Parts { imports: SUBMIT, handle: &orders, ..SOUND },
            has_every_order_refused,
        ),
        make(
            "nan_payloads",
            Parts {
                imports: INDICATOR,
                extra: r#"(data (i32.const 8192) "n")"#,
                handle: "(call $indicator (i32.const 8192) (i32.const 1)
                    (f64.reinterpret_i64 (i64.const 0xfff4_dead_beef_0001))) i32.const 1",
                ..SOUND
            },
            shows_the_canonical_nan,
        ),
    ]
}

/// Two that look at the last word they are given: one of the whole batch, and one
/// of its first event alone.
fn readers() -> Vec<Member> {
    let reader = |name, length: &str| Member {
        name,
        bytes: Parts {
            imports: SUBMIT,
            handle: &format!(
                "(if (i32.and (i32.const 3) (i32.load (i32.add (local.get $words)
                        (i32.mul (i32.const 8) (i32.sub {length} (i32.const 1))))))
                    (then (call $submit (i32.const 4096) (i32.const 5120))))
                 i32.const 1"
            ),
            ..SOUND
        }
        .build(),
        end: End::Inert(|_| ()),
    };
    // A trade has five words, a book two and two for each level.
    let own = "(if (result i32) (i32.eq (i32.const 1) (i32.load8_u (local.get $words)))
        (then (i32.const 5))
        (else (i32.add (i32.const 2) (i32.mul (i32.const 2) (i32.add
            (i32.load16_u offset=4 (local.get $words))
            (i32.load16_u offset=6 (local.get $words)))))))";
    vec![reader("reads_ahead", "(local.get $count)"), reader("reads_in_order", own)]
}

/// Sizes that are no sizes, as bits.
fn orders_without_numbers() -> String {
    let sizes = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        f64::from_bits(1),
        1e308,
        -1.0,
        0.0,
        u64::MAX as f64,
    ];
    let mut text = String::new();
    for size in sizes {
        text += &format!(
            "(i64.store offset=16 (i32.const 4096) (i64.const {}))
             (call $submit (i32.const 4096) (i32.const 5120))",
            size.to_bits()
        );
    }
    text + "i32.const 1"
}

/// Selling and covering what is not held, a stop-loss above the price of a
/// purchase, a symbol that is not there.
fn senseless_orders() -> String {
    let order = |action: u8, symbol: u8| {
        format!(
            "(i32.store8 (i32.const 4096) (i32.const {action}))
             (i32.store16 offset=2 (i32.const 4096) (i32.const {symbol}))
             (call $submit (i32.const 4096) (i32.const 5120))"
        )
    };
    let stop = "(i32.store8 offset=56 (i32.const 4096) (i32.const 1))
        (f64.store offset=64 (i32.const 4096) (f64.const 1e9))";
    format!("{}{}{}{stop}{} i32.const 1", order(1, 0), order(3, 0), order(0, 9), order(0, 0))
}

fn stays_within_its_fuel(ended: &Ended) {
    let most = ended.report.usage.fuel_max_per_event;
    assert!(most <= FUEL && most > FUEL / 10 * 9, "{most}");
}

fn loses_its_orders(ended: &Ended) {
    let counters = ended.report.counters;
    assert!(counters.rejected > 900 * 10, "{counters:?}");
    assert!(ended.news.iter().any(|n| matches!(n.body, LaneOutput::Dropped { orders: 984 })));
}

fn trades(ended: &Ended) {
    assert!(ended.report.statistics.fill_count > 0);
}

fn loses_its_lines(ended: &Ended) {
    assert!(ended.report.counters.logs_dropped > 9_000, "{:?}", ended.report.counters);
    let held: usize = texts(ended).map(str::len).sum();
    assert!(held <= 3 << 20, "{held} bytes");
}

fn texts(ended: &Ended) -> impl Iterator<Item = &str> {
    ended.news.iter().filter_map(|news| match &news.body {
        LaneOutput::Log { text, .. } => Some(text.as_str()),
        _ => None,
    })
}

fn prints_nothing_hidden(ended: &Ended) {
    assert!(texts(ended).count() > 0);
    for text in texts(ended) {
        let hidden = |c: char| {
            c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        };
        assert!(!text.contains(hidden), "{text:?}");
    }
}

fn has_every_order_refused(ended: &Ended) {
    let counters = ended.report.counters;
    // Orders of the last moments are still on their way to the venue at the end.
    let under_way = counters.orders - counters.rejected;
    assert!(counters.orders > 100 && under_way * 20 < counters.orders, "{counters:?}");
    assert_eq!(ended.report.statistics.fill_count, 0);
    let told = |reason: RejectReason| {
        ended
            .news
            .iter()
            .any(|news| matches!(&news.body, LaneOutput::Reject { reason: r, .. } if *r == reason))
    };
    let known = [
        RejectReason::InvalidNumber,
        RejectReason::InsufficientPosition,
        RejectReason::WrongSide,
        RejectReason::UnknownSymbol,
    ];
    assert!(known.into_iter().filter(|reason| told(*reason)).count() >= 1);
}

fn shows_the_canonical_nan(ended: &Ended) {
    let [(name, value)] = &ended.report.indicators[..] else {
        panic!("{:?}", ended.report.indicators)
    };
    assert_eq!((name.as_str(), value.to_bits()), ("n", f64::NAN.to_bits()));
}
