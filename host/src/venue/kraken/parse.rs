//! Wire text to exact units.

use serde_json::value::RawValue;

use super::messages::{BookData, LevelData, OhlcData, TradeData};
use crate::domain::{DecimalError, Instrument, Money, Price, Qty, Side, SymbolId, Ts, decimal};
use crate::input::{CandleInput, TS_MAX, Trade, UNITS_MAX};
use crate::venue::FrameError;
use crate::venue::depth::Level;

/// Levels a side of one message: many times what the deepest book has. More of them
/// would take seconds to sort in.
const LEVELS_MAX: usize = 10_000;

/// The number as text. The venue sends bare numbers; its documentation shows
/// some of them as strings.
pub fn number_text(raw: &RawValue) -> &str {
    let text = raw.get();
    text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text)
}

/// An RFC 3339 time with any number of decimals.
///
/// # Errors
/// Text that is no time, or one that the engine has no room for.
pub fn time(text: &str) -> Result<Ts, FrameError> {
    let bad = || FrameError::Time(text.chars().take(40).collect());
    let time: jiff::Timestamp = text.parse().map_err(|_| bad())?;
    let time = i64::try_from(time.as_nanosecond()).map(Ts).map_err(|_| bad())?;
    if (Ts(0)..=TS_MAX).contains(&time) { Ok(time) } else { Err(bad()) }
}

fn units(field: &'static str, raw: &RawValue, decimals: u8) -> Result<i64, FrameError> {
    decimal::parse_i64(number_text(raw), decimals)
        .map_err(|source| FrameError::Number { field, source })
}

/// A price above zero.
pub(super) fn price(
    field: &'static str,
    raw: &RawValue,
    instrument: &Instrument,
) -> Result<Price, FrameError> {
    let value = units(field, raw, instrument.price_decimals)?;
    if (1..=UNITS_MAX).contains(&value) {
        Ok(Price(value))
    } else {
        Err(FrameError::Range { field, value })
    }
}

/// A quantity of zero or more.
pub(super) fn qty(
    field: &'static str,
    raw: &RawValue,
    instrument: &Instrument,
) -> Result<Qty, FrameError> {
    let value = units(field, raw, instrument.qty_decimals)?;
    if (0..=UNITS_MAX).contains(&value) {
        Ok(Qty(value))
    } else {
        Err(FrameError::Range { field, value })
    }
}

/// An increment or a minimum, in units of `decimals`.
pub(super) fn rule(field: &'static str, raw: &RawValue, decimals: u8) -> Result<i64, FrameError> {
    let value = units(field, raw, decimals)?;
    if (0..=UNITS_MAX).contains(&value) {
        Ok(value)
    } else {
        Err(FrameError::Range { field, value })
    }
}

/// An amount of money of zero or more; decimals beyond those of [`Money`] are
/// rounded up, so that a minimum is never understated.
pub(super) fn money(field: &'static str, raw: &RawValue) -> Result<Money, FrameError> {
    let text = number_text(raw);
    let number = |source: DecimalError| FrameError::Number { field, source };
    let decimals = decimal::significant_decimals(text).map_err(number)?.max(Money::DECIMALS);
    let value = decimal::parse(text, decimals).map_err(number)?;
    let out_of_range =
        || FrameError::Range { field, value: i64::try_from(value).unwrap_or(i64::MAX) };
    let divisor = decimal::pow10(u32::from(decimals - Money::DECIMALS)).ok_or_else(out_of_range)?;
    let value = decimal::div_rounded(value, divisor, decimal::Rounding::Ceil);
    if (0..=Money::LIMIT.0).contains(&value) { Ok(Money(value)) } else { Err(out_of_range()) }
}

/// A print with its time.
pub(super) fn trade(
    data: &TradeData<'_>,
    symbol: SymbolId,
    instrument: &Instrument,
) -> Result<(Ts, Trade), FrameError> {
    let side = match &*data.side {
        "buy" => Side::Buy,
        "sell" => Side::Sell,
        other => return Err(FrameError::Side(other.chars().take(40).collect())),
    };
    let price = price("price", data.price, instrument)?;
    let qty = qty("qty", data.qty, instrument)?;
    if qty.is_zero() {
        return Err(FrameError::Range { field: "qty", value: 0 });
    }
    Ok((time(&data.timestamp)?, Trade { symbol, side, price, qty, id: data.trade_id }))
}

/// A book message with exact numbers.
pub(super) struct BookUpdate {
    pub(super) bids: Vec<Level>,
    pub(super) asks: Vec<Level>,
    pub(super) ts_exchange: Option<Ts>,
}

pub(super) fn book(data: &BookData<'_>, instrument: &Instrument) -> Result<BookUpdate, FrameError> {
    let level = |level: &LevelData<'_>| {
        Ok((price("price", level.price, instrument)?, qty("qty", level.qty, instrument)?))
    };
    for (field, levels) in [("bids", &data.bids), ("asks", &data.asks)] {
        if levels.len() > LEVELS_MAX {
            let value = i64::try_from(levels.len()).unwrap_or(i64::MAX);
            return Err(FrameError::Range { field, value });
        }
    }
    Ok(BookUpdate {
        bids: data.bids.iter().map(level).collect::<Result<_, FrameError>>()?,
        asks: data.asks.iter().map(level).collect::<Result<_, FrameError>>()?,
        ts_exchange: data.timestamp.as_deref().map(time).transpose()?,
    })
}

/// Longer candles begin with a day.
const DAY_NS: i64 = 86_400 * Ts::SECOND;

/// A candle of whole intervals from 1970 on, whatever its place in time.
pub(super) fn candle(
    data: &OhlcData<'_>,
    symbol: SymbolId,
    instrument: &Instrument,
) -> Result<CandleInput, FrameError> {
    let interval_s = data.interval.checked_mul(60).filter(|&seconds| seconds > 0);
    let range = FrameError::Range { field: "interval", value: i64::from(data.interval) };
    let vwap: f64 = number_text(data.vwap).parse().unwrap_or(f64::NAN);
    if !vwap.is_finite() {
        let text = number_text(data.vwap).chars().take(40).collect();
        return Err(FrameError::Number { field: "vwap", source: DecimalError::Syntax(text) });
    }
    let candle = CandleInput {
        symbol,
        interval_s: interval_s.ok_or(range)?,
        open_ts: time(&data.interval_begin)?,
        open: price("open", data.open, instrument)?,
        high: price("high", data.high, instrument)?,
        low: price("low", data.low, instrument)?,
        close: price("close", data.close, instrument)?,
        volume: qty("volume", data.volume, instrument)?,
        vwap,
    };
    let length = i64::from(candle.interval_s).saturating_mul(Ts::SECOND).min(DAY_NS);
    if candle.open_ts.0 % length != 0 {
        return Err(FrameError::Candle("it does not begin with its interval"));
    }
    let within = candle.low..=candle.high;
    if !within.contains(&candle.open) || !within.contains(&candle.close) {
        return Err(FrameError::Candle("its prices contradict each other"));
    }
    Ok(candle)
}
