//! What holds for every market and every strategy.

use proptest::prelude::*;

use super::support::*;
use crate::domain::{Action, Cause, Price, Qty, Rate, Side, SymbolId, TimeInForce, Ts};
use crate::engine::{EngineConfig, LaneOutput, LaneReport, LaneState};
use crate::execution::{Delay, LatencyConfig};
use crate::input::{InputBlock, Trade, TradingStatus};
use crate::strategy::{Channel, Effects, HistoryRef, Intent, OrderKind, OrderUpdate, Size};

/// An input of a random market.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Trade { symbol: u16, price: i64, qty: i64, sell: bool, gap_ms: i64 },
    Book { symbol: u16, snapshot: bool, bids: Vec<(i64, i64)>, asks: Vec<(i64, i64)>, gap_ms: i64 },
    Status { symbol: u16, status: u8 },
    Clock { gap_ms: i64 },
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let levels = |low: i64, high: i64| prop::collection::vec((low..high, 0_i64..300), 0..4);
    prop_oneof![
        32 => (0_u16..2, 9_000_i64..11_000, 1_i64..500, any::<bool>(), 0_i64..4_000).prop_map(
            |(symbol, price, qty, sell, gap_ms)| Step::Trade { symbol, price, qty, sell, gap_ms }),
        24 => (0_u16..2, prop::bool::weighted(0.1), levels(9_000, 10_000), levels(10_000, 11_000), 0_i64..4_000).prop_map(
            |(symbol, snapshot, bids, asks, gap_ms)| Step::Book { symbol, snapshot, bids, asks, gap_ms }),
        4 => (0_u16..2, prop_oneof![3 => Just(0_u8), 1 => 1_u8..7]).prop_map(
            |(symbol, status)| Step::Status { symbol, status }),
        4 => (0_i64..200_000).prop_map(|gap_ms| Step::Clock { gap_ms }),
        1 => (0_i64..20_000_000).prop_map(|gap_ms| Step::Clock { gap_ms }),
    ]
}

impl Step {
    /// Of which symbol it is, if of one.
    pub(super) fn symbol(&self) -> Option<usize> {
        match self {
            Self::Trade { symbol, .. }
            | Self::Book { symbol, .. }
            | Self::Status { symbol, .. } => Some(usize::from(*symbol)),
            Self::Clock { .. } => None,
        }
    }

    /// Appends it to a block, and moves the time to it.
    pub(super) fn push(&self, block: &mut InputBlock, now: &mut i64) {
        let pairs = |levels: &[(i64, i64)]| {
            levels.iter().map(|&(p, q)| (Price(p), Qty(q))).collect::<Vec<_>>()
        };
        match self {
            Self::Trade { symbol, price, qty, sell, gap_ms } => {
                *now += gap_ms * 1_000_000;
                let side = if *sell { Side::Sell } else { Side::Buy };
                let trade = Trade {
                    symbol: SymbolId(*symbol),
                    side,
                    price: Price(*price),
                    qty: Qty(*qty),
                    id: 0,
                };
                block.push_trade(Ts(*now), Ts(*now - 700_000_000), &trade);
            }
            Self::Book { symbol, snapshot, bids, asks, gap_ms } => {
                *now += gap_ms * 1_000_000;
                let (ts, bids, asks) = (Ts(*now), pairs(bids), pairs(asks));
                block.push_book(ts, ts, SymbolId(*symbol), *snapshot, &bids, &asks);
            }
            Self::Status { symbol, status } => {
                let status = TradingStatus::from_u8(*status).unwrap();
                block.push_status(Ts(*now), SymbolId(*symbol), status);
            }
            Self::Clock { gap_ms } => {
                *now += gap_ms * 1_000_000;
                block.push_timer(Ts(*now));
            }
        }
    }
}

/// When random markets begin.
pub(super) const BEGIN: i64 = 1_700_000_000 * Ts::SECOND;

pub(super) fn block(steps: &[Step]) -> InputBlock {
    let mut block = InputBlock::new(&instruments(), 1);
    let mut now = BEGIN;
    steps.iter().for_each(|step| step.push(&mut block, &mut now));
    block
}

/// A strategy that hashes what it sees into orders of every kind, valid and not,
/// and answers some of the news with further orders.
pub(super) fn gambler(seed: u64) -> Scripted {
    let (mut state, mut answer) = seeds_of(seed);
    let wanted = channels_of(seed);
    let mut strategy =
        Scripted::new(&wanted, move |event, effects| gamble(&mut state, event, effects))
            .with_orders(move |update, history, effects| {
                answer_news(&mut answer, update, history, effects);
            });
    strategy.burns = (seed % 3) * 400_000_000;
    strategy.fails_at = seed.is_multiple_of(5).then_some(1 + seed % 97);
    strategy
}

/// What a gambler of this seed begins with: of events and of news.
pub(super) fn seeds_of(seed: u64) -> (u64, u64) {
    (seed | 1, seed ^ 0x9e37_79b9_7f4a_7c15)
}

/// What a gambler of this seed subscribes to.
pub(super) fn channels_of(seed: u64) -> Vec<Channel> {
    let channels = [
        Channel::Trades,
        Channel::Book(3),
        Channel::Candles(60),
        Channel::Candles(300),
        Channel::Candles(7),
        Channel::Timer(30_000),
        Channel::Status,
    ];
    channels[..1 + (seed % 7) as usize].to_vec()
}

/// What a gambler asks for at an event.
pub(super) fn gamble(state: &mut u64, event: &Event<'_>, effects: &mut Effects) {
    for word in [event.header.0, event.ts].iter().chain(event.payload) {
        *state = (*state ^ word).wrapping_mul(0x1000_0000_01b3).rotate_left(17);
    }
    let state = *state;
    if state.is_multiple_of(3) {
        effects.submit(random_order(state)).unwrap();
    }
    let order = 1 + (state >> 33) % 20;
    let price = Some(90.0 + ((state >> 40) % 2_000) as f64 / 100.0);
    let change = match state % 11 {
        0 => Intent::Cancel { order },
        1 => Intent::Amend { order, size: None, price },
        2 => Intent::Amend { order, size: Some(0.5), price: None },
        3 if state.is_multiple_of(5) => Intent::CancelAll { symbol: None },
        _ => return,
    };
    effects.request(change);
}

/// What a gambler asks for at the news of an order.
pub(super) fn answer_news(
    answer: &mut u64,
    update: &OrderUpdate,
    history: &HistoryRef,
    effects: &mut Effects,
) {
    let seen = history.trades(update.symbol, 3).len() as u64
        + history.book(update.symbol, 2).bids.iter().map(|l| l.0.to_bits()).sum::<u64>()
        + history.candles(update.symbol, 60, 2).len() as u64;
    *answer = (*answer ^ seen ^ update.cash.to_bits() ^ update.equity.to_bits())
        .wrapping_mul(0x1000_0000_01b3)
        .rotate_left(23);
    if answer.is_multiple_of(4) {
        let _full = effects.submit(random_order(*answer));
    }
}

pub(super) fn random_order(state: u64) -> crate::strategy::OrderRequest {
    let pick = |shift: u32, n: u64| (state >> shift) % n;
    let action = [Action::Buy, Action::Sell, Action::Short, Action::Cover][pick(5, 4) as usize];
    let size = match pick(9, 6) {
        0 => Size::All,
        1 | 2 => Size::Quote(pick(13, 200) as f64),
        _ => Size::Base(pick(13, 300) as f64 / 100.0),
    };
    let mut order = market(action, size);
    order.symbol = pick(21, 2) as u16;
    let level = |shift| (pick(shift, 3) == 0).then(|| 90.0 + pick(shift + 4, 2_000) as f64 / 100.0);
    (order.stop_loss, order.take_profit) = (level(25), level(37));
    let price = 90.0 + pick(41, 2_000) as f64 / 100.0;
    order.kind = match pick(52, 8) {
        0..=2 => OrderKind::Limit(price),
        3 => OrderKind::Stop(price),
        4 => OrderKind::StopLimit(price, price + 0.5),
        5 => OrderKind::TrailingStop(1.0),
        _ => OrderKind::Market,
    };
    let forces = [TimeInForce::Gtc, TimeInForce::Day, TimeInForce::Ioc, TimeInForce::Gtc];
    order.time_in_force = forces[pick(55, 4) as usize];
    order.post_only = pick(57, 8) == 0;
    order
}

/// Nothing on its way; constant latencies; drawn ones, and fuel as time.
pub(super) fn latency() -> impl Strategy<Value = LatencyConfig> {
    let delay = || {
        prop_oneof![
            (0_i64..6_000).prop_map(|ms| Delay::Fixed(ms * 1_000_000)),
            (0_i64..2_000, 0_i64..9_000)
                .prop_map(|(low, more)| Delay::Uniform(low * 1_000_000, (low + more) * 1_000_000)),
            prop::collection::vec(0_i64..5_000_000_000, 1..5)
                .prop_map(|samples| Delay::Recorded(samples.into())),
        ]
    };
    let late = (delay(), delay(), 0_i64..2).prop_map(|(order, cancel, rate)| LatencyConfig {
        order,
        cancel,
        ns_per_fuel: Rate(rate * Rate::ONE.0),
    });
    prop_oneof![1 => Just(LatencyConfig::default()), 2 => late]
}

/// How many settings [`config_of`] knows.
pub(super) const SETTINGS: u8 = 3;

/// 0 is the default; the others have charges, fees by tier and limits that act by
/// themselves: on losses, or on the margin.
pub(super) fn config_of(setting: u8) -> EngineConfig {
    let mut config = EngineConfig::default();
    if setting == 0 {
        return config;
    }
    config.execution.schedule = crate::execution::Schedule::Kraken;
    config.execution.volume = usd("9500");
    (config.terms.short_open, config.terms.short_rollover) = (Rate(200_000), Rate(300_000));
    config.risk.max_orders_per_minute = Some(30);
    if setting == 1 {
        config.risk.max_daily_loss = Some(usd("60"));
        config.risk.max_drawdown = Some(Rate(90_000_000));
        config.risk.on_halt = crate::risk::OnHalt::Flatten;
    } else {
        config.risk.maintenance_margin = Some(Rate(950_000_000));
        config.risk.liquidation_fee = Rate(5_000_000);
    }
    config
}

pub(super) fn run_lanes(
    config: &EngineConfig,
    seeds: &[u64],
    block: &InputBlock,
) -> Vec<LaneReport> {
    // Latencies are drawn by name, so a strategy keeps its name in every crowd.
    let lane = |(place, &seed): (usize, &u64)| {
        let twins = seeds[..place].iter().filter(|other| **other == seed).count();
        let mut strategy = gambler(seed);
        strategy.name = Some(format!("{seed}-{twins}"));
        (strategy, "1000")
    };
    let lanes = seeds.iter().enumerate().map(lane).collect();
    let mut engine = engine(config, lanes);
    engine.step(block).expect("no invariant breaks");
    engine.check().expect("every account adds up");
    engine.finish().expect("every account adds up");
    engine.reports()
}

/// What must not depend on anything but the inputs and the strategy.
fn outcome(report: &LaneReport) -> (String, Option<crate::domain::Money>, u64, u64, u64, String) {
    // How far a call that failed came is not known.
    let failed = matches!(report.state, LaneState::Quarantined(_));
    (
        report.chain.clone(),
        report.equity,
        if failed { 0 } else { report.counters.events },
        report.counters.orders,
        report.statistics.fill_count,
        format!("{:?} {:?} {:?}", report.statistics, report.breakdown, report.curve),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn a_lane_gives_the_same_chain_at_every_batch_size(
        steps in prop::collection::vec(step(), 1..150),
        seed in any::<u64>(),
        throttle in prop_oneof![3 => Just(0_i64), 1 => 1_i64..20],
        latency in latency(),
        limits in 0..SETTINGS,
    ) {
        let block = block(&steps);
        let config = |batch| EngineConfig {
            batch,
            interval_ns: throttle * Ts::SECOND,
            latency: latency.clone(),
            ..config_of(limits)
        };
        let one = outcome(&run_lanes(&config(1), &[seed], &block)[0]);
        for batch in [7, 64, 1024] {
            let many = outcome(&run_lanes(&config(batch), &[seed], &block)[0]);
            prop_assert_eq!(&many, &one, "batch {}", batch);
        }
    }

    #[test]
    fn crit_003_interleaved_strategies_conserve_and_do_not_touch_each_other(
        steps in prop::collection::vec(step(), 1..120),
        seeds in prop::collection::vec(any::<u64>(), 2..6),
        latency in latency(),
        limits in 0..SETTINGS,
    ) {
        let block = block(&steps);
        let config = EngineConfig { latency, ..config_of(limits) };
        let together = run_lanes(&config, &seeds, &block);
        for (seed, report) in seeds.iter().zip(&together) {
            if seeds.iter().filter(|other| *other == seed).count() > 1 {
                continue;
            }
            let alone = outcome(&run_lanes(&config, &[*seed], &block)[0]);
            prop_assert_eq!(outcome(report), alone);
        }
        let mut reversed = seeds.clone();
        reversed.reverse();
        let mut other_order = run_lanes(&config, &reversed, &block);
        other_order.reverse();
        for (a, b) in together.iter().zip(&other_order).filter(|(a, b)| a.name == b.name) {
            prop_assert_eq!(outcome(a), outcome(b));
        }
    }

    #[test]
    fn whoever_is_halted_gets_no_order_through_any_more(
        steps in prop::collection::vec(step(), 20..200),
        seed in any::<u64>(),
    ) {
        let mut engine = engine(&config_of(1), vec![(gambler(seed), "1000")]);
        engine.step(&block(&steps)).expect("no invariant breaks");
        engine.finish().expect("the account adds up");
        let mut halted = false;
        for output in engine.drain() {
            match output.body {
                LaneOutput::Halted { .. } => halted = true,
                LaneOutput::Accepted { order, .. } => prop_assert!(!halted, "order {}", order.0),
                LaneOutput::Fill { fill, .. } => {
                    prop_assert!(!halted || fill.cause != Cause::Strategy, "fill {}", fill.id);
                    prop_assert!(!halted || !fill.action.opens(), "fill {}", fill.id);
                }
                _ => {}
            }
        }
        if halted {
            let failed = matches!(engine.reports()[0].state, LaneState::Quarantined(_));
            let state = &engine.reports()[0].state;
            prop_assert!(failed || matches!(state, LaneState::Halted(_)), "{state:?}");
        }
    }

    #[test]
    fn equity_is_capital_plus_realized_plus_unrealized(
        steps in prop::collection::vec(step(), 1..150),
        seed in any::<u64>(),
        latency in latency(),
    ) {
        let config = EngineConfig { latency, ..EngineConfig::default() };
        let report = &run_lanes(&config, &[seed], &block(&steps))[0];
        let expected = usd("1000") + report.realized_pnl.unwrap() + report.unrealized_pnl.unwrap();
        prop_assert_eq!(report.equity, Some(expected));
        prop_assert!(report.max_drawdown_pct >= 0.0);
        prop_assert!(report.roi_pct.unwrap().is_finite());
        if report.positions.is_empty() {
            prop_assert_eq!(report.equity.unwrap() - usd("1000"), report.statistics.net);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn strict_hands_over_one_event_a_call_and_changes_nothing_for_the_honest(
        steps in prop::collection::vec(step(), 1..150),
        seed in any::<u64>(),
        throttle in prop_oneof![1 => Just(0_i64), 1 => 1_i64..20],
        latency in latency(),
    ) {
        let block = block(&steps);
        let config = |strict| EngineConfig {
            strict,
            latency: latency.clone(),
            interval_ns: throttle * Ts::SECOND,
            ..EngineConfig::default()
        };
        let mut strategy = gambler(seed);
        strategy.name = Some(format!("{seed}-0"));
        let most = std::sync::Arc::clone(&strategy.most);
        let mut engine = engine(&config(true), vec![(strategy, "1000")]);
        engine.step(&block).unwrap();
        engine.finish().unwrap();
        // Timers and candles come apart from the input that made time pass.
        prop_assert!(most.load(std::sync::atomic::Ordering::SeqCst) <= 1);
        let loose = outcome(&run_lanes(&config(false), &[seed], &block)[0]);
        prop_assert_eq!(outcome(&engine.reports()[0]), loose);
    }
}

#[test]
fn med_002_an_order_is_a_value() {
    let order = market(Action::Buy, Size::Base(1.0));
    let mut effects = Effects::new(crate::strategy::EffectLimits::default());
    effects.begin(1, 4);
    let mut sent = order.clone();
    effects.submit(sent.clone()).unwrap();
    sent.size = Size::Base(1_000.0);
    let Intent::Submit { request, .. } = &effects.intents[0] else { panic!() };
    assert_eq!(**request, order, "what was sent does not change with what the sender keeps");
}

#[test]
fn the_random_markets_reach_the_limits() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut halts, mut liquidations, mut charges) = (0, 0, 0);
    for setting in (1..SETTINGS).cycle().take(300) {
        let random = (prop::collection::vec(step(), 20..200), any::<u64>());
        let (steps, seed) = random.new_tree(&mut runner).expect("a market").current();
        let mut config = config_of(setting);
        config.risk.max_orders_per_minute = None;
        let mut engine = engine(&config, vec![(gambler(seed), "1000")]);
        engine.step(&block(&steps)).expect("no invariant breaks");
        for output in engine.drain() {
            match output.body {
                LaneOutput::Halted { .. } => halts += 1,
                LaneOutput::Charge(_) => charges += 1,
                LaneOutput::Fill { fill, .. } if fill.cause == Cause::Liquidation => {
                    liquidations += 1;
                }
                _ => {}
            }
        }
    }
    assert!(
        halts > 10 && liquidations > 5 && charges > 50,
        "{halts} halts, {liquidations} liquidations, {charges} charges"
    );
}
