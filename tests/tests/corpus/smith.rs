//! Random modules through `check`, as a user runs it. Modules of random shape are
//! nearly all refused; those made here have the imports and exports of a strategy and
//! describe themselves well, so that what is random in them runs.

use std::collections::BTreeMap;

use arbitrary::Unstructured;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use sandpaper_tests::Folder;
use serde_json::Value;
use wasm_smith::{Config, Module};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

use super::guests::{INDICATOR, LOG, SUBMIT};

/// Functions of a strategy of which no byte is random: without them none would run.
/// Random data may lie where they answer, so each makes its place clean.
fn shape() -> Vec<u8> {
    let clean = "(memory.fill (i32.const 512) (i32.const 0) (i32.const 2048))";
    let text = format!(
        r#"(module {SUBMIT} {LOG} {INDICATOR} (memory (export "memory") 16)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536)
        (func (export "describe") (result i32) {clean}
            (i32.store (i32.const 1048) (i32.const 600))
            (i32.store (i32.const 1052) (i32.const 1))
            i32.const 1024)
        (func (export "start")
            (param i32 i32 i64 i64 i32 i32 i32 i32 i32 i32 f64 f64 i32 i32) (result i32)
            {clean} i32.const 2048)
        (func $noise (export "noise") (param i32 i32) (result i32) unreachable)
        (func (export "handle") (param i32 i32) (result i32)
            (drop (call $noise (local.get 0) (local.get 1))) i32.const 1)
        (func (export "on-order") (param i32) unreachable)
        (func (export "stop") unreachable)
        (func (export "save") (result i32) {clean} i32.const 2048)
        (func (export "load") (param i32 i32 i32 i32) (result i32) {clean} i32.const 2048))"#
    );
    wat::parse_str(text).expect("wat")
}

/// The names whose bodies are taken from [`shape`]; of every second module only the
/// first five: its answers are random too, and end it at its first event.
const FIXED: [&str; 6] = ["cabi_realloc", "describe", "start", "save", "load", "handle"];

/// The bodies of a module's own functions, and which of them it exports by what name.
struct Code {
    bodies: Vec<Vec<u8>>,
    exported: BTreeMap<String, usize>,
}

fn code(module: &[u8]) -> Code {
    let (mut imported, mut bodies, mut exported) = (0, Vec::new(), BTreeMap::new());
    for payload in Parser::new(0).parse_all(module).map(|payload| payload.expect("valid")) {
        match payload {
            Payload::ImportSection(reader) => {
                let all = reader.into_imports().map(|import| import.expect("valid").ty);
                imported = all.filter(|ty| matches!(ty, TypeRef::Func(_))).count();
            }
            Payload::ExportSection(reader) => {
                let all = reader.into_iter().map(|export| export.expect("valid"));
                for export in all.filter(|export| export.kind == ExternalKind::Func) {
                    exported.insert(export.name.to_owned(), export.index as usize - imported);
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(module[body.range()].to_vec()),
            _ => {}
        }
    }
    Code { bodies, exported }
}

/// A number as WebAssembly writes lengths.
fn length(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// The module with the fixed functions' bodies in the place of its own.
fn with_fixed(module: &[u8], fixed: &Code, names: &[&str]) -> Vec<u8> {
    const CODE: u8 = 10;
    let Code { mut bodies, exported } = code(module);
    // What they call by its number is what they call in the shape.
    assert_eq!(exported, fixed.exported);
    for name in names {
        bodies[exported[*name]].clone_from(&fixed.bodies[fixed.exported[*name]]);
    }
    let mut section = length(bodies.len());
    for body in bodies {
        section.extend(length(body.len()));
        section.extend(body);
    }
    let mut whole = module[..8].to_vec();
    for payload in Parser::new(0).parse_all(module).map(|payload| payload.expect("valid")) {
        if let Some((id, range)) = payload.as_section() {
            let content = if id == CODE { &section[..] } else { &module[range] };
            whole.push(id);
            whole.extend(length(content.len()));
            whole.extend(content);
        }
    }
    whole
}

/// What this host lets a module have, so that it is not refused for the proposals that
/// it uses.
fn settings() -> Config {
    Config {
        module_shape: Some(shape()),
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        reference_types_enabled: false,
        relaxed_simd_enabled: false,
        simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        max_memories: 1,
        max_tables: 2,
        max_table_elements: 1_000,
        min_funcs: 4,
        ..Config::default()
    }
}

/// How far the modules came, by the findings of `check`.
#[derive(Debug, Default)]
struct Came {
    refused: u32,
    described: u32,
    failed: u32,
    well: u32,
}

impl Came {
    fn count(&mut self, checked: &Value) {
        let finding = |code: &str| {
            let all = checked["findings"].as_array().expect("findings");
            all.iter().find(|finding| finding["code"] == code).cloned()
        };
        let Some(described) = finding("describe") else {
            self.refused += 1;
            return;
        };
        self.described += u32::from(described["ok"] == true);
        let Some(events) = finding("events") else { return };
        self.failed += u32::from(events["ok"] == false);
        self.well += u32::from(events["ok"] == true);
        // Whatever a module does, it does it again.
        let same = finding("determinism").expect("a finding");
        assert_eq!(same["ok"], true, "{checked}");
    }
}

/// `SANDPAPER_SMITH=1000` for more; `SANDPAPER_SEED` repeats a run.
#[test]
#[allow(clippy::print_stderr, reason = "a random test names its seed")]
fn crit_001_random_strategies_are_checked_without_a_panic() {
    let number = |name: &str, usual: u64| {
        std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
    };
    let (times, seed) = (number("SANDPAPER_SMITH", 100), number("SANDPAPER_SEED", 20_261_125));
    eprintln!("SANDPAPER_SEED={seed}");
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (fixed, mut came, mut made) = (code(&shape()), Came::default(), 0);
    while made < times {
        let folder = Folder::new();
        let mut names = Vec::new();
        while names.len() < 50 && made < times {
            let mut bytes = vec![0; 4_096];
            random.fill_bytes(&mut bytes);
            let module = Module::new(settings(), &mut Unstructured::new(&bytes));
            let Ok(module) = module else { continue };
            let name = format!("random-{made}.wasm");
            let names_fixed = &FIXED[..FIXED.len() - (made % 2) as usize];
            folder.write(&name, with_fixed(&module.to_bytes(), &fixed, names_fixed));
            names.push(name);
            made += 1;
        }
        let mut arguments = vec!["check", "--json"];
        arguments.extend(names.iter().map(String::as_str));
        let checked = folder.run(&arguments);
        // A panic ends with 101, what the system ends with no code at all.
        assert!(matches!(checked.code, Some(0 | 5 | 7)), "seed {seed}: {checked:?}");
        assert!(!checked.stderr.contains("panicked"), "seed {seed}: {}", checked.stderr);
        let told: Value = serde_json::from_str(&checked.stdout).expect("JSON");
        let told = told["data"].as_array().expect("a list");
        assert_eq!(told.len(), names.len(), "seed {seed}");
        told.iter().for_each(|checked| came.count(checked));
    }
    eprintln!("of {made}: {came:?}");
    // Of little worth where most are refused at the door, as modules of any shape are.
    assert!(u64::from(came.described) > times / 2, "seed {seed}: {came:?}");
    assert!(came.failed > 0 && came.well > 0, "seed {seed}: {came:?}");
}
