//! The best levels of a book as one subscriber depth sees them, and what
//! changed in them.

use serde::{Deserialize, Serialize};

use super::book::{Book, Level};

/// What a subscriber of `depth` levels was last told, so that each book event
/// becomes exactly the changes inside that depth: a level that comes into view
/// because another left is announced, one that falls out of view is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepthView {
    depth: usize,
    bids: Vec<Level>,
    asks: Vec<Level>,
    told: bool,
    /// bid levels that changed, quantity 0 for those that left
    #[serde(skip)]
    pub changed_bids: Vec<Level>,
    /// ask levels that changed, quantity 0 for those that left
    #[serde(skip)]
    pub changed_asks: Vec<Level>,
}

impl DepthView {
    /// A view of so many levels a side, which has been told nothing.
    #[must_use]
    pub fn new(depth: usize) -> Self {
        Self { depth, ..Self::default() }
    }

    /// How many levels a side it shows.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Compares with the book and leaves the difference in `changed_bids` and
    /// `changed_asks`. Returns `Some(snapshot)` when there is something to
    /// tell: the first time, or after `replaced`, the whole view.
    pub fn update(&mut self, book: &Book, replaced: bool) -> Option<bool> {
        let snapshot = replaced || !self.told;
        if snapshot {
            self.bids.clear();
            self.asks.clear();
            self.told = true;
        }
        diff(&mut self.bids, book.bids().take(self.depth), |a, b| a > b, &mut self.changed_bids);
        diff(&mut self.asks, book.asks().take(self.depth), |a, b| a < b, &mut self.changed_asks);
        (snapshot || !self.changed_bids.is_empty() || !self.changed_asks.is_empty())
            .then_some(snapshot)
    }
}

/// Merges the old and the new levels, both best first, into the list of changes,
/// and makes the old ones the new.
fn diff(
    old: &mut Vec<Level>,
    new: impl ExactSizeIterator<Item = Level> + Clone,
    better: fn(i64, i64) -> bool,
    changed: &mut Vec<Level>,
) {
    changed.clear();
    let mut at = 0;
    for level in new.clone() {
        while at < old.len() && better(old[at].0, level.0) {
            changed.push((old[at].0, 0));
            at += 1;
        }
        if at < old.len() && old[at].0 == level.0 {
            if old[at].1 != level.1 {
                changed.push(level);
            }
            at += 1;
        } else {
            changed.push(level);
        }
    }
    changed.extend(old[at..].iter().map(|level| (level.0, 0)));
    if !changed.is_empty() {
        old.clear();
        old.extend(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Side;

    #[test]
    fn a_level_that_comes_into_view_is_told_and_one_that_leaves_is_removed() {
        let mut book = Book::default();
        for price in 1..=5 {
            book.set(Side::Buy, price, 10);
            book.set(Side::Sell, price + 10, 10);
        }
        let mut view = DepthView::new(2);
        assert_eq!(view.update(&book, false), Some(true));
        assert_eq!(view.changed_bids, [(5, 10), (4, 10)]);
        book.set(Side::Buy, 1, 3);
        assert_eq!(view.update(&book, false), None, "below the view");
        book.set(Side::Buy, 5, 0);
        assert_eq!(view.update(&book, false), Some(false));
        assert_eq!(view.changed_bids, [(5, 0), (3, 10)]);
        book.set(Side::Buy, 6, 1);
        view.update(&book, false);
        assert_eq!(view.changed_bids, [(6, 1), (3, 0)]);
        assert!(view.changed_asks.is_empty());
        assert_eq!(view.update(&book, true), Some(true), "a replaced book is told whole");
        assert_eq!(view.changed_asks, [(11, 10), (12, 10)]);
    }
}
