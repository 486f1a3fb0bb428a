//! What a replay is told, because it could not find it out.

use crate::domain::Ts;
use crate::engine::{
    Call, Engine, EngineBuilder, EngineConfig, LaneOutput, LaneSpec, LaneState, Verdict,
};
use crate::strategy::{
    Channel, Descriptor, Effects, Fault, FaultKind, HistoryRef, OrderUpdate, StartInfo, Strategy,
    Subscription, Usage,
};
use crate::words::Header;

use super::faults::{Counter, at, builder, policy, replacement};
use super::support::{account, free, instruments};

/// An engine that was told of these before it started.
fn told(config: &EngineConfig, strategy: Counter, foretold: &[Verdict]) -> Engine {
    let mut builder = builder(config, vec![strategy]);
    foretold.iter().for_each(|verdict| builder.foretell(0, *verdict));
    builder.start(Ts(0))
}

/// Its verdicts, its chain, and how many of the foretold ones found no place.
fn ended(mut engine: Engine) -> (Vec<Verdict>, String, usize) {
    engine.finish().expect("finished");
    let unfulfilled = engine.unfulfilled(0);
    (engine.verdicts(0).to_vec(), engine.reports()[0].chain.clone(), unfulfilled)
}

/// Runs `slow` once, and the strategy without its slowness with the verdicts at
/// several batch sizes: each must be the same.
fn check_repeated(
    restarts: u32,
    slow: Counter,
    usual: Counter,
    more: impl Fn(&mut Engine, bool),
    calls: &[Call],
) {
    let run = |batch: usize, is_slow: bool, foretold: &[Verdict]| {
        let config = EngineConfig { batch, on_fault: policy(restarts, false), ..free() };
        let mut engine =
            told(&config, if is_slow { slow.clone() } else { usual.clone() }, foretold);
        let block = at(&engine, 1..=12);
        engine.step(&block).expect("stepped");
        more(&mut engine, is_slow);
        let block = at(&engine, 13..=20);
        engine.step(&block).expect("stepped");
        ended(engine)
    };
    let (verdicts, chain, _) = run(256, true, &[]);
    let given: Vec<Call> = verdicts.iter().map(|verdict| verdict.call).collect();
    assert_eq!(given, calls);
    for batch in [1, 3, 256] {
        let (again, same, unfulfilled) = run(batch, false, &verdicts);
        assert_eq!((again, same), (verdicts.clone(), chain.clone()), "batch {batch}");
        assert_eq!(unfulfilled, 0, "batch {batch}");
    }
    // The control: who is not told does not find it.
    assert_ne!(run(256, false, &[]).1, chain);
}

const SLOW: FaultKind = FaultKind::Deadline;

#[test]
fn x_exc_a_verdict_of_the_wall_clock_is_repeated_where_it_fell() {
    let nothing = |_: &mut Engine, _: bool| ();
    let usual = Counter::default();
    let events = Counter { fails_at: vec![4, 9], kind: SLOW, ..Counter::default() };
    check_repeated(1, events, usual.clone(), nothing, &[Call::Events; 2]);
    let start = Counter { fails_to_start: Some(SLOW), ..Counter::default() };
    check_repeated(0, start, usual.clone(), nothing, &[Call::Begin]);
    // States are saved where there may be a restart.
    let save = Counter { save: Some(SLOW), ..Counter::default() };
    let twice = [Call::Save, Call::Save];
    check_repeated(1, save, usual.clone(), nothing, &twice);
    // The restart behind a trap, which the replay finds by itself.
    let traps = Counter { fails_at: vec![4], ..Counter::default() };
    let load = Counter { load: Some(SLOW), ..traps.clone() };
    check_repeated(1, load, traps, nothing, &[Call::Begin]);
}

#[test]
fn x_exc_a_verdict_on_a_new_build_is_repeated() {
    let swap = |new: fn(bool) -> Counter| {
        move |engine: &mut Engine, slow: bool| {
            engine.swap(Ts(12 * Ts::SECOND), 0, replacement(new(slow))).expect("taken");
            let news: Vec<_> = engine.drain().collect();
            let refused = news
                .iter()
                .any(|one| matches!(&one.body, LaneOutput::Swapped { refused: Some(_), .. }));
            assert!(refused, "{news:?}");
        }
    };
    fn slow_if(slow: bool) -> Option<FaultKind> {
        slow.then_some(SLOW)
    }
    let usual = Counter::default();
    let start = swap(|slow| Counter { fails_to_start: slow_if(slow), ..Counter::default() });
    let run = |more: &dyn Fn(&mut Engine, bool)| {
        let config = EngineConfig { batch: 256, ..free() };
        let slow = {
            let mut engine = told(&config, usual.clone(), &[]);
            let block = at(&engine, 1..=12);
            engine.step(&block).expect("stepped");
            more(&mut engine, true);
            ended(engine)
        };
        for batch in [1, 7] {
            let config = EngineConfig { batch, ..config.clone() };
            let mut engine = told(&config, usual.clone(), &slow.0);
            let block = at(&engine, 1..=12);
            engine.step(&block).expect("stepped");
            more(&mut engine, false);
            let (verdicts, chain, unfulfilled) = ended(engine);
            assert_eq!((verdicts, chain, unfulfilled), (slow.0.clone(), slow.1.clone(), 0));
        }
        slow.0
    };
    assert_eq!(run(&start).iter().map(|verdict| verdict.call).collect::<Vec<_>>(), [Call::Begin]);
    let load = swap(|slow| Counter { load: slow_if(slow), ..Counter::default() });
    assert_eq!(run(&load).iter().map(|verdict| verdict.call).collect::<Vec<_>>(), [Call::Begin]);
}

#[test]
fn b7_a_verdict_that_finds_no_place_is_counted() {
    let lie = Verdict { events: 4, updates: 77, ..Verdict::default() };
    let mut engine = told(&free(), Counter::default(), &[lie]);
    let block = at(&engine, 1..=12);
    engine.step(&block).expect("stepped");
    assert_eq!(ended(engine).2, 1);
}

/// Fuel of each event, at the second of its time.
const SPENT: [u64; 20] = [1, 1, 1, 15, 1, 1, 1, 1, 3, 1, 1, 1, 1, 1, 4, 1, 1, 1, 1, 1];
/// What an event may use.
const LIMIT: u64 = 10;

/// Uses fuel as a sandboxed strategy does.
#[derive(Clone, Default)]
struct Spender {
    granted: u32,
    overdrew: bool,
    calls: u64,
    fuel: u64,
    /// traps at this second
    traps_at: Option<u64>,
}

impl Strategy for Spender {
    fn describe(&mut self) -> Result<Descriptor, Fault> {
        let subscription = Subscription { symbol: None, channel: Channel::Trades };
        Ok(Descriptor {
            name: "spender".into(),
            version: "1".into(),
            subscriptions: vec![subscription],
            ..Descriptor::default()
        })
    }

    fn start(&mut self, _: &StartInfo, _: HistoryRef, _: &mut Effects) -> Result<(), Fault> {
        Ok(())
    }

    fn handle(&mut self, words: &[u64], events: u32, _: &mut Effects) -> Result<u32, Fault> {
        self.calls += 1;
        let (mut rest, mut used) = (words, 0);
        for _ in 0..events {
            let (event, tail) = rest.split_at(Header(rest[0]).words().expect("known"));
            rest = tail;
            let second = event[1] / 1_000_000_000;
            used += SPENT[second as usize - 1];
            if used > LIMIT * u64::from(events.max(self.granted)) {
                return Err(Fault::new(FaultKind::OutOfFuel, "as told"));
            }
            if self.traps_at == Some(second) {
                return Err(Fault::new(FaultKind::Trap, "as told"));
            }
        }
        self.fuel += used;
        self.overdrew = events > 1 && used > LIMIT;
        Ok(events)
    }

    fn on_order(&mut self, _: &OrderUpdate, _: HistoryRef, _: &mut Effects) -> Result<(), Fault> {
        Ok(())
    }

    fn stop(&mut self, _: &mut Effects) -> Result<(), Fault> {
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }

    fn load(&mut self, _: &[u8], _: &str) -> Result<(), Fault> {
        Ok(())
    }

    fn overdrew(&self) -> bool {
        self.overdrew
    }

    fn grant(&mut self, events: u32) {
        self.granted = events;
    }

    fn usage(&self) -> Usage {
        Usage { calls: self.calls, fuel: self.fuel, ..Usage::default() }
    }
}

/// Its verdicts, chain, state and number of calls.
fn spent(
    (batch, strict): (usize, bool),
    spender: &Spender,
    foretold: &[Verdict],
) -> (Vec<Verdict>, String, LaneState, u64) {
    let config = EngineConfig { batch, strict, ..free() };
    let mut builder = EngineBuilder::new(config, instruments()).expect("instruments");
    let mut strategy = spender.clone();
    builder
        .add(LaneSpec {
            name: "s".into(),
            descriptor: strategy.describe().expect("described"),
            strategy: Box::new(strategy),
            symbols: vec!["X/USD".into()],
            parameters: Vec::new(),
            account: account("1000"),
        })
        .expect("a lane");
    foretold.iter().for_each(|verdict| builder.foretell(0, *verdict));
    let mut engine = builder.start(Ts(0));
    for seconds in [1..=6, 7..=12, 13..=20] {
        let block = at(&engine, seconds);
        engine.step(&block).expect("stepped");
    }
    engine.finish().expect("finished");
    assert_eq!(engine.unfulfilled(0), 0);
    let report = engine.reports().remove(0);
    (engine.verdicts(0).to_vec(), report.chain, report.state, report.usage.calls)
}

/// Within a batch an event may use what others left, once; a replay with one event a
/// call is told which events those were.
#[test]
fn x_exc_fuel_that_events_shared_is_told_to_a_replay() {
    let usual = Spender::default();
    let strict = spent((1, true), &usual, &[]);
    assert!(
        matches!(&strict.2, LaneState::Quarantined(fault) if fault.kind == FaultKind::OutOfFuel)
    );
    for batch in [4, 7, 256] {
        let run = spent((batch, false), &usual, &[]);
        let [Verdict { call: Call::Shared(_), .. }] = run.0[..] else { panic!("{:?}", run.0) };
        for again in [(1, true), (batch, false), (3, false)] {
            let again = spent(again, &usual, &run.0);
            assert_eq!((&again.0, &again.1, &again.2), (&run.0, &run.1, &run.2), "batch {batch}");
        }
        // The control: who is not told finds another end.
        assert_ne!(strict.1, run.1);
    }
}

/// What a failed call used is not known, so it is told as well: the replay must come
/// to the same trap, and not run out of fuel on its way there.
#[test]
fn x_exc_a_trap_behind_a_costly_event_is_told_to_a_replay() {
    let traps = Spender { traps_at: Some(6), ..Spender::default() };
    let run = spent((256, false), &traps, &[]);
    assert!(matches!(&run.2, LaneState::Quarantined(fault) if fault.kind == FaultKind::Trap));
    let again = spent((1, true), &traps, &run.0);
    assert_eq!((&again.1, &again.2), (&run.1, &run.2));
    // The control.
    assert_ne!(spent((1, true), &traps, &[]).1, run.1);
}
