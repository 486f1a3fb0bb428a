//! The dashboard as one of those who watch a run.

use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::watch;

use crate::cli::Exit;
use crate::config::{Config, dotted};
use crate::dashboard::hub::State;
use crate::dashboard::model::{Parameter, Run, Setting};
use crate::dashboard::{Builder, Desk, Facts, Hub, Server, Settings, StartError, Who};
use crate::engine::{Engine, Output};
use crate::feed::live::Health;
use crate::feed::tape::CONTRACT;
use crate::strategy::LogLevel;

use super::Failure;
use super::console::sentence;
use super::operator::Line;
use super::replay::Identity;
use super::session::Watch;

/// The administrator's key, when it comes from the environment.
const KEY_VARIABLE: &str = "SANDPAPER_API_KEY";

/// Shows a run to browsers.
#[derive(Debug)]
pub struct Dashboard {
    server: Server,
    builder: Builder,
    parameters: Vec<(String, Vec<Parameter>)>,
}

impl Dashboard {
    /// Serves the dashboard of the run of that name, about to begin; `None` when the
    /// configuration leaves it out.
    ///
    /// # Errors
    /// Settings that would let strangers in, or an address that cannot be had.
    pub fn start(config: &Config, run: &str) -> Result<Option<Self>, Failure> {
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
            let in_use = matches!(error, StartError::InUse(_));
            let failure = wrong(format!("the dashboard cannot be served: {error}"));
            if in_use {
                failure.hint("--bind 127.0.0.1:0 takes a free port, --no-dashboard leaves it out")
            } else {
                failure.hint("choose another address with --bind")
            }
        })?;
        let facts = Facts {
            run: run.to_owned(),
            mode: mode.to_owned(),
            seed: config.run.seed.to_string(),
            config_sha256: config.sha256(),
            wit: CONTRACT.to_owned(),
            fuel_limit: config.sandbox.fuel_per_event,
            memory_limit: config.sandbox.memory.0,
        };
        let parameters = config.strategy.iter().map(|(name, strategy)| {
            let one = |(name, value): (&String, &crate::strategy::Value)| Parameter {
                name: name.clone(),
                value: text(value),
            };
            (name.clone(), strategy.params.iter().map(one).collect())
        });
        let parameters = parameters.collect();
        let desk = Desk::open(hub)?;
        Ok(Some(Self { server, builder: Builder::new(desk, facts), parameters }))
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

impl Watch for Dashboard {
    fn started(&mut self, engine: &Engine, identities: &[Identity]) -> Result<(), Failure> {
        let who = identities.iter().map(|identity| Who {
            name: identity.name.clone(),
            sha256: identity.sha256.clone(),
            unsigned: identity.unsigned,
            parameters: self
                .parameters
                .iter()
                .find(|(name, _)| *name == identity.name)
                .map(|(_, parameters)| parameters.clone())
                .unwrap_or_default(),
        });
        self.builder.start(engine, who.collect());
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
