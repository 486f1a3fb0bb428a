//! Kraken as a venue that a run can follow, and its notices in words.

use super::listing::PairListing;
use super::notice::Notice;
use super::session::Session;
use super::setup::{DEPTHS, Timing};
use super::subscriptions::{Channel, FeedKey};
use crate::domain::{SymbolId, Ts};
use crate::input::TradingStatus;
use crate::venue::{Listing, Live, Mark, News, NewsLevel, SessionPlan, Tally, Venue};

/// Kraken's spot market.
#[derive(Clone, Copy, Debug)]
pub struct Kraken;

impl Venue for Kraken {
    fn name(&self) -> &'static str {
        "kraken"
    }

    fn title(&self) -> &'static str {
        "Kraken"
    }

    fn url(&self) -> &'static str {
        "wss://ws.kraken.com/v2"
    }

    fn depths(&self) -> &'static [u32] {
        &DEPTHS
    }

    fn listing(&self) -> Box<dyn Listing> {
        Box::new(PairListing::default())
    }

    fn session(&self, plan: SessionPlan<'_>) -> Result<Box<dyn Live>, String> {
        let timing = Timing {
            book_silence_ns: plan.silence_ns,
            trade_silence_ns: plan.trade_silence_ns,
            ..Timing::default()
        };
        let session = Session::new(plan.instruments, plan.wanted, timing);
        let mut session = session.map_err(|error| error.to_string())?;
        session.set_names(plan.names);
        Ok(Box::new(session))
    }
}

impl Live for Session {
    fn poll_news(&mut self) -> Option<News> {
        let notice = self.poll_notice()?;
        Some(self.news(&notice))
    }

    fn tally(&self) -> Tally {
        let counts = self.counts();
        Tally {
            trades_missed: counts.trades_missed,
            resubscriptions: counts.resubscriptions,
            news_lost: counts.notices_lost,
            errors: counts.errors.clone(),
        }
    }

    fn is_warm(&self) -> bool {
        Session::is_warm(self)
    }
}

impl Session {
    fn news(&self, notice: &Notice) -> News {
        let name = |symbol: &SymbolId| {
            self.instruments.get(*symbol).map_or("?", |i| i.symbol.as_str()).to_owned()
        };
        let feed = |key: &FeedKey| match &key.symbol {
            Some(symbol) => format!("{} of {}", key.channel.name(), name(symbol)),
            None => key.channel.name().to_owned(),
        };
        let whole = |level, text: String| (level, None, text);
        let of = |level, symbol: &SymbolId, text: &str| {
            (level, Some(*symbol), format!("{}: {text}", name(symbol)))
        };
        let of_feed = |level, key: &FeedKey, text: &str| {
            (level, key.symbol, format!("{}: {text}", feed(key)))
        };
        let (level, symbol, text) = match notice {
            Notice::System(status) => {
                whole(NewsLevel::Info, format!("the venue's state: {}", state(*status)))
            }
            Notice::Rules(symbol) => of(NewsLevel::Info, symbol, "the venue's rules changed"),
            Notice::PrecisionChanged(symbol) => of(
                NewsLevel::Error,
                symbol,
                "the venue's prices have more decimals now; it stays stale until a new start",
            ),
            Notice::NotListed(symbol) => {
                of(NewsLevel::Error, symbol, "the venue does not list it any more")
            }
            Notice::Desync { symbol, cause } => of(
                NewsLevel::Warn,
                symbol,
                &format!("its book cannot be trusted ({cause}): asked anew"),
            ),
            Notice::TradeGap { symbol, after, before } => of(
                NewsLevel::Warn,
                symbol,
                &format!(
                    "{} trades between ids {after} and {before} were missed",
                    before.saturating_sub(*after).saturating_sub(1)
                ),
            ),
            Notice::TradeIdsRestarted { symbol, after, id } => of(
                NewsLevel::Warn,
                symbol,
                &format!("trade ids began anew at {id}, behind {after}: trades may be missing"),
            ),
            Notice::Clock { ahead_ns } => {
                let (way, by) = if *ahead_ns > 0 {
                    ("behind", *ahead_ns)
                } else {
                    ("ahead of", ahead_ns.saturating_neg())
                };
                whole(
                    NewsLevel::Error,
                    format!(
                        "this machine's clock is {} s {way} the venue's: its candles cannot be used, and ours are marked; set the clock and start anew",
                        by / Ts::SECOND
                    ),
                )
            }
            Notice::AckOverdue(key) => of_feed(NewsLevel::Warn, key, "no answer to a request"),
            Notice::SnapshotOverdue(key) => {
                of_feed(NewsLevel::Warn, key, "granted, but nothing came")
            }
            Notice::NoTrades(symbol) => {
                of(NewsLevel::Info, symbol, "no trade of it is known: taken as not traded yet")
            }
            Notice::Silent(key) if key.channel == Channel::Trade => {
                of_feed(NewsLevel::Debug, key, "none for long: asked anew")
            }
            Notice::Silent(key) => of_feed(NewsLevel::Warn, key, "silent for too long: asked anew"),
            Notice::Refused { feed: key, error, permanent } => {
                let end = if *permanent { " for this connection" } else { "" };
                let what = key.as_ref().map_or_else(|| "a request".to_owned(), feed);
                let text = format!("{what} refused{end}: {}", printable(error));
                (NewsLevel::Warn, key.as_ref().and_then(|key| key.symbol), text)
            }
            Notice::Warning(text) => {
                whole(NewsLevel::Debug, format!("the venue warns: {}", printable(text)))
            }
            Notice::Idle => whole(
                NewsLevel::Warn,
                "nothing came for too long: the connection is given up".to_owned(),
            ),
        };
        let mark = match notice {
            Notice::TradeGap { .. } | Notice::TradeIdsRestarted { .. } => Mark::Gap,
            Notice::Desync { .. } => Mark::Desync,
            _ => Mark::Plain,
        };
        News { level, mark, symbol, text }
    }
}

fn state(status: TradingStatus) -> &'static str {
    match status {
        TradingStatus::Trading => "it trades",
        TradingStatus::Stale => "not known",
        TradingStatus::Paused => "maintenance, nothing trades",
        TradingStatus::CancelOnly => "orders can only be canceled",
        TradingStatus::PostOnly => "only orders that wait are taken",
        TradingStatus::LimitOnly => "only orders with a limit are taken",
        TradingStatus::ReduceOnly => "only orders that reduce a position are taken",
    }
}

/// The venue's words without characters that a terminal obeys.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
