//! The whole server over streams in memory, on a clock that is moved by hand: what
//! takes ten seconds there takes none here, and nothing depends on the machine.

mod bypass;
mod clients;
mod limits;
mod metrics;
mod places;
mod untrusted;

use std::net::SocketAddr;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::audit::Audit;
use super::hub::{Hub, State};
use super::model::{Run, Strategy, StrategyDetail, Total};
use super::routes::router;
use super::server::connection;
use super::{App, Role, Settings};
use crate::config::{Config, Sources};

/// An administrator's key.
const KEY: &str = "a-key-of-more-than-thirty-two-characters";
/// A viewer's.
const VIEWER: &str = "another-key-that-may-only-look-at-things";

/// An application with a state, whose limits of rate no test meets by chance.
fn app() -> Arc<App> {
    app_with(|_| {})
}

/// The same with other settings.
fn app_with(change: impl FnOnce(&mut Settings)) -> Arc<App> {
    let config = Config::load(&Sources::default()).unwrap();
    let mut settings = Settings::of(&config.web, Some(SecretString::from(KEY))).unwrap();
    settings.keys.push((VIEWER.into(), Role::Viewer));
    settings.rate_per_second = 1_000_000;
    settings.rate_burst = 1_000_000;
    settings.logins_per_minute = 1_000_000;
    change(&mut settings);
    let hub = Arc::new(Hub::default());
    hub.publish(state(1));
    Arc::new(App::new(hub, settings, Audit::default(), "http://127.0.0.1:7878".into()))
}

/// A state in which every strategy has `seq`, and the total is their sum.
fn state(seq: u64) -> State {
    let lanes: Vec<StrategyDetail> =
        ["one", "two", "three"].map(|name| lane(name, seq)).into_iter().collect();
    let total = seq * lanes.len() as u64;
    let total =
        Total { currency: "USD".into(), equity: Some(total.to_string()), start: Some("3".into()) };
    let run = Run {
        run: "a-run".into(),
        seq,
        state: "running".into(),
        totals: vec![total],
        ..Run::default()
    };
    let curves = lanes.iter().map(|_| Arc::new(vec![[seq as f64, seq as f64, 0.0]])).collect();
    let plots = lanes.iter().map(|_| Arc::default()).collect();
    State { run, lanes, curves, plots, ..State::default() }
}

fn lane(name: &str, equity: u64) -> StrategyDetail {
    let row = Strategy {
        name: name.into(),
        currency: "USD".into(),
        equity: Some(equity.to_string()),
        ..Strategy::default()
    };
    StrategyDetail {
        row,
        symbols: Vec::new(),
        parameters: Vec::new(),
        indicators: Vec::new(),
        chain: String::new(),
        statistics: std::collections::BTreeMap::new(),
        orders_open: Vec::new(),
        sandbox: super::model::Sandbox::default(),
        accounting: super::Accounting::default(),
        call_ns: crate::strategy::Spread::default(),
    }
}

/// A connection to it whose two directions hold so many bytes each.
fn connect(app: &Arc<App>, buffer: usize) -> DuplexStream {
    let (ours, theirs) = duplex(buffer);
    let router = router(app);
    let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
    tokio::spawn(connection(theirs, peer, router));
    ours
}

/// Everything that comes of sending these bytes, until the other side closes.
async fn answer(app: &Arc<App>, request: &[u8]) -> String {
    let mut stream = connect(app, 1 << 20);
    // It may close before everything was sent.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer.
fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// A request with a key, that asks for the connection to be closed.
fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:7878\r\nAuthorization: Bearer {KEY}\r\n\
         Connection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}
