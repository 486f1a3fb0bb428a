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

/// How far along the axis, from 0 to 1, the time 800 s stands in a chart from 0 to 1,200 s
/// of two curves: one of each second up to 400 s, one of every 400 s.
const ALONG: &str = r"(async () => {
    const [{ onGrid }, lwc] = await Promise.all([import('/app/grid.mjs'), import('/vendor/lwc.mjs')]);
    const fine = Array.from({ length: 401 }, (_, second) => [second * 1000, 100 + second, second === 100 ? 7 : 0]);
    const curves = [fine, [[0, 100, 0], [400000, 90, 10], [800000, 120, 0], [1200000, 110, 8]]];
    const along = async (lines) => {
        const place = document.body.appendChild(document.createElement('div'));
        const chart = lwc.createChart(place, { width: 900, height: 200, layout: { attributionLogo: false } });
        for (const line of lines) chart.addSeries(lwc.LineSeries, {}).setData(line);
        chart.timeScale().fitContent();
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        const [from, at, to] = [0, 800, 1200].map((time) => chart.timeScale().timeToCoordinate(time));
        chart.remove(); place.remove();
        return (at - from) / (to - from);
    };
    const { times, step, rows } = onGrid(curves);
    const plain = curves.map((points) => points.map(([ms, value]) => ({ time: ms / 1000, value })));
    const at = (row, time) => row.find((it) => it.time === time) ?? null;
    const day = onGrid([[[0, 1, 0], [86400000, 2, 0]], [[43200000, 3, null]]]);
    return {
        grid: await along(rows.map((row) => row.map(({ time, equity }) => ({ time, value: equity })))), plain: await along(plain),
        places: [times.length, step], held: [at(rows[1], 799).equity, at(rows[1], 800).equity, at(rows[1], 799).drawdown], ends: [rows[0].at(-1).time, rows[1].at(-1).time], deep: at(rows[0], 100).drawdown,
        day: [day.step, day.times.length, day.rows[0].length, day.rows[1].length, day.rows[1][0].time, day.rows[1][0].drawdown], none: onGrid([[]]).times.length,
    }; })()";

#[test]
fn curves_of_different_resolution_stand_where_their_time_is() {
    let Some((_host, mut browser)) = logged_in() else { return };
    let found = browser.value(ALONG);
    let near = |name: &str| found[name].as_f64().expect("a place");
    assert!((near("grid") - 2.0 / 3.0).abs() < 0.005, "{found}");
    // The control: without the grid it stands where its number is, almost at the end.
    assert!(near("plain") > 0.95, "{found}");
    assert_eq!(found["places"], json!([1201, 1]), "{found}");
    assert_eq!(found["held"], json!([90, 120, 10]), "what was last known holds: {found}");
    assert_eq!(found["ends"], json!([400, 1200]), "each ends where it ended: {found}");
    assert_eq!(found["deep"], json!(7), "{found}");
    // A day is on places of 64 s; a curve that begins later has nothing before.
    assert_eq!(found["day"], json!([64, 1351, 1351, 1, 43_200, null]), "{found}");
    assert_eq!(found["none"], json!(0), "{found}");
}

#[test]
fn what_is_under_the_mouse_on_a_chart_is_told_above_it() {
    let Some((_host, mut browser)) = logged_in() else { return };
    let told = "document.querySelector('figure.chart .hover').textContent";
    let over = |browser: &mut Browser, part: f64| {
        let at = browser.value(&format!(
            "(() => {{ const figure = document.querySelector('figure.chart'); figure.scrollIntoView({{ block: 'center' }});
                const {{ x, y, width, height }} = figure.getBoundingClientRect(); return [x + width * {part}, y + height / 2]; }})()"
        ));
        let moved = json!({ "type": "mouseMoved", "x": at[0], "y": at[1] });
        browser.command("Input.dispatchMouseEvent", &moved);
    };
    browser.until("a fill", "document.querySelector('.last')");
    show(&mut browser, "the curves", "#/");
    browser.until("a curve", &format!("{} > 5", dots("line-1")));
    assert_eq!(browser.value(told), json!(""), "nothing is under the mouse");
    over(&mut browser, 0.4);
    browser.until(
        "each curve by name",
        &format!("['order-flow', 'mean-reversion'].every((name) => {told}.includes(name))"),
    );
    show(&mut browser, "the candles", "#/s/order-flow");
    browser.until("candles", &format!("{} + {} > 5", dots("gain"), dots("loss")));
    // A run that has just begun has few candles, and they stand on the left.
    let candle = format!(r"/O [\d.,]+  H [\d.,]+  L [\d.,]+  C [\d.,]+  V /.test({told})");
    let found = (1..32).any(|part| {
        over(&mut browser, f64::from(part) / 32.0);
        browser.value(FRAMES);
        browser.value(&candle) == json!(true)
    });
    assert!(found, "no candle in words: {}", browser.value(told));
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
