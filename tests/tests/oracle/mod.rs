//! The engine against a second implementation of its rules, in Python and in exact
//! fractions (`tests/oracle/oracle.py`). Random markets and random orders go to
//! both; what comes of them must be equal to the last unit: every acceptance,
//! refusal, fill and cancellation, and cash, positions, fees, charges, realized
//! profit, equity and drawdown.
//!
//! `SANDPAPER_ORACLE_ORDERS` sets how many orders, `SANDPAPER_SEED` where the
//! sessions begin.

mod market;
mod outcome;
mod trader;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use sandpaper_tests::repository;

pub use trader::Session;

/// Orders of one session; each has its own costs, limits and instruments.
const ORDERS_EACH: u64 = 500;

/// A number of the environment, or this one.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What the oracle makes of a stream.
fn ask(stream: &str, broken: Option<&str>) -> String {
    let mut command = Command::new("python3");
    command.arg(repository::root().join("tests/oracle/oracle.py"));
    if let Some(rule) = broken {
        command.args(["--break", rule]);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs: the tests of other languages need it too");
    let mut input = child.stdin.take().expect("piped");
    let copy = stream.to_owned();
    let feeding = std::thread::spawn(move || input.write_all(copy.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    // An oracle that stops early reads no further: its exit code says so below.
    let _fed = feeding.join().expect("no panic");
    assert!(output.status.success(), "the oracle failed");
    String::from_utf8(output.stdout).expect("plain text")
}

/// The first line in which both differ, with what led to it.
fn difference(session: &Session, oracle: &str) -> Option<String> {
    let (mut ours, mut theirs) = (session.outcome.lines(), oracle.lines());
    let mut line = 0;
    loop {
        line += 1;
        match (ours.next(), theirs.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => {
                let mut text = format!("seed {}, outcome {line}:\n", session.seed);
                let before: Vec<_> = session.outcome.lines().take(line - 1).collect();
                for told in &before[before.len().saturating_sub(6)..] {
                    let _ = writeln!(text, "         {told}");
                }
                let _ = writeln!(text, "  engine {a:?}\n  oracle {b:?}");
                return Some(text);
            }
        }
    }
}

#[allow(clippy::print_stdout, reason = "the seed and how much was tried are part of the result")]
#[test]
fn the_engine_equals_the_oracle_to_the_last_unit() {
    let wanted = number("SANDPAPER_ORACLE_ORDERS", 100_000);
    let mut seed = number("SANDPAPER_SEED", 1);
    println!("the first session has seed {seed}");
    let (mut orders, mut fills, mut sessions) = (0, 0, 0);
    while orders < wanted {
        // Some sessions at a time, so that the oracle starts seldom and the
        // stream stays small.
        let chunk: Vec<Session> = (0..50).map(|n| Session::run(seed + n, ORDERS_EACH)).collect();
        let stream: String = chunk.iter().map(|session| session.stream.as_str()).collect();
        let answer = ask(&stream, None);
        let mut rest = answer.lines();
        for session in &chunk {
            let own: Vec<&str> = rest.by_ref().take_while(|line| *line != "end").collect();
            if let Some(text) = difference(session, &own.join("\n")) {
                panic!("{text}{}", session.around());
            }
            orders += session.orders;
            fills += session.fills;
            sessions += 1;
        }
        seed += 50;
    }
    println!("{sessions} sessions, {orders} orders, {fills} fills: all equal");
    assert!(fills * 5 > orders, "too little of it trades: {fills} fills of {orders} orders");
}

#[test]
fn the_oracle_sees_every_rule_that_is_changed() {
    let rules = [
        "round-for-the-trader",
        "round-fees-down",
        "spend-shorts",
        "charge-once",
        "entry-side",
        "endless-level",
        "taken-twice",
        "more-leverage",
        "front-of-the-queue",
        "cost-share",
        "old-trades",
        "twice-told",
        "cancels-at-once",
        "overtaking",
        "recorded-in-order",
        "named-is-new",
        "own-side",
        "good-for-ever",
        "prints-are-forgotten",
        "bracket-of-the-limit",
        "shrink-to-nothing",
        "drawdown-from-the-start",
        "limits-wait-for-the-call",
        "first-tier-for-ever",
        "volume-for-ever",
        "one-currency",
        "costs-down",
        "rules-of-the-start",
    ];
    let sessions: Vec<Session> = (1..=120).map(|seed| Session::run(seed, 150)).collect();
    // Most show within some sessions; a rule that is seldom needed meets more of them.
    let chunks: Vec<(String, String)> = sessions
        .chunks(8)
        .map(|chunk| {
            let stream = chunk.iter().map(|session| session.stream.as_str()).collect();
            (stream, chunk.iter().map(|s| format!("{}end\n", s.outcome)).collect())
        })
        .collect();
    for (stream, outcome) in &chunks {
        // Not `assert_eq`, which would print all of it.
        assert!(ask(stream, None) == *outcome, "the rules as they are");
    }
    for rule in rules {
        let seen = chunks.iter().any(|(stream, outcome)| ask(stream, Some(rule)) != *outcome);
        assert!(seen, "nothing shows that {rule} is wrong");
    }
}
