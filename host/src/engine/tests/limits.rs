//! Limits that act by themselves, fees by tier, and charges in the chain.

use super::support::*;
use crate::domain::{Action, Cause, Liquidity, Money, Price, Qty, Rate, Side, SymbolId, Ts};
use crate::engine::{EngineConfig, LaneOutput, LaneState, Output};
use crate::execution::Schedule;
use crate::input::{InputBlock, Trade};
use crate::risk::OnHalt;
use crate::strategy::{Channel, OrderRequest, Size};

/// Sends each of these orders at the trade of its number, counted from 0.
fn at(orders: Vec<(usize, OrderRequest)>) -> Scripted {
    let mut seen = 0;
    Scripted::new(&[Channel::Trades], move |_, effects| {
        for (_, order) in orders.iter().filter(|(at, _)| *at == seen) {
            effects.submit(order.clone()).expect("room");
        }
        seen += 1;
    })
}

fn halts(outputs: &[Output]) -> Vec<(i64, String)> {
    let halt = |one: &Output| match &one.body {
        LaneOutput::Halted { reason } => Some((one.ts.0 / Ts::SECOND, reason.clone())),
        _ => None,
    };
    outputs.iter().filter_map(halt).collect()
}

fn causes(outputs: &[Output]) -> Vec<(Cause, Money)> {
    let fill = |one: &Output| match &one.body {
        LaneOutput::Fill { fill, .. } => Some((fill.cause, fill.fee)),
        _ => None,
    };
    outputs.iter().filter_map(fill).collect()
}

#[test]
fn a_drawdown_from_the_peak_halts_and_holds_or_flattens() {
    let prices = [10_000, 20_000, 18_100, 17_900, 30_000, 30_000];
    let orders = || {
        at(vec![
            (0, market(Action::Buy, Size::Base(1.0))),
            (4, market(Action::Sell, Size::All)),
            (5, market(Action::Buy, Size::Base(1.0))),
        ])
    };
    for (on_halt, equity, held) in [(OnHalt::Hold, "300", 1), (OnHalt::Flatten, "179", 0)] {
        let mut config = free();
        config.risk.max_drawdown = Some(Rate(100_000_000));
        config.risk.on_halt = on_halt;
        let (report, outputs) = run_with(&config, orders(), "100", &trades(&prices));
        // 181 of the peak of 200 is within a tenth, 179 is not; the start was 100.
        let reason = "drawdown from the peak of 200.00000000 to 179.00000000".to_owned();
        assert_eq!(halts(&outputs), [(4, reason.clone())]);
        assert_eq!(report.state, LaneState::Halted(reason));
        assert_eq!(report.equity, Some(usd(equity)));
        assert_eq!(report.positions.len(), held);
        assert_eq!(report.counters.events, 3, "it is not told of the price that halted it");
    }
    let (report, outputs) = run_with(&free(), orders(), "100", &trades(&prices));
    assert_eq!((halts(&outputs), report.statistics.fill_count), (vec![], 3), "control");
}

#[test]
fn the_loss_of_a_day_halts_and_yesterdays_does_not() {
    let mut block = InputBlock::new(&instruments(), 1);
    let day = 86_400 * Ts::SECOND;
    // 100 → 91 on the first day, → 82 on the second, → 80.9 on the second.
    for (ts, price) in [(1, 10_000), (2, 9_100), (day, 8_200), (day + 1, 8_090), (day + 2, 9_000)] {
        let (symbol, side, qty) = (SymbolId(0), Side::Buy, Qty(100));
        block.push_trade(Ts(ts), Ts(ts), &Trade { symbol, side, price: Price(price), qty, id: 0 });
    }
    let orders = || at(vec![(0, market(Action::Buy, Size::Base(1.0)))]);
    let mut config = free();
    config.risk.max_daily_loss = Some(usd("10"));
    let (_, outputs) = run_with(&config, orders(), "100", &block);
    let reason = "daily loss of 10.10000000 beyond 10.00000000".to_owned();
    assert_eq!(halts(&outputs), [(86_400, reason)]);
    config.risk.max_daily_loss = Some(usd("10.1"));
    let (_, outputs) = run_with(&config, orders(), "100", &block);
    assert_eq!(halts(&outputs), [], "control: exactly the limit");
}

#[test]
fn a_loss_that_a_fill_makes_is_seen_at_once() {
    let mut config = EngineConfig::default();
    config.risk.max_daily_loss = Some(usd("0.01"));
    let orders = at(vec![
        (0, market(Action::Buy, Size::Quote(50.0))),
        (1, market(Action::Buy, Size::Quote(10.0))),
    ]);
    let (report, outputs) = run_with(&config, orders, "100", &trades(&[10_000, 10_000]));
    assert_eq!(halts(&outputs).len(), 1, "fee and slippage are losses");
    assert_eq!((report.statistics.fill_count, report.counters.events), (1, 1));
}

#[test]
fn add_06_a_liquidation_closes_all_shorts_and_is_news_like_any_other() {
    let mut config = free();
    config.risk.maintenance_margin = Some(Rate(200_000_000));
    config.risk.liquidation_fee = Rate(10_000_000);
    let orders = || at(vec![(0, market(Action::Short, Size::Base(1.0)))]);
    // Equity is 200 − price; a fifth of the price is reached at 166.66….
    let prices = [10_000, 16_600, 16_700, 18_000];
    let (strategy, news) = listening(orders());
    let (report, outputs) = run_with(&config, strategy, "100", &trades(&prices));
    let fills = [(Cause::Strategy, Money::ZERO), (Cause::Liquidation, usd("1.67"))];
    assert_eq!(causes(&outputs), fills, "with its own cause and fee");
    assert_eq!(report.equity, Some(usd("31.33")), "200 less 167 less 1.67");
    assert_eq!(report.state, LaneState::Stopped, "the strategy goes on until the end");
    let told: Vec<_> = news.lock().unwrap().iter().map(|u| (u.cause, u.position)).collect();
    assert_eq!(told, [(Cause::Strategy, -1.0), (Cause::Liquidation, 0.0)]);
    let (report, _) = run_with(&free(), orders(), "100", &trades(&prices));
    assert_eq!(report.equity, Some(usd("20")), "control: without the margin it is carried");
}

#[test]
fn a_short_that_the_margin_does_not_carry_is_refused() {
    let mut config = free();
    config.risk.maintenance_margin = Some(Rate(1_000_000_000));
    let orders = vec![
        market(Action::Short, Size::Base(1.01)),
        market(Action::Short, Size::Base(1.0)),
        market(Action::Short, Size::Base(0.01)),
    ];
    let (_, outputs) = run_with(&config, sends(orders), "100", &trades(&[10_000; 3]));
    assert_eq!(rejects(&outputs), ["risk-limit", "risk-limit"]);
}

#[test]
fn orders_beyond_the_rate_are_refused_and_do_not_count() {
    let mut config = free();
    config.risk.max_orders_per_minute = Some(2);
    let orders = vec![market(Action::Buy, Size::Base(0.01)); 61];
    let (report, outputs) = run_with(&config, sends(orders), "100", &trades(&[10_000; 62]));
    assert_eq!(rejects(&outputs).len(), 58, "seconds 1, 2 and, a minute later, 61 get through");
    assert_eq!(report.statistics.fill_count, 3);
}

#[test]
fn add_14_makers_and_takers_pay_their_rates_and_the_tier_follows_the_volume() {
    let mut config = free();
    (config.execution.fee, config.execution.maker) = (Rate(4_000_000), Rate(1_000_000));
    let mut resting = market(Action::Buy, Size::Base(1.0));
    resting.kind = crate::strategy::OrderKind::Limit(99.0);
    resting.time_in_force = crate::domain::TimeInForce::Gtc;
    let orders = at(vec![(0, resting), (1, market(Action::Sell, Size::All))]);
    let (_, outputs) = run_with(&config, orders, "100", &trades(&[10_000, 9_800, 9_900]));
    let paid: Vec<_> = outputs
        .iter()
        .filter_map(|one| match &one.body {
            LaneOutput::Fill { fill, .. } => Some((fill.liquidity, fill.fee)),
            _ => None,
        })
        .collect();
    let maker = (Liquidity::Maker, usd("0.099"));
    assert_eq!(paid, [maker, (Liquidity::Taker, usd("0.392"))], "99 and 98");
    config.execution.schedule = Schedule::Kraken;
    let orders = vec![market(Action::Buy, Size::Base(100.0)), market(Action::Sell, Size::All)];
    let (_, outputs) = run_with(&config, sends(orders), "20000", &trades(&[10_000; 3]));
    let fees: Vec<Money> = causes(&outputs).into_iter().map(|(_, fee)| fee).collect();
    assert_eq!(fees, [usd("40"), usd("35")], "0.4 %, and 0.35 % after 10,000 were traded");
}

#[test]
fn charges_enter_the_chain_and_the_news() {
    let mut config = free();
    config.terms.short_open = Rate(200_000);
    let hours = |config: &EngineConfig| {
        let mut block = InputBlock::new(&instruments(), 1);
        for hour in [0, 3, 5] {
            let ts = Ts(hour * 3_600 * Ts::SECOND + 1);
            let (symbol, side, qty) = (SymbolId(0), Side::Buy, Qty(100));
            block.push_trade(ts, ts, &Trade { symbol, side, price: Price(10_000), qty, id: 0 });
        }
        let orders = at(vec![(0, market(Action::Short, Size::Base(1.0)))]);
        let (report, outputs) = run_with(config, orders, "1000", &block);
        let charges: Vec<_> = outputs
            .iter()
            .filter_map(|one| match &one.body {
                LaneOutput::Charge(charge) => Some((charge.kind.name(), charge.amount)),
                _ => None,
            })
            .collect();
        (charges, report.chain)
    };
    let (charges, opened) = hours(&config);
    assert_eq!(charges, [("opening", usd("0.02"))]);
    config.terms.short_rollover = Rate(300_000);
    let (charges, rolled) = hours(&config);
    assert_eq!(charges, [("opening", usd("0.02")), ("rollover", usd("0.03"))]);
    assert_ne!(opened, rolled);
}
