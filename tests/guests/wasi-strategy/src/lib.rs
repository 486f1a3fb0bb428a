//! A strategy that uses the standard library as a program does: hash maps with
//! random keys, the clocks, sleep, print, environment and files. What it finds
//! it prints, and a test reads its log.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what it is not given in its sandbox is what it asks for"
)]

use std::collections::HashMap;
use std::fs::{self, File};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use strategy_sdk::prelude::*;

/// Buys and sells by the order of a hash map, which the run's seed decides.
#[derive(Serialize, Deserialize)]
pub struct WasiStrategy {
    probe: String,
}

impl Strategy for WasiStrategy {
    fn describe() -> Description {
        description!().trades().text("probe", "", "what to try in `start`")
    }

    fn new(ctx: &mut Context) -> Result<Self, String> {
        let probe: String = ctx.param("probe")?;
        try_out(&probe);
        Ok(Self { probe })
    }

    fn on_trade(&mut self, ctx: &mut Context, trade: &Trade) {
        // Each map has keys of its own, so that each has another order.
        let shuffled: HashMap<u64, f64> = (0..8).map(|key| (key, trade.price)).collect();
        let first = shuffled.keys().next().copied().unwrap_or(0);
        println!("trade {} at {} s: first key {first}", trade.id, since_epoch().as_secs());
        if self.probe == "fault" {
            eprintln!("about to leave");
            std::process::exit(3);
        }
        let symbol = trade.symbol;
        if ctx.has_open_order(symbol) {
            return;
        }
        // A refusal leaves the position as it was, and the next trade asks anew.
        if ctx.position(symbol).is_flat() && first % 2 == 0 {
            ctx.buy(symbol, Size::base(1.0)).send().ok();
        } else if ctx.position(symbol).is_long() && first % 2 == 1 {
            ctx.sell(symbol, Size::All).send().ok();
        }
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn try_out(probe: &str) {
    match probe {
        "sleep" => sleep(),
        "surroundings" => surroundings(),
        "files" => files(),
        "random" => drain_random(),
        "print" => println!("{}", "x".repeat(10_000)),
        _ => println!("started at {} s", since_epoch().as_secs()),
    }
}

fn sleep() {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    let (before, start) = (Instant::now(), SystemTime::now());
    std::thread::sleep(1_000 * YEAR);
    println!("slept, {:?} passed", before.elapsed());
    println!("and {:?}", start.elapsed().ok());
}

fn surroundings() {
    println!("{} variables", std::env::vars().count());
    println!("{} arguments", std::env::args().count());
    let mut line = String::new();
    println!("{:?} bytes of input", std::io::stdin().read_line(&mut line).ok());
    println!("{} processors", std::thread::available_parallelism().map_or(1, usize::from));
    eprint!("a warning");
}

fn files() {
    println!("open: {}", File::open("/etc/passwd").is_ok());
    println!("create: {}", File::create("out.txt").is_ok());
    println!("list: {}", fs::read_dir("/").is_ok());
}

/// Hash maps without end, each with keys of its own.
fn drain_random() {
    loop {
        let map = HashMap::from([(Instant::now(), 1)]);
        std::hint::black_box(&map);
    }
}

export!(WasiStrategy);
