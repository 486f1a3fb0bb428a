//! One websocket under a protocol: connect, read, write, reconnect.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde::Serialize;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::{Attempts, Backoff, Clock, Connect};
use crate::domain::Ts;
use crate::input::InputBlock;
use crate::venue::{Protocol, Request};

/// Limits of a connection, times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// from the first packet to an open websocket. Shorter than the space between
    /// attempts: one that began while the link was down must not keep the next
    /// one waiting.
    pub connect_ns: i64,
    /// attempts of an outage before they are spaced by the minute's rate
    pub quick: u32,
    /// most that the second attempt waits; doubles with each further one
    pub backoff_ns: i64,
    /// most that a quick attempt waits
    pub backoff_max_ns: i64,
    /// attempts a minute after the quick ones
    pub per_minute: u32,
    /// attempts in the rolling window
    pub window: u32,
    /// its length: the venue bans an address for as long
    pub window_ns: i64,
    /// how long a connection must live for an outage to be over
    pub stable_ns: i64,
    /// wait after the venue has refused the handshake for too many attempts
    pub refused_ns: i64,
    /// bytes of a message and of a frame. The largest that is known is the list
    /// of all pairs, about 1 MiB.
    pub message_max: usize,
    /// bytes that wait to be sent
    pub write_max: usize,
    /// frames that one call takes at most
    pub frames_per_call: usize,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            connect_ns: 4 * Ts::SECOND,
            quick: 5,
            backoff_ns: Ts::SECOND / 2,
            backoff_max_ns: 4 * Ts::SECOND,
            per_minute: 14,
            window: 150,
            window_ns: 600 * Ts::SECOND,
            stable_ns: 30 * Ts::SECOND,
            refused_ns: 60 * Ts::SECOND,
            message_max: 4 << 20,
            write_max: 256 << 10,
            frames_per_call: 256,
        }
    }
}

impl LinkSettings {
    /// From one attempt to the next behind the quick ones, without jitter.
    pub(super) fn spacing_ns(&self) -> i64 {
        60 * Ts::SECOND / i64::from(self.per_minute.max(1))
    }
}

/// Frames that wait for the socket at most; a peer that takes none is gone.
const OUTBOX_MAX: usize = 256;

/// How often a connection that stands asks whether the machine slept.
const CLOCK_MINDED: Duration = Duration::from_secs(1);

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// the next attempt waits for its time
    #[default]
    Waiting,
    /// an attempt is under way
    Connecting,
    /// it stands
    Connected,
}

/// What a driver has seen of its connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkStats {
    /// where it stands
    pub state: LinkState,
    /// since when
    pub since: Ts,
    /// attempts to connect
    pub attempts: u64,
    /// attempts that led to an open websocket
    pub connects: u64,
    /// connections that ended
    pub losses: u64,
    /// connections that were closed because the engine was too slow
    pub overflows: u64,
    /// why the last attempt or connection ended
    pub last_loss: Option<String>,
    /// text frames read
    pub frames: u64,
    /// text frames that the protocol refused, wholly or in part
    pub refused: u64,
    /// why the last of them was refused
    pub last_refusal: Option<String>,
}

type Socket<S> = WebSocketStream<S>;

enum Link<S> {
    /// until the time of the next attempt
    Waiting(Ts),
    /// until the time at which it is given up
    Connecting(BoxFuture<'static, Result<Socket<S>, WsError>>, Ts),
    Connected(Box<Socket<S>>),
    /// closed by the owner, who says when to go on
    Held,
}

/// A protocol on a connection that is made again whenever it is lost.
pub struct Driver<C: Connect, P> {
    connector: C,
    protocol: P,
    settings: LinkSettings,
    clock: Clock,
    backoff: Backoff,
    link: Link<C::Stream>,
    outbox: VecDeque<Message>,
    timer: Pin<Box<Sleep>>,
    stats: LinkStats,
    began: bool,
    /// when it was last asked whether the machine slept
    clock_minded: Instant,
}

impl<C: Connect, P: Protocol> Driver<C, P> {
    /// A driver that has not connected yet. Needs a runtime with time.
    #[must_use]
    pub fn new(connector: C, protocol: P, settings: LinkSettings, clock: Clock, seed: u64) -> Self {
        let now = clock.now();
        Self {
            backoff: Backoff::new(&settings, Attempts::default(), seed),
            link: Link::Waiting(now),
            outbox: VecDeque::new(),
            timer: Box::pin(sleep_until(Instant::now())),
            stats: LinkStats { since: now, ..LinkStats::default() },
            began: false,
            clock_minded: Instant::now(),
            connector,
            protocol,
            settings,
            clock,
        }
    }

    /// Counts its attempts among those of other connections to the same venue.
    #[must_use]
    pub fn sharing(mut self, attempts: &Attempts, seed: u64) -> Self {
        self.backoff = Backoff::new(&self.settings, attempts.clone(), seed);
        self
    }

    /// Waits until something happened and appends what it means to `block`. It
    /// may return without events. Everything is kept in the driver, so that
    /// dropping the future loses nothing.
    pub async fn next(&mut self, block: &mut InputBlock) {
        std::future::poll_fn(|context| self.poll_next(context, block)).await;
    }

    /// The protocol.
    pub fn protocol(&self) -> &P {
        &self.protocol
    }

    /// The protocol, to take its notices.
    pub fn protocol_mut(&mut self) -> &mut P {
        &mut self.protocol
    }

    /// Ends the connection and gives back the protocol.
    pub fn into_protocol(self) -> P {
        self.protocol
    }

    /// What it has seen of its connections.
    pub fn link(&self) -> &LinkStats {
        &self.stats
    }

    /// The clock of what is received.
    pub fn now(&self) -> Ts {
        self.clock.now()
    }

    /// Closes the connection because the engine cannot follow: it is not made
    /// anew before [`resume`](Self::resume).
    pub fn hold(&mut self, block: &mut InputBlock) {
        if matches!(self.link, Link::Held) {
            return;
        }
        self.stats.overflows += 1;
        self.lose("the engine is too slow", block);
        self.link = Link::Held;
    }

    /// Ends the connection for this cause; a new one is made as after any loss.
    pub fn abandon(&mut self, cause: &str, block: &mut InputBlock) {
        self.lose(cause, block);
    }

    /// Ends a hold.
    pub fn resume(&mut self) {
        if matches!(self.link, Link::Held) {
            let at = self.backoff.next(self.clock.now());
            self.link = Link::Waiting(at);
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>, block: &mut InputBlock) -> Poll<()> {
        if !self.began {
            self.began = true;
            // Nothing is current before the first snapshot.
            self.protocol.handle_disconnected(self.clock.now(), block);
        }
        loop {
            match &mut self.link {
                Link::Held => {
                    return if block.is_empty() { Poll::Pending } else { Poll::Ready(()) };
                }
                Link::Waiting(at) => {
                    let at = *at;
                    if self.clock.now() >= at {
                        self.begin_connecting();
                    } else if !block.is_empty() {
                        return Poll::Ready(());
                    } else {
                        ready!(self.poll_timer(context, at));
                    }
                }
                Link::Connecting(future, until) => {
                    let until = *until;
                    match future.poll_unpin(context) {
                        Poll::Ready(Ok(socket)) => self.connected(socket, block),
                        Poll::Ready(Err(error)) => self.failed(&error, block),
                        Poll::Pending if self.clock.now() >= until => {
                            self.lose("no connection in time", block);
                        }
                        Poll::Pending if !block.is_empty() => return Poll::Ready(()),
                        Poll::Pending => {
                            ready!(self.poll_timer(context, until));
                            continue;
                        }
                    }
                    return Poll::Ready(());
                }
                Link::Connected(_) => return self.poll_connected(context, block),
            }
        }
    }

    /// Reads until nothing is there, a connection is lost, or it is time to let
    /// others work.
    fn poll_connected(&mut self, context: &mut Context<'_>, block: &mut InputBlock) -> Poll<()> {
        if self.clock_minded.elapsed() >= CLOCK_MINDED {
            self.mind_sleep();
        }
        let mut frames = 0;
        loop {
            let now = self.clock.now();
            if self.protocol.next_deadline().is_some_and(|at| at <= now) {
                self.protocol.handle_deadline(now, block);
            }
            if self.drain_protocol(block) {
                return Poll::Ready(());
            }
            if let Err(cause) = self.poll_write(context) {
                self.lose(&cause, block);
                return Poll::Ready(());
            }
            if frames >= self.settings.frames_per_call {
                return Poll::Ready(());
            }
            let Link::Connected(socket) = &mut self.link else { return Poll::Ready(()) };
            match socket.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(message))) => {
                    frames += 1;
                    if let Err(cause) = self.take(&message, block) {
                        self.lose(&cause, block);
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.lose(&told(&error), block);
                    return Poll::Ready(());
                }
                Poll::Ready(None) => {
                    self.lose("closed by the venue", block);
                    return Poll::Ready(());
                }
                Poll::Pending if frames > 0 || !block.is_empty() => return Poll::Ready(()),
                Poll::Pending => match self.protocol.next_deadline() {
                    Some(at) => ready!(self.poll_timer(context, at)),
                    None => return Poll::Pending,
                },
            }
        }
    }

    /// A message that came whole. Only text moves the protocol's clocks.
    fn take(&mut self, message: &Message, block: &mut InputBlock) -> Result<(), String> {
        match message {
            Message::Text(text) => {
                self.stats.frames += 1;
                let now = self.clock.now();
                if let Err(error) = self.protocol.handle_text(text.as_str(), now, block) {
                    self.stats.refused += 1;
                    self.stats.last_refusal = Some(short(&error.to_string()));
                }
                Ok(())
            }
            Message::Binary(_) => Err("a binary message".into()),
            Message::Close(frame) => Err(match frame {
                Some(frame) => {
                    let reason = short(frame.reason.as_str());
                    format!("closed by the venue: {} {reason}", u16::from(frame.code)).trim().into()
                }
                None => "closed by the venue".into(),
            }),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    /// Takes what the protocol wants to send or asks for; true when that ended
    /// the connection.
    fn drain_protocol(&mut self, block: &mut InputBlock) -> bool {
        while let Some(frame) = self.protocol.poll_frame() {
            if self.outbox.len() >= OUTBOX_MAX {
                self.lose("the venue takes no frames", block);
                return true;
            }
            self.outbox.push_back(Message::text(frame));
        }
        while let Some(request) = self.protocol.poll_request() {
            match request {
                Request::Reconnect => {
                    self.lose("nothing comes", block);
                    return true;
                }
                // Venues whose books begin outside of the socket are imported,
                // not run.
                Request::Snapshot(_) => {}
            }
        }
        false
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Result<(), String> {
        let Link::Connected(socket) = &mut self.link else { return Ok(()) };
        let broken = |error: WsError| told(&error);
        while !self.outbox.is_empty() {
            match socket.poll_ready_unpin(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Err(broken(error)),
                Poll::Pending => return Ok(()),
            }
            if let Some(message) = self.outbox.pop_front() {
                socket.start_send_unpin(message).map_err(broken)?;
            }
        }
        match socket.poll_flush_unpin(context) {
            Poll::Ready(Err(error)) => Err(broken(error)),
            _ => Ok(()),
        }
    }

    /// Ready once the clock shows `at`.
    fn poll_timer(&mut self, context: &mut Context<'_>, at: Ts) -> Poll<()> {
        let instant = self.clock.instant(at);
        if self.timer.deadline() != instant {
            self.timer.as_mut().reset(instant);
        }
        self.timer.as_mut().poll(context)
    }

    /// Makes up for time that the machine slept through. A connection that stood before
    /// that is given up by its protocol if nothing has come in all that time.
    fn mind_sleep(&mut self) {
        self.clock_minded = Instant::now();
        if let Some(slept) = self.clock.catch_up() {
            tracing::warn!(
                "the machine slept: the market's clock goes on {} s later",
                slept / Ts::SECOND
            );
        }
    }

    fn begin_connecting(&mut self) {
        self.mind_sleep();
        let now = self.clock.now();
        self.backoff.attempted(now);
        self.stats.attempts += 1;
        self.enter(LinkState::Connecting, now);
        let url = self.connector.url().to_owned();
        let transport = self.connector.connect();
        let config = websocket_config(&self.settings);
        let handshake = async move {
            let stream = transport.await?;
            let opened = tokio_tungstenite::client_async_with_config(url, stream, Some(config));
            opened.await.map(|(socket, _)| socket)
        };
        let until = Ts(now.0.saturating_add(self.settings.connect_ns));
        self.link = Link::Connecting(Box::pin(handshake), until);
    }

    fn connected(&mut self, socket: Socket<C::Stream>, block: &mut InputBlock) {
        let now = self.clock.now();
        self.stats.connects += 1;
        self.enter(LinkState::Connected, now);
        self.link = Link::Connected(Box::new(socket));
        self.protocol.handle_connected(now, block);
    }

    fn failed(&mut self, error: &WsError, block: &mut InputBlock) {
        let refused = matches!(error, WsError::Http(answer)
            if matches!(answer.status().as_u16(), 403 | 429));
        self.lose(&told(error), block);
        if let Link::Waiting(at) = &mut self.link
            && refused
        {
            let later = self.clock.now().0.saturating_add(self.settings.refused_ns);
            *at = (*at).max(Ts(later));
        }
    }

    /// Whatever there was of a connection is gone: the protocol says so in the
    /// block, before anything else can come.
    fn lose(&mut self, cause: &str, block: &mut InputBlock) {
        let now = self.clock.now();
        if matches!(self.link, Link::Connected(_)) {
            self.stats.losses += 1;
            self.backoff.lived(now.since(self.stats.since), now);
        }
        self.stats.last_loss = Some(cause.to_owned());
        self.outbox.clear();
        self.protocol.handle_disconnected(now, block);
        // What it asked for concerned the old connection.
        while self.protocol.poll_request().is_some() {}
        self.link = Link::Waiting(self.backoff.next(now));
        self.enter(LinkState::Waiting, now);
    }

    fn enter(&mut self, state: LinkState, now: Ts) {
        (self.stats.state, self.stats.since) = (state, now);
    }
}

fn websocket_config(settings: &LinkSettings) -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(settings.message_max))
        .max_frame_size(Some(settings.message_max))
        .write_buffer_size(0)
        .max_write_buffer_size(settings.write_max.max(1))
}

/// Why a connection failed, in words.
fn told(error: &WsError) -> String {
    short(&match error {
        WsError::Io(error) => error.to_string(),
        WsError::Protocol(error) => error.to_string(),
        WsError::Http(answer) => format!("the venue answers {}", answer.status()),
        other => other.to_string(),
    })
}

/// Text from outside, cut to what a log line can hold, without characters that
/// a terminal obeys.
fn short(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}
