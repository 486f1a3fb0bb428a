//! A fake exchange: it speaks the part of Kraken's WebSocket API v2 that
//! Sandpaper uses, over any stream, from a seed, and does wrong what it is told
//! to. It knows the true market, so that whatever reaches a strategy can be
//! compared with the truth.
//!
//! `market` is the truth, `desk` one connection's subscriptions, both without
//! I/O; `mangle` does wrong what frames can have wrong, `link` what bytes can;
//! `serve` puts it onto a stream.

pub mod book;
pub mod desk;
pub mod dialogue;
pub mod fault;
pub mod fuzz;
pub mod link;
pub mod mangle;
pub mod market;
pub mod oracle;
pub mod random;
pub mod scenario;
mod serve;
pub mod truth;
pub mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

pub use fault::{Fault, Place};
pub use serve::{serve, serve_tcp};

use desk::{Mood, Scene};
use mangle::{Out, Trouble};
use market::{Market, MarketConfig, PAIRS};
use random::Random;
use truth::Truth;

/// The exchange; copies of this handle are the same exchange.
#[derive(Clone)]
pub struct Exchange(Arc<Inner>);

struct Inner {
    seed: u64,
    start: i64,
    began: Instant,
    state: Mutex<State>,
}

/// What all connections share.
pub struct State {
    /// the true market, as of the last time that somebody looked
    pub market: Market,
    /// what was told to subscribers
    pub truth: Truth,
    /// by pair, the time of the last message that may have been lost on purpose
    pub disturbed: Vec<i64>,
    /// connections made so far
    pub connections: u64,
    /// connections that stand
    pub open: u64,
    mood: Mood,
    system: &'static str,
    refuses_handshakes: bool,
    closes_at_once: bool,
    on_frame: Option<Fault>,
    on_connection: Option<Fault>,
    random: Random,
}

impl Exchange {
    /// An exchange whose market begins now, and that remembers this many books
    /// of each pair.
    #[must_use]
    pub fn new(config: MarketConfig, books_kept: usize) -> Self {
        Self(Arc::new(Inner {
            seed: config.seed,
            start: config.start,
            began: Instant::now(),
            state: Mutex::new(State::new(config, books_kept)),
        }))
    }

    /// The exchange's clock in nanoseconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        let passed = i64::try_from(self.0.began.elapsed().as_nanos()).unwrap_or(i64::MAX);
        self.0.start.saturating_add(passed)
    }

    /// What is true and what was told.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An exchange without a clock of its own.
    #[must_use]
    pub fn new(config: MarketConfig, books_kept: usize) -> Self {
        Self {
            market: Market::new(config),
            truth: Truth::new(books_kept),
            disturbed: vec![i64::MIN; PAIRS.len()],
            connections: 0,
            open: 0,
            mood: Mood::default(),
            system: "online",
            refuses_handshakes: false,
            closes_at_once: false,
            on_frame: None,
            on_connection: None,
            random: Random::new(config.seed, "exchange"),
        }
    }

    /// Does this wrong from now on, or once, as soon as there is an occasion.
    /// Faults of the link are not the exchange's.
    pub fn begin(&mut self, fault: Fault, symbol: usize) {
        match fault {
            Fault::RefuseHandshake => {
                self.refuses_handshakes = true;
                self.on_connection = Some(Fault::CloseGoingAway);
            }
            Fault::AcceptThenClose => {
                self.closes_at_once = true;
                self.on_connection = Some(Fault::CloseNormally);
            }
            Fault::SilentSymbol => self.mood.silent = Some(symbol),
            Fault::GrantedInVain => {
                self.mood.grants_in_vain = true;
                self.on_frame = Some(Fault::WrongChecksum);
            }
            Fault::TooManyRequests => {
                self.mood.refusals = 2;
                self.on_connection = Some(Fault::CloseRestart);
            }
            Fault::Maintenance => self.system = "maintenance",
            Fault::CancelOnly => self.system = "cancel_only",
            _ if fault.place() == Place::Frame => self.on_frame = Some(fault),
            _ if fault.place() == Place::Connection => self.on_connection = Some(fault),
            _ => {}
        }
    }

    /// Does nothing wrong any more.
    pub fn end_faults(&mut self) {
        self.mood = Mood::default();
        self.system = "online";
        (self.refuses_handshakes, self.closes_at_once) = (false, false);
        (self.on_frame, self.on_connection) = (None, None);
    }
}

/// Both sides of one connection's faults: what it puts onto the wire now, or in
/// answer to a request.
pub struct Line {
    desk: desk::Desk,
    mangler: mangle::Mangler,
    system: &'static str,
    number: u64,
}

/// Changes of a burst.
const BURST: usize = 200;

impl Line {
    /// A connection that has just been made.
    #[must_use]
    pub fn new(state: &mut State, seed: u64) -> Self {
        let number = state.connections;
        let mangler = mangle::Mangler::default();
        Self { desk: desk::Desk::new(seed, number), mangler, system: "", number }
    }

    /// The answer to a request.
    pub fn request(&mut self, text: &str, state: &mut State, now: i64) -> Vec<Out> {
        state.market.advance(now);
        let (market, truth, mood) = (&state.market, &mut state.truth, &mut state.mood);
        let frames = self.desk.request(text, &mut Scene { market, truth, mood, now });
        self.mangled(frames, state)
    }

    /// What has happened since the last time.
    pub fn tick(&mut self, state: &mut State, now: i64) -> Vec<Out> {
        state.market.advance(now);
        let mut out = Vec::new();
        if self.system != state.system {
            self.system = state.system;
            out.push(Out::Text(wire::status(state.system, self.number)));
        }
        let fault = state.on_connection.take();
        let rounds = if fault == Some(Fault::Burst) { BURST } else { 1 };
        for round in 0..rounds {
            if round > 0 {
                state.market.hurry();
                state.market.advance(now);
            }
            let (market, truth, mood) = (&state.market, &mut state.truth, &mut state.mood);
            let frames = self.desk.tick(&mut Scene { market, truth, mood, now });
            out.extend(self.mangled(frames, state));
        }
        if let Some(fault) = fault {
            out.extend(mangle::connection(fault, &mut state.random));
        }
        out
    }

    fn mangled(&mut self, frames: Vec<desk::Frame>, state: &mut State) -> Vec<Out> {
        let mut trouble = Trouble {
            waiting: &mut state.on_frame,
            disturbed: &mut state.disturbed,
            random: &mut state.random,
        };
        frames.into_iter().flat_map(|frame| self.mangler.frame(frame, &mut trouble)).collect()
    }
}

/// The seeds of one of `parts` tests that share so many, from 1 on, or as many
/// as `SANDPAPER_SCENARIOS` says; or the one of `SANDPAPER_SEED`.
pub fn seeds(count: u64, part: u64, parts: u64) -> impl Iterator<Item = u64> {
    let variable = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, last) = match variable("SANDPAPER_SEED") {
        Some(seed) => (seed, seed),
        None => (1, variable("SANDPAPER_SCENARIOS").unwrap_or(count)),
    };
    (first..=last).filter(move |seed| seed % parts == part)
}
