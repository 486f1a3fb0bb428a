//! Trust while a run goes on: what is denied or expires is halted.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use crate::lockfile::{Lock, LockSource, Sha256, Verdict};

use super::replay::Identity;
use super::session::{Build, Warden};
use super::swap::SwapWatch;

/// How often the lock file is looked at.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(1);

/// Watches the lock file for the strategies of a run.
pub struct TrustWatch {
    source: LockSource,
    lock: Lock,
    watched: Vec<Watched>,
    /// of the files as they were last read well
    stamp: Option<Stamp>,
    /// why they could not be read, once told
    told: Option<String>,
    next_look: Timestamp,
    /// it has just been looked at, and what it says was not acted upon yet
    looked: bool,
    swaps: Option<SwapWatch>,
}

struct Watched {
    name: String,
    sha256: Sha256,
    unsigned: bool,
}

/// What changes when a file is replaced or written, of each that matters; nothing for
/// one that is not there.
type Stamp = Vec<Option<(u64, u64, i64, i64)>>;

impl TrustWatch {
    /// Watches these strategies, as they were allowed by `lock`.
    #[must_use]
    pub fn new(source: LockSource, lock: Lock, identities: &[Identity]) -> Self {
        let watched = |one: &Identity| {
            let sha256 = one.sha256.parse().ok()?;
            Some(Watched { name: one.name.clone(), sha256, unsigned: one.unsigned })
        };
        let watched = identities.iter().filter_map(watched).collect();
        let (stamp, told, next_look, looked, swaps) = (None, None, Timestamp::MIN, false, None);
        Self { source, lock, watched, stamp, told, next_look, looked, swaps }
    }

    /// Looks for new builds too.
    #[must_use]
    pub fn with_builds(self, swaps: SwapWatch) -> Self {
        Self { swaps: Some(swaps), ..self }
    }

    fn stamp(&self) -> Stamp {
        let of = |path: &Path| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
        };
        self.source.files().iter().map(|path| of(path)).collect()
    }

    /// Reads the lock file again where it or its signature was changed. One that
    /// cannot be believed changes nothing for what already runs, and is told once:
    /// whoever can damage the file must not be able to stop a run. It is read again at
    /// each look until it can be, since what it wants may lie elsewhere.
    fn refresh(&mut self) {
        let stamp = self.stamp();
        if self.stamp.as_ref() == Some(&stamp) {
            return;
        }
        match self.source.read() {
            Ok(lock) => (self.lock, self.stamp, self.told) = (lock, Some(stamp), None),
            Err(error) => {
                let error = error.to_string();
                if self.told.as_ref() != Some(&error) {
                    tracing::error!("{error}; what runs goes on as it was allowed");
                }
                self.told = Some(error);
            }
        }
    }
}

impl Warden for TrustWatch {
    fn look(&mut self, now: Timestamp) -> Vec<(String, String)> {
        if now < self.next_look {
            return Vec::new();
        }
        self.next_look = now.checked_add(LOOK_EVERY).unwrap_or(Timestamp::MAX);
        self.refresh();
        self.looked = true;
        let lock = &self.lock;
        let mut ended = Vec::new();
        self.watched.retain(|one| {
            let why = match lock.lookup(&one.sha256, now) {
                Verdict::Revoked(revoked) if revoked.reason.is_empty() => "denied".to_owned(),
                Verdict::Revoked(revoked) => format!("denied: {}", revoked.reason),
                Verdict::Expired(_) if !one.unsigned => "its permission has expired".to_owned(),
                _ => return true,
            };
            ended.push((one.name.clone(), why));
            false
        });
        ended
    }

    fn builds(&mut self) -> Vec<Build> {
        let Some(swaps) = &mut self.swaps else { return Vec::new() };
        if !std::mem::take(&mut self.looked) {
            return Vec::new();
        }
        let allowed = self.watched.iter().filter(|one| !one.unsigned);
        swaps.poll(&self.lock, allowed.map(|one| (one.name.as_str(), one.sha256)))
    }

    fn exchanged(&mut self, name: &str, sha256: &str, done: bool) {
        let Ok(sha256) = sha256.parse() else { return };
        if !done {
            // It is not tried again and again.
            let serial = self.lock.serial();
            return self.swaps.iter_mut().for_each(|swaps| swaps.refuse(sha256, serial));
        }
        for one in self.watched.iter_mut().filter(|one| one.name == name) {
            one.sha256 = sha256;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lockfile::{Entry, WORLD, Wasi};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn entry(name: &str, byte: u8, expires: Option<Timestamp>) -> Entry {
        Entry {
            name: name.to_owned(),
            sha256: Sha256::from([byte; 32]),
            world: WORLD.to_owned(),
            file_hint: String::new(),
            imports: Vec::new(),
            size: 1,
            allowed_at: at(0),
            note: String::new(),
            expires,
            wasi: Wasi::Refused,
            limits: None,
        }
    }

    fn identity(name: &str, byte: u8, unsigned: bool) -> Identity {
        let sha256 = Sha256::from([byte; 32]).to_string();
        Identity { name: name.into(), sha256, unsigned, ..Identity::default() }
    }

    #[test]
    fn crit_001_what_is_denied_or_expires_while_it_runs_is_halted_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = LockSource::new(&folder.path().join("strategies.lock"), None, None);
        let mut lock = source.read().expect("read");
        for (name, byte, expires) in [("a", 1, None), ("b", 2, Some(at(100))), ("c", 3, None)] {
            lock.allow(entry(name, byte, expires)).expect("allowed");
        }
        source.write(&mut lock).expect("written");
        let running =
            [("a", 1, false), ("b", 2, false), ("c", 3, false), ("d", 4, true), ("e", 5, true)]
                .map(|(name, byte, unsigned)| identity(name, byte, unsigned));
        let mut watch = TrustWatch::new(source.clone(), lock.clone(), &running);
        assert_eq!(watch.look(at(10)), []);

        lock.deny(Sha256::from([1; 32]), "loses money", at(11));
        lock.deny(Sha256::from([5; 32]), "", at(11));
        source.write(&mut lock).expect("written");
        assert_eq!(watch.look(at(10)), [], "not before its time");
        let told = |name: &str, why: &str| (name.to_owned(), why.to_owned());
        let denied = [told("a", "denied: loses money"), told("e", "denied")];
        assert_eq!(watch.look(at(11)), denied);
        assert_eq!(watch.look(at(99)), []);
        assert_eq!(watch.look(at(100)), [told("b", "its permission has expired")]);

        // Another build of the same name is for the next run: nobody denied this.
        lock.allow(entry("c", 9, None)).expect("allowed");
        source.write(&mut lock).expect("written");
        assert_eq!(watch.look(at(200)), []);
    }

    #[test]
    fn a_damaged_lock_file_stops_nothing_that_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = LockSource::new(&folder.path().join("strategies.lock"), None, None);
        let mut lock = source.read().expect("read");
        lock.allow(entry("a", 1, None)).expect("allowed");
        source.write(&mut lock).expect("written");
        let mut watch = TrustWatch::new(source.clone(), lock, &[identity("a", 1, false)]);
        std::fs::write(source.path(), "rubbish").expect("written");
        assert_eq!(watch.look(at(10)), []);
    }
}
