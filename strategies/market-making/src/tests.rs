//! Every rule of the table, by the harness.

use strategy_sdk::testing::{Harness, Setup};
use strategy_sdk::types::Value;

use super::*;

type Outcome = Result<(), String>;

const BID: f64 = 1.9985;
const ASK: f64 = 2.0015;

/// Feeds a book around 2.00 with a spread of 0.15 % and this imbalance.
#[track_caller]
fn book(harness: &mut Harness<MarketMaking>, imbalance: f64) {
    book_at(harness, BID, ASK, imbalance);
}

#[track_caller]
fn book_at(harness: &mut Harness<MarketMaking>, bid: f64, ask: f64, imbalance: f64) {
    harness.advance_ns(1_000_000_000);
    harness.book(&[(bid, 100.0 * (1.0 + imbalance))], &[(ask, 100.0 * (1.0 - imbalance))]);
}

fn actions(harness: &Harness<MarketMaking>) -> Vec<Action> {
    harness.orders().iter().map(|sent| sent.order.action).collect()
}

fn number(name: &str, value: f64) -> Setup {
    Setup::new().param(name, Value::Number(value))
}

#[test]
fn parameters_have_the_known_names_and_defaults() {
    let parameters = MarketMaking::describe().parameters;
    let got: Vec<(&str, Value)> =
        parameters.iter().map(|p| (p.name.as_str(), p.default.clone())).collect();
    let expect = [
        ("min_spread_pct", 0.1),
        ("position_size_usd", 20.0),
        ("max_inventory", 100.0),
        ("inventory_skew", 0.5),
        ("take_profit_pct", 0.3),
        ("stop_loss_pct", 0.5),
    ];
    assert_eq!(got, expect.map(|(name, value)| (name, Value::Number(value))));
}

#[test]
fn parameter_out_of_range_is_refused() {
    let error = number("inventory_skew", 1.5).start::<MarketMaking>().err();
    assert_eq!(error.as_deref(), Some("parameter inventory_skew: 1.5 is outside 0 to 1"));
}

#[test]
fn narrow_spread_is_left_alone() -> Outcome {
    let mut harness = Harness::<MarketMaking>::start()?;
    book_at(&mut harness, 2.0000, 2.0019, 0.9);
    assert!(harness.orders().is_empty());
    book_at(&mut harness, 2.0000, 2.0021, 0.9);
    assert_eq!(actions(&harness), [Action::Buy]);
    Ok(())
}

#[test]
fn flat_buys_and_shorts_beyond_a_tenth() -> Outcome {
    for (imbalance, expect) in
        [(0.11, Some(Action::Buy)), (-0.11, Some(Action::Short)), (0.09, None), (-0.09, None)]
    {
        let mut harness = Harness::<MarketMaking>::start()?;
        book(&mut harness, imbalance);
        assert_eq!(actions(&harness), expect.into_iter().collect::<Vec<_>>(), "at {imbalance}");
    }
    Ok(())
}

#[test]
fn long_is_sold_whole_beyond_a_fifth_and_not_before() -> Outcome {
    let mut harness = Harness::<MarketMaking>::start()?;
    book(&mut harness, 0.5);
    book(&mut harness, -0.19);
    assert_eq!(actions(&harness), [Action::Buy], "neither sells nor shorts while long");
    book(&mut harness, -0.21);
    assert_eq!(actions(&harness), [Action::Buy, Action::Sell]);
    assert!(harness.position().is_flat());
    Ok(())
}

#[test]
fn short_is_covered_whole_beyond_a_fifth_and_not_before() -> Outcome {
    let mut harness = Harness::<MarketMaking>::start()?;
    book(&mut harness, -0.5);
    book(&mut harness, 0.19);
    assert_eq!(actions(&harness), [Action::Short], "neither covers nor buys while short");
    book(&mut harness, 0.21);
    assert_eq!(actions(&harness), [Action::Short, Action::Cover]);
    assert!(harness.position().is_flat());
    Ok(())
}

#[test]
fn exits_are_percentages_of_the_entry() -> Outcome {
    for (imbalance, price, stop, target) in [(0.5, ASK, 0.995, 1.003), (-0.5, BID, 1.005, 0.997)] {
        let mut harness = Harness::<MarketMaking>::start()?;
        book(&mut harness, imbalance);
        let order = harness.last_order().ok_or("no order")?.order.clone();
        let (stop_loss, take_profit) = order.stop_loss.zip(order.take_profit).ok_or("no exits")?;
        assert!((stop_loss - price * stop).abs() < 1e-12, "{stop_loss}");
        assert!((take_profit - price * target).abs() < 1e-12, "{take_profit}");
    }
    Ok(())
}

#[test]
fn stop_inside_the_spread_is_not_opened_with() -> Outcome {
    for imbalance in [0.5, -0.5] {
        let mut harness = Harness::<MarketMaking>::start()?;
        book_at(&mut harness, 1.99, 2.01, imbalance);
        assert!(harness.orders().is_empty(), "at {imbalance}");
    }
    Ok(())
}

#[test]
fn size_shrinks_with_inventory_to_a_tenth() -> Outcome {
    let setup = number("inventory_skew", 1.0).param("max_inventory", Value::Number(20.0));
    let mut harness: Harness<MarketMaking> = setup.start()?;
    let mut held = 0.0_f64;
    for step in 0..4 {
        book(&mut harness, 0.5);
        let Size::Base(quantity) = harness.last_order().ok_or("no order")?.order.size else {
            return Err("size is not in base units".to_owned());
        };
        let factor = (1.0 - held / 20.0).max(0.1);
        assert!((quantity - 20.0 * factor / ASK).abs() < 1e-9, "order {step}: {quantity}");
        held += quantity;
    }
    Ok(())
}

#[test]
fn med_012_inventory_in_base_units_never_passes_its_maximum() -> Outcome {
    let setup = number("max_inventory", 25.0).param("inventory_skew", Value::Number(0.0));
    let mut harness: Harness<MarketMaking> = setup.start()?;
    for _ in 0..10 {
        book(&mut harness, 0.5);
        assert!(harness.position().quantity <= 25.0 + 1e-9);
    }
    assert!((harness.position().quantity - 25.0).abs() < 1e-9);
    assert_eq!(harness.orders().len(), 3, "no order once it is full");
    Ok(())
}

#[test]
fn one_order_at_a_time_and_no_fill_is_assumed() -> Outcome {
    let mut harness = Harness::<MarketMaking>::start()?;
    harness.fill_at_once(false);
    book(&mut harness, 0.5);
    book(&mut harness, 0.5);
    assert_eq!(harness.orders().len(), 1);
    let first = harness.last_order().ok_or("no order")?.id;
    harness.fill_part(first, 1.0, ASK);
    book(&mut harness, -0.5);
    assert_eq!(harness.orders().len(), 1, "a partial fill leaves the order open");
    harness.fill(first, ASK);
    book(&mut harness, -0.5);
    assert_eq!(actions(&harness), [Action::Buy, Action::Sell]);
    Ok(())
}

#[test]
fn refusal_is_not_repeated_within_a_minute() -> Outcome {
    let mut harness = Harness::<MarketMaking>::start()?;
    harness.reject_all(Some(RejectReason::RiskLimit));
    for _ in 0..60 {
        book(&mut harness, 0.5);
    }
    assert_eq!(harness.orders().len(), 1);
    book(&mut harness, 0.5);
    assert_eq!(harness.orders().len(), 2);
    Ok(())
}

#[test]
fn buys_only_what_the_cash_pays_for() -> Outcome {
    let mut harness: Harness<MarketMaking> = Setup::new().cash(45.0).start()?;
    for _ in 0..10 {
        book(&mut harness, 0.5);
    }
    assert!(harness.cash() >= 0.0);
    assert!(harness.updates().iter().all(|update| update.status != OrderStatus::Rejected));
    Ok(())
}

#[test]
fn stale_market_is_not_traded() -> Outcome {
    let mut harness = Harness::<MarketMaking>::start()?;
    harness.status(Symbol(0), MarketStatus::Stale);
    book(&mut harness, 0.5);
    assert!(harness.orders().is_empty());
    harness.status(Symbol(0), MarketStatus::Trading);
    book(&mut harness, 0.5);
    assert_eq!(harness.orders().len(), 1);
    Ok(())
}

#[test]
fn symbols_do_not_share_inventory() -> Outcome {
    let setup = Setup::new().symbol("XRP/USD").symbol("ADA/USD");
    let mut harness: Harness<MarketMaking> = setup.start()?;
    book(&mut harness, 0.5);
    harness.book_of(Symbol(1), true, &[(0.999, 1.0)], &[(1.001, 9.0)]);
    assert!(harness.position_of(Symbol(0)).is_long());
    assert!(harness.position_of(Symbol(1)).is_short());
    Ok(())
}
