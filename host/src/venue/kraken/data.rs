//! What a session does with market data.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{Changes, Desync};
use super::instruments::pair;
use super::messages::{BookData, InstrumentData, OhlcData, TradeData};
use super::notice::Notice;
use super::parse;
use super::session::Session;
use super::streams::{TradeOrder, believed};
use super::subscriptions::{Channel, FeedKey};
use crate::domain::{Qty, SymbolId, Ts};
use crate::input::{AHEAD_MAX_NS, CandleInput, InputBlock};
use crate::venue::FrameError;

/// Empty intervals in a row that history is filled with, as many as a snapshot
/// has rows; a longer silence leaves a gap.
const FILL_MAX: i64 = 720;

/// Whose trades a message has.
#[derive(Default)]
struct SeenTrades {
    symbols: BTreeSet<SymbolId>,
    /// those whose first snapshot this is, which tells of the time before: wholly, or
    /// until this time of the venue
    history: BTreeMap<SymbolId, Option<Ts>>,
}

impl Session {
    /// Notes data of a feed; false when it belongs to a subscription that is
    /// being ended.
    fn takes(&mut self, channel: Channel, symbol: Option<SymbolId>) -> bool {
        let key = FeedKey { channel, symbol };
        let Some(subscriptions) = &mut self.subscriptions else { return true };
        let takes = subscriptions.accepts(key);
        if takes {
            subscriptions.data(key, self.now);
        }
        takes
    }

    /// Handles each row; one that is refused does not keep the others back.
    fn each<T>(
        &mut self,
        rows: &[T],
        mut handle: impl FnMut(&mut Self, &T) -> Result<(), FrameError>,
    ) -> Result<(), FrameError> {
        let mut result = Ok(());
        for row in rows {
            if let Err(error) = handle(self, row) {
                result = result.and(Err(error));
            }
        }
        result
    }

    pub(super) fn books(
        &mut self,
        rows: &[BookData<'_>],
        snapshot: bool,
        out: &mut InputBlock,
    ) -> Result<(), FrameError> {
        self.each(rows, |session, row| session.book(row, snapshot, out))
    }

    fn book(
        &mut self,
        data: &BookData<'_>,
        snapshot: bool,
        out: &mut InputBlock,
    ) -> Result<(), FrameError> {
        let symbol = self.find(&data.symbol)?;
        let Some(stream) = self.streams.get(symbol.index()) else { return Ok(()) };
        let Some(depth) = stream.depth else {
            self.counts.ignored += 1;
            return Ok(());
        };
        // Only a snapshot begins a book: an update before it proves nothing.
        let usable = snapshot || stream.book_ready;
        if !usable || !self.takes(Channel::Book(depth), Some(symbol)) {
            self.counts.updates_unusable += 1;
            return Ok(());
        }
        let read = parse::book(data, self.instruments.at(symbol));
        let update = match read {
            Ok(update) => update,
            Err(error) => {
                self.desync(symbol, Desync::Unreadable, out);
                return Err(error);
            }
        };
        let Some(stream) = self.streams.get_mut(symbol.index()) else { return Ok(()) };
        let Some(book) = &mut stream.book else { return Ok(()) };
        let (bids, asks) = (&update.bids, &update.asks);
        let told = update.ts_exchange.filter(|_| !snapshot);
        let result = if snapshot {
            book.replace(bids, asks, data.checksum, stream.precision)
        } else {
            book.apply(bids, asks, data.checksum, stream.precision)
        };
        self.counts.checksums_verified +=
            u64::from(!matches!(result, Err(Desync::Checksum { .. })));
        let Changes { bids, asks } = match result {
            Ok(changes) => changes,
            Err(cause) => {
                self.desync(symbol, cause, out);
                return Ok(());
            }
        };
        stream.book_ready = true;
        if snapshot {
            self.counts.snapshots += 1;
        } else {
            self.counts.updates += 1;
        }
        told.into_iter().for_each(|ts| self.mind_clock(ts));
        if snapshot || !(bids.is_empty() && asks.is_empty()) {
            let ts_exchange = update.ts_exchange.unwrap_or(self.now);
            out.push_book(self.now, ts_exchange, symbol, snapshot, &bids, &asks);
        }
        self.announce(symbol, out);
        Ok(())
    }

    pub(super) fn trades(
        &mut self,
        rows: &[TradeData<'_>],
        snapshot: bool,
        out: &mut InputBlock,
    ) -> Result<(), FrameError> {
        let mut seen = SeenTrades::default();
        if snapshot {
            self.counted_anew(rows, &mut seen);
        }
        let result = self.each(rows, |session, row| session.trade(row, snapshot, &mut seen, out));
        // Only behind all of them is the market current again.
        for symbol in seen.symbols {
            self.announce(symbol, out);
        }
        result
    }

    /// Whether the first snapshot of a subscription has trades of a venue that counts
    /// anew: all ids are below the last one, and some were later than all that came. One
    /// with low ids and nothing later lags behind, and repeats what is known. Ids and
    /// times together decide, because either alone can be wrong. What is not later than
    /// what came is history; whether any are missing before the rest nobody can tell.
    fn counted_anew(&mut self, rows: &[TradeData<'_>], seen: &mut SeenTrades) {
        let mut newest: BTreeMap<SymbolId, (u64, Option<Ts>)> = BTreeMap::new();
        for row in rows {
            if let Ok(symbol) = self.find(&row.symbol) {
                let (id, time) = newest.entry(symbol).or_default();
                *id = row.trade_id.max(*id);
                let told = parse::time(&row.timestamp).ok();
                *time = told.and_then(|told| believed(told, self.now)).max(*time);
            }
        }
        for (symbol, (id, time)) in newest {
            let key = FeedKey { channel: Channel::Trade, symbol: Some(symbol) };
            let is_first = self.subscriptions.as_ref().is_some_and(|s| s.awaits_data(key));
            let Some(stream) = self.streams.get_mut(symbol.index()) else { continue };
            let is_later = time > stream.traded_until;
            if let Some(after) = stream.last_trade.filter(|last| is_first && is_later && id < *last)
            {
                stream.last_trade = None;
                seen.history.insert(symbol, stream.traded_until);
                self.counts.trade_id_gaps += 1;
                self.notice(Notice::TradeIdsRestarted { symbol, after, id });
            }
        }
    }

    fn trade(
        &mut self,
        data: &TradeData<'_>,
        snapshot: bool,
        seen: &mut SeenTrades,
        out: &mut InputBlock,
    ) -> Result<(), FrameError> {
        let symbol = self.find(&data.symbol)?;
        let wanted = self.streams.get(symbol.index()).is_some_and(|s| s.trades_wanted);
        if !wanted || !self.takes(Channel::Trade, Some(symbol)) {
            self.counts.ignored += 1;
            return Ok(());
        }
        let (ts_exchange, trade) = parse::trade(data, symbol, self.instruments.at(symbol))?;
        let now = self.now;
        let Some(stream) = self.streams.get_mut(symbol.index()) else { return Ok(()) };
        stream.trades_ready = true;
        seen.symbols.insert(symbol);
        if snapshot && stream.last_trade.is_none() {
            seen.history.entry(symbol).or_default();
        }
        let order = stream.place_trade(trade.id, ts_exchange, now, snapshot);
        let history = seen.history.get(&symbol);
        if history.is_some_and(|until| until.is_none_or(|until| ts_exchange <= until)) {
            self.counts.trades_history += 1;
            return Ok(());
        }
        match order {
            TradeOrder::Next => {}
            TradeOrder::Repeated => {
                self.counts.trades_repeated += 1;
                return Ok(());
            }
            TradeOrder::Gap { after } => {
                self.counts.trade_id_gaps += 1;
                let missed = trade.id - after - 1;
                self.counts.trades_missed = self.counts.trades_missed.saturating_add(missed);
                self.notice(Notice::TradeGap { symbol, after, before: trade.id });
            }
            TradeOrder::Restarted { after } => {
                self.counts.trade_id_gaps += 1;
                self.notice(Notice::TradeIdsRestarted { symbol, after, id: trade.id });
            }
        }
        self.counts.trades += 1;
        if !snapshot {
            self.mind_clock(ts_exchange);
        }
        out.push_trade(self.now, ts_exchange, &trade);
        Ok(())
    }

    /// Passes on the closed candles of a connection's first snapshot, with the empty
    /// intervals between them: all of them, or where the market is followed those of
    /// the time without a connection. Updates are the candle that is forming: trades
    /// make that one, so the feed is ended behind its snapshot.
    pub(super) fn candles(
        &mut self,
        rows: &[OhlcData<'_>],
        snapshot: bool,
        sent: Option<&str>,
        out: &mut InputBlock,
    ) -> Result<(), FrameError> {
        let latest = Ts(self.now.0.saturating_add(AHEAD_MAX_NS));
        let sent = sent.map(parse::time).transpose()?.unwrap_or(self.now).min(latest);
        let mut warmed = BTreeSet::new();
        let mut last: BTreeMap<SymbolId, CandleInput> = BTreeMap::new();
        let result = self.each(rows, |session, row| {
            let symbol = session.find(&row.symbol)?;
            let stream = session.streams.get(symbol.index());
            let minutes = stream.and_then(|s| s.candle_minutes);
            let told = stream.is_none_or(|s| s.told);
            let known_until = stream.map_or(Ts(i64::MIN), |s| s.known_until());
            let wanted = minutes.is_some_and(|minutes| minutes == row.interval);
            if !wanted || !session.takes(Channel::Ohlc(row.interval), Some(symbol)) {
                session.counts.ignored += 1;
                return Ok(());
            }
            let read = parse::candle(row, symbol, session.instruments.at(symbol));
            // Nobody knows what lies between the rows around one that is refused.
            let candle = read.and_then(|candle| match candle.open_ts > latest {
                true => Err(FrameError::Candle("it begins in the future")),
                false => Ok(candle),
            });
            let candle = candle.inspect_err(|_| {
                last.remove(&symbol);
            })?;
            if candle.volume != Qty::ZERO {
                session.note_volume(symbol, out);
            }
            let length = i64::from(candle.interval_s).saturating_mul(Ts::SECOND);
            let end = Ts(candle.open_ts.0.saturating_add(length));
            if snapshot && !told {
                warmed.insert(symbol);
            }
            if told || !snapshot || end > sent || end <= known_until {
                session.counts.candles_ignored += 1;
                return Ok(());
            }
            let before = last.get(&symbol).copied();
            if before.is_some_and(|last| candle.open_ts <= last.open_ts) {
                session.counts.candles_ignored += 1;
                return Ok(());
            }
            for filler in fillers(before, candle.open_ts, length) {
                session.counts.candles += 1;
                out.push_candle(session.now, &filler);
            }
            session.counts.candles += 1;
            out.push_candle(session.now, &candle);
            last.insert(symbol, candle);
            Ok(())
        });
        for symbol in warmed {
            let Some(stream) = self.streams.get_mut(symbol.index()) else { continue };
            stream.was_told();
            if let Some(minutes) = stream.candle_minutes {
                self.finish(FeedKey { channel: Channel::Ohlc(minutes), symbol: Some(symbol) });
            }
        }
        result
    }

    /// A pair whose candles have volume has trades, whatever was thought.
    fn note_volume(&mut self, symbol: SymbolId, out: &mut InputBlock) {
        let Some(subscriptions) = &mut self.subscriptions else { return };
        let Some(stream) = self.streams.get_mut(symbol.index()) else { return };
        if stream.note_volume() {
            subscriptions.renew(FeedKey { channel: Channel::Trade, symbol: Some(symbol) });
            self.announce(symbol, out);
        }
    }

    /// Takes rules and states of pairs. The numbers of a pair that cannot be
    /// read leave it as it was, but not fresh.
    pub(super) fn pairs(
        &mut self,
        data: &InstrumentData<'_>,
        snapshot: bool,
        out: &mut InputBlock,
    ) -> Result<(), FrameError> {
        self.takes(Channel::Instrument, None);
        let mut missing: BTreeSet<SymbolId> = BTreeSet::new();
        // In a recording the list may be of another day than the data.
        if snapshot && self.subscriptions.is_some() {
            missing.extend(self.instruments.iter().map(|(id, _)| id));
        }
        let result = self.each(&data.pairs, |session, row| {
            let Ok(symbol) = session.find(&row.symbol) else { return Ok(()) };
            missing.remove(&symbol);
            let read = pair(row);
            let Some(stream) = session.streams.get_mut(symbol.index()) else { return Ok(()) };
            let (was_representable, before) = (stream.representable, stream.rules.rules());
            let changed = match &read {
                Ok(pair) => stream.take_rules(pair),
                Err(_) => std::mem::replace(&mut stream.representable, false),
            };
            if was_representable && !stream.representable {
                session.notice(Notice::PrecisionChanged(symbol));
            } else if changed {
                session.notice(Notice::Rules(symbol));
            }
            let rules = session.streams.get(symbol.index()).map(|s| s.rules.rules());
            if let Some(rules) = rules.filter(|rules| *rules != before) {
                out.push_rules(session.now, symbol, &rules);
            }
            session.announce(symbol, out);
            read.map(|_| ())
        });
        for symbol in missing {
            if let Some(stream) = self.streams.get_mut(symbol.index()) {
                stream.listed = false;
            }
            self.notice(Notice::NotListed(symbol));
            self.announce(symbol, out);
        }
        result
    }
}

/// Flat candles at the last close for the intervals without trades before
/// `open_ts`, which the venue leaves out.
fn fillers(
    before: Option<CandleInput>,
    open_ts: Ts,
    length: i64,
) -> impl Iterator<Item = CandleInput> {
    let missing = before.map_or(0, |last| open_ts.since(last.open_ts) / length - 1);
    let missing = if missing > FILL_MAX { 0 } else { missing };
    before.into_iter().flat_map(move |last| {
        (1..=missing).map(move |step| CandleInput {
            open_ts: Ts(last.open_ts.0.saturating_add(step.saturating_mul(length))),
            open: last.close,
            high: last.close,
            low: last.close,
            volume: Qty::ZERO,
            ..last
        })
    })
}
