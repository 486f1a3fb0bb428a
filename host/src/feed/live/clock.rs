//! The clock of what is received.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::domain::Ts;

/// Wall time at one moment, and monotonic time from there: it never runs
/// backwards, and a step of the machine's clock does not reach the engine. It
/// follows the clock of tokio, which tests pause.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Ts,
    origin: Instant,
}

impl Clock {
    /// A clock that shows `start` now.
    #[must_use]
    pub fn start_at(start: Ts) -> Self {
        Self { start, origin: Instant::now() }
    }

    /// A clock that shows the machine's time now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "here the engine's live clock begins")]
    pub fn wall() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::start_at(Ts(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Ts {
        let elapsed = i64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i64::MAX);
        Ts(self.start.0.saturating_add(elapsed))
    }

    /// When it will show `ts`; now, when that has passed.
    #[must_use]
    pub fn instant(&self, ts: Ts) -> Instant {
        let nanos = u64::try_from(ts.since(self.start)).unwrap_or(0);
        self.origin.checked_add(std::time::Duration::from_nanos(nanos)).unwrap_or(self.origin)
    }
}
