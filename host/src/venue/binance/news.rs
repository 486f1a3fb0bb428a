//! What a session tells besides market events.

use super::session::Session;
use crate::domain::SymbolId;
use crate::venue::{Live, Mark, News, NewsLevel, Tally};

/// News that wait at most; the oldest go, and are counted.
const NEWS_MAX: usize = 1_024;

impl Session {
    pub(super) fn tell_gap(&mut self, symbol: SymbolId, after: u64, before: u64) {
        let missed = before.saturating_sub(after).saturating_sub(1);
        let text = format!("{missed} trades between ids {after} and {before} were missed");
        self.tell(symbol, Mark::Gap, &text);
    }

    pub(super) fn tell_desync(&mut self, symbol: SymbolId, why: &str) {
        self.tell(symbol, Mark::Desync, &format!("{why}: asked anew"));
    }

    fn tell(&mut self, symbol: SymbolId, mark: Mark, text: &str) {
        if self.news.len() == NEWS_MAX {
            self.news.pop_front();
            self.counts.news_lost += 1;
        }
        let name = self.instruments.get(symbol).map_or("?", |i| i.symbol.as_str());
        let text = format!("{name}: {text}");
        self.news.push_back(News { level: NewsLevel::Warn, mark, symbol: Some(symbol), text });
    }
}

impl Live for Session {
    fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    fn tally(&self) -> Tally {
        Tally {
            trades_missed: self.counts.trades_missed,
            resubscriptions: self.counts.gaps + self.counts.crossed,
            news_lost: self.counts.news_lost,
            errors: self.counts.errors.clone(),
        }
    }

    /// Its streams have no history.
    fn is_warm(&self) -> bool {
        true
    }
}
