//! A running strategy: its store, its budgets, and what becomes of its calls.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::contract::{bindings, descriptor, wit};
use super::fault::{fault_of, fault_of_panic};
use super::limits::Limits;
use super::meter::{Kind, Meter};
use super::runtime::{Runtime, ticks};
use super::state::State;
use super::wasi::World;
use crate::strategy::{
    Descriptor, Distributions, EffectLimits, Effects, Fault, FaultKind, HistoryRef, OrderUpdate,
    StartInfo, Strategy, Usage, clean_text,
};
use crate::words::Header;

/// The most bytes of a state that are looked at, kept or not.
const SAVED_BYTES_MAX: usize = 64 << 20;

/// Bytes of a refusal's text that are kept.
const REFUSAL_BYTES_MAX: usize = 1024;

/// A sandboxed strategy. After a fault its store is gone, and every further
/// call answers with the same fault. Two answers are not faults of the code and
/// leave it running: `Err` from `save` and from `load`.
pub struct Guest {
    live: Option<Live>,
    fault: Option<Fault>,
    limits: Limits,
    meter: Meter,
    /// Fuel that the last call used.
    last_call: u64,
    second: Second,
    /// Events whose fuel a call is granted at least.
    granted: u32,
    /// The last call of events used more than one of several may.
    overdrew: bool,
    /// What another instance is made of.
    pre: InstancePre<State>,
    wasi: bool,
    /// Keeps the wall-clock backstop ticking for as long as the guest lives.
    runtime: Runtime,
}

struct Live {
    store: Store<State>,
    world: bindings::Strategy,
}

/// The present second of market time.
#[derive(Default)]
struct Second {
    number: u64,
    /// fuel used in it
    fuel: u64,
}

/// What one call is given.
struct Budget<'a> {
    kind: Kind,
    fuel: u64,
    events: u32,
    /// none for calls whose requests nobody would see
    effects: Option<&'a mut Effects>,
    history: Option<HistoryRef>,
}

impl Budget<'_> {
    fn silent(fuel: u64) -> Self {
        Self { kind: Kind::Other, fuel, events: 1, effects: None, history: None }
    }
}

impl Guest {
    /// Instantiates a module, which runs its start functions.
    ///
    /// # Errors
    /// The fault that its start functions ended in, or the limit that its
    /// memories and tables break from the beginning.
    pub(super) fn new(
        runtime: &Runtime,
        pre: &InstancePre<State>,
        limits: Limits,
        wasi: bool,
    ) -> Result<Self, Fault> {
        let mut store = Store::new(&runtime.engine, State::new(&limits));
        store.data_mut().wasi = wasi.then(Box::default);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits.hostcall_bytes);
        store.set_max_component_handles(limits.handles);
        let made = catch_unwind(AssertUnwindSafe(|| {
            store.set_fuel(limits.fuel.instantiate)?;
            store.set_epoch_deadline(ticks(limits.deadline.call_ms));
            let instance = pre.instantiate(&mut store)?;
            bindings::Strategy::new(&mut store, &instance)
        }));
        let world = match made {
            Ok(Ok(world)) => world,
            Ok(Err(error)) => return Err(fault_of(&error, store.data().last_error.as_deref())),
            Err(payload) => return Err(fault_of_panic(&*payload)),
        };
        let mut meter = Meter::default();
        let left = store.get_fuel().unwrap_or(0);
        meter.usage.fuel = limits.fuel.instantiate.saturating_sub(left);
        meter.memory(store.data().limiter.memory_bytes());
        Ok(Self {
            live: Some(Live { store, world }),
            fault: None,
            limits,
            meter,
            last_call: 0,
            second: Second::default(),
            granted: 1,
            overdrew: false,
            pre: pre.clone(),
            wasi,
            runtime: runtime.clone(),
        })
    }

    /// Makes one call: budgets in, effects and history lent for its duration,
    /// fuel counted, and the store dropped when it fails.
    #[allow(
        clippy::disallowed_methods,
        reason = "how long a call takes is shown and decides nothing"
    )]
    fn call<R>(
        &mut self,
        budget: Budget<'_>,
        body: impl FnOnce(&bindings::Strategy, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        let Budget { kind, fuel, events, effects, history } = budget;
        let Some(live) = &mut self.live else { return Err(self.known_fault()) };
        let deadline = self.limits.deadline;
        let deadline_ms =
            deadline.call_ms.saturating_add(deadline.event_ms.saturating_mul(u64::from(events)));
        let mut effects = effects;
        lend(live.store.data_mut(), effects.as_deref_mut(), history);
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            live.store.set_fuel(fuel)?;
            live.store.set_epoch_deadline(ticks(deadline_ms));
            body(&live.world, &mut live.store)
        }));
        let took_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let last_error = take_back(live.store.data_mut(), effects.as_deref_mut());
        self.meter.memory(live.store.data().limiter.memory_bytes());
        self.meter.usage.host_calls = live.store.data().host_calls;
        let fault = match outcome {
            Ok(Ok(result)) => {
                let left = live.store.get_fuel().unwrap_or(0);
                let used = fuel.saturating_sub(left);
                self.meter.call(kind, used, took_ns);
                self.spent(used);
                return Ok(result);
            }
            Ok(Err(error)) => fault_of(&error, last_error.as_deref()),
            Err(payload) => fault_of_panic(&*payload),
        };
        // After an access out of bounds or a refused growth the counter may show
        // nothing used, so a failed call costs all that it was given.
        self.meter.failed(kind, fuel, took_ns);
        self.spent(fuel);
        Err(self.fail(fault, effects))
    }

    fn spent(&mut self, fuel: u64) {
        self.second.fuel = self.second.fuel.saturating_add(fuel);
        self.last_call = fuel;
    }

    /// Begins a second of market time when `ts_ns` lies in a later one, and gives
    /// the fuel that is left of it.
    fn left_of_second(&mut self, ts_ns: u64) -> u64 {
        let number = ts_ns / 1_000_000_000;
        if number > self.second.number {
            self.second = Second { number, fuel: 0 };
        }
        self.limits.fuel.second.saturating_sub(self.second.fuel)
    }

    /// The fault of a call that ran out of the second's fuel, and not of its own,
    /// says so.
    fn blame_second(&mut self, mut fault: Fault, granted: u64, own: u64) -> Fault {
        if fault.kind == FaultKind::OutOfFuel && granted < own {
            let limit = self.limits.fuel.second;
            fault.detail = format!("more than {limit} fuel in a second of market time");
            self.fault = Some(fault.clone());
        }
        fault
    }

    /// Ends the guest: nothing that the failed call asked for or said counts. Its last
    /// error, such as the words of a panic, is told as part of the fault.
    fn fail(&mut self, fault: Fault, effects: Option<&mut Effects>) -> Fault {
        self.live = None;
        self.meter.usage.traps += 1;
        self.meter.usage.memory_bytes = 0;
        self.fault = Some(fault.clone());
        if let Some(effects) = effects {
            effects.forget();
        }
        fault
    }

    fn known_fault(&self) -> Fault {
        let unknown = || Fault::new(FaultKind::Host, "the strategy has ended");
        self.fault.clone().unwrap_or_else(unknown)
    }

    /// The world of the deterministic WASI, where it has one.
    fn wasi(&mut self) -> Option<&mut World> {
        self.live.as_mut()?.store.data_mut().wasi.as_deref_mut()
    }

    /// The part of a batch that one call is given: all of it, or the first event
    /// where WASI's clock has to tell its time.
    fn part<'a>(&mut self, words: &'a [u64], events: u32) -> (&'a [u64], u32) {
        let Some(world) = self.wasi() else { return (words, events) };
        let first = words.first().and_then(|header| words.get(..Header(*header).words()?));
        let Some(first) = first else { return (words, events) };
        world.at(first.get(1).copied().unwrap_or(0));
        (first, events.min(1))
    }

    /// The part of a batch that lies in its first second, where the whole batch
    /// could use more than is left of that.
    fn part_of_second<'a>(&mut self, words: &'a [u64], events: u32) -> (&'a [u64], u32) {
        let ts_ns = words.get(1).copied().unwrap_or(0);
        let whole = self.limits.fuel.event.saturating_mul(u64::from(events));
        if self.left_of_second(ts_ns) >= whole {
            return (words, events);
        }
        let (mut length, mut taken) = (0, 0);
        while let Some(&[header, ts]) = words.get(length..length + 2)
            && taken < events
            && (taken == 0 || ts / 1_000_000_000 <= self.second.number)
        {
            length += Header(header).words().unwrap_or(words.len() - length);
            taken += 1;
        }
        (words.get(..length).unwrap_or(words), taken.max(1))
    }

    /// The fault that ended it.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }
}

/// Hands the call's buffer and look back to the store.
fn lend(state: &mut State, effects: Option<&mut Effects>, history: Option<HistoryRef>) {
    state.last_error = None;
    state.history = history;
    state.takes_orders = effects.is_some();
    match effects {
        Some(effects) => std::mem::swap(&mut state.effects, effects),
        None => state.effects.begin(0, 0),
    }
}

/// Takes both back, and the last error line.
fn take_back(state: &mut State, effects: Option<&mut Effects>) -> Option<String> {
    state.end_lines();
    if let Some(effects) = effects {
        std::mem::swap(&mut state.effects, effects);
    }
    state.history = None;
    state.last_error.take()
}

fn refused(text: &str) -> Fault {
    Fault::new(FaultKind::Refused, clean_text(text, REFUSAL_BYTES_MAX))
}

impl Strategy for Guest {
    fn describe(&mut self) -> Result<Descriptor, Fault> {
        let budget = Budget::silent(self.limits.fuel.describe);
        self.call(budget, |world, store| Ok(descriptor(world.call_describe(store)?)?))
    }

    fn start(
        &mut self,
        info: &StartInfo,
        history: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        if let Some(world) = self.wasi() {
            world.start(info.seed, info.ts_ns);
        }
        let info = wit::StartInfo::from(info);
        let budget = Budget {
            kind: Kind::Other,
            fuel: self.limits.fuel.start,
            events: 1,
            effects: Some(effects),
            history: Some(history),
        };
        match self.call(budget, |world, store| world.call_start(store, &info))? {
            Ok(()) => Ok(()),
            Err(text) => Err(self.fail(refused(&text), Some(effects))),
        }
    }

    fn handle(&mut self, words: &[u64], events: u32, effects: &mut Effects) -> Result<u32, Fault> {
        let (words, events) = self.part(words, events);
        let (words, events) = self.part_of_second(words, events);
        self.overdrew = false;
        let own = self.limits.fuel.event.saturating_mul(u64::from(events.max(self.granted)));
        let left = self.left_of_second(words.get(1).copied().unwrap_or(0));
        let budget = Budget {
            kind: Kind::Events,
            fuel: own.min(left),
            events,
            effects: Some(effects),
            history: None,
        };
        let answer = self.call(budget, |world, store| world.call_handle(store, words));
        let consumed = answer.map_err(|fault| self.blame_second(fault, left, own))?;
        if (1..=events).contains(&consumed) {
            // Fuel is granted per event: what was meant for events that it hands
            // back is not its to burn.
            let per_event = self.last_call / u64::from(consumed);
            if per_event <= self.limits.fuel.event || self.granted > 1 {
                self.meter.events(consumed, per_event);
                self.overdrew = events > 1 && self.last_call > self.limits.fuel.event;
                return Ok(consumed);
            }
            let detail = format!("{per_event} fuel an event over {consumed} events");
            self.meter.failed_after_all(self.last_call);
            return Err(self.fail(Fault::new(FaultKind::OutOfFuel, detail), Some(effects)));
        }
        self.meter.failed_after_all(self.last_call);
        let detail = format!("`handle` says that it consumed {consumed} of {events} events");
        Err(self.fail(Fault::new(FaultKind::Protocol, detail), Some(effects)))
    }

    fn on_order(
        &mut self,
        update: &OrderUpdate,
        history: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        if let Some(world) = self.wasi() {
            world.at(update.ts_ns);
        }
        let update = wit::OrderUpdate::from(update);
        let (own, left) = (self.limits.fuel.on_order, self.left_of_second(update.ts_ns));
        let budget = Budget {
            kind: Kind::Order,
            fuel: own.min(left),
            events: 1,
            effects: Some(effects),
            history: Some(history),
        };
        self.call(budget, |world, store| world.call_on_order(store, &update))
            .map_err(|fault| self.blame_second(fault, left, own))
    }

    fn stop(&mut self, effects: &mut Effects) -> Result<(), Fault> {
        let budget = Budget { effects: Some(effects), ..Budget::silent(self.limits.fuel.stop) };
        self.call(budget, |world, store| world.call_stop(store))
    }

    fn keeps_back(&self) -> Option<&'static str> {
        self.wasi.then_some("it was granted WASI, whose random numbers and clock it cannot save")
    }

    fn save(&mut self) -> Result<Vec<u8>, Fault> {
        let spent = self.second.fuel;
        // A state that is too large is refused when it is here: to refuse it on the way
        // would be a trap, which ends the instance.
        let usual = self.limits.hostcall_bytes;
        let (limit, most) = (self.limits.state_bytes, SAVED_BYTES_MAX.max(self.limits.state_bytes));
        let saved = self.call(Budget::silent(self.limits.fuel.save), |world, store| {
            store.set_hostcall_fuel(most);
            let saved = world.call_save(&mut *store);
            store.set_hostcall_fuel(usual);
            saved
        })?;
        // The host asks when it likes, which must not cost the strategy its next call.
        self.second.fuel = spent;
        let state = saved.map_err(|text| refused(&text))?;
        if state.len() > limit {
            return Err(refused(&format!("a state of {} bytes, more than {limit}", state.len())));
        }
        Ok(state)
    }

    fn load(&mut self, state: &[u8], from_version: &str) -> Result<(), Fault> {
        if state.len() > self.limits.state_bytes {
            let limit = self.limits.state_bytes;
            return Err(refused(&format!("a state of {} bytes, more than {limit}", state.len())));
        }
        let budget = Budget::silent(self.limits.fuel.load);
        let loaded =
            self.call(budget, |world, store| world.call_load(store, state, from_version))?;
        loaded.map_err(|text| refused(&text))
    }

    fn usage(&self) -> Usage {
        self.meter.usage
    }

    fn fresh(&self) -> Option<Result<Box<dyn Strategy>, Fault>> {
        let made = Self::new(&self.runtime, &self.pre, self.limits, self.wasi);
        Some(made.map(|guest| Box::new(guest) as Box<dyn Strategy>))
    }

    fn overdrew(&self) -> bool {
        self.overdrew
    }

    fn grant(&mut self, events: u32) {
        self.granted = events;
    }

    fn second(&self) -> (u64, u64) {
        (self.second.number, self.second.fuel)
    }

    fn resume_second(&mut self, (number, fuel): (u64, u64)) {
        self.second = Second { number, fuel };
    }

    fn distributions(&self) -> Option<&Distributions> {
        Some(&self.meter.spread)
    }

    fn effect_limits(&self) -> Option<EffectLimits> {
        Some(self.limits.effects)
    }
}
