//! The whitelist `strategies.lock`: which bytes may run.
//!
//! 1. A strategy is named by the SHA-256 of its file and by nothing else: there
//!    is no search path, and a file's name only helps people.
//! 2. What is not listed does not run. A missing lock file lists nothing, a
//!    damaged one is an error.
//! 3. A revoked hash stays revoked for ever: deny beats allow.
//! 4. The bytes that were hashed are the bytes that are compiled: the sandbox
//!    compiles only an [`Approved`], and that owns the very buffer whose hash
//!    was looked up.
//! 5. Each write counts `serial` up and names the digest of the file before it,
//!    so that an older file put back in place is noticed ([`LockSource`]).
//!
//! Time is an argument everywhere: nothing here reads a clock.

mod candidate;
mod guard;
mod hash;
mod limits;
mod owner;
mod private;
mod store;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use candidate::{Candidate, CandidateError, read_beneath, read_candidate, read_named, scan};
pub use guard::{LockSource, public_key};
pub use hash::{NotSha256, Sha256};
pub use limits::{LimitOverride, Profile};
pub use private::PrivateFolder;
pub use store::LockError;

/// The only `version` that this host reads and writes.
pub const LOCK_VERSION: u32 = 1;
/// The contract that an allowed strategy is written against.
pub const WORLD: &str = "sandpaper:strategy/strategy@0.1.0";

/// Which WASI interfaces a strategy is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wasi {
    /// None: a component that imports any is refused.
    #[default]
    Refused,
    /// An empty world: no files, sockets, environment or arguments, event time
    /// for a clock, and random numbers from the run's seed.
    Deterministic,
}

impl Wasi {
    /// The name used in files and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Deterministic => "deterministic",
        }
    }

    fn is_refused(&self) -> bool {
        *self == Self::Refused
    }
}

/// A strategy that may run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// the name that the operator knows it by; unique in the file
    pub name: String,
    /// what is allowed
    pub sha256: Sha256,
    /// the world it was checked against
    pub world: String,
    /// where the file was when it was allowed: for people, never for loading
    pub file_hint: String,
    /// what it imports, as shown to the operator who allowed it
    pub imports: Vec<String>,
    /// the file's size in bytes
    pub size: u64,
    /// when it was allowed
    #[serde(with = "store::datetime")]
    pub allowed_at: Timestamp,
    /// why, in the operator's words
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// from when on it may no longer run
    #[serde(default, with = "store::optional_datetime", skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// the WASI grant
    #[serde(default, skip_serializing_if = "Wasi::is_refused")]
    pub wasi: Wasi,
    /// limits of its own
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitOverride>,
}

/// A hash that may never run again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// what is denied
    pub sha256: Sha256,
    /// the name it had when it was denied, empty when it was never allowed
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// when it was denied
    #[serde(with = "store::datetime")]
    pub revoked_at: Timestamp,
    /// why, in the operator's words
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A hash that was allowed until another build of its name was. It does not run,
/// but a record of a run that had it may be checked with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Superseded {
    /// what was allowed
    pub sha256: Sha256,
    /// under this name
    pub name: String,
}

/// The most superseded hashes that are remembered, newest last.
const SUPERSEDED_MAX: usize = 1_000;

/// What the lock file says of a hash.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict<'a> {
    /// it may run
    Allowed(&'a Entry),
    /// nobody allowed it
    Unlisted,
    /// it was denied
    Revoked(&'a Revoked),
    /// it was allowed until a time that has come
    Expired(&'a Entry),
}

/// Why a strategy's bytes may not run. Every message names the hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody allowed these bytes.
    #[error(
        "{path} (sha256 {sha256}) is not in the lock file; to allow it: sandpaper allow {path}",
        path = path.display()
    )]
    Unlisted {
        /// the refused hash
        sha256: Sha256,
        /// the file it was read from
        path: PathBuf,
    },
    /// These bytes were denied.
    #[error(
        "{path} (sha256 {sha256}) was revoked at {revoked_at}{}",
        reason_text(reason),
        path = path.display()
    )]
    Revoked {
        /// the refused hash
        sha256: Sha256,
        /// the file it was read from
        path: PathBuf,
        /// when it was denied
        revoked_at: Timestamp,
        /// why
        reason: String,
    },
    /// The permission ran out.
    #[error(
        "the permission for {path} (sha256 {sha256}) expired at {expires}",
        path = path.display()
    )]
    Expired {
        /// the refused hash
        sha256: Sha256,
        /// the file it was read from
        path: PathBuf,
        /// when it expired
        expires: Timestamp,
    },
}

fn reason_text(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// Bytes that may be compiled. There are two ways to one: [`Lock::approve`]
/// looks up the hash of the very buffer it takes over, and
/// [`Approved::unsigned`] bypasses the lock in so many words.
#[derive(Clone, Debug)]
pub struct Approved {
    candidate: Candidate,
    entry: Option<Box<Entry>>,
    wasi: Wasi,
    limits: LimitOverride,
}

impl Approved {
    /// Bypasses the lock file, for development and for looking at a file before
    /// it is allowed. Every result of such a strategy says UNSIGNED.
    #[must_use]
    pub fn unsigned(candidate: Candidate, wasi: Wasi) -> Self {
        Self { candidate, entry: None, wasi, limits: LimitOverride::default() }
    }

    /// The same bytes under these limits.
    #[must_use]
    pub fn limited(self, limits: LimitOverride) -> Self {
        Self { limits, ..self }
    }

    /// The approved bytes and their hash.
    #[must_use]
    pub fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// The lock file's entry; none for unsigned bytes.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry> {
        self.entry.as_deref()
    }

    /// True when the lock file was bypassed.
    #[must_use]
    pub fn is_unsigned(&self) -> bool {
        self.entry.is_none()
    }

    /// The WASI grant.
    #[must_use]
    pub fn wasi(&self) -> Wasi {
        self.wasi
    }

    /// The limits that replace the configured ones.
    #[must_use]
    pub fn limits(&self) -> LimitOverride {
        self.limits
    }
}

/// The lock file's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// counts the writes
    serial: u64,
    /// digest of the file that the last write replaced
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prev_sha256: Option<Sha256>,
    #[serde(default, rename = "strategy", skip_serializing_if = "Vec::is_empty")]
    entries: Vec<Entry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    revoked: Vec<Revoked>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    superseded: Vec<Superseded>,
    /// digest of the file this was read from; none when there was no file
    #[serde(skip)]
    source: Option<Sha256>,
}

impl Default for Lock {
    fn default() -> Self {
        Self {
            version: LOCK_VERSION,
            serial: 0,
            prev_sha256: None,
            entries: Vec::new(),
            revoked: Vec::new(),
            superseded: Vec::new(),
            source: None,
        }
    }
}

impl Lock {
    /// How often the file was written. A run records the highest number it has
    /// seen, so that an older file put back in place is noticed.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Digest of the file that the last write replaced.
    #[must_use]
    pub fn prev_sha256(&self) -> Option<Sha256> {
        self.prev_sha256
    }

    /// The allowed strategies, by name.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The denied hashes, oldest first.
    #[must_use]
    pub fn revoked(&self) -> &[Revoked] {
        &self.revoked
    }

    /// What is said of this hash at this time.
    #[must_use]
    pub fn lookup(&self, sha256: &Sha256, now: Timestamp) -> Verdict<'_> {
        if let Some(revoked) = self.revoked.iter().find(|revoked| revoked.sha256 == *sha256) {
            return Verdict::Revoked(revoked);
        }
        match self.entries.iter().find(|entry| entry.sha256 == *sha256) {
            None => Verdict::Unlisted,
            Some(entry) if entry.expires.is_some_and(|expires| expires <= now) => {
                Verdict::Expired(entry)
            }
            Some(entry) => Verdict::Allowed(entry),
        }
    }

    /// Takes over a file's bytes and gives them back approved when their hash
    /// may run at this time.
    ///
    /// # Errors
    /// [`Refusal`], naming the hash and the file.
    pub fn approve(&self, candidate: Candidate, now: Timestamp) -> Result<Approved, Refusal> {
        let (sha256, path) = (candidate.sha256(), candidate.path().to_owned());
        match self.lookup(&sha256, now) {
            Verdict::Allowed(entry) => {
                let (wasi, limits) = (entry.wasi, entry.limits.unwrap_or_default());
                Ok(Approved { candidate, wasi, limits, entry: Some(Box::new(entry.clone())) })
            }
            Verdict::Unlisted => Err(Refusal::Unlisted { sha256, path }),
            Verdict::Revoked(revoked) => Err(Refusal::Revoked {
                sha256,
                path,
                revoked_at: revoked.revoked_at,
                reason: revoked.reason.clone(),
            }),
            Verdict::Expired(entry) => {
                Err(Refusal::Expired { sha256, path, expires: entry.expires.unwrap_or(now) })
            }
        }
    }

    /// Allows a strategy. An entry of the same name or the same hash gives way:
    /// a superseded build does not stay runnable.
    ///
    /// # Errors
    /// [`LockError::Revoked`] for a hash that was denied, and
    /// [`LockError::BadEntry`] for an empty name.
    pub fn allow(&mut self, entry: Entry) -> Result<(), LockError> {
        if let Some(revoked) = self.revoked.iter().find(|known| known.sha256 == entry.sha256) {
            return Err(LockError::Revoked {
                sha256: entry.sha256,
                revoked_at: revoked.revoked_at,
            });
        }
        store::check_name(&entry.name)?;
        for known in self.entries.iter().filter(|known| known.name == entry.name) {
            let (sha256, name) = (known.sha256, known.name.clone());
            self.superseded.push(Superseded { sha256, name });
        }
        self.superseded.retain(|known| known.sha256 != entry.sha256);
        let surplus = self.superseded.len().saturating_sub(SUPERSEDED_MAX);
        self.superseded.drain(..surplus);
        self.entries.retain(|known| known.sha256 != entry.sha256 && known.name != entry.name);
        self.entries.push(entry);
        self.entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    }

    /// Denies a hash for ever, whether or not it was allowed. True when it was
    /// not denied before.
    pub fn deny(&mut self, sha256: Sha256, reason: &str, now: Timestamp) -> bool {
        if self.revoked.iter().any(|known| known.sha256 == sha256) {
            return false;
        }
        let allowed = self.entries.iter().position(|entry| entry.sha256 == sha256);
        let name = allowed.map(|at| self.entries.remove(at).name).unwrap_or_default();
        self.revoked.push(Revoked { sha256, name, revoked_at: now, reason: reason.to_owned() });
        true
    }

    /// The WASI that these bytes are granted by their entry, if they have one.
    #[must_use]
    pub fn wasi(&self, sha256: &Sha256) -> Wasi {
        self.by_hash(sha256).map_or(Wasi::Refused, |entry| entry.wasi)
    }

    /// The limits that their entry sets for these bytes.
    #[must_use]
    pub fn limits(&self, sha256: &Sha256) -> LimitOverride {
        self.by_hash(sha256).and_then(|entry| entry.limits).unwrap_or_default()
    }

    fn by_hash(&self, sha256: &Sha256) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.sha256 == *sha256)
    }

    /// True when these bytes are allowed, were until their permission ran out or
    /// another build took their place, and were never denied.
    #[must_use]
    pub fn was_allowed(&self, sha256: &Sha256) -> bool {
        let denied = self.revoked.iter().any(|known| known.sha256 == *sha256);
        let known = self.by_hash(sha256).is_some()
            || self.superseded.iter().any(|known| known.sha256 == *sha256);
        known && !denied
    }

    /// The entry that bytes which are not listed are a changed version of, going by
    /// where they lie: for people, never for loading.
    #[must_use]
    pub fn changed(&self, candidate: &Candidate) -> Option<&Entry> {
        let file = candidate.path().display().to_string();
        let changed = |entry: &&Entry| entry.file_hint == file || entry.name == candidate.stem();
        self.entries.iter().find(changed).filter(|entry| entry.sha256 != candidate.sha256())
    }

    /// The entry of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}
