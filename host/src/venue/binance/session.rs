//! The protocol's state: one splice and one book for each symbol.

use std::collections::VecDeque;

use super::messages::{self, DepthSnapshot, DepthUpdate, LevelText, Message, Ticker, TradeMessage};
use super::splice::{Delta, Splice, Spliced, Verdict};
use crate::domain::{InstrumentTable, Price, Qty, Side, SymbolId, Ts, decimal};
use crate::input::{InputBlock, TS_MAX, Trade, TradingStatus, UNITS_MAX};
use crate::venue::depth::{Changes, DepthBook, Level};
use crate::venue::{ErrorCounts, FrameError, News, Protocol, Request};

/// Best prices that wait for the delta that brings the book to the same change:
/// more than ever come between two deltas, 100 ms apart.
const TICKERS_MAX: usize = 4_096;

/// Reads the public streams of the symbols of one instrument table.
///
/// Trades are passed on from the first; book events begin with a snapshot, once
/// one joins the deltas. A lost delta or a crossed book makes the symbol stale
/// until the next snapshot.
pub struct Session {
    pub(super) instruments: InstrumentTable,
    streams: Vec<Stream>,
    requests: VecDeque<Request>,
    pub(super) news: VecDeque<News>,
    pub(super) counts: Counts,
}

/// What a session has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// frames handed in
    pub frames: u64,
    /// trades passed on
    pub trades: u64,
    /// trades dropped because their id is not above the one before
    pub trades_repeated: u64,
    /// how often trade ids skipped one or more
    pub trade_id_gaps: u64,
    /// trades that those gaps lack
    pub trades_missed: u64,
    /// news that nobody took in time
    pub news_lost: u64,
    /// depth deltas handed in
    pub deltas: u64,
    /// depth deltas applied to a book
    pub deltas_applied: u64,
    /// snapshots that a book began with
    pub snapshots: u64,
    /// snapshots that ended before the waiting deltas begin, or behind the book
    pub snapshots_unusable: u64,
    /// how often a delta was lost
    pub gaps: u64,
    /// how often a book had its best bid at or above its best ask
    pub crossed: u64,
    /// best prices whose update id met the book's
    pub tickers_compared: u64,
    /// those equal to the book in both prices and both quantities
    pub tickers_equal: u64,
    /// frames of other kinds
    pub ignored: u64,
    /// frames refused, by kind of error
    pub errors: ErrorCounts,
}

struct Stream {
    splice: Splice,
    book: DepthBook,
    stale: bool,
    snapshot_requested: bool,
    last_trade: Option<u64>,
    tickers: VecDeque<Best>,
}

/// Best bid and ask as of a change.
struct Best {
    update_id: u64,
    bid: Level,
    ask: Level,
}

impl Session {
    /// A session for these instruments that shows at most `depth` levels a side
    /// (at least one), or all of them.
    #[must_use]
    pub fn new(instruments: InstrumentTable, depth: Option<usize>) -> Self {
        let depth = depth.map(|levels| levels.max(1));
        let stream = |_| Stream {
            splice: Splice::default(),
            book: DepthBook::new(depth),
            stale: false,
            snapshot_requested: false,
            last_trade: None,
            tickers: VecDeque::new(),
        };
        let streams = instruments.iter().map(stream).collect();
        Self {
            instruments,
            streams,
            requests: VecDeque::new(),
            news: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// What it has seen so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes the answer to [`Request::Snapshot`].
    ///
    /// # Errors
    /// As [`Protocol::handle_text`].
    pub fn handle_snapshot(
        &mut self,
        symbol: SymbolId,
        text: &str,
        now: Ts,
        out: &mut InputBlock,
    ) -> Result<(), FrameError> {
        self.counts.frames += 1;
        let result = serde_json::from_str(text)
            .map_err(FrameError::from)
            .and_then(|message| self.snapshot(symbol, &message, now, out));
        self.counted(result)
    }

    /// Best bid and ask of a symbol with their quantities, while its book is
    /// joined.
    #[must_use]
    pub fn best(&self, symbol: SymbolId) -> Option<((Price, Qty), (Price, Qty))> {
        self.streams.get(symbol.index())?.book.best()
    }

    fn counted(&mut self, result: Result<(), FrameError>) -> Result<(), FrameError> {
        if let Err(error) = &result {
            *self.counts.errors.entry(error.kind()).or_default() += 1;
        }
        result
    }

    fn handle(&mut self, text: &str, now: Ts, out: &mut InputBlock) -> Result<(), FrameError> {
        match messages::parse(text)? {
            Message::Trade(message) => self.trade(&message, now, out),
            Message::Depth(message) => self.depth(&message, now, out),
            Message::Ticker(message) => self.ticker(&message),
            Message::Snapshot(message) if self.streams.len() == 1 => {
                self.snapshot(SymbolId(0), &message, now, out)
            }
            Message::Snapshot(_) => Err(FrameError::NoSymbol("snapshot")),
            Message::Other => {
                self.counts.ignored += 1;
                Ok(())
            }
        }
    }

    fn find(&self, name: &str) -> Result<SymbolId, FrameError> {
        let unknown = || FrameError::UnknownSymbol(name.chars().take(40).collect());
        self.instruments.find(name).ok_or_else(unknown)
    }

    fn trade(
        &mut self,
        message: &TradeMessage<'_>,
        now: Ts,
        out: &mut InputBlock,
    ) -> Result<(), FrameError> {
        let symbol = self.find(message.symbol)?;
        let price = self.price(symbol, "p", message.price)?;
        let qty = self.qty(symbol, "q", message.qty)?;
        if qty.is_zero() {
            return Err(FrameError::Range { field: "q", value: 0 });
        }
        let ts_exchange = exchange_time("T", message.time)?;
        let stream = &mut self.streams[symbol.index()];
        if let Some(last) = stream.last_trade {
            if message.id <= last {
                self.counts.trades_repeated += 1;
                return Ok(());
            }
            stream.last_trade = Some(message.id);
            if message.id - last > 1 {
                self.counts.trade_id_gaps += 1;
                let missed = message.id - last - 1;
                self.counts.trades_missed = self.counts.trades_missed.saturating_add(missed);
                self.tell_gap(symbol, last, message.id);
            }
        }
        self.streams[symbol.index()].last_trade = Some(message.id);
        self.counts.trades += 1;
        let side = if message.buyer_is_maker { Side::Sell } else { Side::Buy };
        out.push_trade(now, ts_exchange, &Trade { symbol, side, price, qty, id: message.id });
        Ok(())
    }

    fn depth(
        &mut self,
        message: &DepthUpdate<'_>,
        now: Ts,
        out: &mut InputBlock,
    ) -> Result<(), FrameError> {
        let symbol = self.find(message.symbol)?;
        let (first_id, last_id) = (message.first_id, message.last_id);
        if first_id > last_id {
            return Err(FrameError::UpdateIds { first: first_id, last: last_id });
        }
        let delta = Delta {
            first_id,
            last_id,
            ts_exchange: exchange_time("E", message.time)?,
            bids: self.levels(symbol, "b", &message.bids)?,
            asks: self.levels(symbol, "a", &message.asks)?,
        };
        self.counts.deltas += 1;
        self.delta(symbol, delta, now, out);
        Ok(())
    }

    fn delta(&mut self, symbol: SymbolId, delta: Delta, now: Ts, out: &mut InputBlock) {
        let stream = &mut self.streams[symbol.index()];
        match stream.splice.on_delta(delta) {
            Verdict::Old => {}
            Verdict::Waits => self.request_snapshot(symbol),
            Verdict::Gap => {
                self.counts.gaps += 1;
                self.tell_desync(symbol, "a change of its book was lost");
                self.lose(symbol, now, out);
            }
            Verdict::Apply(delta) => {
                self.counts.deltas_applied += 1;
                let Changes { bids, asks } = stream.book.apply(&delta.bids, &delta.asks);
                if stream.book.is_crossed() {
                    self.counts.crossed += 1;
                    stream.splice.restart();
                    self.tell_desync(symbol, "its best bid is above its best ask");
                    self.lose(symbol, now, out);
                    return;
                }
                if !(bids.is_empty() && asks.is_empty()) {
                    out.push_book(now, delta.ts_exchange, symbol, false, &bids, &asks);
                }
                self.compare(symbol, delta.last_id);
            }
        }
    }

    /// The book cannot be trusted any more.
    fn lose(&mut self, symbol: SymbolId, now: Ts, out: &mut InputBlock) {
        let stream = &mut self.streams[symbol.index()];
        stream.book.clear();
        stream.tickers.clear();
        if !stream.stale {
            stream.stale = true;
            out.push_status(now, symbol, TradingStatus::Stale);
        }
        self.request_snapshot(symbol);
    }

    fn request_snapshot(&mut self, symbol: SymbolId) {
        let stream = &mut self.streams[symbol.index()];
        if !stream.snapshot_requested {
            stream.snapshot_requested = true;
            self.requests.push_back(Request::Snapshot(symbol));
        }
    }

    fn snapshot(
        &mut self,
        symbol: SymbolId,
        message: &DepthSnapshot<'_>,
        now: Ts,
        out: &mut InputBlock,
    ) -> Result<(), FrameError> {
        let bids = self.levels(symbol, "bids", &message.bids)?;
        let asks = self.levels(symbol, "asks", &message.asks)?;
        let Some(stream) = self.streams.get_mut(symbol.index()) else {
            return Err(FrameError::UnknownSymbol(format!("number {}", symbol.0)));
        };
        stream.snapshot_requested = false;
        let (ts_exchange, then) = match stream.splice.on_snapshot(message.last_id) {
            Spliced::Joined { ts_exchange, then } => (ts_exchange, then),
            Spliced::Behind => {
                self.counts.snapshots_unusable += 1;
                return Ok(());
            }
            Spliced::TooOld => {
                self.counts.snapshots_unusable += 1;
                self.request_snapshot(symbol);
                return Ok(());
            }
        };
        let shown = stream.book.replace(&bids, &asks);
        if stream.book.is_crossed() {
            self.counts.crossed += 1;
            stream.splice.restart();
            self.tell_desync(symbol, "its best bid is above its best ask");
            self.lose(symbol, now, out);
            return Ok(());
        }
        self.counts.snapshots += 1;
        // REST answers carry no time: that of the newest delta in it is the
        // closest that the venue gave.
        out.push_book(now, ts_exchange.unwrap_or(now), symbol, true, &shown.bids, &shown.asks);
        if std::mem::take(&mut stream.stale) {
            out.push_status(now, symbol, TradingStatus::Trading);
        }
        self.compare(symbol, message.last_id);
        for delta in then {
            self.delta(symbol, delta, now, out);
        }
        Ok(())
    }

    /// Keeps best prices until the book has come to the same change; those of a
    /// change that the book has already passed cannot be compared any more.
    fn ticker(&mut self, message: &Ticker<'_>) -> Result<(), FrameError> {
        let symbol = self.find(message.symbol)?;
        let bid = (self.price(symbol, "b", message.bid)?, self.qty(symbol, "B", message.bid_qty)?);
        let ask = (self.price(symbol, "a", message.ask)?, self.qty(symbol, "A", message.ask_qty)?);
        let stream = &mut self.streams[symbol.index()];
        if stream.tickers.len() == TICKERS_MAX {
            stream.tickers.pop_front();
        }
        stream.tickers.push_back(Best { update_id: message.update_id, bid, ask });
        if let Splice::Live(last) = stream.splice {
            self.compare(symbol, last);
        }
        Ok(())
    }

    /// Compares the best prices as of change `last` with the book, which has
    /// just come to it, and forgets older ones.
    fn compare(&mut self, symbol: SymbolId, last: u64) {
        let stream = &mut self.streams[symbol.index()];
        while stream.tickers.front().is_some_and(|ticker| ticker.update_id <= last) {
            let Some(ticker) = stream.tickers.pop_front() else { return };
            if ticker.update_id == last {
                let equal = stream.book.best() == Some((ticker.bid, ticker.ask));
                self.counts.tickers_compared += 1;
                self.counts.tickers_equal += u64::from(equal);
            }
        }
    }

    fn levels(
        &self,
        symbol: SymbolId,
        field: &'static str,
        levels: &[LevelText<'_>],
    ) -> Result<Vec<Level>, FrameError> {
        let level = |&(price, qty): &LevelText<'_>| {
            Ok((self.price(symbol, field, price)?, self.qty(symbol, field, qty)?))
        };
        levels.iter().map(level).collect()
    }

    fn price(
        &self,
        symbol: SymbolId,
        field: &'static str,
        text: &str,
    ) -> Result<Price, FrameError> {
        let decimals = self.instruments.get(symbol).map_or(0, |i| i.price_decimals);
        let value = decimal::parse_i64(text, decimals)
            .map_err(|source| FrameError::Number { field, source })?;
        if (1..=UNITS_MAX).contains(&value) {
            Ok(Price(value))
        } else {
            Err(FrameError::Range { field, value })
        }
    }

    fn qty(&self, symbol: SymbolId, field: &'static str, text: &str) -> Result<Qty, FrameError> {
        let decimals = self.instruments.get(symbol).map_or(0, |i| i.qty_decimals);
        let value = decimal::parse_i64(text, decimals)
            .map_err(|source| FrameError::Number { field, source })?;
        if (0..=UNITS_MAX).contains(&value) {
            Ok(Qty(value))
        } else {
            Err(FrameError::Range { field, value })
        }
    }
}

fn exchange_time(field: &'static str, time: u64) -> Result<Ts, FrameError> {
    let value = i64::try_from(time).unwrap_or(i64::MAX);
    let time = messages::nanoseconds(time).filter(|time| *time <= TS_MAX);
    time.ok_or(FrameError::Range { field, value })
}

impl Protocol for Session {
    fn handle_disconnected(&mut self, now: Ts, out: &mut InputBlock) {
        self.requests.clear();
        for (stream, number) in self.streams.iter_mut().zip(0_u16..) {
            let was_live = matches!(stream.splice, Splice::Live(_));
            stream.splice.restart();
            stream.book.clear();
            stream.tickers.clear();
            stream.snapshot_requested = false;
            if was_live && !stream.stale {
                stream.stale = true;
                out.push_status(now, SymbolId(number), TradingStatus::Stale);
            }
        }
    }

    fn handle_text(&mut self, text: &str, now: Ts, out: &mut InputBlock) -> Result<(), FrameError> {
        self.counts.frames += 1;
        let result = self.handle(text, now, out);
        self.counted(result)
    }

    fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }
}
