//! The real program, killed or failed at single system calls.

use super::strace::{Call, Traced};
use super::*;

/// How many points of a session are hit; `make crash` hits all.
const POINTS: u64 = 24;

/// A session of some hundred fills that makes the same calls every time.
fn session(folder: &Folder) -> Vec<String> {
    trading(folder, "0", &[&NO_LOGS[..], &CALM, &["--duration", "1h"]].concat())
}

/// A folder in which the modules are known: the first run of one makes other calls
/// than those behind it.
fn warm(strategies: usize) -> Folder {
    let folder = ready(strategies);
    let first = trading(&folder, "0", &["--no-record", "--duration", "1s", "--set", NO_LOGS[1]]);
    folder.run(&strs(&first)).expect(0);
    folder
}

/// One that takes a second.
fn paced(folder: &Folder) -> Vec<String> {
    trading(folder, "12", &[&NO_LOGS[..], &["--duration", "12s"]].concat())
}

/// The calls of a session that are about the record, spread evenly when there are
/// more than wanted.
fn points(calls: &[Call], names: &[&str], most: u64) -> Vec<(String, usize)> {
    let all: Vec<_> = calls
        .iter()
        .filter(|call| call.is_of_the_record() && names.contains(&call.name.as_str()))
        .map(|call| (call.name.clone(), call.number))
        .collect();
    let step = all.len().div_ceil(usize::try_from(most).unwrap_or(usize::MAX)).max(1);
    all.into_iter().step_by(step).collect()
}

fn shown(traced: &Traced) -> Shown {
    shown_in(traced.stderr.lines())
}

/// All that was shown is in the record; without one, nothing was shown.
fn prove_all(folder: &Folder, shown: &Shown, what: &str) {
    let Some(run) = take_run(folder) else {
        assert_eq!(count(shown), 0, "{what}: shown without a record");
        return;
    };
    let begun = Kept::read(&run).is_ok_and(|kept| kept.strategies > 0);
    if !begun && count(shown) == 0 {
        // Nothing was decided yet.
        return;
    }
    prove(folder, &run, shown).unwrap_or_else(|why| panic!("{what}: {why}"));
}

#[test]
fn b2_killed_at_a_system_call_nothing_shown_is_lost() {
    if !strace::present() {
        return;
    }
    let folder = warm(2);
    let whole = strace::run(&folder, &[], &session(&folder));
    assert_eq!(whole.code, Some(0), "{}", whole.stderr);
    assert!(count(&shown(&whole)) > 100, "a session that trades: {}", count(&shown(&whole)));
    let most = size("SANDPAPER_CRASH_POINTS", POINTS);
    let names = ["openat", "write", "fdatasync", "fsync", "mkdir", "flock", "close"];
    let points = points(&whole.threads[0], &names, most);
    let hits = AtomicU64::new(0);
    everywhere(
        points.len() as u64,
        || warm(2),
        |folder, index| {
            let (name, number) = &points[index as usize];
            let what = format!("{name} {number}");
            let inject = format!("{name}:signal=SIGKILL:when={number}");
            let traced = strace::run(folder, &[inject], &session(folder));
            assert!(traced.code.is_none(), "{what}: it was killed");
            let last = traced.threads[0].last();
            hits.fetch_add(u64::from(last.is_some_and(Call::is_of_the_record)), Ordering::Relaxed);
            prove_all(folder, &shown(&traced), &what);
        },
    );
    let hits = hits.into_inner();
    println!("killed at {} calls, {hits} of them at the record's files", points.len());
    assert!(hits * 2 > points.len() as u64, "{hits} of {} hit the record", points.len());
}

#[test]
fn b5_whatever_fails_of_the_record_ends_the_run_with_one_error() {
    if !strace::present() {
        return;
    }
    let folder = warm(2);
    let whole = strace::run(&folder, &[], &session(&folder));
    assert_eq!(whole.code, Some(0), "the control: without a fault it ends well");
    prove_all(&folder, &shown(&whole), "whole");
    let mut faults = Vec::new();
    let most = size("SANDPAPER_CRASH_POINTS", POINTS).div_ceil(8);
    for (name, errors) in [
        ("write", &["ENOSPC", "EIO", "EFBIG", "EDQUOT"][..]),
        ("fdatasync", &["EIO", "ENOSPC", "EDQUOT"]),
        ("fsync", &["EIO"]),
        ("openat", &["ENOSPC", "EMFILE"]),
        ("mkdir", &["ENOSPC", "EROFS"]),
    ] {
        for (index, (_, number)) in points(&whole.threads[0], &[name], most).iter().enumerate() {
            let error = errors[index % errors.len()];
            let more = if index % 2 == 0 { "" } else { "+" };
            faults.push(format!("{name}:error={error}:when={number}{more}"));
        }
    }
    let hits = AtomicU64::new(0);
    everywhere(
        faults.len() as u64,
        || warm(2),
        |folder, index| {
            let fault = &faults[index as usize];
            let traced = strace::run(folder, std::slice::from_ref(fault), &session(folder));
            let hit = traced.threads[0].iter().find(|call| call.was_hit());
            if hit.is_some_and(Call::is_of_the_record) {
                hits.fetch_add(1, Ordering::Relaxed);
                let told =
                    |line: &&str| line.starts_with("error: ") && line.contains("cannot be kept");
                let errors = traced.stderr.lines().filter(told).count();
                // What fails for ever may take the words with it.
                let mute = fault.starts_with("write") && fault.ends_with('+');
                assert_eq!(traced.code, Some(1), "{fault}: {}", traced.stderr);
                assert!(traced.stdout.is_empty(), "{fault}: no result stands");
                assert!(mute || errors == 1, "{fault}: {}", traced.stderr);
            }
            if hit.is_some_and(|call| !call.is_of_the_record()) {
                // It met the log instead, and took words with it.
                return prove_all(folder, &Shown::new(), fault);
            }
            prove_all(folder, &shown(&traced), fault);
            let images = power::losses(&traced.threads[0], false, 20, index);
            assert_eq!(images.lost, 0, "{fault}: shown and not durable");
        },
    );
    let hits = hits.into_inner();
    println!("{} faults, {hits} of them at the record's files", faults.len());
    assert!(hits * 2 > faults.len() as u64);
}

#[test]
fn b5_a_write_that_is_interrupted_is_done_all_the_same() {
    if !strace::present() {
        return;
    }
    let folder = warm(2);
    let whole = strace::run(&folder, &[], &session(&folder));
    let mut hits = 0;
    for (name, number) in points(&whole.threads[0], &["write"], 4) {
        let _ = take_run(&folder);
        let inject = format!("{name}:error=EINTR:when={number}");
        let traced = strace::run(&folder, &[inject], &session(&folder));
        if traced.threads[0].iter().any(|call| call.was_hit() && call.is_of_the_record()) {
            hits += 1;
            assert_eq!(traced.code, Some(0), "{}", traced.stderr);
            assert_eq!(shown(&traced), shown(&whole), "and nothing else differs");
        }
        prove_all(&folder, &shown(&traced), "interrupted");
    }
    assert!(hits > 0, "the control: the record's writes are interrupted");
}

#[test]
fn b5_a_limit_of_the_files_size_is_an_ordinary_error() {
    let folder = ready(2);
    let arguments = paced(&folder);
    let limited = |blocks: &str| {
        let program = folder.command(&strs(&arguments));
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
        shell.arg(program.get_program()).args(program.get_args()).env_clear();
        shell.envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let folder = program.get_current_dir().expect("a folder");
        shell.current_dir(folder).output().expect("a shell")
    };
    let ended = limited("60");
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "no signal ended it: {text}");
    assert!(text.contains("File too large"), "{text}");
    assert!(ended.stdout.is_empty());
    // The write that met the limit was short: its bytes are a torn tail.
    assert!(count(&shown_in(text.lines())) > 0);
    prove_all(&folder, &shown_in(text.lines()), "limited");
    let ended = limited("unlimited");
    assert!(ended.status.success(), "the control: without the limit it ends well");
}

#[test]
fn b12_while_a_sync_stalls_nothing_is_shown_and_the_run_goes_on() {
    if !strace::present() {
        return;
    }
    let folder = ready(1);
    let seconds = if size("SANDPAPER_CRASH_POINTS", POINTS) > POINTS { 5 } else { 1 };
    let inject = format!("fdatasync:delay_enter={}:when=12", seconds * 1_000_000);
    let traced = strace::run(&folder, &[inject], &paced(&folder));
    assert_eq!(traced.code, Some(0), "{}", traced.stderr);
    let stamps: Vec<jiff::Timestamp> = traced
        .stderr
        .lines()
        .filter(|line| shown_fill(line).is_some())
        .filter_map(|line| {
            serde_json::from_str::<Value>(line).ok()?["timestamp"].as_str()?.parse().ok()
        })
        .collect();
    let pauses = stamps.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_millis());
    let longest = pauses.max().unwrap_or_default();
    assert!(longest >= seconds * 1_000, "the stall is seen: {longest} ms");
    prove_all(&folder, &shown(&traced), "stalled");
}

#[test]
fn a_record_that_is_removed_on_the_way_ends_the_run() {
    let folder = ready(1);
    let arguments = trading(&folder, "20", &NO_LOGS);
    let (mut child, log) = start(&folder, &arguments);
    let (shown, text) = read_log(log, 3, || {
        folder.runs().iter().for_each(|run| std::fs::remove_dir_all(run).expect("removed"));
    });
    assert_eq!(child.wait().expect("it ends").code(), Some(1), "{text}");
    assert!(text.contains("was removed"), "{text}");
    assert!(count(&shown) >= 3);
}

#[test]
fn a_folder_in_which_nothing_can_be_kept_is_one_error_before_anything_is_traded() {
    let folder = ready(1);
    folder.write("taken", "a file");
    for place in ["taken", "taken/runs", "/proc/nowhere"] {
        let setting = format!("record.dir={place}");
        let arguments = trading(&folder, "0", &[&NO_LOGS[..], &["--set", &setting]].concat());
        let finished = folder.run(&strs(&arguments)).expect(1);
        assert!(finished.stderr.contains("cannot be kept in"), "{}", finished.stderr);
        assert_eq!(count(&shown_in(finished.stderr.lines())), 0);
    }
}
