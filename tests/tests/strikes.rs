//! Who is held responsible when the program dies while a strategy runs.

use std::fs;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sandpaper_tests::{Folder, repository};

/// The strategy uses most of what an event may: hardly a moment of a run is outside
/// of its code.
const BUSY: &str = "(func (export \"handle\") (param $words i32) (param $count i32) (result i32)
    (local $i i32) (local.set $i (i32.const 900000))
    (loop $more (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
    i32.const 1)";
/// Trades, of every symbol.
const TRADES: &str = "(data (i32.const 1024) \"\\00\\02\\00\\00\\05\\00\\00\\00\")
    (data (i32.const 1048) \"\\b8\\0b\\00\\00\\01\\00\\00\\00\")";

fn busy() -> Vec<u8> {
    let path = repository::root().join("tests/guests/well_behaved.wat");
    let text = fs::read_to_string(path).expect("a guest");
    let quiet = "(func (export \"handle\") (param $words i32) (param $count i32) (result i32)\n    i32.const 1)";
    let described = r#"(data (i32.const 1024) "\00\02\00\00\05\00\00\00")"#;
    assert!(text.contains(quiet) && text.contains(described), "the guest was changed");
    wat::parse_str(text.replace(quiet, BUSY).replace(described, TRADES)).expect("wat")
}

fn ready() -> Folder {
    let folder = Folder::new();
    folder.write("strategies/busy.wasm", busy());
    folder.run(&["allow", "strategies/busy.wasm", "--yes"]).expect(0);
    folder
}

const LIVELY: [&str; 6] =
    ["run", "--fresh", "--set", "feed.sim.speed=0", "--set", "feed.sim.trade_rate_hz=20"];
/// As long as the whole of it takes a second or so.
const SHORT: [&str; 2] = ["--duration", "10s"];

fn kept(folder: &Folder) -> usize {
    let runs = folder.path("runs");
    if runs.is_dir() { repository::files(&runs, ".wasm").len() } else { 0 }
}

/// A run in whose midst the strategy is called.
#[allow(clippy::zombie_processes, reason = "whoever asked for it ends it and waits")]
fn running(folder: &Folder) -> Child {
    let before = kept(folder);
    let child = folder
        .command(&LIVELY)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    loop {
        let state = folder.path(".state/sandpaper");
        for path in repository::files(&state, ".running") {
            let text = fs::read_to_string(path).unwrap_or_default();
            // With the module kept, the run has begun.
            if text.starts_with("00000001") && kept(folder) > before {
                return child;
            }
        }
        std::thread::yield_now();
    }
}

fn kill(mut child: Child) {
    child.kill().expect("killed");
    child.wait().expect("ended");
}

/// Kills the child of this process once it has begun to try the module again.
fn end_trial(parent: &Child, signal: Signal) {
    let path = format!("/proc/{0}/task/{0}/children", parent.id());
    loop {
        let children = fs::read_to_string(&path).unwrap_or_default();
        let trials = children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok());
        for pid in trials {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains("try-again") {
                let pid = Pid::from_raw(pid).expect("a process");
                kill_process(pid, signal).expect("signaled");
                return;
            }
        }
        std::thread::yield_now();
    }
}

#[test]
fn x_exc_a_user_who_kills_the_program_loses_no_strategy() {
    let folder = ready();
    for _ in 0..3 {
        kill(running(&folder));
    }
    let run = folder.run(&[&LIVELY[..], &SHORT].concat()).expect(0);
    // The control: it was suspected, and tried.
    assert!(run.stderr.contains("tried again in a process of its own"), "{}", run.stderr);
    assert!(run.stderr.contains("does no harm"), "{}", run.stderr);
    let quiet = folder.run(&[&LIVELY[..], &SHORT].concat()).expect(0);
    assert!(!quiet.stderr.contains("tried again"), "once: {}", quiet.stderr);
}

/// What may not run is not run to find out what it did either; it is found out once it
/// may.
#[test]
fn crit_001_a_denied_module_is_not_even_tried() {
    let folder = ready();
    kill(running(&folder));
    let lock = fs::read(folder.path("strategies.lock")).expect("a lock file");
    folder.run(&["deny", "busy"]).expect(0);
    let started = || folder.run(&[&LIVELY[..], &SHORT].concat()).stderr;
    for _ in 0..2 {
        let told = started();
        assert!(told.contains("may not run, and so it is not tried now"), "{told}");
        assert!(!told.contains("tried again in a process of its own"), "{told}");
    }
    // The control: where it may run, it is tried.
    fs::write(folder.path("strategies.lock"), lock).expect("written");
    for note in repository::files(&folder.path(".state/sandpaper"), ".lock-seen") {
        fs::remove_file(note).expect("removed");
    }
    let told = started();
    assert!(told.contains("tried again in a process of its own"), "{told}");
}

/// Who presses Ctrl-C twice ends the program himself: that raises no suspicion at all.
#[test]
fn x_exc_a_second_ctrl_c_raises_no_suspicion() {
    let folder = ready();
    let mut child = running(&folder);
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).expect("signaled");
    let marks = || repository::files(&folder.path(".state/sandpaper"), ".running").len();
    while marks() > 0 {
        std::thread::yield_now();
    }
    // It may have ended by itself meanwhile.
    let _ = kill_process(pid, Signal::INT);
    assert!(matches!(child.wait().expect("ended").code(), Some(0 | 130)));
    let run = folder.run(&[&LIVELY[..], &SHORT].concat()).expect(0);
    assert!(!run.stderr.contains("tried again"), "{}", run.stderr);
}

#[test]
fn x_exc_a_module_whose_code_ends_the_program_twice_is_struck() {
    let folder = ready();
    let start = |signal: Option<Signal>| {
        kill(running(&folder));
        let started = folder
            .command(&[&LIVELY[..], &SHORT].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        if let Some(signal) = signal {
            end_trial(&started, signal);
        }
        let output = started.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Whoever kills the trial from outside proves nothing.
    let (code, told) = start(Some(Signal::KILL));
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("ended by signal 9"), "{told}");
    // A death such as code brings upon itself, in the midst of it, and in the trial again.
    let (code, told) = start(Some(Signal::ABORT));
    assert_eq!(code, Some(4), "{told}");
    assert!(told.contains("signal 6") && told.contains("sandpaper allow sha256:"), "{told}");
    // It is not even compiled any more, until somebody allows it anew and means it.
    let refused = folder.run(&[&LIVELY[..], &SHORT].concat()).expect(4);
    assert!(refused.stderr.contains("does not run"), "{}", refused.stderr);
    let listed = folder.run(&["list"]).expect(0).stdout;
    assert!(listed.contains("struck"), "{listed}");
    let denied = ["allow", "strategies/busy.wasm", "--note", "x"];
    let _ = folder.run(&denied).expect(2);
    let _ = folder.run(&[&LIVELY[..], &SHORT].concat()).expect(4);
    folder.run(&["allow", "strategies/busy.wasm", "--yes"]).expect(0);
    folder.run(&[&LIVELY[..], &SHORT].concat()).expect(0);
}
