//! Writing down what the engine sees, as a tape.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::Exit;
use crate::config::{Config, FeedKind};
use crate::domain::{InstrumentTable, Ts};
use crate::engine::{Engine, Output};
use crate::feed::tape::{TapeHeader, TapeSummary, TapeWriter};
use crate::input::InputBlock;
use crate::output;

use super::live::SimulatedSource;
use super::replay::Identity;
use super::session::{Flow, Source, Watch};
use super::venue::{Plan, VenueSource};
use super::{Failure, Interrupt};

/// Writes every input of a run to a tape. The tape has its name when the run has
/// ended in order; a run that fails leaves none.
pub struct Recorder {
    path: PathBuf,
    venue: &'static str,
    writer: Option<TapeWriter>,
    summary: Option<TapeSummary>,
    /// when it was last said how far it is
    told: Option<Ts>,
}

impl Recorder {
    /// A recorder of a run with this configuration.
    ///
    /// # Errors
    /// A tape that is there already and is not to be replaced, or no folder for one:
    /// a market cannot be recorded a second time.
    pub fn new(config: &Config, path: &Path, replaces: bool) -> Result<Self, Failure> {
        let wrong = |what: String| Failure::new(Exit::Usage, what);
        if path.is_dir() {
            return Err(wrong(format!("{} is a folder", path.display())));
        }
        if path.exists() && !replaces {
            return Err(wrong(format!("{} is there already", path.display()))
                .hint("choose another name, or replace it with --force"));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(wrong(format!("there is no folder {}", folder.display())));
        }
        let venue = config.feed.kind.name();
        Ok(Self { path: path.to_owned(), venue, writer: None, summary: None, told: None })
    }

    fn begin(&mut self, instruments: &InstrumentTable) -> Result<(), Failure> {
        let listed = instruments.iter().map(|(_, i)| i.clone()).collect();
        self.writer = Some(TapeWriter::create(&self.path, &TapeHeader::new(self.venue, listed))?);
        Ok(())
    }

    fn take(&mut self, block: &InputBlock) -> Result<(), Failure> {
        if let Some(writer) = &mut self.writer {
            writer.append(block)?;
        }
        Ok(())
    }

    /// Says how far it is, once in so much market time.
    fn progress(&mut self, now: Ts, every: Duration) {
        let Some(writer) = &self.writer else { return };
        let told = *self.told.get_or_insert(now);
        if now.since(told) < i64::try_from(every.as_nanos()).unwrap_or(i64::MAX) {
            return;
        }
        self.told = Some(now);
        let totals = writer.totals();
        let [trades, books, all] = [
            output::plural(totals.trades, "trade"),
            output::plural(totals.books, "book change"),
            output::plural(totals.events, "event"),
        ];
        tracing::info!("recorded so far: {trades}, {books}, {all} in all");
    }

    fn end(&mut self) -> Result<(), Failure> {
        if let Some(writer) = self.writer.take() {
            let summary = writer.finish()?;
            let (path, totals) = (summary.path.display(), &summary.totals);
            tracing::info!("recorded {} events to {path}", totals.events);
            self.summary = Some(summary);
        }
        Ok(())
    }
}

impl Watch for Recorder {
    fn started(&mut self, engine: &Engine, _identities: &[Identity]) -> Result<(), Failure> {
        self.begin(engine.instruments())
    }

    fn inputs(&mut self, block: &InputBlock) -> Result<(), Failure> {
        self.take(block)
    }

    fn stepped(&mut self, _engine: &Engine, _news: &[Output]) -> Result<(), Failure> {
        Ok(())
    }

    fn finished(&mut self, _engine: &Engine) -> Result<(), Failure> {
        self.end()
    }
}

/// Records the configured feed without running anything on it, until its
/// duration has passed or the user ends it: the run's symbols, or the default
/// ones, with history of the configured candle intervals.
///
/// # Errors
/// Symbols that the market does not have, or a tape that cannot be written.
pub fn record(
    config: &Config,
    mut recorder: Recorder,
    interrupt: &Interrupt,
) -> Result<TapeSummary, Failure> {
    let mut symbols = config.run.symbols.clone();
    if symbols.is_empty() {
        symbols.clone_from(&config.run.default_symbols);
        tracing::warn!("no symbols named: run.default_symbols, {}", symbols.join(", "));
    }
    let intervals = config.market.candle_intervals.iter().map(|i| i.seconds).collect();
    let plan = &Plan { symbols, depths: BTreeMap::new(), intervals, after: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let recorded = runtime.block_on(async {
        match config.feed.kind {
            FeedKind::Sim => {
                let source = SimulatedSource::open(config, &plan.symbols)?;
                follow(source, plan, config, &mut recorder, interrupt).await
            }
            FeedKind::Live(venue) => {
                match VenueSource::open(venue, config, plan, interrupt).await? {
                    Some(source) => follow(source, plan, config, &mut recorder, interrupt).await,
                    None => Ok(()),
                }
            }
        }
    });
    // A name that is still being looked up must not hold the end of the process.
    runtime.shutdown_background();
    recorded?;
    let nothing = || Failure::new(Exit::Feed, "ended before anything could be recorded");
    recorder.summary.ok_or_else(nothing)
}

async fn follow(
    mut source: impl Source,
    plan: &Plan,
    config: &Config,
    recorder: &mut Recorder,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    recorder.begin(source.instruments())?;
    let mut block = InputBlock::new(source.instruments(), 1);
    source.warm_up(&plan.intervals, &mut block);
    recorder.take(&block)?;
    while !interrupt.is_asked() {
        block.reset(1);
        let flow = tokio::select! {
            biased;
            () = interrupt.asked() => break,
            flow = source.next(&mut block) => flow?,
        };
        recorder.take(&block)?;
        if let Some(last) = block.len().checked_sub(1) {
            recorder.progress(block.ts(last), config.run.status_every);
        }
        if flow == Flow::End {
            break;
        }
    }
    recorder.end()
}
