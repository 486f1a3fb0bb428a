//! What readers see of the engine: values, never references into it.

use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::domain::{InstrumentTable, Money, Price, Ts};
use crate::market::Market;
use crate::portfolio::metrics::Curve;
use crate::portfolio::{AssetTotals, Breakdown, RoundTrip, Statistics, Summary};
use crate::strategy::{Spreads, Usage};

use super::lane::{Counters, Lane, LaneState};

/// Where one lane stands. Amounts are in the lane's currency.
#[derive(Clone, Debug)]
pub struct LaneReport {
    /// the operator's name for it
    pub name: Arc<str>,
    /// its account currency
    pub currency: String,
    /// running, quarantined or stopped
    pub state: LaneState,
    /// what it has seen and done
    pub counters: Counters,
    /// what its strategy has used
    pub usage: Usage,
    /// how its calls are spread
    pub spreads: Spreads,
    /// equity at the first moment when it was known
    pub start_equity: Option<Money>,
    /// cash in the currency
    pub cash: Money,
    /// equity at the last marks
    pub equity: Option<Money>,
    /// profit realized by reductions, less all fees and charges: equity is start
    /// equity + this + unrealized (+ what balances in other assets gained or lost by
    /// their rates); unknown while a part of it had no rate
    pub realized_pnl: Option<Money>,
    /// what each asset did by itself, exactly
    pub assets: Vec<AssetTotals>,
    /// profit of open positions at their marks, before fees
    pub unrealized_pnl: Option<Money>,
    /// return since the start in percent
    pub roi_pct: Option<f64>,
    /// largest fall from a peak in percent
    pub max_drawdown_pct: f64,
    /// present fall from the peak in percent
    pub drawdown_pct: Option<f64>,
    /// statistics over fills and round trips
    pub statistics: Statistics,
    /// how it did: ratios, streaks, exposure, against holding
    pub metrics: Summary,
    /// what each symbol and tag contributed
    pub breakdown: Breakdown,
    /// its equity over time
    pub curve: Curve,
    /// open positions: symbol, quantity as text, entry price
    pub positions: Vec<(String, String, f64)>,
    /// newest values of the strategy's indicators
    pub indicators: Vec<(String, f64)>,
    /// the chain's head in hex
    pub chain: String,
    /// the lane's instruments, for printing what is in its units
    pub instruments: InstrumentTable,
}

impl LaneReport {
    pub(super) fn of(lane: &Lane, market: &Market, now: Ts) -> Self {
        let account = &lane.account;
        let statistics = account.statistics.clone();
        Self {
            name: Arc::clone(&lane.name),
            currency: account.currency().to_owned(),
            state: lane.state.clone(),
            counters: lane.counters,
            usage: lane.usage(),
            spreads: lane.spreads(),
            start_equity: account.start_equity(),
            cash: account.cash(),
            equity: account.equity(),
            realized_pnl: statistics.realized_pnl(),
            assets: account.by_asset(),
            unrealized_pnl: account.unrealized(),
            roi_pct: account.roi_pct(),
            max_drawdown_pct: account.max_drawdown_pct(),
            drawdown_pct: account.drawdown_pct(),
            positions: account
                .open_positions()
                .map(|(symbol, position)| {
                    let instrument = lane.instruments.at(symbol);
                    let quantity = instrument.qty_text(position.qty);
                    (instrument.symbol.clone(), quantity, position.entry_price(instrument))
                })
                .collect(),
            statistics,
            metrics: account.summary(now, |own| {
                lane.symbols.get(own.index()).map_or(0, |&symbol| market.top(symbol).mark2())
            }),
            breakdown: account.breakdown().clone(),
            curve: account.curve().clone(),
            indicators: lane.indicators.clone(),
            chain: lane.chain.hex(),
            instruments: lane.instruments.clone(),
        }
    }

    /// The newest round trips, newest last.
    pub fn round_trips(&self, n: usize) -> impl Iterator<Item = &RoundTrip> {
        self.statistics.newest_round_trips(n)
    }
}

/// A symbol in a snapshot, prices as decimal text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SymbolSnapshot {
    /// its name
    pub symbol: String,
    /// best bid
    pub bid: Option<String>,
    /// best ask
    pub ask: Option<String>,
    /// last trade
    pub last: Option<String>,
    /// trading status, `stale` included
    pub status: crate::input::TradingStatus,
}

/// A lane in a snapshot, money as decimal text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaneSnapshot {
    /// its name
    pub name: String,
    /// cash
    pub cash: String,
    /// equity; missing while unknown
    pub equity: Option<String>,
    /// open positions, symbol and quantity
    pub positions: Vec<(String, String)>,
    /// the chain's head in hex
    pub chain: String,
}

/// The whole visible state at one moment.
///
/// Its canonical encoding is MessagePack with field names, in the order of the
/// fields here, with no floats; its hash is the SHA-256 of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// sequence number of the next input
    pub seq: u64,
    /// the engine's clock, nanoseconds since the Unix epoch
    pub ts_ns: i64,
    /// all symbols, in the run's order
    pub symbols: Vec<SymbolSnapshot>,
    /// all lanes, in the run's order
    pub lanes: Vec<LaneSnapshot>,
    /// sum of the lanes' equities by currency; a currency is missing while one
    /// of its lanes' equities is unknown
    pub totals: Vec<(String, String)>,
}

impl Snapshot {
    pub(super) fn of(
        seq: u64,
        now: Ts,
        instruments: &InstrumentTable,
        market: &Market,
        reports: Vec<LaneReport>,
    ) -> Self {
        let symbols = instruments.iter().map(|(symbol, instrument)| {
            let top = market.top(symbol);
            let text = |units: i64| (units > 0).then(|| instrument.price_text(Price(units)));
            SymbolSnapshot {
                symbol: instrument.symbol.clone(),
                bid: text(top.bid),
                ask: text(top.ask),
                last: text(top.last),
                status: top.status,
            }
        });
        Self {
            seq,
            ts_ns: now.0,
            symbols: symbols.collect(),
            totals: totals(&reports)
                .into_iter()
                .filter_map(|(currency, total)| Some((currency, total?.to_string())))
                .collect(),
            lanes: reports.into_iter().map(LaneSnapshot::from).collect(),
        }
    }

    /// The canonical encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Only text and integers: encoding them into memory cannot fail.
        rmp_serde::to_vec_named(self).unwrap_or_default()
    }

    /// SHA-256 of the canonical encoding, in hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        let digest = Sha256::digest(self.encode());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl From<LaneReport> for LaneSnapshot {
    fn from(report: LaneReport) -> Self {
        Self {
            name: report.name.to_string(),
            cash: report.cash.to_string(),
            equity: report.equity.map(|e| e.to_string()),
            positions: report.positions.into_iter().map(|(s, q, _)| (s, q)).collect(),
            chain: report.chain,
        }
    }
}

/// Sum of equities by currency, in order of appearance; unknown when one is.
#[must_use]
pub fn totals(reports: &[LaneReport]) -> Vec<(String, Option<Money>)> {
    let mut totals: Vec<(String, Option<Money>)> = Vec::new();
    for report in reports {
        let equity = report.equity;
        match totals.iter_mut().find(|(currency, _)| *currency == report.currency) {
            Some((_, total)) => *total = total.zip(equity).map(|(a, b)| a + b),
            None => totals.push((report.currency.clone(), equity)),
        }
    }
    totals
}
