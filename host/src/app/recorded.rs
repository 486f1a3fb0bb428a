//! What a record on a disk holds: its records, its settings, its modules. `verify`
//! and a run that goes on read it the same way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::Exit;
use crate::config::{Config, Sources};
use crate::engine::Verdict;
use crate::journal::{
    Damage, End, HEADER_LEN, Kind, Manifest, PayloadError, Record, Scanner, StrategyRecord,
    VerdictRecord, decode,
};
use crate::lockfile::{self, Approved, Candidate, LimitOverride, Lock, Sha256, Wasi};
use crate::recorder::Place;

use super::Failure;
use super::given::{Runtimes, check_range, given};
use super::modules::Kept;
use super::strategies::{self, Loaded, Selection};
use super::strikes::Gate;

/// A walk through a record, as far as it is sound.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// number of the last sound record
    pub(super) seq: u64,
    /// the last sound record is a seal
    pub(super) sealed: bool,
    /// where it ends; none when there is no sound record
    pub(super) place: Option<Place>,
    /// bytes that are not those that were written
    pub(super) damage: Option<Damage>,
    /// bytes at the end that were never wholly written
    pub(super) torn: Option<Damage>,
    /// how many those are
    pub(super) left: usize,
    /// by segment: how a walk stands before it
    before: Vec<Scanner>,
}

impl Walk {
    /// Where to begin for the records behind `seq`: its segment's index, and how a walk
    /// stands before that.
    pub(super) fn start_behind(&self, seq: u64) -> Option<(usize, Scanner)> {
        let index = self.before.iter().rposition(|scanner| scanner.seq() < seq)?;
        Some((index, self.before[index].clone()))
    }
}

/// Reads segments in their order and hands out every sound record.
///
/// # Errors
/// A file that cannot be read, and those of `each`.
pub(super) fn walk(
    paths: &[PathBuf],
    each: impl FnMut(&Record) -> Result<(), Failure>,
) -> Result<Walk, Failure> {
    walk_from((0, Scanner::default()), paths, each)
}

/// As [`walk`], from the segment with this index on, before which a walk stood so.
///
/// # Errors
/// As [`walk`].
pub(super) fn walk_from(
    (first, mut scanner): (usize, Scanner),
    paths: &[PathBuf],
    mut each: impl FnMut(&Record) -> Result<(), Failure>,
) -> Result<Walk, Failure> {
    let mut walk = Walk::default();
    for (index, path) in paths.iter().enumerate().skip(first) {
        walk.before.push(scanner.clone());
        let (mut bytes, mut records) = (std::fs::read(path)?, Vec::new());
        let last = index + 1 == paths.len();
        let end = scanner.segment(&bytes, last, |record| records.push(record));
        records.iter().try_for_each(&mut each)?;
        match end {
            Ok(End::Clean | End::Sealed) => {}
            Ok(End::Torn(what)) => {
                walk.left = bytes.len().saturating_sub(what.offset);
                bytes.truncate(what.offset);
                walk.torn = Some(what);
            }
            Err(what) => {
                walk.damage = Some(what);
                break;
            }
        }
        // A segment of which not even the header was written holds nothing.
        if let Some(run) = scanner.run().filter(|_| !bytes.is_empty()) {
            let (seq, chain, sealed) = (scanner.seq(), scanner.chain(), scanner.sealed());
            walk.place = Some(Place { run, segment: index as u64 + 1, bytes, sealed, seq, chain });
        }
    }
    (walk.seq, walk.sealed) = (scanner.seq(), scanner.sealed());
    Ok(walk)
}

/// True when a run was named and nothing of it written: its first header is durable
/// before anything follows.
///
/// # Errors
/// A file that cannot be looked at.
pub(super) fn never_began(paths: &[PathBuf]) -> std::io::Result<bool> {
    Ok(match paths {
        [] => true,
        [only] => std::fs::metadata(only)?.len() <= HEADER_LEN as u64,
        _ => false,
    })
}

/// All verdicts of the wall clock in a record: they must be known before the inputs
/// during which they fell.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn verdicts(paths: &[PathBuf]) -> Result<Vec<VerdictRecord<Verdict>>, Failure> {
    let mut found = Vec::new();
    // Whoever walks it next says what is wrong with it.
    walk(paths, |record| {
        if record.kind == Kind::Verdict {
            found.extend(decode::<VerdictRecord<Verdict>>(&record.payload));
        }
        Ok(())
    })?;
    Ok(found)
}

/// What runs, from a record that tells it.
///
/// # Errors
/// Any other kind of record: it lacks a manifest's fields.
pub(super) fn manifest(record: &Record) -> Result<Manifest, PayloadError> {
    decode(&record.payload)
}

/// The configuration that the run had, and nothing of this machine's.
///
/// # Errors
/// One that this program cannot read.
pub(super) fn recorded_config(manifest: &Manifest) -> Result<Config, Failure> {
    Ok(Config::load(&Sources { text: Some(manifest.config.clone()), ..Sources::default() })?)
}

/// The modules of a run, found by their hashes wherever they lie.
pub(super) struct Modules {
    lock: Lock,
    runtimes: Runtimes,
    kept: Kept,
    /// the operator lets those run that the lock file does not allow
    bypass: bool,
    /// those that ran so, by name
    pub(super) unsigned: BTreeSet<String>,
    /// files that were named, here or when the run began, and the strategies folder's
    paths: Vec<PathBuf>,
    /// read and hashed, each once
    read: Vec<Candidate>,
    gate: Option<Arc<Gate>>,
}

impl Modules {
    /// Those of the run in `folder`, also looked for in the files that were named.
    ///
    /// # Errors
    /// A lock file that cannot be believed.
    pub(super) fn open(
        config: &Config,
        folder: &Path,
        manifest: &Manifest,
        given: &Selection,
    ) -> Result<Self, Failure> {
        let mut paths = given.files.clone();
        paths.extend(manifest.files.iter().map(PathBuf::from));
        paths.extend(lockfile::scan(Path::new(&config.strategies.dir)).unwrap_or_default());
        Ok(Self {
            lock: strategies::read_lock(config)?,
            runtimes: Runtimes::new(config)?,
            kept: Kept::of_run(folder),
            bypass: given.unsigned,
            unsigned: BTreeSet::new(),
            paths,
            read: Vec::new(),
            gate: None,
        })
    }

    /// The same, admitted as those of a run are.
    pub(super) fn through(self, gate: Arc<Gate>) -> Self {
        Self { gate: Some(gate), ..self }
    }

    /// The bytes of this hash.
    fn find(&mut self, sha256: &Sha256, cap: u64) -> Option<Candidate> {
        if let Some(kept) = self.kept.find(sha256, cap) {
            return Some(kept);
        }
        loop {
            if let Some(known) = self.read.iter().find(|known| known.sha256() == *sha256) {
                return Some(known.clone());
            }
            let path = self.paths.pop()?;
            self.read.extend(lockfile::read_named(&path, cap));
        }
    }

    /// A module that the record names, under the limits that it had. It must be
    /// allowed, or have been, unless the operator bypasses the lock file.
    ///
    /// # Errors
    /// What keeps it from running.
    pub(super) fn load(
        &mut self,
        config: &Config,
        strategy: &StrategyRecord,
    ) -> Result<Loaded, Failure> {
        let (name, hash) = (&strategy.name, &strategy.sha256);
        let refused = |what: &str| {
            let message = format!("the module of '{name}' with SHA-256 {hash} {what}");
            Failure::new(Exit::NotAllowed, message)
        };
        let sha256: Sha256 = hash.parse().map_err(|_| refused("has no hash"))?;
        let own: LimitOverride = match strategy.limits.as_str() {
            "" => LimitOverride::default(),
            text => {
                serde_json::from_str(text).map_err(|_| refused("has limits that cannot be read"))?
            }
        };
        if self.lock.revoked().iter().any(|known| known.sha256 == sha256) {
            return Err(refused("was denied, and is not run again, not even to prove a run"));
        }
        check_range(&own)
            .map_err(|why| refused(&format!("has limits beyond all bounds: {why}")))?;
        // What a record says of permissions gives none.
        let allowed = self.lock.was_allowed(&sha256);
        if !allowed && !self.bypass {
            let hint = if strategy.unsigned {
                "the run bypassed the lock file; to do so again: --unsigned".to_owned()
            } else {
                format!("to allow it: sandpaper allow sha256:{hash} --name {name}")
            };
            return Err(refused("is not among those that may run here").hint(hint));
        }
        if strategy.unsigned || !allowed {
            self.unsigned.insert(name.clone());
        }
        let cap = given(config, &own).caps.file_bytes;
        let candidate = self
            .find(&sha256, cap)
            .ok_or_else(|| refused("is nowhere to be found").hint("name it with --wasm FILE"))?;
        let wasi = if strategy.wasi { Wasi::Deterministic } else { Wasi::Refused };
        let approved = Approved::unsigned(candidate, wasi).limited(own);
        let (runtimes, gate) = (&mut self.runtimes, self.gate.as_deref());
        let loaded = strategies::admit(config, runtimes, gate, (name.clone(), approved))?;
        Ok(Loaded { unsigned: strategy.unsigned, ..loaded })
    }
}
