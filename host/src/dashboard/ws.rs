//! The WebSocket: for each topic a snapshot, then what changes.
//!
//! A client has no queue here. Its task keeps, for each topic, where it stands,
//! and looks at the newest state when the socket takes more: what is conflated is
//! then as new as can be, and what is lossless comes from the rings, or is
//! announced as missed. So a slow client costs its socket's buffer and nothing
//! else, and one that does not read at all is dropped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::App;
use super::answers::error;
use super::auth::Principal;
use super::hub::{self, json as text_of};
use super::ring::Ring;

/// The largest message of a client.
const MESSAGE_MAX: usize = 16 * 1024;
/// What waits for a socket at most before it is dropped.
const BUFFER_MAX: usize = 8 << 20;
/// Topics of one client.
const TOPICS_MAX: usize = 64;
/// Items of a lossless topic in one message.
const ITEMS_MAX: usize = 500;
/// How long a socket may take no byte.
const STALL: Duration = Duration::from_secs(5);
/// How long it may take to say goodbye.
const FAREWELL: Duration = Duration::from_millis(1_000);
/// How often a client is asked whether it is there.
const PING: Duration = Duration::from_secs(15);
/// Messages that a client may send at once, and a second.
const INBOUND: u32 = 20;

/// Decrements the number of open sockets however the task ends.
struct Open(Arc<App>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counts.sockets.fetch_sub(1, Ordering::SeqCst);
    }
}

fn open(app: &Arc<App>) -> Option<Open> {
    let before = app.counts.sockets.fetch_add(1, Ordering::SeqCst);
    let open = Open(Arc::clone(app));
    (before < app.settings.websockets).then_some(open)
}

/// `GET /api/v1/ws`.
pub async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Principal>,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    accept(app, who, socket, &[])
}

/// `GET /ws/live`: the same, with the topics that the earlier system sent.
pub async fn upgrade_earlier(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Principal>,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    accept(app, who, socket, &["run", "strategies", "market", "events"])
}

fn accept(
    app: Arc<App>,
    who: Principal,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    topics: &'static [&'static str],
) -> Response {
    let socket = match socket {
        Ok(socket) => socket,
        Err(refused) => return error(refused.status(), "upgrade", &refused.body_text()),
    };
    let Some(open) = open(&app) else {
        let text = "there are too many WebSockets";
        return error(StatusCode::SERVICE_UNAVAILABLE, "too-many", text);
    };
    socket
        .protocols(["sandpaper.v1"])
        .max_message_size(MESSAGE_MAX)
        .max_frame_size(MESSAGE_MAX)
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(BUFFER_MAX)
        .on_upgrade(move |socket| async move {
            let _open = open;
            let client = Client::new(app, who);
            client.serve(socket, topics).await;
        })
}

#[derive(Deserialize)]
#[serde(tag = "t", rename_all = "lowercase")]
enum Request {
    Sub {
        topics: Vec<String>,
        #[serde(default)]
        since: BTreeMap<String, u64>,
    },
    Unsub {
        topics: Vec<String>,
    },
    Ping,
}

/// What a topic is of.
#[derive(Clone, Debug)]
enum Kind {
    Run,
    Strategies,
    Market,
    Feed,
    Events,
    Fills(String),
    Equity(String),
    Candles(usize, u32),
    Book(usize),
}

impl Kind {
    fn of(topic: &str, state: &hub::State) -> Option<Self> {
        let lane = |name: &str| state.lane(name).map(|lane| lane.row.name.clone());
        match topic.split_once(':') {
            None => match topic {
                "run" => Some(Self::Run),
                "strategies" => Some(Self::Strategies),
                "market" => Some(Self::Market),
                "feed" => Some(Self::Feed),
                "events" => Some(Self::Events),
                _ => None,
            },
            Some(("fills", name)) => lane(name).map(Self::Fills),
            Some(("equity", name)) => state.curve(name).map(|_| Self::Equity(name.to_owned())),
            Some(("book", symbol)) => state.symbol(symbol).map(Self::Book),
            Some(("candles", rest)) => {
                let (symbol, interval) = rest.rsplit_once(':')?;
                Some(Self::Candles(state.symbol(symbol)?, interval.parse().ok()?))
            }
            _ => None,
        }
    }

    /// The least time between two messages of it.
    fn pace(&self) -> Duration {
        Duration::from_millis(match self {
            Self::Events | Self::Fills(_) => 50,
            Self::Market | Self::Book(_) => 250,
            Self::Feed => 1_000,
            _ => 500,
        })
    }
}

/// Where a client stands with a topic.
struct Topic {
    kind: Kind,
    seq: u64,
    /// the state that was sent last
    sent: u64,
    /// from when on the next may be sent
    due: Instant,
    snap: bool,
    /// number of the last item of a lossless topic
    cursor: u64,
    /// time of the last point of an equity curve
    point: f64,
}

struct Client {
    app: Arc<App>,
    who: Principal,
    topics: BTreeMap<String, Topic>,
    tokens: u32,
}

/// Why a client's task ends.
enum End {
    Gone,
    Stalled,
    Shutdown,
    Revoked,
    Wrong(u16, &'static str),
}

/// How a client broke the protocol.
fn broken(error: axum::Error) -> End {
    use tokio_tungstenite::tungstenite::Error;
    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Capacity(_)) => End::Wrong(1009, "too large"),
        Some(Error::Utf8(_)) => End::Wrong(1007, "not UTF-8"),
        Some(Error::Protocol(_)) => End::Wrong(1002, "not the protocol"),
        _ => End::Gone,
    }
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match tokio::time::timeout(STALL, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::Stalled),
    }
}

async fn send_text(socket: &mut WebSocket, text: String) -> Result<(), End> {
    send(socket, Message::Text(Utf8Bytes::from(text))).await
}

impl Client {
    fn new(app: Arc<App>, who: Principal) -> Self {
        Self { app, who, topics: BTreeMap::new(), tokens: INBOUND }
    }

    async fn serve(mut self, mut socket: WebSocket, topics: &[&str]) {
        let mut ending = self.app.ending.subscribe();
        // Whatever the client's task waits for, the end of the program comes first.
        let end = tokio::select! {
            biased;
            _ = ending.wait_for(|ending| *ending) => End::Shutdown,
            end = self.talk(&mut socket, topics) => end,
        };
        let (code, reason) = match end {
            End::Gone => return,
            End::Stalled => {
                self.app.counts.stalled.fetch_add(1, Ordering::Relaxed);
                return;
            }
            End::Shutdown => (1001, "the host was stopped"),
            End::Revoked => (1008, "the session is over"),
            End::Wrong(code, reason) => (code, reason),
        };
        let farewell = async {
            if code == 1001 {
                let text = json!({ "t": "shutdown", "reason": reason }).to_string();
                let _ = socket.send(Message::Text(text.into())).await;
            }
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
            let _ = socket.send(Message::Close(Some(frame))).await;
        };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }

    async fn talk(&mut self, socket: &mut WebSocket, topics: &[&str]) -> End {
        match self.converse(socket, topics).await {
            Ok(()) => End::Gone,
            Err(end) => end,
        }
    }

    #[allow(clippy::disallowed_methods, reason = "sessions and clients age by the wall")]
    async fn converse(&mut self, socket: &mut WebSocket, topics: &[&str]) -> Result<(), End> {
        let mut states = self.app.hub.follow();
        let mut revoked = self.app.auth.revocations();
        let mut ping = tokio::time::interval(PING);
        let mut refill = tokio::time::interval(Duration::from_secs(1));
        let (mut heard, mut first) = (Instant::now(), true);
        let state = self.app.hub.state();
        let hello = json!({
            "t": "hello",
            "proto": 1,
            "run": state.run.run,
            "server_time": jiff::Timestamp::now().to_string(),
            "seq": state.run.seq,
        });
        send_text(socket, hello.to_string()).await?;
        for topic in topics {
            self.subscribe(socket, topic, None).await?;
        }
        let mut next = self.push(socket).await?;
        loop {
            // Without a time there is nothing to wait for, and this never comes.
            let due = async move {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = socket.recv() => {
                    let message = match message {
                        Some(Ok(message)) => message,
                        Some(Err(error)) => return Err(broken(error)),
                        None => return Ok(()),
                    };
                    heard = Instant::now();
                    if self.receive(socket, message).await? {
                        next = self.push(socket).await?;
                    }
                }
                () = due => next = self.push(socket).await?,
                changed = states.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    states.borrow_and_update();
                    next = self.push(socket).await?;
                }
                _ = revoked.changed() => {
                    if !self.app.auth.holds(&self.who, std::time::Instant::now()) {
                        return Err(End::Revoked);
                    }
                }
                _ = refill.tick() => self.tokens = INBOUND,
                _ = ping.tick() => {
                    if !self.app.auth.holds(&self.who, std::time::Instant::now()) {
                        return Err(End::Revoked);
                    }
                    if !std::mem::take(&mut first) {
                        if heard.elapsed() > 2 * PING + STALL {
                            return Err(End::Stalled);
                        }
                        send(socket, Message::Ping(Vec::new().into())).await?;
                    }
                }
            }
        }
    }

    /// Does what a message asks for. True when that may be a topic's first one.
    async fn receive(&mut self, socket: &mut WebSocket, message: Message) -> Result<bool, End> {
        self.tokens = self.tokens.checked_sub(1).ok_or(End::Wrong(1008, "too many messages"))?;
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(End::Wrong(1003, "text only")),
            Message::Close(_) => return Err(End::Gone),
            Message::Ping(_) | Message::Pong(_) => return Ok(false),
        };
        match serde_json::from_str(&text) {
            Ok(Request::Ping) => send_text(socket, r#"{"t":"pong"}"#.to_owned()).await?,
            Ok(Request::Sub { topics, since }) => {
                for topic in &topics {
                    self.subscribe(socket, topic, since.get(topic).copied()).await?;
                }
                return Ok(true);
            }
            Ok(Request::Unsub { topics }) => {
                for topic in &topics {
                    self.topics.remove(topic);
                }
            }
            Err(_) => {
                send_text(socket, r#"{"t":"error","message":"not understood"}"#.to_owned()).await?;
            }
        }
        Ok(false)
    }

    async fn subscribe(
        &mut self,
        socket: &mut WebSocket,
        topic: &str,
        since: Option<u64>,
    ) -> Result<(), End> {
        let kind = Kind::of(topic, &self.app.hub.state());
        let room = self.topics.len() < TOPICS_MAX || self.topics.contains_key(topic);
        let Some(kind) = kind.filter(|_| room) else {
            let shown: String = topic.chars().take(80).collect();
            let message = if room { format!("no topic {shown}") } else { "too many topics".into() };
            return send_text(socket, json!({ "t": "error", "message": message }).to_string())
                .await;
        };
        let topic_state = Topic {
            kind,
            seq: 0,
            sent: 0,
            due: Instant::now(),
            snap: since.is_none(),
            cursor: since.unwrap_or(0),
            point: f64::NEG_INFINITY,
        };
        self.topics.insert(topic.to_owned(), topic_state);
        Ok(())
    }

    /// Sends of every topic what is due. Gives the time from when on more is.
    async fn push(&mut self, socket: &mut WebSocket) -> Result<Option<Instant>, End> {
        let state = self.app.hub.state();
        let ended = state.run.state != "running";
        let mut next: Option<Instant> = None;
        for (name, topic) in &mut self.topics {
            if topic.seq > 0 && state.run.seq == topic.sent {
                continue;
            }
            if topic.seq > 0 && !ended && topic.due > Instant::now() {
                next = Some(next.map_or(topic.due, |next| next.min(topic.due)));
                continue;
            }
            topic.sent = state.run.seq;
            topic.due = Instant::now() + topic.kind.pace();
            for message in messages(name, topic, &state, &self.app.hub) {
                send_text(socket, message).await?;
            }
        }
        Ok(next)
    }
}

/// What is to be sent of a topic now.
fn messages(name: &str, topic: &mut Topic, state: &hub::State, hub: &hub::Hub) -> Vec<String> {
    let data: Option<Arc<str>> = match &topic.kind {
        Kind::Run => Some(state.run_json()),
        Kind::Strategies => Some(state.strategies_json()),
        Kind::Market => Some(state.market_json()),
        Kind::Feed => Some(state.feed_json()),
        Kind::Book(symbol) => state.books.get(*symbol).map(|book| text_of(book).into()),
        Kind::Candles(symbol, interval) => {
            let of = |c: &&hub::Candles| c.symbol == *symbol && c.interval_s == *interval;
            let n = if topic.seq == 0 { 500 } else { 2 };
            state
                .candles
                .iter()
                .find(of)
                .map(|candles| json!({ "candles": candles.newest(n) }).to_string().into())
        }
        Kind::Equity(lane) => {
            let curve = state.curve(lane).map_or(&[][..], |curve| curve);
            // The last one that was sent may have changed: it comes again.
            let points = &curve[curve.partition_point(|point| point[0] < topic.point)..];
            topic.point = points.last().map_or(topic.point, |point| point[0]);
            (topic.seq == 0 || !points.is_empty())
                .then(|| json!({ "points": points }).to_string().into())
        }
        Kind::Events => return lossless(name, topic, |hub| Some(&hub.events), hub),
        Kind::Fills(lane) => {
            let lane = lane.clone();
            return lossless(name, topic, |hub| hub.lane(&lane).map(|lane| &lane.fills), hub);
        }
    };
    let Some(data) = data else { return Vec::new() };
    topic.seq += 1;
    let kind = if topic.seq == 1 { "snap" } else { "upd" };
    vec![frame(kind, name, topic.seq, &data)]
}

fn frame(kind: &str, name: &str, seq: u64, data: &str) -> String {
    format!(r#"{{"t":"{kind}","topic":{},"seq":{seq},"data":{data}}}"#, text_of(&name))
}

/// Everything new of a ring; what was missed is announced and begun anew.
fn lossless<T: serde::Serialize>(
    name: &str,
    topic: &mut Topic,
    ring: impl for<'a> Fn(&'a hub::History) -> Option<&'a Ring<T>>,
    hub: &hub::Hub,
) -> Vec<String> {
    let mut messages = Vec::new();
    loop {
        let (items, last) = {
            let history = hub.history();
            let Some(ring) = ring(&history) else { return messages };
            if topic.snap {
                ring.newest(ITEMS_MAX)
            } else if let Some(found) = ring.after(topic.cursor, ITEMS_MAX) {
                found
            } else {
                messages.push(json!({ "t": "resync", "topic": name }).to_string());
                topic.seq = 0;
                ring.newest(ITEMS_MAX)
            }
        };
        topic.cursor = last;
        topic.snap = false;
        if items.is_empty() && topic.seq > 0 {
            return messages;
        }
        topic.seq += 1;
        let kind = if topic.seq == 1 { "snap" } else { "upd" };
        let full = items.len() == ITEMS_MAX && topic.seq > 1;
        let texts: Vec<&str> = items.iter().map(|item| item.json()).collect();
        messages.push(frame(kind, name, topic.seq, &format!("[{}]", texts.join(","))));
        // A client that is far behind gets it in pieces that its socket takes.
        if !full || messages.len() >= 8 {
            return messages;
        }
    }
}
