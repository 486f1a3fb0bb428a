//! What running on a venue's market needs of the venue, and the venues that have
//! it. Another one is a folder beside this file and a line in [`VENUES`].

use std::fmt;

use serde::Serialize;

use super::{ErrorCounts, FrameError, Protocol, Request};
use crate::domain::{Instrument, InstrumentTable, SymbolId, Ts};
use crate::input::InputBlock;

/// Every venue that `run` can follow.
pub static VENUES: &[&dyn Venue] = &[&super::kraken::Kraken];

/// An exchange whose market can be followed over a websocket.
pub trait Venue: Sync {
    /// Its name in the configuration.
    fn name(&self) -> &'static str;

    /// Its name in sentences.
    fn title(&self) -> &'static str;

    /// The address of its market data.
    fn url(&self) -> &'static str;

    /// The depths of a book that it offers, in levels a side, smallest first.
    fn depths(&self) -> &'static [u32];

    /// Asks for what it trades.
    fn listing(&self) -> Box<dyn Listing>;

    /// Follows what is wanted.
    ///
    /// # Errors
    /// What the venue does not have.
    fn session(&self, plan: SessionPlan<'_>) -> Result<Box<dyn Live>, String>;

    /// The smallest depth that it offers with this many levels a side.
    fn depth_for(&self, levels: u32) -> Option<u32> {
        self.depths().iter().copied().find(|&depth| levels > 0 && depth >= levels)
    }
}

impl fmt::Debug for dyn Venue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a session is to follow.
#[derive(Debug)]
pub struct SessionPlan<'a> {
    /// what is traded, in the run's order
    pub instruments: InstrumentTable,
    /// the venue's names, in the same order
    pub names: Vec<String>,
    /// what is wanted of each
    pub wanted: &'a [Wanted],
    /// a book that has not changed for so long is asked for anew
    pub silence_ns: Option<i64>,
    /// where no trade came for so long, they are asked for anew
    pub trade_silence_ns: Option<i64>,
}

/// What is wanted of a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// which, a number of the session's instrument table
    pub symbol: SymbolId,
    /// levels a side of its book; rounded up to a depth that the venue offers
    pub levels: Option<u32>,
    /// levels a side to pass on; all of that depth when `None`
    pub shown: Option<u32>,
    /// its public prints
    pub trades: bool,
    /// candles of this many minutes as history at the start
    pub candle_minutes: Option<u32>,
}

/// A protocol that asks for what a venue trades, and for nothing else.
pub trait Listing: Protocol + Send {
    /// True when the list has come.
    fn is_complete(&self) -> bool;

    /// The instrument of that name.
    fn find(&self, name: &str) -> Option<Instrument>;

    /// Known names close to one that is not, the best first.
    fn near(&self, name: &str) -> Vec<String>;

    /// How many instruments it knows.
    fn count(&self) -> usize;
}

/// A protocol that follows a market.
pub trait Live: Protocol + Send {
    /// The next thing for logs and counters; ask until it is `None`.
    fn poll_news(&mut self) -> Option<News>;

    /// What it has counted.
    fn tally(&self) -> Tally;

    /// True when history has come of every symbol that candles are wanted of.
    fn is_warm(&self) -> bool;
}

/// Something that happened on the connection. Market events say what it means
/// for trading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// how much it matters
    pub level: NewsLevel,
    /// what it counts as
    pub mark: Mark,
    /// whose, where it concerns one symbol
    pub symbol: Option<SymbolId>,
    /// in words, with the symbol's name; what the venue said in it is printable
    pub text: String,
}

/// How much news matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewsLevel {
    /// for whoever looks for a fault
    Debug,
    /// good to know
    Info,
    /// something is missing or late
    Warn,
    /// something stays wrong until somebody acts
    Error,
}

/// What news counts as for its symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// nothing in particular
    Plain,
    /// trades are missing
    Gap,
    /// its book could not be trusted
    Desync,
}

/// What a session has counted, as far as all venues have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// trades that gaps in their ids lack
    pub trades_missed: u64,
    /// feeds that were asked for anew
    pub resubscriptions: u64,
    /// news that nobody took in time
    pub news_lost: u64,
    /// frames refused, by kind of error
    pub errors: ErrorCounts,
}

impl<P: Protocol + ?Sized> Protocol for Box<P> {
    fn handle_connected(&mut self, now: Ts, out: &mut InputBlock) {
        (**self).handle_connected(now, out);
    }

    fn handle_disconnected(&mut self, now: Ts, out: &mut InputBlock) {
        (**self).handle_disconnected(now, out);
    }

    fn handle_text(&mut self, text: &str, now: Ts, out: &mut InputBlock) -> Result<(), FrameError> {
        (**self).handle_text(text, now, out)
    }

    fn handle_deadline(&mut self, now: Ts, out: &mut InputBlock) {
        (**self).handle_deadline(now, out);
    }

    fn next_deadline(&self) -> Option<Ts> {
        (**self).next_deadline()
    }

    fn poll_frame(&mut self) -> Option<String> {
        (**self).poll_frame()
    }

    fn poll_request(&mut self) -> Option<Request> {
        (**self).poll_request()
    }
}

impl Live for Box<dyn Live> {
    fn poll_news(&mut self) -> Option<News> {
        (**self).poll_news()
    }

    fn tally(&self) -> Tally {
        (**self).tally()
    }

    fn is_warm(&self) -> bool {
        (**self).is_warm()
    }
}

impl Listing for Box<dyn Listing> {
    fn is_complete(&self) -> bool {
        (**self).is_complete()
    }

    fn find(&self, name: &str) -> Option<Instrument> {
        (**self).find(name)
    }

    fn near(&self, name: &str) -> Vec<String> {
        (**self).near(name)
    }

    fn count(&self) -> usize {
        (**self).count()
    }
}
