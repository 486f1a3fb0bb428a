//! A run that is busy ends as soon as it is asked to.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sandpaper_tests::{Folder, repository};

/// What the requirement allows.
const END_MAX: Duration = Duration::from_secs(5);

/// Starts it; once `line` was said, SIGTERM. How long it then took, how it ended, and
/// what it said from then on.
#[allow(clippy::disallowed_methods, reason = "how long the end takes is what is tested")]
fn ended(folder: &Folder, arguments: &[&str], line: Option<&str>) -> (Duration, i32, String) {
    let mut command = folder.command(arguments);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let mut said = String::new();
    while line.is_some_and(|line| !said.contains(line)) {
        assert!(log.read_line(&mut said).expect("a log") > 0, "it ended early: {said}");
    }
    if line.is_none() {
        // While the compiling child lives, the program waits for it.
        while children(&child) == 0 {
            assert_eq!(child.try_wait().expect("a child"), None, "it ended early");
            std::thread::yield_now();
        }
    }
    let began = Instant::now();
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    log.read_to_string(&mut said).expect("a log");
    let status = child.wait().expect("it ends");
    (began.elapsed(), status.code().unwrap_or(-1), said)
}

/// How many children a process has.
fn children(child: &Child) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id()));
    let of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children"));
    tasks
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| of(task).ok())
        .fold(0, |count, text| count + text.split_whitespace().count())
}

/// A strategy that is called for each trade and computes for long.
fn busy() -> Vec<u8> {
    let path = repository::root().join("tests/guests/reads_ahead.wat");
    let text = std::fs::read_to_string(path).expect("a guest");
    let (head, tail) = text.split_once("    ;; A trade is five words").expect("its place");
    let (_, tail) = tail.split_once("    i32.const 1)").expect("its end");
    let work = "(local $n i32) (local.set $n (i32.const 900000))
        (loop $more (br_if $more
          (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        i32.const 1)";
    wat::parse_str(format!("{head}{work}{tail}")).expect("wat")
}

#[test]
fn high_007_a_busy_engine_ends_within_five_seconds() {
    let folder = Folder::new();
    folder.write("busy.wasm", busy());
    let mut arguments = vec!["run", "--wasm", "busy.wasm", "--unsigned", "--no-dashboard"];
    let endless = "sandbox.fuel_per_second=1000000000000";
    for setting in ["feed.sim.speed=0", "feed.sim.trade_rate_hz=10000", endless] {
        arguments.extend(["--set", setting]);
    }
    let (took, code, said) = ended(&folder, &arguments, Some("busy UNSIGNED on"));
    assert_eq!(code, 0, "{said}");
    assert!(took < END_MAX, "{took:?}: {said}");
    // What was stepped until then is a whole record.
    folder.run(&["verify", &folder.only_record(), "--unsigned"]).expect(0);
}

#[test]
fn high_007_compiling_does_not_keep_it_from_ending() {
    let folder = Folder::new();
    let path = repository::root().join("tests/guests/well_behaved.wat");
    let quiet = std::fs::read_to_string(path).expect("a guest");
    let work = format!("(func {})", "(call $callee (i32.const 1))".repeat(35_000)).repeat(20);
    let head = quiet.trim_end().strip_suffix(')').expect("a module");
    let text = format!("{head} (func $callee (param i32)) {work})");
    folder.write("large.wasm", wat::parse_str(text).expect("wat"));
    let arguments = ["run", "--wasm", "large.wasm", "--unsigned", "--no-dashboard"];
    let (took, code, said) = ended(&folder, &arguments, None);
    assert!(took < END_MAX, "{took:?}: {said}");
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("UNSIGNED on"), "it did not wait for that: {said}");
}
