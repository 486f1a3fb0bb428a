//! The command line: verbs, flags, help and exit codes. What a verb does stands
//! in `commands`; here is only what it takes.
//!
//! A flag that says what the run means sets a key of the configuration, so that
//! it shows in `config show --origin` and is checked like the key itself. Flags
//! that say how it is run stay here.

mod exit;
mod proof;
mod target;
mod trust;

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use exit::Exit;
pub use proof::{ExportArgs, ExportFormat, ExportWhat, VerifyArgs};
pub use target::{ModuleRef, RefError};
pub use trust::{AllowArgs, DenyArgs, WasiGrant};

use crate::config::{Override, Sources};

/// What follows the long help of the program.
const EXIT_HELP: &str = "\
Exit codes:
  0    done
  1    failed while running
  2    wrong usage
  3    wrong configuration
  4    module not allowed, or not the one that was allowed
  5    module incompatible or hostile
  6    market data cannot be had
  7    findings of a check
  8    data damaged
  130  ended at once by a second Ctrl-C";

/// Paper trading for strategies that nobody has to trust
///
/// A strategy is a .wasm module. It can compute and ask, and can reach nothing
/// else. Allow its hash, run it on a live, recorded or simulated market, and see what
/// it did.
#[derive(Debug, Parser)]
#[command(name = "sandpaper", version, max_term_width = 100, after_long_help = EXIT_HELP)]
pub struct Cli {
    /// What holds for every verb
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags that every verb takes.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// Read this configuration file over ./config.toml
    ///
    /// May be given several times; the later file wins. It must exist.
    #[arg(short, long, value_name = "FILE", global = true, help_heading = "Global options")]
    pub config: Vec<PathBuf>,
    /// Set one key of the configuration
    ///
    /// May be given several times and beats files and environment, for example
    /// --set execution.fee_rate=0.002.
    #[arg(long, value_name = "SECTION.KEY=VALUE", global = true, help_heading = "Global options")]
    pub set: Vec<String>,
    /// Print JSON on standard output
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Say more on standard error; twice for everything
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "Global options")]
    pub verbose: u8,
    /// Say only what failed, and show no progress
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Say what is at least this important
    #[arg(long, value_name = "LEVEL", global = true, conflicts_with_all = ["verbose", "quiet"], help_heading = "Global options")]
    pub log_level: Option<String>,
    /// When to use color
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        global = true,
        help_heading = "Global options"
    )]
    pub color: ColorChoice,
}

/// When to use color.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// on a terminal, unless NO_COLOR or TERM=dumb says otherwise
    #[default]
    Auto,
    /// always
    Always,
    /// never
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the allowed strategies on a market as it goes
    #[command(alias = "trade")]
    Run(RunArgs),
    /// Run strategies on recorded data, as fast as it goes
    ///
    /// The same tape, settings and modules give the same fills and the same
    /// chain on every run.
    #[command(aliases = ["backtest", "backtesting"])]
    Replay(ReplayArgs),
    /// Make a tape of recorded market data
    Import(ImportArgs),
    /// Make a tape of a market as it goes, without running anything on it
    Record(RecordArgs),
    /// Check that a module would be taken, and say what is wrong with it
    Check(CheckArgs),
    /// Show what a module is: hash, world, imports, exports, parameters
    Inspect(InspectArgs),
    /// Allow modules to run, by their hash
    Allow(AllowArgs),
    /// Deny a module for ever
    ///
    /// Its hash cannot be allowed again, not even with --unsigned. To run another
    /// build under the same name, allow that one.
    Deny(DenyArgs),
    /// Check the record of a run, and replay it with one event a call
    ///
    /// Names the first record that differs. The modules are found by their hash:
    /// among the allowed ones, or the files given with --wasm.
    Verify(VerifyArgs),
    /// List the runs whose records are kept, the newest first
    ///
    /// Each with what became of it: running, cut short, ended, recovered (it went on behind
    /// a crash and ended in order), or quarantined (a fault ended every strategy). Returns
    /// are those last written beside the record; `verify` proves them.
    Runs,
    /// Write what a run did: its ledger, fills, trades, orders or equity
    ///
    /// The record is replayed, and what comes of it is written as it comes.
    /// `sandpaper export ledger RUN | hledger -f - check -s` has another program
    /// check the books.
    Export(ExportArgs),
    /// List the modules in the folder and in the lock file
    #[command(alias = "list-strategies")]
    List(ListArgs),
    /// Show or check the configuration
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Show the configuration
    #[command(hide = true)]
    ShowConfig(ConfigShowArgs),
    /// Check that this machine and folder are ready
    Doctor,
    /// Start a strategy of your own
    #[command(alias = "new-strategy")]
    New(NewArgs),
    /// Compile a strategy to a module
    Build(BuildArgs),
    /// Compile what comes on standard input, within limits
    #[command(hide = true, name = "compile-child")]
    CompileChild {
        /// what to compile it with, as JSON
        request: String,
    },
    /// Try again what a module did when the program ended, as standard input says
    #[command(hide = true, name = "try-again")]
    TryAgain,
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// Which strategies run, and with what.
#[derive(Clone, Debug, Default, Args)]
pub struct StrategyArgs {
    /// Run only these strategies, by their name in the lock file
    #[arg(short, long, value_name = "NAME", value_delimiter = ',', aliases = ["strategy"], value_parser = NonEmptyStringValueParser::new())]
    pub strategies: Vec<String>,
    /// Look for modules in this folder
    #[arg(long, value_name = "DIR")]
    pub strategies_dir: Option<String>,
    /// Run this module file beside the named ones; may be given several times
    #[arg(long, value_name = "FILE")]
    pub wasm: Vec<PathBuf>,
    /// Run modules that are not allowed, and mark every result UNSIGNED
    #[arg(long)]
    pub unsigned: bool,
    /// Trade these symbols, with commas between them
    #[arg(long, value_name = "SYMBOL", value_delimiter = ',', aliases = ["symbol", "pair", "pairs"], value_parser = NonEmptyStringValueParser::new())]
    pub symbols: Vec<String>,
    /// Start each strategy with this much cash
    #[arg(long, value_name = "AMOUNT", aliases = ["cash", "starting-balance", "dry-run-wallet"])]
    pub capital: Option<String>,
    /// Start everything random from this number
    #[arg(long, value_name = "N")]
    pub seed: Option<String>,
    /// Call strategies with one event at a time, so that none can read ahead
    ///
    /// `replay` then replays in batches as well, and ends with 7 when a strategy decides
    /// otherwise there.
    #[arg(long)]
    pub strict: bool,
}

/// What `run` takes.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Which strategies, and with what
    #[command(flatten)]
    pub strategies: StrategyArgs,
    /// Stop after this long, such as 90s or 1h30m
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Call a strategy at most once in this many milliseconds of market time
    #[arg(long, value_name = "MS")]
    pub interval: Option<String>,
    /// Use the simulated market
    #[arg(long, conflicts_with = "feed")]
    pub simulated: bool,
    /// Where prices come from
    #[command(flatten)]
    pub feed: FeedArgs,
    /// Write everything that the engine sees to this tape
    #[arg(long, value_name = "TAPE")]
    pub record: Option<PathBuf>,
    /// Replace a tape that is there already
    #[arg(long, requires = "record")]
    pub force: bool,
    /// Begin a new run, also where the last one was cut short
    #[arg(long)]
    pub fresh: bool,
    /// Go on with a run that was cut short by taking all its inputs again
    ///
    /// Else the inputs behind one of its snapshots are taken, where there are any. Both
    /// come to the same.
    #[arg(long, conflicts_with = "fresh")]
    pub no_snapshot: bool,
    /// Keep no record, so that the run cannot be verified
    #[arg(long)]
    pub no_record: bool,
    /// Accepted for those who are used to it: trading here is always on paper
    #[arg(long, hide = true)]
    pub dry_run: bool,
    /// Serve no dashboard
    #[arg(long)]
    pub no_dashboard: bool,
    /// Serve the dashboard at this address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "no_dashboard")]
    pub bind: Option<String>,
    /// Open the dashboard in a browser
    #[arg(long, conflicts_with = "no_dashboard")]
    pub open: bool,
}

/// Where prices come from.
#[derive(Clone, Debug, Default, Args)]
pub struct FeedArgs {
    /// Use this market: sim, or a venue such as kraken
    #[arg(long, value_name = "KIND")]
    pub feed: Option<String>,
    /// Find the venue at this address, such as ws://127.0.0.1:9000
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

/// What `record` takes.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Write the tape here
    #[arg(short, long, value_name = "TAPE")]
    pub out: PathBuf,
    /// Replace a tape that is there already
    #[arg(long)]
    pub force: bool,
    /// Where prices come from
    #[command(flatten)]
    pub feed: FeedArgs,
    /// Record these symbols, with commas between them
    #[arg(long, value_name = "SYMBOL", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub symbols: Vec<String>,
    /// Stop after this long, such as 90s or 1h30m
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
}

/// What `replay` takes.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Tapes to replay, one after the other
    #[arg(required = true, value_name = "TAPE")]
    pub tapes: Vec<PathBuf>,
    /// Which strategies, and with what
    #[command(flatten)]
    pub strategies: StrategyArgs,
}

/// What kind of recording `import` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// raw frames of Binance's spot streams, one a line, plain or gzip
    Binance,
    /// trades with the columns ts_ns,symbol,price,qty,side
    Csv,
    /// raw frames of Kraken's public channels (API v2), one a line, plain or gzip
    Kraken,
}

/// What `import` takes.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write the tape here
    #[arg(short, long, value_name = "TAPE")]
    pub out: PathBuf,
    /// What the recording is; found out from its content when left out
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<ImportFormat>,
    /// Keep this many levels of each book snapshot; all when left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub depth: Option<u32>,
}

/// What `list` takes.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Show every second what the strategies of the run beside use
    #[arg(long)]
    pub watch: bool,
}

/// What `check` takes.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Module files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// What `inspect` takes.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The module file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// What `config` can do.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print every setting that holds, as TOML
    Show(ConfigShowArgs),
    /// Check all layers and say nothing when they are well
    Validate,
    /// Print a JSON schema of the configuration
    Schema,
}

/// What `config show` takes.
#[derive(Debug, Args)]
pub struct ConfigShowArgs {
    /// Say where each value comes from
    #[arg(long)]
    pub origin: bool,
}

/// What `new` takes.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// Name of the strategy, in lower case with dashes
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Make it here; ./NAME when left out
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// What `build` takes.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Folder of the strategy's Cargo.toml
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
    /// Copy the module to the strategies folder
    #[arg(long)]
    pub install: bool,
}

/// Collects what flags set in the configuration.
#[derive(Default)]
struct Overrides(Vec<Override>);

impl Overrides {
    fn value(&mut self, flag: &str, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.0.push(Override {
                key: key.into(),
                value: value.into(),
                flag: format!("{flag} {value}"),
            });
        }
    }

    fn list(&mut self, flag: &str, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.value(flag, key, Some(&values.join(",")));
        }
    }

    fn switch(&mut self, flag: &str, key: &str, value: &str, on: bool) {
        if on {
            self.0.push(Override { key: key.into(), value: value.into(), flag: flag.into() });
        }
    }

    fn feed(&mut self, args: &FeedArgs) {
        self.value("--feed", "feed.kind", args.feed.as_deref());
        self.value("--url", "feed.url", args.url.as_deref());
    }

    fn strategies(&mut self, args: &StrategyArgs) {
        self.list("--strategies", "strategies.only", &args.strategies);
        self.value("--strategies-dir", "strategies.dir", args.strategies_dir.as_deref());
        self.list("--symbols", "run.symbols", &args.symbols);
        self.value("--capital", "portfolio.capital", args.capital.as_deref());
        self.value("--seed", "run.seed", args.seed.as_deref());
        self.switch("--strict", "engine.strict", "true", args.strict);
    }
}

impl Cli {
    /// The layers of the configuration: `./config.toml`, the environment of this
    /// process, and what the flags say.
    #[must_use]
    pub fn sources(&self) -> Sources {
        Sources {
            files: self.global.config.clone(),
            set: self.global.set.clone(),
            flags: self.overrides(),
            ..Sources::of_process()
        }
    }

    /// What the flags set in the configuration, beside `--set`.
    #[must_use]
    pub fn overrides(&self) -> Vec<Override> {
        let mut overrides = Overrides::default();
        let global = &self.global;
        overrides.value("--log-level", "log.level", global.log_level.as_deref());
        overrides.switch("--quiet", "log.level", "error", global.quiet);
        overrides.switch("--verbose", "log.level", "debug", global.verbose == 1);
        overrides.switch("--verbose", "log.level", "trace", global.verbose > 1);
        match &self.verb {
            Verb::Run(args) => {
                overrides.strategies(&args.strategies);
                overrides.value("--duration", "run.duration", args.duration.as_deref());
                overrides.value("--interval", "run.interval_ms", args.interval.as_deref());
                overrides.switch("--no-record", "record.enabled", "false", args.no_record);
                overrides.switch("--no-dashboard", "web.enabled", "false", args.no_dashboard);
                overrides.value("--bind", "web.bind", args.bind.as_deref());
                overrides.switch("--simulated", "feed.kind", "sim", args.simulated);
                overrides.feed(&args.feed);
            }
            Verb::Record(args) => {
                overrides.feed(&args.feed);
                overrides.list("--symbols", "run.symbols", &args.symbols);
                overrides.value("--duration", "run.duration", args.duration.as_deref());
            }
            Verb::Replay(args) => overrides.strategies(&args.strategies),
            _ => {}
        }
        overrides.0
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::config::Config;

    fn parse(line: &str) -> Cli {
        Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// The configuration of a command line, over the built-in settings alone.
    fn config(line: &str) -> Config {
        let cli = parse(line);
        let flags = cli.overrides();
        let sources = Sources { set: cli.global.set.clone(), flags, ..Sources::default() };
        Config::load(&sources).unwrap()
    }

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_of_run_reach_the_configuration() {
        let config = config(
            "sandpaper run --duration 90s --interval 250 --symbols BTC/USD,ETH/USD --strategies a,b \
             --strategies-dir modules --capital 12.5 --simulated --seed 9 --strict -v",
        );
        assert_eq!(config.run.duration.as_secs(), 90);
        assert_eq!(config.run.interval_ms, 250);
        assert_eq!(config.run.symbols, ["BTC/USD", "ETH/USD"]);
        assert_eq!(config.run.seed, 9);
        assert_eq!(config.strategies.only, ["a", "b"]);
        assert_eq!(config.strategies.dir, "modules");
        assert_eq!(config.portfolio.capital.to_string(), "12.50000000");
        assert!(config.engine.strict);
        assert_eq!(config.log.level.name(), "debug");
    }

    #[test]
    fn high_003_a_flag_beats_set_and_names_itself_when_it_is_wrong() {
        assert_eq!(config("sandpaper run --set run.seed=2 --seed 3").run.seed, 3);
        let flags = parse("sandpaper run --duration soon").overrides();
        let error = Config::load(&Sources { flags, ..Sources::default() }).unwrap_err();
        assert!(error.to_string().starts_with("--duration soon: 'run.duration' is"), "{error}");
    }

    #[test]
    fn med_003_capital_of_the_command_line_must_be_positive() {
        for verb in ["run", "replay x.tape"] {
            let flags = parse(&format!("sandpaper {verb} --capital 0")).overrides();
            let error = Config::load(&Sources { flags, ..Sources::default() }).unwrap_err();
            assert!(error.to_string().contains("above 0"), "{error}");
        }
    }

    #[test]
    fn names_that_others_use_are_taken() {
        for line in [
            "sandpaper trade --dry-run --starting-balance 5 --no-dashboard",
            "sandpaper backtesting x.tape --strategy a --pairs BTC/USD --cash 5",
            "sandpaper list-strategies --json",
            "sandpaper show-config --origin",
            "sandpaper new-strategy mine",
            "sandpaper replay a.tape b.tape --wasm x.wasm --wasm y.wasm --unsigned --json -c z.toml",
        ] {
            parse(line);
        }
    }

    #[test]
    fn add_21_the_long_help_names_every_exit_code() {
        let help = Cli::command().render_long_help().to_string();
        for exit in Exit::ALL {
            let line = format!("  {:<5}", exit as u8);
            assert!(help.contains(&line), "no line for {exit:?}");
        }
    }
}
