//! The record of a run: kept, proved, and whole whatever happens to the program.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use sandpaper::config::{Config, Sources};
use sandpaper::journal::{
    Decision, HEADER_LEN, Kind, Manifest, Outputs, Record, Scanner, decode, encode,
};
use sandpaper::recorder;
use sandpaper_tests::{Finished, Folder, repository};
use serde_json::Value;

/// A lively market as fast as it goes.
const LIVELY: &[&str] = &["--set", "feed.sim.speed=0", "--set", "feed.sim.volatility=2"];

fn ready() -> Option<Folder> {
    let folder = Folder::new();
    folder.allow_guest("market-making", "mm")?;
    Some(folder)
}

fn verify(folder: &Folder, run: &std::path::Path, more: &[&str], code: i32) -> Value {
    let run = run.to_str().expect("a plain path");
    let arguments = [&["verify", run, "--json"], more].concat();
    let finished = folder.run(&arguments).expect(code);
    serde_json::from_str(&finished.stdout).expect("JSON")
}

#[test]
fn a_run_is_proved_by_its_record() {
    let Some(folder) = ready() else { return };
    let arguments = [&["run", "--duration", "10m", "--json"], LIVELY].concat();
    let finished = folder.run(&arguments).expect(0);
    let result: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    let verified = verify(&folder, &folder.only_run(), &[], 0);
    assert_eq!(verified["schema"], "sandpaper.verify/1");
    assert_eq!(verified["status"], "ended");
    assert_eq!(verified["events"], result["events"]);
    assert_eq!(verified["fills"], result["strategies"][0]["fills"]);
    assert!(verified["fills"].as_u64() > Some(10), "{verified}");
}

#[test]
fn no_record_is_kept_where_none_is_wanted() {
    let Some(folder) = ready() else { return };
    let arguments = [&["run", "--duration", "1s", "--no-record"], LIVELY].concat();
    folder.run(&arguments).expect(0);
    assert!(!folder.path("runs").exists());
}

#[test]
fn a_record_that_tells_of_other_modules_is_not_proved_by_these() {
    let Some(folder) = ready() else { return };
    let arguments = [&["run", "--duration", "1s"], LIVELY].concat();
    folder.run(&arguments).expect(0);
    let run = folder.only_run();
    fs::remove_file(folder.path("strategies/mm.wasm")).expect("removed");
    // Its modules lie beside it, under their hashes, and under no other.
    verify(&folder, &run, &[], 0);
    let kept = fs::read_dir(run.join("modules")).expect("a folder").flatten().next().expect("one");
    let whole = fs::read(kept.path()).expect("readable");
    fs::write(kept.path(), b"something else").expect("written");
    let run = run.to_str().expect("a plain path");
    let lost = folder.run(&["verify", run]).expect(4);
    assert!(lost.stderr.contains("is nowhere to be found"), "{}", lost.stderr);
    fs::write(kept.path(), whole).expect("written");
    // What was denied is not run again.
    folder.run(&["deny", "mm"]).expect(0);
    let denied = folder.run(&["verify", run]).expect(4);
    assert!(denied.stderr.contains("was denied"), "{}", denied.stderr);
    folder.run(&["verify", "strategies"]).expect(8);
}

#[test]
fn b7_a_damaged_record_is_found_by_its_own_code() {
    let Some(folder) = ready() else { return };
    let arguments = [&["run", "--duration", "2m"], LIVELY].concat();
    folder.run(&arguments).expect(0);
    let run = folder.only_run();
    let segment = run.join("00000001.journal");
    let whole = fs::read(&segment).expect("readable");
    for at in [70, whole.len() / 2, whole.len() - 70, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        fs::write(&segment, flipped).expect("written");
        let verified = folder.run(&["verify", run.to_str().expect("plain"), "--json"]);
        // The last record tells that those before it are durable, and nothing
        // else: without it the run has ended all the same.
        let torn = at == whole.len() - 1;
        assert_eq!(verified.code, Some(if torn { 0 } else { 8 }), "byte {at}");
        assert!(!torn || verified.stdout.contains("\"status\":\"ended\""), "{}", verified.stdout);
        assert!(!torn || verified.stdout.contains("checksum"), "{}", verified.stdout);
    }
}

#[test]
fn b10_a_second_run_on_the_same_folder_is_refused() {
    let Some(folder) = ready() else { return };
    let mut first = folder
        .command(&["run", "--set", "log.files.enabled=false"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut log = BufReader::new(first.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("the record is kept in") {
        line.clear();
        assert!(log.read_line(&mut line).expect("a log") > 0, "it ended early");
    }
    let second = folder.run(&["run", "--duration", "1s"]).expect(1);
    assert!(second.stderr.contains("another run keeps its record"), "{}", second.stderr);
    first.kill().expect("killed");
    first.wait().expect("it ends");
    // The lock went with the process.
    let arguments = [&["run", "--fresh", "--duration", "1s"], LIVELY].concat();
    folder.run(&arguments).expect(0);
}

/// Changes a record's records and makes its checks and its chain anew, as whoever can
/// write the file could.
fn forge(run: &std::path::Path, edit: impl FnOnce(&mut Vec<Record>)) {
    let path = run.join("00000001.journal");
    let bytes = fs::read(&path).expect("readable");
    let mut records = Vec::new();
    Scanner::default().segment(&bytes, true, |record| records.push(record)).expect("sound");
    edit(&mut records);
    let (mut forged, mut chain) = (bytes[..HEADER_LEN].to_vec(), [0; 16]);
    for (seq, record) in (1..).zip(&mut records) {
        record.seq = seq;
        chain = record.write(1, chain, &mut forged);
    }
    fs::write(path, forged).expect("written");
}

/// A record of outputs that holds fills, and where it stands.
fn outputs(records: &[Record]) -> (usize, Outputs) {
    let told = |record: &Record| {
        let outputs: Outputs = decode(&record.payload).ok()?;
        let fill = |one: &(u16, _, Decision)| matches!(one.2, Decision::Fill { .. });
        outputs.decisions.iter().any(fill).then_some(outputs)
    };
    let found = |(at, record): (usize, &Record)| {
        (record.kind == Kind::Outputs).then(|| told(record)).flatten().map(|found| (at, found))
    };
    records.iter().enumerate().find_map(found).expect("fills")
}

#[test]
fn decisions_that_nothing_brought_are_found_whoever_wrote_them() {
    let Some(folder) = ready() else { return };
    let arguments = [&["run", "--duration", "5m"], LIVELY].concat();
    folder.run(&arguments).expect(0);
    let run = folder.only_run();
    let segment = run.join("00000001.journal");
    let whole = fs::read(&segment).expect("readable");
    type Edit = fn(&mut Vec<Record>);
    let forgeries: [(&str, Edit); 5] = [
        ("nothing brought", |records| {
            let (at, _) = outputs(records);
            records.insert(at + 1, records[at].clone());
        }),
        ("nothing brought", |records| {
            let (at, _) = outputs(records);
            let last = Record { flags: Record::LAST, ..records[at].clone() };
            let end = records.iter().position(|one| one.kind == Kind::Ended).expect("an end");
            records.insert(end, last.clone());
            records.insert(end, last);
        }),
        ("did not run", |records| {
            let (at, mut told) = outputs(records);
            told.decisions.extend(told.decisions.first().cloned().map(|one| (99, one.1, one.2)));
            records[at].payload = encode(&told).expect("small");
        }),
        ("a replay fill", |records| {
            let (at, mut told) = outputs(records);
            told.decisions.retain(|one| !matches!(one.2, Decision::Fill { .. }));
            records[at].payload = encode(&told).expect("small");
        }),
        ("a replay", |records| {
            let (at, mut told) = outputs(records);
            for (_, _, decision) in &mut told.decisions {
                if let Decision::Fill { fill, .. } = decision {
                    fill.amount.0 += 1;
                }
            }
            records[at].payload = encode(&told).expect("small");
        }),
    ];
    for (number, (what, edit)) in forgeries.into_iter().enumerate() {
        fs::write(&segment, &whole).expect("written");
        forge(&run, edit);
        let verified = verify(&folder, &run, &[], 7);
        let told = verified["findings"].to_string();
        assert!(told.contains(what), "forgery {number}: {told}");
    }
    fs::write(&segment, &whole).expect("written");
    forge(&run, |_| ());
    assert_eq!(fs::read(&segment).expect("readable"), whole, "the control: the same checks");
    verify(&folder, &run, &[], 0);
}

#[test]
fn a_run_without_history_is_proved_too() {
    let Some(folder) = ready() else { return };
    let none = ["--set", "feed.sim.warm_up_candles=0", "--set", "feed.sim.speed=20"];
    folder.run(&[&["run", "--duration", "20s"], &none[..]].concat()).expect(0);
    verify(&folder, &folder.only_run(), &[], 0);
}

#[test]
fn a_run_that_cannot_begin_leaves_no_folder() {
    let Some(folder) = ready() else { return };
    folder.run(&["run", "--duration", "1s", "--symbols", "NO/SUCH"]).expect(6);
    assert!(folder.runs().is_empty());
}

#[test]
fn x_ver_the_record_names_the_runtime_that_is_built_in() {
    let lock = fs::read_to_string(repository::root().join("Cargo.lock")).expect("readable");
    let runtime =
        format!("name = \"wasmtime\"\nversion = \"{}\"", sandpaper::sandbox::RUNTIME_VERSION);
    assert!(lock.contains(&runtime), "{runtime}");
}

#[test]
fn a_strategy_that_reads_ahead_in_its_batch_is_found_out() {
    let folder = Folder::new();
    let text = repository::root().join("tests/guests/reads_ahead.wat");
    folder.write("ahead.wasm", wat::parse_file(&text).expect("a module"));
    let run = ["run", "--duration", "5m", "--symbols", "XRP/USD", "--wasm", "ahead.wasm"];
    let in_batches = [&run[..], &["--unsigned"], LIVELY].concat();
    folder.run(&in_batches).expect(0);
    let record = folder.only_run();
    let verified = verify(&folder, &record, &["--unsigned"], 7);
    let finding = &verified["findings"][0];
    assert_eq!(finding["strategy"], "ahead", "{verified}");
    assert!(finding["what"].to_string().contains("reads ahead"), "{verified}");
    assert!(finding["record"].as_u64() > Some(1), "{verified}");
    // The control: called with one event at a time, it cannot.
    fs::remove_dir_all(&record).expect("removed");
    folder.run(&[&in_batches[..], &["--strict", "--record", "x.tape"]].concat()).expect(0);
    verify(&folder, &folder.only_run(), &["--unsigned"], 0);
    // A replay in batches is misled as the run was, and a strict one is not.
    let chain = |more: &[&str]| {
        let replay = ["replay", "x.tape", "--wasm", "ahead.wasm", "--unsigned", "--json"];
        let told = folder.run(&[&replay[..], more].concat()).expect(0).stdout;
        let told: Value = serde_json::from_str(&told).expect("JSON");
        told["strategies"][0]["chain"].clone()
    };
    let strict = ["replay", "x.tape", "--wasm", "ahead.wasm", "--unsigned", "--json", "--strict"];
    let told = folder.run(&strict).expect(7);
    assert!(told.stderr.contains("ahead reads ahead"), "{}", told.stderr);
    let told: Value = serde_json::from_str(&told.stdout).expect("JSON");
    assert_eq!(told["reads_ahead"], serde_json::json!(["ahead"]));
    assert_ne!(chain(&[]), told["strategies"][0]["chain"]);
    assert_eq!(chain(&["--set", "engine.batch=1"]), told["strategies"][0]["chain"]);
    // `check` has a market of its own, and finds it there too.
    let checked = folder.run(&["check", "ahead.wasm"]).expect(7);
    assert!(checked.stdout.contains("FAIL batches"), "{}", checked.stdout);
    // The control: who does the same with its own event alone.
    let text = fs::read_to_string(text).expect("a guest");
    let own = text.replace("offset=16", "offset=24").replace("offset=56", "offset=16");
    let own = own.replace("(i32.const 10)", "(i32.const 5)");
    folder.write("ahead.wasm", wat::parse_str(own).expect("a module"));
    let told = folder.run(&strict).expect(0);
    let told: Value = serde_json::from_str(&told.stdout).expect("JSON");
    assert_eq!(told["reads_ahead"], serde_json::json!([]));
    let checked = folder.run(&["check", "ahead.wasm"]).expect(0);
    assert!(checked.stdout.contains("ok   batches"), "{}", checked.stdout);
}

/// What the dashboard shows of a run that is over is compared with it, and an end that
/// is told of and not there is a loss, wherever the record was cut.
#[test]
fn b7_a_result_that_the_record_does_not_have_is_found() {
    let Some(folder) = ready() else { return };
    let again = [&["run", "--duration", "10m", "--json"], LIVELY].concat();
    folder.run(&again).expect(0);
    let run = folder.only_run();
    let (result, record) = (run.join("result.json"), run.join("00000001.journal"));
    let (told, whole) = (fs::read_to_string(&result), fs::read(&record));
    let (told, whole) = (told.expect("a result"), whole.expect("a record"));
    let verified = verify(&folder, &run, &[], 0);
    assert!(verified["fills"].as_u64() > Some(0), "{verified}");
    // Another equity than the replay's, and another that is as good.
    let mut lie: Value = serde_json::from_str(&told).expect("JSON");
    lie["strategies"][0]["equity"] = "1000000.00".into();
    fs::write(&result, lie.to_string()).expect("written");
    let verified = verify(&folder, &run, &[], 7);
    assert!(verified["findings"].to_string().contains("result.json"), "{verified}");
    let same: Value = serde_json::from_str(&told).expect("JSON");
    fs::write(&result, same.to_string()).expect("written");
    verify(&folder, &run, &[], 0);
    // Cut after each of some records: the end is gone, and with it what followed.
    for part in [3, 5, 9] {
        fs::write(&record, &whole[..whole.len() * part / 10]).expect("cut");
        let verified = verify(&folder, &run, &[], 8);
        assert!(verified["damage"].to_string().contains("result.json"), "{verified}");
        // Nor is it another run for lying elsewhere.
        let moved = folder.path("moved");
        fs::rename(&run, &moved).expect("moved");
        verify(&folder, &moved, &[], 8);
        fs::rename(&moved, &run).expect("moved back");
    }
    // Nor does a run go on behind it. The control: what says that it is still on.
    let refused = folder.run(&again).expect(8);
    assert!(refused.stderr.contains("result.json"), "{}", refused.stderr);
    fs::write(&result, told.replacen("\"ended\"", "\"running\"", 1)).expect("written");
    verify(&folder, &run, &[], 0);
    folder.run(&again).expect(0);
    verify(&folder, &run, &[], 0);
}

/// A record is a stranger's word: it does not let its modules run here.
#[test]
fn crit_001_a_record_gives_no_permission() {
    let Some(module) = repository::guest("market-making") else { return };
    let folder = Folder::new();
    folder.write("mm.wasm", fs::read(module).expect("readable"));
    let run = ["run", "--wasm", "mm.wasm", "--unsigned", "--duration", "5s"];
    folder.run(&[&run[..], LIVELY].concat()).expect(0);
    let run = folder.only_run();
    let path = run.to_str().expect("a plain path");
    let refused = folder.run(&["verify", path]).expect(4);
    assert!(refused.stderr.contains("--unsigned"), "{}", refused.stderr);
    // The control: who says so in so many words may, and the result says it too.
    assert_eq!(verify(&folder, &run, &["--unsigned"], 0)["unsigned"], serde_json::json!(["mm"]));
    let shown = folder.run(&["verify", path, "--unsigned"]).expect(0);
    assert!(shown.stdout.contains("UNSIGNED"), "{}", shown.stdout);
    // Denied is denied.
    folder.run(&["deny", "mm.wasm"]).expect(0);
    folder.run(&["verify", path, "--unsigned"]).expect(4);
}

/// Fuel is granted for a call, and so a batch may do what single events may not. The
/// record tells where, and is proved all the same.
#[test]
fn crit_003_a_run_whose_batches_shared_fuel_is_proved() {
    // Takes all events of a call, and uses at its first what six of them may.
    let first = r#"(global $late (mut i32) (i32.const 0))
        (func (export "handle") (param i32) (param $count i32) (result i32)
            (local $i i32) (local.set $i (i32.const 60000))
            (if (i32.eqz (global.get $late)) (then (loop $more
                (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))))
            (global.set $late (i32.const 1))
            (i32.div_u (local.get $count) (i32.const 5)))"#;
    let folder = Folder::new();
    folder.write("strategies/spiky.wasm", guest(&[(HANDLE, first)]));
    folder.run(&["allow", "strategies/spiky.wasm", "--yes"]).expect(0);
    let little = ["--set", "sandbox.fuel_per_event=50000", "--json"];
    let state = |finished: Finished| {
        let told: Value = serde_json::from_str(&finished.expect(0).stdout).expect("JSON");
        told["strategies"][0]["state"].clone()
    };
    let run = ["run", "--duration", "60s", "--record", "x.tape"];
    assert_eq!(state(folder.run(&[&run[..], LIVELY, &little].concat())), "stopped");
    let verified = verify(&folder, &folder.only_run(), &[], 0);
    assert_eq!(verified["told"], 1, "{verified}");
    // The control: one event a call without being told ends otherwise.
    let strict = ["replay", "x.tape", "--strict"];
    assert_eq!(state(folder.run(&[&strict[..], &little].concat())), "quarantined");
}

/// The handler of the guest that does nothing.
const HANDLE: &str = "(func (export \"handle\") (param $words i32) (param $count i32) (result i32)
    i32.const 1)";

/// The guest that does nothing, told of trades, with these parts in others' places.
fn guest(parts: &[(&str, &str)]) -> Vec<u8> {
    let path = repository::root().join("tests/guests/well_behaved.wat");
    let mut text = fs::read_to_string(path).expect("a guest");
    let trades = r#"(data (i32.const 1048) "\b8\0b\00\00\01\00\00\00") (func (export "stop"))"#;
    for (old, new) in parts.iter().chain(&[("(func (export \"stop\"))", trades)]) {
        assert!(text.contains(old), "the guest was changed: {old}");
        text = text.replace(old, new);
    }
    wat::parse_str(text).expect("wat")
}

/// The record again, with what `change` does to its records and without those that it
/// does not want, and every check of it made anew.
pub fn retold(run: &std::path::Path, change: impl Fn(&mut Record) -> bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut scanner, mut records) = (Scanner::default(), Vec::new());
    let bytes = fs::read(run.join("00000001.journal")).expect("readable");
    scanner.segment(&bytes, true, |record| records.push(record)).expect("sound");
    let storage = recorder::Folder::create(&folder.path().join("lie")).expect("a folder");
    let id = scanner.run().expect("a run");
    let mut writer = recorder::Recorder::create(storage, id).expect("made");
    for mut record in records {
        if record.kind == Kind::Synced || !change(&mut record) {
            continue;
        }
        let Record { kind, flags, event_ns, wall_ns, payload, .. } = record;
        writer.append(kind, flags, event_ns, wall_ns, payload).expect("written");
    }
    writer.sync().expect("synced");
    let modules = folder.path().join("lie/modules");
    fs::create_dir(&modules).expect("made");
    for entry in fs::read_dir(run.join("modules")).expect("kept").flatten() {
        fs::copy(entry.path(), modules.join(entry.file_name())).expect("copied");
    }
    folder
}

#[test]
fn b7_a_head_whose_claims_do_not_agree_is_found() {
    let Some(folder) = ready() else { return };
    folder.run(&[&["run", "--duration", "5s"], LIVELY].concat()).expect(0);
    let run = folder.only_run();
    let told = |change: &dyn Fn(&mut Manifest)| {
        let lie = retold(&run, |record| {
            if record.kind == Kind::Manifest {
                let mut manifest: Manifest = decode(&record.payload).expect("a manifest");
                change(&mut manifest);
                record.payload = encode(&manifest).expect("encoded");
            }
            true
        });
        let path = lie.path().join("lie");
        let finished = folder.run(&["verify", path.to_str().expect("plain"), "--json"]);
        assert!(matches!(finished.code, Some(0 | 7)), "{finished:?}");
        (finished.code, finished.stdout)
    };
    // The control: told again as it was.
    assert_eq!(told(&|_| ()).0, Some(0));
    type Change = fn(&mut Manifest);
    let lies: [(Change, &str); 6] = [
        (|head| head.config.push_str("\n# more\n"), ""),
        (|head| head.config_sha256 = "0".repeat(64), "the hash that the record names"),
        (|head| head.seed += 1, "names the seed"),
        (
            |head| head.strategies[0].limits = "{\"fuel_per_event\":6000000}".into(),
            "another limits",
        ),
        (|head| head.lock = head.lock.replace("name = \"mm\"", "name = \"nn\""), "another name"),
        (|head| head.lock = "rubbish".into(), "the lock file that it keeps is none"),
    ];
    for (change, words) in lies {
        let (code, text) = told(&change);
        // A comment is no setting: the configuration is the same.
        let expected = if words.is_empty() { 0 } else { 7 };
        assert_eq!(code, Some(expected), "{words}: {text}");
        assert!(text.contains(words), "{words}: {text}");
    }
    // A kept module that is another is found, though the right one lies elsewhere.
    let kept = fs::read_dir(run.join("modules")).expect("kept").flatten().next().expect("one");
    fs::write(kept.path(), "something else").expect("written");
    let found = verify(&folder, &run, &[], 7);
    assert!(found.to_string().contains("kept under its hash is another"), "{found}");
}

/// That the clock stopped a start, no replay can find out by itself.
#[test]
fn b7_what_the_clock_stopped_at_the_start_is_proved() {
    let folder = Folder::new();
    let start = "f64 f64 i32 i32) (result i32)\n    i32.const 2048)";
    let slow = "f64 f64 i32 i32) (result i32) (local $i i32)
        (local.set $i (i32.const 390000000))
        (loop $more (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
        i32.const 2048)";
    folder.write("strategies/slow.wasm", guest(&[(start, slow)]));
    folder.run(&["allow", "strategies/slow.wasm", "--yes"]).expect(0);
    // Ten deadlines long on a machine that takes a turn of the loop in a cycle, and
    // fuel for all of it: only the clock can stop it.
    let run = ["run", "--duration", "5s", "--set", "sandbox.deadline=10ms", "--json"];
    let fuel = ["--set", "sandbox.fuel_start=2000000000"];
    let ended = folder.run(&[&run[..], &fuel, LIVELY].concat());
    assert!(ended.stdout.contains("deadline"), "{ended:?}");
    let run = folder.only_run();
    let verified = verify(&folder, &run, &[], 0);
    assert_eq!(verified["told"], 1, "{verified}");
    // Told with a deadline that nothing reaches: that the clock stopped it is then in
    // the record's word alone.
    let patient = |record: &mut Record| {
        if record.kind == Kind::Manifest {
            let mut head: Manifest = decode(&record.payload).expect("a manifest");
            head.config = head.config.replace("deadline = \"10ms\"", "deadline = \"1m\"");
            let text = Some(head.config.clone());
            let config = Config::load(&Sources { text, ..Sources::default() }).expect("valid");
            assert_ne!(head.config_sha256, config.sha256(), "{}", head.config);
            head.config_sha256 = config.sha256();
            record.payload = encode(&head).expect("encoded");
        }
    };
    // The controls: without that word, and with one that is not so.
    let check = |change: &dyn Fn(&mut Record) -> bool, code: i32, words: &str| {
        let lie = retold(&run, |record| {
            patient(record);
            change(record)
        });
        let path = lie.path().join("lie");
        let told = folder.run(&["verify", path.to_str().expect("plain")]).expect(code).stdout;
        assert!(told.contains(words), "{told}");
    };
    check(&|_| true, 0, "replay decides the same");
    check(&|record| record.kind != Kind::Verdict, 7, "slow: the record has");
    let later = |record: &mut Record| {
        if record.kind == Kind::Verdict {
            let told: Value = decode(&record.payload).expect("a verdict");
            let mut told = told;
            told["verdict"]["events"] = 3.into();
            record.payload = encode(&told).expect("encoded");
        }
        true
    };
    check(&later, 7, "slow");
}
