//! What an engine is started with.

use std::sync::{Arc, Mutex};

use super::support::*;
use crate::domain::{Action, Price, Qty, Side, SymbolId, Ts};
use crate::engine::{BuildError, EngineBuilder, EngineConfig, LaneSpec, LaneState};
use crate::input::Trade;
use crate::market::MarketLimits;
use crate::strategy::{Channel, Parameter, Size, Strategy as _, Value};

fn spec(name: &str, mut strategy: Scripted) -> LaneSpec {
    let descriptor = strategy.describe().unwrap();
    LaneSpec {
        name: name.into(),
        strategy: Box::new(strategy),
        descriptor,
        symbols: vec!["X/USD".into()],
        parameters: Vec::new(),
        account: account("100"),
    }
}

#[test]
fn x_init_an_engine_exists_only_when_every_lane_is_described_and_started() {
    // `EngineBuilder::start` is the only function that makes an engine, and it
    // takes the builder: what is tested here is that a builder refuses what
    // could not be started.
    let builder = || EngineBuilder::new(free(), instruments()).unwrap();
    let mut twice = builder();
    twice.add(spec("a", sends(vec![]))).unwrap();
    assert!(matches!(twice.add(spec("a", sends(vec![]))), Err(BuildError::Duplicate(_))));
    let nowhere = LaneSpec { symbols: Vec::new(), ..spec("a", sends(vec![])) };
    assert!(matches!(builder().add(nowhere), Err(BuildError::NoSymbols(_))));
    let unknown = LaneSpec { symbols: vec!["Z/USD".into()], ..spec("a", sends(vec![])) };
    assert!(matches!(builder().add(unknown), Err(BuildError::UnknownSymbol { .. })));
    let poor = LaneSpec { account: account("0"), ..spec("a", sends(vec![])) };
    assert!(matches!(builder().add(poor), Err(BuildError::Account { .. })));
    let engine = twice.start(Ts(0));
    assert_eq!(engine.reports()[0].state, LaneState::Running);
}

#[test]
fn parameters_are_checked_by_name_type_and_range() {
    let lane = |parameters: Vec<(String, Value)>| {
        let mut lane = spec("a", sends(vec![]));
        lane.descriptor.parameters = vec![Parameter {
            name: "lookback".into(),
            description: String::new(),
            default: Value::Integer(20),
            minimum: Some(2.0),
            maximum: Some(500.0),
        }];
        LaneSpec { parameters, ..lane }
    };
    let add = |name: &str, value: Value| {
        let mut builder = EngineBuilder::new(free(), instruments()).unwrap();
        let added = builder.add(lane(vec![(name.into(), value)]));
        added.map_err(|error| error.to_string())
    };
    assert_eq!(add("lookback", Value::Integer(500)), Ok(()));
    let error = add("lookbak", Value::Integer(5)).unwrap_err();
    assert!(error.contains("did you mean 'lookback'?"), "{error}");
    let error = add("lookback", Value::Integer(1)).unwrap_err();
    assert!(error.contains("from 2 to 500"), "{error}");
    assert!(add("lookback", Value::Number(3.5)).is_err());
    assert!(add("lookback", Value::Text("many".into())).is_err());
}

#[test]
fn x_import_a_strategy_gets_every_one_of_its_symbols() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let copy = Arc::clone(&seen);
    let strategy = Scripted::new(&[Channel::Trades], move |event, _| {
        copy.lock().unwrap().push(event.header.symbol().0);
    });
    let mut block = trades(&[10_000]);
    let ts = Ts(2 * Ts::SECOND);
    let trade =
        Trade { symbol: SymbolId(1), side: Side::Buy, price: Price(50), qty: Qty(1), id: 0 };
    block.push_trade(ts, ts, &trade);
    run(strategy, "100", &block);
    assert_eq!(*seen.lock().unwrap(), [0, 1]);
}

#[test]
fn a_lane_numbers_its_symbols_itself_whatever_the_run_has() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let copy = Arc::clone(&seen);
    let strategy = Scripted::new(&[Channel::Trades], move |event, _| {
        copy.lock().unwrap().push(event.header.symbol().0);
    });
    let mut builder = EngineBuilder::new(free(), instruments()).unwrap();
    let lane = LaneSpec { symbols: vec!["Y/USD".into()], ..spec("a", strategy) };
    builder.add(lane).unwrap();
    let mut engine = builder.start(Ts(0));
    let mut block = trades(&[10_000]);
    let ts = Ts(2 * Ts::SECOND);
    let trade =
        Trade { symbol: SymbolId(1), side: Side::Buy, price: Price(50), qty: Qty(1), id: 0 };
    block.push_trade(ts, ts, &trade);
    engine.step(&block).unwrap();
    assert_eq!(*seen.lock().unwrap(), [0], "only its own symbol, as its number 0");
}

#[test]
fn x_bound_histories_in_memory_are_bounded_by_their_settings() {
    let sizes = Arc::new(Mutex::new((0, 0)));
    let copy = Arc::clone(&sizes);
    let buy = market(Action::Buy, Size::Base(0.01));
    let mut left = 400;
    let strategy = Scripted::new(&[Channel::Trades, Channel::Candles(1)], move |_, effects| {
        left -= 1;
        if left > 0 {
            effects.submit(buy.clone()).unwrap();
        }
    })
    .with_orders(move |_, history, _| {
        let found = (history.trades(0, u32::MAX).len(), history.candles(0, 1, u32::MAX).len());
        let mut most = copy.lock().unwrap();
        *most = (most.0.max(found.0), most.1.max(found.1));
    });
    let limits = MarketLimits { trades: 5, candles: 3, ..MarketLimits::default() };
    let config = EngineConfig { market: limits, ..free() };
    let (report, _) = run_with(&config, strategy, "100000", &trades(&[10_000; 300]));
    assert_eq!(*sizes.lock().unwrap(), (5, 3));
    assert!(report.statistics.fill_count > 300);
    assert_eq!(report.statistics.newest_fills(usize::MAX).count(), 100);
}
