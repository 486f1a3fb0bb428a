//! Every rule of the table, by the harness.

use strategy_sdk::testing::{Harness, Setup};
use strategy_sdk::types::{Order, Value};

use super::*;

type Outcome = Result<(), String>;

fn actions(harness: &Harness<MeanReversion>) -> Vec<Action> {
    harness.orders().iter().map(|sent| sent.order.action).collect()
}

fn last(harness: &Harness<MeanReversion>) -> Result<Order, String> {
    harness.last_order().map(|sent| sent.order.clone()).ok_or_else(|| "no order".to_owned())
}

/// A strategy that has seen twenty candles of warm-up history rising and falling
/// by a cent around 2.00, so that RSI stands near 50 and the bands half a percent
/// away on either side.
fn warmed(setup: Setup) -> Result<Harness<MeanReversion>, String> {
    let mut harness = setup.start()?;
    for n in 0..24 {
        let close = if n % 2 == 0 { 2.01 } else { 1.99 };
        harness.candle_with(INTERVAL_S, close, 1.0, |candle| candle.warm_up = true);
    }
    assert!(harness.orders().is_empty());
    Ok(harness)
}

fn fall(harness: &mut Harness<MeanReversion>) {
    harness.candle(INTERVAL_S, 1.80, 1.0);
}

fn rise(harness: &mut Harness<MeanReversion>) {
    harness.candle(INTERVAL_S, 2.20, 1.0);
}

#[test]
fn parameters_have_the_known_names_and_defaults() {
    let parameters = MeanReversion::describe().parameters;
    let got: Vec<(&str, Value)> =
        parameters.iter().map(|p| (p.name.as_str(), p.default.clone())).collect();
    let expect = [
        ("lookback_candles", Value::Integer(20)),
        ("deviation_threshold", Value::Number(0.5)),
        ("position_size_usd", Value::Number(20.0)),
        ("rsi_oversold", Value::Number(35.0)),
        ("rsi_overbought", Value::Number(65.0)),
        ("take_profit_pct", Value::Number(0.4)),
        ("stop_loss_pct", Value::Number(0.6)),
        ("max_position", Value::Number(50.0)),
    ];
    assert_eq!(got, expect);
}

#[test]
fn buys_near_the_lower_band_when_oversold() -> Outcome {
    let mut harness = warmed(Setup::new())?;
    fall(&mut harness);
    let order = last(&harness)?;
    assert_eq!(order.reason, "near the lower band and oversold");
    assert_eq!((order.action, order.size), (Action::Buy, Size::Base(20.0 / 1.80)));
    assert_eq!(order.stop_loss, Some(1.80 * (1.0 - 0.6 / 100.0)));
    assert_eq!(order.take_profit, Some(1.80 * (1.0 + 0.4 / 100.0)));
    Ok(())
}

#[test]
fn shorts_near_the_upper_band_when_overbought_and_flat() -> Outcome {
    let mut harness = warmed(Setup::new())?;
    rise(&mut harness);
    let order = last(&harness)?;
    assert_eq!(order.reason, "near the upper band and overbought");
    assert_eq!((order.action, order.size), (Action::Short, Size::Base(20.0 / 2.20)));
    assert_eq!(order.stop_loss, Some(2.20 * (1.0 + 0.6 / 100.0)));
    assert_eq!(order.take_profit, Some(2.20 * (1.0 - 0.4 / 100.0)));
    Ok(())
}

#[test]
fn band_counts_only_when_rsi_agrees() -> Outcome {
    let strict = Setup::new()
        .param("rsi_oversold", Value::Number(1.0))
        .param("rsi_overbought", Value::Number(99.0));
    let mut harness = warmed(strict.clone())?;
    fall(&mut harness);
    assert!(harness.orders().iter().all(|sent| sent.order.reason.contains("VWAP")));
    let mut harness = warmed(strict)?;
    rise(&mut harness);
    assert!(harness.orders().is_empty());
    Ok(())
}

#[test]
fn distance_from_the_band_counts() -> Outcome {
    // With RSI out of the way the band alone decides.
    let loose = |near: f64| {
        Setup::new()
            .param("rsi_oversold", Value::Number(100.0))
            .param("deviation_threshold", Value::Number(near))
    };
    for (near, expect) in [(0.1, 0), (1.1, 1)] {
        let mut harness = warmed(loose(near))?;
        harness.candle(INTERVAL_S, 2.0, 1.0);
        assert_eq!(harness.orders().len(), expect, "within {near} %");
    }
    Ok(())
}

#[test]
fn long_is_sold_whole_at_the_upper_band() -> Outcome {
    let wide = Setup::new()
        .param("take_profit_pct", Value::Number(50.0))
        .param("stop_loss_pct", Value::Number(50.0));
    let mut harness = warmed(wide)?;
    fall(&mut harness);
    assert!(harness.position().is_long());
    for close in [2.0, 2.1, 2.2, 2.3] {
        harness.candle(INTERVAL_S, close, 1.0);
        if harness.position().is_flat() {
            break;
        }
    }
    assert_eq!((last(&harness)?.action, last(&harness)?.size), (Action::Sell, Size::All));
    Ok(())
}

#[test]
fn short_is_covered_whole_before_anything_is_bought() -> Outcome {
    let wide = Setup::new()
        .param("take_profit_pct", Value::Number(50.0))
        .param("stop_loss_pct", Value::Number(50.0));
    let mut harness = warmed(wide)?;
    rise(&mut harness);
    assert!(harness.position().is_short());
    for close in [2.0, 1.9, 1.8, 1.7] {
        harness.candle(INTERVAL_S, close, 1.0);
        if harness.position().is_flat() {
            break;
        }
    }
    assert_eq!((last(&harness)?.action, last(&harness)?.size), (Action::Cover, Size::All));
    assert!(!actions(&harness).contains(&Action::Buy));
    Ok(())
}

#[test]
fn buys_half_under_vwap_with_a_neutral_rsi() -> Outcome {
    // The bands are out of reach, and the volume traded higher than the closes.
    let setup = Setup::new().param("rsi_oversold", Value::Number(0.0));
    for (vwap, expect) in [(2.02, 1), (2.001, 0)] {
        let mut harness: Harness<MeanReversion> = setup.clone().start()?;
        for n in 0..24 {
            let close = if n % 2 == 0 { 2.01 } else { 1.99 };
            harness.candle_with(INTERVAL_S, close, 1.0, |candle| {
                candle.warm_up = true;
                candle.vwap = vwap;
            });
        }
        harness.candle_with(INTERVAL_S, 2.0, 1.0, |candle| candle.vwap = vwap);
        assert_eq!(harness.orders().len(), expect, "VWAP {vwap}");
        if expect == 1 {
            let order = last(&harness)?;
            assert_eq!((order.action, order.size), (Action::Buy, Size::Base(10.0 / 2.0)));
            assert_eq!(order.reason, "under VWAP with a neutral RSI");
        }
    }
    Ok(())
}

#[test]
fn position_grows_to_its_maximum_and_no_further() -> Outcome {
    let setup = Setup::new()
        .param("max_position", Value::Number(15.0))
        .param("stop_loss_pct", Value::Number(50.0))
        .param("take_profit_pct", Value::Number(50.0));
    let mut harness = warmed(setup)?;
    for step in 0..8 {
        harness.candle(INTERVAL_S, 1.95 - 0.02 * f64::from(step), 1.0);
    }
    assert!((harness.position().quantity - 15.0).abs() < 1e-9, "{:?}", harness.position());
    assert!(harness.updates().iter().all(|update| update.status != OrderStatus::Rejected));
    Ok(())
}

#[test]
fn warm_up_fills_indicators_and_sends_nothing() -> Outcome {
    let mut harness: Harness<MeanReversion> = Setup::new().start()?;
    for step in 0..30 {
        let close = 2.0 - 0.01 * f64::from(step);
        harness.candle_with(INTERVAL_S, close, 1.0, |candle| candle.warm_up = true);
    }
    assert!(harness.orders().is_empty());
    harness.candle(INTERVAL_S, 1.6, 1.0);
    assert_eq!(actions(&harness), [Action::Buy], "indicators were ready at once");
    Ok(())
}

#[test]
fn waits_for_its_order() -> Outcome {
    let mut harness = warmed(Setup::new())?;
    harness.fill_at_once(false);
    fall(&mut harness);
    let sent = harness.orders().len();
    harness.candle(INTERVAL_S, 1.75, 1.0);
    assert_eq!((sent, harness.orders().len()), (1, 1));
    assert!(harness.position().is_flat());
    Ok(())
}

#[test]
fn publishes_its_bands_vwap_and_rsi_once_they_have_values() -> Outcome {
    let mut harness = Setup::new().start()?;
    harness.candle(INTERVAL_S, 2.0, 1.0);
    let newest = |harness: &Harness<MeanReversion>, name: &str| {
        harness.indicator(&format!("{name} XRP/USD")).last().copied()
    };
    assert_eq!(newest(&harness, "upper band"), None, "one candle makes no band");
    for _ in 0..24 {
        harness.candle(INTERVAL_S, 2.0, 1.0);
    }
    for name in ["lower band", "upper band", "VWAP"] {
        let value = newest(&harness, name).ok_or(name)?;
        assert!((value - 2.0).abs() < 1e-9, "{name} of a flat market: {value}");
    }
    assert!(newest(&harness, "RSI").is_some());
    Ok(())
}
