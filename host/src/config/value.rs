//! The types that a setting can have: how each is read from TOML or from text,
//! what is allowed, and how it prints.
//!
//! Every type has one canonical TOML form, so that two files that mean the same
//! give the same configuration hash: `0.001`, `"0.001"` and `1e-3` are one rate.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use toml::Value;

use crate::domain::{Money, Rate, Ts, decimal};
use crate::strategy;

/// A setting as a layer gives it: typed by TOML, or bare text from the
/// environment or a flag, whose type only its key knows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    /// from a file or the built-in defaults
    Toml(Value),
    /// from an environment variable or a flag
    Text(String),
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toml(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// The range of a setting, as text in the setting's own notation.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// smallest value, inclusive; for a list, of each entry
    pub from: Option<&'static str>,
    /// the value must be greater than this
    pub above: Option<&'static str>,
    /// largest value, inclusive
    pub to: Option<&'static str>,
}

/// A type that a key of the configuration can have.
pub(super) trait Setting: Sized {
    /// What it is, in words, such as `a duration such as "90s"`.
    fn kind() -> String;

    /// Reads it from TOML; `None` when it is something else.
    fn from_toml(value: &Value) -> Option<Self>;

    /// Its one canonical form.
    fn to_toml(&self) -> Value;

    /// Reads it from bare text: as TOML if that fits, else as a string.
    fn from_text(text: &str) -> Option<Self> {
        parse_toml(text)
            .and_then(|value| Self::from_toml(&value))
            .or_else(|| Self::from_toml(&Value::String(text.to_owned())))
    }

    /// True when it lies within the limits.
    fn within(&self, limits: &Limits) -> bool;
}

/// Reads a single TOML value.
pub(super) fn parse_toml(text: &str) -> Option<Value> {
    let mut table: toml::Table = format!("value = {text}").parse().ok()?;
    let value = table.remove("value")?;
    table.is_empty().then_some(value)
}

/// Compares with limits that are written in the type's own notation.
fn ordered<T: Setting + PartialOrd>(value: &T, limits: &Limits) -> bool {
    let bound = |text: Option<&str>| text.and_then(T::from_text);
    bound(limits.from).is_none_or(|from| *value >= from)
        && bound(limits.above).is_none_or(|above| *value > above)
        && bound(limits.to).is_none_or(|to| *value <= to)
}

/// A setting that is unbounded by nature ignores the limits.
macro_rules! unlimited {
    () => {
        fn within(&self, _limits: &Limits) -> bool {
            true
        }
    };
}

macro_rules! whole_number {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            fn kind() -> String {
                "a whole number".into()
            }
            fn from_toml(value: &Value) -> Option<Self> {
                value.as_integer().and_then(|number| Self::try_from(number).ok())
            }
            fn to_toml(&self) -> Value {
                Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }
            fn within(&self, limits: &Limits) -> bool {
                ordered(self, limits)
            }
        }
    )*};
}

whole_number!(u32, u64);

impl Setting for bool {
    fn kind() -> String {
        "true or false".into()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        value.as_bool()
    }
    fn to_toml(&self) -> Value {
        Value::Boolean(*self)
    }
    unlimited!();
}

impl Setting for String {
    fn kind() -> String {
        "text".into()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        let text = value.as_str()?;
        (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
    }
    fn to_toml(&self) -> Value {
        Value::String(self.clone())
    }
    fn from_text(text: &str) -> Option<Self> {
        Self::from_toml(&Value::String(text.to_owned()))
    }
    unlimited!();
}

impl<T: Setting + Clone> Setting for Vec<T> {
    fn kind() -> String {
        format!("a list of different entries, each {}", T::kind())
    }
    fn from_toml(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(T::from_toml).collect()
    }
    fn to_toml(&self) -> Value {
        Value::Array(self.iter().map(T::to_toml).collect())
    }
    /// Bare text is a TOML array or entries with commas between them.
    fn from_text(text: &str) -> Option<Self> {
        if text.trim_start().starts_with('[') {
            return Self::from_toml(&parse_toml(text)?);
        }
        if text.trim().is_empty() {
            return Some(Self::new());
        }
        text.split(',').map(|entry| T::from_text(entry.trim())).collect()
    }
    /// Entries obey the limits and occur once.
    fn within(&self, limits: &Limits) -> bool {
        let distinct: BTreeSet<_> = self.iter().map(|entry| entry.to_toml().to_string()).collect();
        distinct.len() == self.len() && self.iter().all(|entry| entry.within(limits))
    }
}

/// The decimal that a TOML number or string stands for: floats by their
/// shortest exact text, so that `0.001` is one thousandth and nothing else.
fn decimal_text(value: &Value) -> Option<String> {
    match value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) if number.is_finite() => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

impl Setting for Money {
    fn kind() -> String {
        "an amount with at most 8 decimals".into()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        let money = Self::parse(&decimal_text(value)?).ok()?;
        (money.0.abs() <= Self::LIMIT.0).then_some(money)
    }
    fn to_toml(&self) -> Value {
        Value::String(decimal::format_short(self.0, Self::DECIMALS))
    }
    fn within(&self, limits: &Limits) -> bool {
        ordered(self, limits)
    }
}

impl Setting for Rate {
    fn kind() -> String {
        "a number with at most 9 decimals".into()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        Self::parse(&decimal_text(value)?).ok()
    }
    fn to_toml(&self) -> Value {
        Value::String(self.to_string())
    }
    fn within(&self, limits: &Limits) -> bool {
        ordered(self, limits)
    }
}

/// A decimal number whose unit only the instrument or asset knows, kept as
/// digits: value = `digits` × 10^-18.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(i128);

impl Decimal {
    /// The most decimals that it holds, which is the most that an instrument
    /// may have.
    pub const DECIMALS: u8 = 18;

    /// The value in units of 10^-`decimals`, or `None` when it has more
    /// decimals than that.
    #[must_use]
    pub fn units(self, decimals: u8) -> Option<i128> {
        decimal::parse(&self.to_string(), decimals).ok()
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal::format_short(self.0, Self::DECIMALS))
    }
}

impl Setting for Decimal {
    fn kind() -> String {
        "a number with at most 18 decimals".into()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        decimal::parse(&decimal_text(value)?, Self::DECIMALS).ok().map(Self)
    }
    fn to_toml(&self) -> Value {
        Value::String(self.to_string())
    }
    fn within(&self, limits: &Limits) -> bool {
        ordered(self, limits)
    }
}

/// Units of a duration from the largest, with their milliseconds.
const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads `60s`, `5m`, `1h30m` or `250ms`; every part has a unit.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, ms) = DURATION_UNITS.iter().find(|(unit, _)| *unit == &rest[..letters])?;
        total = total.checked_add(number.checked_mul(*ms)?)?;
        rest = &rest[letters..];
    }
    Some(Duration::from_millis(total))
}

/// Prints a duration as [`parse_duration`] reads it, in whole milliseconds.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, ms) in DURATION_UNITS {
        if rest >= ms {
            text += &format!("{}{unit}", rest / ms);
            rest %= ms;
        }
    }
    text
}

impl Setting for Duration {
    fn kind() -> String {
        "a duration such as \"90s\" or \"1h30m\"".into()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        parse_duration(value.as_str()?)
    }
    fn to_toml(&self) -> Value {
        Value::String(format_duration(*self))
    }
    fn within(&self, limits: &Limits) -> bool {
        ordered(self, limits)
    }
}

/// The length of a candle: whole seconds that divide a day, so that candles
/// start at the same times on every day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    /// length in seconds
    pub seconds: u32,
}

impl Setting for Interval {
    fn kind() -> String {
        "a duration of whole seconds that divides a day, such as \"5m\"".into()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        let duration = parse_duration(value.as_str()?)?;
        let seconds = u32::try_from(duration.as_secs()).ok()?;
        let divides = seconds > 0 && 86_400_u32.is_multiple_of(seconds);
        (divides && duration.subsec_millis() == 0).then_some(Self { seconds })
    }
    fn to_toml(&self) -> Value {
        Value::String(format_duration(Duration::from_secs(self.seconds.into())))
    }
    fn within(&self, limits: &Limits) -> bool {
        ordered(self, limits)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const SIZE_UNITS: [(&str, u64); 4] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A size with its unit, such as `64MiB`, in bytes.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

impl Setting for ByteSize {
    fn kind() -> String {
        "a size such as \"64MiB\"".into()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        if let Some(bytes) = value.as_integer() {
            return u64::try_from(bytes).ok().map(Self);
        }
        parse_size(value.as_str()?).map(Self)
    }
    fn to_toml(&self) -> Value {
        let (unit, factor) = SIZE_UNITS
            .into_iter()
            .find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor))
            .unwrap_or(("B", 1));
        Value::String(format!("{}{unit}", self.0 / factor))
    }
    fn within(&self, limits: &Limits) -> bool {
        ordered(self, limits)
    }
}

impl Setting for Ts {
    fn kind() -> String {
        "a time such as \"2025-01-01T00:00:00Z\"".into()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Datetime(time) => time.to_string(),
            _ => return None,
        };
        let time: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(time.as_nanosecond()).ok().map(Self)
    }
    fn to_toml(&self) -> Value {
        let time = jiff::Timestamp::from_nanosecond(self.0.into());
        Value::String(time.map_or_else(|_| self.0.to_string(), |time| time.to_string()))
    }
    fn within(&self, limits: &Limits) -> bool {
        ordered(self, limits)
    }
}

/// A parameter of a strategy: the strategy declares its type and range, and the
/// host checks them when it starts.
impl Setting for strategy::Value {
    fn kind() -> String {
        "a number, true or false, or text".into()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        match value {
            Value::Boolean(flag) => Some(Self::Flag(*flag)),
            Value::Integer(number) => Some(Self::Integer(*number)),
            Value::Float(number) if number.is_finite() => Some(Self::Number(*number)),
            Value::String(text) => Some(Self::Text(text.clone())),
            _ => None,
        }
    }
    fn to_toml(&self) -> Value {
        match self {
            Self::Flag(flag) => Value::Boolean(*flag),
            Self::Integer(number) => Value::Integer(*number),
            Self::Number(number) => Value::Float(*number),
            Self::Text(text) => Value::String(text.clone()),
        }
    }
    unlimited!();
}

/// Declares an enum whose variants have names in the configuration.
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// The name in configuration and output.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl $crate::config::value::Setting for $name {
            fn kind() -> String {
                let names: &[&str] = &[$(concat!("\"", $text, "\""),)*];
                names.join(" or ")
            }
            fn from_toml(value: &toml::Value) -> Option<Self> {
                match value.as_str()? { $($text => Some(Self::$variant),)* _ => None }
            }
            fn to_toml(&self) -> toml::Value {
                toml::Value::String(self.name().into())
            }
            fn within(&self, _limits: &$crate::config::value::Limits) -> bool {
                true
            }
        }
    };
}
pub(super) use choice;
