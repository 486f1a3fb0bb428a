//! How numbers and foreign text look.

use std::time::Duration;

use crate::domain::{Money, decimal};

/// A whole number in groups of three: `1,234,567`.
#[must_use]
pub fn count(number: u64) -> String {
    group(&number.to_string())
}

/// Puts commas between groups of three digits.
fn group(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount with `decimals` decimals, rounded half away from zero, because a
/// table is read and not computed with; JSON carries all digits.
fn rounded(amount: Money, decimals: u8) -> String {
    let unit = decimal::pow10(u32::from(Money::DECIMALS - decimals)).unwrap_or(1);
    let units = (amount.0.abs() + unit / 2) / unit;
    let text = decimal::format(units, decimals);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let sign = if amount.0 < 0 && units > 0 { "-" } else { "" };
    format!("{sign}{}.{fraction}", group(whole))
}

/// An amount with two decimals: `1,234.56`.
#[must_use]
pub fn money(amount: Money) -> String {
    rounded(amount, 2)
}

/// An amount with four decimals, for fees and small accounts: `0.0235`.
#[must_use]
pub fn money_short(amount: Money) -> String {
    rounded(amount, 4)
}

/// An amount with its sign: `+12.30`; nothing is `0.00`.
#[must_use]
pub fn signed_money(amount: Money) -> String {
    let text = money(amount);
    let zero = text.bytes().all(|byte| !byte.is_ascii_digit() || byte == b'0');
    if zero || text.starts_with('-') { text } else { format!("+{text}") }
}

/// A percentage with its sign and two decimals: `+1.25%`. What is not known, or
/// not finite, is a dash: unknown is not zero.
#[must_use]
pub fn percent(value: Option<f64>) -> String {
    match value.filter(|value| value.is_finite()) {
        Some(value) => {
            let text = format!("{value:+.2}%");
            if text == "-0.00%" || text == "+0.00%" { "0.00%".into() } else { text }
        }
        None => "–".into(),
    }
}

/// A number of bytes in binary units: `1.5 MiB`.
#[must_use]
pub fn bytes(number: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, size)| number >= *size) {
        Some((unit, size)) => {
            let tenths = u128::from(number) * 10 / u128::from(size);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{number} B"),
    }
}

/// A span of time in its two largest units: `1h 05m`, `3m 20s`, `4.2s`, `12ms`.
#[must_use]
pub fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match seconds {
        0 => format!("{}ms", span.subsec_millis()),
        1..60 => format!("{seconds}.{}s", span.subsec_millis() / 100),
        60..3_600 => format!("{minutes}m {:02}s", seconds % 60),
        3_600..86_400 => format!("{hours}h {minutes:02}m"),
        _ => format!("{days}d {hours:02}h"),
    }
}

/// A count with its noun: `1 fill`, `1,200 fills`.
#[must_use]
pub fn plural(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

/// Text of a stranger, safe to show: control characters, which move a terminal's
/// cursor, and characters that change the direction of the text around them
/// become `�`, and it is cut after `limit` characters.
#[must_use]
pub fn printable(text: &str, limit: usize) -> String {
    let mut clean: String = text
        .chars()
        .take(limit)
        .map(|c| if acts_on_terminal(c) { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(limit).is_some() {
        clean.push('…');
    }
    clean
}

/// True for a character that a terminal or a reader's eye would act upon.
pub(super) fn acts_on_terminal(c: char) -> bool {
    c.is_control() || crate::domain::text::is_hidden(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_rounded() {
        let amount = |text| Money::parse(text).unwrap();
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        assert_eq!(money(amount("99977.8521")), "99,977.85");
        assert_eq!(money(amount("-1234.565")), "-1,234.57");
        assert_eq!(money(amount("-0.001")), "0.00");
        assert_eq!(money_short(amount("0.02345")), "0.0235");
        assert_eq!(signed_money(amount("12.3")), "+12.30");
        assert_eq!(signed_money(amount("0.001")), "0.00");
        assert_eq!(signed_money(amount("-5")), "-5.00");
        assert_eq!(plural(1, "fill"), "1 fill");
        assert_eq!(plural(1_200, "fill"), "1,200 fills");
    }

    #[test]
    fn med_003_a_percentage_is_never_nan_or_infinite() {
        assert_eq!(percent(Some(1.254)), "+1.25%");
        assert_eq!(percent(Some(-0.001)), "0.00%");
        for unknown in [None, Some(f64::NAN), Some(f64::INFINITY)] {
            assert_eq!(percent(unknown), "–");
        }
    }

    #[test]
    fn sizes_and_spans_use_their_largest_units() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1_572_864), "1.5 MiB");
        for (ms, expected) in [
            (12, "12ms"),
            (4_250, "4.2s"),
            (200_000, "3m 20s"),
            (3_900_000, "1h 05m"),
            (90_000_000, "1d 01h"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), expected);
        }
    }

    #[test]
    fn foreign_text_cannot_move_the_cursor() {
        assert_eq!(printable("a\u{1b}[2Jb\nc", 20), "a�[2Jb�c");
        assert_eq!(printable("\u{202e}evil", 20), "�evil");
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(printable("größe", 5), "größe");
    }
}
