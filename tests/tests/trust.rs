//! What may run, seen from outside.

use std::path::PathBuf;

use sandpaper_tests::{Folder, repository};

/// A folder with one reference strategy in `strategies/`.
fn folder() -> Option<(Folder, PathBuf)> {
    let module = repository::guest("market-making")?;
    let folder = Folder::new();
    let bytes = std::fs::read(module).expect("readable");
    let path = folder.write("strategies/mm.wasm", bytes);
    Some((folder, path))
}

fn sha256(folder: &Folder) -> String {
    let finished = folder.run(&["inspect", "strategies/mm.wasm", "--json"]).expect(0);
    let inspected: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
    inspected["sha256"].as_str().expect("a hash").to_owned()
}

const RUN: [&str; 5] = ["run", "--duration", "2s", "--set", "feed.sim.speed=0"];

#[test]
fn crit_001_without_a_lock_file_nothing_runs_and_the_hash_is_named() {
    let Some((folder, _)) = folder() else { return };
    let hash = sha256(&folder);
    let finished = folder.run(&RUN).expect(4);
    assert!(finished.stderr.contains(&hash), "{}", finished.stderr);
    assert!(finished.stderr.contains("sandpaper allow"), "{}", finished.stderr);
}

#[test]
fn crit_001_one_changed_byte_is_refused_and_named() {
    let Some((folder, path)) = folder() else { return };
    folder.run(&["allow", "strategies/mm.wasm", "--yes"]).expect(0);
    folder.run(&RUN).expect(0);
    let mut bytes = std::fs::read(&path).expect("readable");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let finished = folder.run(&RUN).expect(4);
    assert!(finished.stderr.contains("is not in the lock file"), "{}", finished.stderr);
    let listed = folder.run(&["list", "--json"]).expect(0);
    assert!(listed.stdout.contains("\"changed\""), "{}", listed.stdout);
}

#[test]
fn crit_001_denied_is_for_ever() {
    let Some((folder, _)) = folder() else { return };
    folder.run(&["allow", "strategies/mm.wasm", "--name", "mm", "--yes"]).expect(0);
    folder.run(&["deny", "mm", "--reason", "lost a bet"]).expect(0);
    let finished = folder.run(&RUN).expect(4);
    assert!(finished.stderr.contains("revoked"), "{}", finished.stderr);
    // Skipping a missing permission is not skipping a refusal.
    let mut unsigned = RUN.to_vec();
    unsigned.push("--unsigned");
    let finished = folder.run(&unsigned).expect(4);
    assert!(finished.stderr.contains("revoked"), "{}", finished.stderr);
    let again = folder.run(&["allow", "strategies/mm.wasm", "--yes"]).expect(4);
    assert!(again.stderr.contains("revoked"), "{}", again.stderr);
}

#[test]
fn crit_001_bypassing_the_lock_is_explicit_and_marks_every_result() {
    let Some((folder, _)) = folder() else { return };
    let mut arguments = RUN.to_vec();
    arguments.push("--unsigned");
    let finished = folder.run(&arguments).expect(0);
    assert!(finished.stdout.contains("UNSIGNED"), "{}", finished.stdout);
    assert!(finished.stderr.contains("UNSIGNED"), "{}", finished.stderr);
    arguments.push("--json");
    let finished = folder.run(&arguments).expect(0);
    assert!(finished.stdout.contains("\"UNSIGNED\""), "{}", finished.stdout);
}

#[test]
fn crit_001_a_damaged_lock_file_allows_nothing() {
    let Some((folder, _)) = folder() else { return };
    folder.run(&["allow", "strategies/mm.wasm", "--yes"]).expect(0);
    let lock = std::fs::read_to_string(folder.path("strategies.lock")).expect("readable");
    folder.write("strategies.lock", lock.replace("sha256 =", "sha257 ="));
    let finished = folder.run(&RUN).expect(8);
    assert!(finished.stderr.contains("line"), "{}", finished.stderr);
}

#[test]
fn low_001_a_module_is_known_by_its_hash_wherever_it_lies() {
    let Some((folder, path)) = folder() else { return };
    folder.run(&["allow", "strategies/mm.wasm", "--name", "mm", "--yes"]).expect(0);
    std::fs::rename(&path, folder.path("strategies/other-name.wasm")).expect("renamed");
    let finished = folder.run(&RUN).expect(0);
    assert!(finished.stdout.contains("mm"), "{}", finished.stdout);
    // Another module under the old name is not what was allowed.
    let Some(other) = repository::guest("order-flow") else { return };
    std::fs::copy(other, &path).expect("copied");
    let finished = folder.run(&RUN).expect(0);
    assert!(finished.stderr.contains("strategies/mm.wasm"), "{}", finished.stderr);
}

#[test]
fn add_22_a_strategy_filter_filters() {
    let Some((folder, _)) = folder() else { return };
    let Some(other) = repository::guest("order-flow") else { return };
    folder.write("strategies/of.wasm", std::fs::read(other).expect("readable"));
    folder.run(&["allow", "strategies/mm.wasm", "strategies/of.wasm", "--yes"]).expect(0);
    let both = folder.run(&RUN).expect(0);
    assert!(both.stdout.contains("mm") && both.stdout.contains("of"), "{}", both.stdout);
    let mut arguments = RUN.to_vec();
    arguments.extend(["--strategies", "of"]);
    let one = folder.run(&arguments).expect(0);
    assert!(!one.stdout.contains("mm") && one.stdout.contains("of"), "{}", one.stdout);
    arguments.extend(["--strategies", "nobody"]);
    let none = folder.run(&arguments).expect(4);
    assert!(none.stderr.contains("nobody") && none.stderr.contains("mm, of"), "{}", none.stderr);
}

/// A link to a lock file stands for it: its folder counts too.
#[test]
fn crit_001_a_lock_file_behind_a_link_lies_where_nobody_else_writes() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let Some((folder, _)) = folder() else { return };
    folder.run(&["allow", "strategies/mm.wasm", "--yes"]).expect(0);
    let lock = std::fs::read(folder.path("strategies.lock")).expect("a lock file");
    folder.write("other/strategies.lock", lock);
    std::fs::remove_file(folder.path("strategies.lock")).expect("removed");
    symlink("other/strategies.lock", folder.path("strategies.lock")).expect("linked");
    let open = |mode: u32| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path("other"), mode).expect("changed");
    };
    open(0o777);
    let refused = folder.run(&RUN).expect(4);
    assert!(refused.stderr.contains("may be written by everybody"), "{}", refused.stderr);
    // The control: in a closed folder the link is as good as the file.
    open(0o755);
    folder.run(&RUN).expect(0);
}

#[test]
fn crit_001_what_others_may_write_is_not_trusted() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some((folder, _)) = folder() else { return };
    folder.run(&["allow", "strategies/mm.wasm", "--yes"]).expect(0);
    let run = ["run", "--duration", "1s", "--set", "feed.sim.speed=0"];
    folder.run(&run).expect(0);
    for name in ["strategies.lock", "strategies/mm.wasm", "strategies", "."] {
        let path = folder.path(name);
        let usual = std::fs::metadata(&path).expect("there").permissions();
        let open = std::fs::Permissions::from_mode(usual.mode() | 0o002);
        std::fs::set_permissions(&path, open).expect("changed");
        let refused = folder.run(&run);
        assert!(matches!(refused.code, Some(4 | 5)), "{name}: {:?}", refused.code);
        assert!(refused.stderr.contains("may be written by everybody"), "{}", refused.stderr);
        // The control: closed again, it runs.
        std::fs::set_permissions(&path, usual).expect("changed");
        folder.run(&run).expect(0);
    }
}

/// What a person set for a module stays until a flag says otherwise.
#[test]
fn crit_001_allowing_again_keeps_what_no_flag_replaces() {
    let Some((folder, _)) = folder() else { return };
    let first = ["--expires", "30d", "--note", "reviewed", "--limit", "fuel_per_event=7000000"];
    let allow = |more: &[&str]| {
        folder.run(&[&["allow", "strategies/mm.wasm", "--yes"], more].concat()).expect(0).stderr
    };
    allow(&[&["--name", "mm"][..], &first].concat());
    let entry = || {
        let listed = folder.run(&["list", "--json"]).expect(0).stdout;
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
        let lock = std::fs::read_to_string(folder.path("strategies.lock")).expect("a lock file");
        (listed["data"][0].clone(), lock.contains("fuel_per_event = 7000000"))
    };
    let (before, limited) = entry();
    assert!(limited && before["expires"].is_string() && before["note"] == "reviewed", "{before}");
    // By its hash, as the program's own hints say, and by its file.
    let hash = format!("sha256:{}", sha256(&folder));
    folder.run(&["allow", &hash, "--name", "mm", "--yes"]).expect(0);
    allow(&[]);
    assert_eq!(entry(), (before, true));
    // The control: flags replace, and what they replace is told.
    let told = allow(&["--expires", "never", "--limit", "fuel_per_event=default", "--note", "new"]);
    assert!(told.contains("expires") && told.contains("-> never"), "{told}");
    assert!(told.contains("7,000,000 -> as configured"), "{told}");
    let (after, limited) = entry();
    assert!(!limited && after["expires"].is_null() && after["note"] == "new", "{after}");
    let wrong =
        ["allow", "strategies/mm.wasm", "--yes", "--limit", "memory_bytes=1000000000000000"];
    let refused = folder.run(&wrong).expect(2);
    assert!(refused.stderr.contains("memory_bytes"), "{}", refused.stderr);
}

/// A changed file is one row, and every refused module stands in the result.
#[test]
fn crit_001_what_does_not_run_is_told_to_scripts_too() {
    let Some((folder, path)) = folder() else { return };
    let Some(other) = repository::guest("order-flow") else { return };
    folder.write("strategies/of.wasm", std::fs::read(other).expect("readable"));
    folder.run(&["allow", "strategies/mm.wasm", "strategies/of.wasm", "--yes"]).expect(0);
    let mut bytes = std::fs::read(&path).expect("readable");
    bytes.extend([0, 2, 1, b'x']);
    std::fs::write(&path, &bytes).expect("written");
    let listed = folder.run(&["list", "--json"]).expect(0).stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let rows = listed["data"].as_array().expect("rows");
    let told: Vec<_> = rows.iter().map(|row| (&row["name"], &row["status"])).collect();
    assert_eq!(told, [(&"mm".into(), &"changed".into()), (&"of".into(), &"allowed".into())]);
    assert_ne!(rows[0]["sha256"], rows[0]["allowed_sha256"]);
    let checked = folder.run(&["check", "strategies/mm.wasm"]).expect(0).stdout;
    assert!(checked.contains("changed: what is allowed as mm"), "{checked}");
    assert!(checked.contains("once it is allowed again"), "{checked}");
    let run = folder.run(&[&RUN[..], &["--json"]].concat()).expect(0).stdout;
    let run: serde_json::Value = serde_json::from_str(&run).expect("JSON");
    let [refused] = &run["refused"].as_array().expect("a list")[..] else { panic!("{run}") };
    assert_eq!((&refused["file"], &refused["code"]), (&"strategies/mm.wasm".into(), &4.into()));
    let hash = sandpaper::lockfile::Sha256::of(&bytes).to_string();
    assert!(refused["reason"].as_str().is_some_and(|why| why.contains(&hash)), "{refused}");
    // The control: allowed again, nothing is refused.
    folder.run(&["allow", "strategies/mm.wasm", "--yes"]).expect(0);
    let run = folder.run(&[&RUN[..], &["--json"]].concat()).expect(0).stdout;
    assert!(run.contains("\"refused\":[]"), "{run}");
}

/// A file that is not there is a wrong command line, not a hostile module.
#[test]
fn low_001_a_module_that_is_not_there_is_a_wrong_command_line() {
    let Some((folder, _)) = folder() else { return };
    for verb in [&["run", "--unsigned", "--wasm", "no.wasm"][..], &["check", "no.wasm"]] {
        folder.run(verb).expect(2);
    }
    for verb in [&["inspect", "no.wasm"][..], &["allow", "no.wasm", "--yes"]] {
        folder.run(verb).expect(2);
    }
    // The control: one that is there and is no module.
    folder.write("no.wasm", "no");
    for verb in [&["inspect", "no.wasm"][..], &["allow", "no.wasm", "--yes"]] {
        folder.run(verb).expect(5);
    }
}

/// The name of a file is a stranger's text as well.
#[test]
fn low_006_the_name_of_a_file_makes_no_line_of_its_own() {
    let Some((folder, _)) = folder() else { return };
    folder.run(&["allow", "strategies/mm.wasm", "--yes"]).expect(0);
    let name = "strategies/a\n2025-01-01T00:00:00Z  INFO forged\u{202e}\u{1b}[2J.wasm";
    folder.write(name, "no module");
    for verb in [&RUN[..], &["list"], &["check", name]] {
        let told = folder.run(verb);
        let text = told.stdout + &told.stderr;
        assert!(text.contains("forged"), "{verb:?} does not tell of it");
        assert!(text.lines().all(|line| !line.starts_with("2025-01-01")), "{verb:?}: {text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{verb:?}: {text}");
    }
}
