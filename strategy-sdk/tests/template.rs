//! The strategy of the README and of new projects compiles, fits its promise of
//! thirty lines, and does what it says.

include!("../templates/sma-cross.rs");

use strategy_sdk::testing::{Harness, Setup};
use strategy_sdk::types::Value;

#[test]
fn template_is_at_most_thirty_lines() {
    assert!(include_str!("../templates/sma-cross.rs").lines().count() <= 30);
}

#[test]
fn template_buys_the_cross_above_and_sells_the_cross_below() -> Result<(), String> {
    let setup = Setup::new().param("fast", Value::Integer(1)).param("slow", Value::Integer(3));
    let mut harness: Harness<SmaCross> = setup.start()?;
    for close in [100.0, 99.0, 98.0, 97.0] {
        harness.candle(60, close, 1.0);
    }
    assert!(harness.orders().is_empty(), "falling and flat");
    harness.candle(60, 110.0, 1.0);
    assert!(harness.position().is_long());
    harness.candle(60, 90.0, 1.0);
    assert!(harness.position().is_flat());
    let actions: Vec<Action> = harness.orders().iter().map(|sent| sent.order.action).collect();
    assert_eq!(actions, [Action::Buy, Action::Sell]);
    Ok(())
}
