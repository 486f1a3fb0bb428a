//! WebSocket clients: healthy, stuck, rude, and at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use super::*;
use crate::dashboard::model::Event;

type Client = WebSocketStream<DuplexStream>;

/// A WebSocket over a stream that holds so many bytes each way.
async fn socket(app: &Arc<App>, buffer: usize) -> Client {
    let mut request = "ws://127.0.0.1:7878/api/v1/ws".into_client_request().unwrap();
    let key = format!("Bearer {KEY}").parse().unwrap();
    request.headers_mut().insert("authorization", key);
    client_async(request, connect(app, buffer)).await.expect("a WebSocket").0
}

async fn subscribe(client: &mut Client, topics: &str) {
    let text = format!(r#"{{"t":"sub","topics":[{topics}]}}"#);
    client.send(Message::text(text)).await.unwrap();
}

/// The next message, with its text as JSON; `None` when it was closed.
async fn next(client: &mut Client) -> Option<Value> {
    loop {
        match client.next().await?.ok()? {
            Message::Text(text) => return serde_json::from_str(&text).ok(),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

/// How a client was closed.
async fn closed(client: &mut Client) -> Option<(u16, Utf8Bytes)> {
    while let Some(Ok(message)) = client.next().await {
        if let Message::Close(Some(CloseFrame { code, reason })) = message {
            return Some((code.into(), reason));
        }
    }
    None
}

/// Whether a client was told that the host ends, and then closed as such.
async fn farewell(client: &mut Client) -> Result<(), String> {
    let mut last = Value::Null;
    loop {
        match client.next().await.ok_or("hung up")?.map_err(|error| error.to_string())? {
            Message::Text(text) => last = serde_json::from_str(&text).unwrap(),
            Message::Close(Some(frame)) => {
                let code = u16::from(frame.code);
                let told = last["t"] == "shutdown" && code == 1001;
                return told.then_some(()).ok_or(format!("closed with {code} after {last}"));
            }
            _ => {}
        }
    }
}

/// Publishes a state with a long event every 100 ms, until it is aborted.
fn publisher(app: &Arc<App>) -> JoinHandle<()> {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        for seq in 2.. {
            tick.tick().await;
            let event = Event { text: "x".repeat(2_000), ..Event::default() };
            app.hub.history().events.push(event);
            app.hub.publish(state(seq));
        }
    })
}

/// Both ends of a WebSocket that no server of ours keeps: what a control breaks.
async fn bare(buffer: usize) -> (Client, Client) {
    let (ours, theirs) = duplex(buffer);
    let (client, server) =
        tokio::join!(client_async("ws://127.0.0.1/", ours), accept_async(theirs));
    (client.expect("a WebSocket").0, server.expect("a WebSocket"))
}

/// How many old leaderboards a client gets, which did not read while states came for
/// `span`, before the newest of them.
async fn stale(app: &Arc<App>, client: &mut Client, span: Duration) -> u64 {
    let (end, mut seq) = (Instant::now() + span, app.hub.state().run.seq);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    while Instant::now() < end {
        tick.tick().await;
        seq += 1;
        app.hub.publish(state(seq));
    }
    let mut old = 0;
    loop {
        let message = timeout(Duration::from_secs(9), next(client)).await.expect("the newest");
        let message = message.expect("it was not dropped");
        match message["data"]["seq"].as_u64() {
            Some(newest) if newest == seq => return old,
            Some(_) => old += 1,
            None => {}
        }
    }
}

/// The longest time between two messages that `client` gets within `span`.
async fn longest_gap(client: &mut Client, span: Duration) -> Duration {
    let (began, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
    while began.elapsed() < span {
        timeout(span, next(client)).await.expect("a message").expect("open");
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    longest
}

#[tokio::test(start_paused = true)]
async fn med_009_a_client_that_stops_reading_delays_nobody_and_is_dropped() {
    let app = app();
    let mut stuck = Vec::new();
    for _ in 0..20 {
        let mut client = socket(&app, 8 << 10).await;
        subscribe(&mut client, r#""events","run","strategies""#).await;
        stuck.push(client);
    }
    let mut healthy = socket(&app, 8 << 10).await;
    subscribe(&mut healthy, r#""events""#).await;
    next(&mut healthy).await.expect("hello");
    next(&mut healthy).await.expect("a snapshot");
    let publisher = publisher(&app);
    let gap = longest_gap(&mut healthy, Duration::from_secs(20)).await;
    assert!(gap <= Duration::from_millis(150), "an event each 100 ms, yet {gap:?} without one");
    assert_eq!(app.counts.stalled.load(std::sync::atomic::Ordering::Relaxed), 20);
    assert_eq!(app.counts.sockets.load(std::sync::atomic::Ordering::SeqCst), 1);
    // The control: of a server that sends to one after the other, waiting as long for
    // each, the same client hears nothing for much longer.
    let (held, mut stuck) = bare(8 << 10).await;
    let (mut healthy, mut other) = bare(8 << 10).await;
    let mut states = app.hub.follow();
    let in_turn = tokio::spawn(async move {
        while states.changed().await.is_ok() {
            let text = Message::text(format!("\"{}\"", "x".repeat(2_000)));
            let _ = timeout(Duration::from_secs(5), stuck.send(text.clone())).await;
            other.send(text).await.expect("it reads");
        }
    });
    let gap = longest_gap(&mut healthy, Duration::from_secs(20)).await;
    assert!(gap > Duration::from_secs(4), "{gap:?}");
    in_turn.abort();
    publisher.abort();
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn med_009_what_waits_for_a_slow_client_is_bounded_and_it_catches_up_at_once() {
    let app = app();
    // Its buffers take one leaderboard; eight are due in this time.
    let (buffer, span, most) = (2 << 10, Duration::from_secs(4), 2);
    let mut slow = socket(&app, buffer).await;
    subscribe(&mut slow, r#""strategies""#).await;
    for _ in 0..2 {
        next(&mut slow).await.expect("hello and a snapshot");
    }
    let old = stale(&app, &mut slow, span).await;
    assert!(old <= most, "{old} states waited for it");
    // The control: with a queue that has no bound, it gets all of them.
    let (mut slow, mut server) = bare(buffer).await;
    let mut states = app.hub.follow();
    let (queue, mut queued) = tokio::sync::mpsc::unbounded_channel();
    let filling = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(500));
        while states.changed().await.is_ok() {
            pace.tick().await;
            let state = Arc::clone(&states.borrow_and_update());
            let _ = queue.send(format!(r#"{{"data":{}}}"#, state.strategies_json()));
        }
    });
    let sending = tokio::spawn(async move {
        while let Some(text) = queued.recv().await {
            let _ = server.send(Message::text(text)).await;
        }
    });
    let old = stale(&app, &mut slow, span).await;
    assert!(old > most, "{old}");
    filling.abort();
    sending.abort();
}

#[tokio::test(start_paused = true)]
async fn med_009_who_was_slow_gets_the_newest_state_and_learns_what_it_missed() {
    let app = app();
    let mut slow = socket(&app, 1 << 20).await;
    subscribe(&mut slow, r#""events","run""#).await;
    for _ in 0..3 {
        next(&mut slow).await.expect("hello and two snapshots");
    }
    // More than the ring holds comes between two looks.
    for number in 0..20_000 {
        let event = Event { seq: number, text: "x".into(), ..Event::default() };
        app.hub.history().events.push(event);
    }
    app.hub.publish(state(7));
    let mut kinds = BTreeMap::new();
    let mut seq = 0;
    while let Ok(Some(message)) = timeout(Duration::from_secs(2), next(&mut slow)).await {
        let name = format!(
            "{} {}",
            message["t"].as_str().unwrap(),
            message["topic"].as_str().unwrap_or("")
        );
        if message["topic"] == "run" {
            seq = message["data"]["seq"].as_u64().unwrap();
        }
        *kinds.entry(name).or_insert(0) += 1;
    }
    assert_eq!(seq, 7, "the newest state");
    assert_eq!(kinds.get("resync events"), Some(&1), "{kinds:?}");
    assert_eq!(kinds.get("snap events"), Some(&1), "{kinds:?}");
}

#[tokio::test(start_paused = true)]
async fn low_009_every_client_is_told_of_the_end_and_stuck_ones_do_not_hold_it() {
    let app = app();
    let publisher = publisher(&app);
    let mut stuck = Vec::new();
    let mut healthy = Vec::new();
    for number in 0..30 {
        let buffer = if number % 3 == 0 { 1 << 10 } else { 1 << 20 };
        let mut client = socket(&app, buffer).await;
        subscribe(&mut client, r#""events","run""#).await;
        if number % 3 == 0 { stuck.push(client) } else { healthy.push(client) }
    }
    tokio::time::advance(Duration::from_secs(2)).await;
    publisher.abort();
    let began = Instant::now();
    app.ending.send_replace(true);
    for client in &mut healthy {
        assert_eq!(farewell(client).await, Ok(()));
    }
    while app.counts.sockets.load(std::sync::atomic::Ordering::SeqCst) > 0 {
        tokio::time::advance(Duration::from_millis(10)).await;
        tokio::task::yield_now().await;
        assert!(began.elapsed() <= Duration::from_secs(2), "stuck clients hold the end");
    }
    assert_eq!(stuck.len(), 10);
    // The controls: who is only hung up on, or closed without a word, was not told, and
    // who waits for stuck clients does not end.
    let (mut client, server) = bare(1 << 10).await;
    drop(server);
    assert!(farewell(&mut client).await.is_err());
    let (mut client, mut server) = bare(1 << 10).await;
    let frame = CloseFrame { code: 1001.into(), reason: "".into() };
    server.send(Message::Close(Some(frame))).await.expect("sent");
    assert_eq!(farewell(&mut client).await, Err("closed with 1001 after null".into()));
    let (held, mut server) = bare(1 << 10).await;
    let whole = Message::text("x".repeat(8 << 10));
    let waited = timeout(Duration::from_secs(2), server.send(whole)).await;
    assert!(waited.is_err(), "a stuck client holds whoever waits for it");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn frames_that_are_too_large_binary_or_broken_end_their_socket_alone() {
    let app = app();
    let mut other = socket(&app, 1 << 20).await;
    let text = |text: String| Message::text(text);
    let large = "x".repeat(17 << 10);
    let piece = |first: bool| {
        let code = if first { OpCode::Data(Data::Text) } else { OpCode::Data(Data::Continue) };
        Message::Frame(Frame::message("x".repeat(10 << 10), code, false))
    };
    for (what, messages, code) in [
        ("too large", vec![text(large)], 1009),
        ("too large in pieces", vec![piece(true), piece(false)], 1009),
        ("binary", vec![Message::binary(vec![1, 2, 3])], 1003),
        ("too many", (0..30).map(|_| text(r#"{"t":"ping"}"#.into())).collect(), 1008),
    ] {
        let mut client = socket(&app, 1 << 20).await;
        for message in messages {
            let _ = client.send(message).await;
        }
        let (found, _) =
            timeout(Duration::from_secs(3), closed(&mut client)).await.expect(what).expect(what);
        assert_eq!(found, code, "{what}");
    }
    // The control: what is only not understood, and another client, stay.
    other.send(text("{".repeat(15_000))).await.unwrap();
    other.send(text(r#"{"t":"ping"}"#.into())).await.unwrap();
    let kinds: Vec<Value> =
        [next(&mut other).await, next(&mut other).await, next(&mut other).await]
            .into_iter()
            .flatten()
            .collect();
    let kinds: Vec<&str> = kinds.iter().filter_map(|message| message["t"].as_str()).collect();
    assert_eq!(kinds, ["hello", "error", "pong"]);
}

#[tokio::test(start_paused = true)]
async fn topics_are_limited_and_what_is_not_there_is_said() {
    let app = app();
    let mut client = socket(&app, 1 << 20).await;
    next(&mut client).await.expect("hello");
    subscribe(&mut client, r#""fills:<script>alert(1)</script>""#).await;
    let refused = next(&mut client).await.expect("an answer");
    assert_eq!(refused["t"], "error");
    assert_eq!(refused["message"], "no topic fills:<script>alert(1)</script>");
}

/// A WebSocket of a page that is logged in.
async fn of_session(app: &Arc<App>, session: &str) -> Client {
    let mut request = "ws://127.0.0.1:7878/api/v1/ws".into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("cookie", format!("sid-7878={session}").parse().unwrap());
    headers.insert("origin", "http://127.0.0.1:7878".parse().unwrap());
    client_async(request, connect(app, 1 << 20)).await.expect("a WebSocket").0
}

#[tokio::test(start_paused = true)]
async fn crit_004_logging_out_ends_the_sockets_of_that_session_alone() {
    let app = app();
    let now = Instant::now().into_std();
    let [mine, other] = [(); 2].map(|()| app.auth.open(Role::Viewer, now).unwrap());
    let mut ended = [of_session(&app, &mine).await, of_session(&app, &mine).await];
    let mut staying = [of_session(&app, &other).await, socket(&app, 1 << 20).await];
    for client in ended.iter_mut().chain(&mut staying) {
        assert_eq!(next(client).await.expect("hello")["t"], "hello");
    }
    let out = format!(
        "DELETE /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:7878\r\nConnection: close\r\n\
         Origin: http://127.0.0.1:7878\r\nCookie: sid-7878={mine}\r\n\r\n"
    );
    let said = answer(&app, out.as_bytes()).await;
    assert_eq!(status(&said), 204, "{said}");
    for client in &mut ended {
        let found = timeout(Duration::from_secs(1), closed(client)).await.expect("at once");
        assert_eq!(found, Some((1008, "the session is over".into())));
    }
    // The control: another session's and a key's answer still.
    for client in &mut staying {
        client.send(Message::text(r#"{"t":"ping"}"#)).await.unwrap();
        assert_eq!(next(client).await.expect("open")["t"], "pong");
    }
}

/// Whether a leaderboard's rows add up to its total.
fn adds_up(board: &Value) -> bool {
    let equity = |value: &Value| value["equity"].as_str()?.parse::<u64>().ok();
    let rows =
        board["strategies"].as_array().map(|rows| rows.iter().filter_map(equity).sum::<u64>());
    rows.is_some() && rows == board["totals"].get(0).and_then(equity)
}

/// Readers of the state, and how many looks each takes at it.
const READERS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crit_002_a_thousand_readers_see_only_whole_states() {
    let looks = std::env::var("SANDPAPER_LOOKS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let app = app();
    let writer = Arc::clone(&app.hub);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    // Ten thousand states a second, or as many as the machine makes.
    let publishing = std::thread::spawn(move || {
        let mut seq = 2;
        let pause = Duration::from_micros(100);
        while stopped.recv_timeout(pause) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            writer.publish(state(seq));
            seq += 1;
        }
        seq
    });
    let readers = (0..READERS).map(|_| {
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let mut last = 0;
            for _ in 0..looks {
                let state = app.hub.state();
                assert!(state.run.seq >= last, "a state went back");
                last = state.run.seq;
                let board: Value = serde_json::from_str(&state.strategies_json()).unwrap();
                assert_eq!(board["seq"], last);
                assert!(adds_up(&board), "a torn state: {board}");
                tokio::task::yield_now().await;
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.expect("whole states");
    }
    drop(stop);
    assert!(publishing.join().unwrap() > 10, "states came while they were read");
    // The control: a state of two moments is found.
    let mut torn = state(8);
    torn.lanes[1] = lane("two", 9);
    assert!(!adds_up(&serde_json::from_str(&torn.strategies_json()).unwrap()));
}
