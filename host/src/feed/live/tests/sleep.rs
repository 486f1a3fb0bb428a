//! A machine that sleeps under a connection.

use std::sync::atomic::AtomicI64;

use super::*;

/// Nanoseconds that the machine of the next test has slept.
static SLEPT: AtomicI64 = AtomicI64::new(0);

/// Sleep that nobody ended with a new connection: an hour between two frames.
#[tokio::test(start_paused = true)]
async fn high_005_a_sleep_under_a_connection_moves_the_clock_and_ends_it() {
    let (made, mut receiver) = mpsc::unbounded_channel();
    let start = Ts(1_790_000_000 * Ts::SECOND);
    let clock = Clock::on(start, || SLEPT.load(Ordering::Relaxed));
    let peer = Peer { made, refuses: false };
    let session = session(Timing::default());
    let mut driver = Driver::new(peer, session, LinkSettings::default(), clock, 7);
    let (came, socket) = tokio::join!(drive(&mut driver, 3), silent_after_snapshot(&mut receiver));
    assert_eq!(texts(&came).last(), Some(&"Trading"), "{came:?}");
    SLEPT.store(3_600 * Ts::SECOND, Ordering::Relaxed);
    let came = drive(&mut driver, 10).await;
    assert_eq!(texts(&came), ["Stale"], "what stood before proves nothing");
    let later = came[0].0.since(start) / Ts::SECOND;
    assert!((3_600 - 10..=3_620).contains(&later), "{later}");
    assert_eq!(driver.link().losses, 1);
    drop(socket);
}
