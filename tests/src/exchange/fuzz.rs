//! Bytes to attempts at breaking the protocol: what the fuzz targets and the
//! seeded tests of the same name share.

use sandpaper::domain::Ts;
use sandpaper::input::InputBlock;
use sandpaper::venue::Protocol as _;
use sandpaper::venue::kraken::{Session, Timing, Wanted};

use super::dialogue::{Dialogue, instruments};
use super::market::SECOND;
use super::oracle::Sabotage;
use super::{Fault, random::Random};

/// Steps that one input may ask for.
const STEPS_MAX: usize = 64;

/// Hands arbitrary text to the protocol, as the first frames of a connection.
/// Lines are frames.
///
/// # Panics
/// When the protocol does, or lets an event pass that the engine cannot count
/// with.
pub fn message(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let table = instruments(2);
    let wanted: Vec<Wanted> = table
        .iter()
        .map(|(symbol, _)| Wanted {
            symbol,
            levels: Some(10),
            shown: None,
            trades: true,
            candle_minutes: Some(1),
        })
        .collect();
    let mut session = Session::new(table.clone(), &wanted, Timing::default()).expect("a session");
    let mut out = InputBlock::new(&table, 1);
    session.handle_connected(Ts(SECOND), &mut out);
    while session.poll_frame().is_some() {}
    for (number, line) in (2..).zip(text.lines().take(STEPS_MAX)) {
        let now = Ts(number * SECOND);
        // Refusing is what it should do with most of them.
        let _ = session.handle_text(line, now, &mut out);
        while session.poll_frame().is_some() || session.poll_notice().is_some() {}
    }
}

/// Lets the bytes choose which faults befall a book, and when; the oracle
/// compares.
///
/// # Panics
/// When something wrong is shown as fresh.
pub fn book(bytes: &[u8]) {
    let Some((&first, faults)) = bytes.split_first() else { return };
    let depth = [10, 25, 100, 500][usize::from(first % 4)];
    let mut dialogue = Dialogue::new(u64::from(first / 4), 2, depth, Sabotage::None);
    dialogue.run(SECOND);
    for &byte in faults.iter().take(STEPS_MAX) {
        match usize::from(byte) {
            number @ 0..64 => dialogue.begin(Fault::ALL[number % Fault::ALL.len()], 0),
            64..96 => dialogue.state.end_faults(),
            pause => dialogue.run((pause as i64 - 95) * SECOND / 20),
        }
    }
    dialogue.state.end_faults();
    dialogue.run(2 * SECOND);
    assert!(dialogue.oracle.wrong.is_empty(), "{bytes:?}: {:?}", dialogue.oracle.wrong);
}

/// Changes a text at a few places: bytes flipped, cut, doubled, or replaced by
/// what a parser may stumble over. It stays UTF-8.
#[must_use]
pub fn mutated(text: &str, random: &mut Random) -> String {
    const ODD: [&str; 12] = [
        "\"",
        "{",
        "}",
        "[",
        "]",
        "-",
        "1e999",
        "null",
        "\\u0000",
        "9223372036854775808",
        ",",
        "0",
    ];
    let mut text: Vec<char> = text.chars().collect();
    for _ in 0..random.between(1, 4) {
        let length = text.len() as u64;
        if length == 0 {
            break;
        }
        let at = random.below(length) as usize;
        match random.below(5) {
            0 => text[at] = char::from(random.between(32, 126) as u8),
            1 => drop(text.remove(at)),
            2 => text.truncate(at),
            3 => drop(text.splice(at..at, random.pick(&ODD).chars())),
            _ => {
                let end = (at + random.below(40) as usize).min(text.len());
                let part: Vec<char> = text[at..end].to_vec();
                text.splice(at..at, part);
            }
        }
    }
    text.into_iter().collect()
}
