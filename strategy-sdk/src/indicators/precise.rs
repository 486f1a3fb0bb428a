//! Sums that do not drift.
//!
//! A rolling sum adds what comes and subtracts what leaves; in plain floats each
//! step leaves an error that never goes away, and a variance made from such sums
//! is worthless for a price that hardly moves. Kept as an unevaluated sum of two
//! floats, the error stays some 1e-32 of the largest term, which is below what
//! computing the window anew would give.

use serde::{Deserialize, Serialize};

/// An unevaluated sum of two floats, about 106 bits: T. J. Dekker, "A
/// floating-point technique for extending the available precision" (1971).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Precise {
    high: f64,
    low: f64,
}

impl Precise {
    pub(crate) fn value(self) -> f64 {
        self.high + self.low
    }

    /// The exact product of two floats.
    pub(crate) fn product(a: f64, b: f64) -> Self {
        let (a_high, a_low) = split(a);
        let (b_high, b_low) = split(b);
        let high = a * b;
        let low = ((a_high * b_high - high) + a_high * b_low + a_low * b_high) + a_low * b_low;
        Self { high, low }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        let (high, error) = two_sum(self.high, other.high);
        normalized(high, error + self.low + other.low)
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        self.plus(Self { high: -other.high, low: -other.low })
    }

    pub(crate) fn times(self, other: Self) -> Self {
        let exact = Self::product(self.high, other.high);
        normalized(exact.high, exact.low + (self.high * other.low + self.low * other.high))
    }
}

impl From<f64> for Precise {
    fn from(value: f64) -> Self {
        Self { high: value, low: 0.0 }
    }
}

/// The rounded sum and its exact error (Knuth).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

fn normalized(high: f64, low: f64) -> Precise {
    let sum = high + low;
    Precise { high: sum, low: low - (sum - high) }
}

/// Two halves of 26 bits each (Veltkamp); the factor is 2^27 + 1.
fn split(value: f64) -> (f64, f64) {
    const FACTOR: f64 = 134_217_729.0;
    let scaled = FACTOR * value;
    let high = scaled - (scaled - value);
    (high, value - high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_term_survives_a_large_one_passing_through() {
        let small = Precise::from(1e-9);
        let passed = small.plus(Precise::from(1e15)).minus(Precise::from(1e15));
        assert_eq!(passed.value(), 1e-9);
    }

    #[test]
    fn product_is_exact() {
        let a = 1.0 + f64::EPSILON;
        let square = Precise::product(a, a);
        let rest = square.minus(Precise::from(1.0)).minus(Precise::from(2.0 * f64::EPSILON));
        assert_eq!(rest.value(), f64::EPSILON * f64::EPSILON);
    }
}
