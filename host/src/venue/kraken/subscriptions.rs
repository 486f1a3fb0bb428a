//! What is subscribed, symbol by symbol and channel by channel.
//!
//! 1. Each feed (a channel of a symbol) goes from *due* over *asked* and
//!    *acknowledged* to *live*; only data of the feed itself makes it live and
//!    keeps it so, never a heartbeat or an answer.
//! 2. Each step has a deadline. A missing answer is asked for again; a feed that
//!    was granted and gives no data, or falls silent, is ended and asked for
//!    anew. Tries of one feed are apart by a back-off that doubles.
//! 3. A new snapshot of a live feed needs its end, the answer to that, and a new
//!    subscription: the venue answers a bare second one with an error and no
//!    data.
//! 4. Frames are paced, and carry the symbols of many feeds: a burst after a
//!    reconnect is what the venue refuses.

use std::collections::BTreeMap;

use super::Timing;
use crate::domain::{SymbolId, Ts};

/// Symbols of one request: what clients are known to send.
const BATCH_MAX: usize = 100;
/// Requests whose answers are awaited; older ones are left to their deadlines.
const REQUESTS_MAX: usize = 256;

/// A channel that the session subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// pairs and their rules; it has no symbol
    Instrument,
    /// levels, to this depth
    Book(u32),
    /// public prints
    Trade,
    /// candles of this many minutes
    Ohlc(u32),
}

impl Channel {
    /// The venue's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Instrument => "instrument",
            Self::Book(_) => "book",
            Self::Trade => "trade",
            Self::Ohlc(_) => "ohlc",
        }
    }
}

/// A channel of a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedKey {
    /// which channel
    pub channel: Channel,
    /// whose; `None` where the channel has none
    pub symbol: Option<SymbolId>,
}

impl FeedKey {
    fn is_candles(&self) -> bool {
        matches!(self.channel, Channel::Ohlc(_))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// no connection
    Idle,
    /// a subscription is to be sent, not before this time
    Due(Ts),
    /// sent; the answer is awaited until then
    Asked(Ts),
    /// granted; the first data is awaited until then
    Granted(Ts),
    /// data came last at this time
    Live(Ts),
    /// its end is to be sent
    Ending,
    /// its end was sent; the answer is awaited until then
    Ended(Ts),
    /// the venue does not have it, as far as this connection goes
    Refused,
    /// it has brought what it was for on this connection
    Done,
}

#[derive(Debug)]
struct Feed {
    state: State,
    /// failures since it was last live for long enough
    tries: u32,
    live_since: Ts,
    /// it is ended for good, as far as this connection goes
    done: bool,
}

#[derive(Debug)]
struct Request {
    subscribes: bool,
    feeds: Vec<FeedKey>,
}

/// What a deadline or an answer means for the data of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// no answer in time
    AckOverdue,
    /// granted, but no data in time
    SnapshotOverdue,
    /// no data for too long
    Silent,
    /// refused for as long as the connection lasts
    Refused,
    /// refused for now
    Postponed,
}

/// A frame to be sent, before its symbols have names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) subscribes: bool,
    pub(super) channel: Channel,
    pub(super) symbols: Vec<SymbolId>,
    pub(super) req_id: u64,
}

/// All feeds of a connection.
#[derive(Debug)]
pub(super) struct Subscriptions {
    feeds: BTreeMap<FeedKey, Feed>,
    requests: BTreeMap<u64, Request>,
    next_req_id: u64,
    timing: Timing,
    /// the pace, as the time at which a full bucket would be used up
    /// (generic cell rate algorithm)
    paced_until: Ts,
    /// feeds that wait for a frame; saves the search on most frames
    waiting: usize,
}

impl Subscriptions {
    pub(super) fn new(keys: impl Iterator<Item = FeedKey>, timing: Timing) -> Self {
        let feed = || Feed { state: State::Idle, tries: 0, live_since: Ts(0), done: false };
        Self {
            feeds: keys.map(|key| (key, feed())).collect(),
            requests: BTreeMap::new(),
            next_req_id: 1,
            timing,
            paced_until: Ts(i64::MIN),
            waiting: 0,
        }
    }

    /// Everything is to be subscribed, at once but paced; trades only when candles have
    /// told of the time before, or not in time.
    pub(super) fn connected(&mut self, now: Ts) {
        self.requests.clear();
        self.paced_until = Ts(i64::MIN);
        let candles: Vec<FeedKey> = self.keys().into_iter().filter(FeedKey::is_candles).collect();
        for key in self.keys() {
            let waits = key.channel == Channel::Trade
                && candles.iter().any(|candles| candles.symbol == key.symbol);
            let wait = if waits { self.timing.history_ns } else { 0 };
            self.set(key, State::Due(later(now, wait)));
        }
        self.feeds.values_mut().for_each(|feed| feed.done = false);
    }

    /// A feed has brought what it was for, or will not: it is ended and not asked for
    /// anew on this connection. Behind the last of the candles come the trades.
    pub(super) fn finish(&mut self, key: FeedKey, now: Ts) {
        let Some(feed) = self.feeds.get_mut(&key) else { return };
        feed.done = true;
        if !matches!(feed.state, State::Ended(_)) {
            self.set(key, State::Ending);
        }
        let awaited = |(key, feed): (&FeedKey, &Feed)| {
            let comes = matches!(feed.state, State::Due(_) | State::Asked(_) | State::Granted(_));
            key.is_candles() && comes
        };
        if self.feeds.iter().any(awaited) {
            return;
        }
        for key in self.keys().into_iter().filter(|key| key.channel == Channel::Trade) {
            let waits = |feed: &&Feed| feed.tries == 0 && matches!(feed.state, State::Due(_));
            if self.feeds.get(&key).filter(waits).is_some() {
                self.set(key, State::Due(now));
            }
        }
    }

    /// Nothing is subscribed any more.
    pub(super) fn disconnected(&mut self) {
        self.requests.clear();
        for key in self.keys() {
            self.set(key, State::Idle);
        }
    }

    /// True while data of this feed belongs to the present subscription.
    pub(super) fn accepts(&self, key: FeedKey) -> bool {
        matches!(self.state(key), Some(State::Asked(_) | State::Granted(_) | State::Live(_)))
    }

    /// True between a subscription and its first data.
    pub(super) fn awaits_data(&self, key: FeedKey) -> bool {
        matches!(self.state(key), Some(State::Asked(_) | State::Granted(_)))
    }

    /// Notes data of a feed.
    pub(super) fn data(&mut self, key: FeedKey, now: Ts) {
        let stable = self.timing.stable_ns;
        let Some(feed) = self.feeds.get_mut(&key) else { return };
        match feed.state {
            State::Live(_) => {
                if feed.tries > 0 && now.since(feed.live_since) >= stable {
                    feed.tries = 0;
                }
                feed.state = State::Live(now);
            }
            State::Asked(_) | State::Granted(_) => {
                feed.live_since = now;
                self.set(key, State::Live(now));
            }
            _ => {}
        }
    }

    /// There is no data that a feed could bring yet: it counts as live.
    pub(super) fn empty(&mut self, key: FeedKey, now: Ts) {
        if self.feeds.contains_key(&key) {
            self.set(key, State::Live(now));
        }
    }

    /// A feed's data cannot be used: it is ended and asked for anew, once.
    pub(super) fn renew(&mut self, key: FeedKey) {
        if self.accepts(key) {
            self.set(key, State::Ending);
        }
    }

    /// The feeds that an answer is about, still awaiting one. A refusal names
    /// no channel, so its request must be known by number.
    pub(super) fn answered(
        &mut self,
        subscribes: bool,
        req_id: Option<u64>,
        channel: Option<&str>,
        symbol: Option<SymbolId>,
    ) -> Vec<FeedKey> {
        let fits = |key: &FeedKey| {
            (symbol.is_none() || key.symbol == symbol)
                && channel.is_none_or(|name| key.channel.name() == name)
        };
        let Some(req_id) = req_id else {
            // Without a number the channel must be named.
            let awaiting = |feed: &Feed| match feed.state {
                State::Asked(_) => subscribes,
                State::Ended(_) => !subscribes,
                _ => false,
            };
            let feeds = self.feeds.iter().filter(|(key, feed)| fits(key) && awaiting(feed));
            return feeds.map(|(key, _)| *key).filter(|_| channel.is_some()).collect();
        };
        let Some(request) = self.requests.get_mut(&req_id) else { return Vec::new() };
        if request.subscribes != subscribes {
            return Vec::new();
        }
        let answered: Vec<FeedKey> = request.feeds.iter().copied().filter(fits).collect();
        request.feeds.retain(|key| !answered.contains(key));
        if request.feeds.is_empty() {
            self.requests.remove(&req_id);
        }
        answered
    }

    /// A request was granted.
    pub(super) fn granted(&mut self, key: FeedKey, now: Ts) {
        match self.state(key) {
            Some(State::Asked(_)) => {
                self.set(key, State::Granted(later(now, self.timing.snapshot_ns)));
            }
            Some(State::Ended(_)) => self.ended(key, now),
            _ => {}
        }
    }

    /// A request was refused; what that means for the feed.
    pub(super) fn refused(&mut self, key: FeedKey, error: &str, now: Ts) -> Option<Failure> {
        match self.state(key)? {
            // Whatever was wrong with ending it, it is not subscribed.
            State::Ended(_) => {
                self.ended(key, now);
                None
            }
            State::Asked(_) if error.starts_with("Currency pair not supported") => {
                self.set(key, State::Refused);
                Some(Failure::Refused)
            }
            State::Asked(_) if error.starts_with("Already subscribed") => {
                // An older subscription is in the way, and sends no snapshot.
                self.set(key, State::Ending);
                Some(Failure::Postponed)
            }
            State::Asked(_) => {
                if error.contains("rate") {
                    // One burst is refused symbol by symbol, and is one cause to pause.
                    self.paced_until = self.paced_until.max(later(now, self.timing.backoff_ns));
                }
                // At least one back-off: what was refused now is refused again.
                self.note_failure(key);
                self.again(key, now);
                Some(Failure::Postponed)
            }
            _ => None,
        }
    }

    /// Moves feeds whose time has come; what that means for each.
    pub(super) fn expire(&mut self, now: Ts) -> Vec<(FeedKey, Failure)> {
        let due: Vec<FeedKey> = self
            .feeds
            .iter()
            .filter(|(key, feed)| self.deadline(**key, feed).is_some_and(|at| at <= now))
            .map(|(key, _)| *key)
            .collect();
        due.into_iter().filter_map(|key| Some((key, self.expired(key, now)?))).collect()
    }

    fn expired(&mut self, key: FeedKey, now: Ts) -> Option<Failure> {
        match self.state(key)? {
            State::Asked(_) => {
                self.note_failure(key);
                self.again(key, now);
                Some(Failure::AckOverdue)
            }
            State::Granted(_) => {
                self.note_failure(key);
                self.set(key, State::Ending);
                Some(Failure::SnapshotOverdue)
            }
            State::Live(_) => {
                // No failure: a quiet pair would be stale for as long as it is live.
                if let Some(feed) = self.feeds.get_mut(&key) {
                    feed.tries = 0;
                }
                self.set(key, State::Ending);
                Some(Failure::Silent)
            }
            State::Ended(_) => {
                self.ended(key, now);
                None
            }
            _ => None,
        }
    }

    /// The next frame that the pace allows.
    pub(super) fn poll(&mut self, now: Ts) -> Option<Outgoing> {
        if self.waiting == 0 || self.open_at() > now {
            return None;
        }
        let ready = |state: State| match state {
            State::Ending => Some(false),
            State::Due(at) if at <= now => Some(true),
            _ => None,
        };
        let found = |(key, feed): (&FeedKey, &Feed)| Some((*key, ready(feed.state)?));
        let (first, subscribes) = self.feeds.iter().find_map(found)?;
        let feeds: Vec<FeedKey> = self
            .feeds
            .iter()
            .filter(|(key, feed)| {
                key.channel == first.channel && ready(feed.state) == Some(subscribes)
            })
            .map(|(key, _)| *key)
            .take(BATCH_MAX)
            .collect();
        let deadline = later(now, self.timing.ack_ns);
        for &key in &feeds {
            self.set(key, if subscribes { State::Asked(deadline) } else { State::Ended(deadline) });
        }
        self.spend(now);
        let req_id = self.next_id();
        let symbols = feeds.iter().filter_map(|key| key.symbol).collect();
        self.requests.insert(req_id, Request { subscribes, feeds });
        if self.requests.len() > REQUESTS_MAX {
            self.requests.pop_first();
        }
        Some(Outgoing { subscribes, channel: first.channel, symbols, req_id })
    }

    /// The next time at which [`expire`](Self::expire) or [`poll`](Self::poll)
    /// has something to do.
    pub(super) fn next_deadline(&self) -> Option<Ts> {
        let open_at = self.open_at();
        let at = |(key, feed): (&FeedKey, &Feed)| match feed.state {
            State::Due(at) => Some(at.max(open_at)),
            State::Ending => Some(open_at),
            _ => self.deadline(*key, feed),
        };
        self.feeds.iter().filter_map(at).min()
    }

    /// A number for a request that no feed waits for, and its share of the pace;
    /// `None` when the pace does not allow it.
    pub(super) fn take_turn(&mut self, now: Ts) -> Option<u64> {
        if self.open_at() > now {
            return None;
        }
        self.spend(now);
        Some(self.next_id())
    }

    /// When the pace allows the next frame.
    pub(super) fn open_at(&self) -> Ts {
        let slack = self.timing.frame_ns.saturating_mul(i64::from(self.timing.burst) - 1);
        Ts(self.paced_until.0.saturating_sub(slack.max(0)))
    }

    fn spend(&mut self, now: Ts) {
        self.paced_until = later(self.paced_until.max(now), self.timing.frame_ns);
    }

    fn next_id(&mut self) -> u64 {
        let id = self.next_req_id;
        self.next_req_id = id.wrapping_add(1).max(1);
        id
    }

    fn deadline(&self, key: FeedKey, feed: &Feed) -> Option<Ts> {
        match feed.state {
            State::Asked(at) | State::Granted(at) | State::Ended(at) => Some(at),
            State::Live(last) => match key.channel {
                Channel::Book(_) => self.timing.book_silence_ns.map(|ns| later(last, ns)),
                Channel::Trade => self.timing.trade_silence_ns.map(|ns| later(last, ns)),
                Channel::Instrument | Channel::Ohlc(_) => None,
            },
            State::Idle | State::Due(_) | State::Ending | State::Refused | State::Done => None,
        }
    }

    /// It is subscribed no more: for good, or until it is asked for anew.
    fn ended(&mut self, key: FeedKey, now: Ts) {
        match self.feeds.get(&key).is_some_and(|feed| feed.done) {
            true => self.set(key, State::Done),
            false => self.again(key, now),
        }
    }

    /// To be subscribed after a back-off that doubles with each try; none
    /// before the first.
    fn again(&mut self, key: FeedKey, now: Ts) {
        let (base, max) = (self.timing.backoff_ns, self.timing.backoff_max_ns);
        let Some(feed) = self.feeds.get_mut(&key) else { return };
        let wait = match feed.tries.checked_sub(1) {
            None => 0,
            Some(doublings) => base.saturating_mul(1 << doublings.min(20)).min(max),
        };
        feed.tries = feed.tries.saturating_add(1);
        self.set(key, State::Due(later(now, wait)));
    }

    /// The next try waits at least the shortest back-off.
    fn note_failure(&mut self, key: FeedKey) {
        if let Some(feed) = self.feeds.get_mut(&key) {
            feed.tries = feed.tries.max(1);
        }
    }

    fn keys(&self) -> Vec<FeedKey> {
        self.feeds.keys().copied().collect()
    }

    fn state(&self, key: FeedKey) -> Option<State> {
        self.feeds.get(&key).map(|feed| feed.state)
    }

    fn set(&mut self, key: FeedKey, state: State) {
        let waits = |state| matches!(state, State::Due(_) | State::Ending);
        if let Some(feed) = self.feeds.get_mut(&key) {
            self.waiting -= usize::from(waits(feed.state));
            self.waiting += usize::from(waits(state));
            feed.state = state;
        }
    }
}

fn later(time: Ts, nanoseconds: i64) -> Ts {
    Ts(time.0.saturating_add(nanoseconds))
}
