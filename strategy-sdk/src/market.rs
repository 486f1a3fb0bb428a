//! What the events have shown of the market, as far as the strategy subscribed.

use crate::book::Book;
use crate::description::{Channel, Description};
use crate::types::{Candle, Instrument, MarketStatus, Side, Symbol, Trade};
use crate::window::Window;
use crate::words::{self, WordsError};

/// The newest trades of one instrument.
#[derive(Clone, Debug, PartialEq)]
pub struct RecentTrades {
    kept: Window<Trade>,
}

impl RecentTrades {
    pub(crate) fn new(size: usize) -> Self {
        Self { kept: Window::new(size) }
    }

    /// How many trades are kept now.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The newest trade.
    pub fn newest(&self) -> Option<&Trade> {
        self.kept.newest()
    }

    /// The newest `count` trades, oldest of them first.
    pub fn last(&self, count: usize) -> impl DoubleEndedIterator<Item = &Trade> + Clone {
        self.kept.last(count)
    }

    /// Volume-weighted average price of the newest `count` trades, computed
    /// anew; [`RollingVwap`](crate::indicators::RollingVwap) is for every event.
    pub fn vwap(&self, count: usize) -> Option<f64> {
        let (mut cost, mut volume) = (0.0, 0.0);
        for trade in self.last(count) {
            cost += trade.price * trade.quantity;
            volume += trade.quantity;
        }
        (volume > 0.0).then(|| cost / volume)
    }

    /// (B − S) / (B + S) of the newest `count` trades by volume, computed anew;
    /// [`TradeImbalance`](crate::indicators::TradeImbalance) is for every event.
    pub fn imbalance(&self, count: usize) -> Option<f64> {
        let (mut bought, mut sold) = (0.0, 0.0);
        for trade in self.last(count) {
            match trade.side {
                Side::Buy => bought += trade.quantity,
                Side::Sell => sold += trade.quantity,
            }
        }
        let total: f64 = bought + sold;
        (total > 0.0).then(|| (bought - sold) / total)
    }
}

/// The newest closed candles of one instrument and interval.
#[derive(Clone, Debug, PartialEq)]
pub struct RecentCandles {
    pub(crate) interval_s: u32,
    kept: Window<Candle>,
}

impl RecentCandles {
    /// The interval in seconds.
    pub fn interval_s(&self) -> u32 {
        self.interval_s
    }

    /// How many candles are kept now.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The newest closed candle.
    pub fn newest(&self) -> Option<&Candle> {
        self.kept.newest()
    }

    /// The newest `count` closed candles, oldest of them first.
    pub fn last(&self, count: usize) -> impl DoubleEndedIterator<Item = &Candle> + Clone {
        self.kept.last(count)
    }
}

/// One instrument's state.
#[derive(Clone, Debug)]
pub(crate) struct SymbolState {
    pub(crate) wants_trades: bool,
    pub(crate) wants_book: bool,
    pub(crate) wants_status: bool,
    pub(crate) keeps_trades: bool,
    price: Option<f64>,
    /// The instant that `price` speaks of.
    price_ts_ns: u64,
    pub(crate) trades: RecentTrades,
    pub(crate) candles: Vec<RecentCandles>,
    pub(crate) book: Book,
    pub(crate) status: MarketStatus,
}

impl SymbolState {
    #[inline]
    pub(crate) fn take_trade(&mut self, trade: &Trade) {
        self.price = Some(trade.price);
        self.price_ts_ns = trade.ts_ns;
        if self.keeps_trades {
            self.trades.kept.push(*trade);
        }
    }

    /// Keeps the candle and says whether its interval was subscribed to.
    pub(crate) fn take_candle(&mut self, candle: &Candle) -> bool {
        let wanted = |kept: &&mut RecentCandles| kept.interval_s == candle.interval_s;
        let Some(recent) = self.candles.iter_mut().find(wanted) else { return false };
        recent.kept.push(*candle);
        // A close speaks of its candle's end, so it never displaces a newer
        // trade; history from before the run is no price to trade at.
        if !candle.warm_up && candle.end_ts_ns() > self.price_ts_ns {
            self.price = Some(candle.close);
            self.price_ts_ns = candle.end_ts_ns();
        }
        true
    }

    /// The last trade's or candle's price, or the mid where neither is known.
    #[inline]
    pub(crate) fn price(&self) -> Option<f64> {
        self.price.or_else(|| self.book.mid())
    }
}

/// How an amount in an instrument's quote asset turns into account currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conversion {
    /// It is the same.
    Same,
    /// Multiplied by that instrument's price.
    Times(Symbol),
    /// Divided by that instrument's price.
    Over(Symbol),
    /// No instrument of the run links the two.
    Unknown,
}

/// Everything that the events have shown.
#[derive(Clone, Debug)]
pub(crate) struct Market {
    pub(crate) ts_ns: u64,
    pub(crate) instruments: Vec<Instrument>,
    pub(crate) symbols: Vec<SymbolState>,
    pub(crate) timers_ms: Vec<u32>,
    conversions: Vec<Conversion>,
}

impl Market {
    /// # Errors
    /// More instruments than the header's symbol field can name, or a
    /// subscription to one that the run does not have.
    pub(crate) fn new(
        description: &Description,
        instruments: Vec<Instrument>,
        currency: &str,
        ts_ns: u64,
    ) -> Result<Self, String> {
        let count = u16::try_from(instruments.len())
            .map_err(|_| format!("{} instruments are too many", instruments.len()))?;
        let conversions = instruments
            .iter()
            .map(|instrument| conversion(&instrument.quote, currency, &instruments))
            .collect();
        let symbols =
            (0..count).map(|index| SymbolState::new(description, Symbol(index))).collect();
        let mut market = Self { ts_ns, instruments, symbols, timers_ms: Vec::new(), conversions };
        market.subscribe(description)?;
        Ok(market)
    }

    /// The market of a strategy that has not been started.
    pub(crate) fn empty() -> Self {
        Self {
            ts_ns: 0,
            instruments: Vec::new(),
            symbols: Vec::new(),
            timers_ms: Vec::new(),
            conversions: Vec::new(),
        }
    }

    /// The names of the run's instruments.
    pub(crate) fn names(&self) -> Vec<String> {
        self.instruments.iter().map(|instrument| instrument.symbol.clone()).collect()
    }

    /// What is kept, as events that restore it, and the last prices with the
    /// instants they speak of.
    pub(crate) fn save(&self) -> (Vec<u64>, Vec<(Option<f64>, u64)>) {
        let mut batch = Vec::new();
        for (index, state) in (0..=u16::MAX).zip(&self.symbols) {
            state.save(Symbol(index), self.ts_ns, &mut batch);
        }
        (batch, self.symbols.iter().map(|state| (state.price, state.price_ts_ns)).collect())
    }

    /// Takes over what [`Market::save`] gave. The subscriptions stay this run's,
    /// so that a newer version of a strategy may want other things.
    pub(crate) fn resume(
        &mut self,
        mut batch: &[u64],
        prices: &[(Option<f64>, u64)],
    ) -> Result<(), WordsError> {
        while !batch.is_empty() {
            let (event, rest) = words::split_first(batch)?;
            batch = rest;
            let symbol = event.symbol();
            let state =
                self.symbols.get_mut(symbol.index()).ok_or(WordsError::UnknownSymbol(symbol.0))?;
            match event.kind() {
                words::KIND_TRADE if state.wants_trades => state.take_trade(&event.trade()?),
                words::KIND_CANDLE => {
                    state.take_candle(&event.candle()?);
                }
                words::KIND_BOOK if state.wants_book => state.book.apply(&event),
                words::KIND_STATUS if state.wants_status => state.status = event.status()?,
                _ => {}
            }
        }
        for (state, (price, ts_ns)) in self.symbols.iter_mut().zip(prices) {
            (state.price, state.price_ts_ns) = (*price, *ts_ns);
        }
        Ok(())
    }

    fn subscribe(&mut self, description: &Description) -> Result<(), String> {
        for subscription in &description.subscriptions {
            if let Channel::Timer(interval_ms) = subscription.channel {
                self.timers_ms.push(interval_ms);
                continue;
            }
            let chosen = match &subscription.symbol {
                None => 0..self.symbols.len(),
                Some(name) => {
                    let index = self.find(name).ok_or_else(|| {
                        format!("a subscription names {name}, which the run does not have")
                    })?;
                    index.index()..index.index() + 1
                }
            };
            for state in &mut self.symbols[chosen] {
                state.subscribe(subscription.channel, description.candles_kept);
            }
        }
        Ok(())
    }

    pub(crate) fn find(&self, name: &str) -> Option<Symbol> {
        let index = self.instruments.iter().position(|instrument| instrument.symbol == name)?;
        u16::try_from(index).ok().map(Symbol)
    }

    #[inline]
    pub(crate) fn symbol(&self, symbol: Symbol) -> Option<&SymbolState> {
        self.symbols.get(symbol.index())
    }

    pub(crate) fn price(&self, symbol: Symbol) -> Option<f64> {
        self.symbol(symbol)?.price()
    }

    /// Account currency for one unit of the instrument's quote asset.
    pub(crate) fn quote_rate(&self, symbol: Symbol) -> Option<f64> {
        match self.conversions.get(symbol.index())? {
            Conversion::Same => Some(1.0),
            Conversion::Times(link) => self.price(*link),
            Conversion::Over(link) => self.price(*link).filter(|p| *p > 0.0).map(|p| 1.0 / p),
            Conversion::Unknown => None,
        }
    }
}

impl SymbolState {
    fn new(description: &Description, symbol: Symbol) -> Self {
        Self {
            wants_trades: false,
            wants_book: false,
            wants_status: false,
            keeps_trades: description.trades_kept > 0,
            price: None,
            price_ts_ns: 0,
            trades: RecentTrades::new(description.trades_kept),
            candles: Vec::new(),
            book: Book::new(symbol, 0),
            status: MarketStatus::Trading,
        }
    }

    /// Writes what is kept as events, so that taking them again restores it.
    fn save(&self, symbol: Symbol, ts_ns: u64, batch: &mut Vec<u64>) {
        words::push_status(batch, symbol, ts_ns, self.status);
        for candle in self.candles.iter().flat_map(|recent| recent.kept.iter()) {
            words::push_candle(batch, ts_ns, candle);
        }
        for trade in self.trades.kept.iter() {
            words::push_trade(batch, trade);
        }
        let (bids, asks) = self.book.all_levels();
        words::push_book(batch, symbol, self.book.ts_ns(), true, bids, asks);
    }

    fn subscribe(&mut self, channel: Channel, candles_kept: usize) {
        match channel {
            Channel::Trades => self.wants_trades = true,
            Channel::Status => self.wants_status = true,
            Channel::Timer(_) => {}
            Channel::Book(depth) => {
                // Asked for twice, the deeper one holds.
                let depth = self.book.depth().max(depth as usize);
                self.wants_book = true;
                self.book = Book::new(self.book.symbol(), depth);
            }
            Channel::Candles(interval_s) => {
                if !self.candles.iter().any(|kept| kept.interval_s == interval_s) {
                    let kept = Window::new(candles_kept);
                    self.candles.push(RecentCandles { interval_s, kept });
                }
            }
        }
    }
}

/// Dollar stablecoins stand for the dollar here: this is for sizing and for the
/// equity shown to the strategy, while the host's ledger keeps assets apart.
fn same_money(left: &str, right: &str) -> bool {
    const DOLLARS: [&str; 3] = ["USD", "USDT", "USDC"];
    left == right || (DOLLARS.contains(&left) && DOLLARS.contains(&right))
}

fn conversion(quote: &str, currency: &str, instruments: &[Instrument]) -> Conversion {
    if same_money(quote, currency) {
        return Conversion::Same;
    }
    for (index, link) in (0..=u16::MAX).zip(instruments) {
        if link.base == quote && same_money(&link.quote, currency) {
            return Conversion::Times(Symbol(index));
        }
        if same_money(&link.base, currency) && link.quote == quote {
            return Conversion::Over(Symbol(index));
        }
    }
    Conversion::Unknown
}
