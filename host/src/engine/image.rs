//! An engine's state between two batches, with what its strategies save of theirs.
//!
//! 1. Saving is a call like any other, so it is made where the record says, and a
//!    replay makes it there too. Strategies are asked in the order of their lanes, up to
//!    the first that does not save: then there is no image, and none is asked again
//!    until that one has ended or another build runs in its place.
//!    Failing at it is no fault, and is as good as not saving. A trap that an instance
//!    does not survive is looked for in another one before the first time; one that
//!    comes later fails the strategy, at its next call.
//! 2. The state's hash is the same at every batch size, in every replay, on every
//!    machine: integers, the bits of floats, fields in the order of their declaration.
//!    What is not is left out of it: the words of a fault, what batches cost, lines of
//!    the log.
//! 3. An engine that takes an image over begins new instances of its strategies, with
//!    their account as it stood, and lets them load what they saved. What they did not
//!    save, they do not know.

#[cfg(test)]
mod fields;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{InstrumentTable, Ts};
use crate::execution::{Brackets, Depleted, Fees, Orders};
use crate::market::{Market, MarketImage};
use crate::portfolio::Account;
use crate::risk::{TotalWatch, Watch};
use crate::strategy::{Fault, FaultKind, Intent, OrderUpdate, StartInfo, Usage};

use super::Engine;
use super::builder::{check_descriptor, resolve};
use super::chain::Chain;
use super::lane::{Counters, Lane, LaneState};
use super::swap::Replacement;
use super::timeline::TimelineImage;
use super::verdict::{Call, Verdict};
use super::view::{LaneView, account_info, instrument_info};

/// What a strategy gave when it was asked for its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Saved {
    /// it is not called now, so it was not asked
    Ended,
    /// its state, in its own form
    State(Vec<u8>),
}

impl Saved {
    fn hash(&self) -> Option<String> {
        match self {
            Self::State(state) => Some(short(&blake3::hash(state))),
            Self::Ended => None,
        }
    }
}

/// Why there is no image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// inputs that were taken
    pub events: u64,
    /// the lane that does not save
    pub lane: u16,
    /// why, in its words or the host's
    pub why: String,
    /// by lane, of those that were asked before it: hash of what they saved, if they did
    pub saved: Vec<Option<String>>,
}

/// The state of an engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    shared: Shared,
    lanes: Vec<LaneImage>,
    saved: Vec<Saved>,
}

/// What all lanes share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shared {
    instruments: InstrumentTable,
    market: MarketImage,
    timeline: TimelineImage,
    total: (TotalWatch, u64),
    next_seq: u64,
    events: u64,
}

/// A lane, without what only its strategy knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct LaneImage {
    instruments: InstrumentTable,
    version: String,
    account: Account,
    brackets: Brackets,
    orders: Orders,
    /// what is on its way, and until when the strategy computes
    flight: (VecDeque<(Ts, Intent)>, i64),
    depleted: Vec<Depleted>,
    watch: Watch,
    fees: Fees,
    chain: Chain,
    state: LaneState,
    counters: Counters,
    updates: VecDeque<OrderUpdate>,
    next_order: u64,
    next_fill: u64,
    /// events that are held back
    throttle: (Vec<u64>, u32, i64),
    recovery: RecoveryImage,
    verdicts: (u64, u64, Vec<Verdict>),
    indicators: Vec<(String, f64)>,
    used: Usage,
    /// the present second of its strategy, and the fuel used in it
    second: (u64, u64),
    /// why it is not asked to save
    unsaved: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RecoveryImage {
    paused: bool,
    restarts: u32,
    saved: Option<(Vec<u8>, String)>,
    next_save: i64,
}

impl Image {
    /// Hash of the market and of what else all lanes share.
    ///
    /// # Errors
    /// Never, as far as is known: the encoding takes every value.
    pub fn shared_hash(&self) -> Result<String, String> {
        hash(&self.shared)
    }

    /// By lane: hash of the host's state, and of what the strategy saved, if it did.
    ///
    /// # Errors
    /// As above.
    pub fn lane_hashes(&self) -> Result<Vec<(String, Option<String>)>, String> {
        let of = |(lane, saved): (&LaneImage, &Saved)| Ok((hash(&lane.canonical())?, saved.hash()));
        self.lanes.iter().zip(&self.saved).map(of).collect()
    }

    /// Inputs that were taken.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.shared.events
    }
}

/// Half of a BLAKE3 digest in hex, as in the journal's chain.
fn short(hash: &blake3::Hash) -> String {
    hash.to_hex()[..32].to_owned()
}

fn hash(state: &impl Serialize) -> Result<String, String> {
    let bytes = rmp_serde::to_vec(state).map_err(|error| error.to_string())?;
    Ok(short(&blake3::hash(&bytes)))
}

impl LaneImage {
    /// Without what depends on batches and not on events.
    fn canonical(&self) -> Self {
        let mut same = self.clone();
        let Counters { events, orders, rejected, dropped, .. } = self.counters;
        same.counters = Counters { events, orders, rejected, dropped, ..Counters::default() };
        match &mut same.state {
            // A call that failed has consumed nothing, however far it came.
            LaneState::Quarantined(fault) => {
                fault.detail.clear();
                same.counters.events = 0;
                // Its limits were looked at behind each call that went well, and how
                // many events of the failed one came before the fault nobody knows.
                same.watch = Watch::default();
            }
            LaneState::Restarting { fault, .. } => fault.detail.clear(),
            _ => {}
        }
        (same.indicators, same.used) = (Vec::new(), Usage::default());
        (same.second, same.unsaved) = ((0, 0), None);
        same
    }
}

impl Engine {
    /// Why no image can be had now, if that is known: a strategy that is called, or will
    /// be again, did not save when it was asked.
    #[must_use]
    pub fn unsaved(&self) -> Option<(u16, &str)> {
        let lanes = self.lanes.iter().filter(|lane| lane.state.goes_on());
        lanes.filter_map(|lane| Some((lane.number, lane.unsaved.as_deref()?))).next()
    }

    /// Asks every strategy for its state, and gives the engine's with it. To be called
    /// between two blocks.
    ///
    /// # Errors
    /// The first strategy that does not save. The engine goes on as well as before.
    pub fn image(&mut self) -> Result<Image, Refusal> {
        let mut saved: Vec<Saved> = Vec::new();
        let (now, first) = (self.now(), self.timeline.number(0));
        for lane in &mut self.lanes {
            match lane.saved(&self.market, first, now) {
                Ok(state) => saved.push(state),
                Err(why) => {
                    let (lane, events) = (lane.number, self.events);
                    let saved = saved.iter().map(Saved::hash).collect();
                    return Err(Refusal { events, lane, why, saved });
                }
            }
        }
        let lanes = self.lanes.iter_mut().map(|lane| lane.image(now)).collect();
        let shared = Shared {
            instruments: self.instruments.clone(),
            market: self.market.image(),
            timeline: self.timeline.image(),
            total: (self.total.watch.clone(), self.total.next),
            next_seq: self.next_seq,
            events: self.events,
        };
        Ok(Image { shared, lanes, saved })
    }

    /// Stands from now on where `image` was made. `modules` are for lanes in which
    /// another module ran there than here; `foretold` are all verdicts of the run.
    ///
    /// # Errors
    /// Why it cannot. The engine is then of no more use.
    pub fn restore(
        &mut self,
        image: &Image,
        mut modules: BTreeMap<u16, Replacement>,
        foretold: &[(u16, Verdict)],
    ) -> Result<(), String> {
        let Shared { instruments, market, timeline, total, next_seq, events } = &image.shared;
        let fits = image.lanes.len() == self.lanes.len()
            && image.saved.len() == self.lanes.len()
            && self.market_mut().map_err(|error| error.to_string())?.restore(market)
            && self.timeline.restore(timeline);
        if !fits {
            return Err("it is of other strategies or symbols".into());
        }
        self.instruments = instruments.clone();
        (self.total.watch, self.total.next) = total.clone();
        (self.next_seq, self.events) = (*next_seq, *events);
        self.outputs.clear();
        for ((number, lane), saved) in (0..).zip(&image.lanes).zip(&image.saved) {
            let told = foretold.iter().filter(|(lane, _)| *lane == number).map(|(_, v)| *v);
            self.lanes[usize::from(number)].restore(lane, told.collect());
            self.lanes[usize::from(number)].set_fees(Ts(timeline.now()));
            let second = lane.second;
            let begun = match saved {
                // One that waits for its restart begins with the code that failed.
                Saved::Ended => match modules.remove(&number) {
                    Some(new) => self.lanes[usize::from(number)].adopt(new),
                    None => Ok(()),
                },
                Saved::State(state) => self.revive(number, modules.remove(&number), state, second),
            };
            let name = &self.lanes[usize::from(number)].name;
            begun.map_err(|why| format!("'{name}': {why}"))?;
        }
        Ok(())
    }

    /// Begins a new instance and lets it load a state. What it logs was logged before.
    fn revive(
        &mut self,
        number: u16,
        module: Option<Replacement>,
        state: &[u8],
        second: (u64, u64),
    ) -> Result<(), String> {
        let (market, first) = (Arc::clone(&self.market), self.timeline.number(0));
        let now = self.now();
        let lane = &mut self.lanes[usize::from(number)];
        match module {
            Some(new) => lane.adopt(new)?,
            None => {
                let fresh = lane.strategy.fresh().unwrap_or_else(|| {
                    Err(Fault::new(FaultKind::Host, "it cannot be started a second time"))
                });
                lane.strategy = fresh.map_err(|fault| fault.to_string())?;
            }
        }
        let view = LaneView::new(lane, &market, first);
        drop(market);
        let info = lane.info_at(now);
        lane.effects.begin(lane.next_order, 0);
        let version = Arc::clone(&lane.version);
        let begun = lane
            .strategy
            .start(&info, Arc::new(view), &mut lane.effects)
            .and_then(|()| lane.strategy.load(state, &version));
        lane.effects.begin(lane.next_order, 0);
        lane.strategy.resume_second(second);
        begun.map_err(|fault| fault.to_string())
    }
}

impl Lane {
    /// What an instance that begins now is told.
    fn info_at(&self, now: Ts) -> StartInfo {
        StartInfo {
            ts_ns: now.0 as u64,
            account: account_info(&self.account, &self.instruments),
            instruments: self.instruments.iter().map(|(_, i)| instrument_info(i)).collect(),
            ..self.info.clone()
        }
    }

    /// Asks the strategy for its state; or why it has none to give.
    fn saved(&mut self, market: &Arc<Market>, first: u64, now: Ts) -> Result<Saved, String> {
        if !self.state.is_called() {
            return Ok(Saved::Ended);
        }
        let given = match self.strategy.keeps_back() {
            Some(what) => Err(Fault::new(FaultKind::Refused, what)),
            None => self
                .foretold(Call::Save)
                .and_then(|()| self.rehearse(market, first, now))
                .and_then(|()| self.strategy.save()),
        };
        given.map(Saved::State).map_err(|fault| {
            self.judge_other(fault.kind);
            let refused = fault.kind == FaultKind::Refused;
            let why = if refused { fault.detail } else { fault.to_string() };
            self.unsaved = Some(why.clone());
            why
        })
    }

    /// Asks another instance first, before the strategy is asked for the first time: one
    /// that fails at it always must not be lost for that.
    fn rehearse(&mut self, market: &Arc<Market>, first: u64, now: Ts) -> Result<(), Fault> {
        if std::mem::replace(&mut self.rehearsed, true) {
            return Ok(());
        }
        let Some(other) = self.strategy.fresh() else { return Ok(()) };
        let (mut other, info) = (other?, self.info_at(now));
        let view = Arc::new(LaneView::new(self, market, first));
        self.effects.begin(self.next_order, 0);
        let saved = other.start(&info, view, &mut self.effects).and_then(|()| other.save());
        self.effects.begin(self.next_order, 0);
        saved.map(drop)
    }

    /// Takes on another module, which has not begun.
    fn adopt(&mut self, new: Replacement) -> Result<(), String> {
        check_descriptor(&new.descriptor)?;
        self.info.parameters = resolve(&new.descriptor, &new.parameters)?;
        self.adopt_limits(&*new.strategy);
        self.strategy = new.strategy;
        Ok(())
    }

    fn image(&mut self, now: Ts) -> LaneImage {
        // Days without a trade are forgotten when somebody looks.
        self.set_fees(now);
        let saved = self.recovery.saved.as_ref();
        LaneImage {
            instruments: self.instruments.clone(),
            version: self.version.to_string(),
            account: self.account.clone(),
            brackets: self.brackets.clone(),
            orders: self.orders.clone(),
            flight: (self.flight.sent.clone(), self.flight.busy_until),
            depleted: self.depleted.clone(),
            watch: self.watch.clone(),
            fees: self.fees.clone(),
            chain: self.chain.clone(),
            state: self.state.clone(),
            counters: self.counters,
            updates: self.updates.clone(),
            next_order: self.next_order,
            next_fill: self.next_fill,
            throttle: {
                let held = &self.throttle;
                (held.words.clone(), held.events, held.release_at)
            },
            recovery: RecoveryImage {
                paused: self.recovery.paused,
                restarts: self.recovery.restarts,
                saved: saved.map(|(state, version)| (state.clone(), version.to_string())),
                next_save: self.recovery.next_save,
            },
            verdicts: {
                let so_far = &self.verdicts;
                (so_far.updates, so_far.faults, so_far.given.clone())
            },
            indicators: self.indicators.clone(),
            used: self.usage(),
            second: self.strategy.second(),
            unsaved: self.unsaved.clone(),
        }
    }

    fn restore(&mut self, image: &LaneImage, told: Vec<Verdict>) {
        let LaneImage { recovery, verdicts, throttle, .. } = image.clone();
        self.instruments = image.instruments.clone();
        self.version = image.version.as_str().into();
        self.account = image.account.clone();
        self.brackets = image.brackets.clone();
        self.orders = image.orders.clone();
        (self.flight.sent, self.flight.busy_until) = image.flight.clone();
        self.depleted = image.depleted.clone();
        self.watch = image.watch.clone();
        self.fees = image.fees.clone();
        self.chain = image.chain.clone();
        self.state = image.state.clone();
        self.counters = image.counters;
        self.updates = image.updates.clone();
        (self.next_order, self.next_fill) = (image.next_order, image.next_fill);
        (self.throttle.words, self.throttle.events, self.throttle.release_at) = throttle;
        (self.recovery.paused, self.recovery.restarts) = (recovery.paused, recovery.restarts);
        self.recovery.saved = recovery.saved.map(|(state, version)| (state, version.into()));
        self.recovery.next_save = recovery.next_save;
        (self.verdicts.updates, self.verdicts.faults, self.verdicts.given) = verdicts;
        let given = self.verdicts.given.len();
        self.verdicts.foretold = told.into_iter().skip(given).collect();
        (self.verdicts.missed, self.verdicts.shared_until) = (0, None);
        if self.verdicts.given.iter().any(|one| matches!(one.call, Call::Shared(_))) {
            self.limits.events_per_call = 1;
        }
        self.indicators = image.indicators.clone();
        (self.past, self.logs_held) = (image.used, 0);
        self.unsaved = image.unsaved.clone();
    }
}
