//! How a live feed is, for the dashboard and the log.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::{LinkState, LinkStats};
use crate::domain::{InstrumentTable, SymbolId, Ts};
use crate::input::{EventRef, InputBlock, TradingStatus};
use crate::venue::kraken::{Counts, Notice};

/// Outages that are remembered; the oldest go.
const OUTAGES_MAX: usize = 100;

/// A symbol's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SymbolHealth {
    /// the run's name for it
    pub symbol: String,
    /// whether its data is current and the venue trades it
    pub status: TradingStatus,
    /// when data came last, by channel: `book`, `trade`, `ohlc`
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
    pub counts: Counts,
    /// each symbol, in the run's order
    pub symbols: Vec<SymbolHealth>,
    /// received minus the venue's time of the latest event, in nanoseconds: a
    /// delay and the difference of two clocks, so it may be negative
    pub skew_ns: Option<i64>,
    /// the latest outages, oldest first
    pub outages: VecDeque<Outage>,
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
            counts: Counts::default(),
            symbols: instruments.iter().map(|(_, i)| symbol(&i.symbol)).collect(),
            skew_ns: None,
            outages: VecDeque::new(),
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
                EventRef::Candle(candle) => (candle.symbol, "ohlc"),
                EventRef::Status { symbol, status } => {
                    if let Some(one) = self.symbols.get_mut(symbol.index()) {
                        one.status = status;
                    }
                    continue;
                }
                EventRef::Rules { .. } | EventRef::Timer => continue,
            };
            let ts = block.ts(index);
            if channel != "ohlc" {
                self.skew_ns = Some(ts.since(block.ts_exchange(index)));
            }
            if let Some(one) = self.symbols.get_mut(symbol.index()) {
                one.messages += 1;
                one.last.insert(channel, ts);
            }
        }
    }

    /// Notes what the protocol said of a symbol.
    pub(super) fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::TradeGap { symbol, .. } => self.symbol(*symbol, |one| one.gaps += 1),
            Notice::Desync { symbol, .. } => self.symbol(*symbol, |one| one.checksum_failures += 1),
            _ => {}
        }
    }

    /// Notes where the connection stands; true when it is another than before.
    pub(super) fn link(&mut self, link: &LinkStats, now: Ts) -> bool {
        let changed = self.link.state != link.state || self.link.losses != link.losses;
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
