//! From a strategy's request to an order that may wait, or to the reason why not.

use crate::domain::Action;
use crate::domain::decimal;
use crate::domain::{
    Instrument, Money, OrderId, Price, Qty, RejectReason, Rounding, Side, SymbolId, TimeInForce, Ts,
};
use crate::execution::orders::{Order, Trigger};
use crate::execution::{Taken, Want};
use crate::risk;
use crate::strategy::{OrderKind, OrderRequest, Size};

use super::intake::{Refusal, bracket_levels};
use super::lane::{Batch, Lane};
use super::records::{check_open, combination};

/// A day in nanoseconds.
const DAY_NS: i64 = 86_400 * Ts::SECOND;

impl Lane {
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
        let limit_order = matches!(request.kind, OrderKind::Limit(_));
        check_open(top.status, request.action, limit_order, request.post_only)
            .map_err(|reason| no(reason, format!("the market is {:?}", top.status)))?;
        let held = self.account.qty(symbol);
        risk::check_direction(request.action, held, instrument)
            .map_err(|reason| no(reason, format!("position {}", instrument.qty_text(held))))?;
        let side = request.action.side();
        let meets = top.meets(side, self.oldest(place.ts));
        let (limit, trigger) = prices(instrument, request, meets)
            .map_err(|reason| no(reason, format!("price of {:?}", request.kind)))?;
        if request.post_only && limit.is_some_and(|limit| reaches(side, limit, meets)) {
            return Err(no(RejectReason::WouldTake, "a post-only order would take".into()));
        }
        // Where it would fill at best, as far as that is known by now.
        let at = limit.or(trigger.map(|t| t.price)).unwrap_or_default();
        let qty = self
            .quantity_at(instrument, request, held, at, top.mark2())
            .map_err(|reason| no(reason, format!("size {:?}", request.size)))?;
        risk::check_held(request.action, qty, held).map_err(|reason| {
            let (asked, held) = (instrument.qty_text(qty), instrument.qty_text(held));
            no(reason, format!("{} {asked} of a position of {held}", request.action.name()))
        })?;
        let words = || format!("{} at {}", instrument.qty_text(qty), instrument.price_text(at));
        let closes_all = !request.action.opens() && qty == held.magnitude();
        risk::check_minimums(instrument, qty, at, closes_all)
            .map_err(|reason| no(reason, words()))?;
        let (stop, target) = bracket_levels(instrument, request)
            .map_err(|reason| no(reason, "stop-loss or take-profit".into()))?;
        let entries = entries(side, limit, trigger, meets);
        check_brackets(request.action, &entries, stop, target)
            .map_err(|reason| no(reason, format!("bracket of {}", words())))?;
        let expires = ends(request, place.ts);
        if expires.is_some_and(|end| end <= place.ts) {
            return Err(no(RejectReason::InvalidNumber, "good till a time that is over".into()));
        }
        let order = Order {
            id,
            symbol,
            action: request.action,
            qty,
            leaves: qty,
            limit,
            trigger,
            time_in_force: request.time_in_force,
            expires,
            post_only: request.post_only,
            stop,
            target,
            reason: request.reason.clone(),
            ahead: i64::MAX,
            untold: crate::execution::orders::Untold::default(),
        };
        self.check_limit_funds(&order, top.mark2())?;
        Ok(order)
    }

    /// Cash or leverage for an order with a limit, as if it filled there.
    pub(super) fn check_limit_funds(&self, order: &Order, mark2: i64) -> Result<(), Refusal> {
        let Some(limit) = order.limit else { return Ok(()) };
        let instrument = self.instruments.at(order.symbol);
        let no = |reason, detail| Refusal::new(Some(order.symbol), reason, detail);
        let amount = instrument
            .notional(limit, order.leaves, Rounding::Ceil)
            .ok_or_else(|| no(RejectReason::InvalidNumber, "its value overflows".to_owned()))?;
        let fee = amount.times(self.fee_max(), Rounding::Ceil);
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
        mark2: i64,
    ) -> Result<Qty, RejectReason> {
        let symbol = SymbolId(request.symbol);
        if request.size == Size::All && !request.action.opens() {
            return Ok(held.magnitude());
        }
        let money = match self.want(instrument, request, held)? {
            Want::Base(qty) => return Ok(instrument.round_qty(qty)),
            Want::Quote(money) => money,
            Want::Debt(room) => {
                let owed = instrument.owing(room, at, mark2);
                return owed.ok_or(RejectReason::InvalidNumber);
            }
            Want::Budget(_) => {
                let free = self.free(symbol);
                let one = i128::from(crate::domain::Rate::ONE.0);
                let with_fee = one + i128::from(self.fee_max().0);
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
}

/// When an order that arrives now ends by itself: with the UTC day, or at its date.
fn ends(request: &OrderRequest, now: Ts) -> Option<Ts> {
    let day = (request.time_in_force == TimeInForce::Day)
        .then(|| Ts((now.0.div_euclid(DAY_NS) + 1).saturating_mul(DAY_NS)));
    let date = request.good_till_ns.map(|ns| Ts(i64::try_from(ns).unwrap_or(i64::MAX)));
    day.into_iter().chain(date).min()
}

/// Whether a price that an order of this side would meet is at the limit or better.
pub(super) fn reaches(side: Side, limit: Price, meets: i64) -> bool {
    match side {
        Side::Buy => meets > 0 && meets <= limit.0,
        Side::Sell => meets >= limit.0,
    }
}

/// Where an order may fill, as far as that is known by now: its limit, its stop, and
/// what it would meet at once.
pub(super) fn entries(
    side: Side,
    limit: Option<Price>,
    trigger: Option<Trigger>,
    meets: i64,
) -> Vec<Price> {
    let now = match (limit, trigger) {
        // A stop that is reached already wakes at the next look.
        (_, Some(trigger)) => meets > 0 && trigger.reached(side, meets),
        (Some(limit), None) => reaches(side, limit, meets),
        (None, None) => false,
    };
    let met = now.then_some(Price(meets));
    limit.into_iter().chain(trigger.map(|trigger| trigger.price)).chain(met).collect()
}

/// A bracket is right for every price at which the order may fill.
pub(super) fn check_brackets(
    action: Action,
    entries: &[Price],
    stop: Option<Price>,
    target: Option<Price>,
) -> Result<(), RejectReason> {
    entries.iter().try_for_each(|entry| risk::check_bracket(action, *entry, stop, target))
}

/// A limit never turns out worse than asked.
pub(super) fn limit_rounding(side: Side) -> Rounding {
    if side == Side::Buy { Rounding::Floor } else { Rounding::Ceil }
}

pub(super) fn grid(
    instrument: &Instrument,
    value: f64,
    rounding: Rounding,
) -> Result<Price, RejectReason> {
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
