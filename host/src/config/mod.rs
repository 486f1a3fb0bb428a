//! Raw TOML to validated settings.
//!
//! Layers, each over the one before: built in, `./config.toml` when it exists,
//! each file given with `-c`, environment variables `SANDPAPER__SECTION__KEY`,
//! `--set SECTION.KEY=VALUE`, and other flags. A key that nothing reads is an
//! error in every layer, because a misspelt limit is a missing one.
//!
//! A section is declared once, in `sections`: struct, documentation, default and
//! range come from the same lines.

mod error;
mod feed_kind;
mod json_schema;
mod latency;
mod schema;
mod sections;
mod source;
#[cfg(test)]
mod tests;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

pub use error::{ConfigError, Problem};
pub use feed_kind::FeedKind;
pub use json_schema::json_schema;
pub use latency::{Latency, parse_latency};
pub use schema::{Effective, Key};
pub use sections::{
    Determinism, EngineConfig, ExecutionConfig, ExecutionModel, FeeSchedule, FeedSourceConfig,
    HistoryConfig, LogConfig, LogFilesConfig, LogFormat, LogLevel, MarketConfig, ModuleProfile,
    NotifyConfig, NotifyRule, OnFault, OnHalt, OnTotal, PortfolioConfig, RecordConfig, RiskConfig,
    RunConfig, SandboxConfig, ShortBase, SimConfig, StrategiesConfig, StrategyConfig, WebConfig,
};
pub use source::{ENV_PREFIX, Origin, Override, Path, Sources, dotted};
pub use value::{ByteSize, Decimal, Interval, Limits, format_duration, parse_duration, parse_size};

use schema::Reader;

/// The validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[run]`
    pub run: RunConfig,
    /// `[feed]`
    pub feed: FeedSourceConfig,
    /// `[feed.sim]`
    pub sim: SimConfig,
    /// `[strategies]`
    pub strategies: StrategiesConfig,
    /// `[sandbox]`
    pub sandbox: SandboxConfig,
    /// `[portfolio]`
    pub portfolio: PortfolioConfig,
    /// `[execution]`
    pub execution: ExecutionConfig,
    /// `[risk]`
    pub risk: RiskConfig,
    /// `[market]`
    pub market: MarketConfig,
    /// `[engine]`
    pub engine: EngineConfig,
    /// `[history]`
    pub history: HistoryConfig,
    /// `[web]`
    pub web: WebConfig,
    /// `[notify]`
    pub notify: NotifyConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[log.files]`
    pub log_files: LogFilesConfig,
    /// `[record]`
    pub record: RecordConfig,
    /// `[strategy.NAME]`, by name
    pub strategy: BTreeMap<String, StrategyConfig>,
    effective: BTreeMap<Path, Effective>,
}

/// Every key that there is, section by section.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    [
        RunConfig::KEYS,
        FeedSourceConfig::KEYS,
        SimConfig::KEYS,
        StrategiesConfig::KEYS,
        SandboxConfig::KEYS,
        PortfolioConfig::KEYS,
        ExecutionConfig::KEYS,
        RiskConfig::KEYS,
        MarketConfig::KEYS,
        EngineConfig::KEYS,
        HistoryConfig::KEYS,
        WebConfig::KEYS,
        NotifyConfig::KEYS,
        LogConfig::KEYS,
        LogFilesConfig::KEYS,
        RecordConfig::KEYS,
        StrategyConfig::KEYS,
    ]
    .into_iter()
    .flatten()
}

impl Config {
    /// Reads and checks all layers.
    ///
    /// # Errors
    /// Everything that is wrong, at once: files that cannot be read, unknown
    /// keys, values of the wrong type or out of range.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let (rest, problems) = source::merge(sources);
        let mut reader = Reader { rest, effective: BTreeMap::new(), problems };
        let config = Self::read(&mut reader);
        reader.unknown_keys();
        match config {
            Some(config) if reader.problems.is_empty() => {
                Ok(Self { effective: reader.effective, ..config })
            }
            _ => Err(ConfigError { problems: reader.problems }),
        }
    }

    /// Reads all sections before it gives up on any.
    fn read(reader: &mut Reader) -> Option<Self> {
        let at = |section: &str| section.split('.').map(str::to_owned).collect::<Vec<_>>();
        let run = RunConfig::read(reader, &at("run"));
        let feed = FeedSourceConfig::read(reader, &at("feed"));
        let sim = SimConfig::read(reader, &at("feed.sim"));
        let strategies = StrategiesConfig::read(reader, &at("strategies"));
        let sandbox = SandboxConfig::read(reader, &at("sandbox"));
        let portfolio = PortfolioConfig::read(reader, &at("portfolio"));
        let execution = ExecutionConfig::read(reader, &at("execution"));
        let risk = RiskConfig::read(reader, &at("risk"));
        let market = MarketConfig::read(reader, &at("market"));
        let engine = EngineConfig::read(reader, &at("engine"));
        let history = HistoryConfig::read(reader, &at("history"));
        let web = WebConfig::read(reader, &at("web"));
        let notify = NotifyConfig::read(reader, &at("notify"));
        let log = LogConfig::read(reader, &at("log"));
        let log_files = LogFilesConfig::read(reader, &at("log.files"));
        let record = RecordConfig::read(reader, &at("record"));
        let strategy = read_strategies(reader);
        let config = Self {
            run: run?,
            feed: feed?,
            sim: sim?,
            strategies: strategies?,
            sandbox: sandbox?,
            portfolio: portfolio?,
            execution: execution?,
            risk: risk?,
            market: market?,
            engine: engine?,
            history: history?,
            web: web?,
            notify: notify?,
            log: log?,
            log_files: log_files?,
            record: record?,
            strategy: strategy?,
            effective: BTreeMap::new(),
        };
        config.check_together(reader);
        Some(config)
    }

    /// Rules that span several keys.
    fn check_together(&self, reader: &mut Reader) {
        if self.run.default_symbols.is_empty() {
            reader.refuse(&["run", "default_symbols"], "a list with at least one symbol");
        }
        let absolute = |path: &str| std::path::absolute(path).unwrap_or_else(|_| path.into());
        if absolute(&self.strategies.lock).starts_with(absolute(&self.strategies.dir)) {
            // Whoever may drop a module there must not be able to allow it.
            reader.refuse(&["strategies", "lock"], "a path outside of 'strategies.dir'");
        }
        if self.portfolio.assets.contains_key(&self.portfolio.currency) {
            let path = ["portfolio", "assets", &self.portfolio.currency];
            reader.refuse(&path, "absent: cash is set by 'portfolio.capital'");
        }
    }

    /// Each setting by its path, with its canonical value and its origin.
    #[must_use]
    pub fn effective(&self) -> &BTreeMap<Path, Effective> {
        &self.effective
    }

    /// The origin of one setting, by its path such as `run.symbols`.
    #[must_use]
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        let path: Path = path.split('.').map(str::to_owned).collect();
        self.effective.get(&path).map(|setting| &setting.origin)
    }

    /// All settings as a TOML file that gives the same configuration.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut section: Option<&[String]> = None;
        let mut sorted: Vec<_> = self.effective.iter().collect();
        // Keys of one section stay together, which the order of whole paths
        // does not give: `feed.kind` sorts before `feed.sim.levels`.
        sorted.sort_by_key(|(path, _)| (path[..path.len() - 1].to_vec(), path.last().cloned()));
        for (path, setting) in sorted {
            let (name, parents) = (&path[path.len() - 1..], &path[..path.len() - 1]);
            if section != Some(parents) {
                let gap = if section.is_some() { "\n" } else { "" };
                let _ = writeln!(text, "{gap}[{}]", dotted(parents));
                section = Some(parents);
            }
            let _ = writeln!(text, "{} = {}", dotted(name), setting.value);
        }
        text
    }

    /// The settings that decide what a run does, in canonical form: not where it is
    /// shown, logged and kept, how long it goes, or where modules lie.
    #[must_use]
    pub fn decisive(&self) -> Vec<String> {
        let decides = |path: &[String]| match path.first().map(String::as_str) {
            Some("web" | "notify" | "log" | "record" | "strategies") => false,
            Some("run") => !matches!(path[1].as_str(), "duration" | "status_every"),
            _ => true,
        };
        let settings = self.effective.iter().filter(|(path, _)| decides(path));
        settings.map(|(path, setting)| format!("{} = {}", dotted(path), setting.value)).collect()
    }

    /// SHA-256 over all settings in canonical form, as hex. Layers, comments and
    /// notation do not change it.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for (path, setting) in &self.effective {
            hash.update(format!("{} = {}\n", dotted(path), setting.value));
        }
        hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// Reads `[strategy.NAME]` for every name that any layer mentions.
fn read_strategies(reader: &mut Reader) -> Option<BTreeMap<String, StrategyConfig>> {
    let mentioned = reader.rest.keys().filter(|path| path.len() > 2 && path[0] == "strategy");
    let names: BTreeSet<String> = mentioned.map(|path| path[1].clone()).collect();
    let mut strategies = BTreeMap::new();
    let mut complete = true;
    for name in names {
        match StrategyConfig::read(reader, &["strategy".to_owned(), name.clone()]) {
            Some(config) => drop(strategies.insert(name, config)),
            None => complete = false,
        }
    }
    complete.then_some(strategies)
}

impl Reader {
    /// Whatever no section has read is unknown.
    fn unknown_keys(&mut self) {
        for (path, leaf) in std::mem::take(&mut self.rest) {
            let empty_table = matches!(&leaf.raw, value::Raw::Toml(toml::Value::Table(table)) if table.is_empty());
            if empty_table && is_table(&path) {
                continue;
            }
            let key = dotted(&path);
            let nearest = error::nearest(&key, known_paths(&path));
            self.problems.push(Problem::UnknownKey { key, origin: leaf.origin, nearest });
        }
    }
}

/// True for a section, or a table whose entries the user names.
fn is_table(path: &[String]) -> bool {
    let path = path.join(".");
    path.starts_with("strategy.") && path.matches('.').count() == 1
        || path == "strategy"
        || keys().any(|key| {
            key.section == path
                || key.section.starts_with(&format!("{path}."))
                || key.open && key.path() == path
        })
}

/// All key paths; those of a strategy carry the name that `path` has.
fn known_paths(path: &[String]) -> impl Iterator<Item = String> {
    let name = match path {
        [section, name, _, ..] if section == "strategy" => dotted(std::slice::from_ref(name)),
        _ => "NAME".to_owned(),
    };
    keys().map(move |key| key.path().replace("strategy.NAME", &format!("strategy.{name}")))
}
