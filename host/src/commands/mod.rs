//! One file a verb. Each turns its flags and the configuration into calls, and
//! what they give into output and an exit code.

mod check;
mod config;
mod doctor;
mod export;
mod import;
mod inspect;
mod list;
mod record;
mod replay;
mod run;
mod runs;
mod scaffold;
mod trust;
mod verify;

use std::io::Read as _;

use clap::CommandFactory as _;

use crate::app::{Failure, trial};
use crate::cli::{Cli, ConfigVerb, Exit, FeedArgs, Verb};
use crate::config::{Config, FeedKind};
use crate::output::{Lines, Output};
use crate::venue::VENUES;

/// The most that a child of this program is told: a configuration and a hash.
const REQUEST_BYTES_MAX: u64 = 16 << 20;

/// What every verb is given.
pub struct Context {
    /// where output goes
    pub output: Output,
    /// the configuration that holds
    pub config: Config,
}

/// Carries a command line out.
///
/// # Errors
/// What failed, with its exit code.
pub fn dispatch(cli: Cli, output: Output) -> Result<Exit, Failure> {
    let sources = cli.sources();
    match &cli.verb {
        Verb::Completions { shell } => return completions(*shell, &output),
        Verb::CompileChild { request } => {
            return crate::sandbox::compile_child(request).map(|()| Exit::Done).map_err(Into::into);
        }
        Verb::TryAgain => {
            let mut request = Vec::new();
            std::io::stdin().lock().take(REQUEST_BYTES_MAX).read_to_end(&mut request)?;
            return trial::try_again(&request).map(|()| Exit::Done);
        }
        Verb::Config(ConfigVerb::Schema) => return config::schema(&output),
        Verb::New(args) => return scaffold::new(args, &output),
        _ => {}
    }
    let config = Config::load(&sources)?;
    logging(&config, &output);
    let context = Context { output, config };
    match cli.verb {
        Verb::Run(args) => run::run(&context, &args),
        Verb::Replay(args) => replay::replay(&context, &args),
        Verb::Record(args) => record::record(&context, &args),
        Verb::Import(args) => import::import(&context, &args),
        Verb::Check(args) => check::check(&context, &args),
        Verb::Inspect(args) => inspect::inspect(&context, &args),
        Verb::Allow(args) => trust::allow(&context, &args),
        Verb::Deny(args) => trust::deny(&context, &args),
        Verb::Verify(args) => verify::verify(&context, &args),
        Verb::Runs => runs::runs(&context),
        Verb::Export(args) => export::export(&context, &args),
        Verb::List(args) => list::list(&context, &args),
        Verb::Config(ConfigVerb::Show(args)) | Verb::ShowConfig(args) => {
            config::show(&context, &args)
        }
        Verb::Config(ConfigVerb::Validate) => config::validate(&context),
        Verb::Doctor => doctor::doctor(&context),
        Verb::Build(args) => scaffold::build(&context, &args),
        Verb::Completions { .. }
        | Verb::CompileChild { .. }
        | Verb::TryAgain
        | Verb::Config(ConfigVerb::Schema)
        | Verb::New(_) => Ok(Exit::Done),
    }
}

/// An address belongs to a venue: who gives one and runs on a simulated market has
/// forgotten something.
fn has_venue(config: &Config, args: &FeedArgs) -> Result<(), Failure> {
    if args.url.is_none() || config.feed.kind != FeedKind::Sim {
        return Ok(());
    }
    let names: Vec<&str> = VENUES.iter().map(|venue| venue.name()).collect();
    Err(Failure::new(Exit::Usage, "--url is the address of a venue, and this market is simulated")
        .hint(format!("name the venue too: --feed {}", names.join(" or --feed "))))
}

fn completions(shell: clap_complete::Shell, output: &Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sandpaper", &mut script);
    output.print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Sends log lines to standard error, as configured.
fn logging(config: &Config, output: &Output) {
    use crate::config::{LogFormat, LogLevel};
    use tracing_subscriber::filter::LevelFilter;
    let level = match config.log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Other crates' lines would drown ours; theirs are shown from warnings up.
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .parse_lossy(format!("warn,sandpaper={level}"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Lines(std::io::stderr()))
        .with_ansi(output.stderr_color)
        .with_target(false)
        // It would tell of a reader that has gone to that reader, and panic.
        .log_internal_errors(false);
    // A second call in one process keeps the first subscriber; that is fine.
    let _ = match config.log.format {
        LogFormat::Text => builder.compact().try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
