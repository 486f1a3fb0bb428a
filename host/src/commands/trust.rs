//! `sandpaper allow` and `sandpaper deny`: the only ways to change what may run.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::app::Failure;
use crate::app::given::{Given, Runtimes, check_range, file_bytes_max, given};
use crate::app::strategies::{lock_source, read_lock};
use crate::app::strikes::Strikes;
use crate::cli::{AllowArgs, DenyArgs, Exit, ModuleRef, WasiGrant};
use crate::config::parse_size;
use crate::lockfile::{
    self, Approved, CandidateError, Entry, LimitOverride, Lock, Profile, Sha256, Verdict, WORLD,
    Wasi,
};
use crate::output;
use crate::sandbox::{LoadError, Module};
use crate::strategy::Strategy as _;

use super::Context;

#[derive(Serialize)]
struct Change {
    name: String,
    sha256: String,
    change: &'static str,
    file: Option<String>,
}

pub(super) fn allow(context: &Context, args: &AllowArgs) -> Result<Exit, Failure> {
    if args.name.is_some() && args.targets.len() > 1 {
        return Err(Failure::new(Exit::Usage, "--name goes with one module"));
    }
    let mut lock = read_lock(&context.config)?;
    let now = Timestamp::now();
    let expires = expiry(args.expires.as_deref(), now)?;
    // What is wrong with them is wrong for every target.
    own_limits(LimitOverride::default(), &args.limit)?;
    let mut changes = Vec::new();
    for target in &args.targets {
        let entry = match target {
            ModuleRef::File(path) => from_file(context, args, &lock, path, now)?,
            ModuleRef::Sha256(hash) => from_hash(args, &lock, Sha256::from(*hash), now)?,
        };
        let entry = terms(args, &lock, entry, expires)?;
        let change = match (lock.lookup(&entry.sha256, now), lock.by_name(&entry.name)) {
            (Verdict::Allowed(known), _)
                if known.name == entry.name
                    && known.note == entry.note
                    && known.expires == entry.expires
                    && known.limits == entry.limits
                    && known.wasi == entry.wasi =>
            {
                "unchanged"
            }
            (_, Some(_)) => "replaced",
            _ => "allowed",
        };
        explain(context, &lock, &entry);
        changes.push(Change {
            name: entry.name.clone(),
            sha256: entry.sha256.to_string(),
            change,
            file: (!entry.file_hint.is_empty()).then(|| entry.file_hint.clone()),
        });
        if change != "unchanged" {
            lock.allow(entry)?;
        }
    }
    if changes.iter().any(|c| c.change != "unchanged") {
        confirm(context, args.yes, &changes)?;
        save(context, &mut lock)?;
    }
    // Only now: until then nobody has said that it may run.
    let strikes = Strikes::open(&context.config)?;
    changes.iter().try_for_each(|change| strikes.clear(&change.sha256))?;
    show(context, &changes)
}

/// The terms of a permission: what the command line says, and for bytes that are
/// listed already what stands there and nothing replaces.
fn terms(
    args: &AllowArgs,
    lock: &Lock,
    entry: Entry,
    expires: Option<Option<Timestamp>>,
) -> Result<Entry, Failure> {
    let known = listed(lock, &entry.sha256);
    let own = own_limits(lock.limits(&entry.sha256), &args.limit)?;
    let note = args.note.clone().or_else(|| known.map(|known| known.note.clone()));
    Ok(Entry {
        expires: expires.unwrap_or_else(|| known.and_then(|known| known.expires)),
        note: note.unwrap_or_default(),
        limits: (!own.is_empty()).then_some(own),
        ..entry
    })
}

fn listed<'a>(lock: &'a Lock, sha256: &Sha256) -> Option<&'a Entry> {
    lock.entries().iter().find(|known| known.sha256 == *sha256)
}

/// Writes the lock file, and says so when it must be signed to count.
fn save(context: &Context, lock: &mut Lock) -> Result<(), Failure> {
    let source = lock_source(&context.config)?;
    source.write(lock)?;
    if source.wants_signature() {
        let path = source.path().display();
        context.output.note(&format!("it counts once it is signed: minisign -S -m {path}"));
    }
    Ok(())
}

/// Loads the module as `run` would: what cannot run is not worth allowing.
fn from_file(
    context: &Context,
    args: &AllowArgs,
    lock: &Lock,
    path: &Path,
    now: Timestamp,
) -> Result<Entry, Failure> {
    let config = &context.config;
    let asked = given(config, &own_limits(LimitOverride::default(), &args.limit)?);
    let cap = asked.caps.file_bytes.max(file_bytes_max(config, lock));
    let large = |error: CandidateError| {
        Failure::from(error)
            .hint("a module of Python or JavaScript needs: --limit profile=interpreter")
    };
    let candidate = lockfile::read_named(path, cap).map_err(|error| match error {
        CandidateError::TooLarge { .. } => large(error),
        other => other.into(),
    })?;
    let sha256 = candidate.sha256();
    let known = listed(lock, &sha256);
    let name = known.map_or_else(|| candidate.stem(), |known| known.name.clone());
    let size = candidate.bytes().len() as u64;
    let own = own_limits(lock.limits(&sha256), &args.limit)?;
    let given = given(config, &own);
    let Given { limits, caps, .. } = &given;
    // Others may be larger than this one may be.
    if size > caps.file_bytes {
        let (path, cap) = (path.to_owned(), caps.file_bytes);
        return Err(large(CandidateError::TooLarge { path, size, cap }));
    }
    let wasi = granted(args).unwrap_or_else(|| lock.wasi(&sha256));
    let approved = Approved::unsigned(candidate, wasi).limited(own);
    let shown = path.display();
    let broken = |what: String, hint: String| {
        Failure::new(Exit::Incompatible, format!("{shown}: {what}")).hint(hint)
    };
    let look = || format!("see why: sandpaper inspect {shown}");
    let runtime = Runtimes::new(config)?.of(&given)?;
    let module = Module::load(&runtime, &approved, caps).map_err(|error| match error {
        LoadError::WasiNotGranted(_) => broken(
            error.to_string(),
            format!("to grant it one that is empty: sandpaper allow {shown} --wasi deterministic"),
        ),
        _ => broken(error.to_string(), look()),
    })?;
    let described = module
        .instantiate(*limits)
        .and_then(|mut guest| guest.describe())
        .map_err(|fault| broken(fault.to_string(), look()))?;
    tracing::debug!("{shown} says it is {} {}", described.name, described.version);
    // What is not needed is not granted.
    let wasi = if module.imports_wasi() { approved.wasi() } else { Wasi::Refused };
    if wasi != approved.wasi() {
        context.output.note(&format!("{shown} imports no WASI: there is nothing to grant"));
    }
    Ok(Entry {
        name: args.name.clone().unwrap_or(name),
        sha256: module.sha256(),
        world: WORLD.to_owned(),
        file_hint: path.display().to_string(),
        imports: module.imports().to_vec(),
        size,
        allowed_at: now,
        note: String::new(),
        expires: None,
        wasi,
        limits: None,
    })
}

/// The grant that the command line names.
fn granted(args: &AllowArgs) -> Option<Wasi> {
    args.wasi.map(|grant| match grant {
        WasiGrant::Deterministic => Wasi::Deterministic,
    })
}

/// A hash alone says nothing of the file: it is allowed under a name, for when
/// the file comes.
fn from_hash(
    args: &AllowArgs,
    lock: &Lock,
    sha256: Sha256,
    now: Timestamp,
) -> Result<Entry, Failure> {
    let known = listed(lock, &sha256);
    let Some(name) = args.name.clone().or_else(|| known.map(|entry| entry.name.clone())) else {
        return Err(Failure::new(Exit::Usage, "a hash needs a name")
            .hint(format!("sandpaper allow sha256:{sha256} --name NAME")));
    };
    Ok(Entry {
        name,
        sha256,
        world: WORLD.to_owned(),
        file_hint: known.map(|entry| entry.file_hint.clone()).unwrap_or_default(),
        imports: known.map(|entry| entry.imports.clone()).unwrap_or_default(),
        size: known.map_or(0, |entry| entry.size),
        allowed_at: now,
        note: String::new(),
        expires: None,
        wasi: granted(args).or(known.map(|entry| entry.wasi)).unwrap_or_default(),
        limits: None,
    })
}

/// Limits as `--limit NAME=VALUE` changes them: whole numbers, sizes such as 64MiB,
/// the profile, and `default` for what the configuration says.
fn own_limits(base: LimitOverride, given: &[String]) -> Result<LimitOverride, Failure> {
    let mut limits = base;
    for text in given {
        let wrong = |why: String| Failure::new(Exit::Usage, format!("--limit {text}: {why}"));
        let (name, value) =
            text.split_once('=').ok_or_else(|| wrong("it has no form NAME=VALUE".into()))?;
        if name == "profile" {
            limits.profile = Some(match value {
                "native" => Profile::Native,
                "interpreter" => Profile::Interpreter,
                "default" => {
                    limits.profile = None;
                    continue;
                }
                _ => return Err(wrong("profiles are native and interpreter".into())),
            });
            continue;
        }
        if value == "default" && limits.unset(name) {
            continue;
        }
        let plain = value.replace('_', "").parse::<u64>().ok();
        let size = || name.ends_with("_bytes").then(|| parse_size(value)).flatten();
        let number = plain.or_else(size).ok_or_else(|| wrong("it is no number".into()))?;
        if !limits.set(name, number) {
            let known = LimitOverride::NUMBERS;
            let near = known.iter().min_by_key(|k| strsim::damerau_levenshtein(k, name));
            let near = near.map(|k| format!("; did you mean {k}?")).unwrap_or_default();
            return Err(wrong(format!("there is no limit of this name{near}")));
        }
        check_range(&limits).map_err(wrong)?;
    }
    Ok(limits)
}

/// When the permission ends, if the command line says so: `never`, or after a time.
fn expiry(text: Option<&str>, now: Timestamp) -> Result<Option<Option<Timestamp>>, Failure> {
    let Some(text) = text else { return Ok(None) };
    if text == "never" {
        return Ok(Some(None));
    }
    let span = crate::config::parse_duration(text).and_then(|span| now.checked_add(span).ok());
    // The lock file knows whole seconds.
    let span = span.and_then(|time| Timestamp::from_second(time.as_second()).ok());
    let wrong = || Failure::new(Exit::Usage, format!("--expires {text}: not a time such as 90d"));
    span.map(|time| Some(Some(time))).ok_or_else(wrong)
}

/// Says what differs from what was allowed under the same name, or for these bytes.
fn explain(context: &Context, lock: &Lock, entry: &Entry) {
    let same = listed(lock, &entry.sha256);
    let Some(known) = same.or_else(|| lock.by_name(&entry.name)) else { return };
    let output = &context.output;
    if same.is_none() {
        output.note(&format!("{} was {} and becomes {}", entry.name, known.sha256, entry.sha256));
        let (was, is) = (output::bytes(known.size), output::bytes(entry.size));
        match entry.size {
            0 => output.note("  the file was not seen: neither its size nor its imports are known"),
            _ => output.note(&format!("  size {was} -> {is}")),
        }
    } else if known.name != entry.name {
        output.note(&format!("{} becomes {}", known.name, entry.name));
    }
    if known.note != entry.note {
        let shown = |note: &str| output::printable(note, 200);
        output.note(&format!("  note {:?} -> {:?}", shown(&known.note), shown(&entry.note)));
    }
    if known.world != entry.world {
        output.note(&format!("  world {} -> {}", known.world, entry.world));
    }
    if known.wasi != entry.wasi {
        output.note(&format!("  WASI {} -> {}", known.wasi.name(), entry.wasi.name()));
    }
    if known.limits != entry.limits {
        output.note(&format!(
            "  limits {} -> {}",
            limits_text(known.limits),
            limits_text(entry.limits)
        ));
    }
    let time = |time: Option<Timestamp>| time.map_or_else(|| "never".into(), |t| t.to_string());
    if known.expires != entry.expires {
        output.note(&format!("  expires {} -> {}", time(known.expires), time(entry.expires)));
    }
    if entry.size == 0 {
        return;
    }
    for import in entry.imports.iter().filter(|i| !known.imports.contains(i)) {
        output.note(&format!("  imports also {}", output::printable(import, 200)));
    }
    for import in known.imports.iter().filter(|i| !entry.imports.contains(i)) {
        output.note(&format!("  imports no longer {}", output::printable(import, 200)));
    }
}

fn limits_text(limits: Option<LimitOverride>) -> String {
    let limits = limits.unwrap_or_default();
    let profile = limits.profile.map(|profile| match profile {
        Profile::Native => "profile native".to_owned(),
        Profile::Interpreter => "profile interpreter".to_owned(),
    });
    let number = |(name, value)| format!("{name} {}", output::count(value));
    let own: Vec<String> = profile.into_iter().chain(limits.numbers().map(number)).collect();
    if own.is_empty() { "as configured".to_owned() } else { own.join(", ") }
}

/// Asks a person at a terminal; a script says `--yes`.
fn confirm(context: &Context, yes: bool, changes: &[Change]) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, "nobody is there to confirm").hint("--yes"));
    }
    for change in changes.iter().filter(|c| c.change != "unchanged") {
        let file = change.file.as_deref().unwrap_or("no file yet");
        context.output.note(&format!("{} ({file})\n  sha256 {}", change.name, change.sha256));
    }
    context.output.note("allow this to run? [y/N]");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new(Exit::NotAllowed, "nothing was allowed"))
    }
}

pub(super) fn deny(context: &Context, args: &DenyArgs) -> Result<Exit, Failure> {
    let mut lock = read_lock(&context.config)?;
    let sha256 = match (args.target.parse::<ModuleRef>(), lock.by_name(&args.target)) {
        (_, Some(entry)) => entry.sha256,
        (Ok(ModuleRef::Sha256(hash)), None) => Sha256::from(hash),
        (Ok(ModuleRef::File(path)), None) if path.is_file() => {
            lockfile::read_named(&path, file_bytes_max(&context.config, &lock))?.sha256()
        }
        (Ok(ModuleRef::File(_)), None) => {
            let known: Vec<&str> = lock.entries().iter().map(|e| e.name.as_str()).collect();
            let known = if known.is_empty() { "none is allowed".into() } else { known.join(", ") };
            let message =
                format!("'{}' is neither an allowed strategy nor a file; {known}", args.target);
            return Err(Failure::new(Exit::NotAllowed, message));
        }
        (Err(error), None) => return Err(Failure::new(Exit::Usage, error.to_string())),
    };
    let known = lock.entries().iter().find(|e| e.sha256 == sha256);
    let (name, file) = known.map(|e| (e.name.clone(), e.file_hint.clone())).unwrap_or_default();
    let new = lock.deny(sha256, args.reason.as_deref().unwrap_or_default(), Timestamp::now());
    if new {
        save(context, &mut lock)?;
    }
    let change = if new { "denied" } else { "unchanged" };
    let file = (!file.is_empty()).then_some(file);
    show(context, &[Change { name, sha256: sha256.to_string(), change, file }])
}

fn show(context: &Context, changes: &[Change]) -> Result<Exit, Failure> {
    if context.output.json {
        context.output.print_json_list("sandpaper.trust/1", &changes, &[])?;
        return Ok(Exit::Done);
    }
    for change in changes {
        let name = if change.name.is_empty() { "(no name)" } else { &change.name };
        context.output.print(&format!("{:<10} {name}  sha256:{}", change.change, change.sha256))?;
    }
    Ok(Exit::Done)
}
