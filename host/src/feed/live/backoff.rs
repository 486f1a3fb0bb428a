//! When the next attempt to connect may be made.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::LinkSettings;
use crate::domain::Ts;

/// Spaced attempts wait for up to this part of the space more.
const SPACING_JITTER: i64 = 20;

/// The attempts of the rolling window, oldest first. The venue counts those of an
/// address, so all connections of a run share one list; times are of one clock.
#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<Mutex<VecDeque<Ts>>>);

impl Attempts {
    fn made(&self) -> MutexGuard<'_, VecDeque<Ts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Attempts within the venue's limits.
///
/// The first few of an outage wait for a random part of a back-off that doubles
/// ("full jitter": clients that lost their connection together do not come back
/// together). Further ones are spaced by the rate of a minute, and so no attempt
/// waits longer than that; above all stands the rolling window. Only a
/// connection that lived for long enough ends an outage, or a venue that accepts
/// and closes would be stormed.
#[derive(Debug)]
pub struct Backoff {
    settings: LinkSettings,
    random: Xoshiro256PlusPlus,
    attempts: Attempts,
    /// the last attempt, or the end of the connection that it led to
    last: Option<Ts>,
    /// attempts since a connection was last stable
    tries: u32,
}

impl Backoff {
    /// Without attempts so far.
    #[must_use]
    pub fn new(settings: &LinkSettings, attempts: Attempts, seed: u64) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self { settings: settings.clone(), random, attempts, last: None, tries: 0 }
    }

    /// When the next attempt may be made, for one that is wanted at `now`.
    pub fn next(&mut self, now: Ts) -> Ts {
        let settings = &self.settings;
        let spacing = settings.spacing_ns();
        let last = self.last.unwrap_or(now);
        let spaced = Ts(last.0.saturating_add(spacing)).max(now);
        let at = if self.tries < settings.quick {
            let doubled = settings.backoff_ns.saturating_mul(1 << self.tries.min(20));
            let most = if self.tries == 0 { 0 } else { doubled.min(settings.backoff_max_ns) };
            Ts(now.0.saturating_add(self.jitter(most))).min(spaced)
        } else {
            Ts(spaced.0.saturating_add(self.jitter(spacing / SPACING_JITTER)))
        };
        at.max(self.window_opens(now))
    }

    /// Notes an attempt.
    pub fn attempted(&mut self, now: Ts) {
        self.tries = self.tries.saturating_add(1);
        self.last = Some(now);
        let mut made = self.attempts.made();
        if made.len() >= self.settings.window.max(1) as usize {
            made.pop_front();
        }
        made.push_back(now);
    }

    /// Notes the end of a connection that lived so long.
    pub fn lived(&mut self, ns: i64, now: Ts) {
        self.last = Some(now);
        if ns >= self.settings.stable_ns {
            self.tries = 0;
        }
    }

    fn window_opens(&self, now: Ts) -> Ts {
        let made = self.attempts.made();
        let full = made.len() >= self.settings.window.max(1) as usize;
        match made.front().filter(|_| full) {
            Some(oldest) => Ts(oldest.0.saturating_add(self.settings.window_ns + 1)),
            None => now,
        }
    }

    /// A random time up to `most`.
    fn jitter(&mut self, most: i64) -> i64 {
        let most = u64::try_from(most).unwrap_or(0);
        ((u128::from(self.random.next_u64()) * (u128::from(most) + 1)) >> 64) as i64
    }
}
