//! Snapshots: they make a restart shorter, and never wrong.

use std::fs;
use std::path::{Path, PathBuf};

use sandpaper::journal::{
    HEAD_LEN, HEADER_LEN, Kind, Record, Scanner, SnapshotRecord, decode, encode,
};
use sandpaper_tests::{Folder, repository};
use serde_json::Value;

use crate::crash::TRADER;
use crate::record::retold;

/// Ten minutes of a lively market as fast as it goes, with a snapshot every so often.
const RUN: &[&str] = &[
    "run",
    "--duration",
    "10m",
    "--json",
    "--set",
    "feed.sim.speed=0",
    "--set",
    "feed.sim.volatility=2",
    "--set",
    "record.snapshot_every=1000",
];

/// What must be the same at the end.
const FIGURES: [&str; 8] =
    ["name", "chain", "orders", "fills", "rejected", "cash", "equity", "fees"];

fn ready() -> Option<Folder> {
    let folder = Folder::new();
    for name in ["market-making", "order-flow"] {
        let file = format!("strategies/{name}.wasm");
        folder.write(&file, fs::read(repository::guest(name)?).expect("readable"));
        folder.run(&["allow", &file, "--yes"]).expect(0);
    }
    Some(folder)
}

fn outcome(stdout: &str) -> Vec<Vec<Value>> {
    let result: Value = serde_json::from_str(stdout).expect("JSON");
    let strategies = result["strategies"].as_array().expect("strategies");
    let figures = |one: &Value| FIGURES.map(|figure| one[figure].clone()).to_vec();
    let mut all: Vec<Vec<Value>> = strategies.iter().map(figures).collect();
    all.push(vec![result["events"].clone()]);
    all
}

fn run_of(folder: &Folder) -> PathBuf {
    let entries = fs::read_dir(folder.path("runs")).expect("a folder").flatten();
    let mut runs: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.is_dir()).collect();
    runs.sort();
    assert_eq!(runs.len(), 1, "one run, however often it is continued");
    runs.remove(0)
}

/// The records of a run's only segment.
fn records(run: &Path) -> (PathBuf, Vec<Record>) {
    let mut segments = repository::files(run, ".journal");
    assert_eq!(segments.len(), 1, "a short run");
    let (segment, mut records) = (segments.remove(0), Vec::new());
    let bytes = fs::read(&segment).expect("readable");
    Scanner::default().segment(&bytes, true, |record| records.push(record)).expect("sound");
    (segment, records)
}

/// Cuts the record a little behind its last snapshot, inside of a record, as a crash
/// does: nothing tells of an end.
fn cut(run: &Path) {
    let result = run.join("result.json");
    let told = fs::read_to_string(&result).expect("a result");
    fs::write(&result, told.replacen("\"ended\"", "\"running\"", 1)).expect("written");
    let (segment, records) = records(run);
    let last = records.iter().rposition(|one| one.kind == Kind::Snapshot).expect("a snapshot");
    let length: usize = records[..=last].iter().map(|one| HEAD_LEN + one.payload.len()).sum();
    let file = fs::OpenOptions::new().write(true).open(&segment).expect("a file");
    file.set_len((HEADER_LEN + length + 50) as u64).expect("cut");
}

fn snapshots(run: &Path) -> Vec<PathBuf> {
    repository::files(run, ".snapshot")
}

fn verified(folder: &Folder, run: &Path) -> Value {
    let finished = folder.run(&["verify", run.to_str().expect("a plain path"), "--json"]).expect(0);
    serde_json::from_str(&finished.stdout).expect("JSON")
}

/// How many records a restart says that it took again.
fn taken(stderr: &str) -> u64 {
    let (_, after) = stderr.split_once("events: took ").expect("it says what it took again");
    let number: String =
        after.chars().take_while(|c| *c != ' ').filter(char::is_ascii_digit).collect();
    number.parse().expect("a number")
}

/// The file from which a restart goes on, and the one before it.
fn used(run: &Path) -> [PathBuf; 2] {
    let (_, records) = records(run);
    let all = records.iter().filter(|one| one.kind == Kind::Snapshot);
    let numbers: Vec<u64> = all.map(|one| one.seq).collect();
    let path =
        |from_end: usize| run.join(format!("{:020}.snapshot", numbers[numbers.len() - from_end]));
    let both = [path(2), path(3)];
    assert!(both.iter().all(|path| path.is_file()), "{both:?}: {:?}", snapshots(run));
    both
}

/// Cuts off the word of the end, and what follows it: the strategies are stopped, and
/// nothing says that the run is over.
fn cut_the_end(run: &Path) {
    let result = run.join("result.json");
    let told = fs::read_to_string(&result).expect("a result");
    fs::write(&result, told.replacen("\"ended\"", "\"running\"", 1)).expect("written");
    let (segment, records) = records(run);
    let end = records.iter().rposition(|one| one.kind == Kind::Ended).expect("an end");
    let length: usize = records[..end].iter().map(|one| HEAD_LEN + one.payload.len()).sum();
    let file = fs::OpenOptions::new().write(true).open(&segment).expect("a file");
    file.set_len((HEADER_LEN + length) as u64).expect("cut");
}

/// A program that dies between its last decisions and the word of the end.
#[test]
fn high_004_a_run_that_lacks_only_its_last_word_goes_on_from_a_snapshot() {
    let Some(folder) = ready() else { return };
    let whole = folder.run(RUN).expect(0);
    let run = run_of(&folder);
    cut_the_end(&run);
    let again = folder.run(RUN).expect(0);
    assert!(again.stderr.contains("behind the snapshot of record"), "{}", again.stderr);
    assert_eq!(outcome(&again.stdout), outcome(&whole.stdout));
    assert_eq!(verified(&folder, &run)["status"], "ended");
}

/// The bit in the middle of a file is another one from now on.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("written");
}

#[test]
fn high_004_b13_a_restart_takes_only_what_lies_behind_the_snapshot() {
    let Some(folder) = ready() else { return };
    let whole = outcome(&folder.run(RUN).expect(0).stdout);
    let run = run_of(&folder);
    assert_eq!(snapshots(&run).len(), 3, "the last three are kept");
    let records = verified(&folder, &run)["records"].as_u64().expect("a number");
    // Twice: the second restart goes on from what the first one wrote.
    for _ in 0..2 {
        cut(&run);
        let again = folder.run(RUN).expect(0);
        assert!(again.stderr.contains("behind the snapshot of record"), "{}", again.stderr);
        let taken = taken(&again.stderr);
        assert!(taken * 3 < records, "{taken} of {records} records were taken again");
        assert_eq!(outcome(&again.stdout), whole);
        let verified = verified(&folder, &run);
        assert_eq!(verified["status"], "ended", "{verified}");
    }
}

#[test]
fn high_004_b7_a_snapshot_with_a_changed_bit_is_not_used() {
    let Some(folder) = ready() else { return };
    let whole = outcome(&folder.run(RUN).expect(0).stdout);
    let run = run_of(&folder);
    cut(&run);
    // A still older one takes more again, and all of it when that is bad too.
    flip(&used(&run)[0]);
    let again = folder.run(RUN).expect(0);
    assert!(again.stderr.contains("is not used: it is not the file"), "{}", again.stderr);
    assert!(again.stderr.contains("behind the snapshot of record"), "{}", again.stderr);
    assert_eq!(outcome(&again.stdout), whole);
    cut(&run);
    // The other one too: now both are bad.
    flip(&used(&run)[1]);
    let again = folder.run(RUN).expect(0);
    assert!(!again.stderr.contains("behind the snapshot of record"), "{}", again.stderr);
    assert!(again.stderr.contains("is not used"), "{}", again.stderr);
    assert_eq!(outcome(&again.stdout), whole);
    verified(&folder, &run);
}

#[test]
fn high_004_a_state_that_differs_is_found_by_its_hash() {
    let Some(folder) = ready() else { return };
    folder.run(RUN).expect(0);
    let run = run_of(&folder);
    let told = |change: &dyn Fn(&mut SnapshotRecord)| {
        let lie = retold(&run, |record| {
            if record.kind == Kind::Snapshot {
                let mut snapshot: SnapshotRecord = decode(&record.payload).expect("a snapshot");
                change(&mut snapshot);
                record.payload = encode(&snapshot).expect("encoded");
            }
            true
        });
        let path = lie.path().join("lie");
        let finished = folder.run(&["verify", path.to_str().expect("plain")]);
        (finished.code, finished.stdout)
    };
    // The control: told again as it was.
    let (code, text) = told(&|_| ());
    assert_eq!(code, Some(0), "{text}");
    type Change = fn(&mut SnapshotRecord);
    let lies: [(Change, &str); 4] = [
        (|one| one.lanes[0].host = "0".repeat(32), "market-making: its state is another"),
        (|one| one.lanes[1].saved = Some("0".repeat(32)), "order-flow: what it saves is another"),
        (|one| one.shared = "0".repeat(32), "the market's state is another"),
        (|one| one.events += 1, "it tells of a state after other inputs"),
    ];
    for (change, words) in lies {
        let (code, text) = told(&change);
        assert_eq!(code, Some(7), "{words}: {text}");
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn high_004_a_strategy_that_saves_too_little_goes_on_by_a_whole_replay() {
    let folder = Folder::new();
    // It buys at its first fifty events, and says that it has no state.
    let forgetful = TRADER.replace(
        "(call $submit (i32.const 4096) (i32.const 5120))",
        "(if (i32.lt_u (global.get $seen) (i32.const 50)) (then
          (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
          (call $submit (i32.const 4096) (i32.const 5120))))",
    );
    let forgetful = forgetful.replace(
        "(func (export \"stop\"))",
        "(global $seen (mut i32) (i32.const 0)) (func (export \"stop\"))",
    );
    folder.write("forgetful.wasm", wat::parse_str(forgetful).expect("a module"));
    let run = [RUN, &["--unsigned", "--wasm", "forgetful.wasm", "--symbols", "XRP/USD"]].concat();
    let whole = outcome(&folder.run(&run).expect(0).stdout);
    let path = run_of(&folder);
    cut(&path);
    let again = folder.run(&run).expect(0);
    assert!(again.stderr.contains("forgetful does otherwise"), "{}", again.stderr);
    assert_eq!(outcome(&again.stdout), whole);
}
