//! The driver on the paused clock, against a peer in the same process.

mod sleep;

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::domain::{Instrument, InstrumentTable, Price, Qty, Side, SymbolId, Ts};
use crate::input::{EventRef, InputBlock, Trade, TradingStatus};
use crate::venue::kraken::{Session, Timing, Wanted};
use crate::venue::{FrameError, Live, News, NewsLevel, Protocol, Request, Tally};

/// Hands the far end of each connection to the test, or refuses.
struct Peer {
    made: mpsc::UnboundedSender<(Instant, DuplexStream)>,
    refuses: bool,
}

impl Connect for Peer {
    type Stream = DuplexStream;

    fn url(&self) -> &str {
        "ws://exchange.test/v2"
    }

    fn connect(&mut self) -> BoxFuture<'static, io::Result<DuplexStream>> {
        let (near, far) = tokio::io::duplex(1 << 16);
        let _ = self.made.send((Instant::now(), far));
        let refuses = self.refuses;
        Box::pin(async move {
            if refuses { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(near) }
        })
    }
}

type Made = mpsc::UnboundedReceiver<(Instant, DuplexStream)>;

fn table() -> InstrumentTable {
    InstrumentTable::new(vec![Instrument::plain("BTC/USD", 1, 8)])
}

fn session(timing: Timing) -> Session {
    let wanted = Wanted {
        symbol: SymbolId(0),
        levels: None,
        shown: None,
        trades: true,
        candle_minutes: None,
    };
    Session::new(table(), &[wanted], timing).unwrap()
}

fn driver_with(
    refuses: bool,
    settings: LinkSettings,
    timing: Timing,
) -> (Driver<Peer, Session>, Made) {
    let (made, receiver) = mpsc::unbounded_channel();
    let clock = Clock::start_at(Ts(1_790_000_000 * Ts::SECOND));
    let peer = Peer { made, refuses };
    (Driver::new(peer, session(timing), settings, clock, 7), receiver)
}

fn driver() -> (Driver<Peer, Session>, Made) {
    driver_with(false, LinkSettings::default(), Timing::default())
}

async fn accept(made: &mut Made) -> WebSocketStream<DuplexStream> {
    let (_, stream) = made.recv().await.unwrap();
    tokio_tungstenite::accept_async(stream).await.unwrap()
}

fn trades(kind: &str, ids: std::ops::RangeInclusive<u64>) -> Message {
    let row = |id| {
        format!(
            r#"{{"symbol":"BTC/USD","side":"sell","price":100.5,"qty":0.00100000,"ord_type":"market","trade_id":{id},"timestamp":"2026-08-24T22:21:57.110183Z"}}"#
        )
    };
    let rows: Vec<String> = ids.map(row).collect();
    Message::text(format!(r#"{{"channel":"trade","type":"{kind}","data":[{}]}}"#, rows.join(",")))
}

/// What a block holds, as short text.
fn shown(block: &InputBlock) -> Vec<String> {
    let show = |index| match block.get(index) {
        EventRef::Trade(trade) => format!("trade {}", trade.id),
        EventRef::Status { status, .. } => format!("{status:?}"),
        EventRef::Timer => "timer".into(),
        _ => "other".into(),
    };
    (0..block.len()).map(show).collect()
}

/// Drives for so long; what came, with the time of each event.
async fn drive(driver: &mut Driver<Peer, Session>, seconds: u64) -> Vec<(Ts, String)> {
    let mut came = Vec::new();
    let mut block = InputBlock::new(&table(), 1);
    let whole = async {
        loop {
            block.reset(1);
            driver.next(&mut block).await;
            came.extend((0..block.len()).map(|i| block.ts(i)).zip(shown(&block)));
        }
    };
    let _ = timeout(Duration::from_secs(seconds), whole).await;
    came
}

fn texts(came: &[(Ts, String)]) -> Vec<&str> {
    came.iter().map(|(_, text)| text.as_str()).collect()
}

/// A peer that says something once and then stays silent with its socket open.
async fn silent_after_snapshot(made: &mut Made) -> WebSocketStream<DuplexStream> {
    let mut socket = accept(made).await;
    socket.send(trades("snapshot", 1..=3)).await.unwrap();
    socket
}

#[tokio::test(start_paused = true)]
async fn high_005_a_half_open_connection_is_found_within_ten_seconds() {
    let found_after = async |timing: Timing| {
        let (mut driver, mut made) = driver_with(false, LinkSettings::default(), timing);
        let peer = tokio::spawn(async move {
            let socket = silent_after_snapshot(&mut made).await;
            (socket, made)
        });
        let came = drive(&mut driver, 30).await;
        drop(peer);
        let at = |text| came.iter().filter(|(_, t)| t == text).map(|(ts, _)| *ts).next_back();
        let last_stale = at("Stale").unwrap();
        last_stale.since(at("Trading").unwrap()) as f64 / 1e9
    };
    let after = found_after(Timing::default()).await;
    assert!((9.0..=10.1).contains(&after), "{after}");
    // Without the rule it stays unfound: the last word is that it trades.
    let without = Timing { idle_ns: 3_600 * Ts::SECOND, ..Timing::default() };
    assert!(found_after(without).await <= 0.0);
}

#[tokio::test(start_paused = true)]
async fn high_005_after_a_loss_prices_are_stale_at_once_and_trades_come_once() {
    let (mut driver, mut made) = driver();
    let peer = tokio::spawn(async move {
        let mut socket = silent_after_snapshot(&mut made).await;
        socket.send(trades("update", 4..=5)).await.unwrap();
        // Until the other side has nothing more to say, and so has read.
        while let Ok(Some(_)) = timeout(Duration::from_millis(100), socket.next()).await {}
        drop(socket);
        let mut socket = accept(&mut made).await;
        socket.send(trades("snapshot", 2..=7)).await.unwrap();
        socket.send(trades("update", 9..=9)).await.unwrap();
        (socket, made)
    });
    let came = drive(&mut driver, 5).await;
    let expected = [
        "Stale", "Trading", "trade 4", "trade 5", "Stale", "trade 6", "trade 7", "Trading",
        "trade 9",
    ];
    // Nothing is current before all that was missed has come.
    assert_eq!(texts(&came), expected);
    assert_eq!(driver.protocol().counts().trade_id_gaps, 1);
    assert_eq!(driver.protocol().counts().trades_repeated, 4);
    let _ = peer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn high_005_a_storm_keeps_to_the_venues_limits() {
    let attempts = async |refuses: bool, settings: LinkSettings| {
        let (mut driver, mut made) = driver_with(refuses, settings, Timing::default());
        // A venue that accepts and closes, or that refuses.
        let peer = tokio::spawn(async move {
            let mut times = Vec::new();
            while let Some((at, stream)) = made.recv().await {
                times.push(at);
                if !refuses {
                    let _ = tokio_tungstenite::accept_async(stream).await;
                }
            }
            times
        });
        drive(&mut driver, 3_600).await;
        drop(driver);
        peer.await.unwrap()
    };
    let most_within = |times: &[Instant], seconds: u64| {
        let window = Duration::from_secs(seconds);
        times
            .iter()
            .enumerate()
            .map(|(i, start)| times[i..].iter().take_while(|t| **t - *start < window).count())
            .max()
            .unwrap_or(0)
    };
    for refuses in [false, true] {
        let times = attempts(refuses, LinkSettings::default()).await;
        assert!(times.len() > 400, "it goes on: {}", times.len());
        assert!(most_within(&times[5..], 60) <= 14, "{refuses}");
        assert!(most_within(&times, 600) <= 150, "{refuses}");
        assert!(times[2] - times[0] < Duration::from_secs(5), "the first ones are quick");
        let longest = times.windows(2).map(|two| two[1] - two[0]).max();
        assert!(longest <= Some(Duration::from_millis(4_500)), "{longest:?}");
    }
    let loose = LinkSettings { per_minute: 60, ..LinkSettings::default() };
    let times = attempts(true, loose.clone()).await;
    assert!(most_within(&times[5..], 60) > 14, "the control");
    assert!(most_within(&times, 600) <= 150, "the window holds by itself");
    let looser = LinkSettings { window: 10_000, ..loose };
    assert!(most_within(&attempts(true, looser).await, 600) > 150, "the control");
}

#[tokio::test(start_paused = true)]
async fn high_007_frames_that_cannot_be_read_are_counted_and_change_nothing() {
    let (mut driver, mut made) = driver();
    let peer = tokio::spawn(async move {
        let mut socket = silent_after_snapshot(&mut made).await;
        let deep = "[".repeat(100_000);
        let long = format!(r#"{{"channel":"trade","data":[{{"price":{}}}]}}"#, "9".repeat(100_000));
        for text in ["{", "nonsense", deep.as_str(), long.as_str(), r#"{"channel":"trade"}"#] {
            socket.send(Message::text(text)).await.unwrap();
        }
        socket.send(trades("update", 4..=4)).await.unwrap();
        (socket, made)
    });
    let came = drive(&mut driver, 5).await;
    assert_eq!(texts(&came), ["Stale", "Trading", "trade 4"]);
    assert_eq!(driver.link().losses, 0);
    assert!(driver.link().refused >= 4, "{:?}", driver.link());
    assert!(driver.link().last_refusal.is_some());
    let _ = peer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn high_005_messages_beyond_the_limit_and_binary_ones_end_the_connection() {
    let loss = async |message: Message, settings: LinkSettings| {
        let (mut driver, mut made) = driver_with(false, settings, Timing::default());
        let peer = tokio::spawn(async move {
            let mut socket = silent_after_snapshot(&mut made).await;
            let _ = socket.send(message).await;
            (socket, made)
        });
        // Before the next attempt, which nobody answers, is given up.
        drive(&mut driver, 3).await;
        drop(peer);
        driver.link().last_loss.clone()
    };
    let small = || LinkSettings { message_max: 10_000, ..LinkSettings::default() };
    let text = || Message::text(" ".repeat(20_000));
    assert!(loss(text(), small()).await.unwrap().contains("too long"));
    assert_eq!(loss(text(), LinkSettings::default()).await, None);
    let binary = Message::binary(vec![1, 2, 3]);
    assert_eq!(loss(binary, small()).await.unwrap(), "a binary message");
}

#[tokio::test(start_paused = true)]
async fn high_005_a_slow_engine_loses_the_connection_and_no_trade() {
    let (driver, mut made) = driver();
    let health = Health::new("kraken", "ws://exchange.test/v2", &table());
    let (pump, health) = Pump::new(driver, table(), health);
    let (sender, mut engine) = mpsc::channel(1);
    let pumping = tokio::spawn(pump.bounded(20).run(sender));
    let peer = tokio::spawn(async move {
        let mut socket = silent_after_snapshot(&mut made).await;
        for id in 4..=60 {
            if socket.send(trades("update", id..=id)).await.is_err() {
                break;
            }
        }
        // Until the venue sees that it is closed.
        while let Some(Ok(_)) = socket.next().await {}
        let mut socket = accept(&mut made).await;
        socket.send(trades("snapshot", 11..=60)).await.unwrap();
        (socket, made)
    });
    // The engine takes nothing for a while.
    let mut held = health.clone();
    held.wait_for(|h| h.link.overflows == 1).await.unwrap();
    let mut seen = Vec::new();
    let whole = async {
        while let Some(block) = engine.recv().await {
            seen.extend(shown(&block));
        }
    };
    let _ = timeout(Duration::from_secs(5), whole).await;
    let ids: Vec<&str> = seen.iter().filter_map(|t| t.strip_prefix("trade ")).collect();
    let every: Vec<String> = (4..=60).map(|id: u64| id.to_string()).collect();
    assert_eq!(ids, every);
    let stale = seen.iter().filter(|t| *t == "Stale").count();
    assert_eq!(stale, 2, "{seen:?}");
    assert_eq!(health.borrow().symbols[0].status, TradingStatus::Trading);
    drop(engine);
    pumping.await.unwrap();
    let _ = peer.await.unwrap();
}

/// The same pump and health under another venue's session.
#[tokio::test(start_paused = true)]
async fn med_008_the_pump_takes_any_venues_session() {
    let (made, mut receiver) = mpsc::unbounded_channel();
    let table = InstrumentTable::new(vec![Instrument::plain("BTCUSDT", 2, 5)]);
    let session: Box<dyn Live> =
        Box::new(crate::venue::binance::Session::new(table.clone(), Some(10)));
    let clock = Clock::start_at(Ts(1_790_000_000 * Ts::SECOND));
    let peer = Peer { made, refuses: false };
    let driver = Driver::new(peer, session, LinkSettings::default(), clock, 7);
    let health = Health::new("binance", "ws://exchange.test/v2", &table);
    let (pump, mut health) = Pump::new(driver, table, health);
    let (sender, mut engine) = mpsc::channel(16);
    let pumping = tokio::spawn(pump.run(sender));
    let mut socket = accept(&mut receiver).await;
    let delta = |first: u64, last: u64| {
        format!(
            r#"{{"e":"depthUpdate","E":{last},"s":"BTCUSDT","U":{first},"u":{last},"b":[["99.50","1"]],"a":[]}}"#
        )
    };
    let trade = |id: u64| {
        format!(
            r#"{{"e":"trade","E":9,"s":"BTCUSDT","t":{id},"p":"100.50","q":"0.02","T":7,"m":true,"M":true}}"#
        )
    };
    let snapshot = r#"{"lastUpdateId":10,"bids":[["99.00","2"]],"asks":[["101.00","3"]]}"#;
    for text in [
        delta(10, 11),
        snapshot.to_owned(),
        trade(1),
        trade(4),
        "nonsense".to_owned(),
        delta(20, 21),
    ] {
        socket.send(Message::text(text)).await.unwrap();
    }
    let seen = health.wait_for(|h| h.symbols[0].checksum_failures == 1 && h.link.refused == 1);
    let seen = seen.await.unwrap().clone();
    assert_eq!((seen.venue, seen.symbols[0].gaps, seen.counts.trades_missed), ("binance", 1, 2));
    assert_eq!(seen.symbols[0].status, TradingStatus::Stale);
    let texts: Vec<&str> = seen.news.iter().map(|news| news.text.as_str()).collect();
    assert!(texts.iter().any(|t| t.contains("2 trades between ids 1 and 4")), "{texts:?}");
    let mut came = Vec::new();
    while !came.iter().any(|text| text == "Stale") {
        came.extend(shown(&engine.recv().await.unwrap()));
    }
    assert!(came.iter().any(|text| text == "trade 4"), "{came:?}");
    drop((engine, socket));
    pumping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn high_005_time_reaches_the_engine_through_a_dead_feed() {
    let (driver, made) = driver_with(true, LinkSettings::default(), Timing::default());
    let health = Health::new("kraken", "ws://exchange.test/v2", &table());
    let (pump, health) = Pump::new(driver, table(), health);
    let (sender, mut engine) = mpsc::channel(4);
    let pumping = tokio::spawn(pump.run(sender));
    let mut seen = Vec::new();
    let mut last = Ts(0);
    while seen.iter().filter(|t| *t == "timer").count() < 60 {
        let block = engine.recv().await.unwrap();
        for index in 0..block.len() {
            assert!(block.ts(index) >= last);
            last = block.ts(index);
        }
        seen.extend(shown(&block));
    }
    assert_eq!(seen[0], "Stale");
    assert!(seen[1..].iter().all(|t| t == "timer"), "{seen:?}");
    let report = health.borrow().clone();
    assert_eq!(report.outages.len(), 1);
    assert!(!report.is_current());
    drop((engine, made));
    pumping.await.unwrap();
}

/// A minute of log lines, not one for each attempt: an outage of a day would hide
/// everything else.
#[tokio::test(start_paused = true)]
async fn add_10_a_long_outage_is_told_of_once_a_minute() {
    let (driver, made) = driver_with(true, LinkSettings::default(), Timing::default());
    let health = Health::new("kraken", "ws://exchange.test/v2", &table());
    let (pump, health) = Pump::new(driver, table(), health);
    let (sender, mut engine) = mpsc::channel(4);
    let pumping = tokio::spawn(pump.run(sender));
    let whole = async { while engine.recv().await.is_some() {} };
    let _ = timeout(Duration::from_secs(3_600), whole).await;
    let report = health.borrow().clone();
    let told = report.news.back().map_or(0, |news| news.number);
    assert!(report.link.attempts > 700, "{:?}", report.link);
    assert!((55..=65).contains(&told), "{told}");
    let last = report.news.back().map(|news| news.text.clone()).unwrap_or_default();
    assert!(last.contains("no connection to ws://exchange.test/v2"), "{last}");
    assert!(last.contains("for 58 min") || last.contains("for 59 min"), "{last}");
    drop((engine, made));
    pumping.await.unwrap();
}

/// Says that it trades, and then what nobody can count with.
#[derive(Default)]
struct Odd {
    stale: bool,
}

impl Protocol for Odd {
    fn handle_disconnected(&mut self, now: Ts, out: &mut InputBlock) {
        if !std::mem::replace(&mut self.stale, true) {
            out.push_status(now, SymbolId(0), TradingStatus::Stale);
        }
    }

    fn handle_text(&mut self, text: &str, now: Ts, out: &mut InputBlock) -> Result<(), FrameError> {
        self.stale = text == "odd";
        let status = if self.stale { TradingStatus::Stale } else { TradingStatus::Trading };
        out.push_status(now, SymbolId(0), status);
        if self.stale {
            let (symbol, side, qty) = (SymbolId(0), Side::Buy, Qty(1));
            out.push_trade(now, now, &Trade { symbol, side, price: Price(0), qty, id: 1 });
            out.push_trade(now, now, &Trade { symbol, side, price: Price(5), qty, id: 2 });
        }
        Ok(())
    }

    fn poll_request(&mut self) -> Option<Request> {
        None
    }
}

impl Live for Odd {
    fn poll_news(&mut self) -> Option<News> {
        None
    }

    fn tally(&self) -> Tally {
        Tally::default()
    }

    fn is_warm(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn add_09_events_that_cannot_be_counted_with_leave_everything_stale() {
    let (made, mut receiver) = mpsc::unbounded_channel();
    let clock = Clock::start_at(Ts(1_790_000_000 * Ts::SECOND));
    let peer = Peer { made, refuses: false };
    let driver = Driver::new(peer, Odd::default(), LinkSettings::default(), clock, 7);
    let health = Health::new("odd", "ws://exchange.test/v2", &table());
    let (pump, health) = Pump::new(driver, table(), health);
    let (sender, mut engine) = mpsc::channel(16);
    let pumping = tokio::spawn(pump.run(sender));
    let mut socket = accept(&mut receiver).await;
    let mut seen = Vec::new();
    for text in ["good", "odd"] {
        socket.send(Message::text(text)).await.unwrap();
        let _ = timeout(Duration::from_millis(100), async {
            while let Some(block) = engine.recv().await {
                seen.extend(shown(&block));
            }
        })
        .await;
    }
    assert_eq!(seen.iter().filter(|text| *text == "Trading").count(), 1, "{seen:?}");
    assert_eq!(seen.last().map(String::as_str), Some("Stale"), "{seen:?}");
    assert!(seen.iter().any(|text| text == "trade 2"), "what can be counted with comes: {seen:?}");
    assert_eq!(health.borrow().link.overflows, 0);
    assert!(health.borrow().news.iter().any(|news| news.level == NewsLevel::Error));
    drop((engine, socket, receiver));
    pumping.await.unwrap();
}

/// A stream that always has another ping, unless so many were taken since the engine
/// last learned the time that it is plain that it never does.
struct Pings {
    handshake: DuplexStream,
    shaken: bool,
    taken: Arc<AtomicUsize>,
}

const PINGS_MAX: usize = 20_000_000;

impl AsyncRead for Pings {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.shaken {
            let result = Pin::new(&mut self.handshake).poll_read(context, buffer);
            self.shaken = buffer.filled().ends_with(b"\r\n\r\n");
            return result;
        }
        // As a socket does: a task that has worked for long lets others work.
        if pin!(tokio::task::consume_budget()).poll(context).is_pending() {
            return Poll::Pending;
        }
        if self.taken.fetch_add(1, Ordering::Relaxed) < PINGS_MAX {
            buffer.put_slice(&[0x89, 0]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pings {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.shaken {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.handshake).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Flood(mpsc::UnboundedSender<DuplexStream>, Arc<AtomicUsize>);

impl Connect for Flood {
    type Stream = Pings;

    fn url(&self) -> &str {
        "ws://exchange.test/v2"
    }

    fn connect(&mut self) -> BoxFuture<'static, io::Result<Pings>> {
        let (near, far) = tokio::io::duplex(1 << 16);
        let _ = self.0.send(far);
        let taken = Arc::clone(&self.1);
        Box::pin(async { Ok(Pings { handshake: near, shaken: false, taken }) })
    }
}

/// On the real clock, because a paused one stands still while there is work.
#[tokio::test]
async fn high_005_time_reaches_the_engine_through_a_flood_of_pings() {
    let (sender, mut made) = mpsc::unbounded_channel();
    let clock = Clock::start_at(Ts(1_790_000_000 * Ts::SECOND));
    let timing = Timing::default();
    let taken = Arc::new(AtomicUsize::new(0));
    let flood = Flood(sender, Arc::clone(&taken));
    let driver = Driver::new(flood, session(timing), LinkSettings::default(), clock, 7);
    let health = Health::new("kraken", "ws://exchange.test/v2", &table());
    let (pump, health) = Pump::new(driver, table(), health);
    let (sender, mut engine) = mpsc::channel(4);
    let pumping = tokio::spawn(pump.ticking(Duration::from_millis(5)).run(sender));
    let far = made.recv().await.unwrap();
    let _socket = tokio_tungstenite::accept_async(far).await.unwrap();
    let mut timers = 0;
    while timers < 5 {
        let block = engine.recv().await.unwrap();
        timers += shown(&block).iter().filter(|text| *text == "timer").count();
        assert_eq!(health.borrow().link.losses, 0, "the flood still lasts");
        taken.store(0, Ordering::Relaxed);
    }
    drop(engine);
    pumping.await.unwrap();
}

#[test]
fn addresses_are_checked() {
    for url in ["ws://127.0.0.1:9000", "wss://ws.kraken.com/v2", "ws://[::1]:9000/v2"] {
        assert!(Endpoint::parse(url).is_ok(), "{url}");
    }
    for url in ["", "ws.kraken.com", "https://ws.kraken.com", "ws://", "ws:// x", "file:///x"] {
        assert!(Endpoint::parse(url).is_err(), "{url}");
    }
}
