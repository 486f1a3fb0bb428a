//! Limits over all strategies, in the program: they act, and the record proves it.

use sandpaper_tests::Folder;
use serde_json::Value;

/// A run of two strategies with these settings, and its one record.
fn run(settings: &[&str]) -> Option<(Folder, Value, String)> {
    let folder = Folder::new();
    for name in ["market-making", "mean-reversion"] {
        folder.allow_guest(name, name)?;
    }
    let (result, record) = folder.lively_run("2m", settings);
    Some((folder, result, record))
}

fn states(result: &Value) -> Vec<&str> {
    let rows = result["strategies"].as_array().expect("strategies");
    rows.iter().map(|row| row["state"].as_str().expect("a state")).collect()
}

#[test]
fn a_limit_over_all_strategies_ends_them_and_a_replay_proves_it() {
    let Some((folder, result, record)) = run(&["risk.total_exposure=1", "risk.on_halt=flatten"])
    else {
        return;
    };
    assert_eq!(states(&result), ["halted", "halted"], "{result}");
    folder.run(&["verify", &record]).expect(0);
    let log = std::fs::read_to_string(folder.path("logs/aggregated/aggregated.jsonl"));
    let log = log.expect("a log");
    let mut commands = log.lines().filter(|line| line.contains("all strategies together"));
    assert!(commands.any(|line| line.contains("\"command\"")), "{log}");
    // The control: the limit alone made the difference.
    let Some((_, result, _)) = run(&[]) else { return };
    assert!(!states(&result).contains(&"halted"), "{result}");
}
