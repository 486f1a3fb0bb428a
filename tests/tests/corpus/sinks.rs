//! What a strategy says, at every place where the host shows or writes it.

use sandpaper_tests::Folder;
use serde_json::Value;

use super::guests::{INDICATOR, LOG, Parts, SOUND, SUBMIT};

/// A terminal sequence, a bell, a line of its own, an override of the direction, a
/// C1 control, and markup.
const HOSTILE: &str =
    r"\1b[2J\1b]0;owned\07\0a{\22kind\22:\22fill\22}\0d\e2\80\ae\c2\9b31m<script>x\00";
/// Its length in bytes.
const LENGTH: u32 = 49;

/// A guest that says it as its name, version, reason, metadata, indicator, log line
/// and last words.
fn guest() -> Vec<u8> {
    let imports = format!("{SUBMIT} {LOG} {INDICATOR}");
    let pair = |at: u32| {
        format!(
            "(i32.store (i32.const {at}) (i32.const 8192))
             (i32.store (i32.const {}) (i32.const {LENGTH}))",
            at + 4
        )
    };
    // The descriptor: name, version, no symbols, one subscription to trades.
    let described = format!(
        "(func $say {} {}
            (i32.store (i32.const 1048) (i32.const 3000)) (i32.store (i32.const 1052) (i32.const 1)))
         (start $say)",
        pair(1024),
        pair(1032)
    );
    let extra = format!("(data (i32.const 8192) \"{HOSTILE}\") {described}");
    let say = format!("(call $log (i32.const 2) (i32.const 8192) (i32.const {LENGTH}))");
    let handle = format!(
        "{say} {}
         (i32.store (i32.const 4192) (i32.const 6000)) (i32.store (i32.const 4196) (i32.const 1))
         {} {}
         (call $indicator (i32.const 8192) (i32.const {LENGTH}) (f64.const 1))
         (call $submit (i32.const 4096) (i32.const 5120)) i32.const 1",
        pair(4184),
        pair(6000),
        pair(6008),
    );
    let stop =
        format!("(call $log (i32.const 4) (i32.const 8192) (i32.const {LENGTH})) unreachable");
    Parts { imports: &imports, extra: &extra, handle: &handle, stop: &stop, ..SOUND }.build()
}

/// Characters that a terminal or a reader would act upon.
fn acts(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[track_caller]
fn check_text(what: &str, text: &str) {
    if let Some(at) = text.find(acts) {
        panic!("{what}: {:?}", text[at..].chars().take(40).collect::<String>());
    }
    let forged = text.lines().any(|line| line.starts_with("{\"kind\":\"fill\"}"));
    assert!(!forged, "{what}: a line of its own");
}

fn check_json(what: &str, value: &Value) {
    match value {
        Value::String(text) => check_text(what, text),
        Value::Array(all) => all.iter().for_each(|one| check_json(what, one)),
        Value::Object(all) => all.iter().for_each(|(key, one)| {
            check_text(what, key);
            check_json(what, one);
        }),
        _ => {}
    }
}

#[test]
fn low_006_what_a_strategy_says_is_inert_at_every_sink() {
    let folder = Folder::new();
    folder.write("x.wasm", guest());
    // The control: the module itself says it raw.
    let raw = b"\x1b[2J\x1b]0;owned\x07\n{\"kind\":\"fill\"}";
    let bytes = guest();
    assert!(bytes.windows(raw.len()).any(|window| window == raw), "the guest is hostile");
    let common = ["--wasm", "x.wasm", "--unsigned", "--symbols", "BTC/USD"];
    let market = ["--duration", "5s", "--set", "feed.sim.speed=0", "--capital", "1000000"];
    let run = |more: &[&str]| {
        let arguments = [&["run"], &common[..], &market[..], more].concat();
        folder.run(&arguments).expect(0)
    };
    let shown = run(&["--record", "x.tape"]);
    assert!(shown.stderr.contains("owned"), "it is shown: {}", shown.stderr);
    assert!(shown.stderr.contains("quarantined, trap"), "and so are its last words");
    check_text("the log for people", &shown.stderr);
    check_text("the final table", &shown.stdout);
    let verbose = run(&["-vv", "--set", "log.format=json"]);
    for line in verbose.stderr.lines().filter(|line| line.starts_with('{')) {
        check_json("the log for machines", &serde_json::from_str(line).expect("JSON"));
    }
    check_text("the log for machines, as it is", &verbose.stderr);
    let report = run(&["--json", "--quiet"]);
    check_json("the report", &serde_json::from_str(&report.stdout).expect("JSON"));
    for verb in [&["check", "x.wasm"][..], &["inspect", "x.wasm"]] {
        for json in [false, true] {
            let told = folder.run(&[verb, if json { &["--json"] } else { &[] }].concat());
            check_text(verb[0], &(told.stdout + &told.stderr));
        }
    }
    let replayed = folder.run(&[&["replay", "x.tape"], &common[..]].concat()).expect(0);
    check_text("replay", &(replayed.stdout + &replayed.stderr));
    let mut files = 0;
    for sub in ["system", "strategies", "trades", "aggregated"] {
        for entry in std::fs::read_dir(folder.path(&format!("logs/{sub}"))).expect("logs").flatten()
        {
            let text = std::fs::read_to_string(entry.path()).expect("text");
            check_text(sub, &text);
            for line in text.lines() {
                check_json(sub, &serde_json::from_str(line).expect("one record a line"));
            }
            files += 1;
        }
    }
    assert!(files >= 4, "{files}");
}
