//! A lane: one strategy with its account, brackets, chain and counters.
//!
//! A lane walks the batch's moments once. Where its brackets act, its orders look or
//! something that it sent arrives, it stops and trades; between such moments its strategy
//! gets as many events in one call as there are, and what the strategy asks for happens
//! at the moment of the last event that it consumed. So the outcome does not depend on
//! the batch's size.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{InstrumentTable, Price, Qty, Side, SymbolId, Ts};
use crate::execution::{Brackets, Depleted, ExecutionConfig, Fees, Model, Orders};
use crate::input::{EventRef, InputBlock};
use crate::market::Market;
use crate::portfolio::{Account, InvariantBroken};
use crate::risk::{RiskConfig, Watch};
use crate::strategy::{
    Distributions, Effects, Fault, OrderUpdate, Spreads, StartInfo, Strategy, Usage,
};

use super::chain::{Chain, Record, RecordKind};
use super::faults::Recovery;
use super::flight::Flight;
use super::output::{LaneOutput, Output};
use super::stream::Class;
use super::throttle::Throttle;
use super::timeline::{MomentKind, Timeline};
use super::verdict::{Call, Verdicts};

/// Whether a lane's strategy is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneState {
    /// it is
    Running,
    /// it is, and may cancel, but every new order is refused
    Paused,
    /// the operator or a limit ended it, for this reason: it is not called
    /// again, and no order of it gets through any more
    Halted(String),
    /// it failed and is not called again; its position and bracket stay
    Quarantined(Fault),
    /// it failed and is started again
    Restarting {
        /// how it failed
        fault: Fault,
        /// at its first event from then on
        until: Ts,
    },
    /// the run is over
    Stopped,
}

impl LaneState {
    /// True while the strategy is called.
    #[must_use]
    pub fn is_called(&self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// True while it is called, or will be again.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.is_called() || matches!(self, Self::Restarting { .. })
    }
}

/// What a lane has seen and done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// events that its strategy consumed
    pub events: u64,
    /// orders asked for, by the strategy or by a bracket
    pub orders: u64,
    /// orders refused
    pub rejected: u64,
    /// requests dropped because one event asked for too much
    pub dropped: u64,
    /// log lines taken
    pub log_lines: u64,
    /// bytes of their text
    pub log_bytes: u64,
    /// log lines cut or dropped
    pub logs_dropped: u64,
}

/// What all lanes of an engine share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneLimits {
    /// orders, cancels and amends that one event may cause, answers to order
    /// news included
    pub intents_per_event: u32,
    /// the most events in one call; 1 leaves a strategy nothing to read ahead
    pub events_per_call: u32,
    /// shortest time between two calls in nanoseconds, 0 for none
    pub interval_ns: i64,
}

/// The batch that lanes walk.
pub struct Batch<'a> {
    /// its inputs
    pub block: &'a InputBlock,
    /// its moments
    pub timeline: &'a Timeline,
    /// the streams of all classes
    pub classes: &'a [Class],
    /// the market, at the batch's end but for its books, which can be sought
    pub market: &'a mut Arc<Market>,
    /// where news goes
    pub outputs: &'a mut Vec<Output>,
}

/// One strategy's share of the engine.
pub struct Lane {
    pub(super) number: u16,
    pub(super) name: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) strategy: Box<dyn Strategy>,
    pub(super) class: usize,
    /// by symbol of the run: the lane's own number
    pub(super) local: Vec<Option<SymbolId>>,
    /// by the lane's own number: the symbol of the run
    pub(super) symbols: Arc<[SymbolId]>,
    pub(super) instruments: InstrumentTable,
    pub(super) account: Account,
    pub(super) brackets: Brackets,
    pub(super) orders: Orders,
    pub(super) flight: Flight,
    /// by the lane's own number: what it took of the displayed levels
    pub(super) depleted: Vec<Depleted>,
    /// moments of the batch before this one have shown their levels
    pub(super) shown: u32,
    pub(super) execution: ExecutionConfig,
    pub(super) risk: RiskConfig,
    pub(super) watch: Watch,
    pub(super) fees: Fees,
    pub(super) limits: LaneLimits,
    pub(super) chain: Chain,
    pub(super) state: LaneState,
    pub(super) counters: Counters,
    pub(super) effects: Effects,
    pub(super) updates: VecDeque<OrderUpdate>,
    pub(super) next_order: u64,
    /// the number behind those that the call at hand has given to its orders
    pub(super) given: u64,
    pub(super) next_fill: u64,
    pub(super) indicators: Vec<(String, f64)>,
    pub(super) throttle: Throttle,
    /// candle intervals, in seconds, that it may look back at
    pub(super) intervals: Arc<[u32]>,
    /// bytes of log text since the engine was drained
    pub(super) logs_held: usize,
    /// what its strategy was started with
    pub(super) info: StartInfo,
    /// what instances before the present one have used
    pub(super) past: Usage,
    /// how their calls are spread, once there was one
    pub(super) past_spread: Option<Box<Distributions>>,
    pub(super) recovery: Recovery,
    /// why its strategy is not asked for its state: it did not give it when it was
    pub(super) unsaved: Option<String>,
    /// another instance was asked before
    pub(super) rehearsed: bool,
    pub(super) verdicts: Verdicts,
}

impl Lane {
    /// Walks one batch.
    ///
    /// # Errors
    /// A broken invariant, which ends the run.
    pub fn walk(&mut self, batch: &mut Batch<'_>) -> Result<(), InvariantBroken> {
        let end = batch.timeline.moments().len() as u32;
        let mut acted = 0; // moments before this one are done: acted upon and marked
        let mut told = 0; // events of the stream before this one are delivered
        self.shown = 0;
        loop {
            let stop = self.next_action(batch.timeline, acted, end);
            if let Some((event, moment)) = self.wakes(batch, told, stop) {
                told = event;
                self.mark(batch, acted, moment + 1)?;
                acted = acted.max(moment + 1);
                self.restart(batch, moment)?;
                continue;
            }
            if self.limits.interval_ns > 0 && self.state.is_called() {
                if let Some((next, moment)) = self.hold(batch, told, stop) {
                    told = next;
                    self.mark(batch, acted, moment + 1)?;
                    acted = acted.max(moment + 1);
                    self.release(batch, moment)?;
                    continue;
                }
            } else if let Some((consumed, moment)) = self.deliver(batch, told, stop) {
                told = consumed;
                self.mark(batch, acted, moment + 1)?;
                acted = acted.max(moment + 1);
                self.settle(batch, moment)?;
                self.checkpoint(batch, moment)?;
                continue;
            } else if self.recovery.is_due() {
                // It was called with one event, and failed at that.
                let moment = batch.classes[self.class].moment(told);
                told += 1;
                self.mark(batch, acted, moment + 1)?;
                acted = acted.max(moment + 1);
                self.recover(batch, moment)?;
                continue;
            }
            told = batch.classes[self.class].before(stop);
            self.mark(batch, acted, stop)?;
            if stop == end {
                self.refresh(batch, end);
                return Ok(());
            }
            self.mark(batch, stop, stop + 1)?;
            self.act(batch, stop)?;
            acted = stop + 1;
        }
    }

    /// The first moment from `from` at which a bracket acts or an order must
    /// look, or `end`.
    fn next_action(&self, timeline: &Timeline, from: u32, end: u32) -> u32 {
        if self.state == LaneState::Stopped {
            return end;
        }
        let end = self.next_arrival(timeline, from, end);
        let end = self.next_look(timeline, from, end);
        let end = self.next_watch(timeline, from, end);
        if self.brackets.is_empty() {
            return end;
        }
        let moments = &timeline.moments()[from as usize..end as usize];
        let acts = moments.iter().position(|moment| {
            self.is_own(moment)
                && self.local[moment.symbol.index()].is_some_and(|symbol| {
                    let qty = self.account.qty(symbol);
                    self.brackets
                        .get(symbol)
                        .acts(qty, &moment.top, self.oldest(moment.ts))
                        .is_some()
                })
        });
        acts.map_or(end, |offset| from + offset as u32)
    }

    /// Marks the account at moments `from` to `to`, exclusive.
    fn mark(&mut self, batch: &mut Batch<'_>, from: u32, to: u32) -> Result<(), InvariantBroken> {
        if from >= to {
            return Ok(());
        }
        for moment in &batch.timeline.moments()[from as usize..to as usize] {
            // Asked at each: what is seen must not depend on where a batch ends.
            let observes = self.account.observes();
            if !(observes || self.account.needs_marks()) {
                return Ok(());
            }
            // History is no market: an account is worth what it is at the first
            // event, not at a price of hours ago. Candles and timers tell no new
            // price, and exist because some lane asked for them.
            if !moment.is_price() {
                continue;
            }
            if let Some(symbol) = self.local[moment.symbol.index()] {
                let mark = moment.top.mark2();
                self.account.accrue(moment.ts)?;
                self.tell_charges(moment, batch.outputs);
                if observes {
                    self.account.observe(symbol, mark);
                }
                self.account.mark(symbol, mark);
            }
        }
        Ok(())
    }

    /// Moves the books to `moment`.
    pub(super) fn seek(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
    ) -> Result<(), InvariantBroken> {
        self.refresh(batch, moment + 1);
        self.set_fees(batch.timeline.moments()[moment as usize].ts);
        let index = batch.timeline.moments()[moment as usize].index;
        // A moment before its input (a candle, a timer) meets the book as it
        // was before that input.
        let place = &batch.timeline.moments()[moment as usize];
        let market = Arc::get_mut(batch.market)
            .ok_or_else(|| InvariantBroken(format!("{} kept a look back", self.name)))?;
        if place.phase == 0 {
            market.seek_books(batch.block, Some(index));
        } else {
            market.seek_books(batch.block, index.checked_sub(1));
        }
        Ok(())
    }

    /// Follows in what was taken what moments before `end` have displayed.
    fn refresh(&mut self, batch: &Batch<'_>, end: u32) {
        if self.depleted.iter().all(Depleted::is_empty) {
            self.shown = self.shown.max(end);
        }
        let from = self.shown.min(end);
        for moment in &batch.timeline.moments()[from as usize..end as usize] {
            let Some(own) = self.local[moment.symbol.index()] else { continue };
            if moment.kind != MomentKind::Book {
                continue;
            }
            let depleted = &mut self.depleted[own.index()];
            match batch.block.get(moment.index as usize) {
                EventRef::Book { snapshot: true, bids, asks, .. } => {
                    depleted.all_shown(|side, price| {
                        let mut levels = if side == Side::Buy { bids } else { asks }.iter();
                        levels.find(|(p, _)| p.0 == price).map_or(0, |(_, qty)| qty.0)
                    });
                }
                EventRef::Book { bids, asks, .. } if !depleted.is_empty() => {
                    for (side, levels) in [(Side::Buy, bids), (Side::Sell, asks)] {
                        levels.iter().for_each(|(price, qty)| depleted.shown(side, price.0, qty.0));
                    }
                }
                _ => {}
            }
        }
        self.shown = self.shown.max(end);
    }

    /// Notes what a fill took of the displayed levels; the books must stand at it.
    pub(super) fn deplete(&mut self, batch: &Batch<'_>, symbol: SymbolId, side: Side, qty: Qty) {
        let book = batch.market.book(self.symbols[symbol.index()]);
        if self.execution.model == Model::Book {
            self.depleted[symbol.index()].take(book, side, qty.0);
        }
    }

    /// Ends a strategy for a fault. What it asked for in the failed call is
    /// dropped; its log lines are kept, because they often say why.
    pub(super) fn quarantine(&mut self, fault: Fault, ts: Ts, outputs: &mut Vec<Output>) {
        self.judge(fault.kind);
        self.effects.intents.clear();
        self.publish(ts, outputs);
        self.updates.clear();
        // Before what it ends: the place of all that follows is the fault's.
        let body = LaneOutput::Fault(fault.clone());
        outputs.push(Output { lane: self.number, ts, body });
        self.abandon(ts, outputs);
        // Without its place: inside a batch the host knows only that the call
        // failed, and the chain must not depend on the batch's size.
        let record = Record::new(RecordKind::Fault, 0, 0).text(fault.kind.name());
        self.chain.absorb(&record);
        self.state = LaneState::Quarantined(fault);
    }

    /// Ends all orders that wait or are on their way, after a fault and at the end.
    /// They look at every moment of their symbols, so none has come between a failed
    /// call and the next one.
    fn abandon(&mut self, ts: Ts, outputs: &mut Vec<Output>) {
        for id in self.orders.ids(None) {
            let Some(order) = self.orders.take(id) else { continue };
            let record = Record::new(RecordKind::Cancel, 0, 0).int(i128::from(order.id.0));
            self.chain.absorb(&record);
            let (id, symbol, leaves) = (order.id, order.symbol, order.leaves);
            let body = LaneOutput::Canceled { order: id, symbol, leaves };
            outputs.push(Output { lane: self.number, ts, body });
        }
        self.ground(ts, outputs);
    }

    /// Lets orders look, trades what the brackets ask for and takes what arrives at
    /// `moment`. A
    /// bracket that a fill of this moment sets acts at a later one.
    fn act(&mut self, batch: &mut Batch<'_>, moment: u32) -> Result<(), InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        let Some(symbol) = self.local[place.symbol.index()] else { return Ok(()) };
        let qty = self.account.qty(symbol);
        let acts = self.brackets.get(symbol).acts(qty, &place.top, self.oldest(place.ts));
        let closed = self.account.statistics.closed;
        if self.looks(&place) {
            self.look(batch, moment)?;
        }
        // An order may have closed the position first; what is held then is another one.
        let same = self.account.statistics.closed == closed;
        if let Some(cause) = acts.filter(|_| same && !self.account.qty(symbol).is_zero()) {
            self.close(batch, moment, symbol, cause)?;
        }
        self.police(batch, moment)?;
        self.land(batch, moment)?;
        self.effects.begin(self.next_order, self.limits.intents_per_event);
        self.settle(batch, moment)
    }

    /// What the strategy has used.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.past.then(self.strategy.usage())
    }

    /// How the strategy's calls are spread, those of its earlier instances included.
    #[must_use]
    pub fn spreads(&self) -> Spreads {
        let own = self.strategy.distributions();
        match (&self.past_spread, own) {
            (None, None) => Spreads::default(),
            (None, Some(own)) => own.spreads(),
            (Some(past), None) => past.spreads(),
            (Some(past), Some(own)) => {
                let mut all = (**past).clone();
                all.merge(own);
                all.spreads()
            }
        }
    }

    /// Ends the lane: the strategy's last call, then the chain's last record.
    pub(super) fn stop(&mut self, seq: u64, ts: Ts, outputs: &mut Vec<Output>) {
        if self.state.is_called() {
            self.effects.begin(self.next_order, 0);
            let stopped = match self.foretold(Call::Stop) {
                Ok(()) => self.strategy.stop(&mut self.effects),
                Err(fault) => Err(fault),
            };
            match stopped {
                Ok(()) => {
                    self.publish(ts, outputs);
                    self.state = LaneState::Stopped;
                }
                Err(fault) => self.quarantine(fault, ts, outputs),
            }
        }
        if let LaneState::Restarting { fault, .. } = &self.state {
            self.state = LaneState::Quarantined(fault.clone());
        }
        self.abandon(ts, outputs);
        // A call that failed has consumed nothing, however far it came.
        let events =
            if !matches!(self.state, LaneState::Quarantined(_)) { self.counters.events } else { 0 };
        let mut record = Record::new(RecordKind::End, seq, 0)
            .int(i128::from(events))
            .int(self.account.cash().0)
            .int(self.account.equity().map_or(i128::MIN, |e| e.0));
        for (symbol, position) in self.account.open_positions() {
            record = record.int(i128::from(symbol.0)).int(i128::from(position.qty.0));
        }
        self.chain.absorb(&record);
    }

    /// A trade before this time is no price to trade at any more.
    pub(super) fn oldest(&self, now: Ts) -> Ts {
        Ts(now.0.saturating_sub(self.execution.max_trade_age_ns))
    }

    /// A lane's number for a price as text, for messages.
    pub(super) fn price_text(&self, symbol: SymbolId, price: Price) -> String {
        self.instruments.at(symbol).price_text(price)
    }
}
