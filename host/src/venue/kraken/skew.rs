//! Whether the machine's clock and the venue's can be of one time.

use crate::domain::Ts;
use crate::input::AHEAD_MAX_NS;

/// So many messages in a row: a single one may have a wrong time.
const IN_A_ROW: u32 = 3;
/// Between two words about the same.
const AGAIN_NS: i64 = 600 * Ts::SECOND;

/// Watches the times of messages that are told as they happen.
#[derive(Debug, Default)]
pub(super) struct SkewWatch {
    in_a_row: u32,
    told: Option<Ts>,
}

impl SkewWatch {
    /// A message with the venue's time `ts` came at `now`. By how many nanoseconds the
    /// venue is ahead, negative for behind, when that is more than clocks that are set
    /// differ by and is to be told.
    pub(super) fn note(&mut self, ts: Ts, now: Ts) -> Option<i64> {
        let ahead = ts.since(now);
        if ahead.abs() <= AHEAD_MAX_NS {
            self.in_a_row = 0;
            return None;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        let is_due = self.told.is_none_or(|told| now.since(told) >= AGAIN_NS);
        (self.in_a_row >= IN_A_ROW && is_due).then(|| {
            self.told = Some(now);
            ahead
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = Ts::SECOND;

    #[test]
    fn add_13_a_clock_that_is_minutes_wrong_is_told_of_now_and_then() {
        for ahead in [90 * S, -90 * S] {
            let mut watch = SkewWatch::default();
            let mut told = Vec::new();
            for second in 0..1_300 {
                let now = Ts((1_000 + second) * S);
                told.extend(watch.note(Ts(now.0 + ahead), now).map(|by| (second, by)));
            }
            assert_eq!(told, [(2, ahead), (602, ahead), (1_202, ahead)]);
        }
    }

    #[test]
    fn add_13_single_odd_times_and_small_differences_are_no_wrong_clock() {
        let mut watch = SkewWatch::default();
        for second in 0..1_000 {
            let now = Ts(second * S);
            let odd = if second % 3 == 0 { 60 * S } else { i64::MAX / 2 };
            assert_eq!(watch.note(Ts(now.0.saturating_add(odd)), now), None, "{second}");
        }
    }
}
