//! Orders that wait, in a lane: put to work, looked at, filled.

use crate::domain::{Cause, Liquidity, OrderId, OrderStatus, Qty, Rounding, Side, TimeInForce};
use crate::execution::Taken;
use crate::execution::orders::{Deed, Look, Order};
use crate::input::{EventRef, Trade, TradingStatus};
use crate::portfolio::InvariantBroken;
use crate::risk;

use super::booking::{About, check_size};
use super::chain::{Record, RecordKind};
use super::lane::{Batch, Lane};
use super::timeline::{Moment, MomentKind, Timeline};

impl Lane {
    /// Whether an order of this lane looks at a moment: one of its symbol that
    /// tells a price or a status.
    pub(super) fn looks(&self, moment: &Moment) -> bool {
        matches!(moment.kind, MomentKind::Trade | MomentKind::Book | MomentKind::Status)
            && self.local[moment.symbol.index()].is_some_and(|symbol| self.orders.any(symbol))
    }

    /// Puts an accepted order to work: what its limit allows is taken now, the
    /// rest waits, or ends where it may not wait.
    pub(super) fn work(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        order: Order,
    ) -> Result<(), InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        self.tell_order(batch, &place, &order, None);
        let id = order.id;
        let meets_market = order.trigger.is_none();
        self.orders.put(order);
        if meets_market { self.meet(batch, moment, id) } else { Ok(()) }
    }

    /// An order without a stop meets the market: takes, then joins the queue.
    fn meet(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        id: OrderId,
    ) -> Result<(), InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        self.seek(batch, moment)?;
        let Some(mut order) = self.orders.take(id) else { return Ok(()) };
        if order.leaves.is_zero() {
            return Ok(());
        }
        let taken = {
            let instrument = self.instruments.at(order.symbol);
            let venue = self.venue(batch, moment, order.symbol, instrument);
            let takes = venue.top.status == TradingStatus::Trading
                || (venue.top.status == TradingStatus::ReduceOnly && !order.action.opens());
            if takes && !order.post_only {
                venue.take_within(order.action.side(), order.leaves, order.limit).ok()
            } else {
                None
            }
        };
        let kill = order.time_in_force == TimeInForce::Fok;
        let taken = taken.filter(|t| !t.qty.is_zero() && (!kill || t.qty == order.leaves));
        if let Some(taken) = taken {
            order = match self.fill_order(batch, moment, order, &taken, (Liquidity::Taker, true))? {
                Some(order) => order,
                None => return Ok(()),
            };
        }
        let waits = matches!(order.time_in_force, TimeInForce::Gtc | TimeInForce::Day);
        if waits && order.limit.is_some() {
            order.join(batch.market.book(self.symbols[order.symbol.index()]));
            self.orders.put(order);
        } else {
            self.end_order(batch, &place, &order, OrderStatus::Canceled, "immediate");
        }
        Ok(())
    }

    /// Books a fill of an order that was taken out, after checking that it can
    /// still be. Returns the order with what is left of it; `None` when it ended.
    fn fill_order(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        mut order: Order,
        taken: &Taken,
        (liquidity, meets_book): (Liquidity, bool),
    ) -> Result<Option<Order>, InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        let symbol = order.symbol;
        let held = self.account.qty(symbol);
        let run = self.symbols[symbol.index()];
        let mark2 = batch.timeline.top_at(moment, run).mark2();
        self.account.mark(symbol, mark2);
        let possible = risk::check_direction(order.action, held, self.instruments.at(symbol))
            .and_then(|()| check_size(taken, held))
            .and_then(|()| {
                self.check_funds(symbol, order.action, taken, mark2).map_err(|(reason, _)| reason)
            });
        if let Err(reason) = possible {
            self.end_order(batch, &place, &order, OrderStatus::Canceled, reason.name());
            return Ok(None);
        }
        let about = About {
            order: order.id,
            symbol,
            action: order.action,
            cause: Cause::Strategy,
            asked: order.qty,
            done: order.done(),
            liquidity,
        };
        if meets_book {
            self.deplete(batch, symbol, order.action.side(), taken.qty);
        }
        self.book_fill(batch, &place, &about, taken, &order.reason)?;
        order.leaves = Qty(order.leaves.0 - taken.qty.0);
        if !self.account.position(symbol).is_flat() && order.action.opens() {
            self.brackets.set(symbol, order.stop, order.target);
        }
        Ok((!order.leaves.is_zero()).then_some(order))
    }

    /// Lets the orders of a moment's symbol look at it, the best limit first.
    pub(super) fn look(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
    ) -> Result<(), InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        let Some(symbol) = self.local[place.symbol.index()] else { return Ok(()) };
        self.seek(batch, moment)?;
        let trade = match batch.block.get(place.index as usize) {
            EventRef::Trade(trade) if place.kind == MomentKind::Trade => Some(trade),
            _ => None,
        };
        let mut left = trade.map_or(0, |t| t.qty.0);
        for id in self.orders.turns(symbol) {
            self.look_one(batch, moment, id, trade, &mut left)?;
            self.police(batch, moment)?;
        }
        Ok(())
    }

    fn look_one(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        id: OrderId,
        trade: Option<Trade>,
        left: &mut i64,
    ) -> Result<(), InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        let Some(mut order) = self.orders.take(id) else { return Ok(()) };
        let deed = order.look(
            &Look {
                ts: place.ts,
                top: place.top,
                oldest: self.oldest(place.ts),
                trade,
                is_book: place.kind == MomentKind::Book,
                book: batch.market.book(place.symbol),
                depleted: &self.depleted[order.symbol.index()],
                model: self.execution.model,
            },
            *left,
        );
        match deed {
            None => self.orders.put(order),
            Some(Deed::Expire) => {
                self.end_order(batch, &place, &order, OrderStatus::Expired, "its time is over");
            }
            Some(Deed::Wake) => {
                order.trigger = None;
                let record = Record::new(RecordKind::Wake, place.seq, place.phase);
                self.chain.absorb(&record.int(i128::from(order.id.0)));
                self.tell_order(batch, &place, &order, None);
                self.orders.put(order);
                self.meet(batch, moment, id)?;
            }
            Some(Deed::Fill(qty)) => {
                let Some(taken) = self.at_limit(&order, Qty(qty)) else {
                    self.end_order(batch, &place, &order, OrderStatus::Canceled, "overflow");
                    return Ok(());
                };
                *left = (*left - qty).max(0);
                // A print is gone anyway; a quote stays displayed.
                let kind = (Liquidity::Maker, trade.is_none());
                let rest = self.fill_order(batch, moment, order, &taken, kind)?;
                if let Some(order) = rest {
                    self.orders.put(order);
                }
            }
        }
        Ok(())
    }

    /// A fill at the limit, rounded against the trader.
    fn at_limit(&self, order: &Order, qty: Qty) -> Option<Taken> {
        let (limit, instrument) = (order.limit?, self.instruments.at(order.symbol));
        let rounding = match order.action.side() {
            Side::Buy => Rounding::Ceil,
            Side::Sell => Rounding::Floor,
        };
        let amount = instrument.notional(limit, qty, rounding)?;
        let fee = amount.times(self.execution.maker, Rounding::Ceil);
        Some(Taken { qty, amount, fee, best: limit })
    }

    /// True when an order acts at `moment`, so that its walk stops there.
    pub(super) fn next_look(&self, timeline: &Timeline, from: u32, end: u32) -> u32 {
        if self.orders.is_empty() {
            return end;
        }
        let moments = &timeline.moments()[from as usize..end as usize];
        moments.iter().position(|m| self.looks(m)).map_or(end, |offset| from + offset as u32)
    }
}
