//! Decimal text and floats to scaled integers and back, exactly.

use thiserror::Error;

/// Which way a value that does not fit its unit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Towards minus infinity.
    Floor,
    /// Towards plus infinity.
    Ceil,
}

/// Why a number was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecimalError {
    /// The text is not a decimal number.
    #[error("'{0}' is not a decimal number")]
    Syntax(String),
    /// The value has more decimals than its unit holds.
    #[error("'{text}' has more than {decimals} decimals")]
    Precision {
        /// the text as given
        text: String,
        /// how many decimals the unit holds
        decimals: u8,
    },
    /// The value does not fit the integer.
    #[error("'{0}' is out of range")]
    Range(String),
}

/// 10^`exponent`, or `None` above 10^38.
#[must_use]
pub fn pow10(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

/// Divides, rounding as named. `divisor` must be positive.
#[must_use]
pub fn div_rounded(value: i128, divisor: i128, rounding: Rounding) -> i128 {
    let floor = value.div_euclid(divisor);
    match rounding {
        Rounding::Floor => floor,
        Rounding::Ceil if floor * divisor == value => floor,
        Rounding::Ceil => floor + 1,
    }
}

/// A decimal as digits and a power of ten: value = `digits` × 10^`exponent`.
struct Parts {
    digits: i128,
    exponent: i32,
}

/// Splits `-12.340e-5` into its digits and exponent. Trailing zeros of the
/// fraction are dropped, so that `1.50` fits one decimal.
fn parts(text: &str) -> Result<Parts, DecimalError> {
    let syntax = || DecimalError::Syntax(text.chars().take(40).collect());
    let range = || DecimalError::Range(text.chars().take(40).collect());
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().map_err(|_| syntax())?),
        None => (text, 0),
    };
    let (negative, unsigned) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(syntax());
    }
    let fraction = fraction.trim_end_matches('0');
    let mut digits: i128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        if !byte.is_ascii_digit() {
            return Err(syntax());
        }
        digits = digits
            .checked_mul(10)
            .and_then(|d| d.checked_add(i128::from(byte - b'0')))
            .ok_or_else(range)?;
    }
    let shift = i32::try_from(fraction.len()).map_err(|_| range())?;
    let exponent = exponent.checked_sub(shift).ok_or_else(range)?;
    Ok(Parts { digits: if negative { -digits } else { digits }, exponent })
}

/// The decimal `text` in units of 10^-`decimals`, exactly. Exponents are read.
///
/// # Errors
/// Text that is no number, that has more decimals than the unit, or that does
/// not fit.
pub fn parse(text: &str, decimals: u8) -> Result<i128, DecimalError> {
    let Parts { digits, exponent } = parts(text)?;
    if digits == 0 {
        return Ok(0);
    }
    let range = || DecimalError::Range(text.chars().take(40).collect());
    let shift = exponent.checked_add(i32::from(decimals)).ok_or_else(range)?;
    if shift >= 0 {
        let factor = pow10(shift.unsigned_abs()).ok_or_else(range)?;
        return digits.checked_mul(factor).ok_or_else(range);
    }
    let precision = || DecimalError::Precision { text: text.chars().take(40).collect(), decimals };
    let divisor = pow10(shift.unsigned_abs()).ok_or_else(precision)?;
    if digits % divisor == 0 { Ok(digits / divisor) } else { Err(precision()) }
}

/// Like [`parse`], into the `i64` of a price or a quantity.
///
/// # Errors
/// As [`parse`].
pub fn parse_i64(text: &str, decimals: u8) -> Result<i64, DecimalError> {
    let value = parse(text, decimals)?;
    i64::try_from(value).map_err(|_| DecimalError::Range(text.chars().take(40).collect()))
}

/// How many decimals `text` needs: 2 for `61737.63000000`.
///
/// # Errors
/// Text that is no number.
pub fn significant_decimals(text: &str) -> Result<u8, DecimalError> {
    let Parts { digits, exponent } = parts(text)?;
    if digits == 0 || exponent >= 0 {
        return Ok(0);
    }
    let mut digits = digits;
    let mut needed = exponent.unsigned_abs();
    while needed > 0 && digits % 10 == 0 {
        digits /= 10;
        needed -= 1;
    }
    u8::try_from(needed).map_err(|_| DecimalError::Range(text.chars().take(40).collect()))
}

/// The decimal that `value` prints as (its shortest exact representation), in
/// units of 10^-`decimals`, rounded as named. `None` when it is not finite or
/// does not fit.
///
/// The shortest representation and not the binary value is what the author of
/// a strategy wrote: 0.3 means 3 tenths, although the nearest double lies below.
#[must_use]
pub fn from_f64(value: f64, decimals: u8, rounding: Rounding) -> Option<i128> {
    if !value.is_finite() {
        return None;
    }
    let Parts { digits, exponent } = parts(&format!("{value:e}")).ok()?;
    if digits == 0 {
        return Some(0);
    }
    let shift = exponent.checked_add(i32::from(decimals))?;
    if shift >= 0 {
        return digits.checked_mul(pow10(shift.unsigned_abs())?);
    }
    match pow10(shift.unsigned_abs()) {
        Some(divisor) => Some(div_rounded(digits, divisor, rounding)),
        // Far below one unit: only the direction counts.
        None => Some(match rounding {
            Rounding::Floor if digits < 0 => -1,
            Rounding::Ceil if digits > 0 => 1,
            _ => 0,
        }),
    }
}

/// Prints `value` units of 10^-`decimals` with all decimals: `1.50`.
#[must_use]
pub fn format(value: i128, decimals: u8) -> String {
    let width = usize::from(decimals);
    let digits = format!("{:0>1$}", value.unsigned_abs(), width + 1);
    let sign = if value < 0 { "-" } else { "" };
    let (whole, fraction) = digits.split_at(digits.len() - width);
    if width == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Prints like [`format`] without trailing zeros: `1.5`.
#[must_use]
pub fn format_short(value: i128, decimals: u8) -> String {
    let text = format(value, decimals);
    if decimals == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The nearest double, for strategies and for display.
#[must_use]
#[allow(clippy::float_arithmetic, reason = "the one place where integers become floats")]
pub fn to_f64(value: i64, decimals: u8) -> f64 {
    // Both operands are exact below 2^53 and 10^22, so the quotient is the
    // correctly rounded value.
    value as f64 / power(decimals)
}

/// 10^`decimals` as a double, exact up to 22.
#[must_use]
pub fn power(decimals: u8) -> f64 {
    POWERS[usize::from(decimals.min(22))]
}

/// 10^0 to 10^22, all exact in a double.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_units_exactly() {
        let cases: [(&str, u8, Result<i128, ()>); 12] = [
            ("1.50", 1, Ok(15)),
            ("1.55", 1, Err(())),
            ("0.00000001", 8, Ok(1)),
            ("1e-08", 8, Ok(1)),
            ("5e-05", 8, Ok(5000)),
            ("-2.5E1", 0, Ok(-25)),
            ("100", 8, Ok(10_000_000_000)),
            ("", 2, Err(())),
            (".", 2, Err(())),
            ("1.2.3", 2, Err(())),
            ("NaN", 2, Err(())),
            ("1e999", 2, Err(())),
        ];
        for (text, decimals, expected) in cases {
            assert_eq!(parse(text, decimals).map_err(|_| ()), expected, "{text}");
        }
    }

    #[test]
    fn floats_mean_what_was_written() {
        assert_eq!(from_f64(0.3, 1, Rounding::Floor), Some(3));
        assert_eq!(from_f64(0.1 + 0.2, 1, Rounding::Floor), Some(3));
        assert_eq!(from_f64(2.35, 2, Rounding::Ceil), Some(235));
        assert_eq!(from_f64(2.351, 2, Rounding::Ceil), Some(236));
        assert_eq!(from_f64(2.359, 2, Rounding::Floor), Some(235));
        assert_eq!(from_f64(1e-300, 2, Rounding::Ceil), Some(1));
        assert_eq!(from_f64(f64::NAN, 2, Rounding::Floor), None);
        assert_eq!(from_f64(f64::INFINITY, 2, Rounding::Floor), None);
        assert_eq!(from_f64(1e308, 2, Rounding::Floor), None);
    }

    #[test]
    fn units_print_back() {
        assert_eq!(format(-5, 2), "-0.05");
        assert_eq!(format(235, 2), "2.35");
        assert_eq!(format(7, 0), "7");
        assert_eq!(format_short(150, 2), "1.5");
        assert_eq!(format_short(100, 2), "1");
        assert_eq!(significant_decimals("61737.63000000"), Ok(2));
        assert_eq!(significant_decimals("100"), Ok(0));
        assert_eq!(significant_decimals("1e-05"), Ok(5));
    }
}
