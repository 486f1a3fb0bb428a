//! The logs of a run, as the program writes them.

use std::collections::BTreeMap;
use std::path::Path;

use sandpaper_tests::{Folder, repository};
use serde_json::Value;

/// Half an hour of a lively simulated market, as fast as it goes.
const RUN: &[&str] = &[
    "run",
    "--simulated",
    "--wasm",
    "of.wasm",
    "--unsigned",
    "--duration",
    "30m",
    "--set",
    "feed.sim.speed=0",
    "--set",
    "feed.sim.volatility=2",
    "--json",
];

fn ready() -> Option<Folder> {
    let module = repository::guest("order-flow")?;
    let folder = Folder::new();
    folder.write("of.wasm", std::fs::read(module).expect("readable"));
    Some(folder)
}

fn records(path: &Path) -> Vec<Value> {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    text.lines().map(parse).collect()
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or_else(|| panic!("no {field} in {record}"))
}

#[test]
fn high_001_two_runs_never_write_the_same_logs() {
    let Some(folder) = ready() else { return };
    let lock = sandpaper::recorder::Lock::take(&folder.path("logs")).expect("a folder");
    assert!(lock.is_some());
    let short = |more: &[&str]| {
        let run = ["run", "--simulated", "--wasm", "of.wasm", "--unsigned", "--duration", "1s"];
        folder.run(&[&run[..], &["--no-dashboard"], more].concat())
    };
    let refused = short(&[]).expect(1);
    assert!(refused.stderr.contains("log.files.dir=DIR"), "{}", refused.stderr);
    short(&["--set", "log.files.dir=other"]).expect(0);
    // The control: once that run is over, the folder is free.
    drop(lock);
    short(&[]).expect(0);
}

#[test]
fn add_06_every_fill_is_in_the_trade_log_and_the_aggregated_log() {
    let Some(folder) = ready() else { return };
    let finished = folder.run(RUN).expect(0);
    let result: Value = serde_json::from_str(&finished.stdout).expect("one document");
    let strategy = &result["strategies"][0];
    let fills = strategy["fills"].as_u64().expect("a number");
    assert!(fills > 4, "the run must trade to show anything: {strategy}");
    let all = records(&folder.path("logs/aggregated/aggregated.jsonl"));
    let trades = records(&folder.path("logs/trades/trades.jsonl"));
    let of = |records: &[Value], kind: &str| -> Vec<Value> {
        records.iter().filter(|r| r["kind"] == kind).cloned().collect()
    };
    assert_eq!(of(&all, "fill").len() as u64, fills);
    // Each fill that the strategy caused follows what it asked for.
    let asked: Vec<Value> = of(&all, "order");
    for fill in of(&all, "fill").iter().filter(|fill| fill["cause"] == "strategy") {
        let decided = asked.iter().find(|order| order["correlation"] == fill["correlation"]);
        let order = decided.unwrap_or_else(|| panic!("nobody asked for {fill}"));
        assert_eq!((&order["action"], &order["reason"]), (&fill["action"], &fill["reason"]));
        assert!(order["metadata"].is_object() && order["type"].is_string(), "{order}");
    }
    assert_eq!(of(&trades, "fill"), of(&all, "fill"));
    assert_eq!(
        of(&trades, "round-trip").len() as u64,
        strategy["trades"].as_u64().expect("a number")
    );
    let by_bracket = of(&trades, "fill").iter().filter(|f| f["cause"] != "strategy").count();
    assert!(by_bracket > 0, "stops and targets are logged like any other fill");
}

#[test]
fn high_001_the_aggregated_log_is_complete_and_in_order() {
    let Some(folder) = ready() else { return };
    for _ in 0..2 {
        folder.run(RUN).expect(0);
    }
    let mut sessions: BTreeMap<String, u64> = BTreeMap::new();
    for record in records(&folder.path("logs/aggregated/aggregated.jsonl")) {
        let next = sessions.entry(text(&record, "session").to_owned()).or_insert(0);
        *next += 1;
        assert_eq!(record["seq"].as_u64(), Some(*next), "{record}");
    }
    assert_eq!(sessions.len(), 2, "each run is a session of its own");
}

#[test]
fn x_ver_every_record_of_a_strategy_says_which_code_it_was() {
    let Some(folder) = ready() else { return };
    folder.run(RUN).expect(0);
    let records = records(&folder.path("logs/strategies/of.jsonl"));
    assert!(!records.is_empty());
    for record in &records {
        assert_eq!(text(record, "strategy"), "of");
        assert_eq!(text(record, "wit"), "0.1.0");
        assert_eq!(text(record, "trust"), "UNSIGNED");
        assert_eq!(text(record, "sha256").len(), 64);
        assert!(!text(record, "version").is_empty());
    }
    let fill = records.iter().find(|r| r["kind"] == "fill").expect("a fill");
    let order = format!("of/{}", fill["order"]);
    assert_eq!(text(fill, "correlation"), order, "a fill leads back to its order");
    assert_eq!(text(fill, "snapshot_sha256").len(), 64);
    assert!(fill["fuel"].as_u64().expect("a number") > 0);
}

#[test]
fn high_006_a_full_disk_ends_the_run_with_one_clear_error() {
    let Some(folder) = ready() else { return };
    std::fs::create_dir_all(folder.path("logs/trades")).expect("a folder");
    std::os::unix::fs::symlink("/dev/full", folder.path("logs/trades/trades.jsonl"))
        .expect("a link");
    let finished = folder.run(RUN).expect(1);
    let errors = finished.stderr.matches("No space left on device").count();
    assert_eq!(errors, 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("trades.jsonl"), "{}", finished.stderr);
    assert!(finished.stdout.is_empty(), "no result stands: {}", finished.stdout);
}

#[test]
fn log_files_can_be_left_out() {
    let Some(folder) = ready() else { return };
    let mut arguments = RUN.to_vec();
    arguments.extend(["--set", "log.files.enabled=false"]);
    folder.run(&arguments).expect(0);
    assert!(!folder.path("logs").exists());
}
