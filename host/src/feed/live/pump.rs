//! From the socket to the engine's thread.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::{Connect, Driver, Health, LinkState};
use crate::domain::InstrumentTable;
use crate::input::InputBlock;
use crate::venue::kraken::{Notice, Session};

/// Events and words that wait for the engine at most. At that bound the
/// connection is closed: see rule 3 of the module.
const EVENTS_MAX: usize = 1 << 16;
const WORDS_MAX: usize = 1 << 20;
/// How long nothing may reach the engine: it learns the time from inputs alone.
const TICK: Duration = Duration::from_secs(1);
/// Between two reports of a feed whose connection does not change.
const REPORT: Duration = Duration::from_millis(250);
/// Between two log lines about frames that were refused.
const COMPLAIN: Duration = Duration::from_secs(10);

/// Drives a connection and hands on what it gives, in order.
pub struct Pump<C: Connect> {
    driver: Driver<C, Session>,
    instruments: InstrumentTable,
    health: Health,
    reports: watch::Sender<Health>,
    pending: InputBlock,
    reported: Option<Instant>,
    complained: Option<Instant>,
    refused: u64,
    bound: usize,
}

impl<C: Connect> Pump<C> {
    /// A pump for a driver of these instruments, and where its health shows.
    #[must_use]
    pub fn new(
        driver: Driver<C, Session>,
        instruments: InstrumentTable,
        health: Health,
    ) -> (Self, watch::Receiver<Health>) {
        let (reports, receiver) = watch::channel(health.clone());
        let pending = InputBlock::new(&instruments, 1);
        let pump = Self {
            driver,
            instruments,
            health,
            reports,
            pending,
            reported: None,
            complained: None,
            refused: 0,
            bound: EVENTS_MAX,
        };
        (pump, receiver)
    }

    /// The same with another bound of waiting events, to show what it does.
    #[cfg(test)]
    pub(super) fn bounded(mut self, events: usize) -> Self {
        self.bound = events;
        self
    }

    /// Works until nobody takes what it gives.
    pub async fn run(mut self, out: mpsc::Sender<InputBlock>) {
        let mut fresh = InputBlock::new(&self.instruments, 1);
        let mut tick = Instant::now() + TICK;
        loop {
            fresh.reset(1);
            let waits = !self.pending.is_empty();
            tokio::select! {
                biased;
                () = out.closed() => return,
                permit = out.reserve(), if waits => {
                    let Ok(permit) = permit else { return };
                    let next = InputBlock::new(&self.instruments, 1);
                    permit.send(std::mem::replace(&mut self.pending, next));
                    self.driver.resume();
                }
                () = self.driver.next(&mut fresh) => {
                    if !fresh.is_empty() {
                        tick = Instant::now() + TICK;
                    }
                    self.append(&fresh);
                }
                () = sleep_until(tick) => {
                    tick = Instant::now() + TICK;
                    // Where events wait, time is in them.
                    if self.pending.is_empty() {
                        self.pending.push_timer(self.driver.now());
                    }
                }
            }
            self.report();
        }
    }

    fn append(&mut self, fresh: &InputBlock) {
        self.health.events(fresh);
        let times: Vec<i64> = (0..fresh.len()).map(|i| fresh.ts_exchange(i).0).collect();
        let mut held = InputBlock::new(&self.instruments, 1);
        if let Err(what) = self.pending.extend_exact(fresh.exact_words(), &times) {
            // Numbers that the engine does not count with: none of the block can
            // be used, so what follows it cannot either.
            tracing::error!("the venue sent what cannot be counted with: {what}");
            self.driver.hold(&mut held);
            self.driver.resume();
        } else if self.pending.len() >= self.bound || self.pending.exact_words().len() >= WORDS_MAX
        {
            self.driver.hold(&mut held);
        }
        let times: Vec<i64> = (0..held.len()).map(|i| held.ts_exchange(i).0).collect();
        self.health.events(&held);
        if let Err(what) = self.pending.extend_exact(held.exact_words(), &times) {
            tracing::error!("a status cannot be counted with: {what}");
        }
    }

    fn report(&mut self) {
        while let Some(notice) = self.driver.protocol_mut().poll_notice() {
            self.health.notice(&notice);
            tell(&notice, &self.instruments);
        }
        let now = Instant::now();
        let link = self.driver.link().clone();
        let changed = self.health.link(&link, self.driver.now());
        if changed {
            match (link.state, link.last_loss.as_deref()) {
                (LinkState::Connected, _) => tracing::info!("connected to {}", self.health.url),
                (LinkState::Waiting, Some(why)) => {
                    tracing::warn!(
                        "no connection to {} ({why}): prices are stale and nothing fills until it stands again",
                        self.health.url
                    );
                }
                _ => {}
            }
        }
        let refused = link.refused - self.refused;
        if refused > 0 && self.complained.is_none_or(|at| now - at >= COMPLAIN) {
            (self.complained, self.refused) = (Some(now), link.refused);
            let cause = link.last_refusal.as_deref().unwrap_or_default();
            tracing::warn!("{refused} frames of the venue refused, the last one: {cause}");
        }
        if changed || self.reported.is_none_or(|at| now - at >= REPORT) {
            self.reported = Some(now);
            self.health.at = self.driver.now();
            self.health.counts = self.driver.protocol().counts().clone();
            self.reports.send_replace(self.health.clone());
        }
    }
}

/// Says what happened, with the symbol's name.
fn tell(notice: &Notice, instruments: &InstrumentTable) {
    let name = |symbol: &crate::domain::SymbolId| {
        instruments.get(*symbol).map_or("?", |i| i.symbol.as_str()).to_owned()
    };
    let feed = |key: &crate::venue::kraken::FeedKey| match &key.symbol {
        Some(symbol) => format!("{} of {}", key.channel.name(), name(symbol)),
        None => key.channel.name().to_owned(),
    };
    let printable =
        |text: &str| text.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>();
    match notice {
        Notice::System(status) => tracing::info!("the venue's state: {status:?}"),
        Notice::Rules(symbol) => tracing::info!("{}: the venue's rules changed", name(symbol)),
        Notice::PrecisionChanged(symbol) => tracing::error!(
            "{}: the venue's prices have more decimals now; it stays stale until a new start",
            name(symbol)
        ),
        Notice::NotListed(symbol) => {
            tracing::error!("{}: the venue does not list it any more", name(symbol));
        }
        Notice::Desync { symbol, cause } => {
            tracing::warn!("{}: its book cannot be trusted ({cause:?}): asked anew", name(symbol));
        }
        Notice::TradeGap { symbol, after, before } => tracing::warn!(
            "{}: {} trades between ids {after} and {before} were missed",
            name(symbol),
            before - after - 1
        ),
        Notice::TradeIdsRestarted { symbol, after, id } => {
            tracing::warn!("{}: trade ids began anew at {id}, behind {after}", name(symbol));
        }
        Notice::AckOverdue(key) => tracing::warn!("{}: no answer to a request", feed(key)),
        Notice::SnapshotOverdue(key) => tracing::warn!("{}: granted, but nothing came", feed(key)),
        Notice::Silent(key) => tracing::warn!("{}: silent for too long: asked anew", feed(key)),
        Notice::Refused { feed: key, error, permanent } => {
            let what = key.as_ref().map_or_else(|| "a request".to_owned(), feed);
            let end = if *permanent { " for good" } else { "" };
            tracing::warn!("{what} refused{end}: {}", printable(error));
        }
        Notice::Warning(text) => tracing::debug!("the venue warns: {}", printable(text)),
        Notice::Idle => tracing::warn!("nothing came for too long: the connection is given up"),
    }
}
