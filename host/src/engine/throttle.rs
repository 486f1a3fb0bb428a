//! Where calls must be some time apart: events wait, and are told together.

use crate::portfolio::InvariantBroken;

use super::lane::{Batch, Lane};

/// Events held back until the strategy may be called again.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    pub(super) words: Vec<u64>,
    pub(super) events: u32,
    pub(super) release_at: i64,
}

/// The most words that are held back; a full buffer is delivered early. Two
/// mebibytes, some ten seconds of a very busy market.
const HELD_WORDS_MAX: usize = 1 << 18;

/// How many words the first `events` events take.
fn length_of(words: &[u64], events: u32) -> usize {
    let mut length = 0;
    for _ in 0..events {
        let Some(&header) = words.get(length) else { break };
        length += crate::words::Header(header).words().unwrap_or(words.len() - length);
    }
    length.min(words.len())
}

impl Lane {
    /// With a throttle, events wait until the interval since the last call has
    /// passed; the first event after that releases them all, in order, and what
    /// the strategy asks for happens at that event. Takes events from `told`
    /// that lie before moment `stop`, up to one that releases; returns the next
    /// event and the moment of release.
    pub(super) fn hold(
        &mut self,
        batch: &Batch<'_>,
        told: usize,
        stop: u32,
    ) -> Option<(usize, u32)> {
        let class = &batch.classes[self.class];
        for event in told..class.before(stop) {
            let moment = class.moment(event);
            self.throttle.words.extend_from_slice(class.words(event, event + 1));
            self.throttle.events += 1;
            let ts = batch.timeline.moments()[moment as usize].ts.0;
            let full = self.throttle.words.len() >= HELD_WORDS_MAX;
            if ts >= self.throttle.release_at || full {
                self.throttle.release_at = ts.saturating_add(self.limits.interval_ns);
                return Some((event + 1, moment));
            }
        }
        None
    }

    /// Delivers what was held back and settles what the strategy asks for after
    /// each call.
    pub(super) fn release(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
    ) -> Result<(), InvariantBroken> {
        let words = std::mem::take(&mut self.throttle.words);
        let mut events = std::mem::take(&mut self.throttle.events);
        let mut rest = words.as_slice();
        while events > 0 && self.state.is_called() {
            self.effects.begin(self.next_order, self.limits.intents_per_event);
            let part = events.min(self.limits.events_per_call);
            let (words, _) = rest.split_at(length_of(rest, part));
            let before = self.strategy.usage().fuel;
            let answer = self.handle(words, part);
            let Some(consumed) = self.consumed(answer, part, batch, moment) else {
                return self.recover(batch, moment);
            };
            self.computed(batch.timeline.moments()[moment as usize].ts, before);
            events -= consumed;
            rest = &rest[length_of(rest, consumed)..];
            self.settle(batch, moment)?;
        }
        self.checkpoint(batch, moment)
    }
}
