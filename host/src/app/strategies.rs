//! Which modules run: found in the folder or named, allowed by their hash,
//! compiled, and asked what they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::Exit;
use crate::config::{Config, StrategiesConfig};
use crate::lockfile::{self, Approved, Candidate, Lock, LockSource, PrivateFolder, Verdict};
use crate::output::printable;
use crate::sandbox::{LoadError, Module};
use crate::strategy::{Descriptor, Strategy};

use super::given::{self, Runtimes};
use super::strikes::Gate;
use super::{Failure, Interrupt};

/// The longest name that a file gives.
const NAME_MAX: usize = 64;

/// A module that will run.
pub struct Loaded {
    /// the operator's name for it: the lock file's, or the file's when unsigned
    pub name: String,
    /// SHA-256 of the file, in hex
    pub sha256: String,
    /// true when the lock file was bypassed
    pub unsigned: bool,
    /// the file
    pub path: PathBuf,
    /// its instance
    pub guest: Box<dyn Strategy>,
    /// what it says of itself
    pub descriptor: Descriptor,
    /// its bytes, and what they were granted
    pub approved: Approved,
    /// what it imports
    pub imports: Vec<String>,
    /// how long it took to check and compile it, in milliseconds
    pub compile_ms: u64,
}

/// What there is to run, and what may not.
pub struct Selected {
    /// what runs
    pub loaded: Vec<Loaded>,
    /// what a filter would have taken and that does not run
    pub refused: Vec<Refused>,
}

/// A module that does not run, as scripts read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// the file
    pub file: String,
    /// why not, naming the hash where the file could be read
    pub reason: String,
    /// the exit code of a run that has nothing else
    pub code: u8,
}

impl Refused {
    /// This file, for this reason.
    #[must_use]
    pub fn new(path: &Path, failure: &Failure) -> Self {
        let (file, reason) = (path.display().to_string(), failure.message.clone());
        Self { file, reason, code: failure.exit as u8 }
    }
}

/// What the command line asks for beside the configuration.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// modules named by file
    pub files: Vec<PathBuf>,
    /// bypass the lock file
    pub unsigned: bool,
}

/// The folder of this installation's private state; none where the system names
/// no place for it.
///
/// # Errors
/// A folder that cannot be made, or that others may enter.
pub fn private_folder(config: &Config) -> Result<Option<PrivateFolder>, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|text| !text.is_empty());
    let named = Some(config.strategies.state.as_str()).filter(|path| *path != "auto");
    let usual = || {
        let home = set("HOME").map(|home| Path::new(&home).join(".local/state"));
        let base = set("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        Some(base.or(home)?.join("sandpaper"))
    };
    let Some(path) = named.map(PathBuf::from).or_else(usual) else {
        tracing::debug!("no folder for private state: strategies.state names none");
        return Ok(None);
    };
    PrivateFolder::open(&path).map(Some).map_err(|error| {
        let message = format!("the folder of private state cannot be used: {error}");
        Failure::new(Exit::Runtime, message).hint("name another: --set strategies.state=DIR")
    })
}

/// Reads the lock file; a missing one allows nothing.
///
/// # Errors
/// A lock file that cannot be read or is damaged.
pub fn read_lock(config: &Config) -> Result<Lock, Failure> {
    Ok(lock_source(config)?.read()?)
}

/// The lock file with what it must be signed by and not be older than.
///
/// # Errors
/// A lock file that whoever writes modules could write too, and a public key that
/// is none.
pub fn lock_source(config: &Config) -> Result<LockSource, Failure> {
    let StrategiesConfig { dir, lock, public_key, .. } = &config.strategies;
    let key = match public_key.as_str() {
        "none" => None,
        text => Some(
            lockfile::public_key(text)
                .map_err(|error| Failure::new(Exit::Config, error.to_string()))?,
        ),
    };
    let path = Path::new(lock);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new(".")).canonicalize();
    // A link's own place, and what it leads to.
    let places = [parent, path.canonicalize()];
    if let Ok(folder) = Path::new(dir).canonicalize()
        && places.iter().flatten().any(|place| place.starts_with(&folder))
    {
        let message = format!(
            "strategies.lock {lock} lies in the strategies folder {dir}: who may drop a module there could allow it"
        );
        return Err(Failure::new(Exit::Config, message));
    }
    Ok(LockSource::new(path, key, private_folder(config)?.map(Arc::new)))
}

/// Loads everything that is to run, through `gate` where there is one.
///
/// # Errors
/// A module named by file that may not run or is no strategy, a name that
/// nothing has, or nothing left to run.
pub fn load(
    config: &Config,
    selection: &Selection,
    gate: Option<&Gate>,
) -> Result<Selected, Failure> {
    let lock = read_lock(config)?;
    let mut runtimes = Runtimes::new(config)?;
    let mut loaded: Vec<Loaded> = Vec::new();
    let (mut refused, mut first) = (Vec::new(), None);
    for (path, named) in paths(config, selection)? {
        let result = approve(config, selection, &lock, &path, named)
            .and_then(|found| found.map(|a| admit(config, &mut runtimes, gate, a)).transpose());
        match result {
            Ok(None) => {}
            Ok(Some(one)) => add(&mut loaded, one)?,
            Err(failure) if named => return Err(failure),
            Err(failure) => {
                tracing::warn!("{failure}");
                refused.push(Refused::new(&path, &failure));
                first.get_or_insert(failure);
            }
        }
    }
    check_names(config, &lock, &loaded)?;
    if !loaded.is_empty() {
        return Ok(Selected { loaded, refused });
    }
    Err(first.unwrap_or_else(|| {
        let dir = &config.strategies.dir;
        Failure::new(Exit::NotAllowed, format!("there is no strategy to run in {dir}/"))
            .hint(format!("put a .wasm file there, then: sandpaper allow {dir}/NAME.wasm"))
    }))
}

/// Compiles approved bytes, through `gate` where there is one.
///
/// # Errors
/// What keeps it from running.
pub(super) fn admit(
    config: &Config,
    runtimes: &mut Runtimes,
    gate: Option<&Gate>,
    (name, approved): (String, Approved),
) -> Result<Loaded, Failure> {
    let sha256 = approved.candidate().sha256().to_string();
    let make = |name| compile(config, runtimes, (name, approved));
    match gate {
        Some(gate) => gate.admit(&name.clone(), &sha256, || make(name)),
        None => make(name),
    }
}

/// [`load`], unless the user ends the program meanwhile: compiling an interpreter takes
/// half a minute.
///
/// # Errors
/// As [`load`].
pub fn load_unless_asked(
    config: &Config,
    selection: &Selection,
    gate: Option<Arc<Gate>>,
    interrupt: &Interrupt,
) -> Result<Option<Selected>, Failure> {
    let (config, selection) = (config.clone(), selection.clone());
    interrupt.unless_asked(move || load(&config, &selection, gate.as_deref()))?.transpose()
}

/// The files to look at, and whether each was named. Naming files and no
/// strategies means those files alone.
fn paths(config: &Config, selection: &Selection) -> Result<Vec<(PathBuf, bool)>, Failure> {
    let mut paths: Vec<(PathBuf, bool)> =
        selection.files.iter().map(|path| (path.clone(), true)).collect();
    if selection.files.is_empty() || !config.strategies.only.is_empty() {
        let dir = Path::new(&config.strategies.dir);
        let found = lockfile::scan(dir).map_err(|error| {
            Failure::new(Exit::Runtime, error.to_string())
                .hint("name a folder with --strategies-dir, or a module with --wasm")
        })?;
        paths.extend(found.into_iter().map(|path| (path, false)));
    }
    Ok(paths)
}

/// Reads a file once and looks its hash up. `None` when a filter leaves it out.
fn approve(
    config: &Config,
    selection: &Selection,
    lock: &Lock,
    path: &Path,
    named: bool,
) -> Result<Option<(String, Approved)>, Failure> {
    let cap = given::file_bytes_max(config, lock);
    let read = if named { lockfile::read_named } else { lockfile::read_candidate };
    let candidate: Candidate = read(path, cap)?;
    // A file's name is whoever's put it there: it is shown wherever the name is.
    let stem = printable(&candidate.stem(), NAME_MAX);
    let wanted = |name: &str| {
        let only = &config.strategies.only;
        let enabled = config.strategy.get(name).is_none_or(|s| s.enabled);
        named || (enabled && (only.is_empty() || only.iter().any(|o| o == name)))
    };
    if selection.unsigned {
        // What was denied stays denied: skipping a missing permission is not
        // skipping a refusal.
        if matches!(lock.lookup(&candidate.sha256(), Timestamp::now()), Verdict::Revoked(_)) {
            let refused = lock.approve(candidate, Timestamp::now());
            let message = refused.err().map(|refusal| refusal.to_string());
            return Err(Failure::new(Exit::NotAllowed, message.unwrap_or_default()));
        }
        // Bypassing the lock grants nothing: WASI needs an entry all the same.
        let (wasi, limits) = (lock.wasi(&candidate.sha256()), lock.limits(&candidate.sha256()));
        let approved = Approved::unsigned(candidate, wasi).limited(limits);
        return Ok(wanted(&stem).then_some((stem, approved)));
    }
    match lock.approve(candidate, Timestamp::now()) {
        Ok(approved) => {
            let name = approved.entry().map_or(stem, |entry| entry.name.clone());
            Ok(wanted(&name).then_some((name, approved)))
        }
        // A file that a filter would leave out anyway is not worth a warning.
        Err(_) if !wanted(&stem) => Ok(None),
        Err(refusal) => Err(Failure::new(Exit::NotAllowed, refusal.to_string())),
    }
}

/// Loads one file's bytes without asking the lock, to look at it.
///
/// # Errors
/// What keeps it from running.
pub fn load_one(config: &Config, approved: Approved) -> Result<Loaded, Failure> {
    let name = approved.candidate().stem();
    compile(config, &mut Runtimes::new(config)?, (name, approved))
}

/// A module beyond this takes seconds to compile.
const LARGE_BYTES: usize = 2 << 20;

/// Compiles approved bytes, makes an instance and asks it what it is.
///
/// # Errors
/// What keeps it from running.
#[allow(clippy::disallowed_methods, reason = "how long it took is told, never used")]
pub fn compile(
    config: &Config,
    runtimes: &mut Runtimes,
    (name, approved): (String, Approved),
) -> Result<Loaded, Failure> {
    let path = approved.candidate().path().to_owned();
    let shown = path.display();
    let given = given::given(config, &approved.limits());
    let began = Instant::now();
    let runtime = runtimes.of(&given)?;
    if approved.candidate().bytes().len() > LARGE_BYTES {
        tracing::info!("compiling {shown}, which takes a while");
    }
    let module = Module::load(&runtime, &approved, &given.caps).map_err(|error: LoadError| {
        Failure::new(Exit::Incompatible, format!("{shown}: {error}"))
    })?;
    let compile_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let faulty = |fault| Failure::new(Exit::Incompatible, format!("{shown}: {fault}"));
    let mut guest = module.instantiate(given.limits).map_err(faulty)?;
    let descriptor = guest.describe().map_err(faulty)?;
    crate::engine::check_descriptor(&descriptor)
        .map_err(|what| Failure::new(Exit::Incompatible, format!("{shown}: {what}")))?;
    let sha256 = module.sha256().to_string();
    tracing::debug!(name, sha256, version = descriptor.version, "loaded {shown}");
    let unsigned = approved.is_unsigned();
    let (guest, imports) = (Box::new(guest), module.imports().to_vec());
    Ok(Loaded { name, sha256, unsigned, path, guest, descriptor, approved, imports, compile_ms })
}

/// Adds a module; a name that is taken gets a number, which only files named
/// without the lock can need.
fn add(loaded: &mut Vec<Loaded>, mut one: Loaded) -> Result<(), Failure> {
    let taken = |name: &str, loaded: &[Loaded]| loaded.iter().any(|l| l.name == name);
    if taken(&one.name, loaded) {
        // The same bytes twice are one strategy.
        if loaded.iter().any(|l| l.name == one.name && l.sha256 == one.sha256) {
            tracing::warn!(
                "{} is the same module as another file: it runs once",
                one.path.display()
            );
            return Ok(());
        }
        if !one.unsigned {
            let message = format!("'{}' is given twice: {}", one.name, one.path.display());
            return Err(Failure::new(Exit::Usage, message));
        }
        let free = (2..).map(|n| format!("{}-{n}", one.name)).find(|n| !taken(n, loaded));
        one.name = free.unwrap_or(one.name);
    }
    loaded.push(one);
    Ok(())
}

/// Every name that a filter asks for must be there, and every `[strategy.NAME]`
/// must be somebody's.
fn check_names(config: &Config, lock: &Lock, loaded: &[Loaded]) -> Result<(), Failure> {
    for name in config.strategy.keys() {
        let known = || {
            let allowed = lock.entries().iter().map(|e| e.name.as_str());
            allowed.chain(loaded.iter().map(|l| l.name.as_str()))
        };
        if known().all(|k| k != name) {
            let near = known().min_by_key(|k| strsim::damerau_levenshtein(k, name));
            let near = near.map(|k| format!("; did you mean '{k}'?")).unwrap_or_default();
            let message = format!("[strategy.{name}] is no strategy's section{near}");
            return Err(Failure::new(Exit::Config, message));
        }
    }
    for name in &config.strategies.only {
        if loaded.iter().all(|l| l.name != *name) {
            let known: Vec<&str> = lock.entries().iter().map(|e| e.name.as_str()).collect();
            let dir = &config.strategies.dir;
            let message = if known.contains(&name.as_str()) {
                format!(
                    "'{name}' is allowed, but no file in {dir}/ has its hash, or it is disabled"
                )
            } else if known.is_empty() {
                format!("no strategy called '{name}' is allowed; none is")
            } else {
                format!("no strategy called '{name}' is allowed; there are {}", known.join(", "))
            };
            return Err(Failure::new(Exit::NotAllowed, message));
        }
    }
    Ok(())
}
