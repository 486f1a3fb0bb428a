//! What the head of a record claims of itself, held against what it carries: the
//! configuration, the lock file, and the modules beside it.
//!
//! A record is no proof of who wrote it. Whoever can write all of it can write a
//! sound lie; what is found here are claims that do not agree. That a module may run
//! on this machine is decided by this machine's lock file and command line, never by
//! a record.

use std::path::Path;

use crate::cli::Exit;
use crate::config::Config;
use crate::journal::{Manifest, StrategyRecord};
use crate::lockfile::{LimitOverride, Lock, Sha256, Wasi};

use super::Failure;
use super::modules::Kept;
use super::strategies::{Loaded, lock_source};

/// A longer lock file is not kept in the record.
const LOCK_TEXT_MAX: usize = 1 << 20;

/// The lock file's text as the record keeps it, when it is the one by which these
/// modules were allowed.
///
/// # Errors
/// A lock file that cannot be read, or that was changed since.
pub fn lock_text(config: &Config, modules: &[Loaded]) -> Result<String, Failure> {
    let (lock, text) = lock_source(config)?.read_with_text()?;
    for entry in modules.iter().filter_map(|module| module.approved.entry()) {
        if !lock.entries().contains(entry) {
            let message = format!("the lock file changed while '{}' was loaded", entry.name);
            return Err(Failure::new(Exit::NotAllowed, message).hint("start again"));
        }
    }
    Ok(if text.len() <= LOCK_TEXT_MAX { text } else { String::new() })
}

/// What does not agree, each in words, with whose claim it is.
#[must_use]
pub fn disagreeing(
    manifest: &Manifest,
    config: &Config,
    kept: &Kept,
) -> Vec<(Option<String>, String)> {
    let mut wrong = Vec::new();
    if config.sha256() != manifest.config_sha256 {
        let what = "its configuration does not have the hash that the record names";
        wrong.push((None, what.to_owned()));
    }
    if config.run.seed != manifest.seed {
        let (seed, told) = (config.run.seed, manifest.seed);
        wrong.push((None, format!("it names the seed {told}, and its configuration has {seed}")));
    }
    let lock = match manifest.lock.as_str() {
        "" => None,
        text => match Lock::parse(text, Path::new("strategies.lock")) {
            Ok(lock) => Some(lock),
            Err(error) => {
                wrong.push((None, format!("the lock file that it keeps is none: {error}")));
                None
            }
        },
    };
    for strategy in &manifest.strategies {
        let of = lock.as_ref().and_then(|lock| permission(lock, strategy));
        let file = strategy.sha256.parse().ok().filter(|sha256| kept.is_another(sha256));
        let file =
            file.map(|_: Sha256| "the file that is kept under its hash is another".to_owned());
        wrong.extend(of.into_iter().chain(file).map(|what| (Some(strategy.name.clone()), what)));
    }
    wrong
}

/// How the claim to have been allowed disagrees with the lock file.
fn permission(lock: &Lock, strategy: &StrategyRecord) -> Option<String> {
    if strategy.unsigned {
        return None;
    }
    let entry = lock.entries().iter().find(|entry| entry.sha256.to_string() == strategy.sha256);
    let Some(entry) = entry else {
        return Some(
            "it is said to be allowed, and the lock file of the run has no such hash".into(),
        );
    };
    let limits = match strategy.limits.as_str() {
        "" => Some(LimitOverride::default()),
        text => serde_json::from_str(text).ok(),
    };
    let granted = entry.wasi == Wasi::Deterministic;
    let what = if entry.name != strategy.name {
        "name"
    } else if granted != strategy.wasi {
        "WASI"
    } else if Some(entry.limits.unwrap_or_default()) != limits {
        "limits"
    } else {
        return None;
    };
    Some(format!("it is said to have had another {what} than the lock file of the run gave it"))
}
