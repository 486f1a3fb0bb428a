//! Rotation, packing, retention and failure.

use std::fs::{self, File};
use std::io::Read as _;

use flate2::read::GzDecoder;
use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    rotate_bytes: 1_000,
    keep_system: 2,
    keep_strategies: 3,
    keep_trades: 1_000,
    keep_aggregated: 4,
};

/// Enough for any disk.
const PATIENCE: Duration = Duration::from_secs(60);

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The files of the archive, oldest first, unpacked.
fn archived(dir: &Path, stem: &str) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir.join("archive"))
        .expect("an archive")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(stem)))
        .collect();
    names.sort();
    let unpack = |path: &PathBuf| {
        assert!(path.extension().is_some_and(|e| e == "gz"), "{path:?} is not packed");
        let mut text = String::new();
        GzDecoder::new(File::open(path).expect("a file")).read_to_string(&mut text).expect("gzip");
        text
    };
    names.iter().map(unpack).collect()
}

/// Every record of a stream, archives first.
fn records(dir: &Path, stem: &str, live: &str) -> Vec<String> {
    let mut text = archived(dir, stem).concat();
    text += &fs::read_to_string(dir.join(live)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn high_001_rotation_keeps_the_limit_and_every_record_once(
        lengths in prop::collection::vec(1_usize..2_500, 1..80),
        reopen_every in 1_usize..20,
    ) {
        let dir = folder();
        let mut logs = Logs::open(dir.path(), LIMITS).expect("logs");
        let lines: Vec<String> = lengths
            .iter()
            .enumerate()
            .map(|(number, &length)| format!("{number:0length$}"))
            .collect();
        let live = dir.path().join("trades/trades.jsonl");
        for (number, line) in lines.iter().enumerate() {
            logs.append(&StreamName::Trades, line, Flush::Now).expect("an append");
            let size = fs::metadata(&live).expect("a file").len();
            let alone = size == line.len() as u64 + 1;
            prop_assert!(size <= LIMITS.rotate_bytes || alone, "{size} bytes");
            if number % reopen_every == 0 {
                logs.finish(PATIENCE).expect("packed");
                logs = Logs::open(dir.path(), LIMITS).expect("logs");
            }
        }
        logs.finish(PATIENCE).expect("packed");
        for text in archived(dir.path(), "trades") {
            prop_assert!(text.len() as u64 <= LIMITS.rotate_bytes || text.lines().count() == 1);
        }
        prop_assert_eq!(records(dir.path(), "trades", "trades/trades.jsonl"), lines);
    }
}

#[test]
fn high_001_retention_is_per_stream() {
    let dir = folder();
    let mut logs = Logs::open(dir.path(), LIMITS).expect("logs");
    let strategy = StreamName::Strategy("alpha".into());
    for number in 0..20 {
        let line = format!("{number:0900}");
        for name in [&StreamName::System, &strategy, &StreamName::Trades, &StreamName::Aggregated] {
            logs.append(name, &line, Flush::Later).expect("an append");
        }
    }
    logs.finish(PATIENCE).expect("packed");
    let kept = |stem: &str| archived(dir.path(), stem).len();
    assert_eq!((kept("system"), kept("strategy-alpha"), kept("aggregated")), (2, 3, 4));
    assert_eq!(kept("trades"), 19, "another stream's limit is not this one's");
    let newest = archived(dir.path(), "system").concat();
    assert!(newest.contains(&format!("{:0900}", 18)), "the newest archives are kept");
}

#[test]
fn high_002_a_half_packed_file_is_packed_again_at_the_next_start() {
    let plain_text = "one\ntwo\n".repeat(400);
    // What a kill can leave: nothing packed yet, a torn packing, or a packed
    // file beside the plain one.
    for left_over in ["nothing", "torn", "packed"] {
        let dir = folder();
        Logs::open(dir.path(), LIMITS).expect("logs").finish(PATIENCE).expect("packed");
        let plain = dir.path().join("archive/trades-00000001.jsonl");
        fs::write(&plain, &plain_text).expect("a file");
        match left_over {
            "torn" => {
                fs::write(dir.path().join("archive/trades-00000001.jsonl.gz.tmp"), b"\x1f\x8b\x08")
                    .expect("a file");
            }
            "packed" => {
                archive::pack(&plain).expect("packed");
                fs::write(&plain, &plain_text).expect("a file");
            }
            _ => {}
        }
        Logs::open(dir.path(), LIMITS).expect("logs").finish(PATIENCE).expect("packed");
        assert_eq!(
            archived(dir.path(), "trades"),
            std::slice::from_ref(&plain_text),
            "{left_over}"
        );
        assert!(!plain.exists(), "{left_over}: packed and removed");
    }
}

#[test]
fn high_002_the_plain_file_stays_when_packing_fails() {
    let dir = folder();
    let plain = dir.path().join("x-00000001.jsonl");
    fs::write(&plain, "record\n").expect("a file");
    // A folder in the place of the packed file: it cannot be written.
    fs::create_dir(dir.path().join("x-00000001.jsonl.gz.tmp")).expect("a folder");
    assert!(archive::pack(&plain).is_err());
    assert_eq!(fs::read_to_string(&plain).expect("still there"), "record\n");
}

#[test]
fn high_006_folders_are_made_and_fills_are_on_disk_at_once() {
    let dir = folder();
    let root = dir.path().join("deep/logs");
    let mut logs = Logs::open(&root, LIMITS).expect("logs");
    for folder in ["system", "strategies", "trades", "aggregated", "archive"] {
        assert!(root.join(folder).is_dir(), "{folder}");
    }
    let file = root.join("trades/trades.jsonl");
    logs.append(&StreamName::Trades, "{\"fill\":1}", Flush::Now).expect("an append");
    assert_eq!(fs::read_to_string(&file).expect("a file"), "{\"fill\":1}\n");
    logs.append(&StreamName::Trades, "{\"log\":2}", Flush::Later).expect("an append");
    let before = fs::metadata(&file).expect("a file").len();
    assert_eq!(before, 11, "the control: without the flag it waits in memory");
    logs.flush().expect("a flush");
    assert_eq!(fs::read_to_string(&file).expect("a file").lines().count(), 2);
}

#[test]
fn high_006_a_torn_last_record_is_cut_and_the_rest_kept() {
    let dir = folder();
    let file = dir.path().join("trades/trades.jsonl");
    let long = "x".repeat(200_000);
    for (name, left, kept) in [
        ("whole", "{\"a\":1}\n".to_owned(), "{\"a\":1}\n".to_owned()),
        ("torn", "{\"a\":1}\n{\"b\":".to_owned(), "{\"a\":1}\n".to_owned()),
        ("only a torn one", "{\"b\":".to_owned(), String::new()),
        ("torn and long", format!("{{\"a\":1}}\n{long}"), "{\"a\":1}\n".to_owned()),
    ] {
        fs::create_dir_all(dir.path().join("trades")).expect("a folder");
        fs::write(&file, &left).expect("a file");
        let mut logs =
            Logs::open(dir.path(), Limits { rotate_bytes: 1 << 20, ..LIMITS }).expect("logs");
        logs.append(&StreamName::Trades, "{\"c\":3}", Flush::Now).expect("an append");
        assert_eq!(
            fs::read_to_string(&file).expect("a file"),
            format!("{kept}{{\"c\":3}}\n"),
            "{name}"
        );
    }
}

#[test]
fn high_006_a_full_disk_is_one_error_that_names_the_file() {
    let dir = folder();
    let mut logs = Logs::open(dir.path(), LIMITS).expect("logs");
    let full = dir.path().join("trades/trades.jsonl");
    std::os::unix::fs::symlink("/dev/full", &full).expect("a link");
    let error = logs.append(&StreamName::Trades, "{}", Flush::Now).expect_err("the disk is full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(error.to_string().contains("trades.jsonl"), "{error}");
    let other = logs.append(&StreamName::System, "{}", Flush::Now);
    assert!(other.is_ok(), "the control: another stream can be written");
}

#[test]
fn high_006_a_folder_that_cannot_be_made_is_an_error_that_names_it() {
    let dir = folder();
    fs::write(dir.path().join("logs"), "a file").expect("a file");
    let error = Logs::open(&dir.path().join("logs"), LIMITS).expect_err("no folder can be here");
    assert!(error.to_string().contains("logs"), "{error}");
}

#[test]
fn med_011_a_closed_stream_gives_its_descriptor_back() {
    let dir = folder();
    let mut logs = Logs::open(dir.path(), LIMITS).expect("logs");
    for number in 0..2_000 {
        let name = StreamName::Strategy(format!("s{number}"));
        logs.append(&name, "{}", Flush::Later).expect("an append");
        logs.close(&name).expect("a close");
        assert_eq!(logs.open_files(), 0);
    }
    let written = fs::read_to_string(dir.path().join("strategies/s1999.jsonl"));
    assert_eq!(written.expect("a file"), "{}\n", "closing writes out");
}

#[test]
fn names_cannot_leave_the_folder_or_meet() {
    let hostile = ["../../etc/passwd", "a/b", "a\0b", "", ".", "..", "a b", "a_b", "é"];
    let mut stems: Vec<String> = hostile.iter().map(|name| file_stem(name)).collect();
    for stem in &stems {
        assert!(stem.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{stem}");
        assert!(!stem.is_empty());
    }
    stems.sort();
    stems.dedup();
    assert_eq!(stems.len(), hostile.len());
    assert_ne!(
        StreamName::Strategy("trades".into()).archive_stem(),
        StreamName::Trades.archive_stem()
    );
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long the end takes is what is tested")]
fn high_007_the_end_does_not_wait_for_a_file_that_takes_for_ever() {
    let dir = folder();
    fs::create_dir_all(dir.path().join("archive")).expect("a folder");
    // Reading a FIFO that nobody writes never ends.
    let full = dir.path().join("archive/system-00000001.jsonl");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &full, rustix::fs::FileType::Fifo, mode, 0)
        .expect("a FIFO");
    let mut logs = Logs::open(dir.path(), LIMITS).expect("logs");
    logs.append(&StreamName::Trades, "kept", Flush::Later).expect("an append");
    let began = std::time::Instant::now();
    logs.finish(Duration::from_millis(50)).expect("flushed");
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(records(dir.path(), "trades", "trades/trades.jsonl"), ["kept"]);
    assert!(full.exists(), "what is not packed stays for the next start");
}
