//! The exchange on a stream.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{self, MissedTickBehavior};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

use super::mangle::Out;
use super::{Exchange, Line};

/// How often a connection looks what has happened.
const TICK: Duration = Duration::from_millis(50);
/// How long a client may let its buffers be full.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest message that a client may send.
const MESSAGE_MAX: usize = 1 << 16;
/// Connections at the same time.
const CONNECTIONS_MAX: usize = 64;

/// Accepts connections until it is dropped, which ends them all.
///
/// # Errors
/// When the listener fails.
pub async fn serve_tcp(exchange: Exchange, listener: TcpListener) -> std::io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, _) = listener.accept().await?;
        // A client that is gone is no failure of the exchange.
        let _ = stream.set_nodelay(true);
        if connections.len() < CONNECTIONS_MAX {
            connections.spawn(serve(exchange.clone(), stream));
        }
    }
}

/// Serves one client until either side ends it.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(exchange: Exchange, mut stream: S) {
    let (refuses, closes) = {
        let mut state = exchange.state();
        state.connections += 1;
        (state.refuses_handshakes, state.closes_at_once)
    };
    if refuses {
        refuse(&mut stream).await;
        return;
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let accepted = accept_async_with_config(stream, Some(config));
    let Ok(Ok(socket)) = time::timeout(SEND_TIMEOUT, accepted).await else { return };
    if closes {
        return;
    }
    let line = {
        let mut state = exchange.state();
        state.open += 1;
        Line::new(&mut state, exchange.0.seed)
    };
    // Whatever ends it is a matter of the client's.
    let _ = talk(&exchange, line, socket).await;
    exchange.state().open -= 1;
}

/// Answers the handshake with an error of HTTP.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let mut request = [0_u8; 4_096];
    if time::timeout(SEND_TIMEOUT, stream.read(&mut request)).await.is_ok() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        let _ = stream.write_all(answer).await;
    }
}

/// Talks with one client.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    exchange: &Exchange,
    mut line: Line,
    mut socket: WebSocketStream<S>,
) -> Result<(), tungstenite::Error> {
    let mut tick = time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let out = tokio::select! {
            biased;
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let now = exchange.now();
                    line.request(&text, &mut exchange.state(), now)
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(_)) => Vec::new(),
            },
            _ = tick.tick() => {
                let now = exchange.now();
                line.tick(&mut exchange.state(), now)
            }
        };
        for out in out {
            let ends = matches!(out, Out::Close(_));
            let sent = time::timeout(SEND_TIMEOUT, send(&mut socket, out)).await;
            let Ok(result) = sent else { return Ok(()) };
            result?;
            if ends {
                // The client answers the closing, or not.
                let drained = async { while let Some(Ok(_)) = socket.next().await {} };
                let _ = time::timeout(Duration::from_secs(1), drained).await;
                return Ok(());
            }
        }
    }
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    out: Out,
) -> Result<(), tungstenite::Error> {
    match out {
        Out::Text(text) => socket.send(Message::Text(text.into())).await,
        Out::Ping => socket.send(Message::Ping(vec![b'p'; 100].into())).await,
        Out::Pong => socket.send(Message::Pong(Vec::new().into())).await,
        Out::Raw(bytes) => Ok(socket.get_mut().write_all(&bytes).await?),
        Out::Close(code) => {
            let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
            socket.send(Message::Close(Some(frame))).await
        }
    }
}
