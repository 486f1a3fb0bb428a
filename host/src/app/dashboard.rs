//! The dashboard as one of those who watch a run.

use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::watch;

use crate::cli::Exit;
use crate::config::{Config, OnHalt, dotted};
use crate::dashboard::hub::State;
use crate::dashboard::model::{Grant, Parameter, Run, Setting};
use crate::dashboard::{Builder, Desk, Facts, Hub, Server, Settings, StartError, Who};
use crate::engine::{Engine, Output};
use crate::feed::live::Health;
use crate::feed::tape::CONTRACT;
use crate::journal::SwapRecord;
use crate::lockfile::Wasi;
use crate::output::printable;
use crate::strategy::LogLevel;

use super::Failure;
use super::console::sentence;
use super::given::given;
use super::operator::Line;
use super::replay::Identity;
use super::session::Watch;
use super::strategies::Loaded;

/// The administrator's key, when it comes from the environment.
const KEY_VARIABLE: &str = "SANDPAPER_API_KEY";

/// Shows a run to browsers.
#[derive(Debug)]
pub struct Dashboard {
    server: Server,
    builder: Builder,
    config: Config,
    modules: Vec<Who>,
}

impl Dashboard {
    /// Serves the dashboard of the run of that name, about to begin, or to go on for the
    /// nth time; `None` when the configuration leaves it out.
    ///
    /// # Errors
    /// Settings that would let strangers in, or an address that cannot be had.
    pub fn start(config: &Config, run: &str, continued: u64) -> Result<Option<Self>, Failure> {
        if !config.web.enabled {
            return Ok(None);
        }
        let mode = super::result::mode(config);
        let wrong = |message: String| Failure::new(Exit::Config, message);
        let key = std::env::var(KEY_VARIABLE).ok().map(SecretString::from);
        let mut settings =
            Settings::of(&config.web, key).map_err(|error| wrong(error.to_string()))?;
        settings.shown = Arc::new(shown(config));
        settings.runs = config.record.enabled.then(|| config.record.dir.clone().into());
        let hub = Arc::new(Hub::default());
        hub.publish(starting(run, mode));
        let server = Server::start(Arc::clone(&hub), settings).map_err(|error| {
            let hint = match error {
                StartError::InUse(_) => {
                    "--bind 127.0.0.1:0 takes a free port, --no-dashboard leaves it out"
                }
                StartError::Listen(..) => "choose another address with --bind",
                StartError::Audit(_) => "choose another file with --set web.audit_file=FILE",
            };
            wrong(format!("the dashboard cannot be served: {error}")).hint(hint)
        })?;
        let facts = Facts {
            run: run.to_owned(),
            continued,
            mode: mode.to_owned(),
            seed: config.run.seed.to_string(),
            config_sha256: config.sha256(),
            halt_flattens: config.risk.on_halt == OnHalt::Flatten,
            wit: CONTRACT.to_owned(),
        };
        let builder = Builder::new(Desk::open(hub)?, facts);
        Ok(Some(Self { server, builder, config: config.clone(), modules: Vec::new() }))
    }

    /// Lets administrators command the run through `line`.
    pub fn operated_by(&self, line: Line) {
        self.server.app().operated_by(Arc::new(line));
    }

    /// The address that logs a browser in, once.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn login_url(&self) -> Result<String, Failure> {
        Ok(self.server.app().login_url()?)
    }
}

/// What is shown until the engine has begun.
fn starting(run: &str, mode: &str) -> State {
    let run = Run {
        run: run.to_owned(),
        mode: mode.to_owned(),
        paper: true,
        state: "starting".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..Run::default()
    };
    State { run, ..State::default() }
}

fn text(value: &crate::strategy::Value) -> String {
    use crate::strategy::Value;
    match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Integer(integer) => integer.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    }
}

/// All settings as the settings page shows them. Keys of the dashboard are in
/// files, so none of these is secret.
fn shown(config: &Config) -> Vec<Setting> {
    let setting = |(path, effective): (&crate::config::Path, &crate::config::Effective)| Setting {
        key: dotted(path),
        value: effective.value.to_string(),
        origin: effective.origin.to_string(),
    };
    config.effective().iter().map(setting).collect()
}

fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

/// What is shown of who a module is.
fn who(config: &Config, module: &Loaded) -> Who {
    let own = module.approved.limits();
    let given = given(config, &own);
    let configured = config.strategy.get(&module.name).map(|strategy| &strategy.params);
    let parameter = |(name, value): (&String, &crate::strategy::Value)| Parameter {
        name: name.clone(),
        value: text(value),
    };
    Who {
        name: module.name.clone(),
        sha256: module.sha256.clone(),
        unsigned: module.unsigned,
        parameters: configured.into_iter().flatten().map(parameter).collect(),
        fuel_limit: given.limits.fuel.event,
        memory_limit: given.limits.memory_bytes,
        imports: module.imports.iter().map(|name| printable(name, 200)).collect(),
        size: module.approved.candidate().bytes().len() as u64,
        compile_ms: module.compile_ms,
        grant: module.approved.entry().filter(|_| !module.unsigned).map(|entry| Grant {
            allowed_at: entry.allowed_at.to_string(),
            expires: entry.expires.map(|at| at.to_string()),
            note: printable(&entry.note, 500),
            file: printable(&entry.file_hint, 500),
            world: printable(&entry.world, 100),
            wasi: module.approved.wasi() == Wasi::Deterministic,
            limits: (!own.is_empty()).then(|| serde_json::to_string(&own).unwrap_or_default()),
        }),
    }
}

impl Watch for Dashboard {
    fn modules(&mut self, modules: &[Loaded]) -> Result<(), Failure> {
        self.modules = modules.iter().map(|module| who(&self.config, module)).collect();
        Ok(())
    }

    fn started(&mut self, engine: &Engine, identities: &[Identity]) -> Result<(), Failure> {
        let known = |identity: &Identity| {
            let found = self.modules.iter().find(|module| module.name == identity.name);
            found.cloned().unwrap_or_else(|| Who {
                name: identity.name.clone(),
                sha256: identity.sha256.clone(),
                unsigned: identity.unsigned,
                ..Who::default()
            })
        };
        let who = identities.iter().map(known).collect();
        self.builder.start(engine, who);
        Ok(())
    }

    fn swap(&mut self, _swap: &SwapRecord, module: &Loaded) -> Result<(), Failure> {
        self.builder.build(who(&self.config, module));
        Ok(())
    }

    fn feed(&mut self, health: watch::Receiver<Health>) -> Result<(), Failure> {
        self.builder.follow(health);
        Ok(())
    }

    fn stepped(&mut self, engine: &Engine, news: &[Output]) -> Result<(), Failure> {
        for one in news {
            let (level, text) = sentence(engine.lane(one.lane).instruments, &one.body);
            self.builder.news(engine, one, level_name(level), &text);
        }
        self.builder.tick(engine);
        Ok(())
    }

    fn finished(&mut self, engine: &Engine) -> Result<(), Failure> {
        self.builder.finish(engine);
        self.server.stop();
        Ok(())
    }
}

/// Opens a browser, if this machine has one; what it says goes nowhere.
pub fn open_browser(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = std::process::Command::new(program);
    command.arg(url).env_remove(KEY_VARIABLE);
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    if let Err(error) = command.spawn() {
        tracing::warn!("no browser was opened: {program}: {error}");
    }
}
