//! How a live feed is, for the dashboard and the log.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::{LinkState, LinkStats};
use crate::domain::{InstrumentTable, SymbolId, Ts};
use crate::input::{EventRef, InputBlock, TradingStatus};
use crate::venue::{Mark, News, NewsLevel, Tally};

/// Outages that are remembered; the oldest go.
const OUTAGES_MAX: usize = 100;
/// News that is remembered. Watchers look several times a second.
const NEWS_MAX: usize = 256;

/// A symbol's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SymbolHealth {
    /// the run's name for it
    pub symbol: String,
    /// whether its data is current and the venue trades it
    pub status: TradingStatus,
    /// when data came last, by channel: `book`, `trade`
    pub last: BTreeMap<&'static str, Ts>,
    /// events that reached the engine
    pub messages: u64,
    /// times that trade ids skipped some
    pub gaps: u64,
    /// times that its book could not be trusted
    pub checksum_failures: u64,
}

/// A time without a current connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outage {
    /// from when
    pub from: Ts,
    /// until when; `None` while it lasts
    pub to: Option<Ts>,
    /// why
    pub why: String,
}

/// Something that happened to a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthNews {
    /// running number, from 1: a jump means that some were lost
    pub number: u64,
    /// when
    pub at: Ts,
    /// how much it matters
    pub level: NewsLevel,
    /// the run's name of the symbol that it concerns
    pub symbol: Option<String>,
    /// in words
    pub text: String,
}

/// The state of a feed at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// which venue
    pub venue: &'static str,
    /// at which address
    pub url: String,
    /// when this was true, by the clock of what is received
    pub at: Ts,
    /// the connection
    pub link: LinkStats,
    /// what the protocol has counted
    pub counts: Tally,
    /// each symbol, in the run's order
    pub symbols: Vec<SymbolHealth>,
    /// received minus the venue's time of the latest event, in nanoseconds: a
    /// delay and the difference of two clocks, so it may be negative
    pub skew_ns: Option<i64>,
    /// the latest outages, oldest first
    pub outages: VecDeque<Outage>,
    /// the latest news, oldest first
    pub news: VecDeque<HealthNews>,
}

impl Health {
    /// Of a feed that has not connected yet.
    #[must_use]
    pub fn new(venue: &'static str, url: &str, instruments: &InstrumentTable) -> Self {
        let symbol = |name: &str| SymbolHealth {
            symbol: name.to_owned(),
            status: TradingStatus::Stale,
            last: BTreeMap::new(),
            messages: 0,
            gaps: 0,
            checksum_failures: 0,
        };
        Self {
            venue,
            url: url.to_owned(),
            at: Ts::default(),
            link: LinkStats::default(),
            counts: Tally::default(),
            symbols: instruments.iter().map(|(_, i)| symbol(&i.symbol)).collect(),
            skew_ns: None,
            outages: VecDeque::new(),
            news: VecDeque::new(),
        }
    }

    /// True when every symbol can be traded on.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.link.state == LinkState::Connected
            && self.symbols.iter().all(|s| s.status != TradingStatus::Stale)
    }

    /// Notes what is about to reach the engine.
    pub(super) fn events(&mut self, block: &InputBlock) {
        for index in 0..block.len() {
            let (symbol, channel) = match block.get(index) {
                EventRef::Trade(trade) => (trade.symbol, "trade"),
                EventRef::Book { symbol, .. } => (symbol, "book"),
                EventRef::Status { symbol, status } => {
                    if let Some(one) = self.symbols.get_mut(symbol.index()) {
                        one.status = status;
                    }
                    continue;
                }
                EventRef::Candle(_) | EventRef::Rules { .. } | EventRef::Timer => continue,
            };
            let ts = block.ts(index);
            self.skew_ns = Some(ts.since(block.ts_exchange(index)));
            if let Some(one) = self.symbols.get_mut(symbol.index()) {
                one.messages += 1;
                one.last.insert(channel, ts);
            }
        }
    }

    /// Notes what the protocol said.
    pub(super) fn news(&mut self, news: &News, now: Ts) {
        if let Some(symbol) = news.symbol {
            match news.mark {
                Mark::Gap => self.symbol(symbol, |one| one.gaps += 1),
                Mark::Desync => self.symbol(symbol, |one| one.checksum_failures += 1),
                Mark::Plain => {}
            }
        }
        self.note(news.level, news.symbol, news.text.clone(), now);
    }

    /// Keeps news for those who look later.
    pub(super) fn note(
        &mut self,
        level: NewsLevel,
        symbol: Option<SymbolId>,
        text: String,
        at: Ts,
    ) {
        let symbol = symbol.and_then(|symbol| self.symbols.get(symbol.index()));
        let symbol = symbol.map(|one| one.symbol.clone());
        let number = self.news.back().map_or(1, |last| last.number + 1);
        if self.news.len() == NEWS_MAX {
            self.news.pop_front();
        }
        self.news.push_back(HealthNews { number, at, level, symbol, text });
    }

    /// News behind number `seen`, oldest first.
    pub fn news_after(&self, seen: u64) -> impl Iterator<Item = &HealthNews> {
        self.news.iter().filter(move |news| news.number > seen)
    }

    /// Notes where the connection stands; true when something happened to it. An
    /// attempt that fails at once leaves the state as it was.
    pub(super) fn link(&mut self, link: &LinkStats, now: Ts) -> bool {
        let of = |link: &LinkStats| (link.state, link.losses, link.attempts);
        let changed = of(&self.link) != of(link);
        let was_up = self.link.state == LinkState::Connected && self.link.losses == link.losses;
        let is_up = link.state == LinkState::Connected;
        if is_up && !was_up {
            if let Some(open) = self.outages.back_mut().filter(|o| o.to.is_none()) {
                open.to = Some(now);
            }
        } else if !is_up && link.last_loss.is_some() {
            let why = link.last_loss.clone().unwrap_or_default();
            if self.outages.back().is_none_or(|o| o.to.is_some()) {
                if self.outages.len() == OUTAGES_MAX {
                    self.outages.pop_front();
                }
                self.outages.push_back(Outage { from: now, to: None, why });
            }
        }
        self.link = link.clone();
        changed
    }

    fn symbol(&mut self, symbol: SymbolId, change: impl FnOnce(&mut SymbolHealth)) {
        if let Some(one) = self.symbols.get_mut(symbol.index()) {
            change(one);
        }
    }
}
