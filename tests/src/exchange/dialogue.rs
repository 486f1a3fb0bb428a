//! The host's protocol and the exchange talk to each other without a socket, so
//! that a minute takes milliseconds. What only a socket can do wrong is left to
//! the tests that have one.

use sandpaper::domain::{Instrument, InstrumentTable, SymbolId, Ts};
use sandpaper::input::InputBlock;
use sandpaper::venue::kraken::{Counts, Session, Timing, Wanted};
use sandpaper::venue::{Protocol as _, Request};

use super::mangle::Out;
use super::market::{MarketConfig, PAIRS, SECOND};
use super::oracle::{Oracle, Sabotage};
use super::{Fault, Line, State};

/// How often time moves.
const STEP: i64 = SECOND / 20;
/// From the end of a connection to the next.
const RECONNECT: i64 = SECOND;
/// Books of each pair that are remembered.
const BOOKS_KEPT: usize = 4_096;

/// Both sides and the oracle between them.
pub struct Dialogue {
    /// the exchange
    pub state: State,
    /// who compares
    pub oracle: Oracle,
    /// the time
    pub now: i64,
    session: Session,
    line: Option<Line>,
    connect_at: i64,
    block: InputBlock,
    seed: u64,
}

/// The exchange's pairs as instruments, the first so many of them.
#[must_use]
pub fn instruments(count: usize) -> InstrumentTable {
    let instrument = |pair: &super::market::Pair| {
        Instrument::plain(pair.symbol, pair.price_decimals, pair.qty_decimals)
    };
    InstrumentTable::new(PAIRS.iter().take(count).map(instrument).collect())
}

impl Dialogue {
    /// Before the first connection, for so many pairs at this depth.
    ///
    /// # Panics
    /// When the protocol refuses that depth.
    #[must_use]
    pub fn new(seed: u64, pairs: usize, depth: u32, sabotage: Sabotage) -> Self {
        let table = instruments(pairs);
        let wanted: Vec<Wanted> = table
            .iter()
            .map(|(symbol, _)| Wanted {
                symbol,
                levels: Some(depth),
                shown: None,
                trades: true,
                candle_minutes: Some(1),
            })
            .collect();
        let config = MarketConfig { seed, pairs, ..MarketConfig::default() };
        Self {
            state: State::new(config, BOOKS_KEPT),
            oracle: Oracle::new(&table, depth as usize, sabotage),
            now: config.start,
            session: Session::new(table.clone(), &wanted, Timing::default()).expect("a session"),
            line: None,
            connect_at: config.start,
            block: InputBlock::new(&table, 1),
            seed,
        }
    }

    /// What the protocol has seen.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        self.session.counts()
    }

    /// What is traded, by number.
    #[must_use]
    pub fn symbol(&self, number: u16) -> SymbolId {
        SymbolId(number)
    }

    /// Lets so much time pass.
    pub fn run(&mut self, time: i64) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            self.step();
        }
    }

    /// Runs until every symbol trades, at most so long; how long it took.
    pub fn until_trading(&mut self, most: i64) -> Option<i64> {
        let begin = self.now;
        while !self.oracle.all_trading() {
            if self.now - begin > most {
                return None;
            }
            self.run(STEP);
        }
        Some(self.now - begin)
    }

    fn step(&mut self) {
        let now = Ts(self.now);
        if self.line.is_none() && self.now >= self.connect_at {
            self.state.connections += 1;
            self.connect_at = self.now + RECONNECT;
            if !(self.state.refuses_handshakes || self.state.closes_at_once) {
                self.line = Some(Line::new(&mut self.state, self.seed));
                self.session.handle_connected(now, &mut self.block);
            }
        }
        if self.session.next_deadline().is_some_and(|at| at <= now) {
            self.session.handle_deadline(now, &mut self.block);
        }
        self.converse();
        if let Some(line) = &mut self.line {
            let out = line.tick(&mut self.state, self.now);
            self.deliver(out);
            self.converse();
        } else {
            self.state.market.advance(self.now);
        }
        self.hear();
        self.oracle.look(self.now, &self.state);
    }

    /// Requests and their answers.
    fn converse(&mut self) {
        while let Some(request) = self.session.poll_request() {
            if request == Request::Reconnect {
                self.disconnect();
            }
        }
        while let Some(frame) = self.session.poll_frame() {
            let Some(line) = &mut self.line else { return };
            let out = line.request(&frame, &mut self.state, self.now);
            self.deliver(out);
        }
        while self.session.poll_notice().is_some() {}
    }

    fn deliver(&mut self, out: Vec<Out>) {
        for out in out {
            match out {
                // A refused frame is counted by the protocol.
                Out::Text(text) => {
                    let now = Ts(self.now);
                    let _ = self.session.handle_text(&text, now, &mut self.block);
                    self.hear();
                }
                Out::Ping | Out::Pong => {}
                Out::Raw(_) | Out::Close(_) => {
                    self.disconnect();
                    return;
                }
            }
        }
    }

    /// The end of the connection.
    pub fn disconnect(&mut self) {
        self.line = None;
        self.connect_at = self.now + RECONNECT;
        self.session.handle_disconnected(Ts(self.now), &mut self.block);
        self.hear();
    }

    /// Begins a fault.
    pub fn begin(&mut self, fault: Fault, symbol: usize) {
        self.state.begin(fault, symbol);
    }

    fn hear(&mut self) {
        self.oracle.take(&self.block, &self.state);
        let next = self.block.next_seq();
        self.block.reset(next);
    }
}
