//! The invariants of tapes, by number.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::codec::{Decoder, Encoder};
use super::*;
use crate::domain::{Instrument, InstrumentTable, Money, Price, Qty, Rules, Side, SymbolId, Ts};
use crate::input::{CandleInput, EventRef, InputBlock, Trade, TradingStatus};

fn header() -> TapeHeader {
    let mut header = TapeHeader::new(
        "test",
        vec![Instrument::plain("XRP/USD", 5, 8), Instrument::plain("BTC/USD", 1, 8)],
    );
    header.note = "made by a test".into();
    header
}

/// One event of any kind, without its time.
#[derive(Clone, Debug)]
enum Event {
    Trade(Trade),
    Book(SymbolId, bool, Vec<(Price, Qty)>, Vec<(Price, Qty)>),
    Candle(CandleInput),
    Timer,
    Status(SymbolId, u8),
    Rules(SymbolId, Rules),
}

fn push(block: &mut InputBlock, ts: Ts, lag: i64, event: &Event) {
    let exchange = Ts(ts.0.wrapping_sub(lag));
    match event {
        Event::Trade(trade) => block.push_trade(ts, exchange, trade),
        Event::Book(symbol, snapshot, bids, asks) => {
            block.push_book(ts, exchange, *symbol, *snapshot, bids, asks);
        }
        Event::Candle(candle) => block.push_candle(ts, candle),
        Event::Timer => block.push_timer(ts),
        Event::Status(symbol, status) => {
            block.push_status(ts, *symbol, TradingStatus::from_u8(*status).unwrap_or_default());
        }
        Event::Rules(symbol, rules) => block.push_rules(ts, *symbol, rules),
    }
}

fn symbol() -> impl Strategy<Value = SymbolId> {
    (0_u16..2).prop_map(SymbolId)
}

fn levels() -> impl Strategy<Value = Vec<(Price, Qty)>> {
    let level = (price(), quantity()).prop_map(|(p, q)| (Price(p), Qty(q)));
    prop::collection::vec(level, 0..4)
}

/// Prices in the range that the engine counts with.
fn price() -> impl Strategy<Value = i64> {
    1..=i64::MAX / 4
}

/// Quantities likewise.
fn quantity() -> impl Strategy<Value = i64> {
    0..=i64::MAX / 4
}

fn event() -> impl Strategy<Value = Event> {
    let side = any::<bool>().prop_map(|buys| if buys { Side::Buy } else { Side::Sell });
    let trade = (symbol(), side, price(), quantity(), any::<u64>()).prop_map(
        |(symbol, side, price, qty, id)| {
            Event::Trade(Trade { symbol, side, price: Price(price), qty: Qty(qty), id })
        },
    );
    let prices = [price(), price(), price(), price()];
    let candle = (symbol(), any::<u32>(), 0_i64..1 << 62, prices, quantity(), any::<u64>())
        .prop_map(|(symbol, interval_s, open_ts, [open, high, low, close], volume, vwap)| {
            Event::Candle(CandleInput {
                symbol,
                interval_s,
                open_ts: Ts(open_ts),
                open: Price(open),
                high: Price(high),
                low: Price(low),
                close: Price(close),
                volume: Qty(volume),
                vwap: f64::from_bits(vwap),
            })
        });
    prop_oneof![
        trade,
        (symbol(), any::<bool>(), levels(), levels())
            .prop_map(|(symbol, snapshot, bids, asks)| Event::Book(symbol, snapshot, bids, asks)),
        candle,
        Just(Event::Timer),
        (symbol(), 0_u8..7).prop_map(|(symbol, status)| Event::Status(symbol, status)),
        rules().prop_map(|(symbol, rules)| Event::Rules(symbol, rules)),
    ]
}

fn rules() -> impl Strategy<Value = (SymbolId, Rules)> {
    (symbol(), price(), price(), quantity(), 0..=i64::MAX, any::<bool>()).prop_map(
        |(symbol, price_increment, qty_increment, qty_min, cost_min, short_allowed)| {
            let rules = Rules {
                price_increment: Price(price_increment),
                qty_increment: Qty(qty_increment),
                qty_min: Qty(qty_min),
                cost_min: Money(cost_min.into()),
                short_allowed,
            };
            (symbol, rules)
        },
    )
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("t.tape")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("the folder can be read");
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }
}

fn trade(price: i64) -> Event {
    let (price, qty) = (Price(price), Qty(5));
    Event::Trade(Trade { symbol: SymbolId(1), side: Side::Sell, price, qty, id: 7 })
}

/// Writes a tape of these events, one nanosecond apart.
fn write(path: &Path, events: &[Event]) -> (InputBlock, TapeSummary) {
    let header = header();
    let mut all = InputBlock::new(&header.table(), 1);
    let mut writer = TapeWriter::create(path, &header).expect("a writer");
    for (number, event) in (0_i64..).zip(events) {
        let ts = Ts(1_000_000_000 + number);
        push(&mut all, ts, 1_270 * number, event);
        push(writer.block(), ts, 1_270 * number, event);
        writer.commit().expect("the event is in order");
    }
    (all, writer.finish().expect("a finished tape"))
}

/// Reads all events of a tape into one block.
fn read(path: &Path) -> Result<InputBlock, TapeError> {
    let tape = Tape::open(path)?;
    collect(tape.instruments().clone(), tape.blocks()?)
}

fn collect(
    table: InstrumentTable,
    blocks: impl Iterator<Item = Result<InputBlock, TapeError>>,
) -> Result<InputBlock, TapeError> {
    let mut all = InputBlock::new(&table, 1);
    for block in blocks {
        let block = block?;
        assert_eq!(block.first_seq(), all.next_seq(), "sequence numbers run on");
        let times: Vec<i64> = (0..block.len()).map(|i| block.ts_exchange(i).0).collect();
        all.extend_exact(block.exact_words(), &times).expect("decoded events are valid");
    }
    Ok(all)
}

#[track_caller]
fn assert_same(found: &InputBlock, expected: &InputBlock) {
    assert_eq!(found.exact_words(), expected.exact_words());
    assert_eq!(found.len(), expected.len());
    for index in 0..found.len() {
        assert_eq!(found.ts_exchange(index), expected.ts_exchange(index), "event {index}");
        assert_eq!(found.words(index), expected.words(index), "event {index}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn invariant_1_what_is_read_is_what_was_written(
        events in prop::collection::vec((0_i64..1 << 40, -(1_i64 << 40)..1 << 40, event()), 0..60),
        first in 1_i64 << 40..1 << 60,
    ) {
        let (folder, header) = (Folder::new(), header());
        let mut all = InputBlock::new(&header.table(), 1);
        let mut ts = first;
        for (step, lag, event) in &events {
            ts += step;
            push(&mut all, Ts(ts), *lag, event);
        }
        let mut writer = TapeWriter::create(&folder.path(), &header).expect("a writer");
        writer.append(&all).expect("events in order");
        let summary = writer.finish().expect("a finished tape");
        prop_assert_eq!(summary.totals.events, events.len() as u64);
        assert_same(&read(&folder.path()).expect("a whole tape"), &all);
    }

    /// A checksum only shows accidents: whoever makes a tape can make its
    /// checksums too.
    #[test]
    fn invariant_2_a_payload_made_to_harm_gives_an_error_or_valid_events(
        events in prop::collection::vec((0_i64..9, event()), 1..8),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut block = InputBlock::new(&header().table(), 1);
        let mut ts = 0;
        for (step, event) in &events {
            ts += step;
            push(&mut block, Ts(ts), 0, event);
        }
        let times: Vec<i64> = (0..block.len()).map(|i| block.ts_exchange(i).0).collect();
        let mut payload = Vec::new();
        Encoder::default().encode(block.exact_words(), &times, block.ts(0), 2, &mut payload);
        for (place, byte) in &changes {
            let place = place.index(payload.len());
            payload[place] = *byte;
        }
        if cut {
            payload.truncate(length.index(payload.len()));
        }
        let mut decoder = Decoder::default();
        let span = (block.ts(0), Ts(ts));
        if decoder.decode(&payload, block.len(), span, 2).is_ok() {
            let mut read = InputBlock::new(&header().table(), 1);
            if read.extend_exact(&decoder.words, &decoder.ts_exchange).is_ok() {
                prop_assert_eq!(read.len(), block.len());
                prop_assert_eq!(read.ts(read.len() - 1), Ts(ts));
            }
        }
    }
}

#[test]
fn invariant_1_holds_across_blocks_and_threads() {
    let folder = Folder::new();
    let events: Vec<Event> = (0..10_000).map(|n| trade(1 + n % 97)).collect();
    let (all, summary) = write(&folder.path(), &events);
    assert_eq!(summary.blocks, 3);
    assert_eq!(summary.totals.trades, 10_000);
    assert_same(&read(&folder.path()).expect("a whole tape"), &all);

    let mut tape = Tape::open(&folder.path()).expect("a tape");
    assert_eq!(tape.header(), &header());
    assert_eq!(tape.totals(), summary.totals);
    assert_eq!(tape.span(), Some((Ts(1_000_000_000), Ts(1_000_009_999))));
    assert_eq!(tape.sha256().expect("a hash"), summary.sha256);
    assert_eq!(fs::metadata(folder.path()).expect("the file").len(), summary.bytes);
    let table = tape.instruments().clone();
    let ahead = tape.prefetch(2).expect("a thread");
    assert_same(&collect(table, ahead).expect("a whole tape"), &all);
}

/// A tape of rules that change has them in their place, word for word and with both
/// times: what an order meets is decided by what stands before it.
#[test]
fn add_15_a_tape_repeats_changed_rules_in_their_place() {
    let folder = Folder::new();
    let changed = |increment, cost_min, short_allowed| Rules {
        price_increment: Price(increment),
        qty_increment: Qty(10),
        qty_min: Qty(50),
        cost_min: Money(cost_min),
        short_allowed,
    };
    // One beyond what a block holds stands between the two, so that one comes again in
    // another block than it was written beside.
    let mut events: Vec<Event> = (1..=5_000).map(trade).collect();
    events.insert(2, Event::Rules(SymbolId(1), changed(50, 60_000_000, false)));
    events.insert(2, Event::Rules(SymbolId(0), changed(1, 0, true)));
    events.push(Event::Rules(SymbolId(1), changed(5, i64::MAX.into(), true)));
    let (all, summary) = write(&folder.path(), &events);
    assert!(summary.blocks > 1);
    let read = read(&folder.path()).expect("a whole tape");
    assert_same(&read, &all);
    let told: Vec<(usize, i64, SymbolId, Rules)> = (0..read.len())
        .filter_map(|index| match read.get(index) {
            EventRef::Rules { symbol, rules } => Some((index, read.ts(index).0, symbol, rules)),
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        [
            (2, 1_000_000_002, SymbolId(0), changed(1, 0, true)),
            (3, 1_000_000_003, SymbolId(1), changed(50, 60_000_000, false)),
            (5_002, 1_000_005_002, SymbolId(1), changed(5, i64::MAX.into(), true)),
        ]
    );
    // The control: rules one place later are other words.
    events.swap(3, 4);
    let other = Folder::new();
    let (moved, _) = write(&other.path(), &events);
    assert_ne!(moved.exact_words(), read.exact_words());
}

#[test]
fn recycled_blocks_hold_only_the_next_events() {
    let folder = Folder::new();
    let events: Vec<Event> = (0..20_000).map(|n| trade(1 + n)).collect();
    write(&folder.path(), &events);
    let mut ahead = Tape::open(&folder.path()).expect("a tape").prefetch(1).expect("a thread");
    let mut seq = 1;
    while let Some(block) = ahead.next() {
        let block = block.expect("a whole block");
        assert_eq!(block.first_seq(), seq);
        seq = block.next_seq();
        ahead.recycle(block);
    }
    assert_eq!(seq, 20_001);
}

#[test]
fn a_reader_that_is_dropped_early_ends_its_thread() {
    let folder = Folder::new();
    let events: Vec<Event> = (0..30_000).map(|n| trade(1 + n)).collect();
    write(&folder.path(), &events);
    let mut ahead = Tape::open(&folder.path()).expect("a tape").prefetch(1).expect("a thread");
    assert!(ahead.next().is_some());
    // Dropping joins the thread, so a thread that went on would hang here.
    drop(ahead);
}

#[test]
fn the_largest_book_fits_a_tape() {
    let folder = Folder::new();
    let side: Vec<(Price, Qty)> = (1..=70_000).map(|n| (Price(n), Qty(n * n))).collect();
    let book = Event::Book(SymbolId(0), true, side.clone(), side);
    let small = trade(5);
    let (all, _) = write(&folder.path(), &[small.clone(), book.clone(), book, small]);
    assert_same(&read(&folder.path()).expect("a whole tape"), &all);
}

/// The bytes of a small tape with an event of most kinds.
fn small_tape(folder: &Folder) -> Vec<u8> {
    let header = TapeHeader::new("t", vec![Instrument::plain("A/B", 1, 1)]);
    let level = |p, q| (Price(p), Qty(q));
    let (bids, asks) = (vec![level(9, 1), level(8, 2)], vec![level(10, 3)]);
    let symbol = SymbolId(0);
    let (side, price, qty) = (Side::Buy, Price(10), Qty(1));
    let mut writer = TapeWriter::create(&folder.path(), &header).expect("a writer");
    for event in [
        Event::Book(symbol, true, bids, asks),
        Event::Trade(Trade { symbol, side, price, qty, id: 7 }),
        Event::Timer,
        Event::Status(symbol, 1),
    ] {
        push(writer.block(), Ts(5), 3, &event);
    }
    writer.finish().expect("a finished tape");
    fs::read(folder.path()).expect("the tape")
}

/// True when reading ends in a typed error.
fn is_refused(path: &Path, bytes: &[u8]) -> bool {
    fs::write(path, bytes).expect("a damaged copy");
    match read(path) {
        Ok(_) => false,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            true
        }
    }
}

#[test]
fn invariant_2_a_tape_cut_at_any_byte_is_refused() {
    let folder = Folder::new();
    let bytes = small_tape(&folder);
    let copy = folder.0.path().join("cut.tape");
    for length in 0..bytes.len() {
        assert!(is_refused(&copy, &bytes[..length]), "cut at byte {length}");
    }
    assert!(!is_refused(&copy, &bytes));
}

#[test]
fn invariant_2_any_flipped_bit_is_found() {
    let folder = Folder::new();
    let bytes = small_tape(&folder);
    let copy = folder.0.path().join("flipped.tape");
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << bit;
            assert!(is_refused(&copy, &damaged), "bit {bit} of byte {place}");
        }
    }
}

#[test]
fn invariant_2_added_and_missing_bytes_are_found() {
    let folder = Folder::new();
    let bytes = small_tape(&folder);
    let copy = folder.0.path().join("copy.tape");
    for place in 0..=bytes.len() {
        let mut longer = bytes.clone();
        longer.insert(place, 0);
        assert!(is_refused(&copy, &longer), "a byte added at {place}");
    }
    for place in 0..bytes.len() {
        let mut shorter = bytes.clone();
        shorter.remove(place);
        assert!(is_refused(&copy, &shorter), "byte {place} removed");
    }
}

#[test]
fn errors_name_the_block_and_the_byte() {
    let folder = Folder::new();
    let events: Vec<Event> = (0..9_000).map(|n| trade(1 + n * n % 1_013)).collect();
    write(&folder.path(), &events);
    let mut bytes = fs::read(folder.path()).expect("the tape");
    let second = bytes.windows(4).enumerate().filter(|(_, w)| w == b"BLCK").nth(1);
    let (offset, _) = second.expect("a second block");
    bytes[offset + 60] ^= 4;
    fs::write(folder.path(), &bytes).expect("a damaged tape");
    let tape = Tape::open(&folder.path()).expect("header and index are whole");
    let results: Vec<_> = tape.prefetch(4).expect("a thread").collect();
    assert_eq!(results.len(), 2, "the first block, then the error, then nothing");
    let error = results[1].as_ref().expect_err("the second block is damaged");
    assert!(error.is_damage());
    let text = error.to_string();
    assert!(text.contains(&format!("byte {offset} (block 1)")), "{text}");
}

#[test]
fn other_files_and_versions_are_named_as_such() {
    let folder = Folder::new();
    let path = folder.path();
    let fault = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("a file");
        Tape::open(&path).map(|_| ()).expect_err("no tape").fault
    };
    assert!(matches!(fault(b""), TapeFault::NotATape));
    assert!(matches!(fault(b"ts_ns,symbol,price,qty,side\n"), TapeFault::NotATape));
    let other = Folder::new();
    let mut bytes = small_tape(&other);
    bytes[8] = 9;
    assert!(matches!(fault(&bytes), TapeFault::Version { found: 9, supported: 1 }));

    let mut newer = header();
    newer.contract = "9.0.0".into();
    let writer = TapeWriter::create(&path, &newer).expect("a writer");
    writer.finish().expect("a tape");
    let fault = Tape::open(&path).map(|_| ()).expect_err("another contract").fault;
    assert!(matches!(fault, TapeFault::Contract { ref found, .. } if found == "9.0.0"));
}

#[test]
fn invariant_3_lengths_are_capped_before_they_are_used() {
    let folder = Folder::new();
    let path = folder.path();
    let mut bytes = b"SNDPTAPE".to_vec();
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    bytes.extend_from_slice(&u32::MAX.to_le_bytes());
    bytes.resize(100, 0);
    fs::write(&path, &bytes).expect("a file");
    let error = Tape::open(&path).map(|_| ()).expect_err("an absurd header length");
    assert!(error.to_string().contains("a header of 4294967295 bytes"), "{error}");
}

#[test]
fn invariant_4_a_tape_has_its_name_only_when_it_is_finished() {
    let folder = Folder::new();
    fs::write(folder.path(), "what was there").expect("an older file");
    let mut writer = TapeWriter::create(&folder.path(), &header()).expect("a writer");
    push(writer.block(), Ts(1), 0, &trade(1));
    writer.commit().expect("in order");
    assert_eq!(fs::read(folder.path()).expect("the older file"), b"what was there");
    drop(writer);
    assert_eq!(folder.names(), ["t.tape"], "a dropped writer leaves nothing behind");
    write(&folder.path(), &[trade(1)]);
    assert_eq!(folder.names(), ["t.tape"]);
    assert!(read(&folder.path()).is_ok());
}

#[test]
fn time_must_not_run_backwards() {
    let folder = Folder::new();
    let mut writer = TapeWriter::create(&folder.path(), &header()).expect("a writer");
    push(writer.block(), Ts(5), 0, &trade(1));
    push(writer.block(), Ts(4), 0, &trade(1));
    let error = writer.commit().expect_err("an event before its predecessor");
    assert!(matches!(error.fault, TapeFault::Event { seq: 2, .. }), "{error}");
}

#[test]
fn a_header_that_describes_no_tape_is_refused() {
    let folder = Folder::new();
    let create = |instruments| {
        let header = TapeHeader::new("test", instruments);
        TapeWriter::create(&folder.path(), &header).map(|_| ()).map_err(|e| e.to_string())
    };
    let twice = create(vec![Instrument::plain("A/B", 1, 1), Instrument::plain("A/B", 2, 2)]);
    assert!(twice.is_err_and(|e| e.contains("A/B is listed twice")));
    let fine = create(vec![Instrument::plain("A/B", 200, 200)]);
    assert!(fine.is_err_and(|e| e.contains("more than 18 decimals")));
}
