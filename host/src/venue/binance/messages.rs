//! The frames as they are on the wire, numbers still as text.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::domain::Ts;

/// A frame by its kind.
#[derive(Debug)]
pub enum Message<'a> {
    /// a public print
    Trade(TradeMessage<'a>),
    /// changed levels
    Depth(DepthUpdate<'a>),
    /// best bid and ask
    Ticker(Ticker<'a>),
    /// the whole book, as REST answers
    Snapshot(DepthSnapshot<'a>),
    /// an acknowledgment, or a kind that was not asked for: the venue adds
    /// kinds, so they are no error
    Other,
}

/// A public print.
#[derive(Debug, Deserialize)]
pub struct TradeMessage<'a> {
    /// symbol
    #[serde(rename = "s")]
    pub symbol: &'a str,
    /// the venue's number, contiguous
    #[serde(rename = "t")]
    pub id: u64,
    /// price
    #[serde(rename = "p")]
    pub price: &'a str,
    /// quantity
    #[serde(rename = "q")]
    pub qty: &'a str,
    /// when it was traded, milli- or microseconds
    #[serde(rename = "T")]
    pub time: u64,
    /// the buyer rested in the book, so the taker sold
    #[serde(rename = "m")]
    pub buyer_is_maker: bool,
}

/// A level as text: price, quantity.
pub type LevelText<'a> = (&'a str, &'a str);

/// Changed levels, with the ids of the first and the last change in it.
#[derive(Debug, Deserialize)]
pub struct DepthUpdate<'a> {
    /// symbol
    #[serde(rename = "s")]
    pub symbol: &'a str,
    /// when it was sent, milli- or microseconds
    #[serde(rename = "E")]
    pub time: u64,
    /// id of the first change
    #[serde(rename = "U")]
    pub first_id: u64,
    /// id of the last change
    #[serde(rename = "u")]
    pub last_id: u64,
    /// bids, absolute quantities, 0 deletes
    #[serde(rename = "b", borrow)]
    pub bids: Vec<LevelText<'a>>,
    /// asks, absolute quantities, 0 deletes
    #[serde(rename = "a", borrow)]
    pub asks: Vec<LevelText<'a>>,
}

/// Best bid and ask after one change of the book.
#[derive(Debug, Deserialize)]
pub struct Ticker<'a> {
    /// symbol
    #[serde(rename = "s")]
    pub symbol: &'a str,
    /// id of that change
    #[serde(rename = "u")]
    pub update_id: u64,
    /// best bid
    #[serde(rename = "b")]
    pub bid: &'a str,
    /// quantity there
    #[serde(rename = "B")]
    pub bid_qty: &'a str,
    /// best ask
    #[serde(rename = "a")]
    pub ask: &'a str,
    /// quantity there
    #[serde(rename = "A")]
    pub ask_qty: &'a str,
}

/// The whole book, as of a change. It does not name its symbol.
#[derive(Debug, Deserialize)]
pub struct DepthSnapshot<'a> {
    /// id of the last change in it
    #[serde(rename = "lastUpdateId")]
    pub last_id: u64,
    /// bids, best first
    #[serde(borrow)]
    pub bids: Vec<LevelText<'a>>,
    /// asks, best first
    #[serde(borrow)]
    pub asks: Vec<LevelText<'a>>,
}

/// The fields that tell kinds apart when the order of fields does not.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    stream: Option<IgnoredAny>,
    e: Option<&'a str>,
    #[serde(rename = "lastUpdateId")]
    last_update_id: Option<IgnoredAny>,
    #[serde(rename = "B")]
    bid_qty: Option<IgnoredAny>,
    #[serde(rename = "A")]
    ask_qty: Option<IgnoredAny>,
}

/// Reads a frame of a raw or a combined stream, or a REST depth answer.
///
/// The kind is told by how the text begins, which is how the venue has always
/// sent it; another order of fields costs a second pass over the text, no more.
///
/// # Errors
/// Text that is not JSON or lacks a field of its kind.
pub fn parse(text: &str) -> Result<Message<'_>, serde_json::Error> {
    if let Some((stream, data)) = combined(text) {
        if stream.ends_with("@trade") {
            return serde_json::from_str(data).map(Message::Trade);
        }
        if stream.ends_with("@bookTicker") {
            return serde_json::from_str(data).map(Message::Ticker);
        }
        if stream.contains("@depth@") || stream.ends_with("@depth") {
            return serde_json::from_str(data).map(Message::Depth);
        }
    }
    parse_unwrapped(text)
}

/// Splits `{"stream":"NAME","data":BODY}` without looking into the body. Text
/// that only resembles it gives a body that does not parse.
fn combined(text: &str) -> Option<(&str, &str)> {
    let rest = text.trim_end().strip_prefix("{\"stream\":\"")?;
    let (stream, rest) = rest.split_once('"')?;
    let data = rest.strip_prefix(",\"data\":")?.strip_suffix('}')?;
    Some((stream, data))
}

fn parse_unwrapped(text: &str) -> Result<Message<'_>, serde_json::Error> {
    if text.starts_with("{\"e\":\"trade\"") {
        return serde_json::from_str(text).map(Message::Trade);
    }
    if text.starts_with("{\"e\":\"depthUpdate\"") {
        return serde_json::from_str(text).map(Message::Depth);
    }
    if text.starts_with("{\"lastUpdateId\"") {
        return serde_json::from_str(text).map(Message::Snapshot);
    }
    let probe: Probe<'_> = serde_json::from_str(text)?;
    match (probe.stream, probe.data) {
        // The body of a combined frame; one level only, since a body in a body
        // is no message.
        (Some(_), Some(data)) => parse_body(data.get()),
        _ => parse_probed(text, &probe),
    }
}

fn parse_body(text: &str) -> Result<Message<'_>, serde_json::Error> {
    parse_probed(text, &serde_json::from_str(text)?)
}

fn parse_probed<'a>(text: &'a str, probe: &Probe<'_>) -> Result<Message<'a>, serde_json::Error> {
    match probe.e {
        Some("trade") => serde_json::from_str(text).map(Message::Trade),
        Some("depthUpdate") => serde_json::from_str(text).map(Message::Depth),
        Some("bookTicker") => serde_json::from_str(text).map(Message::Ticker),
        Some(_) => Ok(Message::Other),
        None if probe.last_update_id.is_some() => serde_json::from_str(text).map(Message::Snapshot),
        None if probe.bid_qty.is_some() && probe.ask_qty.is_some() => {
            serde_json::from_str(text).map(Message::Ticker)
        }
        None => Ok(Message::Other),
    }
}

/// The venue's time in nanoseconds. Microseconds are told from milliseconds by
/// size: 10^14 is the year 5138 in one unit and 1973 in the other. `None` when
/// it does not fit.
pub(super) fn nanoseconds(time: u64) -> Option<Ts> {
    let factor = if time < 100_000_000_000_000 { 1_000_000 } else { 1_000 };
    i64::try_from(time.checked_mul(factor)?).ok().map(Ts)
}
