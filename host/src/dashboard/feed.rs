//! A live feed's health as the API shows it.

use std::collections::BTreeMap;

use crate::domain::Ts;
use crate::feed::live::{Health, LinkState};
use crate::output::printable;
use crate::venue::NewsLevel;

use super::build::TEXT_MAX;
use super::model::{Event, Feed, Outage};

/// Adds what a connection knows of itself, as of the engine's clock `now`.
pub(super) fn fill(feed: &mut Feed, health: &Health, now: Ts) {
    let now = now.max(health.at);
    let (link, counts) = (&health.link, &health.counts);
    let text = |text: &String| printable(text, TEXT_MAX);
    feed.venue = Some(health.venue.to_owned());
    feed.url = Some(text(&health.url));
    feed.connected = Some(link.state == LinkState::Connected);
    feed.attempts = Some(link.attempts);
    feed.reconnects = Some(link.losses);
    feed.last_loss = link.last_loss.as_ref().map(text);
    feed.frames = Some(link.frames);
    feed.parse_errors = Some(link.refused);
    feed.errors = counts.errors.iter().map(|(kind, count)| ((*kind).into(), *count)).collect();
    feed.last_refusal = link.last_refusal.as_ref().map(text);
    feed.trades_missed = Some(counts.trades_missed);
    feed.resubscriptions = Some(counts.resubscriptions);
    feed.skew_ms = health.skew_ns.map(milliseconds);
    for (shown, known) in feed.symbols.iter_mut().zip(&health.symbols) {
        let age = |ts: &Ts| u64::try_from(now.since(*ts) / 1_000_000).unwrap_or(0);
        let ages: BTreeMap<String, u64> =
            known.last.iter().map(|(channel, ts)| ((*channel).to_owned(), age(ts))).collect();
        shown.last_message_age_ms = ages.values().copied().min();
        shown.ages_ms = ages;
        shown.messages = Some(known.messages);
        shown.gaps = Some(known.gaps);
        shown.checksum_failures = Some(known.checksum_failures);
    }
    let outage = |outage: &crate::feed::live::Outage| Outage {
        from_ns: outage.from.0.to_string(),
        to_ns: outage.to.map(|to| to.0.to_string()),
        symbol: None,
        why: text(&outage.why),
    };
    feed.outages = health.outages.iter().map(outage).collect();
}

/// What happened to the connection since news number `heard`, which goes on.
pub(super) fn news(health: &Health, heard: &mut u64) -> Vec<Event> {
    let fresh = health.news_after(*heard);
    let events = fresh.map(|news| Event {
        ts_ns: news.at.0.to_string(),
        level: match news.level {
            NewsLevel::Debug => "debug",
            NewsLevel::Info => "info",
            NewsLevel::Warn => "warn",
            NewsLevel::Error => "error",
        }
        .into(),
        kind: "feed".into(),
        symbol: news.symbol.clone(),
        text: printable(&news.text, TEXT_MAX),
        ..Event::default()
    });
    let events = events.collect();
    *heard = health.news.back().map_or(*heard, |news| news.number.max(*heard));
    events
}

#[allow(clippy::float_arithmetic, reason = "display only")]
fn milliseconds(ns: i64) -> f64 {
    ns as f64 / 1e6
}
