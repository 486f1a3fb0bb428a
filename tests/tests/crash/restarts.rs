//! Killed, and taken up again: a run ends as one that was never killed.

use super::*;

/// How many runs are killed and taken up; `make crash` sets it higher.
const RESTARTS: u64 = 8;
/// At how many system calls a run is killed while it is taken up.
const POINTS: u64 = 5;
/// What must be the same at the end.
const FIGURES: [&str; 8] =
    ["name", "chain", "orders", "fills", "rejected", "cash", "equity", "fees"];

fn session(folder: &Folder, seed: u64) -> Vec<String> {
    let snapshots = snapshots(seed);
    let seed = seed.to_string();
    let more = [&NO_LOGS[..], &CALM, &["--duration", "1h", "--seed", &seed, "--set", &snapshots]];
    let more = more.concat();
    trading(folder, "0", &more)
}

/// What a run came to.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    events: Value,
    strategies: Vec<Vec<Value>>,
}

impl Outcome {
    /// As `run --json` tells it.
    pub fn of(stdout: &str) -> Self {
        let result: Value = serde_json::from_str(stdout).expect("JSON");
        let strategies = result["strategies"].as_array().expect("strategies");
        let figures = |one: &Value| FIGURES.map(|figure| one[figure].clone()).to_vec();
        let strategies: Vec<Vec<Value>> = strategies.iter().map(figures).collect();
        assert!(strategies.iter().flatten().all(|figure| !figure.is_null()), "{result}");
        Self { events: result["events"].clone(), strategies }
    }
}

/// The run from its beginning to its end, in one process, with what it keeps.
fn never_killed(folder: &Folder, seed: u64) -> (Outcome, Kept) {
    let finished = folder.run(&strs(&session(folder, seed))).expect(0);
    let shown = shown_in(finished.stderr.lines());
    let run = take_run(folder).expect("a run");
    let kept = prove(folder, &run, &shown).expect("all of it");
    (Outcome::of(&finished.stdout), kept)
}

/// One process of the run, killed once `fills` were shown; true when it was.
fn killed_at(folder: &Folder, seed: u64, fills: usize) -> (Shown, bool) {
    let (mut child, log) = start(folder, &session(folder, seed));
    let mut asked = false;
    let (shown, _) = read_log(log, fills, || {
        asked = true;
        // It may have ended in the meantime.
        let _ = child.kill();
    });
    child.wait().expect("it ends");
    forgive(folder);
    (shown, asked)
}

/// Every fill was shown once at most, and in the order of the record.
fn once(kept: &Kept, processes: &[Shown]) -> Result<(), String> {
    for (strategy, fills) in &kept.fills {
        let mut left = fills.iter();
        for position in processes.iter().filter_map(|shown| shown.get(strategy)).flatten() {
            if !left.any(|fill| fill == position) {
                return Err(format!("{strategy}: {position} is shown twice, or not kept"));
            }
        }
    }
    Ok(())
}

/// The run that was killed ends like the other, and its record proves all of it.
fn ends_the_same(
    folder: &Folder,
    seed: u64,
    mut processes: Vec<Shown>,
    (whole, all): &(Outcome, Kept),
) -> Result<u64, String> {
    let finished = folder.run(&strs(&session(folder, seed)));
    if finished.code != Some(0) {
        return Err(format!("{finished:?}"));
    }
    processes.push(shown_in(finished.stderr.lines()));
    let run = take_run(folder).ok_or("there is no run")?;
    if Outcome::of(&finished.stdout) != *whole {
        return Err(format!("it ends otherwise: {}", finished.stdout));
    }
    let kept = prove(folder, &run, &Shown::new())?;
    once(&kept, &processes)?;
    if kept.fills != all.fills || !kept.ended {
        let (here, there) = (kept.fill_count(), all.fill_count());
        return Err(format!("{here} fills are kept, and {there} without a kill"));
    }
    Ok(kept.restarts)
}

#[test]
fn high_004_b1_killed_and_taken_up_again_a_run_ends_as_one_never_killed() {
    let runs = size("SANDPAPER_RESTARTS", RESTARTS);
    let (kills, restarts) = (AtomicU64::new(0), AtomicU64::new(0));
    everywhere(
        runs,
        || ready(2),
        |folder, number| {
            let seed = 1 + number;
            let whole = never_killed(folder, seed);
            let fills = whole.1.fill_count() as usize;
            assert!(fills > 40, "a session that trades: {fills}");
            let mut processes = Vec::new();
            // Up to four kills in one run, each after some of what is left.
            for kill in 0..=number % 4 {
                let at = 1 + (number as usize * 37 + kill as usize * 11) % (fills / 4);
                let (shown, asked) = killed_at(folder, seed, at);
                kills.fetch_add(u64::from(asked), Ordering::Relaxed);
                processes.push(shown);
            }
            let told = ends_the_same(folder, seed, processes, &whole)
                .unwrap_or_else(|why| panic!("seed {seed}: {why}"));
            restarts.fetch_add(told, Ordering::Relaxed);
        },
    );
    let (kills, restarts) = (kills.into_inner(), restarts.into_inner());
    println!("{runs} runs, {kills} kills, {restarts} restarts: all end as if never killed");
    assert!(kills >= runs && restarts * 2 > kills, "{kills} kills, {restarts} restarts");
}

#[test]
fn b1_a_run_that_begins_anew_behind_a_kill_is_noticed() {
    let folder = ready(2);
    let whole = never_killed(&folder, 1);
    let (first, _) = killed_at(&folder, 1, 40);
    // The control: without its record nothing can go on.
    std::fs::remove_dir_all(folder.path("runs")).expect("removed");
    let why = ends_the_same(&folder, 1, vec![first], &whole).expect_err("shown twice");
    assert!(why.contains("shown twice"), "{why}");
}

/// A record that a kill left, with rubbish behind it.
fn cut_record(folder: &Folder) -> (Shown, PathBuf) {
    let (shown, asked) = killed_at(folder, 1, 90);
    assert!(asked, "it was killed on the way");
    let run = folder.runs().remove(0);
    let segment = repository::files(&run, ".journal").pop().expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("readable");
    // Half a record, as a power cut leaves it.
    bytes.extend([b'x'; 100]);
    std::fs::write(&segment, bytes).expect("written");
    (shown, run)
}

/// Copies what a folder of records holds.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn high_004_b3_killed_while_it_is_taken_up_and_again_it_ends_the_same() {
    if !strace::present() {
        return;
    }
    let folder = ready(2);
    let whole = never_killed(&folder, 1);
    let (first, run) = cut_record(&folder);
    let kept_aside = folder.path("aside");
    copy(&folder.path("runs"), &kept_aside);
    drop(run);
    // The calls at which it stands on the old record and makes it its own.
    let traced = strace::run(&folder, &[], &session(&folder, 1));
    assert_eq!(traced.code, Some(0), "{}", traced.stderr);
    forgive(&folder);
    let of_record = traced.threads[0].iter().filter(|call| call.is_of_the_record());
    let points: Vec<(String, usize)> =
        of_record.take(40).map(|call| (call.name.clone(), call.number)).collect();
    assert!(points.iter().any(|(name, _)| name == "ftruncate"), "the rubbish is cut off");
    let most = size("SANDPAPER_CRASH_POINTS", POINTS).min(points.len() as u64);
    let killed = AtomicU64::new(0);
    everywhere(
        most,
        || ready(2),
        |folder, index| {
            let _ = std::fs::remove_dir_all(folder.path("runs"));
            copy(&kept_aside, &folder.path("runs"));
            let mut processes = vec![first.clone()];
            // Once, and again while that is taken up, at other calls.
            for round in 0..3 {
                let at = (index as usize * points.len() / most as usize + round * 7) % points.len();
                let (name, number) = &points[at];
                let inject = format!("{name}:signal=SIGKILL:when={number}");
                let traced = strace::run(folder, &[inject], &session(folder, 1));
                killed.fetch_add(u64::from(traced.code.is_none()), Ordering::Relaxed);
                processes.push(shown_in(traced.stderr.lines()));
                forgive(folder);
                if traced.code.is_some() {
                    break;
                }
            }
            if Kept::read(&folder.runs()[0]).is_ok_and(|kept| kept.ended) {
                // The last one reached the end: another would begin anew.
                let _ = take_run(folder);
                return;
            }
            ends_the_same(folder, 1, processes, &whole)
                .unwrap_or_else(|why| panic!("{:?}: {why}", points[index as usize]));
        },
    );
    let killed = killed.into_inner();
    println!("killed {killed} times at {most} calls of a restart");
    assert!(killed >= most * 2, "{killed} kills at {most} points");
}
