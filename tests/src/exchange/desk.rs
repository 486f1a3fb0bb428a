//! One connection's subscriptions: requests and time in, frames out.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::book::{View, changes};
use super::market::{Market, PAIRS, Print, SECOND};
use super::random::Random;
use super::truth::Truth;
use super::wire;

/// Trades of a snapshot.
const SNAPSHOT_TRADES: u64 = 50;
/// Requests in a second before the venue refuses them.
const REQUESTS_MAX: usize = 60;
const DEPTHS: [u64; 5] = [10, 25, 100, 500, 1_000];
const INTERVALS: [u64; 9] = [1, 5, 15, 30, 60, 240, 1_440, 10_080, 21_600];

/// A frame with what it is, so that a fault can find the one that it wants.
#[derive(Clone, Debug)]
pub struct Frame {
    /// what it carries
    pub content: Content,
    /// the text on the wire
    pub text: String,
}

/// What a frame carries.
#[derive(Clone, Debug)]
pub enum Content {
    /// levels of a book
    Book {
        /// place of the pair
        symbol: usize,
        /// the whole book
        snapshot: bool,
        /// the levels of the message
        sides: View,
        /// the book that it leads to
        view: View,
        /// the depth that was subscribed
        depth: usize,
        /// its time
        ts: i64,
    },
    /// prints
    Trades {
        /// place of the pair
        symbol: usize,
        /// the recent past
        snapshot: bool,
        /// what was traded
        prints: Vec<Print>,
    },
    /// anything else
    Other,
}

/// What makes the venue behave other than it should, where that concerns
/// subscriptions.
#[derive(Clone, Debug, Default)]
pub struct Mood {
    /// books of this pair say nothing
    pub silent: Option<usize>,
    /// smallest orders by pair, where they are not those of the start
    pub minimums: BTreeMap<usize, i64>,
    /// books are granted and never come
    pub grants_in_vain: bool,
    /// trades are granted and never come
    pub trades_in_vain: bool,
    /// newest trades that a snapshot of them does not know of; they follow as if new
    pub trades_lag: u64,
    /// subscriptions that are refused as too many
    pub refusals: u32,
}

/// The state of one connection.
pub struct Desk {
    books: BTreeMap<usize, BookFeed>,
    trades: BTreeMap<usize, u64>,
    candles: BTreeMap<usize, (i64, u64)>,
    instruments: bool,
    /// the smallest orders that it was told of, where they have changed
    minimums: BTreeMap<usize, i64>,
    requests: VecDeque<i64>,
    next_heartbeat: i64,
    random: Random,
}

struct BookFeed {
    depth: usize,
    view: View,
    in_vain: bool,
}

/// The market and what is written down about it.
pub struct Scene<'a> {
    /// the truth
    pub market: &'a Market,
    /// what was sent
    pub truth: &'a mut Truth,
    /// how the venue feels
    pub mood: &'a mut Mood,
    /// the time in nanoseconds since 1970
    pub now: i64,
}

fn other(text: String) -> Frame {
    Frame { content: Content::Other, text }
}

impl Desk {
    /// A connection that has just been made.
    #[must_use]
    pub fn new(seed: u64, connection: u64) -> Self {
        Self {
            books: BTreeMap::new(),
            trades: BTreeMap::new(),
            candles: BTreeMap::new(),
            instruments: false,
            minimums: BTreeMap::new(),
            requests: VecDeque::new(),
            next_heartbeat: 0,
            random: Random::new(seed ^ connection, "desk"),
        }
    }

    /// Answers a request.
    pub fn request(&mut self, text: &str, scene: &mut Scene<'_>) -> Vec<Frame> {
        let now = scene.now;
        let Ok(request) = serde_json::from_str::<Value>(text) else {
            return vec![other(wire::refused("", None, None, "Malformed request", now))];
        };
        let method = request["method"].as_str().unwrap_or_default();
        let req_id = request["req_id"].as_u64();
        let params = request.get("params");
        let refused = |error: &str| vec![other(wire::refused(method, req_id, None, error, now))];
        self.requests.retain(|at| now - at < SECOND);
        self.requests.push_back(now);
        if self.requests.len() > REQUESTS_MAX {
            self.requests.pop_front();
            return refused("Exceeded msg rate");
        }
        match (method, params) {
            ("ping", None) => vec![other(wire::pong(req_id, now))],
            ("ping", Some(_)) => {
                refused("Unsupported field: 'params' for the given msg type: ping")
            }
            ("subscribe" | "unsubscribe", Some(params)) => {
                self.subscription(method, req_id, params, scene)
            }
            _ => refused("Unsupported event"),
        }
    }

    fn subscription(
        &mut self,
        method: &str,
        req_id: Option<u64>,
        params: &Value,
        scene: &mut Scene<'_>,
    ) -> Vec<Frame> {
        let now = scene.now;
        let channel = params["channel"].as_str().unwrap_or_default();
        let snapshot = params["snapshot"].as_bool().unwrap_or(channel == "book");
        if channel == "instrument" {
            return self.list(method, req_id, snapshot, scene);
        }
        let refused = |symbol: Option<&str>, error: &str| {
            other(wire::refused(method, req_id, symbol, error, now))
        };
        let Some(symbols) = params["symbol"].as_array() else {
            return vec![refused(None, "Symbol field must be an array")];
        };
        let mut frames = Vec::new();
        for symbol in symbols.iter().filter_map(Value::as_str) {
            let Some(place) = scene.market.find(symbol) else {
                let error = format!("Currency pair not supported {symbol}");
                frames.push(vec![refused(Some(symbol), &error)]);
                continue;
            };
            if method == "subscribe" && scene.mood.refusals > 0 {
                scene.mood.refusals -= 1;
                frames.push(vec![refused(Some(symbol), "Exceeded msg rate")]);
                continue;
            }
            let result = if method == "subscribe" {
                self.subscribe(channel, place, params, snapshot, scene)
            } else {
                self.unsubscribe(channel, place)
            };
            frames.push(match result {
                Ok((result, data)) => {
                    let ack = other(wire::granted(method, req_id, &result, now));
                    std::iter::once(ack).chain(data).collect()
                }
                Err(error) => vec![refused(Some(symbol), error)],
            });
        }
        self.in_some_order(frames)
    }

    /// Answers come one a symbol; the data of one may come between the answers
    /// of others, or after all of them.
    fn in_some_order(&mut self, mut frames: Vec<Vec<Frame>>) -> Vec<Frame> {
        if self.random.chance(500) {
            self.random.shuffle(&mut frames);
            return frames.into_iter().flatten().collect();
        }
        let mut data = Vec::new();
        let mut answers = Vec::new();
        for mut group in frames {
            data.extend(group.drain(1..));
            answers.extend(group);
        }
        if self.random.chance(500) {
            answers.push(other(wire::HEARTBEAT.to_owned()));
        }
        answers.extend(data);
        answers
    }

    fn list(
        &mut self,
        method: &str,
        req_id: Option<u64>,
        snapshot: bool,
        scene: &Scene<'_>,
    ) -> Vec<Frame> {
        let now = scene.now;
        let subscribes = method == "subscribe";
        if std::mem::replace(&mut self.instruments, subscribes) && subscribes {
            return vec![other(wire::refused(method, req_id, None, "Already subscribed", now))];
        }
        let result = r#"{"channel":"instrument","snapshot":true,"warnings":["tick_size is deprecated, use price_increment"]}"#;
        let mut frames = vec![other(wire::granted(method, req_id, result, now))];
        if subscribes && snapshot {
            self.minimums.clone_from(&scene.mood.minimums);
            frames.push(other(wire::instruments(&self.minimums)));
        }
        frames
    }

    fn subscribe(
        &mut self,
        channel: &str,
        place: usize,
        params: &Value,
        snapshot: bool,
        scene: &mut Scene<'_>,
    ) -> Result<(String, Vec<Frame>), &'static str> {
        let (pair, book) = (&PAIRS[place], &scene.market.books[place]);
        let symbol = pair.symbol;
        match channel {
            "book" => {
                let depth = params["depth"].as_u64().unwrap_or(10);
                if !DEPTHS.contains(&depth) {
                    return Err("Subscription depth not supported");
                }
                if self.books.contains_key(&place) {
                    return Err("Already subscribed");
                }
                let in_vain = scene.mood.grants_in_vain;
                let feed =
                    BookFeed { depth: depth as usize, view: book.view(depth as usize), in_vain };
                let frames = (snapshot && !in_vain)
                    .then(|| book_frame(place, &feed, true, feed.view.clone(), scene));
                self.books.insert(place, feed);
                let result = format!(
                    r#"{{"channel":"book","depth":{depth},"snapshot":{snapshot},"symbol":"{symbol}"}}"#
                );
                Ok((result, frames.into_iter().collect()))
            }
            "trade" => {
                if self.trades.contains_key(&place) {
                    return Err("Already subscribed");
                }
                let in_vain = scene.mood.trades_in_vain;
                let next = book.next_id().saturating_sub(scene.mood.trades_lag);
                self.trades.insert(place, if in_vain { u64::MAX } else { next });
                let first = next.saturating_sub(SNAPSHOT_TRADES);
                let known = book.prints_from(first).take_while(|print| print.id < next);
                let prints: Vec<Print> = known.collect();
                let result =
                    format!(r#"{{"channel":"trade","snapshot":{snapshot},"symbol":"{symbol}"}}"#);
                let shown = snapshot && !in_vain;
                let frames = shown.then(|| trade_frame(place, true, prints));
                Ok((result, frames.into_iter().collect()))
            }
            "ohlc" => {
                let interval = params["interval"].as_u64().unwrap_or(1);
                if !INTERVALS.contains(&interval) {
                    return Err("Subscription ohlc interval not supported");
                }
                if self.candles.contains_key(&place) {
                    return Err("Already subscribed to one ohlc interval on this symbol");
                }
                let minutes = interval as i64;
                self.candles.insert(place, (minutes, book.next_id()));
                let rows = book.candles(minutes);
                let result = format!(
                    r#"{{"channel":"ohlc","interval":{interval},"snapshot":{snapshot},"symbol":"{symbol}","warnings":["timestamp is deprecated, use interval_begin"]}}"#
                );
                let text = || wire::candles(pair, true, minutes, &rows, scene.now);
                Ok((result, snapshot.then(|| other(text())).into_iter().collect()))
            }
            _ => Err("Unsupported channel"),
        }
    }

    fn unsubscribe(
        &mut self,
        channel: &str,
        place: usize,
    ) -> Result<(String, Vec<Frame>), &'static str> {
        let symbol = PAIRS[place].symbol;
        let gone = match channel {
            "book" => self.books.remove(&place).map(|feed| format!(r#""depth":{},"#, feed.depth)),
            "trade" => self.trades.remove(&place).map(|_| String::new()),
            "ohlc" => self.candles.remove(&place).map(|c| format!(r#""interval":{},"#, c.0)),
            _ => None,
        };
        let extra = gone.ok_or("Subscription Not Found")?;
        Ok((format!(r#"{{"channel":"{channel}",{extra}"symbol":"{symbol}"}}"#), Vec::new()))
    }

    /// What has happened since the last time.
    pub fn tick(&mut self, scene: &mut Scene<'_>) -> Vec<Frame> {
        let mut frames = Vec::new();
        for (&place, from) in &mut self.trades {
            let book = &scene.market.books[place];
            if book.next_id() > *from {
                let prints: Vec<Print> = book.prints_from(*from).collect();
                *from = book.next_id();
                frames.push(trade_frame(place, false, prints));
            }
        }
        for (&place, feed) in &mut self.books {
            if feed.in_vain || scene.mood.silent == Some(place) {
                continue;
            }
            let book = &scene.market.books[place];
            let view = book.view(feed.depth);
            if view == feed.view {
                continue;
            }
            let random = &mut self.random;
            let bids = changes(&feed.view.bids, &view.bids, |p| book.has(true, p), random);
            let asks = changes(&feed.view.asks, &view.asks, |p| book.has(false, p), random);
            feed.view = view;
            if !(bids.is_empty() && asks.is_empty()) {
                frames.push(book_frame(place, feed, false, View { bids, asks }, scene));
            }
        }
        for (&place, (minutes, from)) in &mut self.candles {
            let book = &scene.market.books[place];
            if std::mem::replace(from, book.next_id()) < book.next_id() {
                let rows = book.candles(*minutes);
                let last = &rows[rows.len().saturating_sub(1)..];
                frames.push(other(wire::candles(&PAIRS[place], false, *minutes, last, scene.now)));
            }
        }
        if self.instruments && self.minimums != scene.mood.minimums {
            self.minimums.clone_from(&scene.mood.minimums);
            frames.push(other(wire::instrument_update(&self.minimums)));
        }
        let subscribed = self.instruments
            || !(self.books.is_empty() && self.trades.is_empty() && self.candles.is_empty());
        if subscribed && scene.now >= self.next_heartbeat {
            self.next_heartbeat = scene.now + SECOND;
            frames.push(other(wire::HEARTBEAT.to_owned()));
        }
        frames
    }
}

fn book_frame(
    symbol: usize,
    feed: &BookFeed,
    snapshot: bool,
    sides: View,
    scene: &mut Scene<'_>,
) -> Frame {
    let ts = scene.truth.note_book(symbol, &feed.view, scene.now);
    let text = wire::book(&PAIRS[symbol], snapshot, &sides, feed.view.checksum(), ts);
    let (view, depth) = (feed.view.clone(), feed.depth);
    Frame { content: Content::Book { symbol, snapshot, sides, view, depth, ts }, text }
}

fn trade_frame(symbol: usize, snapshot: bool, prints: Vec<Print>) -> Frame {
    let text = wire::trades(&PAIRS[symbol], snapshot, &prints, None);
    Frame { content: Content::Trades { symbol, snapshot, prints }, text }
}
