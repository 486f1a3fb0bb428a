//! Text from a real strategy, all the way: a module that says every text of the corpus
//! as a log line, as the reason and the metadata of orders, as its version and as the
//! name of an indicator, in a file whose name is markup.

use std::fmt::Write as _;

use sandpaper_tests::Folder;
use sandpaper_tests::browser::Browser;
use serde_json::{Value, json};

use super::hostile::{INSERTED, corpus};
use super::walk::show;
use super::{FRAMES, Host, complains, enter, quiet};

/// The name of the module's file, which a run without permissions calls it by.
const NAME: &str = "<img src=x onerror=ran=1>\"'";
const VERSION: &str = "<script>ran=1</script>";
/// Where the table of the texts is in the module's memory, and the texts themselves;
/// what the host writes comes in between.
const TABLE: usize = 16_384;
const TEXTS: usize = 0x0010_0000;

/// Bytes as a string of the module's text.
fn quoted(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\{byte:02x}");
        text
    })
}

fn pair(at: usize, length: usize) -> Vec<u8> {
    [at, length]
        .iter()
        .flat_map(|word| u32::try_from(*word).expect("small").to_le_bytes())
        .collect()
}

/// A strategy that is called for every trade of its symbol and says the next text each
/// time: it buys for 3 in the quote currency, and sells all the next time.
fn module(texts: &[String]) -> Vec<u8> {
    let (mut table, mut all) = (Vec::new(), Vec::new());
    for text in texts {
        table.extend(pair(TEXTS + all.len(), text.len()));
        all.extend_from_slice(text.as_bytes());
    }
    let version = TEXTS + all.len();
    all.extend_from_slice(VERSION.as_bytes());
    let mut described = pair(version, VERSION.len());
    described.extend(pair(version, VERSION.len()));
    described.extend(pair(0, 0));
    described.extend(pair(1536, 1));
    let source = format!(
        r#"(module
  (import "sandpaper:strategy/report@0.1.0" "log"
    (func $log (param $level i32) (param $at i32) (param $bytes i32)))
  (import "sandpaper:strategy/report@0.1.0" "indicator"
    (func $indicator (param $at i32) (param $bytes i32) (param $value f64)))
  (import "sandpaper:strategy/trading@0.1.0" "submit"
    (func $submit (param $order i32) (param $result i32)))
  (memory (export "memory") 32)
  (global $next (mut i32) (i32.const 0))
  (data (i32.const 1024) "{}")
  (data (i32.const {TABLE}) "{}")
  (data (i32.const {TEXTS}) "{}")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536)
  (func (export "describe") (result i32) i32.const 1024)
  (func (export "start") (param i32 i32 i64 i64 i32 i32 i32 i32 i32 i32 f64 f64 i32 i32) (result i32) i32.const 2048)
  (func (export "handle") (param $words i32) (param $count i32) (result i32)
    (local $entry i32) (local $at i32) (local $bytes i32)
    (local.set $entry (i32.add (i32.const {TABLE})
      (i32.mul (i32.rem_u (global.get $next) (i32.const {})) (i32.const 8))))
    (local.set $at (i32.load (local.get $entry)))
    (local.set $bytes (i32.load offset=4 (local.get $entry)))
    ;; The order at 4096: which action, how much, why, and one pair of metadata.
    (if (i32.and (global.get $next) (i32.const 1))
      (then (i32.store8 (i32.const 4096) (i32.const 1)) (i32.store8 (i32.const 4104) (i32.const 2)))
      (else (i32.store8 (i32.const 4096) (i32.const 0)) (i32.store8 (i32.const 4104) (i32.const 1))
        (f64.store (i32.const 4112) (f64.const 3))))
    (i32.store (i32.const 4184) (local.get $at)) (i32.store (i32.const 4188) (local.get $bytes))
    (i32.store (i32.const 4192) (i32.const 8192)) (i32.store (i32.const 4196) (i32.const 1))
    (i32.store (i32.const 8192) (local.get $at)) (i32.store (i32.const 8196) (local.get $bytes))
    (i32.store (i32.const 8200) (local.get $at)) (i32.store (i32.const 8204) (local.get $bytes))
    (call $log (i32.const 2) (local.get $at) (local.get $bytes))
    (if (i32.lt_u (global.get $next) (i32.const 8))
      (then (call $indicator (local.get $at) (local.get $bytes) (f64.const 1))))
    (call $submit (i32.const 4096) (i32.const 5120))
    (global.set $next (i32.add (global.get $next) (i32.const 1)))
    i32.const 1)
  (func (export "on-order") (param $update i32))
  (func (export "stop"))
  (func (export "save") (result i32) i32.const 2048)
  (func (export "load") (param i32 i32 i32 i32) (result i32) i32.const 2048))"#,
        quoted(&described),
        quoted(&table),
        quoted(&all),
        texts.len(),
    );
    wat::parse_str(source).expect("wat")
}

/// Everything that the pages of this strategy are.
const TABS: [&str; 6] = ["trades", "fills", "orders", "positions", "logs", "sandbox"];

#[test]
fn low_006_what_a_hostile_strategy_says_is_text_in_every_page() {
    let texts: Vec<String> = corpus().into_iter().filter(|text| !text.is_empty()).collect();
    let folder = Folder::new();
    let file = format!("{NAME}.wasm");
    folder.write(&file, module(&texts));
    let more = ["--simulated", "--unsigned", "--no-record", "--symbols", "BTC/USD", "--wasm"];
    let more = more.iter().map(|&argument| argument.to_owned());
    let arguments = more.chain([file]).collect();
    let host = Host::of(folder, arguments);
    let Some(mut browser) = Browser::open() else { return };
    browser.size(1440, 900, "dark");
    enter(&mut browser, &host);
    let asked =
        "fetch('/api/v1/events?limit=1000').then((it) => it.json()).then(({ events }) => events)";
    browser.until("fills with reasons", &format!("{asked}.then((all) => all.filter((it) => it.fill?.reason.includes('ran=1')).length > 5)"));
    browser.until("its log", &format!("{asked}.then((all) => new Set(all.filter((it) => it.kind === 'log').map(({{ text }}) => text)).size > 40)"));
    let name =
        browser.value("encodeURIComponent(document.querySelector('td.c-name b').textContent)");
    let name = name.as_str().expect("a name").to_owned();
    assert_eq!(browser.value("document.querySelector('td.c-name b').textContent"), json!(NAME));
    let mut wrong = Vec::new();
    let mut pages: Vec<String> =
        ["#/", "#/s", "#/events", "#/runs", "#/feed"].map(str::to_owned).to_vec();
    pages.extend(TABS.iter().map(|tab| format!("#/s/{name}?tab={tab}")));
    for (width, height) in [(1440, 900), (390, 844)] {
        browser.size(width, height, "light");
        for hash in &pages {
            show(&mut browser, hash, hash);
            let inserted = browser.value(INSERTED);
            for fault in inserted.as_array().expect("a list") {
                wrong.push(format!("{hash} at {width}: {fault}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // It is there, letter by letter.
    show(&mut browser, "the log", &format!("#/s/{name}?tab=logs"));
    let line = "[...document.querySelectorAll('.events .what')].some((it) => it.textContent.includes('<script>ran=1</script>'))";
    browser.until("a line of it", line);
    assert!(
        browser
            .value("document.querySelector('.head h1').textContent")
            .to_string()
            .contains(VERSION)
    );
    browser.value(FRAMES);
    assert_eq!(quiet(&mut browser), Ok(()));
    assert_eq!(browser.value("globalThis.ran ?? null"), Value::Null);
    // The control: the same text as markup is found, and the policy speaks up.
    browser.value("document.querySelector('main').append(Object.assign(document.createElement('img'), { src: 'https://elsewhere.example/x.png' }))");
    assert_ne!(browser.value(INSERTED), json!([]));
    complains(&mut browser, |_| true).expect("the policy was violated");
}
