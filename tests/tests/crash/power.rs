//! The power goes: what a disk may then hold, from the trace of a real run.
//!
//! Of what was written and not synced, each block of 512 bytes may be on the disk
//! or not, in any order, be zeros, or hold what was there before; a file's name may
//! be missing until its folder was synced.

use std::ops::Range;

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use super::strace::{Call, unhex};
use super::*;

/// How many images are made; `make crash` makes 100,000.
const IMAGES: u64 = 3_000;
const BLOCK: usize = 512;

/// One step of a run, as far as a disk and a reader know of it.
enum Step {
    Made(String),
    Wrote(String, Vec<u8>),
    Synced(String),
    Shown(String, String),
}

/// A file of the record.
#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    durable: usize,
    named: bool,
}

/// What came of the images.
#[derive(Debug, Default)]
pub(super) struct Images {
    pub(super) made: u64,
    pub(super) lost: u64,
}

/// Images of a disk at random moments of a trace, and how many of them lack
/// something that had been shown, or pass for damaged. With `lying` no sync does
/// anything.
pub(super) fn losses(calls: &[Call], lying: bool, images: u64, seed: u64) -> Images {
    let steps: Vec<Step> = calls.iter().filter_map(step).collect();
    let mut random = SplitMix64::seed_from_u64(seed);
    let mut done = Images::default();
    let first = steps.iter().position(|step| matches!(step, Step::Shown(..)));
    // Before anything was shown nothing can be lost.
    let Some(first) = first else { return done };
    // Moments in order, so that the trace is walked once.
    let span = (steps.len() - first) as u64;
    let mut moments: Vec<usize> =
        (0..images).map(|_| first + 1 + (random.next_u64() % span) as usize).collect();
    moments.sort_unstable();
    let (mut disk, mut at) = (Disk { lying, ..Disk::default() }, 0);
    for moment in moments {
        disk.take(&steps[at..moment]);
        at = moment;
        done.made += 1;
        let lost = match Kept::of(&disk.image(&mut random)) {
            Ok(kept) => kept.holds(&disk.shown).is_err(),
            Err(_) => true,
        };
        done.lost += u64::from(lost);
    }
    done
}

#[derive(Default)]
struct Disk {
    files: BTreeMap<String, File>,
    /// the run's folder is in the one that holds the records
    named: bool,
    shown: Shown,
    lying: bool,
}

impl Disk {
    fn take(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Made(path) => drop(self.files.insert(path.clone(), File::default())),
                Step::Wrote(path, bytes) => {
                    if let Some(file) = self.files.get_mut(path) {
                        file.bytes.extend(bytes);
                    }
                }
                Step::Synced(_) if self.lying => {}
                Step::Synced(path) => self.sync(path),
                Step::Shown(strategy, position) => {
                    self.shown.entry(strategy.clone()).or_default().push(position.clone());
                }
            }
        }
    }

    fn sync(&mut self, path: &str) {
        if let Some(file) = self.files.get_mut(path) {
            file.durable = file.bytes.len();
            return;
        }
        self.named |= path == "runs";
        for (name, file) in &mut self.files {
            file.named |= name.rsplit_once('/').is_some_and(|(folder, _)| folder == path);
        }
    }

    fn image(&self, random: &mut SplitMix64) -> Vec<Vec<u8>> {
        if !self.named && random.next_u64().is_multiple_of(2) {
            return Vec::new();
        }
        let mut segments = Vec::new();
        for file in self.files.values() {
            if file.named || random.next_u64().is_multiple_of(2) {
                segments.push(file.image(random));
            }
        }
        while segments.last().is_some_and(Vec::is_empty) {
            segments.pop();
        }
        segments
    }
}

impl File {
    fn image(&self, random: &mut SplitMix64) -> Vec<u8> {
        let (kind, length) = (random.next_u64() % 5, self.bytes.len());
        let cut = self.durable + random.next_u64() as usize % (length - self.durable + 1);
        let mut bytes = self.bytes.clone();
        match kind {
            // Nothing of it, or the first bytes of it.
            0 => bytes.truncate(self.durable),
            1 => bytes.truncate(cut),
            // The length, and no data.
            2 => bytes[self.durable..].fill(0),
            // Blocks in any order, the others zeros or what was there before.
            _ => {
                bytes.truncate(cut.max(length.saturating_sub(BLOCK)));
                for block in self.blocks(bytes.len()) {
                    let stale = random.next_u64() as u8;
                    if random.next_u64().is_multiple_of(2) {
                        bytes[block].fill(if kind == 3 { 0 } else { stale });
                    }
                }
            }
        }
        bytes
    }

    /// The blocks that are not durable. One that is so in part is written anew as a
    /// whole, with the same bytes first.
    fn blocks(&self, length: usize) -> impl Iterator<Item = Range<usize>> {
        let (mut at, end) = (self.durable, length);
        std::iter::from_fn(move || {
            let next = ((at / BLOCK + 1) * BLOCK).min(end);
            let block = at..next;
            at = next;
            (!block.is_empty()).then_some(block)
        })
    }
}

fn step(call: &Call) -> Option<Step> {
    if !call.worked() {
        return None;
    }
    let path = below(call.path());
    match call.name.as_str() {
        "openat" if path.ends_with(".journal") && call.arguments.contains("O_CREAT") => {
            Some(Step::Made(path))
        }
        "write" if path.ends_with(".journal") => {
            let mut bytes = unhex(call.bytes());
            let written = call.result.as_ref()?.split(' ').next()?.parse().ok()?;
            bytes.truncate(written);
            Some(Step::Wrote(path, bytes))
        }
        "write" if call.arguments.starts_with("2<") => {
            let bytes = unhex(call.bytes());
            let (strategy, position) = shown_fill(str::from_utf8(&bytes).ok()?.trim_end())?;
            Some(Step::Shown(strategy, position))
        }
        "fdatasync" | "fsync" => Some(Step::Synced(path)),
        _ => None,
    }
}

/// A path from the folder of the records on, however it was named.
fn below(path: &str) -> String {
    match path.rfind("/runs") {
        Some(at) => path[at + 1..].to_owned(),
        None => path.to_owned(),
    }
}

fn trace() -> Option<Vec<Call>> {
    if !strace::present() {
        return None;
    }
    let folder = ready(2);
    let more = [&NO_LOGS[..], &["--duration", "12s"]].concat();
    let mut traced = strace::run(&folder, &[], &trading(&folder, "12", &more));
    assert_eq!(traced.code, Some(0), "{}", traced.stderr);
    let shown = shown_in(traced.stderr.lines());
    let calls = traced.threads.remove(0);
    let told = calls.iter().filter(|call| matches!(step(call), Some(Step::Shown(..))));
    assert_eq!(told.count(), count(&shown), "the trace shows what the reader saw");
    assert!(count(&shown) > 100);
    Some(calls)
}

#[test]
fn b4_no_image_of_a_power_cut_lacks_what_was_shown_and_without_syncs_they_do() {
    let Some(calls) = trace() else { return };
    let seed = size("SANDPAPER_SEED", 4);
    let done = losses(&calls, false, size("SANDPAPER_CRASH_IMAGES", IMAGES), seed);
    println!("seed {seed}: {} images, {} of them without something shown", done.made, done.lost);
    assert_eq!(done.lost, 0);
    let control = losses(&calls, true, 500, seed);
    println!("without syncs: {} images, {} lost", control.made, control.lost);
    assert!(control.lost * 10 > control.made * 9, "the control: {control:?}");
}
