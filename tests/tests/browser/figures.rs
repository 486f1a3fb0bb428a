//! What a strategy publishes, drawn on its chart, and figures that are pictures.

use serde_json::json;

use super::walk::show;
use super::{FRAMES, Host, dots, enter, logged_in, quiet};
use sandpaper_tests::browser::Browser;

/// The names below the chart that are ticked.
const TICKED: &str = "[...document.querySelectorAll('.plots input:checked')].map((it) => it.closest('label').querySelector('span').firstElementChild.nextSibling.textContent.trim())";

#[test]
fn what_a_strategy_publishes_is_drawn_and_can_be_hidden() {
    // Five minutes of the market take half a second, so that bands come soon.
    let more = ["--simulated", "--unsigned", "--no-record", "--set", "feed.sim.speed=600"];
    let Some(host) = Host::with(&["mean-reversion"], &more) else { return };
    let Some(mut browser) = Browser::open() else { return };
    browser.size(1440, 900, "dark");
    enter(&mut browser, &host);
    let published = "fetch('/api/v1/strategies/mean-reversion/plots').then((it) => it.json()).then(({ ms, series }) => series.length === 4 && ms.length > 3 && series.every(({ values }) => values.length === ms.length))";
    browser.until("four names with values", published);
    show(&mut browser, "the strategy", "#/s/mean-reversion?interval=300");
    let all = ["VWAP XRP/USD", "lower band XRP/USD", "upper band XRP/USD", "RSI XRP/USD"];
    browser.until("their names", &format!("({TICKED}).length === 4"));
    for name in all {
        let named = format!("({TICKED}).includes('{name}')");
        assert_eq!(browser.value(&named), json!(true), "{name}");
    }
    // By its place a name has its color; the first three are prices, RSI is below.
    if let Some(folder) = std::env::var_os("SANDPAPER_SCREENSHOTS").map(std::path::PathBuf::from) {
        std::fs::create_dir_all(&folder).expect("a folder");
        browser.until("a chart", &format!("{} > 5", dots("line-1")));
        browser.value(FRAMES);
        std::fs::write(folder.join("plots-desktop-dark.png"), browser.png()).expect("a file");
    }
    let colors = ["line-1", "line-2", "line-3", "line-4"];
    for color in colors {
        browser.until(color, &format!("{} > 5", dots(color)));
    }
    // What is hidden is gone, from the chart alone, and the address says so.
    let rsi = "[...document.querySelectorAll('.plots label')].find((it) => it.textContent.includes('RSI')).querySelector('input')";
    let color = browser.value(&format!("[...{rsi}.closest('label').querySelector('i').classList].find((it) => it.startsWith('line-'))"));
    let color = color.as_str().expect("a color").to_owned();
    browser.value(&format!("{rsi}.click()"));
    browser.until("it to go", &format!("{} === 0", dots(&color)));
    assert_eq!(browser.value(&format!("({TICKED}).length")), json!(3));
    assert!(browser.value("location.hash").to_string().contains("without=RSI"));
    browser.command("Page.reload", &json!({}));
    browser.until("the choice again", &format!("({TICKED}).length === 3"));
    // The control: shown again, it is drawn again.
    browser.value(&format!("{rsi}.click()"));
    browser.until("it to come back", &format!("{} > 5", dots(&color)));
    assert_eq!(quiet(&mut browser), Ok(()));
}

#[test]
fn months_and_the_time_of_calls_are_shown_as_pictures_with_words() {
    let Some((_host, mut browser)) = logged_in() else { return };
    browser.until("a fill", "document.querySelector('.last')");
    show(&mut browser, "statistics", "#/s/order-flow?tab=statistics");
    let cell = "document.querySelector('table.months td.heat:not(.minor)')";
    browser.until("this month", &format!("/%$/.test({cell}?.textContent ?? '')"));
    let months = browser.value("document.querySelectorAll('table.months thead th').length");
    assert_eq!(months, json!(14), "a year, twelve months, and the whole");
    show(&mut browser, "the sandbox", "#/s/order-flow?tab=sandbox");
    let bars = "[...document.querySelectorAll('#tab-panel .bars > div')]";
    browser.until("bars", &format!("{bars}.length > 1"));
    browser.value(FRAMES);
    let tallest = browser.value(&format!("Math.max(...{bars}.map((it) => it.querySelector('i')?.getBoundingClientRect().height ?? 0))"));
    assert!(tallest.as_f64() > Some(60.0), "{tallest}");
    let label =
        browser.value("document.querySelector('#tab-panel .bars').getAttribute('aria-label')");
    let label = label.as_str().expect("a label");
    assert!(label.starts_with("How long calls took: ") && label.contains(" call"), "{label}");
    // The bars and their words hold every call that the host timed.
    let told = browser.value("fetch('/api/v1/strategies/order-flow/sandbox').then((it) => it.json()).then((it) => it.latency_us.spread.reduce((all, { calls }) => all + calls, 0) === it.event_calls + it.order_calls)");
    assert_eq!(told, json!(true));
    assert_eq!(quiet(&mut browser), Ok(()));
}
