//! What enters the engine: blocks of market events, in arrival order.
//!
//! An [`InputBlock`] holds its events twice at the same offsets: exact integers
//! for the engine, and words with doubles for strategies. The second is derived
//! from the first when an event is pushed, which a reader does on its own
//! thread, so that the engine hands out words without computing them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::domain::{InstrumentTable, Money, Price, Qty, Rules, Side, SymbolId, Ts, decimal};
use crate::words::{self, Header};

/// Whether and how a venue trades a symbol, and whether its data can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum TradingStatus {
    /// data is fresh and the venue trades
    #[default]
    Trading = 0,
    /// data is stale or unverified: nothing may be filled on it
    Stale = 1,
    /// no orders, no matching
    Paused = 2,
    /// cancels only
    CancelOnly = 3,
    /// only orders that rest
    PostOnly = 4,
    /// only limit orders
    LimitOnly = 5,
    /// only orders that reduce a position
    ReduceOnly = 6,
}

impl TradingStatus {
    /// The status of that number.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        [
            Self::Trading,
            Self::Stale,
            Self::Paused,
            Self::CancelOnly,
            Self::PostOnly,
            Self::LimitOnly,
            Self::ReduceOnly,
        ]
        .get(usize::from(number))
        .copied()
    }
}

/// A public print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    /// what was traded
    pub symbol: SymbolId,
    /// the taker's side
    pub side: Side,
    /// at which price
    pub price: Price,
    /// how much
    pub qty: Qty,
    /// the venue's number for it, 0 when it has none
    pub id: u64,
}

/// A closed candle that a venue or a recording supplies as history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CandleInput {
    /// what was traded
    pub symbol: SymbolId,
    /// length in seconds
    pub interval_s: u32,
    /// start, a multiple of the interval
    pub open_ts: Ts,
    /// first price
    pub open: Price,
    /// highest price
    pub high: Price,
    /// lowest price
    pub low: Price,
    /// last price
    pub close: Price,
    /// traded quantity
    pub volume: Qty,
    /// volume-weighted average price; a statistic, hence a double
    pub vwap: f64,
}

/// The levels of a book event, as pairs of exact words.
#[derive(Clone, Copy, Debug)]
pub struct Levels<'a>(&'a [u64]);

impl<'a> Levels<'a> {
    /// The levels in the order given.
    pub fn iter(self) -> impl Iterator<Item = (Price, Qty)> + 'a {
        self.0.chunks_exact(2).map(|pair| (Price(pair[0] as i64), Qty(pair[1] as i64)))
    }

    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.len() / 2
    }

    /// True without any.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// One event of a block.
#[derive(Clone, Copy, Debug)]
pub enum EventRef<'a> {
    /// a public print
    Trade(Trade),
    /// levels that changed, or the whole book
    Book {
        /// whose book
        symbol: SymbolId,
        /// replaces what was known
        snapshot: bool,
        /// bids, absolute quantities, 0 removes
        bids: Levels<'a>,
        /// asks, absolute quantities, 0 removes
        asks: Levels<'a>,
    },
    /// a candle from before the start
    Candle(CandleInput),
    /// the clock moved
    Timer,
    /// a symbol's status changed
    Status {
        /// whose
        symbol: SymbolId,
        /// to what
        status: TradingStatus,
    },
    /// a venue changed the increments and minimums of a symbol: orders behind
    /// this event are checked against them
    Rules {
        /// whose
        symbol: SymbolId,
        /// what holds from now on
        rules: Rules,
    },
}

/// A sequence of market events with both clocks.
#[derive(Clone, Debug, Default)]
pub struct InputBlock {
    scales: Vec<(u8, u8)>,
    exact: Vec<u64>,
    words: Vec<u64>,
    offsets: Vec<u32>,
    ts_exchange: Vec<i64>,
    first_seq: u64,
}

impl InputBlock {
    /// An empty block for events of these instruments, whose first event gets
    /// the sequence number `first_seq`.
    #[must_use]
    pub fn new(instruments: &InstrumentTable, first_seq: u64) -> Self {
        let scales = instruments.iter().map(|(_, i)| (i.price_decimals, i.qty_decimals)).collect();
        Self { scales, first_seq, ..Self::default() }
    }

    /// Empties the block; the next event gets `first_seq`.
    pub fn reset(&mut self, first_seq: u64) {
        self.exact.clear();
        self.words.clear();
        self.offsets.clear();
        self.ts_exchange.clear();
        self.first_seq = first_seq;
    }

    /// Numbers its events anew, from `first_seq`.
    pub fn renumber(&mut self, first_seq: u64) {
        self.first_seq = first_seq;
    }

    /// Makes `part` a block of the events in `range`, with their numbers.
    ///
    /// # Panics
    /// When the range is not within the block.
    pub fn copy_part(&self, range: Range<usize>, part: &mut Self) {
        let place =
            |index: usize| self.offsets.get(index).map_or(self.exact.len(), |&o| o as usize);
        let (start, end) = (place(range.start), place(range.end));
        part.scales.clone_from(&self.scales);
        part.reset(self.first_seq + range.start as u64);
        part.exact.extend_from_slice(&self.exact[start..end]);
        part.words.extend_from_slice(&self.words[start..end]);
        part.offsets.extend(self.offsets[range.clone()].iter().map(|o| o - start as u32));
        part.ts_exchange.extend_from_slice(&self.ts_exchange[range]);
    }

    /// How many events it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// True without events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The sequence number of its first event.
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// The sequence number that follows its last event.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.first_seq + self.offsets.len() as u64
    }

    /// All events as exact words, one after the other.
    #[must_use]
    pub fn exact_words(&self) -> &[u64] {
        &self.exact
    }

    /// The engine's clock at event `index`.
    #[must_use]
    pub fn ts(&self, index: usize) -> Ts {
        Ts(self.exact[self.offsets[index] as usize + 1] as i64)
    }

    /// The venue's clock at event `index`.
    #[must_use]
    pub fn ts_exchange(&self, index: usize) -> Ts {
        Ts(self.ts_exchange[index])
    }

    /// The header of event `index`.
    #[must_use]
    pub fn header(&self, index: usize) -> Header {
        Header(self.exact[self.offsets[index] as usize])
    }

    /// The words of event `index` as a strategy gets them, with the run's
    /// symbol number.
    #[must_use]
    pub fn words(&self, index: usize) -> &[u64] {
        let start = self.offsets[index] as usize;
        let end = self.offsets.get(index + 1).map_or(self.words.len(), |&o| o as usize);
        &self.words[start..end]
    }

    /// Checks that event `index` is within what the engine can count with.
    ///
    /// # Errors
    /// What is out of range.
    pub fn check(&self, index: usize) -> Result<(), String> {
        let start = self.offsets[index] as usize;
        let end = self.offsets.get(index + 1).map_or(self.exact.len(), |&o| o as usize);
        check_range(self.header(index), &self.exact[start..end], self.ts_exchange[index])
    }

    /// Event `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> EventRef<'_> {
        let start = self.offsets[index] as usize;
        let end = self.offsets.get(index + 1).map_or(self.exact.len(), |&o| o as usize);
        decode(&self.exact[start..end])
    }

    /// Appends a trade.
    pub fn push_trade(&mut self, ts: Ts, ts_exchange: Ts, trade: &Trade) {
        let flags = if trade.side == Side::Sell { words::TAKER_SOLD } else { 0 };
        self.begin(Header::new(words::TRADE, flags, trade.symbol, 0, 0), ts, ts_exchange);
        self.price(trade.symbol, trade.price);
        self.qty(trade.symbol, trade.qty);
        self.plain(trade.id);
    }

    /// Appends a book change or snapshot. At most [`words::LEVELS_MAX`] levels a
    /// side are kept, which no venue comes near.
    pub fn push_book(
        &mut self,
        ts: Ts,
        ts_exchange: Ts,
        symbol: SymbolId,
        snapshot: bool,
        bids: &[(Price, Qty)],
        asks: &[(Price, Qty)],
    ) {
        let bids = &bids[..bids.len().min(words::LEVELS_MAX)];
        let asks = &asks[..asks.len().min(words::LEVELS_MAX)];
        let flags = if snapshot { words::SNAPSHOT } else { 0 };
        let header = Header::new(words::BOOK, flags, symbol, bids.len() as u16, asks.len() as u16);
        self.begin(header, ts, ts_exchange);
        for &(price, qty) in bids.iter().chain(asks) {
            self.price(symbol, price);
            self.qty(symbol, qty);
        }
    }

    /// Appends a candle of history.
    pub fn push_candle(&mut self, ts: Ts, candle: &CandleInput) {
        let header = Header::new(words::CANDLE, words::WARM_UP, candle.symbol, 0, 0);
        self.begin(header, ts, ts);
        self.plain(u64::from(candle.interval_s));
        self.plain(candle.open_ts.0 as u64);
        for price in [candle.open, candle.high, candle.low, candle.close] {
            self.price(candle.symbol, price);
        }
        self.qty(candle.symbol, candle.volume);
        self.plain(candle.vwap.to_bits());
    }

    /// Appends a movement of the clock without a market event.
    pub fn push_timer(&mut self, ts: Ts) {
        self.begin(Header::timer(0), ts, ts);
    }

    /// Appends a change of a symbol's status.
    pub fn push_status(&mut self, ts: Ts, symbol: SymbolId, status: TradingStatus) {
        self.begin(Header::new(words::STATUS, status as u8, symbol, 0, 0), ts, ts);
    }

    /// Appends new rules of a symbol. A smallest cost that no account could pay
    /// stays one.
    pub fn push_rules(&mut self, ts: Ts, symbol: SymbolId, rules: &Rules) {
        let flags = if rules.short_allowed { words::SHORT_ALLOWED } else { 0 };
        self.begin(Header::new(words::RULES, flags, symbol, 0, 0), ts, ts);
        self.plain(rules.price_increment.0 as u64);
        self.plain(rules.qty_increment.0 as u64);
        self.plain(rules.qty_min.0 as u64);
        self.plain(i64::try_from(rules.cost_min.0).unwrap_or(i64::MAX) as u64);
    }

    /// Appends events that are already exact words, as a tape holds them.
    ///
    /// # Errors
    /// Words that are no whole sequence of known events, or that name a symbol
    /// outside the instrument table; the block is then left as it was.
    pub fn extend_exact(&mut self, exact: &[u64], ts_exchange: &[i64]) -> Result<(), String> {
        let (events, start) = (self.offsets.len(), self.exact.len());
        let result = self.try_extend(exact, ts_exchange);
        if result.is_err() {
            self.offsets.truncate(events);
            self.ts_exchange.truncate(events);
            self.exact.truncate(start);
            self.words.truncate(start);
        }
        result
    }

    fn try_extend(&mut self, exact: &[u64], ts_exchange: &[i64]) -> Result<(), String> {
        let mut rest = exact;
        let mut times = ts_exchange.iter();
        while let Some(&first) = rest.first() {
            let header = Header(first);
            let length =
                header.words().ok_or_else(|| format!("unknown event kind {}", header.kind()))?;
            if rest.len() < length {
                return Err("an event is cut short".into());
            }
            let (event, tail) = rest.split_at(length);
            rest = tail;
            let time = times.next().ok_or("fewer times than events")?;
            if header.kind() == words::STATUS && TradingStatus::from_u8(header.flags()).is_none() {
                return Err(format!("unknown trading status {}", header.flags()));
            }
            if header.kind() != words::TIMER && header.symbol().index() >= self.scales.len() {
                return Err(format!("unknown symbol number {}", header.symbol().0));
            }
            check_range(header, event, *time)?;
            self.offsets.push(self.exact.len() as u32);
            self.ts_exchange.push(*time);
            self.exact.extend_from_slice(event);
            self.derive_words(header, event);
        }
        if times.next().is_some() {
            return Err("more times than events".into());
        }
        Ok(())
    }

    /// Appends a strategy's words for an event. Whole events at a time: a tape's
    /// reader spends most of its time here.
    fn derive_words(&mut self, header: Header, event: &[u64]) {
        let (price_decimals, qty_decimals) =
            self.scales.get(header.symbol().index()).copied().unwrap_or_default();
        let price = |word: u64| decimal::to_f64(word as i64, price_decimals).to_bits();
        let qty = |word: u64| decimal::to_f64(word as i64, qty_decimals).to_bits();
        match (header.kind(), event) {
            (words::TRADE, &[header, ts, p, q, id]) => {
                self.words.extend_from_slice(&[header, ts, price(p), qty(q), id]);
            }
            (words::CANDLE, &[header, ts, interval, open_ts, o, h, l, c, volume, vwap]) => {
                let [o, h, l, c] = [o, h, l, c].map(price);
                let words = [header, ts, interval, open_ts, o, h, l, c, qty(volume), vwap];
                self.words.extend_from_slice(&words);
            }
            (words::RULES, plain) => self.words.extend_from_slice(plain),
            _ => {
                let (bare, levels) = event.split_at(words::BARE_WORDS);
                self.words.extend_from_slice(bare);
                let pairs = levels.chunks_exact(2);
                self.words.extend(pairs.flat_map(|pair| [price(pair[0]), qty(pair[1])]));
            }
        }
    }

    fn begin(&mut self, header: Header, ts: Ts, ts_exchange: Ts) {
        self.offsets.push(self.exact.len() as u32);
        self.ts_exchange.push(ts_exchange.0);
        self.plain(header.0);
        self.plain(ts.0 as u64);
    }

    fn plain(&mut self, word: u64) {
        self.exact.push(word);
        self.words.push(word);
    }

    fn price(&mut self, symbol: SymbolId, price: Price) {
        self.exact.push(price.0 as u64);
        let decimals = self.scales[symbol.index()].0;
        self.words.push(decimal::to_f64(price.0, decimals).to_bits());
    }

    fn qty(&mut self, symbol: SymbolId, qty: Qty) {
        self.exact.push(qty.0 as u64);
        let decimals = self.scales[symbol.index()].1;
        self.words.push(decimal::to_f64(qty.0, decimals).to_bits());
    }
}

/// The largest price and quantity in their units that a block is made for: sums and
/// doubles of two stay far from overflow.
pub const UNITS_MAX: i64 = i64::MAX / 4;

/// How far in nanoseconds a venue's clock may be ahead of the engine's: many times what
/// clocks that are set at all differ by. A time beyond it is not believed.
pub const AHEAD_MAX_NS: i64 = 60 * Ts::SECOND;
/// The latest time that a block is made for, the begin of the year 2200: intervals
/// added to it do not overflow. The earliest is 1970.
pub const TS_MAX: Ts = Ts(7_258_118_400_000_000_000);

const LARGEST: u64 = UNITS_MAX as u64;
const LATEST: u64 = TS_MAX.0 as u64;

/// What no venue sends and the engine's arithmetic does not expect.
fn check_range(header: Header, event: &[u64], ts_exchange: i64) -> Result<(), String> {
    // Negative numbers are large here, so one comparison finds both.
    if event[1] > LATEST || ts_exchange as u64 > LATEST {
        return Err(format!("its time {} is not between 1970 and 2200", event[1] as i64));
    }
    let price = |word: u64| match word {
        1..=LARGEST => Ok(()),
        _ => Err(format!("its price {} is out of range", word as i64)),
    };
    let qty = |word: u64| match word {
        0..=LARGEST => Ok(()),
        _ => Err(format!("its quantity {} is out of range", word as i64)),
    };
    match (header.kind(), &event[2..]) {
        (words::TRADE, &[p, q, _]) => price(p).and_then(|()| qty(q)),
        (words::CANDLE, &[_, open_ts, o, h, l, c, volume, _]) => {
            if open_ts > LATEST {
                return Err(format!("its start {} is out of range", open_ts as i64));
            }
            [o, h, l, c].into_iter().try_for_each(price).and_then(|()| qty(volume))
        }
        (words::RULES, &[price_increment, qty_increment, qty_min, cost_min]) => {
            price(price_increment).and_then(|()| price(qty_increment))?;
            qty(qty_min)?;
            i64::try_from(cost_min).map_err(|_| "its smallest cost is negative".to_owned())?;
            Ok(())
        }
        (_, levels) => {
            levels.chunks_exact(2).try_for_each(|l| price(l[0]).and_then(|()| qty(l[1])))
        }
    }
}

/// Reads one event's exact words. They were checked when they were pushed.
fn decode(event: &[u64]) -> EventRef<'_> {
    let header = Header(event[0]);
    let symbol = header.symbol();
    match header.kind() {
        words::TRADE => EventRef::Trade(Trade {
            symbol,
            side: if header.flags() & words::TAKER_SOLD == 0 { Side::Buy } else { Side::Sell },
            price: Price(event[2] as i64),
            qty: Qty(event[3] as i64),
            id: event[4],
        }),
        words::BOOK => {
            let (bids, asks) = event[2..].split_at(2 * header.count_a());
            EventRef::Book {
                symbol,
                snapshot: header.flags() & words::SNAPSHOT != 0,
                bids: Levels(bids),
                asks: Levels(asks),
            }
        }
        words::CANDLE => EventRef::Candle(CandleInput {
            symbol,
            interval_s: event[2] as u32,
            open_ts: Ts(event[3] as i64),
            open: Price(event[4] as i64),
            high: Price(event[5] as i64),
            low: Price(event[6] as i64),
            close: Price(event[7] as i64),
            volume: Qty(event[8] as i64),
            vwap: f64::from_bits(event[9]),
        }),
        words::STATUS => EventRef::Status {
            symbol,
            status: TradingStatus::from_u8(header.flags()).unwrap_or(TradingStatus::Stale),
        },
        words::RULES => EventRef::Rules {
            symbol,
            rules: Rules {
                price_increment: Price(event[2] as i64),
                qty_increment: Qty(event[3] as i64),
                qty_min: Qty(event[4] as i64),
                cost_min: Money(i128::from(event[5] as i64)),
                short_allowed: header.flags() & words::SHORT_ALLOWED != 0,
            },
        },
        _ => EventRef::Timer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Instrument;

    #[test]
    fn rules_come_back_as_they_went_in_and_impossible_ones_are_refused() {
        let table = InstrumentTable::new(vec![Instrument::plain("X/USD", 2, 2)]);
        let rules = Rules {
            price_increment: Price(5),
            qty_increment: Qty(10),
            qty_min: Qty(20),
            cost_min: Money(500_000_000),
            short_allowed: false,
        };
        let mut block = InputBlock::new(&table, 1);
        block.push_rules(Ts(3), SymbolId(0), &rules);
        let read = |block: &InputBlock| match block.get(0) {
            EventRef::Rules { symbol, rules } => Some((symbol, rules)),
            _ => None,
        };
        assert_eq!(read(&block), Some((SymbolId(0), rules)));
        let mut copy = InputBlock::new(&table, 1);
        copy.extend_exact(block.exact_words(), &[3]).unwrap();
        assert_eq!(read(&copy), Some((SymbolId(0), rules)));
        assert_eq!(copy.words(0), block.words(0));
        let mut plain = copy.exact_words().to_vec();
        for (word, wrong) in [(2, 0), (3, 0), (4, u64::MAX), (5, u64::MAX)] {
            let sound = std::mem::replace(&mut plain[word], wrong);
            assert!(InputBlock::new(&table, 1).extend_exact(&plain, &[3]).is_err(), "word {word}");
            plain[word] = sound;
        }
    }

    #[test]
    fn events_that_the_engine_cannot_count_with_are_refused_whole() {
        let table = InstrumentTable::new(vec![Instrument::plain("X/USD", 2, 2)]);
        let header = Header::new(words::TRADE, 0, SymbolId(0), 0, 0).0;
        let cases: [(&str, [u64; 5], bool); 6] = [
            ("sound", [header, 1, 100, 1, 0], true),
            ("no price", [header, 1, 0, 1, 0], false),
            ("a negative price", [header, 1, -5_i64 as u64, 1, 0], false),
            ("a price beyond the range", [header, 1, i64::MAX as u64, 1, 0], false),
            ("a negative quantity", [header, 1, 100, -1_i64 as u64, 0], false),
            ("a time beyond the range", [header, i64::MAX as u64, 100, 1, 0], false),
        ];
        for (name, event, fits) in cases {
            let mut block = InputBlock::new(&table, 1);
            assert_eq!(block.extend_exact(&event, &[1]).is_ok(), fits, "{name}");
            assert_eq!(block.len(), usize::from(fits), "{name}");
        }
    }
}
