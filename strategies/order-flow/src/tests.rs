//! Every rule of the table, by the harness.

use strategy_sdk::testing::{Harness, Setup};
use strategy_sdk::types::Value;

use super::*;

type Outcome = Result<(), String>;

const PRICE: f64 = 2.0;

/// Looks back on ten trades and does not cool down, so that tests stay short.
fn setup() -> Setup {
    Setup::new()
        .symbol("XRP/USD")
        .param("lookback_trades", Value::Integer(10))
        .param("cooldown_trades", Value::Integer(0))
}

/// A strategy that has seen ten trades of one unit each, bought and sold in turn.
fn warmed(setup: Setup) -> Result<Harness<OrderFlow>, String> {
    let mut harness = setup.start()?;
    for _ in 0..5 {
        harness.trade(PRICE, 1.0, Side::Buy);
        harness.trade(PRICE, 1.0, Side::Sell);
    }
    assert!(harness.orders().is_empty());
    Ok(harness)
}

fn actions(harness: &Harness<OrderFlow>) -> Vec<Action> {
    harness.orders().iter().map(|sent| sent.order.action).collect()
}

fn last(harness: &Harness<OrderFlow>) -> Result<Order, String> {
    harness.last_order().map(|sent| sent.order.clone()).ok_or_else(|| "no order".to_owned())
}

use strategy_sdk::types::Order;

#[test]
fn parameters_have_the_known_names_and_defaults() {
    let parameters = OrderFlow::describe().parameters;
    let got: Vec<(&str, Value)> =
        parameters.iter().map(|p| (p.name.as_str(), p.default.clone())).collect();
    let expect = [
        ("imbalance_threshold", Value::Number(0.3)),
        ("volume_spike_mult", Value::Number(2.0)),
        ("position_size_usd", Value::Number(25.0)),
        ("lookback_trades", Value::Integer(50)),
        ("cooldown_trades", Value::Integer(10)),
        ("take_profit_pct", Value::Number(0.5)),
        ("stop_loss_pct", Value::Number(0.3)),
    ];
    assert_eq!(got, expect);
    assert_eq!(OrderFlow::describe().symbols, ["XRP/USD", "BTC/USD"]);
}

#[test]
fn buys_a_spike_of_buying() -> Outcome {
    let mut harness = warmed(setup())?;
    harness.trade(PRICE, 20.0, Side::Buy);
    let order = last(&harness)?;
    assert_eq!((order.action, order.size), (Action::Buy, Size::Base(12.5)));
    assert_eq!(order.stop_loss, Some(PRICE * (1.0 - 0.3 / 100.0)));
    assert_eq!(order.take_profit, Some(PRICE * (1.0 + 0.5 / 100.0)));
    Ok(())
}

#[test]
fn spike_needs_size_side_and_imbalance() -> Outcome {
    // Of one unit each before, twice the mean is two units.
    for (quantity, expect) in [(2.0, 0), (2.1, 1)] {
        let loose = setup().param("imbalance_threshold", Value::Number(0.0));
        let mut harness = warmed(loose)?;
        harness.trade(PRICE, quantity, Side::Buy);
        assert_eq!(harness.orders().len(), expect, "quantity {quantity}");
    }
    // 3 bought against 5 sold before leans to 7 against 4: (7 − 4) / 11 < 0.3.
    let mut harness = warmed(setup())?;
    harness.trade(PRICE, 3.0, Side::Buy);
    assert!(harness.orders().is_empty(), "imbalance below the threshold");
    Ok(())
}

#[test]
fn shorts_a_spike_of_selling_when_flat() -> Outcome {
    let mut harness = warmed(setup())?;
    harness.trade(PRICE, 20.0, Side::Sell);
    let order = last(&harness)?;
    assert_eq!((order.action, order.size), (Action::Short, Size::Base(12.5)));
    assert_eq!(order.stop_loss, Some(PRICE * (1.0 + 0.3 / 100.0)));
    assert_eq!(order.take_profit, Some(PRICE * (1.0 - 0.5 / 100.0)));
    Ok(())
}

#[test]
fn spike_of_selling_sells_what_is_held() -> Outcome {
    let mut harness = warmed(setup())?;
    harness.trade(PRICE, 20.0, Side::Buy);
    harness.trade(PRICE, 100.0, Side::Sell);
    assert_eq!(actions(&harness), [Action::Buy, Action::Sell]);
    assert_eq!(last(&harness)?.size, Size::All);
    assert!(harness.position().is_flat());
    Ok(())
}

#[test]
fn spike_of_buying_covers_a_short_before_it_buys() -> Outcome {
    let mut harness = warmed(setup())?;
    harness.trade(PRICE, 20.0, Side::Sell);
    harness.trade(PRICE, 100.0, Side::Buy);
    assert_eq!(actions(&harness), [Action::Short, Action::Cover]);
    harness.trade(PRICE, 500.0, Side::Buy);
    assert_eq!(actions(&harness), [Action::Short, Action::Cover, Action::Buy]);
    Ok(())
}

#[test]
fn position_is_not_added_to() -> Outcome {
    let mut harness = warmed(setup())?;
    harness.trade(PRICE, 20.0, Side::Buy);
    harness.trade(PRICE, 500.0, Side::Buy);
    assert_eq!(actions(&harness), [Action::Buy]);
    Ok(())
}

#[test]
fn buys_a_dip_under_vwap_with_three_quarters_and_vwap_as_target() -> Outcome {
    let mut harness = warmed(setup())?;
    // 6.6 bought against 4 sold: (6.6 − 4) / 10.6 is 0.245, above 0.7 × 0.3.
    harness.trade(PRICE, 1.9, Side::Buy);
    harness.trade(PRICE, 1.7, Side::Buy);
    assert!(harness.orders().is_empty());
    harness.trade(1.99, 1.0, Side::Buy);
    let order = last(&harness)?;
    assert_eq!(order.action, Action::Buy);
    assert_eq!(order.size, Size::Base(0.75 * 25.0 / 1.99));
    let vwap = (PRICE * 10.6 + 1.99 * 1.0) / 11.6;
    assert!(order.take_profit.is_some_and(|target| (target - vwap).abs() < 1e-9), "{order:?}");
    assert_eq!(order.stop_loss, Some(1.99 * (1.0 - 0.3 / 100.0)));
    Ok(())
}

#[test]
fn dip_needs_imbalance_and_distance() -> Outcome {
    let mut harness = warmed(setup())?;
    harness.trade(1.99, 1.0, Side::Sell);
    assert!(harness.orders().is_empty(), "sellers are stronger");
    let mut harness = warmed(setup())?;
    harness.trade(PRICE, 1.9, Side::Buy);
    harness.trade(PRICE, 1.7, Side::Buy);
    harness.trade(1.9985, 1.0, Side::Buy);
    assert!(harness.orders().is_empty(), "0.07 % under is too near");
    Ok(())
}

#[test]
fn says_nothing_before_its_window_is_full() -> Outcome {
    let mut harness: Harness<OrderFlow> = setup().start()?;
    for _ in 0..9 {
        harness.trade(PRICE, 1.0, Side::Buy);
    }
    harness.trade(PRICE, 50.0, Side::Buy);
    assert!(harness.orders().is_empty());
    harness.trade(PRICE, 500.0, Side::Buy);
    assert_eq!(harness.orders().len(), 1);
    Ok(())
}

#[test]
fn cooldown_lets_trades_pass() -> Outcome {
    let mut harness = warmed(setup().param("cooldown_trades", Value::Integer(3)))?;
    harness.trade(PRICE, 20.0, Side::Buy);
    for quantity in [1e3, 1e4, 1e5] {
        harness.trade(PRICE, quantity, Side::Sell);
        assert_eq!(actions(&harness), [Action::Buy], "still cooling down");
    }
    harness.trade(PRICE, 1e7, Side::Sell);
    assert_eq!(actions(&harness), [Action::Buy, Action::Sell]);
    Ok(())
}

#[test]
fn waits_for_its_order_and_pauses_after_a_refusal() -> Outcome {
    let mut harness = warmed(setup())?;
    harness.fill_at_once(false);
    harness.trade(PRICE, 20.0, Side::Buy);
    harness.trade(PRICE, 200.0, Side::Sell);
    assert_eq!(harness.orders().len(), 1, "an order is open");
    let first = harness.last_order().ok_or("no order")?.id;
    harness.reject(first, RejectReason::InsufficientCash);
    harness.trade(PRICE, 2e3, Side::Sell);
    assert_eq!(harness.orders().len(), 1, "the refusal is fresh");
    harness.advance_ns(60_000_000_000);
    harness.trade(PRICE, 2e5, Side::Sell);
    assert_eq!(actions(&harness), [Action::Buy, Action::Short], "nothing was ever held");
    Ok(())
}

#[test]
fn symbols_do_not_share_windows() -> Outcome {
    let two = setup().symbol("BTC/USD");
    let mut harness = warmed(two)?;
    harness.trade_of(Symbol(1), 100_000.0, 20.0, Side::Buy);
    assert!(harness.orders().is_empty(), "the other symbol's window is empty");
    Ok(())
}

#[test]
fn state_survives_a_restart_and_keeps_this_runs_parameters() -> Outcome {
    let mut before = warmed(setup())?;
    let state = before.runner().save()?;
    let mut after: Harness<OrderFlow> =
        setup().param("position_size_usd", Value::Number(50.0)).start()?;
    after.runner().load(&state, "0.1.0")?;
    after.trade(PRICE, 20.0, Side::Buy);
    assert_eq!(last(&after)?.size, Size::Base(25.0));
    Ok(())
}
