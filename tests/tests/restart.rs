//! A run that was cut short goes on as if nothing had happened.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use sandpaper_tests::{Folder, repository};
use serde_json::Value;

/// Ten minutes of a lively market as fast as it goes.
pub const RUN: &[&str] = &[
    "run",
    "--duration",
    "10m",
    "--json",
    "--set",
    "feed.sim.speed=0",
    "--set",
    "feed.sim.volatility=2",
];

fn ready() -> Option<Folder> {
    let folder = Folder::new();
    folder.allow_guest("market-making", "mm")?;
    Some(folder)
}

fn result(folder: &Folder, arguments: &[&str]) -> Value {
    let finished = folder.run(arguments).expect(0);
    serde_json::from_str(&finished.stdout).expect("JSON")
}

fn segments(run: &Path) -> Vec<PathBuf> {
    repository::files(run, ".journal")
}

/// A run's result as a kill leaves it: it does not tell of an end.
pub fn untell_the_end(run: &Path) {
    let result = run.join("result.json");
    let told = fs::read_to_string(&result).expect("a result");
    fs::write(&result, told.replacen("\"ended\"", "\"running\"", 1)).expect("written");
}

/// The run's segments, cut together to `length` bytes, as a kill leaves them.
fn cut(run: &Path, mut length: u64) {
    untell_the_end(run);
    for segment in segments(run) {
        let size = fs::metadata(&segment).expect("a file").len();
        if length == 0 {
            fs::remove_file(&segment).expect("removed");
        } else if size > length {
            let file = OpenOptions::new().write(true).open(&segment).expect("a file");
            file.set_len(length).expect("cut");
        }
        length = length.saturating_sub(size);
    }
}

fn size(run: &Path) -> u64 {
    segments(run).iter().map(|segment| fs::metadata(segment).expect("a file").len()).sum()
}

pub fn verified(folder: &Folder, run: &Path) -> Value {
    let run = run.to_str().expect("a plain path");
    let finished = folder.run(&["verify", run, "--json"]).expect(0);
    serde_json::from_str(&finished.stdout).expect("JSON")
}

#[test]
fn high_004_a_run_that_is_cut_anywhere_goes_on_to_the_same_end() {
    let Some(folder) = ready() else { return };
    let whole = result(&folder, RUN);
    let first = folder.runs();
    let (run, bytes) = (first[0].clone(), size(&first[0]));
    let mut restarts = 0;
    // Nothing after the cut was acknowledged, as far as a disk knows. Each round
    // continues what the one before it wrote.
    for percent in [90, 61, 37, 99] {
        cut(&run, bytes * percent / 100 + percent);
        let again = result(&folder, RUN);
        assert_eq!(folder.runs(), first, "cut at {percent} %: no other run is begun");
        for figure in ["chain", "orders", "fills", "rejected", "cash", "equity", "fees"] {
            let of = |result: &Value| result["strategies"][0][figure].clone();
            assert!(!of(&whole).is_null(), "{figure} is told");
            assert_eq!(of(&again), of(&whole), "cut at {percent} %: {figure}");
        }
        assert_eq!(again["events"], whole["events"], "cut at {percent} %");
        let verified = verified(&folder, &run);
        restarts = verified["restarts"].as_u64().expect("a number");
        assert!(restarts > 0, "{verified}");
        assert_eq!(verified["status"], "ended");
    }
    assert!(restarts >= 2, "a record tells of each restart that it holds: {restarts}");
}

#[test]
fn a_cut_run_goes_on_only_as_it_was() {
    let Some(folder) = ready() else { return };
    result(&folder, RUN);
    let run = folder.runs().remove(0);
    cut(&run, size(&run) / 2);
    let other = [RUN, &["--seed", "2"]].concat();
    let refused = folder.run(&other).expect(3);
    assert!(refused.stderr.contains("other settings"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--fresh"), "{}", refused.stderr);
    result(&folder, &[&other[..], &["--fresh"]].concat());
    assert_eq!(folder.runs().len(), 2, "a new run beside the old one");
    result(&folder, RUN);
    assert_eq!(folder.runs().len(), 3, "the last one ended in order, so another begins");
}
