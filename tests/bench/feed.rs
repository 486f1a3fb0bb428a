//! A venue's frames to events, without sockets: what a thread of the feed spends
//! on a frame.

use std::fs;

use sandpaper::domain::{Instrument, InstrumentTable, SymbolId, Ts};
use sandpaper::input::InputBlock;
use sandpaper::venue::Protocol as _;
use sandpaper::venue::kraken::{Session, Wanted};
use sandpaper_tests::exchange::dialogue::instruments;
use sandpaper_tests::exchange::mangle::Out;
use sandpaper_tests::exchange::market::MarketConfig;
use sandpaper_tests::exchange::{Line, State};
use sandpaper_tests::repository::recorded;

use super::{ROUNDS, median, thread_seconds};

/// CPU time that one round takes at least.
const ROUND_SECONDS: f64 = 0.3;
const SECOND: i64 = 1_000_000_000;

/// Frames with what they are about.
struct Frames {
    name: &'static str,
    table: InstrumentTable,
    depth: u32,
    texts: Vec<String>,
}

/// Measures and prints.
pub(super) fn measure() {
    println!("frames of a venue to events, checksums verified; ns of CPU\n");
    println!("frames                   depth   frames   events   ns/frame   ns/event      MB/s");
    let recording = recorded("kraken/kraken_v2__python-kraken-sdk_book10_btcusd.jsonl");
    let recording = recording.map(|path| Frames {
        name: "recorded book",
        table: InstrumentTable::new(vec![Instrument::plain("BTC/USD", 1, 8)]),
        depth: 10,
        texts: fs::read_to_string(path).expect("readable").lines().map(str::to_owned).collect(),
    });
    let made = [10, 100, 1_000].map(|depth| generated("books and trades", depth));
    for frames in recording.into_iter().chain(made) {
        frames.measure();
    }
    println!();
}

/// Ten minutes of three pairs of the fake exchange.
fn generated(name: &'static str, depth: u32) -> Frames {
    let config = MarketConfig { pairs: 3, rate_hz: 20, levels: 1_100, ..MarketConfig::default() };
    let mut state = State::new(config, 16);
    let mut line = Line::new(&mut state, 1);
    let mut texts = Vec::new();
    let symbols = r#"["BTC/USD","ETH/USD","SOL/USD"]"#;
    let mut take = |out: Vec<Out>| {
        texts.extend(out.into_iter().filter_map(|out| match out {
            Out::Text(text) => Some(text),
            _ => None,
        }));
    };
    for (id, channel) in [(1, format!(r#""book","depth":{depth}"#)), (2, r#""trade""#.to_owned())] {
        let request = format!(
            r#"{{"method":"subscribe","params":{{"channel":{channel},"symbol":{symbols},"snapshot":true}},"req_id":{id}}}"#
        );
        take(line.request(&request, &mut state, config.start));
    }
    for step in 1..=600 * 20 {
        take(line.tick(&mut state, config.start + step * SECOND / 20));
    }
    Frames { name, table: instruments(3), depth, texts }
}

impl Frames {
    fn measure(&self) {
        let mut events = 0;
        let (mut times, mut passes) = (Vec::new(), 0_u32);
        for _ in 0..ROUNDS {
            let (before, mut count) = (thread_seconds(), 0);
            while thread_seconds() - before < ROUND_SECONDS {
                events = self.pass();
                count += 1;
            }
            times.push((thread_seconds() - before) / f64::from(count));
            passes += count;
        }
        assert!(passes > 0 && events > 0, "{}: nothing was measured", self.name);
        let seconds = median(&mut times);
        let bytes: usize = self.texts.iter().map(String::len).sum();
        println!(
            "{:<25}{:>5}{:>9}{:>9}{:>11.0}{:>11.0}{:>10.1}",
            self.name,
            self.depth,
            self.texts.len(),
            events,
            seconds * 1e9 / self.texts.len() as f64,
            seconds * 1e9 / events as f64,
            bytes as f64 / seconds / 1e6
        );
    }

    /// All frames through a new session; how many events they gave.
    fn pass(&self) -> usize {
        let want = |symbol: SymbolId| Wanted {
            symbol,
            levels: Some(self.depth),
            shown: None,
            trades: true,
            candle_minutes: None,
        };
        let wanted: Vec<Wanted> = self.table.iter().map(|(symbol, _)| want(symbol)).collect();
        let mut session = Session::recorded(self.table.clone(), &wanted).expect("a session");
        let mut block = InputBlock::new(&self.table, 1);
        let mut events = 0;
        for (now, text) in (1..).zip(&self.texts) {
            session.handle_text(text, Ts(now), &mut block).expect("a sound frame");
            while session.poll_notice().is_some() {}
            if block.len() > 1_000 {
                events += block.len();
                block.reset(1);
            }
        }
        assert_eq!(session.counts().checksums_failed, 0, "{}", self.name);
        events + block.len()
    }
}
