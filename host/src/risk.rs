//! Pre-trade checks: pure predicates that give a reason.
//!
//! An order passes them in this order, and the first that fails is the reason
//! told: the rate of orders, the market's state, the netting rule, the minimums,
//! the bracket, then cash or leverage for what it would really cost.
//!
//! [`watch`] holds the limits that act by themselves, as prices move, and [`total`]
//! those over all strategies.

pub mod total;
pub mod watch;

pub use total::{OnTotal, Sum, TotalLimits, TotalWatch};
pub use watch::{Breach, Watch};

use crate::domain::{Action, Instrument, Money, Price, Qty, Rate, RejectReason, Rounding};
use crate::input::TradingStatus;

/// What becomes of open positions when a lane is halted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnHalt {
    /// they stay, with their stop-loss and take-profit
    #[default]
    Hold,
    /// they are closed at the market, as soon as it takes them
    Flatten,
}

/// The limits of each strategy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RiskConfig {
    /// what becomes of positions when a lane is halted
    pub on_halt: OnHalt,
    /// the most that one order that opens may be worth, in the account currency
    pub max_order: Option<Money>,
    /// the most that a position may be worth after an order that opens
    pub max_position: Option<Money>,
    /// the most that all positions together may be worth after an order that opens
    pub max_exposure: Option<Money>,
    /// the most orders in any sixty seconds
    pub max_orders_per_minute: Option<u32>,
    /// the most that the equity may fall within a UTC day
    pub max_daily_loss: Option<Money>,
    /// the most that the equity may fall from its peak, as a ratio of the peak
    pub max_drawdown: Option<Rate>,
    /// the least equity that carries shorts, as a ratio of what they are worth
    pub maintenance_margin: Option<Rate>,
    /// fee on what a liquidation trades, on top of the taker's
    pub liquidation_fee: Rate,
}

impl RiskConfig {
    /// True when prices alone can make a limit act.
    #[must_use]
    pub fn watches(&self) -> bool {
        self.max_daily_loss.is_some()
            || self.max_drawdown.is_some()
            || self.maintenance_margin.is_some()
    }
}

/// What the leverage of shorts is a multiple of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShortBase {
    /// the equity at the start
    #[default]
    Starting,
    /// the equity now: losses shrink the room, profits widen it
    Equity,
}

/// Order, position and all positions together stay within their limits. The amounts
/// are in the account currency; one that is not known passes no limit.
///
/// # Errors
/// [`RejectReason::RiskLimit`].
pub fn check_notional(
    limits: &RiskConfig,
    order: Option<Money>,
    position: Option<Money>,
    exposure: Option<Money>,
) -> Result<(), RejectReason> {
    let within = |limit: Option<Money>, amount: Option<Money>| {
        limit.is_none_or(|limit| amount.is_some_and(|amount| amount <= limit))
    };
    if within(limits.max_order, order)
        && within(limits.max_position, position)
        && within(limits.max_exposure, exposure)
    {
        Ok(())
    } else {
        Err(RejectReason::RiskLimit)
    }
}

/// Whether the venue takes a market order now.
///
/// # Errors
/// Stale data, or a venue that does not match.
pub fn check_status(status: TradingStatus, action: Action) -> Result<(), RejectReason> {
    match status {
        TradingStatus::Trading => Ok(()),
        TradingStatus::Stale => Err(RejectReason::StaleData),
        TradingStatus::ReduceOnly if !action.opens() => Ok(()),
        TradingStatus::Paused
        | TradingStatus::CancelOnly
        | TradingStatus::PostOnly
        | TradingStatus::LimitOnly
        | TradingStatus::ReduceOnly => Err(RejectReason::MarketPaused),
    }
}

/// The netting rule, before the size is known: `buy` needs no short, `short` no
/// long, `sell` a long and `cover` a short.
///
/// # Errors
/// The reason that names what is missing or in the way.
pub fn check_direction(
    action: Action,
    held: Qty,
    instrument: &Instrument,
) -> Result<(), RejectReason> {
    match action {
        Action::Buy if held.0 < 0 => Err(RejectReason::OppositePosition),
        Action::Short if !instrument.short_allowed => Err(RejectReason::ShortNotAllowed),
        Action::Short if held.0 > 0 => Err(RejectReason::OppositePosition),
        Action::Sell if held.0 <= 0 => Err(RejectReason::InsufficientPosition),
        Action::Cover if held.0 >= 0 => Err(RejectReason::NoShortPosition),
        Action::Buy | Action::Sell | Action::Short | Action::Cover => Ok(()),
    }
}

/// Whether a reduction stays within the position.
///
/// # Errors
/// The reason of the action.
pub fn check_held(action: Action, qty: Qty, held: Qty) -> Result<(), RejectReason> {
    match action {
        Action::Sell if qty.0 > held.0 => Err(RejectReason::InsufficientPosition),
        Action::Cover if qty.0 > held.0.saturating_neg() => Err(RejectReason::NoShortPosition),
        Action::Buy | Action::Sell | Action::Short | Action::Cover => Ok(()),
    }
}

/// The instrument's minimums at the price that the order meets. An order that
/// closes the whole position is exempt: what is left over from partial fills
/// must never be stuck.
///
/// # Errors
/// The minimum that is not reached.
pub fn check_minimums(
    instrument: &Instrument,
    qty: Qty,
    price: Price,
    closes_all: bool,
) -> Result<(), RejectReason> {
    if qty.0 <= 0 {
        return Err(RejectReason::BelowMinimumQuantity);
    }
    if closes_all {
        return Ok(());
    }
    if qty < instrument.qty_min {
        return Err(RejectReason::BelowMinimumQuantity);
    }
    let cost = instrument.notional(price, qty, Rounding::Floor);
    match cost {
        None => Err(RejectReason::InvalidNumber),
        Some(cost) if cost < instrument.cost_min => Err(RejectReason::BelowMinimumCost),
        Some(_) => Ok(()),
    }
}

/// A stop-loss belongs below a long's entry and above a short's, a take-profit
/// on the other side; neither on an order that closes.
///
/// # Errors
/// [`RejectReason::WrongSide`].
pub fn check_bracket(
    action: Action,
    entry: Price,
    stop: Option<Price>,
    target: Option<Price>,
) -> Result<(), RejectReason> {
    if stop.is_none() && target.is_none() {
        return Ok(());
    }
    let right = match action {
        Action::Buy => stop.is_none_or(|s| s < entry) && target.is_none_or(|t| t > entry),
        Action::Short => stop.is_none_or(|s| s > entry) && target.is_none_or(|t| t < entry),
        Action::Sell | Action::Cover => false,
    };
    if right { Ok(()) } else { Err(RejectReason::WrongSide) }
}

/// A long is paid from cash.
///
/// # Errors
/// [`RejectReason::InsufficientCash`].
pub fn check_cash(cost: Money, spendable: Money) -> Result<(), RejectReason> {
    if cost <= spendable { Ok(()) } else { Err(RejectReason::InsufficientCash) }
}

/// All shorts together stay within a multiple of the base equity.
///
/// # Errors
/// [`RejectReason::LeverageExceeded`].
pub fn check_leverage(
    shorts: Money,
    added: Money,
    base: Money,
    leverage: Rate,
) -> Result<(), RejectReason> {
    let limit = base.times(leverage, Rounding::Floor);
    if shorts + added <= limit { Ok(()) } else { Err(RejectReason::LeverageExceeded) }
}

/// The equity carries the shorts: it is at least the maintenance margin's part of
/// what they are worth.
///
/// # Errors
/// [`RejectReason::RiskLimit`].
pub fn check_margin(
    limits: &RiskConfig,
    equity: Option<Money>,
    shorts: Option<Money>,
) -> Result<(), RejectReason> {
    let Some(rate) = limits.maintenance_margin else { return Ok(()) };
    match (equity, shorts) {
        (Some(equity), Some(shorts)) if equity >= shorts.times(rate, Rounding::Ceil) => Ok(()),
        _ => Err(RejectReason::RiskLimit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_market_order_is_taken_while_trading_or_to_reduce() {
        for number in 0..8 {
            let Some(status) = TradingStatus::from_u8(number) else { continue };
            for action in [Action::Buy, Action::Sell, Action::Short, Action::Cover] {
                let reduces = matches!(action, Action::Sell | Action::Cover);
                let expected = match status {
                    TradingStatus::Trading => Ok(()),
                    TradingStatus::ReduceOnly if reduces => Ok(()),
                    TradingStatus::Stale => Err(RejectReason::StaleData),
                    _ => Err(RejectReason::MarketPaused),
                };
                assert_eq!(check_status(status, action), expected, "{status:?} {action:?}");
            }
        }
    }
}
