//! The host's protocol against the exchange, without sockets.

use sandpaper::input::TradingStatus;
use sandpaper_tests::exchange::dialogue::Dialogue;
use sandpaper_tests::exchange::oracle::Sabotage;
use sandpaper_tests::exchange::random::Random;
use sandpaper_tests::exchange::{Fault, seeds};

const SECOND: i64 = 1_000_000_000;
const DEPTHS: [u32; 5] = [10, 25, 100, 500, 1_000];

#[track_caller]
fn sound(dialogue: &Dialogue, what: &str) {
    assert!(dialogue.oracle.wrong.is_empty(), "{what}: {:?}", dialogue.oracle.wrong);
}

/// All pairs at all depths, nothing wrong: everything verifies, every trade
/// comes once.
#[test]
fn high_005_a_quiet_day_at_every_depth_has_no_error_at_all() {
    for depth in DEPTHS {
        let mut dialogue = Dialogue::new(u64::from(depth), 8, depth, Sabotage::None);
        dialogue.run(20 * SECOND);
        sound(&dialogue, &format!("depth {depth}"));
        let counts = dialogue.counts();
        assert!(dialogue.oracle.all_trading(), "depth {depth}: {counts:?}");
        assert_eq!(counts.snapshots, 8, "{counts:?}");
        assert!(counts.updates > 400, "{counts:?}");
        assert_eq!((counts.checksums_failed, counts.unknown_deletes), (0, 0), "{counts:?}");
        assert_eq!((counts.trades_missed, counts.trades_repeated), (0, 0), "{counts:?}");
        assert!(counts.errors.is_empty(), "{counts:?}");
        assert!(counts.candles > 500, "{counts:?}");
        let (trades, missed) = dialogue.oracle.trades();
        assert!(trades > 100 && missed == 0, "{trades} trades, {missed} missed");
        assert!(dialogue.oracle.compared > 400);
    }
}

/// Each fault that is not of the socket, by itself: nothing wrong is shown as
/// fresh, and all symbols trade again soon after.
#[test]
fn high_005_each_fault_alone_is_survived_and_nothing_wrong_is_shown() {
    for (seed, fault) in (1_u64..).zip(Fault::ALL) {
        for depth in [10, 25] {
            let mut dialogue = Dialogue::new(seed, 2, depth, Sabotage::None);
            dialogue.until_trading(5 * SECOND).expect("it begins to trade");
            dialogue.begin(fault, 1);
            dialogue.run(8 * SECOND);
            dialogue.state.end_faults();
            let took = dialogue.until_trading(15 * SECOND);
            assert!(took.is_some(), "{fault:?} at depth {depth}: {:?}", dialogue.counts());
            dialogue.run(2 * SECOND);
            sound(&dialogue, &format!("{fault:?} at depth {depth}"));
        }
    }
}

#[test]
fn add_09_a_wrong_checksum_marks_one_symbol_stale_and_leaves_the_others_alone() {
    let mut dialogue = Dialogue::new(5, 2, 10, Sabotage::None);
    dialogue.until_trading(5 * SECOND).expect("it begins to trade");
    let before = dialogue.state.connections;
    dialogue.begin(Fault::WrongChecksum, 0);
    let mut stale = [0, 0];
    for _ in 0..200 {
        dialogue.run(SECOND / 20);
        for (at, count) in stale.iter_mut().enumerate() {
            *count += u32::from(dialogue.oracle.status(at) == Some(TradingStatus::Stale));
        }
    }
    assert_eq!(dialogue.counts().checksums_failed, 1);
    assert_eq!(dialogue.state.connections, before, "the connection stays");
    assert!(dialogue.oracle.all_trading());
    assert!(stale[0] == 0 || stale[1] == 0, "{stale:?}");
    sound(&dialogue, "a wrong checksum");
}

#[test]
fn add_09_maintenance_and_cancel_only_pause_trading_and_end() {
    for (fault, status) in [
        (Fault::Maintenance, TradingStatus::Paused),
        (Fault::CancelOnly, TradingStatus::CancelOnly),
    ] {
        let mut dialogue = Dialogue::new(6, 2, 10, Sabotage::None);
        dialogue.until_trading(5 * SECOND).expect("it begins to trade");
        dialogue.begin(fault, 0);
        dialogue.run(SECOND);
        assert_eq!([dialogue.oracle.status(0), dialogue.oracle.status(1)], [Some(status); 2]);
        dialogue.state.end_faults();
        assert!(dialogue.until_trading(SECOND).is_some());
        sound(&dialogue, "a pause");
    }
}

#[test]
fn add_09_a_symbol_that_falls_silent_amid_heartbeats_becomes_stale_and_comes_back() {
    let mut dialogue = Dialogue::new(7, 2, 10, Sabotage::None);
    dialogue.until_trading(5 * SECOND).expect("it begins to trade");
    dialogue.begin(Fault::SilentSymbol, 1);
    let before = [0, 1].map(|at| dialogue.oracle.times_lost(at));
    dialogue.run(61 * SECOND);
    let after = [0, 1].map(|at| dialogue.oracle.times_lost(at));
    assert_eq!(after, [before[0], before[1] + 1], "stale once, and the other never");
    assert_eq!(dialogue.oracle.status(0), Some(TradingStatus::Trading));
    assert_eq!(dialogue.oracle.status(1), Some(TradingStatus::Trading), "renewed by a snapshot");
    assert!(dialogue.counts().resubscriptions >= 1);
    sound(&dialogue, "a silent symbol");
}

/// The control of the oracle: without the stale marks it finds old books that
/// are shown as fresh.
#[test]
fn add_09_control_a_listener_that_is_deaf_to_stale_marks_is_found_out() {
    let outage = |sabotage| {
        let mut dialogue = Dialogue::new(8, 2, 10, sabotage);
        dialogue.until_trading(5 * SECOND).expect("it begins to trade");
        dialogue.begin(Fault::RefuseHandshake, 0);
        dialogue.disconnect();
        dialogue.run(70 * SECOND);
        dialogue.oracle.wrong.len()
    };
    assert_eq!(outage(Sabotage::None), 0);
    assert!(outage(Sabotage::IgnoresStale) > 0);
}

/// Hundreds of days with several faults each, in parts so that they run beside
/// each other.
#[test]
fn high_005_seeded_days_with_several_faults_show_nothing_wrong_1() {
    days(0);
}

#[test]
fn high_005_seeded_days_with_several_faults_show_nothing_wrong_2() {
    days(1);
}

#[test]
fn high_005_seeded_days_with_several_faults_show_nothing_wrong_3() {
    days(2);
}

#[test]
fn high_005_seeded_days_with_several_faults_show_nothing_wrong_4() {
    days(3);
}

const PARTS: u64 = 4;

fn days(part: u64) {
    for seed in seeds(400, part, PARTS) {
        let mut random = Random::new(seed, "dialogue");
        let depth = random.pick(&[10, 10, 25, 100]);
        let mut dialogue = Dialogue::new(seed, 1 + random.below(3) as usize, depth, Sabotage::None);
        dialogue.run(2 * SECOND);
        let mut faults = Vec::new();
        for _ in 0..random.between(2, 6) {
            let fault = random.pick(&Fault::ALL);
            faults.push(fault);
            dialogue.begin(fault, 0);
            dialogue.run(random.between(SECOND / 2, 4 * SECOND));
            if random.chance(500) {
                dialogue.state.end_faults();
            }
        }
        dialogue.state.end_faults();
        let told = format!("SANDPAPER_SEED={seed}: {faults:?} at depth {depth}");
        // Subscriptions that failed several times wait for their back-off.
        assert!(dialogue.until_trading(65 * SECOND).is_some(), "{told}: {:?}", dialogue.counts());
        sound(&dialogue, &told);
    }
}
