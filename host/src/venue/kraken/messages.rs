//! The frames as they are on the wire, numbers still as text.
//!
//! Parsing has two stages: an envelope that leaves `data` as it stands, then
//! the type that the channel calls for. Prices and quantities stay raw JSON
//! text, because any way through a double loses zeros or digits. Unknown fields
//! and channels are ignored: the venue adds them without notice.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A frame by its kind.
#[derive(Debug)]
pub enum Message<'a> {
    /// the system's state
    Status(Vec<StatusData<'a>>),
    /// pairs and their rules; true for the whole list
    Instrument(InstrumentData<'a>, bool),
    /// public prints; true for recent history
    Trade(Vec<TradeData<'a>>, bool),
    /// changed levels; true for the whole book
    Book(Vec<BookData<'a>>, bool),
    /// candles
    Ohlc {
        /// one a row
        rows: Vec<OhlcData<'a>>,
        /// history rather than the candle that is forming
        snapshot: bool,
        /// when it was sent
        timestamp: Option<Cow<'a, str>>,
    },
    /// a sign of life
    Heartbeat,
    /// the answer to a ping
    Pong,
    /// the answer to a subscription or its end
    Reply(Reply<'a>),
    /// a channel or method that was not asked for
    Other,
}

/// A frame's first level.
#[derive(Debug, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    success: Option<bool>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow)]
    symbol: Option<Cow<'a, str>>,
    req_id: Option<u64>,
    #[serde(borrow)]
    result: Option<ReplyResult<'a>>,
}

/// One entry of `status`. The `connection_id` is not read: it is missing in some
/// frames and exceeds an `i64` in others, and nothing needs it.
#[derive(Debug, Deserialize)]
pub struct StatusData<'a> {
    /// `online`, `maintenance`, `cancel_only` or `post_only`
    #[serde(borrow)]
    pub system: Cow<'a, str>,
}

/// The body of `instrument`, an object where other channels have an array.
#[derive(Debug, Deserialize)]
pub struct InstrumentData<'a> {
    /// pairs: all of them, or those that changed
    #[serde(borrow, default)]
    pub pairs: Vec<PairData<'a>>,
}

/// A pair and its rules.
#[derive(Debug, Deserialize)]
pub struct PairData<'a> {
    /// symbol as the v2 channels name it
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// the asset bought and sold
    #[serde(borrow)]
    pub base: Cow<'a, str>,
    /// the asset that prices are in
    #[serde(borrow)]
    pub quote: Cow<'a, str>,
    /// whether and how it trades
    #[serde(borrow)]
    pub status: Cow<'a, str>,
    /// decimals of a quantity
    pub qty_precision: u8,
    /// step of a quantity
    #[serde(borrow)]
    pub qty_increment: &'a RawValue,
    /// smallest order, as a quantity
    #[serde(borrow)]
    pub qty_min: &'a RawValue,
    /// decimals of a price
    pub price_precision: u8,
    /// step of a price
    #[serde(borrow)]
    pub price_increment: &'a RawValue,
    /// smallest order, as an amount of the quote asset; documented as text,
    /// recorded as a number
    #[serde(borrow)]
    pub cost_min: Option<&'a RawValue>,
    /// whether it trades on margin, and so may be sold short
    #[serde(default)]
    pub marginable: bool,
}

/// A public print.
#[derive(Debug, Deserialize)]
pub struct TradeData<'a> {
    /// symbol
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// the taker's side
    #[serde(borrow)]
    pub side: Cow<'a, str>,
    /// price
    #[serde(borrow)]
    pub price: &'a RawValue,
    /// quantity
    #[serde(borrow)]
    pub qty: &'a RawValue,
    /// the venue's number, contiguous within the pair
    pub trade_id: u64,
    /// when it was traded
    #[serde(borrow)]
    pub timestamp: Cow<'a, str>,
}

/// Levels of a book.
#[derive(Debug, Deserialize)]
pub struct BookData<'a> {
    /// symbol
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// bids, absolute quantities, 0 deletes
    #[serde(borrow)]
    pub bids: Vec<LevelData<'a>>,
    /// asks, absolute quantities, 0 deletes
    #[serde(borrow)]
    pub asks: Vec<LevelData<'a>>,
    /// CRC-32 of the best levels after this message
    pub checksum: u32,
    /// when it was sent; older snapshots have none
    #[serde(borrow)]
    pub timestamp: Option<Cow<'a, str>>,
}

/// A level.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct LevelData<'a> {
    /// price
    #[serde(borrow)]
    pub price: &'a RawValue,
    /// absolute quantity
    #[serde(borrow)]
    pub qty: &'a RawValue,
}

/// A candle.
#[derive(Debug, Deserialize)]
pub struct OhlcData<'a> {
    /// symbol
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// first price
    #[serde(borrow)]
    pub open: &'a RawValue,
    /// highest price
    #[serde(borrow)]
    pub high: &'a RawValue,
    /// lowest price
    #[serde(borrow)]
    pub low: &'a RawValue,
    /// last price
    #[serde(borrow)]
    pub close: &'a RawValue,
    /// volume-weighted average price
    #[serde(borrow)]
    pub vwap: &'a RawValue,
    /// traded quantity
    #[serde(borrow)]
    pub volume: &'a RawValue,
    /// its start
    #[serde(borrow)]
    pub interval_begin: Cow<'a, str>,
    /// its length in minutes
    pub interval: u32,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Reply<'a> {
    /// `subscribe` or `unsubscribe`
    pub method: Cow<'a, str>,
    /// the request's number
    pub req_id: Option<u64>,
    /// whether it was granted
    pub success: bool,
    /// the channel, in a granted one
    pub channel: Option<Cow<'a, str>>,
    /// the symbol, wherever it stands
    pub symbol: Option<Cow<'a, str>>,
    /// why it was refused
    pub error: Option<Cow<'a, str>>,
    /// a book's depth
    pub depth: Option<u32>,
    /// what the venue would rather see
    pub warnings: Vec<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
struct ReplyResult<'a> {
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    symbol: Option<Cow<'a, str>>,
    depth: Option<u32>,
    #[serde(borrow)]
    warnings: Option<Vec<Cow<'a, str>>>,
}

/// Reads a frame.
///
/// The channel is told by how the text begins, which is how the venue sends its
/// busy channels today; another order of fields costs a second pass, no more.
///
/// # Errors
/// Text that is not JSON or lacks a field of its kind.
pub fn parse(text: &str) -> Result<Message<'_>, serde_json::Error> {
    if let Some((channel, snapshot, data)) = leading(text)
        && let Ok(message) = body(channel, snapshot, data, None)
    {
        return Ok(message);
    }
    let envelope: Envelope<'_> = serde_json::from_str(text)?;
    match (&envelope.channel, envelope.data) {
        (Some(channel), Some(data)) => {
            let snapshot = envelope.kind.as_deref() == Some("snapshot");
            body(channel, snapshot, data.get(), envelope.timestamp)
        }
        (Some(channel), None) if channel == "heartbeat" => Ok(Message::Heartbeat),
        (Some(_), None) => Ok(Message::Other),
        (None, _) => Ok(method(envelope)),
    }
}

/// Splits `{"channel":"book","type":"update","data":BODY}` of the two busy
/// channels without looking into the body. Text that only resembles it gives a
/// body that does not parse.
fn leading(text: &str) -> Option<(&'static str, bool, &str)> {
    let rest = text.trim_end().strip_prefix("{\"channel\":\"")?.strip_suffix('}')?;
    let (channel, rest) = match rest.strip_prefix("book\",\"type\":\"") {
        Some(rest) => ("book", rest),
        None => ("trade", rest.strip_prefix("trade\",\"type\":\"")?),
    };
    match rest.strip_prefix("update\",\"data\":") {
        Some(data) => Some((channel, false, data)),
        None => Some((channel, true, rest.strip_prefix("snapshot\",\"data\":")?)),
    }
}

fn body<'a>(
    channel: &str,
    snapshot: bool,
    data: &'a str,
    timestamp: Option<Cow<'a, str>>,
) -> Result<Message<'a>, serde_json::Error> {
    Ok(match channel {
        "book" => Message::Book(serde_json::from_str(data)?, snapshot),
        "trade" => Message::Trade(serde_json::from_str(data)?, snapshot),
        "ohlc" => Message::Ohlc { rows: serde_json::from_str(data)?, snapshot, timestamp },
        "instrument" => Message::Instrument(serde_json::from_str(data)?, snapshot),
        "status" => Message::Status(serde_json::from_str(data)?),
        "heartbeat" => Message::Heartbeat,
        _ => Message::Other,
    })
}

fn method(envelope: Envelope<'_>) -> Message<'_> {
    let Some(method) = envelope.method else { return Message::Other };
    let Some(success) = envelope.success else {
        // A pong says neither success nor a result. Our own requests, which a
        // recording may hold as well, have no success either.
        return if method == "pong" { Message::Pong } else { Message::Other };
    };
    let result = envelope.result;
    let (channel, symbol, depth, warnings) = match result {
        Some(r) => (r.channel, r.symbol, r.depth, r.warnings.unwrap_or_default()),
        None => (None, None, None, Vec::new()),
    };
    Message::Reply(Reply {
        method,
        req_id: envelope.req_id,
        success,
        channel,
        symbol: symbol.or(envelope.symbol),
        error: envelope.error,
        depth,
        warnings,
    })
}

/// True for text that is one of the venue's frames, known or not.
#[must_use]
pub fn is_frame(text: &str) -> bool {
    serde_json::from_str::<Envelope<'_>>(text)
        .is_ok_and(|envelope| envelope.channel.is_some() || envelope.method.is_some())
}
