//! Code that is changed while a lane runs it: from files that others change all the
//! time, and ten thousand times.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt as _, symlink};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::Timestamp;
use sandpaper::domain::{Price, Qty, Side, SymbolId, Ts};
use sandpaper::engine::{Engine, LaneOutput, Replacement};
use sandpaper::input::{InputBlock, Trade};
use sandpaper::lockfile::{Approved, Candidate, Entry, Lock, Sha256, WORLD, Wasi, read_candidate};
use sandpaper::sandbox::{Caps, Limits, Module};
use sandpaper::strategy::Strategy as _;
use sandpaper_tests::Folder;

use super::guests::{LOG, Parts, SOUND};
use super::{Arena, everything};

/// A module that says its tag at every event. All tags are of one length, and so all
/// modules of one size.
fn tagged(tag: &str) -> Vec<u8> {
    assert_eq!(tag.len(), 6);
    let handle = "(call $log (i32.const 2) (i32.const 8192) (i32.const 6)) i32.const 1";
    let extra = format!("(data (i32.const 8192) \"{tag}\")");
    Parts { imports: LOG, extra: &extra, handle, ..SOUND }.build()
}

/// A running engine of one lane.
struct Desk<'a> {
    arena: &'a Arena,
    engine: Engine,
    now: Ts,
    runs: String,
}

impl<'a> Desk<'a> {
    fn open(arena: &'a Arena, bytes: Vec<u8>) -> Self {
        let runs = Sha256::of(&bytes).to_string();
        let engine = arena.engine(&arena.config, vec![arena.guest(bytes).expect("a guest")]);
        Self { arena, engine, now: arena.start, runs }
    }

    /// Puts other code in the place of what runs, as the program does: the new one is
    /// compiled and asked what it is, the old one saves its state, the new one loads it.
    fn swap(&mut self, approved: &Approved) {
        let module = Module::load(&self.arena.runtime, approved, &Caps::native()).expect("loaded");
        let mut guest = module.instantiate(Limits::default()).expect("an instance");
        let descriptor = everything(guest.describe().expect("described"));
        let to = approved.candidate().sha256().to_string();
        let from = std::mem::replace(&mut self.runs, to.clone());
        let strategy = Box::new(guest);
        let new = Replacement { strategy, descriptor, parameters: Vec::new(), from, to };
        self.engine.swap(self.now, 0, new).expect("the invariants hold");
        let swapped = |body| matches!(body, LaneOutput::Swapped { refused: None, .. });
        assert!(self.engine.drain().any(|one| swapped(one.body)), "it took over");
    }

    /// Lets it hear of one trade, and gives what it said.
    fn hear(&mut self) -> Vec<String> {
        self.now = Ts(self.now.0 + Ts::SECOND);
        let mut block = InputBlock::new(&self.arena.instruments, self.engine.next_seq());
        let (symbol, side) = (SymbolId(0), Side::Buy);
        let trade = Trade { symbol, side, price: Price(6_000_000), qty: Qty(1_000), id: 0 };
        block.push_trade(self.now, self.now, &trade);
        self.engine.step(&block).expect("the invariants hold");
        let said = self.engine.drain().filter_map(|one| match one.body {
            LaneOutput::Log { text, .. } => Some(text),
            _ => None,
        });
        said.collect()
    }
}

/// Who may run; the control lets everybody.
type Trust = fn(&Lock, Candidate) -> Option<Approved>;

const GOOD: [&str; 2] = ["good-a", "good-b"];

/// What came of a storm.
#[derive(Debug, Default)]
struct Storm {
    swaps: u64,
    refused: u64,
    /// by tag: how often a lane ran it
    ran: BTreeMap<String, u64>,
}

impl Storm {
    fn ran(&self, tag: &str) -> u64 {
        self.ran.get(tag).copied().unwrap_or(0)
    }
}

/// Puts good and evil files in one place, each in every way there is, until it is over.
fn blow(folder: &Folder, over: &AtomicBool, swaps: &AtomicU64) {
    let path = folder.path("strategies/x.wasm");
    let (aside, outside) = (folder.path("strategies/aside"), folder.path("evil.wasm"));
    let (good, evil) = (GOOD.map(tagged), tagged("evil-e"));
    for turn in 0_usize.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let _ = fs::remove_file(&aside);
        let kind = turn % 6;
        let made = match kind {
            0 => fs::write(&aside, &evil),
            1 => symlink(&outside, &aside),
            2 => fs::hard_link(&outside, &aside),
            // What lies there was good a moment ago.
            3 => fs::write(&aside, &good[0]),
            _ => fs::write(&aside, &good[kind % 2]),
        };
        made.and_then(|()| fs::rename(&aside, &path)).expect("swapped");
        if kind == 3 {
            let file = fs::File::options().write(true).open(&path).expect("opened");
            file.write_all_at(&evil, 0).expect("overwritten");
        }
        swaps.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs whatever `trust` lets through of the files of a storm, for as long as it is told.
fn storm(trust: Trust, goes_on: impl Fn(&Storm) -> bool) -> Storm {
    let arena = Arena::new();
    let folder = Folder::new();
    let tags: BTreeMap<Sha256, &str> =
        GOOD.into_iter().chain(["evil-e"]).map(|tag| (Sha256::of(&tagged(tag)), tag)).collect();
    let mut lock = Lock::default();
    for tag in GOOD {
        lock.allow(entry(tag, &tagged(tag))).expect("allowed");
    }
    let path = folder.write("strategies/x.wasm", tagged("evil-e"));
    folder.write("evil.wasm", tagged("evil-e"));
    let mut desk = Desk::open(&arena, tagged("good-a"));
    let (over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut found = Storm::default();
    std::thread::scope(|scope| {
        scope.spawn(|| blow(&folder, &over, &swaps));
        while goes_on(&found) {
            found.swaps = swaps.load(Ordering::Relaxed);
            let read = read_candidate(&path, 1 << 20).ok();
            let Some(approved) = read.and_then(|candidate| trust(&lock, candidate)) else {
                found.refused += 1;
                continue;
            };
            // Half of one file and half of another is nothing that anybody allowed.
            let Some(tag) = tags.get(&approved.candidate().sha256()) else {
                *found.ran.entry("of both".to_owned()).or_default() += 1;
                continue;
            };
            desk.swap(&approved);
            let said = desk.hear();
            assert_eq!(said, [*tag], "what runs is what was hashed");
            *found.ran.entry(said[0].clone()).or_default() += 1;
        }
        over.store(true, Ordering::Relaxed);
    });
    found
}

/// Without a length, it goes on until it has met everything it is about.
/// `SANDPAPER_STORM=600` goes on for as many seconds.
#[test]
#[allow(clippy::disallowed_methods, reason = "how long the storm lasts is what is asked for")]
#[allow(clippy::print_stderr, reason = "the figures are what the long form is for")]
fn crit_001_a_storm_of_swaps_runs_nothing_else() {
    let seconds: Option<u64> = std::env::var("SANDPAPER_STORM").ok().and_then(|n| n.parse().ok());
    let began = std::time::Instant::now();
    let goes_on = |so_far: &Storm| match seconds {
        Some(seconds) => began.elapsed().as_secs() < seconds,
        None => {
            so_far.refused < 200
                || so_far.swaps < 200
                || GOOD.into_iter().any(|tag| so_far.ran(tag) < 5)
        }
    };
    let found = storm(|lock, read| lock.approve(read, Timestamp::UNIX_EPOCH).ok(), goes_on);
    eprintln!("{found:?}");
    assert!(found.refused > 0 && GOOD.into_iter().all(|tag| found.ran(tag) > 0), "{found:?}");
    assert!(found.ran.keys().all(|tag| GOOD.contains(&tag.as_str())), "unapproved: {found:?}");
}

/// The control: where the lock file is not asked, the storm gets what it wants.
#[test]
fn crit_001_a_storm_of_swaps_without_the_lock_file_runs_everything() {
    let trust: Trust = |_, read| Some(Approved::unsigned(read, Wasi::Refused));
    let found = storm(trust, |so_far| so_far.ran("evil-e") == 0);
    assert!(found.ran("evil-e") > 0, "{found:?}");
}

fn entry(name: &str, bytes: &[u8]) -> Entry {
    Entry {
        name: name.to_owned(),
        sha256: Sha256::of(bytes),
        world: WORLD.to_owned(),
        file_hint: String::new(),
        imports: Vec::new(),
        size: bytes.len() as u64,
        allowed_at: Timestamp::UNIX_EPOCH,
        note: String::new(),
        expires: None,
        wasi: Wasi::Refused,
        limits: None,
    }
}

/// Less than one store reserves.
const RESERVED_KIB_MAX: u64 = 2 << 20;

/// What a process holds of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) descriptors: usize,
    pub(super) threads: usize,
    pub(super) resident_kib: u64,
    /// A store reserves gibibytes of address space that it never touches.
    pub(super) reserved_kib: u64,
}

impl Held {
    pub(super) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |key: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        Self {
            descriptors: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            threads: number("Threads:") as usize,
            resident_kib: number("VmRSS:"),
            reserved_kib: number("VmSize:"),
        }
    }

    /// What it holds more of than before, beside so much memory.
    pub(super) fn leaked_since(self, before: Self, kib_allowed: u64) -> Vec<String> {
        let grown = self.resident_kib.saturating_sub(before.resident_kib);
        let mut leaked = Vec::new();
        if self.descriptors != before.descriptors {
            leaked.push(format!("descriptors: {} became {}", before.descriptors, self.descriptors));
        }
        if self.threads > before.threads {
            leaked.push(format!("threads: {} became {}", before.threads, self.threads));
        }
        if grown > kib_allowed {
            leaked.push(format!("memory: {grown} KiB more"));
        }
        if self.reserved_kib > before.reserved_kib + RESERVED_KIB_MAX {
            let (then, now) = (before.reserved_kib, self.reserved_kib);
            leaked.push(format!("address space: {then} KiB became {now}"));
        }
        leaked
    }
}

/// Swaps the code of a running lane so often, and tells what was left behind.
fn leaked_by(times: usize, mut aside: impl FnMut()) -> Vec<String> {
    let arena = Arena::new();
    let files = GOOD.map(tagged);
    let mut desk = Desk::open(&arena, files[0].clone());
    let folder = Folder::new();
    let mut cycle = |turn: usize| {
        let path = folder.write("strategies/x.wasm", &files[turn % 2]);
        let candidate = read_candidate(&path, 1 << 20).expect("read");
        desk.swap(&Approved::unsigned(candidate, Wasi::Refused));
        assert_eq!(desk.hear(), [GOOD[turn % 2]]);
    };
    (0..50).for_each(&mut cycle);
    let before = Held::now();
    for turn in 0..times {
        cycle(turn);
        aside();
    }
    // A leak of one page a cycle would show in the long form, one of a module in the
    // short one.
    Held::now().leaked_since(before, 8 << 10)
}

/// `SANDPAPER_LOADS=10000` is the long form.
#[test]
fn med_011_loading_and_unloading_leaves_descriptors_and_memory_flat() {
    let times = std::env::var("SANDPAPER_LOADS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    assert_eq!(leaked_by(times, || ()), [""; 0]);
}

/// The control: a swap that leaves memory, a store or a file behind is found.
#[test]
fn med_011_what_a_swap_leaves_behind_would_be_found() {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let memory = leaked_by(64, || kept.push(vec![1; 1 << 20]));
    assert!(memory.iter().any(|what| what.starts_with("memory")), "{memory:?}");
    let arena = Arena::new();
    let mut stores = Vec::new();
    let store = leaked_by(4, || stores.push(arena.guest(tagged("good-a")).expect("a guest")));
    assert!(store.iter().any(|what| what.starts_with("address space")), "{store:?}");
    let mut open = Vec::new();
    let files = leaked_by(20, || open.push(fs::File::open("/dev/null").expect("it")));
    assert!(files.iter().any(|what| what.starts_with("descriptors")), "{files:?}");
}
