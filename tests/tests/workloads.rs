//! The three measured workloads as sandboxed guests: their figures, and that
//! neither batch size nor sandbox nor neighbors change a lane.

use std::ops::ControlFlow;
use std::path::PathBuf;

use sandpaper::engine::{EngineConfig, LaneReport};
use sandpaper::execution::Model;
use sandpaper::feed::import::{ImportOptions, import};
use sandpaper_tests::lanes::{Recording, Sandboxed, native};
use sandpaper_tests::{Folder, repository};

const WORKLOADS: [(&str, u64, &str); 3] =
    [("s1", 116, "99977.8521"), ("s2", 3_659, "99154.2650"), ("s3", 0, "100000.0000")];

/// The generated market as a tape in `folder`; `None` where it is absent.
fn tape(folder: &Folder) -> Option<PathBuf> {
    let csv = repository::market("trades_1.csv")?;
    let path = folder.path("t.tape");
    import(&csv, &path, &ImportOptions::default(), &mut |_| ControlFlow::Continue(()))
        .expect("the market is a recording");
    Some(path)
}

/// An amount with four decimals, rounded half up, as the figures are given.
fn four_decimals(amount: &str) -> String {
    let (whole, fraction) = amount.split_once('.').expect("a decimal");
    let units: i128 = format!("{whole}{fraction:0<8}").parse().expect("digits");
    let rounded = (units + 5_000) / 10_000;
    format!("{}.{:04}", rounded / 10_000, rounded % 10_000)
}

/// What a lane's outcome consists of.
fn outcome(report: &LaneReport) -> (String, String, u64, u64) {
    let equity = report.equity.expect("known").to_string();
    (report.chain.clone(), equity, report.counters.events, report.statistics.fill_count)
}

fn instant(batch: usize) -> EngineConfig {
    let mut config = EngineConfig { batch, ..EngineConfig::default() };
    config.execution.model = Model::Instant;
    config
}

#[test]
fn the_documented_commands_give_exactly_the_known_figures() {
    let folder = Folder::new();
    let Some(csv) = repository::market("trades_1.csv") else { return };
    let csv = csv.to_str().expect("a plain path");
    folder.run(&["import", csv, "--out", "t.tape"]).expect(0);
    for (name, fills, equity) in WORKLOADS {
        let Some(module) = repository::workload(name) else { return };
        let module = module.to_str().expect("a plain path");
        let arguments = [
            "replay",
            "t.tape",
            "--wasm",
            module,
            "--unsigned",
            "--capital",
            "100000",
            "--set",
            "execution.model=instant",
            "--json",
        ];
        let finished = folder.run(&arguments).expect(0);
        let result: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
        assert_eq!(result["schema"], "sandpaper.replay/1");
        assert_eq!(result["events"], 2_000_000);
        let strategy = &result["strategies"][0];
        assert_eq!(strategy["fills"], fills, "{name}");
        assert_eq!(four_decimals(strategy["equity"].as_str().expect("text")), equity, "{name}");
        assert_eq!(
            strategy["trust"], "UNSIGNED",
            "crit_001: a bypassed lock shows in every result"
        );
    }
}

#[test]
fn native_and_sandboxed_give_the_same_chain_at_every_batch_size() {
    let folder = Folder::new();
    let Some(tape) = tape(&folder) else { return };
    let recording = Recording::read(&tape);
    for (name, fills, equity) in WORKLOADS {
        let Some(path) = repository::workload(name) else { return };
        let module = Sandboxed::load(&path);
        let expected = outcome(&recording.run(&instant(256), vec![native(name)], "100000")[0]);
        assert_eq!((expected.3, four_decimals(&expected.1).as_str()), (fills, equity), "{name}");
        for batch in [1, 7, 64, 1024] {
            let reports = recording.run(&instant(batch), vec![module.instance()], "100000");
            assert_eq!(outcome(&reports[0]), expected, "{name} at batch size {batch}");
        }
    }
}

#[test]
fn a_lane_is_the_same_alone_and_among_fifty_others() {
    let folder = Folder::new();
    let Some(tape) = tape(&folder) else { return };
    let mut recording = Recording::read(&tape);
    recording.blocks.truncate(25);
    let Some(path) = repository::workload("s2") else { return };
    let module = Sandboxed::load(&path);
    let alone = outcome(&recording.run(&instant(256), vec![module.instance()], "100000")[0]);
    let names = ["s1", "s3", "order-flow", "market-making", "mean-reversion"];
    let mut crowd: Vec<_> = (0..50).map(|n| native(names[n % names.len()])).collect();
    crowd.insert(25, module.instance());
    let reports = recording.run(&instant(256), crowd, "100000");
    assert_eq!(outcome(&reports[25]), alone);
}
