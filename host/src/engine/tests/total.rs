//! Limits over all strategies: they command, and refuse nothing by themselves.

use super::support::*;
use crate::domain::{Action, Money, Rate, Ts};
use crate::engine::{BuildError, CommandAction, Engine, EngineBuilder, EngineConfig, LaneSpec};
use crate::engine::{LaneOutput, LaneState};
use crate::risk::{OnTotal, TotalLimits};
use crate::strategy::{Channel, Size, Strategy as _};

/// Opens one unit in this direction at every trade.
fn opens(action: Action) -> Scripted {
    Scripted::new(&[Channel::Trades], move |_, effects| {
        let _ = effects.submit(market(action, Size::Base(1.0)));
    })
}

/// Two strategies over blocks of single trades at these prices, as a session drives
/// them; also what was commanded, with the number of the block.
fn run_blocks(total: TotalLimits, prices: &[i64], batch: usize) -> (Engine, Vec<(usize, String)>) {
    let config = EngineConfig { total, batch, ..free() };
    let strategies = vec![(opens(Action::Buy), "1000"), (opens(Action::Short), "1000")];
    let mut engine = engine(&config, strategies);
    let mut told = Vec::new();
    for (number, price) in prices.iter().enumerate() {
        let mut block = trades(&[*price]);
        block.renumber(engine.next_seq());
        engine.step(&block).expect("no invariant breaks");
        for command in engine.due_commands() {
            told.push((number, format!("{}: {}", command.action.name(), command.reason)));
            engine.command(engine.now(), &command).expect("no invariant breaks");
        }
    }
    engine.check().expect("both accounts add up");
    (engine, told)
}

fn fills_of(engine: &mut Engine) -> Vec<u64> {
    engine.drain().for_each(drop);
    engine.reports().iter().map(|report| report.statistics.fill_count).collect()
}

#[test]
fn what_all_hold_together_is_limited() {
    // Each adds 100 a block: 200, 400, 600.
    let total = TotalLimits { max_exposure: Some(usd("500")), ..TotalLimits::default() };
    let prices = [10_000; 6];
    for batch in [1, 256] {
        let (mut engine, told) = run_blocks(total, &prices, batch);
        let reason =
            "kill: all strategies together: positions worth 600.00000000, over 500.00000000";
        assert_eq!(told, [(2, reason.to_owned())]);
        for report in engine.reports() {
            assert!(matches!(report.state, LaneState::Halted(_)), "{:?}", report.state);
        }
        assert_eq!(fills_of(&mut engine), [3, 3], "no order gets through any more");
    }
    let (mut engine, told) = run_blocks(TotalLimits::default(), &prices, 256);
    assert_eq!(told, [], "control: without the limit");
    assert_eq!(fills_of(&mut engine), [6, 6]);
}

#[test]
fn every_total_limit_acts() {
    let none = TotalLimits { action: OnTotal::Pause, ..TotalLimits::default() };
    let cases = [
        ("positions worth", TotalLimits { max_exposure: Some(usd("399")), ..none }),
        // Each sends an order a block.
        ("4 orders in a minute", TotalLimits { max_orders_per_minute: Some(3), ..none }),
        // 2 x 1000 of base carry 200 of shorts at 0.1.
        ("shorts worth", TotalLimits { max_short_leverage: Some(Rate(90_000_000)), ..none }),
        ("does not carry", TotalLimits { maintenance_margin: Some(Rate::ONE), ..none }),
    ];
    for (words, total) in cases {
        // The short loses nine times its capital when the price is tenfold.
        let prices: &[i64] =
            if words == "does not carry" { &[10_000, 10_000, 900_000] } else { &[10_000; 3] };
        let (_, told) = run_blocks(total, prices, 256);
        assert!(told.first().is_some_and(|(_, text)| text.contains(words)), "{words}: {told:?}");
        assert!(told[0].1.starts_with("pause"), "{told:?}");
    }
    // Only the long one, so that the sum falls with the price.
    for (words, total) in [
        ("daily loss", TotalLimits { max_daily_loss: Some(usd("19")), ..none }),
        ("drawdown", TotalLimits { max_drawdown: Some(Rate(19_000_000)), ..none }),
    ] {
        let config = EngineConfig { total, ..free() };
        let mut engine =
            engine(&config, vec![(opens(Action::Buy), "500"), (opens(Action::Buy), "500")]);
        engine.step(&trades(&[10_000, 9_000])).expect("no invariant breaks");
        let told = engine.due_commands();
        assert!(told.len() == 1 && told[0].reason.contains(words), "{words}: {told:?}");
        assert_eq!(engine.due_commands(), [], "taken once");
    }
}

#[test]
fn flatten_pauses_and_closes_what_all_hold() {
    let total = TotalLimits {
        action: OnTotal::Flatten,
        max_exposure: Some(usd("300")),
        ..TotalLimits::default()
    };
    let (mut engine, told) = run_blocks(total, &[10_000; 5], 256);
    let actions: Vec<_> =
        told.iter().map(|(at, text)| (*at, text.split(':').next().unwrap_or_default())).collect();
    assert_eq!(actions, [(1, "pause"), (1, "flatten")]);
    let outputs: Vec<_> = engine.drain().collect();
    for report in engine.reports() {
        assert_eq!(report.state, LaneState::Paused);
        assert!(report.positions.is_empty(), "{:?}", report.positions);
    }
    let commands = outputs.iter().filter(|one| matches!(one.body, LaneOutput::Command { .. }));
    assert_eq!(commands.count(), 4, "each of both is news of each lane");
}

#[test]
fn the_same_commands_at_the_same_places_give_the_same_chains() {
    let total = TotalLimits { max_exposure: Some(usd("500")), ..TotalLimits::default() };
    let heads = |engine: &Engine| engine.chains().map(|c| c.hex()).collect::<Vec<_>>();
    let (limited, told) = run_blocks(total, &[10_000; 6], 256);
    // A replay knows no limit: it finds the command among the inputs.
    let (at, reason) = told[0].clone();
    let reason = reason.strip_prefix("kill: ").expect("a kill").to_owned();
    let strategies = vec![(opens(Action::Buy), "1000"), (opens(Action::Short), "1000")];
    let mut again = engine(&free(), strategies);
    for number in 0..6 {
        let mut block = trades(&[10_000]);
        block.renumber(again.next_seq());
        again.step(&block).expect("no invariant breaks");
        if number == at {
            let command = crate::engine::Command {
                lane: None,
                action: CommandAction::Kill,
                reason: reason.clone(),
            };
            again.command(again.now(), &command).expect("no invariant breaks");
        }
    }
    assert_eq!(heads(&limited), heads(&again));
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
