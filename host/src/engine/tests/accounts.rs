//! The accounting properties that need an engine: limits of cash and shorts, what is
//! reserved, what is refused, fees of fills, strategies beside each other. The list of
//! all of them stands in `portfolio::property_tests`.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::properties::{BEGIN, Step, config_of, gambler, latency, random_order, run_lanes, step};
use super::support::*;
use crate::domain::{
    Action, Cause, Fill, Liquidity, Money, OrderId, Price, Qty, Rate, Rounding, Side, SymbolId, Ts,
};
use crate::engine::{Engine, EngineBuilder, EngineConfig, LaneOutput, LaneSpec, Output};
use crate::execution::{Delay, LatencyConfig};
use crate::input::{InputBlock, Trade};
use crate::risk::Watch;
use crate::strategy::{Channel, OrderKind, OrderRequest, Size, Strategy as _};

/// Steps an engine by single inputs, and shows the engine and the news after each.
fn single_steps(
    engine: &mut Engine,
    steps: &[Step],
    mut seen: impl FnMut(&Engine, &[Output]) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut now = BEGIN;
    for step in steps {
        let mut one = InputBlock::new(&instruments(), engine.next_seq());
        step.push(&mut one, &mut now);
        engine.step(&one).expect("no invariant breaks");
        let news: Vec<Output> = engine.drain().collect();
        seen(engine, &news)?;
    }
    engine.check().expect("the account adds up");
    Ok(())
}

fn one_lane(config: &EngineConfig, seed: u64) -> Engine {
    engine(config, vec![(gambler(seed), "1000")])
}

/// A seed of a gambler that sees trades and books only. A candle is told before the trade
/// that closes it, and so are orders that follow: within the same input nothing outside
/// tells whether the account was looked at before or behind its price.
fn without_candles(seed: u64) -> u64 {
    seed - seed % 7 + seed % 7 % 2
}

fn fills_of(news: &[Output]) -> impl Iterator<Item = &Fill> {
    news.iter().filter_map(|one| match &one.body {
        LaneOutput::Fill { fill, .. } => Some(fill),
        _ => None,
    })
}

/// What the news say is open: limit buys by number, with what they reserve by.
#[derive(Default)]
struct Open(BTreeMap<OrderId, (SymbolId, Action, Option<Price>, Qty)>);

impl Open {
    fn follow(&mut self, news: &[Output]) {
        for one in news {
            match &one.body {
                LaneOutput::Accepted { order, symbol, action, leaves, limit, .. } => {
                    self.0.insert(*order, (*symbol, *action, *limit, *leaves));
                }
                LaneOutput::Fill { fill, .. } => {
                    if let Some(open) = self.0.get_mut(&fill.order) {
                        open.3 = Qty(open.3.0 - fill.qty.0);
                    }
                    self.0.retain(|_, open| open.3.0 > 0);
                }
                LaneOutput::Canceled { order, .. } | LaneOutput::Expired { order, .. } => {
                    self.0.remove(order);
                }
                _ => {}
            }
        }
    }

    /// Cost and fee of all buys that wait with a limit.
    fn locked(&self, fee: Rate) -> Money {
        let buys = self.0.values().filter(|open| open.1 == Action::Buy);
        let cost = buys.filter_map(|(symbol, _, limit, leaves)| {
            let table = instruments();
            let cost = table.at(*symbol).notional((*limit)?, *leaves, Rounding::Ceil)?;
            Some(cost + cost.times(fee, Rounding::Ceil))
        });
        cost.sum()
    }
}

/// What the fills say is held, and which orders were answered.
#[derive(Default)]
pub(super) struct Answers {
    held: [i64; 2],
    answered: BTreeSet<u64>,
}

impl Answers {
    /// Takes the next news; names a fill that sells or covers what is not there, and a
    /// refusal without a reason.
    pub(super) fn follow(&mut self, news: &[Output]) -> Result<(), String> {
        for one in news {
            match &one.body {
                LaneOutput::Fill { fill, .. } => {
                    let held = &mut self.held[fill.symbol.index()];
                    let fits = match fill.action {
                        Action::Buy => *held >= 0,
                        Action::Sell => *held >= fill.qty.0,
                        Action::Short => *held <= 0,
                        Action::Cover => -*held >= fill.qty.0,
                    };
                    if !fits {
                        return Err(format!("{fill:?} of {held}"));
                    }
                    *held += if fill.action.side() == Side::Buy { fill.qty.0 } else { -fill.qty.0 };
                    self.answered.insert(fill.order.0);
                }
                LaneOutput::Reject { order, reason, detail, .. } => {
                    if reason.name().is_empty() || detail.is_empty() {
                        return Err(format!("{order:?} is refused without a word"));
                    }
                    self.answered.insert(order.0);
                }
                LaneOutput::Accepted { order, .. } => {
                    self.answered.insert(order.0);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The orders before `next` that nothing was said of.
    pub(super) fn missing(&self, next: u64) -> Vec<u64> {
        (1..next).filter(|order| !self.answered.contains(order)).collect()
    }
}

/// What an account is, as bytes: whatever changes in it shows.
pub(super) fn bytes(engine: &Engine, lane: usize) -> Vec<u8> {
    rmp_serde::to_vec(&engine.lanes[lane].account).expect("plain data")
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn a05_cash_is_never_negative_without_shorts(
        steps in prop::collection::vec(step(), 1..100),
        seed in any::<u64>(),
        latency in latency(),
    ) {
        let mut config = EngineConfig { latency, ..EngineConfig::default() };
        config.execution.max_short_leverage = Rate(0);
        single_steps(&mut one_lane(&config, seed), &steps, |engine, news| {
            let account = &engine.lanes[0].account;
            prop_assert!(account.cash() >= Money::ZERO, "{}", account.cash());
            prop_assert!(fills_of(news).all(|fill| fill.action != Action::Short));
            Ok(())
        })?;
    }

    #[test]
    fn a05_shorts_over_all_symbols_stay_within_the_leverage_of_the_capital(
        steps in prop::collection::vec(step(), 1..100),
        seed in any::<u64>(),
        leverage in prop_oneof![Just(0_i64), Just(500_000_000), Just(2_000_000_000), 0..5_000_000_000_i64],
        latency in latency(),
    ) {
        let mut config = EngineConfig { latency, ..EngineConfig::default() };
        config.execution.max_short_leverage = Rate(leverage);
        let limit = usd("1000").times(Rate(leverage), Rounding::Floor);
        let mut before = [0; 2];
        single_steps(&mut one_lane(&config, seed), &steps, |engine, news| {
            let marks = [0, 1].map(|symbol| engine.market().top(SymbolId(symbol)).mark2());
            // Prices may raise what is owed beyond it later; no order may.
            if fills_of(news).any(|fill| fill.action == Action::Short) {
                let mut account = engine.lanes[0].account.clone();
                let mut owed = account.short_notional().expect("all in dollars");
                if seed != without_candles(seed) {
                    // It may have been before the price of this step.
                    (0..).zip(before).for_each(|(symbol, mark)| account.mark(SymbolId(symbol), mark));
                    owed = owed.min(account.short_notional().expect("all in dollars"));
                }
                prop_assert!(owed <= limit, "{} of {}", owed, limit);
            }
            before = marks;
            Ok(())
        })?;
    }

    #[test]
    fn a06_what_may_be_spent_is_free_or_reserved_by_open_orders(
        steps in prop::collection::vec(step(), 1..100),
        seed in any::<u64>(),
        latency in latency(),
    ) {
        let config = EngineConfig { latency, ..EngineConfig::default() };
        let mut open = Open::default();
        single_steps(&mut one_lane(&config, seed), &steps, |engine, news| {
            open.follow(news);
            let lane = &engine.lanes[0];
            let locked = open.locked(lane.fee_max());
            let free = lane.free(SymbolId(0));
            prop_assert_eq!(lane.account.spendable(SymbolId(0)), free + locked);
            prop_assert_eq!(open.0.len(), lane.orders.iter().count(), "the news name every open order");
            Ok(())
        })?;
    }

    #[test]
    fn a07_nothing_is_sold_that_is_not_held_and_every_order_is_answered(
        steps in prop::collection::vec(step(), 1..100),
        seed in any::<u64>(),
    ) {
        let mut engine = one_lane(&EngineConfig::default(), seed);
        let mut answers = Answers::default();
        single_steps(&mut engine, &steps, |_, news| {
            let followed = answers.follow(news);
            prop_assert!(followed.is_ok(), "{:?}", followed);
            Ok(())
        })?;
        prop_assert_eq!(answers.missing(engine.lanes[0].next_order), Vec::<u64>::new());
    }

    #[test]
    fn a08_every_fill_pays_exactly_its_fee(
        steps in prop::collection::vec(step(), 1..100),
        seed in any::<u64>(),
        (taker, maker) in (0_i64..10_000_000, 0_i64..10_000_000),
        extra in prop_oneof![Just(0_i64), Just(5_000_000)],
    ) {
        let mut config = config_of(2);
        config.execution.schedule = crate::execution::Schedule::Flat;
        (config.execution.fee, config.execution.maker) = (Rate(taker), Rate(maker));
        config.risk.liquidation_fee = Rate(extra);
        single_steps(&mut one_lane(&config, seed), &steps, |_, news| {
            for fill in fills_of(news) {
                let rate = if fill.liquidity == Liquidity::Maker { maker } else { taker };
                let mut fee = fill.amount.times(Rate(rate), Rounding::Ceil);
                if fill.cause == Cause::Liquidation {
                    fee = fee + fill.amount.times(Rate(extra), Rounding::Ceil);
                }
                prop_assert_eq!(fill.fee, fee, "{:?}", fill);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a09_events_of_one_strategy_leave_the_account_of_another_as_it_was(
        steps in prop::collection::vec(step(), 1..100),
        seeds in (any::<u64>(), any::<u64>()),
        latency in latency(),
    ) {
        let config = EngineConfig { latency, ..EngineConfig::default() };
        let mut engine = apart(&config, seeds);
        let mut now = BEGIN;
        for step in &steps {
            let mut one = InputBlock::new(&instruments(), engine.next_seq());
            step.push(&mut one, &mut now);
            let before = [bytes(&engine, 0), bytes(&engine, 1)];
            engine.step(&one).expect("no invariant breaks");
            if let Some(other) = step.symbol().map(|symbol| 1 - symbol) {
                prop_assert_eq!(&bytes(&engine, other), &before[other]);
            }
        }
    }

    #[test]
    fn a10_how_events_of_two_strategies_alternate_changes_neither(
        ticks in prop::collection::vec((0_i64..4_000, prop::collection::vec(print(), 1..6)), 1..40),
        order in any::<u64>(),
        seeds in (any::<u64>(), any::<u64>()),
    ) {
        let config = EngineConfig::default();
        let outcomes = |mut turn: u64| {
            let mut engine = apart(&config, seeds);
            engine.step(&alternating(&ticks, &mut turn)).expect("no invariant breaks");
            let told: Vec<_> = engine.drain().filter_map(|one| match one.body {
                LaneOutput::Fill { fill, .. } =>
                    Some((one.lane, one.ts, fill.action, fill.qty, fill.amount, fill.fee)),
                _ => None,
            }).collect();
            let of = |lane| told.iter().filter(|fill| fill.0 == lane).copied().collect::<Vec<_>>();
            let cash = |lane: usize| engine.lanes[lane].account.cash();
            [(of(0), cash(0)), (of(1), cash(1))]
        };
        prop_assert_eq!(outcomes(0), outcomes(order));
    }

    #[test]
    fn behind_a_breach_the_strategy_fills_nothing_not_even_in_the_same_call(
        steps in prop::collection::vec(step(), 20..150),
        seed in any::<u64>(),
        latency in latency(),
    ) {
        let config = EngineConfig { latency, ..config_of(1) };
        let mut engine = one_lane(&config, without_candles(seed));
        // The same account again, looked at after each single fill.
        let (mut account, mut watch) = (engine.lanes[0].account.clone(), Watch::default());
        let (mut breached, mut now) = (false, BEGIN);
        // What waits at the venue when the market moves fills before anybody looks at
        // the account; what arrives with the move or behind it does not.
        let mut waiting = BTreeSet::new();
        for step in &steps {
            let mut one = InputBlock::new(&instruments(), engine.next_seq());
            step.push(&mut one, &mut now);
            engine.step(&one).expect("no invariant breaks");
            if let Some(symbol) = step.symbol() {
                account.accrue(Ts(now)).expect("sound");
                let symbol = SymbolId(symbol as u16);
                account.mark(symbol, engine.market().top(symbol).mark2());
            }
            let news: Vec<Output> = engine.drain().collect();
            let fills: Vec<&Fill> = fills_of(&news).collect();
            let waits = |fill: &&&Fill| {
                let bracket = matches!(fill.cause, Cause::StopLoss | Cause::TakeProfit);
                bracket || waiting.contains(&fill.order)
            };
            let first = fills.iter().take_while(waits).count();
            let behind = fills[first..].iter().map(|fill| Some(*fill));
            let looks = fills[..first].iter().map(|fill| Some(*fill)).chain([None]).chain(behind);
            for fill in looks {
                if let Some(fill) = fill {
                    prop_assert!(!breached || fill.cause != Cause::Strategy, "{:?}", fill);
                    account.apply(fill).expect("it fits");
                }
                let (equity, peak) = (account.equity().unwrap(), account.peak().unwrap());
                breached |= watch.look(&config.risk, Ts(now), equity, peak).is_some();
            }
            waiting.extend(news.iter().filter_map(|one| match &one.body {
                LaneOutput::Accepted { order, .. } => Some(*order),
                _ => None,
            }));
        }
        prop_assert_eq!(account.equity(), engine.lanes[0].account.equity());
    }

    #[test]
    fn a12_no_order_sequence_at_constant_prices_raises_equity(
        seed in any::<u64>(),
        with_book in any::<bool>(),
        events in 2_i64..150,
        latency in latency(),
    ) {
        let block = constant(with_book, events);
        let config = EngineConfig { latency, ..free() };
        let report = &run_lanes(&config, &[seed], &block)[0];
        prop_assert!(report.equity <= report.start_equity, "{:?}", report.equity);
    }

    #[test]
    fn a17_extremes_are_refused_and_nothing_wraps(
        prices in prop::collection::vec(extreme_price(), 1..40),
        orders in prop::collection::vec((any::<u64>(), extreme(), extreme(), extreme()), 40),
    ) {
        let mut queue = orders.into_iter();
        let strategy = Scripted::new(&[Channel::Trades], move |_, effects| {
            let Some((state, size, price, level)) = queue.next() else { return };
            let order = extreme_order(state, size, price, level);
            let _full = effects.submit(order);
        });
        let mut engine = engine(&EngineConfig::default(), vec![(strategy, "1000")]);
        let mut block = InputBlock::new(&instruments(), 1);
        for (second, &price) in (1..).zip(&prices) {
            let (ts, symbol) = (Ts(second * Ts::SECOND), SymbolId(0));
            let (side, price, qty) = (Side::Buy, Price(price), Qty(i64::MAX / 4));
            block.push_trade(ts, ts, &Trade { symbol, side, price, qty, id: 0 });
        }
        engine.step(&block).expect("no invariant breaks");
        engine.check().expect("the account adds up");
        let account = &engine.lanes[0].account;
        prop_assert_eq!(account.equity(), account.recompute_equity());
        for output in engine.drain() {
            if let LaneOutput::Fill { fill, .. } = output.body {
                prop_assert!(fill.qty.0 > 0 && fill.amount.0 > 0 && fill.fee.0 >= 0, "{:?}", fill);
            }
        }
    }
}

/// Two strategies that share no symbol.
pub(super) fn apart(config: &EngineConfig, seeds: (u64, u64)) -> Engine {
    let mut builder = EngineBuilder::new(config.clone(), instruments()).expect("instruments");
    for (name, symbol, seed) in [("x", "X/USD", seeds.0), ("y", "Y/USD", seeds.1)] {
        let mut strategy = on_its_symbol(seed);
        builder
            .add(LaneSpec {
                name: name.into(),
                descriptor: strategy.describe().expect("scripted"),
                strategy: Box::new(strategy),
                symbols: vec![symbol.into()],
                parameters: Vec::new(),
                account: account("1000"),
            })
            .expect("a valid lane");
    }
    builder.start(Ts(0))
}

/// Orders by a hash of the prices alone, all of its one symbol.
fn on_its_symbol(seed: u64) -> Scripted {
    let mut state = seed | 1;
    Scripted::new(&[Channel::Trades, Channel::Book(3), Channel::Status], move |event, effects| {
        for word in std::iter::once(&event.ts).chain(event.payload) {
            state = (state ^ word).wrapping_mul(0x1000_0000_01b3).rotate_left(17);
        }
        if state.is_multiple_of(2) {
            let order = OrderRequest { symbol: 0, ..random_order(state) };
            let _full = effects.submit(order);
        }
    })
}

/// A trade: symbol, price, quantity, and whether its taker bought.
type Print = (u16, i64, i64, bool);

/// A trade of either symbol.
fn print() -> impl Strategy<Value = Print> {
    (0_u16..2, 9_000_i64..11_000, 1_i64..500, any::<bool>())
}

/// The trades of each tick have one time; `turn` decides which symbol comes first,
/// and each symbol keeps its own order.
fn alternating(ticks: &[(i64, Vec<Print>)], turn: &mut u64) -> InputBlock {
    let mut block = InputBlock::new(&instruments(), 1);
    let mut now = Ts::SECOND;
    for (gap_ms, prints) in ticks {
        now += gap_ms * 1_000_000;
        let mut queues = [0_u16, 1].map(|symbol| {
            prints.iter().filter(|print| print.0 == symbol).rev().collect::<Vec<_>>()
        });
        while let Some(queue) = {
            *turn = turn.rotate_left(1);
            let first = usize::from(*turn & 1 == 1);
            let chosen = if queues[first].is_empty() { 1 - first } else { first };
            queues.get_mut(chosen).filter(|queue| !queue.is_empty())
        } {
            let Some((symbol, price, qty, sell)) = queue.pop() else { continue };
            let side = if *sell { Side::Sell } else { Side::Buy };
            let (symbol, price, qty) = (SymbolId(*symbol), Price(*price), Qty(*qty));
            block.push_trade(Ts(now), Ts(now), &Trade { symbol, side, price, qty, id: 0 });
        }
    }
    block
}

/// The same prices all the time, as books or as trades.
fn constant(with_book: bool, events: i64) -> InputBlock {
    let mut block = InputBlock::new(&instruments(), 1);
    let (bids, asks) = ([(Price(9_990), Qty(300))], [(Price(10_010), Qty(300))]);
    for ts in (1..events).map(|second| Ts(second * Ts::SECOND)) {
        for symbol in [SymbolId(0), SymbolId(1)] {
            if with_book {
                block.push_book(ts, ts, symbol, true, &bids, &asks);
            } else {
                let (side, price, qty) = (Side::Buy, Price(10_000), Qty(100));
                block.push_trade(ts, ts, &Trade { symbol, side, price, qty, id: 0 });
            }
        }
    }
    block
}

#[test]
fn a12_control_the_same_strategies_do_win_where_prices_move() {
    let mut block = InputBlock::new(&instruments(), 1);
    for second in 1..150 {
        let (ts, price) = (Ts(second * Ts::SECOND), Price(9_000 + (second * 977) % 2_000));
        let (side, qty, symbol) = (Side::Buy, Qty(100), SymbolId(0));
        block.push_trade(ts, ts, &Trade { symbol, side, price, qty, id: 0 });
    }
    let wins = |seed: &u64| {
        let report = &run_lanes(&free(), &[*seed], &block)[0];
        report.equity > report.start_equity
    };
    assert!((1..30).any(|seed| wins(&seed)), "they trade, and could win");
}

#[test]
fn a06_control_an_order_that_the_news_do_not_tell_of_is_missed() {
    let order = super::steps::waits(Action::Buy, 1.0, OrderKind::Limit(90.0));
    let mut engine = engine(&free(), vec![(sends(vec![order]), "1000")]);
    engine.step(&trades(&[10_000])).expect("no invariant breaks");
    let news: Vec<Output> = engine.drain().collect();
    let lane = &engine.lanes[0];
    let spendable = lane.account.spendable(SymbolId(0));
    let mut open = Open::default();
    assert_ne!(spendable, lane.free(SymbolId(0)) + open.locked(Rate(0)), "without the news");
    open.follow(&news);
    assert_eq!(spendable, lane.free(SymbolId(0)) + open.locked(Rate(0)));
    assert_eq!(open.locked(Rate(0)), usd("90"));
}

#[test]
fn a05_control_a_larger_leverage_owes_more() {
    let all = || sends(vec![market(Action::Short, Size::All)]);
    let owed = |leverage: i64| {
        let mut config = free();
        config.execution.max_short_leverage = Rate(leverage);
        let mut engine = engine(&config, vec![(all(), "1000")]);
        engine.step(&trades(&[10_000])).expect("no invariant breaks");
        engine.lanes[0].account.short_notional().expect("in dollars")
    };
    assert_eq!((owed(1_000_000_000), owed(3_000_000_000)), (usd("1000"), usd("3000")));
}

#[test]
fn a10_control_other_prices_are_another_outcome() {
    let config = EngineConfig { latency: LatencyConfig::default(), ..free() };
    let cash = |price| {
        let mut engine = apart(&config, (3, 3));
        let ticks = vec![(1, vec![(0, price, 100, false); 5]); 30];
        engine.step(&alternating(&ticks, &mut 0)).expect("no invariant breaks");
        engine.lanes[0].account.cash()
    };
    assert_ne!(cash(10_000), cash(10_001), "it trades, and at what it is told");
    assert_eq!(Delay::default(), Delay::Fixed(0));
}

/// What no sensible strategy asks for, and what is nearly sensible.
fn extreme() -> impl Strategy<Value = f64> {
    let odd = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        0.0,
        f64::MIN_POSITIVE,
        5e-324,
        1e308,
        -1.0,
        1e18,
        9.3e18,
        1e-9,
        u64::MAX as f64,
        i64::MAX as f64 / 100.0,
    ];
    prop_oneof![3 => prop::sample::select(odd.to_vec()), 1 => any::<f64>(), 2 => 0.01..1e6_f64]
}

/// From a cent to ten million.
fn extreme_price() -> impl Strategy<Value = i64> {
    prop_oneof![Just(1_i64), Just(1_000_000_000), 1_i64..1_000_000_000]
}

pub(super) fn extreme_order(state: u64, size: f64, price: f64, level: f64) -> OrderRequest {
    let action = [Action::Buy, Action::Sell, Action::Short, Action::Cover][(state % 4) as usize];
    let size = match (state >> 2) % 4 {
        0 => Size::Quote(size),
        1 => Size::All,
        _ => Size::Base(size),
    };
    let kind = match (state >> 4) % 6 {
        0 => OrderKind::Limit(price),
        1 => OrderKind::Stop(price),
        2 => OrderKind::StopLimit(price, level),
        3 => OrderKind::TrailingStop(price),
        _ => OrderKind::Market,
    };
    let mut order = OrderRequest { kind, ..market(action, size) };
    order.time_in_force = crate::domain::TimeInForce::Gtc;
    order.symbol = if (state >> 8).is_multiple_of(16) { 7 } else { 0 };
    order.stop_loss = (state >> 12).is_multiple_of(3).then_some(level);
    order.take_profit = (state >> 14).is_multiple_of(3).then_some(price);
    order.good_till_ns = (state >> 16).is_multiple_of(5).then_some(u64::MAX);
    order
}
