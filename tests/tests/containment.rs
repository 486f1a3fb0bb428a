//! What a hostile file costs before it runs: compile bombs against the child
//! process that compiles them first, and children that misbehave themselves.

use std::fmt::Write as _;

use sandpaper::lockfile::{Approved, Candidate, CandidateError, Wasi, read_candidate, scan};
use sandpaper::sandbox::{Caps, LoadError, Module, Runtime, RuntimeOptions, VetLimits, Vetting};
use sandpaper_tests::{Folder, program, repository};

/// A strategy that does nothing, with these functions added.
fn with(functions: &str) -> Vec<u8> {
    let path = repository::root().join("tests/guests/well_behaved.wat");
    let source = std::fs::read_to_string(path).expect("a guest");
    let end = source.trim_end().len() - 1;
    wat::parse_str(format!("{}{functions})", &source[..end])).expect("wat")
}

fn repeated(part: &str, times: usize) -> String {
    part.repeat(times)
}

/// Live values in as many locals, each read after all were written.
fn locals(count: usize) -> String {
    let mut text = format!("(func (param i32) {}", repeated("(local i32)", count));
    for at in 1..=count {
        let _ = write!(text, "(local.set {at} (i32.load offset={} (local.get 0)))", at * 4);
    }
    for at in 1..=count {
        let _ = write!(text, "(local.set 0 (i32.xor (local.get 0) (local.get {at})))");
    }
    text + "(i32.store (i32.const 0) (local.get 0)))"
}

fn calls(count: usize) -> String {
    format!("(func $callee (param i32)) (func {})", repeated("(call $callee (i32.const 1))", count))
}

fn nested(count: usize) -> String {
    format!("(func {}{})", repeated("block ", count), repeated("end ", count))
}

/// Caps that let everything through, so that the child alone decides.
fn no_caps() -> Caps {
    let most = u32::MAX;
    Caps {
        file_bytes: 64 << 20,
        functions: most,
        body_bytes: most,
        locals: most,
        blocks: most,
        blocks_total: most,
        nesting: most,
        ..Caps::native()
    }
}

fn load(bytes: Vec<u8>, caps: &Caps, vetting: Vetting) -> Result<Module, LoadError> {
    let runtime = Runtime::new(RuntimeOptions::default()).expect("an engine").vetted(vetting);
    let approved = Approved::unsigned(Candidate::from_bytes(bytes, "bomb.wasm"), Wasi::Refused);
    Module::load(&runtime, &approved, caps)
}

fn child(limits: VetLimits) -> Vetting {
    Vetting::of(program::path(), &[], limits)
}

#[track_caller]
fn check_refused(loaded: Result<Module, LoadError>, message: &str) {
    let error = loaded.err().expect("refused").to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn crit_001_compile_bombs_are_refused_by_their_structure() {
    let bombs = [
        ("locals in a function", locals(5_000)),
        ("bytes in a function", calls(100_000)),
        ("functions, more than", repeated("(func)", 200_000)),
        ("nested blocks", nested(4_000)),
        ("blocks in a function", format!("(func {})", repeated("block end ", 6_000))),
        ("parameters of a function", format!("(func {})", repeated("(param i32)", 900))),
        (
            "targets of a branch table",
            format!("(func block i32.const 0 br_table {} end)", repeated("0 ", 40_000)),
        ),
    ];
    for (message, functions) in bombs {
        let bytes = with(&functions);
        check_refused(load(bytes, &Caps::native(), child(VetLimits::default())), message);
    }
}

/// With the caps out of the way the child's own limits hold, and are named.
#[test]
fn crit_001_compile_bombs_are_refused_within_the_childs_limits() {
    let little = VetLimits { cpu_s: 1, ..VetLimits::default() };
    check_refused(load(with(&calls(500_000)), &no_caps(), child(little)), "1 s of CPU time");
    let little = VetLimits { wall_ms: 200, ..VetLimits::default() };
    check_refused(load(with(&calls(500_000)), &no_caps(), child(little)), "more than 200 ms");
    let little = VetLimits { memory_bytes: 300 << 20, ..VetLimits::default() };
    check_refused(load(with(&calls(250_000)), &no_caps(), child(little)), "314572800 bytes");
    // The control: what is no bomb passes under the same caps and limits.
    assert!(load(with(""), &no_caps(), child(little)).is_ok());
    assert!(load(with(&locals(200)), &no_caps(), child(VetLimits::default())).is_ok());
}

#[test]
fn crit_001_a_child_that_does_not_answer_well_is_a_refusal() {
    let limits = VetLimits { wall_ms: 300, ..VetLimits::default() };
    let fake = |script: &str| Vetting::of("/bin/sh", &["-c", script], limits);
    let attempt = |script: &str| load(with(""), &Caps::native(), fake(script));
    check_refused(attempt("exec sleep 600"), "more than 300 ms");
    check_refused(attempt("exit 0"), "no answer");
    check_refused(attempt("echo ok"), "no answer");
    check_refused(attempt("kill -ABRT $$"), "2147483648 bytes");
    check_refused(attempt("kill -XCPU $$"), "30 s of CPU time");
    check_refused(attempt("exec yes"), "more than 65536 bytes");
    let other = "0".repeat(64);
    let line = format!("echo '{{\"sha256\":\"{other}\",\"refused\":null}}'");
    check_refused(attempt(&line), "compiled other bytes");
    check_refused(
        load(with(""), &Caps::native(), Vetting::of("/nowhere/at/all", &[], limits)),
        "no child process",
    );
}

#[test]
fn crit_001_a_proof_is_made_once_and_believed_only_when_it_is_ours() {
    let folder = Folder::new();
    folder.write("strategies/quiet.wasm", with(""));
    let proofs = || -> Vec<std::path::PathBuf> {
        let found = std::fs::read_dir(folder.path(".state/sandpaper")).expect("a private folder");
        let paths = found.flatten().map(|file| file.path());
        paths.filter(|path| path.extension().is_some_and(|end| end == "proof")).collect()
    };
    folder.run(&["allow", "strategies/quiet.wasm", "--yes"]).expect(0);
    // It is never called, which `check` finds.
    let [proof] = &proofs()[..] else { panic!("{:?}", proofs()) };
    let first = std::fs::read(proof).expect("a proof");
    folder.run(&["check", "strategies/quiet.wasm"]).expect(7);
    assert_eq!(std::fs::read(proof).expect("a proof"), first);
    // Another limit is another question.
    folder.run(&["check", "strategies/quiet.wasm", "--set", "sandbox.compile_cpu_s=29"]).expect(7);
    assert_eq!(proofs().len(), 2);
    // A forged proof is worth nothing: the child is asked again, and refuses.
    let impossible = ["check", "strategies/quiet.wasm", "--set", "sandbox.compile_memory=256MiB"];
    folder.run(&impossible).expect(7);
    for path in proofs() {
        std::fs::write(&path, "forged\ncompile_ok\n").expect("written");
    }
    folder.run(&["check", "strategies/quiet.wasm"]).expect(7);
    assert_eq!(std::fs::read(proof).expect("a proof"), first, "made anew");
}

/// What was compiled is kept in the private folder, and a run that finds something else
/// there is the same run.
#[test]
fn crit_001_compiled_code_is_kept_and_believed_only_when_it_is_ours() {
    let folder = Folder::new();
    folder.write("strategies/quiet.wasm", with(""));
    folder.run(&["allow", "strategies/quiet.wasm", "--yes"]).expect(0);
    let chain = |more: &[&str]| {
        let run = ["run", "--fresh", "--duration", "2s", "--set", "feed.sim.speed=0", "--json"];
        let finished = folder.run(&[&run[..], more].concat()).expect(0);
        let told: serde_json::Value = serde_json::from_str(&finished.stdout).expect("a result");
        (told["strategies"][0]["chain"].as_str().expect("a chain").to_owned(), finished.stderr)
    };
    let code = || -> Vec<std::path::PathBuf> {
        let found = std::fs::read_dir(folder.path(".state/sandpaper/code")).expect("a folder");
        found.flatten().map(|file| file.path()).collect()
    };
    let (first, _) = chain(&[]);
    let [kept] = &code()[..] else { panic!("{:?}", code()) };
    let sound = std::fs::read(kept).expect("code");
    assert_eq!(chain(&[]).0, first);
    let mut forged = sound.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    std::fs::write(kept, &forged).expect("written");
    let (same, said) = chain(&[]);
    assert!(said.contains("compiling again"), "{said}");
    assert_eq!(same, first);
    assert_eq!(std::fs::read(kept).expect("code"), sound, "made anew");
    // Whoever wants none has none.
    std::fs::remove_file(kept).expect("removed");
    assert_eq!(chain(&["--set", "sandbox.code_cache=0B"]).0, first);
    assert!(code().is_empty(), "{:?}", code());
}

#[test]
fn crit_001_private_state_that_others_may_enter_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    folder.write("strategies/quiet.wasm", with(""));
    folder.run(&["allow", "strategies/quiet.wasm", "--yes"]).expect(0);
    let state = folder.path(".state/sandpaper");
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).expect("changed");
    let refused = folder.run(&["run", "--duration", "1s"]).expect(1);
    assert!(refused.stderr.contains("others may read or write it"), "{}", refused.stderr);
}

#[test]
fn crit_001_a_sparse_file_is_not_read() {
    let folder = Folder::new();
    let path = folder.write("strategies/x.wasm", "");
    std::fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_len(500 << 20))
        .expect("a sparse file");
    let refused = read_candidate(&path, 4 << 20);
    assert!(matches!(refused, Err(CandidateError::TooLarge { size, .. }) if size == 500 << 20));
}

#[test]
fn crit_001_a_folder_of_too_many_files_is_refused() {
    let folder = Folder::new();
    for number in 0..=1_000 {
        folder.write(&format!("strategies/{number}.wasm"), "");
    }
    let refused = scan(&folder.path("strategies"));
    assert!(matches!(refused, Err(CandidateError::TooMany { .. })));
    std::fs::remove_file(folder.path("strategies/0.wasm")).expect("removed");
    assert_eq!(scan(&folder.path("strategies")).expect("a thousand").len(), 1_000);
}

/// Whoever holds the key decides what counts: without its signature nothing runs.
#[test]
#[allow(clippy::print_stderr, reason = "a skipped test must say so")]
fn crit_001_an_unsigned_lock_file_allows_nothing_where_a_key_is_set() {
    let made = std::process::Command::new("minisign").arg("-v").output();
    if made.is_err() {
        eprintln!("skipped: minisign is not installed");
        return;
    }
    let folder = Folder::new();
    let minisign = |arguments: &[&str]| {
        let status = std::process::Command::new("minisign")
            .args(arguments)
            .current_dir(folder.path(""))
            .output()
            .expect("minisign");
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    };
    let key = |name: &str| {
        let (public, secret) = (format!("{name}.pub"), format!("{name}.key"));
        minisign(&["-G", "-W", "-f", "-p", &public, "-s", &secret]);
        let text = std::fs::read_to_string(folder.path(&public)).expect("a key");
        text.lines().nth(1).expect("two lines").to_owned()
    };
    let (ours, _) = (key("ours"), key("theirs"));
    let set = format!("strategies.public_key={ours}");
    let run = |arguments: &[&str], code: i32| {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--set", &set]);
        folder.run(&arguments).expect(code).stderr
    };
    let sign = |name: &str| {
        minisign(&["-S", "-s", &format!("{name}.key"), "-m", "strategies.lock"]);
    };
    const RUN: [&str; 5] = ["run", "--duration", "1s", "--set", "feed.sim.speed=0"];
    folder.write("strategies/quiet.wasm", with(""));
    let told = run(&["allow", "strategies/quiet.wasm", "--yes"], 0);
    assert!(told.contains("minisign -S"), "{told}");

    assert!(run(&RUN, 4).contains("there is no"), "unsigned");
    sign("theirs");
    assert!(run(&RUN, 4).contains("not signed by strategies.public_key"), "another key");
    sign("ours");
    run(&RUN, 0);
    let signature = std::fs::read_to_string(folder.path("strategies.lock.minisig")).expect("one");
    // Not one byte of the signature, nor of its comment, is free to change, but
    // for the first line, which is nobody's.
    let comment = signature.replace("trusted comment: ", "trusted comment: x");
    for changed in [&comment, &signature[..signature.len() / 2], ""] {
        folder.write("strategies.lock.minisig", changed);
        run(&RUN, 4);
    }
    folder.write("strategies.lock.minisig", &signature);
    run(&RUN, 0);
    // A changed file needs a new signature, and an old one with its own signature
    // is an older file.
    let old = std::fs::read(folder.path("strategies.lock")).expect("a file");
    let other = format!("sha256:{}", "ab".repeat(32));
    run(&["deny", &other], 0);
    assert!(run(&RUN, 4).contains("not signed"));
    sign("ours");
    run(&RUN, 0);
    folder.write("strategies.lock", old);
    folder.write("strategies.lock.minisig", &signature);
    assert!(run(&RUN, 8).contains("is not the newest"));
    // A key that is none is an error of the configuration.
    folder.run(&["run", "--set", "strategies.public_key=RWxyz"]).expect(3);
}

#[test]
fn crit_001_a_lock_file_in_the_strategies_folder_is_refused() {
    let folder = Folder::new();
    folder.write("strategies/quiet.wasm", with(""));
    // By another way into the folder than its name.
    std::os::unix::fs::symlink("strategies", folder.path("elsewhere")).expect("linked");
    let set = "strategies.lock=elsewhere/strategies.lock";
    let refused = folder.run(&["allow", "strategies/quiet.wasm", "--yes", "--set", set]).expect(3);
    assert!(refused.stderr.contains("lies in the strategies folder"), "{}", refused.stderr);
}

#[test]
fn crit_001_allow_says_what_changed() {
    let folder = Folder::new();
    let path = folder.write("strategies/quiet.wasm", with(""));
    folder.run(&["allow", "strategies/quiet.wasm", "--yes"]).expect(0);
    let source = "tests/guests/orders_then_returns.wat";
    let text = std::fs::read_to_string(repository::root().join(source)).expect("a guest");
    std::fs::write(&path, wat::parse_str(text).expect("wat")).expect("written");
    let told =
        folder.run(&["allow", "strategies/quiet.wasm", "--yes", "--expires", "9d"]).expect(0);
    for words in ["imports also sandpaper:strategy/trading", "size ", "expires never -> ", " was "]
    {
        assert!(told.stderr.contains(words), "{words}: {}", told.stderr);
    }
}
