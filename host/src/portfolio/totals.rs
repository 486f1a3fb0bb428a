//! Exact sums over fills and round trips.

use serde::{Deserialize, Serialize};

use crate::domain::Money;

/// What a fill moved, in one asset; `None` where it cannot be told in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booked {
    /// quote paid or received
    pub amount: Option<Money>,
    /// the fee
    pub fee: Option<Money>,
    /// gross profit realized
    pub realized: Option<Money>,
}

/// Exact sums over the symbols of one quote asset, in that asset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetTotals {
    /// its name
    pub asset: String,
    /// the account's balance of it
    pub cash: Money,
    /// gross profit realized
    pub realized: Money,
    /// fees of all fills
    pub fees: Money,
    /// charges on shorts
    pub carry: Money,
    /// nets of closed round trips
    pub net: Money,
    /// quote amount of all fills
    pub turnover: Money,
}

/// Sums over everything that happened, or over one symbol or tag of it. Those of a
/// symbol are in its quote asset; all others are in the account currency, each part
/// converted when it was booked (see [`Account`](super::Account)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
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
    /// charges for opening shorts and keeping them open
    pub carry: Money,
    /// gross profit realized by all reductions, of open round trips too
    pub realized: Money,
    /// parts that no rate was known for: the sums are then without them
    pub unconverted: u64,
    /// quote amount of all fills
    pub turnover: Money,
    /// the best net, when any is closed
    pub best: Option<Money>,
    /// the worst net, when any is closed
    pub worst: Option<Money>,
    /// most net profits in a row
    pub win_streak: u64,
    /// most net losses in a row
    pub loss_streak: u64,
    /// the present row: profits positive, losses negative
    pub streak: i64,
}

impl Totals {
    /// Counts a fill and what it realized.
    pub fn on_fill(&mut self, booked: &Booked) {
        self.fill_count += 1;
        let Booked { amount: Some(amount), fee: Some(fee), realized: Some(realized) } = *booked
        else {
            self.unconverted += 1;
            return;
        };
        self.fees = self.fees + fee;
        self.realized = self.realized + realized;
        self.turnover = self.turnover + amount;
    }

    /// Counts a charge.
    pub fn on_carry(&mut self, amount: Option<Money>) {
        match amount {
            Some(amount) => self.carry = self.carry + amount,
            None => self.unconverted += 1,
        }
    }

    /// A sum of these, unless parts of it are unknown.
    #[must_use]
    pub fn known(&self, sum: Money) -> Option<Money> {
        (self.unconverted == 0).then_some(sum)
    }

    /// Realized profit less all fees and charges, unless parts of it are unknown.
    #[must_use]
    pub fn realized_pnl(&self) -> Option<Money> {
        self.known(self.realized - self.fees - self.carry)
    }

    /// Counts the net of a closed round trip: whether it won is known in any asset.
    pub fn on_net(&mut self, own: Money, net: Option<Money>) {
        self.closed += 1;
        self.unconverted += u64::from(net.is_none());
        let net = net.unwrap_or_default();
        self.net = self.net + net;
        if own > Money::ZERO {
            self.wins += 1;
            self.gross_profit = self.gross_profit + net;
            self.streak = self.streak.max(0) + 1;
            self.win_streak = self.win_streak.max(self.streak.unsigned_abs());
        } else if own < Money::ZERO {
            self.losses += 1;
            self.gross_loss = self.gross_loss - net;
            self.streak = self.streak.min(0) - 1;
            self.loss_streak = self.loss_streak.max(self.streak.unsigned_abs());
        } else {
            self.streak = 0;
        }
        self.best = Some(self.best.map_or(net, |best| best.max(net)));
        self.worst = Some(self.worst.map_or(net, |worst| worst.min(net)));
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
        let known = self.unconverted == 0 && self.gross_loss.is_positive();
        known.then(|| self.gross_profit.to_f64() / self.gross_loss.to_f64())
    }

    /// Mean net profit over mean net loss; unknown without either.
    #[must_use]
    #[allow(clippy::float_arithmetic, reason = "a statistic")]
    pub fn payoff(&self) -> Option<f64> {
        let known = self.unconverted == 0;
        let mean =
            |sum: Money, count: u64| (known && count > 0).then(|| sum.to_f64() / count as f64);
        Some(mean(self.gross_profit, self.wins)? / mean(self.gross_loss, self.losses)?)
    }
}
