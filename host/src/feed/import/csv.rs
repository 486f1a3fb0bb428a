//! Trades as CSV: `ts_ns,symbol,price,qty,side`, any order of columns, any
//! number of symbols, further columns ignored; `id` is read where there is one.

use std::collections::BTreeMap;
use std::path::Path;

use super::OnProgress;
use super::source::Source;
use super::{Clock, Format, ImportError, ImportOptions, ImportSummary, LineFault, Meter};
use crate::domain::{DecimalError, Instrument, Price, Qty, Side, SymbolId, Ts, decimal};
use crate::feed::tape::{TapeHeader, TapeWriter};
use crate::input::Trade;

/// The columns that a trade needs.
const COLUMNS: [&str; 5] = ["ts_ns", "symbol", "price", "qty", "side"];
/// Most symbols: an event has 16 bits for them.
const SYMBOLS_MAX: usize = 1 << 16;

/// True when a line names all columns.
pub(super) fn is_header(line: &str) -> bool {
    Columns::find(line.as_bytes()).is_ok()
}

/// Makes a tape of the trades.
///
/// # Errors
/// What is wrong with the recording or the tape; see [`ImportError`].
pub(super) fn import_csv(
    path: &Path,
    out: &Path,
    options: &ImportOptions,
    progress: OnProgress<'_>,
) -> Result<ImportSummary, ImportError> {
    let mut lines = 0;
    let mut meter = Meter { report: progress, pass: 0, lines: &mut lines };
    let mut symbols = Symbols::default();
    for_each_row(path, &mut meter, |row| symbols.note(row).map(|()| Ok(())))?;
    let instruments = symbols.instruments();
    if instruments.is_empty() {
        let what = "no trade in it".to_owned();
        return Err(ImportError::Content { path: path.to_owned(), what });
    }
    let mut header = TapeHeader::new("csv", instruments.clone());
    header.note.clone_from(&options.note);
    let mut writer = TapeWriter::create(out, &header)?;
    let mut clock = Clock::new();
    meter.pass = 1;
    *meter.lines = 0;
    for_each_row(path, &mut meter, |row| {
        let (ts, trade) = symbols.trade(row)?;
        writer.block().push_trade(clock.received(ts), ts, &trade);
        Ok(writer.commit().map_err(ImportError::from))
    })?;
    Ok(ImportSummary {
        format: Format::Csv,
        lines,
        out_of_order: clock.out_of_order,
        instruments,
        binance: None,
        kraken: None,
        tape: writer.finish()?,
    })
}

/// Where the columns are.
struct Columns {
    required: [usize; 5],
    id: Option<usize>,
    count: usize,
}

/// A row's fields.
struct Row<'a> {
    ts: &'a str,
    symbol: &'a str,
    price: &'a str,
    qty: &'a str,
    side: &'a str,
    id: Option<&'a str>,
}

impl Columns {
    /// Most columns of a row, further ones are refused.
    const MAX: usize = 64;

    fn find(header: &[u8]) -> Result<Self, LineFault> {
        let header = std::str::from_utf8(header).map_err(|_| LineFault::Encoding)?;
        let names: Vec<&str> = header.split(',').map(unquoted).collect();
        if names.len() > Self::MAX {
            return Err(LineFault::Row(format!("more than {} columns", Self::MAX)));
        }
        let position = |name| names.iter().position(|&n| n == name);
        let mut required = [0; 5];
        for (place, name) in required.iter_mut().zip(COLUMNS) {
            *place = position(name).ok_or(LineFault::MissingColumn(name))?;
        }
        Ok(Self { required, id: position("id"), count: names.len() })
    }

    /// Splits a row. No column of ours can hold a comma, so quotes only have to
    /// be taken off.
    fn split<'a>(&self, line: &'a [u8]) -> Result<Row<'a>, LineFault> {
        let line = std::str::from_utf8(line).map_err(|_| LineFault::Encoding)?;
        let mut fields = [""; Self::MAX];
        let mut count = 0;
        for field in line.split(',') {
            if let Some(place) = fields.get_mut(count) {
                *place = unquoted(field);
            }
            count += 1;
        }
        if count != self.count {
            let what = format!("{count} columns where the header has {}", self.count);
            return Err(LineFault::Row(what));
        }
        let [ts, symbol, price, qty, side] = self.required.map(|place| fields[place]);
        Ok(Row { ts, symbol, price, qty, side, id: self.id.map(|place| fields[place]) })
    }
}

fn unquoted(field: &str) -> &str {
    let field = field.trim();
    field.strip_prefix('"').and_then(|f| f.strip_suffix('"')).unwrap_or(field)
}

/// Calls `each` with every row after the header; empty lines are passed over.
fn for_each_row(
    path: &Path,
    meter: &mut Meter<'_, '_>,
    mut each: impl FnMut(&Row<'_>) -> Result<Result<(), ImportError>, LineFault>,
) -> Result<(), ImportError> {
    let mut source = Source::open(path)?;
    let fail = |line, fault| ImportError::Line { path: path.to_owned(), line, fault };
    let header = source.next_line()?.unwrap_or_default();
    let columns = Columns::find(header).map_err(|fault| fail(1, fault))?;
    while let Some(line) = source.next_line()? {
        let result = if line.is_empty() {
            Ok(Ok(()))
        } else {
            columns.split(line).and_then(|row| each(&row))
        };
        meter.line(&source)?;
        result.map_err(|fault| fail(*meter.lines + 1, fault))??;
    }
    meter.tell(&source)
}

/// The symbols in the order in which they appear.
#[derive(Default)]
struct Symbols {
    found: Vec<Found>,
    by_name: BTreeMap<String, usize>,
    last: usize,
}

struct Found {
    name: String,
    price_decimals: u8,
    qty_decimals: u8,
}

impl Symbols {
    /// The symbol's place; most rows have the symbol of the row before.
    fn find(&mut self, name: &str) -> Option<usize> {
        if self.found.get(self.last).is_none_or(|found| found.name != name) {
            self.last = *self.by_name.get(name)?;
        }
        Some(self.last)
    }

    /// Takes note of a row's symbol and decimals.
    fn note(&mut self, row: &Row<'_>) -> Result<(), LineFault> {
        let place = match self.find(row.symbol) {
            Some(place) => place,
            None => self.add(row.symbol)?,
        };
        let price = decimal::significant_decimals(row.price).map_err(number("price"))?;
        let qty = decimal::significant_decimals(row.qty).map_err(number("qty"))?;
        let found = &mut self.found[place];
        found.price_decimals = found.price_decimals.max(price);
        found.qty_decimals = found.qty_decimals.max(qty);
        Ok(())
    }

    fn add(&mut self, name: &str) -> Result<usize, LineFault> {
        if name.is_empty() || self.found.len() == SYMBOLS_MAX {
            let expected = "a name of one of at most 65,536 symbols";
            return Err(value("symbol", name, expected));
        }
        self.by_name.insert(name.to_owned(), self.found.len());
        self.found.push(Found { name: name.to_owned(), price_decimals: 0, qty_decimals: 0 });
        Ok(self.found.len() - 1)
    }

    fn instruments(&self) -> Vec<Instrument> {
        let plain = |f: &Found| Instrument::plain(&f.name, f.price_decimals, f.qty_decimals);
        self.found.iter().map(plain).collect()
    }

    /// The row as a trade, with its time.
    fn trade(&mut self, row: &Row<'_>) -> Result<(Ts, Trade), LineFault> {
        let unknown = || value("symbol", row.symbol, "a symbol of the first pass");
        let place = self.find(row.symbol).ok_or_else(unknown)?;
        let found = &self.found[place];
        let ts = row.ts.parse().map_err(|_| value("ts_ns", row.ts, "a time in nanoseconds"))?;
        let price = positive("price", row.price, found.price_decimals)?;
        let qty = positive("qty", row.qty, found.qty_decimals)?;
        let side = match row.side {
            "buy" | "BUY" | "Buy" => Side::Buy,
            "sell" | "SELL" | "Sell" => Side::Sell,
            other => return Err(value("side", other, "buy or sell")),
        };
        let id = match row.id {
            None | Some("") => 0,
            Some(id) => id.parse().map_err(|_| value("id", id, "a whole number"))?,
        };
        let symbol = SymbolId(u16::try_from(place).map_err(|_| unknown())?);
        Ok((Ts(ts), Trade { symbol, side, price: Price(price), qty: Qty(qty), id }))
    }
}

fn positive(column: &'static str, text: &str, decimals: u8) -> Result<i64, LineFault> {
    let number = decimal::parse_i64(text, decimals).map_err(number(column))?;
    if number > 0 { Ok(number) } else { Err(value(column, text, "a positive number")) }
}

fn number(column: &'static str) -> impl Fn(DecimalError) -> LineFault {
    move |source| LineFault::Number { column, source }
}

fn value(column: &'static str, value: &str, expected: &'static str) -> LineFault {
    LineFault::Value { column, value: value.chars().take(40).collect(), expected }
}
