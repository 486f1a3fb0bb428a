//! The book and its checksum.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::book::Book;
use super::super::checksum::{Units, checksum};
use super::*;
use crate::domain::{Price, Qty, decimal};
use crate::venue::depth::Level;

fn levels(text: &str, price: u8, qty: u8) -> Vec<Level> {
    let number = |text: &str, decimals| decimal::parse_i64(text, decimals).expect("a number");
    let level = |level: &str| {
        let (p, q) = level.split_once('x').expect("PRICExQTY");
        (Price(number(p, price)), Qty(number(q, qty)))
    };
    text.split_whitespace().map(level).collect()
}

/// The two examples of the venue's documentation.
#[test]
fn high_005_checksums_are_those_of_the_documentation() {
    let asks = "45285.2x0.00100000 45286.4x1.54571953 45286.6x1.54571109 45289.6x1.54560911 \
        45290.2x0.15890660 45291.8x1.54553491 45294.7x0.04454749 45296.1x0.35380000 \
        45297.5x0.09945542 45299.5x0.18772827";
    let bids = "45283.5x0.10000000 45283.4x1.54582015 45282.1x0.10000000 45281.0x0.10000000 \
        45280.3x1.54592586 45279.0x0.07990000 45277.6x0.03310103 45277.5x0.30000000 \
        45277.3x1.54602737 45276.6x0.15445238";
    let check = |asks: &str, bids: &str, price: u8, expected: u32| {
        let (units, precision) = (Units { price, qty: 8 }, Precision { price, qty: 8 });
        let (asks, bids) = (levels(asks, price, 8), levels(bids, price, 8));
        assert_eq!(checksum(&asks, &bids, units, precision), Some(expected));
        assert_eq!(snapshot_precision(&asks, &bids, precision, expected), Some(precision));
    };
    check(asks, bids, 1, 3_310_070_434);
    // Printed without trailing zeros, which only the precision brings back.
    let asks = "0.5668x4410.79769741 0.5669x4655.40412487 0.567x49844.89424998 \
        0.5671x24306.41678 0.5672x29783.25223475 0.5673x57234.71239278 0.5674x45065.04744 \
        0.5675x5912.76380354 0.5676x42514.92434778 0.5677x36304.0847022";
    let bids = "0.5666x4831.75496356 0.5665x6658.22734739 0.5664x18724.91513344 \
        0.5663x11563.92544914 0.5662x14006.65365711 0.5661x17454.85679807 0.566x18097.1547 \
        0.5659x33644.89175666 0.5658x148.3464 0.5657x606.70854372";
    check(asks, bids, 4, 2_439_117_997);
}

#[test]
fn add_08_the_checksum_is_the_same_in_finer_units_and_none_in_coarser_precision() {
    let bids = levels("99.5x1.5", 1, 1);
    let (coarse, fine) = (Units { price: 1, qty: 1 }, Units { price: 3, qty: 8 });
    let precision = Precision { price: 1, qty: 1 };
    let expected = Some(crc32fast::hash(b"99515"));
    assert_eq!(checksum(&[], &bids, coarse, precision), expected);
    assert_eq!(checksum(&[], &levels("99.5x1.5", 3, 8), fine, precision), expected);
    assert_eq!(checksum(&[], &levels("99.55x1.5", 3, 8), fine, precision), None);
    let finer = Precision { price: 2, qty: 3 };
    assert_eq!(checksum(&[], &bids, coarse, finer), Some(crc32fast::hash(b"99501500")));
}

const UNITS: Units = Units { price: 1, qty: 8 };
const PRECISION: Precision = Precision { price: 1, qty: 8 };

/// The rules of the book, stated as simply as possible.
#[derive(Default)]
struct Oracle {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
}

impl Oracle {
    /// Applies a message and cuts to the depth; false when it deleted what is
    /// not there.
    fn apply(&mut self, bids: &[Level], asks: &[Level], depth: usize) -> bool {
        let mut known = true;
        for (map, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for (price, qty) in levels {
                if qty.0 == 0 {
                    known &= map.remove(&price.0).is_some();
                } else {
                    map.insert(price.0, qty.0);
                }
            }
        }
        while self.bids.len() > depth {
            self.bids.pop_first();
        }
        while self.asks.len() > depth {
            self.asks.pop_last();
        }
        known
    }

    fn sides(&self) -> (Vec<Level>, Vec<Level>) {
        let level = |(price, qty): (&i64, &i64)| (Price(*price), Qty(*qty));
        (self.bids.iter().rev().map(level).collect(), self.asks.iter().map(level).collect())
    }

    fn checksum(&self) -> u32 {
        let mut text = String::new();
        for (price, qty) in self.asks.iter().take(10).chain(self.bids.iter().rev().take(10)) {
            text.push_str(&format!("{price}{qty}"));
        }
        crc32fast::hash(text.as_bytes())
    }
}

fn side(prices: std::ops::Range<i64>) -> impl Strategy<Value = Vec<Level>> {
    let qty = prop_oneof![1 => Just(0), 8 => 1_i64..5_000];
    prop::collection::vec((prices, qty).prop_map(|(p, q)| (Price(p), Qty(q))), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Books and their changes are those of the oracle; a listener that applies
    /// the changes has the shown part.
    #[test]
    fn add_08_books_follow_a_naive_oracle(
        messages in prop::collection::vec((side(980..1_000), side(1_000..1_020)), 1..40),
        depth in prop::sample::select(vec![10_usize, 25]),
        shown in 1_usize..30,
    ) {
        let mut oracle = Oracle::default();
        let mut book = Book::new(depth, shown, UNITS);
        let mut listener = Oracle::default();
        for (bids, asks) in &messages {
            let known = oracle.apply(bids, asks, depth);
            let result = book.apply(bids, asks, oracle.checksum(), PRECISION);
            let (expected_bids, expected_asks) = oracle.sides();
            prop_assert_eq!(book.bids(), &expected_bids[..]);
            prop_assert_eq!(book.asks(), &expected_asks[..]);
            let changes = match result {
                Ok(changes) => changes,
                Err(cause) => {
                    prop_assert_eq!(cause, Desync::UnknownDelete);
                    prop_assert!(!known);
                    let changes = book.replace(&expected_bids, &expected_asks, oracle.checksum(), PRECISION);
                    listener = Oracle::default();
                    changes.expect("the oracle's own book")
                }
            };
            prop_assert!(listener.apply(&changes.bids, &changes.asks, usize::MAX));
            let (seen_bids, seen_asks) = listener.sides();
            let shown = shown.min(depth);
            prop_assert_eq!(&seen_bids[..], &expected_bids[..shown.min(expected_bids.len())]);
            prop_assert_eq!(&seen_asks[..], &expected_asks[..shown.min(expected_asks.len())]);
        }
    }
}

#[test]
fn add_08_the_last_of_several_levels_at_one_price_wins() {
    let mut book = Book::new(10, 10, UNITS);
    let bids = levels("99.5x1 99.5x0 99.5x2", 1, 8);
    let expected = crc32fast::hash(b"995200000000");
    let changes = book.apply(&bids, &[], expected, PRECISION).expect("the right checksum");
    assert_eq!(changes.bids, levels("99.5x2", 1, 8));
}

#[test]
fn add_08_a_crossed_book_is_refused_in_spite_of_its_checksum() {
    let mut book = Book::new(10, 10, UNITS);
    let (bids, asks) = (levels("99.5x1", 1, 8), levels("99.5x1", 1, 8));
    let expected = crc32fast::hash(b"995100000000995100000000");
    assert_eq!(book.replace(&bids, &asks, expected, PRECISION), Err(Desync::Crossed));
}
