//! The list of runs, and what is said of one that is on.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use sandpaper_tests::Folder;
use serde_json::Value;

use crate::restart::{RUN, untell_the_end};

fn listed(folder: &Folder) -> Vec<Value> {
    let finished = folder.run(&["runs", "--json"]).expect(0);
    let list: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!(list["schema"], "sandpaper.runs/1");
    list["data"].as_array().expect("a list").clone()
}

#[test]
fn high_004_every_run_is_listed_with_what_became_of_it() {
    let folder = Folder::new();
    assert_eq!(listed(&folder), [0; 0].map(Value::from), "no folder of runs is no error");
    if folder.allow_guest("market-making", "mm").is_none() {
        return;
    }
    folder.run(RUN).expect(0);
    let run = folder.runs().remove(0);
    let row = listed(&folder).remove(0);
    assert_eq!((&row["status"], &row["restarts"]), (&"ended".into(), &0.into()));
    assert_eq!(row["strategies"], serde_json::json!(["mm"]));
    assert!(row["events"].as_u64() > Some(0) && row["results"][0]["equity"].is_string(), "{row}");
    // As a kill leaves it: the word of the end is gone.
    untell_the_end(&run);
    let last = sandpaper_tests::repository::files(&run, ".journal").pop().expect("a segment");
    let bytes = std::fs::read(&last).expect("a segment");
    std::fs::write(&last, &bytes[..bytes.len() * 3 / 4]).expect("cut");
    assert_eq!(listed(&folder)[0]["status"], "cut");
    folder.run(RUN).expect(0);
    let row = listed(&folder).remove(0);
    assert_eq!((&row["status"], &row["restarts"]), (&"recovered".into(), &1.into()));
    // What is no record is a row with its reason, and hides no other.
    folder.write("runs/20990101T000000Z-none/00000001.journal", vec![7_u8; 4096]);
    let rows = listed(&folder);
    assert_eq!((rows.len(), &rows[0]["status"]), (2, &"unreadable".into()));
    assert!(rows[0]["problem"].as_str().is_some_and(|why| !why.is_empty()), "{}", rows[0]);
}

#[test]
fn a_run_that_is_on_is_said_to_be_and_a_closed_terminal_ends_it_in_order() {
    let folder = Folder::new();
    if folder.allow_guest("market-making", "mm").is_none() {
        return;
    }
    let mut command = folder.command(&["run", "--no-dashboard"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let mut said = String::new();
    while !said.contains("mm on") {
        assert!(log.read_line(&mut said).expect("a log") > 0, "it ended early: {said}");
    }
    // The first record follows the line; wait for that and not for a time.
    while listed(&folder).is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(listed(&folder)[0]["status"], "running");
    let run = folder.runs().remove(0);
    let verified = folder.run(&["verify", run.to_str().expect("a plain path"), "--json"]).expect(0);
    assert!(verified.stdout.contains("\"status\":\"running\""), "{}", verified.stdout);
    // A terminal that closes may tell twice.
    for _ in 0..2 {
        let _ = kill_process(Pid::from_child(&child), Signal::HUP);
    }
    log.read_to_string(&mut said).expect("a log");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{said}");
    assert_eq!(listed(&folder)[0]["status"], "ended");
}
