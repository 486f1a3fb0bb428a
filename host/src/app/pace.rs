//! How much the engine is given at once.
//!
//! A block of a source may hold tens of thousands of events, and a strategy may take
//! milliseconds for each. Whoever ends the run, commands it, or watches waits for a
//! step to end, so long steps are cut: where the cuts are changes no decision, since
//! batches change none.

use std::time::{Duration, Instant};

use crate::input::InputBlock;

/// How long a step should take at most: well below what a person notices, and long
/// enough that the cuts cost nothing.
const STEP: Duration = Duration::from_millis(50);
/// Events of the first step, while nothing is known of the strategies.
const FIRST: usize = 64;
/// The most events of a step.
const MOST: usize = 1 << 16;

/// Cuts blocks into steps that take about 50 ms of wall time.
#[derive(Debug)]
pub struct Pace {
    events: usize,
    part: InputBlock,
}

impl Default for Pace {
    fn default() -> Self {
        Self { events: FIRST, part: InputBlock::default() }
    }
}

impl Pace {
    /// Gives `step` the block in parts, as long as `goes_on`, which is asked before
    /// each. False when it did not go on: the rest was not stepped.
    ///
    /// # Errors
    /// That of the step, which is then the last.
    #[allow(clippy::disallowed_methods, reason = "how long it took decides no result")]
    pub fn steps<E>(
        &mut self,
        block: &InputBlock,
        goes_on: impl Fn() -> bool,
        mut step: impl FnMut(&InputBlock) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut done = 0;
        while done < block.len() {
            if !goes_on() {
                return Ok(false);
            }
            let count = self.events.min(block.len() - done);
            let began = Instant::now();
            if count == block.len() {
                step(block)?;
            } else {
                block.copy_part(done..done + count, &mut self.part);
                step(&self.part)?;
            }
            done += count;
            self.took(count, began.elapsed());
        }
        Ok(true)
    }

    /// A step of that many events took that long.
    fn took(&mut self, events: usize, time: Duration) {
        let fit = (events as u128 * STEP.as_nanos()) / time.as_nanos().max(1);
        let fit = usize::try_from(fit).unwrap_or(MOST);
        // Down at once; up by steps, since the next events may be dearer.
        let most = if events < self.events { self.events } else { self.events.saturating_mul(4) };
        self.events = fit.clamp(1, most.min(MOST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{InstrumentTable, Ts};

    fn block(events: i64) -> InputBlock {
        let mut block = InputBlock::new(&InstrumentTable::default(), 11);
        (0..events).for_each(|n| block.push_timer(Ts(n)));
        block
    }

    #[test]
    fn parts_are_the_whole_in_order() {
        let block = block(1_000);
        let mut pace = Pace::default();
        let (mut seq, mut words) = (11, Vec::new());
        let all = pace.steps(
            &block,
            || true,
            |part| -> Result<(), ()> {
                assert_eq!(part.first_seq(), seq);
                seq = part.next_seq();
                words.extend_from_slice(part.exact_words());
                assert_eq!(part.ts_exchange(part.len() - 1), part.ts(part.len() - 1));
                assert_eq!(part.words(0).len(), 2);
                Ok(())
            },
        );
        assert_eq!((all, seq), (Ok(true), 1_011));
        assert_eq!(words, block.exact_words());
    }

    #[test]
    fn high_007_who_ends_the_run_waits_for_one_part() {
        let block = block(1_000);
        let stepped = std::cell::Cell::new(0);
        let mut pace = Pace::default();
        let all = pace.steps(
            &block,
            || stepped.get() == 0,
            |part| -> Result<(), ()> {
                stepped.set(stepped.get() + part.len());
                Ok(())
            },
        );
        assert_eq!((all, stepped.get()), (Ok(false), FIRST));
    }

    #[test]
    fn a_step_takes_about_fifty_milliseconds_whatever_an_event_takes() {
        let mut pace = Pace::default();
        let mut took = |event: Duration| {
            (0..20).for_each(|_| pace.took(pace.events, event * pace.events as u32));
            pace.events
        };
        assert_eq!(took(Duration::from_millis(4)), 12);
        assert_eq!(took(Duration::from_micros(100)), 500);
        assert_eq!(took(Duration::from_secs(1)), 1, "one event is the least");
        assert_eq!(took(Duration::from_nanos(50)), MOST);
        // A short block says little of what a longer one takes.
        pace.took(10, Duration::from_nanos(10));
        assert_eq!(pace.events, MOST);
    }
}
