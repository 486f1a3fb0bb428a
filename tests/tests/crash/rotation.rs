//! The logs, killed while they are rotated and packed.

use std::fs::File;
use std::io::Read as _;

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
    trading(folder, "12", &[&own[..], &keep, more].concat())
}

#[test]
fn high_002_b9_killed_while_logs_are_rotated_no_record_is_lost_or_kept_twice() {
    if !strace::present() {
        return;
    }
    let folder = ready(2);
    let run = session(&folder, &["--duration", "12s"]);
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
    everywhere(
        most as u64,
        || ready(2),
        |folder, index| {
            let (name, number) = &points[index as usize * points.len() / most];
            let what = format!("{name} {number}");
            let _ = std::fs::remove_dir_all(folder.path("logs"));
            let inject = format!("{name}:signal=SIGKILL:when={number}");
            let run = session(folder, &["--duration", "12s"]);
            let traced = strace::run(folder, &[inject], &run);
            assert!(traced.code.is_none(), "{what}: it was killed");
            let shown = count(&shown_in(traced.stderr.lines()));
            // The next run packs what was left over.
            let next = session(folder, &["--duration", "100ms"]);
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
    println!("killed at {most} of {} calls of the archive", points.len());
}

#[test]
fn b9_a_record_that_is_taken_out_is_noticed() {
    let folder = ready(1);
    folder.run(&strs(&session(&folder, &["--duration", "2s"]))).expect(0);
    let mut all = records(&folder, "aggregated", "aggregated");
    assert!(all.len() > 10);
    whole(&all).expect("all of it");
    let doubled = [&all[..6], &all[5..]].concat();
    assert!(whole(&doubled).is_err());
    all.remove(5);
    assert!(whole(&all).is_err());
}
