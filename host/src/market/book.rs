//! A price-level order book.

use serde::{Deserialize, Serialize};

use crate::domain::{Side, Ts};

/// A level: price and quantity in the instrument's units.
pub type Level = (i64, i64);

/// Bids and asks, each sorted so that the best level is last: changes cluster
/// at the best prices, and there they move the fewest levels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    bids: Vec<Level>,
    asks: Vec<Level>,
    /// what prints took of displayed levels and no book event has told yet: true for
    /// asks, price, quantity; few, and sorted
    printed: Vec<(bool, i64, i64)>,
    /// the venue's time of the snapshot that it began with
    since: Ts,
}

impl Book {
    /// An empty book that a snapshot of this time of the venue begins.
    #[must_use]
    pub fn of(since: Ts) -> Self {
        Self { since, ..Self::default() }
    }

    /// The venue's time of the snapshot that it began with; zero without one.
    #[must_use]
    pub fn since(&self) -> Ts {
        self.since
    }

    /// Sets a level to an absolute quantity; zero or less removes it. Returns
    /// the quantity before, zero when there was no such level. What prints took of it
    /// is told by that.
    pub fn set(&mut self, side: Side, price: i64, qty: i64) -> i64 {
        self.set_printed(side, price, 0);
        let (levels, position) = match side {
            Side::Buy => (&mut self.bids, Self::find_bid as fn(&[Level], i64) -> usize),
            Side::Sell => (&mut self.asks, Self::find_ask as fn(&[Level], i64) -> usize),
        };
        let at = position(levels, price);
        match levels.get_mut(at) {
            Some(level) if level.0 == price => {
                let before = level.1;
                if qty > 0 {
                    level.1 = qty;
                } else {
                    levels.remove(at);
                }
                before
            }
            _ => {
                if qty > 0 {
                    levels.insert(at, (price, qty));
                }
                0
            }
        }
    }

    /// Notes that a taker of this side took so much at a price, where that is
    /// displayed; a book event that names the price tells it. Returns what was noted
    /// of that level before.
    pub fn print(&mut self, taker: Side, price: i64, qty: i64) -> Option<i64> {
        let maker = if taker == Side::Buy { Side::Sell } else { Side::Buy };
        if self.shown(maker, price).unwrap_or(0) == 0 {
            return None;
        }
        let before = self.printed(maker, price);
        self.set_printed(maker, price, before.saturating_add(qty));
        Some(before)
    }

    /// What prints took of a level since a book event named it.
    #[must_use]
    pub fn printed(&self, side: Side, price: i64) -> i64 {
        self.find_printed(side, price).map_or(0, |at| self.printed[at].2)
    }

    /// Sets what prints took of a level.
    pub(super) fn set_printed(&mut self, side: Side, price: i64, qty: i64) {
        match (self.find_printed(side, price), qty > 0) {
            (Ok(at), true) => self.printed[at].2 = qty,
            (Ok(at), false) => {
                self.printed.remove(at);
            }
            (Err(at), true) => self.printed.insert(at, (side == Side::Sell, price, qty)),
            (Err(_), false) => {}
        }
    }

    fn find_printed(&self, side: Side, price: i64) -> Result<usize, usize> {
        let place = (side == Side::Sell, price);
        self.printed.binary_search_by(|level| (level.0, level.1).cmp(&place))
    }

    fn find_bid(levels: &[Level], price: i64) -> usize {
        levels.partition_point(|level| level.0 < price)
    }

    fn find_ask(levels: &[Level], price: i64) -> usize {
        levels.partition_point(|level| level.0 > price)
    }

    /// The highest bid.
    #[must_use]
    pub fn best_bid(&self) -> Option<Level> {
        self.bids.last().copied()
    }

    /// The lowest ask.
    #[must_use]
    pub fn best_ask(&self) -> Option<Level> {
        self.asks.last().copied()
    }

    /// Bids, best first.
    pub fn bids(&self) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator + Clone {
        self.bids.iter().rev().copied()
    }

    /// Asks, best first.
    pub fn asks(&self) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator + Clone {
        self.asks.iter().rev().copied()
    }

    /// The levels that an order of this side takes from, best first.
    pub fn opposite(&self, side: Side) -> impl Iterator<Item = Level> + '_ {
        let levels = match side {
            Side::Buy => &self.asks,
            Side::Sell => &self.bids,
        };
        levels.iter().rev().copied()
    }

    /// What is displayed on a side at a price: nothing between the best prices,
    /// unknown (`None`) beyond the worst level that is displayed.
    #[must_use]
    pub fn shown(&self, side: Side, price: i64) -> Option<i64> {
        let (levels, at) = match side {
            Side::Buy => (&self.bids, Self::find_bid(&self.bids, price)),
            Side::Sell => (&self.asks, Self::find_ask(&self.asks, price)),
        };
        match levels.get(at) {
            Some(level) if level.0 == price => Some(level.1),
            _ if at > 0 => Some(0),
            _ => None,
        }
    }

    /// How much is displayed opposite to `side` at `limit` or better.
    #[must_use]
    pub fn crossing(&self, side: Side, limit: i64) -> i64 {
        let within = self.opposite(side).take_while(|level| match side {
            Side::Buy => level.0 <= limit,
            Side::Sell => level.0 >= limit,
        });
        within.fold(0_i64, |sum, level| sum.saturating_add(level.1))
    }

    /// True when the best bid is not below the best ask, which no consistent
    /// book is.
    #[must_use]
    pub fn is_crossed(&self) -> bool {
        matches!((self.best_bid(), self.best_ask()), (Some(bid), Some(ask)) if bid.0 >= ask.0)
    }

    /// (B − A) / (B + A) over the best `depth` levels, B and A the quantities
    /// bid and asked; unknown for an empty book.
    #[must_use]
    #[allow(clippy::float_arithmetic, reason = "an indicator")]
    pub fn imbalance(&self, depth: usize) -> Option<f64> {
        let bid: i128 = self.bids().take(depth).map(|l| i128::from(l.1)).sum();
        let ask: i128 = self.asks().take(depth).map(|l| i128::from(l.1)).sum();
        (bid + ask > 0).then(|| (bid - ask) as f64 / (bid + ask) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_print_took_is_noted_until_a_book_event_names_the_level() {
        let mut book = Book::default();
        book.set(Side::Sell, 100, 10);
        book.set(Side::Buy, 99, 7);
        assert_eq!(book.print(Side::Buy, 101, 3), None, "nothing is displayed there");
        assert_eq!(book.print(Side::Sell, 100, 3), None, "nor is it a bid");
        assert_eq!(book.print(Side::Buy, 100, 3), Some(0));
        assert_eq!(book.print(Side::Buy, 100, 4), Some(3));
        assert_eq!(book.print(Side::Sell, 99, 1), Some(0));
        assert_eq!((book.printed(Side::Sell, 100), book.printed(Side::Buy, 99)), (7, 1));
        book.set(Side::Sell, 101, 5);
        assert_eq!(book.printed(Side::Sell, 100), 7, "another level");
        assert_eq!(book.set(Side::Sell, 100, 4), 10);
        assert_eq!((book.printed(Side::Sell, 100), book.printed(Side::Buy, 99)), (0, 1));
    }

    #[test]
    fn levels_are_absolute_and_zero_removes() {
        let mut book = Book::default();
        for (price, qty) in [(100, 5), (99, 7), (101, 2)] {
            assert_eq!(book.set(Side::Buy, price, qty), 0);
        }
        for (price, qty) in [(103, 5), (102, 7), (105, 2)] {
            assert_eq!(book.set(Side::Sell, price, qty), 0);
        }
        assert_eq!(book.best_bid(), Some((101, 2)));
        assert_eq!(book.best_ask(), Some((102, 7)));
        assert_eq!(book.set(Side::Buy, 101, 0), 2);
        assert_eq!(book.set(Side::Sell, 102, 1), 7);
        assert_eq!(book.set(Side::Sell, 104, 0), 0);
        assert_eq!(book.bids().collect::<Vec<_>>(), [(100, 5), (99, 7)]);
        assert_eq!(book.asks().collect::<Vec<_>>(), [(102, 1), (103, 5), (105, 2)]);
        assert!(!book.is_crossed());
        assert_eq!(book.imbalance(1), Some(4.0 / 6.0));
        assert_eq!(Book::default().imbalance(10), None);
    }
}
