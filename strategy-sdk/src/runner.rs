//! Runs a strategy: turns words into calls, and the strategy's wishes into calls
//! of the host.

use crate::account::{AccountView, Requests};
use crate::context::{Context, Phase, RunFacts};
use crate::description::Description;
use crate::host::Host;
use crate::market::{Market, SymbolState};
use crate::state::{Bytes, STATE_FORMAT, SavedState, decode, encode};
use crate::strategy::Strategy;
use crate::types::{Account, OrderUpdate, StartInfo, Symbol, Value};
use crate::words::{self, RawEvent, WordsError};

/// A strategy with everything that it reads. The same on every target: the
/// sandbox glue, a native engine and the test harness drive it alike.
pub struct Runner<S> {
    description: Description,
    facts: RunFacts,
    market: Market,
    account: AccountView,
    requests: Requests,
    strategy: Option<S>,
}

impl<S: Strategy> Default for Runner<S> {
    fn default() -> Self {
        Self::new()
    }
}

const NOT_STARTED: &str = "the strategy has not been started";

impl<S: Strategy> Runner<S> {
    /// A runner that is not started yet.
    pub fn new() -> Self {
        let facts = RunFacts { name: String::new(), seed: 0, parameters: Vec::new() };
        let description = S::describe();
        Self {
            description,
            facts,
            market: Market::empty(),
            account: AccountView::new(&Account::default(), 0),
            requests: Requests::default(),
            strategy: None,
        }
    }

    /// What the strategy is and what it wants.
    pub fn describe(&self) -> &Description {
        &self.description
    }

    /// The strategy, once started.
    pub fn strategy(&self) -> Option<&S> {
        self.strategy.as_ref()
    }

    /// Starts the strategy, anew if it ran before.
    ///
    /// # Errors
    /// A parameter that is unknown, of the wrong type or out of range, a
    /// subscription that the run cannot serve, or what the strategy itself says.
    pub fn start(&mut self, host: &mut dyn Host, info: StartInfo) -> Result<(), String> {
        let parameters = resolve(&self.description, info.parameters)?;
        self.strategy = None;
        self.facts = RunFacts { name: info.run, seed: info.seed, parameters };
        self.account = AccountView::new(&info.account, info.instruments.len());
        self.market =
            Market::new(&self.description, info.instruments, &info.account.currency, info.ts_ns)?;
        self.requests = Requests::default();
        let mut ctx = Context {
            facts: &self.facts,
            market: &self.market,
            account: &self.account,
            requests: &mut self.requests,
            host,
            phase: Phase::Start,
        };
        self.strategy = Some(S::new(&mut ctx)?);
        Ok(())
    }

    /// Takes a batch of events and returns how many were consumed: all of them,
    /// or those up to the event on which the strategy asked for something about
    /// orders, so that an order meets the market of its event.
    ///
    /// # Errors
    /// Words that cannot be read; the strategy's state is then not to be used.
    pub fn handle(&mut self, host: &mut dyn Host, batch: &[u64]) -> Result<u32, String> {
        let Some(strategy) = self.strategy.as_mut() else { return Err(NOT_STARTED.to_owned()) };
        self.requests.sent = false;
        let mut call = Call {
            strategy,
            facts: &self.facts,
            market: &mut self.market,
            account: &self.account,
            requests: &mut self.requests,
            host,
        };
        let mut rest = batch;
        let mut consumed = 0_u32;
        while !rest.is_empty() && !call.requests.sent {
            let step = words::split_first(rest).and_then(|(event, tail)| {
                rest = tail;
                call.event(&event)
            });
            step.map_err(|error| format!("event {consumed} of the batch: {error}"))?;
            consumed += 1;
        }
        Ok(consumed)
    }

    /// Takes what became of an order.
    ///
    /// # Errors
    /// The strategy has not been started.
    pub fn on_order(&mut self, host: &mut dyn Host, update: &OrderUpdate) -> Result<(), String> {
        self.account.apply(update);
        self.requests.apply(update);
        self.market.ts_ns = self.market.ts_ns.max(update.ts_ns);
        self.with(host, Phase::Order, |strategy, ctx| strategy.on_order(ctx, update))
    }

    /// Ends the run.
    ///
    /// # Errors
    /// The strategy has not been started.
    pub fn stop(&mut self, host: &mut dyn Host) -> Result<(), String> {
        self.with(host, Phase::Stop, |strategy, ctx| strategy.on_stop(ctx))
    }

    /// Writes down the strategy and what it reads, for a restart or for a newer
    /// version of it.
    ///
    /// # Errors
    /// The strategy has not been started, or its state cannot be written.
    pub fn save(&self) -> Result<Vec<u8>, String> {
        let strategy = self.strategy.as_ref().ok_or(NOT_STARTED)?;
        let (words, prices) = self.market.save();
        encode(&SavedState {
            format: STATE_FORMAT,
            symbols: self.market.names(),
            strategy: Bytes(encode(strategy)?),
            open_orders: self.requests.open.clone(),
            prices,
            market: Bytes(words.iter().flat_map(|word| word.to_le_bytes()).collect()),
        })
    }

    /// Takes over a saved state. To be called after [`Runner::start`], which
    /// states the account and this run's parameters, and before the first event.
    ///
    /// # Errors
    /// The strategy has not been started, or the state is damaged, of another
    /// layout, or of other symbols; nothing is taken over then.
    pub fn load(&mut self, state: &[u8], from_version: &str) -> Result<(), String> {
        let strategy = self.strategy.as_mut().ok_or(NOT_STARTED)?;
        let saved: SavedState = decode(state)?;
        if saved.format != STATE_FORMAT {
            return Err(format!("state has layout {}, not {STATE_FORMAT}", saved.format));
        }
        let symbols = self.market.names();
        if saved.symbols != symbols {
            return Err(format!("state is of symbols {:?}, not {symbols:?}", saved.symbols));
        }
        let restored = S::migrate(&saved.strategy.0, from_version)?;
        let mut market = self.market.clone();
        market
            .resume(&saved.words(), &saved.prices)
            .map_err(|error| format!("market of the state: {error}"))?;
        self.market = market;
        strategy.resume(restored);
        self.requests.open = saved.open_orders;
        Ok(())
    }

    fn with(
        &mut self,
        host: &mut dyn Host,
        phase: Phase,
        call: impl FnOnce(&mut S, &mut Context<'_>),
    ) -> Result<(), String> {
        let strategy = self.strategy.as_mut().ok_or(NOT_STARTED)?;
        let mut ctx = Context {
            facts: &self.facts,
            market: &self.market,
            account: &self.account,
            requests: &mut self.requests,
            host,
            phase,
        };
        call(strategy, &mut ctx);
        Ok(())
    }
}

/// The parts of a runner that one batch works on.
struct Call<'a, S> {
    strategy: &'a mut S,
    facts: &'a RunFacts,
    market: &'a mut Market,
    account: &'a AccountView,
    requests: &'a mut Requests,
    host: &'a mut dyn Host,
}

impl<S: Strategy> Call<'_, S> {
    #[inline]
    fn event(&mut self, event: &RawEvent<'_>) -> Result<(), WordsError> {
        self.market.ts_ns = event.ts_ns;
        match event.kind() {
            words::KIND_TRADE => self.trade(event),
            words::KIND_BOOK => self.book(event),
            words::KIND_CANDLE => self.candle(event),
            words::KIND_TIMER => {
                self.timer(event.interval_ms());
                Ok(())
            }
            words::KIND_STATUS => self.status(event),
            kind => Err(WordsError::UnknownKind(kind)),
        }
    }

    #[inline]
    fn state(&mut self, symbol: Symbol) -> Result<&mut SymbolState, WordsError> {
        self.market.symbols.get_mut(symbol.index()).ok_or(WordsError::UnknownSymbol(symbol.0))
    }

    #[inline]
    fn trade(&mut self, event: &RawEvent<'_>) -> Result<(), WordsError> {
        let trade = event.trade()?;
        let state = self.state(trade.symbol)?;
        if state.wants_trades {
            state.take_trade(&trade);
            self.call(Phase::Event, |strategy, ctx| strategy.on_trade(ctx, &trade));
        }
        Ok(())
    }

    fn book(&mut self, event: &RawEvent<'_>) -> Result<(), WordsError> {
        let symbol = event.symbol();
        let state = self.state(symbol)?;
        if state.wants_book {
            state.book.apply(event);
            self.call(Phase::Event, |strategy, ctx| {
                if let Some(book) = ctx.book(symbol) {
                    strategy.on_book(ctx, book);
                }
            });
        }
        Ok(())
    }

    fn candle(&mut self, event: &RawEvent<'_>) -> Result<(), WordsError> {
        let candle = event.candle()?;
        if self.state(candle.symbol)?.take_candle(&candle) {
            let phase = if candle.warm_up { Phase::WarmUp } else { Phase::Event };
            self.call(phase, |strategy, ctx| strategy.on_candle(ctx, &candle));
        }
        Ok(())
    }

    fn timer(&mut self, interval_ms: u32) {
        if self.market.timers_ms.contains(&interval_ms) {
            self.call(Phase::Event, |strategy, ctx| strategy.on_timer(ctx, interval_ms));
        }
    }

    fn status(&mut self, event: &RawEvent<'_>) -> Result<(), WordsError> {
        let (symbol, status) = (event.symbol(), event.status()?);
        let state = self.state(symbol)?;
        if state.wants_status {
            state.status = status;
            self.call(Phase::Event, |strategy, ctx| strategy.on_status(ctx, symbol, status));
        }
        Ok(())
    }

    #[inline]
    fn call(&mut self, phase: Phase, call: impl FnOnce(&mut S, &mut Context<'_>)) {
        let mut ctx = Context {
            facts: self.facts,
            market: self.market,
            account: self.account,
            requests: self.requests,
            host: self.host,
            phase,
        };
        call(self.strategy, &mut ctx);
    }
}

/// Every declared parameter with the value given for it, or else its default.
fn resolve(
    description: &Description,
    given: Vec<(String, Value)>,
) -> Result<Vec<(String, Value)>, String> {
    let mut resolved: Vec<(String, Value)> = description
        .parameters
        .iter()
        .map(|parameter| (parameter.name.clone(), parameter.default.clone()))
        .collect();
    for (name, value) in given {
        let declared = description.parameters.iter().zip(&mut resolved);
        let (parameter, slot) = declared
            .into_iter()
            .find(|(parameter, _)| parameter.name == name)
            .ok_or_else(|| format!("parameter {name} is not declared"))?;
        slot.1 = parameter.check(&value)?;
    }
    Ok(resolved)
}
