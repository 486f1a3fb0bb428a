//! Tells a webhook what happens in a run, as one of those who watch it.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::Exit;
use crate::config::{Config, NotifyConfig, NotifyRule};
use crate::engine::{Engine, LaneOutput, Output};
use crate::input::TradingStatus;
use crate::notify::{Notice, Patience, Webhook, read_address};
use crate::output::printable;

use super::Failure;
use super::session::Watch;

/// How often the accounts are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest text of a strategy in a notice.
const TEXT_MAX: usize = 500;

/// Watches a run for what is to be told.
#[derive(Debug)]
pub struct Notifier {
    webhook: Webhook,
    on: Vec<NotifyRule>,
    drawdown_pct: f64,
    feed_down_after: Duration,
    run: String,
    looked: Option<Instant>,
    /// which strategies' drawdowns were told, by lane
    deep: Vec<bool>,
    /// since when no symbol has usable data, and whether that was told
    down: Option<(Instant, bool)>,
}

impl Notifier {
    /// Of the run of that name; `None` when the configuration names no webhook.
    ///
    /// # Errors
    /// A file without an address, or that others can read.
    pub fn open(config: &Config, run: &str) -> Result<Option<Self>, Failure> {
        let NotifyConfig { webhook_url_file, on, drawdown, feed_down_after, timeout } =
            &config.notify;
        if webhook_url_file == "none" {
            return Ok(None);
        }
        let address = read_address(Path::new(webhook_url_file))
            .map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
        Ok(Some(Self {
            webhook: Webhook::open(address, Patience::of(*timeout))?,
            on: on.clone(),
            drawdown_pct: drawdown.0 as f64 / 1e7,
            feed_down_after: *feed_down_after,
            run: run.to_owned(),
            looked: None,
            deep: Vec::new(),
            down: None,
        }))
    }

    fn tell(&self, engine: &Engine, event: &'static str, strategy: Option<&str>, text: &str) {
        self.webhook.tell(Notice {
            event,
            run: self.run.clone(),
            strategy: strategy.map(|name| printable(name, 64)),
            ts_ns: engine.now().0.to_string(),
            text: printable(text, TEXT_MAX),
        });
    }

    fn asked(&self, rule: NotifyRule) -> bool {
        self.on.contains(&rule)
    }

    fn look_at_accounts(&mut self, engine: &Engine) {
        let reports = engine.reports();
        self.deep.resize(reports.len(), false);
        for (lane, report) in reports.iter().enumerate() {
            let fall = report.drawdown_pct.unwrap_or(0.0);
            // Told once, and again only after it has half recovered.
            if !self.deep[lane] && fall >= self.drawdown_pct {
                self.deep[lane] = true;
                let text = format!("{} is {fall:.1} % below its peak", report.name);
                self.tell(engine, "drawdown", Some(&report.name), &text);
            } else if fall < self.drawdown_pct / 2.0 {
                self.deep[lane] = false;
            }
        }
    }

    fn look_at_the_feed(&mut self, engine: &Engine, now: Instant) {
        let unusable = |id| engine.market().top(id).status == TradingStatus::Stale;
        let all_down = engine.instruments().iter().all(|(id, _)| unusable(id));
        match (&mut self.down, all_down) {
            (None, true) => self.down = Some((now, false)),
            (Some((since, told)), true) if !*told => {
                let lasted = now.saturating_duration_since(*since);
                if lasted >= self.feed_down_after {
                    *told = true;
                    let text = format!("no market data for {} s", lasted.as_secs());
                    self.tell(engine, "feed-down", None, &text);
                }
            }
            (Some((since, told)), false) => {
                let (lasted, told) = (now.saturating_duration_since(*since), *told);
                self.down = None;
                if told {
                    let text = format!("market data again, after {} s", lasted.as_secs());
                    self.tell(engine, "feed-up", None, &text);
                }
            }
            _ => {}
        }
    }
}

impl Watch for Notifier {
    #[allow(clippy::disallowed_methods, reason = "how often it looks is of the wall")]
    fn stepped(&mut self, engine: &Engine, news: &[Output]) -> Result<(), Failure> {
        for one in news {
            let name = engine.lane(one.lane).name;
            match &one.body {
                LaneOutput::Fault(fault) if self.asked(NotifyRule::Trap) => {
                    self.tell(engine, "trap", Some(name), &format!("{name} failed: {fault}"));
                }
                LaneOutput::Halted { reason } if self.asked(NotifyRule::Kill) => {
                    self.tell(engine, "kill", Some(name), &format!("{name} was halted: {reason}"));
                }
                _ => {}
            }
        }
        let now = Instant::now();
        if self.looked.is_none_or(|at| now.saturating_duration_since(at) >= LOOK_EVERY) {
            self.looked = Some(now);
            if self.asked(NotifyRule::Drawdown) {
                self.look_at_accounts(engine);
            }
            if self.asked(NotifyRule::FeedDown) {
                self.look_at_the_feed(engine, now);
            }
        }
        Ok(())
    }

    fn finished(&mut self, _engine: &Engine) -> Result<(), Failure> {
        self.webhook.close();
        Ok(())
    }
}
