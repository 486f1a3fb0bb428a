//! The logs, killed while they are rotated and packed.

use std::fs::File;
use std::io::Read as _;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;

use super::*;

/// How many points are hit; `make crash` hits all.
const POINTS: u64 = 16;

/// The records of a stream, archives first. Every archive must be whole.
pub(super) fn records(folder: &Folder, stream: &str, stem: &str) -> Vec<Value> {
    let archive = std::fs::read_dir(folder.path("logs/archive")).expect("an archive");
    let own = |name: &str| {
        let number = name.strip_prefix(stem)?.strip_prefix('-')?.split('.').next()?;
        number.parse::<u64>().ok()
    };
    let mut packed: Vec<(u64, PathBuf)> = archive
        .flatten()
        .filter_map(|entry| Some((own(&entry.file_name().to_string_lossy())?, entry.path())))
        .collect();
    packed.sort();
    let mut text = String::new();
    for (_, path) in packed {
        assert!(path.extension().is_some_and(|e| e == "gz"), "{path:?} was left over");
        let file = File::open(&path).expect("readable");
        GzDecoder::new(file).read_to_string(&mut text).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    }
    let live = folder.path(&format!("logs/{stream}/{stem}.jsonl"));
    text.push_str(&std::fs::read_to_string(live).unwrap_or_default());
    text.lines().map(|line| serde_json::from_str(line).expect("a record a line")).collect()
}

/// Every session's numbers rise by one.
pub(super) fn whole(records: &[Value]) -> Result<(), String> {
    let mut sessions: BTreeMap<String, u64> = BTreeMap::new();
    for record in records {
        let next = sessions.entry(record["session"].to_string()).or_default();
        *next += 1;
        if record["seq"].as_u64() != Some(*next) {
            return Err(format!("{next} is missing before {record}"));
        }
    }
    Ok(())
}

fn session(folder: &Folder, more: &[&str]) -> Vec<String> {
    let own = ["--no-record", "--set", "log.files.rotate_size=16KiB"];
    let keep = ["--set", "log.files.keep_aggregated=1000", "--set", "log.files.keep_trades=1000"];
    trading(folder, "0", &[&own[..], &keep, &CALM, more].concat())
}

#[test]
fn high_002_b9_killed_while_logs_are_rotated_no_record_is_lost_or_kept_twice() {
    if !strace::present() {
        return;
    }
    let folder = ready(2);
    let run = session(&folder, &["--duration", "1h"]);
    let traced = strace::run(&folder, &[], &run);
    assert_eq!(traced.code, Some(0), "{}", traced.stderr);
    let mut points = Vec::new();
    for call in traced.threads.iter().flatten() {
        let path = call.path();
        let archived = path.contains("archive") || path.contains(".gz");
        let rotates =
            matches!(call.name.as_str(), "rename" | "unlink" | "fsync" | "openat" | "write");
        if archived && rotates || call.name == "rename" {
            points.push((call.name.clone(), call.number));
        }
    }
    assert!(points.len() > 20, "the logs are rotated: {points:?}");
    points.sort();
    points.dedup();
    let most = size("SANDPAPER_CRASH_POINTS", POINTS).min(points.len() as u64) as usize;
    let reached = AtomicU64::new(0);
    everywhere(
        most as u64,
        || ready(2),
        |folder, index| {
            let (name, number) = &points[index as usize * points.len() / most];
            let what = format!("{name} {number}");
            let _ = std::fs::remove_dir_all(folder.path("logs"));
            let inject = format!("{name}:signal=SIGKILL:when={number}");
            let run = session(folder, &["--duration", "1h"]);
            let traced = strace::run(folder, &[inject], &run);
            // The threads take turns as they like: a call may not come at all.
            reached.fetch_add(u64::from(traced.code.is_none()), Ordering::Relaxed);
            let shown = count(&shown_in(traced.stderr.lines()));
            forgive(folder);
            // The next run packs what was left over.
            let next = session(folder, &["--duration", "1m"]);
            let next = folder.run(&strs(&next)).expect(0);
            let shown = shown + count(&shown_in(next.stderr.lines()));
            let all = records(folder, "aggregated", "aggregated");
            whole(&all).unwrap_or_else(|why| panic!("{what}: {why}"));
            let fills = |records: &[Value]| records.iter().filter(|r| r["kind"] == "fill").count();
            let trades = records(folder, "trades", "trades");
            assert!(fills(&trades) >= shown, "{what}: {shown} shown, {} kept", fills(&trades));
            assert!(fills(&all) >= fills(&trades), "{what}");
        },
    );
    let reached = reached.into_inner();
    println!("killed at {reached} of {} calls of the archive", points.len());
    assert!(reached * 2 > most as u64, "{reached} of {most} were reached");
}

#[test]
fn b9_a_record_that_is_taken_out_is_noticed() {
    let folder = ready(1);
    folder.run(&strs(&session(&folder, &["--duration", "10m"]))).expect(0);
    let mut all = records(&folder, "aggregated", "aggregated");
    assert!(all.len() > 10);
    whole(&all).expect("all of it");
    let doubled = [&all[..6], &all[5..]].concat();
    assert!(whole(&doubled).is_err());
    all.remove(5);
    assert!(whole(&all).is_err());
}

/// True when the program has that file open.
fn has_open(pid: u32, name: &str) -> bool {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|path| path.ends_with(name))
}

#[test]
fn med_011_a_strategy_that_is_denied_on_the_way_closes_its_file() {
    let folder = Folder::new();
    for (name, text) in
        [("a", TRADER.to_owned()), ("b", TRADER.replace("\"memory\") 16", "\"memory\") 17"))]
    {
        let module = wat::parse_str(text).expect("a module");
        folder.write(&format!("strategies/{name}.wasm"), module);
    }
    folder.run(&["allow", "strategies/a.wasm", "strategies/b.wasm", "--yes"]).expect(0);
    let mut arguments = trading(&folder, "5", &["--no-record"]);
    arguments.retain(|argument| argument != "--unsigned");
    let (mut child, log) = start(&folder, &arguments);
    let pid = child.id();
    let (mut denied, mut closed, mut lines) = (false, false, log.lines());
    // Every line is a step of the run; a file is closed within a few of them.
    for line in lines.by_ref().take(2_000) {
        let line = line.expect("a log");
        let of_b = shown_fill(&line).is_some_and(|(strategy, _)| strategy == "b");
        if of_b && !denied && has_open(pid, "strategies/a.jsonl") {
            denied = true;
            folder.run(&["deny", "a", "--reason", "a test"]).expect(0);
        }
        if of_b && denied && !has_open(pid, "strategies/a.jsonl") {
            closed = true;
            assert!(has_open(pid, "strategies/b.jsonl"), "the control: the other's is open");
            break;
        }
    }
    child.kill().expect("killed");
    child.wait().expect("it ends");
    assert!(denied, "the control: it was open while it ran");
    assert!(closed, "its file is still open");
    // What was on its way is told behind the end, into the same file.
    let told = records(&folder, "strategies", "a");
    assert!(told.iter().any(|record| record["fault"] == "revoked"), "{:?}", told.last());
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long a line waits is what is tested")]
fn b15_an_ordinary_log_line_waits_a_second_and_a_fill_not_at_all() {
    let folder = ready(1);
    let (mut child, mut log) = start(&folder, &trading(&folder, "1", &["--no-record"]));
    let size = |name: &str| std::fs::metadata(folder.path(name)).map_or(0, |file| file.len());
    let mut line = String::new();
    while shown_fill(&line).is_none() {
        line.clear();
        assert!(log.read_line(&mut line).expect("a log") > 0, "it ended early");
    }
    // Shown, so it is in the log of trades.
    assert!(size("logs/trades/trades.jsonl") > 0);
    // The line of the start is an ordinary one.
    let began = Instant::now();
    while size("logs/system/system.jsonl") == 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "it is never written");
        std::thread::yield_now();
    }
    let waited = began.elapsed();
    child.kill().expect("killed");
    child.wait().expect("it ends");
    assert!(waited < Duration::from_millis(1_500), "{waited:?}");
}
