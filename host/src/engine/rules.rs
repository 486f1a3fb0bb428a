//! A venue's increments and minimums, as they change while it trades.
//!
//! They are an input like any other, so that a replay has them at the same place.
//! A batch ends with them: every moment up to theirs meets the old rules, every
//! later one the new, at any size of batches. Orders that wait keep the price and
//! the quantity that they were accepted with, as they do at a venue; what is
//! placed or changed afterwards is checked against the new rules.

use crate::input::{EventRef, InputBlock};
use crate::words;

use super::Engine;

/// Where a batch of at most `most` events from `from` on ends, exclusive.
pub(super) fn batch_end(block: &InputBlock, from: usize, most: usize) -> usize {
    let end = block.len().min(from + most);
    (from..end).find(|&index| block.header(index).kind() == words::RULES).map_or(end, |i| i + 1)
}

impl Engine {
    /// Lets event `last`, the last of a batch, change the rules, if it is such.
    pub(super) fn take_rules(&mut self, block: &InputBlock, last: usize) {
        let EventRef::Rules { symbol, rules } = block.get(last) else { return };
        self.instruments = self.instruments.with_rules(symbol, &rules);
        for lane in &mut self.lanes {
            if let Some(Some(own)) = lane.local.get(symbol.index()) {
                lane.instruments = lane.instruments.with_rules(*own, &rules);
            }
        }
    }
}
