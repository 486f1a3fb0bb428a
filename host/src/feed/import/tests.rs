//! Imports of recordings made here, and of the real one where it is at hand.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use super::*;
use crate::domain::{Price, Qty, Side};
use crate::feed::tape::Tape;
use crate::input::{EventRef, InputBlock, Trade};

struct Recording {
    folder: tempfile::TempDir,
}

impl Recording {
    fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("in"), bytes).expect("a recording");
        Self { folder }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out.tape")
    }

    fn import(&self, options: &ImportOptions) -> Result<ImportSummary, String> {
        let quiet = &mut |_| ControlFlow::Continue(());
        import(&self.folder.path().join("in"), &self.out(), options, quiet)
            .map_err(|error| error.to_string())
    }

    /// All events of the tape, which must be small.
    fn events(&self) -> InputBlock {
        let tape = Tape::open(&self.out()).expect("a tape");
        let mut blocks = tape.blocks().expect("a reader");
        blocks.next().expect("a block").expect("a whole block")
    }
}

fn trade_at(block: &InputBlock, index: usize) -> Trade {
    match block.get(index) {
        EventRef::Trade(trade) => trade,
        other => panic!("{other:?} is not a trade"),
    }
}

const CSV: &str = "ts_ns,symbol,price,qty,side\n\
    100,SOL-USD,150.00,11.319,sell\n\
    90,BTC-USD,95000.1,0.00127,buy\n\
    \n\
    110,SOL-USD,150.01,2.9,buy\n";

#[test]
fn csv_trades_become_exact_numbers_in_the_decimals_that_they_need() {
    let recording = Recording::new(CSV.as_bytes());
    let summary = recording.import(&ImportOptions::default()).expect("a tape");
    assert_eq!(summary.format, Format::Csv);
    assert_eq!((summary.tape.totals.trades, summary.out_of_order), (3, 1));
    let decimals: Vec<_> = summary
        .instruments
        .iter()
        .map(|i| (i.symbol.as_str(), i.price_decimals, i.qty_decimals))
        .collect();
    assert_eq!(decimals, [("SOL-USD", 2, 3), ("BTC-USD", 1, 5)]);
    let events = recording.events();
    let trade = trade_at(&events, 1);
    assert_eq!((trade.price, trade.qty, trade.side), (Price(950_001), Qty(127), Side::Buy));
    // Recorded too late: received with its predecessor, its own time kept.
    assert_eq!((events.ts(1), events.ts_exchange(1)), (Ts(100), Ts(90)));
    assert_eq!(
        (trade_at(&events, 0).side, trade_at(&events, 2).price),
        (Side::Sell, Price(15_001))
    );
}

#[test]
fn csv_columns_may_stand_in_any_order_with_others_among_them() {
    let text = "side,id,note,\"qty\",price,symbol,ts_ns\r\nBUY,7,x,\"1.5\",2,A/B,5\r\n";
    let recording = Recording::new(text.as_bytes());
    recording.import(&ImportOptions::default()).expect("a tape");
    let trade = trade_at(&recording.events(), 0);
    assert_eq!((trade.id, trade.qty, trade.price), (7, Qty(15), Price(2)));
}

#[test]
fn csv_errors_name_the_line_and_the_column() {
    let header = "ts_ns,symbol,price,qty,side\n1,A/B,1,1,buy\n";
    let cases = [
        ("x,A/B,1,1,buy", "line 3: column 'ts_ns': 'x' is not a time in nanoseconds"),
        ("1,A/B,one,1,buy", "line 3: column 'price': 'one' is not a decimal number"),
        ("1,A/B,0,1,buy", "line 3: column 'price': '0' is not a positive number"),
        ("1,A/B,1,-1,buy", "line 3: column 'qty': '-1' is not a positive number"),
        ("1,A/B,1,1,hold", "line 3: column 'side': 'hold' is not buy or sell"),
        ("1,,1,1,buy", "line 3: column 'symbol': '' is not a name"),
        ("1,A/B,1,1", "line 3: 4 columns where the header has 5"),
        ("1,A/B,1e30,1,buy", "line 3: column 'price': '1e30' is out of range"),
    ];
    for (row, expected) in cases {
        let recording = Recording::new(format!("{header}{row}\n").as_bytes());
        let error = recording.import(&ImportOptions::default()).expect_err(row);
        assert!(error.contains(expected), "{error}");
        assert!(!recording.out().exists(), "no tape from a damaged recording");
    }
}

#[test]
fn files_of_no_known_format_and_empty_ones_are_refused() {
    for (text, expected) in [
        ("", "neither Binance lines"),
        ("hello world\n", "it begins with 'hello world'"),
        ("ts_ns,symbol,price,qty,side\n", "no trade in it"),
        ("1 {\"result\":null}\n", "no trade and no book in it"),
    ] {
        let error = Recording::new(text.as_bytes()).import(&ImportOptions::default());
        let error = error.expect_err("nothing to import");
        assert!(error.contains(expected), "{error}");
    }
    let missing = ImportOptions { format: Some(Format::Csv), ..Default::default() };
    let error = Recording::new(b"ts_ns,symbol\n").import(&missing).expect_err("no price column");
    assert!(error.contains("the header lacks the column 'price'"), "{error}");
    let fine = ImportOptions { format: Some(Format::Csv), ..Default::default() };
    let precise = "ts_ns,symbol,price,qty,side\n1,A/B,0.0000000001,0.0000000001,buy\n";
    let error = Recording::new(precise.as_bytes()).import(&fine).expect_err("20 decimals");
    assert!(error.contains("A/B: more than 18 decimals"), "{error}");
}

const BINANCE: &str = r#"5 {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":6,"s":"BTCUSDT","U":1,"u":2,"b":[["99.50000000","1.00000000"]],"a":[]}}
7 {"stream":"btcusdt@trade","data":{"e":"trade","E":9,"s":"BTCUSDT","t":5,"p":"99.50000000","q":"0.25000000","T":8,"m":false,"M":true}}
6 {"lastUpdateId":2,"bids":[["99.50000000","1.00000000"]],"asks":[["100.00000000","2.00100000"]]}
9 {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":9,"s":"BTCUSDT","U":3,"u":4,"b":[],"a":[["100.00000000","0.00000000"],["101.00000000","1.00000000"]]}}
9 {"stream":"btcusdt@bookTicker","data":{"u":4,"s":"BTCUSDT","b":"99.50000000","B":"1.00000000","a":"101.00000000","A":"1.00000000"}}
"#;

/// What both forms of the recording must give.
fn check_binance(bytes: &[u8]) {
    let recording = Recording::new(bytes);
    let options = ImportOptions { note: "short".into(), ..Default::default() };
    let summary = recording.import(&options).expect("a tape");
    let counts = summary.binance.expect("the protocol's counts");
    assert_eq!((counts.trades, counts.snapshots, counts.gaps), (1, 1, 0));
    assert_eq!((counts.tickers_compared, counts.tickers_equal), (1, 1));
    assert_eq!((summary.lines, summary.out_of_order), (5, 1));
    assert_eq!((summary.tape.totals.trades, summary.tape.totals.books), (1, 2));
    let tape = Tape::open(&recording.out()).expect("a tape");
    assert_eq!((tape.header().venue.as_str(), tape.header().note.as_str()), ("binance", "short"));
    assert_eq!(tape.header().instruments[0].price_decimals, 1);
    assert_eq!(tape.header().instruments[0].qty_decimals, 3);
    let events = recording.events();
    assert!(matches!(events.get(0), EventRef::Trade(_)), "only trades before the snapshot");
    assert_eq!((events.ts(0), events.ts_exchange(0)), (Ts(7), Ts(8_000_000)));
    assert!(matches!(events.get(1), EventRef::Book { snapshot: true, .. }));
    assert_eq!(events.ts(1), Ts(7), "received no earlier than what came before");
}

#[test]
fn binance_lines_are_read_plain_and_compressed() {
    check_binance(BINANCE.as_bytes());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(BINANCE.as_bytes()).expect("compressed");
    check_binance(&gzip.finish().expect("compressed"));
}

#[test]
fn binance_errors_name_the_line() {
    let cases = [
        ("{}", "line 6: it does not begin with a receive time"),
        ("x {}", "line 6: it does not begin with a receive time"),
        ("10 {\"e\":\"trade\"", "line 6: not a valid message"),
    ];
    for (line, expected) in cases {
        let recording = Recording::new(format!("{BINANCE}{line}\n").as_bytes());
        let error = recording.import(&ImportOptions::default()).expect_err(line);
        assert!(error.contains(expected), "{error}");
        assert!(!recording.out().exists());
    }
    let mut bytes = BINANCE.as_bytes().to_vec();
    bytes.extend_from_slice(b"10 \xff\n");
    let error = Recording::new(&bytes).import(&ImportOptions::default());
    assert!(error.expect_err("not text").contains("line 6: it is not UTF-8 text"));
}

#[test]
fn a_cut_gzip_file_is_an_error() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(BINANCE.as_bytes()).expect("compressed");
    let bytes = gzip.finish().expect("compressed");
    let error = Recording::new(&bytes[..bytes.len() - 12]).import(&ImportOptions::default());
    assert!(error.expect_err("cut short").contains("cannot read"));
}

#[test]
fn progress_ends_at_the_whole_and_can_cancel() {
    let recording = Recording::new(CSV.as_bytes());
    let path = recording.folder.path().join("in");
    let mut seen = Vec::new();
    let mut note = |progress: Progress| {
        seen.push(progress);
        ControlFlow::Continue(())
    };
    import(&path, &recording.out(), &ImportOptions::default(), &mut note).expect("a tape");
    assert!(seen.windows(2).all(|pair| pair[0].done <= pair[1].done));
    assert!(seen.last().is_some_and(|last| last.done == last.total));

    fs::remove_file(recording.out()).expect("the tape");
    let cancel = &mut |_| ControlFlow::Break(());
    let result = import(&path, &recording.out(), &ImportOptions::default(), cancel);
    assert!(matches!(result, Err(ImportError::Canceled)));
    assert!(!recording.out().exists());
}

const KRAKEN: &str = r#"{"channel":"status","type":"update","data":[{"system":"online"}]}
{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":68500.0,"qty":0.01044926,"ord_type":"limit","trade_id":7,"timestamp":"2024-05-27T12:43:11.798009Z"}]}

{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":99.5,"qty":1.5}],"asks":[],"checksum":CRC0}]}
{"channel":"heartbeat"}
{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":99.5,"qty":0.00000000},{"price":99.0,"qty":2.0}],"asks":[],"checksum":CRC1,"timestamp":"2024-05-27T12:43:12.000000Z"}]}
{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":68500.5,"qty":1.0,"ord_type":"limit","trade_id":9,"timestamp":"2024-05-27T12:43:11.000000Z"}]}
"#;

fn kraken(stamped: bool) -> String {
    let crc = |text: &str| crc32fast::hash(text.as_bytes()).to_string();
    let text = KRAKEN.replace("CRC0", &crc("995150000000")).replace("CRC1", &crc("990200000000"));
    if !stamped {
        return text;
    }
    let stamp = |(number, line): (usize, &str)| format!("{} {line}\n", 100 + number);
    text.lines().filter(|line| !line.is_empty()).enumerate().map(stamp).collect()
}

#[test]
fn high_005_kraken_lines_are_read_with_and_without_receive_times() {
    for stamped in [false, true] {
        let recording = Recording::new(kraken(stamped).as_bytes());
        let summary = recording.import(&ImportOptions::default()).expect("a tape");
        assert_eq!(summary.format, Format::Kraken);
        let counts = summary.kraken.expect("the protocol's counts");
        assert_eq!((counts.checksums_verified, counts.checksums_failed), (2, 0));
        assert_eq!((counts.trades, counts.trade_id_gaps, counts.trades_missed), (2, 1, 1));
        let btc = &summary.instruments[0];
        assert_eq!((btc.price_decimals, btc.qty_decimals), (1, 8));
        let events = recording.events();
        let kinds: Vec<&str> = (0..events.len())
            .map(|index| match events.get(index) {
                EventRef::Trade(_) => "trade",
                EventRef::Book { snapshot: true, .. } => "snapshot",
                EventRef::Book { .. } => "delta",
                EventRef::Status { .. } => "status",
                _ => "other",
            })
            .collect();
        // Stale until the snapshot, then trading.
        assert_eq!(kinds, ["status", "trade", "snapshot", "status", "delta", "trade"]);
        let traded = Ts(1_716_813_791_798_009_000);
        assert_eq!(events.ts_exchange(1), traded);
        let (delta, last) = if stamped {
            (Ts(104), Ts(105))
        } else {
            // The last trade is older than the book before it.
            (Ts(1_716_813_792_000_000_000), Ts(1_716_813_792_000_000_000))
        };
        assert_eq!((events.ts(4), events.ts(5)), (delta, last));
        let tape = Tape::open(&recording.out()).expect("a tape");
        assert_eq!((tape.header().venue.as_str(), tape.header().depth), ("kraken", Some(10)));
    }
}

#[test]
fn add_09_a_kraken_book_that_fails_its_checksum_is_stale_in_the_tape() {
    let damaged = kraken(false).replace("\"price\":99.0,\"qty\":2.0", "\"price\":99.0,\"qty\":2.1");
    let recording = Recording::new(damaged.as_bytes());
    let summary = recording.import(&ImportOptions::default()).expect("a tape");
    let counts = summary.kraken.expect("the protocol's counts");
    assert_eq!((counts.checksums_verified, counts.checksums_failed), (1, 1));
    let events = recording.events();
    let status = crate::input::TradingStatus::Stale;
    assert!(matches!(events.get(4), EventRef::Status { status: seen, .. } if seen == status));
}

#[test]
fn kraken_errors_name_the_line() {
    for (line, expected) in [
        ("{\"channel\":\"trade\"", "line 8: not a valid message"),
        ("x {}", "line 8: it does not begin with a receive time"),
    ] {
        let recording = Recording::new(format!("{}{line}\n", kraken(false)).as_bytes());
        let error = recording.import(&ImportOptions::default()).expect_err(line);
        assert!(error.contains(expected), "{error}");
        assert!(!recording.out().exists());
    }
    let beats = Recording::new(b"{\"channel\":\"heartbeat\"}\n");
    let error = beats.import(&ImportOptions::default()).expect_err("no data");
    assert!(error.contains("no trade, no book and no candle in it"), "{error}");
}

/// The folder of recordings, which are not part of the project.
fn data_folder() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    std::env::var_os("SANDPAPER_DATA").map_or_else(beside, PathBuf::from)
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test must say so")]
fn binance_recording_from_shared_data_splices_without_a_gap() {
    let path = data_folder().join("binance/btcusdt_20240808.gz");
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let quiet = &mut |_| ControlFlow::Continue(());
    let out = folder.path().join("out.tape");
    for depth in [None, Some(10)] {
        let options = ImportOptions { depth, ..Default::default() };
        let summary = import(&path, &out, &options, quiet).expect("a tape");
        let counts = summary.binance.expect("the protocol's counts");
        assert_eq!((summary.lines, counts.trades, counts.deltas), (41_249, 9_757, 3_451));
        assert_eq!((counts.snapshots, counts.gaps, counts.crossed), (1, 0, 0));
        assert_eq!((counts.trade_id_gaps, counts.trades_repeated), (0, 0));
        // Every update id that both streams name.
        assert_eq!((counts.tickers_compared, counts.tickers_equal), (564, 564));
        assert_eq!(summary.instruments[0].price_decimals, 2);
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test must say so")]
fn high_005_kraken_recordings_from_shared_data_import_with_every_checksum() {
    for (name, updates) in [
        ("kraken_v2__tickvault_book10_btcusd.jsonl", 3),
        ("kraken_v2__python-kraken-sdk_book10_btcusd.jsonl", 509),
    ] {
        let path = data_folder().join("kraken").join(name);
        if !path.exists() {
            eprintln!("skipped: {} is absent", path.display());
            return;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().join("out.tape");
        for depth in [None, Some(5)] {
            let quiet = &mut |_| ControlFlow::Continue(());
            let options = ImportOptions { depth, ..Default::default() };
            let summary = import(&path, &out, &options, quiet).expect("a tape");
            let counts = summary.kraken.expect("the protocol's counts");
            assert_eq!((counts.snapshots, counts.updates), (1, updates), "{name}");
            assert_eq!((counts.checksums_verified, counts.checksums_failed), (updates + 1, 0));
            let btc = &summary.instruments[0];
            assert_eq!((btc.price_decimals, btc.qty_decimals), (1, 8));
            let tape = Tape::open(&out).expect("a tape");
            assert_eq!(tape.header().depth, depth.or(Some(10)));
        }
    }
}
