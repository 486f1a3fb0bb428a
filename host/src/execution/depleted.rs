//! What a lane has taken of the levels that are displayed.
//!
//! Our fills are on paper, so the market goes on displaying what they took. Of
//! each level the quantity that was taken is subtracted from the displayed one. A book
//! event that names the level shows anew only what it adds: where it displays less than
//! was taken, that less is what was taken; so does a snapshot, of all levels: recordings may
//! hold little else. A level that is gone was named with zero or is not in the snapshot,
//! so what is remembered is never more than the displayed levels.

use serde::{Deserialize, Serialize};

use crate::domain::{Price, Side};
use crate::market::Book;
use crate::market::book::Level;

/// What was taken of one symbol's displayed levels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depleted {
    /// side of the book (asks are `Sell`), price and quantity taken; sorted
    levels: Vec<(bool, i64, i64)>,
}

impl Depleted {
    /// Nothing was taken.
    #[must_use]
    pub const fn new() -> Self {
        Self { levels: Vec::new() }
    }

    /// True when all that is displayed is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// What is left for an order of this side, best level first: what is displayed, less
    /// what the lane and what prints took of it.
    pub fn left<'a>(&'a self, book: &'a Book, side: Side) -> impl Iterator<Item = Level> + 'a {
        let asks = side == Side::Buy;
        let maker = if asks { Side::Sell } else { Side::Buy };
        book.opposite(side).filter_map(move |(price, shown)| {
            let own = self.find(asks, price).map_or(0, |at| self.levels[at].2);
            let taken = own.saturating_add(book.printed(maker, price));
            (shown > taken).then(|| (price, shown - taken))
        })
    }

    /// How much of that is at `limit` or better.
    #[must_use]
    pub fn within(&self, book: &Book, side: Side, limit: Price) -> i64 {
        let within = self.left(book, side).take_while(|level| match side {
            Side::Buy => level.0 <= limit.0,
            Side::Sell => level.0 >= limit.0,
        });
        within.fold(0_i64, |sum, level| sum.saturating_add(level.1))
    }

    /// Notes that an order of this side took `qty`, the best levels first.
    pub fn take(&mut self, book: &Book, side: Side, qty: i64) {
        let mut rest = qty;
        let mut taken = Vec::new();
        for (price, left) in self.left(book, side) {
            if rest <= 0 {
                break;
            }
            taken.push((price, left.min(rest)));
            rest -= left.min(rest);
        }
        let asks = side == Side::Buy;
        for (price, qty) in taken {
            match self.find(asks, price) {
                Ok(at) => self.levels[at].2 = self.levels[at].2.saturating_add(qty),
                Err(at) => self.levels.insert(at, (asks, price, qty)),
            }
        }
    }

    /// The market displays `qty` at a level.
    pub fn shown(&mut self, side: Side, price: i64, qty: i64) {
        if let Ok(at) = self.find(side == Side::Sell, price) {
            self.levels[at].2 = self.levels[at].2.min(qty);
            if qty <= 0 {
                self.levels.remove(at);
            }
        }
    }

    /// The market displays this much at each price of a side, and nothing else.
    pub fn all_shown(&mut self, displayed: impl Fn(Side, i64) -> i64) {
        self.levels.retain_mut(|(asks, price, taken)| {
            let side = if *asks { Side::Sell } else { Side::Buy };
            *taken = (*taken).min(displayed(side, *price));
            *taken > 0
        });
    }

    /// The place of a level, or where it would be.
    fn find(&self, asks: bool, price: i64) -> Result<usize, usize> {
        self.levels.binary_search_by(|level| (level.0, level.1).cmp(&(asks, price)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        let mut book = Book::default();
        for (price, qty) in [(100, 10), (101, 20), (103, 5)] {
            book.set(Side::Sell, price, qty);
        }
        for (price, qty) in [(99, 7), (98, 8)] {
            book.set(Side::Buy, price, qty);
        }
        book
    }

    #[test]
    fn what_was_taken_is_gone_until_its_level_is_shown_again() {
        let book = book();
        let mut depleted = Depleted::default();
        let left = |depleted: &Depleted, side| depleted.left(&book, side).collect::<Vec<_>>();
        depleted.take(&book, Side::Buy, 13);
        assert_eq!(left(&depleted, Side::Buy), [(101, 17), (103, 5)]);
        assert_eq!(left(&depleted, Side::Sell), [(99, 7), (98, 8)], "the other side is whole");
        depleted.take(&book, Side::Buy, 1);
        depleted.take(&book, Side::Sell, 7);
        assert_eq!(left(&depleted, Side::Buy), [(101, 16), (103, 5)]);
        assert_eq!(depleted.within(&book, Side::Buy, Price(102)), 16);
        assert_eq!(depleted.within(&book, Side::Sell, Price(98)), 8);
        depleted.shown(Side::Buy, 101, 0);
        assert_eq!(left(&depleted, Side::Buy), [(101, 16), (103, 5)], "a bid is no ask");
        depleted.shown(Side::Sell, 101, 20);
        assert_eq!(left(&depleted, Side::Buy), [(101, 16), (103, 5)], "nothing was added");
        depleted.shown(Side::Sell, 101, 0);
        assert_eq!(left(&depleted, Side::Buy), [(101, 20), (103, 5)], "it was gone, 100 not");
        depleted.take(&book, Side::Buy, 1_000);
        assert_eq!(left(&depleted, Side::Buy), []);
        assert_eq!(depleted.levels.len(), 4, "never more than what is displayed");
        depleted.all_shown(|side, price| if (side, price) == (Side::Sell, 101) { 25 } else { 0 });
        assert_eq!(depleted.levels, [(true, 101, 20)], "the others are gone");
        depleted.all_shown(|_, _| 0);
        assert!(depleted.is_empty());
    }

    #[test]
    fn of_a_level_that_was_taken_only_what_is_added_is_there() {
        let mut book = book();
        let mut depleted = Depleted::default();
        depleted.take(&book, Side::Buy, 8);
        // Displayed at 100, and what of it is left.
        for (displayed, left) in [(10, 2), (9, 1), (4, 0), (6, 2), (3, 0), (30, 27)] {
            book.set(Side::Sell, 100, displayed);
            depleted.shown(Side::Sell, 100, displayed);
            assert_eq!(depleted.within(&book, Side::Buy, Price(100)), left, "{displayed}");
        }
    }
}
