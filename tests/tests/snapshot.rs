//! Snapshots: they make a restart shorter, and never wrong.
#![allow(clippy::print_stdout, reason = "how long it took is part of the result")]

use std::fs;
use std::path::{Path, PathBuf};

use sandpaper::journal::{
    HEAD_LEN, HEADER_LEN, Kind, Record, Scanner, SnapshotRecord, decode, encode,
};
use sandpaper_tests::{Finished, Folder, repository};

use crate::crash::TRADER;
use crate::crash::restarts::Outcome;
use crate::record::retold;
use crate::restart::{RUN, untell_the_end, verified};

/// A snapshot every so often.
const OFTEN: &[&str] = &["--set", "record.snapshot_every=1000"];

fn ready() -> Option<Folder> {
    let folder = Folder::new();
    for name in ["market-making", "order-flow"] {
        folder.allow_guest(name, name)?;
    }
    Some(folder)
}

fn run(folder: &Folder) -> Finished {
    folder.run(&[RUN, OFTEN].concat()).expect(0)
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

/// Cuts the record behind its first `count` records and `more` bytes, as a crash does:
/// nothing tells of an end.
fn cut_behind((segment, records): (&Path, &[Record]), count: usize, more: usize) {
    untell_the_end(segment.parent().expect("a run"));
    let length: usize = records[..count].iter().map(|one| HEAD_LEN + one.payload.len()).sum();
    let file = fs::OpenOptions::new().write(true).open(segment).expect("a file");
    file.set_len((HEADER_LEN + length + more) as u64).expect("cut");
}

/// Cuts it a little behind its last snapshot, inside of a record.
fn cut(run: &Path) {
    let (segment, records) = records(run);
    let last = records.iter().rposition(|one| one.kind == Kind::Snapshot).expect("a snapshot");
    cut_behind((&segment, &records), last + 1, 50);
}

fn snapshots(run: &Path) -> Vec<PathBuf> {
    repository::files(run, ".snapshot")
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
    let (segment, records) = records(run);
    let end = records.iter().rposition(|one| one.kind == Kind::Ended).expect("an end");
    cut_behind((&segment, &records), end, 0);
}

/// A program that dies between its last decisions and the word of the end.
#[test]
fn high_004_a_run_that_lacks_only_its_last_word_goes_on_from_a_snapshot() {
    let Some(folder) = ready() else { return };
    let whole = run(&folder);
    let path = folder.only_run();
    cut_the_end(&path);
    let again = run(&folder);
    assert!(again.stderr.contains("behind the snapshot of record"), "{}", again.stderr);
    assert_eq!(Outcome::of(&again.stdout), Outcome::of(&whole.stdout));
    assert_eq!(verified(&folder, &path)["status"], "ended");
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
    let whole = Outcome::of(&run(&folder).stdout);
    let path = folder.only_run();
    assert_eq!(snapshots(&path).len(), 3, "the last three are kept");
    let records = verified(&folder, &path)["records"].as_u64().expect("a number");
    // Twice: the second restart goes on from what the first one wrote.
    for _ in 0..2 {
        cut(&path);
        let again = run(&folder);
        assert!(again.stderr.contains("behind the snapshot of record"), "{}", again.stderr);
        let taken = taken(&again.stderr);
        assert!(taken * 3 < records, "{taken} of {records} records were taken again");
        assert_eq!(Outcome::of(&again.stdout), whole);
        let verified = verified(&folder, &path);
        assert_eq!(verified["status"], "ended", "{verified}");
    }
}

#[test]
fn high_004_b7_a_snapshot_with_a_changed_bit_is_not_used() {
    let Some(folder) = ready() else { return };
    let whole = Outcome::of(&run(&folder).stdout);
    let path = folder.only_run();
    cut(&path);
    // A still older one takes more again, and all of it when that is bad too.
    flip(&used(&path)[0]);
    let again = run(&folder);
    assert!(again.stderr.contains("is not used: it is not the file"), "{}", again.stderr);
    assert!(again.stderr.contains("behind the snapshot of record"), "{}", again.stderr);
    assert_eq!(Outcome::of(&again.stdout), whole);
    cut(&path);
    // The other one too: now both are bad.
    flip(&used(&path)[1]);
    let again = run(&folder);
    assert!(!again.stderr.contains("behind the snapshot of record"), "{}", again.stderr);
    assert!(again.stderr.contains("is not used"), "{}", again.stderr);
    assert_eq!(Outcome::of(&again.stdout), whole);
    verified(&folder, &path);
}

#[test]
fn high_004_a_state_that_differs_is_found_by_its_hash() {
    let Some(folder) = ready() else { return };
    run(&folder);
    let path = folder.only_run();
    let told = |change: &dyn Fn(&mut SnapshotRecord)| {
        let lie = retold(&path, |record| {
            if record.kind == Kind::Snapshot {
                let mut snapshot: SnapshotRecord = decode(&record.payload).expect("a snapshot");
                change(&mut snapshot);
                record.payload = encode(&snapshot).expect("encoded");
            }
            true
        });
        let lie = lie.path().join("lie");
        let finished = folder.run(&["verify", lie.to_str().expect("plain")]);
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
    let arguments =
        [RUN, OFTEN, &["--unsigned", "--wasm", "forgetful.wasm", "--symbols", "XRP/USD"]].concat();
    let whole = Outcome::of(&folder.run(&arguments).expect(0).stdout);
    let path = folder.only_run();
    cut(&path);
    let again = folder.run(&arguments).expect(0);
    assert!(again.stderr.contains("forgetful does otherwise"), "{}", again.stderr);
    assert_eq!(Outcome::of(&again.stdout), whole);
}

/// The trader whose `save` is this, and who trades until it has 50 orders behind it.
fn saving(save: &str) -> Folder {
    let folder = Folder::new();
    let module = TRADER.replace(
        "(func (export \"save\") (result i32)\n    i32.const 2048)",
        &format!("(func (export \"save\") (result i32) {save})"),
    );
    assert_ne!(module, TRADER);
    // At 3072: a refusal without words.
    let refusal = "(data (i32.const 3072) \"\\01\") (func (export \"stop\"))";
    let module = module.replace("(func (export \"stop\"))", refusal);
    folder.write("trader.wasm", wat::parse_str(module).expect("a module"));
    folder
}

const UNSIGNED: &[&str] = &["--unsigned", "--wasm", "trader.wasm", "--symbols", "XRP/USD"];

#[test]
fn high_004_who_does_not_save_trades_on_and_is_taken_again_as_a_whole() {
    let usual = saving("i32.const 2048");
    let never = [RUN, &["--set", "record.snapshot_every=0"], UNSIGNED].concat();
    let expected = Outcome::of(&usual.run(&never).expect(0).stdout);
    for (save, why) in [("i32.const 3072", "does not save its state"), ("unreachable", "trap")] {
        let folder = saving(save);
        let arguments = [RUN, OFTEN, UNSIGNED].concat();
        let whole = folder.run(&arguments).expect(0);
        assert_eq!(whole.stderr.matches("there will be no snapshots").count(), 1);
        assert!(whole.stderr.contains(why), "{}", whole.stderr);
        assert_eq!(Outcome::of(&whole.stdout), expected, "{save}");
        let path = folder.only_run();
        assert!(snapshots(&path).is_empty());
        let (segment, all) = records(&path);
        let asked = all.iter().filter(|one| one.kind == Kind::Snapshot);
        assert_eq!(asked.count(), 1, "it is not asked again");
        cut_behind((&segment, &all), all.len() * 2 / 3, 9);
        let again = folder.run(&arguments).expect(0);
        assert!(!again.stderr.contains("behind the snapshot"), "{}", again.stderr);
        assert_eq!(Outcome::of(&again.stdout), expected, "{save}, taken up");
        let path = path.to_str().expect("plain");
        folder.run(&["verify", path, "--unsigned", "--wasm", "trader.wasm"]).expect(0);
    }
}

/// What all snapshots of a run tell, without the files, whose records have other numbers.
fn told(run: &Path) -> Vec<SnapshotRecord> {
    let (_, records) = records(run);
    let all = records.iter().filter(|one| one.kind == Kind::Snapshot);
    let told = all.map(|one| decode::<SnapshotRecord>(&one.payload).expect("a snapshot"));
    told.map(|one| SnapshotRecord { file: None, ..one }).collect()
}

#[test]
fn high_004_snapshots_lie_where_the_inputs_say_and_not_the_clock() {
    let (fast, slow) = (ready(), ready());
    let (Some(fast), Some(slow)) = (fast, slow) else { return };
    run(&fast);
    let expected = told(&fast.only_run());
    let places: Vec<u64> = expected.iter().map(|one| one.events).collect();
    assert!(places.len() > 5, "{places:?}");
    assert!(places.iter().all(|events| events.is_multiple_of(1000)), "{places:?}");
    // Other blocks: as they come by the wall clock.
    slow.run(&[RUN, OFTEN, &["--set", "feed.sim.speed=150"]].concat()).expect(0);
    assert_eq!(told(&slow.only_run()), expected);
    // Cut where a snapshot was due and is not there: it is made up for.
    let path = fast.only_run();
    let (segment, all) = records(&path);
    let last = all.iter().rposition(|one| one.kind == Kind::Snapshot).expect("a snapshot");
    cut_behind((&segment, &all), last, 0);
    run(&fast);
    assert_eq!(told(&path), expected);
    verified(&fast, &path);
}

#[test]
fn high_004_a_run_can_be_taken_again_without_its_snapshots() {
    let Some(folder) = ready() else { return };
    let whole = Outcome::of(&run(&folder).stdout);
    let path = folder.only_run();
    cut(&path);
    // What a process that was killed while it wrote has left, and what is not its own.
    let (left, other) = (path.join("00000000000000000123.tmp"), path.join("notes.tmp"));
    fs::write(&left, "half").expect("written");
    fs::write(&other, "mine").expect("written");
    let again = folder.run(&[RUN, OFTEN, &["--no-snapshot"]].concat()).expect(0);
    assert!(again.stderr.contains("continued from"), "{}", again.stderr);
    assert!(!again.stderr.contains("behind the snapshot"), "{}", again.stderr);
    assert_eq!(Outcome::of(&again.stdout), whole);
    assert!(!left.exists() && other.exists());
    verified(&folder, &path);
}

/// A number from the environment, for the long form of a test.
fn asked_for(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|number| number.parse().expect("a number"))
}

/// An hour of the market is some hundred thousand inputs, or ten times as much as lies
/// between two snapshots; `make restart` takes ten, and then time counts too.
#[allow(clippy::disallowed_methods, reason = "the time is told, and counts where it is asked for")]
#[test]
fn high_004_b13_a_long_run_is_soon_taken_up_again() {
    let Some(folder) = ready() else { return };
    let (hours, most_ms) = (asked_for("SANDPAPER_B13_HOURS"), asked_for("SANDPAPER_B13_MS"));
    let duration = format!("{}h", hours.unwrap_or(1));
    let every = if hours.is_some() { "100000" } else { "10000" };
    let every = format!("record.snapshot_every={every}");
    let quiet = ["--duration", &duration, "--set", &every, "--set", "log.files.enabled=false"];
    let arguments = |more: &[&'static str]| [&RUN[..1], &RUN[3..], &quiet, more].concat();
    let whole = folder.run(&arguments(&[])).expect(0);
    let path = folder.only_run();
    let of = |more: &[&'static str]| {
        cut_all(&path);
        let began = std::time::Instant::now();
        let again = folder.run(&arguments(more)).expect(0);
        assert_eq!(Outcome::of(&again.stdout), Outcome::of(&whole.stdout));
        (taken(&again.stderr), began.elapsed(), again.stderr)
    };
    let (all, long, _) = of(&["--no-snapshot"]);
    let (few, short, said) = of(&[]);
    println!("{few} of {all} records taken again, in {short:.2?}; all of them in {long:.2?}");
    assert!(said.contains("behind the snapshot of record"), "{said}");
    assert!(few * 2 < all, "{few} of {all} records were taken again");
    assert!(most_ms.is_none_or(|most| short.as_millis() < u128::from(most)), "{short:.2?}");
    verified(&folder, &path);
}

/// Cuts a run of several segments: the last one loses its last records, so that it lies
/// a little behind a snapshot and has no end.
fn cut_all(run: &Path) {
    untell_the_end(run);
    let segment = repository::files(run, ".journal").pop().expect("a segment");
    let length = fs::metadata(&segment).expect("a file").len();
    let file = fs::OpenOptions::new().write(true).open(&segment).expect("a file");
    file.set_len(length - length / 50).expect("cut");
}
