//! A real recording: trades and book changes of BTCUSDT, spliced on a snapshot.

use sandpaper::engine::EngineConfig;
use sandpaper_tests::lanes::{Recording, Sandboxed, native};
use sandpaper_tests::{Folder, repository};

const FILE: &str = "binance/btcusdt_20240808.gz";

#[test]
fn the_recorded_splice_has_no_gap_and_agrees_with_the_recordings_own_best_prices() {
    let folder = Folder::new();
    let Some(file) = repository::recorded(FILE) else { return };
    let file = file.to_str().expect("a plain path");
    let finished = folder.run(&["import", file, "--out", "b.tape", "--json"]).expect(0);
    let summary: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
    let binance = &summary["binance"];
    for none in ["gaps", "crossed", "trade_id_gaps", "snapshots_unusable"] {
        assert_eq!(binance[none], 0, "{none}");
    }
    assert!(binance["tickers_compared"].as_u64().is_some_and(|n| n > 500), "{binance}");
    assert_eq!(binance["tickers_compared"], binance["tickers_equal"]);
}

#[test]
fn every_run_and_every_batch_size_gives_the_same_fills_equity_and_chain() {
    let folder = Folder::new();
    let Some(file) = repository::recorded(FILE) else { return };
    let file = file.to_str().expect("a plain path");
    folder.run(&["import", file, "--out", "b.tape"]).expect(0);
    let recording = Recording::read(&folder.path("b.tape"));
    for name in ["order-flow", "market-making", "mean-reversion"] {
        let Some(path) = repository::guest(name) else { return };
        let module = Sandboxed::load(&path);
        let mut seen = Vec::new();
        for batch in [1, 7, 64, 1024] {
            let config = EngineConfig { batch, ..EngineConfig::default() };
            let report = recording.run(&config, vec![module.instance()], "1000").remove(0);
            seen.push((report.chain, report.equity, report.statistics));
        }
        let report = recording.run(&EngineConfig::default(), vec![native(name)], "1000").remove(0);
        seen.push((report.chain, report.equity, report.statistics));
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{name}: {seen:#?}");
        if name == "order-flow" {
            assert!(seen[0].2.fill_count > 10, "it trades: {}", seen[0].2.fill_count);
        }
    }
}

/// Market orders that fill against the displayed book never beat it.
#[test]
fn fills_on_the_recorded_book_are_no_better_than_its_best_price() {
    use sandpaper::domain::Side;
    use sandpaper::engine::LaneOutput;
    let folder = Folder::new();
    let Some(file) = repository::recorded(FILE) else { return };
    let file = file.to_str().expect("a plain path");
    folder.run(&["import", file, "--out", "b.tape"]).expect(0);
    let recording = Recording::read(&folder.path("b.tape"));
    let strategies = vec![native("order-flow")];
    let mut engine = recording.engine(&EngineConfig::default(), strategies, "1000");
    let mut fills = 0;
    for block in &recording.blocks {
        engine.step(block).expect("invariants hold");
        let news: Vec<_> = engine.drain().collect();
        for output in news {
            let LaneOutput::Fill { fill, .. } = output.body else { continue };
            let instrument = recording.instruments.at(fill.symbol);
            let at_best =
                |rounding| instrument.notional(fill.best_price, fill.qty, rounding).expect("fits");
            fills += 1;
            match fill.action.side() {
                Side::Buy => assert!(fill.amount >= at_best(sandpaper::domain::Rounding::Floor)),
                Side::Sell => assert!(fill.amount <= at_best(sandpaper::domain::Rounding::Ceil)),
            }
        }
    }
    assert!(fills > 10, "{fills}");
}
