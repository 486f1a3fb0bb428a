//! A batch of inputs as the engine's moments, in order.
//!
//! Every input is a moment; a candle that closes and a timer that falls due are
//! moments of their own, before the input that made the time pass. At each
//! moment a lane first learns what became of its orders, then its account is
//! marked, then its strategy is told.

use serde::{Deserialize, Serialize};

use crate::domain::{InstrumentTable, SymbolId, Ts};
use crate::input::{CandleInput, EventRef, InputBlock, Trade, TradingStatus};
use crate::market::{Candle, CandleSeries, ClosedCandle, DepthView, Market, Top, candles};
use crate::words::{self, Header};

use super::stream::Class;

/// What a moment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MomentKind {
    /// a public print
    Trade,
    /// a book changed
    Book,
    /// a candle closed
    Candle,
    /// a candle of history
    WarmUp,
    /// a timer fell due, or only the clock moved
    Timer,
    /// a status changed
    Status,
}

/// One step of the engine.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// the input's sequence number
    pub seq: u64,
    /// the engine's clock
    pub ts: Ts,
    /// the input's place in its block
    pub index: u32,
    /// distinguishes moments of one input: 0 the input itself, otherwise the
    /// interval in seconds of the candle or in milliseconds of the timer
    pub phase: u32,
    /// what it is
    pub kind: MomentKind,
    /// whose; meaningless for timers
    pub symbol: SymbolId,
    /// the price that this moment tells, 0 when it tells none
    pub cause: i64,
    /// the symbol's prices after it
    pub top: Top,
}

impl Moment {
    /// True when it tells a new price or status. The others exist because some lane
    /// asked for them, which must not move an account.
    #[must_use]
    pub fn is_price(&self) -> bool {
        matches!(self.kind, MomentKind::Trade | MomentKind::Book | MomentKind::Status)
    }
}

/// The moments of one batch.
#[derive(Debug)]
pub struct Timeline {
    instruments: InstrumentTable,
    /// by symbol: one view per subscribed depth
    views: Vec<Vec<DepthView>>,
    moments: Vec<Moment>,
    /// prices of all symbols before the batch
    before: Vec<Top>,
    /// number of the batch's first moment since the start
    first: u64,
    now: i64,
    /// the time of the last input that told of the market or of time passing
    heard: i64,
    /// when a candle or timer falls due by the clock
    deadline: i64,
    closing: Vec<(u32, Candle)>,
    /// whether an input has come
    begun: bool,
    scratch: Vec<u64>,
    /// inputs so far that were commands and swaps
    aside: u64,
}

/// Where a timeline stands between two batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineImage {
    views: Vec<Vec<DepthView>>,
    /// number of the next moment
    first: u64,
    now: i64,
    heard: i64,
    deadline: i64,
    begun: bool,
    aside: u64,
}

impl TimelineImage {
    /// The engine's clock, in nanoseconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.now
    }
}

impl Timeline {
    /// A timeline for these classes that starts at `now`.
    #[must_use]
    pub fn new(instruments: &InstrumentTable, classes: &[Class], now: Ts) -> Self {
        let mut views: Vec<Vec<DepthView>> = vec![Vec::new(); instruments.len()];
        for class in classes {
            for (symbol, wants) in class.key.wants.iter().enumerate() {
                let depth = wants.as_ref().and_then(|w| w.book);
                if let Some(depth) = depth.map(|d| d as usize)
                    && views[symbol].iter().all(|v| v.depth() != depth)
                {
                    views[symbol].push(DepthView::new(depth));
                }
            }
        }
        let mut timeline = Self {
            instruments: instruments.clone(),
            views,
            moments: Vec::new(),
            before: vec![Top::default(); instruments.len()],
            first: 1,
            now: now.0,
            heard: now.0,
            deadline: i64::MAX,
            closing: Vec::new(),
            begun: false,
            scratch: Vec::new(),
            aside: 0,
        };
        timeline.deadline = timeline.next_timer(classes);
        timeline
    }

    /// The moments.
    #[must_use]
    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// The engine's clock after the batch.
    #[must_use]
    pub fn now(&self) -> Ts {
        Ts(self.now)
    }

    /// The running number of moment `index`, for looking back.
    #[must_use]
    pub fn number(&self, index: u32) -> u64 {
        self.first + u64::from(index)
    }

    /// A symbol's prices as they stood after moment `index`.
    #[must_use]
    pub fn top_at(&self, index: u32, symbol: SymbolId) -> Top {
        self.moments[..=index as usize]
            .iter()
            .rev()
            .find(|m| m.symbol == symbol && m.kind != MomentKind::Timer)
            .map_or(self.before[symbol.index()], |m| m.top)
    }

    /// The number of an input among those of the market: commands and swaps are for
    /// single lanes, and must not move the others.
    #[must_use]
    pub fn market_number(&self, seq: u64) -> u64 {
        seq.saturating_sub(self.aside)
    }

    /// The batch was a command or a swap.
    pub fn set_aside(&mut self) {
        self.aside += 1;
    }

    /// Where it stands between two batches.
    #[must_use]
    pub fn image(&self) -> TimelineImage {
        TimelineImage {
            views: self.views.clone(),
            first: self.first + self.moments.len() as u64,
            now: self.now,
            heard: self.heard,
            deadline: self.deadline,
            begun: self.begun,
            aside: self.aside,
        }
    }

    /// Puts it where another one stood; false when that one had other views.
    #[must_use]
    pub fn restore(&mut self, image: &TimelineImage) -> bool {
        let depths = |views: &[Vec<DepthView>]| -> Vec<Vec<usize>> {
            views.iter().map(|all| all.iter().map(DepthView::depth).collect()).collect()
        };
        if depths(&self.views) != depths(&image.views) {
            return false;
        }
        self.views.clone_from(&image.views);
        self.moments.clear();
        (self.first, self.now, self.heard) = (image.first, image.now, image.heard);
        (self.deadline, self.begun, self.aside) = (image.deadline, image.begun, image.aside);
        true
    }

    /// Replaces the batch by events `from` to `to` of the block: moves the
    /// market forward and fills the classes' streams.
    pub fn build(
        &mut self,
        block: &InputBlock,
        from: usize,
        to: usize,
        market: &mut Market,
        classes: &mut [Class],
    ) {
        self.first += self.moments.len() as u64;
        self.moments.clear();
        for class in classes.iter_mut() {
            class.clear();
        }
        for (symbol, top) in (0_u16..).map(SymbolId).zip(&mut self.before) {
            *top = market.top(symbol);
        }
        for index in from..to {
            self.input(block, index, market, classes);
        }
    }

    fn input(
        &mut self,
        block: &InputBlock,
        index: usize,
        market: &mut Market,
        classes: &mut [Class],
    ) {
        let at = At {
            seq: self.market_number(block.first_seq()) + index as u64,
            index: index as u32,
            ts: block.ts(index).0.max(self.now),
        };
        if !std::mem::replace(&mut self.begun, true) {
            for symbol in symbols(market) {
                market.series_mut(symbol).iter_mut().for_each(|series| series.begin(at.ts));
            }
        }
        let stale = TradingStatus::Stale;
        let is_stale =
            matches!(block.get(index), EventRef::Status { status, .. } if status == stale);
        // The time of the input before it: a run that goes on after a crash was not looking
        // meanwhile, of none of its symbols, which all turn stale then.
        let heard = if is_stale { self.heard } else { at.ts };
        self.heard = heard;
        // History tells of the past at one moment: it must not close the intervals
        // that its next candle is about to tell of.
        if at.ts >= self.deadline && block.header(index).kind() != words::CANDLE {
            self.clock(at, market, classes);
        }
        self.now = at.ts;
        match block.get(index) {
            EventRef::Trade(trade) => {
                self.trade(at, block, &trade, market, classes);
                market.print(block, at.index, &trade);
            }
            EventRef::Book { symbol, snapshot, .. } => {
                market.apply_book(block, at.index);
                self.push(at, 0, MomentKind::Book, symbol, 0, market);
                self.book(at, symbol, snapshot, market, classes);
                return;
            }
            EventRef::Candle(candle) => self.history(at, &candle, market, classes),
            EventRef::Status { symbol, status } => {
                if is_stale && is_known(market, symbol) {
                    market.series_mut(symbol).iter_mut().for_each(|series| series.darken(heard));
                }
                market.apply_status(symbol, status);
                self.expect_close(symbol, market);
                let moment = self.push(at, 0, MomentKind::Status, symbol, 0, market);
                self.status(at, moment, symbol, status, classes);
            }
            // What they change holds behind the batch, which ends here.
            EventRef::Timer | EventRef::Rules { .. } => {
                self.push(at, 0, MomentKind::Timer, SymbolId(0), 0, market);
            }
        }
        market.pass(at.index);
    }

    fn push(
        &mut self,
        at: At,
        phase: u32,
        kind: MomentKind,
        symbol: SymbolId,
        cause: i64,
        market: &Market,
    ) -> u32 {
        let top = if market.is_empty() { Top::default() } else { market.top(symbol) };
        self.moments.push(Moment {
            seq: at.seq,
            ts: Ts(at.ts),
            index: at.index,
            phase,
            kind,
            symbol,
            cause,
            top,
        });
        (self.moments.len() - 1) as u32
    }

    fn trade(
        &mut self,
        at: At,
        block: &InputBlock,
        trade: &Trade,
        market: &mut Market,
        classes: &mut [Class],
    ) {
        let told = block.ts_exchange(at.index as usize);
        let time = candles::trade_time(told, Ts(at.ts));
        let symbol = trade.symbol;
        for series in market.series_mut(symbol) {
            series.expect(trade.id, time);
            if time != told.0 {
                series.doubt(time);
            }
        }
        if market.series(symbol).iter().any(|s| s.closes_before(time)) {
            for series in market.series_mut(symbol) {
                let interval = series.interval_s();
                series.close_before(time, |candle| self.closing.push((interval, candle)));
            }
            self.emit_closed(at, symbol, None, market, classes);
        }
        for series in market.series_mut(symbol) {
            series.add(time, trade.price.0, trade.qty.0);
        }
        self.expect_close(symbol, market);
        let number = self.first + self.moments.len() as u64;
        market.apply_trade(number, Ts(at.ts), trade);
        let moment = self.push(at, 0, MomentKind::Trade, symbol, trade.price.0, market);
        for class in classes {
            if let Some(wants) = class.key.wants[symbol.index()].as_ref().filter(|w| w.trades) {
                let local = wants.local;
                class.push(moment, local, block.words(at.index as usize));
            }
        }
    }

    /// What falls due by the clock before an input at `at.ts`.
    fn clock(&mut self, at: At, market: &mut Market, classes: &mut [Class]) {
        self.timers(at, market, classes);
        for symbol in symbols(market) {
            if !is_known(market, symbol) {
                continue;
            }
            for series in market.series_mut(symbol) {
                let interval = series.interval_s();
                if series.deadline() <= at.ts {
                    series.close_by_clock(at.ts, |candle| self.closing.push((interval, candle)));
                }
            }
            self.emit_closed(at, symbol, None, market, classes);
        }
        self.now = at.ts;
        self.deadline = self.next_timer(classes);
        for symbol in symbols(market) {
            self.expect_close(symbol, market);
        }
    }

    /// Minds when the clock closes a symbol's candles next: never while its data is
    /// stale, since nobody knows then whether trades fall into them.
    fn expect_close(&mut self, symbol: SymbolId, market: &Market) {
        if is_known(market, symbol) {
            let due = market.series(symbol).iter().map(CandleSeries::deadline).min();
            self.deadline = self.deadline.min(due.unwrap_or(i64::MAX));
        }
    }

    /// Timers fire at the newest multiple of their interval that the clock has
    /// passed; multiples that passed unseen are not made up for.
    fn timers(&mut self, at: At, market: &Market, classes: &mut [Class]) {
        let mut intervals: Vec<u32> = classes.iter().flat_map(|c| c.key.timers.clone()).collect();
        intervals.sort_unstable();
        intervals.dedup();
        let mut due: Vec<(i64, u32)> = intervals
            .into_iter()
            .map(|ms| (at.ts.div_euclid(nanoseconds(ms)) * nanoseconds(ms), ms))
            .filter(|&(boundary, _)| boundary > self.now)
            .collect();
        due.sort_unstable();
        for (boundary, ms) in due {
            let moment =
                self.push(At { ts: boundary, ..at }, ms, MomentKind::Timer, SymbolId(0), 0, market);
            for class in classes.iter_mut().filter(|c| c.key.timers.contains(&ms)) {
                class.push_bare(moment, [Header::timer(ms).0, boundary as u64]);
            }
        }
    }

    fn next_timer(&self, classes: &[Class]) -> i64 {
        let next = |ms: &u32| (self.now.div_euclid(nanoseconds(*ms)) + 1) * nanoseconds(*ms);
        classes.iter().flat_map(|c| &c.key.timers).map(next).min().unwrap_or(i64::MAX)
    }

    fn emit_closed(
        &mut self,
        at: At,
        symbol: SymbolId,
        history: Option<&CandleInput>,
        market: &mut Market,
        classes: &mut [Class],
    ) {
        let closing = std::mem::take(&mut self.closing);
        for &(interval, candle) in &closing {
            self.candle(at, symbol, interval, &candle, history, market, classes);
        }
        self.closing = closing;
        self.closing.clear();
    }

    /// A candle of the venue: whatever it closes is history, since it is told late.
    fn history(&mut self, at: At, input: &CandleInput, market: &mut Market, classes: &mut [Class]) {
        let symbol = input.symbol;
        let instrument = self.instruments.at(symbol);
        for series in market.series_mut(symbol) {
            let interval = series.interval_s();
            series.tell(input, instrument, |candle| self.closing.push((interval, candle)));
        }
        self.expect_close(symbol, market);
        let length = i64::from(input.interval_s).saturating_mul(Ts::SECOND);
        let end = Ts(input.open_ts.0.saturating_add(length).min(at.ts));
        market.apply_history_price(symbol, input.close.0, end);
        self.emit_closed(at, symbol, Some(input), market, classes);
    }

    /// A closed candle becomes known: a moment, a piece of history, an event.
    /// `history` is the venue's candle that closes it.
    #[allow(clippy::too_many_arguments, reason = "the candle, its place and who hears of it")]
    fn candle(
        &mut self,
        at: At,
        symbol: SymbolId,
        interval: u32,
        candle: &Candle,
        history: Option<&CandleInput>,
        market: &mut Market,
        classes: &mut [Class],
    ) {
        let instrument = self.instruments.at(symbol);
        let own = |input: &&CandleInput| {
            (input.interval_s, input.open_ts.0) == (interval, candle.open_ts)
        };
        let told = history.filter(own).map(|input| input.vwap);
        let vwap = told.unwrap_or_else(|| candle.vwap(instrument));
        let number = self.first + self.moments.len() as u64;
        if let Some(series) =
            market.series_mut(symbol).iter_mut().find(|s| s.interval_s() == interval)
        {
            series.remember(ClosedCandle { moment: number, candle: *candle, vwap });
        }
        let mut flags = if candle.is_empty() { words::EMPTY } else { 0 };
        if candle.partial {
            flags |= words::PARTIAL;
        }
        let mut kind = MomentKind::Candle;
        if history.is_some() {
            flags |= words::WARM_UP;
            kind = MomentKind::WarmUp;
        }
        let price = |units: i64| instrument.price_f64(crate::domain::Price(units)).to_bits();
        let event = [
            Header::new(words::CANDLE, flags, symbol, 0, 0).0,
            at.ts as u64,
            u64::from(interval),
            candle.open_ts as u64,
            price(candle.open),
            price(candle.high),
            price(candle.low),
            price(candle.close),
            instrument.qty_f64(crate::domain::Qty(candle.volume)).to_bits(),
            vwap.to_bits(),
        ];
        let moment = self.push(at, interval, kind, symbol, candle.close, market);
        for class in classes {
            let wants = class.key.wants[symbol.index()].as_ref();
            if let Some(wants) = wants.filter(|w| w.candles.contains(&interval)) {
                let local = wants.local;
                class.push(moment, local, &event);
            }
        }
    }

    fn book(
        &mut self,
        at: At,
        symbol: SymbolId,
        replaced: bool,
        market: &Market,
        classes: &mut [Class],
    ) {
        let instrument = self.instruments.at(symbol);
        let moment = (self.moments.len() - 1) as u32;
        for view in &mut self.views[symbol.index()] {
            let Some(snapshot) = view.update(market.book(symbol), replaced) else { continue };
            let flags = if snapshot { words::SNAPSHOT } else { 0 };
            let (bids, asks) = (&view.changed_bids, &view.changed_asks);
            let (a, b) = (bids.len().min(words::LEVELS_MAX), asks.len().min(words::LEVELS_MAX));
            self.scratch.clear();
            let header = Header::new(words::BOOK, flags, symbol, a as u16, b as u16);
            self.scratch.extend([header.0, at.ts as u64]);
            for &(price, qty) in bids[..a].iter().chain(&asks[..b]) {
                self.scratch.push(instrument.price_f64(crate::domain::Price(price)).to_bits());
                self.scratch.push(instrument.qty_f64(crate::domain::Qty(qty)).to_bits());
            }
            for class in classes.iter_mut() {
                let wants = class.key.wants[symbol.index()].as_ref();
                let depth = view.depth() as u32;
                if let Some(wants) = wants.filter(|w| w.book == Some(depth)) {
                    let local = wants.local;
                    class.push(moment, local, &self.scratch);
                }
            }
        }
    }

    fn status(
        &self,
        at: At,
        moment: u32,
        symbol: SymbolId,
        status: TradingStatus,
        classes: &mut [Class],
    ) {
        let header = Header::new(words::STATUS, status as u8, symbol, 0, 0);
        for class in classes {
            if let Some(wants) = class.key.wants[symbol.index()].as_ref().filter(|w| w.status) {
                let local = wants.local;
                class.push(moment, local, &[header.0, at.ts as u64]);
            }
        }
    }
}

/// An input's place.
#[derive(Clone, Copy, Debug)]
struct At {
    seq: u64,
    index: u32,
    ts: i64,
}

fn symbols(market: &Market) -> impl Iterator<Item = SymbolId> + use<> {
    (0..market.len()).filter_map(|s| u16::try_from(s).ok()).map(SymbolId)
}

fn is_known(market: &Market, symbol: SymbolId) -> bool {
    market.top(symbol).status != TradingStatus::Stale
}

fn nanoseconds(ms: u32) -> i64 {
    i64::from(ms.max(1)) * 1_000_000
}
