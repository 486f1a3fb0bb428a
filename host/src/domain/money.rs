//! Money and rates.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Neg, Sub};

use serde::{Deserialize, Serialize};

use super::decimal::{self, DecimalError, Rounding};

/// An amount of a quote asset in units of 10^-8, signed.
///
/// Sums of `i128` cannot overflow here: the largest notional that
/// [`Instrument::notional`](super::Instrument::notional) gives is below 2^126,
/// and it is refused above [`Money::LIMIT`], so that 10^18 of them fit.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Money(pub i128);

/// A fee, slippage or leverage as a ratio in units of 10^-9.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Rate(pub i64);

impl Money {
    /// Decimals of the unit.
    pub const DECIMALS: u8 = 8;
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount that any single operation may produce, and the most that a
    /// position counts for: ten trillion (10^13) whole units.
    pub const LIMIT: Self = Self(10_i128.pow(21));

    /// Reads a decimal such as `100` or `99.50`.
    ///
    /// # Errors
    /// Text that is no number or has more than eight decimals.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        decimal::parse(text, Self::DECIMALS).map(Self)
    }

    /// This amount times a rate, rounded as named.
    #[must_use]
    pub fn times(self, rate: Rate, rounding: Rounding) -> Self {
        Self(decimal::div_rounded(self.0 * i128::from(rate.0), Rate::ONE.0.into(), rounding))
    }

    /// The nearest double, for statistics and display.
    #[must_use]
    #[allow(clippy::float_arithmetic, reason = "display and statistics only")]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 1e8
    }

    /// True above zero.
    #[must_use]
    pub fn is_positive(self) -> bool {
        self.0 > 0
    }
}

impl Rate {
    /// Decimals of the unit.
    pub const DECIMALS: u8 = 9;
    /// One: a hundred percent.
    pub const ONE: Self = Self(1_000_000_000);

    /// Reads a decimal such as `0.001`.
    ///
    /// # Errors
    /// Text that is no number, has more than nine decimals or does not fit.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        decimal::parse_i64(text, Self::DECIMALS).map(Self)
    }
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Neg for Money {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal::format(self.0, Self::DECIMALS))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal::format_short(self.0.into(), Self::DECIMALS))
    }
}
