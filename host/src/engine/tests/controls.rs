//! Controls of the accounting properties in `accounts`: what a property rules out is made
//! to happen, and its check must see it.

use super::accounts::{Answers, apart, bytes, extreme_order};
use super::properties::gambler;
use super::support::*;
use crate::domain::{
    Action, Cause, Fill, Instrument, InstrumentTable, Liquidity, OrderId, Price, Qty, Rate, Side,
    SymbolId, Ts,
};
use crate::engine::booking::check_size;
use crate::engine::{EngineBuilder, EngineConfig, LaneOutput, LaneSpec, Output};
use crate::execution::Taken;
use crate::input::{InputBlock, Trade};
use crate::portfolio::Account;
use crate::strategy::{Channel, OrderKind, Size, Strategy as _};

/// What became of a gambler in a market that rises and falls, and its next number.
fn gambled(seed: u64) -> (Vec<Output>, u64) {
    let mut engine = engine(&free(), vec![(gambler(seed), "1000")]);
    let prices: Vec<i64> = (0..300).map(|second| 9_000 + second * 977 % 2_000).collect();
    engine.step(&trades(&prices)).expect("no invariant breaks");
    (engine.drain().collect(), engine.lanes[0].next_order)
}

#[test]
fn a07_control_a_sale_of_more_than_is_held_and_a_lost_answer_are_seen() {
    let reduces =
        |one: &Output| matches!(&one.body, LaneOutput::Fill { fill, .. } if !fill.action.opens());
    let refused = |one: &Output| matches!(one.body, LaneOutput::Reject { .. });
    let mut runs = (1..100).map(gambled);
    let (news, next) = runs
        .find(|(news, _)| news.iter().any(reduces) && news.iter().any(refused))
        .expect("one of them sells or covers");
    let mut answers = Answers::default();
    assert_eq!(answers.follow(&news), Ok(()));
    assert_eq!(answers.missing(next), Vec::<u64>::new());
    // More was sold than is there.
    let reduces =
        |one: &Output| matches!(&one.body, LaneOutput::Fill { fill, .. } if !fill.action.opens());
    let mut changed = news.clone();
    let sale = changed.iter_mut().find(|one| reduces(one)).expect("it sells or covers");
    if let LaneOutput::Fill { fill, .. } = &mut sale.body {
        fill.qty.0 += 1_000_000;
    }
    assert!(Answers::default().follow(&changed).is_err());
    // An answer that does not come.
    let mut lost = news;
    let mentions = |order: OrderId| {
        let of = |one: &&Output| match &one.body {
            LaneOutput::Reject { order: other, .. } | LaneOutput::Accepted { order: other, .. } => {
                *other == order
            }
            LaneOutput::Fill { fill, .. } => fill.order == order,
            _ => false,
        };
        lost.iter().filter(of).count()
    };
    let only_answer =
        |one: &Output| matches!(one.body, LaneOutput::Reject { order, .. } if mentions(order) == 1);
    let at = lost.iter().position(only_answer).expect("some are refused at once");
    let LaneOutput::Reject { order, .. } = lost.remove(at).body else { unreachable!() };
    let mut answers = Answers::default();
    assert_eq!(answers.follow(&lost), Ok(()));
    assert_eq!(answers.missing(next), [order.0]);
}

/// The account itself refuses what the checks before it should have.
#[test]
fn a07_control_an_account_books_no_sale_of_what_is_not_held() {
    let mut account = Account::open(&account("1000"), &instruments()).expect("an account");
    account.apply(&fill(1, Action::Buy, 100)).expect("fits");
    let refused = account.apply(&fill(2, Action::Sell, 101)).expect_err("more than is held");
    assert!(refused.0.contains("on a position of 100"), "{refused}");
    account.apply(&fill(2, Action::Sell, 100)).expect("control: what is held");
}

fn fill(id: u64, action: Action, qty: i64) -> Fill {
    Fill {
        id,
        order: OrderId(id),
        seq: id,
        ts: Ts(1),
        symbol: SymbolId(0),
        action,
        qty: Qty(qty),
        amount: usd("100"),
        fee: usd("0"),
        liquidity: Liquidity::Taker,
        cause: Cause::Strategy,
        best_price: Price(10_000),
    }
}

#[test]
fn a09_control_a_strategy_of_the_same_symbol_is_changed() {
    // The bytes that the property compares do change where events are one's own.
    let mut engine = apart(&EngineConfig::default(), (3, 3));
    let (mut own, mut other) = (0, 0);
    for second in 1..200 {
        let before = [bytes(&engine, 0), bytes(&engine, 1)];
        let mut one = InputBlock::new(&instruments(), engine.next_seq());
        let (ts, symbol) = (Ts(second * Ts::SECOND), SymbolId(0));
        let (side, price, qty) = (Side::Buy, Price(9_000 + second * 977 % 2_000), Qty(100));
        one.push_trade(ts, ts, &Trade { symbol, side, price, qty, id: 0 });
        engine.step(&one).expect("no invariant breaks");
        own += u32::from(bytes(&engine, 0) != before[0]);
        other += u32::from(bytes(&engine, 1) != before[1]);
    }
    assert!(own > 100, "{own} of 199 events changed the account whose symbol it was");
    assert_eq!(other, 0);
}

#[test]
fn a17_control_what_is_refused_as_extreme_is_taken_when_it_is_not() {
    // The same orders with plain numbers fill, so the numbers are why others do not.
    let mut state = 0;
    let strategy = Scripted::new(&[Channel::Trades], move |_, effects| {
        state += 1_u64;
        let mixed = state.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let _full = effects.submit(extreme_order(mixed, 0.5, 100.0, 90.0));
    });
    let (_, outputs) = run(strategy, "100000", &trades(&[10_000; 300]));
    assert!(fills(&outputs).len() > 10, "{:?}", rejects(&outputs));
}

#[test]
fn a17_control_without_its_check_a_position_beyond_the_integers_ends_the_run() {
    let taken = |qty| Taken { qty: Qty(qty), amount: usd("100"), fee: usd("0"), best: Price(1) };
    assert!(check_size(&taken(i64::MAX - 1), Qty(1)).is_ok());
    assert!(check_size(&taken(i64::MAX), Qty(1)).is_err());
    // Booked nevertheless it wraps no number: the account says that it cannot be.
    let mut account = Account::open(&account("1000"), &instruments()).expect("an account");
    account.apply(&fill(1, Action::Buy, 1)).expect("fits");
    let error = account.apply(&fill(2, Action::Buy, i64::MAX)).expect_err("beyond the integers");
    assert!(error.0.contains("overflows"), "{error}");
}

/// What fills when all that may be is sold short, in a symbol of this quote at this rate.
fn shorts_all(quote: &str, rate: i64) -> (Vec<&'static str>, usize) {
    let symbol = format!("X/{quote}");
    let table = InstrumentTable::new(vec![
        Instrument::plain(&symbol, 2, 2),
        Instrument::plain("EUR/USD", 4, 2),
    ]);
    let mut config = free();
    config.execution.max_short_leverage = Rate(1_000_000_000);
    let mut builder = EngineBuilder::new(config, table.clone()).expect("instruments");
    let mut strategy = Scripted::new(&[Channel::Trades], |event, effects| {
        if event.ts == 2 * Ts::SECOND as u64 {
            let _full = effects.submit(market(Action::Short, Size::All));
        }
    });
    let descriptor = strategy.describe().expect("scripted");
    let strategy = Box::new(strategy);
    let (symbols, parameters) = (vec![symbol, "EUR/USD".into()], Vec::new());
    let account = account("1000");
    let name = "all".into();
    builder
        .add(LaneSpec { name, strategy, descriptor, symbols, parameters, account })
        .expect("a valid lane");
    let mut engine = builder.start(Ts(0));
    let mut block = InputBlock::new(&table, 1);
    let mut print = |second, symbol, price| {
        let (ts, side, qty) = (Ts(second * Ts::SECOND), Side::Buy, Qty(100_000));
        block.push_trade(ts, ts, &Trade { symbol, side, price: Price(price), qty, id: 0 });
    };
    // The strategy acts at the second print, when the rate is known.
    print(1, SymbolId(1), rate);
    print(2, SymbolId(0), 10_000);
    engine.step(&block).expect("no invariant breaks");
    let outputs: Vec<Output> = engine.drain().collect();
    (rejects(&outputs), fills(&outputs).len())
}

/// What of the room for shorts is left has no exact inverse in another asset, whatever
/// its rate is, so there `all` means nothing: a rate between one and two was once taken for
/// that of the account's own currency.
#[test]
fn all_of_the_room_for_shorts_is_known_in_the_currency_alone() {
    assert_eq!(shorts_all("USD", 10_800), (vec![], 1));
    for rate in [9_000, 10_000, 10_800, 19_999, 20_000] {
        assert_eq!(shorts_all("EUR", rate), (vec!["below-minimum-quantity"], 0), "{rate}");
    }
}

#[test]
fn no_more_orders_wait_than_may() {
    let most = crate::execution::orders::OPEN_ORDERS_MAX;
    let bid = super::steps::waits(Action::Buy, 0.01, OrderKind::Limit(1.0));
    let (_, outputs) = run(sends(vec![bid; most + 2]), "1000", &trades(&vec![10_000; most + 3]));
    assert_eq!(rejects(&outputs), ["too-many-orders"; 2]);
}
