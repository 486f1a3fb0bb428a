//! A simulated market: books and trades from a seed, the same on every machine.
//!
//! Everything is integers and uniform random numbers; a normal one is the sum
//! of twelve uniforms. There is no clock inside: events are appended up to the
//! time that the caller names, so simulated time may run at any pace.
//!
//! For each symbol a fair price walks at random with the configured volatility.
//! Order flow leans to one side for seconds at a time and now and then bursts:
//! trades come four times as often and nearly all from one side. The book's
//! quantities and the fair price follow the flow, the spread breathes around
//! its mean, trades print at the best prices and take what they trade.
//!
//! 1. The same configuration gives the same events, bit by bit, in whatever
//!    steps the caller advances.
//! 2. A symbol's events depend on its own name and the seed alone: another
//!    symbol beside it changes only when they come.
//! 3. The first event of a symbol is a snapshot, and no event ever leaves a
//!    book crossed.
//!
//! Known limitation: symbols walk independently. XRP/BTC begins at the ratio of
//! XRP/USD and BTC/USD with the default prices and then drifts away from it, so
//! arbitrage between pairs means nothing here. Statuses never change.

mod config;
mod history;
mod market;
mod random;

#[cfg(test)]
mod tests;

pub use config::{SimConfig, SimSymbol};

use crate::domain::{InstrumentTable, SymbolId, Ts};
use crate::input::InputBlock;

use market::Market;

/// Events after which one call of [`Simulator::advance`] returns; the last step
/// may exceed it.
const ADVANCE_EVENTS_MAX: usize = 4_096;

/// A market that goes on as far as it is asked to.
pub struct Simulator {
    config: SimConfig,
    instruments: InstrumentTable,
    markets: Vec<Market>,
    steps: u64,
}

impl Simulator {
    /// A market at its start.
    ///
    /// # Errors
    /// A setting out of its range, with its name.
    pub fn new(config: SimConfig) -> Result<Self, String> {
        config.validate()?;
        let instruments = config.symbols.iter().map(|s| s.instrument().clone()).collect();
        let numbered = (0_u16..).map(SymbolId).zip(&config.symbols);
        let markets = numbered.map(|(symbol, s)| Market::new(symbol, s, &config)).collect();
        Ok(Self { instruments: InstrumentTable::new(instruments), markets, steps: 0, config })
    }

    /// What is traded; events carry indices into it.
    #[must_use]
    pub fn instruments(&self) -> &InstrumentTable {
        &self.instruments
    }

    /// When the next events come.
    #[must_use]
    pub fn next_ts(&self) -> Ts {
        // Steps of all symbols in turn, evenly spread, without adding up
        // rounding errors.
        let per_second = u128::from(self.config.rate_hz) * self.markets.len() as u128;
        let since = u128::from(self.steps) * Ts::SECOND as u128 / per_second;
        Ts(self.config.start.0.saturating_add(i64::try_from(since).unwrap_or(i64::MAX)))
    }

    /// Appends the events up to and including `until`. False when there are
    /// more of them than fit one call: take what there is and ask again.
    pub fn advance(&mut self, until: Ts, out: &mut InputBlock) -> bool {
        let first = out.len();
        loop {
            let ts = self.next_ts();
            if ts > until || ts.0 == i64::MAX {
                return true;
            }
            if out.len() - first >= ADVANCE_EVENTS_MAX {
                return false;
            }
            self.step(ts, out);
        }
    }

    /// Goes on behind the first `events` events without giving them out. What is left
    /// of a step in which they end goes to `rest`, which comes empty and numbered.
    pub fn skip(&mut self, events: u64, rest: &mut InputBlock) {
        let (mut block, mut left) = (InputBlock::new(&self.instruments, 1), events);
        while left > 0 {
            block.reset(1);
            self.step(self.next_ts(), &mut block);
            let step = block.len() as u64;
            if step > left {
                let first_seq = rest.first_seq();
                block.copy_part(left as usize..block.len(), rest);
                rest.renumber(first_seq);
            }
            left = left.saturating_sub(step);
        }
    }

    fn step(&mut self, ts: Ts, out: &mut InputBlock) {
        let symbol = (self.steps % self.markets.len() as u64) as usize;
        self.markets[symbol].step(ts, out);
        self.steps += 1;
    }

    /// Candles that closed before the start, `count` for each symbol and
    /// interval, oldest first, all received at the start. Their last close is
    /// the start price, and a longer interval's candle is made of those of the
    /// shorter ones. Long intervals get fewer than `count` when the history
    /// would take more than 100,000 candles of the intervals' common divisor.
    /// Gives the same whether or not the market has advanced.
    #[must_use]
    pub fn warm_up(&self, intervals_s: &[u32], count: u32) -> InputBlock {
        let mut block = InputBlock::new(&self.instruments, 1);
        let candles = history::candles(&self.config, intervals_s, count);
        for candle in &candles {
            block.push_candle(self.config.start, candle);
        }
        block
    }
}
