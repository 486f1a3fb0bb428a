//! The protocol's state for one connection: time and text in; events, frames to
//! send, notices and the next deadline out.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::instruments::system_status;
use super::messages::{self, Message, Reply};
use super::notice::{Counts, Notice};
use super::setup::{MINUTES, SetupError, Timing, depth_for};
use super::skew::SkewWatch;
use super::streams::Stream;
use super::subscriptions::{Channel, Failure, FeedKey, Outgoing, Subscriptions};
use super::{Precision, book::Desync};
use crate::domain::{Instrument, InstrumentTable, Price, Qty, SymbolId, Ts};
use crate::input::{InputBlock, TradingStatus};
use crate::venue::{FrameError, Protocol, Request, Wanted};

/// Notices that wait at most; the oldest go, and are counted.
const NOTICES_MAX: usize = 1_024;

/// Reads the public channels of the symbols of one instrument table.
///
/// A symbol is stale until all that is wanted of it has come: its book in a
/// snapshot with the venue's checksum, its trades with their recent history.
/// Whatever breaks one symbol's data concerns that symbol alone.
pub struct Session {
    pub(super) instruments: InstrumentTable,
    by_name: BTreeMap<String, SymbolId>,
    /// the venue's names, in the order of the table
    names: Vec<String>,
    pub(super) streams: Vec<Stream>,
    system: TradingStatus,
    /// `None` when frames come from a recording, where nothing can be asked for
    pub(super) subscriptions: Option<Subscriptions>,
    timing: Timing,
    pub(super) now: Ts,
    connection: Option<Connection>,
    requests: VecDeque<Request>,
    notices: VecDeque<Notice>,
    pub(super) counts: Counts,
    skew: SkewWatch,
}

/// The connection's clocks.
struct Connection {
    last_frame: Ts,
    last_ping: Ts,
    ping_due: bool,
}

impl Session {
    /// A session that subscribes to what is wanted.
    ///
    /// # Errors
    /// What the venue or the instrument table does not have.
    pub fn new(
        instruments: InstrumentTable,
        wanted: &[Wanted],
        timing: Timing,
    ) -> Result<Self, SetupError> {
        let mut session = Self::recorded(instruments, wanted)?;
        let mut feeds = vec![FeedKey { channel: Channel::Instrument, symbol: None }];
        for (number, stream) in (0_u16..).zip(&mut session.streams) {
            let feed = |channel| FeedKey { channel, symbol: Some(SymbolId(number)) };
            feeds.extend(stream.depth.map(|depth| feed(Channel::Book(depth))));
            feeds.extend(stream.trades_wanted.then(|| feed(Channel::Trade)));
            feeds.extend(stream.candle_minutes.map(|minutes| feed(Channel::Ohlc(minutes))));
            stream.trades_ready = false;
        }
        session.subscriptions = Some(Subscriptions::new(feeds.into_iter(), timing.clone()));
        session.timing = timing;
        Ok(session)
    }

    /// A session for the frames of a recording: it asks for nothing, has no
    /// deadlines, and takes any snapshot that comes. Trades need no history
    /// before them.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn recorded(instruments: InstrumentTable, wanted: &[Wanted]) -> Result<Self, SetupError> {
        let mut streams: Vec<Stream> = instruments.iter().map(|(_, i)| Stream::new(i)).collect();
        for want in wanted {
            let stream = streams.get_mut(want.symbol.index());
            let stream = stream.ok_or(SetupError::Symbol(want.symbol))?;
            let symbol = || stream.rules.symbol.clone();
            let depth = want.levels.map(|levels| {
                depth_for(levels).ok_or_else(|| SetupError::Depth { symbol: symbol(), levels })
            });
            if let Some(minutes) = want.candle_minutes.filter(|m| !MINUTES.contains(m)) {
                return Err(SetupError::Candle { symbol: symbol(), minutes });
            }
            let depth = depth.transpose()?;
            stream.want(want, depth);
            stream.trades_ready = true;
        }
        let names: Vec<String> = instruments.iter().map(|(_, i)| i.symbol.clone()).collect();
        Ok(Self {
            instruments,
            by_name: numbered(&names),
            names,
            streams,
            system: TradingStatus::Trading,
            subscriptions: None,
            timing: Timing::default(),
            now: Ts(i64::MIN),
            connection: None,
            requests: VecDeque::new(),
            notices: VecDeque::new(),
            counts: Counts::default(),
            skew: SkewWatch::default(),
        })
    }

    /// States the venue's decimals of a symbol where they are not those of the
    /// instrument table.
    pub fn set_precision(&mut self, symbol: SymbolId, precision: Precision) {
        if let Some(stream) = self.streams.get_mut(symbol.index()) {
            stream.precision = precision;
        }
    }

    /// States the venue's names of all symbols, in the order of the instrument
    /// table, where they are not those of the table.
    pub fn set_names(&mut self, names: Vec<String>) {
        self.by_name = numbered(&names);
        self.names = names;
    }

    /// True when history has come of every symbol that candles are wanted of.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        self.streams.iter().all(|stream| stream.candle_minutes.is_none() || stream.warm)
    }

    /// What it has seen so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The next notice for logs and counters.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// A symbol's increments and minimums as the venue last stated them.
    #[must_use]
    pub fn rules(&self, symbol: SymbolId) -> Option<&Instrument> {
        self.streams.get(symbol.index()).map(|stream| &stream.rules)
    }

    /// Best bid and ask of a symbol with their quantities, while its book is
    /// verified.
    #[must_use]
    pub fn best(&self, symbol: SymbolId) -> Option<((Price, Qty), (Price, Qty))> {
        let stream = self.streams.get(symbol.index()).filter(|stream| stream.book_ready)?;
        stream.book.as_ref()?.best()
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        if self.notices.len() == NOTICES_MAX {
            self.notices.pop_front();
            self.counts.notices_lost += 1;
        }
        self.notices.push_back(notice);
    }

    /// Minds the venue's time of what is told as it happens.
    pub(super) fn mind_clock(&mut self, ts: Ts) {
        // The clock of a recording is the recording's.
        if self.subscriptions.is_some()
            && let Some(ahead_ns) = self.skew.note(ts, self.now)
        {
            self.notice(Notice::Clock { ahead_ns });
        }
    }

    pub(super) fn find(&self, name: &str) -> Result<SymbolId, FrameError> {
        let unknown = || FrameError::UnknownSymbol(name.chars().take(40).collect());
        self.by_name.get(name).copied().ok_or_else(unknown)
    }

    fn handle(&mut self, text: &str, out: &mut InputBlock) -> Result<(), FrameError> {
        match messages::parse(text)? {
            Message::Book(rows, snapshot) => self.books(&rows, snapshot, out),
            Message::Trade(rows, snapshot) => self.trades(&rows, snapshot, out),
            Message::Ohlc { rows, snapshot, timestamp } => {
                self.candles(&rows, snapshot, timestamp.as_deref(), out)
            }
            Message::Instrument(data, snapshot) => self.pairs(&data, snapshot, out),
            Message::Status(rows) => {
                for row in rows {
                    self.system = system_status(&row.system);
                    self.notice(Notice::System(self.system));
                }
                self.announce_all(out);
                Ok(())
            }
            Message::Reply(reply) => {
                self.reply(&reply, out);
                Ok(())
            }
            Message::Heartbeat | Message::Pong => {
                self.counts.signs_of_life += 1;
                Ok(())
            }
            Message::Other => {
                self.counts.ignored += 1;
                Ok(())
            }
        }
    }

    fn reply(&mut self, reply: &Reply<'_>, out: &mut InputBlock) {
        for warning in &reply.warnings {
            self.notice(Notice::Warning(short(warning)));
        }
        let symbol = reply.symbol.as_deref().and_then(|name| self.find(name).ok());
        let error = reply.error.as_deref().unwrap_or("refused without a reason");
        let subscribes = reply.method == "subscribe";
        let known = subscribes || reply.method == "unsubscribe";
        // A symbol that is not ours must not be taken for "all of them".
        let foreign = reply.symbol.is_some() && symbol.is_none();
        let now = self.now;
        let Some(subscriptions) = self.subscriptions.as_mut().filter(|_| known && !foreign) else {
            self.counts.ignored += u64::from(reply.success);
            if !reply.success {
                self.notice(Notice::Refused { feed: None, error: short(error), permanent: false });
            }
            return;
        };
        let feeds =
            subscriptions.answered(subscribes, reply.req_id, reply.channel.as_deref(), symbol);
        let mut notices = Vec::new();
        for &key in &feeds {
            if reply.success {
                subscriptions.granted(key, now);
            } else if let Some(failure) = subscriptions.refused(key, error, now) {
                notices.push((key, failure == Failure::Refused));
            }
        }
        if feeds.is_empty() && !reply.success {
            self.notice(Notice::Refused { feed: None, error: short(error), permanent: false });
        }
        for (key, permanent) in notices {
            self.lose_feed(key, out);
            self.notice(Notice::Refused { feed: Some(key), error: short(error), permanent });
        }
    }

    /// What a feed brought is not current any more.
    fn lose_feed(&mut self, key: FeedKey, out: &mut InputBlock) {
        let Some(symbol) = key.symbol else { return };
        let Some(stream) = self.streams.get_mut(symbol.index()) else { return };
        match key.channel {
            Channel::Book(_) => stream.lose_book(),
            Channel::Trade => stream.trades_ready = false,
            Channel::Instrument | Channel::Ohlc(_) => {}
        }
        self.announce(symbol, out);
    }

    /// A feed is not needed any more on this connection.
    pub(super) fn finish(&mut self, key: FeedKey) {
        if let Some(subscriptions) = &mut self.subscriptions {
            subscriptions.finish(key, self.now);
        }
    }

    /// Whether nothing came of a feed because there is nothing: a pair that has never
    /// traded, whose book must not be stale for that. Its trades are asked for anew as
    /// those of any quiet pair are.
    fn has_not_traded(&mut self, key: FeedKey, out: &mut InputBlock) -> bool {
        let (Channel::Trade, Some(symbol)) = (key.channel, key.symbol) else { return false };
        let Some(stream) = self.streams.get_mut(symbol.index()) else { return false };
        let was_ready = stream.trades_ready;
        if !stream.has_no_trades() {
            return false;
        }
        if let Some(subscriptions) = &mut self.subscriptions {
            subscriptions.empty(key, self.now);
        }
        if !was_ready {
            self.notice(Notice::NoTrades(symbol));
        }
        self.announce(symbol, out);
        true
    }

    /// A book cannot be trusted: it is stale from this event on, and asked for
    /// anew, once.
    pub(super) fn desync(&mut self, symbol: SymbolId, cause: Desync, out: &mut InputBlock) {
        match cause {
            Desync::Checksum { .. } => self.counts.checksums_failed += 1,
            Desync::Crossed => self.counts.crossed += 1,
            Desync::UnknownDelete => self.counts.unknown_deletes += 1,
            Desync::Unreadable => {}
        }
        let Some(depth) = self.streams.get(symbol.index()).and_then(|s| s.depth) else { return };
        let key = FeedKey { channel: Channel::Book(depth), symbol: Some(symbol) };
        self.lose_feed(key, out);
        self.notice(Notice::Desync { symbol, cause });
        if let Some(subscriptions) = &mut self.subscriptions {
            subscriptions.renew(key);
            self.counts.resubscriptions += 1;
        }
    }

    pub(super) fn announce(&mut self, symbol: SymbolId, out: &mut InputBlock) {
        let system = self.system;
        let Some(stream) = self.streams.get_mut(symbol.index()) else { return };
        if let Some(status) = stream.status_change(system) {
            out.push_status(self.now, symbol, status);
        }
    }

    fn announce_all(&mut self, out: &mut InputBlock) {
        for number in 0..self.streams.len() {
            if let Ok(number) = u16::try_from(number) {
                self.announce(SymbolId(number), out);
            }
        }
    }

    fn lose_connection(&mut self, out: &mut InputBlock) {
        self.connection = None;
        if let Some(subscriptions) = &mut self.subscriptions {
            subscriptions.disconnected();
        }
        for stream in &mut self.streams {
            stream.lose_connection(self.now);
        }
        self.announce_all(out);
    }

    fn frame(&self, outgoing: &Outgoing) -> String {
        let names = outgoing.symbols.iter().filter_map(|id| self.names.get(id.index()));
        let symbol: Vec<&str> = names.map(String::as_str).collect();
        let channel = outgoing.channel;
        let params = Params {
            channel: channel.name(),
            symbol: (channel != Channel::Instrument).then_some(symbol),
            depth: if let Channel::Book(depth) = channel { Some(depth) } else { None },
            interval: if let Channel::Ohlc(minutes) = channel { Some(minutes) } else { None },
            snapshot: outgoing.subscribes.then_some(true),
        };
        let method = if outgoing.subscribes { "subscribe" } else { "unsubscribe" };
        let frame = Frame { method, params: Some(params), req_id: outgoing.req_id };
        // Strings and integers always have a JSON form.
        serde_json::to_string(&frame).unwrap_or_default()
    }
}

/// A frame to send.
#[derive(Serialize)]
struct Frame<'a> {
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<Params<'a>>,
    req_id: u64,
}

#[derive(Serialize)]
struct Params<'a> {
    channel: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<bool>,
}

fn numbered(names: &[String]) -> BTreeMap<String, SymbolId> {
    names.iter().cloned().zip((0_u16..).map(SymbolId)).collect()
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

impl Protocol for Session {
    fn handle_connected(&mut self, now: Ts, out: &mut InputBlock) {
        self.now = self.now.max(now);
        let now = self.now;
        if let Some(subscriptions) = &mut self.subscriptions {
            subscriptions.connected(now);
            self.connection = Some(Connection { last_frame: now, last_ping: now, ping_due: false });
        }
        self.announce_all(out);
    }

    fn handle_disconnected(&mut self, now: Ts, out: &mut InputBlock) {
        self.now = self.now.max(now);
        self.lose_connection(out);
    }

    fn handle_text(&mut self, text: &str, now: Ts, out: &mut InputBlock) -> Result<(), FrameError> {
        self.now = self.now.max(now);
        self.counts.frames += 1;
        if let Some(connection) = &mut self.connection {
            connection.last_frame = self.now;
        }
        let result = self.handle(text, out);
        if let Err(error) = &result {
            *self.counts.errors.entry(error.kind()).or_default() += 1;
        }
        result
    }

    fn handle_deadline(&mut self, now: Ts, out: &mut InputBlock) {
        self.now = self.now.max(now);
        let now = self.now;
        let Some(connection) = &mut self.connection else { return };
        if now.since(connection.last_frame) >= self.timing.idle_ns {
            self.notice(Notice::Idle);
            self.requests.push_back(Request::Reconnect);
            self.lose_connection(out);
            return;
        }
        connection.ping_due |= now.since(connection.last_ping) >= self.timing.ping_ns;
        let expired = self.subscriptions.as_mut().map(|s| s.expire(now)).unwrap_or_default();
        for (key, failure) in expired {
            if failure == Failure::SnapshotOverdue && self.has_not_traded(key, out) {
                continue;
            }
            if failure == Failure::SnapshotOverdue && matches!(key.channel, Channel::Ohlc(_)) {
                // A pair that has not traded has no candles.
                self.finish(key);
            }
            // Trades may be rare: that none came proves nothing yet. A new snapshot
            // tells whether any were missed, and until then the book is current.
            if (failure, key.channel) != (Failure::Silent, Channel::Trade) {
                self.lose_feed(key, out);
            }
            self.counts.resubscriptions += 1;
            self.notice(match failure {
                Failure::SnapshotOverdue => Notice::SnapshotOverdue(key),
                Failure::Silent => Notice::Silent(key),
                Failure::AckOverdue | Failure::Refused | Failure::Postponed => {
                    Notice::AckOverdue(key)
                }
            });
        }
    }

    fn next_deadline(&self) -> Option<Ts> {
        let connection = self.connection.as_ref()?;
        let subscriptions = self.subscriptions.as_ref()?;
        let idle = connection.last_frame.0.saturating_add(self.timing.idle_ns);
        let ping = if connection.ping_due {
            subscriptions.open_at().0
        } else {
            connection.last_ping.0.saturating_add(self.timing.ping_ns)
        };
        let feeds = subscriptions.next_deadline().map_or(i64::MAX, |at| at.0);
        Some(Ts(idle.min(ping).min(feeds)))
    }

    fn poll_frame(&mut self) -> Option<String> {
        let now = self.now;
        let connection = self.connection.as_mut()?;
        let subscriptions = self.subscriptions.as_mut()?;
        if connection.ping_due
            && let Some(req_id) = subscriptions.take_turn(now)
        {
            (connection.ping_due, connection.last_ping) = (false, now);
            let ping = Frame { method: "ping", params: None, req_id };
            return serde_json::to_string(&ping).ok();
        }
        let outgoing = subscriptions.poll(now)?;
        Some(self.frame(&outgoing))
    }

    fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }
}
