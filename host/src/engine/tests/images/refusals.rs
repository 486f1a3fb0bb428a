//! Strategies that do not give their state: nobody is harmed, and none is asked for
//! nothing.

use super::keeper::{Habits, Saves};
use super::market::{Piece, Run};
use crate::engine::tests::properties::{BEGIN, Step};
use crate::engine::{Call, EngineConfig, Refusal, Verdict};
use crate::strategy::FaultKind;

use super::market::Input;

fn habits(saves: Saves) -> Habits {
    Habits { seed: 9, saves, ..Habits::default() }
}

fn trades(count: i64) -> Vec<Input> {
    let trade = |second| Step::Trade {
        symbol: 0,
        price: 9_900 + 7 * (second % 20),
        qty: 100,
        sell: second % 2 == 0,
        gap_ms: 1_000,
    };
    (0..count).map(|second| Input::Market(trade(second))).collect()
}

/// A run of strategies that answer so, behind some trades.
fn begun(saves: &[Saves], told: &[(u16, Verdict)]) -> Run {
    let all: Vec<Habits> = saves.iter().map(|saves| habits(*saves)).collect();
    let mut run = Run::begin(&EngineConfig::default(), &all, told);
    run.take(&Piece::Block(&trades(30), BEGIN));
    run
}

/// Takes more and ends.
fn chains(mut run: Run) -> Vec<String> {
    run.take(&Piece::Block(&trades(30), BEGIN + 30_000_000_000));
    run.engine.finish().expect("every account adds up");
    run.engine.reports().iter().map(|one| one.chain.clone()).collect()
}

#[test]
fn high_004_who_does_not_save_or_fails_at_it_goes_on_as_if_never_asked() {
    let fails = |kind| Saves::Fails(kind);
    for saves in [Saves::Never, fails(FaultKind::Trap), fails(FaultKind::OutOfFuel)] {
        let all = [Saves::Well, saves, Saves::Well];
        let mut run = begun(&all, &[]);
        let Err(Refusal { events, lane, why, saved }) = run.engine.image() else { panic!() };
        assert_eq!((events, lane, saved.len()), (30, 1, 1), "{why}");
        assert!(saved[0].is_some(), "the first was asked before");
        assert_eq!(run.engine.unsaved(), Some((1, why.as_str())));
        run.engine.drain();
        assert_eq!(chains(run), chains(begun(&all, &[])));
    }
}

#[test]
fn high_004_who_does_not_save_is_in_the_way_until_it_has_ended_or_is_exchanged() {
    use crate::engine::CommandAction;
    let begun = || {
        let mut run = begun(&[Saves::Well, Saves::Never], &[]);
        run.engine.image().expect_err("the second does not save");
        run
    };
    let mut killed = begun();
    killed.take(&Piece::Command(Some(1), CommandAction::Kill));
    assert_eq!(killed.engine.unsaved(), None);
    killed.engine.image().expect("the other one saves");
    let mut exchanged = begun();
    exchanged.habits[1].saves = Saves::Well;
    // An exchange needs a state too, so it does not take place.
    exchanged.take(&Piece::Swap(1));
    assert!(exchanged.engine.unsaved().is_some());
}

#[test]
fn high_004_a_save_that_the_clock_stopped_is_stopped_in_a_replay_too() {
    let mut run = begun(&[Saves::Fails(FaultKind::Deadline)], &[]);
    let first = run.engine.image().expect_err("stopped");
    let told = run.verdicts();
    let calls: Vec<Call> = told.iter().map(|(_, one)| one.call).collect();
    assert_eq!(calls, [Call::Save]);
    // There it would save well.
    let mut again = begun(&[Saves::Well], &told);
    let refusal = again.engine.image().expect_err("as it was told");
    assert_eq!((refusal.lane, refusal.saved), (first.lane, first.saved));
    assert_eq!((again.verdicts(), again.engine.unfulfilled(0)), (told, 0));
    // The control: nobody told it.
    begun(&[Saves::Well], &[]).engine.image().expect("it saves");
}

/// A trap ends a sandboxed instance, so another one is asked first.
#[test]
fn high_004_who_always_fails_at_saving_is_not_asked_itself() {
    let mut run = begun(&[Saves::Fails(FaultKind::Trap)], &[]);
    run.engine.image().expect_err("it fails");
    assert_eq!(run.engine.reports()[0].usage.traps, 0, "another instance did");
    run.engine.image().expect_err("it fails");
    assert_eq!(run.engine.reports()[0].usage.traps, 1, "control: who was asked counts it");
}
