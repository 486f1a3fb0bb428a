//! The program on a live market: the fake exchange, on loopback.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sandpaper::domain::InstrumentTable;
use sandpaper::input::InputBlock;
use sandpaper::journal::{Inputs, Kind, Manifest, Scanner, decode};
use sandpaper::recorder::segments;
use sandpaper_tests::exchange::market::MarketConfig;
use sandpaper_tests::exchange::{Exchange, serve_tcp};
use sandpaper_tests::{Folder, repository};
use serde_json::Value;

/// An exchange on a thread of its own, until it is dropped; its address.
pub struct Venue {
    pub url: String,
    pub exchange: Exchange,
    _runtime: tokio::runtime::Runtime,
}

pub fn venue() -> Venue {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("non-blocking");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    let start = 1_790_000_000_000_000_000;
    let config = MarketConfig { rate_hz: 50, start, ..MarketConfig::default() };
    let exchange = Exchange::new(config, 16);
    let market = exchange.clone();
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        serve_tcp(market, listener).await
    });
    Venue { url, exchange, _runtime: runtime }
}

fn ready() -> Option<Folder> {
    let module = repository::guest("order-flow")?;
    let folder = Folder::new();
    folder.write("of.wasm", std::fs::read(module).expect("readable"));
    Some(folder)
}

fn live<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["run", "--feed", "kraken", "--url", url, "--json"];
    arguments.extend(["--wasm", "of.wasm", "--unsigned"]);
    arguments.extend_from_slice(more);
    arguments
}

/// Runs until a line of the log is enough, then interrupts; its standard output. No
/// length of time would be right on every machine.
#[track_caller]
fn run_until(folder: &Folder, arguments: &[&str], enough: impl Fn(&str) -> bool) -> String {
    let mut command = folder.command(arguments);
    command.args(["--set", "run.status_every=1s"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let (mut text, mut line) = (String::new(), String::new());
    while !enough(&line) {
        line.clear();
        assert!(log.read_line(&mut line).expect("a log") > 0, "it ended early: {text}");
        text.push_str(&line);
    }
    let _ = kill_process(Pid::from_child(&child), Signal::INT);
    log.read_to_string(&mut text).expect("a log");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{text}");
    String::from_utf8(output.stdout).expect("text")
}

/// The number before a word in a line of the log: `1,375 ticks`.
fn number_of(line: &str, word: &str) -> u64 {
    let before = line.split(word).next().filter(|before| before.len() < line.len());
    let number = before.and_then(|before| before.split_whitespace().last());
    number.and_then(|number| number.replace(',', "").parse().ok()).unwrap_or(0)
}

#[test]
fn add_13_a_recorded_live_run_replays_to_the_same_chain() {
    let Some(folder) = ready() else { return };
    let venue = venue();
    let more = ["--symbols", "BTC/USD,ETH/USD", "--record", "live.tape"];
    let enough = |line: &str| number_of(line, "ticks,") > 600;
    let run = run_until(&folder, &live(&venue.url, &more), enough);
    let run: Value = serde_json::from_str(&run).expect("JSON");
    let symbols = ["--symbols", "BTC/USD,ETH/USD", "--json"];
    let mut arguments = vec!["replay", "live.tape", "--wasm", "of.wasm", "--unsigned"];
    arguments.extend(symbols);
    let replay: Value =
        serde_json::from_str(&folder.run(&arguments).expect(0).stdout).expect("JSON");
    assert!(run["events"].as_u64() > Some(100), "{run}");
    assert_eq!(run["events"], replay["events"]);
    // How the events were cut into calls differs, and with it the fuel; nothing
    // that was decided does.
    let decided = |result: &Value| {
        let mut strategy = result["strategies"][0].clone();
        for of_calls in ["calls", "fuel", "sandbox"] {
            strategy.as_object_mut().expect("an object").remove(of_calls).expect("a value");
        }
        strategy
    };
    assert!(run["strategies"][0]["chain"].is_string(), "{run}");
    assert_eq!(decided(&run), decided(&replay));
    // Candles from before the start are in it: ADD-13.
    let tape = sandpaper::feed::tape::Tape::open(&folder.path("live.tape")).expect("a tape");
    assert!(tape.totals().candles > 20, "{:?}", tape.totals());
    assert!(tape.totals().trades > 0 && tape.totals().books > 50, "{:?}", tape.totals());
}

/// An event with both of its times.
type Event = (Vec<u64>, i64);

fn events(block: &InputBlock) -> Vec<Event> {
    let mut rest = block.exact_words();
    (0..block.len())
        .map(|index| {
            let (event, tail) = rest.split_at(block.header(index).words().expect("a known event"));
            rest = tail;
            (event.to_vec(), block.ts_exchange(index).0)
        })
        .collect()
}

/// What the engine was given, as the run's record has it.
fn recorded_events(run: &std::path::Path) -> Vec<Event> {
    recorded_blocks(run).iter().flat_map(events).collect()
}

/// The same as blocks.
pub fn recorded_blocks(run: &std::path::Path) -> Vec<InputBlock> {
    let (mut scanner, mut records) = (Scanner::default(), Vec::new());
    let paths = segments(run).expect("segments");
    for (index, path) in paths.iter().enumerate() {
        let bytes = std::fs::read(path).expect("readable");
        let last = index + 1 == paths.len();
        scanner.segment(&bytes, last, |record| records.push(record)).expect("sound");
    }
    let manifest: Manifest = decode(&records[0].payload).expect("a manifest");
    let table = InstrumentTable::new(manifest.instruments);
    let inputs = records.iter().filter(|record| record.kind == Kind::Inputs);
    inputs
        .map(|record| {
            let part: Inputs = decode(&record.payload).expect("inputs");
            let mut block = InputBlock::new(&table, part.first_seq);
            part.unpack(&mut block).expect("sound");
            block
        })
        .collect()
}

#[test]
fn add_13_the_tape_of_a_live_run_is_what_its_engine_saw_event_for_event() {
    let Some(folder) = ready() else { return };
    let venue = venue();
    let more = ["--symbols", "BTC/USD,ETH/USD", "--record", "live.tape"];
    let enough = |line: &str| number_of(line, "ticks,") > 600;
    run_until(&folder, &live(&venue.url, &more), enough);
    let tape = sandpaper::feed::tape::Tape::open(&folder.path("live.tape")).expect("a tape");
    let blocks = tape.blocks().expect("readable").map(|block| block.expect("sound"));
    let taped: Vec<Event> = blocks.flat_map(|block| events(&block)).collect();
    let seen = recorded_events(&folder.only_run());
    assert!(seen.len() > 100, "{}", seen.len());
    assert!(taped == seen, "{} on the tape, {} in the record", taped.len(), seen.len());
}

#[test]
fn the_record_verb_makes_a_tape_without_a_strategy() {
    let folder = Folder::new();
    let venue = venue();
    let mut arguments = vec!["record", "--feed", "kraken", "--url", &venue.url, "--out", "x.tape"];
    arguments.extend(["--symbols", "BTC/USD", "--json"]);
    let recorded = run_until(&folder, &arguments, |line| number_of(line, "book changes") > 10);
    let summary: Value = serde_json::from_str(&recorded).expect("JSON");
    let tape = sandpaper::feed::tape::Tape::open(&folder.path("x.tape")).expect("a tape");
    assert_eq!(summary["totals"]["events"].as_u64(), Some(tape.totals().events));
    assert!(tape.totals().books > 10, "{:?}", tape.totals());
}

#[test]
fn med_008_an_unknown_symbol_ends_the_start_and_names_near_ones() {
    let Some(folder) = ready() else { return };
    let venue = venue();
    let wrong = folder.run(&live(&venue.url, &["--symbols", "XBT/USD"])).expect(6);
    assert!(wrong.stderr.contains("no symbol XBT/USD (did you mean BTC/USD?)"), "{}", wrong.stderr);
    // The mapping table makes a name of our own one of the venue's.
    let mut arguments = live(&venue.url, &["--symbols", "XBT/USD"]);
    arguments.extend(["--set", "feed.symbols.XBT/USD=BTC/USD"]);
    run_until(&folder, &arguments, |line| number_of(line, "ticks,") > 10);
}

#[test]
fn low_004_a_depth_that_the_venue_does_not_offer_is_refused() {
    let Some(folder) = ready() else { return };
    let venue = venue();
    let more = ["--symbols", "BTC/USD", "--duration", "1s", "--set", "feed.book_depth=11"];
    let wrong = folder.run(&live(&venue.url, &more)).expect(3);
    assert!(wrong.stderr.contains("10, 25, 100, 500 and 1000"), "{}", wrong.stderr);
}

/// An address at which nobody listens.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// Runs until the log has this, then interrupts, which ends the run well and without
/// a result: on a market that never came nothing was traded.
#[track_caller]
fn waits(folder: &Folder, url: &str, text: &str) {
    let (mut child, mut log) = piped(folder, &live(url, &["--symbols", "BTC/USD"]));
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(log.read_line(&mut line).expect("a log") > 0, "it ended without {text}");
    }
    let _ = kill_process(Pid::from_child(&child), Signal::INT);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

fn piped(folder: &Folder, arguments: &[&str]) -> (Child, BufReader<ChildStderr>) {
    let mut command = folder.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let log = BufReader::new(child.stderr.take().expect("piped"));
    (child, log)
}

#[test]
fn add_10_a_failed_feed_never_becomes_simulated() {
    let Some(folder) = ready() else { return };
    let url = format!("ws://{}", closed());
    waits(&folder, &url, "Connection refused (os error 111)): waiting for it");
    let failed = folder.run(&live(&url, &["--duration", "1s"])).expect(6);
    let error = format!("error: no connection to {url} within run.duration: ");
    assert!(failed.stderr.contains(&error), "{}", failed.stderr);
    assert!(failed.stdout.is_empty(), "no result: {}", failed.stdout);
}

/// Venues that refuse, as a proxy does with too many; that are none; that have no name.
#[test]
fn add_10_whatever_the_venue_fails_with_is_said_and_waited_for() {
    let Some(folder) = ready() else { return };
    let venue = venue();
    let secure = venue.url.replace("ws:", "wss:");
    waits(&folder, &secure, "(no TLS is spoken there, which ws:// goes without): waiting for it");
    // Too long to be asked for, so that no name server decides how long this takes.
    let name = "x".repeat(64);
    let unknown = format!("(the name {name} cannot be looked up: ");
    waits(&folder, &format!("ws://{name}"), &unknown);
    venue.exchange.state().begin(sandpaper_tests::exchange::Fault::RefuseHandshake, 0);
    waits(&folder, &venue.url, "(the venue answers 503 Service Unavailable): waiting for it");
}

#[test]
fn high_007_an_interrupt_ends_a_run_whose_feed_is_stuck() {
    let Some(folder) = ready() else { return };
    // It accepts, by the backlog, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}", silent.local_addr().expect("an address"));
    let (mut child, mut log) = piped(&folder, &live(&url, &[]));
    let mut line = String::new();
    while !line.contains("for what it trades") {
        line.clear();
        assert!(log.read_line(&mut line).expect("a log") > 0, "it ended early");
    }
    #[allow(clippy::disallowed_methods, reason = "how long the end takes is what is tested")]
    let asked = Instant::now();
    let _ = kill_process(Pid::from_child(&child), Signal::INT);
    let status = child.wait().expect("it ends");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(status.code(), Some(0));
}

/// What is typed wrong ends the start with one message that says what to do.
#[test]
fn med_008_what_is_typed_wrong_is_said_in_one_message() {
    let Some(folder) = ready() else { return };
    let venue = venue();
    let cases: [(&str, &[&str], i32, &str); 8] = [
        ("http://127.0.0.1:1", &[], 3, "begins with neither wss:// nor ws://"),
        ("127.0.0.1:1", &[], 3, "is not an address such as wss://"),
        (&venue.url, &["--symbols", "btc/usd"], 6, "btc/usd (did you mean BTC/USD?)"),
        (&venue.url, &["--symbols", "SHIB"], 6, "SHIB (did you mean SHIB/USD?)"),
        (&venue.url, &["--symbols", "XRP"], 6, "XRP (did you mean XRP/BTC or XRP/USD?)"),
        (
            &venue.url,
            &["--symbols", "XBT/USD,ABCDE/JPY"],
            6,
            "XBT/USD (did you mean BTC/USD?); Kraken has no symbol ABCDE/JPY, and none of its 8",
        ),
        (
            &venue.url,
            &["--symbols", "BTC/USD,XBT/USD", "--set", "feed.symbols.XBT/USD=BTC/USD"],
            3,
            "BTC/USD and XBT/USD are both Kraken's BTC/USD",
        ),
        (&venue.url, &["--symbols", "BTC/USD,BTC/USD"], 3, "must be a list of different entries"),
    ];
    for (url, more, code, message) in cases {
        let wrong = folder.run(&live(url, more)).expect(code);
        let errors: Vec<&str> =
            wrong.stderr.lines().filter(|line| line.starts_with("error")).collect();
        assert!(errors.len() == 1 && errors[0].contains(message), "{more:?}: {}", wrong.stderr);
        assert!(wrong.stdout.is_empty(), "no result: {}", wrong.stdout);
    }
    // An address without a venue must not lead to a simulated run.
    let mut arguments = live(&venue.url, &[]);
    arguments.drain(1..3);
    let wrong = folder.run(&arguments).expect(2);
    assert!(wrong.stderr.contains("try: name the venue too: --feed kraken"), "{}", wrong.stderr);
}

#[test]
fn a_tape_that_is_there_is_replaced_only_on_demand() {
    let Some(folder) = ready() else { return };
    // No venue is asked before the name of the tape is known to be free.
    let url = "ws://127.0.0.1:1";
    let record = ["record", "--feed", "kraken", "--url", url, "--out", "x.tape"];
    let run = live(url, &["--record", "x.tape"]);
    folder.write("x.tape", "precious");
    for arguments in [&record[..], &run] {
        let refused = folder.run(arguments).expect(2);
        assert!(refused.stderr.contains("x.tape is there already"), "{}", refused.stderr);
        assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    }
    let read = || std::fs::read(folder.path("x.tape")).expect("a file");
    assert_eq!(read(), b"precious");
    let venue = venue();
    let mut forced = vec!["record", "--feed", "kraken", "--url", &venue.url, "--out", "x.tape"];
    forced.extend(["--force", "--symbols", "BTC/USD"]);
    run_until(&folder, &forced, |line| line.contains("recorded so far"));
    assert_ne!(read(), b"precious");
    let nowhere = ["record", "--feed", "kraken", "--url", url, "--out", "none/x.tape"];
    let refused = folder.run(&nowhere).expect(2);
    assert!(refused.stderr.contains("there is no folder none"), "{}", refused.stderr);
}
