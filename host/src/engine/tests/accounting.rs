//! What fills do to the account.

use super::support::*;
use crate::domain::{Action, Instrument, InstrumentTable, Money, Rate};
use crate::engine::EngineConfig;
use crate::portfolio::{Account, AccountConfig, StartError};
use crate::strategy::Size;

#[test]
fn add_01_a_short_is_marked_in_equity() {
    let order = market(Action::Short, Size::Base(1.0));
    let (report, _) = run(sends(vec![order.clone()]), "100", &trades(&[10_000]));
    assert_eq!(report.equity, Some(usd("100")), "shorting 100 of 100 costs nothing but costs");
    assert_eq!(report.cash, usd("200"));
    let (report, _) = run(sends(vec![order.clone()]), "100", &trades(&[10_000, 11_000]));
    assert_eq!(report.equity, Some(usd("90")));
    let mut costs = EngineConfig::default();
    costs.execution.slippage = Rate(0);
    let (report, _) = run_with(&costs, sends(vec![order]), "100", &trades(&[10_000]));
    assert_eq!(report.equity, Some(usd("99.9")), "less the fee of 0.1 %");
}

#[test]
fn med_004_at_the_start_peak_is_equity_and_nothing_is_lost() {
    let table = InstrumentTable::new(vec![
        Instrument::plain("BTC/USD", 2, 8),
        Instrument::plain("XRP/BTC", 8, 2),
    ]);
    for capital in ["0.00000001", "1", "100", "123456789.12345678"] {
        for assets in [vec![], vec![("BTC".to_owned(), usd("0.5"))]] {
            let config = AccountConfig { assets: assets.clone(), ..account(capital) };
            let mut account = Account::open(&config, &table).unwrap();
            if !assets.is_empty() {
                assert_eq!(account.equity(), None, "unknown until the asset has a mark");
                account.mark(crate::domain::SymbolId(0), 2 * 10_000_000);
            }
            let equity = account.equity().unwrap();
            assert_eq!(account.peak(), Some(equity));
            assert_eq!(account.roi_pct(), Some(0.0));
            assert_eq!(account.drawdown_pct(), Some(0.0));
            assert_eq!(account.max_drawdown_pct().to_bits(), 0.0_f64.to_bits());
            let expected = if assets.is_empty() { Money::ZERO } else { usd("50000") };
            assert_eq!(equity, usd(capital) + expected);
        }
    }
}

#[test]
fn med_003_capital_must_be_positive_and_every_asset_valued() {
    let table = instruments();
    for capital in ["0", "-1"] {
        let opened = Account::open(&account(capital), &table);
        assert_eq!(opened, Err(StartError::Capital(usd(capital))));
    }
    let config = AccountConfig { assets: vec![("DOGE".into(), usd("1"))], ..account("1") };
    assert!(matches!(Account::open(&config, &table), Err(StartError::NoValuation { .. })));
}

#[test]
fn med_005_equity_changes_by_exactly_the_net_of_round_trips() {
    let orders = vec![
        market(Action::Buy, Size::Quote(50.0)),
        market(Action::Buy, Size::Quote(30.0)),
        market(Action::Sell, Size::Base(0.31)),
        market(Action::Sell, Size::All),
        market(Action::Short, Size::Quote(70.0)),
        market(Action::Cover, Size::All),
    ];
    let prices = [10_000, 10_037, 9_871, 10_411, 10_333, 10_501];
    let (report, _) = run_with(&EngineConfig::default(), sends(orders), "100", &trades(&prices));
    let statistics = &report.statistics;
    assert_eq!((statistics.closed, statistics.fill_count), (2, 6));
    assert_eq!(report.equity.unwrap() - usd("100"), statistics.net);
    assert_eq!(report.equity, Some(report.cash));
    let trips: Money = report.round_trips(10).map(|t| t.net()).sum();
    assert_eq!(trips, statistics.net, "entry and exit fees are in each of them");
    assert!(statistics.fees.is_positive());
}

/// Trades of X/USD at these hours and prices in cents.
fn hourly(prices: &[(i64, i64)]) -> crate::input::InputBlock {
    use crate::domain::{Price, Qty, Side, SymbolId, Ts};
    let mut block = crate::input::InputBlock::new(&instruments(), 1);
    for &(hour, price) in prices {
        let ts = Ts(hour * 3_600 * Ts::SECOND + 1);
        let (symbol, side) = (SymbolId(0), Side::Buy);
        let trade = crate::input::Trade { symbol, side, price: Price(price), qty: Qty(100), id: 0 };
        block.push_trade(ts, ts, &trade);
    }
    block
}

#[test]
fn add_14_shorts_pay_to_open_and_every_four_hours() {
    let mut costs = free();
    costs.terms.short_open = Rate(200_000);
    costs.terms.short_rollover = Rate(300_000);
    let orders = || {
        vec![
            market(Action::Short, Size::Base(1.0)),
            market(Action::Short, Size::Base(1.0)),
            market(Action::Cover, Size::All),
        ]
    };
    // Opened at 0 h for 100 (0.02), at 3 h for 101 more (0.0202). Due at 4 h, on
    // 201: 0.0603. Covered at 5 h at 99.
    let block = hourly(&[(0, 10_000), (3, 10_100), (5, 9_900)]);
    let (report, _) = run_with(&costs, sends(orders()), "1000", &block);
    assert_eq!(report.statistics.carry, usd("0.1005"));
    assert_eq!(report.statistics.net, usd("2.8995"), "201 less 198 less the charges");
    assert_eq!(report.equity, Some(usd("1002.8995")), "med_005: net of round trips and no more");
    let trip = report.round_trips(1).next().expect("one").clone();
    assert_eq!((trip.carry, trip.net()), (usd("0.1005"), usd("2.8995")));
    // A silence of a day: six charges on 201 at 24 h 1 ns, of which one at 4 h.
    let block = hourly(&[(0, 10_000), (3, 10_100), (24, 9_900)]);
    let (report, _) = run_with(&costs, sends(orders()), "1000", &block);
    assert_eq!(report.statistics.carry, usd("0.0402") + usd("0.3618"));
    // Control: without rates nothing is charged.
    let (report, _) = run_with(&free(), sends(orders()), "1000", &block);
    assert_eq!((report.statistics.carry, report.equity), (Money::ZERO, Some(usd("1003"))));
}

#[test]
fn a_round_trip_knows_its_excursions_its_tag_and_its_prices() {
    let tagged = |action, reason: &str| crate::strategy::OrderRequest {
        reason: reason.into(),
        ..market(action, Size::Base(1.0))
    };
    let mut costs = EngineConfig::default();
    costs.execution.slippage = Rate(0);
    let waits = |orders: Vec<(usize, crate::strategy::OrderRequest)>| {
        let mut seen = 0;
        Scripted::new(&[crate::strategy::Channel::Trades], move |_, effects| {
            for (_, order) in orders.iter().filter(|(at, _)| *at == seen) {
                effects.submit(order.clone()).expect("room");
            }
            seen += 1;
        })
    };
    let orders = vec![(0, tagged(Action::Buy, "breakout")), (3, tagged(Action::Sell, "done"))];
    let prices = [10_000, 9_700, 10_500, 10_200, 20_000];
    let (report, _) = run_with(&costs, waits(orders), "1000", &trades(&prices));
    let trip = report.round_trips(1).next().expect("one").clone();
    assert_eq!((trip.mae_pct(), trip.mfe_pct()), (Some(-3.0), Some(5.0)), "not what came later");
    assert_eq!((trip.tag.as_str(), trip.gross), ("breakout", usd("2")));
    let instrument = report.instruments.at(crate::domain::SymbolId(0));
    assert_eq!(trip.entry_price(instrument), Some(100.0));
    assert_eq!(trip.exit_price(instrument), Some(102.0));
    let (tag, totals) = &report.breakdown.tags()[0];
    assert_eq!((tag.as_str(), totals.fill_count, totals.closed), ("breakout", 2, 1));
    assert_eq!(totals.net, usd("2") - usd("0.202"));
    assert_eq!(report.breakdown.symbols()[0].net, totals.net);
    assert_eq!(report.metrics.buy_and_hold_pct, Some(100.0));
    // In the market from second 1 to 4, of four seconds.
    assert_eq!(report.metrics.exposure_pct, Some(75.0));
    let shorts = vec![(0, tagged(Action::Short, "fade")), (3, tagged(Action::Cover, "done"))];
    let (report, _) = run_with(&costs, waits(shorts), "1000", &trades(&prices));
    let trip = report.round_trips(1).next().expect("one").clone();
    assert_eq!((trip.mae_pct(), trip.mfe_pct()), (Some(-5.0), Some(3.0)));
}

#[test]
fn med_012_a_sell_never_exceeds_what_is_held() {
    let orders = vec![
        market(Action::Buy, Size::Base(1.0)),
        market(Action::Sell, Size::Base(0.6)),
        market(Action::Sell, Size::Base(0.6)),
        market(Action::Sell, Size::Quote(1_000.0)),
        market(Action::Sell, Size::Base(0.4)),
    ];
    let (strategy, news) = listening(sends(orders));
    let (report, outputs) = run(strategy, "1000", &trades(&[10_000; 5]));
    assert_eq!(rejects(&outputs), ["insufficient-position"; 2]);
    assert!(report.positions.is_empty());
    let held: Vec<f64> = news.lock().unwrap().iter().map(|u| u.position).collect();
    assert_eq!(held, [1.0, 0.4, 0.4, 0.4, 0.0], "the host tells the position each time");
    let cash: Vec<f64> = news.lock().unwrap().iter().map(|u| u.cash).collect();
    assert_eq!(cash, [900.0, 960.0, 960.0, 960.0, 1000.0]);
}

#[test]
fn add_02_a_position_nets_by_the_stated_rule_and_equals_its_balance() {
    let orders = vec![
        market(Action::Short, Size::Base(1.0)),
        market(Action::Buy, Size::Base(0.5)),
        market(Action::Cover, Size::Base(0.25)),
    ];
    let mut engine = engine(&free(), vec![(sends(orders), "1000")]);
    engine.step(&trades(&[10_000; 3])).unwrap();
    engine.check().expect("position and balance are checked against each other");
    let report = engine.reports().remove(0);
    assert_eq!(report.positions, [("X/USD".to_owned(), "-0.75".to_owned(), 100.0)]);
    assert_eq!(report.counters.rejected, 1);
}

#[test]
fn add_05_statistics_count_closed_round_trips_over_all_of_them() {
    let mut orders = Vec::new();
    let mut prices = Vec::new();
    for trip in 0..250 {
        orders.push(market(Action::Buy, Size::Base(0.01)));
        orders.push(market(Action::Sell, Size::All));
        // Two of five win by one cent, two lose by one, one breaks even.
        let exit = [10_100, 9_900, 10_000, 10_100, 9_900][trip % 5];
        prices.extend([10_000, exit]);
    }
    orders.push(market(Action::Buy, Size::Base(0.01)));
    prices.push(10_000);
    let (report, _) = run(sends(orders), "1000", &trades(&prices));
    let statistics = &report.statistics;
    assert_eq!(statistics.fill_count, 501);
    assert_eq!((statistics.closed, statistics.wins, statistics.losses), (250, 100, 100));
    assert_eq!(statistics.win_rate_pct(), Some(40.0));
    assert_eq!(statistics.gross_profit, usd("1"));
    assert_eq!(statistics.gross_loss, usd("1"));
    assert_eq!(statistics.newest_fills(usize::MAX).count(), 100, "the history is bounded");
    assert_eq!(statistics.newest_round_trips(usize::MAX).count(), 100);
    assert_eq!(statistics.newest_round_trips(1).next().map(|t| t.id), Some(250));
}

#[test]
fn low_008_statistics_are_exact_and_memory_is_flat_over_ten_million_fills() {
    use crate::domain::{Cause, Fill, Liquidity, OrderId, Price, Qty, SymbolId, Ts};
    use crate::portfolio::{Booked, Statistics};
    let mut statistics = Statistics::new(1_000, 1_000);
    let mut fill = Fill {
        id: 0,
        order: OrderId(0),
        seq: 0,
        ts: Ts(0),
        symbol: SymbolId(0),
        action: Action::Buy,
        qty: Qty(1),
        amount: Money(3),
        fee: Money(1),
        liquidity: Liquidity::Taker,
        cause: Cause::Strategy,
        best_price: Price(1),
    };
    let count: u64 = 10_000_000;
    for id in 1..=count {
        fill.id = id;
        let (amount, fee) = (Some(fill.amount), Some(fill.fee));
        statistics.on_fill(&fill, &Booked { amount, fee, realized: Some(Money(2)) });
    }
    assert_eq!(statistics.fill_count, count);
    assert_eq!(statistics.fees, Money(i128::from(count)));
    assert_eq!(statistics.realized, Money(2 * i128::from(count)));
    assert_eq!(statistics.turnover, Money(3 * i128::from(count)));
    assert_eq!(statistics.newest_fills(usize::MAX).count(), 1_000);
    assert_eq!(statistics.newest_fills(1).next().map(|f| f.id), Some(count));
}

#[test]
fn add_11_drawdown_is_sampled_at_every_mark() {
    let order = market(Action::Buy, Size::Base(1.0));
    // Down to 80 and back between two looks: no fill happens in between.
    let prices = [10_000, 12_000, 9_000, 8_000, 12_000];
    let (report, _) = run(sends(vec![order]), "100", &trades(&prices));
    assert_eq!(report.equity, Some(usd("120")));
    let expected = 100.0 * 40.0 / 120.0;
    assert!((report.max_drawdown_pct - expected).abs() < 1e-6, "{}", report.max_drawdown_pct);
}

#[test]
fn cash_from_a_short_cannot_be_spent() {
    let mut other = market(Action::Buy, Size::Quote(150.0));
    other.symbol = 1;
    let mut block = trades(&[10_000]);
    let mut second = trades(&[10_000, 10_000]);
    second.reset(2);
    let ts = crate::domain::Ts(2_000_000_000);
    block.push_trade(
        ts,
        ts,
        &crate::input::Trade {
            symbol: crate::domain::SymbolId(1),
            side: crate::domain::Side::Buy,
            price: crate::domain::Price(10_000),
            qty: crate::domain::Qty(100),
            id: 0,
        },
    );
    let orders = vec![market(Action::Short, Size::Base(1.0)), other];
    let (_, outputs) = run(sends(orders), "100", &block);
    assert_eq!(rejects(&outputs), ["insufficient-cash"]);
}

#[test]
fn whoever_has_lost_everything_opens_nothing_more() {
    let orders = vec![
        market(Action::Short, Size::Base(2.0)),
        market(Action::Short, Size::Base(0.01)),
        market(Action::Cover, Size::All),
        market(Action::Buy, Size::Base(0.01)),
    ];
    let (report, outputs) = run(sends(orders), "100", &trades(&[10_000, 20_000, 20_000, 20_000]));
    assert_eq!(rejects(&outputs), ["risk-limit", "risk-limit"]);
    assert_eq!(report.equity, Some(usd("-100")), "a debt stays one");
}

#[test]
fn starting_assets_are_valued_at_the_first_event_and_not_at_history() {
    use crate::domain::{Price, Qty, Side, SymbolId, Ts};
    use crate::engine::{EngineBuilder, LaneSpec};
    use crate::input::{CandleInput, InputBlock, Trade};
    use crate::strategy::Strategy as _;
    let mut strategy = sends(vec![]);
    let mut builder = EngineBuilder::new(free(), instruments()).unwrap();
    builder
        .add(LaneSpec {
            name: "a".into(),
            descriptor: strategy.describe().unwrap(),
            strategy: Box::new(strategy),
            symbols: vec!["X/USD".into()],
            parameters: Vec::new(),
            account: AccountConfig { assets: vec![("X".into(), usd("1"))], ..account("100") },
        })
        .unwrap();
    let mut engine = builder.start(Ts(0));
    let mut block = InputBlock::new(&instruments(), 1);
    let price = Price(24_500);
    let candle = CandleInput {
        symbol: SymbolId(0),
        interval_s: 60,
        open_ts: Ts(0),
        open: price,
        high: price,
        low: price,
        close: price,
        volume: Qty(1),
        vwap: 245.0,
    };
    block.push_candle(Ts(60 * Ts::SECOND), &candle);
    let ts = Ts(61 * Ts::SECOND);
    let trade =
        Trade { symbol: SymbolId(0), side: Side::Buy, price: Price(23_500), qty: Qty(1), id: 0 };
    block.push_trade(ts, ts, &trade);
    engine.step(&block).unwrap();
    assert_eq!(engine.reports()[0].start_equity, Some(usd("335")));
}

#[test]
fn a_fill_that_is_worth_nothing_is_refused() {
    let orders =
        vec![market(Action::Short, Size::Base(0.01)), market(Action::Buy, Size::Base(0.01))];
    let table = InstrumentTable::new(vec![Instrument::plain("X/USD", 8, 8)]);
    let mut engine = {
        use crate::engine::{EngineBuilder, LaneSpec};
        use crate::strategy::Strategy as _;
        let tiny = orders
            .into_iter()
            .map(|o| crate::strategy::OrderRequest { size: Size::Base(1e-8), ..o });
        let mut strategy = sends(tiny.collect());
        let mut builder = EngineBuilder::new(free(), table.clone()).unwrap();
        builder
            .add(LaneSpec {
                name: "a".into(),
                descriptor: strategy.describe().unwrap(),
                strategy: Box::new(strategy),
                symbols: vec!["X/USD".into()],
                parameters: Vec::new(),
                account: account("100"),
            })
            .unwrap();
        builder.start(crate::domain::Ts(0))
    };
    let mut block = crate::input::InputBlock::new(&table, 1);
    for second in 1..3 {
        let ts = crate::domain::Ts(second);
        let trade = crate::input::Trade {
            symbol: crate::domain::SymbolId(0),
            side: crate::domain::Side::Buy,
            price: crate::domain::Price(5),
            qty: crate::domain::Qty(1),
            id: 0,
        };
        block.push_trade(ts, ts, &trade);
    }
    engine.step(&block).unwrap();
    engine.finish().unwrap();
    let outputs: Vec<_> = engine.drain().collect();
    assert_eq!(rejects(&outputs)[0], "below-minimum-cost");
}
