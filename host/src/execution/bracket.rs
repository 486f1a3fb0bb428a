//! Stop-loss and take-profit of positions.
//!
//! 1. A position has at most one bracket. The last order that names a level
//!    sets that level for the whole position; flat clears it.
//! 2. The exit price is the best bid for a long and the best ask for a short
//!    where there is a book, the last trade elsewhere.
//! 3. The stop acts when the exit price is at it or worse, the target when the
//!    exit price is at it or better; when both, the stop.
//! 4. It acts at the first moment after the fill that set it, closes the whole
//!    position at the market, and keeps acting until the position is flat. It
//!    fills at what the market gives, not at its own level.
//! 5. A position that is to be closed for another reason (the operator, a halt)
//!    acts at any price, until it is flat.

use serde::{Deserialize, Serialize};

use crate::domain::{Cause, Price, Qty, Side, SymbolId, Ts};
use crate::input::TradingStatus;
use crate::market::Top;

/// The levels of one position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bracket {
    /// closes at a loss
    pub stop: Option<Price>,
    /// closes at a gain
    pub target: Option<Price>,
    /// closes at any price, for this cause
    pub close: Option<Cause>,
}

impl Bracket {
    /// True without any level.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stop.is_none() && self.target.is_none() && self.close.is_none()
    }

    /// What acts on a position of `qty` at these prices. Without a book a last
    /// trade before `oldest` is no price.
    #[must_use]
    pub fn acts(&self, qty: Qty, top: &Top, oldest: Ts) -> Option<Cause> {
        if top.status != TradingStatus::Trading && top.status != TradingStatus::ReduceOnly {
            return None;
        }
        let long = qty.0 > 0;
        let exit = top.meets(if long { Side::Sell } else { Side::Buy }, oldest);
        if exit <= 0 || qty.is_zero() {
            return None;
        }
        if self.close.is_some() {
            return self.close;
        }
        let reached = |level: Option<Price>, falling: bool| {
            level.is_some_and(|l| if falling { exit <= l.0 } else { exit >= l.0 })
        };
        if reached(self.stop, long) {
            Some(Cause::StopLoss)
        } else if reached(self.target, !long) {
            Some(Cause::TakeProfit)
        } else {
            None
        }
    }
}

/// The brackets of a lane, by symbol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brackets {
    by_symbol: Vec<Bracket>,
    armed: usize,
}

impl Brackets {
    /// None armed.
    #[must_use]
    pub fn new(symbols: usize) -> Self {
        Self { by_symbol: vec![Bracket::default(); symbols], armed: 0 }
    }

    /// True when nothing can act.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.armed == 0
    }

    /// A symbol's bracket.
    #[must_use]
    pub fn get(&self, symbol: SymbolId) -> Bracket {
        self.by_symbol[symbol.index()]
    }

    /// Sets the levels that are named and keeps the others.
    pub fn set(&mut self, symbol: SymbolId, stop: Option<Price>, target: Option<Price>) {
        let old = self.get(symbol);
        let (stop, target) = (stop.or(old.stop), target.or(old.target));
        self.replace(symbol, Bracket { stop, target, ..old });
    }

    /// Closes the position at any price from now on, until it is flat.
    pub fn close(&mut self, symbol: SymbolId, cause: Cause) {
        self.replace(symbol, Bracket { close: Some(cause), ..self.get(symbol) });
    }

    /// Takes a symbol's bracket away.
    pub fn clear(&mut self, symbol: SymbolId) {
        self.replace(symbol, Bracket::default());
    }

    fn replace(&mut self, symbol: SymbolId, bracket: Bracket) {
        let slot = &mut self.by_symbol[symbol.index()];
        self.armed -= usize::from(!slot.is_empty());
        self.armed += usize::from(!bracket.is_empty());
        *slot = bracket;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_and_target_act_on_the_side_that_closes() {
        let bracket = Bracket { stop: Some(Price(90)), target: Some(Price(110)), close: None };
        let top = |bid, ask| Top { bid, ask, last: 100, has_book: true, ..Top::default() };
        let cases = [
            ("long, bid above the stop", 1, top(91, 92), None),
            ("long, bid at the stop", 1, top(90, 95), Some(Cause::StopLoss)),
            ("long, only the ask reached the target", 1, top(109, 110), None),
            ("long, bid at the target", 1, top(110, 111), Some(Cause::TakeProfit)),
            ("long, empty bids", 1, top(0, 80), None),
        ];
        for (name, qty, top, expected) in cases {
            assert_eq!(bracket.acts(Qty(qty), &top, Ts(0)), expected, "{name}");
        }
        let short = Bracket { stop: Some(Price(110)), target: Some(Price(90)), close: None };
        assert_eq!(short.acts(Qty(-1), &top(108, 110), Ts(0)), Some(Cause::StopLoss));
        assert_eq!(short.acts(Qty(-1), &top(89, 90), Ts(0)), Some(Cause::TakeProfit));
        assert_eq!(short.acts(Qty(-1), &top(89, 91), Ts(0)), None);
        assert_eq!(short.acts(Qty(0), &top(200, 210), Ts(0)), None);
        let stale = Top { status: TradingStatus::Stale, ..top(200, 210) };
        assert_eq!(short.acts(Qty(-1), &stale, Ts(0)), None, "nothing fills on stale data");
    }
}
