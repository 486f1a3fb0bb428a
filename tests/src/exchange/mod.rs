//! A fake exchange: it speaks the part of Kraken's WebSocket API v2 that
//! Sandpaper uses, over any stream, from a seed, and does wrong what it is told
//! to. It knows the true market, so that whatever reaches a strategy can be
//! compared with the truth.
//!
//! `market` is the truth, `desk` one connection's subscriptions, both without
//! I/O; `mangle` does wrong what frames can have wrong, `link` what bytes can;
//! `serve` puts it onto a stream.

pub mod book;
pub mod desk;
pub mod dialogue;
pub mod fault;
pub mod fuzz;
pub mod link;
pub mod mangle;
pub mod market;
pub mod oracle;
pub mod random;
pub mod scenario;
mod serve;
mod state;
pub mod truth;
pub mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

pub use fault::{Fault, Place};
pub use serve::{serve, serve_tcp};
pub use state::{Line, State};

use market::MarketConfig;

/// The exchange; copies of this handle are the same exchange.
#[derive(Clone)]
pub struct Exchange(Arc<Inner>);

struct Inner {
    seed: u64,
    start: i64,
    began: Instant,
    state: Mutex<State>,
}

impl Exchange {
    /// An exchange whose market begins now, and that remembers this many books
    /// of each pair.
    #[must_use]
    pub fn new(config: MarketConfig, books_kept: usize) -> Self {
        Self(Arc::new(Inner {
            seed: config.seed,
            start: config.start,
            began: Instant::now(),
            state: Mutex::new(State::new(config, books_kept)),
        }))
    }

    /// The exchange's clock in nanoseconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        let passed = i64::try_from(self.0.began.elapsed().as_nanos()).unwrap_or(i64::MAX);
        self.0.start.saturating_add(passed)
    }

    /// What is true and what was told.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The seeds of one of `parts` tests that share `count` of them, from 1 or
/// `SANDPAPER_FIRST_SEED` on; or the one of `SANDPAPER_SEED`. `SANDPAPER_SCENARIOS`
/// says how many scenarios of the live feed there are instead of 1,000, and the others
/// follow in proportion.
pub fn seeds(count: u64, part: u64, parts: u64) -> impl Iterator<Item = u64> {
    let variable = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, last) = match variable("SANDPAPER_SEED") {
        Some(seed) => (seed, seed),
        None => {
            let all = variable("SANDPAPER_SCENARIOS").unwrap_or(1_000);
            let first = variable("SANDPAPER_FIRST_SEED").unwrap_or(1);
            (
                first,
                first.saturating_add(count.saturating_mul(all).div_ceil(1_000)).saturating_sub(1),
            )
        }
    };
    (first..=last).filter(move |seed| seed % parts == part)
}
