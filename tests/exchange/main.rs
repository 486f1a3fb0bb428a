//! `make exchange`: the fake exchange on loopback, to try the live path without
//! a network.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sandpaper_tests::exchange::market::{MarketConfig, PAIRS};
use sandpaper_tests::exchange::random::Random;
use sandpaper_tests::exchange::{Exchange, Fault, Place, serve_tcp};
use tokio::net::TcpListener;
use tokio::time;

/// Books of each pair that are remembered: nobody asks for them here.
const BOOKS_KEPT: usize = 16;

/// A fake exchange on loopback that speaks Kraken's WebSocket API v2.
#[derive(Parser)]
struct Arguments {
    /// port to listen on; any free one by default
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// seed of the market and of the faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// seconds after which it stops; runs until Ctrl-C by default
    #[arg(long, value_parser = seconds)]
    duration: Option<u64>,
    /// do something wrong every so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    faults: Option<u64>,
}

/// Seconds, also as `90s`, `5m` or `1h`.
fn seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let factor = match unit {
        "h" => 3_600,
        "m" => 60,
        _ => 1,
    };
    let number: u64 = number.parse().map_err(|_| "write it as 90, 90s, 5m or 1h".to_owned())?;
    number.checked_mul(factor).filter(|&seconds| seconds > 0).ok_or_else(|| "out of range".into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("the exchange cannot listen: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", arguments.port)).await?;
    let port = listener.local_addr()?.port();
    let start = jiff::Timestamp::now().as_nanosecond();
    let config = MarketConfig {
        seed: arguments.seed,
        pairs: PAIRS.len(),
        rate_hz: 20,
        levels: 1_100,
        trades_kept: 1_000,
        start: i64::try_from(start).unwrap_or_default(),
    };
    let exchange = Exchange::new(config, BOOKS_KEPT);
    println!("ws://127.0.0.1:{port}");
    println!("sandpaper run --feed kraken --url ws://127.0.0.1:{port}");
    let end = async {
        match arguments.duration {
            Some(seconds) => time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        result = serve_tcp(exchange.clone(), listener) => result,
        () = misbehave(&exchange, arguments) => Ok(()),
        () = end => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Does something wrong now and then, and says what.
async fn misbehave(exchange: &Exchange, arguments: &Arguments) {
    let Some(seconds) = arguments.faults else { return std::future::pending().await };
    let mut random = Random::new(arguments.seed, "misbehave");
    let faults: Vec<Fault> =
        Fault::ALL.into_iter().filter(|fault| fault.place() != Place::Link).collect();
    let mut tick = time::interval(Duration::from_secs(seconds));
    tick.tick().await;
    loop {
        tick.tick().await;
        exchange.state().end_faults();
        let fault = random.pick(&faults);
        println!("fault: {fault:?}");
        exchange.state().begin(fault, 0);
    }
}
