//! The layers of a configuration: files, environment and flags, each split into
//! single settings that know where they came from.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path as FilePath, PathBuf};

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::value::Raw;

/// The parts of a key: `feed.sim.levels` has three.
pub type Path = Vec<String>;

/// What every environment variable of a setting starts with.
pub const ENV_PREFIX: &str = "SANDPAPER__";

/// A configuration file above this is not one: the largest that is useful has
/// some hundred lines.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// the program itself
    BuiltIn,
    /// a line of a file
    File {
        /// its path as given
        file: String,
        /// the line, from 1
        line: usize,
    },
    /// an environment variable
    Env(String),
    /// a flag of the command line, as it was written
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// One setting of one layer.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) raw: Raw,
    pub(super) origin: Origin,
}

/// A setting that a flag of the command line makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// the key, such as `run.seed`
    pub key: String,
    /// its value as text
    pub value: String,
    /// the flag as it was written, such as `--seed 7`
    pub flag: String,
}

/// Where the layers above the built-in one come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// a whole file's text, read before all others
    pub text: Option<String>,
    /// read next, and only when it exists
    pub base: Option<PathBuf>,
    /// read in this order; each must exist
    pub files: Vec<PathBuf>,
    /// environment variables that are meant as settings: each must start with
    /// [`ENV_PREFIX`]
    pub env: Vec<(String, String)>,
    /// `--set` arguments in their order, as `SECTION.KEY=VALUE`
    pub set: Vec<String>,
    /// what other flags set
    pub flags: Vec<Override>,
}

impl Sources {
    /// `./config.toml` and the environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok().filter(|name| is_meant(name))?;
                Some((name, value.to_string_lossy().into_owned()))
            })
            .collect();
        Self { base: Some("config.toml".into()), env, ..Self::default() }
    }
}

/// Whether a variable of the environment is a setting, rightly written or not.
pub(super) fn is_meant(name: &str) -> bool {
    name.strip_prefix("SANDPAPER_").is_some_and(|rest| rest.contains("__") || rest.starts_with('_'))
}

/// Prints a path as TOML would write the key.
#[must_use]
pub fn dotted(path: &[String]) -> String {
    let bare = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let part = |part: &String| {
        if bare(part) { part.clone() } else { Value::String(part.clone()).to_string() }
    };
    path.iter().map(part).collect::<Vec<_>>().join(".")
}

/// Merges all layers, the later over the earlier, and collects what cannot be
/// read.
pub(super) fn merge(sources: &Sources) -> (BTreeMap<Path, Leaf>, Vec<Problem>) {
    let mut merged = BTreeMap::new();
    let mut problems = Vec::new();
    if let Some(text) = &sources.text {
        match leaves_of_file(FilePath::new("recorded settings"), text) {
            Ok(leaves) => merged.extend(leaves),
            Err(problem) => problems.push(problem),
        }
    }
    let base = sources.base.iter().map(|file| (file, true));
    for (file, optional) in base.chain(sources.files.iter().map(|file| (file, false))) {
        match read_file(file, optional).and_then(|text| leaves_of_file(file, &text)) {
            Ok(leaves) => merged.extend(leaves),
            Err(problem) => problems.push(problem),
        }
    }
    let mut env = sources.env.clone();
    env.sort();
    for (name, value) in env {
        match path_of_env(&name) {
            Some(path) => {
                merged.insert(path, Leaf { raw: Raw::Text(value), origin: Origin::Env(name) });
            }
            None => {
                let rest = name.trim_start_matches("SANDPAPER").trim_start_matches('_');
                let reason = format!("a setting is named {ENV_PREFIX}{rest}");
                problems.push(Problem::Syntax { origin: Origin::Env(name), reason });
            }
        }
    }
    for text in &sources.set {
        match leaf_of_set(text) {
            Ok((path, leaf)) => drop(merged.insert(path, leaf)),
            Err(problem) => problems.push(problem),
        }
    }
    for Override { key, value, flag } in &sources.flags {
        let origin = Origin::Flag(flag.clone());
        match split_key(key) {
            Some(path) => drop(merged.insert(path, Leaf { raw: Raw::Text(value.clone()), origin })),
            None => problems.push(Problem::Syntax { origin, reason: format!("no key '{key}'") }),
        }
    }
    (merged, problems)
}

fn read_file(file: &FilePath, optional: bool) -> Result<String, Problem> {
    let problem = |reason: String| Problem::File { file: file.display().to_string(), reason };
    let opened = match fs::File::open(file) {
        Err(error) if optional && error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        opened => opened.map_err(|error| problem(error.to_string()))?,
    };
    let mut text = String::new();
    let read = opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| problem(error.to_string()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(problem("it is larger than 1 MiB".into()));
    }
    Ok(text)
}

/// Splits a file into its settings, each with its line.
fn leaves_of_file(file: &FilePath, text: &str) -> Result<Vec<(Path, Leaf)>, Problem> {
    let name = file.display().to_string();
    let line_of = |at: usize| 1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count();
    let syntax = |error: toml::de::Error| Problem::Syntax {
        origin: Origin::File {
            file: name.clone(),
            line: line_of(error.span().map_or(0, |s| s.start)),
        },
        reason: error.message().to_owned(),
    };
    let spans = DeTable::parse(text).map_err(&syntax)?.into_inner();
    let values: toml::Table = text.parse().map_err(&syntax)?;
    let mut leaves = Vec::new();
    flatten(&mut Vec::new(), &spans, &values, &mut |path, value, at| {
        let origin = Origin::File { file: name.clone(), line: line_of(at) };
        leaves.push((path.to_vec(), Leaf { raw: Raw::Toml(value.clone()), origin }));
    });
    Ok(leaves)
}

/// Visits every value below a table. An empty table is visited as a value, so
/// that a misspelt section is found even when nothing stands in it.
fn flatten(
    path: &mut Path,
    spans: &DeTable<'_>,
    values: &toml::Table,
    visit: &mut impl FnMut(&[String], &Value, usize),
) {
    for (key, spanned) in spans {
        let name: &str = key.get_ref();
        let Some(value) = values.get(name) else { continue };
        path.push(name.to_owned());
        match (spanned.get_ref(), value) {
            (DeValue::Table(spans), Value::Table(values)) if !values.is_empty() => {
                flatten(path, spans, values, visit);
            }
            _ => visit(path, value, key.span().start),
        }
        path.pop();
    }
}

/// The key that an environment variable names, in lower case.
///
/// A variable cannot hold every character of a key: in the name of a strategy
/// `_` stands for `-`, in a symbol for `/`, and the names of assets and symbols
/// stay as they are.
fn path_of_env(name: &str) -> Option<Path> {
    let parts: Vec<&str> = name.strip_prefix(ENV_PREFIX)?.split("__").collect();
    let lower: Vec<String> = parts.iter().map(|part| part.to_lowercase()).collect();
    let known: Vec<&str> = lower.iter().map(String::as_str).collect();
    let path = match (known.as_slice(), parts.as_slice()) {
        (["feed", "sim", "prices", _], [.., symbol]) => {
            vec!["feed".into(), "sim".into(), "prices".into(), symbol.replace('_', "/")]
        }
        (["portfolio", "assets", _], [.., asset]) => {
            vec!["portfolio".into(), "assets".into(), (*asset).into()]
        }
        (["strategy", name, rest @ ..], _) => {
            let head = ["strategy".to_owned(), name.replace('_', "-")];
            head.into_iter().chain(rest.iter().map(|&part| part.to_owned())).collect()
        }
        _ => lower,
    };
    Some(path)
}

fn leaf_of_set(text: &str) -> Result<(Path, Leaf), Problem> {
    let origin = Origin::Flag(format!("--set {text}"));
    let equals = unquoted(text, '=').next();
    let split = equals.and_then(|at| Some((split_key(&text[..at])?, &text[at + 1..])));
    match split {
        Some((path, value)) => Ok((path, Leaf { raw: Raw::Text(value.trim().to_owned()), origin })),
        None => Err(Problem::Syntax { origin, reason: "expected SECTION.KEY=VALUE".into() }),
    }
}

/// Where `wanted` stands outside double quotes.
fn unquoted(text: &str, wanted: char) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    text.char_indices().filter_map(move |(at, c)| {
        quoted ^= c == '"';
        (c == wanted && !quoted).then_some(at)
    })
}

/// Splits a dotted key; parts may be quoted. `None` when a part is empty.
fn split_key(text: &str) -> Option<Path> {
    let mut path = Path::new();
    let mut start = 0;
    for end in unquoted(text, '.').chain([text.len()]) {
        let part = text[start..end].trim();
        let bare = part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(part);
        if bare.is_empty() || bare.contains('"') {
            return None;
        }
        path.push(bare.to_owned());
        start = end + 1;
    }
    Some(path)
}
