//! Faults of single frames and of the connection: frames in, frames, bytes and
//! closings out.

use super::book::View;
use super::desk::{Content, Frame};
use super::fault::{Fault, Place};
use super::fuzz::mutated;
use super::market::{PAIRS, Print};
use super::random::Random;
use super::wire;

/// What goes onto the connection.
#[derive(Clone, Debug)]
pub enum Out {
    /// a text message
    Text(String),
    /// bytes as they are, between two frames
    Raw(Vec<u8>),
    /// a ping
    Ping,
    /// a pong that nobody asked for
    Pong,
    /// a closing frame with this code, then the end
    Close(u16),
}

/// One connection's faults of frames.
#[derive(Default)]
pub struct Mangler {
    held: Option<Frame>,
}

/// What a fault needs to know beside the frame.
pub struct Trouble<'a> {
    /// the fault that waits for a frame
    pub waiting: &'a mut Option<Fault>,
    /// by pair, the time of the last message that may have been lost
    pub disturbed: &'a mut [i64],
    /// chance
    pub random: &'a mut Random,
}

impl Mangler {
    /// What becomes of a frame.
    pub fn frame(&mut self, frame: Frame, trouble: &mut Trouble<'_>) -> Vec<Out> {
        let fault = trouble.waiting.filter(|fault| fits(*fault, &frame));
        let mut out = match fault {
            None => vec![Out::Text(frame.text.clone())],
            Some(fault) => {
                *trouble.waiting = None;
                if let Content::Book { symbol, ts, .. } = frame.content
                    && fault.hides_depth()
                {
                    trouble.disturbed[symbol] = ts;
                }
                if fault == Fault::ReorderBook {
                    self.held = Some(frame);
                    return Vec::new();
                }
                wrong(fault, &frame, trouble.random)
            }
        };
        if let Some(held) = &self.held
            && let Content::Book { symbol: late, .. } = held.content
            && let Content::Book { symbol, ts, .. } = frame.content
            && late == symbol
        {
            trouble.disturbed[symbol] = ts;
            out.extend(self.held.take().map(|held| Out::Text(held.text)));
        }
        out
    }
}

/// True for a frame that the fault can be shown on.
fn fits(fault: Fault, frame: &Frame) -> bool {
    match (&frame.content, fault) {
        (Content::Trades { snapshot, .. }, Fault::ReplayTrades | Fault::OddTimes) => !snapshot,
        (Content::Book { snapshot, .. }, Fault::UpdateBeforeSnapshot) => *snapshot,
        (Content::Book { view, depth, .. }, Fault::TooManyLevels) => {
            view.bids.len() == *depth && view.asks.len() == *depth
        }
        (Content::Book { .. }, Fault::ReplayTrades | Fault::OddTimes) => false,
        (Content::Book { snapshot, .. }, _) => fault.place() == Place::Frame && !snapshot,
        _ => false,
    }
}

fn wrong(fault: Fault, frame: &Frame, random: &mut Random) -> Vec<Out> {
    let text = &frame.text;
    let as_is = || Out::Text(text.clone());
    match &frame.content {
        Content::Trades { symbol, prints, .. } => {
            let pair = &PAIRS[*symbol];
            if fault == Fault::OddTimes {
                let odd = [
                    "1970-01-01T00:00:00.000000Z",
                    "2199-01-01T00:00:00.000000Z",
                    "2016-12-31T23:59:60.000000Z",
                    "9999-12-31T23:59:59.999999Z",
                    "yesterday",
                ];
                return vec![Out::Text(wire::trades(pair, false, prints, Some(random.pick(&odd))))];
            }
            let backwards: Vec<Print> = prints.iter().rev().copied().collect();
            let again = wire::trades(pair, true, &backwards, None);
            vec![as_is(), as_is(), Out::Text(again)]
        }
        Content::Book { symbol, snapshot, sides, view, ts, .. } => {
            let pair = &PAIRS[*symbol];
            let checksum = view.checksum();
            let after = |sides: View, checksum: u32| {
                vec![as_is(), Out::Text(wire::book(pair, false, &sides, checksum, *ts))]
            };
            let bids_only = |level| View { bids: vec![level], asks: Vec::new() };
            match fault {
                Fault::CutJson => vec![Out::Text(text[..text.len() / 2].to_owned())],
                Fault::WrongType => vec![swap(text, "\"checksum\":", "\"checksum\":\"a\",\"b\":")],
                Fault::MissingField => vec![swap(text, "\"checksum\":", "\"check\":")],
                Fault::ExtraField => {
                    vec![swap(text, "\"checksum\":", "\"more\":{\"a\":[1,{}]},\"checksum\":")]
                }
                Fault::DuplicateKey => vec![swap(text, "\"asks\":", "\"asks\":[],\"asks\":")],
                Fault::HugeNumber => {
                    vec![swap(text, "\"qty\":", &format!("\"qty\":{}", "9".repeat(200_000)))]
                }
                Fault::Exponent => vec![swap(text, "\"qty\":", "\"qty\":1e999,\"x\":")],
                Fault::NotANumber => vec![swap(text, "\"qty\":", "\"qty\":NaN,\"x\":")],
                Fault::WrongChecksum => {
                    vec![Out::Text(wire::book(pair, *snapshot, sides, checksum ^ 1, *ts))]
                }
                Fault::FlippedBook => {
                    let from = text.find("\"bids\"").unwrap_or(0);
                    let to = text.find(",\"timestamp\"").unwrap_or(text.len());
                    let middle = mutated(&text[from..to], random);
                    vec![Out::Text(format!("{}{middle}{}", &text[..from], &text[to..]))]
                }
                Fault::DropBook => Vec::new(),
                Fault::DuplicateBook => vec![as_is(), as_is()],
                Fault::UpdateBeforeSnapshot => {
                    vec![Out::Text(wire::book(pair, false, sides, checksum, *ts)), as_is()]
                }
                Fault::SnapshotTwice => {
                    let again = wire::book(pair, true, view, checksum, *ts);
                    vec![as_is(), Out::Text(again.clone()), Out::Text(again)]
                }
                Fault::CrossedBook => {
                    let Some(&(ask, _)) = view.asks.first() else { return vec![as_is()] };
                    let (mut crossed, level) = (view.clone(), (ask, pair.qty));
                    crossed.set(true, level);
                    after(bids_only(level), crossed.checksum())
                }
                Fault::NegativePrice => after(bids_only((-1, pair.qty)), checksum),
                Fault::ZeroPrice => after(bids_only((0, pair.qty)), checksum),
                Fault::UnknownDelete => {
                    let lowest = view.bids.last().map_or(2, |level| level.0);
                    after(bids_only(((lowest - 1).max(1), 0)), checksum)
                }
                Fault::TooManyLevels => {
                    let highest = view.asks.last().map_or(pair.price, |level| level.0);
                    let asks = (1..=50).map(|step| (highest + step, pair.qty)).collect();
                    after(View { bids: Vec::new(), asks }, checksum)
                }
                _ => vec![as_is()],
            }
        }
        Content::Other => vec![as_is()],
    }
}

/// The text with the first of these replaced; cut off where there is none, so
/// that the fault always takes place.
fn swap(text: &str, from: &str, to: &str) -> Out {
    if text.contains(from) {
        Out::Text(text.replacen(from, to, 1))
    } else {
        Out::Text(text[..text.len() - 1].to_owned())
    }
}

/// A frame with these first two bytes' worth of flags, not masked.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(length as u8),
        length @ 126..65_536 => {
            bytes.push(126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// What a fault of the connection puts onto it.
#[must_use]
pub fn connection(fault: Fault, random: &mut Random) -> Vec<Out> {
    let text = wire::HEARTBEAT.as_bytes();
    match fault {
        Fault::CloseNormally => vec![Out::Close(1_000)],
        Fault::CloseGoingAway => vec![Out::Close(1_001)],
        Fault::CloseRestart => vec![Out::Close(1_012)],
        Fault::Garbage if random.chance(300) => {
            vec![Out::Raw(b"HTTP/1.1 502 Bad Gateway\r\n\r\n".to_vec())]
        }
        Fault::Garbage => vec![Out::Raw((0..64).map(|_| random.below(256) as u8).collect())],
        Fault::InvalidUtf8 => vec![Out::Raw(raw(0x81, b"{\"channel\":\"\xff\xfe\xc0\"}"))],
        Fault::DepthBomb => vec![Out::Text(format!(
            r#"{{"channel":"book","type":"update","data":{}"#,
            "[".repeat(100_000)
        ))],
        Fault::HugeFrame => {
            let mut bytes = vec![0x81, 127];
            bytes.extend((64_u64 << 20).to_be_bytes());
            bytes.extend([b' '; 4_096]);
            vec![Out::Raw(bytes)]
        }
        Fault::EndlessFragments => {
            let part = vec![b' '; 65_000];
            let first = Out::Raw(raw(0x01, &part));
            let more = (0..100).map(|_| Out::Raw(raw(0x00, &part)));
            std::iter::once(first).chain(more).collect()
        }
        Fault::Compressed => vec![Out::Raw(raw(0xc1, text))],
        Fault::UnknownOpcode => vec![Out::Raw(raw(0x83, text))],
        Fault::MaskedFrame => {
            let mut bytes = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
            bytes.extend(text);
            vec![Out::Raw(bytes)]
        }
        Fault::PingFlood => vec![Out::Ping; 500],
        Fault::UnaskedPong => vec![Out::Pong; 3],
        _ => Vec::new(),
    }
}
