//! How single things of the engine look when they are shown.

use crate::domain::decimal::{div_rounded, pow10};
use crate::domain::{Cause, Instrument, Money, Price, Qty, Rounding, Side, SymbolId};
use crate::engine::{Engine, LaneRef, LaneState};
use crate::input::TradingStatus;
use crate::market::{Candle, CandleSeries, Market};
use crate::output::printable;
use crate::portfolio::RoundTrip;
use crate::portfolio::metrics::Curve;

use super::build::TEXT_MAX;
use super::hub::Point;
use super::model::{Book, Level, Position, Print, Symbol, Trade};

/// Levels of a book that are shown, a side.
const LEVELS: usize = 25;
/// Prints of a symbol that are shown.
const PRINTS: usize = 50;

pub(super) fn numbers(instrument: &Instrument, candle: &Candle) -> [f64; 6] {
    let price = |units: i64| instrument.price_f64(Price(units));
    [
        (candle.open_ts / 1_000_000_000) as f64,
        price(candle.open),
        price(candle.high),
        price(candle.low),
        price(candle.close),
        instrument.qty_f64(Qty(candle.volume)),
    ]
}

/// Amount for each unit of the base asset as money text, rounded down.
pub(super) fn amount_per_unit(instrument: &Instrument, amount: Money, qty: Qty) -> Option<String> {
    let scaled = amount.0.checked_mul(pow10(u32::from(instrument.qty_decimals))?)?;
    (qty.0 > 0).then(|| Money(div_rounded(scaled, qty.0.into(), Rounding::Floor)).to_string())
}

pub(super) fn trade(
    instrument: &Instrument,
    trip: &RoundTrip,
    cause: Cause,
    reason: &str,
) -> Trade {
    let price = |price: Option<f64>| price.map(|price| format!("{price:.8}"));
    let exit = if cause == Cause::Strategy && !reason.is_empty() {
        printable(reason, TEXT_MAX)
    } else {
        cause.name().into()
    };
    Trade {
        n: trip.id,
        symbol: instrument.symbol.clone(),
        side: if trip.short { "short" } else { "long" }.into(),
        quantity: instrument.qty_text(trip.qty_max),
        entry_ns: trip.opened.0.to_string(),
        exit_ns: trip.closed.0.to_string(),
        entry_price: price(trip.entry_price(instrument)),
        exit_price: price(trip.exit_price(instrument)),
        fees: trip.fees.to_string(),
        pnl: trip.net().to_string(),
        pnl_pct: trip.net_pct(),
        mae_pct: trip.mae_pct(),
        mfe_pct: trip.mfe_pct(),
        duration_s: trip.closed.since(trip.opened) as f64 / 1e9,
        exit_reason: exit,
    }
}

/// A ledger's curve as it is drawn: each bucket's last equity, with the deepest
/// fall that is sure to have been in it.
pub(super) fn curve(of: &Curve) -> Vec<Point> {
    let mut peak = f64::MIN;
    let points = of.points().iter().map(|point| {
        let (min, max, last) = (point.min.to_f64(), point.max.to_f64(), point.last.to_f64());
        // Whether the lowest came before the highest is not known of one bucket.
        let before = peak;
        peak = peak.max(max);
        let fall = |from: f64, to: f64| if from > 0.0 { 100.0 * (from - to) / from } else { 0.0 };
        let deepest = fall(before, min).max(fall(peak, last)).max(0.0);
        [(point.ts.0 / 1_000_000) as f64, last, deepest]
    });
    points.collect()
}

/// At most `n` values of a curve, evenly chosen, the newest always among them.
pub(super) fn sparks(curve: &[Point], n: usize) -> Vec<f64> {
    let step = curve.len().div_ceil(n).max(1);
    let mut values: Vec<f64> = curve.iter().rev().step_by(step).map(|point| point[1]).collect();
    values.reverse();
    values
}

/// A position with what it is worth at its mark.
pub(super) fn position(
    engine: &Engine,
    lane: LaneRef<'_>,
    symbol: &str,
    quantity: &str,
    entry: f64,
) -> (Position, Option<f64>) {
    let found = engine.instruments().find(symbol);
    let bracket = lane.instruments.find(symbol).map(|own| lane.brackets.get(own));
    let level = |price: Option<Price>| {
        let own = lane.instruments.find(symbol)?;
        Some(lane.instruments.at(own).price_text(price?))
    };
    let mark = found.and_then(|id| {
        let twice = engine.market().top(id).mark2();
        let instrument = engine.instruments().at(id);
        (twice > 0).then(|| instrument.price_f64(Price(twice)) / 2.0)
    });
    let decimals = found.map_or(2, |id| usize::from(engine.instruments().at(id).price_decimals));
    let qty: f64 = quantity.parse().unwrap_or(0.0);
    let view = Position {
        strategy: lane.name.to_owned(),
        symbol: symbol.to_owned(),
        quantity: quantity.trim_start_matches('-').to_owned(),
        side: if quantity.starts_with('-') { "short" } else { "long" }.into(),
        entry_price: format!("{entry:.decimals$}"),
        mark: mark.map(|mark| format!("{mark:.decimals$}")),
        unrealized: mark.map(|mark| format!("{:.8}", (mark - entry) * qty)),
        stop: level(bracket.and_then(|bracket| bracket.stop)),
        target: level(bracket.and_then(|bracket| bracket.target)),
    };
    (view, mark.map(|mark| (mark * qty).abs()))
}

/// The stops and targets that are not what `known` says, which learns them.
pub(super) fn changes(known: &mut Vec<Level>, positions: &[Position], ts: i64) -> Vec<Level> {
    let mut changed = Vec::new();
    let held = |level: &Level| positions.iter().any(|position| position.symbol == level.symbol);
    for gone in known.extract_if(.., |level| !held(level)) {
        let set = gone.stop.is_some() || gone.target.is_some();
        let ended = Level { ts_ns: ts.to_string(), stop: None, target: None, ..gone };
        changed.extend(set.then_some(ended));
    }
    for position in positions {
        let level = Level {
            ts_ns: ts.to_string(),
            symbol: position.symbol.clone(),
            stop: position.stop.clone(),
            target: position.target.clone(),
        };
        match known.iter_mut().find(|old| old.symbol == level.symbol) {
            Some(old) if old.stop == level.stop && old.target == level.target => {}
            Some(old) => {
                old.clone_from(&level);
                changed.push(level);
            }
            None => {
                known.push(level.clone());
                changed.extend((level.stop.is_some() || level.target.is_some()).then_some(level));
            }
        }
    }
    changed
}

/// Where a strategy stands, with the particulars.
pub(super) fn status(state: &LaneState) -> (&'static str, Option<String>) {
    let text = |text: &str| Some(printable(text, TEXT_MAX));
    match state {
        LaneState::Running => ("running", None),
        LaneState::Paused => ("paused", None),
        LaneState::Halted(why) => ("halted", text(why)),
        LaneState::Stopped => ("stopped", None),
        LaneState::Quarantined(fault) => ("quarantined", text(&fault.to_string())),
        LaneState::Restarting { fault, .. } => ("restarting", text(&format!("after {fault}"))),
    }
}

pub(super) fn status_name(status: TradingStatus) -> &'static str {
    match status {
        TradingStatus::Trading => "trading",
        TradingStatus::Stale => "stale",
        TradingStatus::Paused => "paused",
        TradingStatus::CancelOnly => "cancel-only",
        TradingStatus::PostOnly => "post-only",
        TradingStatus::LimitOnly => "limit-only",
        TradingStatus::ReduceOnly => "reduce-only",
    }
}

pub(super) fn symbols(engine: &Engine, starts: &mut [Option<i64>]) -> Vec<Symbol> {
    let market: &Market = engine.market();
    engine
        .instruments()
        .iter()
        .zip(starts)
        .map(|((id, instrument), start)| {
            let top = market.top(id);
            let text = |units: i64| (units > 0).then(|| instrument.price_text(Price(units)));
            let both = top.bid > 0 && top.ask > 0;
            if start.is_none() && top.mark2() > 0 {
                *start = Some(top.mark2());
            }
            Symbol {
                symbol: instrument.symbol.clone(),
                bid: text(top.bid),
                ask: text(top.ask),
                last: text(top.last),
                spread_bps: both
                    .then(|| 20_000.0 * (top.ask - top.bid) as f64 / (top.ask + top.bid) as f64),
                status: status_name(top.status).into(),
                intervals: market.series(id).iter().map(CandleSeries::interval_s).collect(),
                change_pct: start.map(|start| 100.0 * (top.mark2() - start) as f64 / start as f64),
            }
        })
        .collect()
}

pub(super) fn book_and_tape(engine: &Engine, symbol: SymbolId) -> (Book, Vec<Print>) {
    let instrument = engine.instruments().at(symbol);
    let market = engine.market();
    let level = |(price, qty): (i64, i64)| {
        [instrument.price_text(Price(price)), instrument.qty_text(Qty(qty))]
    };
    let book = market.book(symbol);
    let prints = market.trades(symbol, u64::MAX, PRINTS).map(|past| Print {
        ts_ns: past.ts.0.to_string(),
        price: instrument.price_text(past.trade.price),
        quantity: instrument.qty_text(past.trade.qty),
        side: if past.trade.side == Side::Buy { "buy" } else { "sell" }.into(),
    });
    let view = Book {
        symbol: instrument.symbol.clone(),
        status: status_name(market.top(symbol).status).into(),
        bids: book.bids().take(LEVELS).map(level).collect(),
        asks: book.asks().take(LEVELS).map(level).collect(),
    };
    (view, prints.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_and_targets_are_told_when_they_change_and_when_they_end() {
        let position = |symbol: &str, stop: Option<&str>| Position {
            strategy: "one".into(),
            symbol: symbol.into(),
            quantity: "1".into(),
            side: "long".into(),
            entry_price: "100".into(),
            mark: None,
            unrealized: None,
            stop: stop.map(str::to_owned),
            target: None,
        };
        let mut known = Vec::new();
        let mut told = |positions: &[Position], ts| -> Vec<(String, String, Option<String>)> {
            let changed = changes(&mut known, positions, ts).into_iter();
            changed.map(|level| (level.ts_ns, level.symbol, level.stop)).collect()
        };
        let says = |ts: &str, symbol: &str, stop: Option<&str>| {
            vec![(ts.to_owned(), symbol.to_owned(), stop.map(str::to_owned))]
        };
        let held = [position("A", Some("90")), position("B", None)];
        assert_eq!(told(&held, 1), says("1", "A", Some("90")), "one without is no news");
        assert_eq!(told(&held, 2), [], "as before");
        let moved = [position("A", Some("95")), position("B", None)];
        assert_eq!(told(&moved, 3), says("3", "A", Some("95")));
        assert_eq!(told(&moved[1..], 4), says("4", "A", None), "the position is gone");
        assert_eq!(told(&[], 5), [], "B never had one");
        assert_eq!(told(&held, 6), says("6", "A", Some("90")), "a new position");
    }

    #[test]
    fn a_curve_shows_falls_between_its_points_and_sparks_end_at_now() {
        let mut ledger = Curve::default();
        let second = crate::domain::Ts::SECOND;
        for (at, equity) in [(0, 100), (1, 120), (2, 60), (2, 110), (3, 115)] {
            ledger.push(at * second, Money(equity * 100_000_000));
        }
        let points = curve(&ledger);
        let rounded: Vec<[f64; 3]> =
            points.iter().map(|p| [p[0], p[1], (p[2] * 100.0).round() / 100.0]).collect();
        assert_eq!(
            rounded,
            [
                [0.0, 100.0, 0.0],
                [1_000.0, 120.0, 0.0],
                [2_000.0, 110.0, 50.0],
                [3_000.0, 115.0, 4.17]
            ]
        );
        assert_eq!(sparks(&points, 2), [120.0, 115.0]);
        assert_eq!(sparks(&points, 60).len(), 4);
        assert!(sparks(&[], 60).is_empty());
    }
}
