//! The runner against the contract: batches, words, state.

use serde::{Deserialize, Serialize};
use strategy_sdk::testing::{Harness, START_TS_NS, Setup};
use strategy_sdk::types::{
    Account, Action, Candle, Instrument, Level, LogLevel, MarketStatus, Order, OrderCause, OrderId,
    OrderStatus, OrderUpdate, RejectReason, Side, Size, StartInfo, Symbol, Trade, Value,
};
use strategy_sdk::{Context, Description, Host, Runner, Strategy, words};

/// Takes orders, remembers them, and says nothing back.
#[derive(Default)]
struct Recorder {
    orders: Vec<Order>,
    logs: Vec<String>,
    asked: usize,
}

impl Host for Recorder {
    fn submit(&mut self, order: Order) -> Result<OrderId, RejectReason> {
        self.orders.push(order);
        Ok(OrderId(self.orders.len() as u64))
    }
    fn cancel(&mut self, _: OrderId) -> bool {
        true
    }
    fn cancel_all(&mut self, _: Option<Symbol>) {}
    fn amend(&mut self, _: OrderId, _: Option<f64>, _: Option<f64>) -> bool {
        true
    }
    fn account(&mut self) -> Account {
        self.asked += 1;
        Account::default()
    }
    fn candles(&mut self, _: Symbol, _: u32, _: u32) -> Vec<Candle> {
        Vec::new()
    }
    fn trades(&mut self, _: Symbol, _: u32) -> Vec<Trade> {
        Vec::new()
    }
    fn book(&mut self, _: Symbol, _: u32) -> (Vec<Level>, Vec<Level>) {
        (Vec::new(), Vec::new())
    }
    fn log(&mut self, _: LogLevel, message: &str) {
        self.logs.push(message.to_owned());
    }
    fn indicator(&mut self, _: &str, _: f64) {}
}

/// Buys on every third trade, cancels on every seventh, and notes what it saw.
#[derive(Default, Serialize, Deserialize)]
struct Every {
    trades: u64,
    candles: u64,
    seen: Vec<String>,
}

impl Strategy for Every {
    fn describe() -> Description {
        Description::new("every").trades().candles(60).book(5).status().keep_trades(4)
    }

    fn new(_: &mut Context) -> Result<Self, String> {
        Ok(Self::default())
    }

    fn on_trade(&mut self, ctx: &mut Context, trade: &Trade) {
        self.trades += 1;
        let recent = ctx.trades(trade.symbol).map_or(0, |trades| trades.len());
        let price = ctx.price(trade.symbol);
        self.seen.push(format!("{} {recent} {price:?} {}", self.trades, ctx.equity()));
        if self.trades.is_multiple_of(3) {
            ctx.buy(trade.symbol, Size::base(1.0)).send().ok();
        } else if self.trades.is_multiple_of(7) {
            ctx.cancel_all(None);
        }
    }

    fn on_candle(&mut self, ctx: &mut Context, candle: &Candle) {
        self.candles += 1;
        if candle.warm_up {
            let refused = ctx.buy(candle.symbol, Size::base(1.0)).send();
            assert_eq!(refused, Err(RejectReason::WarmingUp));
            assert!(ctx.host_account().is_err(), "history is refused inside a batch");
        }
    }

    fn on_order(&mut self, ctx: &mut Context, update: &OrderUpdate) {
        assert!(ctx.host_account().is_ok(), "and answered on an order update");
        assert_eq!(ctx.position(update.symbol).quantity, update.position);
    }
}

fn start_info() -> StartInfo {
    let instrument = |symbol: &str| Instrument {
        symbol: symbol.to_owned(),
        base: "X".to_owned(),
        quote: "USD".to_owned(),
        price_increment: 0.01,
        quantity_increment: 0.001,
        quantity_min: 0.0,
        cost_min: 0.0,
        short_allowed: true,
    };
    StartInfo {
        run: "test".to_owned(),
        seed: 1,
        ts_ns: START_TS_NS,
        instruments: vec![instrument("X/USD"), instrument("Y/USD")],
        parameters: Vec::new(),
        account: Account {
            currency: "USD".to_owned(),
            cash: 100.0,
            equity: 100.0,
            positions: Vec::new(),
        },
    }
}

fn started() -> Result<(Runner<Every>, Recorder), String> {
    let (mut runner, mut host) = (Runner::<Every>::new(), Recorder::default());
    runner.start(&mut host, start_info())?;
    Ok((runner, host))
}

fn trade(n: u64) -> Trade {
    let side = if n.is_multiple_of(2) { Side::Buy } else { Side::Sell };
    let symbol = Symbol((n % 2) as u16);
    Trade { symbol, ts_ns: START_TS_NS + n, price: 10.0 + n as f64, quantity: 1.0, side, id: n }
}

fn candle(warm_up: bool) -> Candle {
    Candle {
        symbol: Symbol(0),
        interval_s: 60,
        open_ts_ns: START_TS_NS,
        open: 1.0,
        high: 2.0,
        low: 0.5,
        close: 1.5,
        volume: 3.0,
        vwap: 1.2,
        warm_up,
        empty: false,
        partial: false,
    }
}

#[test]
fn batch_ends_right_after_the_event_of_an_order() -> Result<(), String> {
    let (mut runner, mut host) = started()?;
    let mut batch = Vec::new();
    (1..=8).for_each(|n| words::push_trade(&mut batch, &trade(n)));
    let mut consumed = Vec::new();
    let mut rest = &batch[..];
    while !rest.is_empty() {
        let count = runner.handle(&mut host, rest)?;
        rest = &rest[5 * count as usize..];
        consumed.push(count);
    }
    assert_eq!(consumed, [3, 3, 1, 1], "orders on 3 and 6, a cancel on 7");
    assert_eq!(runner.handle(&mut host, &[]), Ok(0));
    Ok(())
}

#[test]
fn batch_size_changes_nothing() -> Result<(), String> {
    let mut runs = Vec::new();
    for size in [1, 7, 64, 1024] {
        let (mut runner, mut host) = started()?;
        let mut next = 0_u64;
        while next < 2_000 {
            let mut batch = Vec::new();
            (next..2_000.min(next + size)).for_each(|n| words::push_trade(&mut batch, &trade(n)));
            let count = runner.handle(&mut host, &batch)?;
            assert!(count > 0);
            next += u64::from(count);
        }
        runs.push((host.orders, runner.save()?));
    }
    assert!(runs.windows(2).all(|pair| pair[0] == pair[1]));
    Ok(())
}

#[test]
fn malformed_words_end_in_an_error() -> Result<(), String> {
    let mut good = Vec::new();
    words::push_trade(&mut good, &trade(1));
    let with_header = |header: u64| [&good[..], &[header, 0, 0, 0, 0][..]].concat();
    let cases = [
        ("unknown event kind 0", with_header(0)),
        ("unknown event kind 9", with_header(9)),
        ("unknown symbol 2", with_header(1 | 2 << 16)),
        ("unknown market status 7", with_header(5 | 7 << 8)),
        ("words end inside an event", [&good[..], &good[..4]].concat()),
        ("words end inside an event", [&good[..], &[1]].concat()),
        ("words end inside an event", with_header(2 | 0xffff << 32 | 0xffff << 48)),
    ];
    for (expect, batch) in cases {
        let (mut runner, mut host) = started()?;
        let got = runner.handle(&mut host, &batch);
        assert_eq!(got, Err(format!("event 1 of the batch: {expect}")));
    }
    Ok(())
}

#[test]
fn warm_up_candle_reaches_the_strategy_and_sends_nothing() -> Result<(), String> {
    let (mut runner, mut host) = started()?;
    let mut batch = Vec::new();
    words::push_candle(&mut batch, START_TS_NS, &candle(true));
    words::push_candle(&mut batch, START_TS_NS, &candle(false));
    assert_eq!(runner.handle(&mut host, &batch), Ok(2));
    assert_eq!(runner.strategy().map(|every| every.candles), Some(2));
    assert!(host.orders.is_empty() && host.asked == 0);
    Ok(())
}

#[test]
fn events_that_nobody_subscribed_to_are_passed_over() -> Result<(), String> {
    let (mut runner, mut host) = started()?;
    let mut batch = Vec::new();
    words::push_timer(&mut batch, START_TS_NS, 1_000);
    words::push_candle(&mut batch, START_TS_NS, &Candle { interval_s: 300, ..candle(false) });
    words::push_status(&mut batch, Symbol(1), START_TS_NS, MarketStatus::Paused);
    assert_eq!(runner.handle(&mut host, &batch), Ok(3));
    assert_eq!(runner.strategy().map(|every| every.candles), Some(0));
    Ok(())
}

fn update(order: OrderId, status: OrderStatus, position: f64) -> OrderUpdate {
    OrderUpdate {
        order,
        ts_ns: START_TS_NS,
        symbol: Symbol(1),
        action: Action::Buy,
        status,
        cause: OrderCause::Strategy,
        reject: None,
        quantity: 1.0,
        filled: position,
        leaves: 0.0,
        price: 13.0,
        fee: 0.0,
        liquidity: None,
        reason: String::new(),
        position,
        entry_price: 13.0,
        cash: 87.0,
        equity: 100.0,
    }
}

#[test]
fn equity_is_marked_at_the_last_price() -> Result<(), String> {
    let (mut runner, mut host) = started()?;
    let mut batch = Vec::new();
    (1..=3).for_each(|n| words::push_trade(&mut batch, &trade(n)));
    runner.handle(&mut host, &batch)?;
    runner.on_order(&mut host, &update(OrderId(1), OrderStatus::Filled, 1.0))?;
    batch.clear();
    words::push_trade(&mut batch, &Trade { price: 20.0, ..trade(5) });
    runner.handle(&mut host, &batch)?;
    let seen = runner.strategy().and_then(|every| every.seen.last().cloned());
    assert_eq!(seen.as_deref(), Some("4 3 Some(20.0) 107"));
    Ok(())
}

#[test]
fn saved_run_goes_on_where_it_stopped() -> Result<(), String> {
    let feed = |runner: &mut Runner<Every>, host: &mut Recorder, range: std::ops::Range<u64>| {
        for n in range {
            let mut batch = Vec::new();
            words::push_trade(&mut batch, &trade(n));
            runner.handle(host, &batch)?;
        }
        Ok::<(), String>(())
    };
    let (mut whole, mut host) = started()?;
    feed(&mut whole, &mut host, 0..50)?;
    let (mut first, mut host) = started()?;
    feed(&mut first, &mut host, 0..29)?;
    let (mut second, mut host) = started()?;
    second.load(&first.save()?, "0.0.0")?;
    feed(&mut second, &mut host, 29..50)?;
    // Order numbers come from the host, which is new; all else is the same.
    let seen = |runner: &Runner<Every>| runner.strategy().map(|every| every.seen.clone());
    assert_eq!(seen(&whole), seen(&second));
    Ok(())
}

#[test]
fn damaged_or_foreign_state_is_refused() -> Result<(), String> {
    let (mut runner, _) = started()?;
    let state = runner.save()?;
    for length in 0..state.len() {
        assert!(runner.load(&state[..length], "0.0.0").is_err(), "cut at {length}");
    }
    let mut other = Setup::new().symbol("Z/USD").start::<Every>()?;
    let error = other.runner().load(&state, "0.0.0");
    assert!(error.is_err_and(|error| error.contains("Z/USD")));
    Ok(())
}

#[test]
fn nothing_runs_before_the_start() {
    let (mut runner, mut host) = (Runner::<Every>::new(), Recorder::default());
    assert!(runner.handle(&mut host, &[]).is_err());
    assert!(runner.stop(&mut host).is_err() && runner.save().is_err());
}

#[test]
fn harness_closes_a_position_at_its_stop() -> Result<(), String> {
    #[derive(Serialize, Deserialize)]
    struct Once;
    impl Strategy for Once {
        fn describe() -> Description {
            Description::new("once").trades()
        }
        fn new(_: &mut Context) -> Result<Self, String> {
            Ok(Self)
        }
        fn on_trade(&mut self, ctx: &mut Context, trade: &Trade) {
            if ctx.position(trade.symbol).is_flat() && trade.id == 1 {
                ctx.buy(trade.symbol, Size::quote(100.0)).stop_loss(90.0).send().ok();
            }
        }
    }
    let mut harness = Harness::<Once>::start()?;
    harness.trade(100.0, 1.0, Side::Buy);
    assert!(harness.position().is_long());
    harness.trade(89.0, 1.0, Side::Sell);
    assert!(harness.position().is_flat());
    let cause = harness.updates().last().map(|update| update.cause);
    assert_eq!(cause, Some(OrderCause::StopLoss));
    assert!((harness.equity() - 9_989.0).abs() < 1e-9);
    Ok(())
}

/// Reads its parameters into itself, and says so in its error.
#[derive(Serialize, Deserialize)]
struct Tuned {
    lookback: usize,
    width: f64,
    loud: bool,
    label: String,
}

impl Strategy for Tuned {
    fn describe() -> Description {
        Description::new("tuned")
            .parameter("lookback", 20, 2..=500, "candles")
            .parameter("width", 2.0, 0.5..=4.0, "deviations")
            .flag("loud", false, "whether to log")
            .text("label", "none", "a word")
    }

    fn new(ctx: &mut Context) -> Result<Self, String> {
        Ok(Self {
            lookback: ctx.param("lookback")?,
            width: ctx.param("width")?,
            loud: ctx.param("loud")?,
            label: ctx.param("label")?,
        })
    }
}

fn tuned(parameters: &[(&str, Value)]) -> Result<(usize, f64, bool, String), String> {
    let (mut runner, mut host) = (Runner::<Tuned>::new(), Recorder::default());
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    runner.start(&mut host, StartInfo { parameters: parameters.collect(), ..start_info() })?;
    let tuned = runner.strategy().ok_or("not started")?;
    Ok((tuned.lookback, tuned.width, tuned.loud, tuned.label.clone()))
}

#[test]
fn parameters_take_defaults_values_and_refuse_what_does_not_fit() {
    assert_eq!(tuned(&[]), Ok((20, 2.0, false, "none".to_owned())));
    let given = [
        ("lookback", Value::Integer(500)),
        ("width", Value::Integer(4)),
        ("loud", Value::Flag(true)),
        ("label", Value::Text("x".to_owned())),
    ];
    assert_eq!(tuned(&given), Ok((500, 4.0, true, "x".to_owned())));
    for (name, value, expect) in [
        ("lookback", Value::Integer(501), "parameter lookback: 501 is outside 2 to 500"),
        ("lookback", Value::Number(3.0), "parameter lookback: Number(3.0) is of the wrong type"),
        ("width", Value::Number(f64::NAN), "parameter width: NaN is outside 0.5 to 4"),
        ("witdh", Value::Number(1.0), "parameter witdh is not declared"),
    ] {
        assert_eq!(tuned(&[(name, value)]), Err(expect.to_owned()));
    }
}

#[test]
fn saved_market_is_what_the_strategy_saw() -> Result<(), String> {
    let (mut first, mut host) = started()?;
    let mut batch = Vec::new();
    let level = |price: f64, quantity: f64| Level { price, quantity };
    let (bids, asks) = ([level(9.0, 1.0), level(8.0, 2.0)], [level(11.0, 3.0)]);
    words::push_book(&mut batch, Symbol(0), START_TS_NS + 1, true, &bids, &asks);
    words::push_candle(&mut batch, START_TS_NS + 2, &candle(false));
    words::push_status(&mut batch, Symbol(1), START_TS_NS + 3, MarketStatus::Stale);
    (1..=2).for_each(|n| words::push_trade(&mut batch, &trade(n)));
    first.handle(&mut host, &batch)?;
    let state = first.save()?;
    let (mut second, _) = started()?;
    second.load(&state, "0.0.0")?;
    assert_eq!(second.save()?.len(), state.len());
    let (mut third, _) = started()?;
    third.load(&second.save()?, "0.0.0")?;
    assert_eq!(second.save(), third.save());
    Ok(())
}
