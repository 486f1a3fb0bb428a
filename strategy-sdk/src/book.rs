//! The order book as far as a strategy subscribed to it.

use crate::types::{Level, Symbol};
use crate::words::RawEvent;

/// Best bids and asks of one instrument.
///
/// A changed level merges into the book, a snapshot replaces it. The book holds
/// the subscribed depth, or as many levels as the last snapshot had if those
/// were more; what falls out beyond that is forgotten, as venues do it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    symbol: Symbol,
    ts_ns: u64,
    depth: usize,
    limit: usize,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl Book {
    pub(crate) fn new(symbol: Symbol, depth: usize) -> Self {
        Self { symbol, depth, limit: depth, ..Self::default() }
    }

    pub(crate) fn apply(&mut self, event: &RawEvent<'_>) {
        self.ts_ns = event.ts_ns;
        if event.is_snapshot() {
            self.bids.clear();
            self.asks.clear();
            self.limit = self.depth.max(event.bids().len()).max(event.asks().len());
        }
        for level in event.bids() {
            merge(&mut self.bids, level, |have, new| have > new);
        }
        for level in event.asks() {
            merge(&mut self.asks, level, |have, new| have < new);
        }
        self.bids.truncate(self.limit);
        self.asks.truncate(self.limit);
    }

    /// The instrument.
    pub fn symbol(&self) -> Symbol {
        self.symbol
    }

    /// All levels held, also those below the subscribed depth.
    pub(crate) fn all_levels(&self) -> (&[Level], &[Level]) {
        (&self.bids, &self.asks)
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// When it last changed, 0 before its first event.
    pub fn ts_ns(&self) -> u64 {
        self.ts_ns
    }

    /// Bids to the subscribed depth, best first.
    pub fn bids(&self) -> &[Level] {
        &self.bids[..self.bids.len().min(self.depth)]
    }

    /// Asks to the subscribed depth, best first.
    pub fn asks(&self) -> &[Level] {
        &self.asks[..self.asks.len().min(self.depth)]
    }

    /// The best bid.
    pub fn best_bid(&self) -> Option<Level> {
        self.bids.first().copied()
    }

    /// The best ask.
    pub fn best_ask(&self) -> Option<Level> {
        self.asks.first().copied()
    }

    /// Halfway between best bid and best ask.
    pub fn mid(&self) -> Option<f64> {
        Some((self.best_bid()?.price + self.best_ask()?.price) / 2.0)
    }

    /// Best ask less best bid, in quote units.
    pub fn spread(&self) -> Option<f64> {
        Some(self.best_ask()?.price - self.best_bid()?.price)
    }

    /// The spread in percent of the mid price.
    pub fn spread_pct(&self) -> Option<f64> {
        Some(100.0 * self.spread()? / self.mid()?)
    }

    /// (B − A) / (B + A) of the quantities on the best `levels` of each side:
    /// 1 when all rests on the bid, −1 when all rests on the ask.
    pub fn imbalance(&self, levels: usize) -> Option<f64> {
        let sum =
            |side: &[Level]| side.iter().take(levels).map(|level| level.quantity).sum::<f64>();
        let (bids, asks) = (sum(self.bids()), sum(self.asks()));
        let total = bids + asks;
        (total > 0.0).then(|| (bids - asks) / total)
    }
}

/// Puts a level at its place, replaces the one of its price, or removes that
/// when the quantity is 0. `before` says whether a level stands ahead of the new
/// one.
fn merge(side: &mut Vec<Level>, level: Level, before: impl Fn(f64, f64) -> bool) {
    let place = side.partition_point(|have| before(have.price, level.price));
    let known = side.get(place).is_some_and(|have| have.price == level.price);
    match (known, level.quantity > 0.0) {
        (true, true) => side[place] = level,
        (true, false) => {
            side.remove(place);
        }
        (false, true) => side.insert(place, level),
        (false, false) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words;

    fn levels(pairs: &[(f64, f64)]) -> Vec<Level> {
        pairs.iter().map(|&(price, quantity)| Level { price, quantity }).collect()
    }

    #[track_caller]
    fn apply(book: &mut Book, snapshot: bool, bids: &[(f64, f64)], asks: &[(f64, f64)]) {
        let mut batch = Vec::new();
        words::push_book(&mut batch, Symbol(0), 7, snapshot, &levels(bids), &levels(asks));
        let (event, rest) = words::split_first(&batch).expect("a whole event");
        assert!(rest.is_empty());
        book.apply(&event);
    }

    #[test]
    fn add_08_update_merges_and_snapshot_replaces() {
        let mut book = Book::new(Symbol(0), 3);
        apply(&mut book, true, &[(99.0, 1.0), (98.0, 2.0)], &[(101.0, 1.5)]);
        apply(&mut book, false, &[(98.5, 4.0), (99.0, 3.0)], &[(101.0, 0.0), (100.5, 2.0)]);
        assert_eq!(book.bids(), levels(&[(99.0, 3.0), (98.5, 4.0), (98.0, 2.0)]));
        assert_eq!(book.asks(), levels(&[(100.5, 2.0)]));
        apply(&mut book, true, &[(50.0, 1.0)], &[(51.0, 1.0)]);
        assert_eq!((book.bids().len(), book.mid()), (1, Some(50.5)));
    }

    #[test]
    fn level_beyond_the_depth_falls_out() {
        let mut book = Book::new(Symbol(0), 2);
        apply(&mut book, true, &[(99.0, 1.0), (98.0, 1.0)], &[]);
        apply(&mut book, false, &[(99.5, 1.0)], &[]);
        apply(&mut book, false, &[(99.5, 0.0), (97.0, 5.0)], &[]);
        assert_eq!(book.bids(), levels(&[(99.0, 1.0), (97.0, 5.0)]));
    }

    #[test]
    fn deeper_snapshot_keeps_what_lies_below_the_view() {
        let mut book = Book::new(Symbol(0), 2);
        apply(&mut book, true, &[(99.0, 1.0), (98.0, 1.0), (97.0, 1.0)], &[]);
        assert_eq!(book.bids().len(), 2);
        apply(&mut book, false, &[(99.0, 0.0)], &[]);
        assert_eq!(book.bids(), levels(&[(98.0, 1.0), (97.0, 1.0)]));
    }

    #[test]
    fn spread_and_imbalance() {
        let mut book = Book::new(Symbol(0), 10);
        assert_eq!((book.mid(), book.imbalance(5)), (None, None));
        apply(&mut book, true, &[(99.0, 3.0), (98.0, 9.0)], &[(101.0, 1.0)]);
        assert_eq!(book.spread_pct(), Some(2.0));
        assert_eq!(book.imbalance(1), Some(0.5));
        assert_eq!(book.imbalance(2), Some(11.0 / 13.0));
    }
}
