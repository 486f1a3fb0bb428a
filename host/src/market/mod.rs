//! What is known of the market: books, candles, recent trades, last prices.
//!
//! One [`Market`] serves all lanes. It is moved forward event by event; books
//! keep an undo log until [`Market::commit`], so that a lane that trades in the
//! middle of a batch meets the book of that event and not of the batch's end.

pub mod book;
pub mod candles;
mod gaps;
mod image;
#[cfg(test)]
mod told_tests;
pub mod view;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::domain::{InstrumentTable, Side, SymbolId, Ts};
use crate::input::{EventRef, InputBlock, Trade, TradingStatus};

pub use book::Book;
pub use candles::{Candle, CandleSeries, ClosedCandle};
pub use image::MarketImage;
pub use view::DepthView;

/// How much history is kept, all bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketLimits {
    /// closed candles per symbol and interval
    pub candles: usize,
    /// trades per symbol
    pub trades: usize,
    /// the most empty candles that are filled in a row; a longer silence
    /// leaves a gap
    pub fill_gaps: u32,
}

impl Default for MarketLimits {
    fn default() -> Self {
        Self { candles: 500, trades: 1_000, fill_gaps: 1_440 }
    }
}

/// The prices of a symbol at one moment. Zero means unknown: no venue trades at
/// a price of zero, and parsers refuse it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    /// best bid, in price units
    pub bid: i64,
    /// best ask, in price units
    pub ask: i64,
    /// last trade, in price units
    pub last: i64,
    /// when that became known; of a candle of history its end
    pub last_ts: Ts,
    /// whether the data may be used
    pub status: TradingStatus,
    /// whether the feed has a book for it
    pub has_book: bool,
}

impl Top {
    /// The price that a market order of this side would meet: the opposite best
    /// where there is a book, elsewhere the last trade unless it is older than
    /// `oldest`; 0 without one.
    #[must_use]
    pub fn meets(&self, side: Side, oldest: Ts) -> i64 {
        match side {
            _ if !self.has_book && self.last_ts < oldest => 0,
            _ if !self.has_book => self.last,
            Side::Buy => self.ask,
            Side::Sell => self.bid,
        }
    }

    /// Twice the mark price: the mid where there is a book with both sides, else
    /// the last trade, else the one side that there is; 0 without any. Twice, because a mid can fall between two units.
    #[must_use]
    pub fn mark2(&self) -> i64 {
        if self.bid > 0 && self.ask > 0 {
            self.bid + self.ask
        } else if self.last > 0 {
            2 * self.last
        } else {
            2 * self.bid.max(self.ask)
        }
    }
}

/// A trade in the history, with the moment at which it became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastTrade {
    /// the engine moment, for looking back from inside a batch
    pub moment: u64,
    /// the engine's clock
    pub ts: Ts,
    /// the print
    pub trade: Trade,
}

/// One symbol's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    book: Book,
    top: Top,
    trades: VecDeque<PastTrade>,
    series: Vec<CandleSeries>,
}

/// What a book looked like before an event changed it.
#[derive(Clone, Debug)]
enum Undo {
    Level {
        side: Side,
        price: i64,
        qty: i64,
        printed: i64,
    },
    /// what prints had taken of a level
    Printed {
        side: Side,
        price: i64,
        qty: i64,
    },
    Whole(Box<Book>),
}

/// All symbols' books, candles, trades and prices.
#[derive(Clone, Debug)]
pub struct Market {
    limits: MarketLimits,
    /// how many trades may be looked past when answering from inside a batch
    slack: usize,
    states: Vec<State>,
    undo: Vec<(u32, SymbolId, Undo)>,
    /// block index up to which book events are applied, exclusive
    books_at: u32,
    /// the end of the applied range, exclusive
    applied: u32,
    /// the end of the committed range, before which nothing can be undone
    committed: u32,
}

impl Market {
    /// An empty market. `batch` is the largest number of events that are applied
    /// between two commits.
    #[must_use]
    pub fn new(instruments: &InstrumentTable, limits: MarketLimits, batch: usize) -> Self {
        let states = vec![State::default(); instruments.len()];
        Self {
            limits,
            slack: batch,
            states,
            undo: Vec::new(),
            books_at: 0,
            applied: 0,
            committed: 0,
        }
    }

    /// Keeps candles of an interval for a symbol.
    pub fn track_candles(&mut self, symbol: SymbolId, interval_s: u32) {
        let keep = self.limits.candles;
        let series = &mut self.states[symbol.index()].series;
        if series.iter().all(|s| s.interval_s() != interval_s) {
            series.push(CandleSeries::new(interval_s, keep, self.limits.fill_gaps));
            series.sort_by_key(CandleSeries::interval_s);
        }
    }

    /// The candle series of a symbol, shortest interval first.
    #[must_use]
    pub fn series(&self, symbol: SymbolId) -> &[CandleSeries] {
        &self.states[symbol.index()].series
    }

    /// The same, to be fed.
    pub fn series_mut(&mut self, symbol: SymbolId) -> &mut [CandleSeries] {
        &mut self.states[symbol.index()].series
    }

    /// How many symbols there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// True without symbols.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// The newest prices of a symbol.
    #[must_use]
    pub fn top(&self, symbol: SymbolId) -> Top {
        self.states[symbol.index()].top
    }

    /// The book of a symbol, at the event last sought.
    #[must_use]
    pub fn book(&self, symbol: SymbolId) -> &Book {
        &self.states[symbol.index()].book
    }

    /// The newest `n` trades that were known at `moment`, oldest of them first.
    pub fn trades(
        &self,
        symbol: SymbolId,
        moment: u64,
        n: usize,
    ) -> impl Iterator<Item = &PastTrade> {
        let trades = &self.states[symbol.index()].trades;
        let known = trades.partition_point(|t| t.moment <= moment);
        let n = n.min(self.limits.trades);
        trades.range(known.saturating_sub(n)..known)
    }

    /// The newest `n` closed candles that were known at `moment`.
    pub fn candles(
        &self,
        symbol: SymbolId,
        interval_s: u32,
        moment: u64,
        n: usize,
    ) -> impl Iterator<Item = &ClosedCandle> {
        let n = n.min(self.limits.candles);
        self.series(symbol)
            .iter()
            .find(|s| s.interval_s() == interval_s)
            .into_iter()
            .flat_map(move |s| s.newest_at(moment, n))
    }

    /// Applies a trade: last price and history. Candles are fed apart, because
    /// they close before the trade that ends them counts.
    pub fn apply_trade(&mut self, moment: u64, ts: Ts, trade: &Trade) {
        let keep = self.limits.trades + self.slack;
        let state = &mut self.states[trade.symbol.index()];
        (state.top.last, state.top.last_ts) = (trade.price.0, ts);
        if state.trades.len() >= keep {
            state.trades.pop_front();
        }
        state.trades.push_back(PastTrade { moment, ts, trade: *trade });
    }

    /// Sets a symbol's status.
    pub fn apply_status(&mut self, symbol: SymbolId, status: TradingStatus) {
        self.states[symbol.index()].top.status = status;
    }

    /// Takes the close of a candle of history as the last price, until a trade is
    /// known.
    pub fn apply_history_price(&mut self, symbol: SymbolId, close: i64, end: Ts) {
        let state = &mut self.states[symbol.index()];
        if state.trades.is_empty() {
            (state.top.last, state.top.last_ts) = (close, end);
        }
    }

    /// Applies the book event `index` of the block. Events are applied, or
    /// passed, in order.
    pub fn apply_book(&mut self, block: &InputBlock, index: u32) {
        self.redo(block, index);
        self.pass(index);
    }

    /// Applies the trade `index` of the block to its book: what it took there is not
    /// there any more, though the book displays it until its next event. One from before
    /// the book's snapshot, told again after an outage, took nothing of it.
    pub fn print(&mut self, block: &InputBlock, index: u32, trade: &Trade) {
        let book = &mut self.states[trade.symbol.index()].book;
        if block.ts_exchange(index as usize) < book.since() {
            return;
        }
        let Some(before) = book.print(trade.side, trade.price.0, trade.qty.0) else { return };
        let side = if trade.side == Side::Buy { Side::Sell } else { Side::Buy };
        let undo = Undo::Printed { side, price: trade.price.0, qty: before };
        self.undo.push((index, trade.symbol, undo));
    }

    /// Notes that event `index` of the block changed no level.
    pub fn pass(&mut self, index: u32) {
        self.books_at = index + 1;
        self.applied = index + 1;
    }

    fn redo(&mut self, block: &InputBlock, index: u32) {
        let (symbol, snapshot, bids, asks) = match block.get(index as usize) {
            EventRef::Book { symbol, snapshot, bids, asks } => (symbol, snapshot, bids, asks),
            EventRef::Trade(trade) => return self.print(block, index, &trade),
            _ => return,
        };
        let state = &mut self.states[symbol.index()];
        if snapshot {
            let new = Book::of(block.ts_exchange(index as usize));
            let old = std::mem::replace(&mut state.book, new);
            self.undo.push((index, symbol, Undo::Whole(Box::new(old))));
        }
        for (side, levels) in [(Side::Buy, bids), (Side::Sell, asks)] {
            for (price, qty) in levels.iter() {
                let printed = state.book.printed(side, price.0);
                let before = state.book.set(side, price.0, qty.0);
                if !snapshot && (before != qty.0 || printed > 0) {
                    let undo = Undo::Level { side, price: price.0, qty: before, printed };
                    self.undo.push((index, symbol, undo));
                }
            }
        }
        state.top.has_book = true;
        state.top.bid = state.book.best_bid().map_or(0, |l| l.0);
        state.top.ask = state.book.best_ask().map_or(0, |l| l.0);
    }

    /// Moves the books to where they stood after event `index` of the block, in
    /// the range applied since the last commit, or before its first event.
    /// Prices in [`Market::top`] stay the newest.
    pub fn seek_books(&mut self, block: &InputBlock, index: Option<u32>) {
        let target = index.map_or(0, |index| index + 1).clamp(self.committed, self.applied);
        if target == self.books_at {
            return;
        }
        while self.undo.last().is_some_and(|(at, _, _)| *at >= target) {
            if let Some((_, symbol, undo)) = self.undo.pop() {
                let book = &mut self.states[symbol.index()].book;
                match undo {
                    Undo::Level { side, price, qty, printed } => {
                        book.set(side, price, qty);
                        book.set_printed(side, price, printed);
                    }
                    Undo::Printed { side, price, qty } => book.set_printed(side, price, qty),
                    Undo::Whole(old) => *book = *old,
                }
            }
        }
        let from = self.books_at.min(target);
        self.books_at = target;
        if from < target {
            let tops: Vec<Top> = self.states.iter().map(|s| s.top).collect();
            for index in from..target {
                self.redo(block, index);
            }
            for (state, top) in self.states.iter_mut().zip(tops) {
                state.top = top;
            }
        }
    }

    /// Ends a batch: the books stand at its end and are not undone any more.
    pub fn commit(&mut self, block: &InputBlock) {
        if self.books_at < self.applied {
            self.seek_books(block, Some(self.applied - 1));
        }
        self.undo.clear();
        self.committed = self.applied;
        for series in self.states.iter_mut().flat_map(|state| &mut state.series) {
            series.trim();
        }
    }

    /// Begins a new block, whose indices start at zero.
    pub fn begin_block(&mut self) {
        self.undo.clear();
        self.books_at = 0;
        self.applied = 0;
        self.committed = 0;
    }
}
