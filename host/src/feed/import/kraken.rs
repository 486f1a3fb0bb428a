//! Raw Kraken recordings: one frame a line, after the time it came where the
//! recorder noted that.
//!
//! Without receive times the venue's own serve: a frame counts as received at
//! its newest exchange time, never before the frame in front of it, and one
//! without any together with that frame.

use std::collections::BTreeMap;
use std::path::Path;

use super::OnProgress;
use super::source::Source;
use super::{Clock, Format, ImportError, ImportOptions, ImportSummary, LineFault, Meter};
use crate::domain::{DecimalError, Instrument, InstrumentTable, Price, Qty, SymbolId, Ts, decimal};
use crate::feed::tape::{TapeError, TapeHeader, TapeWriter};
use crate::venue::kraken::{
    BookData, Catalog, LevelData, Message, OhlcData, Precision, Session, SetupError, TradeData,
    Wanted, depth_for, is_frame, number_text, parse, snapshot_precision, time,
};
use crate::venue::{FrameError, Protocol};

/// The deepest book that the venue sends.
const DEPTH_MAX: usize = 1_000;

/// True for a line of such a recording.
pub(super) fn is_line(line: &str) -> bool {
    split(line.as_bytes()).is_ok_and(|(_, frame)| is_frame(frame))
}

/// Makes a tape of trades, books and the history of candles.
///
/// # Errors
/// What is wrong with the recording or the tape; see [`ImportError`].
pub(super) fn import_kraken(
    path: &Path,
    out: &Path,
    options: &ImportOptions,
    progress: OnProgress<'_>,
) -> Result<ImportSummary, ImportError> {
    let mut lines = 0;
    let mut meter = Meter { report: progress, pass: 0, lines: &mut lines };
    let survey = Survey::of(path, &mut meter)?;
    let instruments = survey.instruments();
    let mut header = TapeHeader::new("kraken", instruments.clone());
    header.depth = survey.depth(options.depth);
    header.note.clone_from(&options.note);
    let content = |what: String| ImportError::Content { path: path.to_owned(), what };
    let mut session =
        survey.session(&instruments, options.depth).map_err(|e| content(e.to_string()))?;
    let mut writer = TapeWriter::create(out, &header)?;
    let mut clock = Clock::new();
    clock.last = survey.first_ts.ok_or_else(|| content("no time in it".into()))?;
    session.handle_connected(clock.last, writer.block());
    meter.pass = 1;
    *meter.lines = 0;
    for_each_frame(path, &mut meter, |received, frame| {
        let ts = match received {
            Some(ts) => clock.received(ts),
            None => {
                let newest = newest_time(&parse(frame).map_err(FrameError::from)?)?;
                clock.last = newest.map_or(clock.last, |ts| ts.max(clock.last));
                clock.last
            }
        };
        session.handle_text(frame, ts, writer.block())?;
        while session.poll_notice().is_some() {}
        Ok(writer.commit())
    })?;
    Ok(ImportSummary {
        format: Format::Kraken,
        lines,
        out_of_order: clock.out_of_order,
        instruments,
        binance: None,
        kraken: Some(session.counts().clone()),
        tape: writer.finish()?,
    })
}

/// Calls `each` with the receive time, where there is one, and the frame of each
/// line; empty lines are passed over.
fn for_each_frame(
    path: &Path,
    meter: &mut Meter<'_, '_>,
    mut each: impl FnMut(Option<Ts>, &str) -> Result<Result<(), TapeError>, LineFault>,
) -> Result<(), ImportError> {
    let mut source = Source::open(path)?;
    while let Some(line) = source.next_line()? {
        let result = if line.is_empty() {
            Ok(Ok(()))
        } else {
            split(line).and_then(|(ts, frame)| each(ts, frame))
        };
        meter.line(&source)?;
        let fail = |fault| ImportError::Line { path: path.to_owned(), line: *meter.lines, fault };
        result.map_err(fail)??;
    }
    meter.tell(&source)
}

/// Splits `1690730998343415000 {"channel":…}`; the time may be absent.
fn split(line: &[u8]) -> Result<(Option<Ts>, &str), LineFault> {
    let line = std::str::from_utf8(line).map_err(|_| LineFault::Encoding)?;
    if line.starts_with('{') {
        return Ok((None, line));
    }
    let (time, frame) = line.split_once(' ').ok_or(LineFault::ReceiveTime)?;
    let time = time.parse().ok().filter(|&time| time >= 0).ok_or(LineFault::ReceiveTime)?;
    Ok((Some(Ts(time)), frame))
}

/// The newest exchange time in a frame.
fn newest_time(message: &Message<'_>) -> Result<Option<Ts>, FrameError> {
    let texts: Vec<&str> = match message {
        Message::Trade(rows, _) => rows.iter().map(|row| &*row.timestamp).collect(),
        Message::Book(rows, _) => rows.iter().filter_map(|row| row.timestamp.as_deref()).collect(),
        Message::Ohlc { timestamp, .. } => timestamp.as_deref().into_iter().collect(),
        _ => Vec::new(),
    };
    texts.into_iter().try_fold(None, |newest, text| Ok(newest.max(Some(time(text)?))))
}

/// What the first pass finds out.
#[derive(Default)]
struct Survey {
    catalog: Catalog,
    symbols: BTreeMap<String, Found>,
    first_ts: Option<Ts>,
}

/// What a recording has of a symbol.
#[derive(Default)]
struct Found {
    /// decimals that its numbers need
    needed: Decimals,
    /// decimals that they are written with
    written: Decimals,
    /// a precision under which a snapshot's checksum is right
    verified: Option<Precision>,
    trades: bool,
    /// levels of the deepest side of a snapshot, when it has books
    levels: Option<usize>,
    /// the depth that an answer to a subscription states
    depth: Option<u32>,
    candle_minutes: Option<u32>,
}

#[derive(Clone, Copy, Default)]
struct Decimals {
    price: u8,
    qty: u8,
}

impl Survey {
    fn of(path: &Path, meter: &mut Meter<'_, '_>) -> Result<Self, ImportError> {
        let mut survey = Self::default();
        let mut depths: BTreeMap<String, u32> = BTreeMap::new();
        for_each_frame(path, meter, |received, frame| {
            let message = parse(frame).map_err(FrameError::from)?;
            let ts = received.map_or_else(|| newest_time(&message), |ts| Ok(Some(ts)))?;
            survey.first_ts = survey.first_ts.or(ts);
            match &message {
                Message::Instrument(data, snapshot) => survey.catalog.take(data, *snapshot),
                Message::Reply(reply) if reply.success => {
                    if let (Some(symbol), Some(depth)) = (&reply.symbol, reply.depth) {
                        depths.insert(symbol.clone().into_owned(), depth);
                    }
                }
                _ => survey.note(&message)?,
            }
            Ok(Ok(()))
        })?;
        if survey.symbols.is_empty() {
            let what = "no trade, no book and no candle in it".to_owned();
            return Err(ImportError::Content { path: path.to_owned(), what });
        }
        for (symbol, found) in &mut survey.symbols {
            found.depth = depths.get(symbol).copied();
        }
        Ok(survey)
    }

    fn found(&mut self, symbol: &str) -> &mut Found {
        self.symbols.entry(symbol.to_owned()).or_default()
    }

    fn note(&mut self, message: &Message<'_>) -> Result<(), FrameError> {
        match message {
            Message::Trade(rows, _) => rows.iter().try_for_each(|row| self.note_trade(row)),
            Message::Book(rows, snapshot) => {
                rows.iter().try_for_each(|row| self.note_book(row, *snapshot))
            }
            Message::Ohlc { rows, .. } => rows.iter().try_for_each(|row| self.note_candle(row)),
            _ => Ok(()),
        }
    }

    fn note_trade(&mut self, row: &TradeData<'_>) -> Result<(), FrameError> {
        let found = self.found(&row.symbol);
        found.trades = true;
        found.number(number_text(row.price), number_text(row.qty))
    }

    fn note_candle(&mut self, row: &OhlcData<'_>) -> Result<(), FrameError> {
        let found = self.found(&row.symbol);
        found.candle_minutes.get_or_insert(row.interval);
        for price in [row.open, row.high, row.low, row.close] {
            found.number(number_text(price), number_text(row.volume))?;
        }
        Ok(())
    }

    fn note_book(&mut self, row: &BookData<'_>, snapshot: bool) -> Result<(), FrameError> {
        let found = self.found(&row.symbol);
        for level in row.bids.iter().chain(&row.asks) {
            found.number(number_text(level.price), number_text(level.qty))?;
        }
        let levels = if snapshot { row.bids.len().max(row.asks.len()) } else { 1 };
        found.levels = found.levels.max(Some(levels.clamp(1, DEPTH_MAX)));
        if snapshot && found.verified.is_none() {
            found.verified = found.precision_of(row);
        }
        Ok(())
    }

    /// Instruments in the order of their names, as the recording describes them
    /// or else with the decimals that all their numbers need.
    fn instruments(&self) -> Vec<Instrument> {
        let instrument = |(symbol, found): (&String, &Found)| match self.catalog.get(symbol) {
            Some(pair) if found.fits(&pair.instrument) => pair.instrument.clone(),
            _ => Instrument::plain(symbol, found.needed.price, found.needed.qty),
        };
        self.symbols.iter().map(instrument).collect()
    }

    /// Levels a side that the tape's books cover: those of the shallowest, where
    /// symbols differ.
    fn depth(&self, wanted: Option<u32>) -> Option<u32> {
        let recorded = self.symbols.values().filter_map(Found::book_depth).min();
        match (recorded, wanted) {
            (Some(recorded), Some(wanted)) => Some(recorded.min(wanted)),
            (recorded, _) => recorded,
        }
    }

    fn session(
        &self,
        instruments: &[Instrument],
        shown: Option<u32>,
    ) -> Result<Session, SetupError> {
        let symbols = || (0_u16..).map(SymbolId).zip(self.symbols.values());
        let wanted: Vec<Wanted> = symbols()
            .map(|(symbol, found)| Wanted {
                symbol,
                levels: found.book_depth(),
                shown,
                trades: found.trades,
                candle_minutes: found.candle_minutes,
            })
            .collect();
        let table = InstrumentTable::new(instruments.to_vec());
        let mut session = Session::recorded(table, &wanted)?;
        for ((symbol, found), instrument) in symbols().zip(instruments) {
            if self.catalog.get(&instrument.symbol).is_none_or(|p| p.instrument != *instrument) {
                let written = Precision { price: found.written.price, qty: found.written.qty };
                session.set_precision(symbol, found.verified.unwrap_or(written));
            }
        }
        Ok(session)
    }
}

impl Found {
    fn number(&mut self, price: &str, qty: &str) -> Result<(), FrameError> {
        let fail = |field| move |source: DecimalError| FrameError::Number { field, source };
        let needed = |text| decimal::significant_decimals(text);
        self.needed.price = self.needed.price.max(needed(price).map_err(fail("price"))?);
        self.needed.qty = self.needed.qty.max(needed(qty).map_err(fail("qty"))?);
        self.written.price = self.written.price.max(written(price)).max(self.needed.price);
        self.written.qty = self.written.qty.max(written(qty)).max(self.needed.qty);
        Ok(())
    }

    fn fits(&self, instrument: &Instrument) -> bool {
        self.needed.price <= instrument.price_decimals && self.needed.qty <= instrument.qty_decimals
    }

    fn book_depth(&self) -> Option<u32> {
        let levels = u32::try_from(self.levels?).ok()?;
        self.depth.and_then(depth_for).max(depth_for(levels))
    }

    /// The precision that a snapshot's checksum reveals.
    fn precision_of(&self, row: &BookData<'_>) -> Option<Precision> {
        let written = Precision { price: self.written.price, qty: self.written.qty };
        let level = |level: &LevelData<'_>| {
            let price = decimal::parse_i64(number_text(level.price), written.price).ok()?;
            let qty = decimal::parse_i64(number_text(level.qty), written.qty).ok()?;
            Some((Price(price), Qty(qty)))
        };
        let asks: Option<Vec<_>> = row.asks.iter().map(level).collect();
        let bids: Option<Vec<_>> = row.bids.iter().map(level).collect();
        snapshot_precision(&asks?, &bids?, written, row.checksum)
    }
}

/// How many decimals a text has, needed or not.
fn written(text: &str) -> u8 {
    let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    u8::try_from(decimals).unwrap_or(u8::MAX)
}
