//! What the exchange's connections share, and one of them, without I/O.

use super::desk::{self, Mood, Scene};
use super::mangle::{self, Out, Trouble};
use super::market::{Market, MarketConfig, PAIRS};
use super::random::Random;
use super::truth::Truth;
use super::{Fault, Place, wire};

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
    pub(super) mood: Mood,
    pub(super) system: &'static str,
    pub(super) refuses_handshakes: bool,
    pub(super) closes_at_once: bool,
    pub(super) on_frame: Option<Fault>,
    pub(super) on_connection: Option<Fault>,
    pub(super) random: Random,
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
            Fault::TradesInVain => {
                self.mood.trades_in_vain = true;
                self.on_connection = Some(Fault::CloseRestart);
            }
            Fault::LaggingTrades => {
                self.mood.trades_lag = 30;
                self.on_connection = Some(Fault::CloseRestart);
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

    /// Subscriptions are granted from now on, and nothing comes of them.
    pub fn grant_in_vain(&mut self) {
        self.mood.grants_in_vain = true;
    }

    /// The venue takes no smaller orders of a pair any more; in its units.
    pub fn set_minimum(&mut self, symbol: usize, qty_min: i64) {
        self.mood.minimums.insert(symbol, qty_min);
    }

    /// Does nothing wrong any more.
    pub fn end_faults(&mut self) {
        let minimums = std::mem::take(&mut self.mood.minimums);
        self.mood = Mood { minimums, ..Mood::default() };
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
