//! Text from strategies and from the network in a real browser: every text that the
//! API may hold is replaced by one that tries to run, to load, or to break the page.
//! What a browser does with markup is the browser's to say, so nothing here parses.

use sandpaper_tests::browser::Browser;
use serde_json::{Value, json};

use super::walk::{PAGES, show};
use super::{Host, complains, enter, quiet};

/// What tries to run: each sets `ran`, opens a dialog, or asks another host.
const ATTACKS: &[&str] = &[
    "<script>ran=1</script>",
    "<script src=//elsewhere.example/x.js></script>",
    "<img src=x onerror=ran=1>",
    "<img src=//elsewhere.example/x.png>",
    "<svg onload=ran=1>",
    "<svg><script>ran=1</script></svg>",
    "<svg><animate onbegin=ran=1 attributeName=x dur=1s>",
    "<body onload=ran=1>",
    "<iframe src=javascript:ran=1></iframe>",
    "<iframe srcdoc='<script>parent.ran=1</script>'></iframe>",
    "<a href=javascript:ran=1>x</a>",
    "<a href=\"data:text/html,<script>ran=1</script>\">x</a>",
    "<form action=//elsewhere.example><button>x</form>",
    "<object data=//elsewhere.example/x></object>",
    "<embed src=//elsewhere.example/x>",
    "<link rel=stylesheet href=//elsewhere.example/x.css>",
    "<style>@import '//elsewhere.example/x.css';</style>",
    "<style>*{display:none!important}</style>",
    "<base href=//elsewhere.example/>",
    "<meta http-equiv=refresh content='0;url=//elsewhere.example/'>",
    "<video><source onerror=ran=1></video>",
    "<details open ontoggle=ran=1>",
    "<input autofocus onfocus=ran=1>",
    "<math><mtext></p><style><!--</style><img src onerror=ran=1>",
    "<noscript><p title=\"</noscript><img src=x onerror=ran=1>\">",
    "<template><script>ran=1</script></template>",
    "<xmp><p title=\"</xmp><svg/onload=ran=1>\">",
    "<!--><img src=x onerror=ran=1>-->",
    "<plaintext>",
    "javascript:alert(1)",
    "&lt;script&gt;ran=1&lt;/script&gt;",
    "&#x3c;img src=x onerror=ran=1&#x3e;",
    "\u{ff1c}script\u{ff1e}ran=1\u{ff1c}/script\u{ff1e}",
    "${ran=1}",
    "{{constructor.constructor('ran=1')()}}",
    "';ran=1;//",
    "\";ran=1;//",
    "`;ran=1;//",
    "\\u003cscript\\u003eran=1\\u003c/script\\u003e",
    "]]><script>ran=1</script>",
    "<\0script>ran=1</script>",
    "<scr\u{200b}ipt>ran=1</scr\u{200b}ipt>",
];
/// How text breaks out of where it stands.
const BEFORE: &[&str] = &["", "\">", "'>", "</td></table>", "</title></textarea></style></script>"];

/// What tries to break the page rather than to run.
fn crooked() -> Vec<String> {
    let mut texts: Vec<String> = [
        "__proto__",
        "constructor",
        "hasOwnProperty",
        "../../healthz",
        "%00%2f..%2f",
        "a/b?c=d#e",
        "#code=c-0",
        "=cmd|' /C calc'!A0",
        ";}*{display:none}/*",
        "\u{202e}txet desrever",
        "\u{2066}\u{2067}\u{2068}isolated",
        "\u{200b}\u{200d}\u{feff}",
        "\u{7}\u{1b}[31mred\u{1b}[0m",
        "line\nline\r\nline",
        "NaN",
        "",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("W".repeat(3000));
    texts.push("wide words ".repeat(300));
    texts.push(format!("Z{}", "\u{0334}\u{0489}".repeat(200)));
    texts.push("👩‍👩‍👧‍👦".repeat(200));
    texts
}

pub(super) fn corpus() -> Vec<String> {
    let attacks =
        BEFORE.iter().flat_map(|before| ATTACKS.iter().map(move |it| format!("{before}{it}")));
    attacks.chain(crooked()).collect()
}

/// Runs before the page's own modules: every text of the API becomes one of the
/// corpus, and names go back to what they were on their way to the host.
const SPOIL: &str = r"(() => {
    const corpus = CORPUS; const names = new Map(); let next = ROUND * 37; let named = ROUND * 11; let spoiled = 0;
    globalThis.placed = new Set();
    const TEXT = new Set(['text', 'reason', 'detail', 'status_detail', 'cause', 'why', 'exit_reason', 'version', 'liquidity', 'message',
        'value', 'label', 'seed', 'wit', 'trust', 'status', 'kind', 'action', 'level', 'origin', 'currency', 'fee', 'price', 'quantity', 'sha256', 'chain']);
    const NAME = new Set(['strategy', 'symbol', 'best', 'worst']);
    const take = () => { const text = corpus[next % corpus.length]; next += 1; placed.add(text); return text; };
    const name = (text) => { if (!names.has(text)) { names.set(text, `${text.slice(0, 1)}${corpus[named % corpus.length]}`); named += 1; } return names.get(text); };
    const forth = (text) => { for (const [from, to] of names) text = text.split(from).join(to); return text; };
    const back = (text, code) => { for (const [from, to] of names) text = text.split(code(to)).join(code(from)); return text; };
    const spoil = (value, key, of) => {
        if (Array.isArray(value)) return value.map((item) => (typeof item === 'string' && key === 'symbols' ? name(item) : spoil(item, key, of)));
        if (value !== null && typeof value === 'object') {
            const out = {};
            for (const [field, item] of Object.entries(value)) out[field] = spoil(item, field, value);
            return out;
        }
        if (typeof value !== 'string') return value;
        if (NAME.has(key) || (key === 'name' && ('sha256' in of))) return name(value);
        if (key === 'name') return take();
        // Half of the others stay, so that pages also show what belongs beside it.
        return TEXT.has(key) && (spoiled += 1) % 10 < 7 ? take() : value;
    };
    const parse = JSON.parse;
    JSON.parse = (text, ...more) => {
        const message = parse(text, ...more);
        if (message?.t !== 'snap' && message?.t !== 'upd') return message;
        const data = spoil(message.data, null, message);
        return { ...message, topic: forth(message.topic), data };
    };
    const json = Response.prototype.json;
    Response.prototype.json = async function () { const body = await json.call(this); return this.url.includes('/api/v1/') && !/openapi|session|\/me$/.test(this.url) ? spoil(body, null, body) : body; };
    const { fetch } = globalThis;
    globalThis.fetch = (url, ...more) => fetch(back(url, encodeURIComponent), ...more);
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (text) { const { topics, ...more } = parse(text);
        return send.call(this, JSON.stringify({ ...more, topics: topics?.map((topic) => back(topic, (it) => it)) })); };
})()";

/// What stands on the page that no page of ours holds, in words.
pub(super) const INSERTED: &str = r"(() => {
    const found = [];
    const foreign = 'script,img,iframe,object,embed,base,link,meta,style,video,audio,math,template,xmp,plaintext,marquee,textarea';
    for (const node of document.getElementById('app').querySelectorAll(foreign)) found.push(node.outerHTML.slice(0, 100));
    for (const node of document.querySelectorAll('*')) {
        for (const { name, value } of node.attributes) {
            if (name.startsWith('on')) found.push(`${node.tagName} ${name}`);
            if (['href', 'src', 'action', 'srcdoc'].includes(name) && /^\s*(javascript|data):/i.test(value)) found.push(value);
        }
    }
    if (globalThis.ran !== undefined) found.push('it ran');
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide > 0) found.push(`${wide} px too wide: ` + [...document.querySelectorAll('main *')].filter((node) => node.getBoundingClientRect().right > innerWidth + 1 && !node.closest('.scroll, .canvas, table'))
        .slice(0, 3).map((node) => `${node.tagName}.${node.className}`));
    if (document.getElementById('main') === null) found.push('the page is gone');
    return found; })()";

/// A page whose every text is hostile.
fn spoiled(host: &Host, round: usize, corpus: &[String]) -> Option<Browser> {
    let mut browser = Browser::open()?;
    browser.size(1440, 900, "dark");
    enter(&mut browser, host);
    let source = SPOIL.replace("CORPUS", &json!(corpus).to_string());
    let source = source.replace("ROUND", &round.to_string());
    browser.command("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": source }));
    browser.command("Page.reload", &json!({}));
    browser.until("a spoiled page", "placed.size > 10 && document.querySelector('.last')");
    Some(browser)
}

#[test]
fn low_006_hostile_text_is_shown_as_text_in_a_browser() {
    let corpus = corpus();
    assert!(corpus.len() > 200, "{}", corpus.len());
    let Some(host) = Host::start() else { return };
    let Some(mut browser) = spoiled(&host, 0, &corpus) else { return };
    let mut wrong = Vec::new();
    for (width, height) in [(1440, 900), (390, 844)] {
        browser.size(width, height, "light");
        for (title, hash) in PAGES {
            // Names are other ones here.
            let name = browser.value("document.querySelector('td.c-name b')?.textContent ?? null");
            let hash = match name.as_str() {
                Some(name) => {
                    let encoded = browser.value(&format!("encodeURIComponent({})", json!(name)));
                    hash.replace("order-flow", encoded.as_str().unwrap_or_default())
                }
                None => hash.to_owned(),
            };
            show(&mut browser, title, &hash);
            for fault in browser.value(INSERTED).as_array().expect("a list") {
                wrong.push(format!("{title} at {width}: {fault}"));
            }
        }
        show(&mut browser, "overview", "#/");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(quiet(&mut browser), Ok(()));
    let placed =
        browser.until("all of the corpus", &format!("placed.size >= {}", corpus.len() - 1));
    assert_eq!(placed, json!(true));
    assert_eq!(browser.value(INSERTED), json!([]));
    // It is text, letter by letter.
    let shown = "[...placed].filter((text) => text.includes('<') && document.body.textContent.includes(text)).length";
    assert!(browser.value(shown).as_u64() > Some(5));
    // The control: the same as markup is found, and the policy speaks up.
    let made = |tag: &str, more: &str| {
        format!("Object.assign(document.createElement('{tag}'), {{ {more} }})")
    };
    for attack in [
        made("img", "src: 'https://elsewhere.example/x.png'"),
        made("a", "href: 'javascript:ran=1'"),
        made("style", "textContent: 'p { color: red }'"),
        made("pre", "textContent: 'x'.repeat(2000)"),
    ] {
        browser.value(&format!("document.querySelector('main').append({attack})"));
        assert_ne!(browser.value(INSERTED), json!([]), "{attack}");
        browser.value("document.querySelector('main').lastElementChild.remove()");
    }
    complains(&mut browser, |_| true).expect("the policy was violated");
    assert_eq!(browser.value("globalThis.ran ?? null"), Value::Null, "and it held");
}
