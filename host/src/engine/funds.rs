//! What an order may be: its size, and the cash, leverage and limits for it.

use crate::domain::decimal;
use crate::domain::{
    Action, Instrument, Money, Price, Qty, Rate, RejectReason, Rounding, Side, SymbolId,
};
use crate::execution::{Taken, Venue, Want};
use crate::risk::{self, ShortBase};
use crate::strategy::{OrderRequest, Size};

use super::lane::Lane;

impl Lane {
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
            let order = self.account.cost_in_currency(symbol, taken.amount);
            let held = self.account.qty(symbol).magnitude();
            let instrument = self.instruments.at(symbol);
            let all = Qty(held.0.saturating_add(taken.qty.0));
            let value = instrument.value_at(mark2, held);
            let Some(value) = value.filter(|_| instrument.value_at(mark2, all).is_some()) else {
                let words = "the position would be worth more than can be counted";
                return Err((RejectReason::InvalidNumber, words.into()));
            };
            let position = self.account.cost_in_currency(symbol, value + taken.amount);
            let exposure = self.exposure_with(order);
            risk::check_notional(&self.risk, order, position, exposure)
                .map_err(|reason| (reason, "larger than an order or positions may be".into()))?;
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
                let added = self.account.cost_in_currency(symbol, owed);
                let (Some(shorts), Some(added), Some(base)) = (shorts, added, self.short_base())
                else {
                    return Err(unknown);
                };
                risk::check_margin(&self.risk, self.account.equity(), Some(shorts + added))
                    .map_err(|r| (r, "less equity than the maintenance margin".into()))?;
                let leverage = self.execution.max_short_leverage;
                risk::check_leverage(shorts, added, base, leverage)
                    .map_err(|r| (r, format!("shorts {shorts} + {added} over {leverage} x {base}")))
            }
            Action::Sell | Action::Cover => Ok(()),
        }
    }

    /// The quantity that a request means, in whole increments.
    pub(super) fn quantity(
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
            Size::All => Want::Debt(self.short_room(symbol)),
        })
    }

    /// What all positions are worth with an order that opens, where that is limited.
    fn exposure_with(&self, order: Option<Money>) -> Option<Money> {
        self.risk.max_exposure?;
        Some(self.account.exposure()? + order?)
    }

    /// What the leverage of shorts is a multiple of.
    pub(super) fn short_base(&self) -> Option<Money> {
        match self.execution.short_base {
            ShortBase::Starting => self.account.start_equity(),
            ShortBase::Equity => self.account.equity(),
        }
    }

    /// How much more may be sold short, in the symbol's quote asset.
    fn short_room(&self, symbol: SymbolId) -> Money {
        // Only in the account currency: elsewhere a limit has no exact inverse.
        if !self.account.is_in_currency(symbol) {
            return Money::ZERO;
        }
        let room = self.short_base().zip(self.account.short_notional()).map(|(base, shorts)| {
            base.times(self.execution.max_short_leverage, Rounding::Floor) - shorts
        });
        room.filter(|r| r.is_positive()).unwrap_or_default()
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
    pub(super) fn cost_at(&self, instrument: &Instrument, limit: Price, qty: Qty) -> Option<Money> {
        let cost = instrument.notional(limit, qty, Rounding::Ceil)?;
        Some(cost + cost.times(self.fee_max(), Rounding::Ceil))
    }

    /// The most that a fill can pay: whether an order takes or waits is not known
    /// before.
    pub(super) fn fee_max(&self) -> Rate {
        self.execution.fee.max(self.execution.maker)
    }
}
