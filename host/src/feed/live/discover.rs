//! What is asked of a venue before a run: which pairs it has, and their past.

use std::time::Duration;

use super::{Attempts, Clock, Connect, Driver, LinkSettings, LinkStats};
use crate::domain::{InstrumentTable, Ts};
use crate::input::InputBlock;
use crate::venue::kraken::{Catalog, Session};
use crate::venue::{FrameError, Protocol, Request};

/// From an open connection to the whole list.
const LIST_NS: i64 = 10 * Ts::SECOND;

/// Asks for the list of pairs and nothing else.
#[derive(Debug, Default)]
pub struct Listing {
    catalog: Catalog,
    complete: bool,
    ask: bool,
    until: Option<Ts>,
    reconnect: bool,
}

impl Protocol for Listing {
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

/// The venue's pairs. Waits for as long as it takes; `told` hears of each
/// attempt that failed.
pub async fn listing<C: Connect>(
    connector: C,
    settings: LinkSettings,
    clock: Clock,
    (attempts, seed): (&Attempts, u64),
    mut told: impl FnMut(&LinkStats),
) -> Catalog {
    let mut driver =
        Driver::new(connector, Listing::default(), settings, clock, seed).sharing(attempts, seed);
    let mut block = InputBlock::default();
    let mut heard = None;
    while !driver.protocol().complete {
        driver.next(&mut block).await;
        let link = driver.link();
        let ended = (link.attempts, link.losses);
        if link.state == super::LinkState::Waiting
            && link.last_loss.is_some()
            && heard != Some(ended)
        {
            heard = Some(ended);
            told(link);
        }
    }
    std::mem::take(&mut driver.protocol_mut().catalog)
}

/// Closed candles of the symbols that `session` wants candles of, on a
/// connection of their own, since the venue gives one interval a connection.
/// Appends to `block` what came within `wait`; true when that was all.
pub async fn history<C: Connect>(
    connector: C,
    session: Session,
    settings: LinkSettings,
    (clock, wait): (Clock, Duration),
    (attempts, seed): (&Attempts, u64),
    block: &mut InputBlock,
    instruments: &InstrumentTable,
) -> bool {
    let mut driver = Driver::new(connector, session, settings, clock, seed).sharing(attempts, seed);
    let mut fresh = InputBlock::new(instruments, 1);
    let whole = async {
        while !driver.protocol().is_warm() {
            fresh.reset(1);
            driver.next(&mut fresh).await;
            candles_only(&fresh, block);
        }
    };
    tokio::time::timeout(wait, whole).await.is_ok()
}

/// Passes on the candles of a block: statuses of this connection say nothing
/// about the one that the run will have.
fn candles_only(from: &InputBlock, to: &mut InputBlock) {
    for index in 0..from.len() {
        if let crate::input::EventRef::Candle(candle) = from.get(index)
            && from.check(index).is_ok()
        {
            to.push_candle(from.ts(index), &candle);
        }
    }
}
