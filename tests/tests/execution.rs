//! The matcher over a real recording, with orders that wait and latency.

use std::collections::BTreeMap;

use sandpaper::domain::{Liquidity, OrderId, Price, Rate, Rounding, Side, Ts};
use sandpaper::engine::{EngineConfig, LaneOutput, LaneReport};
use sandpaper::execution::{Delay, LatencyConfig};
use sandpaper::input::{EventRef, InputBlock, Trade};
use sandpaper_tests::lanes::{Recording, Sandboxed, native};
use sandpaper_tests::{Folder, repository};

const MS: i64 = 1_000_000;

/// The recording as a tape, read; `None` where it is absent.
fn recorded(folder: &Folder) -> Option<Recording> {
    let file = repository::recorded("binance/btcusdt_20240808.gz")?;
    folder.run(&["import", file.to_str().expect("a plain path"), "--out", "b.tape"]).expect(0);
    Some(Recording::read(&folder.path("b.tape")))
}

fn late(batch: usize, ns_per_fuel: &str) -> EngineConfig {
    let latency = LatencyConfig {
        order: Delay::Uniform(5 * MS, 400 * MS),
        cancel: Delay::Recorded(vec![MS, 30 * MS, 900 * MS].into()),
        ns_per_fuel: Rate::parse(ns_per_fuel).expect("a rate"),
    };
    EngineConfig { batch, latency, ..EngineConfig::default() }
}

fn outcome(report: &LaneReport) -> (String, Option<sandpaper::domain::Money>, u64) {
    (report.chain.clone(), report.equity, report.statistics.fill_count)
}

/// The input of that number.
fn input(recording: &Recording, seq: u64) -> (&InputBlock, usize) {
    let after = recording.blocks.partition_point(|block| block.first_seq() <= seq);
    let block = &recording.blocks[after - 1];
    (block, (seq - block.first_seq()) as usize)
}

/// Whether a print of this trade reaches a limit, taken from the other side.
fn reaches(side: Side, limit: Price, trade: &Trade) -> bool {
    match side {
        Side::Buy => trade.price < limit || trade.price == limit && trade.side == Side::Sell,
        Side::Sell => trade.price > limit || trade.price == limit && trade.side == Side::Buy,
    }
}

/// An order that waits: its side, its limit, and since when.
struct Waiting {
    side: Side,
    limit: Price,
    since: u64,
}

#[test]
fn add_04_passive_fills_never_beat_the_trades_that_printed() {
    let folder = Folder::new();
    let Some(recording) = recorded(&folder) else { return };
    for config in [EngineConfig::default(), late(256, "0")] {
        let mut engine = recording.engine(&config, vec![native("quoter")], "10000");
        let (mut waiting, mut news) = (BTreeMap::<OrderId, Waiting>::new(), Vec::new());
        for block in &recording.blocks {
            engine.step(block).expect("invariants hold");
            news.extend(engine.drain());
        }
        // The last input at or before a time.
        let blocks = recording.blocks.iter();
        let times: Vec<Ts> =
            blocks.flat_map(|block| (0..block.len()).map(|index| block.ts(index))).collect();
        let first = recording.blocks[0].first_seq();
        let at = |ts: Ts| first + times.partition_point(|time| *time <= ts) as u64 - 1;
        let (mut makers, mut by_print) = (0, BTreeMap::<u64, i64>::new());
        for output in news {
            match output.body {
                LaneOutput::Accepted { order, action, limit: Some(limit), .. } => {
                    let since = at(output.ts);
                    waiting.insert(order, Waiting { side: action.side(), limit, since });
                }
                LaneOutput::Fill { fill, .. } if fill.liquidity == Liquidity::Maker => {
                    makers += 1;
                    let Waiting { side, limit, since } = waiting[&fill.order];
                    assert!(fill.seq > since, "a fill at {} of an order of {since}", fill.seq);
                    let instrument = recording.instruments.at(fill.symbol);
                    let rounding = if side == Side::Buy { Rounding::Ceil } else { Rounding::Floor };
                    assert_eq!(Some(fill.amount), instrument.notional(limit, fill.qty, rounding));
                    let (block, index) = input(&recording, fill.seq);
                    match block.get(index) {
                        EventRef::Trade(trade) => {
                            assert!(reaches(side, limit, &trade), "{fill:?} by {trade:?}");
                            let filled = by_print.entry(fill.seq).or_default();
                            *filled += fill.qty.0;
                            assert!(*filled <= trade.qty.0, "{filled} of {trade:?}");
                        }
                        EventRef::Book { bids, asks, .. } => {
                            let opposite = if side == Side::Buy { asks } else { bids };
                            let crosses = |(price, qty): (Price, sandpaper::domain::Qty)| {
                                let beyond = match side {
                                    Side::Buy => price <= limit,
                                    Side::Sell => price >= limit,
                                };
                                beyond && qty.0 > 0
                            };
                            assert!(opposite.iter().any(crosses), "{fill:?} by no quote");
                        }
                        other => panic!("{fill:?} by {other:?}"),
                    }
                }
                _ => {}
            }
        }
        assert!(makers > 20, "{makers} passive fills show little");
    }
}

#[test]
fn orders_that_wait_and_latency_give_the_same_chain_everywhere() {
    let folder = Folder::new();
    let Some(mut recording) = recorded(&folder) else { return };
    let Some(path) = repository::workload("quoter") else { return };
    let module = Sandboxed::load(&path);
    let expected =
        outcome(&recording.run(&late(256, "0"), vec![native("quoter")], "10000").remove(0));
    assert!(expected.2 > 50, "it trades: {}", expected.2);
    let fuel =
        outcome(&recording.run(&late(256, "100"), vec![module.instance()], "10000").remove(0));
    assert_ne!(fuel.0, expected.0, "fuel is time, and time is in the chain");
    for batch in [1, 7, 1024] {
        let run = |rate| {
            let reports = recording.run(&late(batch, rate), vec![module.instance()], "10000");
            outcome(&reports[0])
        };
        assert_eq!(run("0"), expected, "batch {batch}");
        assert_eq!(run("100"), fuel, "batch {batch}, fuel as time");
    }
    recording.blocks.truncate(3);
    let names = ["s1", "s3", "order-flow", "market-making", "mean-reversion"];
    for rate in ["0", "100"] {
        let alone =
            outcome(&recording.run(&late(256, rate), vec![module.instance()], "10000").remove(0));
        let mut crowd: Vec<_> = (0..50).map(|n| native(names[n % names.len()])).collect();
        crowd.insert(25, module.instance());
        let crowded = recording.run(&late(256, rate), crowd, "10000").remove(25);
        assert_eq!(outcome(&crowded), alone, "{rate} ns for each unit of fuel");
    }
}

#[test]
fn a_slower_build_of_a_strategy_sends_the_same_later() {
    let folder = Folder::new();
    let Some(recording) = recorded(&folder) else { return };
    let (Some(fast), Some(slow)) =
        (repository::workload("quoter"), repository::workload("quoter-slow"))
    else {
        return;
    };
    let run = |path, rate: &str| {
        let latency = LatencyConfig {
            ns_per_fuel: Rate::parse(rate).expect("a rate"),
            ..LatencyConfig::default()
        };
        let config = EngineConfig { latency, ..EngineConfig::default() };
        let lane = vec![Sandboxed::load(path).instance()];
        let mut engine = recording.engine(&config, lane, "10000");
        let mut first = None;
        for block in &recording.blocks {
            engine.step(block).expect("invariants hold");
            let arrives = |body: &LaneOutput| match body {
                LaneOutput::Sent { order: Some(OrderId(1)), arrives, .. } => Some(*arrives),
                _ => None,
            };
            first = first.or(engine.drain().find_map(|one| arrives(&one.body)));
        }
        (first, outcome(&engine.reports()[0]))
    };
    let (early, late) = (run(&fast, "1"), run(&slow, "1"));
    let (Some(sent_fast), Some(sent_slow)) = (early.0, late.0) else {
        panic!("both send: {early:?} {late:?}")
    };
    // 20,000 rounds of some ten instructions.
    assert!(sent_slow.0 - sent_fast.0 > 20_000, "{sent_fast:?} {sent_slow:?}");
    assert_ne!(early.1.0, late.1.0);
    let (free_fast, free_slow) = (run(&fast, "0"), run(&slow, "0"));
    assert_eq!(free_fast, free_slow, "the control: where fuel is no time they are the same");
}

/// A run, the replay of what it captured, one event a call, and the check of its
/// record give the same decisions: they have one matcher, and it is this one.
#[test]
fn add_16_one_matcher_serves_run_replay_and_verify() {
    let folder = Folder::new();
    let Some(module) = repository::workload("quoter") else { return };
    let module = module.to_str().expect("a plain path");
    let samples: Vec<String> = (1..60).map(|n| format!("{}ms", n * n)).collect();
    std::fs::write(folder.path("latency.txt"), samples.join("\n")).expect("written");
    let common = [
        "--wasm",
        module,
        "--unsigned",
        "--capital",
        "100000",
        "--seed",
        "7",
        "--set",
        "execution.latency=file:latency.txt",
        "--set",
        "execution.cancel_latency=10ms..300ms",
        "--set",
        "execution.ns_per_fuel=2.5",
        "--json",
    ];
    let result = |arguments: &[&str]| {
        let finished = folder.run(&[arguments, &common].concat()).expect(0);
        let result: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
        result["strategies"][0].clone()
    };
    let ran = result(&[
        "run",
        "--simulated",
        "--duration",
        "20m",
        "--set",
        "feed.sim.speed=0",
        "--record",
        "run.tape",
        "--no-dashboard",
    ]);
    assert!(ran["fills"].as_u64() > Some(20), "{ran}");
    assert!(ran["rejected"].as_u64() > Some(0), "cancels lose races: {ran}");
    for strict in ["engine.strict=false", "engine.strict=true"] {
        let replayed = result(&["replay", "run.tape", "--set", strict]);
        for field in ["chain", "orders", "fills", "rejected", "cash", "equity", "fees"] {
            assert_eq!(replayed[field], ran[field], "{field}, {strict}");
        }
    }
    let record = folder.only_record();
    let record = record.as_str();
    folder.run(&["verify", record, "--unsigned", "--wasm", module]).expect(0);
    // The control: other latencies are other decisions.
    std::fs::write(folder.path("latency.txt"), "50ms\n").expect("written");
    folder.run(&["verify", record, "--unsigned", "--wasm", module]).expect(7);
    let otherwise = result(&["replay", "run.tape"]);
    assert_ne!(otherwise["chain"], ran["chain"]);
}
