//! Orders that wait are canceled and changed on request.

use crate::domain::decimal;
use crate::domain::{OrderId, OrderStatus, Qty, RejectReason, Rounding, SymbolId, Ts};
use crate::execution::orders::Order;
use crate::market::Top;
use crate::portfolio::InvariantBroken;
use crate::risk;

use super::chain::{Record, RecordKind};
use super::entering::{check_brackets, entries, grid, limit_rounding, reaches};
use super::lane::{Batch, Lane, LaneState};
use super::output::{LaneOutput, Output};
use super::records::check_open;

impl Lane {
    /// Cancels an order at the strategy's request; false when it is not open.
    pub(super) fn cancel(&mut self, batch: &mut Batch<'_>, moment: u32, id: OrderId) -> bool {
        let place = batch.timeline.moments()[moment as usize];
        let Some(order) = self.orders.take(id) else { return false };
        self.end_order(batch, &place, &order, OrderStatus::Canceled, "canceled");
        true
    }

    /// Cancels all orders of a symbol, or all.
    pub(super) fn cancel_all(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        symbol: Option<SymbolId>,
    ) {
        for id in self.orders.ids(symbol) {
            self.cancel(batch, moment, id);
        }
    }

    /// Changes size and limit of an open order; false when it is not open. A
    /// smaller size keeps the place in the queue, anything else loses it. What
    /// may not be leaves the order as it is.
    pub(super) fn amend(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        id: OrderId,
        size: Option<f64>,
        price: Option<f64>,
    ) -> Result<bool, InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        let Some(old) = self.orders.take(id) else { return Ok(false) };
        if old.expires.is_some_and(|end| end <= place.ts) {
            // No event of its symbol has come since.
            self.end_order(batch, &place, &old, OrderStatus::Expired, "its time is over");
            return Ok(false);
        }
        self.mark_symbol(batch, moment, old.symbol.0);
        let top = batch.timeline.top_at(moment, self.symbols[old.symbol.index()]);
        // The old one is out while the new one is checked: it reserves nothing.
        let admitted = self.watch.admits(&self.risk, place.ts);
        let admitted = if admitted { Ok(()) } else { Err(RejectReason::RiskLimit) };
        let amended = admitted.and_then(|()| self.amended(&old, size, price)).and_then(|new| {
            self.check_change(&new, &top, place.ts)?;
            Ok(new)
        });
        match amended {
            Err(reason) => {
                self.counters.rejected += 1;
                let record = Record::new(RecordKind::Reject, place.seq, place.phase);
                self.chain.absorb(&record.int(i128::from(id.0)).text(reason.name()));
                let body = LaneOutput::Reject {
                    order: id,
                    symbol: Some(old.symbol),
                    reason,
                    detail: "the change is refused, the order stays".into(),
                    asked: None,
                };
                batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
                self.tell_order(batch, &place, &old, Some(reason));
                self.orders.put(old);
            }
            Ok(new) if new.limit == old.limit && new.leaves <= old.leaves => {
                self.tell_order(batch, &place, &new, None);
                self.orders.put(new);
            }
            Ok(new) => self.work(batch, moment, new)?,
        }
        Ok(true)
    }

    /// What a new order would have to be, a changed one has to be too.
    fn check_change(&self, new: &Order, top: &Top, now: Ts) -> Result<(), RejectReason> {
        let side = new.action.side();
        let is_limit = new.trigger.is_none();
        check_open(top.status, new.action, is_limit, new.post_only)?;
        let meets = top.meets(side, self.oldest(now));
        let takes = new.limit.is_some_and(|limit| reaches(side, limit, meets));
        if new.post_only && is_limit && takes {
            return Err(RejectReason::WouldTake);
        }
        let entries = entries(side, new.limit, new.trigger, meets);
        check_brackets(new.action, &entries, new.stop, new.target)?;
        risk::check_held(new.action, new.leaves, self.account.qty(new.symbol))?;
        self.check_limit_funds(new, top.mark2()).map_err(|refusal| refusal.reason)
    }

    fn amended(
        &self,
        old: &Order,
        size: Option<f64>,
        price: Option<f64>,
    ) -> Result<Order, RejectReason> {
        if self.state == LaneState::Paused {
            return Err(RejectReason::Halted);
        }
        let (mut new, instrument) = (old.clone(), self.instruments.at(old.symbol));
        if let Some(size) = size {
            let invalid = RejectReason::InvalidNumber;
            let qty = decimal::from_f64(size, instrument.qty_decimals, Rounding::Floor)
                .and_then(|units| i64::try_from(units).ok())
                .ok_or(invalid)?;
            new.qty = instrument.round_qty(Qty(qty));
            new.leaves = Qty(new.qty.0.checked_sub(old.done().0).ok_or(invalid)?);
            if new.leaves.0 <= 0 || new.qty < instrument.qty_min {
                return Err(RejectReason::BelowMinimumQuantity);
            }
        }
        if let Some(price) = price {
            if old.limit.is_none() {
                return Err(RejectReason::Unsupported);
            }
            new.limit = Some(grid(instrument, price, limit_rounding(old.action.side()))?);
        }
        let at = new.limit.or(new.trigger.map(|t| t.price)).unwrap_or_default();
        let held = self.account.qty(new.symbol).magnitude();
        let all = !new.action.opens() && new.leaves == held;
        risk::check_minimums(instrument, new.leaves, at, all || !new.done().is_zero())?;
        Ok(new)
    }
}
