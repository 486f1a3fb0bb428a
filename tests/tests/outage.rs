//! The exchange dies and returns while the real program trades on it, and changes
//! its rules.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sandpaper::domain::{Qty, SymbolId};
use sandpaper::feed::tape::Tape;
use sandpaper::input::{EventRef, TradingStatus};
use sandpaper_tests::exchange::market::MarketConfig;
use sandpaper_tests::exchange::{Exchange, serve_tcp};
use sandpaper_tests::{Folder, repository};
use serde_json::Value;
use tokio::runtime::Runtime;

const KEY: &str = "a-key-of-more-than-thirty-two-characters";
/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The exchange's market, which goes on while nobody can reach it.
pub(crate) struct Venue {
    pub(crate) exchange: Exchange,
    port: u16,
    running: Option<Runtime>,
}

impl Venue {
    pub(crate) fn open() -> Self {
        let config = MarketConfig {
            rate_hz: 50,
            start: 1_790_000_000_000_000_000,
            ..MarketConfig::default()
        };
        let mut venue = Self { exchange: Exchange::new(config, 16), port: 0, running: None };
        venue.listen();
        venue
    }

    /// Accepts connections on the port that it had before.
    pub(crate) fn listen(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (exchange, port) = (self.exchange.clone(), self.port);
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind(("127.0.0.1", port)))
            .expect("the same port");
        self.port = listener.local_addr().expect("an address").port();
        runtime.spawn(serve_tcp(exchange, listener));
        self.running = Some(runtime);
    }

    /// Dies: no connection stands and none is accepted.
    pub(crate) fn die(&mut self) {
        self.running.take().expect("it runs").shutdown_timeout(Duration::from_secs(5));
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }
}

/// The program with its dashboard, on that market.
struct Program {
    folder: Folder,
    child: Child,
    said: Receiver<String>,
    address: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(folder: Folder, url: &str) -> Self {
        let arguments = [
            "run",
            "--feed",
            "kraken",
            "--url",
            url,
            "--symbols",
            "BTC/USD,ETH/USD",
            "--wasm",
            "of.wasm",
            "--unsigned",
            "--bind",
            "127.0.0.1:0",
            "--record",
            "live.tape",
            "--json",
            "--set",
            "web.rate_per_second=10000",
            "--set",
            "web.rate_burst=10000",
        ];
        let mut child = folder
            .command(&arguments)
            .env("SANDPAPER__WEB__ENABLED", "true")
            .env("SANDPAPER_API_KEY", KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut program = Self { folder, child, said, address: String::new() };
        let line = program.hears("http://");
        let rest = line.split("http://").nth(1).expect("an address");
        let end = |c: char| c == '/' || c.is_whitespace();
        program.address = rest.split(end).next().expect("an address").to_owned();
        program
    }

    /// Waits for a line with this in it.
    #[track_caller]
    fn hears(&self, what: &str) -> String {
        loop {
            let line = self.said.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("it never said '{what}'"));
            if line.contains(what) {
                return line;
            }
        }
    }

    /// The answer to a request, of which a few may be lost: the server sheds load.
    #[track_caller]
    fn ask(&self, path: &str) -> String {
        let mut problem = None;
        for _ in 0..5 {
            match self.request(path) {
                Ok(answer) => return answer,
                Err(error) => problem = Some(error),
            }
        }
        let said: Vec<String> = self.said.try_iter().collect();
        panic!("{path}: {problem:?}; it said {said:#?}");
    }

    fn request(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        // Chunks begin with their length; what is looked for is in one.
        let body = body.split_once('\n').filter(|_| head.contains("chunked")).map_or(body, |b| b.1);
        Ok(body.to_owned())
    }

    fn json(&self, path: &str) -> Value {
        let text = self.ask(path);
        let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        values.next().expect("a value").expect("JSON")
    }

    /// Asks until this is true of the answer.
    #[track_caller]
    #[allow(clippy::disallowed_methods, reason = "when to give up")]
    fn until(&self, path: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let value = self.json(path);
            if is(&value) {
                return value;
            }
            assert!(begin.elapsed() < PATIENCE, "never {what}: {value}");
        }
    }

    /// Ends it in order; its folder and its result.
    fn end(mut self) -> (Folder, Value) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let mut result = String::new();
        let mut stdout = self.child.stdout.take().expect("piped");
        stdout.read_to_string(&mut result).expect("a result");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0));
        let folder = std::mem::replace(&mut self.folder, Folder::new());
        (folder, serde_json::from_str(&result).expect("JSON"))
    }
}

fn ready() -> Option<Folder> {
    let module = repository::guest("order-flow")?;
    let folder = Folder::new();
    folder.write("of.wasm", std::fs::read(module).expect("readable"));
    Some(folder)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The chain of the only strategy, and how much it did.
fn decided(result: &Value) -> (Value, Value) {
    (result["strategies"][0]["chain"].clone(), result["strategies"][0]["fills"].clone())
}

fn replayed(folder: &Folder) -> Value {
    let arguments = [
        "replay",
        "live.tape",
        "--wasm",
        "of.wasm",
        "--unsigned",
        "--symbols",
        "BTC/USD,ETH/USD",
        "--json",
    ];
    serde_json::from_str(&folder.run(&arguments).expect(0).stdout).expect("JSON")
}

#[test]
fn add_10_an_exchange_that_dies_and_returns_is_waited_for_and_nothing_is_simulated() {
    let Some(folder) = ready() else { return };
    let mut venue = Venue::open();
    let program = Program::start(folder, &venue.url());
    program.hears("connected to ws://");
    let messages = |feed: &Value| number(&feed["symbols"][0]["messages"]);
    let before = program.until("/api/v1/feed", "data", |feed| {
        feed["state"] == "ok" && feed["symbols"][0]["messages"].as_u64().is_some_and(|n| n > 50)
    });
    assert_eq!((&before["venue"], &before["connected"]), (&"kraken".into(), &true.into()));
    assert!(before["symbols"][0]["ages_ms"]["book"].is_u64(), "{before}");
    assert!(before["skew_ms"].is_f64(), "{before}");

    venue.die();
    let told = program.hears("no connection to ws://");
    assert!(told.contains("nothing fills until it stands again"), "{told}");
    let down = program.until("/api/v1/feed", "down", |feed| feed["state"] == "down");
    assert_eq!(down["connected"], false);
    assert_eq!(down["outages"].as_array().map(Vec::len), Some(1), "{down}");
    assert_eq!(down["outages"][0]["to_ns"], Value::Null);
    assert_eq!(number(&down["reconnects"]), 1);
    let metrics = program.ask("/metrics");
    assert!(metrics.contains("sandpaper_feed_connected 0"), "{metrics}");
    let market = program.json("/api/v1/market");
    assert_eq!(market["symbols"][0]["status"], "stale");
    // It goes on to try, and has no price from anywhere else.
    let waiting = program.until("/api/v1/feed", "another attempt", |feed| {
        number(&feed["attempts"]) >= number(&down["attempts"]) + 3
    });
    assert_eq!(messages(&waiting), messages(&down));
    let fills = |list: &Value| number(&list["strategies"][0]["fills"]);
    let still = fills(&program.json("/api/v1/strategies"));

    venue.listen();
    program.hears("connected to ws://");
    let back = program.until("/api/v1/feed", "trading again", |feed| {
        feed["state"] == "ok" && messages(feed) > messages(&down) + 50
    });
    assert!(back["outages"][0]["to_ns"].is_string(), "{back}");
    assert!(program.ask("/metrics").contains("sandpaper_feed_connected 1"));
    assert_eq!(program.json("/api/v1/run")["mode"], "live");
    program.until("/api/v1/strategies", "a fill", |list| fills(list) > still);

    let (folder, result) = program.end();
    let log = std::fs::read_to_string(folder.path("logs/system/system.jsonl")).expect("a log");
    let records: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let feed = |text: &str| {
        let said =
            |r: &&Value| r["kind"] == "feed" && r["text"].as_str().unwrap_or("").contains(text);
        records.iter().filter(said).count()
    };
    assert!(feed("no connection to") >= 1, "{log}");
    assert_eq!(feed("connected to"), 2, "{log}");
    // What was missed meanwhile, if more than a snapshot has, is written down too.
    let gaps: u64 = (0..2).map(|at| number(&back["symbols"][at]["gaps"])).sum();
    assert_eq!(feed("were missed") as u64, gaps, "{log}");
    only_the_truth(&folder, &venue.exchange);
    assert_eq!(decided(&result), decided(&replayed(&folder)));
}

/// Every trade of the tape is one of the exchange's, and no price came in the
/// outage.
fn only_the_truth(folder: &Folder, exchange: &Exchange) {
    let tape = Tape::open(&folder.path("live.tape")).expect("a tape");
    assert_eq!(tape.header().venue, "kraken");
    let state = exchange.state();
    let (mut trades, mut outages, mut stale) = (0, 0, [true; 2]);
    // Given whole since it was last marked stale: from then on it follows the venue, while
    // the symbol waits for the trades that it missed.
    let mut whole = [false; 2];
    for block in tape.blocks().expect("readable") {
        let block = block.expect("sound");
        for index in 0..block.len() {
            match block.get(index) {
                EventRef::Trade(trade) => {
                    let place = trade.symbol.index();
                    let print = state.market.books[place].print(trade.id).expect("a true trade");
                    assert_eq!((print.price, print.qty), (trade.price.0, trade.qty.0));
                    trades += 1;
                }
                EventRef::Book { symbol, snapshot, .. } => {
                    whole[symbol.index()] |= snapshot;
                    assert!(whole[symbol.index()], "a change of a book that was not given whole");
                }
                EventRef::Status { symbol, status } => {
                    let now = status == TradingStatus::Stale;
                    outages += usize::from(now && !stale[symbol.index()]);
                    stale[symbol.index()] = now;
                    whole[symbol.index()] &= !now;
                }
                _ => {}
            }
        }
    }
    assert!(trades > 10, "{trades}");
    assert_eq!(outages, 2, "one of each symbol");
}

#[test]
fn add_15_rules_that_change_on_the_way_reach_tape_record_and_replay() {
    let Some(folder) = ready() else { return };
    let venue = Venue::open();
    let program = Program::start(folder, &venue.url());
    let traded = |list: &Value| list["strategies"][0]["fills"].as_u64().is_some_and(|n| n > 0);
    program.until("/api/v1/strategies", "a fill", traded);
    // A thousand coins at least: nobody here can pay for that.
    let minimum = 100_000_000_000;
    for place in 0..2 {
        venue.exchange.state().set_minimum(place, minimum);
    }
    program.hears("the venue's rules changed");
    let refused = |list: &Value| number(&list["strategies"][0]["rejected"]);
    let before = refused(&program.json("/api/v1/strategies"));
    program.until("/api/v1/strategies", "a refusal", |list| refused(list) > before);
    let (folder, result) = program.end();
    let tape = Tape::open(&folder.path("live.tape")).expect("a tape");
    let mut rules = Vec::new();
    for block in tape.blocks().expect("readable") {
        let block = block.expect("sound");
        for index in 0..block.len() {
            if let EventRef::Rules { symbol, rules: new } = block.get(index) {
                rules.push((symbol, new.qty_min));
            }
        }
    }
    assert_eq!(rules, [(SymbolId(0), Qty(minimum)), (SymbolId(1), Qty(minimum))]);
    assert_eq!(decided(&result), decided(&replayed(&folder)));
    let _ =
        folder.run(&["verify", &folder.only_record(), "--unsigned", "--wasm", "of.wasm"]).expect(0);
}
