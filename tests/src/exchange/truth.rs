//! What was true at each moment that was told to anybody.

use std::collections::BTreeMap;

use super::book::View;
use super::market::PAIRS;

/// Books by pair and time. Each message of a book has a time of its own.
#[derive(Debug)]
pub struct Truth {
    books: Vec<BTreeMap<i64, View>>,
    kept: usize,
}

impl Truth {
    /// Remembers this many books of each pair.
    #[must_use]
    pub fn new(kept: usize) -> Self {
        Self { books: vec![BTreeMap::new(); PAIRS.len()], kept }
    }

    /// Notes what a subscriber is told at about `now`, and gives the time that
    /// the message is to carry: later than any before, in whole microseconds.
    pub fn note_book(&mut self, symbol: usize, view: &View, now: i64) -> i64 {
        let books = &mut self.books[symbol];
        let last = books.last_key_value().map_or(0, |(ts, _)| *ts);
        let ts = (now - now % 1_000).max(last + 1_000);
        books.insert(ts, view.clone());
        while books.len() > self.kept.max(1) {
            books.pop_first();
        }
        ts
    }

    /// The book that was told at that time.
    #[must_use]
    pub fn book(&self, symbol: usize, ts: i64) -> Option<&View> {
        self.books[symbol].get(&ts)
    }

    /// When something was told of this pair for the first time after `ts`.
    #[must_use]
    pub fn first_after(&self, symbol: usize, ts: i64) -> Option<i64> {
        let after = ts.saturating_add(1);
        self.books[symbol].range(after..).next().map(|(ts, _)| *ts)
    }
}
