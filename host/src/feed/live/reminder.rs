//! When an outage that lasts is told of again: once a minute, and when its cause
//! changes. One line for each attempt would hide everything else, and so would two for
//! each of the connections of a link that comes and goes.

use std::time::Duration;

use tokio::time::Instant;

/// Between two lines about the same outage.
const AGAIN: Duration = Duration::from_secs(60);
/// The same when the cause is another one.
const OTHER_CAUSE: Duration = Duration::from_secs(10);

/// A connection that stands for so long ends an outage.
const SETTLED: Duration = Duration::from_secs(30);
/// Connections in a row that do not, and are told of like any other.
const FLAPS_TOLD: u32 = 3;

/// What has been told of an outage.
#[derive(Debug, Default)]
pub(super) struct Reminder {
    outage: Option<Outage>,
    up: Option<Up>,
    /// when it was last told that the link is up
    told_up: Option<Instant>,
    /// connections in a row that were lost before they had settled
    flaps: u32,
}

#[derive(Debug)]
struct Up {
    since: Instant,
    told: bool,
}

#[derive(Debug)]
struct Outage {
    began: Instant,
    told: Instant,
    cause: String,
}

impl Reminder {
    /// The link is down, for this reason. How long it has been so, when it is time to
    /// tell; zero the first time.
    pub(super) fn down(&mut self, cause: &str) -> Option<Duration> {
        let now = Instant::now();
        if let Some(up) = self.up.take() {
            let settled = now - up.since >= SETTLED;
            self.flaps = if settled { 0 } else { self.flaps.saturating_add(1) };
            if self.flaps <= FLAPS_TOLD {
                self.outage = None;
            }
        }
        let Some(outage) = &mut self.outage else {
            self.outage = Some(Outage { began: now, told: now, cause: cause.to_owned() });
            return Some(Duration::ZERO);
        };
        let wait = if outage.cause == cause { AGAIN } else { OTHER_CAUSE };
        if now - outage.told < wait {
            return None;
        }
        outage.told = now;
        cause.clone_into(&mut outage.cause);
        Some(now - outage.began)
    }

    /// The link is up: true when it is time to tell.
    pub(super) fn up(&mut self) -> bool {
        let now = Instant::now();
        let told = self.flaps <= FLAPS_TOLD || self.told_up.is_none_or(|at| now - at >= AGAIN);
        self.up = Some(Up { since: now, told });
        if told {
            self.told_up = Some(now);
        }
        told
    }

    /// True once when a link that was not told of has stood for long enough to be.
    pub(super) fn has_settled(&mut self) -> bool {
        let now = Instant::now();
        let Some(up) = self.up.as_mut().filter(|up| now - up.since >= SETTLED) else {
            return false;
        };
        self.flaps = 0;
        !std::mem::replace(&mut up.told, true)
    }
}

/// A length of time in words: `45 s`, `12 min`, `3 h 5 min`.
pub(super) fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3_600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_told_of_at_once_each_minute_and_when_its_cause_changes() {
        let mut reminder = Reminder::default();
        let mut told = Vec::new();
        let causes = |second: u64| if (100..130).contains(&second) { "b" } else { "a" };
        for second in 0..200 {
            if let Some(time) = reminder.down(causes(second)) {
                told.push((second, time.as_secs()));
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(told, [(0, 0), (60, 60), (100, 100), (130, 130), (190, 190)]);
        assert!(reminder.up());
        assert_eq!(reminder.down("a"), Some(Duration::ZERO), "a new outage");
        assert_eq!(words(Duration::from_secs(59)), "59 s");
        assert_eq!(words(Duration::from_secs(3_599)), "59 min");
        assert_eq!(words(Duration::from_secs(11_100)), "3 h 5 min");
    }

    /// A link that stands for a second and is gone for a second, and in the end stands.
    #[tokio::test(start_paused = true)]
    async fn add_10_a_link_that_comes_and_goes_is_told_of_a_few_times_and_then_each_minute() {
        let mut reminder = Reminder::default();
        let (mut ups, mut downs) = (0, 0);
        for _ in 0..300 {
            ups += u32::from(reminder.up());
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!reminder.has_settled());
            downs += u32::from(reminder.down("reset").is_some());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // Ten minutes: the first ones, then one a minute.
        assert!((4..=14).contains(&ups) && (4..=14).contains(&downs), "{ups} {downs}");
        assert!(!reminder.up());
        tokio::time::advance(SETTLED).await;
        assert!(reminder.has_settled(), "who was told that it is down is told that it is up");
        assert!(!reminder.has_settled(), "once");
        assert_eq!(reminder.down("reset"), Some(Duration::ZERO), "a new outage");
    }
}
