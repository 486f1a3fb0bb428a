//! What an account must be able to do beside counting: leave and come back.

use super::{Account, AccountConfig};
use crate::domain::{
    Action, Cause, Fill, Instrument, InstrumentTable, Liquidity, Money, OrderId, Price, Qty,
    SymbolId, Ts,
};

/// An account of 1000 USD over X/USD with a long and two marks.
pub(super) fn account_with_a_long() -> Account {
    let table = InstrumentTable::new(vec![Instrument::plain("X/USD", 2, 2)]);
    let config = AccountConfig {
        currency: "USD".into(),
        capital: Money::parse("1000").unwrap(),
        assets: Vec::new(),
        fills_kept: 10,
        trips_kept: 10,
    };
    let mut account = Account::open(&config, &table).unwrap();
    account.mark(SymbolId(0), 20_000);
    let fill = Fill {
        id: 1,
        order: OrderId(1),
        seq: 1,
        ts: Ts(1),
        symbol: SymbolId(0),
        action: Action::Buy,
        qty: Qty(100),
        amount: Money::parse("100").unwrap(),
        fee: Money::parse("0.1").unwrap(),
        liquidity: Liquidity::Taker,
        cause: Cause::Strategy,
        best_price: Price(10_000),
    };
    account.apply(&fill).unwrap();
    account.mark(SymbolId(0), 19_001);
    account
}

#[test]
fn a17_a_position_counts_for_no_more_than_an_amount_may_be() {
    for (action, sign) in [(Action::Buy, 1_i128), (Action::Short, -1)] {
        let mut account = account_with_a_long();
        let long = account.statistics.newest_fills(1).next().unwrap().clone();
        let out = Fill { id: 2, order: OrderId(2), action: Action::Sell, ..long.clone() };
        account.apply(&out).unwrap();
        account.mark(SymbolId(0), 2);
        // Ten million units at a cent each.
        let (qty, amount) = (Qty(1_000_000_000), Money::parse("100000").unwrap());
        account.apply(&Fill { id: 3, order: OrderId(3), action, qty, amount, ..long }).unwrap();
        let cash = account.cash();
        let mut worth = |price: i64| {
            account.mark(SymbolId(0), 2 * price);
            account.check().unwrap();
            assert_eq!(account.equity(), account.recompute_equity());
            sign * (account.equity().unwrap() - cash).0
        };
        let units = |price: i128| 10_000_000 * price * 1_000_000;
        assert_eq!(worth(100_000_000), units(100_000_000), "just the most that there is");
        assert_eq!(worth(100_000_000), Money::LIMIT.0);
        assert_eq!(worth(1_000_000_000), Money::LIMIT.0, "ten times the price, and no more");
        assert_eq!(worth(1), units(1), "exact again when the price comes back");
    }
}

#[test]
fn a17_a_part_of_a_large_position_is_sold_for_its_share() {
    let long = account_with_a_long().statistics.newest_fills(1).next().unwrap().clone();
    let (all, part) = (1_900_000_000_000_000_000, 1_850_000_000_000_000_000);
    let amount = Money(95_000_000_000_000_000_001);
    let mut position = super::Position::default();
    position.apply(&Fill { qty: Qty(all), amount, ..long.clone() }).expect("it opens");
    let sell = Fill { action: Action::Sell, qty: Qty(part), amount: Money::ZERO, ..long };
    let change = position.apply(&sell).expect("cost times quantity is beyond the integers");
    // 50 and a bit for each unit; the bit is rounded up.
    assert_eq!(change.realized, Money(-(50 * i128::from(part) + 1)));
    let rest = Fill { qty: Qty(all - part), ..sell };
    let closed = position.apply(&rest).expect("the rest");
    assert_eq!(change.realized + closed.realized, Money(-amount.0), "and the sum is exact");
}

#[test]
fn a_state_is_the_same_after_it_was_written_and_read() {
    let account = account_with_a_long();
    let bytes = rmp_serde::to_vec_named(&account).unwrap();
    let mut read: Account = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(read, account);
    read.mark(SymbolId(0), 19_003);
    assert_ne!(read, account, "the comparison sees a mark of half a cent");
    read.check().unwrap();
}

#[allow(clippy::type_complexity, reason = "a fill's fields, in the order of the tables")]
/// Fills of XRP/BTC and BTC/USD in an account in USD that starts with a bitcoin.
fn two_quotes() -> (Account, impl FnMut(u64, u16, Action, i64, &str, &str) -> Fill) {
    let table = InstrumentTable::new(vec![
        Instrument::plain("BTC/USD", 2, 8),
        Instrument::plain("XRP/BTC", 8, 2),
    ]);
    let config = AccountConfig {
        currency: "USD".into(),
        capital: Money::parse("1000").unwrap(),
        assets: vec![("BTC".into(), Money::parse("1").unwrap())],
        fills_kept: 10,
        trips_kept: 10,
    };
    let fill = |id, symbol, action, qty, amount: &str, fee: &str| Fill {
        id,
        order: OrderId(id),
        seq: id,
        ts: Ts(1),
        symbol: SymbolId(symbol),
        action,
        qty: Qty(qty),
        amount: Money::parse(amount).unwrap(),
        fee: Money::parse(fee).unwrap(),
        liquidity: Liquidity::Taker,
        cause: Cause::Strategy,
        best_price: Price(1),
    };
    (Account::open(&config, &table).unwrap(), fill)
}

#[test]
fn sums_of_different_quotes_are_converted_when_booked_and_kept_apart() {
    let (mut account, mut fill) = two_quotes();
    let usd = |text| Money::parse(text).unwrap();
    account.mark(SymbolId(0), 2 * 10_000_000);
    // Bought at 0.5 BTC of 100,000 USD, sold at 0.6 BTC when it was 50,000 USD.
    account.apply(&fill(1, 1, Action::Buy, 100, "0.5", "0.00000001")).unwrap();
    account.mark(SymbolId(0), 2 * 5_000_000);
    account.apply(&fill(2, 1, Action::Sell, 100, "0.6", "0.00000003")).unwrap();
    account.apply(&fill(3, 0, Action::Buy, 1_000, "7", "0.5")).unwrap();
    let totals = &account.statistics;
    assert_eq!(totals.realized, usd("5000"), "0.1 BTC at 50,000");
    assert_eq!(totals.fees, usd("0.001") + usd("0.0015") + usd("0.5"));
    assert_eq!(totals.turnover, usd("50000") + usd("30000") + usd("7"));
    assert_eq!(totals.net, usd("4999.998"), "the round trip's, at its end");
    assert_eq!(totals.realized_pnl(), Some(usd("5000") - totals.fees));
    let by_asset = account.by_asset();
    assert_eq!((by_asset[0].asset.as_str(), by_asset[1].asset.as_str()), ("USD", "BTC"));
    assert_eq!((by_asset[0].cash, by_asset[0].fees), (usd("992.5"), usd("0.5")));
    let bitcoin = &by_asset[1];
    assert_eq!((bitcoin.realized, bitcoin.fees), (usd("0.1"), usd("0.00000004")));
    assert_eq!(bitcoin.cash, usd("1") + bitcoin.realized - bitcoin.fees, "exact in the asset");
    assert_eq!(account.breakdown().symbols()[1].net, usd("0.09999996"), "in its own quote");
}

#[test]
fn a_sum_without_a_rate_is_unknown_and_not_smaller() {
    let (mut account, mut fill) = two_quotes();
    account.apply(&fill(1, 1, Action::Buy, 100, "0.5", "0")).unwrap();
    assert_eq!(account.statistics.unconverted, 1);
    assert_eq!(account.statistics.realized_pnl(), None);
    account.mark(SymbolId(0), 2 * 5_000_000);
    account.apply(&fill(2, 1, Action::Sell, 100, "0.6", "0")).unwrap();
    assert_eq!(account.statistics.realized_pnl(), None, "it stays unknown");
    assert_eq!((account.statistics.wins, account.statistics.win_rate_pct()), (1, Some(100.0)));
    assert_eq!(account.by_asset()[1].realized, Money::parse("0.1").unwrap());
}
