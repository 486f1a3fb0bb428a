//! The accounting properties of one account, each by itself, over random histories
//! of fills, prices and time. Each has a control that it must notice.
//!
//! | property | shown by |
//! |---|---|
//! | A1 each fill is balanced postings | `a01_…` |
//! | A2 what was deposited is all there is, always | `a02_…`, controls in `portfolio::ledger` |
//! | A3 equity is cash and marked positions, two ways | `a03_…` |
//! | A4 equity − deposits is what was realized and is not, less all costs | `a04_…` |
//! | A5 cash and shorts within their limits | `engine::tests::accounts::a05_…` |
//! | A6 total is free and locked | `engine::tests::accounts::a06_…` |
//! | A7 sells within what is held; refusals are visible | `engine::tests::accounts::a07_…` |
//! | A8 fees as specified, and monotone | `a08_…`, `engine::tests::accounts::a08_…` |
//! | A9, A10 strategies do not touch each other | `engine::tests::accounts::a09_…`, `a10_…` |
//! | A11 closed, all is cash | `a11_…` |
//! | A12 no money pump | `engine::tests::accounts::a12_…` |
//! | A13 capital, peak, drawdown | `a13_…` |
//! | A14 a fill twice is a fill once | `a14_…` |
//! | A15 what was written is what is read, and goes on alike | `a15_…` |
//! | A16 bounded history, exact totals | `a16_…` |
//! | A17 extremes are refused | `engine::tests::accounts::a17_…` |
//! | A18 candles and indicators equal their definitions | `market::candles::a18_…`, the SDK's `a18_…` |
//!
//! `machine_tests` drives the same rules with a model. `PROPTEST_CASES` sets the
//! number of histories.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::ledger::{Owner, Unit};
use super::{Account, AccountConfig, StartError, Terms};
use crate::domain::{
    Action, Cause, Fill, Instrument, InstrumentTable, Liquidity, Money, OrderId, Price, Qty, Rate,
    Rounding, Side, SymbolId, Ts,
};

const CAPITAL: Money = Money(100_000_000_000);
const BITCOIN: Money = Money(50_000_000);
const KEPT: usize = 4;
/// BTC/USD, X/USD and Z/BTC.
const SYMBOLS: usize = 3;
const OWNERS: [Owner; 5] =
    [Owner::Strategy, Owner::Venue, Owner::Fees, Owner::Carry, Owner::Capital];

/// What may happen next; [`book`] makes it fit the account.
#[derive(Clone, Debug)]
struct Raw {
    symbol: usize,
    choice: u8,
    qty: i64,
    amount: i64,
    fee: i64,
    gap: i64,
    mark2: i64,
}

fn history() -> impl Strategy<Value = Vec<Raw>> {
    let raw = (
        0..SYMBOLS,
        any::<u8>(),
        1_i64..500,
        1_i64..20_000_000_000,
        0_i64..90_000_000,
        0_i64..20_000_000_000_000,
        2_i64..40_000,
    );
    let raw = raw.prop_map(|(symbol, choice, qty, amount, fee, gap, mark2)| Raw {
        symbol,
        choice,
        qty,
        amount,
        fee,
        gap,
        mark2,
    });
    prop::collection::vec(raw, 1..60)
}

/// An account in dollars that also holds bitcoin, with charges on shorts.
fn open() -> Account {
    let config = AccountConfig { assets: vec![("BTC".into(), BITCOIN)], ..config(CAPITAL) };
    let mut account = Account::open(&config, &table()).expect("capital");
    let (short_open, short_rollover) = (Rate(200_000), Rate(300_000));
    account.set_terms(Terms { short_open, short_rollover, ..Terms::default() });
    for symbol in 0..SYMBOLS {
        account.mark(SymbolId(symbol as u16), 20_000);
    }
    account
}

fn table() -> InstrumentTable {
    let pairs = ["BTC/USD", "X/USD", "Z/BTC"];
    InstrumentTable::new(pairs.map(|name| Instrument::plain(name, 2, 2)).to_vec())
}

fn config(capital: Money) -> AccountConfig {
    AccountConfig {
        currency: "USD".into(),
        capital,
        assets: Vec::new(),
        fills_kept: KEPT,
        trips_kept: KEPT,
    }
}

/// The fill that `raw` stands for, given what is held; half of the others are prices.
fn fill(account: &Account, raw: &Raw, id: u64, now: i64) -> Option<Fill> {
    if raw.choice.is_multiple_of(3) {
        return None;
    }
    let symbol = SymbolId(raw.symbol as u16);
    let held = account.qty(symbol).0;
    let reduces = raw.choice.is_multiple_of(2) && held != 0;
    let action = match (reduces, held) {
        (true, 1..) => Action::Sell,
        (true, _) => Action::Cover,
        (false, 0) if raw.choice % 4 == 1 => Action::Short,
        (false, ..0) => Action::Short,
        (false, _) => Action::Buy,
    };
    let most = if reduces { held.abs() } else { i64::MAX };
    let qty = if raw.choice % 8 == 2 { most.min(500) } else { raw.qty.min(most) };
    Some(Fill {
        id,
        order: OrderId(id),
        seq: id,
        ts: Ts(now),
        symbol,
        action,
        qty: Qty(qty),
        amount: Money(i128::from(raw.amount)),
        fee: Money(i128::from(raw.fee)),
        liquidity: Liquidity::Taker,
        cause: Cause::Strategy,
        best_price: Price(1),
    })
}

/// Lets a history happen, and shows each step: the account before it, the fill if it
/// was one, and the account after it.
fn play(
    account: &mut Account,
    history: &[Raw],
    mut seen: impl FnMut(&Account, Option<&Fill>, &Account) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut now, mut id) = (0, 0);
    for raw in history {
        now += raw.gap;
        account.accrue(Ts(now)).expect("sound");
        let before = account.clone();
        let fill = fill(account, raw, id + 1, now);
        match &fill {
            Some(fill) => {
                id += 1;
                account.apply(fill).expect("a fill that fits");
            }
            None => account.mark(SymbolId(raw.symbol as u16), raw.mark2),
        }
        seen(&before, fill.as_ref(), account)?;
    }
    Ok(())
}

fn units() -> Vec<Unit> {
    let bases = (0..SYMBOLS as u16).map(|symbol| Unit::Base(SymbolId(symbol)));
    bases.chain([Unit::Asset(0), Unit::Asset(1)]).collect()
}

/// What a step posted, by owner and unit.
fn posted(before: &Account, after: &Account) -> BTreeMap<(Owner, Unit), i128> {
    let pairs = OWNERS.iter().flat_map(|owner| units().into_iter().map(|unit| (*owner, unit)));
    let change = |(owner, unit): (Owner, Unit)| {
        after.ledger().balance(owner, unit) - before.ledger().balance(owner, unit)
    };
    pairs.map(|key| (key, change(key))).filter(|(_, change)| *change != 0).collect()
}

fn unit_sum(postings: &BTreeMap<(Owner, Unit), i128>, unit: Unit) -> i128 {
    postings.iter().filter(|((_, of), _)| *of == unit).map(|(_, amount)| amount).sum()
}

/// Sells or covers everything at these amounts.
fn close_all(account: &mut Account, amount: i64, fee: i64) {
    for symbol in (0..SYMBOLS as u16).map(SymbolId) {
        let held = account.qty(symbol).0;
        let (qty, action) = (held.abs(), if held > 0 { Action::Sell } else { Action::Cover });
        if held == 0 {
            continue;
        }
        let fill = Fill {
            id: 1_000_000 + u64::from(symbol.0),
            order: OrderId(1),
            seq: 1,
            ts: Ts(i64::MAX / 2),
            symbol,
            action,
            qty: Qty(qty),
            amount: Money(i128::from(amount)),
            fee: Money(i128::from(fee)),
            liquidity: Liquidity::Taker,
            cause: Cause::Strategy,
            best_price: Price(1),
        };
        account.apply(&fill).expect("it closes what is held");
    }
}

/// The account without its bitcoin and without Z/BTC, so that every amount is in
/// dollars and every sum is exact.
fn dollars(history: &[Raw]) -> (Account, Vec<Raw>) {
    let mut account = Account::open(&config(CAPITAL), &table()).expect("capital");
    let (short_open, short_rollover) = (Rate(200_000), Rate(300_000));
    account.set_terms(Terms { short_open, short_rollover, ..Terms::default() });
    for symbol in 0..SYMBOLS {
        account.mark(SymbolId(symbol as u16), 20_000);
    }
    let history = history.iter().map(|raw| Raw { symbol: raw.symbol % 2, ..raw.clone() }).collect();
    (account, history)
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn a01_each_fill_is_balanced_postings(history in history()) {
        let mut account = open();
        play(&mut account, &history, |before, fill, after| {
            let postings = posted(before, after);
            for unit in units() {
                prop_assert_eq!(unit_sum(&postings, unit), 0, "{:?}", unit);
            }
            let Some(fill) = fill else {
                prop_assert!(postings.is_empty(), "a price posts nothing: {:?}", postings);
                return Ok(());
            };
            let asset = Unit::Asset(u8::from(fill.symbol.0 == 2));
            let base = Unit::Base(fill.symbol);
            let sign = if matches!(fill.action, Action::Buy | Action::Cover) { 1 } else { -1 };
            let (qty, amount) = (sign * i128::from(fill.qty.0), sign * fill.amount.0);
            let short = fill.action == Action::Short;
            let opening = if short { (fill.amount.0 * 200_000 + 999_999_999) / 1_000_000_000 } else { 0 };
            let expected = BTreeMap::from([
                ((Owner::Strategy, base), qty),
                ((Owner::Venue, base), -qty),
                ((Owner::Strategy, asset), -amount - fill.fee.0 - opening),
                ((Owner::Venue, asset), amount),
                ((Owner::Fees, asset), fill.fee.0),
                ((Owner::Carry, asset), opening),
            ]);
            let expected = expected.into_iter().filter(|(_, amount)| *amount != 0);
            prop_assert_eq!(postings, expected.collect::<BTreeMap<_, _>>());
            Ok(())
        })?;
    }

    #[test]
    fn a02_what_was_deposited_is_all_there_is_at_every_step(history in history()) {
        let mut account = open();
        play(&mut account, &history, |_, _, after| {
            let ledger = after.ledger();
            for unit in units() {
                let all: i128 = OWNERS.iter().map(|owner| ledger.balance(*owner, unit)).sum();
                prop_assert_eq!(all, 0, "{:?}", unit);
            }
            let deposited = |number| -ledger.balance(Owner::Capital, Unit::Asset(number));
            prop_assert_eq!((deposited(0), deposited(1)), (CAPITAL.0, BITCOIN.0));
            let owners = [Owner::Strategy, Owner::Venue, Owner::Fees, Owner::Carry];
            for number in [0, 1] {
                let unit = Unit::Asset(number);
                let held: i128 = owners.iter().map(|owner| ledger.balance(*owner, unit)).sum();
                prop_assert_eq!(held, deposited(number));
            }
            after.check().expect("it checks itself");
            Ok(())
        })?;
    }

    #[test]
    fn a03_equity_is_cash_and_marked_positions_in_two_ways(history in history()) {
        let mut account = open();
        play(&mut account, &history, |_, _, after| {
            prop_assert!(after.equity().is_some());
            prop_assert_eq!(after.equity(), after.recompute_equity());
            Ok(())
        })?;
        // A third way, which knows the fills and charges alone.
        let (mut account, history) = dollars(&history);
        let (mut cash, mut held) = (CAPITAL.0, [0_i128; 2]);
        play(&mut account, &history, |_, fill, after| {
            if let Some(fill) = fill {
                let sign = if fill.action.side() == Side::Buy { 1 } else { -1 };
                cash -= sign * fill.amount.0 + fill.fee.0;
                held[fill.symbol.index()] += sign * i128::from(fill.qty.0);
            }
            let own = cash - after.statistics.carry.0;
            let value = |s: usize| held[s] * i128::from(after.marks[s]) * 10_000 / 2;
            prop_assert_eq!(after.equity(), Some(Money(own + value(0) + value(1))));
            Ok(())
        })?;
        // The control: half a cent on what is held is seen.
        let open = account.open_positions().next().map(|(symbol, _)| symbol);
        if let Some(symbol) = open {
            account.marks[symbol.index()] += 1;
            prop_assert!(account.check().is_err(), "a mark that the equity does not know");
        }
    }

    #[test]
    fn a04_equity_is_deposits_and_profit_less_entry_and_exit_fees(history in history()) {
        let (mut account, history) = dollars(&history);
        let mut exits = Money::ZERO;
        play(&mut account, &history, |_, fill, after| {
            let totals = &after.statistics;
            exits = exits + fill.filter(|f| !f.action.opens()).map(|f| f.fee).unwrap_or_default();
            let gross = totals.realized + after.unrealized().expect("all have marks");
            let net = gross - totals.fees - totals.carry;
            prop_assert_eq!(after.equity(), Some(CAPITAL + net));
            // The control: who forgets the fees of entries is off by them.
            let entries = totals.fees - exits;
            prop_assert_eq!(after.equity() == Some(CAPITAL + gross - exits - totals.carry), entries == Money::ZERO);
            Ok(())
        })?;
    }

    #[test]
    fn a08_a_fee_is_what_the_rate_says_and_grows_with_the_amount(
        amount in 0_i128..10_i128.pow(21),
        more in 0_i128..10_i128.pow(20),
        rate in 0_i64..1_000_000_000,
    ) {
        let fee = |amount: i128| Money(amount).times(Rate(rate), Rounding::Ceil).0;
        let exact = amount * i128::from(rate);
        prop_assert!(fee(amount) >= 0);
        prop_assert!(fee(amount + more) >= fee(amount));
        prop_assert_eq!(fee(amount), exact / 1_000_000_000 + i128::from(exact % 1_000_000_000 > 0));
        // The control: rounded the other way it is less wherever it is not exact.
        let down = Money(amount).times(Rate(rate), Rounding::Floor).0;
        prop_assert_eq!(down < fee(amount), exact % 1_000_000_000 != 0);
    }

    #[test]
    fn a11_when_all_is_closed_equity_is_cash(
        history in history(),
        amount in 0_i64..10_000_000_000,
        fee in 0_i64..10_000_000,
    ) {
        let (mut account, history) = dollars(&history);
        play(&mut account, &history, |_, _, _| Ok(()))?;
        let open = account.open_positions().count() > 0;
        let before = account.equity();
        close_all(&mut account, amount, fee);
        prop_assert_eq!(account.open_positions().count(), 0);
        prop_assert_eq!(account.equity(), Some(account.cash()));
        prop_assert_eq!(account.cash(), CAPITAL + account.statistics.net);
        prop_assert_eq!(account.unrealized(), Some(Money::ZERO));
        prop_assert_eq!(account.exposure(), Some(Money::ZERO));
        prop_assert!(open || account.equity() == before);
    }

    #[test]
    fn a13_peak_begins_with_the_capital_and_the_drawdown_is_a_part_of_it(
        history in history(),
        capital in -1_000_i128..1_000,
    ) {
        let opened = Account::open(&config(Money(capital)), &table());
        match opened {
            Ok(account) => {
                prop_assert!(capital > 0);
                prop_assert_eq!(account.peak(), Some(Money(capital)));
                prop_assert_eq!((account.roi_pct(), account.drawdown_pct()), (Some(0.0), Some(0.0)));
            }
            Err(error) => prop_assert_eq!((error, capital > 0), (StartError::Capital(Money(capital)), false)),
        }
        let (mut account, history) = dollars(&history);
        let (mut peak, mut deepest) = (CAPITAL, 0.0_f64);
        play(&mut account, &history, |_, _, after| {
            let equity = after.equity().expect("all have marks");
            peak = peak.max(equity);
            prop_assert_eq!(after.peak(), Some(peak));
            let fall = after.drawdown_pct().expect("known");
            deepest = deepest.max(fall);
            prop_assert!(fall >= 0.0 && (equity.0 < 0 || fall <= 100.0), "{}", fall);
            prop_assert!(after.max_drawdown_pct() >= deepest - 1e-6, "{}", after.max_drawdown_pct());
            prop_assert!(after.roi_pct().is_some_and(f64::is_finite));
            Ok(())
        })?;
    }

    #[test]
    fn a14_a_fill_that_comes_twice_is_booked_once(history in history()) {
        let mut account = open();
        play(&mut account, &history, |_, fill, after| {
            let Some(fill) = fill else { return Ok(()) };
            let mut again = after.clone();
            prop_assert_eq!(again.apply(fill), Ok(None));
            prop_assert_eq!(&again, after);
            // The control: under a number of its own it is another fill.
            let other = Fill { id: fill.id + 1, ..fill.clone() };
            if fill.action.opens() {
                prop_assert!(again.apply(&other).is_ok());
                prop_assert!(&again != after);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a15_an_account_that_was_written_and_read_goes_on_alike(
        history in history(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut whole = open();
        let mut written = None;
        let (mut step, cut) = (0, cut.index(history.len()));
        play(&mut whole, &history, |_, _, after| {
            if step == cut {
                written = Some(rmp_serde::to_vec_named(after).expect("plain data"));
            }
            step += 1;
            Ok(())
        })?;
        let bytes = written.expect("the cut is within");
        let mut tail: Account = rmp_serde::from_slice(&bytes).expect("its own bytes");
        prop_assert_eq!(&rmp_serde::to_vec_named(&tail).expect("plain data"), &bytes);
        let now: i64 = history[..=cut].iter().map(|raw| raw.gap).sum();
        let id = tail.statistics.fill_count;
        let (mut now, mut id) = (now, id);
        for raw in &history[cut + 1..] {
            now += raw.gap;
            tail.accrue(Ts(now)).expect("sound");
            match fill(&tail, raw, id + 1, now) {
                Some(fill) => {
                    id += 1;
                    tail.apply(&fill).expect("a fill that fits");
                }
                None => tail.mark(SymbolId(raw.symbol as u16), raw.mark2),
            }
        }
        prop_assert_eq!(&tail, &whole);
        // The control: what differs by a mark is not the same.
        tail.mark(SymbolId(0), whole.marks[0] + 1);
        prop_assert!(tail != whole);
    }

    #[test]
    fn a16_history_is_bounded_and_totals_are_exact(history in history()) {
        let (mut account, history) = dollars(&history);
        let (mut fills, mut fees, mut turnover) = (0, Money::ZERO, Money::ZERO);
        let (mut trips, mut net) = (0, Money::ZERO);
        play(&mut account, &history, |before, fill, after| {
            if let Some(fill) = fill {
                (fills, fees, turnover) = (fills + 1, fees + fill.fee, turnover + fill.amount);
                if after.qty(fill.symbol).is_zero() {
                    trips += 1;
                    let newest = after.statistics.newest_round_trips(1).next().expect("it closed one");
                    net = net + newest.net();
                }
            } else {
                prop_assert_eq!(&before.statistics, &after.statistics);
            }
            let totals = &after.statistics;
            prop_assert_eq!((totals.fill_count, totals.fees, totals.turnover), (fills, fees, turnover));
            prop_assert_eq!((totals.closed, totals.net), (trips, net));
            prop_assert!(totals.newest_fills(usize::MAX).count() as u64 == fills.min(KEPT as u64));
            prop_assert!(totals.newest_round_trips(usize::MAX).count() as u64 == trips.min(KEPT as u64));
            let symbols: Money = after.breakdown().symbols().iter().map(|t| t.net).sum();
            let tags: Money = after.breakdown().tags().iter().map(|(_, t)| t.net).sum();
            prop_assert_eq!((symbols, tags), (net, net));
            Ok(())
        })?;
    }
}
