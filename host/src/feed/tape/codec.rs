//! Events to a block's payload and back.
//!
//! A payload is a column per kind of word, each the smallest number of byte
//! planes that holds its largest value: headers, times (difference to the one
//! before), exchange times (difference of the lag), prices and ids (difference
//! to the symbol's one before), quantities, and everything else as it is.
//!
//! Why not the plain words: over 2,000,000 trades zstd takes 19.7 MB and 51 ns
//! an event for those, 15.9 MB and 32 ns for interleaved variable-length
//! differences, 12.3 MB and 28 ns for these planes, because equal bytes then
//! stand side by side.

use super::format::{BLOCK_WORDS_MAX, Bytes};
use crate::domain::Ts;
use crate::words::{self, Header};

/// Turns events into payloads, keeping its buffers.
#[derive(Default)]
pub(super) struct Encoder {
    columns: Columns,
    bases: Vec<Base>,
}

/// Turns payloads into events, keeping its buffers.
#[derive(Default)]
pub(super) struct Decoder {
    columns: Columns,
    bases: Vec<Base>,
    /// the events as exact words
    pub(super) words: Vec<u64>,
    /// their exchange times
    pub(super) ts_exchange: Vec<i64>,
}

/// A column per kind of word, in the order in which they are stored.
#[derive(Default)]
struct Columns {
    headers: Vec<u64>,
    times: Vec<u64>,
    lags: Vec<u64>,
    prices: Vec<u64>,
    quantities: Vec<u64>,
    ids: Vec<u64>,
    plain: Vec<u64>,
}

/// A symbol's last price and trade id, from which the next are differences. A
/// block stores the first ones beside the columns: absolute values would widen
/// every plane for the sake of one.
#[derive(Clone, Copy, Default)]
struct Base {
    price: u64,
    id: u64,
    known_price: bool,
    known_id: bool,
}

/// A difference with its sign in the lowest bit, so that small ones of either
/// sign have few bytes.
fn fold(difference: u64) -> u64 {
    (difference << 1) ^ ((difference as i64 >> 63) as u64)
}

fn unfold(folded: u64) -> u64 {
    (folded >> 1) ^ (folded & 1).wrapping_neg()
}

impl Encoder {
    /// Appends the payload of `events`, a whole number of events as exact
    /// words, to `out`.
    pub(super) fn encode(
        &mut self,
        events: &[u64],
        ts_exchange: &[i64],
        first_ts: Ts,
        symbols: usize,
        out: &mut Vec<u8>,
    ) {
        self.columns.clear();
        self.bases.clear();
        self.bases.resize(symbols, Base::default());
        let mut first = self.bases.clone();
        let (mut ts_last, mut lag_last) = (first_ts.0 as u64, 0);
        let mut rest = events;
        for &exchange in ts_exchange {
            let header = Header(rest[0]);
            let (event, tail) = rest.split_at(header.words().unwrap_or(words::BARE_WORDS));
            rest = tail;
            let lag = (exchange as u64).wrapping_sub(event[1]);
            self.columns.headers.push(header.0);
            self.columns.times.push(fold(event[1].wrapping_sub(ts_last)));
            self.columns.lags.push(fold(lag.wrapping_sub(lag_last)));
            (ts_last, lag_last) = (event[1], lag);
            self.payload(header, &event[2..], &mut first);
        }
        for base in &first {
            out.extend_from_slice(&base.price.to_le_bytes());
            out.extend_from_slice(&base.id.to_le_bytes());
        }
        self.columns.store(out);
    }

    fn payload(&mut self, header: Header, payload: &[u64], first: &mut [Base]) {
        let symbol = header.symbol().index();
        match (header.kind(), payload) {
            (words::TRADE, &[price, quantity, id]) => {
                self.price(symbol, price, first);
                self.columns.quantities.push(quantity);
                let base = &mut self.bases[symbol];
                if !base.known_id {
                    (base.id, base.known_id, first[symbol].id) = (id, true, id);
                }
                self.columns.ids.push(fold(id.wrapping_sub(base.id)));
                base.id = id;
            }
            (words::CANDLE, &[interval, open_ts, open, high, low, close, volume, vwap]) => {
                self.columns.plain.extend([interval, open_ts, vwap]);
                for price in [open, high, low, close] {
                    self.price(symbol, price, first);
                }
                self.columns.quantities.push(volume);
            }
            (words::RULES, plain) => self.columns.plain.extend(plain),
            _ => {
                for pair in payload.chunks_exact(2) {
                    self.price(symbol, pair[0], first);
                    self.columns.quantities.push(pair[1]);
                }
            }
        }
    }

    fn price(&mut self, symbol: usize, price: u64, first: &mut [Base]) {
        let base = &mut self.bases[symbol];
        if !base.known_price {
            (base.price, base.known_price, first[symbol].price) = (price, true, price);
        }
        self.columns.prices.push(fold(price.wrapping_sub(base.price)));
        base.price = price;
    }
}

impl Decoder {
    /// Reads the payload of a block of `events` events, whose first and last
    /// times are `span`, into [`words`](Self::words) and
    /// [`ts_exchange`](Self::ts_exchange).
    ///
    /// # Errors
    /// How the payload contradicts itself. What was decoded is then unusable.
    pub(super) fn decode(
        &mut self,
        payload: &[u8],
        events: usize,
        span: (Ts, Ts),
        symbols: usize,
    ) -> Result<(), String> {
        let mut bytes = Bytes(payload);
        self.bases.clear();
        for _ in 0..symbols {
            let (price, id) = bytes.u64().zip(bytes.u64()).ok_or(SHORT)?;
            self.bases.push(Base { price, id, ..Base::default() });
        }
        read_column(&mut bytes, events, &mut self.columns.headers)?;
        let lengths = Lengths::of(&self.columns.headers, symbols)?;
        read_column(&mut bytes, events, &mut self.columns.times)?;
        read_column(&mut bytes, events, &mut self.columns.lags)?;
        read_column(&mut bytes, lengths.prices, &mut self.columns.prices)?;
        read_column(&mut bytes, lengths.quantities, &mut self.columns.quantities)?;
        read_column(&mut bytes, lengths.ids, &mut self.columns.ids)?;
        read_column(&mut bytes, lengths.plain, &mut self.columns.plain)?;
        if !bytes.0.is_empty() {
            return Err(format!("{} bytes too many", bytes.0.len()));
        }
        check_times(&self.columns.times, span)?;
        self.words.clear();
        self.words.reserve(lengths.words);
        self.ts_exchange.clear();
        self.assemble(span.0).ok_or_else(|| SHORT.to_owned())
    }

    /// Puts the columns together. `None` when one is too short, which the
    /// lengths rule out.
    fn assemble(&mut self, first_ts: Ts) -> Option<()> {
        let columns = &self.columns;
        let mut prices = columns.prices.iter().map(|&p| unfold(p));
        let mut quantities = columns.quantities.iter().copied();
        let mut ids = columns.ids.iter().map(|&id| unfold(id));
        let mut plain = columns.plain.iter().copied();
        let (mut ts, mut lag) = (first_ts.0 as u64, 0_u64);
        let clocks = columns.times.iter().zip(&columns.lags);
        for (&header, (&time, &lag_step)) in columns.headers.iter().zip(clocks) {
            ts = ts.wrapping_add(unfold(time));
            lag = lag.wrapping_add(unfold(lag_step));
            self.ts_exchange.push(ts.wrapping_add(lag) as i64);
            let header = Header(header);
            let base = self.bases.get_mut(header.symbol().index());
            match (header.kind(), base) {
                (words::TRADE, Some(base)) => {
                    base.price = base.price.wrapping_add(prices.next()?);
                    base.id = base.id.wrapping_add(ids.next()?);
                    let event = [header.0, ts, base.price, quantities.next()?, base.id];
                    self.words.extend_from_slice(&event);
                }
                (words::BOOK, Some(base)) => {
                    self.words.extend_from_slice(&[header.0, ts]);
                    for _ in 0..header.count_a() + header.count_b() {
                        base.price = base.price.wrapping_add(prices.next()?);
                        self.words.extend_from_slice(&[base.price, quantities.next()?]);
                    }
                }
                (words::CANDLE, Some(base)) => {
                    let (interval, open_ts) = (plain.next()?, plain.next()?);
                    self.words.extend_from_slice(&[header.0, ts, interval, open_ts]);
                    for _ in 0..4 {
                        base.price = base.price.wrapping_add(prices.next()?);
                        self.words.push(base.price);
                    }
                    self.words.extend_from_slice(&[quantities.next()?, plain.next()?]);
                }
                (words::RULES, _) => {
                    self.words.extend_from_slice(&[header.0, ts]);
                    for _ in words::BARE_WORDS..words::RULES_WORDS {
                        self.words.push(plain.next()?);
                    }
                }
                _ => self.words.extend_from_slice(&[header.0, ts]),
            }
        }
        Some(())
    }
}

/// The engine's clock only moves forward, and a checksum does not say so.
fn check_times(times: &[u64], (first, last): (Ts, Ts)) -> Result<(), String> {
    let backwards = times.iter().position(|time| time & 1 == 1);
    if let Some(index) = backwards.or_else(|| (times.first() != Some(&0)).then_some(0)) {
        return Err(format!("event {index} of the block is out of order"));
    }
    // Halves, because folding has doubled them; wide, so that nothing wraps.
    let passed: i128 = times.iter().map(|time| i128::from(time / 2)).sum();
    if i128::from(first.0) + passed == i128::from(last.0) {
        Ok(())
    } else {
        Err("the block's last time differs".into())
    }
}

const SHORT: &str = "the payload is too short";

/// How long the columns are that depend on the headers.
#[derive(Default)]
struct Lengths {
    prices: usize,
    quantities: usize,
    ids: usize,
    plain: usize,
    words: usize,
}

impl Lengths {
    fn of(headers: &[u64], symbols: usize) -> Result<Self, String> {
        let mut lengths = Self::default();
        for &word in headers {
            let header = Header(word);
            let words = header.words();
            lengths.words +=
                words.ok_or_else(|| format!("unknown event kind {}", header.kind()))?;
            if header.kind() != words::TIMER && header.symbol().index() >= symbols {
                return Err(format!("unknown symbol number {}", header.symbol().0));
            }
            let (prices, quantities, ids, plain) = match header.kind() {
                words::TRADE => (1, 1, 1, 0),
                words::CANDLE => (4, 1, 0, 3),
                words::RULES => (0, 0, 0, words::RULES_WORDS - words::BARE_WORDS),
                words::BOOK => {
                    let levels = header.count_a() + header.count_b();
                    (levels, levels, 0, 0)
                }
                _ => (0, 0, 0, 0),
            };
            lengths.prices += prices;
            lengths.quantities += quantities;
            lengths.ids += ids;
            lengths.plain += plain;
            if lengths.words > BLOCK_WORDS_MAX {
                return Err(format!("more than {BLOCK_WORDS_MAX} words in a block"));
            }
        }
        Ok(lengths)
    }
}

impl Columns {
    fn all_mut(&mut self) -> [&mut Vec<u64>; 7] {
        [
            &mut self.headers,
            &mut self.times,
            &mut self.lags,
            &mut self.prices,
            &mut self.quantities,
            &mut self.ids,
            &mut self.plain,
        ]
    }

    fn clear(&mut self) {
        self.all_mut().into_iter().for_each(Vec::clear);
    }

    fn store(&mut self, out: &mut Vec<u8>) {
        for column in self.all_mut() {
            // All bits of all values together have the width of the widest.
            let bits = column.iter().fold(0, |all, value| all | value);
            let planes = (u64::BITS - bits.leading_zeros()).div_ceil(8);
            out.push(planes as u8);
            for plane in 0..planes {
                out.extend(column.iter().map(|value| (value >> (8 * plane)) as u8));
            }
        }
    }
}

fn read_column(bytes: &mut Bytes<'_>, count: usize, column: &mut Vec<u64>) -> Result<(), String> {
    let planes = usize::from(bytes.u8().ok_or(SHORT)?);
    if planes > 8 {
        return Err(format!("a column of {planes} planes"));
    }
    let planes = bytes.take(planes * count).ok_or(SHORT)?;
    column.clear();
    match planes.len().checked_div(count).unwrap_or(0) {
        1 => join_planes::<1>(planes, count, column),
        2 => join_planes::<2>(planes, count, column),
        3 => join_planes::<3>(planes, count, column),
        4 => join_planes::<4>(planes, count, column),
        5 => join_planes::<5>(planes, count, column),
        6 => join_planes::<6>(planes, count, column),
        7 => join_planes::<7>(planes, count, column),
        8 => join_planes::<8>(planes, count, column),
        _ => column.resize(count, 0),
    }
    Ok(())
}

/// Joins `N` planes of `count` bytes. Knowing `N`, the compiler takes several
/// values at once.
fn join_planes<const N: usize>(planes: &[u8], count: usize, column: &mut Vec<u64>) {
    let planes: [&[u8]; N] = std::array::from_fn(|n| &planes[n * count..(n + 1) * count]);
    let value =
        |i: usize| planes.iter().rev().fold(0, |value, plane| value << 8 | u64::from(plane[i]));
    column.extend((0..count).map(value));
}
