//! The exchange on a stream, as a client of any make meets it.

use futures_util::{SinkExt as _, StreamExt as _};
use sandpaper_tests::exchange::market::MarketConfig;
use sandpaper_tests::exchange::{Exchange, serve};
use serde_json::Value;
use tokio::io::DuplexStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

async fn client() -> WebSocketStream<DuplexStream> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let exchange = Exchange::new(MarketConfig::default(), 100);
    tokio::spawn(serve(exchange, far));
    client_async("ws://exchange.test/v2", near).await.expect("a handshake").0
}

async fn ask(socket: &mut WebSocketStream<DuplexStream>, text: &str) {
    socket.send(Message::Text(text.into())).await.expect("sent");
}

/// The next message that this is true of.
async fn find(socket: &mut WebSocketStream<DuplexStream>, what: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..500 {
        let message = socket.next().await.expect("a message").expect("a sound one");
        let value: Value = serde_json::from_str(message.to_text().expect("text")).expect("JSON");
        if what(&value) {
            return value;
        }
    }
    panic!("500 messages without the one that was expected");
}

#[tokio::test(start_paused = true)]
async fn high_005_the_exchange_answers_as_the_venue_is_recorded_to() {
    let mut socket = client().await;
    let status = find(&mut socket, |_| true).await;
    assert_eq!(status["data"][0]["system"], "online");
    assert!(status["data"][0]["connection_id"].as_u64() > Some(i64::MAX as u64));

    ask(&mut socket, r#"{"method":"ping","req_id":101}"#).await;
    let pong = find(&mut socket, |v| v["method"] == "pong").await;
    assert_eq!((pong["req_id"].as_u64(), pong.get("success")), (Some(101), None));

    let subscribe = r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","XBT/USD"],"depth":10},"req_id":7}"#;
    ask(&mut socket, subscribe).await;
    let refused = find(&mut socket, |v| v["success"] == false).await;
    assert_eq!(refused["error"], "Currency pair not supported XBT/USD");
    assert_eq!((&refused["symbol"], refused.get("result")), (&"XBT/USD".into(), None));
    let update = find(&mut socket, |v| v["channel"] == "book" && v["type"] == "update").await;
    assert_eq!(update["data"][0]["symbol"], "BTC/USD");
    ask(&mut socket, subscribe).await;
    find(&mut socket, |v| v["error"] == "Already subscribed").await;

    let end = subscribe.replace("subscribe", "unsubscribe");
    ask(&mut socket, &end).await;
    let ended = find(&mut socket, |v| v["method"] == "unsubscribe" && v["success"] == true).await;
    assert_eq!(ended["result"]["depth"], 10);

    ask(&mut socket, &subscribe.replace("10", "11")).await;
    find(&mut socket, |v| v["error"] == "Subscription depth not supported").await;
    ask(&mut socket, r#"{"method":"subscribe","params":{"channel":"trade","symbol":"BTC/USD"}}"#)
        .await;
    find(&mut socket, |v| v["error"] == "Symbol field must be an array").await;
    let trades = r#"{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"],"snapshot":true}}"#;
    ask(&mut socket, trades).await;
    let trades = find(&mut socket, |v| v["channel"] == "trade").await;
    assert_eq!(trades["data"].as_array().map(Vec::len), Some(50));
    for _ in 0..80 {
        ask(&mut socket, r#"{"method":"ping"}"#).await;
    }
    find(&mut socket, |v| v["error"] == "Exceeded msg rate").await;
    let beat = find(&mut socket, |v| v["channel"] == "heartbeat").await;
    assert_eq!(beat.as_object().map(|o| o.len()), Some(1));
}
