//! The dashboard without a mouse, what it saves to files, and what its address keeps.

use serde_json::json;

use super::walk::show;
use super::{NAMES, logged_in, quiet};

#[test]
fn the_keyboard_reaches_pages_rows_and_charts() {
    let Some((_host, mut browser)) = logged_in() else { return };
    for (keys, hash) in [(["g", "m"], "#/m"), (["g", "f"], "#/feed"), (["g", "o"], "#/")] {
        for key in keys {
            browser.key(key);
        }
        browser.until(hash, &format!("location.hash === '{hash}'"));
    }
    browser.key("?");
    browser.until("the help", "document.querySelector('dialog.help')");
    browser.key("Escape");
    browser.until("no help", "document.querySelector('dialog.help') === null");
    browser.key("/");
    browser.until("the filter", "document.activeElement?.matches('[data-filter]')");
    browser.command("Input.insertText", &json!({ "text": "order" }));
    browser.until("one row", &format!("({NAMES}).join() === 'order-flow'"));
    browser.key("Escape");
    browser.key("j");
    browser.until("the row", "document.activeElement?.matches('tr[tabindex]')");
    let charted = "document.activeElement.querySelector('input').checked";
    assert_eq!(browser.value(charted), json!(true));
    browser.key(" ");
    browser.until("it to leave the chart", &format!("!{charted}"));
    browser.key("Enter");
    browser.until("its page", "location.hash === '#/s/order-flow'");
    browser.until("the chart", "document.querySelector('figure.chart canvas')");
    browser.value("document.querySelector('figure.chart').focus()");
    browser.key("ArrowLeft");
    let spoken = "document.querySelector('figure.chart [aria-live]').textContent";
    browser.until("the candle in words", &format!("{spoken}.includes('close')"));
    let first = browser.value(spoken);
    browser.key("ArrowLeft");
    browser.until("the one before", &format!("{spoken} !== {first}"));
    assert_eq!(quiet(&mut browser), Ok(()));
}

#[test]
fn tables_and_charts_are_saved_and_the_address_keeps_choices() {
    let Some((_host, mut browser)) = logged_in() else { return };
    browser.value("globalThis.saved = []; { const make = URL.createObjectURL; URL.createObjectURL = (blob) => { saved.push(blob); return make.call(URL, blob); }; } 0");
    let press = |label: &str, within: &str| {
        format!(
            "[...document.querySelectorAll('{within} button')].find((it) => it.textContent === '{label}').click()"
        )
    };
    let board = "section[aria-label=Leaderboard]";
    browser.value(&press("CSV", board));
    let csv = browser.value("saved.at(-1).text()");
    let lines: Vec<&str> = csv.as_str().expect("text").trim_end().split("\r\n").collect();
    assert!(lines.len() > 3 && lines[0].starts_with("name,"), "{csv}");
    browser.value(&press("JSON", board));
    let saved = browser.value("saved.at(-1).text().then(JSON.parse)");
    assert!(
        saved.as_array().is_some_and(|rows| rows.iter().any(|row| row["name"] == "order-flow"))
    );
    browser.until("the curves", "document.querySelector('figure.chart .png')");
    browser.value("document.querySelector('figure.chart .png').click()");
    browser.until("a picture", "saved.at(-1).type === 'image/png'");
    let head = browser.value("saved.at(-1).slice(1, 4).text()");
    assert_eq!(head, json!("PNG"));
    assert!(browser.value("saved.at(-1).size").as_u64() > Some(2000));
    // The choices of a view stand in its address.
    browser.value(&press("Log", "section[aria-label^=Equity]"));
    browser.until("the address", "location.hash.includes('log=1')");
    browser.command("Page.reload", &json!({}));
    browser.until("the choice again", "[...document.querySelectorAll('section[aria-label^=Equity] button')].find((it) => it.textContent === 'Log')?.getAttribute('aria-pressed') === 'true'");
    show(&mut browser, "fills", "#/s/market-making?tab=fills");
    browser.command("Page.reload", &json!({}));
    browser.until(
        "the tab again",
        "document.querySelector('[role=tab][aria-selected=true]')?.textContent === 'Fills'",
    );
    assert_eq!(quiet(&mut browser), Ok(()));
}

#[test]
fn windows_ranges_and_folded_parts_are_kept_and_the_layout_can_be_reset() {
    let Some((_host, mut browser)) = logged_in() else { return };
    browser.until("curves", "document.querySelector('figure.chart canvas')");
    // Ranked by the last hour, which all of this run is in.
    let choose = "{ const select = document.querySelector('select[name=window]'); select.value = '1h'; select.dispatchEvent(new Event('change', { bubbles: true })); }";
    browser.value(choose);
    browser.until("the window in the address", "location.hash.includes('window=1h')");
    browser.until("what it means", "[...document.querySelectorAll('p.note')].some((it) => it.textContent.startsWith('Return, PnL, drawdown and rank are of the last 1 h'))");
    let returns = "[...document.querySelectorAll('[aria-label=Leaderboard] td.c-return_pct')].filter((cell) => cell.textContent.includes('%')).length";
    browser.until("returns over it", &format!("{returns} === 4"));
    // A chart that was zoomed says its range.
    browser.until("some time", "fetch('/api/v1/strategies/market-making/equity').then((it) => it.json()).then(({ points }) => points.length > 12)");
    browser.value("document.querySelector('figure.chart').focus()");
    for _ in 0..2 {
        browser.key("+");
    }
    browser.until("the range in the address", "/range=\\d+-\\d+/.test(location.hash)");
    let range = browser.value("/range=([^&]+)/.exec(location.hash)[1]");
    // A part is folded away, and stays so.
    let fold = "document.querySelector('section[aria-label=\"Open positions\"] .fold')";
    browser.value(&format!("{fold}.click()"));
    browser.until("it to be folded", &format!("{fold}.getAttribute('aria-expanded') === 'false' && !document.querySelector('section[aria-label=\"Open positions\"] table, section[aria-label=\"Open positions\"] .empty')"));
    browser.command("Page.reload", &json!({}));
    browser.until("the page again", &format!("{fold}?.getAttribute('aria-expanded') === 'false'"));
    browser.until("the chart again", "document.querySelector('figure.chart canvas')");
    assert_eq!(browser.value("/range=([^&]+)/.exec(location.hash)?.[1] ?? null"), range);
    assert_eq!(browser.value("document.querySelector('select[name=window]').value"), json!("1h"));
    browser.key("End");
    // The control: what is reset is as in the beginning.
    show(&mut browser, "settings", "#/settings");
    let reset = "[...document.querySelectorAll('button')].find((it) => it.textContent === 'Reset the layout')";
    browser.until("the button", reset);
    browser.value(&format!("{reset}.click()"));
    browser.value("document.querySelector('input[name=numbers][value=de-DE]').click()");
    show(&mut browser, "overview", "#/");
    browser.until("it unfolded", &format!("{fold}?.getAttribute('aria-expanded') === 'true'"));
    browser.until("numbers as chosen", "/\\d,\\d\\d %/.test(document.querySelector('[aria-label=Leaderboard] td.c-return_pct').textContent)");
    assert_eq!(quiet(&mut browser), Ok(()));
}

#[test]
fn what_stops_and_targets_were_is_kept_and_drawn() {
    let Some((_host, mut browser)) = logged_in() else { return };
    let changes = "fetch('/api/v1/strategies/order-flow/levels?limit=1000').then((it) => it.json()).then(({ levels }) => levels.filter(({ stop, target }) => stop !== null && target !== null))";
    let found = browser.until(
        "a position with both",
        &format!("{changes}.then((all) => all.length > 0 && all[0].symbol)"),
    );
    let symbol = found.as_str().expect("a symbol").replace('/', "%2F");
    show(&mut browser, "the strategy", &format!("#/s/order-flow?symbol={symbol}"));
    browser.until("a chart", "document.querySelector('figure.chart canvas')");
    // Entry, stop and target of the position, and the path of the latter two.
    browser.until(
        "the lines",
        &format!("{} > 20 && {} > 20", super::dots("loss"), super::dots("gain")),
    );
    // The control: a route that knows of changes knows of none of a strategy without.
    let none = browser.value("fetch('/api/v1/strategies/nobody/levels').then((it) => it.status)");
    assert_eq!(none, json!(404));
    let said = browser.complaints();
    assert!(said.iter().all(|it| it.text.contains("status of 404")), "{said:#?}");
}

#[test]
fn a_choice_that_comes_late_does_not_take_anybody_back() {
    let Some((_host, mut browser)) = logged_in() else { return };
    // A chart says its range some moments after it was moved: by then the page may be left.
    let late = "import('/app/store.mjs').then(({ go }) => { location.hash = '#/events'; go('#/?range=1-2', true); return location.hash; })";
    assert_eq!(browser.value(late), json!("#/events"));
    browser.until("the events", "document.querySelector('h1')?.textContent === 'Events'");
    // The control: on its own page it is taken.
    let here = "import('/app/store.mjs').then(({ go }) => { go('#/events?kind=fill', true); return location.hash; })";
    assert_eq!(browser.value(here), json!("#/events?kind=fill"));
    assert_eq!(quiet(&mut browser), Ok(()));
}
