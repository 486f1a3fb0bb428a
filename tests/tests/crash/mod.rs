//! The record under faults: kills, disks that fail, power that goes.
//!
//! What is shown, where, with its control, and how much of it runs in CI and by
//! `make crash`. "Journal" and "recorder" are the unit tests of these modules,
//! the rest stands here or in the named module.
//!
//! | | what | test, and its control | CI | full |
//! |---|---|---|---|---|
//! | B1 | killed at any moment, two thirds across snapshots: nothing shown is lost, nothing is kept twice, and a replay agrees | `kills`, and on a live feed `live`; a record that lacks its last fill is noticed | 200 kills | 10,000 |
//! | B1 | killed and taken up again: the same chain, fills and equity as without a kill | `restarts`; a run that begins anew is noticed | 8 runs | 1,000 |
//! | B2 | killed at a system call | `syscalls`; the same control | 24 points | every point of every call |
//! | B3 | killed while a run is taken up, twice and three times | `restarts`; the same control | 5 points | the first 40 |
//! | B4 | the power goes | `power`: images from the trace of a real run, and recorder: images of a disk in memory; both without syncs, which must lose | 3,000 + 5,000 | 100,000 |
//! | B5 | operations fail once or for ever, or write less | recorder: every operation; `syscalls`: the real program; without a fault the run ends well | 4 errors × all operations; 16 points | every point |
//! | B6 | cut at every byte, rubbish behind | journal; an acknowledged record is damage, not a torn tail | all | all |
//! | B7 | flipped bits | journal, `record`; a mended checksum is found by the chain | 4 KiB of bits + 20,000 | 1,000,000 |
//! | B7 | a bit of a snapshot is another | `snapshot`: it is not used, and the run ends the same; a state that differs is found by its hash | all | all |
//! | B8 | segments swapped, missing, doubled, of another run | journal; in their order they are sound | all | all |
//! | B9 | killed while logs are rotated and packed | `rotation`; a record that is taken out is noticed | 16 points | every point |
//! | B10 | a second program | recorder, `record`; after the first has ended it runs | all | all |
//! | B11 | the wall clock jumps | recorder; another record is told apart | all | all |
//! | B12 | the disk stalls | `syscalls`; nothing is shown meanwhile, and the stall is seen; on a live feed `live`: it stays connected and loses nothing | 1 s | 5 s |
//! | B13 | a restart takes what lies behind a snapshot again | `snapshot`: counted in records; a strategy that saves too little goes on by a whole replay; timed by `make restart` | 100,000 inputs | 1,000,000 in 2 s |
//! | B14 | ended by a signal: in order, within 5 s, all of it kept | `ends`; a kill leaves it cut | 4 | 4 |
//! | B15 | ordinary log lines wait a second at most | `rotation`; fills do not wait | all | all |
//!
//! `SANDPAPER_KILLS`, `SANDPAPER_RESTARTS`, `SANDPAPER_CRASH_POINTS` and
//! `SANDPAPER_CRASH_IMAGES` set the sizes.
#![allow(clippy::print_stdout, reason = "how much was tried is part of the result")]

mod ends;
mod kept;
mod kills;
mod live;
mod power;
pub mod restarts;
mod rotation;
mod strace;
mod syscalls;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use sandpaper_tests::{Folder, repository};
use serde_json::Value;

use kept::Kept;

/// Buys one unit at every trade, so that nearly every step has a fill. Compiled in
/// no time.
pub const TRADER: &str = r#"(module
  (import "sandpaper:strategy/trading@0.1.0" "submit"
    (func $submit (param $order i32) (param $result i32)))
  (memory (export "memory") 16)
  ;; The description at 1024: one subscription at 600, trades of every symbol.
  (data (i32.const 1048) "\58\02\00\00\01\00\00\00")
  ;; The order at 4096: buy one base unit of symbol 0 at the market.
  (data (i32.const 4112) "\00\00\00\00\00\00\f0\3f")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    i32.const 65536)
  (func (export "describe") (result i32)
    i32.const 1024)
  (func (export "start")
    (param i32 i32 i64 i64 i32 i32 i32 i32 i32 i32 f64 f64 i32 i32) (result i32)
    i32.const 2048)
  (func (export "handle") (param $words i32) (param $count i32) (result i32)
    (call $submit (i32.const 4096) (i32.const 5120))
    i32.const 1)
  (func (export "on-order") (param $update i32))
  (func (export "stop"))
  (func (export "save") (result i32)
    i32.const 2048)
  (func (export "load") (param i32 i32 i32 i32) (result i32)
    i32.const 2048))"#;

/// What was shown of each strategy's fills: the position after each, in order.
type Shown = BTreeMap<String, Vec<String>>;

/// A folder with that many strategies that always trade.
fn ready(strategies: usize) -> Folder {
    let folder = Folder::new();
    let module = wat::parse_str(TRADER).expect("a module");
    for number in 0..strategies {
        folder.write(&format!("t{number}.wasm"), &module);
    }
    folder
}

/// How the strategies of [`ready`] are run on a market at this multiple of the
/// wall clock's pace; "0" is as fast as it goes.
fn trading(folder: &Folder, speed: &str, more: &[&str]) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["run", "--simulated", "--unsigned", "--json"].map(str::to_owned).into();
    for number in 0.. {
        let name = format!("t{number}.wasm");
        if !folder.path(&name).is_file() {
            break;
        }
        arguments.extend(["--wasm".to_owned(), name]);
    }
    arguments.extend(["--symbols", "XRP/USD"].map(str::to_owned));
    for setting in [
        &format!("feed.sim.speed={speed}"),
        "portfolio.capital=10000000",
        "feed.sim.trade_rate_hz=10",
        "log.format=json",
    ] {
        arguments.extend(["--set".to_owned(), setting.to_owned()]);
    }
    arguments.extend(more.iter().map(|&argument| argument.to_owned()));
    arguments
}

/// A market with a trade every twenty seconds and much else: as fast as it goes, a
/// step then has a few fills, and every run makes the same calls.
const CALM: [&str; 4] = ["--set", "feed.sim.trade_rate_hz=0.05", "--set", "feed.sim.rate_hz=30"];

/// A snapshot every few hundred inputs, so that kills fall before, into and behind some;
/// every third run has none.
fn snapshots(seed: u64) -> String {
    format!("record.snapshot_every={}", seed % 3 * 300)
}

/// No log files, where only the record matters.
const NO_LOGS: [&str; 2] = ["--set", "log.files.enabled=false"];

fn strs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// The position that a line of the log tells of a fill, with the strategy's name.
fn shown_fill(line: &str) -> Option<(String, String)> {
    // A line that a kill cut in two was not shown.
    let record: Value = serde_json::from_str(line).ok()?;
    let (fields, text) = (&record["fields"], record["fields"]["message"].as_str()?);
    let (_, after) = text.split_once(" (fee ")?.1.split_once("), position ")?;
    let position = after.split(" · ").next()?;
    Some((fields["strategy"].as_str()?.to_owned(), position.to_owned()))
}

fn shown_in<'a>(lines: impl Iterator<Item = &'a str>) -> Shown {
    let mut shown = Shown::new();
    for (strategy, position) in lines.filter_map(shown_fill) {
        shown.entry(strategy).or_default().push(position);
    }
    shown
}

fn count(shown: &Shown) -> usize {
    shown.values().map(Vec::len).sum()
}

/// Starts the program, its log to be read here.
fn start(folder: &Folder, arguments: &[String]) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = folder
        .command(&strs(arguments))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let log = BufReader::new(child.stderr.take().expect("piped"));
    (child, log)
}

/// Reads the log to its end, and calls `at` once that many fills were shown.
fn read_log(
    log: BufReader<impl std::io::Read>,
    fills: usize,
    at: impl FnOnce(),
) -> (Shown, String) {
    let (mut text, mut seen, mut at) = (String::new(), 0, Some(at));
    for line in log.lines() {
        let line = line.expect("a log");
        seen += usize::from(shown_fill(&line).is_some());
        text.push_str(&line);
        text.push('\n');
        if seen >= fills
            && let Some(at) = at.take()
        {
            at();
        }
    }
    (shown_in(text.lines()), text)
}

/// The one run in the folder, which is taken out of it, so that the next one makes
/// the same calls as the first.
fn take_run(folder: &Folder) -> Option<PathBuf> {
    let runs = folder.runs();
    assert!(runs.len() <= 1, "{runs:?}");
    let taken = folder.path("taken");
    let _ = std::fs::remove_dir_all(&taken);
    let run = runs.first().map(|run| std::fs::rename(run, &taken));
    let _ = std::fs::remove_dir_all(folder.path("runs"));
    forgive(folder);
    run.map(|moved| {
        moved.expect("moved");
        taken
    })
}

/// Takes away what says in whose turn the program was killed: a trial at each start
/// would make no difference here, and take its time.
fn forgive(folder: &Folder) {
    let state = folder.path(".state");
    let marks = if state.is_dir() { repository::files(&state, ".running") } else { Vec::new() };
    marks.iter().for_each(|mark| std::fs::remove_file(mark).expect("removed"));
}

/// Everything that was shown is kept once, and the record proves it.
fn prove(folder: &Folder, run: &Path, shown: &Shown) -> Result<Kept, String> {
    let kept = Kept::read(run)?;
    kept.holds(shown)?;
    let run = run.to_str().expect("a plain path");
    let mut arguments = vec!["verify", run, "--json", "--unsigned"];
    let modules: Vec<String> = (0..kept.strategies).map(|n| format!("t{n}.wasm")).collect();
    modules.iter().for_each(|module| arguments.extend(["--wasm", module]));
    let verified = folder.run(&arguments);
    if verified.code != Some(0) {
        return Err(format!("verify: {verified:?}"));
    }
    let told: Value = serde_json::from_str(&verified.stdout).map_err(|error| error.to_string())?;
    if told["findings"] != serde_json::json!([]) || told["fills"] != kept.fill_count() {
        return Err(format!("{} fills are kept, and verify tells {told}", kept.fill_count()));
    }
    Ok(kept)
}

/// A size from the environment.
fn size(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Does `work` for every number below `many`, on as many threads as there are
/// processors, each with a folder of its own.
fn everywhere(many: u64, folder: impl Fn() -> Folder + Sync, work: impl Fn(&Folder, u64) + Sync) {
    let next = AtomicU64::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let folder = folder();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= many {
                        break;
                    }
                    work(&folder, number);
                }
            });
        }
    });
}
