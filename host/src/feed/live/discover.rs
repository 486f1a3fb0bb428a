//! What is asked of a venue before a run: which pairs it has, and their past.

use std::time::Duration;

use super::reminder::Reminder;
use super::{Attempts, Clock, Connect, Driver, LinkSettings, LinkStats};
use crate::domain::InstrumentTable;
use crate::input::InputBlock;
use crate::venue::{Listing, Live};

/// What a venue trades. Waits for as long as it takes; `told` hears that it is not
/// reached, at once and once a minute, with how long that has lasted.
pub async fn listing<C: Connect, L: Listing>(
    connector: C,
    listing: L,
    settings: LinkSettings,
    clock: Clock,
    (attempts, seed): (&Attempts, u64),
    mut told: impl FnMut(&LinkStats, Duration),
) -> L {
    let mut driver = Driver::new(connector, listing, settings, clock, seed).sharing(attempts, seed);
    let mut block = InputBlock::default();
    let mut reminder = Reminder::default();
    while !driver.protocol().is_complete() {
        driver.next(&mut block).await;
        let link = driver.link();
        if link.state == super::LinkState::Waiting
            && let Some(time) = link.last_loss.as_deref().and_then(|why| reminder.down(why))
        {
            told(link, time);
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
