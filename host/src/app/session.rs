//! One run: a source of inputs, the engine, and those who watch.
//!
//! The order of a step is the same for every source: the watchers see the inputs
//! before the engine takes them, so that one of them can write them down; then
//! the engine steps; then the watchers see what came of it, in their order. The
//! first of them keeps the record, so that nothing is shown before it is kept.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

use crate::domain::{InstrumentTable, Ts};
use crate::engine::{
    Command, CommandAction, Engine, Image, LaneOutput, Output, Refusal, Replacement,
};
use crate::feed::live::Health;
use crate::input::InputBlock;
use crate::journal::SwapRecord;
use crate::strategy::Value;

use super::operator::{Request, Requests};
use super::pace::Pace;
use super::replay::Identity;
use super::strategies::Loaded;
use super::{Failure, Interrupt};

/// How often the watchers are asked while nothing happens.
const IDLE: Duration = Duration::from_millis(250);

/// Whether a source has more to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// ask again
    More,
    /// that was all
    End,
}

/// Where the inputs of a run come from: the simulator or a venue.
pub trait Source {
    /// What can be traded, in the run's order.
    fn instruments(&self) -> &InstrumentTable;

    /// The market's clock before the first input.
    fn start(&self) -> Ts;

    /// Where the state of its connection shows, when it has one.
    fn health(&self) -> Option<tokio::sync::watch::Receiver<Health>> {
        None
    }

    /// History before the first event: closed candles of these intervals, in
    /// seconds, where the source has them. Called once, before `next`.
    fn warm_up(&mut self, intervals: &[u32], block: &mut InputBlock);

    /// Goes on behind `taken` events that an earlier process took, warm-up apart,
    /// and appends to `block` what that means. A venue's market has moved on in
    /// the meantime: every symbol is stale until its data has come anew.
    fn go_on(&mut self, taken: u64, block: &mut InputBlock);

    /// Waits for inputs and appends them to `block`, which comes empty and knows
    /// its first sequence number. It may return without any. Dropping the future
    /// while it waits loses nothing.
    ///
    /// # Errors
    /// When the source has failed for good: a run never goes on with another.
    fn next(&mut self, block: &mut InputBlock) -> impl Future<Output = Result<Flow, Failure>>;
}

/// What a run tells of itself as it goes. An error ends the run.
pub trait Watch {
    /// These modules will run. Called once, first of all.
    ///
    /// # Errors
    /// Whatever keeps it from watching.
    fn modules(&mut self, _modules: &[Loaded]) -> Result<(), Failure> {
        Ok(())
    }

    /// The engine is started.
    ///
    /// # Errors
    /// Whatever keeps it from watching.
    fn started(&mut self, _engine: &Engine, _identities: &[Identity]) -> Result<(), Failure> {
        Ok(())
    }

    /// The run's source has a connection, whose state shows here. Called once,
    /// behind `started`.
    ///
    /// # Errors
    /// As above.
    fn feed(&mut self, _health: tokio::sync::watch::Receiver<Health>) -> Result<(), Failure> {
        Ok(())
    }

    /// The engine is about to take these inputs.
    ///
    /// # Errors
    /// As above.
    fn inputs(&mut self, _block: &InputBlock) -> Result<(), Failure> {
        Ok(())
    }

    /// A module is about to take another one's place.
    ///
    /// # Errors
    /// As above.
    fn swap(&mut self, _swap: &SwapRecord, _module: &Loaded) -> Result<(), Failure> {
        Ok(())
    }

    /// The engine is about to take this command, at this place among the inputs and
    /// this time.
    ///
    /// # Errors
    /// As above.
    fn command(&mut self, _seq: u64, _ts: Ts, _command: &Command) -> Result<(), Failure> {
        Ok(())
    }

    /// The run goes on from an earlier process's, all of whose inputs were taken again;
    /// or those behind the snapshot that the record with this number tells of. Called
    /// before `started`.
    ///
    /// # Errors
    /// As above.
    fn taken_up(&mut self, _snapshot: Option<u64>) -> Result<(), Failure> {
        Ok(())
    }

    /// Behind how many inputs it wants the engine's state next. It must follow from the
    /// run's inputs alone.
    fn next_image(&self) -> Option<u64> {
        None
    }

    /// The engine's state, for which strategies were just asked for theirs.
    ///
    /// # Errors
    /// As above.
    fn image(
        &mut self,
        _engine: &Engine,
        _identities: &[Identity],
        _image: &Image,
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// Its state was wanted, and there is none: a strategy does not save its own, which
    /// is told when that was found out just now.
    ///
    /// # Errors
    /// As above.
    fn no_image(&mut self, _engine: &Engine, _refusal: Option<&Refusal>) -> Result<(), Failure> {
        Ok(())
    }

    /// The engine has taken them, and this came of it. Also called without
    /// inputs, when time has passed.
    ///
    /// # Errors
    /// As above.
    fn stepped(&mut self, engine: &Engine, news: &[Output]) -> Result<(), Failure>;

    /// The run is over and the engine finished.
    ///
    /// # Errors
    /// As above.
    fn finished(&mut self, _engine: &Engine) -> Result<(), Failure> {
        Ok(())
    }
}

/// Who may end single strategies while a run goes on.
pub trait Warden {
    /// Those that may run no longer at this wall time, by name, with the reason.
    /// Asked before every block; it decides itself how often it looks.
    fn look(&mut self, now: Timestamp) -> Vec<(String, String)>;

    /// New builds that are allowed in the place of what runs under their names, ready
    /// to run. Asked before every block, and never waits.
    fn builds(&mut self) -> Vec<Build> {
        Vec::new()
    }

    /// A new build now runs under this name, or could not take over.
    fn exchanged(&mut self, _name: &str, _sha256: &str, _done: bool) {}
}

/// A new build of a strategy, ready to run.
pub struct Build {
    /// its code
    pub module: Loaded,
    /// what the configuration says of its parameters
    pub parameters: Vec<(String, Value)>,
}

/// A module that takes the place of the one with hash `from`.
#[must_use]
pub fn replacement(module: Loaded, from: String, parameters: Vec<(String, Value)>) -> Replacement {
    Replacement {
        strategy: module.guest,
        descriptor: module.descriptor,
        parameters,
        from,
        to: module.sha256,
    }
}

/// True when the news tell that a new build runs.
#[must_use]
pub fn took_over(news: &[Output]) -> bool {
    let done = |one: &Output| matches!(&one.body, LaneOutput::Swapped { refused: None, .. });
    news.iter().any(done)
}

/// What a session turns to next.
enum Turn {
    Command(Request),
    Inputs(Flow),
    Idle,
}

/// The next request; never, where nobody can command.
async fn asked(requests: &mut Option<Requests>) -> Request {
    match requests {
        Some(open) => match open.recv().await {
            Some(request) => request,
            // All who could have asked are gone.
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// A started engine with its watchers, the keeper of the record first.
pub struct Session<'a> {
    /// the engine
    pub engine: Engine,
    identities: Vec<Identity>,
    watchers: Vec<&'a mut dyn Watch>,
    warden: Option<Box<dyn Warden>>,
    requests: Option<Requests>,
    news: Vec<Output>,
}

impl<'a> Session<'a> {
    /// A session that begins: the watchers learn who runs, and what came of the
    /// start, or what an earlier process did not live to tell.
    ///
    /// # Errors
    /// Those of the watchers.
    pub fn begin(
        engine: Engine,
        identities: &[Identity],
        watchers: Vec<&'a mut dyn Watch>,
        untold: Vec<Output>,
    ) -> Result<Self, Failure> {
        let mut session = Self {
            engine,
            identities: identities.to_vec(),
            watchers,
            warden: None,
            requests: None,
            news: untold,
        };
        for watcher in &mut session.watchers {
            watcher.started(&session.engine, identities)?;
        }
        session.news.extend(session.engine.drain());
        session.tell()?;
        Ok(session)
    }

    /// Lets `warden` end and exchange strategies between blocks.
    #[must_use]
    pub fn guarded(mut self, warden: Box<dyn Warden>) -> Self {
        self.warden = Some(warden);
        self
    }

    /// Who runs, as of now.
    #[must_use]
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// Exchanges what has a new build.
    fn exchange(&mut self) -> Result<(), Failure> {
        let builds = self.warden.as_mut().map(|warden| warden.builds()).unwrap_or_default();
        builds.into_iter().try_for_each(|build| self.put_in(build))
    }

    /// Puts these modules in the place of those that run under their names.
    ///
    /// # Errors
    /// A broken invariant, or a watcher that cannot go on.
    pub fn take_over(&mut self, builds: Vec<Build>) -> Result<(), Failure> {
        builds.into_iter().try_for_each(|build| self.put_in(build))
    }

    /// The record has it first: both hashes, and the bytes.
    fn put_in(&mut self, Build { module, parameters }: Build) -> Result<(), Failure> {
        self.take_image()?;
        let lane = self.identities.iter().position(|known| known.name == module.name);
        let Some(lane) = lane else { return Ok(()) };
        let from = self.identities[lane].sha256.clone();
        let swap = SwapRecord {
            lane: u16::try_from(lane).unwrap_or(u16::MAX),
            ts: self.engine.now(),
            from: from.clone(),
            to: Identity::of(&module).record(&module.descriptor.version),
        };
        for watcher in &mut self.watchers {
            watcher.swap(&swap, &module)?;
        }
        let (name, to) = (module.name.clone(), module.sha256.clone());
        let identity = Identity::of(&module);
        self.engine.swap(swap.ts, swap.lane, replacement(module, from, parameters))?;
        self.publish()?;
        let done = took_over(&self.news);
        if done {
            self.identities[lane] = identity;
        }
        if let Some(warden) = &mut self.warden {
            warden.exchanged(&name, &to, done);
        }
        self.take_image()
    }

    /// Takes commands from `requests`, between blocks.
    #[must_use]
    pub fn commanded(mut self, requests: Requests) -> Self {
        self.requests = Some(requests);
        self
    }

    /// Halts what may run no longer.
    ///
    /// # Errors
    /// Those of [`Session::command`].
    fn enforce(&mut self) -> Result<(), Failure> {
        let Some(warden) = &mut self.warden else { return Ok(()) };
        for (name, reason) in warden.look(Timestamp::now()) {
            let Some(lane) = self.engine.find(&name) else { continue };
            tracing::error!(strategy = name, "halted: {reason}");
            self.command(&Command { lane: Some(lane), action: CommandAction::Revoke, reason })?;
        }
        Ok(())
    }

    /// Tells the watchers where the state of the source's connection shows.
    ///
    /// # Errors
    /// Those of the watchers.
    pub fn feed(&mut self, source: &impl Source) -> Result<(), Failure> {
        if let Some(health) = source.health() {
            for watcher in &mut self.watchers {
                watcher.feed(health.clone())?;
            }
        }
        Ok(())
    }

    /// Gives the engine a block of inputs, and the watchers what comes of it. It is cut
    /// where somebody wants the engine's state, so that the place of that does not depend
    /// on how a source cuts its blocks.
    ///
    /// # Errors
    /// A broken invariant, or a watcher that cannot go on.
    pub fn step(&mut self, block: &InputBlock) -> Result<(), Failure> {
        self.take_image()?;
        let (mut done, mut part) = (0, InputBlock::default());
        while done < block.len() {
            let due = self.next_image().map(|due| due.saturating_sub(self.engine.events()));
            let due = due.and_then(|due| usize::try_from(due).ok()).unwrap_or(usize::MAX);
            let count = (block.len() - done).min(due.max(1));
            if count == block.len() {
                self.step_part(block)?;
            } else {
                block.copy_part(done..done + count, &mut part);
                self.step_part(&part)?;
            }
            done += count;
        }
        Ok(())
    }

    fn step_part(&mut self, block: &InputBlock) -> Result<(), Failure> {
        for watcher in &mut self.watchers {
            watcher.inputs(block)?;
        }
        self.engine.step(block)?;
        self.publish()?;
        self.take_image()
    }

    /// Behind how many inputs the engine's state is wanted next.
    fn next_image(&self) -> Option<u64> {
        self.watchers.iter().filter_map(|watcher| watcher.next_image()).min()
    }

    /// Takes the engine's state for whoever wants it now, if every strategy saves its own.
    fn take_image(&mut self) -> Result<(), Failure> {
        if self.next_image().is_none_or(|due| self.engine.events() < due) {
            return Ok(());
        }
        let image = self.engine.unsaved().is_none().then(|| self.engine.image());
        for watcher in &mut self.watchers {
            match &image {
                Some(Ok(image)) => watcher.image(&self.engine, &self.identities, image)?,
                Some(Err(refusal)) => watcher.no_image(&self.engine, Some(refusal))?,
                None => watcher.no_image(&self.engine, None)?,
            }
        }
        Ok(())
    }

    /// Steps with what `source` gives until it ends, the user ends it, or no
    /// strategy runs any more.
    ///
    /// # Errors
    /// Those of the source and of [`Session::step`].
    pub async fn follow(
        &mut self,
        source: &mut impl Source,
        interrupt: &Interrupt,
    ) -> Result<(), Failure> {
        let mut block = InputBlock::new(source.instruments(), self.engine.next_seq());
        let mut pace = Pace::default();
        let mut idle = interval(IDLE);
        idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.engine.has_work() && !interrupt.is_asked() {
            self.enforce()?;
            self.exchange()?;
            self.take_waiting()?;
            block.reset(self.engine.next_seq());
            let turn = tokio::select! {
                biased;
                () = interrupt.asked() => break,
                request = asked(&mut self.requests) => Turn::Command(request),
                flow = source.next(&mut block) => Turn::Inputs(flow?),
                _ = idle.tick() => Turn::Idle,
            };
            // A source that was left while it waited may have given something before;
            // and who watches is asked also where nothing came.
            if block.is_empty() {
                self.publish()?;
            } else {
                pace.steps(&block, || !interrupt.is_asked(), |part| self.step(part))?;
            }
            match turn {
                Turn::Command(request) => self.carry_out(request)?,
                Turn::Inputs(Flow::End) => break,
                Turn::Inputs(Flow::More) | Turn::Idle => {}
            }
        }
        if interrupt.is_asked() {
            tracing::info!("stopping; press Ctrl-C again to end at once");
        }
        if !self.engine.has_work() {
            tracing::error!("every strategy has ended and nothing is left to close: the run ends");
        }
        Ok(())
    }

    /// Carries out what was asked for meanwhile.
    fn take_waiting(&mut self) -> Result<(), Failure> {
        while let Some(request) = self.requests.as_mut().and_then(|all| all.try_recv().ok()) {
            self.carry_out(request)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, request: Request) -> Result<(), Failure> {
        let (action, reason) = (request.command.action.name(), &request.command.reason);
        let lane =
            request.command.lane.filter(|lane| usize::from(*lane) < self.engine.chains().count());
        let who = lane.map_or("all strategies", |lane| self.engine.lane(lane).name);
        tracing::warn!("the operator commands {action} for {who}: {reason}");
        self.command(&request.command)?;
        request.taken();
        Ok(())
    }

    /// Gives the engine a command at its own time, and the watchers what comes of
    /// it.
    ///
    /// # Errors
    /// A broken invariant, or a watcher that cannot go on.
    pub fn command(&mut self, command: &Command) -> Result<(), Failure> {
        self.take_image()?;
        let (seq, ts) = (self.engine.next_seq(), self.engine.now());
        for watcher in &mut self.watchers {
            watcher.command(seq, ts, command)?;
        }
        self.engine.command(ts, command)?;
        self.publish()?;
        self.take_image()
    }

    /// Ends the run and gives back the engine.
    ///
    /// # Errors
    /// An account that does not add up, or a watcher that cannot go on.
    pub fn finish(mut self) -> Result<Engine, Failure> {
        self.engine.finish()?;
        self.publish()?;
        self.end()
    }

    /// Ends a run whose strategies were stopped before, and gives back the engine.
    ///
    /// # Errors
    /// A watcher that cannot go on.
    pub fn end(mut self) -> Result<Engine, Failure> {
        for watcher in &mut self.watchers {
            watcher.finished(&self.engine)?;
        }
        Ok(self.engine)
    }

    fn publish(&mut self) -> Result<(), Failure> {
        self.news.clear();
        self.news.extend(self.engine.drain());
        self.tell()
    }

    fn tell(&mut self) -> Result<(), Failure> {
        for watcher in &mut self.watchers {
            watcher.stepped(&self.engine, &self.news)?;
        }
        Ok(())
    }
}
