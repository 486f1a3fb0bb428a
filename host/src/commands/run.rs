//! `sandpaper run`.

use serde::Serialize;

use crate::app::accounting::UsageFile;
use crate::app::capture::Recorder;
use crate::app::console::{Console, report_table};
use crate::app::cut_run::CutRun;
use crate::app::dashboard::{Dashboard, open_browser};
use crate::app::live;
use crate::app::logs::RunLogs;
use crate::app::notify::Notifier;
use crate::app::operator;
use crate::app::record::RunRecord;
use crate::app::result::RunResults;
use crate::app::session::Watch;
use crate::app::strategies::{Refused, Selection};
use crate::app::venue::address;
use crate::app::{Failure, Interrupt};
use crate::cli::{Exit, RunArgs};
use crate::config::{FeedKind, LogFormat};
use crate::output;

use super::Context;
use super::replay::StrategyResult;

#[derive(Serialize)]
struct RunResult {
    events: u64,
    market_s: f64,
    config_sha256: String,
    strategies: Vec<StrategyResult>,
    /// modules that a filter would have taken and that did not run
    refused: Vec<Refused>,
}

pub(super) fn run(context: &Context, args: &RunArgs) -> Result<Exit, Failure> {
    let config = &context.config;
    if args.dry_run {
        tracing::info!("--dry-run changes nothing: trading here is always on paper");
    }
    super::has_venue(config, &args.feed)?;
    let selection =
        Selection { files: args.strategies.wasm.clone(), unsigned: args.strategies.unsigned };
    if selection.unsigned {
        tracing::warn!("the lock file is bypassed: every result says UNSIGNED");
    }
    let settings = &config.sha256()[..12];
    let simulated = config.feed.kind == FeedKind::Sim;
    match config.feed.kind {
        FeedKind::Sim => {
            tracing::info!("simulated market, seed {}, settings {settings}", config.run.seed);
        }
        FeedKind::Live(venue) => {
            tracing::info!("live market of {}, settings {settings}", address(venue, config));
        }
    }
    let recorder = args.record.as_deref().map(|path| Recorder::new(config, path, args.force));
    let mut recorder = recorder.transpose()?;
    let interrupt = Interrupt::listen()?;
    let mut console = Console::new(config.run.status_every, config.log.format == LogFormat::Json);
    let mut run = session_id()?;
    let (mut record, mut cut) = (None, None);
    if config.record.enabled {
        let (opened, goes_on) = RunRecord::open(config, &selection, &run, args.fresh)?;
        opened.run().clone_into(&mut run);
        let whole = |cut: CutRun| if args.no_snapshot { cut.whole() } else { cut };
        (record, cut) = (Some(opened), goes_on.map(whole));
    }
    let continued = cut.as_ref().map_or(0, |cut| cut.restarts + 1);
    // Each process counts its log records anew.
    let session = if continued > 0 { format!("{run}+{continued}") } else { run.clone() };
    let mut usage = config.record.enabled.then(|| UsageFile::new(config, &run));
    let mut results = record.as_ref().map(|record| {
        RunResults::new(config, record.path().to_owned(), &run)
            .going_on(cut.as_ref().map(|cut| (cut.manifest.start, continued)))
    });
    let mut logs = match config.log_files.enabled {
        true => Some(RunLogs::open(&config.log_files, &session)?),
        false => None,
    };
    let mut dashboard = Dashboard::start(config, &run, continued)?;
    let (line, requests) = operator::line();
    if let Some(dashboard) = &dashboard {
        dashboard.operated_by(line);
        let url = dashboard.login_url()?;
        context.output.note(&format!("dashboard: {url}"));
        if args.open {
            open_browser(&url);
        }
    }
    let mut notifier = Notifier::open(config, &run)?;
    let mut watchers: Vec<&mut dyn Watch> = Vec::new();
    if let Some(record) = &mut record {
        watchers.push(record);
    }
    if let Some(recorder) = &mut recorder {
        watchers.push(recorder);
    }
    if let Some(results) = &mut results {
        watchers.push(results);
    }
    if let Some(logs) = &mut logs {
        watchers.push(logs);
    }
    if let Some(usage) = &mut usage {
        watchers.push(usage);
    }
    watchers.push(&mut console);
    if let Some(notifier) = &mut notifier {
        watchers.push(notifier);
    }
    if let Some(dashboard) = &mut dashboard {
        watchers.push(dashboard);
    }
    let ran = live::run(config, &selection, &interrupt, watchers, requests, cut)?;
    if context.output.json {
        let strategies =
            ran.identities.iter().zip(&ran.reports).map(|(i, r)| StrategyResult::of(i, r));
        let result = RunResult {
            events: ran.events,
            market_s: ran.span.as_secs_f64(),
            config_sha256: config.sha256(),
            strategies: strategies.collect(),
            refused: ran.refused,
        };
        context.output.print_json("sandpaper.run/1", &result)?;
    } else {
        if !context.output.quiet {
            let market = if simulated { "simulated" } else { "live" };
            let again = if simulated {
                format!("; the same again: {}", command_line())
            } else {
                String::new()
            };
            context.output.note(&format!(
                "\n{} of {market} market, {}{again}",
                output::duration(ran.span),
                output::plural(ran.events, "event"),
            ));
        }
        context.output.print_table(&report_table(&ran.identities, &ran.reports))?;
    }
    Ok(Exit::Done)
}

/// A name for this run that no other has: when it began, and a random part.
fn session_id() -> Result<String, Failure> {
    let mut random = [0; 4];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::new(Exit::Runtime, format!("no random numbers: {error}")))?;
    let now = jiff::Timestamp::now();
    // Names are in the order of their runs, also of those of one second: the newest is
    // the one to go on with.
    let millis = now.subsec_millisecond();
    let random = u32::from_le_bytes(random) >> 12;
    Ok(format!("{}-{millis:03x}{random:05x}", now.strftime("%Y%m%dT%H%M%SZ")))
}

/// The command line as a shell would take it.
fn command_line() -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    let quoted = |argument: String| {
        if !argument.is_empty() && argument.chars().all(plain) {
            argument
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    };
    let arguments = std::env::args_os().skip(1).map(|a| quoted(a.to_string_lossy().into_owned()));
    std::iter::once("sandpaper".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}
