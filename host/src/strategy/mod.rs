//! The trait that the engine drives. Sandboxed guests implement it in
//! `sandbox`, native test strategies in the test crate; the engine knows no
//! difference.
//!
//! Everything here is as a strategy sees it: symbol numbers are indices into the
//! strategy's own list, prices and sizes are doubles. The engine turns them into
//! integers when a call has returned well.

mod descriptor;
mod effects;
mod info;
mod spread;
mod usage;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use descriptor::{Channel, Descriptor, Parameter, Subscription, Value};
pub use effects::{
    EffectLimits, Effects, Intent, LogLevel, OrderKind, OrderRequest, Size, clean_text,
};
pub use info::{
    AccountInfo, BookInfo, CandleInfo, History, HistoryRef, InstrumentInfo, OrderUpdate,
    PositionInfo, StartInfo, TradeInfo,
};
pub use spread::{Distribution, Distributions};
pub use usage::{POWERS, Spread, Spreads, Usage};

/// How a strategy failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// it trapped: a panic, a division by zero, an access out of bounds
    Trap,
    /// it used up its fuel
    OutOfFuel,
    /// it asked for more memory or tables than allowed
    OutOfMemory,
    /// it recursed too deep
    StackOverflow,
    /// it handed the host more data than allowed
    Output,
    /// it answered outside the contract
    Protocol,
    /// it returned an error itself
    Refused,
    /// the wall-clock backstop stopped it: a fault of the machine, not proof of one of the strategy
    Deadline,
    /// a defect of the host, contained to this strategy
    Host,
    /// nothing of its own: the operator denied it, or its permission ran out
    Revoked,
}

impl FaultKind {
    /// The name used in files and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::OutOfFuel => "out-of-fuel",
            Self::OutOfMemory => "out-of-memory",
            Self::StackOverflow => "stack-overflow",
            Self::Output => "output",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::Deadline => "deadline",
            Self::Host => "host",
            Self::Revoked => "revoked",
        }
    }
}

/// A failed call. The strategy is not called again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// how it failed
    pub kind: FaultKind,
    /// what is known of it, in words
    pub detail: String,
}

impl Fault {
    /// A fault with its detail.
    #[must_use]
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.detail)
    }
}

impl std::error::Error for Fault {}

/// A strategy, wherever its code runs.
pub trait Strategy: Send {
    /// What it says of itself. Called once, before `start`.
    ///
    /// # Errors
    /// Any fault: it is then not started.
    fn describe(&mut self) -> Result<Descriptor, Fault>;

    /// Begins the run.
    ///
    /// # Errors
    /// Any fault: it is then quarantined.
    fn start(
        &mut self,
        info: &StartInfo,
        history: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault>;

    /// Takes a batch of `events` events as words and says how many it consumed,
    /// 1 to `events`.
    ///
    /// # Errors
    /// Any fault: what the call asked for is dropped.
    fn handle(&mut self, words: &[u64], events: u32, effects: &mut Effects) -> Result<u32, Fault>;

    /// Takes the news of one order.
    ///
    /// # Errors
    /// As [`Strategy::handle`].
    fn on_order(
        &mut self,
        update: &OrderUpdate,
        history: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault>;

    /// Ends the run.
    ///
    /// # Errors
    /// As [`Strategy::handle`].
    fn stop(&mut self, effects: &mut Effects) -> Result<(), Fault>;

    /// Its state, to be given to `load` later.
    ///
    /// # Errors
    /// As [`Strategy::handle`].
    fn save(&mut self) -> Result<Vec<u8>, Fault>;

    /// What of its state `save` does not give, though its calls depend on it: another
    /// instance that loads what this one saved would not be the same.
    fn keeps_back(&self) -> Option<&'static str> {
        None
    }

    /// Takes back a state that `save` of `from_version` gave.
    ///
    /// # Errors
    /// As [`Strategy::handle`].
    fn load(&mut self, state: &[u8], from_version: &str) -> Result<(), Fault>;

    /// What it has used so far.
    fn usage(&self) -> Usage;

    /// Another instance of the same code under the same limits, not yet described
    /// or started; nothing where there is no way to make one.
    fn fresh(&self) -> Option<Result<Box<dyn Strategy>, Fault>> {
        None
    }

    /// True when the last `handle` was of several events and used more fuel than one
    /// of them may; never for native strategies.
    fn overdrew(&self) -> bool {
        false
    }

    /// Grants each call of `handle` from now on the fuel of at least so many events.
    fn grant(&mut self, _events: u32) {}

    /// The present second of market time, and the fuel used in it; nothing for native
    /// strategies.
    fn second(&self) -> (u64, u64) {
        (0, 0)
    }

    /// Goes on from a second of which another instance has used so much.
    fn resume_second(&mut self, _second: (u64, u64)) {}

    /// How the calls of this instance are spread; nothing for native strategies.
    fn distributions(&self) -> Option<&Distributions> {
        None
    }

    /// How much one event of it may cause, where that differs from what holds for
    /// all.
    fn effect_limits(&self) -> Option<EffectLimits> {
        None
    }
}
