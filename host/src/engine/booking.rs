//! What became of an order: booked, told, and entered in the chain.

use crate::domain::{
    Action, Cause, Fill, Liquidity, Money, OrderId, OrderStatus, Price, Qty, RejectReason, SymbolId,
};
use crate::execution::{Order, Taken};
use crate::portfolio::InvariantBroken;
use crate::strategy::{OrderRequest, OrderUpdate};

use super::chain::{Record, RecordKind};
use super::intake::Refusal;
use super::lane::{Batch, Lane};
use super::output::{LaneOutput, Output};
use super::records::fill_record;
use super::timeline::Moment;

impl Lane {
    pub(super) fn book_fill(
        &mut self,
        batch: &mut Batch<'_>,
        place: &Moment,
        about: &About,
        taken: &Taken,
        reason: &str,
    ) -> Result<(), InvariantBroken> {
        let fill = Fill {
            id: self.next_fill,
            order: about.order,
            seq: place.seq,
            ts: place.ts,
            symbol: about.symbol,
            action: about.action,
            qty: taken.qty,
            amount: taken.amount,
            fee: taken.fee,
            liquidity: about.liquidity,
            cause: about.cause,
            best_price: taken.best,
        };
        self.next_fill += 1;
        let closed = self.account.apply_tagged(&fill, reason)?;
        if closed.is_some() {
            self.brackets.clear(about.symbol);
        }
        self.chain.absorb(&fill_record(place, &fill));
        let leaves = Qty(about.asked.0 - about.done.0 - taken.qty.0);
        let status = if leaves.0 > 0 { OrderStatus::PartiallyFilled } else { OrderStatus::Filled };
        let update = self.update(place, about, status, leaves, reason);
        self.updates.push_back(self.with_fill(update, &fill));
        let position = self.account.qty(about.symbol);
        let closed = closed.map(Box::new);
        let volume = self.account.in_currency(about.symbol, fill.amount);
        let body = LaneOutput::Fill { fill, reason: reason.to_owned(), position, closed };
        batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
        self.tell_charges(place, batch.outputs);
        if !about.action.opens() {
            self.shrink(batch, place, about.symbol);
        }
        self.fees.on_fill(place.ts, volume);
        self.set_fees(place.ts);
        Ok(())
    }

    /// Orders that wait to reduce a position shrink with it, and end with it.
    fn shrink(&mut self, batch: &mut Batch<'_>, place: &Moment, symbol: SymbolId) {
        let held = self.account.qty(symbol).magnitude();
        for id in self.orders.ids(Some(symbol)) {
            let beyond = |order: &Order| !order.action.opens() && order.leaves > held;
            if !self.orders.get(id).is_some_and(beyond) {
                continue;
            }
            let Some(mut order) = self.orders.take(id) else { continue };
            if held.is_zero() {
                self.end_order(
                    batch,
                    place,
                    &order,
                    OrderStatus::Canceled,
                    "the position is closed",
                );
                continue;
            }
            order.qty = Qty(order.qty.0 - (order.leaves.0 - held.0));
            order.leaves = held;
            self.tell_order(batch, place, &order, None);
            self.orders.put(order);
        }
    }

    /// What a market order could not fill is canceled.
    pub(super) fn end_rest(
        &mut self,
        batch: &mut Batch<'_>,
        place: &Moment,
        about: &About,
        filled: Qty,
        reason: &str,
    ) {
        let leaves = Qty(about.asked.0 - filled.0);
        if leaves.is_zero() {
            return;
        }
        let record = Record::new(RecordKind::Cancel, place.seq, place.phase);
        let record = record.int(i128::from(about.order.0)).int(i128::from(leaves.0));
        self.chain.absorb(&record);
        let update = self.update(place, about, OrderStatus::Canceled, leaves, reason);
        self.updates.push_back(update);
        let body = LaneOutput::Canceled { order: about.order, symbol: about.symbol, leaves };
        batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
    }

    pub(super) fn refuse(
        &mut self,
        batch: &mut Batch<'_>,
        place: &Moment,
        order: OrderId,
        asked: Option<&OrderRequest>,
        refusal: Refusal,
    ) {
        let Refusal { symbol, reason, detail } = refusal;
        let action = asked.map_or(Action::Buy, |request| request.action);
        let words = asked.map_or("", |request| &request.reason);
        self.counters.rejected += 1;
        let record = Record::new(RecordKind::Reject, place.seq, place.phase);
        self.chain.absorb(&record.int(i128::from(order.0)).text(reason.name()));
        let about = About {
            order,
            symbol: symbol.unwrap_or_default(),
            action,
            cause: Cause::Strategy,
            asked: Qty::ZERO,
            ..About::taker()
        };
        let mut update = self.update(place, &about, OrderStatus::Rejected, Qty::ZERO, words);
        update.reject = Some(reason);
        self.updates.push_back(update);
        let asked = asked.map(|request| Box::new(request.clone()));
        let body = LaneOutput::Reject { order, symbol, reason, detail, asked };
        batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
    }

    pub(super) fn update(
        &self,
        place: &Moment,
        about: &About,
        status: OrderStatus,
        leaves: Qty,
        reason: &str,
    ) -> OrderUpdate {
        let position = self.account.position(about.symbol);
        let instrument = self.instruments.at(about.symbol);
        let cash = self.account.cash();
        OrderUpdate {
            order: about.order.0,
            ts_ns: place.ts.0 as u64,
            symbol: about.symbol.0,
            action: about.action,
            status,
            cause: about.cause,
            reject: None,
            quantity: instrument.qty_f64(about.asked),
            filled: 0.0,
            leaves: instrument.qty_f64(leaves),
            price: 0.0,
            fee: 0.0,
            liquidity: None,
            reason: reason.to_owned(),
            position: instrument.qty_f64(position.qty),
            entry_price: position.entry_price(instrument),
            cash: cash.to_f64(),
            equity: self.account.equity().unwrap_or(cash).to_f64(),
        }
    }

    #[allow(clippy::float_arithmetic, reason = "told to the strategy, never counted with")]
    fn with_fill(&self, update: OrderUpdate, fill: &Fill) -> OrderUpdate {
        let filled = self.instruments.at(fill.symbol).qty_f64(fill.qty);
        OrderUpdate {
            filled,
            price: fill.amount.to_f64() / filled,
            fee: fill.fee.to_f64(),
            liquidity: Some(fill.liquidity),
            ..update
        }
    }

    pub(super) fn end_order(
        &mut self,
        batch: &mut Batch<'_>,
        place: &Moment,
        order: &Order,
        status: OrderStatus,
        why: &str,
    ) {
        let record = Record::new(RecordKind::Cancel, place.seq, place.phase);
        let record = record.int(i128::from(order.id.0)).int(i128::from(order.leaves.0));
        self.chain.absorb(&record);
        let update = self.update(place, &About::of(order), status, order.leaves, why);
        self.updates.push_back(update);
        let (id, symbol, leaves) = (order.id, order.symbol, order.leaves);
        let body = match status {
            OrderStatus::Expired => LaneOutput::Expired { order: id, symbol, leaves },
            _ => LaneOutput::Canceled { order: id, symbol, leaves },
        };
        batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
    }

    /// Says that an order is open, or how it stands now: taken, woken, changed, or as
    /// it was because a change was refused for this reason.
    pub(super) fn tell_order(
        &mut self,
        batch: &mut Batch<'_>,
        place: &Moment,
        order: &Order,
        refused: Option<RejectReason>,
    ) {
        let price = |price: Option<Price>| price.map_or(0, |p| i128::from(p.0));
        let stop = order.trigger.map(|t| t.price);
        let record = Record::new(RecordKind::Accept, place.seq, place.phase)
            .int(i128::from(order.id.0))
            .int(i128::from(order.leaves.0))
            .int(price(order.limit))
            .int(price(stop));
        self.chain.absorb(&record);
        let (about, status) = (About::of(order), OrderStatus::Accepted);
        let update = self.update(place, &about, status, order.leaves, &order.reason);
        self.updates.push_back(OrderUpdate { reject: refused, ..update });
        let body = LaneOutput::Accepted {
            order: order.id,
            symbol: order.symbol,
            action: order.action,
            leaves: order.leaves,
            limit: order.limit,
            stop,
        };
        batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
    }
}

/// What an order is about, whoever caused it.
pub(super) struct About {
    pub(super) order: OrderId,
    pub(super) symbol: SymbolId,
    pub(super) action: Action,
    pub(super) cause: Cause,
    pub(super) asked: Qty,
    /// what was filled before
    pub(super) done: Qty,
    pub(super) liquidity: Liquidity,
}

impl About {
    /// Of an order that takes what it gets at once.
    pub(super) fn taker() -> Self {
        Self {
            order: OrderId::default(),
            symbol: SymbolId::default(),
            action: Action::Buy,
            cause: Cause::Strategy,
            asked: Qty::ZERO,
            done: Qty::ZERO,
            liquidity: Liquidity::Taker,
        }
    }
}

impl About {
    pub(super) fn of(order: &Order) -> Self {
        Self {
            order: order.id,
            symbol: order.symbol,
            action: order.action,
            cause: Cause::Strategy,
            asked: order.qty,
            done: order.done(),
            liquidity: Liquidity::Maker,
        }
    }
}

/// What cannot be counted is not filled: a quantity below the smallest amount of
/// money, or a position beyond the integers.
pub(super) fn check_size(taken: &Taken, held: Qty) -> Result<(), RejectReason> {
    if !taken.qty.is_zero() && taken.amount <= Money::ZERO {
        return Err(RejectReason::BelowMinimumCost);
    }
    let grown = held.magnitude().checked_add(taken.qty);
    if grown.is_none() { Err(RejectReason::InvalidNumber) } else { Ok(()) }
}
