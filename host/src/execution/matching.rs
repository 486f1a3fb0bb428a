//! How much of a market order fills, and for what amount.

use super::{Depleted, ExecutionConfig, Model};
use crate::domain::decimal;
use crate::domain::{Instrument, Money, Price, Qty, Rate, RejectReason, Rounding, Side, Ts};
use crate::market::{Book, Top};

/// The market that an order meets.
#[derive(Clone, Copy, Debug)]
pub struct Venue<'a> {
    /// what is traded
    pub instrument: &'a Instrument,
    /// prices at that moment
    pub top: Top,
    /// the book at that moment
    pub book: &'a Book,
    /// a last trade before this time is no price any more
    pub oldest: Ts,
    /// what the lane has taken of that book
    pub depleted: &'a Depleted,
    /// the price of the event that caused the order, 0 when it had none
    pub cause: i64,
    /// how it fills and what it costs
    pub config: ExecutionConfig,
}

/// How much is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// so much of the base asset
    Base(Qty),
    /// as much as this buys or fetches at the best price, costs apart
    Quote(Money),
    /// as much as this pays for, fee included
    Budget(Money),
    /// as much as owes no more than this, at what it fetches and at its mark
    Debt(Money),
}

/// What an order takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// filled quantity
    pub qty: Qty,
    /// quote paid or received, rounded against the trader
    pub amount: Money,
    /// fee in the quote asset
    pub fee: Money,
    /// the best price of it
    pub best: Price,
}

impl Venue<'_> {
    /// True when orders walk the book here.
    #[must_use]
    pub fn walks_book(&self) -> bool {
        self.config.model == Model::Book && self.top.has_book
    }

    /// The price that an order of this side would meet first.
    ///
    /// # Errors
    /// [`RejectReason::NoLiquidity`] on an empty side of a book, or one of which
    /// the lane has taken everything,
    /// [`RejectReason::NoMarketData`] before any price is known,
    /// [`RejectReason::StaleData`] where the last trade is all and too old.
    pub fn reference(&self, side: Side) -> Result<Price, RejectReason> {
        if self.walks_book() {
            let best = self.depleted.left(self.book, side).next();
            return best.map(|level| Price(level.0)).ok_or(RejectReason::NoLiquidity);
        }
        let best = match side {
            Side::Buy => self.top.ask,
            Side::Sell => self.top.bid,
        };
        let old = self.top.last_ts < self.oldest;
        let price = match self.config.model {
            Model::Instant if self.cause > 0 && !old => self.cause,
            Model::Instant if best > 0 => best,
            _ if self.top.last > 0 && old => return Err(RejectReason::StaleData),
            _ => self.top.last,
        };
        if price > 0 { Ok(Price(price)) } else { Err(RejectReason::NoMarketData) }
    }

    /// Turns what is wanted into a quantity in whole increments, rounded down.
    ///
    /// # Errors
    /// As [`Venue::reference`]; [`RejectReason::InvalidNumber`] when it does not
    /// fit.
    pub fn quantity(&self, side: Side, want: Want) -> Result<Qty, RejectReason> {
        let invalid = RejectReason::InvalidNumber;
        match want {
            Want::Base(qty) => Ok(self.instrument.round_qty(qty)),
            Want::Quote(money) => {
                self.instrument.affordable(money, self.reference(side)?).ok_or(invalid)
            }
            Want::Budget(money) => self.within_budget(side, money),
            Want::Debt(money) => {
                self.instrument.owing(money, self.reference(side)?, self.top.mark2()).ok_or(invalid)
            }
        }
    }

    /// The largest quantity whose cost and fee stay within `money`.
    fn within_budget(&self, side: Side, money: Money) -> Result<Qty, RejectReason> {
        let invalid = RejectReason::InvalidNumber;
        let slippage =
            if self.walks_book() { self.config.book_slippage } else { self.config.slippage };
        let before_fee = without(without(money, self.config.fee), slippage);
        let qty = if self.walks_book() {
            let mut left = before_fee;
            let mut total: i64 = 0;
            for (price, depth) in self.depleted.left(self.book, side) {
                // Levels need not end on an increment; only their sum is rounded.
                let most = self.instrument.affordable_units(left, Price(price));
                let take = most.ok_or(invalid)?.0.min(depth);
                total = total.checked_add(take).ok_or(invalid)?;
                let cost = self.instrument.notional(Price(price), Qty(take), Rounding::Ceil);
                left = left - cost.ok_or(invalid)?;
                if take < depth {
                    break;
                }
            }
            self.instrument.round_qty(Qty(total))
        } else {
            self.instrument.affordable(before_fee, self.reference(side)?).ok_or(invalid)?
        };
        // It fits: what is rounded up to a whole unit was below a sum of whole units. But
        // rounding the estimate down can have left an increment.
        let more = Qty(qty.0.saturating_add(self.instrument.qty_increment.0));
        let fits = |taken: Taken| taken.qty == more && taken.amount + taken.fee <= money;
        Ok(if self.take(side, more).is_ok_and(fits) { more } else { qty })
    }

    /// What an order of `qty` takes: all of it, or what the book has.
    ///
    /// # Errors
    /// As [`Venue::reference`]; [`RejectReason::InvalidNumber`] when the amount
    /// does not fit.
    pub fn take(&self, side: Side, qty: Qty) -> Result<Taken, RejectReason> {
        self.take_within(side, qty, None)
    }

    /// The same with a limit: only what is at the limit or better. Where there is
    /// no book, all of it when the price with slippage is, else nothing.
    ///
    /// # Errors
    /// As [`Venue::take`].
    pub fn take_within(
        &self,
        side: Side,
        qty: Qty,
        limit: Option<Price>,
    ) -> Result<Taken, RejectReason> {
        let best = self.reference(side)?;
        let invalid = RejectReason::InvalidNumber;
        let (filled, product, slippage) = if self.walks_book() {
            let (filled, product) = self.walk(side, qty, limit);
            // A limit is kept, so there is no extra beyond it.
            let extra = if limit.is_none() { self.config.book_slippage } else { Rate(0) };
            (filled, product, extra)
        } else {
            (qty, i128::from(best.0) * i128::from(qty.0), self.config.slippage)
        };
        // Against the trader: a buyer pays the ceiling, a seller gets the floor.
        let (rounding, ratio) = match side {
            Side::Buy => (Rounding::Ceil, Rate(Rate::ONE.0.saturating_add(slippage.0))),
            Side::Sell => (Rounding::Floor, Rate(Rate::ONE.0.saturating_sub(slippage.0))),
        };
        let amount = self.instrument.amount(product, ratio, rounding).ok_or(invalid)?;
        if let (Some(limit), false) = (limit, self.walks_book()) {
            let at_limit = self.instrument.notional(limit, qty, rounding).ok_or(invalid)?;
            let worse = if side == Side::Buy { amount > at_limit } else { amount < at_limit };
            if worse {
                return Ok(Taken { qty: Qty::ZERO, amount: Money::ZERO, fee: Money::ZERO, best });
            }
        }
        let fee = amount.times(self.config.fee, Rounding::Ceil);
        Ok(Taken { qty: filled, amount, fee, best })
    }

    /// Walks the book as far as the limit: the quantity filled and the sum of price × quantity.
    fn walk(&self, side: Side, qty: Qty, limit: Option<Price>) -> (Qty, i128) {
        let (mut left, mut product) = (qty.0, 0_i128);
        for (price, depth) in self.depleted.left(self.book, side) {
            let worse = limit.is_some_and(|limit| match side {
                Side::Buy => price > limit.0,
                Side::Sell => price < limit.0,
            });
            if worse {
                break;
            }
            let take = left.min(depth);
            product += i128::from(price) * i128::from(take);
            left -= take;
            if left == 0 {
                break;
            }
        }
        (Qty(qty.0 - left), product)
    }
}

/// The part of `money` that is left when `rate` on top of it is paid from it,
/// rounded down.
fn without(money: Money, rate: Rate) -> Money {
    let one = i128::from(Rate::ONE.0);
    Money(decimal::div_rounded(money.0 * one, one + i128::from(rate.0), Rounding::Floor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        let mut book = Book::default();
        for (price, qty) in [(10_000, 100), (10_010, 200), (10_050, 1_000)] {
            book.set(Side::Sell, price, qty);
        }
        for (price, qty) in [(9_990, 100), (9_980, 300)] {
            book.set(Side::Buy, price, qty);
        }
        book
    }

    const WHOLE: &Depleted = &Depleted::new();

    fn venue<'a>(book: &'a Book, instrument: &'a Instrument, has_book: bool) -> Venue<'a> {
        let depleted = WHOLE;
        let top = Top { bid: 9_990, ask: 10_000, last: 10_000, has_book, ..Top::default() };
        Venue {
            instrument,
            top,
            book,
            oldest: Ts(0),
            depleted,
            cause: 0,
            config: ExecutionConfig::default(),
        }
    }

    #[test]
    fn a_market_order_walks_the_book_level_by_level() {
        let (book, instrument) = (book(), Instrument::plain("X/USD", 2, 2));
        let venue = venue(&book, &instrument, true);
        let taken = venue.take(Side::Buy, Qty(250)).unwrap();
        // 1.00 at 100.00 and 1.50 at 100.10 are 250.15; 0.1 % of it is 0.25015.
        assert_eq!(taken.amount, Money::parse("250.15").unwrap());
        assert_eq!(taken.fee, Money::parse("0.25015").unwrap());
        assert_eq!((taken.qty, taken.best), (Qty(250), Price(10_000)));
        let taken = venue.take(Side::Sell, Qty(1_000)).unwrap();
        assert_eq!(taken.qty, Qty(400), "only what the book has");
        assert_eq!(taken.amount, Money::parse("399.30").unwrap());
    }

    #[test]
    fn a_limit_is_taken_up_to_itself_and_no_further() {
        let (book, instrument) = (book(), Instrument::plain("X/USD", 2, 2));
        let venue = venue(&book, &instrument, true);
        let cases = [
            (Side::Buy, 9_999, 0),
            (Side::Buy, 10_000, 100),
            (Side::Buy, 10_009, 100),
            (Side::Buy, 10_010, 300),
            (Side::Buy, 10_050, 900),
            (Side::Sell, 9_991, 0),
            (Side::Sell, 9_990, 100),
            (Side::Sell, 9_981, 100),
            (Side::Sell, 9_980, 400),
        ];
        for (side, limit, qty) in cases {
            let taken = venue.take_within(side, Qty(900), Some(Price(limit)));
            let taken = taken.map_or(0, |taken| taken.qty.0);
            assert_eq!(taken, qty, "{side:?} {limit}");
        }
    }

    #[test]
    fn without_a_book_the_price_slips_against_the_trader() {
        let (book, instrument) = (Book::default(), Instrument::plain("X/USD", 2, 2));
        let venue = venue(&book, &instrument, false);
        let bought = venue.take(Side::Buy, Qty(100)).unwrap();
        assert_eq!(bought.amount, Money::parse("100.05").unwrap());
        assert_eq!(bought.fee, Money::parse("0.10005").unwrap());
        let sold = venue.take(Side::Sell, Qty(100)).unwrap();
        assert_eq!(sold.amount, Money::parse("99.95").unwrap());
    }

    #[test]
    fn without_a_book_a_limit_is_kept_with_the_slippage_or_nothing_is_taken() {
        let (book, instrument) = (Book::default(), Instrument::plain("X/USD", 2, 2));
        let venue = venue(&book, &instrument, false);
        // The last trade is at 100.00, and it slips by a twentieth of a percent.
        let cases = [
            (Side::Buy, 10_004, 0),
            (Side::Buy, 10_005, 100),
            (Side::Buy, 10_006, 100),
            (Side::Sell, 9_996, 0),
            (Side::Sell, 9_995, 100),
            (Side::Sell, 9_994, 100),
        ];
        for (side, limit, qty) in cases {
            let taken = venue.take_within(side, Qty(100), Some(Price(limit))).unwrap();
            assert_eq!(taken.qty, Qty(qty), "{side:?} {limit}");
        }
    }

    /// Without a book: the trade of the moment, else the quote, else the last trade.
    #[test]
    fn the_instant_model_meets_the_first_price_that_there_is() {
        let (book, instrument) = (Book::default(), Instrument::plain("X/USD", 2, 2));
        let mut venue = venue(&book, &instrument, false);
        venue.config.model = Model::Instant;
        venue.cause = 10_003;
        assert_eq!(venue.reference(Side::Buy), Ok(Price(10_003)), "what was just traded");
        venue.cause = 0;
        assert_eq!(venue.reference(Side::Buy), Ok(Price(10_000)), "the ask");
        assert_eq!(venue.reference(Side::Sell), Ok(Price(9_990)), "the bid");
        venue.top = Top { bid: 0, ask: 0, last: 10_007, ..venue.top };
        assert_eq!(venue.reference(Side::Buy), Ok(Price(10_007)), "the last trade");
        venue.oldest = Ts(1);
        assert_eq!(venue.reference(Side::Buy), Err(RejectReason::StaleData), "of long ago");
        venue.cause = 10_003;
        assert_eq!(venue.reference(Side::Buy), Err(RejectReason::StaleData), "its cause too");
        venue.top.last = 0;
        assert_eq!(venue.reference(Side::Buy), Err(RejectReason::NoMarketData));
    }

    /// The estimate takes fee and slippage off the budget: a large one would be missed by
    /// thousands of units otherwise.
    #[test]
    fn a_large_budget_is_used_to_the_last_unit() {
        let (book, instrument) = (Book::default(), Instrument::plain("X/USD", 2, 2));
        let venue = venue(&book, &instrument, false);
        for units in [1_000_000, 7_654_321, 1_000_000_000] {
            let budget = Money(units * 100_000_000);
            let qty = venue.quantity(Side::Buy, Want::Budget(budget)).unwrap();
            let cost =
                |qty| venue.take(Side::Buy, qty).map(|taken| taken.amount + taken.fee).unwrap();
            assert!(cost(qty) <= budget && cost(Qty(qty.0 + 1)) > budget, "{units}: {qty:?}");
        }
    }

    #[test]
    fn a_budget_is_never_exceeded_and_used_to_the_last_unit() {
        // A unit costs ten thousand, a hundred and one of the smallest amounts.
        for (price_decimals, qty_decimals) in [(2, 2), (4, 2), (5, 3)] {
            let instrument = Instrument::plain("X/USD", price_decimals, qty_decimals);
            for (has_book, fee) in [(true, 1_000_000), (true, 3), (false, 2_600_001), (false, 0)] {
                let book = book();
                let mut venue = venue(&book, &instrument, has_book);
                venue.config.fee = Rate(fee);
                let unit = venue.take(Side::Buy, Qty(1)).unwrap().amount;
                for share in (1..100).chain((100..130_000).step_by(331)) {
                    let budget = Money(unit.0 * share / 99);
                    let cost = |qty| venue.take(Side::Buy, qty).map(|t| t.amount + t.fee).unwrap();
                    let qty = venue.quantity(Side::Buy, Want::Budget(budget)).unwrap();
                    assert!(qty.0 == 0 || cost(qty) <= budget, "{budget}: {qty:?} is too much");
                    let all = has_book && qty == Qty(1_300);
                    let more = Qty(qty.0 + 1);
                    assert!(all || cost(more) > budget, "{budget}: {qty:?} is too little");
                }
            }
        }
    }
}
