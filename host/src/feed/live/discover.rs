//! What is asked of a venue before a run: which pairs it has, and their past.

use std::time::Duration;

use super::{Attempts, Clock, Connect, Driver, LinkSettings, LinkStats};
use crate::domain::InstrumentTable;
use crate::input::InputBlock;
use crate::venue::{Listing, Live};

/// What a venue trades. Waits for as long as it takes; `told` hears of each
/// attempt that failed.
pub async fn listing<C: Connect, L: Listing>(
    connector: C,
    listing: L,
    settings: LinkSettings,
    clock: Clock,
    (attempts, seed): (&Attempts, u64),
    mut told: impl FnMut(&LinkStats),
) -> L {
    let mut driver = Driver::new(connector, listing, settings, clock, seed).sharing(attempts, seed);
    let mut block = InputBlock::default();
    let mut heard = None;
    while !driver.protocol().is_complete() {
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
    driver.into_protocol()
}

/// Closed candles of the symbols that `session` wants candles of, on a
/// connection of their own, since the venue gives one interval a connection.
/// Appends to `block` what came within `wait`; true when that was all.
pub async fn history<C: Connect, P: Live>(
    connector: C,
    session: P,
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
