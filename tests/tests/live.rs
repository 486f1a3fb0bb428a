//! The program on a live market: the fake exchange, on loopback.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::Stdio;
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

#[test]
fn add_13_a_recorded_live_run_replays_to_the_same_chain() {
    let Some(folder) = ready() else { return };
    let venue = venue();
    let more = ["--symbols", "BTC/USD,ETH/USD", "--duration", "4s", "--record", "live.tape"];
    let run = folder.run(&live(&venue.url, &more)).expect(0);
    assert!(run.stderr.contains("recorded"), "{}", run.stderr);
    let run: Value = serde_json::from_str(&run.stdout).expect("JSON");
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
    let more = ["--symbols", "BTC/USD,ETH/USD", "--duration", "3s", "--record", "live.tape"];
    let _ = folder.run(&live(&venue.url, &more)).expect(0);
    let tape = sandpaper::feed::tape::Tape::open(&folder.path("live.tape")).expect("a tape");
    let blocks = tape.blocks().expect("readable").map(|block| block.expect("sound"));
    let taped: Vec<Event> = blocks.flat_map(|block| events(&block)).collect();
    let runs = std::fs::read_dir(folder.path("runs")).expect("runs");
    let run = runs.map(|run| run.expect("a run").path()).find(|path| path.is_dir());
    let seen = recorded_events(&run.expect("a record"));
    assert!(seen.len() > 100, "{}", seen.len());
    assert!(taped == seen, "{} on the tape, {} in the record", taped.len(), seen.len());
}

#[test]
fn the_record_verb_makes_a_tape_without_a_strategy() {
    let folder = Folder::new();
    let venue = venue();
    let mut arguments = vec!["record", "--feed", "kraken", "--url", &venue.url, "--out", "x.tape"];
    arguments.extend(["--symbols", "BTC/USD", "--duration", "2s", "--json"]);
    let recorded = folder.run(&arguments).expect(0);
    let summary: Value = serde_json::from_str(&recorded.stdout).expect("JSON");
    let tape = sandpaper::feed::tape::Tape::open(&folder.path("x.tape")).expect("a tape");
    assert_eq!(summary["totals"]["events"].as_u64(), Some(tape.totals().events));
    assert!(tape.totals().books > 10, "{:?}", tape.totals());
}

#[test]
fn med_008_an_unknown_symbol_ends_the_start_and_names_near_ones() {
    let Some(folder) = ready() else { return };
    let venue = venue();
    let wrong = folder.run(&live(&venue.url, &["--symbols", "XBT/USD"])).expect(6);
    assert!(wrong.stderr.contains("no symbol XBT/USD; did you mean BTC/USD"), "{}", wrong.stderr);
    // The mapping table makes a name of our own one of the venue's.
    let mapped = ["--symbols", "XBT/USD", "--duration", "1s"];
    let mut arguments = live(&venue.url, &mapped);
    arguments.extend(["--set", "feed.symbols.XBT/USD=BTC/USD"]);
    folder.run(&arguments).expect(0);
}

#[test]
fn low_004_a_depth_that_the_venue_does_not_offer_is_refused() {
    let Some(folder) = ready() else { return };
    let venue = venue();
    let more = ["--symbols", "BTC/USD", "--duration", "1s", "--set", "feed.book_depth=11"];
    let wrong = folder.run(&live(&venue.url, &more)).expect(3);
    assert!(wrong.stderr.contains("10, 25, 100, 500 and 1000"), "{}", wrong.stderr);
}

#[test]
fn add_10_a_failed_feed_never_becomes_simulated() {
    let Some(folder) = ready() else { return };
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let failed = folder.run(&live(&url, &["--duration", "2s"])).expect(6);
    assert!(failed.stderr.contains("waiting for it"), "{}", failed.stderr);
    assert!(failed.stdout.is_empty(), "no result: {}", failed.stdout);
}

#[test]
fn high_007_an_interrupt_ends_a_run_whose_feed_is_stuck() {
    let Some(folder) = ready() else { return };
    // It accepts, by the backlog, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}", silent.local_addr().expect("an address"));
    let mut child = folder
        .command(&live(&url, &[]))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
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
