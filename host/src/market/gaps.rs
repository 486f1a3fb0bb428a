//! Times of which trades may be missing.

use serde::{Deserialize, Serialize};

/// Times that are kept apart; beyond it the two that are closest become one. Only those
/// within a candle that is open are kept at all.
const KEPT_MAX: usize = 32;

/// Ranges of time, both ends included, in order and apart. Times are nanoseconds of the
/// venue's clock since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gaps(Vec<(i64, i64)>);

impl Gaps {
    /// Of this time trades may be missing.
    pub(super) fn add(&mut self, mut from: i64, mut to: i64) {
        if from > to {
            return;
        }
        self.0.retain(|&(first, last)| {
            let apart = last < from.saturating_sub(1) || first > to.saturating_add(1);
            if !apart {
                (from, to) = (from.min(first), to.max(last));
            }
            apart
        });
        let at = self.0.partition_point(|&(first, _)| first < from);
        self.0.insert(at, (from, to));
        if self.0.len() > KEPT_MAX {
            self.join_closest();
        }
    }

    /// Everything from `from` until before `end` is known now.
    pub(super) fn close(&mut self, from: i64, end: i64) {
        let left = |&(first, last): &(i64, i64)| (first, last.min(from.saturating_sub(1)));
        let right = |&(first, last): &(i64, i64)| (first.max(end), last);
        let pieces = self.0.iter().flat_map(|gap| match gap.0 < end && gap.1 >= from {
            true => [left(gap), right(gap)],
            // The second is none.
            false => [*gap, (1, 0)],
        });
        self.0 = pieces.filter(|(first, last)| first <= last).collect();
        while self.0.len() > KEPT_MAX {
            self.join_closest();
        }
    }

    /// Whether any of it lies in the time from `from` until before `end`.
    pub(super) fn touch(&self, from: i64, end: i64) -> bool {
        self.0.iter().any(|&(first, last)| first < end && last >= from)
    }

    /// Lets go of what lies before `time`.
    pub(super) fn forget_before(&mut self, time: i64) {
        self.0.retain(|&(_, last)| last >= time);
    }

    fn join_closest(&mut self) {
        let space = |at: &usize| self.0[at + 1].0.saturating_sub(self.0[*at].1);
        if let Some(at) = (0..self.0.len().saturating_sub(1)).min_by_key(space) {
            let (_, last) = self.0.remove(at + 1);
            self.0[at].1 = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a list of all moments.
        #[test]
        fn add_13_gaps_are_the_moments_that_were_not_told(
            steps in proptest::collection::vec((any::<bool>(), 0_i64..200, 0_i64..20), 1..30),
        ) {
            let (mut gaps, mut missing) = (Gaps::default(), [false; 256]);
            for (adds, from, length) in steps {
                let to = from + length;
                match adds {
                    true => gaps.add(from, to),
                    false => gaps.close(from, to),
                }
                let end = if adds { to + 1 } else { to };
                (from..end).for_each(|at| missing[at as usize] = adds);
            }
            for at in 0..256 {
                prop_assert_eq!(gaps.touch(at, at + 1), missing[at as usize], "{}", at);
            }
        }
    }

    #[test]
    fn add_13_gaps_are_bounded_and_only_grow_by_that() {
        let mut gaps = Gaps::default();
        gaps.add(i64::MIN, -1_000);
        for n in 0..1_000 {
            gaps.add(n * 10, n * 10 + n % 5);
        }
        assert_eq!(gaps.0.len(), KEPT_MAX);
        assert!((0..1_000).all(|n| gaps.touch(n * 10, n * 10 + 1)));
        gaps.close(-2_000, -1_500);
        assert!(!gaps.touch(-2_000, -1_500) && gaps.touch(i64::MIN, i64::MIN + 1));
        gaps.forget_before(9_990);
        assert_eq!(gaps.0.len(), 1);
        gaps.add(i64::MAX - 1, i64::MAX);
        gaps.close(i64::MIN, i64::MAX);
        assert_eq!(gaps.0, [(i64::MAX, i64::MAX)]);
    }
}
