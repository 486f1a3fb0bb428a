//! Ended by a signal: in order, in time, and with all of it kept.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::*;

const LONGEST: Duration = Duration::from_secs(5);

/// A run with logs that a signal ends after some fills.
#[allow(clippy::disallowed_methods, reason = "how long an end takes is what is tested")]
fn ended_by(folder: &Folder, signal: Signal, speed: &str) -> (Option<i32>, Shown, Duration) {
    let (mut child, log) = start(folder, &trading(folder, speed, &[]));
    let pid = Pid::from_child(&child);
    let mut asked = None;
    let (shown, _) = read_log(log, 40, || {
        asked = Some(Instant::now());
        kill_process(pid, signal).expect("a process");
    });
    let status = child.wait().expect("it ends");
    (status.code(), shown, asked.expect("it traded").elapsed())
}

#[test]
fn high_004_b14_a_signal_ends_a_run_in_order_within_five_seconds() {
    for (signal, speed) in
        [Signal::TERM, Signal::INT].into_iter().flat_map(|s| [(s, "0"), (s, "20")])
    {
        let folder = ready(3);
        let (code, shown, took) = ended_by(&folder, signal, speed);
        assert_eq!(code, Some(0), "{signal:?}");
        assert!(took < LONGEST, "{signal:?}: {took:?}");
        let kept = prove(&folder, &take_run(&folder).expect("a run"), &shown).expect("all of it");
        assert!(kept.ended, "{signal:?}: the record tells of the end");
        // Every queue is drained: what is kept was shown, and is in every log.
        assert_eq!(kept.fill_count(), count(&shown) as u64);
        let trades = rotation::records(&folder, "trades", "trades");
        let fills = trades.iter().filter(|record| record["kind"] == "fill").count();
        assert_eq!(fills, count(&shown));
        let system = rotation::records(&folder, "system", "system");
        assert_eq!(system.last().expect("records")["kind"], "run-ended");
        rotation::whole(&rotation::records(&folder, "aggregated", "aggregated")).expect("in order");
    }
}

#[test]
fn b14_a_kill_leaves_a_run_cut() {
    let folder = ready(3);
    let (code, shown, _) = ended_by(&folder, Signal::KILL, "20");
    assert_eq!(code, None);
    let kept = prove(&folder, &take_run(&folder).expect("a run"), &shown).expect("all of it");
    assert!(!kept.ended, "the control: nothing told of an end");
}
