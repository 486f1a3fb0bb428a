//! Ways around the guard, each against every route.

use super::*;
use crate::dashboard::routes::{Route, routes};

/// What must not be told to anybody without a credential.
fn told(answer: &str) -> bool {
    let status = status(answer);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    // Files of the login page are for all; anything else that is no refusal tells.
    (200..300).contains(&status) && !body.starts_with("{\"status\":\"ok\"}") || status == 101
}

fn path(route: &Route) -> String {
    route.path.replace("{name}", "one")
}

/// Whole requests without a valid credential.
fn variants(route: &Route) -> Vec<(&'static str, Vec<u8>)> {
    let (method, path) = (route.method.as_str(), path(route));
    let plain = |method: &str, path: &str, headers: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:7878\r\nConnection: close\r\n{headers}\r\n"
        )
        .into_bytes()
    };
    let head = |headers: &str| plain(method, &path, headers);
    let at = |path: &str| plain(method, path, "");
    let by = |method: &str| plain(method, &path, "");
    let upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n";
    let upgraded = |more: &str| {
        String::from_utf8(head(&format!("{upgrade}{more}")))
            .unwrap_or_default()
            .replace("Connection: close", "Connection: upgrade")
            .into_bytes()
    };
    let auth = |value: &str| head(&format!("Authorization: {value}\r\n"));
    let upper = KEY.to_uppercase();
    let first = &KEY[..KEY.len() - 1];
    let doubled = format!("Authorization: Bearer {KEY}\r\nAuthorization: Bearer {KEY}\r\n");
    vec![
        ("nothing", head("")),
        ("an empty header", auth("")),
        ("an empty key", auth("Bearer ")),
        ("a wrong key", auth("Bearer 0123456789012345678901234567890123456789")),
        ("the key in capitals", auth(&format!("Bearer {upper}"))),
        ("the key but its end", auth(&format!("Bearer {first}"))),
        ("the key and more", auth(&format!("Bearer {KEY}x"))),
        ("the key and a space", auth(&format!("Bearer  {KEY}"))),
        ("the key and a tab", auth(&format!("Bearer \t{KEY}"))),
        ("the key alone", auth(KEY)),
        ("the key as Basic", auth(&format!("Basic {KEY}"))),
        ("the key as Digest", auth(&format!("Digest {KEY}"))),
        ("bearer in small letters", auth(&format!("bearer {KEY}"))),
        ("two keys in one", auth(&format!("Bearer {KEY}, Bearer {KEY}"))),
        ("two headers", head(&doubled)),
        ("the key as a cookie", head(&format!("Cookie: sid-7878={KEY}\r\n"))),
        ("a forged session", head(&format!("Cookie: sid-7878={}\r\n", "0".repeat(64)))),
        ("two sessions", head("Cookie: sid-7878=1; sid-7878=2\r\n")),
        ("an empty session", head("Cookie: sid-7878=\r\n")),
        ("a session of TLS", head(&format!("Cookie: __Host-sid={}\r\n", "0".repeat(64)))),
        ("X-Api-Key", head(&format!("X-Api-Key: {KEY}\r\n"))),
        ("the key in the query", at(&format!("{path}?key={KEY}"))),
        ("a token in the query", at(&format!("{path}?token={KEY}&api_key={KEY}"))),
        ("access_token", at(&format!("{path}?access_token={KEY}"))),
        ("a forwarded loopback", head("X-Forwarded-For: 127.0.0.1\r\n")),
        ("X-Real-IP", head("X-Real-IP: 127.0.0.1\r\n")),
        ("Forwarded", head("Forwarded: for=127.0.0.1;host=127.0.0.1\r\n")),
        ("another URL in a header", head("X-Original-URL: /healthz\r\n")),
        ("X-Rewrite-URL", head("X-Rewrite-URL: /healthz\r\n")),
        ("X-Forwarded-Prefix", head("X-Forwarded-Prefix: /healthz\r\n")),
        ("another method in a header", head("X-HTTP-Method-Override: GET\r\n")),
        ("X-Method-Override", head("X-Method-Override: HEAD\r\n")),
        ("another user", head("X-Forwarded-User: admin\r\nRemote-User: admin\r\n")),
        ("GET", by("GET")),
        ("HEAD", by("HEAD")),
        ("OPTIONS", by("OPTIONS")),
        ("TRACE", by("TRACE")),
        ("PUT", by("PUT")),
        ("PATCH", by("PATCH")),
        ("an unknown method", by("SEE")),
        ("a method in small letters", by("get")),
        ("a slash behind", at(&format!("{path}/"))),
        ("two slashes", at(&format!("/{path}"))),
        ("dots", at(&format!("/healthz/..{path}"))),
        ("coded dots", at(&format!("/healthz/%2e%2e{path}"))),
        ("a file, dots", at(&format!("/login.css/..{path}"))),
        ("a file, coded slash", at(&format!("/login.css%2f..{path}"))),
        ("a parameter", at(&format!("{path};a=b"))),
        ("healthz as a parameter", at(&format!("{path};/healthz"))),
        ("a fragment", at(&format!("{path}#/healthz"))),
        ("capitals", at(&path.to_uppercase())),
        ("coded letters", at(&path.replace('a', "%61").replace('e', "%65"))),
        ("a coded zero", at(&format!("{path}%00"))),
        ("a coded line", at(&format!("{path}%0d%0aAuthorization:%20Bearer%20{KEY}"))),
        ("a backslash", at(&format!("\\{path}"))),
        ("a whole address", at(&format!("http://127.0.0.1:7878{path}"))),
        ("HTTP/1.0", format!("{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").into_bytes()),
        ("HTTP/1.0, no host", format!("{method} {path} HTTP/1.0\r\n\r\n").into_bytes()),
        ("HTTP/0.9", format!("{method} {path}\r\n\r\n").into_bytes()),
        ("an upgrade", upgraded("")),
        ("an upgrade from here", upgraded("Origin: http://127.0.0.1:7878\r\n")),
        ("an upgrade with a ticket", upgraded("Sec-WebSocket-Protocol: ticket.00\r\n")),
        (
            "an upgrade, the key as a ticket",
            upgraded(&format!("Sec-WebSocket-Protocol: ticket.{KEY}\r\n")),
        ),
        (
            "the key in the host",
            format!(
                "{method} {path} HTTP/1.1\r\nHost: {KEY}@127.0.0.1\r\nConnection: close\r\n\r\n"
            )
            .into_bytes(),
        ),
    ]
}

/// Requests with the key that must be refused all the same.
fn refused_with_key(route: &Route) -> Vec<(&'static str, Vec<u8>)> {
    let (method, path) = (route.method.as_str(), path(route));
    let key = format!("Authorization: Bearer {KEY}\r\nConnection: close\r\n");
    let hosts = |hosts: &str| format!("{method} {path} HTTP/1.1\r\n{hosts}{key}\r\n").into_bytes();
    let whole =
        format!("{method} http://evil.example{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{key}\r\n");
    vec![
        ("another name, as by DNS rebinding", hosts("Host: evil.example\r\n")),
        ("a name that begins like ours", hosts("Host: 127.0.0.1.evil.example\r\n")),
        ("a name that ends like ours", hosts("Host: evil-localhost\r\n")),
        ("no host", hosts("")),
        ("two hosts", hosts("Host: 127.0.0.1\r\nHost: evil.example\r\n")),
        ("another address in the first line", whole.into_bytes()),
        ("a page elsewhere", hosts("Host: 127.0.0.1\r\nOrigin: https://evil.example\r\n")),
        ("a page of nowhere", hosts("Host: 127.0.0.1\r\nOrigin: null\r\n")),
    ]
}

#[tokio::test(start_paused = true)]
async fn crit_004_no_way_around_the_guard_leads_to_any_route() {
    let app = app();
    let mut tried = 0;
    for route in routes() {
        // The login takes its credential itself, and health is for everybody.
        if route.open {
            continue;
        }
        let all = variants(&route);
        assert!(all.len() >= 60, "{}", all.len());
        for (what, request) in all.into_iter().chain(refused_with_key(&route)) {
            let answer = answer(&app, &request).await;
            assert!(!told(&answer), "{} {}: {what}: {answer}", route.method, route.path);
            tried += 1;
        }
    }
    assert!(tried > 2_000, "{tried}");
    // The control: the same with the key is told.
    for path in ["/api/v1/run", "/api/v1/strategies/one", "/metrics", "/"] {
        let answer = answer(&app, &request("GET", path, "", "")).await;
        assert!(told(&answer), "{path}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn crit_004_only_listed_routes_need_no_credential() {
    let open: Vec<&str> = routes().iter().filter(|r| r.open).map(|r| r.path).collect();
    assert_eq!(open, ["/healthz", "/api/v1/session"]);
    let app = app();
    for file in crate::dashboard::assets::FILES {
        let path = format!("/{}", file.path);
        let open = crate::dashboard::assets::PUBLIC.contains(&path.as_str());
        let bare = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let expected = if open { 200 } else { 401 };
        assert_eq!(status(&answer(&app, bare.as_bytes()).await), expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn crit_004_a_viewer_may_look_and_no_more() {
    let app = app();
    let as_viewer = |method: &str, path: &str| {
        let request =
            request(method, path, "Content-Type: application/json\r\n", "{\"reason\":\"x\"}");
        String::from_utf8(request).unwrap().replace(KEY, VIEWER).into_bytes()
    };
    for route in routes() {
        let commands = route.takes.is_some() && !route.open;
        let answer = answer(&app, &as_viewer(route.method.as_str(), &path(&route))).await;
        assert_eq!(status(&answer) == 403, commands, "{} {}: {answer}", route.method, route.path);
    }
}

/// What browsers may load and do on our pages, letter by letter: one word more, such as
/// another source, would pass a test that looks for parts of it.
const POLICY: &str = "content-security-policy: default-src 'none'; script-src 'self'; \
    style-src 'self'; connect-src 'self'; img-src 'self'; frame-ancestors 'none'; \
    base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'\r\n";

#[tokio::test(start_paused = true)]
async fn every_answer_carries_the_headers_that_browsers_obey() {
    let app = app();
    let paths = ["/", "/api/v1/run", "/nothing", "/healthz", "/login.css", "/api/v1/strategies/x"];
    for path in paths {
        for request in [
            request("GET", path, "", ""),
            b"GET / HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n".to_vec(),
        ] {
            let answer = answer(&app, &request).await.to_lowercase();
            for header in [
                POLICY,
                "x-content-type-options: nosniff",
                "referrer-policy: no-referrer",
                "cross-origin-opener-policy: same-origin",
                "cross-origin-resource-policy: same-origin",
                "permissions-policy: ",
                "cache-control: ",
            ] {
                assert!(answer.contains(header), "{path}: no {header}: {answer}");
            }
            assert!(!answer.contains("access-control-allow"), "{path}: {answer}");
            assert!(!answer.contains("unsafe-"), "{path}: {answer}");
        }
    }
}
