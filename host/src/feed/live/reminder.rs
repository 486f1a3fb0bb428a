//! When an outage that lasts is told of again: once a minute, and when its cause
//! changes. One line for each attempt would hide everything else.

use std::time::Duration;

use tokio::time::Instant;

/// Between two lines about the same outage.
const AGAIN: Duration = Duration::from_secs(60);
/// The same when the cause is another one.
const OTHER_CAUSE: Duration = Duration::from_secs(10);

/// What has been told of an outage.
#[derive(Debug, Default)]
pub(super) struct Reminder {
    outage: Option<Outage>,
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

    /// The link is up.
    pub(super) fn up(&mut self) {
        self.outage = None;
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
        reminder.up();
        assert_eq!(reminder.down("a"), Some(Duration::ZERO), "a new outage");
        assert_eq!(words(Duration::from_secs(59)), "59 s");
        assert_eq!(words(Duration::from_secs(3_599)), "59 min");
        assert_eq!(words(Duration::from_secs(11_100)), "3 h 5 min");
    }
}
