//! A market on paper, a strategy made of a closure, and an engine of both.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::domain::{
    Action, Instrument, InstrumentTable, Money, Price, Qty, Side, SymbolId, TimeInForce, Ts,
};
use crate::engine::{
    Engine, EngineBuilder, EngineConfig, LaneOutput, LaneReport, LaneSpec, Output,
};
use crate::input::{InputBlock, Trade};
use crate::portfolio::AccountConfig;
use crate::strategy::{
    Channel, Descriptor, Effects, Fault, HistoryRef, OrderKind, OrderRequest, OrderUpdate, Size,
    StartInfo, Strategy, Subscription, Usage,
};
use crate::words::Header;

/// One event as a scripted strategy sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<'a> {
    pub(super) header: Header,
    pub(super) ts: u64,
    pub(super) payload: &'a [u64],
}

type OnEvent = Box<dyn FnMut(&Event<'_>, &mut Effects) + Send>;
type OnOrder = Box<dyn FnMut(&OrderUpdate, &HistoryRef, &mut Effects) + Send>;

/// A strategy made of closures. Like the SDK it returns right after the event on
/// which it sent an order.
pub(super) struct Scripted {
    pub(super) channels: Vec<Channel>,
    pub(super) on_event: OnEvent,
    pub(super) on_order: OnOrder,
    /// the lane's name; without one its place
    pub(super) name: Option<String>,
    pub(super) calls: u64,
    /// fuel of each call of `handle`
    pub(super) burns: u64,
    burnt: u64,
    /// what `handle` says it consumed, of what it did
    pub(super) consumes: fn(u32) -> u32,
    /// fails at this event, counted from 1
    pub(super) fails_at: Option<u64>,
    /// the most events of one call
    pub(super) most: Arc<std::sync::atomic::AtomicU32>,
    /// what it was started with
    pub(super) started: Arc<Mutex<Vec<StartInfo>>>,
    seen: u64,
}

impl Scripted {
    pub(super) fn new(
        channels: &[Channel],
        on_event: impl FnMut(&Event<'_>, &mut Effects) + Send + 'static,
    ) -> Self {
        Self {
            channels: channels.to_vec(),
            on_event: Box::new(on_event),
            on_order: Box::new(|_, _, _| ()),
            name: None,
            calls: 0,
            burns: 0,
            burnt: 0,
            consumes: |events| events,
            fails_at: None,
            most: Arc::default(),
            started: Arc::default(),
            seen: 0,
        }
    }

    pub(super) fn with_orders(
        mut self,
        on_order: impl FnMut(&OrderUpdate, &HistoryRef, &mut Effects) + Send + 'static,
    ) -> Self {
        self.on_order = Box::new(on_order);
        self
    }
}

impl Strategy for Scripted {
    fn describe(&mut self) -> Result<Descriptor, Fault> {
        let subscription = |&channel| Subscription { symbol: None, channel };
        Ok(Descriptor {
            name: "scripted".into(),
            version: "1".into(),
            subscriptions: self.channels.iter().map(subscription).collect(),
            ..Descriptor::default()
        })
    }

    fn start(&mut self, info: &StartInfo, _: HistoryRef, _: &mut Effects) -> Result<(), Fault> {
        self.started.lock().expect("one thread").push(info.clone());
        Ok(())
    }

    fn handle(&mut self, words: &[u64], events: u32, effects: &mut Effects) -> Result<u32, Fault> {
        self.calls += 1;
        self.burnt += self.burns;
        self.most.fetch_max(events, std::sync::atomic::Ordering::SeqCst);
        let mut rest = words;
        for consumed in 1..=events {
            let header = Header(rest[0]);
            let (event, tail) = rest.split_at(header.words().expect("a known event"));
            rest = tail;
            self.seen += 1;
            if self.fails_at == Some(self.seen) {
                return Err(Fault::new(crate::strategy::FaultKind::Trap, "as told"));
            }
            let asked = effects.intents.len();
            (self.on_event)(&Event { header, ts: event[1], payload: &event[2..] }, effects);
            if effects.intents.len() > asked {
                return Ok((self.consumes)(consumed));
            }
        }
        Ok((self.consumes)(events))
    }

    fn on_order(
        &mut self,
        update: &OrderUpdate,
        history: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        (self.on_order)(update, &history, effects);
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
        Usage { calls: self.calls, fuel: self.burnt, ..Usage::default() }
    }
}

/// A market order with nothing else to it.
pub(super) fn market(action: Action, size: Size) -> OrderRequest {
    OrderRequest {
        action,
        symbol: 0,
        size,
        kind: OrderKind::Market,
        time_in_force: TimeInForce::Ioc,
        post_only: false,
        reduce_only: false,
        stop_loss: None,
        take_profit: None,
        reason: String::new(),
        metadata: Vec::new(),
        good_till_ns: None,
    }
}

/// Sends these orders, one at each trade, in order.
pub(super) fn sends(orders: Vec<OrderRequest>) -> Scripted {
    let mut queue = VecDeque::from(orders);
    Scripted::new(&[Channel::Trades], move |_, effects| {
        if let Some(order) = queue.pop_front() {
            effects.submit(order).expect("room for one order");
        }
    })
}

/// Collects all order news.
pub(super) fn listening(strategy: Scripted) -> (Scripted, Arc<Mutex<Vec<OrderUpdate>>>) {
    let news = Arc::new(Mutex::new(Vec::new()));
    let copy = Arc::clone(&news);
    let strategy = strategy.with_orders(move |update, _, _| {
        copy.lock().expect("one thread").push(update.clone());
    });
    (strategy, news)
}

pub(super) fn usd(text: &str) -> Money {
    Money::parse(text).expect("a decimal")
}

/// X/USD with cents and hundredths, Y/USD likewise.
pub(super) fn instruments() -> InstrumentTable {
    InstrumentTable::new(vec![Instrument::plain("X/USD", 2, 2), Instrument::plain("Y/USD", 2, 2)])
}

pub(super) fn account(capital: &str) -> AccountConfig {
    AccountConfig {
        currency: "USD".into(),
        capital: usd(capital),
        assets: Vec::new(),
        fills_kept: 100,
        trips_kept: 100,
    }
}

/// An engine over X/USD and Y/USD with these strategies, each with its capital.
pub(super) fn engine(config: &EngineConfig, strategies: Vec<(Scripted, &str)>) -> Engine {
    let mut builder = EngineBuilder::new(config.clone(), instruments()).expect("instruments");
    for (number, (mut strategy, capital)) in strategies.into_iter().enumerate() {
        let descriptor = strategy.describe().expect("scripted");
        builder
            .add(LaneSpec {
                name: strategy.name.take().unwrap_or_else(|| format!("s{number}")),
                strategy: Box::new(strategy),
                descriptor,
                symbols: vec!["X/USD".into(), "Y/USD".into()],
                parameters: Vec::new(),
                account: account(capital),
            })
            .expect("a valid lane");
    }
    builder.start(Ts(0))
}

/// Trades of X/USD of one unit each at these prices in cents, a second apart.
pub(super) fn trades(prices: &[i64]) -> InputBlock {
    let mut block = InputBlock::new(&instruments(), 1);
    for (second, &price) in (1_i64..).zip(prices) {
        let ts = Ts(second * Ts::SECOND);
        let trade = Trade {
            symbol: SymbolId(0),
            side: Side::Buy,
            price: Price(price),
            qty: Qty(100),
            id: 0,
        };
        block.push_trade(ts, ts, &trade);
    }
    block
}

/// Runs one strategy over a block with costs switched off, and returns its
/// report and all news.
pub(super) fn run(
    strategy: Scripted,
    capital: &str,
    block: &InputBlock,
) -> (LaneReport, Vec<Output>) {
    run_with(&free(), strategy, capital, block)
}

pub(super) fn run_with(
    config: &EngineConfig,
    strategy: Scripted,
    capital: &str,
    block: &InputBlock,
) -> (LaneReport, Vec<Output>) {
    let mut engine = engine(config, vec![(strategy, capital)]);
    engine.step(block).expect("invariants hold");
    // Before the end, which cancels what waits.
    let outputs = engine.drain().collect();
    engine.finish().expect("the account adds up");
    (engine.reports().remove(0), outputs)
}

/// No fee, no slippage.
pub(super) fn free() -> EngineConfig {
    let mut config = EngineConfig::default();
    config.execution.fee = crate::domain::Rate(0);
    config.execution.maker = crate::domain::Rate(0);
    config.execution.slippage = crate::domain::Rate(0);
    config
}

/// The reasons of all refused orders.
pub(super) fn rejects(outputs: &[Output]) -> Vec<&'static str> {
    let reason = |output: &Output| match &output.body {
        LaneOutput::Reject { reason, .. } => Some(reason.name()),
        _ => None,
    };
    outputs.iter().filter_map(reason).collect()
}

/// `(action, quantity in hundredths, amount)` of all fills.
pub(super) fn fills(outputs: &[Output]) -> Vec<(&'static str, i64, String)> {
    let fill = |output: &Output| match &output.body {
        LaneOutput::Fill { fill, .. } => {
            Some((fill.action.name(), fill.qty.0, fill.amount.to_string()))
        }
        _ => None,
    };
    outputs.iter().filter_map(fill).collect()
}
