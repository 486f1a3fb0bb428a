//! Wrong keys and codes.
//!
//! 1. They are counted by address, and over all addresses together.
//! 2. Who has sent too many is held for a while: nothing that comes from there in the
//!    meantime is compared with anything, so that an answer tells a guesser nothing,
//!    and a right key is refused like a wrong one. Sessions are not touched by it.
//!    Each hold of an address is twice as long as the one before, up to [`HOLD_MAX`];
//!    after [`QUIET`] without another it begins anew.
//! 3. An address that has not failed is never held, however many others fail: its key
//!    is compared at once, and its first failure counts with all the others.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::guard::{Rates, network};

/// Addresses that are held at once; past it the first of them is let go.
const HELD_MAX: usize = 10_000;
/// So many times what one address may, all of them together may.
const ALL: u32 = 4;
/// The longest hold: whoever has mistyped a key may try again the same hour.
const HOLD_MAX: Duration = Duration::from_secs(15 * 60);
/// How long after its last hold an address is remembered.
const QUIET: Duration = Duration::from_secs(60 * 60);
/// Under this all addresses together are counted.
const EVERYBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What is remembered of an address that was held.
#[derive(Clone, Copy, Debug)]
struct Hold {
    until: Instant,
    length: Duration,
}

/// Counts wrong credentials and holds those who send too many.
#[derive(Debug)]
pub struct Guesses {
    one: Rates,
    all: Rates,
    /// the shortest hold: in this time one more may be tried
    first: Duration,
    held: Mutex<BTreeMap<IpAddr, Hold>>,
}

impl Guesses {
    /// So many a minute for each address, and four times as many for all together.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        let every = |count: u32| Duration::from_secs(60) / count.max(1);
        let together = per_minute.saturating_mul(ALL);
        Self {
            one: Rates::new(per_minute, every(per_minute)),
            all: Rates::new(together, every(together)),
            first: every(per_minute),
            held: Mutex::default(),
        }
    }

    /// How long nothing that this address shows is looked at.
    pub fn held(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let hold = *held.get(&network(address))?;
        if hold.until + QUIET <= now {
            held.remove(&network(address));
        }
        (hold.until > now).then(|| hold.until.saturating_duration_since(now))
    }

    /// Counts a wrong one.
    ///
    /// # Errors
    /// When it was one too many: how long this address is held.
    pub fn wrong(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let (one, all) = (self.one.take(address), self.all.take(EVERYBODY));
        let Some(wait) = one.err().max(all.err()) else { return Ok(()) };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, hold| hold.until + QUIET > now);
        let before = held.get(&network(address)).map(|hold| hold.length);
        if before.is_none() && held.len() >= HELD_MAX {
            held.retain(|_, hold| hold.until > now);
            if held.len() >= HELD_MAX {
                held.pop_first();
            }
        }
        let next = before.map_or(self.first, |before| (2 * before).min(HOLD_MAX));
        let length = next.max(wait);
        held.insert(network(address), Hold { until: now + length, length });
        Err(length)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a moment to count from")]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn med_010_all_addresses_together_have_a_limit_and_who_never_failed_is_never_held() {
        let (guesses, now) = (Guesses::new(5), Instant::now());
        let mut taken = 0;
        for stranger in 0..30 {
            for _ in 0..4 {
                taken += u32::from(guesses.wrong(address(stranger), now).is_ok());
            }
        }
        assert!((20..=22).contains(&taken), "four times five a minute: {taken}");
        assert_eq!(guesses.held(address(99), now), None, "nothing came from there");
        assert!(guesses.wrong(address(99), now).is_err(), "its first failure is one of them");
        assert!(guesses.held(address(99), now).is_some());
    }

    #[test]
    fn med_010_who_is_held_is_let_go_again_and_its_network_is_held_with_it() {
        let (guesses, now) = (Guesses::new(2), Instant::now());
        let six = |text: &str| text.parse::<IpAddr>().unwrap();
        let [one, other, far] = ["2001:db8::1", "2001:db8::2", "2001:db8:1::1"].map(six);
        assert!(guesses.wrong(one, now).is_ok() && guesses.wrong(one, now).is_ok());
        assert_eq!(guesses.held(one, now), None, "not too many yet");
        let wait = guesses.wrong(one, now).expect_err("the third");
        assert_eq!(guesses.held(one, now), Some(wait));
        assert!(guesses.held(other, now).is_some(), "whoever has one of them has all");
        assert_eq!(guesses.held(far, now), None);
        assert_eq!(guesses.held(one, now + wait), None);
    }

    #[test]
    fn med_010_each_hold_is_twice_the_last_up_to_a_limit_and_quiet_ends_that() {
        // One a minute: within a test nobody gets a second one by waiting.
        let (guesses, mut now) = (Guesses::new(1), Instant::now());
        let (one, other) = (address(1), address(2));
        assert!(guesses.wrong(one, now).is_ok());
        let mut holds = Vec::new();
        for _ in 0..6 {
            let hold = guesses.wrong(one, now).expect_err("held");
            assert_eq!(guesses.held(one, now + hold / 2), Some(hold - hold / 2));
            now += hold;
            assert_eq!(guesses.held(one, now), None, "let go");
            holds.push(hold.as_secs());
        }
        assert_eq!(holds, [60, 120, 240, 480, 900, 900]);
        // The controls: another address begins at the start, and so does this one once
        // it was quiet for long enough, and not before.
        assert_eq!(guesses.wrong(other, now), Err(Duration::from_secs(60)));
        let early = now + QUIET - Duration::from_secs(1);
        assert_eq!(guesses.wrong(one, early), Err(HOLD_MAX), "it is remembered");
        let quiet = early + HOLD_MAX + QUIET;
        assert_eq!(guesses.held(one, quiet), None);
        assert_eq!(guesses.wrong(one, quiet), Err(Duration::from_secs(60)));
    }
}
