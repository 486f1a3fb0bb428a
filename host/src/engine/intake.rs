//! From a strategy's request to a fill: decimals, checks, execution, booking.

use crate::domain::decimal;
use crate::domain::{
    Action, Cause, Fill, Instrument, Liquidity, Money, OrderId, OrderStatus, Price, Qty,
    RejectReason, Rounding, Side, SymbolId, TimeInForce,
};
use crate::execution::{Taken, Venue, Want};
use crate::portfolio::InvariantBroken;
use crate::risk::{self, ShortBase};
use crate::strategy::{OrderKind, OrderRequest, OrderUpdate, Size};

use super::chain::{Record, RecordKind};
use super::lane::{Batch, Lane, LaneState};
use super::output::{LaneOutput, Output};
use super::records::{fill_record, order_record};
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
    symbol: Option<SymbolId>,
    pub(super) reason: RejectReason,
    detail: String,
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
    /// Takes an order that the strategy asked for.
    pub(super) fn place(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        order: OrderId,
        request: &OrderRequest,
    ) -> Result<(), InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        self.counters.orders += 1;
        self.chain.absorb(&order_record(&place, order, request));
        self.seek(batch, moment)?;
        self.mark_symbol(batch, moment, request.symbol)?;
        if request.kind != OrderKind::Market {
            match self.prepare(batch, moment, order, request) {
                Ok(waiting) => return self.work(batch, moment, waiting),
                Err(refusal) => {
                    self.refuse(batch, &place, order, request.action, &request.reason, refusal);
                    return Ok(());
                }
            }
        }
        match self.accept(batch, moment, &place, request) {
            Ok(accepted) => self.execute(batch, &place, order, request, &accepted),
            Err(refusal) => {
                self.refuse(batch, &place, order, request.action, &request.reason, refusal);
                Ok(())
            }
        }
    }

    /// The account's mark of a symbol follows the market only while it is
    /// needed; an order needs it.
    pub(super) fn mark_symbol(
        &mut self,
        batch: &Batch<'_>,
        moment: u32,
        symbol: u16,
    ) -> Result<(), InvariantBroken> {
        // The ordered symbol, and those that convert other assets.
        let rates: Vec<SymbolId> = self.account.rates().collect();
        for symbol in rates.into_iter().chain([SymbolId(symbol)]) {
            if let Some(&run) = self.symbols.get(symbol.index()) {
                let mark = batch.timeline.top_at(moment, run).mark2();
                self.account.mark(symbol, mark)?;
            }
        }
        Ok(())
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
        risk::check_minimums(instrument, asked, best, asked == held.magnitude()).map_err(
            |reason| {
                no(
                    reason,
                    format!("{} at {}", instrument.qty_text(asked), instrument.price_text(best)),
                )
            },
        )?;
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

    /// Cash for a long, leverage for a short, at what it really takes.
    pub(super) fn check_funds(
        &self,
        symbol: SymbolId,
        action: Action,
        taken: &Taken,
        mark2: i64,
    ) -> Result<(), (RejectReason, String)> {
        // Whoever has lost everything opens nothing more.
        if let Some(equity) = self.account.equity().filter(|e| action.opens() && !e.is_positive()) {
            return Err((RejectReason::RiskLimit, format!("equity is {equity}")));
        }
        if action.opens() {
            let order = self.account.in_currency(symbol, taken.amount);
            let held = self.account.qty(symbol).magnitude();
            let value = self.instruments.at(symbol).value_at(mark2, held).unwrap_or_default();
            let position = self.account.in_currency(symbol, value + taken.amount);
            risk::check_notional(&self.risk, order, position)
                .map_err(|reason| (reason, "larger than an order or position may be".into()))?;
        }
        match action {
            Action::Buy => {
                let (cost, cash) = (taken.amount + taken.fee, self.free(symbol));
                risk::check_cash(cost, cash)
                    .map_err(|r| (r, format!("costs {cost}, spendable {cash}")))
            }
            Action::Short => {
                let unknown = (RejectReason::NoMarketData, "equity is not known yet".to_owned());
                let shorts = self.account.short_notional();
                // What it will owe at the mark, where that is more than it fetched.
                let owed = self.instruments.at(symbol).value_at(mark2, taken.qty);
                let owed = owed.map_or(taken.amount, |owed| owed.max(taken.amount));
                let added = self.account.in_currency(symbol, owed);
                let (Some(shorts), Some(added), Some(base)) = (shorts, added, self.short_base())
                else {
                    return Err(unknown);
                };
                let leverage = self.execution.max_short_leverage;
                risk::check_leverage(shorts, added, base, leverage)
                    .map_err(|r| (r, format!("shorts {shorts} + {added} over {leverage} x {base}")))
            }
            Action::Sell | Action::Cover => Ok(()),
        }
    }

    pub(super) fn venue<'a>(
        &self,
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
            cause: if own { place.cause } else { 0 },
            config: self.execution,
        }
    }

    /// The quantity that a request means, in whole increments.
    fn quantity(
        &self,
        venue: &Venue<'_>,
        request: &OrderRequest,
        held: Qty,
    ) -> Result<Qty, RejectReason> {
        let side = request.action.side();
        let want = self.want(venue.instrument, request, held)?;
        // All of a position is all of it, whatever the increment is by now.
        if request.size == Size::All && !request.action.opens() {
            return Ok(held.magnitude());
        }
        venue.quantity(side, want)
    }

    /// What a request's size asks for.
    pub(super) fn want(
        &self,
        instrument: &Instrument,
        request: &OrderRequest,
        held: Qty,
    ) -> Result<Want, RejectReason> {
        let side = request.action.side();
        let symbol = SymbolId(request.symbol);
        let positive = |value: f64, decimals| {
            decimal::from_f64(value, decimals, Rounding::Floor)
                .filter(|_| value > 0.0)
                .ok_or(RejectReason::InvalidNumber)
        };
        Ok(match request.size {
            Size::Base(size) => {
                let qty = positive(size, instrument.qty_decimals)?;
                Want::Base(Qty(i64::try_from(qty).map_err(|_| RejectReason::InvalidNumber)?))
            }
            Size::Quote(size) => {
                let money = Money(positive(size, Money::DECIMALS)?);
                if money > Money::LIMIT {
                    return Err(RejectReason::InvalidNumber);
                }
                Want::Quote(money)
            }
            Size::All if !request.action.opens() => Want::Base(held.magnitude()),
            Size::All if side == Side::Buy => Want::Budget(self.free(symbol)),
            Size::All => Want::Quote(self.short_room(symbol)),
        })
    }

    /// What the leverage of shorts is a multiple of.
    fn short_base(&self) -> Option<Money> {
        match self.execution.short_base {
            ShortBase::Starting => self.account.start_equity(),
            ShortBase::Equity => self.account.equity(),
        }
    }

    /// How much more may be sold short, in the symbol's quote asset.
    fn short_room(&self, symbol: SymbolId) -> Money {
        // Only in the account currency: elsewhere a limit has no exact inverse.
        let room =
            self.account.in_currency(symbol, Money(1)).filter(|m| *m == Money(1)).and_then(|_| {
                let base = self.short_base()?;
                let limit = base.times(self.execution.max_short_leverage, Rounding::Floor);
                Some(limit - self.account.short_notional()?)
            });
        room.filter(|r| r.is_positive()).unwrap_or_default()
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
        let taken = {
            let instruments = self.instruments.clone();
            let venue = self.venue(batch, moment, symbol, instruments.at(symbol));
            venue.take(action.side(), held.magnitude())
        };
        // Without liquidity the bracket stays and acts again at the next moment.
        let Ok(taken) = taken else { return Ok(()) };
        if taken.qty.is_zero() {
            return Ok(());
        }
        let order = OrderId(self.next_order);
        self.next_order += 1;
        self.counters.orders += 1;
        let asked = held.magnitude();
        let about = About { order, symbol, action, cause, asked, ..About::taker() };
        self.book_fill(batch, &place, &about, &taken, cause.name())?;
        self.end_rest(batch, &place, &about, taken.qty, cause.name());
        Ok(())
    }

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
        let body = LaneOutput::Fill { fill, reason: reason.to_owned(), position, closed };
        batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
        Ok(())
    }

    /// What a market order could not fill is canceled.
    fn end_rest(
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

    fn refuse(
        &mut self,
        batch: &mut Batch<'_>,
        place: &Moment,
        order: OrderId,
        action: Action,
        words: &str,
        refusal: Refusal,
    ) {
        let Refusal { symbol, reason, detail } = refusal;
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
        let body = LaneOutput::Reject { order, symbol, reason, detail };
        batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
    }

    /// Answers a cancel or an amend of an order that is not open.
    pub(super) fn reject_unknown(&mut self, batch: &mut Batch<'_>, moment: u32, order: u64) {
        let place = batch.timeline.moments()[moment as usize];
        let detail = format!("order {order} is not open");
        let refusal = Refusal::new(None, RejectReason::UnknownOrder, detail);
        self.counters.orders += 1;
        self.refuse(batch, &place, OrderId(order), Action::Buy, "", refusal);
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
    fn taker() -> Self {
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

/// What cannot be counted is not filled: a quantity below the smallest amount of
/// money, or a position beyond the integers.
pub(super) fn check_size(taken: &Taken, held: Qty) -> Result<(), RejectReason> {
    if !taken.qty.is_zero() && taken.amount <= Money::ZERO {
        return Err(RejectReason::BelowMinimumCost);
    }
    let grown = held.magnitude().checked_add(taken.qty);
    if grown.is_none() { Err(RejectReason::InvalidNumber) } else { Ok(()) }
}

/// What a market order, immediate by nature, may say.
fn supported(request: &OrderRequest) -> Result<(), &'static str> {
    if request.post_only {
        return Err("a market order cannot be post-only");
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
