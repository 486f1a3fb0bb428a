//! What happens to a lane by itself as time passes and prices move: charges, fees by
//! tier, the limits on losses, and the liquidation of shorts.

use crate::domain::{Cause, SymbolId, Ts};
use crate::portfolio::InvariantBroken;
use crate::risk;

use super::chain::{Record, RecordKind};
use super::lane::{Batch, Lane, LaneState};
use super::output::{LaneOutput, Output};
use super::timeline::{Moment, Timeline};

impl Lane {
    /// The first moment from `from` at which a charge falls due or a limit must look,
    /// or `end`. There the walk stops, so that charges and halts have the same place
    /// in the chain at every batch size.
    pub(super) fn next_watch(&self, timeline: &Timeline, from: u32, end: u32) -> u32 {
        if !self.account.needs_marks() {
            return end;
        }
        let every = self.risk.watches();
        let moments = &timeline.moments()[from as usize..end as usize];
        // The last one is the latest: mostly nothing of the batch is due.
        if !every && !moments.last().is_some_and(|last| self.account.is_due(last.ts)) {
            return end;
        }
        let stops = |moment: &Moment| {
            moment.is_price()
                && self.local[moment.symbol.index()].is_some()
                && (every || self.account.is_due(moment.ts))
        };
        moments.iter().position(stops).map_or(end, |offset| from + offset as u32)
    }

    /// Enters the charges that were booked into chain and news.
    pub(super) fn tell_charges(&mut self, place: &Moment, outputs: &mut Vec<Output>) {
        for charge in self.account.take_charges() {
            let record = Record::new(RecordKind::Charge, place.seq, place.phase)
                .int(i128::from(charge.symbol.0))
                .byte(charge.kind as u8)
                .int(charge.amount.0);
            self.chain.absorb(&record);
            let body = LaneOutput::Charge(charge);
            outputs.push(Output { lane: self.number, ts: place.ts, body });
        }
    }

    /// Sets what fills cost from now on.
    pub(super) fn set_fees(&mut self, now: Ts) {
        let rates = self.fees.rates(now);
        (self.execution.fee, self.execution.maker) = (rates.taker, rates.maker);
    }

    /// Looks at the limits that act by themselves; true when one has traded or
    /// canceled, so that there is news to tell.
    pub(super) fn police(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
    ) -> Result<bool, InvariantBroken> {
        if !self.risk.watches() || self.state == LaneState::Stopped {
            return Ok(false);
        }
        let (Some(equity), Some(peak)) = (self.account.equity(), self.account.peak()) else {
            return Ok(false);
        };
        let ts = batch.timeline.moments()[moment as usize].ts;
        if let Some(breach) = self.watch.look(&self.risk, ts, equity, peak) {
            self.halt(batch, moment, breach.words())?;
        }
        self.liquidate(batch, moment)
    }

    /// Closes all shorts when the equity no longer carries them.
    fn liquidate(&mut self, batch: &mut Batch<'_>, moment: u32) -> Result<bool, InvariantBroken> {
        let shorts = self.account.short_notional();
        if risk::check_margin(&self.risk, self.account.equity(), shorts).is_ok() {
            return Ok(false);
        }
        let open: Vec<SymbolId> = self
            .account
            .open_positions()
            .filter(|(symbol, position)| {
                position.qty.0 < 0 && self.brackets.get(*symbol).close.is_none()
            })
            .map(|(symbol, _)| symbol)
            .collect();
        if open.is_empty() {
            return Ok(false);
        }
        self.cancel_all(batch, moment, None);
        let now = batch.timeline.moments()[moment as usize].ts;
        for symbol in open {
            self.brackets.close(symbol, Cause::Liquidation);
            let top = batch.timeline.top_at(moment, self.symbols[symbol.index()]);
            let (qty, oldest) = (self.account.qty(symbol), self.oldest(now));
            if let Some(cause) = self.brackets.get(symbol).acts(qty, &top, oldest) {
                self.close(batch, moment, symbol, cause)?;
            }
        }
        Ok(true)
    }
}
