//! Totals by symbol and by tag.

use serde::{Deserialize, Serialize};

use super::{Booked, RoundTrip, Totals};
use crate::domain::{Money, SymbolId};

/// The most tags that are told apart; what comes later is counted together.
const TAGS_MAX: usize = 32;
/// The longest tag, in characters; what is longer is cut.
const TAG_CHARS_MAX: usize = 64;
/// Where everything counts that has no place of its own.
pub const OTHER: &str = "(other)";

/// What each symbol and each tag contributed. A tag is the reason of the order
/// that opened a position; everything until the position is flat counts to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakdown {
    symbols: Vec<Totals>,
    tags: Vec<(String, Totals)>,
}

impl Breakdown {
    /// Empty, for so many symbols.
    #[must_use]
    pub fn new(symbols: usize) -> Self {
        Self { symbols: vec![Totals::default(); symbols], tags: Vec::new() }
    }

    /// The tag under which `words` count.
    #[must_use]
    pub fn tag(&self, words: &str) -> String {
        let tag: String = words.chars().take(TAG_CHARS_MAX).collect();
        let known = self.tags.iter().any(|(name, _)| *name == tag);
        if known || self.tags.len() < TAGS_MAX { tag } else { OTHER.to_owned() }
    }

    /// Counts a fill: in its own quote asset, and in the account currency.
    pub fn on_fill(&mut self, symbol: SymbolId, own: &Booked, booked: &Booked, tag: &str) {
        self.symbol(symbol, |totals| totals.on_fill(own));
        self.tagged(tag, |totals| totals.on_fill(booked));
    }

    /// Counts a charge on a short, likewise.
    pub fn on_carry(&mut self, symbol: SymbolId, own: Money, amount: Option<Money>, tag: &str) {
        self.symbol(symbol, |totals| totals.on_carry(Some(own)));
        self.tagged(tag, |totals| totals.on_carry(amount));
    }

    /// Counts a closed round trip, likewise.
    pub fn on_round_trip(&mut self, trip: &RoundTrip, net: Option<Money>) {
        self.symbol(trip.symbol, |totals| totals.on_net(trip.net(), Some(trip.net())));
        self.tagged(&trip.tag, |totals| totals.on_net(trip.net(), net));
    }

    /// By symbol, in the account's order, each in the symbol's quote asset.
    #[must_use]
    pub fn symbols(&self) -> &[Totals] {
        &self.symbols
    }

    /// By tag, in order of appearance, in the account currency.
    #[must_use]
    pub fn tags(&self) -> &[(String, Totals)] {
        &self.tags
    }

    fn symbol(&mut self, symbol: SymbolId, count: impl Fn(&mut Totals)) {
        if let Some(totals) = self.symbols.get_mut(symbol.index()) {
            count(totals);
        }
    }

    fn tagged(&mut self, tag: &str, count: impl Fn(&mut Totals)) {
        match self.tags.iter_mut().find(|(name, _)| name == tag) {
            Some((_, totals)) => count(totals),
            None => {
                let mut totals = Totals::default();
                count(&mut totals);
                self.tags.push((tag.to_owned(), totals));
            }
        }
    }
}
