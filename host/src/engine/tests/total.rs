//! Limits over all strategies: they stop all of them, and refuse no single order.

use super::support::*;
use crate::domain::{Action, Money, Rate, Ts};
use crate::engine::{BuildError, Engine, EngineBuilder, EngineConfig, LaneSpec};
use crate::engine::{LaneOutput, LaneState};
use crate::risk::{OnTotal, TotalLimits};
use crate::strategy::{Channel, Size, Strategy as _};

/// Opens one unit in this direction at every trade, as long as it can.
fn opens(action: Action) -> Scripted {
    Scripted::new(&[Channel::Trades], move |_, effects| {
        let _ = effects.submit(market(action, Size::Base(1.0)));
    })
}

/// A long and a short over these prices, in blocks of so many trades: the engine, and
/// what was done to the first lane, with the number of the input.
fn run_blocks(
    total: TotalLimits,
    prices: &[i64],
    batch: usize,
    block: usize,
) -> (Engine, Vec<(u64, String)>) {
    let config = EngineConfig { total, batch, ..free() };
    let strategies = vec![(opens(Action::Buy), "1000"), (opens(Action::Short), "1000")];
    let mut engine = engine(&config, strategies);
    let whole = trades(prices);
    let mut part = crate::input::InputBlock::default();
    for from in (0..whole.len()).step_by(block) {
        whole.copy_part(from..whole.len().min(from + block), &mut part);
        engine.step(&part).expect("no invariant breaks");
    }
    engine.check().expect("both accounts add up");
    let told = engine.drain().filter_map(|one| match one.body {
        LaneOutput::Command { seq, action, reason } if one.lane == 0 => {
            Some((seq, format!("{}: {reason}", action.name())))
        }
        _ => None,
    });
    let told = told.collect();
    (engine, told)
}

fn fills_of(engine: &Engine) -> Vec<u64> {
    engine.reports().iter().map(|report| report.statistics.fill_count).collect()
}

fn heads(engine: &Engine) -> Vec<String> {
    engine.chains().map(|chain| chain.hex()).collect()
}

#[test]
fn what_all_hold_together_is_limited_at_the_same_input_however_inputs_come() {
    // By the 32nd trade the one holds 10 and the other owes 20, at 100 each.
    let total = TotalLimits { max_exposure: Some(usd("2500")), ..TotalLimits::default() };
    let prices = [10_000; 80];
    let (whole, _) = run_blocks(total, &prices, 256, 80);
    for (batch, block) in [(1, 80), (7, 80), (256, 1), (256, 33), (20, 7)] {
        let (engine, told) = run_blocks(total, &prices, batch, block);
        let reason =
            "kill: all strategies together: positions worth 3000.00000000, over 2500.00000000";
        assert_eq!(told, [(32, reason.to_owned())]);
        for report in engine.reports() {
            assert!(matches!(report.state, LaneState::Halted(_)), "{:?}", report.state);
            assert_eq!(report.counters.events, 32, "it is not called any more");
        }
        assert_eq!(heads(&engine), heads(&whole), "batch {batch}, block {block}");
    }
    let (engine, told) = run_blocks(TotalLimits::default(), &prices, 256, 80);
    assert_eq!(told, [], "control: without the limit");
    assert!(engine.reports().iter().all(|report| report.counters.events == 80));
    assert_eq!(fills_of(&engine), [10, 20]);
}

#[test]
fn without_a_limit_over_all_a_lane_knows_of_no_other() {
    let prices = [10_000; 80];
    let (both, _) = run_blocks(TotalLimits::default(), &prices, 256, 80);
    let mut alone = engine(&free(), vec![(opens(Action::Buy), "1000")]);
    alone.step(&trades(&prices)).expect("no invariant breaks");
    assert_eq!(heads(&both)[0], heads(&alone)[0]);
}

#[test]
fn every_total_limit_acts() {
    let none = TotalLimits { action: OnTotal::Pause, ..TotalLimits::default() };
    let cases = [
        ("positions worth", TotalLimits { max_exposure: Some(usd("2999")), ..none }),
        ("64 orders in a minute", TotalLimits { max_orders_per_minute: Some(63), ..none }),
        // 2 x 1000 of base and 2000 of shorts.
        ("shorts worth", TotalLimits { max_short_leverage: Some(Rate(999_000_000)), ..none }),
        ("does not carry", TotalLimits { maintenance_margin: Some(Rate::ONE), ..none }),
        // The short loses twice what the long gains.
        ("daily loss", TotalLimits { max_daily_loss: Some(usd("99")), ..none }),
        ("drawdown", TotalLimits { max_drawdown: Some(Rate(40_000_000)), ..none }),
    ];
    let rising: Vec<i64> = [10_000; 25].into_iter().chain([11_000; 15]).collect();
    for (words, total) in cases {
        let (_, told) = run_blocks(total, &rising, 256, 40);
        assert!(told.first().is_some_and(|(_, text)| text.contains(words)), "{words}: {told:?}");
        assert!(told[0].1.starts_with("pause") && told[0].0 == 32, "{told:?}");
    }
    let loose = TotalLimits {
        max_exposure: Some(usd("3300")),
        max_orders_per_minute: Some(80),
        max_short_leverage: Some(Rate(1_100_000_000)),
        maintenance_margin: Some(Rate(500_000_000)),
        max_daily_loss: Some(usd("100")),
        max_drawdown: Some(Rate(50_000_000)),
        ..none
    };
    assert_eq!(run_blocks(loose, &rising, 256, 40).1, [], "control: at the limits themselves");
}

#[test]
fn flatten_pauses_and_closes_what_all_hold() {
    let total = TotalLimits {
        action: OnTotal::Flatten,
        max_exposure: Some(usd("300")),
        ..TotalLimits::default()
    };
    let (engine, told) = run_blocks(total, &[10_000; 40], 256, 40);
    let actions: Vec<_> =
        told.iter().map(|(at, text)| (*at, text.split(':').next().unwrap_or_default())).collect();
    assert_eq!(actions, [(32, "pause"), (32, "flatten")]);
    for report in engine.reports() {
        assert_eq!(report.state, LaneState::Paused);
        assert!(report.positions.is_empty(), "{:?}", report.positions);
    }
}

#[test]
fn accounts_that_are_limited_together_count_in_one_currency() {
    let build = |total: TotalLimits| -> Result<(), BuildError> {
        let mut dollars = crate::domain::Instrument::plain("X/USD", 2, 2);
        let mut euros = crate::domain::Instrument::plain("X/EUR", 2, 2);
        (dollars.quote, euros.quote) = ("USD".into(), "EUR".into());
        let table = crate::domain::InstrumentTable::new(vec![dollars, euros]);
        let mut builder = EngineBuilder::new(EngineConfig { total, ..free() }, table)?;
        for currency in ["USD", "EUR"] {
            let mut strategy = opens(Action::Buy);
            builder.add(LaneSpec {
                name: currency.into(),
                descriptor: strategy.describe().expect("scripted"),
                strategy: Box::new(strategy),
                symbols: vec![format!("X/{currency}")],
                parameters: Vec::new(),
                account: crate::portfolio::AccountConfig {
                    currency: currency.into(),
                    ..account("100")
                },
            })?;
        }
        let _started = builder.start(Ts(0));
        Ok(())
    };
    assert!(build(TotalLimits::default()).is_ok());
    let limited = TotalLimits { max_exposure: Some(Money(1)), ..TotalLimits::default() };
    assert!(matches!(build(limited), Err(BuildError::Currencies { .. })));
}
