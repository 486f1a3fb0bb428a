//! Figures of a short history, computed by hand, and what makes one unknown.

use super::{Account, AccountConfig, Terms};
use crate::domain::{
    Action, Cause, Fill, Instrument, InstrumentTable, Liquidity, Money, OrderId, Price, Qty, Rate,
    SymbolId, Ts,
};

fn usd(text: &str) -> Money {
    Money::parse(text).expect("a decimal")
}

/// An account of 1000 USD over X/USD and Y/EUR, whose shorts cost 1 % to open.
fn account(assets: Vec<(String, Money)>) -> Account {
    let table = InstrumentTable::new(vec![
        Instrument::plain("X/USD", 2, 2),
        Instrument::plain("Y/EUR", 2, 2),
        Instrument::plain("EUR/USD", 4, 2),
    ]);
    let (fills_kept, trips_kept) = (100, 100);
    let config = AccountConfig {
        currency: "USD".into(),
        capital: usd("1000"),
        assets,
        fills_kept,
        trips_kept,
    };
    let mut account = Account::open(&config, &table).expect("an account");
    let (short_open, short_rollover) = (Rate(10_000_000), Rate(200_000));
    account.set_terms(Terms { short_open, short_rollover, ..Terms::default() });
    account
}

/// Books fills of one unit with running numbers, a second apart.
struct Book {
    account: Account,
    fills: u64,
}

impl Book {
    fn fill(&mut self, symbol: u16, action: Action, amount: &str, fee: &str) {
        self.fills += 1;
        let ts = Ts(self.fills as i64 * Ts::SECOND);
        let (order, seq) = (OrderId(self.fills), self.fills);
        let (symbol, qty, best_price) = (SymbolId(symbol), Qty(100), Price(1));
        let (amount, fee) = (usd(amount), usd(fee));
        let (liquidity, cause) = (Liquidity::Taker, Cause::Strategy);
        let id = self.fills;
        let fill = Fill {
            id,
            order,
            seq,
            ts,
            symbol,
            action,
            qty,
            amount,
            fee,
            liquidity,
            cause,
            best_price,
        };
        self.account.apply(&fill).expect("it fits");
    }

    /// A long that makes 18, one that loses 12, and a short that costs its opening.
    fn three_trips(&mut self) {
        self.account.accrue(Ts(1)).expect("nothing is due");
        self.fill(0, Action::Buy, "100", "1");
        self.account.mark(SymbolId(0), 2 * 9_500);
        self.account.mark(SymbolId(0), 2 * 12_000);
        self.fill(0, Action::Sell, "120", "1");
        self.fill(0, Action::Buy, "100", "1");
        self.fill(0, Action::Sell, "90", "1");
        self.fill(0, Action::Short, "100", "0");
        self.fill(0, Action::Cover, "100", "0");
    }
}

fn book() -> Book {
    Book { account: account(Vec::new()), fills: 0 }
}

#[track_caller]
fn near(found: Option<f64>, expected: f64) {
    let found = found.expect("known");
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn a_summary_is_what_a_hand_computes() {
    let mut book = book();
    book.three_trips();
    let summary = book.account.summary(Ts(10 * Ts::SECOND), |_| 0);
    near(summary.return_pct, 0.5);
    // 20 and -10 before four of fees and the opening of the short.
    assert_eq!(book.account.statistics.realized_pnl(), Some(usd("5")));
    near(summary.turnover, 0.61);
    near(summary.fees_pct, 0.4);
    near(summary.carry_pct, 0.1);
    near(summary.profit_factor, 18.0 / 13.0);
    near(summary.payoff, 18.0 / 6.5);
    near(summary.expectancy, 5.0 / 3.0);
    near(summary.win_rate_pct, 100.0 / 3.0);
    near(summary.best, 18.0);
    near(summary.worst, -12.0);
    assert_eq!((summary.win_streak, summary.loss_streak), (1, 2));
    assert_eq!(summary.sqn, None, "too few");
    let trips: Vec<_> = book.account.statistics.newest_round_trips(9).cloned().collect();
    assert_eq!((trips[0].opened, trips[0].closed), (Ts(Ts::SECOND), Ts(2 * Ts::SECOND)));
    let percent: Vec<_> = trips.iter().map(|trip| trip.net_pct().expect("opened")).collect();
    assert_eq!(percent, [18.0, -12.0, -1.0]);
    near(trips[0].mae_pct(), -5.0);
    near(trips[0].mfe_pct(), 20.0);
    let table = InstrumentTable::new(vec![Instrument::plain("X/USD", 2, 2)]);
    near(trips[0].entry_price(table.at(SymbolId(0))), 100.0);
    near(trips[0].exit_price(table.at(SymbolId(0))), 120.0);
}

/// Bought one at 100 without a fee, so that the equity is 900 and the price.
fn holder() -> Book {
    let mut book = book();
    book.account.accrue(Ts(0)).expect("nothing is due");
    book.account.mark(SymbolId(0), 2 * 10_000);
    book.fill(0, Action::Buy, "100", "0");
    book
}

#[test]
fn a_fall_is_measured_from_the_peak_now_and_at_its_deepest() {
    let mut account = holder().account;
    let mut at = |second: i64, price: i64| {
        account.accrue(Ts(second * Ts::SECOND)).expect("nothing is due");
        account.mark(SymbolId(0), 2 * price);
        (account.drawdown_pct().expect("known"), account.max_drawdown_pct())
    };
    assert_eq!(at(2, 10_000), (0.0, 0.0));
    assert_eq!(at(3, 60_000), (0.0, 0.0), "1,500: a new peak");
    assert_eq!(at(4, 30_000), (20.0, 20.0), "1,200");
    assert_eq!(at(5, 45_000), (10.0, 20.0), "1,350");
    assert_eq!(at(6, 22_500), (25.0, 25.0), "1,125");
    assert_eq!(at(7, 90_000), (0.0, 25.0), "1,800: a new peak");
    assert_eq!(at(8, 72_000), (10.0, 25.0), "1,620");
}

#[test]
fn of_two_falls_as_deep_as_each_other_the_first_is_the_largest() {
    let mut account = holder().account;
    // 1,000, 950, 2,000, 1,900: five percent twice.
    for (second, price) in [(2, 10_000), (3, 5_000), (4, 110_000), (5, 100_000)] {
        account.accrue(Ts(second * Ts::SECOND)).expect("nothing is due");
        account.mark(SymbolId(0), 2 * price);
    }
    let summary = account.summary(Ts(6 * Ts::SECOND), |_| 0);
    near(Some(summary.max_drawdown_pct), 5.0);
    assert_eq!(summary.drawdown_trough_ns, Some(3 * Ts::SECOND));
    assert_eq!(summary.drawdown_recovery_ns, Some(4 * Ts::SECOND));
}

#[test]
fn holding_is_measured_over_the_symbols_that_had_and_have_a_price() {
    let mut account = account(Vec::new());
    let holding = |account: &Account, marks: [i64; 3]| {
        account.summary(Ts(1), |symbol| marks[symbol.index()]).buy_and_hold_pct
    };
    assert_eq!(holding(&account, [20_000, 20_000, 20_000]), None, "no first price");
    account.observe(SymbolId(0), 20_000);
    account.observe(SymbolId(1), 1);
    assert_eq!(holding(&account, [0, 0, 20_000]), None, "no price now");
    near(holding(&account, [25_000, 0, 20_000]), 25.0);
    near(holding(&account, [1, 0, 0]), -99.995);
    near(holding(&account, [25_000, 2, 7]), 62.5);
    account.observe(SymbolId(0), 10_000);
    near(holding(&account, [25_000, 0, 0]), 25.0);
}

#[test]
fn the_quality_of_a_system_needs_thirty_trips() {
    let mut book = book();
    for trip in 0..30 {
        assert_eq!(book.account.summary(Ts(i64::MAX / 2), |_| 0).sqn, None, "{trip}");
        book.fill(0, Action::Buy, "100", "1");
        book.fill(0, Action::Sell, if trip % 2 == 0 { "120" } else { "90" }, "1");
    }
    // Nets of 18 and -12 by turns: a mean of 3 and a deviation of 15 √(30/29).
    near(book.account.summary(Ts(i64::MAX / 2), |_| 0).sqn, 29.0_f64.sqrt() / 5.0);
}

#[test]
fn what_had_no_rate_is_counted_and_makes_sums_unknown() {
    let mut book = book();
    book.three_trips();
    assert_eq!(book.account.statistics.unconverted, 0);
    // In euros, of which no rate is known: the fill, its charge, the other fill, the trip.
    book.fill(1, Action::Short, "100", "1");
    assert_eq!(book.account.statistics.unconverted, 2);
    book.fill(1, Action::Cover, "90", "1");
    assert_eq!(book.account.statistics.unconverted, 4);
    let summary = book.account.summary(Ts(10 * Ts::SECOND), |_| 0);
    let sums = [
        summary.turnover,
        summary.fees_pct,
        summary.carry_pct,
        summary.profit_factor,
        summary.payoff,
        summary.expectancy,
        summary.best,
        summary.worst,
        summary.sqn,
    ];
    assert_eq!(sums, [None; 9]);
    near(summary.win_rate_pct, 50.0);
    let euros = &book.account.by_asset()[1];
    assert_eq!((euros.asset.as_str(), euros.cash), ("EUR", usd("7")));
    assert_eq!((euros.realized, euros.fees, euros.carry), (usd("10"), usd("2"), usd("1")));
    assert_eq!((euros.net, euros.turnover), (usd("7"), usd("190")));
    let dollars = &book.account.by_asset()[0];
    assert_eq!((dollars.net, dollars.turnover), (usd("5"), usd("610")));
}

#[test]
fn an_account_books_only_what_can_be() {
    let mut account = account(Vec::new());
    let fill = Fill {
        id: 1,
        order: OrderId(1),
        seq: 1,
        ts: Ts(1),
        symbol: SymbolId(0),
        action: Action::Buy,
        qty: Qty(100),
        amount: usd("100"),
        fee: usd("0"),
        liquidity: Liquidity::Taker,
        cause: Cause::Strategy,
        best_price: Price(1),
    };
    let before = account.clone();
    for wrong in [
        Fill { qty: Qty(0), ..fill },
        Fill { qty: Qty(-1), ..fill },
        Fill { amount: usd("-1"), ..fill },
        Fill { fee: usd("-1"), ..fill },
        Fill { action: Action::Sell, ..fill },
        Fill { action: Action::Cover, ..fill },
    ] {
        assert!(account.apply(&wrong).is_err(), "{wrong:?}");
        assert_eq!(account, before, "and nothing of it");
    }
    account.apply(&Fill { amount: usd("0"), ..fill }).expect("control: a gift is none of these");
    assert!(account.apply(&Fill { id: 2, action: Action::Short, ..fill }).is_err());
    account.apply(&Fill { id: 2, action: Action::Sell, ..fill }).expect("all of it");
    account.apply(&Fill { id: 3, action: Action::Short, ..fill }).expect("from flat");
    assert!(account.apply(&Fill { id: 4, action: Action::Buy, ..fill }).is_err());
}

#[test]
fn an_account_looks_at_prices_while_they_can_change_something() {
    let mut plain = account(Vec::new());
    assert!(!plain.needs_marks(), "only its currency");
    assert!(plain.observes(), "its first prices, and the start of its time");
    for symbol in 0..3 {
        plain.observe(SymbolId(symbol), 20_000);
    }
    assert!(plain.observes(), "the start of its time");
    plain.accrue(Ts(1)).expect("nothing is due");
    assert!(!plain.observes());
    let euros = account(vec![("EUR".into(), usd("1"))]);
    assert!(euros.needs_marks(), "a euro is worth what it is worth");
    assert!(!account(vec![("EUR".into(), usd("0"))]).needs_marks());
}

#[test]
fn what_was_earned_in_another_asset_follows_its_rate() {
    let mut book = book();
    let rate = |account: &mut Account, price: i64| {
        account.mark(SymbolId(2), 2 * price);
        account.equity().expect("all have a mark")
    };
    rate(&mut book.account, 10_000);
    assert!(!book.account.needs_marks());
    book.fill(0, Action::Buy, "100", "0");
    book.fill(0, Action::Sell, "100", "0");
    assert!(!book.account.needs_marks(), "dollars only");
    book.fill(1, Action::Buy, "90", "0");
    book.fill(1, Action::Sell, "100", "0");
    assert!(book.account.needs_marks(), "ten euros");
    assert_eq!(rate(&mut book.account, 15_000), usd("1015"));
    assert_eq!(rate(&mut book.account, 5_000), usd("1005"));
}

#[test]
fn each_short_is_charged_at_its_own_time() {
    let mut book = book();
    book.account.set_terms(Terms { short_rollover: Rate(200_000), ..Terms::default() });
    book.fill(0, Action::Short, "100", "0");
    book.fill(1, Action::Short, "50", "0");
    // A second apart: two hundredths of a percent of each.
    let mut charged = |ns: i64| {
        book.account.accrue(Ts(ns)).expect("sound");
        let charges = book.account.take_charges();
        charges.iter().map(|charge| (charge.symbol.0, charge.amount)).collect::<Vec<_>>()
    };
    let (first, second) = (Ts::SECOND + Terms::ROLLOVER_NS, 2 * Ts::SECOND + Terms::ROLLOVER_NS);
    assert_eq!(charged(first - 1), []);
    assert_eq!(charged(first), [(0, usd("0.02"))]);
    assert_eq!(charged(second - 1), []);
    assert_eq!(charged(second), [(1, usd("0.01"))]);
    assert_eq!(charged(first + Terms::ROLLOVER_NS), [(0, usd("0.02"))]);
}

#[test]
fn only_shorts_fall_due() {
    let mut book = book();
    assert!(!book.account.is_due(Ts(i64::MAX - 1)));
    book.fill(0, Action::Buy, "100", "1");
    assert!(!book.account.is_due(Ts(i64::MAX - 1)), "a long");
    book.fill(0, Action::Sell, "100", "1");
    assert!(!book.account.is_due(Ts(i64::MAX - 1)), "nothing any more");
    book.fill(0, Action::Short, "100", "1");
    let due = 3 * Ts::SECOND + Terms::ROLLOVER_NS;
    assert!(!book.account.is_due(Ts(due - 1)) && book.account.is_due(Ts(due)));
    let mut free = super::figures_tests::book();
    free.account.set_terms(Terms::default());
    free.fill(0, Action::Short, "100", "1");
    assert!(!free.account.is_due(Ts(i64::MAX - 1)), "nothing is charged");
}
