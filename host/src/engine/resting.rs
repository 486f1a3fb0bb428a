//! Orders that wait, in a lane: accepted, looked at, filled, changed, ended.

use crate::domain::decimal;
use crate::domain::{
    Action, Cause, Instrument, Liquidity, Money, OrderId, OrderStatus, Price, Qty, RejectReason,
    Rounding, Side, SymbolId, TimeInForce, Ts,
};
use crate::execution::orders::{Deed, Look, Order, Trigger, exit_price};
use crate::execution::{Taken, Want};
use crate::input::{EventRef, Trade, TradingStatus};
use crate::portfolio::InvariantBroken;
use crate::risk;
use crate::strategy::{OrderKind, OrderRequest, Size};

use super::chain::{Record, RecordKind};
use super::intake::{About, Refusal, bracket_levels};
use super::lane::{Batch, Lane, LaneState};
use super::output::{LaneOutput, Output};
use super::records::{check_open, combination};
use super::timeline::{Moment, MomentKind, Timeline};

/// A day in nanoseconds.
const DAY_NS: i64 = 86_400 * Ts::SECOND;

impl Lane {
    /// Whether an order of this lane looks at a moment: one of its symbol that
    /// tells a price or a status.
    pub(super) fn looks(&self, moment: &Moment) -> bool {
        matches!(moment.kind, MomentKind::Trade | MomentKind::Book | MomentKind::Status)
            && self.local[moment.symbol.index()].is_some_and(|symbol| self.orders.any(symbol))
    }

    /// Cash in the quote asset of a symbol that no resting buy has reserved.
    pub(super) fn free(&self, symbol: SymbolId) -> Money {
        let mut free = self.account.spendable(symbol);
        let quote = &self.instruments.at(symbol).quote;
        for order in self.orders.iter().filter(|order| order.action == Action::Buy) {
            let instrument = self.instruments.at(order.symbol);
            if let (true, Some(limit)) = (instrument.quote == *quote, order.limit) {
                free = free - self.cost_at(instrument, limit, order.leaves).unwrap_or(free);
            }
        }
        free
    }

    /// What a buy at a limit costs at most, fee included.
    fn cost_at(&self, instrument: &Instrument, limit: Price, qty: Qty) -> Option<Money> {
        let cost = instrument.notional(limit, qty, Rounding::Ceil)?;
        Some(cost + cost.times(self.execution.fee, Rounding::Ceil))
    }

    /// Turns a request for an order that may wait into one, or says why not.
    pub(super) fn prepare(
        &self,
        batch: &Batch<'_>,
        moment: u32,
        id: OrderId,
        request: &OrderRequest,
    ) -> Result<Order, Refusal> {
        let place = batch.timeline.moments()[moment as usize];
        let (symbol, instrument) = self.admit(&place, request)?;
        let no = |reason, detail: String| Refusal::new(Some(symbol), reason, detail);
        combination(request).map_err(|detail| no(RejectReason::Unsupported, detail.into()))?;
        if self.orders.is_full() {
            return Err(no(RejectReason::TooManyOrders, "too many orders are open".into()));
        }
        let top = batch.timeline.top_at(moment, self.symbols[symbol.index()]);
        check_open(top.status, request)
            .map_err(|reason| no(reason, format!("the market is {:?}", top.status)))?;
        let held = self.account.qty(symbol);
        risk::check_direction(request.action, held, instrument)
            .map_err(|reason| no(reason, format!("position {}", instrument.qty_text(held))))?;
        let side = request.action.side();
        let (limit, trigger) = prices(instrument, request, exit_price(side, &top))
            .map_err(|reason| no(reason, format!("price of {:?}", request.kind)))?;
        let meets = exit_price(side, &top);
        let takes = limit.is_some_and(|limit| match side {
            Side::Buy => meets > 0 && meets <= limit.0,
            Side::Sell => meets >= limit.0,
        });
        if request.post_only && takes {
            return Err(no(RejectReason::WrongSide, "a post-only order would take".into()));
        }
        // Where it would fill at best, as far as that is known by now.
        let at = limit.or(trigger.map(|t| t.price)).unwrap_or_default();
        let qty = self
            .quantity_at(instrument, request, held, at)
            .map_err(|reason| no(reason, format!("size {:?}", request.size)))?;
        risk::check_held(request.action, qty, held).map_err(|reason| {
            let (asked, held) = (instrument.qty_text(qty), instrument.qty_text(held));
            no(reason, format!("{} {asked} of a position of {held}", request.action.name()))
        })?;
        let words = || format!("{} at {}", instrument.qty_text(qty), instrument.price_text(at));
        risk::check_minimums(instrument, qty, at, qty == held.magnitude())
            .map_err(|reason| no(reason, words()))?;
        let (stop, target) = bracket_levels(instrument, request)
            .map_err(|reason| no(reason, "stop-loss or take-profit".into()))?;
        risk::check_bracket(request.action, at, stop, target)
            .map_err(|reason| no(reason, format!("bracket of {}", words())))?;
        let order = Order {
            id,
            symbol,
            action: request.action,
            qty,
            leaves: qty,
            limit,
            trigger,
            time_in_force: request.time_in_force,
            expires: (request.time_in_force == TimeInForce::Day)
                .then(|| Ts((place.ts.0.div_euclid(DAY_NS) + 1).saturating_mul(DAY_NS))),
            post_only: request.post_only,
            stop,
            target,
            reason: request.reason.clone(),
            ahead: i64::MAX,
            used: 0,
        };
        self.check_limit_funds(&order, top.mark2())?;
        Ok(order)
    }

    /// Cash or leverage for an order with a limit, as if it filled there.
    fn check_limit_funds(&self, order: &Order, mark2: i64) -> Result<(), Refusal> {
        let Some(limit) = order.limit else { return Ok(()) };
        let instrument = self.instruments.at(order.symbol);
        let no = |reason, detail| Refusal::new(Some(order.symbol), reason, detail);
        let amount = instrument
            .notional(limit, order.leaves, Rounding::Ceil)
            .ok_or_else(|| no(RejectReason::InvalidNumber, "its value overflows".to_owned()))?;
        let fee = amount.times(self.execution.fee, Rounding::Ceil);
        let taken = Taken { qty: order.leaves, amount, fee, best: limit };
        self.check_funds(order.symbol, order.action, &taken, mark2)
            .map_err(|(reason, detail)| no(reason, detail))
    }

    fn quantity_at(
        &self,
        instrument: &Instrument,
        request: &OrderRequest,
        held: Qty,
        at: Price,
    ) -> Result<Qty, RejectReason> {
        let symbol = SymbolId(request.symbol);
        if request.size == Size::All && !request.action.opens() {
            return Ok(held.magnitude());
        }
        let money = match self.want(instrument, request, held)? {
            Want::Base(qty) => return Ok(instrument.round_qty(qty)),
            Want::Quote(money) => money,
            Want::Budget(_) => {
                let free = self.free(symbol);
                let one = i128::from(crate::domain::Rate::ONE.0);
                let with_fee = one + i128::from(self.execution.fee.0);
                Money(decimal::div_rounded(free.0 * one, with_fee, Rounding::Floor))
            }
        };
        let qty = instrument.affordable(money, at).ok_or(RejectReason::InvalidNumber)?;
        // Rounding up cost and fee may take a unit more than there is.
        let whole = self.cost_at(instrument, at, qty).is_some_and(|cost| cost <= self.free(symbol));
        if whole || request.size != Size::All || request.action != Action::Buy {
            return Ok(qty);
        }
        Ok(Qty((qty.0 - instrument.qty_increment.0).max(0)))
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
        self.tell_order(batch, &place, &order, OrderStatus::Accepted);
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
        if !order.action.opens() {
            let held = self.account.qty(order.symbol).magnitude();
            let beyond = (order.leaves.0 - held.0).max(0);
            (order.qty, order.leaves) = (Qty(order.qty.0 - beyond), Qty(order.leaves.0 - beyond));
        }
        let taken = {
            let instruments = self.instruments.clone();
            let venue = self.venue(batch, moment, order.symbol, instruments.at(order.symbol));
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
        let took = taken.map_or(0, |t| t.qty.0);
        if let Some(taken) = taken {
            order = match self.fill_order(batch, moment, order, &taken, Liquidity::Taker)? {
                Some(order) => order,
                None => return Ok(()),
            };
        }
        let waits = matches!(order.time_in_force, TimeInForce::Gtc | TimeInForce::Day);
        if waits && order.limit.is_some() {
            order.join(batch.market.book(self.symbols[order.symbol.index()]));
            // What it took is still displayed, and is not there again.
            order.used = took;
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
        liquidity: Liquidity,
    ) -> Result<Option<Order>, InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        let symbol = order.symbol;
        let held = self.account.qty(symbol);
        let run = self.symbols[symbol.index()];
        let mark2 = batch.timeline.top_at(moment, run).mark2();
        self.account.mark(symbol, mark2)?;
        let possible = risk::check_direction(order.action, held, self.instruments.at(symbol))
            .and_then(|()| super::intake::check_size(taken, held))
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
        self.book_fill(batch, &place, &about, taken, &order.reason)?;
        order.leaves = Qty(order.leaves.0 - taken.qty.0);
        if !self.account.position(symbol).is_flat() && order.action.opens() {
            self.brackets.set(symbol, order.stop, order.target);
        }
        Ok((!order.leaves.is_zero()).then_some(order))
    }

    /// Lets the orders of a moment's symbol look at it, in the order of their
    /// numbers.
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
        for id in self.orders.ids(Some(symbol)) {
            self.look_one(batch, moment, id, trade, &mut left)?;
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
        let held = self.account.qty(order.symbol);
        if !order.action.opens() {
            // What reduces ends with the position, and shrinks with it.
            let fits = risk::check_direction(order.action, held, self.instruments.at(order.symbol))
                .is_ok();
            if !fits {
                let words = "the position is closed";
                self.end_order(batch, &place, &order, OrderStatus::Canceled, words);
                return Ok(());
            }
        }
        let deed = order.look(
            &Look {
                ts: place.ts,
                top: place.top,
                trade,
                book: batch.market.book(place.symbol),
                model: self.execution.model,
            },
            *left,
        );
        match deed {
            None => self.orders.put(order),
            Some(Deed::Expire) => {
                self.end_order(batch, &place, &order, OrderStatus::Expired, "its day is over");
            }
            Some(Deed::Wake) => {
                order.trigger = None;
                let record = Record::new(RecordKind::Wake, place.seq, place.phase);
                self.chain.absorb(&record.int(i128::from(order.id.0)));
                self.orders.put(order);
                self.meet(batch, moment, id)?;
            }
            Some(Deed::Fill(qty)) => {
                let qty = if order.action.opens() { qty } else { qty.min(held.magnitude().0) };
                let Some(taken) = self.at_limit(&order, Qty(qty)) else {
                    self.end_order(batch, &place, &order, OrderStatus::Canceled, "overflow");
                    return Ok(());
                };
                *left = (*left - qty).max(0);
                let rest = self.fill_order(batch, moment, order, &taken, Liquidity::Maker)?;
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
        let fee = amount.times(self.execution.fee, Rounding::Ceil);
        Some(Taken { qty, amount, fee, best: limit })
    }

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
        self.mark_symbol(batch, moment, old.symbol.0)?;
        let top = batch.timeline.top_at(moment, self.symbols[old.symbol.index()]);
        // The old one is out while the new one is checked: it reserves nothing.
        let amended = self.amended(&old, size, price).and_then(|new| {
            let held = self.account.qty(new.symbol);
            risk::check_held(new.action, new.leaves, held)?;
            self.check_limit_funds(&new, top.mark2()).map_err(|refusal| refusal.reason)?;
            Ok(new)
        });
        match amended {
            Err(reason) => {
                self.counters.rejected += 1;
                let body = LaneOutput::Reject {
                    order: id,
                    symbol: Some(old.symbol),
                    reason,
                    detail: "the change is refused, the order stays".into(),
                };
                batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
                self.tell_order(batch, &place, &old, OrderStatus::Accepted);
                self.orders.put(old);
            }
            Ok(new) if new.limit == old.limit && new.leaves <= old.leaves => {
                self.tell_order(batch, &place, &new, OrderStatus::Accepted);
                self.orders.put(new);
            }
            Ok(new) => self.work(batch, moment, new)?,
        }
        Ok(true)
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
        let all = new.leaves == self.account.qty(new.symbol).magnitude();
        risk::check_minimums(instrument, new.leaves, at, all || !new.done().is_zero())?;
        Ok(new)
    }

    fn end_order(
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
        let body = LaneOutput::Canceled { order: id, symbol, leaves };
        batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
    }

    /// Says that an order is open, or how it stands now.
    fn tell_order(
        &mut self,
        batch: &mut Batch<'_>,
        place: &Moment,
        order: &Order,
        status: OrderStatus,
    ) {
        let price = |price: Option<Price>| price.map_or(0, |p| i128::from(p.0));
        let stop = order.trigger.map(|t| t.price);
        let record = Record::new(RecordKind::Accept, place.seq, place.phase)
            .int(i128::from(order.id.0))
            .int(i128::from(order.leaves.0))
            .int(price(order.limit))
            .int(price(stop));
        self.chain.absorb(&record);
        let update = self.update(place, &About::of(order), status, order.leaves, &order.reason);
        self.updates.push_back(update);
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

    /// True when an order acts at `moment`, so that its walk stops there.
    pub(super) fn next_look(&self, timeline: &Timeline, from: u32, end: u32) -> u32 {
        if self.orders.is_empty() {
            return end;
        }
        let moments = &timeline.moments()[from as usize..end as usize];
        moments.iter().position(|m| self.looks(m)).map_or(end, |offset| from + offset as u32)
    }
}

impl About {
    fn of(order: &Order) -> Self {
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

/// A limit never turns out worse than asked.
fn limit_rounding(side: Side) -> Rounding {
    if side == Side::Buy { Rounding::Floor } else { Rounding::Ceil }
}

fn grid(instrument: &Instrument, value: f64, rounding: Rounding) -> Result<Price, RejectReason> {
    decimal::from_f64(value, instrument.price_decimals, rounding)
        .filter(|_| value > 0.0)
        .and_then(|units| i64::try_from(units).ok())
        .and_then(|units| instrument.round_price(Price(units), rounding))
        .filter(|price| price.0 > 0)
        .ok_or(RejectReason::InvalidNumber)
}

/// Limit and trigger on the price grid. A stop acts no later than asked.
fn prices(
    instrument: &Instrument,
    request: &OrderRequest,
    meets: i64,
) -> Result<(Option<Price>, Option<Trigger>), RejectReason> {
    let side = request.action.side();
    let limit = |value| grid(instrument, value, limit_rounding(side)).map(Some);
    let fixed = |value| {
        let price = grid(instrument, value, limit_rounding(side))?;
        Ok(Some(Trigger { price, distance: None }))
    };
    match request.kind {
        OrderKind::Market => Err(RejectReason::Unsupported),
        OrderKind::Limit(price) => Ok((limit(price)?, None)),
        OrderKind::Stop(stop) => Ok((None, fixed(stop)?)),
        OrderKind::StopLimit(stop, price) => Ok((limit(price)?, fixed(stop)?)),
        OrderKind::TrailingStop(distance) => {
            let distance = grid(instrument, distance, Rounding::Floor)?;
            if meets <= 0 {
                return Err(RejectReason::NoMarketData);
            }
            let price = match side {
                Side::Buy => meets.checked_add(distance.0),
                Side::Sell => meets.checked_sub(distance.0),
            };
            let price = price.filter(|p| *p > 0).ok_or(RejectReason::InvalidNumber)?;
            Ok((None, Some(Trigger { price: Price(price), distance: Some(distance) })))
        }
    }
}
