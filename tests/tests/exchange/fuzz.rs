//! The fuzz targets on seeded bytes, so that they run wherever the tests do.

use std::collections::BTreeMap;
use std::fs;

use sandpaper::venue::kraken::parse;
use sandpaper_tests::exchange::market::{Market, MarketConfig, PAIRS, Print};
use sandpaper_tests::exchange::random::Random;
use sandpaper_tests::exchange::{fuzz, seeds, wire};
use sandpaper_tests::repository::{files, recorded};

/// One frame of each kind, and all recorded ones.
fn corpus() -> Vec<String> {
    let market = Market::new(MarketConfig::default());
    let (pair, book) = (&PAIRS[0], &market.books[0]);
    let view = book.view(10);
    let prints: Vec<Print> = book.prints_from(book.next_id() - 3).collect();
    let start = MarketConfig::default().start;
    let mut frames = vec![
        wire::book(pair, true, &view, view.checksum(), start),
        wire::trades(pair, false, &prints, None),
        wire::candles(pair, true, 1, &book.candles(1)[..3], start),
        wire::instruments(&BTreeMap::new()),
        wire::status("online", 1),
        wire::HEARTBEAT.to_owned(),
        wire::granted("subscribe", Some(1), r#"{"channel":"book","symbol":"BTC/USD"}"#, start),
        wire::refused("subscribe", Some(2), Some("BTC/USD"), "Exceeded msg rate", start),
        wire::pong(Some(3), start),
    ];
    if let Some(one) = recorded("kraken/kraken_v2__checksum_vectors.json") {
        for path in files(one.parent().expect("a folder"), ".jsonl") {
            let text = fs::read_to_string(path).expect("a recording");
            // Most lines are updates of one book; every tenth will do.
            frames.extend(text.lines().step_by(10).map(str::to_owned));
        }
    }
    frames
}

#[test]
fn high_005_mutated_frames_never_break_the_parser() {
    let corpus = corpus();
    for frame in &corpus {
        parse(frame).unwrap_or_else(|error| panic!("{error}: {frame}"));
    }
    for seed in seeds(100, 0, 1) {
        let mut random = Random::new(seed, "frames");
        for frame in &corpus {
            let mutated = fuzz::mutated(frame, &mut random);
            fuzz::message(format!("{}\n{mutated}\n{frame}", corpus[0]).as_bytes());
        }
    }
}

#[test]
fn add_08_books_under_random_faults_are_those_of_the_oracle_or_stale() {
    for seed in seeds(20, 0, 1) {
        let mut random = Random::new(seed, "bytes");
        let bytes: Vec<u8> = (0..40).map(|_| random.below(256) as u8).collect();
        fuzz::book(&bytes);
    }
}
