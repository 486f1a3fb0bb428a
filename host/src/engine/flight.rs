//! What a lane has sent and the venue does not have yet: the rules stand in
//! `execution::latency`.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::{OrderId, OrderStatus, Qty, RejectReason, SymbolId, Ts};
use crate::execution::LatencyConfig;
use crate::execution::latency::{Sent, uniform};
use crate::portfolio::InvariantBroken;
use crate::strategy::Intent;

use super::booking::About;
use super::chain::{Record, RecordKind};
use super::intake::Refusal;
use super::lane::{Batch, Lane};
use super::output::{LaneOutput, Output};
use super::records::order_record;
use super::timeline::{Moment, MomentKind, Timeline};

/// The most orders, changes and cancels of one lane that are on their way.
pub(super) const IN_FLIGHT_MAX: usize = 256;

/// What is on its way, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Flight {
    config: Arc<LatencyConfig>,
    seed: u64,
    pub(super) sent: VecDeque<(Ts, Intent)>,
    /// when the strategy has computed all that it was called for
    pub(super) busy_until: i64,
}

impl Flight {
    pub(super) fn new(config: Arc<LatencyConfig>, seed: u64) -> Self {
        Self { config, seed, ..Self::default() }
    }

    /// What tells recorded latencies apart.
    pub(super) fn recording(&self) -> Option<String> {
        self.config.recording()
    }

    /// A call at `ts` that used so much fuel.
    pub(super) fn computed(&mut self, ts: Ts, fuel: u64) {
        let computing = self.config.computing(fuel);
        if computing > 0 {
            self.busy_until = self.busy_until.max(ts.0).saturating_add(computing);
        }
    }

    /// When something that is sent at `now` arrives.
    fn arrival(&self, lane: &str, now: Ts, intent: &Intent, next_order: u64) -> Ts {
        let (delay, sent, order) = match intent {
            Intent::Submit { order, .. } => (&self.config.order, Sent::New, *order),
            Intent::Amend { order, .. } => (&self.config.order, Sent::Amend, *order),
            Intent::Cancel { order } => (&self.config.cancel, Sent::Cancel, *order),
            Intent::CancelAll { .. } => (&self.config.cancel, Sent::CancelAll, next_order),
        };
        let leaves = self.busy_until.max(now.0);
        let alone = leaves.saturating_add(delay.draw(uniform(self.seed, lane, sent, order)));
        // Nothing overtakes what was sent before it.
        Ts(self.sent.back().map_or(alone, |(last, _)| alone.max(last.0)))
    }

    fn carries(&self, order: u64) -> bool {
        let new = |(_, intent): &(Ts, Intent)| matches!(intent, Intent::Submit { order: o, .. } if *o == order);
        self.sent.iter().any(new)
    }

    fn pop(&mut self, now: Ts) -> Option<Intent> {
        let due = self.sent.front().is_some_and(|(arrives, _)| *arrives <= now);
        if due { self.sent.pop_front().map(|(_, intent)| intent) } else { None }
    }
}

impl Lane {
    /// The first moment from `from` at which something arrives, or `end`.
    pub(super) fn next_arrival(&self, timeline: &Timeline, from: u32, end: u32) -> u32 {
        let Some((arrives, _)) = self.flight.sent.front() else { return end };
        let moments = &timeline.moments()[from as usize..end as usize];
        let first = moments.iter().position(|m| m.ts >= *arrives && self.is_own(m));
        first.map_or(end, |offset| from + offset as u32)
    }

    /// Whether a moment is a print, a quote or a status of this lane's symbols. The
    /// others exist because some lane asked for them, which must not move this one.
    pub(super) fn is_own(&self, moment: &Moment) -> bool {
        matches!(moment.kind, MomentKind::Trade | MomentKind::Book | MomentKind::Status)
            && self.local[moment.symbol.index()].is_some()
    }

    /// Sends what the strategy asks for: it happens now, or is on its way.
    pub(super) fn send(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        intent: &Intent,
    ) -> Result<(), InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        self.note(&place, intent);
        if let Intent::Submit { order, request } = intent {
            let body = LaneOutput::Asked { order: OrderId(*order), request: request.clone() };
            batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
        }
        if !self.state.is_called() {
            // A limit has ended it since it asked.
            let refusal = match intent {
                Intent::Submit { .. } => {
                    Refusal::new(None, RejectReason::Halted, "the strategy was ended before it")
                }
                _ => unknown(intent),
            };
            self.refuse_intent(batch, &place, intent, refusal);
            return Ok(());
        }
        let arrives = self.flight.arrival(&self.name, place.ts, intent, self.next_order);
        if arrives <= place.ts {
            return self.arrive(batch, moment, intent);
        }
        if let Err(refusal) = self.may_leave(&place, intent) {
            self.refuse_intent(batch, &place, intent, refusal);
            return Ok(());
        }
        let (sent, order) = kind(intent);
        let record = Record::new(RecordKind::Sent, place.seq, place.phase);
        let number = order.map_or(-1, |order| i128::from(order.0));
        self.chain.absorb(&record.byte(sent as u8).int(number).int(i128::from(arrives.0)));
        let about = self.about(intent);
        if let Some(about) = &about {
            let status = match sent {
                Sent::New => OrderStatus::PendingNew,
                Sent::Amend => OrderStatus::PendingAmend,
                Sent::Cancel | Sent::CancelAll => OrderStatus::PendingCancel,
            };
            let leaves = Qty(about.asked.0 - about.done.0);
            let update = self.update(&place, about, status, leaves, "");
            self.updates.push_back(update);
        }
        let body = LaneOutput::Sent {
            what: sent,
            order,
            symbol: about.map(|about| about.symbol),
            arrives,
            asked: match intent {
                Intent::Submit { request, .. } => Some(request.clone()),
                _ => None,
            },
        };
        batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
        let mut intent = intent.clone();
        if let Intent::Submit { request, .. } = &mut intent {
            // The chain has it, and nobody reads it again: it would only take memory
            // that no limit of the strategy counts.
            request.metadata = Vec::new();
        }
        self.flight.sent.push_back((arrives, intent));
        Ok(())
    }

    /// Enters in the chain what the strategy asks for.
    fn note(&mut self, place: &Moment, intent: &Intent) {
        let request = Record::new(RecordKind::Request, place.seq, place.phase);
        let record = match intent {
            Intent::Submit { order, request } => {
                self.next_order = self.next_order.max(order + 1);
                self.counters.orders += 1;
                order_record(place, OrderId(*order), request)
            }
            Intent::Cancel { order } => request.int(i128::from(*order)),
            Intent::Amend { order, size, price } => {
                request.int(i128::from(*order)).maybe(*size).maybe(*price)
            }
            Intent::CancelAll { symbol } => request.int(symbol.map_or(-1, i128::from)),
        };
        self.chain.absorb(&record);
    }

    /// What was sent reaches the venue.
    fn arrive(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        intent: &Intent,
    ) -> Result<(), InvariantBroken> {
        let known = match intent {
            Intent::Submit { order, request } => {
                return self.place(batch, moment, OrderId(*order), request);
            }
            Intent::CancelAll { symbol } => {
                self.cancel_all(batch, moment, symbol.map(SymbolId));
                return Ok(());
            }
            Intent::Cancel { order } => self.cancel(batch, moment, OrderId(*order)),
            Intent::Amend { order, size, price } => {
                self.amend(batch, moment, OrderId(*order), *size, *price)?
            }
        };
        if !known {
            let place = batch.timeline.moments()[moment as usize];
            self.refuse_intent(batch, &place, intent, unknown(intent));
        }
        Ok(())
    }

    fn refuse_intent(
        &mut self,
        batch: &mut Batch<'_>,
        place: &Moment,
        intent: &Intent,
        refusal: Refusal,
    ) {
        match intent {
            Intent::Submit { order, request } => {
                self.refuse(batch, place, OrderId(*order), Some(request), refusal);
            }
            _ => {
                let order = kind(intent).1.unwrap_or_default();
                self.counters.orders += 1;
                self.refuse(batch, place, order, None, refusal);
            }
        }
    }

    /// What the host refuses at once, because it will be no better later.
    fn may_leave(&self, place: &Moment, intent: &Intent) -> Result<(), Refusal> {
        if self.flight.sent.len() >= IN_FLIGHT_MAX {
            let detail = format!("{IN_FLIGHT_MAX} are on their way already");
            return Err(Refusal::new(None, RejectReason::TooManyOrders, detail));
        }
        match intent {
            Intent::Submit { request, .. } => self.admit(place, request).map(|_| ()),
            Intent::Amend { order, .. } | Intent::Cancel { order } => {
                let known =
                    self.flight.carries(*order) || self.orders.get(OrderId(*order)).is_some();
                if known { Ok(()) } else { Err(unknown(intent)) }
            }
            Intent::CancelAll { .. } => Ok(()),
        }
    }

    /// What is known of the order that is sent, or that a change is about.
    fn about(&self, intent: &Intent) -> Option<About> {
        match intent {
            Intent::Submit { order, request } => Some(About {
                order: OrderId(*order),
                symbol: SymbolId(request.symbol),
                action: request.action,
                ..About::taker()
            }),
            Intent::Amend { order, .. } | Intent::Cancel { order } => {
                let waiting = self.orders.get(OrderId(*order)).map(About::of);
                waiting.or_else(|| {
                    let new = self.flight.sent.iter().map(|(_, sent)| sent);
                    let mut new =
                        new.filter(|sent| kind(sent) == (Sent::New, Some(OrderId(*order))));
                    new.next().and_then(|sent| self.about(sent))
                })
            }
            Intent::CancelAll { .. } => None,
        }
    }

    /// Lets everything arrive that is due at `moment`.
    pub(super) fn land(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
    ) -> Result<(), InvariantBroken> {
        let now = batch.timeline.moments()[moment as usize].ts;
        while let Some(intent) = self.flight.pop(now) {
            self.arrive(batch, moment, &intent)?;
            self.police(batch, moment)?;
        }
        Ok(())
    }

    /// The lane ends: new orders that are on their way are refused, changes and
    /// cancels of what is ended anyway are forgotten.
    pub(super) fn ground(&mut self, ts: Ts, outputs: &mut Vec<Output>) {
        for (_, intent) in std::mem::take(&mut self.flight.sent) {
            let Intent::Submit { order, request } = intent else { continue };
            let record = Record::new(RecordKind::Reject, 0, 0);
            let reason = RejectReason::Halted;
            self.chain.absorb(&record.int(i128::from(order)).text(reason.name()));
            self.counters.rejected += 1;
            let body = LaneOutput::Reject {
                order: OrderId(order),
                symbol: Some(SymbolId(request.symbol)),
                reason,
                detail: "the strategy ended while it was on its way".into(),
                asked: Some(request),
            };
            outputs.push(Output { lane: self.number, ts, body });
        }
    }
}

/// A cancel or a change of an order that is not open.
fn unknown(intent: &Intent) -> Refusal {
    let order = kind(intent).1.unwrap_or_default();
    let detail = format!("order {} is not open", order.0);
    Refusal::new(None, RejectReason::UnknownOrder, detail)
}

/// What an intent sends, and about which order.
fn kind(intent: &Intent) -> (Sent, Option<OrderId>) {
    match intent {
        Intent::Submit { order, .. } => (Sent::New, Some(OrderId(*order))),
        Intent::Amend { order, .. } => (Sent::Amend, Some(OrderId(*order))),
        Intent::Cancel { order } => (Sent::Cancel, Some(OrderId(*order))),
        Intent::CancelAll { .. } => (Sent::CancelAll, None),
    }
}
