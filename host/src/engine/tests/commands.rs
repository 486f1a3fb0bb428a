//! What an operator commands.

use super::support::*;
use crate::domain::{Action, Cause, Ts};
use crate::engine::{Command, CommandAction, Engine, LaneOutput, LaneState};
use crate::risk::OnHalt;
use crate::strategy::{Channel, Size};

fn command(action: CommandAction) -> Command {
    Command { lane: None, action, reason: "test".into() }
}

/// Buys one at every trade.
fn buyer() -> Scripted {
    Scripted::new(&[Channel::Trades], |_, effects| {
        let _ = effects.submit(market(Action::Buy, Size::Base(1.0)));
    })
}

/// A run of three trades, a command, and three more.
fn run_with_command(on_halt: OnHalt, action: Option<CommandAction>) -> Engine {
    let mut config = free();
    config.risk.on_halt = on_halt;
    let mut engine = engine(&config, vec![(buyer(), "1000")]);
    engine.step(&trades(&[10_000; 2])).unwrap();
    if let Some(action) = action {
        engine.command(Ts(3 * Ts::SECOND), &command(action)).unwrap();
    }
    let mut rest = trades(&[10_000; 3]);
    rest.renumber(engine.next_seq());
    engine.step(&rest).unwrap();
    engine.check().unwrap();
    engine
}

fn held(engine: &Engine) -> String {
    engine.reports()[0].positions.first().map_or("0".into(), |p| p.1.clone())
}

#[test]
fn a_killed_strategy_gets_no_order_through_and_is_not_called() {
    let mut control = run_with_command(OnHalt::Hold, None);
    assert_eq!(fills(&control.drain().collect::<Vec<_>>()).len(), 5, "without a command it buys");
    let mut engine = run_with_command(OnHalt::Hold, Some(CommandAction::Kill));
    let outputs: Vec<_> = engine.drain().collect();
    assert_eq!(fills(&outputs).len(), 2);
    assert!(matches!(engine.reports()[0].state, LaneState::Halted(_)));
    assert_eq!(held(&engine), "2", "hold keeps the position");
    assert_eq!(engine.reports()[0].counters.events, 2);
    let seq = outputs.iter().find_map(|o| match o.body {
        LaneOutput::Command { seq, .. } => Some(seq),
        _ => None,
    });
    assert_eq!(seq, Some(3), "the command is the third input");
    engine.command(Ts(9 * Ts::SECOND), &command(CommandAction::Resume)).unwrap();
    assert!(!engine.is_running(), "a kill cannot be undone");
}

#[test]
fn a_kill_flattens_when_told_to() {
    let mut engine = run_with_command(OnHalt::Flatten, Some(CommandAction::Kill));
    let outputs: Vec<_> = engine.drain().collect();
    assert_eq!(held(&engine), "0");
    let last = outputs.iter().rev().find_map(|o| match &o.body {
        LaneOutput::Fill { fill, .. } => Some((fill.action, fill.cause, fill.qty.0)),
        _ => None,
    });
    assert_eq!(last, Some((Action::Sell, Cause::Operator, 200)));
}

#[test]
fn a_pause_refuses_orders_until_resumed() {
    let mut engine = run_with_command(OnHalt::Hold, Some(CommandAction::Pause));
    let outputs: Vec<_> = engine.drain().collect();
    assert_eq!(rejects(&outputs), ["halted"; 3]);
    engine.command(Ts(9 * Ts::SECOND), &command(CommandAction::Resume)).unwrap();
    let mut rest = trades(&[10_000]);
    rest.renumber(engine.next_seq());
    engine.step(&rest).unwrap();
    assert_eq!(fills(&engine.drain().collect::<Vec<_>>()).len(), 1);
}

#[test]
fn a_command_enters_the_chain() {
    let chain = |action| run_with_command(OnHalt::Hold, action).reports()[0].chain.clone();
    assert_eq!(chain(Some(CommandAction::Kill)), chain(Some(CommandAction::Kill)));
    assert_ne!(chain(Some(CommandAction::Kill)), chain(None));
    assert_ne!(chain(Some(CommandAction::Flatten)), chain(Some(CommandAction::Kill)));
}

#[test]
fn a_command_for_one_lane_leaves_the_others() {
    let run = |killed: bool| {
        let mut engine = engine(&free(), vec![(buyer(), "1000"), (buyer(), "1000")]);
        let kill = Command { lane: Some(1), action: CommandAction::Kill, reason: String::new() };
        let mut first = trades(&[10_000]);
        engine.step(&first).unwrap();
        if killed {
            engine.command(engine.now(), &kill).unwrap();
        }
        first.renumber(engine.next_seq());
        engine.step(&first).unwrap();
        engine
    };
    let (mut with, without) = (run(true), run(false));
    let outputs: Vec<_> = with.drain().collect();
    assert_eq!(fills(&outputs).len(), 3);
    assert_eq!(with.reports()[0].state, LaneState::Running);
    let heads = |engine: &Engine| engine.chains().map(|c| c.hex()).collect::<Vec<_>>();
    assert_eq!(heads(&with)[0], heads(&without)[0], "not even its numbers are moved");
    assert_ne!(heads(&with)[1], heads(&without)[1]);
}
