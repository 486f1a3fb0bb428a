//! What the rules of the book protect from: a follower that leaves one out is
//! found out by the oracle.

use sandpaper::domain::{Price, Qty, SymbolId, Ts, decimal};
use sandpaper::input::{InputBlock, TradingStatus};
use sandpaper::venue::kraken::{BookData, LevelData, Message, number_text, parse, time};
use sandpaper_tests::exchange::book::{Level, View};
use sandpaper_tests::exchange::dialogue::instruments;
use sandpaper_tests::exchange::mangle::Out;
use sandpaper_tests::exchange::market::{MarketConfig, PAIRS};
use sandpaper_tests::exchange::oracle::{Oracle, Sabotage};
use sandpaper_tests::exchange::{Fault, Line, State};

const DEPTH: usize = 10;

/// Follows one book, by all rules or not.
struct Follower {
    verifies: bool,
    truncates: bool,
    view: View,
    stale: bool,
}

impl Follower {
    fn take(&mut self, data: &BookData<'_>, snapshot: bool, out: &mut InputBlock) {
        let ts = time(data.timestamp.as_deref().expect("a time")).expect("a time");
        if snapshot {
            self.view = View::default();
            self.stale = false;
            out.push_status(ts, SymbolId(0), TradingStatus::Stale);
        }
        for (bid, levels) in [(true, &data.bids), (false, &data.asks)] {
            for level in levels {
                self.view.set(bid, units(level));
            }
        }
        if self.truncates {
            self.view.bids.truncate(DEPTH);
            self.view.asks.truncate(DEPTH);
        }
        if self.verifies && self.view.checksum() != data.checksum {
            self.stale = true;
        }
        let status = if self.stale { TradingStatus::Stale } else { TradingStatus::Trading };
        let exact = |side: &[Level]| -> Vec<(Price, Qty)> {
            side.iter().map(|level| (Price(level.0), Qty(level.1))).collect()
        };
        if self.stale {
            out.push_status(ts, SymbolId(0), status);
            return;
        }
        let (bids, asks) = (exact(&self.view.bids), exact(&self.view.asks));
        out.push_book(ts, ts, SymbolId(0), true, &bids, &asks);
        out.push_status(ts, SymbolId(0), status);
    }
}

fn units(level: &LevelData<'_>) -> Level {
    let number = |raw, decimals| decimal::parse_i64(number_text(raw), decimals).expect("a number");
    (number(level.price, PAIRS[0].price_decimals), number(level.qty, PAIRS[0].qty_decimals))
}

/// How many books the oracle found wrong, and whether the follower was stale at
/// the end.
fn follow(verifies: bool, truncates: bool, fault: Option<Fault>) -> (usize, bool) {
    let config = MarketConfig { seed: 11, pairs: 1, ..MarketConfig::default() };
    let (mut state, table) = (State::new(config, 4_096), instruments(1));
    let mut oracle = Oracle::new(&table, DEPTH, Sabotage::None);
    let mut line = Line::new(&mut state, 11);
    let mut follower = Follower { verifies, truncates, view: View::default(), stale: true };
    let subscribe = r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":10},"req_id":1}"#;
    let mut out = line.request(subscribe, &mut state, config.start);
    for step in 1..400 {
        for text in out {
            let Out::Text(text) = text else { continue };
            let Ok(Message::Book(rows, snapshot)) = parse(&text) else { continue };
            let mut block = InputBlock::new(&table, 1);
            rows.iter().for_each(|row| follower.take(row, snapshot, &mut block));
            oracle.take(&block, &state);
        }
        if step % 100 == 0
            && let Some(fault) = fault
        {
            state.begin(fault, 0);
        }
        out = line.tick(&mut state, config.start + step * Ts::SECOND / 10);
    }
    assert!(oracle.compared > 50, "{}", oracle.compared);
    (oracle.wrong.len(), follower.stale)
}

#[test]
fn add_08_control_a_follower_by_all_rules_is_right() {
    assert_eq!(follow(true, true, None), (0, false));
    assert_eq!(follow(true, true, Some(Fault::DropBook)), (0, true));
}

#[test]
fn add_08_control_unverified_checksums_show_wrong_books() {
    let (wrong, _) = follow(false, true, Some(Fault::DropBook));
    assert!(wrong > 0);
}

#[test]
fn add_08_control_books_that_are_not_cut_to_their_depth_go_wrong_by_themselves() {
    let (wrong, _) = follow(false, false, None);
    assert!(wrong > 0);
    let (wrong, stale) = follow(true, false, None);
    assert_eq!((wrong, stale), (0, true), "the checksum finds it");
}
