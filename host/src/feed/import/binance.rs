//! Raw Binance recordings: one frame a line, after the time it came.

use std::collections::BTreeMap;
use std::path::Path;

use super::OnProgress;
use super::source::Source;
use super::{Clock, Format, ImportError, ImportOptions, ImportSummary, LineFault, Meter};
use crate::domain::{DecimalError, Instrument, InstrumentTable, Ts, decimal};
use crate::feed::tape::{TapeHeader, TapeWriter};
use crate::venue::binance::{Message, Session, parse};
use crate::venue::{FrameError, Protocol};

/// Makes a tape of trades and, from the snapshot on, of book changes.
///
/// # Errors
/// What is wrong with the recording or the tape; see [`ImportError`].
pub(super) fn import_binance(
    path: &Path,
    out: &Path,
    options: &ImportOptions,
    progress: OnProgress<'_>,
) -> Result<ImportSummary, ImportError> {
    let mut lines = 0;
    let mut meter = Meter { report: progress, pass: 0, lines: &mut lines };
    let instruments = find_instruments(path, &mut meter)?;
    let mut header = TapeHeader::new("binance", instruments.clone());
    header.depth = options.depth;
    header.note.clone_from(&options.note);
    let table = InstrumentTable::new(instruments.clone());
    let mut session = Session::new(table, options.depth.map(|levels| levels as usize));
    let mut writer = TapeWriter::create(out, &header)?;
    let mut clock = Clock::new();
    meter.pass = 1;
    *meter.lines = 0;
    for_each_frame(path, &mut meter, |ts, frame| {
        session.handle_text(frame, clock.received(ts), writer.block())?;
        // What the protocol asks for stands in the recording or is lost.
        while session.poll_request().is_some() {}
        Ok(writer.commit())
    })?;
    Ok(ImportSummary {
        format: Format::Binance,
        lines,
        out_of_order: clock.out_of_order,
        instruments,
        binance: Some(session.counts().clone()),
        kraken: None,
        tape: writer.finish()?,
    })
}

/// Calls `each` with the receive time and the frame of each line.
fn for_each_frame(
    path: &Path,
    meter: &mut Meter<'_, '_>,
    mut each: impl FnMut(Ts, &str) -> Result<Result<(), crate::feed::tape::TapeError>, LineFault>,
) -> Result<(), ImportError> {
    let mut source = Source::open(path)?;
    while let Some(line) = source.next_line()? {
        let result = split(line).and_then(|(ts, frame)| each(ts, frame));
        meter.line(&source)?;
        let fail = |fault| ImportError::Line { path: path.to_owned(), line: *meter.lines, fault };
        result.map_err(fail)??;
    }
    meter.tell(&source)
}

/// Splits `1723161253937085768 {"stream":…}`.
fn split(line: &[u8]) -> Result<(Ts, &str), LineFault> {
    let line = std::str::from_utf8(line).map_err(|_| LineFault::Encoding)?;
    let (time, frame) = line.split_once(' ').ok_or(LineFault::ReceiveTime)?;
    let time = time.parse().ok().filter(|&time| time >= 0).ok_or(LineFault::ReceiveTime)?;
    Ok((Ts(time), frame))
}

/// Decimals of price and quantity that a symbol needs.
#[derive(Default)]
struct Decimals {
    price: u8,
    qty: u8,
}

/// The symbols in the order of their names, with the decimals that all their
/// numbers need.
fn find_instruments(
    path: &Path,
    meter: &mut Meter<'_, '_>,
) -> Result<Vec<Instrument>, ImportError> {
    let mut symbols: BTreeMap<String, Decimals> = BTreeMap::new();
    let mut snapshots = Decimals::default();
    for_each_frame(path, meter, |_, frame| {
        let message = parse(frame).map_err(FrameError::from)?;
        note_decimals(&message, &mut symbols, &mut snapshots)?;
        Ok(Ok(()))
    })?;
    if symbols.is_empty() {
        let what = "no trade and no book in it".to_owned();
        return Err(ImportError::Content { path: path.to_owned(), what });
    }
    // A snapshot names no symbol; the session accepts it only for a single one.
    if let [only] = &mut symbols.values_mut().collect::<Vec<_>>()[..] {
        only.price = only.price.max(snapshots.price);
        only.qty = only.qty.max(snapshots.qty);
    }
    let plain = |(symbol, d): (String, Decimals)| Instrument::plain(&symbol, d.price, d.qty);
    Ok(symbols.into_iter().map(plain).collect())
}

fn note_decimals(
    message: &Message<'_>,
    symbols: &mut BTreeMap<String, Decimals>,
    snapshots: &mut Decimals,
) -> Result<(), FrameError> {
    let (symbol, levels) = match message {
        Message::Trade(m) => (Some(m.symbol), vec![(m.price, m.qty)]),
        Message::Ticker(m) => (Some(m.symbol), vec![(m.bid, m.bid_qty), (m.ask, m.ask_qty)]),
        Message::Depth(m) => (Some(m.symbol), [&m.bids[..], &m.asks[..]].concat()),
        Message::Snapshot(m) => (None, [&m.bids[..], &m.asks[..]].concat()),
        Message::Other => return Ok(()),
    };
    let decimals = match symbol {
        Some(symbol) => symbols.entry(symbol.to_owned()).or_default(),
        None => snapshots,
    };
    let number = |field| move |source: DecimalError| FrameError::Number { field, source };
    for (price, qty) in levels {
        let price = decimal::significant_decimals(price).map_err(number("price"))?;
        let qty = decimal::significant_decimals(qty).map_err(number("quantity"))?;
        decimals.price = decimals.price.max(price);
        decimals.qty = decimals.qty.max(qty);
    }
    Ok(())
}
