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

#[test]
fn x_exc_a_module_in_whose_calls_the_program_died_twice_does_not_run() {
    let Some((folder, _)) = folder() else { return };
    folder.run(&["allow", "strategies/mm.wasm", "--yes"]).expect(0);
    folder.run(&RUN).expect(0);
    let hash = sha256(&folder);
    // What a run leaves when it dies within a call of its one strategy.
    let die = || folder.write(".state/sandpaper/died.running", format!("00000001\n{hash}\n"));
    die();
    let first = folder.run(&RUN).expect(0);
    assert!(first.stderr.contains("the program died while it called"), "{}", first.stderr);
    die();
    let second = folder.run(&RUN).expect(4);
    assert!(second.stderr.contains("does not run: the program died 2 times"), "{}", second.stderr);
    folder.run(&RUN).expect(4);
    folder.run(&["allow", "strategies/mm.wasm", "--yes"]).expect(0);
    folder.run(&RUN).expect(0);
    // The control: between calls it is nobody's fault.
    for _ in 0..3 {
        folder.write(".state/sandpaper/died.running", format!("00000000\n{hash}\n"));
        folder.run(&RUN).expect(0);
    }
}
