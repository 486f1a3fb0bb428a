//! Fills, round trips, orders and the equity as tables: CSV or one JSON document.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::ExportWhat;
use crate::domain::{Fill, Instrument, InstrumentTable, Price, Qty, SymbolId, Ts};
use crate::engine::{Engine, LaneOutput, Output};
use crate::portfolio::RoundTrip;

use super::Sheet;

/// The longest text in a cell.
const CELL_BYTES_MAX: usize = 4_000;

/// A table, written row by row.
#[derive(Debug)]
pub struct Rows {
    what: ExportWhat,
    json: bool,
    count: u64,
}

impl Rows {
    /// A table of this, as JSON or CSV.
    #[must_use]
    pub fn new(what: ExportWhat, json: bool) -> Self {
        Self { what, json, count: 0 }
    }

    fn columns(&self) -> &'static [&'static str] {
        match self.what {
            ExportWhat::Fills => &[
                "time",
                "strategy",
                "fill",
                "order",
                "symbol",
                "action",
                "quantity",
                "amount",
                "fee",
                "asset",
                "liquidity",
                "cause",
                "reason",
                "position",
            ],
            ExportWhat::Trades => &[
                "strategy", "trade", "symbol", "side", "quantity", "opened", "closed", "gross",
                "fees", "carry", "net", "asset", "exit", "tag",
            ],
            ExportWhat::Orders => &[
                "time", "strategy", "order", "event", "symbol", "action", "quantity", "limit",
                "stop", "reason",
            ],
            ExportWhat::Equity => &["time", "strategy", "low", "high", "equity", "asset"],
            ExportWhat::Ledger => &[],
        }
    }

    fn row(&mut self, cells: &[Value], out: &mut dyn Write) -> io::Result<()> {
        self.count += 1;
        if !self.json {
            let cells: Vec<String> = cells.iter().map(cell).collect();
            return write!(out, "{}\r\n", cells.join(","));
        }
        out.write_all(if self.count > 1 { b",\n{" } else { b"\n{" })?;
        for (index, (column, value)) in self.columns().iter().zip(cells).enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(out, "{comma}\"{column}\":{value}")?;
        }
        out.write_all(b"}")
    }
}

impl Sheet for Rows {
    fn open(&mut self, _: &Engine, _: &[u16], out: &mut dyn Write) -> io::Result<()> {
        if self.json {
            let what = self.what.name();
            write!(out, "{{\"schema\":\"sandpaper.export/1\",\"what\":\"{what}\",\"data\":[")
        } else {
            write!(out, "{}\r\n", self.columns().join(","))
        }
    }

    fn news(&mut self, engine: &Engine, news: &Output, out: &mut dyn Write) -> io::Result<()> {
        let lane = engine.lane(news.lane);
        let cells = match (self.what, &news.body) {
            (ExportWhat::Fills, LaneOutput::Fill { fill, reason, position, .. }) => {
                let instrument = lane.instruments.at(fill.symbol);
                Some(fill_cells(lane.name, instrument, fill, reason, *position))
            }
            (ExportWhat::Trades, LaneOutput::Fill { closed: Some(trip), .. }) => {
                Some(trip_cells(lane.name, lane.instruments.at(trip.symbol), trip))
            }
            (ExportWhat::Orders, _) => {
                order_cells(news.ts, lane.name, lane.instruments, &news.body)
            }
            _ => None,
        };
        cells.map_or(Ok(()), |cells| self.row(&cells, out))
    }

    fn close(&mut self, engine: &Engine, lanes: &[u16], out: &mut dyn Write) -> io::Result<()> {
        if self.what == ExportWhat::Equity {
            let reports = engine.reports();
            for report in lanes.iter().map(|lane| &reports[usize::from(*lane)]) {
                for point in report.curve.points() {
                    let [low, high, last] =
                        [point.min, point.max, point.last].map(|money| money.to_string());
                    let name: &str = &report.name;
                    let cells = [time(point.ts), json!(name), json!(low), json!(high)];
                    let rest = [json!(last), json!(report.currency)];
                    self.row(&[cells.as_slice(), &rest].concat(), out)?;
                }
            }
        }
        if self.json { out.write_all(b"\n]}\n") } else { Ok(()) }
    }
}

fn fill_cells(
    name: &str,
    instrument: &Instrument,
    fill: &Fill,
    reason: &str,
    position: Qty,
) -> Vec<Value> {
    vec![
        time(fill.ts),
        json!(name),
        json!(fill.id),
        json!(fill.order.0),
        json!(instrument.symbol),
        json!(fill.action.name()),
        json!(instrument.qty_text(fill.qty)),
        json!(fill.amount.to_string()),
        json!(fill.fee.to_string()),
        json!(instrument.quote),
        json!(fill.liquidity),
        json!(fill.cause.name()),
        json!(reason),
        json!(instrument.qty_text(position)),
    ]
}

fn trip_cells(name: &str, instrument: &Instrument, trip: &RoundTrip) -> Vec<Value> {
    vec![
        json!(name),
        json!(trip.id),
        json!(instrument.symbol),
        json!(if trip.short { "short" } else { "long" }),
        json!(instrument.qty_text(trip.qty_max)),
        time(trip.opened),
        time(trip.closed),
        json!(trip.gross.to_string()),
        json!(trip.fees.to_string()),
        json!(trip.carry.to_string()),
        json!(trip.net().to_string()),
        json!(instrument.quote),
        json!(trip.exit.name()),
        json!(trip.tag),
    ]
}

/// Every change of an order, in order.
fn order_cells(
    ts: Ts,
    name: &str,
    instruments: &InstrumentTable,
    body: &LaneOutput,
) -> Option<Vec<Value>> {
    let instrument = |symbol| instruments.at(symbol);
    let known = |symbol| instruments.get(SymbolId(symbol));
    let row = |order: Option<u64>, event: &str, rest: [Value; 6]| {
        let head = [time(ts), json!(name), json!(order), json!(event)];
        [head.as_slice(), &rest].concat()
    };
    let none = || Value::Null;
    Some(match body {
        LaneOutput::Asked { order, request } => {
            let symbol = known(request.symbol).map(|instrument| &instrument.symbol);
            let words = request.words(symbol.map_or("?", String::as_str));
            let why = json!(format!("{words}: {}", request.reason));
            let action = json!(request.action.name());
            row(Some(order.0), "asked", [json!(symbol), action, none(), none(), none(), why])
        }
        LaneOutput::Sent { what, order, symbol, .. } => {
            let symbol = symbol.map(|symbol| &instrument(symbol).symbol);
            let event = format!("sent {}", what.name());
            let rest = [json!(symbol), none(), none(), none(), none(), none()];
            row(order.map(|order| order.0), &event, rest)
        }
        LaneOutput::Accepted { order, symbol, action, leaves, limit, stop } => {
            let of = instrument(*symbol);
            let price = |price: &Option<Price>| json!(price.map(|price| of.price_text(price)));
            let rest = [
                json!(of.symbol),
                json!(action.name()),
                json!(of.qty_text(*leaves)),
                price(limit),
                price(stop),
                none(),
            ];
            row(Some(order.0), "accepted", rest)
        }
        LaneOutput::Fill { fill, reason, .. } => {
            let of = instrument(fill.symbol);
            let (action, qty) = (json!(fill.action.name()), json!(of.qty_text(fill.qty)));
            let rest = [json!(of.symbol), action, qty, none(), none(), json!(reason)];
            row(Some(fill.order.0), "filled", rest)
        }
        LaneOutput::Canceled { order, symbol, leaves }
        | LaneOutput::Expired { order, symbol, leaves } => {
            let of = instrument(*symbol);
            let expired = matches!(body, LaneOutput::Expired { .. });
            let qty = json!(of.qty_text(*leaves));
            let rest = [json!(of.symbol), none(), qty, none(), none(), none()];
            row(Some(order.0), if expired { "expired" } else { "canceled" }, rest)
        }
        LaneOutput::Reject { order, symbol, reason, detail, .. } => {
            let symbol = symbol.map(|symbol| &instrument(symbol).symbol);
            let why = json!(format!("{}: {detail}", reason.name()));
            row(Some(order.0), "rejected", [json!(symbol), none(), none(), none(), none(), why])
        }
        LaneOutput::Dropped { orders } => {
            let why = json!(format!("{orders} beyond what one event may ask for"));
            row(None, "dropped", [none(), none(), none(), none(), none(), why])
        }
        _ => return None,
    })
}

fn time(ts: Ts) -> Value {
    json!(Timestamp::from_nanosecond(i128::from(ts.0)).map(|t| t.to_string()).unwrap_or_default())
}

/// A cell after RFC 4180. A text that a spreadsheet would run as a formula is made
/// plain.
fn cell(value: &Value) -> String {
    let mut text = match value {
        Value::Null => return String::new(),
        Value::String(text) => crate::strategy::clean_text(text, CELL_BYTES_MAX),
        other => other.to_string(),
    };
    let runs = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if runs && text.parse::<f64>().is_err() {
        text.insert(0, '\'');
    }
    if text.contains([',', '"', '\n', '\r']) {
        text = format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_and_never_a_formula() {
        let cases = [
            (json!("plain"), "plain"),
            (json!("=1+1"), "'=1+1"),
            (json!("-5.25"), "-5.25"),
            (json!("-cmd"), "'-cmd"),
            (json!("a,b"), "\"a,b\""),
            (json!("say \"so\""), "\"say \"\"so\"\"\""),
            (json!(7), "7"),
            (Value::Null, ""),
        ];
        for (value, expected) in cases {
            assert_eq!(cell(&value), expected, "{value}");
        }
    }

    #[test]
    fn a_json_table_is_one_document() {
        let mut rows = Rows::new(ExportWhat::Equity, true);
        let mut out = Vec::new();
        let cells = ["t", "s", "1", "2", "3", "USD"].map(|text| json!(text));
        out.extend(b"{\"data\":[");
        rows.row(&cells, &mut out).unwrap();
        rows.row(&cells, &mut out).unwrap();
        out.extend(b"]}");
        let document: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(document["data"][1]["equity"], "3");
        assert_eq!(document["data"].as_array().map(Vec::len), Some(2));
    }
}
