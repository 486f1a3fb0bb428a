//! A thousand browsers at once, a fifth of which do not read. CI runs a slice, and
//! asks that everybody gets everything; `make crowd` runs all of it on a machine that
//! does nothing else, and asks how soon, and what the engine pays for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt as _, StreamExt as _};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use sandpaper::config::{Config, Sources};
use sandpaper::dashboard::desk::Note;
use sandpaper::dashboard::hub::State;
use sandpaper::dashboard::model::{Event, Run, Sandbox, Strategy, StrategyDetail, Total};
use sandpaper::dashboard::{Desk, Hub, Role, Server, Settings};
use sandpaper::domain::Ts;
use sandpaper::engine::{Engine, EngineConfig};
use sandpaper::feed::sim::{SimConfig, Simulator};
use sandpaper::input::InputBlock;
use sandpaper_tests::lanes::{Recording, native};
use serde_json::Value;
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

const KEY: &str = "a-key-of-more-than-thirty-two-characters";
/// Steps of the engine for which the crowd is watched, ten a second.
const STEPS: usize = 40;
/// Steps in which everything must have come, on any machine.
const STEPS_MOST: usize = 600;
/// Events that a healthy client sees at least.
const EVENTS: u64 = 100;
/// Within this 99 of 100 events must have come.
const LATE: Duration = Duration::from_millis(250);
/// Strategies of a state.
const STRATEGIES: u64 = 20;

type Client = WebSocketStream<tokio::net::TcpStream>;

fn wall_ns() -> u128 {
    #[allow(clippy::disallowed_methods, reason = "both ends of a way are on this machine's clock")]
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos()
}

fn state(seq: u64) -> State {
    let lane = |number: u64| StrategyDetail {
        row: Strategy {
            name: format!("strategy-{number}"),
            equity: Some((seq + number).to_string()),
            sparkline: vec![1.5; 60],
            ..Strategy::default()
        },
        symbols: Vec::new(),
        parameters: Vec::new(),
        indicators: Vec::new(),
        chain: String::new(),
        statistics: BTreeMap::new(),
        orders_open: Vec::new(),
        sandbox: Sandbox::default(),
        accounting: sandpaper::dashboard::Accounting::default(),
        call_ns: sandpaper::strategy::Spread::default(),
    };
    let sum: u64 = (0..STRATEGIES).map(|number| seq + number).sum();
    let total = Total { currency: "USD".into(), equity: Some(sum.to_string()), start: None };
    let run = Run { seq, state: "running".into(), totals: vec![total], ..Run::default() };
    State { run, lanes: (0..STRATEGIES).map(lane).collect(), ..State::default() }
}

fn event(text: String) -> Note {
    let event =
        Event { ts_ns: wall_ns().to_string(), kind: "order".into(), text, ..Event::default() };
    Note { lane: None, event, fill: None, trade: None, order: None }
}

/// CPU time of each step on the engine's thread: with the clock on the wall, whatever
/// else this machine does would be measured too.
#[derive(Clone, Debug, Default)]
struct Steps(Vec<Duration>);

impl Steps {
    /// The step in the middle, by what it took.
    fn median(&self) -> Duration {
        let mut all = self.0.clone();
        all.sort_unstable();
        all[all.len() / 2]
    }
}

/// A real engine with what it hands to the dashboard.
struct Driver {
    engine: Engine,
    market: Simulator,
    desk: Desk,
    /// number of the state that was published last
    seq: u64,
}

impl Driver {
    fn new(hub: Arc<Hub>) -> Self {
        let config = SimConfig::default();
        let start = config.start;
        let market = Simulator::new(config).expect("the defaults");
        let instruments = market.instruments().clone();
        let recording = Recording { instruments, blocks: Vec::new(), start };
        let strategies = (0..STRATEGIES).map(|_| native("s1")).collect();
        let engine = recording.engine(&EngineConfig::default(), strategies, "100000");
        let mut desk = Desk::open(hub).expect("a desk");
        desk.begin(Vec::new());
        Self { engine, market, desk, seq: 0 }
    }

    /// The market's next ten seconds.
    fn block(&mut self) -> InputBlock {
        let mut block = InputBlock::new(self.market.instruments(), self.engine.next_seq());
        let until = Ts(self.market.next_ts().0 + 10 * Ts::SECOND);
        while !self.market.advance(until, &mut block) {}
        block
    }

    /// Steps the engine, notes and publishes so many times, ten a second at most.
    fn drive(&mut self, count: usize) -> Steps {
        let (_hold, never) = channel::<()>();
        let mut steps = Steps::default();
        for _ in 0..count {
            let block = self.block();
            let before = thread_cpu();
            self.engine.step(&block).expect("a sound step");
            for _ in 0..5 {
                self.desk.note(event("an order of the kind that is often seen".into()));
            }
            self.seq += 1;
            self.desk.publish(state(self.seq));
            steps.0.push(thread_cpu().saturating_sub(before));
            let pause = never.recv_timeout(Duration::from_millis(100));
            assert_eq!(pause, Err(RecvTimeoutError::Timeout));
        }
        steps
    }

    /// Drives on until that holds.
    fn until(&mut self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..STEPS_MOST {
            if holds() {
                return;
            }
            self.drive(1);
        }
        panic!("it never came: {what}");
    }
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}

async fn connect(address: SocketAddr, receive: Option<u32>) -> Client {
    let socket = TcpSocket::new_v4().expect("a socket");
    if let Some(bytes) = receive {
        socket.set_recv_buffer_size(bytes).expect("a small buffer");
    }
    let stream = socket.connect(address).await.expect("a connection");
    let mut request = format!("ws://{address}/api/v1/ws").into_client_request().expect("a URL");
    request.headers_mut().insert("authorization", format!("Bearer {KEY}").parse().expect("one"));
    client_async(request, stream).await.expect("a WebSocket").0
}

async fn ask(client: &mut Client, text: String) {
    client.send(Message::text(text)).await.expect("sent");
}

/// What a healthy client saw.
#[derive(Default)]
struct Seen {
    late_us: Vec<u64>,
    boards: u64,
}

/// The times in a message of events, without reading it as a whole.
fn times(text: &str) -> impl Iterator<Item = u128> {
    text.split("\"ts_ns\":\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok())
}

/// CRIT-002 over the wire: the board's rows add up to its total, and its number
/// rises.
fn check_board(board: &Value, last: &mut u64) -> Result<(), String> {
    let seq = board["seq"].as_u64().ok_or("no number")?;
    if seq < *last {
        return Err(format!("{seq} after {last}"));
    }
    *last = seq;
    let equity = |value: &Value| value["equity"].as_str().and_then(|text| text.parse::<u64>().ok());
    let rows = board["strategies"].as_array().ok_or("no rows")?;
    let sum: u64 = rows.iter().filter_map(equity).sum();
    if Some(sum) == equity(&board["totals"][0]) { Ok(()) } else { Err(format!("torn at {seq}")) }
}

async fn follow(
    mut client: Client,
    until: tokio::sync::watch::Receiver<bool>,
    count: Arc<AtomicU64>,
) -> Seen {
    let mut seen = Seen::default();
    let mut ended = until;
    let mut last = 0;
    loop {
        let message = tokio::select! {
            _ = ended.wait_for(|ended| *ended) => return seen,
            message = client.next() => message,
        };
        let Some(Ok(message)) = message else { panic!("a healthy client was dropped") };
        let Message::Text(text) = message else { continue };
        if text.contains("\"topic\":\"events\"") {
            assert!(!text.contains("\"t\":\"resync\""), "a healthy client missed something");
            let now = wall_ns();
            for at in times(&text) {
                count.fetch_add(1, Ordering::Relaxed);
                seen.late_us.push(u64::try_from(now.saturating_sub(at) / 1_000).unwrap_or(0));
            }
        } else if text.contains("\"topic\":\"strategies\"") {
            let message: Value = serde_json::from_str(&text).expect("JSON");
            check_board(&message["data"], &mut last).expect("a whole board");
            seen.boards += 1;
        }
    }
}

fn server(hub: Arc<Hub>) -> Server {
    let config = Config::load(&Sources::default()).expect("the defaults");
    let mut settings = Settings::of(&config.web, None).expect("settings");
    settings.bind = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.keys = vec![(KEY.into(), Role::Admin)];
    settings.audit = None;
    // All of the crowd come from one address, which may have a quarter.
    settings.connections = 8_192;
    (settings.rate_per_second, settings.rate_burst) = (1_000_000, 1_000_000);
    Server::start(hub, settings).expect("a server")
}

#[allow(clippy::print_stdout, reason = "the figures are part of the result")]
#[test]
fn med_009_a_crowd_with_stuck_clients_is_served_in_time_and_the_engine_is_not_held() {
    let asked: Option<usize> = std::env::var("SANDPAPER_CLIENTS").ok().and_then(|n| n.parse().ok());
    let clients = asked.unwrap_or(150);
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let _ = setrlimit(Resource::Nofile, raised);
    let hub = Arc::new(Hub::default());
    let mut server = server(Arc::clone(&hub));
    let address = server.address();
    let mut driver = Driver::new(hub);
    for _ in 0..1_000 {
        driver.desk.note(event("x".repeat(1_000)));
    }
    let before = driver.drive(STEPS);

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let (end, ended) = tokio::sync::watch::channel(false);
    let stuck = clients / 5;
    let counts: Vec<_> = (stuck..clients).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let (followers, held) = runtime.block_on(async {
        let mut held = Vec::new();
        for _ in 0..stuck {
            let mut client = connect(address, Some(8 << 10)).await;
            ask(&mut client, r#"{"t":"sub","topics":["events","strategies"]}"#.into()).await;
            held.push(client);
        }
        let mut followers = Vec::new();
        for count in &counts {
            let mut client = connect(address, None).await;
            // From the newest on: what was before is not measured.
            let since = r#""since":{"events":18446744073709551000}"#;
            let topics = r#""topics":["events","strategies"]"#;
            ask(&mut client, format!(r#"{{"t":"sub",{topics},{since}}}"#)).await;
            followers.push(tokio::spawn(follow(client, ended.clone(), Arc::clone(count))));
        }
        (followers, held)
    });
    let busy = driver.drive(STEPS);
    let fewest = || counts.iter().map(|count| count.load(Ordering::Relaxed)).min();
    driver.until("all events at every healthy client", || fewest() >= Some(EVENTS));
    end.send_replace(true);
    let mut late = Vec::new();
    let mut boards = 0;
    for follower in followers {
        let seen = runtime.block_on(follower).expect("a healthy client");
        boards += seen.boards;
        late.extend(seen.late_us);
    }
    late.sort_unstable();
    let p99 = Duration::from_micros(late[late.len() * 99 / 100]);
    let median = Duration::from_micros(late[late.len() / 2]);
    println!(
        "{clients} clients, {stuck} stuck: {} events, median {median:?}, p99 {p99:?}",
        late.len()
    );
    assert!(boards > 0);
    // The stuck ones were found out: nothing of theirs is kept.
    let stalled: &AtomicU64 = &server.app().counts.stalled;
    driver.until("an end of the stuck ones", || stalled.load(Ordering::Relaxed) >= stuck as u64);
    assert_eq!(stalled.load(Ordering::Relaxed), stuck as u64);
    drop(held);
    let after = driver.drive(STEPS);
    let [before, busy, after] = [before, busy, after].map(|steps| steps.median());
    let alone = (before + after) / 2;
    println!(
        "engine: {busy:?} of CPU a step with them, {before:?} before and {after:?} after: {:+.1} %",
        100.0 * (busy.as_secs_f64() / alone.as_secs_f64() - 1.0)
    );
    // Caches that others empty and a clock rate that falls cost as well, here and there
    // more than all the clients do.
    assert!(asked.is_none() || p99 <= LATE, "p99 {p99:?}");
    let held = busy > before.max(after) * 2;
    assert!(asked.is_none() || !held, "{before:?} {busy:?} {after:?}");
    // The control: a torn board is found.
    let mut torn: Value = serde_json::from_str(&state(5).strategies_json()).expect("JSON");
    assert_eq!(check_board(&torn, &mut 0), Ok(()));
    torn["strategies"][3]["equity"] = "1".into();
    assert!(check_board(&torn, &mut 0).is_err());
    driver.desk.close(state(driver.seq + 1));
    server.stop();
}
