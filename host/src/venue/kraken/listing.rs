//! Asking for the list of pairs.

use super::instruments::Catalog;
use crate::domain::{Instrument, Ts};
use crate::input::InputBlock;
use crate::venue::{FrameError, Listing, Protocol, Request};

/// From an open connection to the whole list.
const LIST_NS: i64 = 10 * Ts::SECOND;

/// Asks for the list of pairs and nothing else.
#[derive(Debug, Default)]
pub struct PairListing {
    catalog: Catalog,
    complete: bool,
    ask: bool,
    until: Option<Ts>,
    reconnect: bool,
}

impl Protocol for PairListing {
    fn handle_connected(&mut self, now: Ts, _out: &mut InputBlock) {
        self.ask = true;
        self.until = Some(Ts(now.0.saturating_add(LIST_NS)));
    }

    fn handle_disconnected(&mut self, _now: Ts, _out: &mut InputBlock) {
        (self.ask, self.until, self.reconnect) = (false, None, false);
    }

    fn handle_text(
        &mut self,
        text: &str,
        _now: Ts,
        _out: &mut InputBlock,
    ) -> Result<(), FrameError> {
        self.complete |= self.catalog.handle_text(text)?;
        Ok(())
    }

    fn handle_deadline(&mut self, _now: Ts, _out: &mut InputBlock) {
        (self.until, self.reconnect) = (None, true);
    }

    fn next_deadline(&self) -> Option<Ts> {
        self.until
    }

    fn poll_frame(&mut self) -> Option<String> {
        std::mem::take(&mut self.ask).then(|| Catalog::request().to_owned())
    }

    fn poll_request(&mut self) -> Option<Request> {
        std::mem::take(&mut self.reconnect).then_some(Request::Reconnect)
    }
}

impl Listing for PairListing {
    fn is_complete(&self) -> bool {
        self.complete
    }

    fn find(&self, name: &str) -> Option<Instrument> {
        self.catalog.get(name).map(|pair| pair.instrument.clone())
    }

    fn near(&self, name: &str) -> Vec<String> {
        self.catalog.near(name).into_iter().map(str::to_owned).collect()
    }

    fn count(&self) -> usize {
        self.catalog.len()
    }
}
