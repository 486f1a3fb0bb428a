//! Faults of a disk: whatever fails and whenever the power goes, a fill that was
//! acknowledged is in the journal.

use std::collections::BTreeMap;
use std::io;

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use rustix::io::Errno;

use super::*;
use crate::journal::{End, Scanner};

/// A file in memory: what is durable, and what is only in the page cache.
#[derive(Clone, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<u8>,
    /// its name is in the folder for good
    named: bool,
}

/// Which operation fails, and how.
#[derive(Clone, Copy, Debug)]
struct Plan {
    at: usize,
    forever: bool,
    error: Errno,
    /// half of the bytes of a failed append are written
    short: bool,
}

/// A folder in memory whose operations fail as planned.
#[derive(Clone, Default)]
struct Memory {
    files: BTreeMap<String, File>,
    operations: usize,
    plan: Option<Plan>,
    /// the control: a sync that does nothing
    lying: bool,
}

impl Memory {
    fn operation(&mut self) -> Result<(), (io::Error, bool)> {
        let now = self.operations;
        self.operations += 1;
        match self.plan {
            Some(plan) if now == plan.at || plan.forever && now > plan.at => {
                Err((plan.error.into(), plan.short))
            }
            _ => Ok(()),
        }
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        self.files.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// What a disk may hold after the power went: of what was not synced, any
    /// part, torn or zeroed.
    fn after_power_loss(&self, random: &mut SplitMix64) -> Vec<Vec<u8>> {
        let mut segments = Vec::new();
        for file in self.files.values() {
            if !file.named && random.next_u64().is_multiple_of(2) {
                continue;
            }
            let mut bytes = file.durable.clone();
            let kept = random.next_u64() as usize % (file.pending.len() + 1);
            let mut tail = file.pending[..kept].to_vec();
            match random.next_u64() % 4 {
                0 => tail.clear(),
                1 => tail.fill(0),
                2 => {
                    // The blocks of a file may reach the disk in any order, and
                    // its length before any of them.
                    tail.clone_from(&file.pending);
                    for block in tail.chunks_mut(64) {
                        if random.next_u64().is_multiple_of(2) {
                            block.fill(0);
                        }
                    }
                }
                _ => {}
            }
            bytes.extend(tail);
            segments.push(bytes);
        }
        segments
    }
}

impl Storage for Memory {
    fn create(&mut self, name: &str) -> io::Result<()> {
        self.operation().map_err(|(error, _)| error)?;
        match self.files.insert(name.to_owned(), File::default()) {
            None => Ok(()),
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let failed = self.operation();
        let file = self.file(name)?;
        match failed {
            Ok(()) => {
                file.pending.extend(bytes);
                Ok(())
            }
            Err((error, short)) => {
                let kept = if short { bytes.len() / 2 } else { 0 };
                file.pending.extend(&bytes[..kept]);
                Err(error)
            }
        }
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let (failed, lying) = (self.operation(), self.lying);
        let file = self.file(name)?;
        match failed {
            Ok(()) if lying => Ok(()),
            Ok(()) => {
                let pending = std::mem::take(&mut file.pending);
                file.durable.extend(pending);
                Ok(())
            }
            // The kernel drops what it could not write, and calls it clean: a
            // second sync would succeed without it.
            Err((error, _)) => {
                file.pending.clear();
                Err(error)
            }
        }
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.operation().map_err(|(error, _)| error)?;
        if !self.lying {
            self.files.values_mut().for_each(|file| file.named = true);
        }
        Ok(())
    }
}

/// A run of `fills` records, some inputs between them; the last that was
/// acknowledged, the disk, and whether it ended well.
fn session(memory: Memory, fills: u64) -> (u64, Memory, bool) {
    let mut acknowledged = 0;
    let Ok(mut recorder) = Recorder::with_limit(memory.clone(), [3; 16], 1_500) else {
        return (0, memory, false);
    };
    for fill in 0..fills {
        let inputs = recorder.append(Kind::Inputs, 0, 1, 1, vec![1; 40]);
        let outputs = inputs
            .and_then(|_| recorder.append(Kind::Outputs, 0, 1, 1, vec![fill as u8; 90]))
            .and_then(|seq| recorder.sync().map(|()| seq));
        match outputs {
            Ok(seq) => acknowledged = seq,
            Err(_) => {
                // Whatever comes after a failure fails too: nobody goes on.
                assert!(recorder.append(Kind::Outputs, 0, 1, 1, Vec::new()).is_err());
                assert!(recorder.sync().is_err());
                return (acknowledged, recorder.storage, false);
            }
        }
    }
    (acknowledged, recorder.storage, true)
}

/// The last record that can be read back; `None` for damage, or for a journal that
/// was not yet begun.
fn recovered(segments: &[Vec<u8>]) -> Option<u64> {
    let mut scanner = Scanner::default();
    let begun = segments.iter().rposition(|bytes| !bytes.is_empty()).map_or(0, |last| last + 1);
    for (index, bytes) in segments[..begun].iter().enumerate() {
        match scanner.segment(bytes, index + 1 == begun, |_| {}) {
            Ok(End::Sealed) if index + 1 == segments.len() => return None,
            Ok(End::Clean | End::Sealed | End::Torn(_)) => {}
            Err(_) => return None,
        }
    }
    Some(scanner.seq())
}

#[test]
fn b5_whatever_fails_once_or_for_ever_no_acknowledged_fill_is_lost() {
    let (_, whole, ended) = session(Memory::default(), 20);
    assert!(ended && whole.files.len() > 2, "the session spans several segments");
    for error in [Errno::NOSPC, Errno::IO, Errno::FBIG, Errno::DQUOT] {
        for (at, forever, short) in (0..whole.operations)
            .flat_map(|at| [(at, false, false), (at, true, false), (at, false, true)])
        {
            let plan = Some(Plan { at, forever, error, short });
            let (acknowledged, disk, ended) = session(Memory { plan, ..Memory::default() }, 20);
            assert!(!ended, "operation {at} failed and nobody noticed");
            let mut random = SplitMix64::seed_from_u64(at as u64);
            for _ in 0..4 {
                let segments = disk.after_power_loss(&mut random);
                let found = recovered(&segments);
                let kept = found.map_or(acknowledged == 0, |found| found >= acknowledged);
                assert!(kept, "{plan:?}: {acknowledged} shown, {found:?} kept");
            }
        }
    }
}

/// How many of these images lose an acknowledged fill.
fn losses(lying: bool, images: u64) -> u64 {
    let mut lost = 0;
    for seed in 0..images {
        let mut random = SplitMix64::seed_from_u64(seed);
        let fills = 1 + random.next_u64() % 30;
        let at = random.next_u64() as usize % 90;
        // The power goes at any operation, or after the last.
        let plan = Some(Plan { at, forever: true, error: Errno::IO, short: true });
        let memory = Memory { plan, lying, ..Memory::default() };
        let (acknowledged, disk, _) = session(memory, fills);
        let found = recovered(&disk.after_power_loss(&mut random));
        lost += u64::from(found.map_or(acknowledged > 0, |found| found < acknowledged));
    }
    lost
}

#[test]
fn b4_power_loss_at_any_moment_loses_no_acknowledged_fill() {
    assert_eq!(losses(false, 5_000), 0);
}

#[test]
fn b4_without_a_sync_power_loss_does_lose_them() {
    let lost = losses(true, 1_000);
    assert!(lost > 500, "the control: only {lost} of 1000 images lost a fill");
}

#[test]
fn b11_a_wall_clock_that_jumps_changes_nothing_but_what_people_read() {
    const HOUR: i64 = 3_600_000_000_000;
    let read = |jumps: &[i64]| {
        let mut recorder = Recorder::with_limit(Memory::default(), [4; 16], 1_500).unwrap();
        for &wall_ns in jumps {
            recorder.append(Kind::Outputs, 0, 7, wall_ns, vec![1; 90]).unwrap();
            recorder.sync().unwrap();
        }
        let (mut scanner, mut told) = (Scanner::default(), Vec::new());
        let files: Vec<_> = recorder.storage.files.values().map(|file| &file.durable).collect();
        for (index, bytes) in files.iter().enumerate() {
            let each = |record: Record| {
                told.push((record.seq, record.kind, record.event_ns, record.payload));
            };
            scanner.segment(bytes, index + 1 == files.len(), each).unwrap();
        }
        told
    };
    let steady: Vec<i64> = (0..40).collect();
    let jumping: Vec<i64> =
        (0..40).map(|n| n + [0, HOUR, -HOUR, i64::MIN / 2][n as usize % 4]).collect();
    let told = read(&steady);
    assert_eq!(told, read(&jumping));
    assert!(told.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0));
    assert_ne!(told, read(&steady[1..]), "the control: another record is told apart");
}

#[test]
fn a_folder_that_is_removed_while_it_is_written_to_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/runs/run");
    let mut recorder = Recorder::create(Folder::create(&path).unwrap(), [9; 16]).unwrap();
    recorder.append(Kind::Outputs, 0, 1, 1, vec![5; 100]).unwrap();
    recorder.sync().unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    recorder.append(Kind::Outputs, 0, 1, 1, vec![5; 100]).unwrap();
    assert_eq!(recorder.sync().unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(recorder.append(Kind::Outputs, 0, 1, 1, Vec::new()).is_err(), "and it is final");
}

#[test]
fn b10_a_second_program_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Lock::take(folder.path()).unwrap();
    assert!(first.is_some());
    assert!(Lock::take(folder.path()).unwrap().is_none());
    drop(first);
    assert!(Lock::take(folder.path()).unwrap().is_some());
}

#[test]
fn a_journal_on_a_real_disk_spans_segments() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let storage = Folder::create(&path).unwrap();
    let mut recorder = Recorder::with_limit(storage, [9; 16], 2_000).unwrap();
    for _ in 0..100 {
        recorder.append(Kind::Inputs, 0, 1, 1, vec![5; 100]).unwrap();
    }
    recorder.sync().unwrap();
    let last = recorder.synced();
    let read = |path: &std::path::PathBuf| std::fs::read(path).unwrap();
    let all: Vec<Vec<u8>> = segments(&path).unwrap().iter().map(read).collect();
    assert!(all.len() > 5);
    assert_eq!(recovered(&all), Some(last + 1), "and the word that they are durable");
    assert!(Folder::create(&path).is_err(), "a run's folder is made once");
}
