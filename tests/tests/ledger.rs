//! The ledger of random runs and of the program, checked by hledger: an accounting
//! program that was written by others and knows nothing of this one.
//!
//! `SANDPAPER_LEDGERS` sets how many random runs, `SANDPAPER_SEED` where they begin.

use std::io::Write as _;
use std::process::{Command, Stdio};

use sandpaper_tests::Folder;
use serde_json::Value;

use super::oracle::{Session, number};

/// What `hledger` says of a journal with these arguments, and whether it is content;
/// nothing where it is not installed.
#[allow(clippy::print_stderr, reason = "a skipped test must say so")]
fn hledger(journal: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let mut command = Command::new("hledger");
    command.args(["-f", "-"]).args(arguments);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = piped.spawn() else {
        eprintln!("skipped: hledger is not installed (scripts/setup-tests)");
        return None;
    };
    let mut input = child.stdin.take().expect("piped");
    let copy = journal.to_owned();
    // It may end before it has read everything.
    let feeding = std::thread::spawn(move || drop(input.write_all(copy.as_bytes())));
    let output = child.wait_with_output().expect("it ends");
    feeding.join().expect("no panic");
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[allow(clippy::print_stdout, reason = "the seeds are part of the result")]
#[test]
fn hledger_finds_the_books_of_random_runs_in_order() {
    let (first, count) = (number("SANDPAPER_SEED", 1), number("SANDPAPER_LEDGERS", 10));
    let (mut fills, mut charges) = (0, 0);
    for seed in first..first + count {
        let mut journal = Vec::new();
        let session = Session::run_into(seed, 300, &mut journal);
        let journal = String::from_utf8(journal).expect("plain text");
        let Some((content, said)) = hledger(&journal, &["check", "-s"]) else { return };
        assert!(content, "seed {seed}: {said}");
        fills += session.fills;
        charges += journal.matches("of a short").count();
    }
    println!("seeds {first} to {}: {fills} fills, {charges} charges", first + count - 1);
    assert!(fills > 20 * count && charges > 0, "{fills} fills, {charges} charges");
}

#[test]
fn hledger_control_a_unit_more_or_less_is_found() {
    let mut journal = Vec::new();
    let _session = Session::run_into(2, 300, &mut journal);
    let journal = String::from_utf8(journal).expect("plain text");
    let Some((content, said)) = hledger(&journal, &["check", "-s"]) else { return };
    assert!(content, "{said}");
    let lines: Vec<&str> = journal.lines().collect();
    let last = |what: &str| lines.iter().rposition(|line| line.contains(what)).expect("a line");
    // A fee and a position of a fill, and a balance that is told at the end.
    let cash = last(":cash  0.00000000");
    for at in [last(":fees  0."), last(":positions:X/USD"), cash] {
        let mut changed = lines.clone();
        let digit = changed[at].rfind(|c: char| c.is_ascii_digit()).expect("an amount");
        let other = if changed[at].as_bytes()[digit] == b'9' { "8" } else { "9" };
        let line = [&changed[at][..digit], other, &changed[at][digit + 1..]].concat();
        changed[at] = &line;
        let (content, _) = hledger(&changed.join("\n"), &["check", "-s"]).expect("installed");
        assert!(!content, "{} became {line}", lines[at]);
    }
}

/// A run of the program, its result and its record.
fn run() -> Option<(Folder, Value, String)> {
    let folder = Folder::new();
    folder.allow_guest("market-making", "mm")?;
    let (result, record) = folder.lively_run("3m", &[]);
    Some((folder, result, record))
}

#[test]
fn a_run_is_exported_as_ledger_and_tables() {
    let Some((folder, result, record)) = run() else { return };
    let row = &result["strategies"][0];
    let fills = row["fills"].as_u64().expect("a number");
    assert!(fills > 10, "{row}");
    let export = |arguments: &[&str]| {
        let all = [&["export"], arguments, &[record.as_str()]].concat();
        folder.run(&all).expect(0).stdout
    };

    let journal = export(&["ledger"]);
    assert_eq!(journal.matches("mm fill ").count() as u64, fills);
    if let Some((content, said)) = hledger(&journal, &["check", "-s"]) {
        assert!(content, "{said}");
        let (_, said) = hledger(&journal, &["balance", "mm:cash", "-N"]).expect("installed");
        let cash = row["cash"].as_str().expect("an amount");
        assert!(said.contains(cash), "{cash} is not in {said}");
    }

    let csv = export(&["fills"]);
    assert_eq!(csv.lines().count() as u64, fills + 1, "a header and a row a fill");
    assert!(csv.starts_with("time,strategy,fill,order,symbol,action,quantity,amount,fee"));
    let json: Value = serde_json::from_str(&export(&["fills", "--json"])).expect("JSON");
    assert_eq!(json["schema"], "sandpaper.export/1");
    assert_eq!(json["data"].as_array().map(Vec::len), Some(fills as usize));
    assert_eq!(json["data"][0]["strategy"], "mm");
    let trades: Value =
        serde_json::from_str(&export(&["trades", "--format", "json"])).expect("JSON");
    assert_eq!(trades["data"].as_array().map(|rows| rows.len() as u64), row["trades"].as_u64());
    let orders = export(&["orders"]);
    for event in ["sent new", "filled"] {
        assert!(orders.contains(&format!(",{event},")), "no {event}: {orders}");
    }
    assert!(export(&["equity"]).lines().count() > 10);
    assert_eq!(export(&["ledger", "--strategy", "mm"]), journal);

    // What it does not have, and what stands in the way.
    let wrong: &[(&[&str], i32)] = &[
        (&["ledger", "--format", "csv"], 2),
        (&["fills", "--format", "hledger"], 2),
        (&["fills", "--strategy", "none"], 2),
        (&["fills", "--out", "strategies.lock"], 1),
    ];
    for (arguments, code) in wrong {
        folder.run(&[&["export"], *arguments, &[record.as_str()]].concat()).expect(*code);
    }
    folder.run(&["export", "fills", "--out", "fills.csv", &record]).expect(0);
    assert_eq!(std::fs::read_to_string(folder.path("fills.csv")).expect("a file"), csv);
}
