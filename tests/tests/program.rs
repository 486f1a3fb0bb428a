//! The program as a person meets it: wrong input, signals, output.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sandpaper_tests::{Folder, repository};

/// A folder whose one strategy is allowed.
fn ready() -> Option<Folder> {
    let folder = Folder::new();
    folder.allow_guest("market-making", "mm")?;
    Some(folder)
}

fn interrupt(child: &Child) {
    let pid = Pid::from_child(child);
    // The process may just have ended; then there is nothing to interrupt.
    let _ = kill_process(pid, Signal::INT);
}

#[test]
fn add_21_wrong_input_ends_in_its_exit_code_and_a_clear_message() {
    let Some(folder) = ready() else { return };
    folder.write("broken.wasm", b"\0asm\x01\0\0\0garbage");
    folder.write("text.wasm", b"hello");
    folder.write("typo.toml", "[execution]\nfee_rat = 0.1\n");
    folder.write("bad.tape", b"SNDPTAPE but not one");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["fly"], 2, "unrecognized subcommand"),
        (&["replay"], 2, "required"),
        (&["run", "--strategies", ""], 2, "--strategies"),
        (&["run", "--symbols", ""], 2, "--symbols"),
        (&["run", "-c", "typo.toml"], 3, "fee_rate"),
        (&["run", "-c", "typo.toml"], 3, "typo.toml:2"),
        (&["run", "--capital", "0"], 3, "above 0"),
        (&["run", "--set", "run.sede=1"], 3, "seed"),
        (&["run", "--wasm", "missing.wasm"], 2, "missing.wasm"),
        (&["run", "--wasm", "text.wasm", "--unsigned"], 5, "text.wasm"),
        (&["check", "broken.wasm"], 5, ""),
        (&["allow", "text.wasm"], 5, "text.wasm"),
        (&["run", "--symbols", "DOGE/USD"], 6, "DOGE/USD"),
        (&["run", "--symbols", "BTCUSD"], 6, "did you mean BTC/USD?"),
        (&["replay", "none.tape"], 6, "none.tape"),
        (&["replay", "bad.tape"], 6, "bad.tape"),
        (&["verify", "nothere"], 2, "nothere is no folder of a run"),
        (&["verify", "bad.tape"], 2, "bad.tape is no folder of a run"),
        (&["export", "fills", "nothere"], 2, "nothere is no folder of a run"),
        (
            &["run", "--set", "strategy.mm.params.position_size_usd=-5", "--duration", "1s"],
            3,
            "position_size_usd",
        ),
        (
            &["run", "--set", "strategy.mm.params.positoin_size_usd=5", "--duration", "1s"],
            3,
            "position_size_usd",
        ),
    ];
    for (arguments, code, message) in cases {
        let finished = folder.run(arguments).expect(*code);
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert!(said.contains(message), "{arguments:?}: {said}");
    }
}

/// Whoever reads the log may go away, or its disk be full: the run goes on.
#[test]
fn a_run_outlives_the_reader_of_its_log() {
    let Some(folder) = ready() else { return };
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let (gone, log) = std::io::pipe().expect("a pipe");
    drop(gone);
    for log in [Stdio::from(full), Stdio::from(log)] {
        let arguments = ["run", "--fresh", "--duration", "2s", "--set", "feed.sim.speed=0"];
        let ended = folder.command(&arguments).stderr(log).output().expect("the program");
        let said = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(ended.status.code(), Some(0), "{said}");
        assert!(said.contains("equity"), "the report is there: {said}");
    }
}

#[test]
fn damaged_tapes_end_with_their_own_code() {
    let Some(folder) = ready() else { return };
    folder.write(
        "t.csv",
        "ts_ns,symbol,price,qty,side\n1,XRP/USD,2.35,1.5,buy\n2,XRP/USD,2.36,1,sell\n",
    );
    folder.run(&["import", "t.csv", "--out", "t.tape"]).expect(0);
    folder.run(&["replay", "t.tape"]).expect(0);
    let mut bytes = std::fs::read(folder.path("t.tape")).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    folder.write("flipped.tape", &bytes);
    folder.run(&["replay", "flipped.tape"]).expect(8);
    folder.write("short.tape", &bytes[..middle]);
    folder.run(&["replay", "short.tape"]).expect(8);
}

#[test]
fn add_20_the_first_interrupt_ends_in_order() {
    let Some(folder) = ready() else { return };
    let mut child = folder
        .command(&["run", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("mm on XRP/USD") {
        line.clear();
        assert!(log.read_line(&mut line).expect("a log") > 0, "it ended early");
    }
    interrupt(&child);
    let mut rest = String::new();
    log.read_to_string(&mut rest).expect("a log");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{rest}");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains("sandpaper.run/1"), "the report comes whole: {report}");
}

#[test]
fn add_20_a_second_interrupt_ends_a_stuck_process_at_once() {
    let Some(folder) = ready() else { return };
    // Nobody reads its log, so the process is stuck as soon as the pipe is full.
    let mut child = folder
        .command(&["run", "--set", "feed.sim.speed=0", "-vv"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let log = child.stderr.take().expect("piped");
    while rustix::io::ioctl_fionread(&log).expect("a pipe") < 60_000 {
        std::thread::yield_now();
        assert_eq!(child.try_wait().expect("a child"), None, "it ended early");
    }
    let status = loop {
        interrupt(&child);
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        std::thread::yield_now();
    };
    assert_eq!(status.code(), Some(130));
    drop(log);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let Some(folder) = ready() else { return };
    let chain = |seed: &str| {
        let arguments =
            ["run", "--json", "--duration", "60s", "--set", "feed.sim.speed=0", "--seed", seed];
        let finished = folder.run(&arguments).expect(0);
        let result: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
        assert!(result["strategies"][0]["fills"].as_u64().expect("a count") > 0, "{result}");
        result["strategies"][0]["chain"].to_string()
    };
    assert_eq!(chain("7"), chain("7"));
    assert_ne!(chain("7"), chain("8"));
}

#[test]
fn low_003_default_symbols_are_used_with_a_warning() {
    let Some(module) = repository::workload("s3") else { return };
    let folder = Folder::new();
    let module = module.to_str().expect("a plain path");
    let run =
        ["run", "--duration", "1s", "--set", "feed.sim.speed=0", "--unsigned", "--wasm", module];
    let finished = folder.run(&run).expect(0);
    assert!(finished.stderr.contains("run.default_symbols"), "{}", finished.stderr);
    assert!(finished.stderr.contains("XRP/BTC"), "{}", finished.stderr);
    let named = [&run[..], &["--symbols", "BTC/USD"]].concat();
    let finished = folder.run(&named).expect(0);
    assert!(!finished.stderr.contains("run.default_symbols"), "{}", finished.stderr);
}

#[test]
fn x_ver_log_records_of_a_strategy_carry_its_version_and_the_contracts() {
    let Some(folder) = ready() else { return };
    let arguments =
        ["run", "--duration", "60s", "--set", "feed.sim.speed=0", "--set", "log.format=json"];
    let finished = folder.run(&arguments).expect(0);
    let mut fills = 0;
    for line in finished.stderr.lines().filter(|line| line.starts_with('{')) {
        let record: serde_json::Value = serde_json::from_str(line).expect("one object a line");
        let fields = &record["fields"];
        if fields["strategy"] == "mm" {
            fills += 1;
            assert_eq!(fields["version"], "0.1.0", "{line}");
            assert_eq!(fields["wit"], "0.1.0", "{line}");
        }
    }
    assert!(fills > 3, "{}", finished.stderr);
}

#[test]
fn a_new_strategy_is_made_of_the_template() {
    let folder = Folder::new();
    folder.run(&["new", "my-first"]).expect(0);
    let source = std::fs::read_to_string(folder.path("my-first/src/lib.rs")).expect("made");
    let template = repository::root().join("strategy-sdk/templates/sma-cross.rs");
    assert_eq!(source, std::fs::read_to_string(template).expect("readable"));
    assert!(folder.path("my-first/Cargo.toml").is_file());
    folder.run(&["new", "my-first"]).expect(2);
    folder.run(&["new", "My First"]).expect(2);
    folder.run(&["build", "nowhere"]).expect(2);
}

#[test]
fn the_readme_shows_the_template() {
    let readme = std::fs::read_to_string(repository::root().join("README.md")).expect("readable");
    let template = repository::root().join("strategy-sdk/templates/sma-cross.rs");
    let template = std::fs::read_to_string(template).expect("readable");
    assert!(template.lines().count() <= 30, "a complete strategy has at most thirty lines");
    assert!(readme.contains(template.trim()), "the README's strategy is not the template");
}

#[test]
fn check_runs_a_strategy_on_a_synthetic_market() {
    let Some(module) = repository::guest("order-flow") else { return };
    let folder = Folder::new();
    let module = module.to_str().expect("a plain path");
    let finished = folder.run(&["check", module, "--json"]).expect(0);
    let checked: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
    let codes: Vec<&str> = checked["data"][0]["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| finding["ok"] == true)
        .filter_map(|finding| finding["code"].as_str())
        .collect();
    assert_eq!(
        codes,
        ["file", "lock", "world", "describe", "events", "fuel", "determinism", "batches"]
    );
    assert_eq!(checked["data"][0]["lock"], "unknown");
    let detail = |code: &str| {
        let findings = checked["data"][0]["findings"].as_array().expect("findings");
        let found = findings.iter().find(|finding| finding["code"] == code).expect(code);
        found["detail"].as_str().unwrap_or_default().to_owned()
    };
    assert!(detail("fuel").contains("p50") && detail("fuel").contains("p99"), "{}", detail("fuel"));
    assert!(detail("determinism").contains("the same chain"), "{}", detail("determinism"));

    // What the lock file says counts, and a budget that is too small is named.
    let verdict = |arguments: &[&str], code: i32| {
        let mut all = vec!["check", module, "--json"];
        all.extend(arguments);
        let finished = folder.run(&all).expect(code);
        let checked: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
        checked["data"][0].clone()
    };
    let small = verdict(&["--set", "sandbox.fuel_per_event=1000"], 7);
    assert_eq!(small["verdict"], "runs, but misbehaves", "{small}");
    folder.run(&["allow", module, "--yes", "--name", "flow"]).expect(0);
    assert_eq!(verdict(&[], 0)["verdict"], "runs");
    folder.run(&["deny", "flow", "--reason", "loses"]).expect(0);
    let denied = verdict(&[], 7);
    assert_eq!(
        (&denied["lock"], &denied["verdict"]),
        (&"revoked".into(), &"may not run: it was denied".into())
    );
}
