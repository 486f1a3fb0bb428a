//! `make bench`: frames of a venue to events (alone with the argument `feed`), and
//! native against sandboxed strategies on the generated market, in one run, so that
//! the ratio holds on a noisy machine.
//!
//! Time is CPU time of the engine's thread, without reading the tape. Native and
//! sandboxed take turns; medians are shown.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

mod feed;

use std::ops::ControlFlow;
use std::path::PathBuf;

use rustix::time::{ClockId, clock_gettime};
use sandpaper::engine::EngineConfig;
use sandpaper::execution::Model;
use sandpaper::feed::import::{ImportOptions, import};
use sandpaper::strategy::Strategy;
use sandpaper_tests::lanes::{Recording, Sandboxed, native};
use sandpaper_tests::repository;

/// Rounds of each measurement.
const ROUNDS: usize = 5;

/// Events of the measurements with many strategies, of two million.
const EVENTS_OF_MANY: usize = 200_000;

fn main() {
    feed::measure();
    if std::env::args().any(|argument| argument == "feed") {
        return;
    }
    let (Some(market), Some(modules)) = (repository::market("trades_1.csv"), modules()) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tape = folder.path().join("t.tape");
    import(&market, &tape, &ImportOptions::default(), &mut |_| ControlFlow::Continue(()))
        .expect("the market is a recording");
    let recording = Recording::read(&tape);
    println!("{} events; ns of engine CPU for each event and strategy\n", recording.events());
    println!("workload  strategies    native  sandboxed   ratio   sandboxed events/CPU s");
    for (name, path) in &modules {
        let module = Sandboxed::load(path);
        measure(&recording, name, &module, 1);
    }
    let mut few = recording;
    let mut kept = 0;
    few.blocks.retain(|block| {
        kept += block.len();
        kept <= EVENTS_OF_MANY
    });
    for (name, path) in &modules {
        let module = Sandboxed::load(path);
        measure(&few, name, &module, 50);
    }
}

fn modules() -> Option<Vec<(&'static str, PathBuf)>> {
    ["s1", "s2", "s3"].into_iter().map(|name| Some((name, repository::workload(name)?))).collect()
}

fn measure(recording: &Recording, name: &str, module: &Sandboxed, count: usize) {
    let (mut natives, mut sandboxed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        natives.push(seconds(recording, || native(name), count));
        sandboxed.push(seconds(recording, || module.instance(), count));
    }
    let per = |seconds: f64| seconds * 1e9 / (recording.events() as f64 * count as f64);
    let (native, sandboxed) = (per(median(&mut natives)), per(median(&mut sandboxed)));
    println!(
        "{name:<10}{count:>10}{native:>10.1}{sandboxed:>11.1}{:>8.2}{:>25.1}",
        sandboxed / native,
        1e3 / sandboxed
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU seconds that the engine takes for all events.
fn seconds(recording: &Recording, make: impl Fn() -> Box<dyn Strategy>, count: usize) -> f64 {
    let mut config = EngineConfig::default();
    config.execution.model = Model::Instant;
    let strategies = (0..count).map(|_| make()).collect();
    let mut engine = recording.engine(&config, strategies, "100000");
    let before = thread_seconds();
    for block in &recording.blocks {
        engine.step(block).expect("invariants hold");
        engine.drain();
    }
    thread_seconds() - before
}

fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
