//! How much of everything a strategy is given. All of it comes from the
//! configuration; the defaults here are the built-in ones.

use crate::strategy::EffectLimits;

/// Fuel per call. A million units take a light loop 0.2 ms and the worst mix of
/// instructions about 1.4 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuelLimits {
    /// before the first call: start functions and constructors
    pub instantiate: u64,
    /// `describe`
    pub describe: u64,
    /// `start`, which may look back at history
    pub start: u64,
    /// `handle`, for each event of the batch
    pub event: u64,
    /// `on-order`
    pub on_order: u64,
    /// events and order news of one second of market time together; in a batch,
    /// what belongs to the next second counts for the one that it began in
    pub second: u64,
    /// `stop`
    pub stop: u64,
    /// `save`
    pub save: u64,
    /// `load`
    pub load: u64,
}

impl Default for FuelLimits {
    fn default() -> Self {
        Self {
            instantiate: 50_000_000,
            describe: 50_000_000,
            start: 200_000_000,
            event: 5_000_000,
            on_order: 5_000_000,
            second: 500_000_000,
            stop: 50_000_000,
            save: 50_000_000,
            load: 50_000_000,
        }
    }
}

/// The wall-clock backstop in milliseconds. It is there for what fuel does not
/// see, so it is several times what the fuel can take on a busy machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineLimits {
    /// for each call
    pub call_ms: u64,
    /// and for each event of its batch
    pub event_ms: u64,
}

impl Default for DeadlineLimits {
    fn default() -> Self {
        Self { call_ms: 5_000, event_ms: 20 }
    }
}

/// What one strategy may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// fuel per call
    pub fuel: FuelLimits,
    /// wall-clock backstop
    pub deadline: DeadlineLimits,
    /// bytes of all memories together, with eight for each table element
    pub memory_bytes: u64,
    /// elements of all tables together
    pub table_elements: u64,
    /// core instances in a component: the module, and two that adapt it
    pub instances: usize,
    /// tables, and as many memories
    pub tables: usize,
    /// bytes that one call may hand to the host: an order with its texts, a log
    /// line, a descriptor
    pub hostcall_bytes: usize,
    /// bytes of a saved state
    pub state_bytes: usize,
    /// live component-model handles
    pub handles: usize,
    /// records that one look back at history answers at most
    pub history_records: u32,
    /// orders, logs and indicators in one call
    pub effects: EffectLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: FuelLimits::default(),
            deadline: DeadlineLimits::default(),
            memory_bytes: 64 << 20,
            table_elements: 10_000,
            instances: 16,
            tables: 16,
            hostcall_bytes: 256 << 10,
            state_bytes: 1 << 20,
            handles: 1_000,
            history_records: 10_000,
            effects: EffectLimits::default(),
        }
    }
}
