//! The layout of market events as 64-bit words, as `wit/strategy.wit` states it.
//!
//! The same layout serves three places: what a strategy receives (prices as the
//! bits of doubles), what the engine reads (prices as exact integers at the same
//! offsets), and what a tape stores.

use crate::domain::SymbolId;

/// A trade's kind number.
pub const TRADE: u8 = 1;
/// A book change's kind number.
pub const BOOK: u8 = 2;
/// A closed candle's kind number.
pub const CANDLE: u8 = 3;
/// A timer's kind number.
pub const TIMER: u8 = 4;
/// A trading status's kind number.
pub const STATUS: u8 = 5;
/// The kind number of a venue's new increments and minimums. They are for the
/// engine: strategies get none.
pub const RULES: u8 = 6;

/// Trade flag: the taker sold.
pub const TAKER_SOLD: u8 = 1;
/// Book flag: replaces the whole book.
pub const SNAPSHOT: u8 = 1;
/// Rules flag: it may be sold short.
pub const SHORT_ALLOWED: u8 = 1;
/// Candle flag: history, from before the start or of an outage.
pub const WARM_UP: u8 = 1;
/// Candle flag: no trade fell into it.
pub const EMPTY: u8 = 2;
/// Candle flag: trades may be missing from it.
pub const PARTIAL: u8 = 4;

/// Words of a trade.
pub const TRADE_WORDS: usize = 5;
/// Words of a candle.
pub const CANDLE_WORDS: usize = 10;
/// Words of rules.
pub const RULES_WORDS: usize = 6;
/// Words of a timer and of a status.
pub const BARE_WORDS: usize = 2;
/// The most levels a side that one book event can carry.
pub const LEVELS_MAX: usize = u16::MAX as usize;

/// An event's first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header(pub u64);

impl Header {
    /// Packs a header with its two counts.
    #[must_use]
    pub fn new(kind: u8, flags: u8, symbol: SymbolId, count_a: u16, count_b: u16) -> Self {
        Self(
            u64::from(kind)
                | u64::from(flags) << 8
                | u64::from(symbol.0) << 16
                | u64::from(count_a) << 32
                | u64::from(count_b) << 48,
        )
    }

    /// A timer's header; the interval takes the place of both counts.
    #[must_use]
    pub fn timer(interval_ms: u32) -> Self {
        Self(u64::from(TIMER) | u64::from(interval_ms) << 32)
    }

    /// The kind number.
    #[must_use]
    pub fn kind(self) -> u8 {
        (self.0 & 0xff) as u8
    }

    /// The flags.
    #[must_use]
    pub fn flags(self) -> u8 {
        (self.0 >> 8 & 0xff) as u8
    }

    /// The symbol.
    #[must_use]
    pub fn symbol(self) -> SymbolId {
        SymbolId((self.0 >> 16 & 0xffff) as u16)
    }

    /// The same header for another symbol number.
    #[must_use]
    pub fn with_symbol(self, symbol: SymbolId) -> Self {
        Self(self.0 & !(0xffff << 16) | u64::from(symbol.0) << 16)
    }

    /// Count A: a book's bids.
    #[must_use]
    pub fn count_a(self) -> usize {
        (self.0 >> 32 & 0xffff) as usize
    }

    /// Count B: a book's asks.
    #[must_use]
    pub fn count_b(self) -> usize {
        (self.0 >> 48 & 0xffff) as usize
    }

    /// A timer's interval in milliseconds.
    #[must_use]
    pub fn interval_ms(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// How many words the whole event has; `None` for an unknown kind.
    #[must_use]
    pub fn words(self) -> Option<usize> {
        match self.kind() {
            TRADE => Some(TRADE_WORDS),
            BOOK => Some(BARE_WORDS + 2 * (self.count_a() + self.count_b())),
            CANDLE => Some(CANDLE_WORDS),
            RULES => Some(RULES_WORDS),
            TIMER | STATUS => Some(BARE_WORDS),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_gives_back_what_it_was_made_of() {
        let header = Header::new(BOOK, SNAPSHOT, SymbolId(513), 10, 65_535);
        assert_eq!(header.kind(), BOOK);
        assert_eq!(header.flags(), SNAPSHOT);
        assert_eq!(header.symbol(), SymbolId(513));
        assert_eq!((header.count_a(), header.count_b()), (10, 65_535));
        assert_eq!(header.words(), Some(2 + 2 * (10 + 65_535)));
        assert_eq!(header.with_symbol(SymbolId(7)).symbol(), SymbolId(7));
        assert_eq!(Header::timer(1_500).interval_ms(), 1_500);
        assert_eq!(Header(0).words(), None);
    }
}
