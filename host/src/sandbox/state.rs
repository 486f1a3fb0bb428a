//! What a store holds for its strategy: the effects of the running call, the
//! look back where one is allowed, and the limiter.

use wasmtime::ResourceLimiter;

use super::fault::{NoSystemMemory, OverLimit};
use super::limits::Limits;
use super::wasi::{self, World};
use crate::strategy::{Effects, HistoryRef, LogLevel, clean_text};

/// Bytes kept of the last error line.
const LAST_ERROR_BYTES_MAX: usize = 1024;

/// A store's data.
pub(super) struct State {
    /// what the running call has asked for
    pub(super) effects: Effects,
    /// false in calls whose requests nobody would see, such as `describe`
    pub(super) takes_orders: bool,
    /// present while `start` or `on-order` runs
    pub(super) history: Option<HistoryRef>,
    /// the last error line of the running call
    pub(super) last_error: Option<String>,
    pub(super) history_records: u32,
    /// calls into the host so far
    pub(super) host_calls: u64,
    pub(super) limiter: Limiter,
    /// what the deterministic WASI is made of; present where it was granted and
    /// is imported
    pub(super) wasi: Option<Box<World>>,
}

impl State {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            effects: Effects::new(limits.effects),
            takes_orders: false,
            history: None,
            last_error: None,
            history_records: limits.history_records,
            host_calls: 0,
            limiter: Limiter::new(limits),
            wasi: None,
        }
    }

    /// The world of the deterministic WASI. Only functions that its linker
    /// defines ask for it.
    pub(super) fn world(&mut self) -> &mut World {
        self.wasi.get_or_insert_default()
    }

    /// Logs what the call has printed without a line's end.
    pub(super) fn end_lines(&mut self) {
        if self.wasi.is_some() {
            wasi::end_lines(self);
        }
    }

    /// Takes a log line, and remembers it when it is an error.
    pub(super) fn log(&mut self, level: LogLevel, message: &str) {
        if level == LogLevel::Error {
            self.last_error = Some(clean_text(message, LAST_ERROR_BYTES_MAX));
        }
        self.effects.log(level, message);
    }
}

/// Bounds the memories and tables of one strategy together; wasmtime's own
/// limiter looks at each memory by itself.
///
/// What goes over a limit traps, instead of failing in the guest's hands: the
/// kind of the fault is then the true one, whatever the guest makes of it.
pub(super) struct Limiter {
    memory_bytes: u64,
    elements: u64,
    memory_bytes_max: u64,
    elements_max: u64,
    instances_max: usize,
    tables_max: usize,
}

/// Bytes that a table element takes in the host.
const ELEMENT_BYTES: u64 = 8;

impl Limiter {
    fn new(limits: &Limits) -> Self {
        Self {
            memory_bytes: 0,
            elements: 0,
            memory_bytes_max: limits.memory_bytes,
            elements_max: limits.table_elements,
            instances_max: limits.instances,
            tables_max: limits.tables,
        }
    }

    /// Bytes of all linear memories.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    fn check(&self, memory_bytes: u64, elements: u64) -> Result<(), OverLimit> {
        if elements > self.elements_max {
            let limit = self.elements_max;
            return Err(OverLimit { what: "table elements", desired: elements, limit });
        }
        let desired = memory_bytes.saturating_add(elements.saturating_mul(ELEMENT_BYTES));
        if desired > self.memory_bytes_max {
            return Err(OverLimit { what: "memory bytes", desired, limit: self.memory_bytes_max });
        }
        Ok(())
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Beyond the memory's own maximum the answer is the specification's.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current) as u64);
        self.check(total, self.elements)?;
        self.memory_bytes = total;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if error.downcast_ref::<std::io::Error>().is_some() {
            // Whether the system has memory is not the strategy's doing, and
            // a guest that could see it would not be deterministic.
            return Err(NoSystemMemory(format!("{error:#}")).into());
        }
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = self.elements.saturating_add(desired.saturating_sub(current) as u64);
        self.check(self.memory_bytes, total)?;
        self.elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances_max
    }

    fn tables(&self) -> usize {
        self.tables_max
    }

    fn memories(&self) -> usize {
        self.tables_max
    }
}
