//! The protocol on recorded frames and on frames made by hand.

mod book;
mod connection;
mod doubt;
mod frames;
mod hostile;
mod recorded;

use super::*;
use crate::domain::{Instrument, InstrumentTable, SymbolId, Ts};
use crate::input::{EventRef, InputBlock};
use crate::venue::Protocol;

fn table() -> InstrumentTable {
    InstrumentTable::new(vec![
        Instrument::plain("BTC/USD", 1, 8),
        Instrument::plain("ETH/USD", 2, 8),
    ])
}

fn wanted(symbol: u16) -> Wanted {
    Wanted {
        symbol: SymbolId(symbol),
        levels: Some(10),
        shown: None,
        trades: false,
        candle_minutes: None,
    }
}

/// A session and what it has put out.
struct Fixture {
    session: Session,
    out: InputBlock,
    now: i64,
}

impl Fixture {
    /// A session for a connection that has just been made.
    fn live(wanted: &[Wanted]) -> Self {
        let session = Session::new(table(), wanted, Timing::default()).expect("a session");
        let mut fixture = Self { session, out: InputBlock::new(&table(), 1), now: 0 };
        fixture.session.handle_connected(Ts(0), &mut fixture.out);
        fixture
    }

    fn recorded(wanted: &[Wanted]) -> Self {
        let session = Session::recorded(table(), wanted).expect("a session");
        Self { session, out: InputBlock::new(&table(), 1), now: 0 }
    }

    fn feed(&mut self, text: &str) -> Result<(), String> {
        let result = self.session.handle_text(text, Ts(self.now), &mut self.out);
        result.map_err(|error| error.to_string())
    }

    #[track_caller]
    fn ok(&mut self, text: &str) {
        self.feed(text).expect("a valid frame");
    }

    fn frames(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.session.poll_frame()).collect()
    }

    fn notices(&mut self) -> Vec<Notice> {
        std::iter::from_fn(|| self.session.poll_notice()).collect()
    }

    /// Lets time pass up to `at`, stopping at each deadline; the frames that are
    /// sent on the way, with their times in milliseconds.
    fn run_to(&mut self, at: i64) -> Vec<(i64, String)> {
        let mut sent = Vec::new();
        let mut steps = 0;
        loop {
            sent.extend(self.frames().into_iter().map(|frame| (self.now / 1_000_000, frame)));
            let next = self.session.next_deadline().map_or(at, |deadline| deadline.0.min(at));
            steps += 1;
            assert!(steps < 10_000, "deadlines that do not move");
            self.now = next.max(self.now);
            self.session.handle_deadline(Ts(self.now), &mut self.out);
            if self.now >= at {
                sent.extend(self.frames().into_iter().map(|frame| (self.now / 1_000_000, frame)));
                return sent;
            }
        }
    }

    /// Lets time pass up to `at`; what is to be sent waits.
    fn run_quiet(&mut self, at: i64) {
        self.now = at;
        self.session.handle_deadline(Ts(at), &mut self.out);
    }

    /// The events as short text.
    fn events(&self) -> Vec<String> {
        let levels = |levels: crate::input::Levels<'_>| {
            levels.iter().map(|(p, q)| format!("{}x{}", p.0, q.0)).collect::<Vec<_>>().join(",")
        };
        let show = |index| match self.out.get(index) {
            EventRef::Trade(t) => format!("trade {} {} {:?}", t.id, t.price.0, t.side),
            EventRef::Book { snapshot, bids, asks, .. } => {
                let kind = if snapshot { "snapshot" } else { "delta" };
                format!("{kind} {} | {}", levels(bids), levels(asks))
            }
            EventRef::Status { symbol, status } => format!("{} {status:?}", symbol.0),
            EventRef::Candle(c) => {
                format!("candle {} {} {}", c.open_ts.0 / 60_000_000_000, c.close.0, c.volume.0)
            }
            EventRef::Timer => "timer".into(),
            EventRef::Rules { symbol, rules } => {
                format!("rules {} {}", symbol.0, rules.price_increment.0)
            }
        };
        (0..self.out.len()).map(show).collect()
    }
}

/// A book frame with the checksum of these ten levels or fewer, `PRICExQTY`.
fn snapshot(symbol: &str, bids: &str, asks: &str) -> String {
    let instrument = table().iter().find(|(_, i)| i.symbol == symbol).map(|(_, i)| i.clone());
    let instrument = instrument.expect("a symbol of the table");
    let text = |levels: &str| levels.replace(['.', ' '], "");
    let (mut crc, mut sides) = (String::new(), Vec::new());
    for side in [asks, bids] {
        let mut rows = Vec::new();
        for level in side.split_whitespace() {
            let (price, qty) = level.split_once('x').expect("PRICExQTY");
            let padded = |number: &str, decimals: u8| {
                let units = crate::domain::decimal::parse(number, decimals).expect("a number");
                crate::domain::decimal::format(units, decimals)
            };
            let price = padded(price, instrument.price_decimals);
            let qty = padded(qty, instrument.qty_decimals);
            crc.push_str(text(&price).trim_start_matches('0'));
            crc.push_str(text(&qty).trim_start_matches('0'));
            rows.push(format!(r#"{{"price":{price},"qty":{qty}}}"#));
        }
        sides.push(rows.join(","));
    }
    let checksum = crc32fast::hash(crc.as_bytes());
    format!(
        r#"{{"channel":"book","type":"snapshot","data":[{{"symbol":"{symbol}","bids":[{}],"asks":[{}],"checksum":{checksum},"timestamp":"2026-08-24T22:21:57.110183Z"}}]}}"#,
        sides[1], sides[0]
    )
}

fn trade(id: u64, kind: &str) -> String {
    trades(&[id], kind)
}

fn trades(ids: &[u64], kind: &str) -> String {
    let row = |id: &u64| {
        format!(
            r#"{{"symbol":"BTC/USD","side":"sell","price":100.5,"qty":0.00100000,"ord_type":"market","trade_id":{id},"timestamp":"2026-08-24T22:21:57.110183Z"}}"#
        )
    };
    let rows: Vec<String> = ids.iter().map(row).collect();
    format!(r#"{{"channel":"trade","type":"{kind}","data":[{}]}}"#, rows.join(","))
}

fn ack(method: &str, channel: &str, symbol: &str, req_id: u64) -> String {
    format!(
        r#"{{"method":"{method}","req_id":{req_id},"result":{{"channel":"{channel}","symbol":"{symbol}"}},"success":true,"time_in":"2026-08-24T22:21:56.724795Z","time_out":"2026-08-24T22:21:56.724853Z"}}"#
    )
}

fn nack(error: &str, symbol: &str, req_id: u64) -> String {
    format!(
        r#"{{"error":"{error}","method":"subscribe","req_id":{req_id},"success":false,"symbol":"{symbol}","time_in":"2025-08-26T00:09:18.071184Z","time_out":"2025-08-26T00:09:18.071225Z"}}"#
    )
}
