//! What a strategy sees when it looks back from `start` and `on_order`.

use std::sync::Arc;

use crate::domain::{Instrument, InstrumentTable, Money, Price, Qty, SymbolId};
use crate::market::Market;
use crate::portfolio::Account;
use crate::strategy::{
    AccountInfo, BookInfo, CandleInfo, History, InstrumentInfo, PositionInfo, TradeInfo,
};

use super::lane::Lane;

/// A look back from one moment of one lane.
#[derive(Debug)]
pub struct LaneView {
    market: Arc<Market>,
    moment: u64,
    symbols: Arc<[SymbolId]>,
    instruments: InstrumentTable,
    intervals: Arc<[u32]>,
    account: AccountInfo,
}

impl LaneView {
    /// The view of `lane` at engine moment `moment`; the books must stand there.
    #[must_use]
    pub(super) fn new(lane: &Lane, market: &Arc<Market>, moment: u64) -> Self {
        Self {
            market: Arc::clone(market),
            moment,
            symbols: Arc::clone(&lane.symbols),
            instruments: lane.instruments.clone(),
            intervals: Arc::clone(&lane.intervals),
            account: account_info(&lane.account, &lane.instruments),
        }
    }

    fn find(&self, symbol: u16) -> Option<(SymbolId, &Instrument)> {
        let run = *self.symbols.get(usize::from(symbol))?;
        Some((run, self.instruments.get(SymbolId(symbol))?))
    }
}

impl History for LaneView {
    fn candles(&self, symbol: u16, interval_s: u32, newest: u32) -> Vec<CandleInfo> {
        let Some((run, instrument)) = self.find(symbol) else { return Vec::new() };
        // What only a neighbor asked for is not there for this lane.
        if !self.intervals.contains(&interval_s) {
            return Vec::new();
        }
        let price = |units| instrument.price_f64(Price(units));
        self.market
            .candles(run, interval_s, self.moment, newest as usize)
            .map(|c| CandleInfo {
                interval_s,
                open_ts_ns: c.candle.open_ts as u64,
                open: price(c.candle.open),
                high: price(c.candle.high),
                low: price(c.candle.low),
                close: price(c.candle.close),
                volume: instrument.qty_f64(Qty(c.candle.volume)),
                vwap: c.vwap,
            })
            .collect()
    }

    fn trades(&self, symbol: u16, newest: u32) -> Vec<TradeInfo> {
        let Some((run, instrument)) = self.find(symbol) else { return Vec::new() };
        self.market
            .trades(run, self.moment, newest as usize)
            .map(|t| TradeInfo {
                ts_ns: t.ts.0 as u64,
                price: instrument.price_f64(t.trade.price),
                quantity: instrument.qty_f64(t.trade.qty),
                side: t.trade.side,
                id: t.trade.id,
            })
            .collect()
    }

    fn book(&self, symbol: u16, depth: u32) -> BookInfo {
        let Some((run, instrument)) = self.find(symbol) else { return BookInfo::default() };
        let level = |(price, qty): (i64, i64)| {
            (instrument.price_f64(Price(price)), instrument.qty_f64(Qty(qty)))
        };
        let book = self.market.book(run);
        BookInfo {
            bids: book.bids().take(depth as usize).map(level).collect(),
            asks: book.asks().take(depth as usize).map(level).collect(),
        }
    }

    fn account(&self) -> AccountInfo {
        self.account.clone()
    }
}

/// An account as a strategy sees it. Equity that cannot be known yet is shown
/// as the cash.
#[must_use]
pub fn account_info(account: &Account, instruments: &InstrumentTable) -> AccountInfo {
    let cash = account.cash();
    AccountInfo {
        currency: account.currency().to_owned(),
        cash: Money::to_f64(cash),
        equity: account.equity().unwrap_or(cash).to_f64(),
        positions: account
            .open_positions()
            .map(|(symbol, position)| PositionInfo {
                symbol: symbol.0,
                quantity: instruments.at(symbol).qty_f64(position.qty),
                entry_price: position.entry_price(instruments.at(symbol)),
            })
            .collect(),
    }
}

/// An instrument as a strategy sees it.
#[must_use]
pub fn instrument_info(instrument: &Instrument) -> InstrumentInfo {
    InstrumentInfo {
        symbol: instrument.symbol.clone(),
        base: instrument.base.clone(),
        quote: instrument.quote.clone(),
        price_increment: instrument.price_f64(instrument.price_increment),
        quantity_increment: instrument.qty_f64(instrument.qty_increment),
        quantity_min: instrument.qty_f64(instrument.qty_min),
        cost_min: instrument.cost_min.to_f64(),
        short_allowed: instrument.short_allowed,
    }
}
