//! A book as the venue sends it: no more levels a side than were asked for.
//!
//! 1. A message is applied whole, both sides, in the order of its levels; of
//!    several levels at one price the last wins; quantity 0 deletes.
//! 2. Then each side is cut to the depth, because the venue does not delete
//!    what falls out of it.
//! 3. Only then are the checksum and, apart from it, bid < ask checked. The
//!    checksum covers ten levels, so at a greater depth it can pass on a book
//!    that is wrong below them, or crossed for want of a whole snapshot.
//! 4. A delete of a level that the book does not have shows that something was
//!    lost: the venue sends none in any recording.

use std::cmp::Ordering;
use std::fmt;

use super::checksum::{Precision, Units, checksum};
use crate::domain::{Price, Qty};
use crate::venue::depth::{Level, ascending, descending, differences};

/// One symbol's book at a depth.
#[derive(Clone, Debug)]
pub(super) struct Book {
    bids: Half,
    asks: Half,
    depth: usize,
    shown: usize,
    units: Units,
    truncates: bool,
}

/// Why a book cannot be trusted after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desync {
    /// It does not have the checksum that the venue sent.
    Checksum {
        /// what the venue sent
        expected: u32,
        /// what the book has; `None` when it has decimals that the venue's
        /// precision excludes
        computed: Option<u32>,
    },
    /// The best bid is at or above the best ask.
    Crossed,
    /// A level was deleted that the book does not have.
    UnknownDelete,
    /// A book frame of this symbol could not be read.
    Unreadable,
}

impl fmt::Display for Desync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum { expected, computed: Some(computed) } => {
                write!(f, "its checksum is {computed}, the venue's {expected}")
            }
            Self::Checksum { computed: None, .. } => {
                f.write_str("it has more decimals than the venue's checksum")
            }
            Self::Crossed => f.write_str("its best bid is not below its best ask"),
            Self::UnknownDelete => f.write_str("a level was deleted that it does not have"),
            Self::Unreadable => f.write_str("a message of it could not be read"),
        }
    }
}

/// What a message changed in the shown part.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) bids: Vec<Level>,
    pub(super) asks: Vec<Level>,
}

impl Book {
    /// An empty book of `depth` levels a side, of which `shown` are passed on.
    pub(super) fn new(depth: usize, shown: usize, units: Units) -> Self {
        Self {
            bids: Half { levels: Vec::new(), order: descending },
            asks: Half { levels: Vec::new(), order: ascending },
            depth,
            shown: shown.min(depth),
            units,
            truncates: true,
        }
    }

    /// The same book without rule 2, to show that the rule is needed.
    #[cfg(test)]
    pub(super) fn without_truncation(mut self) -> Self {
        self.truncates = false;
        self
    }

    /// Forgets all levels.
    pub(super) fn clear(&mut self) {
        self.bids.levels.clear();
        self.asks.levels.clear();
    }

    /// Bids, best first.
    pub(super) fn bids(&self) -> &[Level] {
        &self.bids.levels
    }

    /// Asks, best first.
    pub(super) fn asks(&self) -> &[Level] {
        &self.asks.levels
    }

    /// Best bid and best ask, when both sides have a level.
    pub(super) fn best(&self) -> Option<(Level, Level)> {
        Some((*self.bids.levels.first()?, *self.asks.levels.first()?))
    }

    /// Replaces the book; gives the whole shown part.
    ///
    /// # Errors
    /// Why the book that results cannot be trusted.
    pub(super) fn replace(
        &mut self,
        bids: &[Level],
        asks: &[Level],
        expected: u32,
        precision: Precision,
    ) -> Result<Changes, Desync> {
        self.clear();
        self.bids.merge(bids);
        self.asks.merge(asks);
        self.truncate();
        self.check(expected, precision)?;
        Ok(Changes {
            bids: self.bids.view(self.shown).to_vec(),
            asks: self.asks.view(self.shown).to_vec(),
        })
    }

    /// Applies an update; gives what changed in the shown part.
    ///
    /// # Errors
    /// Why the book that results cannot be trusted.
    pub(super) fn apply(
        &mut self,
        bids: &[Level],
        asks: &[Level],
        expected: u32,
        precision: Precision,
    ) -> Result<Changes, Desync> {
        let old_bids = self.bids.copy_if(!bids.is_empty());
        let old_asks = self.asks.copy_if(!asks.is_empty());
        let all_known = self.bids.merge(bids) & self.asks.merge(asks);
        self.truncate();
        self.check(expected, precision)?;
        if !all_known {
            return Err(Desync::UnknownDelete);
        }
        Ok(Changes {
            bids: self.bids.changes(old_bids.as_deref(), self.shown),
            asks: self.asks.changes(old_asks.as_deref(), self.shown),
        })
    }

    fn truncate(&mut self) {
        if self.truncates {
            self.bids.levels.truncate(self.depth);
            self.asks.levels.truncate(self.depth);
        }
    }

    fn check(&self, expected: u32, precision: Precision) -> Result<(), Desync> {
        let computed = checksum(self.asks(), self.bids(), self.units, precision);
        if computed != Some(expected) {
            return Err(Desync::Checksum { expected, computed });
        }
        match self.best() {
            Some((bid, ask)) if bid.0 >= ask.0 => Err(Desync::Crossed),
            _ => Ok(()),
        }
    }
}

/// One side, best first. A sorted vector: changes come near its start, and the
/// checksum and the view read it in order.
#[derive(Clone, Debug)]
struct Half {
    levels: Vec<Level>,
    order: fn(Price, Price) -> Ordering,
}

impl Half {
    /// Applies absolute quantities; false when it was told to delete a level
    /// that it does not have.
    fn merge(&mut self, levels: &[Level]) -> bool {
        let mut all_known = true;
        for &(price, qty) in levels {
            let place = self.levels.binary_search_by(|level| (self.order)(level.0, price));
            match place {
                Ok(place) if qty.is_zero() => {
                    self.levels.remove(place);
                }
                Ok(place) => {
                    if let Some(level) = self.levels.get_mut(place) {
                        level.1 = qty;
                    }
                }
                Err(_) if qty == Qty::ZERO => all_known = false,
                Err(place) => self.levels.insert(place, (price, qty)),
            }
        }
        all_known
    }

    fn view(&self, shown: usize) -> &[Level] {
        self.levels.get(..shown).unwrap_or(&self.levels)
    }

    fn copy_if(&self, needed: bool) -> Option<Vec<Level>> {
        needed.then(|| self.levels.clone())
    }

    fn changes(&self, old: Option<&[Level]>, shown: usize) -> Vec<Level> {
        let Some(old) = old else { return Vec::new() };
        differences(old.get(..shown).unwrap_or(old), self.view(shown), self.order)
    }
}
