//! Damage of every kind is found, and nothing sound is lost with it.

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use super::record::half;
use super::*;
use crate::domain::{Instrument, InstrumentTable, Price, Qty, Side, SymbolId, Ts};
use crate::input::{InputBlock, Trade};

/// What a walk over segments found.
#[derive(Debug, PartialEq)]
enum Found {
    Whole(Vec<Record>),
    Torn(Vec<Record>),
    Damaged(Vec<Record>),
}

impl Found {
    fn records(&self) -> &[Record] {
        match self {
            Self::Whole(records) | Self::Torn(records) | Self::Damaged(records) => records,
        }
    }
}

fn read(segments: &[Vec<u8>]) -> Found {
    let (mut scanner, mut records) = (Scanner::default(), Vec::new());
    for (index, bytes) in segments.iter().enumerate() {
        match scanner.segment(bytes, index + 1 == segments.len(), |record| records.push(record)) {
            // A journal that ends with a seal misses what follows.
            Ok(End::Sealed) if index + 1 == segments.len() => return Found::Damaged(records),
            Ok(End::Clean | End::Sealed) => {}
            Ok(End::Torn(_)) => return Found::Torn(records),
            Err(_) => return Found::Damaged(records),
        }
    }
    Found::Whole(records)
}

/// A journal of that many segments with `each` records in each, and a seal.
fn journal(run: RunId, segments: u64, each: u64) -> Vec<Vec<u8>> {
    let (mut all, mut seq, mut chain, mut before) = (Vec::new(), 0, [0; 16], [0; 16]);
    for segment in 1..=segments {
        let mut bytes = Header { run, segment, first_seq: seq + 1, before }.encode().to_vec();
        for index in 0..=each {
            let kind = match (index == each, segment == segments) {
                (true, true) => continue,
                (true, false) => Kind::Sealed,
                _ => Kind::Outputs,
            };
            seq += 1;
            let payload = vec![seq as u8; (seq as usize * 37) % 190];
            let (schema, flags, event_ns, wall_ns) = (1, 0, seq as i64 * 1_000, -5);
            let synced_upto = seq - 1;
            let record =
                Record { kind, schema, flags, seq, event_ns, wall_ns, synced_upto, payload };
            chain = record.write(segment, chain, &mut bytes);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&bytes);
        before = half(&hasher);
        all.push(bytes);
    }
    all
}

#[test]
fn what_is_written_is_read() {
    for (segments, each) in [(1, 0), (1, 9), (3, 5)] {
        let found = read(&journal([7; 16], segments, each));
        let Found::Whole(records) = found else { panic!("{found:?}") };
        assert_eq!(records.len() as u64, segments * each + segments - 1);
        assert!(records.iter().zip(1..).all(|(record, seq)| record.seq == seq));
    }
}

#[test]
fn b6_a_journal_cut_at_any_byte_keeps_every_whole_record_before_it() {
    let whole = journal([7; 16], 2, 12);
    let all = read(&whole).records().to_vec();
    let last = &whole[1];
    // Where each record of the last segment ends.
    let mut ends = vec![HEADER_LEN];
    while let Some(&length) = last.get(ends[ends.len() - 1]) {
        let at = ends[ends.len() - 1];
        let length = u32::from_le_bytes([length, last[at + 1], last[at + 2], last[at + 3]]);
        ends.push(at + 12 + length as usize);
    }
    for cut in 0..last.len() {
        let found = read(&[whole[0].clone(), last[..cut].to_vec()]);
        let kept = 13 + ends.iter().skip(1).filter(|&&end| end <= cut).count();
        assert_eq!(found.records(), &all[..kept], "cut at {cut}");
        let expected_whole = ends.contains(&cut);
        assert_eq!(matches!(found, Found::Whole(_)), expected_whole, "cut at {cut}: {found:?}");
        assert!(!matches!(found, Found::Damaged(_)), "cut at {cut}");
    }
}

#[test]
fn b6_rubbish_behind_the_last_record_costs_none_before_it() {
    let whole = journal([7; 16], 2, 6);
    let all = read(&whole).records().to_vec();
    let first_record = whole[1][HEADER_LEN..HEADER_LEN + 150].to_vec();
    let mut random = SplitMix64::seed_from_u64(6);
    let garbage: Vec<u8> = (0..500).map(|_| random.next_u64() as u8).collect();
    for (name, rubbish) in [
        ("zeros", vec![0; 4096]),
        ("garbage", garbage),
        ("an earlier record", first_record),
        ("an earlier segment", whole[0].clone()),
        ("the whole segment again", whole[1].clone()),
    ] {
        let mut long = whole.clone();
        long[1].extend(rubbish);
        assert_eq!(read(&long), Found::Torn(all.clone()), "{name}");
    }
}

/// One segment: records of which all after the first are said to be synced or not.
fn tail(records: u64, synced: bool) -> Vec<u8> {
    let (run, before) = ([7; 16], [0; 16]);
    let mut bytes = Header { run, segment: 1, first_seq: 1, before }.encode().to_vec();
    let mut chain = [0; 16];
    for seq in 1..=records {
        let kind = if seq < records { Kind::Outputs } else { Kind::Synced };
        let synced_upto = if synced { seq - 1 } else { seq.min(2) - 1 };
        let payload = if seq < records { vec![3; 90] } else { Vec::new() };
        let (schema, flags, event_ns, wall_ns) = (1, 0, 0, 0);
        let record = Record { kind, schema, flags, seq, event_ns, wall_ns, synced_upto, payload };
        chain = record.write(1, chain, &mut bytes);
    }
    bytes
}

#[test]
fn b6_a_record_that_was_synced_is_damaged_and_never_a_torn_tail() {
    const LENGTH: usize = HEAD_LEN + 90;
    for (synced, records) in [(true, 2), (true, 6), (false, 6)] {
        let whole = tail(records, synced);
        // Every byte of the last record but the word behind it.
        let last = HEADER_LEN + (records as usize - 2) * LENGTH;
        for at in last..last + LENGTH {
            let mut flipped = whole.clone();
            flipped[at] ^= 16;
            let found = read(&[flipped]);
            // The control: without the word it passes for one never written.
            assert_eq!(matches!(found, Found::Damaged(_)), synced, "byte {at}");
            assert_eq!(found.records().len() as u64, records - 2);
        }
    }
}

#[test]
fn b4_blocks_that_a_power_cut_kept_from_the_disk_are_a_torn_tail() {
    const LENGTH: usize = HEAD_LEN + 90;
    for lost in 1..5 {
        for synced in [false, true] {
            let mut bytes = tail(6, synced);
            bytes[HEADER_LEN + lost * LENGTH..HEADER_LEN + (lost + 1) * LENGTH].fill(0);
            let found = read(&[bytes]);
            // The control: records of whose sync a later one knows are no such blocks.
            assert_eq!(matches!(found, Found::Torn(_)), !synced, "record {lost}: {found:?}");
            assert_eq!(found.records().len(), lost);
        }
    }
}

#[test]
fn b4_a_segment_whose_header_never_reached_the_disk_was_not_begun() {
    let whole = journal([7; 16], 2, 6);
    let all = read(&whole).records()[..7].to_vec();
    for header in [vec![], vec![0; 10], vec![0; HEADER_LEN], vec![0; 4_096]] {
        assert_eq!(read(&[whole[0].clone(), header]), Found::Torn(all.clone()));
    }
    // The control: a record behind it shows that it was there.
    let mut damaged = whole;
    damaged[1][..HEADER_LEN].fill(0);
    assert_eq!(read(&damaged), Found::Damaged(all));
}

#[test]
fn b7_every_flipped_bit_is_found() {
    let whole = journal([7; 16], 3, 30);
    let all = read(&whole).records().to_vec();
    let check = |segment: usize, bit: usize| {
        let mut flipped = whole.clone();
        flipped[segment][bit / 8] ^= 1 << (bit % 8);
        let found = read(&flipped);
        assert!(!matches!(found, Found::Whole(_)), "segment {segment}, bit {bit}");
        let records = found.records();
        assert_eq!(records, &all[..records.len()], "segment {segment}, bit {bit}");
        // Only the very last record can pass for one that was never written.
        let last = segment == 2 && records.len() + 1 == all.len();
        assert!(last || matches!(found, Found::Damaged(_)), "segment {segment}, bit {bit}");
    };
    let last = whole[2].len() * 8;
    (last.saturating_sub(4096 * 8)..last).for_each(|bit| check(2, bit));
    let mut random = SplitMix64::seed_from_u64(7);
    let flips = std::env::var("SANDPAPER_FLIPS").ok().and_then(|n| n.parse().ok());
    for _ in 0..flips.unwrap_or(20_000) {
        let segment = (random.next_u64() % 3) as usize;
        check(segment, random.next_u64() as usize % (whole[segment].len() * 8));
    }
}

#[test]
fn b7_a_record_without_its_checks_would_hide_a_flip() {
    // The control: a flip in a payload leaves a frame that looks whole, so it is
    // the checksum that finds it, and the chain that finds a mended checksum.
    let whole = journal([7; 16], 1, 6);
    let mut flipped = whole.clone();
    let payload = HEADER_LEN + HEAD_LEN + 3;
    flipped[0][payload] ^= 1;
    assert!(matches!(read(&flipped), Found::Damaged(_)));
    let length = u32::from_le_bytes([
        flipped[0][HEADER_LEN],
        flipped[0][HEADER_LEN + 1],
        flipped[0][HEADER_LEN + 2],
        flipped[0][HEADER_LEN + 3],
    ]);
    let body = HEADER_LEN + 12..HEADER_LEN + 12 + length as usize;
    let crc = crc32c::crc32c(&1_u64.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &length.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &flipped[0][body]);
    flipped[0][HEADER_LEN + 8..HEADER_LEN + 12].copy_from_slice(&crc.to_le_bytes());
    let found = read(&flipped);
    assert!(found.records().is_empty() && matches!(found, Found::Damaged(_)), "{found:?}");
}

#[test]
fn b8_segments_that_are_swapped_missing_or_anothers_are_found() {
    let whole = journal([7; 16], 4, 5);
    let other = journal([8; 16], 4, 5);
    let longer = journal([7; 16], 4, 6);
    let pick = |order: &[usize]| order.iter().map(|&i| whole[i].clone()).collect::<Vec<_>>();
    assert!(matches!(read(&pick(&[0, 1, 2, 3])), Found::Whole(_)), "the control");
    for order in [
        &[1, 0, 2, 3][..],
        &[0, 2, 1, 3],
        &[0, 1, 3],
        &[0, 2, 3],
        &[1, 2, 3],
        &[0, 1, 2],
        &[0],
        &[0, 1, 1, 2, 3],
        &[0, 1, 2, 3, 3],
    ] {
        assert!(matches!(read(&pick(order)), Found::Damaged(_)), "{order:?}");
    }
    for at in 0..4 {
        for strange in [&other, &longer] {
            let mut mixed = whole.clone();
            mixed[at].clone_from(&strange[at]);
            assert!(matches!(read(&mixed), Found::Damaged(_)), "segment {at} of another");
        }
    }
}

#[test]
fn a_length_beyond_the_cap_is_refused_before_anything_is_made() {
    let mut bytes =
        Header { run: [1; 16], segment: 1, first_seq: 1, before: [0; 16] }.encode().to_vec();
    let length = u32::MAX;
    bytes.extend(length.to_le_bytes());
    bytes.extend(crc32c::crc32c(&length.to_le_bytes()).to_le_bytes());
    bytes.extend([0; 100]);
    assert!(matches!(read(&[bytes]), Found::Torn(records) if records.is_empty()));
}

#[test]
fn blocks_of_inputs_come_back_whole_and_in_bounded_parts() {
    let table = InstrumentTable::new(vec![Instrument::plain("X/USD", 2, 2)]);
    for events in [0, 1, 70_000] {
        let mut block = InputBlock::new(&table, 41);
        for index in 0..events {
            let (price, qty) = (Price(100 + index % 50), Qty(1 + index));
            let trade =
                Trade { symbol: SymbolId(0), side: Side::Sell, price, qty, id: index as u64 };
            block.push_trade(Ts(1_000 + index), Ts(900 + index), &trade);
        }
        let parts = Inputs::of(&block).unwrap();
        assert_eq!(parts.len() > 1, events > 60_000);
        let mut again = InputBlock::new(&table, 41);
        for part in parts {
            assert_eq!(part.first_seq, again.next_seq());
            let part: Inputs = decode(&encode(&part).unwrap()).unwrap();
            part.unpack(&mut again).unwrap();
        }
        assert_eq!(again.exact_words(), block.exact_words());
        assert_eq!(again.len(), block.len());
        assert!((0..block.len()).all(|i| again.ts_exchange(i) == block.ts_exchange(i)));
    }
}

#[test]
fn payloads_that_lie_about_themselves_are_refused() {
    let table = InstrumentTable::new(vec![Instrument::plain("X/USD", 2, 2)]);
    let mut block = InputBlock::new(&table, 1);
    let data = Bytes(zstd::bulk::compress(&[0; 64], 1).unwrap());
    for (words, events) in [(u32::MAX, u32::MAX), (9, 0), (6, 1), (8, 0)] {
        let inputs = Inputs { first_seq: 1, words, events, data: data.clone() };
        assert!(inputs.unpack(&mut block).is_err(), "{words} words, {events} events");
        assert!(block.is_empty());
    }
    assert!(decode::<Manifest>(&[0xc1, 0xff]).is_err());
}
