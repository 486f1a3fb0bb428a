//! What an administrator commands, what a viewer cannot, and what the browser tells.

use sandpaper_tests::browser::Browser;
use serde_json::json;

use super::walk::show;
use super::{Host, VIEWER, enter, is_refusal, logged_in, quiet};

const BUTTONS: &str =
    "[...document.querySelectorAll('.head .controls button')].map((button) => button.textContent)";

/// Presses a button, gives the reason that it asks for, and confirms.
fn command(browser: &mut Browser, label: &str, reason: &str) {
    browser.value(&format!("[...document.querySelectorAll('.head .controls button')].find((b) => b.textContent === '{label}').click()"));
    browser.until("the confirmation", "document.querySelector('dialog:modal input[name=reason]')");
    let confirm = "document.querySelector('dialog:modal button.danger')";
    assert_eq!(browser.value(&format!("{confirm}.disabled")), json!(true), "no reason yet");
    browser.value("document.querySelector('dialog:modal input').focus()");
    browser.command("Input.insertText", &json!({ "text": reason }));
    browser.until("a reason is enough", &format!("!{confirm}.disabled"));
    browser.value(&format!("{confirm}.click()"));
    browser.until("the command to be taken", "document.querySelector('dialog') === null");
}

fn status(browser: &mut Browser, status: &str) {
    let chip = format!("document.querySelector('.head .chip').textContent.includes('{status}')");
    browser.until(status, &chip);
}

#[test]
fn an_administrator_commands_a_strategy_with_a_reason() {
    let Some((_host, mut browser)) = logged_in() else { return };
    show(&mut browser, "the strategy", "#/s/market-making?tab=positions");
    browser.until("a position", "document.querySelector('[aria-label=Positions] tbody tr')");
    assert_eq!(browser.value(BUTTONS), json!(["Pause", "Flatten", "Kill"]));
    // Esc is no confirmation.
    browser.value("document.querySelector('.head .controls button').click()");
    browser.until("the confirmation", "document.querySelector('dialog:modal')");
    browser.key("Escape");
    browser.until("it to be gone", "document.querySelector('dialog') === null");
    status(&mut browser, "running");
    command(&mut browser, "Pause", "looks at the news");
    status(&mut browser, "paused");
    assert_eq!(browser.value(BUTTONS), json!(["Resume", "Flatten", "Kill"]));
    command(&mut browser, "Flatten", "out of the market");
    let flat = "document.querySelector('[aria-label=Positions] tbody tr') === null";
    browser.until("no position", flat);
    command(&mut browser, "Resume", "all is well");
    status(&mut browser, "running");
    // What becomes of positions is said before, as this run is configured.
    browser.value("[...document.querySelectorAll('.head .controls button')].at(-1).click()");
    let kept = "document.querySelector('dialog:modal')?.textContent.includes('positions are kept')";
    browser.until("what a kill does", kept);
    browser.key("Escape");
    browser.until("it to be gone", "document.querySelector('dialog') === null");
    command(&mut browser, "Kill", "it loses money");
    status(&mut browser, "halted");
    browser.until(
        "the reason",
        "document.querySelector('.head').textContent.includes('it loses money')",
    );
    assert_eq!(browser.value(BUTTONS), json!([]), "nothing more can be commanded");
    // Who looks at the events sees each of them with its reason.
    show(&mut browser, "the events", "#/events?kind=operator");
    let events = browser.until("four commands", "document.querySelectorAll('.events li').length >= 4 && document.querySelector('.events').textContent");
    for reason in ["looks at the news", "out of the market", "all is well", "it loses money"] {
        assert!(events.as_str().is_some_and(|text| text.contains(reason)), "{reason}: {events}");
    }
    assert_eq!(quiet(&mut browser), Ok(()));
}

#[test]
fn a_viewer_has_no_buttons() {
    let Some(mut browser) = Browser::open() else { return };
    let Some(host) = Host::start() else { return };
    browser.size(1440, 900, "dark");
    browser.go(&format!("http://{}/#/s/market-making", host.at));
    browser.until("the login page", "document.activeElement?.id === 'key'");
    browser.command("Input.insertText", &json!({ "text": VIEWER }));
    browser.value("document.querySelector('#form').requestSubmit()");
    browser.until(
        "the strategy",
        "document.querySelector('.head h1')?.textContent.startsWith('market-making')",
    );
    let head = browser.value("document.querySelector('.head').textContent");
    assert!(head.as_str().is_some_and(|text| text.contains("viewer: read only")), "{head}");
    assert_eq!(browser.value(BUTTONS), json!([]));
    show(&mut browser, "the overview", "#/");
    assert_eq!(browser.value("document.querySelector('.controls')"), json!(null));
    let said = browser.complaints();
    assert!(said.iter().all(is_refusal), "{said:#?}");
}

#[test]
fn a_key_never_gets_into_an_address() {
    let Some(mut browser) = Browser::open() else { return };
    let Some(host) = Host::start() else { return };
    browser.command("Network.enable", &json!({}));
    browser.command("Network.setBlockedURLs", &json!({ "urls": ["*/login.js"] }));
    browser.go(&format!("http://{}/#/runs", host.at));
    browser.until(
        "the login page",
        "document.readyState === 'complete' && document.querySelector('#key')",
    );
    assert_eq!(browser.value("document.querySelector('#form').inert"), json!(true));
    // The control: whoever gets past that sends it, and not in the address.
    browser.value(&format!("document.querySelector('#key').value = '{VIEWER}'"));
    browser.value("document.querySelector('#form').requestSubmit()");
    browser.until("the answer", "document.querySelector('#form') === null");
    let address = browser.value("location.href");
    assert!(address.as_str().is_some_and(|text| !text.contains("key")), "{address}");
}

/// Notices are kept in `told`; while `bad` is set, the host reports bad news.
const NEWS: &str = r"(() => {
    globalThis.told = []; globalThis.bad = false;
    globalThis.Notification = class {
        static requestPermission() { return Promise.resolve('granted'); }
        constructor(title, { body }) { told.push(`${title}: ${body}`); }
    };
    const parse = JSON.parse;
    JSON.parse = (...text) => {
        const message = parse(...text);
        if (!globalThis.bad || !message?.data) return message;
        if (message.topic === 'run') message.data.feed = 'down';
        if (message.topic === 'strategies') for (const row of message.data.strategies) row.drawdown_pct = 25;
        if (message.topic === 'events') for (const event of message.data.events ?? message.data) Object.assign(event, { kind: 'fault', level: 'error', text: 'out of fuel' });
        return message;
    };
})()";

#[test]
fn notices_come_when_they_are_asked_for() {
    let Some(mut browser) = Browser::open() else { return };
    let Some(host) = Host::start() else { return };
    browser.size(1440, 900, "dark");
    enter(&mut browser, &host);
    browser.command("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": NEWS }));
    browser.command("Page.reload", &json!({}));
    let down = "[...document.querySelectorAll('.banner')].some((it) => it.textContent.includes('feed is down'))";
    let fault = "document.querySelector('.events .error')";
    browser.until("events", "document.querySelector('.events li')");
    browser.value("bad = true");
    browser.until("bad news", &format!("{down} && {fault}"));
    assert_eq!(browser.value("told"), json!([]), "nobody asked for it: the control");
    browser.value("bad = false");
    browser.until("good news", &format!("!({down})"));
    show(&mut browser, "the settings", "#/settings");
    browser
        .until("the choices", "document.querySelector('input[name=notices]')?.labels.length > 0");
    browser.value("document.querySelector('input[name=notices]').click()");
    browser.until("the choice", "JSON.parse(localStorage.getItem('sandpaper')).notices === true");
    browser.value("bad = true");
    for news in ["The market feed is down", "out of fuel", "25.00 % below its peak"] {
        browser.until(news, &format!("told.some((text) => text.includes('{news}'))"));
    }
    let falls =
        browser.value("told.filter((text) => text.includes('order-flow: drawdown')).length");
    assert_eq!(falls, json!(1), "one for each fall");
    assert_eq!(quiet(&mut browser), Ok(()));
}
