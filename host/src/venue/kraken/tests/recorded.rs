//! Recorded frames, which are not part of the project.

use std::fs;
use std::path::PathBuf;

use super::super::book::Book;
use super::super::checksum::Units;
use super::super::parse::{BookUpdate, book as read_book};
use super::*;

/// The lines of a recording; `None`, said on stderr, where it is absent.
#[allow(clippy::print_stderr, reason = "a skipped test must say so")]
fn recording(name: &str) -> Option<Vec<String>> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("SANDPAPER_DATA").map_or_else(beside, PathBuf::from);
    let path = folder.join("kraken").join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Some(text.lines().map(str::to_owned).collect()),
        Err(_) => {
            eprintln!("skipped: {} is absent", path.display());
            None
        }
    }
}

const SDK: &str = "kraken_v2__python-kraken-sdk_book10_btcusd.jsonl";
const TICKVAULT: &str = "kraken_v2__tickvault_book10_btcusd.jsonl";
const PRECISION: Precision = Precision { price: 1, qty: 8 };

#[test]
fn high_005_all_frames_of_the_shared_kraken_recordings_parse() {
    let files = [
        (TICKVAULT, 8),
        (SDK, 510),
        ("kraken_v2__kraken-async-rs_recorded_2024.jsonl", 16),
        ("kraken_v2__kraken_net_docshapes.jsonl", 0),
        ("kraken_v2__official_docs_examples.jsonl", 0),
    ];
    for (name, count) in files {
        let Some(lines) = recording(name) else { continue };
        assert!(lines.len() >= count, "{name} has {} lines", lines.len());
        for line in &lines {
            parse(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
            assert!(is_frame(line), "{line}");
        }
    }
}

#[test]
fn high_005_checksums_of_the_shared_kraken_recordings_verify() {
    for (name, updates) in [(TICKVAULT, 3), (SDK, 509)] {
        let Some(lines) = recording(name) else { continue };
        let mut fixture = Fixture::recorded(&[wanted(0)]);
        for line in &lines {
            fixture.ok(line);
        }
        let counts = fixture.session.counts();
        assert_eq!((counts.snapshots, counts.updates), (1, updates), "{name}");
        assert_eq!((counts.checksums_verified, counts.checksums_failed), (updates + 1, 0));
        assert_eq!((counts.crossed, counts.unknown_deletes), (0, 0));
    }
}

/// The book messages of a recording with exact numbers: the update, whether it
/// is a snapshot, its checksum.
fn messages(lines: &[String]) -> Vec<(BookUpdate, bool, u32)> {
    let table = table();
    let mut all = Vec::new();
    for line in lines {
        let Ok(Message::Book(rows, snapshot)) = parse(line) else { continue };
        for row in rows {
            let update = read_book(&row, table.at(SymbolId(0))).expect("a recorded book");
            all.push((update, snapshot, row.checksum));
        }
    }
    all
}

fn step(book: &mut Book, (update, snapshot, checksum): &(BookUpdate, bool, u32)) -> bool {
    let (bids, asks) = (&update.bids, &update.asks);
    if *snapshot {
        book.replace(bids, asks, *checksum, PRECISION).is_ok()
    } else {
        book.apply(bids, asks, *checksum, PRECISION).is_ok()
    }
}

fn empty() -> Book {
    Book::new(10, 10, Units { price: 1, qty: 8 })
}

#[test]
fn add_08_without_truncation_the_shared_kraken_recording_fails_at_message_61() {
    let Some(lines) = recording(SDK) else { return };
    let mut book = empty().without_truncation();
    let failed = messages(&lines).iter().position(|message| !step(&mut book, message));
    assert_eq!(failed.map(|index| index + 1), Some(61));
}

/// The price or the quantity of a level.
fn number(
    message: &mut (BookUpdate, bool, u32),
    side: usize,
    place: usize,
    of_price: bool,
) -> &mut i64 {
    let levels = if side == 0 { &mut message.0.bids } else { &mut message.0.asks };
    let (price, qty) = &mut levels[place];
    if of_price { &mut price.0 } else { &mut qty.0 }
}

/// What another digit in any place adds to a number: the next one, and one far from it.
fn flips(number: i64) -> Vec<i64> {
    let places = (0..19).map(|place| 10_i64.pow(place)).take_while(|ten| *ten <= number.max(1));
    let flip = |ten: i64| {
        let digit = number / ten % 10;
        [(digit + 1) % 10, (digit + 5) % 10].map(|other| (other - digit) * ten)
    };
    places.flat_map(flip).collect()
}

#[test]
fn add_08_each_flipped_digit_of_the_shared_kraken_recording_is_caught_at_its_message() {
    let Some(lines) = recording(SDK) else { return };
    let all = messages(&lines);
    let (mut book, mut flipped, mut harmless) = (empty(), 0, 0);
    for (index, mut message) in all.into_iter().enumerate() {
        let mut right = book.clone();
        assert!(step(&mut right, &message), "message {index} as it is");
        let sides = [message.0.bids.len(), message.0.asks.len()];
        let levels = (0..2).flat_map(|side| (0..sides[side]).map(move |place| (side, place)));
        let numbers = levels.flat_map(|level| [(level, false), (level, true)]);
        for ((side, place), of_price) in numbers {
            for by in flips(*number(&mut message, side, place, of_price)) {
                *number(&mut message, side, place, of_price) += by;
                let mut wrong = book.clone();
                let caught = !step(&mut wrong, &message);
                let same = wrong.bids() == right.bids() && wrong.asks() == right.asks();
                assert!(caught || same, "message {index}, level {place}, by {by}");
                flipped += u32::from(caught);
                harmless += u32::from(!caught);
                *number(&mut message, side, place, of_price) -= by;
            }
        }
        book = right;
    }
    assert!(flipped > 10_000, "{flipped} caught, {harmless} overwritten in their own message");
}

#[test]
fn add_08_each_dropped_message_of_the_shared_kraken_recording_is_caught_at_the_next() {
    let Some(lines) = recording(SDK) else { return };
    let all = messages(&lines);
    let (mut book, mut caught, mut harmless) = (empty(), 0, 0);
    for pair in all.windows(2) {
        let mut without = book.clone();
        assert!(step(&mut book, &pair[0]));
        let mut right = book.clone();
        assert!(step(&mut right, &pair[1]));
        if pair[0].1 {
            continue;
        }
        if step(&mut without, &pair[1]) {
            // The next message says all that the dropped one said.
            assert_eq!((without.bids(), without.asks()), (right.bids(), right.asks()));
            harmless += 1;
        } else {
            caught += 1;
        }
    }
    // Counted once on this recording; a change of either is a change of the book.
    assert_eq!((caught, harmless), (393, 115));
}
