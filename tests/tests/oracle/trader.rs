//! A session: random costs and limits, a random market, and a strategy that sends
//! orders of every kind and tells of them in the oracle's words.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use sandpaper::app::export::{Ledger, Sheet as _};
use sandpaper::domain::{Action, Money, Rate, TimeInForce, Ts};
use sandpaper::engine::{Engine, EngineBuilder, EngineConfig, LaneSpec};
use sandpaper::execution::{Delay, Model, Schedule};
use sandpaper::input::InputBlock;
use sandpaper::portfolio::AccountConfig;
use sandpaper::risk::{OnHalt, RiskConfig, ShortBase};
use sandpaper::strategy::{
    Channel, Descriptor, Effects, Fault, HistoryRef, Intent, OrderKind, OrderRequest, OrderUpdate,
    Size, StartInfo, Strategy, Subscription, Usage,
};
use sandpaper::words::Header;
use sandpaper_tests::exchange::random::Random;

use super::market::{Market, describe, instruments};
use super::outcome;

const CAPITAL: &str = "1000";

fn money(text: &str) -> Money {
    Money::parse(text).expect("a decimal")
}

/// What strategy and driver both know.
#[derive(Debug, Default)]
struct Shared {
    /// by symbol: a price near which to order, in quote
    near: [f64; 2],
    /// by symbol: prices of levels that stood lately
    levels: [Vec<f64>; 2],
    /// what was asked, with the time of its moment
    asked: Vec<(i64, String)>,
    orders: u64,
}

/// Asks at random.
struct Trader {
    random: Random,
    shared: Arc<Mutex<Shared>>,
    position: [f64; 2],
    last: u64,
}

/// One session that ran.
pub struct Session {
    pub seed: u64,
    /// what the oracle is told
    pub stream: String,
    /// what came of it
    pub outcome: String,
    pub orders: u64,
    pub fills: u64,
}

impl Session {
    /// Runs a session of about so many orders.
    pub fn run(seed: u64, orders: u64) -> Self {
        Self::run_into(seed, orders, &mut std::io::sink())
    }

    /// The same, and writes its ledger as hledger reads it.
    pub fn run_into(seed: u64, orders: u64, journal: &mut dyn std::io::Write) -> Self {
        let mut random = Random::new(seed, "session");
        let table = instruments(&mut random);
        let config = config(&mut random, seed);
        let foreign = table.iter().any(|(_, instrument)| instrument.quote == "X");
        let held = foreign.then(|| random.pick(&["0", "60", "3.00000001"]));
        let mut stream = header(&config, held);
        table.iter().for_each(|(_, instrument)| stream.push_str(&describe(instrument)));
        let shared = Arc::new(Mutex::new(Shared::default()));
        let mut engine = engine(&config, table.clone(), seed, held, &shared);
        let mut market = Market::new(seed, table.clone());
        let mut block = InputBlock::new(&table, 1);
        let (mut outcome, mut fills) = (String::new(), 0);
        let mut ledger = Ledger;
        ledger.open(&engine, &[0], journal).expect("written");
        // A strategy that was halted asks no more; what is closed then is seen too.
        let mut after = 0;
        while shared.lock().expect("one thread").orders < orders && after < 6 {
            after += u32::from(!engine.is_running());
            block.reset(engine.next_seq());
            let events = random.between(1, 30);
            let lines: Vec<_> = (0..events).map(|_| market.event(&mut block)).collect();
            {
                let mut shared = shared.lock().expect("one thread");
                for (symbol, units) in [100.0, 100_000.0].into_iter().enumerate() {
                    shared.near[symbol] = market.fair[symbol] as f64 / units;
                    let levels = market.levels[symbol].iter();
                    shared.levels[symbol] = levels.map(|level| level.1 as f64 / units).collect();
                }
            }
            engine.step(&block).expect("no invariant breaks");
            let asked = std::mem::take(&mut shared.lock().expect("one thread").asked);
            let mut asked = asked.into_iter().peekable();
            for (ts, line) in lines {
                stream.push_str(&line);
                while let Some((_, order)) = asked.next_if(|(at, _)| *at == ts) {
                    stream.push_str(&order);
                }
            }
            assert_eq!(asked.next(), None, "every order has its event");
            let news: Vec<_> = engine.drain().collect();
            for one in &news {
                ledger.news(&engine, one, journal).expect("written");
            }
            fills += outcome::tell(&news, &table, &mut outcome);
            outcome::state(&engine, &table, &mut outcome);
            stream.push_str("state\n");
        }
        stream.push_str("end\n");
        ledger.close(&engine, &[0], journal).expect("written");
        engine.check().expect("the account adds up");
        let orders = shared.lock().expect("one thread").orders;
        Self { seed, stream, outcome, orders, fills }
    }

    /// How to see it again.
    pub fn around(&self) -> String {
        let path = std::env::temp_dir().join(format!("oracle-{}.txt", self.seed));
        let kept = std::fs::write(&path, &self.stream).is_ok();
        let place = if kept { path.display().to_string() } else { "nowhere".into() };
        format!("its stream is kept: {place}")
    }
}

fn config(random: &mut Random, seed: u64) -> EngineConfig {
    let mut config =
        EngineConfig { seed, batch: 7, candles: Vec::new(), ..EngineConfig::default() };
    let execution = &mut config.execution;
    execution.model = if random.chance(800) { Model::Book } else { Model::Instant };
    execution.fee = Rate(random.pick(&[0, 1_000_000, 2_600_000, 333_333]));
    execution.maker = Rate(random.pick(&[0, 1_000_000, 1_600_000, 5_000_000]));
    execution.book_slippage = Rate(random.pick(&[0, 0, 300_001]));
    execution.slippage = Rate(random.pick(&[0, 500_000, 1_234_567]));
    execution.max_short_leverage = Rate(random.pick(&[500_000_000, 2_000_000_000, 3_333_333_333]));
    execution.short_base = random.pick(&[ShortBase::Starting, ShortBase::Equity]);
    if random.chance(250) {
        execution.schedule = Schedule::Kraken;
        let volume = random.pick(&["0", "9500", "46000.00000001", "99000", "499000"]);
        execution.volume = money(volume);
    }
    config.terms.short_open = Rate(random.pick(&[0, 200_000]));
    config.terms.short_rollover = Rate(random.pick(&[0, 200_000, 333_333]));
    if config.execution.model == Model::Book && random.chance(600) {
        (config.latency.order, config.latency.cancel) = (delay(random), delay(random));
    }
    if random.chance(200) {
        config.risk.max_order = Some(money("400"));
        config.risk.max_position = Some(money("700.5"));
        config.risk.max_exposure = random.chance(500).then(|| money("900.25"));
    }
    if random.chance(450) {
        limits(random, &mut config.risk);
        // So that an order breaches a limit by its costs, between two of one call.
        if random.chance(500) {
            config.execution.fee = Rate(15_000_000);
        }
    }
    config
}

/// Limits that act by themselves.
fn limits(random: &mut Random, risk: &mut RiskConfig) {
    risk.on_halt = random.pick(&[OnHalt::Hold, OnHalt::Flatten]);
    let some = |random: &mut Random, chance| random.chance(chance);
    risk.max_drawdown = some(random, 600).then(|| Rate(random.between(3_000_000, 150_000_000)));
    risk.max_daily_loss =
        some(random, 400).then(|| Money(i128::from(random.between(1, 40_000_000_000))));
    risk.maintenance_margin =
        some(random, 500).then(|| Rate(random.between(200_000_000, 1_000_000_000)));
    risk.liquidation_fee = Rate(random.pick(&[0, 5_000_001]));
    risk.max_orders_per_minute = some(random, 300).then(|| random.between(5, 80) as u32);
}

/// None, a constant one, or one that is drawn from a range or from what was recorded: up
/// to some of the market's events.
fn delay(random: &mut Random) -> Delay {
    let ns = random.between(1, 6_000_000_000);
    match random.below(5) {
        0 => Delay::Fixed(0),
        1 => Delay::Uniform(ns / 2, ns / 2 + random.between(0, 9_000_000_000)),
        2 => {
            let count = random.between(1, 9);
            Delay::Recorded((0..count).map(|_| random.between(0, 9_000_000_000)).collect())
        }
        _ => Delay::Fixed(ns),
    }
}

/// A latency as the oracle reads it.
fn spread(delay: &Delay) -> String {
    match delay {
        Delay::Fixed(ns) => format!("fixed:{ns}"),
        Delay::Uniform(low, high) => format!("uniform:{low}:{high}"),
        Delay::Recorded(samples) => {
            let samples: Vec<_> = samples.iter().map(i64::to_string).collect();
            format!("recorded:{}", samples.join(","))
        }
    }
}

fn header(config: &EngineConfig, held: Option<&str>) -> String {
    let execution = &config.execution;
    let limit = |limit: Option<Money>| limit.map_or("none".into(), |l| l.to_string());
    let rate = |rate: Option<Rate>| rate.map_or("none".into(), |r| r.to_string());
    format!(
        "session model={} taker={} maker={} slippage={} extra={} max_age={} leverage={} base={} short_open={} \
         short_roll={} max_order={} max_position={} max_exposure={} drawdown={} \
         daily={} margin={} liquidation_fee={} per_minute={} on_halt={} seed={} lane=trader order={} \
         cancel={} schedule={} volume={} assets={} capital={CAPITAL}\n",
        if execution.model == Model::Book { "book" } else { "instant" },
        execution.fee,
        execution.maker,
        execution.slippage,
        execution.book_slippage,
        execution.max_trade_age_ns,
        execution.max_short_leverage,
        if execution.short_base == ShortBase::Starting { "starting" } else { "equity" },
        config.terms.short_open,
        config.terms.short_rollover,
        limit(config.risk.max_order),
        limit(config.risk.max_position),
        limit(config.risk.max_exposure),
        rate(config.risk.max_drawdown),
        limit(config.risk.max_daily_loss),
        rate(config.risk.maintenance_margin),
        config.risk.liquidation_fee,
        config.risk.max_orders_per_minute.map_or("none".into(), |most| most.to_string()),
        if config.risk.on_halt == OnHalt::Hold { "hold" } else { "flatten" },
        config.seed,
        spread(&config.latency.order),
        spread(&config.latency.cancel),
        if execution.schedule == Schedule::Kraken { "kraken" } else { "flat" },
        execution.volume,
        held.map_or("none".into(), |amount| format!("X:{amount}")),
    )
}

fn engine(
    config: &EngineConfig,
    table: sandpaper::domain::InstrumentTable,
    seed: u64,
    held: Option<&str>,
    shared: &Arc<Mutex<Shared>>,
) -> Engine {
    let symbols = table.iter().map(|(_, instrument)| instrument.symbol.clone()).collect();
    let mut builder = EngineBuilder::new(config.clone(), table).expect("sound instruments");
    let random = Random::new(seed, "trader");
    let mut trader = Trader { random, shared: Arc::clone(shared), position: [0.0; 2], last: 0 };
    builder
        .add(LaneSpec {
            name: "trader".into(),
            descriptor: trader.describe().expect("plain"),
            strategy: Box::new(trader),
            symbols,
            parameters: Vec::new(),
            account: AccountConfig {
                currency: "USD".into(),
                capital: money(CAPITAL),
                assets: held.map(|held| ("X".into(), money(held))).into_iter().collect(),
                fills_kept: 1,
                trips_kept: 1,
            },
        })
        .expect("a lane");
    builder.start(Ts(0))
}

impl Trader {
    /// Asks for some things at `ts` in one call, and says where the call begins and ends.
    fn call(&mut self, ts: i64, count: u64, effects: &mut Effects) {
        let begin = self.shared.lock().expect("one thread").asked.len();
        (0..count).for_each(|_| self.ask(ts, effects));
        let behind = effects.intents.iter().filter_map(|intent| match intent {
            Intent::Submit { order, .. } => Some(order + 1),
            _ => None,
        });
        let behind = behind.max().unwrap_or(0);
        let mut shared = self.shared.lock().expect("one thread");
        shared.asked.insert(begin, (ts, format!("given {behind}\n")));
        shared.asked.push((ts, "called\n".into()));
    }

    fn ask(&mut self, ts: i64, effects: &mut Effects) {
        let line = match self.random.below(100) {
            0..=7 => self.change(effects),
            _ => self.order(ts, effects),
        };
        let mut shared = self.shared.lock().expect("one thread");
        shared.orders += 1;
        shared.asked.push((ts, line));
    }

    /// A cancel or a change of one of the newest orders, open or not.
    fn change(&mut self, effects: &mut Effects) -> String {
        let order = self.last.saturating_sub(self.random.below(6));
        let symbol = self.random.below(2) as usize;
        let text = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v}"));
        let (intent, line) = match self.random.below(10) {
            0..=3 => (Intent::Cancel { order }, format!("cancel {order}\n")),
            4..=8 => {
                let size = self.random.chance(600).then(|| self.quantity());
                let price = self.random.chance(600).then(|| self.price(symbol));
                let line = format!("amend {order} {} {}\n", text(size), text(price));
                (Intent::Amend { order, size, price }, line)
            }
            _ => {
                let all = self.random.chance(500);
                let symbol = (!all).then_some(symbol as u16);
                let name = symbol.map_or("-".into(), |s| s.to_string());
                (Intent::CancelAll { symbol }, format!("cancel-all {name}\n"))
            }
        };
        assert!(effects.request(intent), "there is room");
        line
    }

    /// Hundredths, sometimes finer than any increment.
    fn quantity(&mut self) -> f64 {
        let units = self.random.between(1, 400);
        if self.random.chance(100) { units as f64 / 100_000.0 } else { units as f64 / 100.0 }
    }

    /// That of a level, or one within some percent of the market, with four
    /// decimals.
    fn price(&mut self, symbol: usize) -> f64 {
        let shared = self.shared.lock().expect("one thread");
        let levels = &shared.levels[symbol];
        if !levels.is_empty() && self.random.chance(600) {
            return levels[self.random.below(levels.len() as u64) as usize];
        }
        let units = (shared.near[symbol] * 10_000.0) as i64;
        (units + self.random.between(-units / 50, units / 50)) as f64 / 10_000.0
    }

    fn order(&mut self, ts: i64, effects: &mut Effects) -> String {
        let symbol = self.random.below(2) as usize;
        let held = self.position[symbol];
        let fitting = match held {
            h if h > 0.0 => [Action::Buy, Action::Sell],
            h if h < 0.0 => [Action::Short, Action::Cover],
            _ => [Action::Buy, Action::Short],
        };
        let any = [Action::Buy, Action::Sell, Action::Short, Action::Cover];
        let action = if self.random.chance(930) {
            self.random.pick(&fitting)
        } else {
            self.random.pick(&any)
        };
        let size = match self.random.below(20) {
            0..=2 => Size::All,
            3..=6 => Size::Quote(self.random.between(1, 60_000) as f64 / 100.0),
            _ => Size::Base(self.quantity()),
        };
        let mut request = OrderRequest {
            action,
            symbol: symbol as u16,
            size,
            kind: self.kind(symbol),
            time_in_force: self.random.pick(&[
                TimeInForce::Gtc,
                TimeInForce::Gtc,
                TimeInForce::Day,
                TimeInForce::Ioc,
                TimeInForce::Fok,
            ]),
            good_till_ns: self.date(ts),
            post_only: false,
            reduce_only: self.random.chance(50),
            stop_loss: None,
            take_profit: None,
            reason: String::new(),
            metadata: Vec::new(),
        };
        let (is_limit, is_market) =
            (matches!(request.kind, OrderKind::Limit(_)), request.kind == OrderKind::Market);
        if !is_limit && !is_market && self.random.chance(900) {
            request.time_in_force = TimeInForce::Gtc;
        }
        request.post_only = self.random.chance(if is_limit { 150 } else { 20 });
        if action.opens() && self.random.chance(400) {
            let away = |random: &mut Random| 1.0 + random.between(1, 300) as f64 / 10_000.0;
            let near = self.shared.lock().expect("one thread").near[symbol];
            let (above, below) = (near * away(&mut self.random), near / away(&mut self.random));
            let long = action == Action::Buy;
            let (stop, target) = if long { (below, above) } else { (above, below) };
            let cut = |price: f64| (price * 10_000.0).round() / 10_000.0;
            request.stop_loss = self.random.chance(700).then(|| cut(stop));
            request.take_profit = self.random.chance(600).then(|| cut(target));
        }
        let line = words(&request);
        let number = effects.submit(request).expect("there is room");
        self.last = number;
        format!("order {number} {line}")
    }

    /// Mostly none; sometimes one that is over, or soon.
    fn date(&mut self, ts: i64) -> Option<u64> {
        if !self.random.chance(150) {
            return None;
        }
        let ahead = match self.random.below(8) {
            0 => self.random.between(-3, 0),
            1..=5 => self.random.between(1, 40_000_000_000),
            _ => self.random.between(1, 40) * 3_600 * Ts::SECOND,
        };
        Some((ts + ahead) as u64)
    }

    fn kind(&mut self, symbol: usize) -> OrderKind {
        match self.random.below(20) {
            0..=6 => OrderKind::Limit(self.price(symbol)),
            7..=8 => OrderKind::Stop(self.price(symbol)),
            9 => OrderKind::StopLimit(self.price(symbol), self.price(symbol)),
            10 => {
                let near = self.shared.lock().expect("one thread").near[symbol];
                OrderKind::TrailingStop((near * self.random.between(1, 200) as f64).round() / 1e4)
            }
            _ => OrderKind::Market,
        }
    }
}

/// An order's line without its number. Doubles print as what they were made of.
fn words(request: &OrderRequest) -> String {
    let size = match request.size {
        Size::Base(size) => format!("base:{size}"),
        Size::Quote(size) => format!("quote:{size}"),
        Size::All => "all".into(),
    };
    let (kind, first, second) = match request.kind {
        OrderKind::Market => ("market", 0.0, 0.0),
        OrderKind::Limit(limit) => ("limit", limit, 0.0),
        OrderKind::Stop(stop) => ("stop", stop, 0.0),
        OrderKind::StopLimit(stop, limit) => ("stop-limit", stop, limit),
        OrderKind::TrailingStop(distance) => ("trailing", distance, 0.0),
    };
    let tif = match request.time_in_force {
        TimeInForce::Gtc => "gtc",
        TimeInForce::Ioc => "ioc",
        TimeInForce::Fok => "fok",
        TimeInForce::Day => "day",
    };
    let mut line = format!(
        "{} {} {size} {kind} {first} {second} {tif} {} {}",
        request.symbol,
        request.action.name(),
        u8::from(request.post_only),
        u8::from(request.reduce_only),
    );
    for level in [request.stop_loss, request.take_profit] {
        let _ = write!(line, " {}", level.map_or("-".into(), |l| format!("{l}")));
    }
    let _ = write!(line, " {}", request.good_till_ns.map_or("-".into(), |ns| ns.to_string()));
    line + "\n"
}

impl Strategy for Trader {
    fn describe(&mut self) -> Result<Descriptor, Fault> {
        let channels = [Channel::Trades, Channel::Book(1_000), Channel::Status];
        Ok(Descriptor {
            name: "trader".into(),
            version: "1".into(),
            subscriptions: channels.map(|channel| Subscription { symbol: None, channel }).to_vec(),
            ..Descriptor::default()
        })
    }

    fn start(&mut self, _: &StartInfo, _: HistoryRef, _: &mut Effects) -> Result<(), Fault> {
        Ok(())
    }

    fn handle(&mut self, words: &[u64], events: u32, effects: &mut Effects) -> Result<u32, Fault> {
        let mut rest = words;
        for consumed in 1..=events {
            let length = Header(rest[0]).words().expect("a known event");
            let (event, tail) = rest.split_at(length);
            rest = tail;
            let mut count = 0;
            while self.random.chance(600) && count < 3 {
                count += 1;
            }
            if count > 0 {
                self.call(event[1] as i64, count, effects);
                return Ok(consumed);
            }
        }
        Ok(events)
    }

    fn on_order(
        &mut self,
        update: &OrderUpdate,
        _: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        self.position[usize::from(update.symbol)] = update.position;
        self.last = self.last.max(update.order);
        if self.random.chance(100) {
            self.call(update.ts_ns as i64, 1, effects);
        }
        Ok(())
    }

    fn stop(&mut self, _: &mut Effects) -> Result<(), Fault> {
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }

    fn load(&mut self, _: &[u8], _: &str) -> Result<(), Fault> {
        Ok(())
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }
}
