//! What an operator may command: pause, resume, flatten, kill.
//!
//! 1. A command is an input: it has a number and a time, enters the chain of
//!    each lane that it is for, and comes out as an output.
//! 2. Pause: every new order of the strategy is refused (`halted`) until
//!    resumed. It is still told of events, may cancel, and its resting orders,
//!    stops and targets stay in force.
//! 3. Flatten: its resting orders are canceled and all its positions closed at
//!    the market, as far as that takes them, and the rest as soon as it does. A
//!    strategy that still runs may open others.
//! 4. Kill: its resting orders are canceled, it is not called again, and no order
//!    of it ever gets through any more. Its positions stay, with their stops and
//!    targets, or are flattened, as `risk.on_halt` says. It cannot be undone.
//! 5. Revoke: it may run no longer, because its permission was withdrawn or has
//!    expired. As after a fault that is not forgiven: quarantined for good.

use serde::{Deserialize, Serialize};

use crate::domain::{Cause, SymbolId, Ts};
use crate::portfolio::InvariantBroken;
use crate::risk::OnHalt;
use crate::strategy::{Fault, FaultKind, clean_text};

use super::chain::{Record, RecordKind};
use super::lane::{Batch, Lane, LaneState};
use super::output::{LaneOutput, Output};

/// The most bytes of a reason.
const REASON_BYTES_MAX: usize = 256;

/// An operator's command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// the lane's number; all lanes when it names none
    pub lane: Option<u16>,
    /// what to do
    pub action: CommandAction,
    /// why, in the operator's words
    pub reason: String,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandAction {
    /// no new orders until resumed
    Pause,
    /// ends a pause
    Resume,
    /// closes all positions
    Flatten,
    /// ends the strategy for good
    Kill,
    /// ends a strategy that may run no longer
    Revoke,
}

impl CommandAction {
    /// The name used in files and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Flatten => "flatten",
            Self::Kill => "kill",
            Self::Revoke => "revoke",
        }
    }
}

impl Lane {
    /// Carries out a command at `moment`, the last of the batch.
    pub(super) fn command(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        command: &Command,
    ) -> Result<(), InvariantBroken> {
        let place = batch.timeline.moments()[moment as usize];
        let reason = clean_text(&command.reason, REASON_BYTES_MAX);
        let record = Record::new(RecordKind::Command, place.seq, place.phase);
        self.chain.absorb(&record.byte(command.action as u8).text(&reason));
        let body = LaneOutput::Command {
            seq: batch.block.first_seq(),
            action: command.action,
            reason: reason.clone(),
        };
        batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
        self.effects.begin(self.next_order, self.limits.intents_per_event);
        match command.action {
            CommandAction::Pause if self.state == LaneState::Running => {
                self.state = LaneState::Paused;
            }
            CommandAction::Resume if self.state == LaneState::Paused => {
                self.state = LaneState::Running;
            }
            CommandAction::Pause => self.pause_restart(true),
            CommandAction::Resume => self.pause_restart(false),
            CommandAction::Flatten => self.flatten(batch, moment)?,
            CommandAction::Revoke => self.revoke(batch, place.ts, &reason),
            CommandAction::Kill => {
                self.halt(batch, moment, format!("by the operator: {reason}"))?
            }
        }
        self.settle(batch, moment)
    }

    /// Ends a lane that may run no longer, as a fault does (`sandbox.fault_positions`
    /// says what becomes of its positions); nothing starts it again.
    fn revoke(&mut self, batch: &mut Batch<'_>, ts: Ts, reason: &str) {
        let over = matches!(
            self.state,
            LaneState::Quarantined(_) | LaneState::Halted(_) | LaneState::Stopped
        );
        if !over {
            self.fail(Fault::new(FaultKind::Revoked, reason), ts, batch.outputs);
        }
    }

    /// Ends the lane for good. One that has failed before keeps saying so.
    pub(super) fn halt(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
        reason: String,
    ) -> Result<(), InvariantBroken> {
        if matches!(self.state, LaneState::Halted(_) | LaneState::Stopped) {
            return Ok(());
        }
        let place = batch.timeline.moments()[moment as usize];
        let record = Record::new(RecordKind::Halt, place.seq, place.phase);
        self.chain.absorb(&record.text(&reason));
        let body = LaneOutput::Halted { reason: reason.clone() };
        batch.outputs.push(Output { lane: self.number, ts: place.ts, body });
        if self.state.goes_on() {
            self.state = LaneState::Halted(reason);
        }
        self.cancel_all(batch, moment, None);
        self.ground(place.ts, batch.outputs);
        if self.risk.on_halt == OnHalt::Flatten {
            self.flatten(batch, moment)?;
        }
        Ok(())
    }

    /// Closes every position, now where the market takes it, else later.
    pub(super) fn flatten(
        &mut self,
        batch: &mut Batch<'_>,
        moment: u32,
    ) -> Result<(), InvariantBroken> {
        self.cancel_all(batch, moment, None);
        let place = batch.timeline.moments()[moment as usize];
        let open: Vec<SymbolId> = self.account.open_positions().map(|(symbol, _)| symbol).collect();
        for symbol in open {
            self.brackets.close(symbol, Cause::Operator);
            let top = batch.timeline.top_at(moment, self.symbols[symbol.index()]);
            let qty = self.account.qty(symbol);
            if let Some(cause) = self.brackets.get(symbol).acts(qty, &top, self.oldest(place.ts)) {
                self.close(batch, moment, symbol, cause)?;
            }
        }
        Ok(())
    }
}
