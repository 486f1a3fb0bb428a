//! The limits over all strategies: what they are together, and what is commanded.

use crate::domain::Money;
use crate::risk::{OnTotal, Sum, TotalLimits, TotalWatch};

use super::Engine;
use super::command::{Command, CommandAction};
use super::lane::Lane;

/// The limits over all strategies of an engine.
#[derive(Debug)]
pub(super) struct Total {
    limits: TotalLimits,
    watch: TotalWatch,
    /// to be given to the engine before it goes on
    commands: Vec<Command>,
}

impl Total {
    pub(super) fn new(limits: TotalLimits) -> Self {
        Self { limits, watch: TotalWatch::default(), commands: Vec::new() }
    }
}

impl Engine {
    /// Takes what the limits over all strategies command by now. Whoever steps the
    /// engine gives each to [`Engine::command`] before the next step, and writes it
    /// down before that where there is a record: what repeats the record finds it
    /// there, and leaves these alone.
    pub fn due_commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.total.commands)
    }

    /// Looks at the limits, after a block of inputs.
    pub(super) fn look_at_all(&mut self) {
        if !self.total.limits.any() {
            return;
        }
        let sum = self.sum();
        let now = self.timeline.now();
        let Total { limits, watch, commands } = &mut self.total;
        let Some(reason) = watch.look(limits, now, &sum) else { return };
        let actions: &[CommandAction] = match limits.action {
            OnTotal::Pause => &[CommandAction::Pause],
            OnTotal::Flatten => &[CommandAction::Pause, CommandAction::Flatten],
            OnTotal::Kill => &[CommandAction::Kill],
        };
        // What nobody has taken is of an earlier block.
        commands.clear();
        commands.extend(actions.iter().map(|&action| Command {
            lane: None,
            action,
            reason: reason.clone(),
        }));
    }

    /// What all lanes have together.
    fn sum(&self) -> Sum {
        let total = |amount: &dyn Fn(&Lane) -> Option<Money>| -> Option<Money> {
            self.lanes.iter().map(amount).sum()
        };
        Sum {
            start: total(&|lane| lane.account.start_equity()),
            equity: total(&|lane| lane.account.equity()),
            base: total(&Lane::short_base),
            exposure: total(&|lane| lane.account.exposure()),
            shorts: total(&|lane| lane.account.short_notional()),
            orders: self.lanes.iter().map(|lane| lane.counters.orders).sum(),
        }
    }
}
