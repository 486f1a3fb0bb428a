//! Frames as the venue writes them.

use std::collections::BTreeMap;

use super::book::{Level, View};
use super::market::{Minute, PAIRS, Pair, Print};

/// A number in units as text at its full precision, zeros and all.
#[must_use]
pub fn number(units: i64, decimals: u8) -> String {
    let width = usize::from(decimals);
    let digits = format!("{:0>1$}", units.unsigned_abs(), width + 1);
    let (whole, fraction) = digits.split_at(digits.len() - width);
    let sign = if units < 0 { "-" } else { "" };
    if width == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A time with that many decimals of a second.
#[must_use]
pub fn time(ns: i64, decimals: u8) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(ns)).unwrap_or_default();
    format!("{time:.*}", usize::from(decimals))
}

/// Text as a JSON string.
#[must_use]
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn kind(snapshot: bool) -> &'static str {
    if snapshot { "snapshot" } else { "update" }
}

/// Levels as a JSON array.
#[must_use]
pub fn levels(pair: &Pair, levels: &[Level]) -> String {
    let row = |&(price, qty): &Level| {
        let (price, qty) = (number(price, pair.price_decimals), number(qty, pair.qty_decimals));
        format!(r#"{{"price":{price},"qty":{qty}}}"#)
    };
    format!("[{}]", levels.iter().map(row).collect::<Vec<_>>().join(","))
}

/// A book's snapshot or update.
#[must_use]
pub fn book(pair: &Pair, snapshot: bool, sides: &View, checksum: u32, ts: i64) -> String {
    format!(
        r#"{{"channel":"book","type":"{}","data":[{{"symbol":"{}","bids":{},"asks":{},"checksum":{checksum},"timestamp":"{}"}}]}}"#,
        kind(snapshot),
        pair.symbol,
        levels(pair, &sides.bids),
        levels(pair, &sides.asks),
        time(ts, 6)
    )
}

/// Trades, with another time than theirs if one is given.
#[must_use]
pub fn trades(pair: &Pair, snapshot: bool, prints: &[Print], at: Option<&str>) -> String {
    let row = |print: &Print| {
        format!(
            r#"{{"symbol":"{}","side":"{}","price":{},"qty":{},"ord_type":"{}","trade_id":{},"timestamp":"{}"}}"#,
            pair.symbol,
            if print.buy { "buy" } else { "sell" },
            number(print.price, pair.price_decimals),
            number(print.qty, pair.qty_decimals),
            if print.id.is_multiple_of(3) { "market" } else { "limit" },
            print.id,
            at.map_or_else(|| time(print.ts, 6), str::to_owned)
        )
    };
    let rows: Vec<String> = prints.iter().map(row).collect();
    format!(r#"{{"channel":"trade","type":"{}","data":[{}]}}"#, kind(snapshot), rows.join(","))
}

/// Candles of so many minutes.
#[must_use]
pub fn candles(
    pair: &Pair,
    snapshot: bool,
    minutes: i64,
    rows: &[(i64, Minute)],
    now: i64,
) -> String {
    const MINUTE: i64 = 60_000_000_000;
    let row = |(begin, c): &(i64, Minute)| {
        let price = |units| number(units, pair.price_decimals);
        let vwap = i64::try_from(c.turnover / i128::from(c.volume.max(1))).unwrap_or(c.close);
        format!(
            r#"{{"symbol":"{}","open":{},"high":{},"low":{},"close":{},"trades":{},"volume":{},"vwap":{},"interval_begin":"{}","interval":{minutes},"timestamp":"{}"}}"#,
            pair.symbol,
            price(c.open),
            price(c.high),
            price(c.low),
            price(c.close),
            c.trades,
            number(c.volume, pair.qty_decimals),
            price(vwap),
            time(begin * MINUTE, 9),
            time((begin + minutes) * MINUTE, 6)
        )
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    format!(
        r#"{{"channel":"ohlc","type":"{}","timestamp":"{}","data":[{}]}}"#,
        kind(snapshot),
        time(now, 9),
        rows.join(",")
    )
}

/// The list of assets and pairs; smallest orders are those of the pairs, or
/// these.
#[must_use]
pub fn instruments(minimums: &BTreeMap<usize, i64>) -> String {
    let row = |(place, pair)| pair_row(pair, minimums.get(&place).copied());
    let pairs: Vec<String> = PAIRS.iter().enumerate().map(row).collect();
    let assets = r#"{"id":"USD","status":"enabled","precision":4,"precision_display":2,"borrowable":true,"collateral_value":1.00,"margin_rate":0.02},{"id":"BTC","status":"enabled","precision":10,"precision_display":5,"borrowable":true,"collateral_value":1.00,"margin_rate":0.01}"#;
    format!(
        r#"{{"channel":"instrument","type":"snapshot","data":{{"assets":[{assets}],"pairs":[{}]}}}}"#,
        pairs.join(",")
    )
}

/// Pairs whose smallest order changed.
#[must_use]
pub fn instrument_update(minimums: &BTreeMap<usize, i64>) -> String {
    let row = |(&place, &minimum): (&usize, &i64)| pair_row(&PAIRS[place], Some(minimum));
    let pairs: Vec<String> = minimums.iter().map(row).collect();
    format!(
        r#"{{"channel":"instrument","type":"update","data":{{"assets":[],"pairs":[{}]}}}}"#,
        pairs.join(",")
    )
}

fn pair_row(p: &Pair, minimum: Option<i64>) -> String {
    let (base, quote) = p.symbol.split_once('/').unwrap_or((p.symbol, "USD"));
    format!(
        r#"{{"symbol":"{}","base":"{base}","quote":"{quote}","status":"online","qty_precision":{},"qty_increment":{},"price_precision":{},"cost_precision":5,"marginable":true,"has_index":true,"cost_min":0.5,"margin_initial":0.20,"position_limit_long":300,"position_limit_short":240,"tick_size":{},"price_increment":{},"qty_min":{}}}"#,
        p.symbol,
        p.qty_decimals,
        number(1, p.qty_decimals),
        p.price_decimals,
        number(1, p.price_decimals),
        number(1, p.price_decimals),
        number(minimum.unwrap_or(p.qty_min), p.qty_decimals)
    )
}

/// The system's state. The number of the connection exceeds an `i64`, as the
/// venue's do.
#[must_use]
pub fn status(system: &str, connection: u64) -> String {
    let id = u64::MAX - connection;
    format!(
        r#"{{"channel":"status","type":"update","data":[{{"version":"2.0.10","system":"{system}","api_version":"v2","connection_id":{id},"upcoming_maintenance":[],"emergency":[]}}]}}"#
    )
}

/// A sign of life.
pub const HEARTBEAT: &str = r#"{"channel":"heartbeat"}"#;

/// The answer to a request that was granted; `result` is a JSON object.
#[must_use]
pub fn granted(method: &str, req_id: Option<u64>, result: &str, now: i64) -> String {
    let id = req_id.map(|id| format!(r#""req_id":{id},"#)).unwrap_or_default();
    format!(
        r#"{{"method":"{method}",{id}"result":{result},"success":true,"time_in":"{}","time_out":"{}"}}"#,
        time(now, 6),
        time(now + 58_000, 6)
    )
}

/// The answer to a request that was refused.
#[must_use]
pub fn refused(
    method: &str,
    req_id: Option<u64>,
    symbol: Option<&str>,
    error: &str,
    now: i64,
) -> String {
    let id = req_id.map(|id| format!(r#""req_id":{id},"#)).unwrap_or_default();
    let symbol = symbol.map(|s| format!(r#""symbol":{},"#, quoted(s))).unwrap_or_default();
    format!(
        r#"{{"error":{},"method":{},{id}"success":false,{symbol}"time_in":"{}","time_out":"{}"}}"#,
        quoted(error),
        quoted(method),
        time(now, 6),
        time(now + 35_000, 6)
    )
}

/// The answer to a ping.
#[must_use]
pub fn pong(req_id: Option<u64>, now: i64) -> String {
    let id = req_id.map(|id| format!(r#""req_id":{id},"#)).unwrap_or_default();
    format!(
        r#"{{"method":"pong",{id}"time_in":"{}","time_out":"{}"}}"#,
        time(now, 6),
        time(now + 20_000, 6)
    )
}
