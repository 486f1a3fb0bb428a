//! The clock of what is received.

use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::domain::Ts;

/// How far the clock may be behind before it catches up.
const BEHIND_MAX: i64 = Ts::SECOND;

/// Wall time at one moment, and monotonic time from there: it never runs
/// backwards, and a step of the machine's clock does not reach the engine. It
/// follows the clock of tokio, which tests pause.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Ts,
    origin: Instant,
    /// what the clock that goes on while the machine sleeps showed at the origin
    awake: Option<i64>,
    /// reads that clock, in nanoseconds
    since_boot: fn() -> i64,
}

impl Clock {
    /// A clock that shows `start` now.
    #[must_use]
    pub fn start_at(start: Ts) -> Self {
        Self { start, origin: Instant::now(), awake: None, since_boot }
    }

    /// A clock that shows the machine's time now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "here the engine's live clock begins")]
    pub fn wall() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let start = Ts(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
        Self { awake: Some(since_boot()), ..Self::start_at(start) }
    }

    /// The same on a machine whose time since its start is what this says.
    #[cfg(test)]
    pub(super) fn on(start: Ts, since_boot: fn() -> i64) -> Self {
        Self { awake: Some(since_boot()), since_boot, ..Self::start_at(start) }
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Ts {
        Ts(self.start.0.saturating_add(self.elapsed()))
    }

    /// When it will show `ts`; now, when that has passed.
    #[must_use]
    pub fn instant(&self, ts: Ts) -> Instant {
        let nanos = u64::try_from(ts.since(self.start)).unwrap_or(0);
        self.origin.checked_add(std::time::Duration::from_nanos(nanos)).unwrap_or(self.origin)
    }

    /// Shows no time before `ts` from now on: by how much it was behind, if it was. The
    /// machine's clock may have been set back since an earlier process ended.
    pub fn begin_at(&mut self, ts: Ts) -> Option<i64> {
        let behind = ts.since(self.now());
        self.start = Ts(self.start.0.saturating_add(behind.max(0)));
        (behind > 0).then_some(behind)
    }

    /// Makes up for time that the machine has slept through, during which monotonic
    /// time stands still. How much that was in nanoseconds, if any.
    pub fn catch_up(&mut self) -> Option<i64> {
        self.caught_up_with((self.since_boot)())
    }

    fn caught_up_with(&mut self, since_boot: i64) -> Option<i64> {
        let awake = self.awake?;
        let slept = since_boot.saturating_sub(awake).saturating_sub(self.elapsed());
        if slept < BEHIND_MAX {
            return None;
        }
        self.start = Ts(self.start.0.saturating_add(slept));
        self.awake = Some(awake.saturating_add(slept));
        Some(slept)
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }
}

/// Nanoseconds since the machine was started, sleep included where the system
/// counts it.
fn since_boot() -> i64 {
    #[cfg(target_os = "linux")]
    let id = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let id = ClockId::Monotonic;
    let time = clock_gettime(id);
    time.tv_sec.saturating_mul(Ts::SECOND).saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn high_005_the_clock_makes_up_for_sleep_and_never_goes_back() {
        let second = Ts::SECOND;
        let mut clock = Clock::on(Ts(100 * second), || 5 * Ts::SECOND);
        tokio::time::advance(std::time::Duration::from_secs(10)).await;
        assert_eq!(clock.caught_up_with(15 * second), None);
        assert_eq!(clock.caught_up_with(15 * second + second / 2), None, "clocks differ a little");
        assert_eq!(clock.now(), Ts(110 * second));
        assert_eq!(clock.caught_up_with(3_615 * second), Some(3_600 * second));
        assert_eq!(clock.now(), Ts(3_710 * second));
        assert_eq!(clock.caught_up_with(3_615 * second), None, "once");
        assert_eq!(clock.caught_up_with(0), None);
        assert_eq!(clock.now(), Ts(3_710 * second));
        // A deadline by the new time comes when it should.
        assert_eq!(
            clock.instant(Ts(3_712 * second)),
            Instant::now() + std::time::Duration::from_secs(2)
        );
        assert_eq!(clock.begin_at(Ts(3_000 * second)), None);
        assert_eq!(clock.begin_at(Ts(4_000 * second)), Some(290 * second));
        assert_eq!(clock.now(), Ts(4_000 * second));
        let mut injected = Clock::start_at(Ts(0));
        assert_eq!(injected.caught_up_with(i64::MAX), None);
        assert_eq!(Clock::on(Ts(0), || 7 * Ts::SECOND).catch_up(), None);
    }
}
