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
