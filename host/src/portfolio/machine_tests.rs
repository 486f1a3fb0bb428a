//! An account against a model that knows only the rules: every property of
//! `property_tests` that one account has, at once, along random sequences.
//!
//! `PROPTEST_CASES` sets the number of sequences.

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use super::ledger::{Owner, Unit};
use super::{Account, AccountConfig, Terms};
use crate::domain::{
    Action, Cause, Fill, Instrument, InstrumentTable, Liquidity, Money, OrderId, Price, Qty, Rate,
    SymbolId, Ts,
};

const CAPITAL: i128 = 100_000_000_000;
const OPEN: i128 = 200_000;
const ROLL: i128 = 300_000;
const FOUR_HOURS: i64 = 14_400_000_000_000;
const KEPT: usize = 5;

/// One symbol as the rules see it.
#[derive(Clone, Debug, Default)]
struct Holding {
    qty: i64,
    cost: i128,
    mark2: i64,
    rolls_at: i64,
}

/// The whole account as the rules see it.
#[derive(Clone, Debug)]
struct Model {
    now: i64,
    cash: i128,
    fees: i128,
    carry: i128,
    realized: i128,
    fills: u64,
    held: [Holding; 2],
}

#[derive(Clone, Debug)]
enum Step {
    /// time passes
    Pass(i64),
    /// a price, twice
    Mark(usize, i64),
    /// an opening or closing fill
    Fill { symbol: usize, action: Action, qty: i64, amount: i64, fee: i64 },
}

fn ceil(amount: i128, rate: i128) -> i128 {
    (amount * rate + 999_999_999) / 1_000_000_000
}

impl Model {
    /// Charges what fell due on shorts by now.
    fn roll(&mut self) {
        for held in &mut self.held {
            while held.qty < 0 && held.rolls_at <= self.now {
                let charge = ceil(held.cost, ROLL);
                self.cash -= charge;
                self.carry += charge;
                held.rolls_at += FOUR_HOURS;
            }
        }
    }

    fn fill(&mut self, symbol: usize, action: Action, qty: i64, amount: i128, fee: i128) {
        let held = &mut self.held[symbol];
        if held.qty == 0 {
            held.rolls_at = self.now + FOUR_HOURS;
        }
        let of = i128::from(held.qty.abs().max(1));
        let up = if held.qty > 0 { of - 1 } else { 0 };
        let share = (held.cost * i128::from(qty) + up) / of;
        match action {
            Action::Buy => (held.qty, held.cost) = (held.qty + qty, held.cost + amount),
            Action::Short => (held.qty, held.cost) = (held.qty - qty, held.cost + amount),
            Action::Sell => {
                (held.qty, held.cost) = (held.qty - qty, held.cost - share);
                self.realized += amount - share;
            }
            Action::Cover => {
                (held.qty, held.cost) = (held.qty + qty, held.cost - share);
                self.realized += share - amount;
            }
        }
        let paid = if matches!(action, Action::Buy | Action::Cover) { amount } else { -amount };
        let charge = if action == Action::Short { ceil(amount, OPEN) } else { 0 };
        self.cash -= paid + fee + charge;
        self.fees += fee;
        self.carry += charge;
        self.fills += 1;
    }

    /// Cents times hundredths at half of twice the price, in 10^-8.
    fn value(held: &Holding) -> i128 {
        i128::from(held.qty) * i128::from(held.mark2) * 5_000
    }

    fn equity(&self) -> i128 {
        self.cash + self.held.iter().map(Self::value).sum::<i128>()
    }

    fn unrealized(&self) -> i128 {
        let profit = |h: &Holding| Self::value(h) - if h.qty < 0 { -h.cost } else { h.cost };
        self.held.iter().map(profit).sum()
    }
}

struct Rules;

impl ReferenceStateMachine for Rules {
    type State = Model;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Model> {
        (2_i64..40_000, 2_i64..40_000)
            .prop_map(|(x, y)| Model {
                now: 1,
                cash: CAPITAL,
                fees: 0,
                carry: 0,
                realized: 0,
                fills: 0,
                held: [x, y].map(|mark2| Holding { mark2, ..Holding::default() }),
            })
            .boxed()
    }

    /// Only what fits: the positions say which actions and quantities there are.
    fn transitions(model: &Model) -> BoxedStrategy<Step> {
        let fill = |symbol: usize| {
            let held = model.held[symbol].qty;
            let most = held.abs().max(1);
            let opening = if held < 0 { Action::Short } else { Action::Buy };
            let other = match held {
                0 => (Action::Short, 1..500),
                1.. => (Action::Sell, 1..most + 1),
                _ => (Action::Cover, 1..most + 1),
            };
            let all = if held == 0 { (Action::Buy, 1..2) } else { (other.0, most..most + 1) };
            let kinds = [(opening, 1..500), other, all].map(|(a, qty)| (Just(a), qty).boxed());
            (prop::strategy::Union::new(kinds), 1_i64..20_000_000_000, 0_i64..90_000_000).prop_map(
                move |((action, qty), amount, fee)| Step::Fill { symbol, action, qty, amount, fee },
            )
        };
        prop_oneof![
            1 => (0_i64..2 * FOUR_HOURS).prop_map(Step::Pass),
            2 => (0_usize..2, 2_i64..40_000).prop_map(|(s, m)| Step::Mark(s, m)),
            3 => fill(0),
            3 => fill(1),
        ]
        .boxed()
    }

    fn preconditions(model: &Model, step: &Step) -> bool {
        let Step::Fill { symbol, action, qty, .. } = step else { return true };
        let held = model.held[*symbol].qty;
        match action {
            Action::Buy => held >= 0,
            Action::Short => held <= 0,
            Action::Sell => *qty <= held,
            Action::Cover => *qty <= -held,
        }
    }

    fn apply(mut model: Model, step: &Step) -> Model {
        match step {
            Step::Pass(ns) => model.now += ns,
            Step::Mark(symbol, mark2) => model.held[*symbol].mark2 = *mark2,
            Step::Fill { .. } => {}
        }
        model.roll();
        if let Step::Fill { symbol, action, qty, amount, fee } = step {
            model.fill(*symbol, *action, *qty, i128::from(*amount), i128::from(*fee));
        }
        model
    }
}

struct Books;

impl StateMachineTest for Books {
    type SystemUnderTest = Account;
    type Reference = Rules;

    fn init_test(model: &Model) -> Account {
        let pair = |name| Instrument::plain(name, 2, 2);
        let table = InstrumentTable::new(vec![pair("X/USD"), pair("Y/USD")]);
        let config = AccountConfig {
            currency: "USD".into(),
            capital: Money(CAPITAL),
            assets: Vec::new(),
            fills_kept: KEPT,
            trips_kept: KEPT,
        };
        let mut account = Account::open(&config, &table).expect("capital");
        let (short_open, short_rollover) = (Rate(OPEN as i64), Rate(ROLL as i64));
        account.set_terms(Terms { short_open, short_rollover, ..Terms::default() });
        for (symbol, held) in (0_u16..).map(SymbolId).zip(&model.held) {
            account.accrue(Ts(model.now)).expect("sound");
            account.mark(symbol, held.mark2);
        }
        account
    }

    fn apply(mut account: Account, model: &Model, step: Step) -> Account {
        account.accrue(Ts(model.now)).expect("sound");
        match step {
            Step::Pass(_) => {}
            Step::Mark(symbol, mark2) => {
                account.mark(SymbolId(symbol as u16), mark2);
            }
            Step::Fill { symbol, action, qty, amount, fee } => {
                let fill = Fill {
                    id: model.fills,
                    order: OrderId(model.fills),
                    seq: model.fills,
                    ts: Ts(model.now),
                    symbol: SymbolId(symbol as u16),
                    action,
                    qty: Qty(qty),
                    amount: Money(i128::from(amount)),
                    fee: Money(i128::from(fee)),
                    liquidity: Liquidity::Taker,
                    cause: Cause::Strategy,
                    best_price: Price(1),
                };
                account.apply(&fill).expect("a fill that fits");
                let once = account.clone();
                assert_eq!(account.apply(&fill), Ok(None), "A14");
                assert_eq!(account, once, "A14");
            }
        }
        account
    }

    fn check_invariants(account: &Account, model: &Model) {
        account.check().expect("A1, A2: every unit sums to zero");
        let usd = Unit::Asset(0);
        let capital = account.ledger().balance(Owner::Capital, usd);
        assert_eq!(capital, -CAPITAL, "A2: nothing is deposited later");
        assert_eq!(account.cash(), Money(model.cash), "cash");
        for (symbol, held) in (0_u16..).map(SymbolId).zip(&model.held) {
            assert_eq!(account.qty(symbol), Qty(held.qty));
        }
        let equity = account.equity().expect("both have marks");
        assert_eq!(equity, Money(model.equity()), "A3");
        assert_eq!(account.recompute_equity(), Some(equity), "A3");
        let totals = &account.statistics;
        assert_eq!((totals.fees, totals.carry), (Money(model.fees), Money(model.carry)), "A8");
        assert_eq!(totals.realized, Money(model.realized), "A4");
        let gross = model.realized + model.unrealized();
        assert_eq!(equity, Money(CAPITAL + gross - model.fees - model.carry), "A4");
        if model.held.iter().all(|h| h.qty == 0) {
            assert_eq!(equity, account.cash(), "A11");
            assert_eq!(equity - Money(CAPITAL), totals.net, "A11");
        }
        assert!(account.peak() >= Some(equity), "A13");
        let fall = account.drawdown_pct().expect("known");
        assert!(fall >= 0.0 && (equity.0 < 0 || fall <= 100.0), "A13: {fall}");
        let bytes = rmp_serde::to_vec_named(account).expect("plain data");
        let read: Account = rmp_serde::from_slice(&bytes).expect("its own bytes");
        assert_eq!(read, *account, "A15");
        assert_eq!(totals.fill_count, model.fills, "A16");
        assert!(totals.newest_fills(usize::MAX).count() <= KEPT, "A16");
        let by_symbol: Money = account.breakdown().symbols().iter().map(|t| t.net).sum();
        let by_tag: Money = account.breakdown().tags().iter().map(|(_, t)| t.net).sum();
        assert_eq!((by_symbol, by_tag), (totals.net, totals.net));
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn the_account_follows_the_rules_of_the_model(sequential 1..80 => Books);
}
