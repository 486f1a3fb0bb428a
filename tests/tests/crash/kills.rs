//! Killed at any moment.

use super::*;

/// How often the program is killed; `make crash` sets it higher.
const KILLS: u64 = 200;

/// One run of ten strategies that is killed once `fills` were shown.
fn killed(folder: &Folder, seed: u64, fills: usize) -> Shown {
    // As fast as it goes, so that the kill comes anywhere; and at a pace, so that
    // it comes between two steps.
    let (speed, pace) = if seed.is_multiple_of(2) { ("0", &CALM[..]) } else { ("20", &[][..]) };
    let snapshots = snapshots(seed);
    let seed = seed.to_string();
    let more = [&NO_LOGS[..], pace, &["--seed", &seed, "--set", &snapshots]].concat();
    let arguments = trading(folder, speed, &more);
    let (mut child, log) = start(folder, &arguments);
    let (shown, _) = read_log(log, fills, || child.kill().expect("killed"));
    child.wait().expect("it ends");
    shown
}

#[test]
fn high_004_b1_killed_at_any_moment_nothing_shown_is_lost_or_kept_twice() {
    let kills = size("SANDPAPER_KILLS", KILLS);
    let total = AtomicU64::new(0);
    everywhere(
        kills,
        || ready(10),
        |folder, seed| {
            let fills = 1 + (seed * 37 % 331) as usize;
            let shown = killed(folder, seed, fills);
            assert!(count(&shown) >= fills, "seed {seed}: it ended early");
            let run = take_run(folder).expect("a run");
            let kept =
                prove(folder, &run, &shown).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
            assert!(!kept.ended, "seed {seed}: it was killed");
            total.fetch_add(count(&shown) as u64, Ordering::Relaxed);
        },
    );
    println!("{kills} kills, {} fills shown, none lost", total.into_inner());
}

#[test]
fn b1_a_record_that_lacks_its_last_fill_is_noticed() {
    let folder = ready(1);
    let arguments = trading(&folder, "0", &[&NO_LOGS[..], &["--duration", "5s"]].concat());
    let (mut child, log) = start(&folder, &arguments);
    let (shown, _) = read_log(log, usize::MAX, || {});
    assert!(child.wait().expect("it ends").success());
    let run = take_run(&folder).expect("a run");
    let kept = prove(&folder, &run, &shown).expect("all of it");
    assert_eq!(kept.fill_count(), count(&shown) as u64, "a run that ends shows all that it keeps");
    assert!(kept.without_the_last().holds(&shown).is_err());
}
