//! Runs side by side, and what a strategy's page says of its permission.

use sandpaper_tests::browser::Browser;
use serde_json::json;

use super::walk::show;
use super::{Host, enter, quiet};

#[test]
fn runs_are_compared_with_their_curves_and_the_address_keeps_the_choice() {
    let more = ["--simulated", "--unsigned", "--seed", "7"];
    let Some(mut host) = Host::with(&["market-making"], &more) else { return };
    let Some(mut browser) = Browser::open() else { return };
    browser.size(1440, 900, "light");
    enter(&mut browser, &host);
    let points = "fetch('/api/v1/strategies/market-making/equity').then((it) => it.json()).then(({ points }) => points.length > 3)";
    browser.until("a curve", points);
    // The first ends in order and is kept; the second is on.
    host.interrupt();
    host.restart();
    drop(browser);
    let Some(mut browser) = Browser::open() else { return };
    browser.size(1440, 900, "light");
    enter(&mut browser, &host);
    browser.until("a curve of the second", points);
    show(&mut browser, "the runs", "#/runs");
    let boxes = "document.querySelectorAll('[aria-label=Runs] input[name=compare]')";
    browser.until("both runs", &format!("{boxes}.length === 2"));
    let states = "[...document.querySelectorAll('[aria-label=Runs] td.c-state .chip')].map((chip) => chip.textContent.trim().split(' ').at(-1)).join()";
    browser.until("how they stand", &format!("{states} === 'running,ended'"));
    for at in 0..2 {
        browser.value(&format!("{boxes}[{at}].click()"));
    }
    browser.until(
        "the table",
        "document.querySelectorAll('section[aria-label=Compared] tbody tr').length > 10",
    );
    let seed = "[...document.querySelectorAll('section[aria-label=Compared] tbody tr')].find((row) => row.querySelector('th').textContent === 'Seed')";
    assert_eq!(
        browser
            .value(&format!("[...{seed}.querySelectorAll('td')].map((cell) => cell.textContent)")),
        json!(["7", "7"])
    );
    assert_eq!(
        browser.value(&format!("{seed}.className")),
        json!(""),
        "what is the same does not stand out"
    );
    let differ = "document.querySelectorAll('section[aria-label=Compared] tr.differs').length";
    assert!(browser.value(differ).as_u64() > Some(2));
    let curves = "document.querySelectorAll('section[aria-label^=\"Equity and drawdown since\"] .legend > span').length";
    browser.until("both curves", &format!("{curves} === 2"));
    let drawn = "document.querySelector('section[aria-label^=\"Equity and drawdown since\"] figure.chart canvas')";
    browser.until("a chart of them", drawn);
    browser.command("Page.reload", &json!({}));
    browser.until("the comparison again", &format!("{curves} === 2"));
    assert_eq!(quiet(&mut browser), Ok(()));
}

#[test]
fn a_run_that_was_killed_says_so_and_one_that_went_on_too() {
    let more = ["--simulated", "--unsigned", "--seed", "7"];
    let Some(mut host) = Host::with(&["market-making"], &more) else { return };
    let states = "[...document.querySelectorAll('[aria-label=Runs] tbody tr')].map((row) => [...row.querySelectorAll('td.c-state .chip')].map((chip) => chip.textContent.trim().split(' ').at(-1)).join('+')).join()";
    // The control, then a kill, and another one after which a new run is begun.
    for (begin, expected) in [
        ("first", "running"),
        ("went on", "running+recovered"),
        ("new", "running,unfinished+recovered"),
    ] {
        let Some(mut browser) = Browser::open() else { return };
        browser.size(1440, 900, "dark");
        enter(&mut browser, &host);
        let points = "fetch('/api/v1/run').then((it) => it.json()).then(({ events, state }) => events > 20 && state === 'running')";
        browser.until(begin, points);
        show(&mut browser, "the runs", "#/runs");
        browser.until(expected, &format!("{states} === '{expected}'"));
        if let Some(folder) =
            std::env::var_os("SANDPAPER_SCREENSHOTS").map(std::path::PathBuf::from)
        {
            std::fs::create_dir_all(&folder).expect("a folder");
            let name = format!("runs-{}.png", begin.replace(' ', "-"));
            std::fs::write(folder.join(name), browser.png()).expect("a file");
        }
        assert_eq!(quiet(&mut browser), Ok(()));
        drop(browser);
        host.kill();
        if begin == "went on" {
            host.arguments.push("--fresh".into());
        }
        host.restart();
    }
}

#[test]
fn the_sandbox_tab_says_who_may_run_why_and_until_when() {
    let folder = sandpaper_tests::Folder::new();
    let Some(module) = sandpaper_tests::repository::guest("order-flow") else { return };
    folder.write("strategies/flow.wasm", std::fs::read(module).expect("readable"));
    let note = "seen by two <b>pairs</b> of eyes";
    let allow = ["allow", "strategies/flow.wasm", "--name", "flow", "--note", note, "--yes"];
    let more = ["--expires", "90d", "--limit", "fuel_per_event=4000000"];
    let _ = folder.run(&[allow.as_slice(), &more].concat()).expect(0);
    let arguments = ["--simulated", "--no-record", "--strategies", "flow"].map(str::to_owned);
    let host = Host::of(folder, arguments.to_vec());
    let Some(mut browser) = Browser::open() else { return };
    browser.size(1440, 900, "dark");
    enter(&mut browser, &host);
    show(&mut browser, "the sandbox", "#/s/flow?tab=sandbox");
    let tab = "document.querySelector('[role=tabpanel]').textContent";
    browser.until("its grant", &format!("{tab}.includes('Allowed')"));
    let text = browser.value(tab);
    let text = text.as_str().expect("text");
    for said in [note, "Until20", "4.00 M", "fuel_per_event", "strategies/flow.wasm"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(text.contains("sandpaper:strategy/trading"), "what it imports: {text}");
    assert!(!text.contains("bypassed"), "{text}");
    assert_eq!(quiet(&mut browser), Ok(()));
}
