//! New builds of what runs: found and compiled aside, on a thread of their own, so
//! that neither a large file nor a slow compilation delays anybody.
//!
//! A strategy is exchanged when the lock file allows other bytes under its name and
//! a file with just these bytes is there. What cannot run is told once and tried
//! again only when it is allowed anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use jiff::Timestamp;

use crate::config::Config;
use crate::lockfile::{self, Lock, Sha256, Verdict};

use super::given::{self, Runtimes};
use super::session::Build;
use super::strategies::{self, Loaded};
use super::strikes::Marks;
use super::{Failure, setup};

/// Stack of the thread that compiles.
const STACK_BYTES: usize = 16 << 20;

/// Looks for new builds.
pub struct SwapWatch {
    config: Config,
    files: Vec<PathBuf>,
    marks: Option<Arc<Marks>>,
    worker: Option<Receiver<Found>>,
    /// tried under the lock file of this serial, and not able to run
    refused: BTreeMap<Sha256, u64>,
    seen: Option<u64>,
}

/// What a search brought.
struct Found {
    /// a digest of which files there were
    seen: u64,
    /// of the lock file that allowed it
    serial: u64,
    loaded: Vec<Loaded>,
    refused: Vec<(Sha256, Failure)>,
}

impl SwapWatch {
    /// Looks in the strategies folder and at these files.
    #[must_use]
    pub fn new(config: &Config, files: &[PathBuf], marks: Option<Arc<Marks>>) -> Self {
        Self {
            config: config.clone(),
            files: files.to_vec(),
            marks,
            worker: None,
            refused: BTreeMap::new(),
            seen: None,
        }
    }

    /// Takes what was compiled since, and begins to look for what the lock file now
    /// allows in the place of what runs. Never waits.
    pub fn poll<'a>(
        &mut self,
        lock: &Lock,
        running: impl Iterator<Item = (&'a str, Sha256)>,
    ) -> Vec<Build> {
        if let Some(worker) = &self.worker {
            match worker.try_recv() {
                Err(TryRecvError::Empty) => return Vec::new(),
                Err(TryRecvError::Disconnected) => self.worker = None,
                Ok(found) => {
                    self.worker = None;
                    self.seen = Some(found.seen);
                    for (sha256, failure) in found.refused {
                        self.refused.insert(sha256, found.serial);
                        tracing::error!("a new build cannot run, the old one goes on: {failure}");
                    }
                    let build = |module: Loaded| {
                        let parameters = setup::parameters(&self.config, &module.name);
                        let guest = match &self.marks {
                            Some(marks) => marks.on(module.guest, &module.sha256).ok()?,
                            None => module.guest,
                        };
                        Some(Build { module: Loaded { guest, ..module }, parameters })
                    };
                    // What was denied while it was compiled does not take over.
                    let still = |module: &Loaded| {
                        let allowed = lock.by_name(&module.name);
                        allowed.is_some_and(|entry| {
                            let now = lock.lookup(&entry.sha256, Timestamp::now());
                            let same = entry.sha256 == module.approved.candidate().sha256();
                            same && entry.wasi == module.approved.wasi()
                                && entry.limits.unwrap_or_default() == module.approved.limits()
                                && matches!(now, Verdict::Allowed(_))
                        })
                    };
                    return found.loaded.into_iter().filter(still).filter_map(build).collect();
                }
            }
        }
        let wanted = |(name, runs): (&str, Sha256)| {
            let allowed = lock.by_name(name)?.sha256;
            let tried = self.refused.get(&allowed) == Some(&lock.serial());
            (allowed != runs && !tried).then_some(allowed)
        };
        let wanted: BTreeSet<Sha256> = running.filter_map(wanted).collect();
        if !wanted.is_empty() {
            self.search(lock.clone(), wanted);
        }
        Vec::new()
    }

    /// Does not try these bytes again until the lock file is another one.
    pub fn refuse(&mut self, sha256: Sha256, serial: u64) {
        self.refused.insert(sha256, serial);
    }

    fn search(&mut self, lock: Lock, wanted: BTreeSet<Sha256>) {
        let (sender, receiver) = sync_channel(1);
        let (config, files, seen) = (self.config.clone(), self.files.clone(), self.seen);
        let thread = std::thread::Builder::new().name("new-build".into()).stack_size(STACK_BYTES);
        let begun = thread.spawn(move || {
            // Whoever asked may be gone.
            let _ = sender.send(look(&config, &files, &lock, wanted, seen));
        });
        match begun {
            Ok(_) => self.worker = Some(receiver),
            Err(error) => tracing::error!("no thread to compile a new build: {error}"),
        }
    }
}

/// Reads every file that may be a wanted one, unless none has changed.
fn look(
    config: &Config,
    files: &[PathBuf],
    lock: &Lock,
    mut wanted: BTreeSet<Sha256>,
    seen: Option<u64>,
) -> Found {
    let mut paths = files.to_vec();
    paths.extend(lockfile::scan(Path::new(&config.strategies.dir)).unwrap_or_default());
    let now = stamp(&paths, lock);
    let serial = lock.serial();
    let mut found = Found { seen: now, serial, loaded: Vec::new(), refused: Vec::new() };
    if seen == Some(now) {
        return found;
    }
    let cap = given::file_bytes_max(config, lock);
    for (index, path) in paths.iter().enumerate() {
        let named = index < files.len();
        let read = if named { lockfile::read_named } else { lockfile::read_candidate };
        // A file that cannot be read now may be on its way.
        let Ok(candidate) = read(path, cap) else { continue };
        let sha256 = candidate.sha256();
        if !wanted.remove(&sha256) {
            continue;
        }
        // The clock decides whether a permission has run out.
        let Ok(approved) = lock.approve(candidate, Timestamp::now()) else { continue };
        let name = approved.entry().map_or_else(String::new, |entry| entry.name.clone());
        let compiled = Runtimes::new(config)
            .and_then(|mut runtimes| strategies::compile(config, &mut runtimes, (name, approved)));
        match compiled {
            Ok(loaded) => found.loaded.push(loaded),
            Err(failure) => found.refused.push((sha256, failure)),
        }
    }
    found
}

/// What changes when a file comes, goes or is written, or the lock file is.
fn stamp(paths: &[PathBuf], lock: &Lock) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&lock.serial().to_le_bytes());
    for path in paths {
        hasher.update(path.as_os_str().as_encoded_bytes());
        if let Ok(found) = std::fs::symlink_metadata(path) {
            for number in
                [found.ino() as i64, found.size() as i64, found.mtime(), found.mtime_nsec()]
            {
                hasher.update(&number.to_le_bytes());
            }
        }
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}
