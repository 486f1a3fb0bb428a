//! Statistics over all closed round trips, exact and running: the history kept
//! in memory is bounded, the sums are not.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::domain::{Cause, Fill, Money, Qty, SymbolId, Ts};

use super::Position;

/// A closed round trip: from flat to flat in one symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundTrip {
    /// number within the lane, from 1
    pub id: u64,
    /// in what
    pub symbol: SymbolId,
    /// true for a short
    pub short: bool,
    /// the largest size
    pub qty_max: Qty,
    /// when it began
    pub opened: Ts,
    /// when it ended
    pub closed: Ts,
    /// profit before fees
    pub gross: Money,
    /// fees of entry and exit
    pub fees: Money,
    /// what ended it
    pub exit: Cause,
    /// quote amount of its opening fills
    pub opened_amount: Money,
}

impl RoundTrip {
    /// Profit after all fees: exactly the change of cash that it made.
    #[must_use]
    pub fn net(&self) -> Money {
        self.gross - self.fees
    }

    /// The round trip that `position` was when `fill` closed it.
    #[must_use]
    pub fn of(id: u64, position: &Position, fill: &Fill) -> Self {
        Self {
            id,
            symbol: fill.symbol,
            short: !fill.action.opens() && fill.action.side() == crate::domain::Side::Buy,
            qty_max: position.qty_max,
            opened: position.opened,
            closed: fill.ts,
            gross: position.realized,
            fees: position.fees,
            exit: fill.cause,
            opened_amount: position.opened_amount,
        }
    }
}

/// Running totals and the newest fills and round trips.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    fills_kept: usize,
    trips_kept: usize,
    fills: VecDeque<Fill>,
    trips: VecDeque<RoundTrip>,
    /// number of fills
    pub fill_count: u64,
    /// number of closed round trips
    pub closed: u64,
    /// those with a net profit
    pub wins: u64,
    /// those with a net loss; a net of exactly zero is neither
    pub losses: u64,
    /// sum of the net profits
    pub gross_profit: Money,
    /// sum of the net losses, positive
    pub gross_loss: Money,
    /// sum of the nets
    pub net: Money,
    /// fees of all fills
    pub fees: Money,
    /// gross profit realized by all reductions, of open round trips too
    pub realized: Money,
    /// quote amount of all fills
    pub turnover: Money,
    /// the best net, when any is closed
    pub best: Option<Money>,
    /// the worst net, when any is closed
    pub worst: Option<Money>,
}

impl Statistics {
    /// Empty statistics that keep at most so many fills and round trips.
    #[must_use]
    pub fn new(fills_kept: usize, trips_kept: usize) -> Self {
        Self {
            fills_kept,
            trips_kept,
            fills: VecDeque::new(),
            trips: VecDeque::new(),
            fill_count: 0,
            closed: 0,
            wins: 0,
            losses: 0,
            gross_profit: Money::ZERO,
            gross_loss: Money::ZERO,
            net: Money::ZERO,
            fees: Money::ZERO,
            realized: Money::ZERO,
            turnover: Money::ZERO,
            best: None,
            worst: None,
        }
    }

    /// Counts a fill and what it realized.
    pub fn on_fill(&mut self, fill: &Fill, realized: Money) {
        self.fill_count += 1;
        self.fees = self.fees + fill.fee;
        self.realized = self.realized + realized;
        self.turnover = self.turnover + fill.amount;
        keep(&mut self.fills, self.fills_kept, fill.clone());
    }

    /// Counts a closed round trip.
    pub fn on_round_trip(&mut self, trip: RoundTrip) {
        let net = trip.net();
        self.closed += 1;
        self.net = self.net + net;
        if net > Money::ZERO {
            self.wins += 1;
            self.gross_profit = self.gross_profit + net;
        } else if net < Money::ZERO {
            self.losses += 1;
            self.gross_loss = self.gross_loss - net;
        }
        self.best = Some(self.best.map_or(net, |best| best.max(net)));
        self.worst = Some(self.worst.map_or(net, |worst| worst.min(net)));
        keep(&mut self.trips, self.trips_kept, trip);
    }

    /// The newest `n` fills, oldest of them first.
    pub fn newest_fills(&self, n: usize) -> impl Iterator<Item = &Fill> {
        self.fills.iter().skip(self.fills.len().saturating_sub(n))
    }

    /// The newest `n` round trips, oldest of them first.
    pub fn newest_round_trips(&self, n: usize) -> impl Iterator<Item = &RoundTrip> {
        self.trips.iter().skip(self.trips.len().saturating_sub(n))
    }

    /// Share of winning round trips in percent; unknown without any.
    #[must_use]
    #[allow(clippy::float_arithmetic, reason = "a statistic")]
    pub fn win_rate_pct(&self) -> Option<f64> {
        (self.closed > 0).then(|| 100.0 * self.wins as f64 / self.closed as f64)
    }

    /// Net profits over net losses; unknown without losses.
    #[must_use]
    #[allow(clippy::float_arithmetic, reason = "a statistic")]
    pub fn profit_factor(&self) -> Option<f64> {
        self.gross_loss.is_positive().then(|| self.gross_profit.to_f64() / self.gross_loss.to_f64())
    }
}

/// Appends to a bounded history; the oldest entry makes room.
fn keep<T>(history: &mut VecDeque<T>, limit: usize, item: T) {
    if limit == 0 {
        return;
    }
    if history.len() >= limit {
        history.pop_front();
    }
    history.push_back(item);
}
