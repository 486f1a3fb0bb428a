//! What the live driver gives, in the engine: who may trade when, and candles
//! from before the start.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sandpaper::domain::{Action, InstrumentTable, Price, Qty, SymbolId, TimeInForce, Ts};
use sandpaper::engine::{Engine, EngineConfig, LaneOutput};
use sandpaper::feed::live::{Attempts, Clock, LinkSettings, history};
use sandpaper::input::{EventRef, InputBlock, TradingStatus};
use sandpaper::strategy::{
    Channel, Descriptor, Effects, Fault as StrategyFault, HistoryRef, OrderKind, OrderRequest,
    OrderUpdate, Size, StartInfo, Strategy, Subscription, Usage,
};
use sandpaper::venue::kraken::{Session, Timing, Wanted};
use sandpaper::words::{self, Header};
use sandpaper_tests::exchange::Fault;
use sandpaper_tests::exchange::dialogue::instruments;
use sandpaper_tests::exchange::market::MarketConfig;
use sandpaper_tests::exchange::oracle::{Oracle, Sabotage};
use sandpaper_tests::exchange::random::Random;
use sandpaper_tests::exchange::scenario::Scenario;
use sandpaper_tests::lanes::Recording;
use tokio::runtime::Builder;

const MINUTE: u64 = 60_000_000_000;

/// Buys a little at each trade, and notes the candles that it is told of.
struct Eager {
    candles: Arc<Mutex<Vec<Candle>>>,
}

/// A candle as a strategy gets it: flags, and words from the interval on.
#[derive(Clone, Copy, Debug)]
struct Candle {
    flags: u8,
    interval: u64,
    open_ts: u64,
    prices: [f64; 4],
    volume: f64,
}

impl Strategy for Eager {
    fn describe(&mut self) -> Result<Descriptor, StrategyFault> {
        let channels = [Channel::Trades, Channel::Candles(60), Channel::Candles(300)];
        Ok(Descriptor {
            name: "eager".into(),
            version: "1".into(),
            subscriptions: channels.map(|channel| Subscription { symbol: None, channel }).into(),
            ..Descriptor::default()
        })
    }

    fn start(
        &mut self,
        _: &StartInfo,
        _: HistoryRef,
        _: &mut Effects,
    ) -> Result<(), StrategyFault> {
        Ok(())
    }

    fn handle(
        &mut self,
        words: &[u64],
        events: u32,
        effects: &mut Effects,
    ) -> Result<u32, StrategyFault> {
        let mut rest = words;
        for consumed in 1..=events {
            let header = Header(rest[0]);
            let (event, tail) = rest.split_at(header.words().expect("a known event"));
            rest = tail;
            if header.kind() == words::CANDLE {
                let number = |word: usize| f64::from_bits(event[word]);
                self.candles.lock().expect("one thread").push(Candle {
                    flags: header.flags(),
                    interval: event[2],
                    open_ts: event[3],
                    prices: [4, 5, 6, 7].map(number),
                    volume: number(8),
                });
            } else if header.kind() == words::TRADE {
                effects.submit(order(header.symbol().0)).expect("room for one");
                return Ok(consumed);
            }
        }
        Ok(events)
    }

    fn on_order(
        &mut self,
        _: &OrderUpdate,
        _: HistoryRef,
        _: &mut Effects,
    ) -> Result<(), StrategyFault> {
        Ok(())
    }

    fn stop(&mut self, _: &mut Effects) -> Result<(), StrategyFault> {
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<u8>, StrategyFault> {
        Ok(Vec::new())
    }

    fn load(&mut self, _: &[u8], _: &str) -> Result<(), StrategyFault> {
        Ok(())
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }
}

fn order(symbol: u16) -> OrderRequest {
    OrderRequest {
        action: Action::Buy,
        symbol,
        size: Size::Quote(20.0),
        kind: OrderKind::Market,
        time_in_force: TimeInForce::Ioc,
        good_till_ns: None,
        post_only: false,
        reduce_only: false,
        stop_loss: None,
        take_profit: None,
        reason: String::new(),
        metadata: Vec::new(),
    }
}

/// An engine behind a driver.
struct Floor {
    engine: Engine,
    /// it does not hear that the venue pauses
    deaf: bool,
    fills: u64,
    paused: u64,
    stale: u64,
}

impl Floor {
    fn open(table: &InstrumentTable, deaf: bool) -> (Self, Arc<Mutex<Vec<Candle>>>) {
        let candles = Arc::default();
        let start = Ts(MarketConfig::default().start);
        let recording = Recording { instruments: table.clone(), blocks: Vec::new(), start };
        let eager = Box::new(Eager { candles: Arc::clone(&candles) });
        let engine = recording.engine(&EngineConfig::default(), vec![eager], "1000000");
        (Self { engine, deaf, fills: 0, paused: 0, stale: 0 }, candles)
    }

    fn take(&mut self, block: &InputBlock) {
        let mut block = if self.deaf { without_pauses(block) } else { block.clone() };
        block.renumber(self.engine.next_seq());
        self.engine.step(&block).expect("invariants hold");
        for output in self.engine.drain() {
            match output.body {
                LaneOutput::Fill { .. } => self.fills += 1,
                LaneOutput::Reject { reason, .. } if reason.name() == "market-paused" => {
                    self.paused += 1;
                }
                LaneOutput::Reject { reason, .. } if reason.name() == "stale-data" => {
                    self.stale += 1;
                }
                _ => {}
            }
        }
    }
}

fn without_pauses(block: &InputBlock) -> InputBlock {
    let mut copy = InputBlock::new(&instruments(2), 1);
    for index in 0..block.len() {
        let (ts, venue) = (block.ts(index), block.ts_exchange(index));
        match block.get(index) {
            EventRef::Trade(trade) => copy.push_trade(ts, venue, &trade),
            EventRef::Book { symbol, snapshot, bids, asks } => {
                let bids: Vec<(Price, Qty)> = bids.iter().collect();
                let asks: Vec<(Price, Qty)> = asks.iter().collect();
                copy.push_book(ts, venue, symbol, snapshot, &bids, &asks);
            }
            EventRef::Status { symbol, status }
                if matches!(status, TradingStatus::Trading | TradingStatus::Stale) =>
            {
                copy.push_status(ts, symbol, status);
            }
            _ => copy.push_timer(ts),
        }
    }
    copy
}

/// Fills and refusals for a paused market, before, during and after a fault.
fn through(fault: Fault, deaf: bool) -> [(u64, u64, u64); 3] {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let (floor, _) = Floor::open(&instruments(2), deaf);
        let floor = Arc::new(Mutex::new(floor));
        let mut scenario = Scenario::new(21, 2, 10, Sabotage::None);
        let copy = Arc::clone(&floor);
        scenario.sink = Some(Box::new(move |block| copy.lock().expect("one thread").take(block)));
        let seen = || {
            let mut floor = floor.lock().expect("one thread");
            let now = (floor.fills, floor.paused, floor.stale);
            (floor.fills, floor.paused, floor.stale) = (0, 0, 0);
            now
        };
        scenario.until(Duration::from_secs(5), Oracle::all_trading).await.expect("it begins");
        scenario.run(Duration::from_secs(20)).await;
        let before = seen();
        scenario.begin(fault, &mut Random::new(1, "pause"));
        scenario.run(Duration::from_secs(1)).await;
        let _ = seen();
        scenario.run(Duration::from_secs(20)).await;
        let during = seen();
        scenario.end();
        scenario.until(Duration::from_secs(5), Oracle::all_trading).await.expect("it goes on");
        let _ = seen();
        scenario.run(Duration::from_secs(20)).await;
        [before, during, seen()]
    })
}

#[test]
fn add_09_maintenance_and_cancel_only_pause_orders_through_driver_and_engine() {
    for fault in [Fault::Maintenance, Fault::CancelOnly] {
        let [before, during, after] = through(fault, false);
        assert!(before.0 > 5 && before.1 == 0, "{fault:?}: {before:?}");
        assert!(during.0 == 0 && during.1 > 5, "{fault:?}: {during:?}");
        assert!(after.0 > 5 && after.1 == 0, "{fault:?}: {after:?}");
        // The control: who does not hear of it trades on.
        let [_, during, _] = through(fault, true);
        assert!(during.0 > 5, "{fault:?}: {during:?}");
    }
}

#[test]
fn add_13_candles_are_warm_at_the_start_and_go_on_without_a_gap() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let table = instruments(1);
        let mut scenario = Scenario::new(5, 1, 10, Sabotage::None);
        let clock = Clock::start_at(Ts(MarketConfig::default().start));
        let wanted: Vec<Wanted> = table
            .iter()
            .map(|(symbol, _)| Wanted {
                symbol,
                levels: None,
                shown: None,
                trades: false,
                candle_minutes: Some(1),
            })
            .collect();
        let session = Session::new(table.clone(), &wanted, Timing::default()).expect("a session");
        let mut warm = InputBlock::new(&table, 1);
        let (wait, tries) = (Duration::from_secs(10), (&Attempts::default(), 3));
        let (network, limits) = (scenario.network.clone(), LinkSettings::default());
        let whole = history(network, session, limits, (clock, wait), tries, &mut warm, &table);
        assert!(whole.await, "all of it came");
        let (mut floor, candles) = Floor::open(&table, false);
        floor.take(&warm);
        assert_eq!(floor.fills + floor.stale, 0, "history is no market");
        let floor = Arc::new(Mutex::new(floor));
        scenario.sink = Some(Box::new(move |block| floor.lock().expect("one thread").take(block)));
        scenario.run(Duration::from_secs(200)).await;
        let mut candles = candles.lock().expect("one thread").clone();
        candles.retain(|candle| candle.interval == 60);
        let is_warm = |candle: &&Candle| candle.flags & words::WARM_UP != 0;
        let warm = candles.iter().filter(is_warm).count();
        assert!(warm > 60 && candles.len() >= warm + 2, "{warm} of {}", candles.len());
        for pair in candles.windows(2) {
            assert_eq!(pair[1].open_ts - pair[0].open_ts, MINUTE, "{pair:?}");
            // A minute without trades stands at the last close, with no volume.
            if pair[1].volume == 0.0 {
                assert_eq!(pair[1].prices, [pair[0].prices[3]; 4], "{pair:?}");
            }
        }
        let empty = candles.iter().filter(|candle| candle.volume == 0.0).count();
        assert!(empty > 5, "the venue leaves some out: {empty}");
    });
}

/// What a strategy was told of a market that it could not see for four minutes and a
/// half: candles that are not the true ones, of these those that are not marked, all that
/// are marked, and all that it got.
fn candles_of_an_outage(sabotage: Sabotage) -> (usize, usize, usize, usize) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let table = instruments(1);
        let mut scenario = Scenario::new(5, 1, 10, sabotage);
        let (mut floor, candles) = Floor::open(&table, false);
        let start = Ts(MarketConfig::default().start);
        let mut begin = InputBlock::new(&table, 1);
        begin.push_timer(start);
        floor.take(&begin);
        let floor = Arc::new(Mutex::new(floor));
        scenario.sink = Some(Box::new(move |block| floor.lock().expect("one thread").take(block)));
        scenario.until(Duration::from_secs(5), Oracle::all_trading).await.expect("it begins");
        scenario.run(Duration::from_secs(80)).await;
        scenario.begin(Fault::NoName, &mut Random::new(5, "candles"));
        scenario.run(Duration::from_secs(270)).await;
        scenario.end();
        scenario.until(Duration::from_secs(5), Oracle::all_trading).await.expect("it goes on");
        scenario.run(Duration::from_secs(300)).await;
        assert!(scenario.oracle.wrong.is_empty(), "{:?}", scenario.oracle.wrong);
        let state = scenario.exchange.state();
        let instrument = table.at(SymbolId(0));
        let (mut wrong, mut unmarked, mut marked) = (0, 0, 0);
        let candles = candles.lock().expect("one thread").clone();
        let followed: Vec<&Candle> =
            candles.iter().filter(|candle| candle.open_ts >= start.0 as u64).collect();
        for candle in &followed {
            let minutes = candle.interval as i64 / 60;
            let first = (candle.open_ts / MINUTE) as i64;
            let truth = state.market.books[0].candles(minutes);
            let truth = truth.iter().find(|(minute, _)| *minute == first).expect("it traded").1;
            let prices = [truth.open, truth.high, truth.low, truth.close]
                .map(|units| instrument.price_f64(Price(units)));
            let is_true =
                candle.prices == prices && candle.volume == instrument.qty_f64(Qty(truth.volume));
            let is_marked = candle.flags & words::PARTIAL != 0;
            wrong += usize::from(!is_true);
            unmarked += usize::from(!is_true && !is_marked);
            marked += usize::from(is_marked);
        }
        (wrong, unmarked, marked, followed.len())
    })
}

#[test]
fn add_13_candles_of_an_outage_are_the_true_ones_or_marked() {
    let (wrong, unmarked, marked, all) = candles_of_an_outage(Sabotage::None);
    // More was traded in the minute of the return than the venue tells again: it and the
    // five minutes that hold it are known in part, and say so.
    assert!(all >= 12, "ten minutes, and twice five: {all}");
    assert_eq!(unmarked, 0, "{wrong} of {all} wrong");
    assert!(marked <= 2 && wrong <= 2, "{wrong} wrong, {marked} marked of {all}");
    // The control: who does not ask for the venue's candles has many wrong ones, and
    // marks them.
    let (wrong, unmarked, marked, _) = candles_of_an_outage(Sabotage::AsksNoCandles);
    assert!(wrong >= 5 && marked >= wrong && unmarked == 0, "{wrong} wrong, {marked} marked");
}
