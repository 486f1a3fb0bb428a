//! What the pages say and draw while a symbol, or the whole market, is silent.

use sandpaper_tests::exchange::fault::Fault;
use serde_json::{Value, json};

use super::walk::show;
use super::{FRAMES, Host, enter, quiet};
use crate::outage::Venue;
use sandpaper_tests::browser::Browser;

/// How many dots of the page's charts are shaded as an outage.
const SHADED: &str = r"(() => { const wanted = getComputedStyle(document.documentElement).getPropertyValue('--shade').trim();
    const [r, g, b, a] = [1, 3, 5, 7].map((at) => parseInt(wanted.slice(at, at + 2), 16)); let found = 0;
    for (const from of document.querySelectorAll('figure.chart canvas')) {
        if (from.width === 0 || from.height === 0) continue;
        const copy = new OffscreenCanvas(from.width, from.height).getContext('2d', { willReadFrequently: true });
        copy.drawImage(from, 0, 0);
        const { data } = copy.getImageData(0, 0, from.width, from.height);
        for (let i = 0; i < data.length; i += 4) if (Math.abs(data[i] - r) < 10 && Math.abs(data[i + 1] - g) < 10 && Math.abs(data[i + 2] - b) < 10 && Math.abs(data[i + 3] - a) < 4) found += 1;
    } return found; })()";
const WARNED: &str = "document.querySelector('.banner.warn')?.textContent ?? ''";
const ALARMED: &str = "document.querySelector('.banner.bad')?.textContent ?? ''";

fn shaded(browser: &mut Browser, title: &str, hash: &str) -> u64 {
    show(browser, title, hash);
    browser.until("a chart", "document.querySelector('figure.chart canvas')");
    browser.value(FRAMES);
    browser.value(SHADED).as_u64().expect("a number")
}

#[test]
fn add_09_a_silent_feed_and_a_dead_one_are_told_apart_and_shaded_on_every_chart() {
    let mut venue = Venue::open();
    let url = venue.url();
    let market = ["--feed", "kraken", "--url", &url, "--symbols", "BTC/USD,ETH/USD"];
    let more = ["--unsigned", "--no-record", "--set", "feed.stale_after=5s"];
    let Some(host) = Host::with(&["order-flow"], &[market.as_slice(), &more].concat()) else {
        return;
    };
    let Some(mut browser) = Browser::open() else { return };
    browser.size(1440, 900, "dark");
    enter(&mut browser, &host);
    browser.until("a fill", "document.querySelector('.last')");
    browser.until("a feed that is well", &format!("({WARNED}) === '' && ({ALARMED}) === ''"));
    // The control of the shading: none of it while nothing was missing.
    assert_eq!(shaded(&mut browser, "the market", "#/m/BTC%2FUSD"), 0);
    assert_eq!(shaded(&mut browser, "the overview", "#/"), 0);

    // Asked for anew, it would come back at once.
    venue.exchange.state().grant_in_vain();
    venue.exchange.state().begin(Fault::SilentSymbol, 0);
    browser.until(
        "word of the silence",
        &format!("({WARNED}).startsWith('The market feed is silent since') && ({WARNED}).includes('for BTC/USD')"),
    );
    assert_eq!(browser.value(ALARMED), json!(""), "the host is there, and so is the other symbol");
    assert!(browser.value("document.title").to_string().contains("feed stale"));
    assert_eq!(browser.value("document.querySelector('main').className"), json!(""), "not aged");
    show(&mut browser, "the feed", "#/feed");
    let verdict = "document.querySelector('.verdict').textContent";
    browser.until("whose prices", &format!("{verdict}.includes('1 of 2 symbols has no prices')"));
    venue.exchange.state().end_faults();
    browser.until("an end of it", &format!("({WARNED}) === ''"));

    venue.die();
    browser.until(
        "word of the outage",
        &format!("({ALARMED}).startsWith('The market feed is down since')"),
    );
    assert_eq!(browser.value(WARNED), json!(""));
    assert_eq!(
        browser.value("document.querySelector('.banner.bad').getAttribute('role')"),
        json!("alert"),
        "a screen reader is told at once"
    );
    browser.until("the outage that goes on", "[...document.querySelectorAll('[aria-label=Outages] tbody tr')].some((row) => row.textContent.includes('now'))");
    assert_eq!(browser.value("document.querySelectorAll('.timeline span').length"), json!(1));
    venue.listen();
    browser.until("a feed again", &format!("({ALARMED}) === '' && ({WARNED}) === ''"));
    browser.until("the outage's end", "![...document.querySelectorAll('[aria-label=Outages] tbody tr')].some((row) => row.textContent.includes('now'))");
    // It stays on the charts: candles, curves, the strategy's own.
    for (title, hash) in [
        ("the market", "#/m/BTC%2FUSD"),
        ("the overview", "#/"),
        ("the strategy", "#/s/order-flow?symbol=BTC%2FUSD"),
    ] {
        show(&mut browser, title, hash);
        browser.until(&format!("shading of {title}"), &format!("{SHADED} > 50"));
    }
    // And among the events, behind the bell.
    let bell = browser.value("document.querySelector('.bell').getAttribute('aria-label')");
    assert_ne!(bell, json!("0 new alerts"));
    browser.value("document.querySelector('.bell').click()");
    browser.until("the alerts", "location.hash === '#/events?level=warn' && document.querySelector('.bell').getAttribute('aria-label') === '0 new alerts'");
    let kinds = browser
        .value("[...document.querySelectorAll('.events .kind')].map((kind) => kind.textContent)");
    assert!(kinds.as_array().is_some_and(|kinds| kinds.contains(&Value::from("feed"))), "{kinds}");
    assert_eq!(quiet(&mut browser), Ok(()));
}
