//! The live feed's driver on the exchange, on the paused clock.

use std::time::Duration;

use sandpaper::feed::live::LinkSettings;
use sandpaper_tests::exchange::oracle::{Oracle, Sabotage};
use sandpaper_tests::exchange::random::Random;
use sandpaper_tests::exchange::scenario::{Figures, RECOVERY_MAX, Scenario, play};
use sandpaper_tests::exchange::{Fault, seeds};
use tokio::runtime::{Builder, Runtime};

const PARTS: u64 = 4;

fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

#[allow(clippy::print_stdout, reason = "the figures are part of the result")]
fn scenarios(part: u64) {
    let (mut played, mut worst) = (0, Figures::default());
    for seed in seeds(1_000, part, PARTS) {
        match paused().block_on(play(seed)) {
            Ok(figures) => (played, worst) = (played + 1, worst.and(figures)),
            Err(problem) => panic!("{problem}"),
        }
    }
    let Figures { recovery, silence, compared, candles, connects } = worst;
    // A connection tells of the three minutes before the last one was lost, or of those
    // before the start.
    assert!(candles >= 2 * played, "{candles} candles of {played} scenarios");
    println!(
        "{played} scenarios, {connects} connections: none of {compared} books and {candles} candles wrong and not stale; \
         longest recovery {recovery:?}, longest unnoticed silence {silence:?}"
    );
}

/// A thousand scenarios in four parts, which run beside each other.
#[test]
fn high_005_seeded_scenarios_of_the_live_feed_1() {
    scenarios(0);
}

#[test]
fn high_005_seeded_scenarios_of_the_live_feed_2() {
    scenarios(1);
}

#[test]
fn high_005_seeded_scenarios_of_the_live_feed_3() {
    scenarios(2);
}

#[test]
fn high_005_seeded_scenarios_of_the_live_feed_4() {
    scenarios(3);
}

/// Each fault once, short and long.
#[test]
fn add_09_each_fault_of_the_live_feed_alone_is_survived() {
    for (seed, fault) in (1_u64..).zip(Fault::ALL) {
        for hold in [1, 15] {
            paused().block_on(async {
                let mut scenario = Scenario::new(seed, 2, 10, Sabotage::None);
                let begun = scenario.until(Duration::from_secs(5), Oracle::all_trading).await;
                begun.expect("it begins to trade");
                let mut random = Random::new(seed, "each");
                let hold = Duration::from_secs(hold);
                if let Err(problem) = scenario.suffer(fault, hold, &mut random).await {
                    let counts = scenario.driver.protocol().counts();
                    panic!("{fault:?} for {hold:?}: {problem}; {counts:?}");
                }
                assert!(scenario.oracle.wrong.is_empty(), "{fault:?}: {:?}", scenario.oracle.wrong);
            });
        }
    }
}

#[test]
fn add_09_half_open_connections_are_found_within_ten_seconds() {
    paused().block_on(async {
        let mut scenario = Scenario::new(3, 2, 10, Sabotage::None);
        scenario.until(Duration::from_secs(5), Oracle::all_trading).await.expect("it begins");
        let mut random = Random::new(3, "half-open");
        scenario.begin(Fault::Stall, &mut random);
        let before = scenario.oracle.darkened;
        // The last frame came up to a step of the exchange ago.
        let noticed = |oracle: &Oracle| oracle.darkened > before;
        let found = scenario.until(Duration::from_millis(10_100), noticed).await;
        assert!(found.is_some_and(|found| found > Duration::from_secs(8)), "{found:?}");
        let back = scenario.until(Duration::from_secs(5), Oracle::all_trading).await;
        assert!(back.is_some(), "a new connection stands within 5 s");
    });
}

/// The first outage after a quiet time, over soon.
#[test]
fn high_005_after_a_short_outage_all_trades_soon() {
    for seed in 1..=40 {
        paused().block_on(async {
            let mut scenario = Scenario::new(seed, 2, 10, Sabotage::None);
            scenario.run(Duration::from_secs(35)).await;
            assert!(scenario.oracle.all_trading());
            let mut random = Random::new(seed, "short");
            scenario.begin(Fault::NoName, &mut random);
            scenario.run(Duration::from_millis(200 + random.below(1_800))).await;
            assert!(scenario.oracle.none_fresh());
            scenario.end();
            let back = scenario.until(RECOVERY_MAX, Oracle::all_trading).await;
            assert!(back.is_some(), "seed {seed}: {:?}", scenario.driver.link());
            assert!(scenario.oracle.wrong.is_empty(), "seed {seed}: {:?}", scenario.oracle.wrong);
        });
    }
}

/// The longest recovery from outages of every length up to a minute.
fn slowest_recovery(fault: Fault, settings: &LinkSettings) -> Duration {
    let recovery = |seed: u64| {
        paused().block_on(async {
            let mut scenario = Scenario::limited(settings.clone(), seed, 1, 10, Sabotage::None);
            scenario.run(Duration::from_secs(2)).await;
            let mut random = Random::new(seed, "outage");
            scenario.begin(fault, &mut random);
            scenario.run(Duration::from_millis(500 + random.below(60_000))).await;
            assert!(scenario.oracle.none_fresh());
            scenario.end();
            let back = scenario.until(Duration::from_secs(30), Oracle::all_trading).await;
            back.unwrap_or_else(|| panic!("seed {seed}: {:?}", scenario.driver.link()))
        })
    };
    (1..=60).map(recovery).max().unwrap_or_default()
}

#[test]
fn high_005_after_an_outage_of_any_length_all_trades_within_five_seconds() {
    for fault in [Fault::NoName, Fault::BlackHole, Fault::RefuseHandshake] {
        let slowest = slowest_recovery(fault, &LinkSettings::default());
        assert!(slowest <= RECOVERY_MAX, "{fault:?}: {slowest:?}");
    }
}

/// Both limits that it rests on.
#[test]
fn high_005_control_rarer_or_longer_attempts_recover_too_late() {
    let rarer = LinkSettings { per_minute: 10, ..LinkSettings::default() };
    assert!(slowest_recovery(Fault::NoName, &rarer) > RECOVERY_MAX);
    let longer = LinkSettings { connect_ns: 10_000_000_000, ..LinkSettings::default() };
    assert!(slowest_recovery(Fault::BlackHole, &longer) > RECOVERY_MAX);
}

/// A venue that accepts and closes for an hour.
#[test]
fn high_005_attempts_stay_within_the_limits_through_a_storm() {
    for fault in [Fault::AcceptThenClose, Fault::RefuseHandshake, Fault::NoName, Fault::BlackHole] {
        paused().block_on(async {
            let mut scenario = Scenario::new(4, 1, 10, Sabotage::None);
            scenario.until(Duration::from_secs(5), Oracle::all_trading).await.expect("it begins");
            let mut random = Random::new(4, "storm");
            scenario.begin(fault, &mut random);
            scenario.run(Duration::from_secs(3_600)).await;
            assert!(scenario.oracle.none_fresh());
            let attempts = scenario.network.attempts();
            let most = |seconds: u64| {
                let within = |at: usize| {
                    let end = attempts[at] + Duration::from_secs(seconds);
                    attempts[at..].iter().take_while(|&&other| other < end).count()
                };
                (0..attempts.len()).map(within).max().unwrap_or(0)
            };
            assert!(most(600) <= 150, "{fault:?}: {} in ten minutes", most(600));
            assert!(most(60) <= 19, "{fault:?}: {} in a minute", most(60));
            assert!(attempts.len() > 700, "{fault:?}: only {} attempts", attempts.len());
            scenario.end();
            let back = scenario.until(RECOVERY_MAX, Oracle::all_trading).await;
            assert!(back.is_some(), "{fault:?}: {:?}", scenario.driver.link());
            assert!(scenario.oracle.wrong.is_empty(), "{fault:?}: {:?}", scenario.oracle.wrong);
        });
    }
}

/// The oracle's control: without the stale marks an outage shows old books as
/// fresh.
#[test]
fn add_09_control_without_stale_marks_an_outage_of_the_live_feed_is_found_out() {
    for (sabotage, is_sound) in [(Sabotage::None, true), (Sabotage::IgnoresStale, false)] {
        paused().block_on(async {
            let mut scenario = Scenario::new(9, 2, 10, sabotage);
            scenario.until(Duration::from_secs(5), Oracle::all_trading).await.expect("it begins");
            let mut random = Random::new(9, "control");
            scenario.begin(Fault::NoName, &mut random);
            scenario.run(Duration::from_secs(70)).await;
            assert_eq!(scenario.oracle.wrong.is_empty(), is_sound, "{sabotage:?}");
        });
    }
}
