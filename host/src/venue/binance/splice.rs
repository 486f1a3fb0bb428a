//! Joining a stream of deltas to a snapshot that came another way.
//!
//! The rules, for a book whose last change is `L`:
//!
//! 1. Without a snapshot deltas wait, in order.
//! 2. A snapshot as of `L` drops what waits up to `u <= L`. What remains must
//!    begin with `U <= L + 1`, else the snapshot is too old and another one is
//!    needed. (The documentation's "`L` within `U..u`" is too strict: a delta
//!    may begin exactly at `L + 1`.)
//! 3. A delta with `u <= L` is old and ignored; one with `U > L + 1` shows that
//!    something was lost; any other one is applied and `L` becomes its `u`.

use std::collections::VecDeque;

use crate::domain::Ts;
use crate::venue::depth::Level;

/// Deltas that wait at most: 100 seconds at the venue's fastest pace. Without a
/// snapshot by then, the oldest go, and rule 2 finds out.
pub(super) const WAITING_MAX: usize = 1_000;

/// A delta with exact numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Delta {
    pub(super) first_id: u64,
    pub(super) last_id: u64,
    pub(super) ts_exchange: Ts,
    pub(super) bids: Vec<Level>,
    pub(super) asks: Vec<Level>,
}

/// Where the book stands.
#[derive(Debug)]
pub(super) enum Splice {
    /// No usable book; these deltas wait for one.
    Waiting(VecDeque<Delta>),
    /// A book whose last change has this id.
    Live(u64),
}

/// What to do with a delta.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It waits.
    Waits,
    /// The book is newer.
    Old,
    /// Apply it to the book.
    Apply(Delta),
    /// Something before it was lost; it waits for the next snapshot.
    Gap,
}

/// What a snapshot led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spliced {
    /// The book is the snapshot followed by these deltas.
    Joined {
        /// when the newest change that the snapshot covers was sent, if a delta
        /// said so
        ts_exchange: Option<Ts>,
        /// what follows it
        then: VecDeque<Delta>,
    },
    /// It ends before what waits begins.
    TooOld,
    /// The book is newer.
    Behind,
}

impl Default for Splice {
    fn default() -> Self {
        Self::Waiting(VecDeque::new())
    }
}

impl Splice {
    pub(super) fn on_delta(&mut self, delta: Delta) -> Verdict {
        match self {
            Self::Waiting(waiting) => {
                if waiting.len() == WAITING_MAX {
                    waiting.pop_front();
                }
                waiting.push_back(delta);
                Verdict::Waits
            }
            Self::Live(last) if delta.last_id <= *last => Verdict::Old,
            Self::Live(last) if delta.first_id > last.saturating_add(1) => {
                *self = Self::Waiting(VecDeque::from([delta]));
                Verdict::Gap
            }
            Self::Live(last) => {
                *last = delta.last_id;
                Verdict::Apply(delta)
            }
        }
    }

    /// A snapshot whose last change is `last_id`. The caller applies what
    /// follows it by [`on_delta`](Self::on_delta), which finds gaps among it.
    pub(super) fn on_snapshot(&mut self, last_id: u64) -> Spliced {
        let waiting = match self {
            Self::Live(last) if last_id < *last => return Spliced::Behind,
            Self::Live(_) => VecDeque::new(),
            Self::Waiting(waiting) => {
                let next = waiting.iter().find(|delta| delta.last_id > last_id);
                if next.is_some_and(|delta| delta.first_id > last_id.saturating_add(1)) {
                    return Spliced::TooOld;
                }
                std::mem::take(waiting)
            }
        };
        let covered = waiting.iter().take_while(|delta| delta.last_id <= last_id);
        let ts_exchange = covered.map(|delta| delta.ts_exchange).max();
        let then = waiting.into_iter().filter(|delta| delta.last_id > last_id).collect();
        *self = Self::Live(last_id);
        Spliced::Joined { ts_exchange, then }
    }

    /// Drops a book that turned out wrong.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }
}
