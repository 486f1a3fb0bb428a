//! From configuration and strategies to a started engine.

use std::sync::Arc;

use thiserror::Error;

use crate::domain::{InstrumentTable, Rate, SymbolId, Ts};
use crate::execution::{
    Brackets, Depleted, ExecutionConfig, Fees, LatencyConfig, Model, Orders, Rates,
};
use crate::market::{Market, MarketLimits};
use crate::portfolio::{Account, AccountConfig, StartError, Terms};
use crate::risk::{RiskConfig, TotalLimits, Watch};
use crate::strategy::{
    Channel, Descriptor, EffectLimits, Effects, Parameter, StartInfo, Strategy, Usage, Value,
};

use super::Engine;
use super::chain::{Chain, Record, RecordKind};
use super::faults::{FaultPolicy, Recovery};
use super::flight::Flight;
use super::lane::{Counters, Lane, LaneLimits, LaneState};
use super::stream::{Class, ClassKey};
use super::throttle::Throttle;
use super::timeline::Timeline;
use super::total::Total;
use super::verdict::{Call, Verdict, Verdicts};
use super::view::{LaneView, account_info, instrument_info};

/// What all lanes share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// the run's name, told to strategies
    pub run: String,
    /// the run's seed, told to strategies
    pub seed: u64,
    /// the most inputs that are taken at once, at least 1
    pub batch: usize,
    /// how much history is kept
    pub market: MarketLimits,
    /// candle intervals, in seconds, that are kept for every symbol
    pub candles: Vec<u32>,
    /// costs and model
    pub execution: ExecutionConfig,
    /// how long what strategies send is on its way
    pub latency: LatencyConfig,
    /// limits and what a halt does
    pub risk: RiskConfig,
    /// limits over all strategies
    pub total: TotalLimits,
    /// how much one event may cause
    pub effects: EffectLimits,
    /// shortest time between two calls of a strategy in nanoseconds, 0 for none
    pub interval_ns: i64,
    /// one event a call: nothing to read ahead in
    pub strict: bool,
    /// what becomes of strategies that fail
    pub on_fault: FaultPolicy,
    /// charges on shorts and how accounts are measured
    pub terms: Terms,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            run: "run".into(),
            seed: 1,
            batch: 256,
            market: MarketLimits::default(),
            candles: vec![60, 300],
            execution: ExecutionConfig::default(),
            latency: LatencyConfig::default(),
            risk: RiskConfig::default(),
            total: TotalLimits::default(),
            effects: EffectLimits::default(),
            interval_ns: 0,
            strict: false,
            on_fault: FaultPolicy::default(),
            terms: Terms::default(),
        }
    }
}

/// A strategy that is to run.
pub struct LaneSpec {
    /// the operator's name for it, unique in the run
    pub name: String,
    /// its code
    pub strategy: Box<dyn Strategy>,
    /// what it said of itself
    pub descriptor: Descriptor,
    /// its symbols, in the order that it will number them
    pub symbols: Vec<String>,
    /// parameters that differ from their defaults
    pub parameters: Vec<(String, Value)>,
    /// what it starts with
    pub account: AccountConfig,
}

/// Why an engine cannot be built. A strategy that fails to start is no such
/// reason: it is quarantined and the others run.
#[derive(Debug, Error)]
pub enum BuildError {
    /// A name was given twice.
    #[error("strategy '{0}' is given twice")]
    Duplicate(String),
    /// A strategy has no symbols.
    #[error("strategy '{0}' has no symbols")]
    NoSymbols(String),
    /// A symbol is not in the run.
    #[error("strategy '{strategy}' asks for symbol '{symbol}', which is not in the run")]
    UnknownSymbol {
        /// the strategy
        strategy: String,
        /// the symbol
        symbol: String,
    },
    /// A parameter's name, type or value is wrong.
    #[error("strategy '{strategy}': {detail}")]
    Parameter {
        /// the strategy
        strategy: String,
        /// what is wrong, with what would be right
        detail: String,
    },
    /// The account cannot be opened.
    #[error("strategy '{strategy}': {source}")]
    Account {
        /// the strategy
        strategy: String,
        /// why
        source: StartError,
    },
    /// Limits over all strategies, which do not count in one currency.
    #[error(
        "limits over all strategies need one account currency: '{strategy}' counts in {currency}, others in {other}"
    )]
    Currencies {
        /// the strategy
        strategy: String,
        /// its account currency
        currency: String,
        /// that of those before it
        other: String,
    },
    /// An instrument's units cannot be computed with.
    #[error("{0}")]
    Instrument(String),
    /// More lanes than can be numbered.
    #[error("more than 65535 strategies")]
    TooMany,
}

/// Gathers lanes; [`EngineBuilder::start`] is the only way to an [`Engine`].
pub struct EngineBuilder {
    config: EngineConfig,
    instruments: InstrumentTable,
    classes: Vec<Class>,
    lanes: Vec<Lane>,
    latency: Arc<LatencyConfig>,
}

impl EngineBuilder {
    /// A builder for a run over these instruments.
    ///
    /// # Errors
    /// [`BuildError::Instrument`].
    pub fn new(config: EngineConfig, instruments: InstrumentTable) -> Result<Self, BuildError> {
        for (_, instrument) in instruments.iter() {
            instrument.validate().map_err(BuildError::Instrument)?;
        }
        // What happens at once, at the price that caused it, was never on its way.
        let instant = config.execution.model == Model::Instant;
        let latency = if instant { LatencyConfig::default() } else { config.latency.clone() };
        let (classes, lanes, latency) = (Vec::new(), Vec::new(), Arc::new(latency));
        Ok(Self { config, instruments, classes, lanes, latency })
    }

    /// Adds a strategy.
    ///
    /// # Errors
    /// Anything wrong with its name, symbols, parameters or account.
    pub fn add(&mut self, spec: LaneSpec) -> Result<(), BuildError> {
        if self.lanes.iter().any(|lane| *lane.name == *spec.name) {
            return Err(BuildError::Duplicate(spec.name));
        }
        let number = u16::try_from(self.lanes.len()).map_err(|_| BuildError::TooMany)?;
        check_descriptor(&spec.descriptor)
            .map_err(|detail| BuildError::Parameter { strategy: spec.name.clone(), detail })?;
        let symbols = self.symbols(&spec)?;
        let instruments: Vec<_> =
            symbols.iter().map(|&symbol| self.instruments.at(symbol).clone()).collect();
        let instruments = InstrumentTable::new(instruments);
        let parameters = resolve(&spec.descriptor, &spec.parameters)
            .map_err(|detail| BuildError::Parameter { strategy: spec.name.clone(), detail })?;
        let mut quotes: Vec<&str> = instruments.iter().map(|(_, i)| i.quote.as_str()).collect();
        quotes.sort_unstable();
        quotes.dedup();
        if quotes.len() + spec.account.assets.len() > QUOTES_MAX {
            let detail = format!("more than {QUOTES_MAX} quote assets");
            return Err(BuildError::Parameter { strategy: spec.name, detail });
        }
        let mut account = Account::open(&spec.account, &instruments)
            .map_err(|source| BuildError::Account { strategy: spec.name.clone(), source })?;
        account.set_terms(self.config.terms);
        self.check_currency(&spec)?;
        let class = self.class(&spec, &symbols);
        let info = StartInfo {
            run: self.config.run.clone(),
            seed: self.config.seed,
            ts_ns: 0,
            instruments: instruments.iter().map(|(_, i)| instrument_info(i)).collect(),
            parameters,
            account: account_info(&account, &instruments),
        };
        let wanted = self.classes[class].key.wants.iter().flatten();
        let effects = spec.strategy.effect_limits().unwrap_or(self.config.effects);
        let mut intervals = self.config.candles.clone();
        intervals.extend(wanted.flat_map(|wants| wants.candles.iter()));
        let mut local = vec![None; self.instruments.len()];
        for (own, symbol) in (0_u16..).map(SymbolId).zip(&symbols) {
            local[symbol.index()] = Some(own);
        }
        // Where fuel is time, it must be the event's own.
        let one_a_call = self.config.strict
            || self.latency.ns_per_fuel > Rate(0)
            || self.config.on_fault.needs_place();
        let lane = Lane {
            number,
            name: spec.name.into(),
            version: crate::strategy::clean_text(&spec.descriptor.version, 64).into(),
            strategy: spec.strategy,
            class,
            local,
            brackets: Brackets::new(symbols.len()),
            orders: Orders::default(),
            flight: Flight::new(Arc::clone(&self.latency), self.config.seed),
            depleted: vec![Depleted::default(); symbols.len()],
            shown: 0,
            symbols: symbols.into(),
            instruments,
            account,
            execution: self.config.execution,
            risk: self.config.risk,
            watch: Watch::default(),
            fees: Fees::new(
                self.config.execution.schedule,
                Rates { maker: self.config.execution.maker, taker: self.config.execution.fee },
                self.config.execution.volume,
            ),
            limits: LaneLimits {
                intents_per_event: effects.intents,
                events_per_call: if one_a_call { 1 } else { u32::MAX },
                interval_ns: self.config.interval_ns,
            },
            chain: Chain::default(),
            state: LaneState::Running,
            counters: Counters::default(),
            effects: Effects::new(effects),
            updates: std::collections::VecDeque::new(),
            next_order: 1,
            given: 0,
            next_fill: 1,
            indicators: Vec::new(),
            throttle: Throttle::default(),
            intervals: intervals.into(),
            logs_held: 0,
            info,
            past: Usage::default(),
            past_spread: None,
            recovery: Recovery::new(self.config.on_fault),
            unsaved: None,
            rehearsed: false,
            verdicts: Verdicts::default(),
        };
        self.lanes.push(lane);
        Ok(())
    }

    /// What is limited together counts in one currency.
    fn check_currency(&self, spec: &LaneSpec) -> Result<(), BuildError> {
        let currency = &spec.account.currency;
        match self.lanes.first().map(|lane| lane.account.currency()) {
            Some(other) if self.config.total.any() && other != currency => {
                Err(BuildError::Currencies {
                    strategy: spec.name.clone(),
                    currency: currency.clone(),
                    other: other.to_owned(),
                })
            }
            _ => Ok(()),
        }
    }

    fn symbols(&self, spec: &LaneSpec) -> Result<Vec<SymbolId>, BuildError> {
        let mut symbols: Vec<SymbolId> = Vec::new();
        for name in &spec.symbols {
            let symbol = self.instruments.find(name).ok_or_else(|| BuildError::UnknownSymbol {
                strategy: spec.name.clone(),
                symbol: name.clone(),
            })?;
            if !symbols.contains(&symbol) {
                symbols.push(symbol);
            }
        }
        if symbols.is_empty() { Err(BuildError::NoSymbols(spec.name.clone())) } else { Ok(symbols) }
    }

    /// The class of a lane, shared with lanes that want exactly the same.
    fn class(&mut self, spec: &LaneSpec, symbols: &[SymbolId]) -> usize {
        let key = class_key(&self.instruments, symbols, &spec.descriptor);
        if let Some(index) = self.classes.iter().position(|class| class.key == key) {
            return index;
        }
        self.classes.push(Class::new(key));
        self.classes.len() - 1
    }

    /// Lets a verdict come again in the lane of this number.
    pub fn foretell(&mut self, number: u16, verdict: Verdict) {
        if let Some(lane) = self.lanes.get_mut(usize::from(number)) {
            lane.foretell(verdict);
        }
    }

    /// Starts every strategy, at engine time `now`. One that fails is
    /// quarantined.
    #[must_use]
    pub fn start(self, now: Ts) -> Engine {
        let Self { config, instruments, classes, lanes, .. } = self;
        let batch = config.batch.max(1);
        let mut market = Market::new(&instruments, config.market, batch);
        for (symbol, _) in instruments.iter() {
            for &interval in &config.candles {
                market.track_candles(symbol, interval);
            }
        }
        for class in &classes {
            class.prepare(&mut market);
        }
        let timeline = Timeline::new(&instruments, &classes, now);
        let mut engine = Engine {
            instruments,
            batch,
            market: Arc::new(market),
            timeline,
            classes,
            lanes: Vec::with_capacity(lanes.len()),
            outputs: Vec::new(),
            total: Total::new(config.total),
            next_seq: 1,
            events: 0,
        };
        for mut lane in lanes {
            lane.info.ts_ns = now.0 as u64;
            lane.start(&engine.market, now, &mut engine.outputs);
            engine.lanes.push(lane);
        }
        engine
    }
}

impl Lane {
    fn start(&mut self, market: &Arc<Market>, now: Ts, outputs: &mut Vec<super::Output>) {
        let mut record = Record::new(RecordKind::Start, 0, 0).int(self.account.cash().0);
        for (_, instrument) in self.instruments.iter() {
            record = record.text(&instrument.symbol);
        }
        for (name, value) in &self.info.parameters {
            record = parameter(record.text(name), value);
        }
        if let Some(recording) = self.flight.recording() {
            record = record.text(&recording);
        }
        self.chain.absorb(&record);
        let view = Arc::new(LaneView::new(self, market, 0));
        // A strategy that starts has seen no market: it may not order yet.
        self.effects.begin(self.next_order, 0);
        let started = self
            .foretold(Call::Begin)
            .and_then(|()| self.strategy.start(&self.info, view, &mut self.effects));
        match started {
            Ok(()) => self.publish(now, outputs),
            Err(fault) => self.quarantine(fault, now, outputs),
        }
    }
}

fn parameter(record: Record, value: &Value) -> Record {
    match value {
        Value::Flag(value) => record.byte(0).byte(u8::from(*value)),
        Value::Integer(value) => record.byte(1).int(i128::from(*value)),
        Value::Number(value) => record.byte(2).float(*value),
        Value::Text(value) => record.byte(3).text(value),
    }
}

/// The longest candle and timer that may be asked for: a week and an hour.
const CANDLE_S_MAX: u32 = 7 * 86_400;
const TIMER_MS_MAX: u32 = 3_600_000;
/// The shortest timer: below it a timer is a way to burn the host's time.
const TIMER_MS_MIN: u32 = 100;
/// The deepest book that may be asked for, the deepest that a venue offers.
const BOOK_DEPTH_MAX: u32 = 5_000;

/// The most cash assets of one account, which numbers them in a byte.
const QUOTES_MAX: usize = 200;

/// The most different candle intervals, and timers, of one strategy: each is
/// work of the host at every event, outside of the strategy's fuel.
const INTERVALS_MAX: usize = 16;

/// Checks what a strategy asks for, before it is added.
///
/// # Errors
/// What is out of range.
pub fn check_descriptor(descriptor: &Descriptor) -> Result<(), String> {
    let (mut candles, mut timers) = (Vec::new(), Vec::new());
    for subscription in &descriptor.subscriptions {
        let channel = subscription.channel;
        let fits = match channel {
            Channel::Trades | Channel::Status => true,
            Channel::Book(depth) => (1..=BOOK_DEPTH_MAX).contains(&depth),
            Channel::Candles(interval_s) => {
                candles.push(interval_s);
                (1..=CANDLE_S_MAX).contains(&interval_s)
            }
            Channel::Timer(interval_ms) => {
                timers.push(interval_ms);
                (TIMER_MS_MIN..=TIMER_MS_MAX).contains(&interval_ms)
            }
        };
        if !fits {
            return Err(format!("it asks for {channel:?}, which is out of range"));
        }
    }
    for (mut intervals, what) in [(candles, "candle intervals"), (timers, "timers")] {
        intervals.sort_unstable();
        intervals.dedup();
        if intervals.len() > INTERVALS_MAX {
            let asked = intervals.len();
            return Err(format!("it asks for {asked} {what}; {INTERVALS_MAX} are allowed"));
        }
    }
    Ok(())
}

/// What a lane over `symbols` that describes itself so is called for.
pub(super) fn class_key(
    instruments: &InstrumentTable,
    symbols: &[SymbolId],
    descriptor: &Descriptor,
) -> ClassKey {
    let mut subscriptions = Vec::new();
    for subscription in &descriptor.subscriptions {
        let only = match &subscription.symbol {
            None => None,
            // A symbol that the operator did not give it is not delivered.
            Some(name) => match instruments.find(name).filter(|s| symbols.contains(s)) {
                Some(symbol) => Some(symbol),
                None => continue,
            },
        };
        subscriptions.push((only, subscription.channel));
    }
    ClassKey::new(instruments.len(), symbols, &subscriptions)
}

/// Every declared parameter with its value for this run.
///
/// # Errors
/// A parameter that is not declared, or a value that does not fit.
pub(super) fn resolve(
    descriptor: &Descriptor,
    parameters: &[(String, Value)],
) -> Result<Vec<(String, Value)>, String> {
    for (name, _) in parameters {
        if descriptor.parameters.iter().all(|p| p.name != *name) {
            let known: Vec<&str> = descriptor.parameters.iter().map(|p| p.name.as_str()).collect();
            let hint = nearest(name, &known);
            return Err(format!("unknown parameter '{name}'{hint}"));
        }
    }
    let mut values = Vec::new();
    for declared in &descriptor.parameters {
        let given = parameters.iter().rev().find(|(name, _)| *name == declared.name);
        let value = match given {
            None => declared.default.clone(),
            Some((_, value)) => fit(declared, value)?,
        };
        values.push((declared.name.clone(), value));
    }
    Ok(values)
}

fn nearest(name: &str, known: &[&str]) -> String {
    let best = known.iter().min_by_key(|k| strsim::damerau_levenshtein(name, k));
    match best {
        Some(best) if strsim::damerau_levenshtein(name, best) <= 3 => {
            format!("; did you mean '{best}'?")
        }
        _ => format!("; it has {}", known.join(", ")),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Flag(_) => "true or false",
        Value::Integer(_) => "a whole number",
        Value::Number(_) => "a number",
        Value::Text(_) => "a text",
    }
}

/// A given value as the declared type, within the declared range.
#[allow(clippy::float_arithmetic, reason = "parameters are the strategy's floats")]
fn fit(declared: &Parameter, value: &Value) -> Result<Value, String> {
    let name = &declared.name;
    let fitted = match (&declared.default, value) {
        (Value::Flag(_), Value::Flag(_))
        | (Value::Integer(_), Value::Integer(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Text(_), Value::Text(_)) => value.clone(),
        (Value::Number(_), Value::Integer(whole)) => Value::Number(*whole as f64),
        (default, _) => {
            let (got, want) = (kind_of(value), kind_of(default));
            return Err(format!("parameter '{name}' is {got}, but must be {want}"));
        }
    };
    let number = match fitted {
        Value::Integer(whole) => whole as f64,
        Value::Number(number) => number,
        Value::Flag(_) | Value::Text(_) => return Ok(fitted),
    };
    let low = declared.minimum.unwrap_or(f64::NEG_INFINITY);
    let high = declared.maximum.unwrap_or(f64::INFINITY);
    if number >= low && number <= high {
        Ok(fitted)
    } else {
        Err(format!("parameter '{name}' is {number}, but must be from {low} to {high}"))
    }
}
