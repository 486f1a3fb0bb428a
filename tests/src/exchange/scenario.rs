//! The live feed's driver against the exchange, on tokio's clock and over
//! streams in memory: from a seed, minutes in milliseconds.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sandpaper::domain::Ts;
use sandpaper::feed::live::{Clock, Connect, Driver, LinkSettings};
use sandpaper::input::InputBlock;
use sandpaper::venue::kraken::{Session, Timing, Wanted};
use tokio::io::DuplexStream;
use tokio::time::{self, Instant};

use super::dialogue::instruments;
use super::link::{Control, Link, Mode};
use super::market::MarketConfig;
use super::oracle::{Oracle, Sabotage};
use super::random::Random;
use super::{Exchange, Fault, Place, serve};

/// How often the oracle looks at the clock.
const LOOK: Duration = Duration::from_millis(100);
/// Bytes on the way at most.
const PIPE: usize = 1 << 16;
/// Books of each pair that are remembered.
const BOOKS_KEPT: usize = 8_192;
/// From the return of the link, or the end of a fault, until all symbols trade,
/// at most, however long the outage was.
pub const RECOVERY_MAX: Duration = Duration::from_secs(5);

/// From the silence of a connection until nothing on it is fresh.
pub const SILENCE_MAX: Duration = Duration::from_millis(10_200);

/// The way to the exchange.
#[derive(Clone)]
pub struct Network(Arc<Mutex<Ways>>);

struct Ways {
    exchange: Exchange,
    control: Control,
    mode: Mode,
    no_name: bool,
    black_hole: bool,
    attempts: Vec<Instant>,
}

impl Network {
    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When connections were asked for.
    #[must_use]
    pub fn attempts(&self) -> Vec<Instant> {
        self.ways().attempts.clone()
    }

    /// Changes the link: for good, or that of the present connection alone.
    fn set(&self, mode: Mode, for_good: bool) {
        let mut ways = self.ways();
        ways.control.set(mode);
        if for_good {
            ways.mode = mode;
        }
    }

    fn clear(&self) {
        self.set(Mode::Clear, true);
        let mut ways = self.ways();
        (ways.no_name, ways.black_hole) = (false, false);
    }
}

impl Connect for Network {
    type Stream = Link<DuplexStream>;

    fn url(&self) -> &'static str {
        "ws://exchange.test/v2"
    }

    fn connect(&mut self) -> BoxFuture<'static, io::Result<Self::Stream>> {
        let mut ways = self.ways();
        ways.attempts.push(Instant::now());
        if ways.no_name {
            return async { Err(io::Error::other("no address for this name")) }.boxed();
        }
        if ways.black_hole {
            // Packets are lost, and what was begun meanwhile stays lost.
            return std::future::pending().boxed();
        }
        let (near, far) = tokio::io::duplex(PIPE);
        ways.control = Control::default();
        ways.control.set(ways.mode);
        let (link, exchange) = (Link::new(near, ways.control.clone()), ways.exchange.clone());
        async move {
            tokio::spawn(serve(exchange, far));
            Ok(link)
        }
        .boxed()
    }
}

/// The worst of what has been measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// from the end of a fault that leaves no silence behind until all trades
    pub recovery: Duration,
    /// from the silence of a connection until nothing on it is fresh
    pub silence: Duration,
    /// books that were compared with the truth
    pub compared: u64,
    /// candles of the venue that were
    pub candles: u64,
    /// connections that were made
    pub connects: u64,
}

impl Figures {
    /// The worse of both, and the sums of what was counted.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            recovery: self.recovery.max(other.recovery),
            silence: self.silence.max(other.silence),
            compared: self.compared + other.compared,
            candles: self.candles + other.candles,
            connects: self.connects + other.connects,
        }
    }
}

/// Takes what the driver gives.
pub type Sink = Box<dyn FnMut(&InputBlock)>;

/// A driver on the exchange, with the oracle behind it.
pub struct Scenario {
    /// the exchange
    pub exchange: Exchange,
    /// the way there
    pub network: Network,
    /// who compares
    pub oracle: Oracle,
    /// the host's driver
    pub driver: Driver<Network, Session>,
    /// who else takes what comes
    pub sink: Option<Sink>,
    /// what was measured
    pub figures: Figures,
    block: InputBlock,
}

impl Scenario {
    /// Before the first connection. Needs a runtime with time.
    ///
    /// # Panics
    /// When the protocol refuses that depth.
    #[must_use]
    pub fn new(seed: u64, pairs: usize, depth: u32, sabotage: Sabotage) -> Self {
        Self::limited(LinkSettings::default(), seed, pairs, depth, sabotage)
    }

    /// The same with other limits of the connection.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    pub fn limited(
        settings: LinkSettings,
        seed: u64,
        pairs: usize,
        depth: u32,
        sabotage: Sabotage,
    ) -> Self {
        let table = instruments(pairs);
        let want = |symbol| Wanted {
            symbol,
            levels: Some(depth),
            shown: None,
            trades: true,
            candle_minutes: (sabotage != Sabotage::AsksNoCandles).then_some(1),
        };
        let wanted: Vec<Wanted> = table.iter().map(|(symbol, _)| want(symbol)).collect();
        let session = Session::new(table.clone(), &wanted, Timing::default()).expect("a session");
        let config = MarketConfig { seed, pairs, ..MarketConfig::default() };
        let exchange = Exchange::new(config, BOOKS_KEPT);
        let network = Network(Arc::new(Mutex::new(Ways {
            exchange: exchange.clone(),
            control: Control::default(),
            mode: Mode::Clear,
            no_name: false,
            black_hole: false,
            attempts: Vec::new(),
        })));
        let clock = Clock::start_at(Ts(config.start));
        Self {
            driver: Driver::new(network.clone(), session, settings, clock, seed),
            oracle: Oracle::new(&table, depth as usize, sabotage),
            block: InputBlock::new(&table, 1),
            sink: None,
            figures: Figures::default(),
            exchange,
            network,
        }
    }

    /// Lets so much time pass.
    pub async fn run(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let until = end.min(Instant::now() + LOOK);
            loop {
                let next = self.block.next_seq();
                self.block.reset(next);
                tokio::select! {
                    biased;
                    () = time::sleep_until(until) => break,
                    () = self.driver.next(&mut self.block) => {}
                }
                self.oracle.take(&self.block, &self.exchange.state());
                if let Some(sink) = &mut self.sink {
                    sink(&self.block);
                }
                while self.driver.protocol_mut().poll_notice().is_some() {}
            }
            let now = self.exchange.now();
            let mut state = self.exchange.state();
            state.market.advance(now);
            self.oracle.look(now, &state);
        }
    }

    /// Runs until this is true, at most so long; how long it took.
    pub async fn until(
        &mut self,
        most: Duration,
        is: impl Fn(&Oracle) -> bool,
    ) -> Option<Duration> {
        let begin = Instant::now();
        while !is(&self.oracle) {
            if begin.elapsed() > most {
                return None;
            }
            self.run(LOOK).await;
        }
        Some(begin.elapsed())
    }

    /// Begins a fault, wherever it takes place.
    pub fn begin(&mut self, fault: Fault, random: &mut Random) {
        let network = &self.network;
        match fault {
            Fault::Reset => network.set(Mode::Reset, false),
            Fault::HalfClose => network.set(Mode::HalfClose, false),
            Fault::Stall => network.set(Mode::Stall, false),
            Fault::Drip => network.set(Mode::Drip, true),
            Fault::Slice => network.set(Mode::Slice, true),
            Fault::Delay => {
                let delay = Duration::from_millis(random.below(1_500));
                network.set(Mode::Delay(delay), true);
            }
            Fault::NoName => {
                network.ways().no_name = true;
                network.set(Mode::Reset, false);
            }
            Fault::BlackHole => {
                network.ways().black_hole = true;
                network.set(Mode::Reset, false);
            }
            _ => self.exchange.state().begin(fault, 0),
        }
    }

    /// Ends all faults.
    pub fn end(&mut self) {
        self.network.clear();
        self.exchange.state().end_faults();
    }

    /// A fault of this length and what must hold while it lasts and after it.
    ///
    /// # Errors
    /// What did not hold.
    pub async fn suffer(
        &mut self,
        fault: Fault,
        hold: Duration,
        random: &mut Random,
    ) -> Result<(), String> {
        let (darkened, resubscriptions) =
            (self.oracle.darkened, self.driver.protocol().counts().resubscriptions);
        self.begin(fault, random);
        let begin = Instant::now();
        match fault {
            Fault::Reset | Fault::HalfClose | Fault::NoName | Fault::BlackHole => {
                self.run(LOOK).await;
                // Where the link is not down a new connection may stand already.
                let down = matches!(fault, Fault::NoName | Fault::BlackHole);
                if down && !self.oracle.none_fresh() {
                    return Err("fresh without a connection".into());
                }
            }
            Fault::Stall | Fault::Drip if hold > SILENCE_MAX => {
                // A new connection may stand before anybody looks.
                let noticed = |oracle: &Oracle| oracle.darkened > darkened;
                let took =
                    self.until(SILENCE_MAX, noticed).await.ok_or("silence was not noticed")?;
                self.figures.silence = self.figures.silence.max(took);
            }
            _ => {}
        }
        self.run(hold.saturating_sub(begin.elapsed())).await;
        self.end();
        // Bytes that look like the head of a long frame, and a subscription
        // that is granted in vain, take until silence is noticed.
        let silent = matches!(
            fault,
            Fault::Garbage
                | Fault::GrantedInVain
                | Fault::TradesInVain
                | Fault::HugeFrame
                | Fault::Drip
                | Fault::Stall
        );
        let mut most = RECOVERY_MAX + if silent { SILENCE_MAX } else { Duration::ZERO };
        // A new connection asks for everything at once. On the same one a feed
        // that has failed before waits for its back-off, which doubles.
        // One that is granted in vain meanwhile has failed up to twice more.
        let in_vain = matches!(fault, Fault::GrantedInVain | Fault::TradesInVain);
        let failures = resubscriptions + if in_vain { 2 } else { 0 };
        let again = (fault.place() == Place::Frame || in_vain) && resubscriptions > 0;
        if again || fault == Fault::TradesInVain {
            most += Duration::from_secs(1 << failures.min(6));
        }
        let took = self.until(most, Oracle::all_trading).await;
        let took = took.ok_or_else(|| format!("not recovered within {most:?}"))?;
        if most == RECOVERY_MAX {
            self.figures.recovery = self.figures.recovery.max(took);
        }
        Ok(())
    }
}

/// One seeded scenario from beginning to end.
///
/// # Errors
/// What did not hold, with all that is needed to repeat it.
pub async fn play(seed: u64) -> Result<Figures, String> {
    let mut random = Random::new(seed, "scenario");
    let depth = random.pick(&[10, 10, 25, 100]);
    let pairs = 1 + random.below(3) as usize;
    let mut scenario = Scenario::new(seed, pairs, depth, Sabotage::None);
    let mut suffered = Vec::new();
    let result = async {
        let begun = scenario.until(Duration::from_secs(5), Oracle::all_trading).await;
        begun.ok_or("it never began to trade")?;
        for _ in 0..random.between(1, 3) {
            let fault = random.pick(&Fault::ALL);
            let hold = match random.below(8) {
                0 => Duration::from_millis(10_500 + random.below(20_000)),
                _ => Duration::from_millis(200 + random.below(4_000)),
            };
            suffered.push((fault, hold));
            scenario.suffer(fault, hold, &mut random).await?;
        }
        scenario.run(Duration::from_secs(1)).await;
        Ok(())
    };
    let result: Result<(), String> = result.await;
    let counts = scenario.driver.protocol().counts().clone();
    let (trades, missed) = scenario.oracle.trades();
    let link = scenario.driver.link();
    let problem = match (result, scenario.oracle.wrong.is_empty()) {
        (Err(what), _) => what,
        (Ok(()), false) => format!("{:?}", scenario.oracle.wrong),
        // A gap may also lie before the first trade that came.
        (Ok(()), true) if trades != counts.trades || missed > counts.trades_missed => {
            format!("{trades} trades came and {missed} were missing, not as counted")
        }
        (Ok(()), true) if counts.trades_missed > 0 && !may_miss_trades(&suffered) => {
            "trades were missed that a snapshot has".to_owned()
        }
        (Ok(()), true) => {
            let (compared, candles) = (scenario.oracle.compared, scenario.oracle.candles);
            let connects = link.connects;
            return Ok(Figures { compared, candles, connects, ..scenario.figures });
        }
    };
    Err(format!(
        "SANDPAPER_SEED={seed}: {problem}; {suffered:?}, {pairs} pairs at depth {depth}; {counts:?}; {link:?}"
    ))
}

/// Whether trades may be lost for good: told in frames that cannot be read, or
/// more than a snapshot holds.
fn may_miss_trades(suffered: &[(Fault, Duration)]) -> bool {
    let long = suffered.len() > 1 || suffered.iter().any(|(_, hold)| hold.as_secs() > 5);
    long || suffered
        .iter()
        .any(|(fault, _)| matches!(fault, Fault::OddTimes | Fault::Burst | Fault::TradesInVain))
}
