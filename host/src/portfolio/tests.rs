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
    account.mark(SymbolId(0), 20_000).unwrap();
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
    account.mark(SymbolId(0), 19_001).unwrap();
    account
}

#[test]
fn a_state_is_the_same_after_it_was_written_and_read() {
    let account = account_with_a_long();
    let bytes = rmp_serde::to_vec_named(&account).unwrap();
    let mut read: Account = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(read, account);
    read.mark(SymbolId(0), 19_003).unwrap();
    assert_ne!(read, account, "the comparison sees a mark of half a cent");
    read.check().unwrap();
}
