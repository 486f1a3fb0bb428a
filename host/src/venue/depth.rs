//! A venue's whole book, and the part of it that is shown.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

use crate::domain::{Price, Qty};
use crate::words::LEVELS_MAX;

/// A level: price and quantity.
pub(crate) type Level = (Price, Qty);

/// A whole book, of which at most `limit` levels a side are shown.
///
/// Cutting a delta stream to its first ten levels needs all levels: when the
/// best one goes, the eleventh comes into view and no message says so.
pub(super) struct DepthBook {
    bids: BTreeMap<Reverse<Price>, Qty>,
    asks: BTreeMap<Price, Qty>,
    limit: Option<usize>,
    shown_bids: Vec<Level>,
    shown_asks: Vec<Level>,
}

/// What a message changed in the shown part.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) bids: Vec<Level>,
    pub(super) asks: Vec<Level>,
}

impl DepthBook {
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self {
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            limit,
            shown_bids: Vec::new(),
            shown_asks: Vec::new(),
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Best bid and best ask, when both sides have a level.
    pub(super) fn best(&self) -> Option<(Level, Level)> {
        let (bid, bid_qty) = self.bids.first_key_value()?;
        let (ask, ask_qty) = self.asks.first_key_value()?;
        Some(((bid.0, *bid_qty), (*ask, *ask_qty)))
    }

    /// True when somebody would buy for more than somebody sells for.
    pub(super) fn is_crossed(&self) -> bool {
        self.best().is_some_and(|(bid, ask)| bid.0 >= ask.0)
    }

    /// Replaces the book; gives the whole shown part.
    pub(super) fn replace(&mut self, bids: &[Level], asks: &[Level]) -> Changes {
        self.clear();
        self.merge(bids, asks);
        self.shown_bids = self.view_bids();
        self.shown_asks = self.view_asks();
        Changes { bids: self.shown_bids.clone(), asks: self.shown_asks.clone() }
    }

    /// Applies absolute quantities, 0 deletes; gives what changed in the shown
    /// part. Deletes of unknown levels are normal.
    pub(super) fn apply(&mut self, bids: &[Level], asks: &[Level]) -> Changes {
        self.merge(bids, asks);
        if self.limit.is_none() {
            return Changes { bids: bids.to_vec(), asks: asks.to_vec() };
        }
        let (bids, asks) = (self.view_bids(), self.view_asks());
        let changes = Changes {
            bids: differences(&self.shown_bids, &bids, descending),
            asks: differences(&self.shown_asks, &asks, ascending),
        };
        (self.shown_bids, self.shown_asks) = (bids, asks);
        changes
    }

    fn merge(&mut self, bids: &[Level], asks: &[Level]) {
        for &(price, qty) in bids {
            set(&mut self.bids, Reverse(price), qty);
        }
        for &(price, qty) in asks {
            set(&mut self.asks, price, qty);
        }
    }

    fn view_bids(&self) -> Vec<Level> {
        let limit = self.limit.unwrap_or(LEVELS_MAX);
        self.bids.iter().take(limit).map(|(price, qty)| (price.0, *qty)).collect()
    }

    fn view_asks(&self) -> Vec<Level> {
        let limit = self.limit.unwrap_or(LEVELS_MAX);
        self.asks.iter().take(limit).map(|(price, qty)| (*price, *qty)).collect()
    }
}

/// Sets or deletes a level. The farthest one goes when there are more than an
/// event can carry, so that a venue cannot fill the memory.
fn set<K: Ord>(side: &mut BTreeMap<K, Qty>, price: K, qty: Qty) {
    if qty.is_zero() {
        side.remove(&price);
        return;
    }
    side.insert(price, qty);
    if side.len() > LEVELS_MAX {
        side.pop_last();
    }
}

/// The levels that turn `old` into `new`, first what is gone, with quantity 0,
/// then what is new or has another quantity. Both stand in the order `order`.
pub(crate) fn differences(
    old: &[Level],
    new: &[Level],
    order: fn(Price, Price) -> Ordering,
) -> Vec<Level> {
    let (mut gone, mut changed) = (Vec::new(), Vec::new());
    let mut old = old.iter().copied().peekable();
    for &(price, qty) in new {
        while let Some(level) = old.next_if(|level| order(level.0, price) == Ordering::Less) {
            gone.push((level.0, Qty::ZERO));
        }
        if old.next_if(|level| level.0 == price) != Some((price, qty)) {
            changed.push((price, qty));
        }
    }
    gone.extend(old.map(|level| (level.0, Qty::ZERO)));
    gone.extend(changed);
    gone
}

/// Highest first, as bids stand.
pub(crate) fn descending(a: Price, b: Price) -> Ordering {
    b.cmp(&a)
}

/// Lowest first, as asks stand.
pub(crate) fn ascending(a: Price, b: Price) -> Ordering {
    a.cmp(&b)
}
