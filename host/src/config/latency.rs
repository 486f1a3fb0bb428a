//! A latency as a setting: constant, uniform, or from a file of recorded ones.

use std::time::Duration;

use toml::Value;

use super::value::{Limits, Setting};

/// The longest latency.
const LATENCY_MAX: Duration = Duration::from_secs(60);

/// Units from the largest, with their microseconds.
const UNITS: [(&str, u64); 3] = [("s", 1_000_000), ("ms", 1_000), ("us", 1)];

/// How long something takes to arrive, in microseconds where it is a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Latency {
    /// always so long
    Constant(Duration),
    /// each from the first to the last is as likely
    Uniform(Duration, Duration),
    /// one of those in a file, one a line, each as likely
    File(String),
}

/// Reads one latency such as `50ms`, `800us` or `2s`; at most a minute.
#[must_use]
pub fn parse_latency(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let (_, microseconds) = UNITS.iter().find(|(unit, _)| *unit == &text[digits..])?;
    let latency = Duration::from_micros(number.checked_mul(*microseconds)?);
    (latency <= LATENCY_MAX).then_some(latency)
}

fn format_latency(latency: Duration) -> String {
    let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    let whole = |(_, factor): &&(&str, u64)| microseconds.is_multiple_of(*factor);
    let (unit, factor) = UNITS.iter().find(whole).copied().unwrap_or(("us", 1));
    format!("{}{unit}", microseconds / factor)
}

impl Setting for Latency {
    fn kind() -> String {
        "a latency such as \"50ms\", a range such as \"20ms..80ms\", or \"file:PATH\", at most 60s"
            .into()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        let text = value.as_str()?;
        if let Some(path) = text.strip_prefix("file:") {
            let fits = !path.is_empty() && !path.contains(char::is_control);
            return fits.then(|| Self::File(path.to_owned()));
        }
        match text.split_once("..") {
            None => parse_latency(text).map(Self::Constant),
            Some((low, high)) => {
                let (low, high) = (parse_latency(low)?, parse_latency(high)?);
                (low <= high).then_some(Self::Uniform(low, high))
            }
        }
    }
    fn to_toml(&self) -> Value {
        Value::String(match self {
            Self::Constant(latency) => format_latency(*latency),
            Self::Uniform(low, high) => {
                format!("{}..{}", format_latency(*low), format_latency(*high))
            }
            Self::File(path) => format!("file:{path}"),
        })
    }
    fn within(&self, _limits: &Limits) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_have_one_canonical_form() {
        let cases = [
            ("50ms", Some("50ms")),
            ("2000us", Some("2ms")),
            ("1500us", Some("1500us")),
            ("0s", Some("0s")),
            ("0us", Some("0s")),
            ("20ms..80ms", Some("20ms..80ms")),
            ("1000ms..60s", Some("1s..60s")),
            ("file:latency.txt", Some("file:latency.txt")),
            ("80ms..20ms", None),
            ("61s", None),
            ("50", None),
            ("ms", None),
            ("-5ms", None),
            ("5.5ms", None),
            ("file:", None),
            ("99999999999999999999s", None),
        ];
        for (text, expected) in cases {
            let read = Latency::from_toml(&Value::String(text.into()));
            let shown = read.map(|latency| latency.to_toml());
            assert_eq!(shown, expected.map(|text| Value::String(text.into())), "{text}");
        }
    }
}
