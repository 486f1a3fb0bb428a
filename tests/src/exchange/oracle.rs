//! Compares what reaches a strategy with the truth, event by event.

use sandpaper::domain::{InstrumentTable, Side};
use sandpaper::input::{CandleInput, EventRef, InputBlock, Levels, TradingStatus};

use super::State;
use super::book::{CHECKED, Level, View};
use super::market::SECOND;

/// How old may be what a symbol shows as fresh while the exchange has told
/// newer things: the time in which silence is noticed, and the link's own.
pub const TOLD_LAG_MAX: i64 = 12 * SECOND;
/// The same while the exchange has kept the symbol's changes to itself.
pub const TRUE_LAG_MAX: i64 = 62 * SECOND;

/// What a listener may be broken to do, to show that the oracle sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    /// nothing
    #[default]
    None,
    /// it does not hear that a symbol is stale
    IgnoresStale,
    /// it asks for no candles of an outage
    AsksNoCandles,
}

/// A listener with knowledge of the truth.
pub struct Oracle {
    symbols: Vec<Symbol>,
    depth: usize,
    sabotage: Sabotage,
    /// what was wrong, the first few
    pub wrong: Vec<String>,
    /// books that were compared
    pub compared: u64,
    /// candles that were
    pub candles: u64,
    /// how often the last symbol with fresh data lost it
    pub darkened: u64,
}

struct Symbol {
    name: String,
    place: usize,
    view: View,
    ts: i64,
    fresh: bool,
    lost: u64,
    snapshot_ts: i64,
    status: Option<TradingStatus>,
    last_trade: Option<u64>,
    trades: u64,
    missed: u64,
}

/// Faults that are written down.
const WRONG_MAX: usize = 10;

impl Oracle {
    /// An oracle for listeners of these instruments at this depth of the book.
    ///
    /// # Panics
    /// For a symbol that the exchange does not have.
    #[must_use]
    pub fn new(instruments: &InstrumentTable, depth: usize, sabotage: Sabotage) -> Self {
        let symbol = |name: &str| Symbol {
            name: name.to_owned(),
            place: super::market::PAIRS
                .iter()
                .position(|pair| pair.symbol == name)
                .unwrap_or_else(|| panic!("the exchange has no {name}")),
            view: View::default(),
            ts: i64::MIN,
            fresh: false,
            lost: 0,
            snapshot_ts: i64::MIN,
            status: None,
            last_trade: None,
            trades: 0,
            missed: 0,
        };
        let symbols = instruments.iter().map(|(_, i)| symbol(&i.symbol)).collect();
        Self { symbols, depth, sabotage, wrong: Vec::new(), compared: 0, candles: 0, darkened: 0 }
    }

    /// Takes what reaches a strategy.
    pub fn take(&mut self, block: &InputBlock, state: &State) {
        for index in 0..block.len() {
            match block.get(index) {
                EventRef::Book { symbol, snapshot, bids, asks } => {
                    let at = symbol.index();
                    let symbol = &mut self.symbols[at];
                    if snapshot {
                        symbol.view = View::default();
                        symbol.snapshot_ts = block.ts_exchange(index).0;
                    }
                    apply(&mut symbol.view, bids, asks);
                    symbol.ts = block.ts_exchange(index).0;
                    self.compare(at, state);
                }
                EventRef::Status { symbol, status } => {
                    let at = symbol.index();
                    self.symbols[at].status = Some(status);
                    let stale = status == TradingStatus::Stale;
                    let was_dark = self.none_fresh();
                    self.symbols[at].lost += u64::from(stale && self.symbols[at].fresh);
                    self.symbols[at].fresh = !stale
                        || (self.sabotage == Sabotage::IgnoresStale && self.symbols[at].fresh);
                    self.darkened += u64::from(!was_dark && self.none_fresh());
                    self.compare(at, state);
                }
                EventRef::Trade(trade) => {
                    let buy = trade.side == Side::Buy;
                    let told = (buy, trade.price.0, trade.qty.0);
                    self.trade(trade.symbol.index(), trade.id, told, state);
                }
                EventRef::Candle(candle) => self.candle(&candle, state),
                EventRef::Timer | EventRef::Rules { .. } => {}
            }
        }
    }

    fn trade(&mut self, at: usize, id: u64, told: (bool, i64, i64), state: &State) {
        let symbol = &mut self.symbols[at];
        let print = state.market.books[symbol.place].print(id);
        let truth = print.map(|print| (print.buy, print.price, print.qty));
        symbol.trades += 1;
        let last = symbol.last_trade.replace(id);
        symbol.missed += last.map_or(0, |last| id.saturating_sub(last + 1));
        let name = symbol.name.clone();
        if last.is_some_and(|last| id <= last) {
            self.note(format!("{name}: trade {id} after {last:?}"));
        }
        if truth != Some(told) {
            self.note(format!("{name}: trade {id} is {truth:?}, not {told:?}"));
        }
    }

    /// A candle of the venue is the true one; where no trade fell, it stands still.
    fn candle(&mut self, candle: &CandleInput, state: &State) {
        let symbol = &self.symbols[candle.symbol.index()];
        let minute = candle.open_ts.0 / (60 * SECOND);
        let told = [candle.open, candle.high, candle.low, candle.close].map(|price| price.0);
        let truth = state.market.books[symbol.place].minute(minute);
        let is_true = match truth {
            Some(row) => {
                told == [row.open, row.high, row.low, row.close] && candle.volume.0 == row.volume
            }
            None => told == [told[0]; 4] && candle.volume.0 == 0,
        };
        self.candles += 1;
        if !is_true {
            let (name, volume) = (symbol.name.clone(), candle.volume.0);
            self.note(format!("{name}: minute {minute} is {truth:?}, not {told:?} of {volume}"));
        }
    }

    fn compare(&mut self, at: usize, state: &State) {
        let symbol = &self.symbols[at];
        if !symbol.fresh {
            return;
        }
        self.compared += 1;
        // Below the levels of the checksum a lost message shows in nothing.
        let whole = state.disturbed[symbol.place] < symbol.snapshot_ts;
        let levels = if whole { self.depth } else { CHECKED };
        let same = state
            .truth
            .book(symbol.place, symbol.ts)
            .is_some_and(|truth| truth.top(levels) == symbol.view.top(levels));
        if !same {
            let (name, ts) = (symbol.name.clone(), symbol.ts);
            self.note(format!("{name}: not the book of {ts}, and not stale"));
        }
    }

    /// Looks whether anything is shown as fresh that is too old by `now`.
    pub fn look(&mut self, now: i64, state: &State) {
        for at in 0..self.symbols.len() {
            let symbol = &self.symbols[at];
            if !symbol.fresh {
                continue;
            }
            let told = state.truth.first_after(symbol.place, symbol.ts);
            let told_lag = told.map_or(0, |ts| now - ts);
            let truth = state.market.books[symbol.place].view(self.depth);
            let true_lag = if truth == symbol.view { 0 } else { now - symbol.ts };
            if told_lag > TOLD_LAG_MAX || true_lag > TRUE_LAG_MAX {
                let name = symbol.name.clone();
                self.note(format!(
                    "{name}: shown as fresh {} ms after newer was told, {} ms after its own time",
                    told_lag / 1_000_000,
                    true_lag / 1_000_000
                ));
            }
        }
    }

    /// True when every symbol trades.
    #[must_use]
    pub fn all_trading(&self) -> bool {
        self.symbols.iter().all(|symbol| symbol.status == Some(TradingStatus::Trading))
    }

    /// True when no symbol shows data as fresh.
    #[must_use]
    pub fn none_fresh(&self) -> bool {
        self.symbols.iter().all(|symbol| !symbol.fresh)
    }

    /// How often a symbol's data was fresh and then was not.
    #[must_use]
    pub fn times_lost(&self, at: usize) -> u64 {
        self.symbols[at].lost
    }

    /// The status of a symbol, as it was last told.
    #[must_use]
    pub fn status(&self, at: usize) -> Option<TradingStatus> {
        self.symbols[at].status
    }

    /// Trades that came, and those that were missing between them.
    #[must_use]
    pub fn trades(&self) -> (u64, u64) {
        let sum = |count: fn(&Symbol) -> u64| self.symbols.iter().map(count).sum();
        (sum(|s| s.trades), sum(|s| s.missed))
    }

    fn note(&mut self, what: String) {
        if self.wrong.len() < WRONG_MAX {
            self.wrong.push(what);
        }
    }
}

fn apply(view: &mut View, bids: Levels<'_>, asks: Levels<'_>) {
    for (bid, levels) in [(true, bids), (false, asks)] {
        let levels: Vec<Level> = levels.iter().map(|(price, qty)| (price.0, qty.0)).collect();
        for level in levels {
            view.set(bid, level);
        }
    }
}
