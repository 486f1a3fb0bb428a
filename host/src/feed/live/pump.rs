//! From the socket to the engine's thread.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::reminder::{Reminder, words};
use super::{Connect, Driver, Health, LinkState, LinkStats};
use crate::domain::InstrumentTable;
use crate::input::{InputBlock, TradingStatus};
use crate::venue::{Live, NewsLevel};

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
pub struct Pump<C: Connect, P> {
    driver: Driver<C, P>,
    instruments: InstrumentTable,
    health: Health,
    reports: watch::Sender<Health>,
    pending: InputBlock,
    reported: Option<Instant>,
    complained: Option<Instant>,
    refused: u64,
    outage: Reminder,
    bound: usize,
    tick: Duration,
}

impl<C: Connect, P: Live> Pump<C, P> {
    /// A pump for a driver of these instruments, and where its health shows.
    #[must_use]
    pub fn new(
        driver: Driver<C, P>,
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
            outage: Reminder::default(),
            bound: EVENTS_MAX,
            tick: TICK,
        };
        (pump, receiver)
    }

    /// The same with another bound of waiting events, to show what it does.
    #[cfg(test)]
    pub(super) fn bounded(mut self, events: usize) -> Self {
        self.bound = events;
        self
    }

    /// The same with another pace of the clock.
    #[cfg(test)]
    pub(super) fn ticking(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// Works until nobody takes what it gives.
    pub async fn run(mut self, out: mpsc::Sender<InputBlock>) {
        let mut fresh = InputBlock::new(&self.instruments, 1);
        let mut tick = Instant::now() + self.tick;
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
                // Before the socket, which may always have something that says nothing.
                () = sleep_until(tick) => {
                    tick = Instant::now() + self.tick;
                    // Where events wait, time is in them.
                    if self.pending.is_empty() {
                        self.pending.push_timer(self.driver.now());
                    }
                }
                () = self.driver.next(&mut fresh) => {
                    if !fresh.is_empty() {
                        tick = Instant::now() + self.tick;
                    }
                    self.append(&fresh);
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
            // A protocol gave what the engine does not count with. Without that event
            // those that follow prove nothing: all is stale from here on, whatever the
            // protocol has told of that before.
            self.say(
                NewsLevel::Error,
                format!("a frame led to what cannot be counted with: {what}"),
            );
            for (symbol, _) in self.instruments.iter() {
                held.push_status(self.driver.now(), symbol, TradingStatus::Stale);
            }
            self.append_singly(fresh);
            self.driver.abandon("what came cannot be counted with", &mut held);
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

    /// All events of a block but those that the engine does not count with.
    fn append_singly(&mut self, block: &InputBlock) {
        let mut rest = block.exact_words();
        for index in 0..block.len() {
            let (event, tail) = rest.split_at(block.header(index).words().unwrap_or(rest.len()));
            rest = tail;
            // Which it was is in the error of the whole.
            let _ = self.pending.extend_exact(event, &[block.ts_exchange(index).0]);
        }
    }

    fn report(&mut self) {
        let mut urgent = false;
        while let Some(news) = self.driver.protocol_mut().poll_news() {
            tell(news.level, &news.text);
            urgent |= news.level != NewsLevel::Debug;
            self.health.news(&news, self.driver.now());
        }
        let now = Instant::now();
        let link = self.driver.link().clone();
        let changed = self.health.link(&link, self.driver.now());
        if changed {
            self.say_where_it_stands(&link);
        }
        if link.state == LinkState::Connected && self.outage.has_settled() {
            self.say(NewsLevel::Info, format!("connected to {}", self.health.url));
        }
        let refused = link.refused - self.refused;
        if refused > 0 && self.complained.is_none_or(|at| now - at >= COMPLAIN) {
            (self.complained, self.refused) = (Some(now), link.refused);
            let cause = link.last_refusal.as_deref().unwrap_or_default();
            self.say(
                NewsLevel::Warn,
                format!("frames of the venue refused: {refused}, the last one: {cause}"),
            );
        }
        if changed || urgent || self.reported.is_none_or(|at| now - at >= REPORT) {
            self.reported = Some(now);
            self.health.at = self.driver.now();
            self.health.counts = self.driver.protocol().tally();
            self.reports.send_replace(self.health.clone());
        }
    }

    fn say_where_it_stands(&mut self, link: &LinkStats) {
        let url = &self.health.url;
        match (link.state, link.last_loss.as_deref()) {
            (LinkState::Connected, _) => {
                let text = format!("connected to {url}");
                if self.outage.up() {
                    self.say(NewsLevel::Info, text);
                }
            }
            (LinkState::Waiting, Some(why)) => {
                let Some(time) = self.outage.down(why) else { return };
                let long =
                    if time.is_zero() { String::new() } else { format!(" for {}", words(time)) };
                let text = format!(
                    "no connection to {url}{long} ({why}): prices are stale and nothing fills until it stands again"
                );
                self.say(NewsLevel::Warn, text);
            }
            _ => {}
        }
    }

    fn say(&mut self, level: NewsLevel, text: String) {
        tell(level, &text);
        self.health.note(level, None, text, self.driver.now());
    }
}

/// Says what happened.
fn tell(level: NewsLevel, text: &str) {
    match level {
        NewsLevel::Debug => tracing::debug!("{text}"),
        NewsLevel::Info => tracing::info!("{text}"),
        NewsLevel::Warn => tracing::warn!("{text}"),
        NewsLevel::Error => tracing::error!("{text}"),
    }
}
