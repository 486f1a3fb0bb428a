//! Faults, restarts and swaps of code.

use crate::domain::{Action, Price, Qty, Side, SymbolId, Ts};
use crate::engine::{
    Command, CommandAction, Engine, EngineBuilder, EngineConfig, FaultPolicy, LaneOutput, LaneSpec,
    LaneState, Output, Replacement,
};
use crate::input::{InputBlock, Trade};
use crate::strategy::{
    Channel, Descriptor, Distributions, Effects, Fault, FaultKind, HistoryRef, OrderUpdate, Size,
    StartInfo, Strategy, Subscription, Usage,
};
use crate::words::Header;

use super::support::{account, fills, free, instruments, market};

/// Counts trades, buys at the first, and fails when it is told to. Its state is its
/// count.
#[derive(Clone)]
pub(super) struct Counter {
    pub(super) count: u64,
    pub(super) calls: u64,
    pub(super) spread: Distributions,
    pub(super) started: bool,
    /// seconds of events at which it fails
    pub(super) fails_at: Vec<u64>,
    pub(super) kind: FaultKind,
    pub(super) save: Option<FaultKind>,
    pub(super) load: Option<FaultKind>,
    pub(super) fails_to_start: Option<FaultKind>,
    pub(super) fails_to_start_again: bool,
    pub(super) channel: Option<Channel>,
}

impl Default for Counter {
    fn default() -> Self {
        Self {
            count: 0,
            calls: 0,
            spread: Distributions::default(),
            started: false,
            fails_at: Vec::new(),
            kind: FaultKind::Trap,
            save: None,
            load: None,
            fails_to_start: None,
            fails_to_start_again: false,
            channel: None,
        }
    }
}

impl Strategy for Counter {
    fn describe(&mut self) -> Result<Descriptor, Fault> {
        let channel = self.channel.unwrap_or(Channel::Trades);
        Ok(Descriptor {
            name: "counter".into(),
            version: "1".into(),
            subscriptions: vec![Subscription { symbol: None, channel }],
            ..Descriptor::default()
        })
    }

    fn start(&mut self, info: &StartInfo, _: HistoryRef, _: &mut Effects) -> Result<(), Fault> {
        assert!(!self.started, "an instance is started once");
        self.started = true;
        if let Some(kind) = self.fails_to_start {
            return Err(Fault::new(kind, "as told"));
        }
        if self.fails_to_start_again && info.ts_ns > 0 {
            return Err(Fault::new(FaultKind::Trap, "not again"));
        }
        Ok(())
    }

    fn handle(&mut self, words: &[u64], events: u32, effects: &mut Effects) -> Result<u32, Fault> {
        self.calls += 1;
        self.spread.call_ns.add(1_000, 1);
        let mut rest = words;
        for consumed in 1..=events {
            let (event, tail) = rest.split_at(Header(rest[0]).words().expect("known"));
            rest = tail;
            if self.fails_at.contains(&(event[1] / 1_000_000_000)) {
                return Err(Fault::new(self.kind, "as told"));
            }
            self.count += 1;
            self.spread.fuel_per_event.add(self.count, 1);
            effects.indicator("count", self.count as f64);
            if self.count == 1 {
                let _ = effects.submit(market(Action::Buy, Size::Base(1.0)));
                return Ok(consumed);
            }
        }
        Ok(events)
    }

    fn on_order(&mut self, _: &OrderUpdate, _: HistoryRef, _: &mut Effects) -> Result<(), Fault> {
        Ok(())
    }

    fn stop(&mut self, _: &mut Effects) -> Result<(), Fault> {
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<u8>, Fault> {
        match self.save {
            Some(kind) => Err(Fault::new(kind, "no state")),
            None => Ok(self.count.to_le_bytes().to_vec()),
        }
    }

    fn load(&mut self, state: &[u8], from_version: &str) -> Result<(), Fault> {
        assert_eq!(from_version, "1");
        if let Some(kind) = self.load {
            return Err(Fault::new(kind, "what is this"));
        }
        self.count = state.try_into().map(u64::from_le_bytes).expect("its own state");
        Ok(())
    }

    fn fresh(&self) -> Option<Result<Box<dyn Strategy>, Fault>> {
        let spread = Distributions::default();
        let fresh = Self { count: 0, calls: 0, spread, started: false, ..self.clone() };
        Some(Ok(Box::new(fresh)))
    }

    fn usage(&self) -> Usage {
        Usage { calls: self.calls, ..Usage::default() }
    }

    fn distributions(&self) -> Option<&Distributions> {
        Some(&self.spread)
    }
}

pub(super) fn engine(config: &EngineConfig, strategies: Vec<Counter>) -> Engine {
    builder(config, strategies).start(Ts(0))
}

pub(super) fn builder(config: &EngineConfig, strategies: Vec<Counter>) -> EngineBuilder {
    let mut builder = EngineBuilder::new(config.clone(), instruments()).expect("instruments");
    for (number, mut strategy) in strategies.into_iter().enumerate() {
        let descriptor = strategy.describe().expect("described");
        builder
            .add(LaneSpec {
                name: format!("s{number}"),
                strategy: Box::new(strategy),
                descriptor,
                symbols: vec!["X/USD".into()],
                parameters: Vec::new(),
                account: account("1000"),
            })
            .expect("a lane");
    }
    builder
}

/// Trades at these seconds.
pub(super) fn at(engine: &Engine, seconds: std::ops::RangeInclusive<i64>) -> InputBlock {
    let mut block = InputBlock::new(&instruments(), engine.next_seq());
    for second in seconds {
        let ts = Ts(second * Ts::SECOND);
        let (side, symbol) = (Side::Buy, SymbolId(0));
        block.push_trade(
            ts,
            ts,
            &Trade { symbol, side, price: Price(10_000), qty: Qty(100), id: 0 },
        );
    }
    block
}

pub(super) fn replacement(strategy: Counter) -> Replacement {
    let descriptor = strategy.clone().describe().expect("described");
    Replacement {
        strategy: Box::new(strategy),
        descriptor: Descriptor { version: "2".into(), ..descriptor },
        parameters: Vec::new(),
        from: "a".repeat(64),
        to: "b".repeat(64),
    }
}

fn count(engine: &Engine, lane: usize) -> f64 {
    engine.reports()[lane].indicators.first().map_or(0.0, |(_, value)| *value)
}

/// Three trades, a swap of the first lane, three more.
fn swapped(batch: usize, new: Option<Counter>, old: Counter) -> (Engine, Vec<Output>) {
    let config = EngineConfig { batch, ..free() };
    let mut engine = engine(&config, vec![old, Counter::default()]);
    let block = at(&engine, 1..=3);
    engine.step(&block).expect("stepped");
    if let Some(new) = new {
        engine.swap(Ts(3 * Ts::SECOND), 0, replacement(new)).expect("swapped");
    }
    let block = at(&engine, 4..=6);
    engine.step(&block).expect("stepped");
    engine.finish().expect("finished");
    let news = engine.drain().collect();
    (engine, news)
}

fn refusal(news: &[Output]) -> Option<Option<String>> {
    news.iter().find_map(|one| match &one.body {
        LaneOutput::Swapped { refused, .. } => Some(refused.clone()),
        _ => None,
    })
}

#[test]
fn a_swap_hands_over_the_state_and_misses_no_event() {
    let (engine, news) = swapped(256, Some(Counter::default()), Counter::default());
    assert_eq!(refusal(&news), Some(None));
    assert_eq!(count(&engine, 0), 6.0, "it counts on where the other stopped");
    let report = &engine.reports()[0];
    assert_eq!(report.positions[0].1, "1", "the position is the lane's");
    assert_eq!(fills(&news).len(), 2, "each lane bought once");
    assert_eq!(engine.lane(0).version, "2");
    assert_eq!(report.usage.calls, 3, "what the old one used counts too");
    let spreads = report.spreads;
    assert_eq!((spreads.call_ns.count, spreads.fuel_per_event.count), (3, 6), "of both");
    assert_eq!(spreads.fuel_per_event.sum, 1 + 2 + 3 + 4 + 5 + 6);
    // A command is a number of its own, and no neighbor notices.
    let (control, _) = swapped(256, None, Counter::default());
    assert_eq!(control.reports()[1].indicators, engine.reports()[1].indicators);
    assert_ne!(control.reports()[0].chain, report.chain);
    let (single, _) = swapped(1, Some(Counter::default()), Counter::default());
    assert_eq!(single.reports()[0].chain, report.chain, "one event a call");
}

#[test]
fn a_swap_that_fails_leaves_the_old_one_running() {
    let refuses = |kind| Counter { load: Some(kind), ..Counter::default() };
    let starts_badly = Counter { fails_to_start_again: true, ..Counter::default() };
    let other = Counter { channel: Some(Channel::Book(5)), ..Counter::default() };
    let cases = [
        (refuses(FaultKind::Refused), "does not take it over, refused: what is this"),
        (refuses(FaultKind::Trap), "does not take it over, trap"),
        (starts_badly, "does not take it over, trap: not again"),
        (other, "subscribes to other events"),
    ];
    for (new, words) in cases {
        let (engine, news) = swapped(256, Some(new), Counter::default());
        let why = refusal(&news).flatten().expect("refused");
        assert!(why.contains(words), "{why}");
        assert_eq!(count(&engine, 0), 6.0, "{words}");
        assert_eq!(engine.reports()[0].state, LaneState::Stopped);
        assert_eq!(engine.lane(0).version, "1");
    }
    let silent = Counter { save: Some(FaultKind::Refused), ..Counter::default() };
    let (engine, news) = swapped(256, Some(Counter::default()), silent);
    assert!(refusal(&news).flatten().expect("refused").contains("does not save its state"));
    assert_eq!(count(&engine, 0), 6.0);
    // An old one that traps when it saves is gone by its own doing.
    let broken = Counter { save: Some(FaultKind::Trap), ..Counter::default() };
    let (engine, _) = swapped(256, Some(Counter::default()), broken);
    assert!(matches!(engine.reports()[0].state, LaneState::Quarantined(_)));
    assert_eq!(count(&engine, 1), 6.0);
}

pub(super) fn policy(restarts: u32, flatten: bool) -> FaultPolicy {
    FaultPolicy { restarts, backoff_ns: 2 * Ts::SECOND, save_every_ns: Ts::SECOND, flatten }
}

fn with_faults(batch: usize, policy: FaultPolicy, strategy: Counter) -> (Engine, Vec<Output>) {
    let config = EngineConfig { batch, on_fault: policy, ..free() };
    let mut engine = engine(&config, vec![strategy, Counter::default()]);
    let block = at(&engine, 1..=20);
    engine.step(&block).expect("stepped");
    let news = engine.drain().collect();
    (engine, news)
}

#[test]
fn a_restart_goes_on_from_the_last_saved_state_after_its_back_off() {
    // Fails at 3 and 8; runs again at 5 (two seconds later) and 12 (four later).
    let failing = Counter { fails_at: vec![3, 8], ..Counter::default() };
    let (engine, news) = with_faults(256, policy(2, false), failing.clone());
    // 1, 2, then 5 to 7, then 12 to 20.
    assert_eq!(count(&engine, 0), 14.0);
    assert_eq!(engine.reports()[0].state, LaneState::Running);
    let times: Vec<i64> = news
        .iter()
        .filter(|one| matches!(one.body, LaneOutput::Restarted { state: true, .. }))
        .map(|one| one.ts.0 / Ts::SECOND)
        .collect();
    assert_eq!(times, [5, 12]);
    let report = engine.reports().remove(0);
    assert_eq!(report.positions[0].1, "1");
    // Three instances consumed 14 events, in as many calls and two that failed.
    assert_eq!(report.spreads.fuel_per_event.count, 14);
    assert_eq!((report.spreads.call_ns.count, report.usage.calls), (16, 16));
    for batch in [1, 7] {
        let (other, _) = with_faults(batch, policy(2, false), failing.clone());
        assert_eq!(other.reports()[0].chain, engine.reports()[0].chain, "batch {batch}");
    }
    // No neighbor notices.
    let (quiet, _) = with_faults(256, policy(2, false), Counter::default());
    assert_eq!(quiet.reports()[1].chain, engine.reports()[1].chain);
    assert_ne!(quiet.reports()[0].chain, engine.reports()[0].chain);
}

#[test]
fn one_fault_too_many_is_a_quarantine() {
    let failing = Counter { fails_at: vec![3, 8], ..Counter::default() };
    let (engine, _) = with_faults(256, policy(1, false), failing.clone());
    assert!(matches!(engine.reports()[0].state, LaneState::Quarantined(_)));
    assert_eq!(count(&engine, 0), 5.0);
    // The control: without the policy the first fault is the end.
    let (engine, _) = with_faults(256, FaultPolicy::default(), failing);
    assert!(matches!(engine.reports()[0].state, LaneState::Quarantined(_)));
    assert!(count(&engine, 0) < 5.0, "the rest of its batch is lost with it");
    let never = Counter { fails_at: vec![3], fails_to_start_again: true, ..Counter::default() };
    let (engine, news) = with_faults(256, policy(3, false), never);
    assert!(matches!(engine.reports()[0].state, LaneState::Quarantined(_)));
    let faults = news.iter().filter(|one| matches!(one.body, LaneOutput::Fault(_))).count();
    assert_eq!(faults, 4, "each attempt failed");
}

#[test]
fn a_fault_closes_positions_where_it_is_told_to() {
    let failing = Counter { fails_at: vec![3], ..Counter::default() };
    let (engine, news) = with_faults(256, policy(0, true), failing.clone());
    assert!(engine.reports()[0].positions.is_empty(), "{:?}", engine.reports()[0].positions);
    let sold = news.iter().find_map(|one| match &one.body {
        LaneOutput::Fill { fill, .. } if fill.action == Action::Sell => Some(fill.ts),
        _ => None,
    });
    assert_eq!(sold, Some(Ts(3 * Ts::SECOND)), "at the event of the fault");
    let (held, _) = with_faults(256, policy(0, false), failing);
    assert_eq!(held.reports()[0].positions[0].1, "1");
}

#[test]
fn crit_001_what_is_revoked_is_closed_where_faults_are() {
    let open = |flatten: bool| {
        let config = EngineConfig { on_fault: policy(0, flatten), ..free() };
        let mut engine = engine(&config, vec![Counter::default()]);
        let block = at(&engine, 1..=5);
        engine.step(&block).expect("stepped");
        assert_eq!(engine.reports()[0].positions.len(), 1, "it has bought");
        let (action, reason) = (CommandAction::Revoke, "denied".to_owned());
        let command = Command { lane: Some(0), action, reason };
        engine.command(Ts(5 * Ts::SECOND), &command).expect("taken");
        let block = at(&engine, 6..=9);
        engine.step(&block).expect("stepped");
        let report = engine.reports().remove(0);
        assert!(matches!(&report.state, LaneState::Quarantined(f) if f.kind == FaultKind::Revoked));
        report.positions.len()
    };
    assert_eq!(open(true), 0);
    // The control: where faults leave positions alone, so does this.
    assert_eq!(open(false), 1);
}

#[test]
fn an_operators_word_holds_over_a_restart() {
    let command = |action| Command { lane: Some(0), action, reason: "test".into() };
    let run = |actions: &[CommandAction]| {
        let config = EngineConfig { on_fault: policy(1, false), ..free() };
        let failing = Counter { fails_at: vec![3], ..Counter::default() };
        let mut engine = engine(&config, vec![failing]);
        let block = at(&engine, 1..=3);
        engine.step(&block).expect("stepped");
        assert!(matches!(engine.reports()[0].state, LaneState::Restarting { .. }));
        assert!(engine.is_running(), "the run waits for it");
        for action in actions {
            engine.command(Ts(3 * Ts::SECOND), &command(*action)).expect("taken");
        }
        let block = at(&engine, 4..=9);
        engine.step(&block).expect("stepped");
        engine.reports()[0].state.clone()
    };
    assert_eq!(run(&[]), LaneState::Running);
    assert!(matches!(run(&[CommandAction::Kill]), LaneState::Halted(_)));
    assert_eq!(run(&[CommandAction::Pause]), LaneState::Paused);
    assert_eq!(run(&[CommandAction::Pause, CommandAction::Resume]), LaneState::Running);
}
