//! What lanes with the same symbols and subscriptions are called for, built
//! once for all of them.

use crate::domain::SymbolId;
use crate::market::Market;
use crate::strategy::Channel;
use crate::words::Header;

/// What a class wants of one symbol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// the symbol's number in the lanes of this class
    pub local: SymbolId,
    /// public prints
    pub trades: bool,
    /// the book to that depth
    pub book: Option<u32>,
    /// candles of these intervals, in seconds
    pub candles: Vec<u32>,
    /// changes of status
    pub status: bool,
}

/// Lanes of one class receive the same words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassKey {
    /// by symbol of the run
    pub wants: Vec<Option<Wants>>,
    /// timer intervals in milliseconds
    pub timers: Vec<u32>,
}

impl ClassKey {
    /// The class of a lane over `symbols` (its own order) with these channels,
    /// each for one of its symbols or for all.
    #[must_use]
    pub fn new(
        run_symbols: usize,
        symbols: &[SymbolId],
        subscriptions: &[(Option<SymbolId>, Channel)],
    ) -> Self {
        let mut key = Self { wants: vec![None; run_symbols], timers: Vec::new() };
        for (local, symbol) in (0_u16..).map(SymbolId).zip(symbols) {
            let mut wants = Wants { local, ..Wants::default() };
            for &(only, channel) in subscriptions {
                if only.is_none_or(|only| only == *symbol) {
                    wants.add(channel);
                }
            }
            key.wants[symbol.index()] = Some(wants);
        }
        for &(_, channel) in subscriptions {
            if let Channel::Timer(interval_ms) = channel {
                key.timers.push(interval_ms.max(1));
            }
        }
        key.timers.sort_unstable();
        key.timers.dedup();
        key
    }
}

impl Wants {
    fn add(&mut self, channel: Channel) {
        match channel {
            Channel::Trades => self.trades = true,
            Channel::Book(depth) => self.book = self.book.max(Some(depth.max(1))),
            Channel::Candles(interval_s) => {
                if !self.candles.contains(&interval_s) {
                    self.candles.push(interval_s);
                    self.candles.sort_unstable();
                }
            }
            Channel::Status => self.status = true,
            Channel::Timer(_) => {}
        }
    }
}

/// A class and its events of the present batch.
#[derive(Clone, Debug, Default)]
pub struct Class {
    /// what it wants
    pub key: ClassKey,
    words: Vec<u64>,
    starts: Vec<u32>,
    moments: Vec<u32>,
}

impl Class {
    /// An empty stream for a class.
    #[must_use]
    pub fn new(key: ClassKey) -> Self {
        Self { key, ..Self::default() }
    }

    /// Empties the stream.
    pub fn clear(&mut self) {
        self.words.clear();
        self.starts.clear();
        self.moments.clear();
    }

    /// Appends an event of a symbol; the words carry the run's symbol number.
    pub fn push(&mut self, moment: u32, local: SymbolId, event: &[u64]) {
        if let Some((&header, rest)) = event.split_first() {
            self.starts.push(self.words.len() as u32);
            self.moments.push(moment);
            self.words.push(Header(header).with_symbol(local).0);
            self.words.extend_from_slice(rest);
        }
    }

    /// Appends an event without a symbol.
    pub fn push_bare(&mut self, moment: u32, event: [u64; 2]) {
        self.starts.push(self.words.len() as u32);
        self.moments.push(moment);
        self.words.extend_from_slice(&event);
    }

    /// The moment of event `index`.
    #[must_use]
    pub fn moment(&self, index: usize) -> u32 {
        self.moments[index]
    }

    /// How many of the events lie before `moment`.
    #[must_use]
    pub fn before(&self, moment: u32) -> usize {
        // Mostly all of them do.
        if self.moments.last().is_none_or(|&last| last < moment) {
            return self.moments.len();
        }
        self.moments.partition_point(|&m| m < moment)
    }

    /// The words of events `from` to `to`, exclusive.
    #[must_use]
    pub fn words(&self, from: usize, to: usize) -> &[u64] {
        let start = self.starts.get(from).map_or(self.words.len(), |&s| s as usize);
        let end = self.starts.get(to).map_or(self.words.len(), |&s| s as usize);
        &self.words[start..end]
    }

    /// Asks the market to keep what this class needs.
    pub fn prepare(&self, market: &mut Market) {
        for (symbol, wants) in (0_u16..).map(SymbolId).zip(&self.key.wants) {
            for &interval in wants.iter().flat_map(|w| &w.candles) {
                market.track_candles(symbol, interval);
            }
        }
    }
}
