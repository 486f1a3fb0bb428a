//! Every page at every width, light and dark: it fits its window, can be read, can
//! be used without a mouse, and the console is silent. With `SANDPAPER_SCREENSHOTS`
//! naming a folder, pictures of all of it are written there.

use std::path::PathBuf;

use sandpaper_tests::browser::Browser;
use serde_json::json;

use super::{FRAMES, logged_in, quiet};

const WIDTHS: [(&str, u32, u32); 4] =
    [("desktop", 1440, 900), ("tablet", 900, 1100), ("phone", 390, 844), ("laptop", 1280, 800)];
pub(super) const PAGES: [(&str, &str); 16] = [
    ("overview", "#/"),
    ("strategies", "#/s"),
    ("strategy", "#/s/order-flow"),
    ("fills", "#/s/order-flow?tab=fills"),
    ("orders", "#/s/order-flow?tab=orders"),
    ("positions", "#/s/order-flow?tab=positions"),
    ("statistics", "#/s/order-flow?tab=statistics"),
    ("logs", "#/s/order-flow?tab=logs"),
    ("sandbox", "#/s/order-flow?tab=sandbox"),
    ("market", "#/m"),
    ("feed", "#/feed"),
    ("events", "#/events"),
    ("runs", "#/runs"),
    ("settings", "#/settings"),
    ("about", "#/about"),
    ("absent", "#/s/nobody"),
];

/// What is wrong with the page as it stands, in words.
const FAULTS: &str = r"(() => {
    const wrong = []; const text = (node) => (node.textContent ?? '').trim().slice(0, 40);
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide > 0) wrong.push(`${wide} px too wide`);
    // What a wide window shows is not to be looked for by scrolling a table sideways.
    if (innerWidth >= 1280) for (const box of document.querySelectorAll('.scroll')) {
        const over = box.scrollWidth - box.clientWidth;
        if (over > 1) wrong.push(`${over} px wider than its box: ${box.getAttribute('aria-label')}`);
    }
    for (const figure of document.querySelectorAll('.kpi strong')) if (figure.scrollWidth > figure.clientWidth + 1) wrong.push(`cut off: ${text(figure)}`);
    // A thumb is wider than a mouse.
    if (innerWidth < 700) for (const node of document.querySelectorAll('button, select, input[type=search]')) {
        if (node.checkVisibility() && node.getBoundingClientRect().height < 43.5) wrong.push(`too low for a thumb: ${text(node) || node.getAttribute('aria-label')}`);
    }
    const heads = [...document.querySelectorAll('h1')];
    if (heads.length !== 1) wrong.push(`${heads.length} first headings`);
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
    if (new Set(ids).size !== ids.length) wrong.push(`an id twice: ${ids}`);
    for (const node of document.querySelectorAll('button, a[href], input, select, [role=figure], [role=img], [role=region]')) {
        const named = text(node) || node.getAttribute('aria-label') || node.title || node.labels?.length > 0;
        if (!named) wrong.push(`without a name: ${node.outerHTML.slice(0, 80)}`);
    }
    for (const head of document.querySelectorAll('th:not([scope])')) wrong.push(`without a scope: ${text(head)}`);
    const channels = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
    const light = (color) => { const [r, g, b] = channels(color).map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const behind = (node) => { for (let at = node; at; at = at.parentElement) {
        const { backgroundColor } = getComputedStyle(at); const [, , , alpha = 1] = channels(backgroundColor);
        if (backgroundColor.startsWith('rgb') && alpha === 1) return backgroundColor; } return 'rgb(255, 255, 255)'; };
    const walker = document.createTreeWalker(document.getElementById('app'), NodeFilter.SHOW_TEXT);
    const seen = new Set();
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        if (!text(walker.currentNode) || !node.checkVisibility() || node.closest(':disabled, .canvas, .hidden, .skip')) continue;
        const [front, back] = [getComputedStyle(node).color, behind(node)];
        const [bright, dark] = [light(front), light(back)].sort((a, b) => b - a);
        const contrast = (bright + 0.05) / (dark + 0.05);
        const key = `${front} on ${back}`;
        if (contrast < 4.5 && !seen.has(key)) { seen.add(key); wrong.push(`contrast ${contrast.toFixed(1)}: ${key}: ${text(node)}`); }
    }
    return wrong; })()";

/// Shows a page and waits until it has its data.
pub(super) fn show(browser: &mut Browser, title: &str, hash: &str) {
    // The page hears of it before whoever listens later.
    browser.value(&format!(
        "new Promise((done) => {{ const before = location.href; addEventListener('hashchange', () => done(), {{ once: true }});
            location.hash = {}; if (location.href === before) done(); }})",
        json!(hash)
    ));
    browser.value(FRAMES);
    let ready = "document.querySelector('main section, main .kpis, main .cards, main .empty') && !document.querySelector('main .skeleton')";
    browser.until(title, ready);
}

#[test]
fn every_page_fits_is_legible_and_has_names() {
    let Some((_host, mut browser)) = logged_in() else { return };
    browser.until("a fill", "document.querySelector('.last')");
    let folder = std::env::var_os("SANDPAPER_SCREENSHOTS").map(PathBuf::from);
    if let Some(folder) = &folder {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    let mut wrong = Vec::new();
    for (index, (device, width, height)) in WIDTHS.into_iter().enumerate() {
        // With pictures both schemes at each width; without, one is enough.
        let schemes: &[&str] = match (&folder, index % 2) {
            (Some(_), _) => &["dark", "light"],
            (None, 0) => &["dark"],
            (None, _) => &["light"],
        };
        for scheme in schemes {
            browser.size(width, height, scheme);
            for (title, hash) in PAGES {
                show(&mut browser, title, hash);
                let faults = browser.value(FAULTS);
                for fault in faults.as_array().expect("a list") {
                    wrong.push(format!("{title}, {device}, {scheme}: {fault}"));
                }
                if let Some(folder) = &folder {
                    // A tab stands below the chart. Charts draw in the frames after their
                    // data came.
                    let tab = hash.contains("tab=");
                    browser.value(&format!("scrollTo(0, 0), {tab} && document.querySelector('section[aria-label=Details]').scrollIntoView(), new Promise((done) => setTimeout(done, 400))"));
                    let path = folder.join(format!("{title}-{device}-{scheme}.png"));
                    std::fs::write(path, browser.png()).expect("a file");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(quiet(&mut browser), Ok(()));
    // The control: each of these is found.
    browser.value(
        "{ const add = (tag, more) => document.querySelector('main').append(Object.assign(document.createElement(tag), more));
         add('h1', { textContent: 'x' }); add('button', {}); add('p', { id: 'main' }); add('th', { textContent: 'x' });
         add('pre', { textContent: 'x'.repeat(900) }); add('p', { className: 'faint', textContent: 'faint' });
         const box = Object.assign(document.createElement('div'), { className: 'scroll' }); document.querySelector('main').append(box);
         box.append(Object.assign(document.createElement('pre'), { textContent: 'x'.repeat(900) }));
         const kpi = Object.assign(document.createElement('div'), { className: 'kpi' }); document.querySelector('main').append(kpi);
         kpi.append(Object.assign(document.createElement('strong'), { textContent: 'x'.repeat(900) }));
         document.querySelector('.faint').style.color = getComputedStyle(document.body).backgroundColor; }",
    );
    let found = browser.value(FAULTS).to_string();
    for fault in [
        "too wide",
        "wider than its box",
        "cut off",
        "2 first headings",
        "an id twice",
        "without a name",
        "without a scope",
        "contrast 1.0",
    ] {
        assert!(found.contains(fault), "{fault}: {found}");
    }
}
