use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use jiff::Timestamp;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn now() -> Timestamp {
    at("2026-11-22T14:00:00Z")
}

fn entry(name: &str, bytes: &[u8]) -> Entry {
    Entry {
        name: name.to_owned(),
        sha256: Sha256::of(bytes),
        world: WORLD.to_owned(),
        file_hint: format!("strategies/{name}.wasm"),
        imports: vec!["sandpaper:strategy/report@0.1.0".to_owned()],
        size: bytes.len() as u64,
        allowed_at: now(),
        note: String::new(),
        expires: None,
        wasi: Wasi::Refused,
        limits: None,
    }
}

fn candidate(bytes: &[u8]) -> Candidate {
    Candidate::from_bytes(bytes.to_vec(), "strategies/x.wasm")
}

#[track_caller]
fn check_damaged(text: &str, line: usize, detail: &str) {
    match Lock::parse(text, Path::new("strategies.lock")) {
        Err(LockError::Damaged { line: found, detail: said, .. }) => {
            assert_eq!(found, line, "{said}");
            assert!(said.contains(detail), "{said}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn crit_001_without_a_lock_file_nothing_runs_and_the_hash_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let lock = Lock::read(&folder.path().join("strategies.lock")).expect("no file is no error");
    let refused = lock.approve(candidate(b"abc"), now()).expect_err("nothing is allowed");
    // The digest of "abc" as FIPS 180-2 gives it.
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert!(refused.to_string().contains(hash), "{refused}");
    assert!(refused.to_string().contains("strategies/x.wasm"), "{refused}");
}

#[test]
fn crit_001_one_changed_byte_is_refused() {
    let bytes: Vec<u8> = (0..=255).collect();
    let mut lock = Lock::default();
    lock.allow(entry("a", &bytes)).expect("allowed");
    assert!(lock.approve(candidate(&bytes), now()).is_ok());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let refused = lock.approve(candidate(&changed), now()).expect_err("changed bytes");
        assert!(
            matches!(refused, Refusal::Unlisted { sha256, .. } if sha256 == Sha256::of(&changed))
        );
    }
}

#[test]
fn crit_001_approved_bytes_are_the_hashed_bytes() {
    let mut lock = Lock::default();
    lock.allow(entry("a", b"one")).expect("allowed");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.wasm");
    fs::write(&path, b"one").expect("written");
    let read = read_candidate(&path, 100).expect("read");
    // Whatever happens to the file after its read, the approved buffer stays.
    fs::write(&path, b"two").expect("written");
    let approved = lock.approve(read, now()).expect("approved");
    assert_eq!(approved.candidate().bytes(), b"one");
    assert_eq!(approved.candidate().sha256(), Sha256::of(approved.candidate().bytes()));
    assert!(!approved.is_unsigned());
}

#[test]
fn crit_001_the_bypass_is_explicit_and_marked() {
    let approved = Approved::unsigned(candidate(b"x"), Wasi::Refused);
    assert!(approved.is_unsigned());
    assert_eq!(approved.entry(), None);
}

#[test]
fn low_001_a_strategy_is_addressed_by_its_hash_only() {
    let mut lock = Lock::default();
    lock.allow(entry("a", b"allowed")).expect("allowed");
    // The same bytes under another name run; other bytes under the same name,
    // in the same place, do not.
    let elsewhere = Candidate::from_bytes(b"allowed".to_vec(), "/elsewhere/z.wasm");
    assert!(lock.approve(elsewhere, now()).is_ok());
    let same_name = Candidate::from_bytes(b"other".to_vec(), "strategies/a.wasm");
    assert!(lock.approve(same_name, now()).is_err());
}

#[test]
fn deny_beats_allow_for_ever() {
    let mut lock = Lock::default();
    lock.allow(entry("a", b"bad")).expect("allowed");
    assert!(lock.deny(Sha256::of(b"bad"), "loses money", now()));
    assert!(!lock.deny(Sha256::of(b"bad"), "again", now()));
    let refused = lock.approve(candidate(b"bad"), now()).expect_err("revoked");
    assert!(refused.to_string().contains("loses money"), "{refused}");
    assert!(matches!(lock.allow(entry("b", b"bad")), Err(LockError::Revoked { .. })));
    // A file edited by hand so that both lists name the hash denies it.
    let both = format!(
        "version = 1\nserial = 1\n[[strategy]]\n{}\n[[revoked]]\nsha256 = \"{}\"\nrevoked_at = 2026-01-01T00:00:00Z\n",
        toml::to_string(&entry("a", b"bad")).expect("text"),
        Sha256::of(b"bad"),
    );
    let lock = Lock::parse(&both, Path::new("x")).expect("parsed");
    assert!(matches!(lock.lookup(&Sha256::of(b"bad"), now()), Verdict::Revoked(_)));
}

#[test]
fn a_permission_ends_at_its_time() {
    let mut lock = Lock::default();
    let expires = at("2026-12-01T00:00:00Z");
    lock.allow(Entry { expires: Some(expires), ..entry("a", b"x") }).expect("allowed");
    let before = at("2026-11-30T23:59:59Z");
    assert!(matches!(lock.lookup(&Sha256::of(b"x"), before), Verdict::Allowed(_)));
    assert!(matches!(lock.lookup(&Sha256::of(b"x"), expires), Verdict::Expired(_)));
    let refused = lock.approve(candidate(b"x"), expires).expect_err("expired");
    assert!(refused.to_string().contains("2026-12-01"), "{refused}");
}

#[test]
fn a_new_build_replaces_the_old_one() {
    let mut lock = Lock::default();
    lock.allow(entry("a", b"1")).expect("allowed");
    lock.allow(entry("a", b"2")).expect("allowed");
    assert_eq!(lock.lookup(&Sha256::of(b"1"), now()), Verdict::Unlisted);
    assert_eq!(lock.by_name("a").map(|entry| entry.sha256), Some(Sha256::of(b"2")));
    // It does not run any more, but was allowed once, until it is denied.
    assert!(lock.was_allowed(&Sha256::of(b"1")) && !lock.was_allowed(&Sha256::of(b"3")));
    lock.deny(Sha256::of(b"1"), "", now());
    assert!(!lock.was_allowed(&Sha256::of(b"1")));
    for build in 0..1_100_u32 {
        lock.allow(entry("a", &build.to_le_bytes())).expect("allowed");
    }
    assert!(toml::to_string(&lock).expect("text").matches("[[superseded]]").count() <= 1_000);
    assert!(lock.was_allowed(&Sha256::of(&1_098_u32.to_le_bytes())));
    lock.allow(entry("a", b"2")).expect("allowed");
    assert!(lock.allow(entry("a b", b"3")).is_err());
    assert!(lock.allow(entry("", b"3")).is_err());
}

#[test]
fn a_written_file_reads_back_and_chains_to_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("strategies.lock");
    let mut lock = Lock::read(&path).expect("empty");
    lock.allow(Entry {
        note: "reviewed \"twice\"\n".to_owned(),
        expires: Some(at("2027-01-01T00:00:00Z")),
        wasi: Wasi::Deterministic,
        limits: Some(LimitOverride { fuel_per_event: Some(9), ..LimitOverride::default() }),
        ..entry("a", b"1")
    })
    .expect("allowed");
    lock.write(&path).expect("written");
    let first = Sha256::of(&fs::read(&path).expect("bytes"));
    assert_eq!((lock.serial(), lock.prev_sha256()), (1, None));

    let mut again = Lock::read(&path).expect("read");
    assert_eq!(again, lock);
    again.deny(Sha256::of(b"2"), "", now());
    again.write(&path).expect("written");
    assert_eq!((again.serial(), again.prev_sha256()), (2, Some(first)));
    assert_eq!(Lock::read(&path).expect("read"), again);
    assert!(!folder.path().join("strategies.lock.tmp").exists());

    // The first reader's view is stale now, and writing it would lose the denial.
    assert!(matches!(lock.write(&path), Err(LockError::Changed { .. })));
    assert_eq!(Lock::read(&path).expect("read"), again);
}

#[test]
fn a_damaged_file_names_the_line() {
    check_damaged("version = 1\nserial = 1\nserail = 2\n", 3, "serail");
    check_damaged("version = 2\nserial = 1\n", 1, "version 2");
    check_damaged("version = 1\n\nserial = \"x\"\n", 3, "invalid type");
    check_damaged("version = 1\nserial = 1\n[[strategy]\n", 3, "");
    check_damaged("version = 1\nserial = 1\n[[revoked]]\nsha256 = \"12\"\n", 4, "64 hexadecimal");
    let one = toml::to_string(&entry("a", b"1")).expect("text");
    let two = toml::to_string(&entry("b", b"1")).expect("text");
    let twice = format!("version = 1\nserial = 1\n[[strategy]]\n{one}[[strategy]]\n{two}");
    check_damaged(&twice, 3 + one.lines().count() + 3, "stands twice");
}

#[test]
fn every_truncation_of_a_file_is_an_error_or_allows_no_more() {
    let mut lock = Lock::default();
    lock.allow(entry("a", b"1")).expect("allowed");
    lock.allow(entry("b", b"2")).expect("allowed");
    let text = toml::to_string(&lock).expect("text");
    for end in 0..text.len() {
        if let Ok(cut) = Lock::parse(&text[..end], Path::new("x")) {
            assert!(cut.entries().iter().all(|entry| lock.entries().contains(entry)
                || lock.by_name(&entry.name).is_some_and(|whole| whole.sha256 == entry.sha256)));
        }
    }
}

#[test]
fn only_a_plain_file_with_one_name_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("b.wasm"), [7; 10]).expect("written");
    assert_eq!(read_candidate(&path("b.wasm"), 10).expect("read").bytes(), [7; 10]);
    let too_large = read_candidate(&path("b.wasm"), 9);
    assert!(matches!(too_large, Err(CandidateError::TooLarge { size: 10, cap: 9, .. })));

    symlink(path("b.wasm"), path("a.wasm")).expect("linked");
    assert!(matches!(read_candidate(&path("a.wasm"), 10), Err(CandidateError::Symlink { .. })));
    fs::create_dir(path("c.wasm")).expect("made");
    assert!(matches!(read_candidate(&path("c.wasm"), 10), Err(CandidateError::NotRegular { .. })));
    assert!(matches!(read_candidate(&path("none"), 10), Err(CandidateError::Io { .. })));
    let pipe = path("d.wasm");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("a pipe");
    assert!(matches!(read_candidate(&pipe, 10), Err(CandidateError::NotRegular { .. })));

    fs::write(path("other.txt"), b"").expect("written");
    let names: Vec<_> = scan(folder.path())
        .expect("listed")
        .iter()
        .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
        .collect();
    assert_eq!(names, ["a.wasm", "b.wasm", "c.wasm", "d.wasm"]);

    fs::hard_link(path("b.wasm"), path("e.wasm")).expect("linked");
    let linked = read_candidate(&path("b.wasm"), 10);
    assert!(matches!(linked, Err(CandidateError::HardLinked { links: 2, .. })));
    assert!(read_named(&path("b.wasm"), 10).is_ok());
    assert!(scan(&path("nowhere")).is_err());
}
