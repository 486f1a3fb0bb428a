//! One symbol's state.

use super::book::Book;
use super::checksum::{Precision, Units};
use super::instruments::{Pair, stricter};
use crate::domain::{Instrument, Ts};
use crate::input::{AHEAD_MAX_NS, TradingStatus, UNITS_MAX};
use crate::venue::Wanted;

/// Where times say nothing, an id this far below the last one in an update means that
/// the venue counts anew, and not that a trade is repeated: snapshots reach back 50
/// trades. Without this a restart would silence the channel for good.
const RESTART_DISTANCE: u64 = 100_000;

/// How far behind the loss of a connection candles are told again: the minute that was
/// open, and what the venue's clock may differ by.
const RETOLD_NS: i64 = 180 * Ts::SECOND;

/// What is known of a symbol.
pub(super) struct Stream {
    /// the venue's present rules
    pub(super) rules: Instrument,
    pub(super) precision: Precision,
    /// whether the run's units can hold the venue's numbers
    pub(super) representable: bool,
    pub(super) pair_status: TradingStatus,
    pub(super) listed: bool,
    pub(super) depth: Option<u32>,
    pub(super) book: Option<Book>,
    pub(super) book_ready: bool,
    pub(super) trades_wanted: bool,
    pub(super) trades_ready: bool,
    pub(super) last_trade: Option<u64>,
    /// trades up to this time of the venue have come, or were from before
    pub(super) traded_until: Option<Ts>,
    /// a candle has told that it trades
    pub(super) has_traded: bool,
    /// how often its trades were granted and none came
    pub(super) trades_waited: u32,
    pub(super) candle_minutes: Option<u32>,
    pub(super) warm: bool,
    /// candles have told of the time before this connection
    pub(super) told: bool,
    /// since when it may lack data
    dark_since: Option<Ts>,
    announced: TradingStatus,
}

/// What a trade's id says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TradeOrder {
    /// it follows
    Next,
    /// it follows, but some are missing in between
    Gap {
        /// the last id before
        after: u64,
    },
    /// it came before
    Repeated,
    /// the venue counts anew
    Restarted {
        /// the last id before
        after: u64,
    },
}

impl Stream {
    /// The state before any frame, in units of `instrument`.
    pub(super) fn new(instrument: &Instrument) -> Self {
        let (price, qty) = (instrument.price_decimals, instrument.qty_decimals);
        Self {
            rules: instrument.clone(),
            precision: Precision { price, qty },
            representable: true,
            pair_status: TradingStatus::Trading,
            listed: true,
            depth: None,
            book: None,
            book_ready: false,
            trades_wanted: false,
            trades_ready: false,
            last_trade: None,
            traded_until: None,
            has_traded: false,
            trades_waited: 0,
            candle_minutes: None,
            warm: false,
            told: false,
            dark_since: None,
            announced: TradingStatus::Trading,
        }
    }

    /// Prepares what is wanted of the symbol, at this depth of the book.
    pub(super) fn want(&mut self, wanted: &Wanted, depth: Option<u32>) {
        let units = Units { price: self.rules.price_decimals, qty: self.rules.qty_decimals };
        let shown = wanted.shown.unwrap_or(u32::MAX) as usize;
        self.depth = depth;
        self.book = depth.map(|depth| Book::new(depth as usize, shown, units));
        self.trades_wanted = wanted.trades;
        self.candle_minutes = wanted.candle_minutes;
    }

    /// The status to announce, when it is another than before.
    pub(super) fn status_change(&mut self, system: TradingStatus) -> Option<TradingStatus> {
        let fresh = self.representable
            && (self.book.is_none() || self.book_ready)
            && (!self.trades_wanted || self.trades_ready);
        let data = if fresh { TradingStatus::Trading } else { TradingStatus::Stale };
        let listed = if self.listed { TradingStatus::Trading } else { TradingStatus::Paused };
        let venue = stricter(stricter(system, self.pair_status), listed);
        let status = stricter(data, venue);
        (std::mem::replace(&mut self.announced, status) != status).then_some(status)
    }

    /// Its trades were granted and none came in time: true when that is taken for a
    /// pair that has not traded yet. One that has traded in this run has a recent past,
    /// which is missing then, and so has one whose candles have volume. A subscription
    /// may also be granted in vain, so twice.
    pub(super) fn has_no_trades(&mut self) -> bool {
        self.trades_waited = self.trades_waited.saturating_add(1);
        let none = self.last_trade.is_none() && !self.has_traded && self.trades_waited >= 2;
        self.trades_ready |= none;
        none
    }

    /// Notes that a candle has volume. True when it was taken for a pair without
    /// trades: its trades do not come, and it is not current.
    pub(super) fn note_volume(&mut self) -> bool {
        self.has_traded = true;
        let lacks = self.trades_wanted && self.trades_ready && self.last_trade.is_none();
        self.trades_ready &= !lacks;
        lacks
    }

    /// The connection is gone.
    pub(super) fn lose_connection(&mut self, now: Ts) {
        self.lose_book();
        (self.trades_ready, self.told) = (false, false);
        self.dark_since.get_or_insert(now);
    }

    /// Notes that candles have told of the time before this connection.
    pub(super) fn was_told(&mut self) {
        (self.warm, self.told, self.dark_since) = (true, true, None);
    }

    /// Candles that end before this are known: where the market is followed too, and
    /// not only its past asked for, those of the time before the connection was lost.
    pub(super) fn known_until(&self) -> Ts {
        let follows = self.trades_wanted || self.depth.is_some();
        let since = self.dark_since.filter(|_| follows);
        since.map_or(Ts(i64::MIN), |since| Ts(since.0.saturating_sub(RETOLD_NS)))
    }

    /// Forgets the book.
    pub(super) fn lose_book(&mut self) {
        self.book_ready = false;
        if let Some(book) = &mut self.book {
            book.clear();
        }
    }

    /// Takes a pair's new rules, still in the run's units; true when they
    /// differ from the old ones.
    pub(super) fn take_rules(&mut self, pair: &Pair) -> bool {
        let units = (self.rules.price_decimals, self.rules.qty_decimals);
        let theirs = (pair.instrument.price_decimals, pair.instrument.qty_decimals);
        self.precision = Precision { price: theirs.0, qty: theirs.1 };
        self.listed = true;
        let rescaled = rescale(&pair.instrument, units);
        self.representable = rescaled.is_some();
        let mut rules = rescaled.unwrap_or_else(|| self.rules.clone());
        // The run may know it by another name.
        rules.symbol.clone_from(&self.rules.symbol);
        let changed = rules != self.rules || pair.status != self.pair_status;
        (self.rules, self.pair_status) = (rules, pair.status);
        changed
    }

    /// Places a trade, told at `now` with the venue's time `ts`, behind those before it.
    ///
    /// Ids rise, and so a lower one is a repeat or a venue that counts anew. Its time
    /// tells: a repeat is not later than what has come. Within a snapshot only the whole
    /// can tell, see `Session::counted_anew`.
    pub(super) fn place_trade(&mut self, id: u64, ts: Ts, now: Ts, snapshot: bool) -> TradeOrder {
        let time = believed(ts, now);
        let order = match self.last_trade {
            None => TradeOrder::Next,
            Some(after) if id > after && id - after == 1 => TradeOrder::Next,
            Some(after) if id > after => TradeOrder::Gap { after },
            Some(after) if id < after && !snapshot => {
                let is_later = time.zip(self.traded_until).map(|(time, until)| time > until);
                if !is_later.unwrap_or(after - id > RESTART_DISTANCE) {
                    return TradeOrder::Repeated;
                }
                TradeOrder::Restarted { after }
            }
            Some(_) => return TradeOrder::Repeated,
        };
        self.last_trade = Some(id);
        // A wrong time must not make a repeat of this trade look new.
        let time = time.filter(|time| self.traded_until.is_none_or(|until| *time >= until));
        self.traded_until = self.traded_until.max(Some(time.unwrap_or(now)));
        order
    }
}

/// A time of the venue, unless it is too far ahead of the clock to be one.
pub(super) fn believed(ts: Ts, now: Ts) -> Option<Ts> {
    (ts.since(now) <= AHEAD_MAX_NS).then_some(ts)
}

/// The same rules in units of so many decimals; `None` when those are too few.
fn rescale(theirs: &Instrument, (price, qty): (u8, u8)) -> Option<Instrument> {
    let factor = |ours: u8, theirs: u8| {
        let factor = crate::domain::decimal::pow10(u32::from(ours.checked_sub(theirs)?))?;
        i64::try_from(factor).ok()
    };
    let price_factor = factor(price, theirs.price_decimals)?;
    let qty_factor = factor(qty, theirs.qty_decimals)?;
    let mut rules = theirs.clone();
    (rules.price_decimals, rules.qty_decimals) = (price, qty);
    rules.price_increment.0 = theirs.price_increment.0.checked_mul(price_factor)?;
    rules.qty_increment.0 = theirs.qty_increment.0.checked_mul(qty_factor)?;
    rules.qty_min.0 = theirs.qty_min.0.checked_mul(qty_factor)?;
    let numbers = [rules.price_increment.0, rules.qty_increment.0, rules.qty_min.0];
    numbers.into_iter().all(|number| number <= UNITS_MAX).then_some(rules)
}
