//! A random market, as inputs of the engine and as lines of the oracle's stream.

use std::fmt::Write as _;

use sandpaper::domain::{
    Instrument, InstrumentTable, Money, Price, Qty, Rules, Side, SymbolId, Ts, decimal,
};
use sandpaper::input::{InputBlock, Trade, TradingStatus};
use sandpaper_tests::exchange::random::Random;

/// The first event's time.
const START: i64 = 1_700_000_000 * Ts::SECOND;

/// Two symbols with their own units and rules: in one quote asset, or the second in the
/// asset that the first is the rate of.
pub fn instruments(random: &mut Random) -> InstrumentTable {
    let mut coarse = Instrument::plain("X/USD", 2, 2);
    let names = ["Y/USD", "Y/USD", "Y/X"];
    let mut fine = Instrument::plain(random.pick(&names), 5, 8);
    if random.chance(500) {
        (coarse.qty_increment, coarse.qty_min) = (Qty(5), Qty(20));
        coarse.cost_min = Money::parse("3").expect("a decimal");
        (fine.price_increment, fine.qty_increment) = (Price(5), Qty(1_000));
        fine.short_allowed = random.chance(700);
    }
    InstrumentTable::new(vec![coarse, fine])
}

/// The line that tells the oracle of a symbol.
pub fn describe(instrument: &Instrument) -> String {
    let increments = words(instrument, &instrument.rules());
    let (first, rest) = increments.split_once(' ').expect("several words");
    let unit = decimal::format(1, instrument.qty_decimals);
    format!("symbol {} {first} {unit} {rest}\n", instrument.symbol)
}

/// Increments and minimums in the oracle's words.
fn words(instrument: &Instrument, rules: &Rules) -> String {
    let price = |units: i64| decimal::format(units.into(), instrument.price_decimals);
    let qty = |units: i64| decimal::format(units.into(), instrument.qty_decimals);
    format!(
        "{} {} {} {} {}",
        price(rules.price_increment.0),
        qty(rules.qty_increment.0),
        qty(rules.qty_min.0),
        rules.cost_min,
        u8::from(rules.short_allowed),
    )
}

/// Prices that walk, around each of which stands a book or none.
pub struct Market {
    random: Random,
    now: i64,
    /// by symbol: the fair price in units
    pub fair: [i64; 2],
    /// by symbol: bids and asks that a book event has shown lately
    pub levels: [Vec<(Side, i64)>; 2],
    books: [bool; 2],
    halted: Option<SymbolId>,
    /// rules change now and then
    changes: bool,
    /// days without events come now and then
    leaps: bool,
    instruments: InstrumentTable,
}

impl Market {
    /// A market of this seed.
    pub fn new(seed: u64, instruments: InstrumentTable) -> Self {
        let mut random = Random::new(seed, "market");
        let books = [random.chance(700), random.chance(700)];
        let fair = [10_000, 1_234_567];
        let levels = [Vec::new(), Vec::new()];
        let (changes, leaps) = (random.chance(300), random.chance(200));
        let (now, halted) = (START, None);
        Self { random, now, fair, levels, books, halted, changes, leaps, instruments }
    }

    /// Adds an event to the block and returns its time and its line.
    pub fn event(&mut self, block: &mut InputBlock) -> (i64, String) {
        let hours = if self.random.chance(20) { 3_600 * self.random.between(1, 30) } else { 0 };
        // A trade is told by a print and by the book within moments of each other.
        let most = if self.random.chance(600) { 200_000_000 } else { 3_000_000_000 };
        self.now += self.random.between(1_000_000, most) + hours * Ts::SECOND;
        if self.leaps && self.random.chance(30) {
            self.now += self.random.between(1, 25) * 24 * 3_600 * Ts::SECOND;
        }
        let symbol = SymbolId(self.random.below(2) as u16);
        if self.changes && self.random.chance(40) {
            return (self.now, self.rules(block, symbol));
        }
        let fair = self.fair[symbol.index()];
        let step = self.random.between(-fair / 100, fair / 100);
        self.fair[symbol.index()] = (fair + step).clamp(200, 1 << 40);
        let line = match self.random.below(100) {
            0..=1 => self.status(block, symbol),
            2..=30 if self.halted.is_some() => self.status(block, symbol),
            2..=54 if self.books[symbol.index()] => self.book(block, symbol),
            _ => self.trade(block, symbol),
        };
        (self.now, line)
    }

    fn texts(&self, symbol: SymbolId, price: i64, qty: i64) -> (String, String) {
        let instrument = self.instruments.at(symbol);
        (
            decimal::format(price.into(), instrument.price_decimals),
            decimal::format_short(qty.into(), instrument.qty_decimals),
        )
    }

    /// A quantity such as the orders are: tenths to some units.
    fn depth(&mut self, symbol: SymbolId) -> i64 {
        let unit = 10_i64.pow(u32::from(self.instruments.at(symbol).qty_decimals));
        (unit * self.random.between(1, 400) / 100).max(1)
    }

    fn trade(&mut self, block: &mut InputBlock, symbol: SymbolId) -> String {
        let fair = self.fair[symbol.index()];
        let mut price = fair + self.random.between(-fair / 300, fair / 300);
        let qty = self.depth(symbol);
        let mut side = self.random.pick(&[Side::Buy, Side::Sell]);
        // Most prints are at a level that stands, by a taker of the other side.
        let levels = &self.levels[symbol.index()];
        if !levels.is_empty() && self.random.chance(700) {
            let (stands, at) = levels[self.random.below(levels.len() as u64) as usize];
            side = if stands == Side::Buy { Side::Sell } else { Side::Buy };
            price = at;
        }
        let trade = Trade { symbol, side, price: Price(price), qty: Qty(qty), id: 0 };
        block.push_trade(Ts(self.now), Ts(self.now), &trade);
        let (price, qty) = self.texts(symbol, price, qty);
        let side = if side == Side::Buy { "buy" } else { "sell" };
        format!("trade {} {} {side} {price} {qty}\n", self.now, symbol.0)
    }

    fn book(&mut self, block: &mut InputBlock, symbol: SymbolId) -> String {
        let fair = self.fair[symbol.index()];
        let snapshot = self.random.chance(400);
        let mut sides = [Vec::new(), Vec::new()];
        for (side, levels) in sides.iter_mut().enumerate() {
            let most = if snapshot { self.random.between(0, 5) } else { self.random.between(0, 2) };
            for _ in 0..most {
                // Levels on a coarse grid, so that changes meet levels that stand.
                let grid = (fair / 1_000).max(1);
                let away = grid * self.random.between(1, 12);
                let mut price = (fair / grid * grid) + if side == 0 { -away } else { away };
                // Most changes are of levels that stand.
                let own = if side == 0 { Side::Buy } else { Side::Sell };
                let stand = self.levels[symbol.index()].iter().filter(|level| level.0 == own);
                let stand: Vec<i64> = stand.map(|level| level.1).collect();
                if !snapshot && !stand.is_empty() && self.random.chance(600) {
                    price = stand[self.random.below(stand.len() as u64) as usize];
                }
                if levels.iter().all(|(p, _): &(Price, Qty)| p.0 != price) {
                    let gone = !snapshot && self.random.chance(300);
                    let qty = if gone { 0 } else { self.depth(symbol) };
                    levels.push((Price(price), Qty(qty)));
                }
            }
        }
        let known = &mut self.levels[symbol.index()];
        if snapshot {
            known.clear();
        }
        // What changed draws prints: a change and a print may tell of one trade.
        for _ in 0..if snapshot { 1 } else { 8 } {
            known.extend(sides[0].iter().map(|(price, _)| (Side::Buy, price.0)));
            known.extend(sides[1].iter().map(|(price, _)| (Side::Sell, price.0)));
        }
        let mut line = format!("book {} {} {}", self.now, symbol.0, u8::from(snapshot));
        for (name, levels) in ["b", "a"].iter().zip(&sides) {
            for (price, qty) in levels {
                let (price, qty) = self.texts(symbol, price.0, qty.0);
                let _ = write!(line, " {name}:{price}:{qty}");
            }
        }
        block.push_book(Ts(self.now), Ts(self.now), symbol, snapshot, &sides[0], &sides[1]);
        line + "\n"
    }

    /// The venue changes what orders must be.
    fn rules(&mut self, block: &mut InputBlock, symbol: SymbolId) -> String {
        let instrument = self.instruments.at(symbol);
        let unit = 10_i64.pow(u32::from(instrument.qty_decimals));
        let grid = (self.fair[symbol.index()] / 2_000).max(1);
        let rules = Rules {
            price_increment: Price(self.random.pick(&[1, 2, grid])),
            qty_increment: Qty(self.random.pick(&[1, 3, unit / 20])),
            qty_min: Qty(self.random.pick(&[1, unit / 10, unit / 3])),
            cost_min: Money(i128::from(self.random.between(0, 3_000_000_000))),
            short_allowed: self.random.chance(800),
        };
        block.push_rules(Ts(self.now), symbol, &rules);
        format!("rules {} {} {}\n", self.now, symbol.0, words(instrument, &rules))
    }

    /// Trading stops now and then, and goes on with the next of these events.
    fn status(&mut self, block: &mut InputBlock, symbol: SymbolId) -> String {
        let (symbol, number) = match self.halted.take() {
            Some(halted) => (halted, 0),
            None => (symbol, self.random.between(1, 6) as u8),
        };
        self.halted = (number > 0).then_some(symbol);
        let status = TradingStatus::from_u8(number).expect("a known status");
        block.push_status(Ts(self.now), symbol, status);
        format!("status {} {} {number}\n", self.now, symbol.0)
    }
}
