//! Pairs, their rules and whether they trade.

use std::collections::BTreeMap;

use super::messages::{InstrumentData, Message, PairData};
use super::parse;
use crate::domain::{Instrument, Price, Qty};
use crate::input::TradingStatus;
use crate::venue::FrameError;

/// Names offered for one that the venue does not know.
const NEAR_MAX: usize = 3;

/// A pair as the venue describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// units, increments and minimums
    pub instrument: Instrument,
    /// whether and how it trades
    pub status: TradingStatus,
}

/// The venue's pairs, from its `instrument` channel: what symbols may be asked
/// for, and in which units.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    pairs: BTreeMap<String, Pair>,
    refused: u64,
}

impl Catalog {
    /// Takes a frame; true when it held the whole list. Frames of other channels
    /// are passed over. A pair that Sandpaper cannot represent is left out and
    /// counted, so that one odd pair does not hide the others.
    ///
    /// # Errors
    /// Text that is not JSON or lacks a field of its kind.
    pub fn handle_text(&mut self, text: &str) -> Result<bool, FrameError> {
        let Message::Instrument(data, snapshot) = parse(text)? else { return Ok(false) };
        self.take(&data, snapshot);
        Ok(snapshot)
    }

    /// As [`handle_text`](Self::handle_text), for a frame that is read already.
    pub fn take(&mut self, data: &InstrumentData<'_>, snapshot: bool) {
        if snapshot {
            self.pairs.clear();
        }
        for data in &data.pairs {
            match pair(data) {
                Ok(pair) => {
                    self.pairs.insert(pair.instrument.symbol.clone(), pair);
                }
                Err(_) => self.refused += 1,
            }
        }
    }

    /// The frame that asks for the list.
    #[must_use]
    pub fn request() -> &'static str {
        r#"{"method":"subscribe","params":{"channel":"instrument","snapshot":true},"req_id":0}"#
    }

    /// The pair of that name, as the v2 channels write it: `BTC/USD`.
    #[must_use]
    pub fn get(&self, symbol: &str) -> Option<&Pair> {
        self.pairs.get(symbol)
    }

    /// How many pairs it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// True before the list came.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// How many descriptions of pairs could not be represented.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Known names close to one that is not, the best first: the same pair in
    /// another spelling alone, or pairs of the asset that it names, or similar names.
    #[must_use]
    pub fn near(&self, symbol: &str) -> Vec<&str> {
        let wanted = current_name(symbol);
        let joined = |name: &str| name.replace('/', "");
        let names = || self.pairs.keys().map(String::as_str);
        if let Some(same) = names().find(|name| joined(name) == joined(&wanted)) {
            return vec![same];
        }
        let of_asset = |name: &&str| name.split('/').next() == Some(wanted.as_str());
        let distance = |name: &str| strsim::damerau_levenshtein(&wanted, name);
        let mut near: Vec<(usize, &str)> = names().map(|name| (distance(name), name)).collect();
        match names().any(|name| of_asset(&name)) {
            true => near.retain(|(_, name)| of_asset(name)),
            false => near.retain(|(distance, _)| *distance <= 2),
        }
        near.sort_unstable();
        near.into_iter().take(NEAR_MAX).map(|(_, name)| name).collect()
    }
}

/// The v2 spelling of a v1 name: upper case, `BTC` for `XBT`, `DOGE` for `XDG`.
fn current_name(symbol: &str) -> String {
    let upper = symbol.to_uppercase().replace('-', "/");
    let asset = |name: &str| match name {
        "XBT" => "BTC".to_owned(),
        "XDG" => "DOGE".to_owned(),
        other => other.to_owned(),
    };
    upper.split('/').map(asset).collect::<Vec<_>>().join("/")
}

/// Reads a pair's rules.
///
/// # Errors
/// A number that does not fit the pair's own precision, or more decimals than
/// the ledger can hold.
pub fn pair(data: &PairData<'_>) -> Result<Pair, FrameError> {
    let limit = Instrument::DECIMALS_MAX;
    let (price_decimals, qty_decimals) = (data.price_precision, data.qty_precision);
    // Each alone first: their sum could overflow before it is compared.
    if price_decimals > limit || qty_decimals > limit || price_decimals + qty_decimals > limit {
        let decimals = i64::from(price_decimals) + i64::from(qty_decimals);
        return Err(FrameError::Range { field: "precision", value: decimals });
    }
    let instrument = Instrument {
        symbol: data.symbol.clone().into_owned(),
        base: data.base.clone().into_owned(),
        quote: data.quote.clone().into_owned(),
        price_decimals,
        qty_decimals,
        price_increment: Price(parse::rule(
            "price_increment",
            data.price_increment,
            price_decimals,
        )?),
        qty_increment: Qty(parse::rule("qty_increment", data.qty_increment, qty_decimals)?),
        qty_min: Qty(parse::rule("qty_min", data.qty_min, qty_decimals)?),
        cost_min: data
            .cost_min
            .map_or(Ok(crate::domain::Money::ZERO), |raw| parse::money("cost_min", raw))?,
        short_allowed: data.marginable,
    };
    for (field, value) in [
        ("price_increment", instrument.price_increment.0),
        ("qty_increment", instrument.qty_increment.0),
    ] {
        if value == 0 {
            return Err(FrameError::Range { field, value });
        }
    }
    Ok(Pair { instrument, status: pair_status(&data.status) })
}

/// What a pair's state means. One that is not known is taken for a pause.
fn pair_status(status: &str) -> TradingStatus {
    match status {
        "online" => TradingStatus::Trading,
        "cancel_only" => TradingStatus::CancelOnly,
        "post_only" => TradingStatus::PostOnly,
        "limit_only" => TradingStatus::LimitOnly,
        "reduce_only" => TradingStatus::ReduceOnly,
        _ => TradingStatus::Paused,
    }
}

/// What the system's state means. One that is not known is taken for a pause.
pub(super) fn system_status(system: &str) -> TradingStatus {
    match system {
        "online" => TradingStatus::Trading,
        "cancel_only" => TradingStatus::CancelOnly,
        "post_only" => TradingStatus::PostOnly,
        _ => TradingStatus::Paused,
    }
}

/// The one of two that forbids more.
pub(super) fn stricter(a: TradingStatus, b: TradingStatus) -> TradingStatus {
    let rank = |status| match status {
        TradingStatus::Stale => 6,
        TradingStatus::Paused => 5,
        TradingStatus::CancelOnly => 4,
        TradingStatus::PostOnly => 3,
        TradingStatus::LimitOnly => 2,
        TradingStatus::ReduceOnly => 1,
        TradingStatus::Trading => 0,
    };
    if rank(a) >= rank(b) { a } else { b }
}
