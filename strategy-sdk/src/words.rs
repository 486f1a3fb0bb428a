//! The words in which events cross the boundary; the layout stands in
//! `wit/strategy.wit`.

use std::fmt;

use crate::types::{Candle, Level, MarketStatus, Side, Symbol, Trade};

/// Kind of a trade event.
pub const KIND_TRADE: u8 = 1;
/// Kind of a book event.
pub const KIND_BOOK: u8 = 2;
/// Kind of a closed candle.
pub const KIND_CANDLE: u8 = 3;
/// Kind of a timer event.
pub const KIND_TIMER: u8 = 4;
/// Kind of a status event.
pub const KIND_STATUS: u8 = 5;

const TAKER_SOLD: u8 = 1;
const SNAPSHOT: u8 = 1;
const WARM_UP: u8 = 1;
const EMPTY: u8 = 2;
const PARTIAL: u8 = 4;

/// Why a batch cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordsError {
    /// The words end inside an event.
    Truncated,
    /// The layout knows no such kind.
    UnknownKind(u8),
    /// No instrument of the run has this index.
    UnknownSymbol(u16),
    /// The layout knows no such status.
    UnknownStatus(u8),
    /// A candle's interval does not fit 32 bits.
    BadInterval(u64),
}

impl fmt::Display for WordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("words end inside an event"),
            Self::UnknownKind(kind) => write!(f, "unknown event kind {kind}"),
            Self::UnknownSymbol(symbol) => write!(f, "unknown symbol {symbol}"),
            Self::UnknownStatus(status) => write!(f, "unknown market status {status}"),
            Self::BadInterval(interval) => write!(f, "candle interval {interval} s out of range"),
        }
    }
}

impl std::error::Error for WordsError {}

/// One event, cut out of a batch and not yet read further.
#[derive(Clone, Copy, Debug)]
pub struct RawEvent<'a> {
    header: u64,
    /// The host's event clock.
    pub ts_ns: u64,
    payload: &'a [u64],
}

/// Cuts the first event off a batch that is not empty.
///
/// # Errors
/// [`WordsError::UnknownKind`] and [`WordsError::Truncated`].
#[inline]
pub fn split_first(words: &[u64]) -> Result<(RawEvent<'_>, &[u64]), WordsError> {
    let [header, ts_ns, tail @ ..] = words else { return Err(WordsError::Truncated) };
    let length = match *header as u8 {
        KIND_TRADE => 3,
        KIND_BOOK => 2 * (count_a(*header) + count_b(*header)),
        KIND_CANDLE => 8,
        KIND_TIMER | KIND_STATUS => 0,
        kind => return Err(WordsError::UnknownKind(kind)),
    };
    let (payload, rest) = tail.split_at_checked(length).ok_or(WordsError::Truncated)?;
    Ok((RawEvent { header: *header, ts_ns: *ts_ns, payload }, rest))
}

fn count_a(header: u64) -> usize {
    usize::from((header >> 32) as u16)
}

fn count_b(header: u64) -> usize {
    usize::from((header >> 48) as u16)
}

fn pairs(words: &[u64]) -> impl ExactSizeIterator<Item = Level> + '_ {
    words
        .chunks_exact(2)
        .map(|pair| Level { price: f64::from_bits(pair[0]), quantity: f64::from_bits(pair[1]) })
}

impl<'a> RawEvent<'a> {
    /// The event's kind, one of the `KIND_` constants.
    #[inline]
    pub fn kind(&self) -> u8 {
        self.header as u8
    }

    #[inline]
    fn flags(&self) -> u8 {
        (self.header >> 8) as u8
    }

    /// The instrument; meaningless for a timer.
    #[inline]
    pub fn symbol(&self) -> Symbol {
        Symbol((self.header >> 16) as u16)
    }

    /// The payload of a trade.
    ///
    /// # Errors
    /// [`WordsError::Truncated`] when the event is of another kind.
    #[inline]
    pub fn trade(&self) -> Result<Trade, WordsError> {
        let [price, quantity, id] = *self.payload else { return Err(WordsError::Truncated) };
        Ok(Trade {
            symbol: self.symbol(),
            ts_ns: self.ts_ns,
            price: f64::from_bits(price),
            quantity: f64::from_bits(quantity),
            side: if self.flags() & TAKER_SOLD == 0 { Side::Buy } else { Side::Sell },
            id,
        })
    }

    /// The payload of a candle.
    ///
    /// # Errors
    /// [`WordsError::BadInterval`], and [`WordsError::Truncated`] when the event
    /// is of another kind.
    pub fn candle(&self) -> Result<Candle, WordsError> {
        let [interval, open_ts_ns, open, high, low, close, volume, vwap] = *self.payload else {
            return Err(WordsError::Truncated);
        };
        Ok(Candle {
            symbol: self.symbol(),
            interval_s: u32::try_from(interval).map_err(|_| WordsError::BadInterval(interval))?,
            open_ts_ns,
            open: f64::from_bits(open),
            high: f64::from_bits(high),
            low: f64::from_bits(low),
            close: f64::from_bits(close),
            volume: f64::from_bits(volume),
            vwap: f64::from_bits(vwap),
            warm_up: self.flags() & WARM_UP != 0,
            empty: self.flags() & EMPTY != 0,
            partial: self.flags() & PARTIAL != 0,
        })
    }

    /// Whether a book event replaces the book.
    pub fn is_snapshot(&self) -> bool {
        self.flags() & SNAPSHOT != 0
    }

    /// The bid levels of a book event.
    pub fn bids(&self) -> impl ExactSizeIterator<Item = Level> + 'a {
        pairs(self.payload.get(..2 * count_a(self.header)).unwrap_or_default())
    }

    /// The ask levels of a book event.
    pub fn asks(&self) -> impl ExactSizeIterator<Item = Level> + 'a {
        pairs(self.payload.get(2 * count_a(self.header)..).unwrap_or_default())
    }

    /// The interval of a timer in milliseconds.
    pub fn interval_ms(&self) -> u32 {
        (self.header >> 32) as u32
    }

    /// The status of a status event.
    ///
    /// # Errors
    /// [`WordsError::UnknownStatus`].
    pub fn status(&self) -> Result<MarketStatus, WordsError> {
        Ok(match self.flags() {
            0 => MarketStatus::Trading,
            1 => MarketStatus::Stale,
            2 => MarketStatus::Paused,
            3 => MarketStatus::CancelOnly,
            4 => MarketStatus::PostOnly,
            5 => MarketStatus::LimitOnly,
            6 => MarketStatus::ReduceOnly,
            other => return Err(WordsError::UnknownStatus(other)),
        })
    }
}

fn header(kind: u8, flags: u8, symbol: Symbol) -> u64 {
    u64::from(kind) | u64::from(flags) << 8 | u64::from(symbol.0) << 16
}

/// Appends a trade to a batch.
pub fn push_trade(words: &mut Vec<u64>, trade: &Trade) {
    let flags = if trade.side == Side::Sell { TAKER_SOLD } else { 0 };
    words.extend([
        header(KIND_TRADE, flags, trade.symbol),
        trade.ts_ns,
        trade.price.to_bits(),
        trade.quantity.to_bits(),
        trade.id,
    ]);
}

/// Appends a book event to a batch. Levels beyond 65,535 a side do not fit the
/// header and are left out.
pub fn push_book(
    words: &mut Vec<u64>,
    symbol: Symbol,
    ts_ns: u64,
    snapshot: bool,
    bids: &[Level],
    asks: &[Level],
) {
    let most = usize::from(u16::MAX);
    let (bids, asks) = (&bids[..bids.len().min(most)], &asks[..asks.len().min(most)]);
    let counts = (bids.len() as u64) << 32 | (asks.len() as u64) << 48;
    words.extend([header(KIND_BOOK, u8::from(snapshot), symbol) | counts, ts_ns]);
    for level in bids.iter().chain(asks) {
        words.extend([level.price.to_bits(), level.quantity.to_bits()]);
    }
}

/// Appends a closed candle to a batch.
pub fn push_candle(words: &mut Vec<u64>, ts_ns: u64, candle: &Candle) {
    let flags = (u8::from(candle.warm_up) * WARM_UP)
        | (u8::from(candle.empty) * EMPTY)
        | (u8::from(candle.partial) * PARTIAL);
    words.extend([
        header(KIND_CANDLE, flags, candle.symbol),
        ts_ns,
        u64::from(candle.interval_s),
        candle.open_ts_ns,
        candle.open.to_bits(),
        candle.high.to_bits(),
        candle.low.to_bits(),
        candle.close.to_bits(),
        candle.volume.to_bits(),
        candle.vwap.to_bits(),
    ]);
}

/// Appends a timer event to a batch.
pub fn push_timer(words: &mut Vec<u64>, ts_ns: u64, interval_ms: u32) {
    words.extend([u64::from(KIND_TIMER) | u64::from(interval_ms) << 32, ts_ns]);
}

/// Appends a change of the market's status to a batch.
pub fn push_status(words: &mut Vec<u64>, symbol: Symbol, ts_ns: u64, status: MarketStatus) {
    let flags = match status {
        MarketStatus::Trading => 0,
        MarketStatus::Stale => 1,
        MarketStatus::Paused => 2,
        MarketStatus::CancelOnly => 3,
        MarketStatus::PostOnly => 4,
        MarketStatus::LimitOnly => 5,
        MarketStatus::ReduceOnly => 6,
    };
    words.extend([header(KIND_STATUS, flags, symbol), ts_ns]);
}
