//! Trust and code that change while the program runs.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sandpaper_tests::{Folder, repository};
use serde_json::Value;

/// A folder with two allowed strategies, and the bytes of the first.
fn ready() -> Option<(Folder, Vec<u8>)> {
    let folder = Folder::new();
    let mut first = Vec::new();
    for (name, guest) in [("mm", "market-making"), ("flow", "order-flow")] {
        let module = fs::read(repository::guest(guest)?).expect("readable");
        let path = format!("strategies/{name}.wasm");
        folder.write(&path, &module);
        folder.run(&["allow", &path, "--yes"]).expect(0);
        if name == "mm" {
            first = module;
        }
    }
    Some((folder, first))
}

/// The same code with a custom section behind it: another file.
fn rebuilt(module: &[u8]) -> Vec<u8> {
    let mut module = module.to_vec();
    module.extend([0, 6, 5]);
    module.extend(b"again");
    module
}

/// A run on a fast simulated market, with its log.
struct Run {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Run {
    fn start(folder: &Folder) -> Self {
        let mut child = folder
            .command(&["run", "--json", "--set", "feed.sim.speed=60"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        let mut run = Self { child, log };
        run.wait_for("the record is kept in");
        run
    }

    /// Reads the log up to a line with these words, and gives it.
    fn wait_for(&mut self, words: &str) -> String {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert!(self.log.read_line(&mut line).expect("a log") > 0, "no word of {words:?}");
        }
        line
    }

    /// Ends it in order and gives its report.
    fn end(mut self) -> Value {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("asked to end");
        let reader = std::thread::spawn(move || {
            let mut rest = String::new();
            self.log.read_to_string(&mut rest).map(|_| rest)
        });
        let output = self.child.wait_with_output().expect("it ends");
        let rest = reader.join().expect("read").expect("a log");
        assert_eq!(output.status.code(), Some(0), "{rest}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

fn row<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rows = report["strategies"].as_array().expect("rows");
    rows.iter().find(|row| row["name"] == name).expect(name)
}

fn verify(folder: &Folder, code: i32) -> String {
    let finished = folder.run(&["verify", &folder.only_record()]).expect(code);
    finished.stdout + &finished.stderr
}

#[test]
fn crit_001_an_allowed_new_build_takes_over_while_the_program_runs() {
    let Some((folder, old)) = ready() else { return };
    let new = rebuilt(&old);
    let mut run = Run::start(&folder);
    // Changed and not allowed: nothing happens, and what runs goes on.
    folder.write("aside", &new);
    fs::rename(folder.path("aside"), folder.path("strategies/mm.wasm")).expect("replaced");
    run.wait_for("position");
    folder.run(&["allow", "strategies/mm.wasm", "--yes"]).expect(0);
    let told = run.wait_for("became");
    let (from, to) = (sandpaper::lockfile::Sha256::of(&old), sandpaper::lockfile::Sha256::of(&new));
    assert!(
        told.contains(&from.to_string()[..12]) && told.contains(&to.to_string()[..12]),
        "{told}"
    );
    run.wait_for("position");
    let report = run.end();
    assert_eq!(row(&report, "mm")["sha256"], to.to_string());
    assert_eq!(row(&report, "mm")["state"], "stopped", "{report}");
    assert_eq!(row(&report, "flow")["state"], "stopped", "{report}");
    // What both used adds up, in the report and in the result that is kept.
    let used = &row(&report, "mm")["sandbox"];
    assert_eq!(used["fuel_per_event"]["count"], row(&report, "mm")["events"], "{used}");
    let results = repository::files(&folder.path("runs"), "result.json");
    let result = fs::read_to_string(&results[0]).expect("a result");
    let result: Value = serde_json::from_str(&result).expect("JSON");
    let kept = &row(&result, "mm")["sandbox"];
    for field in ["fuel", "fuel_per_event", "calls", "traps", "host_calls", "log_bytes"] {
        assert_eq!(kept[field], used[field], "{field}");
    }
    // The record proves both halves: with the old bytes, which are in no folder of
    // strategies any more, and with the new ones.
    verify(&folder, 0);
    let logs = fs::read_to_string(folder.path("logs/strategies/mm.jsonl")).expect("a log");
    let swap = logs.lines().position(|line| line.contains("\"kind\":\"swapped\"")).expect("told");
    let tells = |line: &str, hash: &sandpaper::lockfile::Sha256| {
        line.contains(&format!("\"sha256\":\"{hash}\""))
    };
    assert!(logs.lines().take(swap).all(|line| tells(line, &from)), "before");
    assert!(logs.lines().skip(swap).all(|line| tells(line, &to)), "since");
}

#[test]
fn crit_001_a_new_build_that_cannot_take_over_changes_nothing() {
    let Some((folder, old)) = ready() else { return };
    let mut run = Run::start(&folder);
    let other = wat::parse_file(repository::root().join("tests/guests/well_behaved.wat"));
    folder.write("strategies/mm.wasm", other.expect("a module"));
    folder.run(&["allow", "strategies/mm.wasm", "--yes"]).expect(0);
    let told = run.wait_for("stays, not");
    assert!(told.contains("subscribes to other events"), "{told}");
    run.wait_for("position");
    let report = run.end();
    let from = sandpaper::lockfile::Sha256::of(&old).to_string();
    assert_eq!(row(&report, "mm")["sha256"], from);
    assert_eq!(row(&report, "mm")["state"], "stopped", "{report}");
    verify(&folder, 0);
}

#[test]
fn crit_001_what_is_denied_while_the_program_runs_is_ended() {
    let Some((folder, _)) = ready() else { return };
    let mut run = Run::start(&folder);
    folder.run(&["deny", "mm", "--reason", "loses money"]).expect(0);
    let told = run.wait_for("denied: loses money");
    assert!(told.contains("mm"), "{told}");
    // The other one goes on.
    run.wait_for("flow");
    let report = run.end();
    assert_ne!(row(&report, "mm")["state"], "stopped", "{report}");
    assert_eq!(row(&report, "flow")["state"], "stopped", "{report}");
    folder.run(&["run", "--strategies", "mm", "--duration", "1s"]).expect(4);
}

/// A permission that runs out while the program runs: the lock file's own time comes,
/// without anybody waiting for it.
#[test]
fn crit_001_what_expires_while_the_program_runs_is_ended() {
    let Some((folder, _)) = ready() else { return };
    let mut run = Run::start(&folder);
    run.wait_for("position");
    // Written as the program does, with a time that is over.
    let path = folder.path("strategies.lock");
    let text = fs::read_to_string(&path).expect("a lock file");
    let serial: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("serial = ")?.parse().ok())
        .expect("a serial number");
    let before = sandpaper::lockfile::Sha256::of(text.as_bytes());
    let body: String = text
        .lines()
        .filter(|line| !line.starts_with("prev_sha256"))
        .map(|line| match line {
            line if line.starts_with("serial") => {
                format!("serial = {}\nprev_sha256 = \"{before}\"\n", serial + 1)
            }
            line => format!("{line}\n"),
        })
        .collect();
    let (head, tail) = body.split_once("name = \"mm\"").expect("its entry");
    let tail = tail.replacen("allowed_at", "expires = 2026-01-01T00:00:00Z\nallowed_at", 1);
    folder.write("aside", format!("{head}name = \"mm\"{tail}"));
    fs::rename(folder.path("aside"), &path).expect("replaced");
    let told = run.wait_for("its permission has expired");
    assert!(told.contains("mm"), "{told}");
    run.wait_for("flow");
    let report = run.end();
    assert_ne!(row(&report, "mm")["state"], "stopped", "{report}");
    // The control: the other one's permission goes on.
    assert_eq!(row(&report, "flow")["state"], "stopped", "{report}");
    verify(&folder, 0);
}

/// Whoever can put something in the lock file's place stops nothing with it.
#[test]
fn crit_001_a_pipe_in_the_lock_files_place_stops_nothing() {
    let Some((folder, _)) = ready() else { return };
    let mut run = Run::start(&folder);
    run.wait_for("position");
    let path = folder.path("strategies.lock");
    let lock = fs::read(&path).expect("a lock file");
    fs::remove_file(&path).expect("removed");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
    assert!(made.success());
    let told = run.wait_for("not a regular file");
    assert!(told.contains("goes on as it was allowed"), "{told}");
    run.wait_for("position");
    folder.run(&["list"]).expect(1);
    // It is looked at again, and what stands there by then holds.
    fs::remove_file(&path).expect("removed");
    fs::write(&path, lock).expect("written");
    folder.run(&["deny", "mm", "--reason", "enough"]).expect(0);
    run.wait_for("denied: enough");
    let report = run.end();
    assert_eq!(row(&report, "flow")["state"], "stopped", "{report}");
}

/// With a key, what is denied counts once it is signed, also in a run that goes on.
#[test]
#[allow(clippy::print_stderr, reason = "a skipped test must say so")]
fn crit_001_a_signed_denial_reaches_a_run_that_goes_on() {
    let minisign = |folder: &Folder, arguments: &[&str]| {
        let mut command = std::process::Command::new("minisign");
        command.args(arguments).current_dir(folder.path("")).stdout(Stdio::null()).status()
    };
    let Some((folder, _)) = ready() else { return };
    if minisign(&folder, &["-v"]).is_err() {
        eprintln!("skipped: minisign is not installed");
        return;
    }
    let generate = ["-G", "-W", "-f", "-p", "k.pub", "-s", "k.key"];
    assert!(minisign(&folder, &generate).expect("minisign").success());
    let key = fs::read_to_string(folder.path("k.pub")).expect("a key");
    let key = key.lines().nth(1).expect("two lines");
    let sign = || {
        let arguments = ["-S", "-s", "k.key", "-m", "strategies.lock"];
        assert!(minisign(&folder, &arguments).expect("minisign").success());
    };
    sign();
    folder.write("config.toml", format!("[strategies]\npublic_key = \"{key}\"\n"));
    let mut run = Run::start(&folder);
    folder.run(&["deny", "mm", "--reason", "loses money"]).expect(0);
    run.wait_for("not signed");
    run.wait_for("position");
    sign();
    let told = run.wait_for("denied: loses money");
    assert!(told.contains("mm"), "{told}");
    let report = run.end();
    assert_eq!(row(&report, "flow")["state"], "stopped", "{report}");
}

/// What could not take over is tried again when it is allowed anew.
#[test]
fn crit_001_a_refused_build_is_tried_again_when_it_is_allowed_anew() {
    let Some((folder, old)) = ready() else { return };
    let mut run = Run::start(&folder);
    let new = rebuilt(&old);
    folder.write("aside", &new);
    fs::rename(folder.path("aside"), folder.path("strategies/mm.wasm")).expect("replaced");
    // Too little for it to be asked what it is.
    let little = ["--limit", "fuel_describe=1000"];
    let allow = ["allow", "strategies/mm.wasm", "--yes"];
    let hash = format!("sha256:{}", sandpaper::lockfile::Sha256::of(&new));
    folder.run(&[&["allow", &hash, "--name", "mm", "--yes"][..], &little].concat()).expect(0);
    run.wait_for("a new build cannot run");
    run.wait_for("position");
    folder.run(&[&allow[..], &["--limit", "fuel_describe=default"]].concat()).expect(0);
    run.wait_for("became");
    let report = run.end();
    let to = sandpaper::lockfile::Sha256::of(&new).to_string();
    assert_eq!(row(&report, "mm")["sha256"], to);
    let runs = repository::files(&folder.path("runs"), "result.json");
    let result = fs::read_to_string(&runs[0]).expect("a result");
    assert!(result.contains(&to), "the result names what ran last: {result}");
}

/// A run that was killed is not waited for.
#[test]
fn what_a_killed_run_used_is_not_watched_for_ever() {
    let Some((folder, _)) = ready() else { return };
    let mut run = Run::start(&folder);
    run.wait_for("position");
    run.child.kill().expect("killed");
    run.child.wait().expect("ended");
    let watched = folder.run(&["list", "--watch"]).expect(0);
    assert!(watched.stderr.contains("cut short"), "{}", watched.stderr);
}

#[test]
fn what_a_run_uses_is_watched_from_another_process() {
    let Some((folder, _)) = ready() else { return };
    folder.run(&["list", "--watch"]).expect(2);
    let mut run = Run::start(&folder);
    run.wait_for("position");
    let mut watch = folder
        .command(&["list", "--watch", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(watch.stdout.take().expect("piped"));
    let mut next = || {
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        serde_json::from_str::<Value>(&line).expect("JSON")
    };
    let (first, second) = (next(), next());
    assert_eq!(first["schema"], "sandpaper.usage/1");
    let used = |now: &Value, field: &str| row(now, "mm")["sandbox"][field].as_u64().expect(field);
    assert!(used(&second, "fuel") > used(&first, "fuel"), "{first} {second}");
    assert!(used(&second, "memory_peak_bytes") >= used(&second, "memory_bytes"));
    assert!(used(&second, "host_calls") > 0);
    assert!(row(&second, "mm")["sandbox"]["call_ns"]["p99"].as_u64() > Some(0));
    // Nobody reads what another one shows: it ends, and does not wait for the run.
    let mut unread = folder.command(&["list", "--watch", "--json"]);
    let mut unread =
        unread.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    drop(unread.stdout.take());
    assert!(unread.wait().expect("ended").success());
    let report = run.end();
    assert!(used(&report, "fuel") >= used(&second, "fuel"));
    // It ends with the run.
    assert!(watch.wait().expect("ended").success());
}
