//! Calls into a strategy: its events, the news of its orders, and what it asks for
//! in return.

use std::sync::Arc;

use crate::domain::Ts;
use crate::portfolio::InvariantBroken;
use crate::strategy::{Fault, FaultKind, Intent, OrderUpdate};

use super::lane::{Batch, Lane};
use super::output::{LaneOutput, Output};
use super::verdict::Call;
use super::view::LaneView;

/// The most bytes of log text of one lane that wait to be drained: a strategy
/// that floods every event of a large block loses its own lines, counted.
const LOGS_HELD_MAX: usize = 1 << 20;

/// The most indicator names of one lane: more than a person can watch, and a
/// bound on what a strategy can make the host keep.
const INDICATORS_MAX: usize = 256;

impl Lane {
    /// Calls the strategy with its events from `told` that lie before moment
    /// `stop`. Returns the next undelivered event and the moment at which what
    /// it asked for happens; `None` when there was nothing to call it for.
    pub(super) fn deliver(
        &mut self,
        batch: &mut Batch<'_>,
        told: usize,
        stop: u32,
    ) -> Option<(usize, u32)> {
        if !self.state.is_called() {
            return None;
        }
        let class = &batch.classes[self.class];
        let upto = class.before(stop).min(told + self.limits.events_per_call as usize);
        if told >= upto {
            return None;
        }
        let events = (upto - told) as u32;
        self.effects.begin(self.next_order, self.limits.intents_per_event);
        let before = self.strategy.usage().fuel;
        let answer = self.handle(class.words(told, upto), events);
        let consumed = self.consumed(answer, events, batch, class.moment(told))?;
        let next = told + consumed as usize;
        let moment = class.moment(next - 1);
        self.computed(batch.timeline.moments()[moment as usize].ts, before);
        Some((next, moment))
    }

    /// Counts the fuel that a call at `ts` used as time, where that is wanted.
    pub(super) fn computed(&mut self, ts: Ts, fuel_before: u64) {
        let used = self.strategy.usage().fuel.saturating_sub(fuel_before);
        self.flight.computed(ts, used);
    }

    /// Checks the answer of `handle`; a fault quarantines the lane.
    pub(super) fn consumed(
        &mut self,
        answer: Result<u32, Fault>,
        events: u32,
        batch_outputs: &mut Batch<'_>,
        moment: u32,
    ) -> Option<u32> {
        let answer = answer.and_then(|consumed| {
            if (1..=events).contains(&consumed) {
                return Ok(consumed);
            }
            let detail = format!("handle consumed {consumed} of {events} events");
            Err(Fault::new(FaultKind::Protocol, detail))
        });
        match answer {
            Ok(consumed) => {
                self.counters.events += u64::from(consumed);
                Some(consumed)
            }
            Err(fault) => {
                let place = &batch_outputs.timeline.moments()[moment as usize];
                self.fail(fault, place.ts, batch_outputs.outputs);
                None
            }
        }
    }

    /// Applies what a call asked for at `moment`, and what the answers to the
    /// news of it ask for, until nothing is left.
    pub(super) fn settle(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
    ) -> Result<(), InvariantBroken> {
        let mut left = self.limits.intents_per_event;
        loop {
            left = left.saturating_sub(self.effects.intents.len() as u32);
            self.commit(batch, moment)?;
            let Some(update) = self.updates.pop_front() else {
                if self.police(batch, moment)? {
                    continue;
                }
                return self.recover(batch, moment);
            };
            if !self.state.is_called() {
                self.updates.clear();
                return self.recover(batch, moment);
            }
            self.tell(batch, moment, &update, left)?;
        }
    }

    fn tell(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        update: &OrderUpdate,
        left: u32,
    ) -> Result<(), InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        self.seek(batch, moment)?;
        let number = batch.timeline.number(moment);
        let view = LaneView::new(self, batch.market, number);
        self.effects.begin(self.next_order, left);
        let before = self.strategy.usage().fuel;
        let told = match self.foretold(Call::Order) {
            Ok(()) => self.strategy.on_order(update, Arc::new(view), &mut self.effects),
            Err(fault) => Err(fault),
        };
        match told {
            Ok(()) => {
                self.verdicts.updates += 1;
                self.computed(place.ts, before);
            }
            Err(fault) => self.fail(fault, place.ts, batch.outputs),
        }
        Ok(())
    }

    /// Applies the effects of the call that has just returned well.
    fn commit(&mut self, batch: &mut Batch<'_>, moment: u32) -> Result<(), InvariantBroken> {
        if self.effects.is_empty() {
            return Ok(());
        }
        let ts = batch.timeline.moments()[moment as usize].ts;
        self.publish(ts, batch.outputs);
        let intents = std::mem::take(&mut self.effects.intents);
        // What a limit closes between two of them must not take the number of the next.
        let numbers = intents.iter().filter_map(|intent| match intent {
            Intent::Submit { order, .. } => Some(order + 1),
            _ => None,
        });
        self.given = numbers.max().unwrap_or(0);
        for intent in &intents {
            self.send(batch, moment, intent)?;
            self.police(batch, moment)?;
        }
        self.given = 0;
        self.effects.intents = intents;
        self.effects.intents.clear();
        Ok(())
    }

    /// Logs, indicators and counters of a call.
    pub(super) fn publish(&mut self, ts: Ts, outputs: &mut Vec<Output>) {
        for (level, text) in self.effects.logs.drain(..) {
            self.logs_held += text.len();
            if self.logs_held > LOGS_HELD_MAX {
                self.counters.logs_dropped += 1;
                continue;
            }
            self.counters.log_lines += 1;
            self.counters.log_bytes += text.len() as u64;
            outputs.push(Output { lane: self.number, ts, body: LaneOutput::Log { level, text } });
        }
        for (name, value) in self.effects.indicators.drain(..) {
            if let Some(slot) = self.indicators.iter_mut().find(|(known, _)| *known == name) {
                slot.1 = value;
            } else if self.indicators.len() < INDICATORS_MAX {
                self.indicators.push((name, value));
            } else {
                self.counters.logs_dropped += 1;
            }
        }
        self.counters.logs_dropped += u64::from(self.effects.dropped_logs);
        let dropped = std::mem::take(&mut self.effects.dropped_intents);
        self.effects.dropped_logs = 0;
        if dropped > 0 {
            self.counters.orders += u64::from(dropped);
            self.counters.rejected += u64::from(dropped);
            self.counters.dropped += u64::from(dropped);
            outputs.push(Output {
                lane: self.number,
                ts,
                body: LaneOutput::Dropped { orders: dropped },
            });
        }
    }
}
