//! From a strategy's request to a fill: decimals, checks, execution, booking.

use crate::domain::Qty;
use crate::domain::decimal;
use crate::domain::{
    Action, Cause, Instrument, OrderId, Price, RejectReason, Rounding, Side, SymbolId, TimeInForce,
};
use crate::execution::{Taken, Venue};
use crate::portfolio::InvariantBroken;
use crate::risk;
use crate::strategy::{OrderKind, OrderRequest};

use super::booking::{About, check_size};
use super::lane::{Batch, Lane, LaneState};
use super::timeline::{Moment, MomentKind};

/// An order that passed every check and what it takes.
struct Accepted {
    symbol: SymbolId,
    asked: Qty,
    taken: Taken,
    stop: Option<Price>,
    target: Option<Price>,
}

/// Why an order was refused, with the particulars for people.
pub(super) struct Refusal {
    pub(super) symbol: Option<SymbolId>,
    pub(super) reason: RejectReason,
    pub(super) detail: String,
}

impl Refusal {
    pub(super) fn new(
        symbol: Option<SymbolId>,
        reason: RejectReason,
        detail: impl Into<String>,
    ) -> Self {
        Self { symbol, reason, detail: detail.into() }
    }
}

impl Lane {
    /// Takes an order that has arrived.
    pub(super) fn place(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        order: OrderId,
        request: &OrderRequest,
    ) -> Result<(), InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        self.seek(batch, moment)?;
        self.mark_symbol(batch, moment, request.symbol);
        if !self.watch.admits(&self.risk, place.ts) {
            let refusal =
                Refusal::new(None, RejectReason::RiskLimit, "too many orders in a minute");
            self.refuse(batch, &place, order, Some(request), refusal);
            return Ok(());
        }
        if request.kind != OrderKind::Market {
            match self.prepare(batch, moment, order, request) {
                Ok(waiting) => return self.work(batch, moment, waiting),
                Err(refusal) => {
                    self.refuse(batch, &place, order, Some(request), refusal);
                    return Ok(());
                }
            }
        }
        match self.accept(batch, moment, &place, request) {
            Ok(accepted) => self.execute(batch, &place, order, request, &accepted),
            Err(refusal) => {
                self.refuse(batch, &place, order, Some(request), refusal);
                Ok(())
            }
        }
    }

    /// The account's mark of a symbol follows the market only while it is
    /// needed; an order needs it.
    pub(super) fn mark_symbol(&mut self, batch: &Batch<'_>, moment: u32, symbol: u16) {
        // The ordered symbol, and those that convert other assets.
        let rates: Vec<SymbolId> = self.account.rates().collect();
        for symbol in rates.into_iter().chain([SymbolId(symbol)]) {
            if let Some(&run) = self.symbols.get(symbol.index()) {
                let mark = batch.timeline.top_at(moment, run).mark2();
                self.account.mark(symbol, mark);
            }
        }
    }

    /// Whether an order of this lane may be considered at all.
    pub(super) fn admit(
        &self,
        place: &Moment,
        request: &OrderRequest,
    ) -> Result<(SymbolId, &Instrument), Refusal> {
        let symbol = SymbolId(request.symbol);
        let Some(instrument) = self.instruments.get(symbol) else {
            let detail = format!("symbol number {} of {}", request.symbol, self.symbols.len());
            return Err(Refusal::new(None, RejectReason::UnknownSymbol, detail));
        };
        let no = |reason, detail: String| Refusal::new(Some(symbol), reason, detail);
        if place.kind == MomentKind::WarmUp {
            return Err(no(RejectReason::WarmingUp, "warm-up history is not a market".into()));
        }
        if self.state == LaneState::Paused {
            return Err(no(RejectReason::Halted, "paused by the operator".into()));
        }
        Ok((symbol, instrument))
    }

    fn accept(
        &self,
        batch: &Batch<'_>,
        moment: u32,
        place: &Moment,
        request: &OrderRequest,
    ) -> Result<Accepted, Refusal> {
        let (symbol, instrument) = self.admit(place, request)?;
        let no = |reason, detail: String| Refusal::new(Some(symbol), reason, detail);
        supported(request).map_err(|detail| no(RejectReason::Unsupported, detail.into()))?;
        let venue = self.venue(batch, moment, symbol, instrument);
        risk::check_status(venue.top.status, request.action)
            .map_err(|reason| no(reason, format!("the market is {:?}", venue.top.status)))?;
        let held = self.account.qty(symbol);
        risk::check_direction(request.action, held, instrument)
            .map_err(|reason| no(reason, format!("position {}", instrument.qty_text(held))))?;
        let side = request.action.side();
        let asked = self
            .quantity(&venue, request, held)
            .map_err(|reason| no(reason, format!("size {:?}", request.size)))?;
        risk::check_held(request.action, asked, held).map_err(|reason| {
            let (asked, held) = (instrument.qty_text(asked), instrument.qty_text(held));
            no(reason, format!("{} {asked} of a position of {held}", request.action.name()))
        })?;
        let best = venue.reference(side).map_err(|reason| no(reason, "no price to meet".into()))?;
        let closes_all = !request.action.opens() && asked == held.magnitude();
        risk::check_minimums(instrument, asked, best, closes_all).map_err(|reason| {
            no(reason, format!("{} at {}", instrument.qty_text(asked), instrument.price_text(best)))
        })?;
        let (stop, target) = bracket_levels(instrument, request)
            .map_err(|reason| no(reason, "stop-loss or take-profit".into()))?;
        risk::check_bracket(request.action, best, stop, target).map_err(|reason| {
            let entry = self.price_text(symbol, best);
            let show = |l: Option<Price>| l.map_or("none".into(), |l| self.price_text(symbol, l));
            no(
                reason,
                format!(
                    "{} at {entry}, stop {}, target {}",
                    request.action.name(),
                    show(stop),
                    show(target)
                ),
            )
        })?;
        let taken = venue
            .take(side, asked)
            .map_err(|reason| no(reason, format!("size {}", instrument.qty_text(asked))))?;
        if request.time_in_force == TimeInForce::Fok && taken.qty < asked {
            let detail =
                format!("{} of {}", instrument.qty_text(taken.qty), instrument.qty_text(asked));
            return Err(no(RejectReason::NoLiquidity, format!("fill or kill: only {detail}")));
        }
        check_size(&taken, held).map_err(|reason| {
            no(reason, format!("{} is worth nothing", instrument.qty_text(taken.qty)))
        })?;
        self.check_funds(symbol, request.action, &taken, venue.top.mark2())
            .map_err(|(reason, detail)| no(reason, detail))?;
        Ok(Accepted { symbol, asked, taken, stop, target })
    }

    /// The market that an order meets, less what this lane has taken of it.
    pub(super) fn venue<'a>(
        &'a self,
        batch: &'a Batch<'_>,
        moment: u32,
        symbol: SymbolId,
        instrument: &'a Instrument,
    ) -> Venue<'a> {
        let run = self.symbols[symbol.index()];
        let place = &batch.timeline.moments()[moment as usize];
        let own = place.symbol == run && place.kind != MomentKind::Timer;
        Venue {
            instrument,
            top: batch.timeline.top_at(moment, run),
            book: batch.market.book(run),
            depleted: &self.depleted[symbol.index()],
            oldest: self.oldest(place.ts),
            cause: if own { place.cause } else { 0 },
            config: self.execution,
        }
    }

    fn execute(
        &mut self,
        batch: &mut Batch<'_>,
        place: &Moment,
        order: OrderId,
        request: &OrderRequest,
        accepted: &Accepted,
    ) -> Result<(), InvariantBroken> {
        let (symbol, asked) = (accepted.symbol, accepted.asked);
        let about = About {
            order,
            symbol,
            action: request.action,
            cause: Cause::Strategy,
            asked,
            ..About::taker()
        };
        self.deplete(batch, symbol, request.action.side(), accepted.taken.qty);
        self.book_fill(batch, place, &about, &accepted.taken, &request.reason)?;
        if !self.account.position(symbol).is_flat() {
            self.brackets.set(symbol, accepted.stop, accepted.target);
        }
        self.end_rest(batch, place, &about, accepted.taken.qty, &request.reason);
        Ok(())
    }

    /// Closes a position whole, or as far as the market can take it, because a
    /// bracket asks for it.
    pub(super) fn close(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        symbol: SymbolId,
        cause: Cause,
    ) -> Result<(), InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        let held = self.account.qty(symbol);
        let action = if held.0 > 0 { Action::Sell } else { Action::Cover };
        self.seek(batch, moment)?;
        let venue = self.venue(batch, moment, symbol, self.instruments.at(symbol));
        let taken = venue.take(action.side(), held.magnitude());
        // Without liquidity the bracket stays and acts again at the next moment.
        let Ok(mut taken) = taken else { return Ok(()) };
        if taken.qty.is_zero() {
            return Ok(());
        }
        if cause == Cause::Liquidation {
            let extra = taken.amount.times(self.risk.liquidation_fee, Rounding::Ceil);
            taken.fee = taken.fee + extra;
        }
        let order = OrderId(self.next_order.max(self.given));
        self.next_order = order.0 + 1;
        self.counters.orders += 1;
        let asked = held.magnitude();
        let about = About { order, symbol, action, cause, asked, ..About::taker() };
        self.deplete(batch, symbol, action.side(), taken.qty);
        self.book_fill(batch, &place, &about, &taken, cause.name())?;
        self.end_rest(batch, &place, &about, taken.qty, cause.name());
        Ok(())
    }
}

/// What a market order, immediate by nature, may say.
fn supported(request: &OrderRequest) -> Result<(), &'static str> {
    if request.post_only {
        return Err("a market order cannot be post-only");
    }
    if request.good_till_ns.is_some() {
        return Err("a market order is not good till a date");
    }
    if request.reduce_only && request.action.opens() {
        return Err("an order that opens cannot be reduce-only");
    }
    Ok(())
}

/// The bracket's levels on the price grid. Both round towards the entry's loss:
/// a stop acts no later and a target no earlier than asked.
pub(super) fn bracket_levels(
    instrument: &Instrument,
    request: &OrderRequest,
) -> Result<(Option<Price>, Option<Price>), RejectReason> {
    let long = request.action.side() == Side::Buy;
    let level = |value: Option<f64>, rounding: Rounding| -> Result<Option<Price>, RejectReason> {
        let Some(value) = value else { return Ok(None) };
        let price = decimal::from_f64(value, instrument.price_decimals, rounding)
            .filter(|_| value > 0.0)
            .and_then(|units| i64::try_from(units).ok())
            .and_then(|units| instrument.round_price(Price(units), rounding));
        price.filter(|p| p.0 > 0).map(Some).ok_or(RejectReason::InvalidNumber)
    };
    let rounding = if long { Rounding::Ceil } else { Rounding::Floor };
    Ok((level(request.stop_loss, rounding)?, level(request.take_profit, rounding)?))
}
