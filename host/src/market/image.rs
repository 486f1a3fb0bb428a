//! What a market's inputs have brought about, to be put into another one.

use serde::{Deserialize, Serialize};

use super::{CandleSeries, Market, State};

/// Books, prices, trades and candles of every symbol, between two batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarketImage(Vec<State>);

impl Market {
    /// What is known now. Trades beyond those that may be looked at are left out: how
    /// many of these there are depends on the size of batches.
    #[must_use]
    pub fn image(&self) -> MarketImage {
        let mut states = self.states.clone();
        for state in &mut states {
            let excess = state.trades.len().saturating_sub(self.limits.trades);
            state.trades.drain(..excess);
        }
        MarketImage(states)
    }

    /// Knows from now on what another market knew; false when that one had other
    /// symbols or kept other candles.
    #[must_use]
    pub fn restore(&mut self, image: &MarketImage) -> bool {
        let kept = |states: &[State]| -> Vec<Vec<u32>> {
            let intervals =
                |state: &State| state.series.iter().map(CandleSeries::interval_s).collect();
            states.iter().map(intervals).collect()
        };
        if kept(&self.states) != kept(&image.0) {
            return false;
        }
        self.states.clone_from(&image.0);
        self.begin_block();
        true
    }
}
