//! From where a request comes, by whom, and what the earlier routes answer.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::dashboard::guard::Rates;
use crate::dashboard::routes::routes;
use crate::dashboard::tls::Tls;

/// A key that opens the metrics alone.
const METRICS: &str = "one-more-key-that-reads-the-metrics-alone";

/// A request with no other credential than one among `headers`.
fn bare(path: &str, headers: &str) -> Vec<u8> {
    let text = String::from_utf8(request("GET", path, headers, "")).unwrap();
    text.replacen(&format!("Authorization: Bearer {KEY}\r\n"), "", 1).into_bytes()
}

/// An application that lets five requests through, and after that one an hour; this
/// machine stands for a proxy that says who asks.
fn limited(keyed: bool) -> Arc<App> {
    let with = app_with(|settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let mut app =
        App::new(Arc::clone(&with.hub), with.settings.clone(), Audit::default(), with.url.clone());
    let hour = Duration::from_secs(3_600);
    if keyed {
        app.known = Rates::by([0; 32], 5, hour);
    } else {
        app.rates = Rates::new(5, hour);
    }
    Arc::new(app)
}

#[tokio::test(start_paused = true)]
async fn med_010_a_flood_without_a_key_takes_nothing_from_who_has_one() {
    let app = limited(false);
    let now = tokio::time::Instant::now().into_std();
    let session = app.auth.open(Role::Viewer, now).unwrap();
    let by_session = bare("/api/v1/run", &format!("Cookie: sid-7878={session}\r\n"));
    for number in 0..20 {
        let expected = if number < 5 { 401 } else { 429 };
        let refused = answer(&app, &bare("/api/v1/run", "")).await;
        assert_eq!(status(&refused), expected, "request {number}: {refused}");
    }
    for number in 0..20 {
        let given = answer(&app, &request("GET", "/api/v1/run", "", "")).await;
        assert_eq!(status(&given), 200, "by key, {number}: {given}");
        let given = answer(&app, &by_session).await;
        assert_eq!(status(&given), 200, "by session, {number}: {given}");
    }
    // The controls: whoever has none waits still, and a wrong one is none.
    assert_eq!(status(&answer(&app, &bare("/login.css", "")).await), 429);
    let forged = bare("/api/v1/run", &format!("Cookie: sid-7878={}\r\n", "0".repeat(64)));
    assert_eq!(status(&answer(&app, &forged).await), 429);
    let wrong = bare("/api/v1/run", &format!("Authorization: Bearer {}\r\n", "x".repeat(40)));
    assert_eq!(status(&answer(&app, &wrong).await), 429);
}

#[tokio::test(start_paused = true)]
async fn med_010_one_key_has_one_limit_from_wherever_it_is_used() {
    let app = limited(true);
    let from = |host: u8| format!("X-Forwarded-For: 10.0.0.{host}\r\n");
    for number in 0..5 {
        let asked = request("GET", "/api/v1/run", &from(1 + number % 2), "");
        assert_eq!(status(&answer(&app, &asked).await), 200, "request {number}");
    }
    for host in [1, 2, 3] {
        let refused = answer(&app, &request("GET", "/api/v1/run", &from(host), "")).await;
        assert_eq!(status(&refused), 429, "from {host}: {refused}");
        assert!(refused.to_lowercase().contains("retry-after: "), "{refused}");
    }
    // The controls: another key is not touched, and strangers are counted by address.
    let viewer = request("GET", "/api/v1/run", &from(1), "");
    let viewer = String::from_utf8(viewer).unwrap().replace(KEY, VIEWER);
    assert_eq!(status(&answer(&app, viewer.as_bytes()).await), 200);
    let app = limited(false);
    for number in 0..10 {
        let asked = bare("/login.css", &from(1 + number % 2));
        assert_eq!(status(&answer(&app, &asked).await), 200, "request {number}");
    }
    assert_eq!(status(&answer(&app, &bare("/login.css", &from(1))).await), 429);
}

#[tokio::test(start_paused = true)]
async fn crit_004_only_listed_networks_connect_and_only_a_trusted_proxy_says_from_where() {
    let net = |text: &str| vec![text.parse().unwrap()];
    let proxied = app_with(|settings| {
        (settings.allow_ips, settings.trusted_proxies) = (net("10.1.0.0/16"), net("127.0.0.0/8"));
    });
    let direct = app_with(|settings| settings.allow_ips = net("10.1.0.0/16"));
    let local = app_with(|settings| settings.allow_ips = net("127.0.0.1/32"));
    let said = |hops: &str| format!("X-Forwarded-For: {hops}\r\n");
    let two = format!("{}{}", said("10.1.2.3"), said("10.2.2.3"));
    for (what, app, headers, expected) in [
        ("an allowed one behind a proxy", &proxied, said("10.1.2.3"), 200),
        ("as IPv6 writes it", &proxied, said("::ffff:10.1.2.3"), 200),
        ("another behind it", &proxied, said("10.2.2.3"), 403),
        ("another that claims to be one", &proxied, said("10.1.2.3, 10.2.2.3"), 403),
        ("one that claims to be another", &proxied, said("10.2.2.3, 10.1.2.3"), 200),
        ("through two proxies", &proxied, said("10.1.2.3, 127.0.0.9"), 200),
        ("the claim in another header", &proxied, two, 403),
        ("no address", &proxied, said("10.1.2.3, unknown"), 403),
        ("the proxy itself", &proxied, String::new(), 403),
        ("nobody trusted says it", &direct, said("10.1.2.3"), 403),
        ("nobody trusted says otherwise", &local, said("10.2.2.3"), 200),
        ("the peer", &local, String::new(), 200),
    ] {
        let answer = answer(app, &request("GET", "/api/v1/run", &headers, "")).await;
        assert_eq!(status(&answer), expected, "{what}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn crit_004_the_metrics_key_opens_the_metrics_and_nothing_else() {
    let app = app_with(|settings| settings.keys.push((METRICS.into(), Role::Metrics)));
    let asked = |key: &str, method: &str, path: &str| {
        let text = request(method, path, "Content-Type: application/json\r\n", "");
        String::from_utf8(text).unwrap().replace(KEY, key).into_bytes()
    };
    let open = ["/metrics", "/readyz", "/healthz"];
    let paths = routes().into_iter().map(|r| (r.method, r.path.replace("{name}", "one")));
    let files = crate::dashboard::assets::FILES.iter().map(|file| format!("/{}", file.path));
    let files = files.map(|path| (axum::http::Method::GET, path));
    for (method, path) in paths.chain(files).chain([(axum::http::Method::GET, "/".into())]) {
        let expected = if open.contains(&path.as_str()) { 200 } else { 403 };
        let answer = answer(&app, &asked(METRICS, method.as_str(), &path)).await;
        assert_eq!(status(&answer), expected, "{method} {path}: {answer}");
    }
    // The control: a viewer's key opens the pages too.
    assert_eq!(status(&answer(&app, &asked(VIEWER, "GET", "/")).await), 200);
}

#[tokio::test(start_paused = true)]
async fn browsers_are_held_to_tls_where_there_is_tls() {
    let folder = tempfile::tempdir().unwrap();
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| folder.path().join(name));
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(&chain, issued.cert.pem()).unwrap();
    std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
    let tls = Arc::new(Tls::open(&chain, &key).expect("a certificate"));
    let with = app_with(|settings| settings.tls = Some(tls));
    let wanted = "strict-transport-security: max-age=31536000";
    for path in ["/api/v1/run", "/healthz", "/nothing"] {
        let asked = request("GET", path, "", "");
        let (over, plain) = (answer(&with, &asked).await, answer(&app(), &asked).await);
        assert!(over.to_lowercase().contains(wanted), "{path}: {over}");
        assert!(!plain.to_lowercase().contains("strict-transport"), "{path}: {plain}");
    }
}

#[tokio::test(start_paused = true)]
async fn crit_004_a_page_elsewhere_cannot_act_with_the_session_of_whoever_looks_at_it() {
    let app = app();
    let now = tokio::time::Instant::now().into_std();
    let session = app.auth.open(Role::Admin, now).unwrap();
    let cookie = format!("Cookie: sid-7878={session}\r\n");
    let ours = "Origin: http://127.0.0.1:7878\r\n";
    let site = |site: &str| format!("Sec-Fetch-Site: {site}\r\n");
    let pause = |headers: &str| {
        let headers = format!("Content-Type: application/json\r\n{cookie}{headers}");
        let text = request("POST", "/api/v1/run/pause", &headers, "{\"reason\":\"x\"}");
        let text = String::from_utf8(text).unwrap();
        text.replace(&format!("Authorization: Bearer {KEY}\r\n"), "").into_bytes()
    };
    for (what, headers, refused) in [
        ("our page", format!("{ours}{}", site("same-origin")), false),
        ("a browser that says nothing of it", ours.to_owned(), false),
        ("a page of another site", format!("{ours}{}", site("cross-site")), true),
        ("a page of a neighbor", format!("{ours}{}", site("same-site")), true),
        ("the address line", site("none"), true),
        ("another port", "Origin: http://127.0.0.1:9999\r\n".to_owned(), true),
    ] {
        let answer = answer(&app, &pause(&headers)).await;
        // No run is on here: what is let through is in conflict with that.
        assert_eq!(status(&answer), if refused { 403 } else { 409 }, "{what}: {answer}");
    }
    // Whoever only looks is let in from a link elsewhere.
    let link = bare("/api/v1/run", &format!("{cookie}{}", site("cross-site")));
    assert_eq!(status(&answer(&app, &link).await), 200);
    let upgrade = |who: &str, more: &str| {
        let text = bare(
            "/api/v1/ws",
            &format!(
                "{who}{more}Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
            ),
        );
        String::from_utf8(text).unwrap().replace("Connection: close", "Connection: upgrade")
    };
    let key = format!("Authorization: Bearer {KEY}\r\n");
    let evil = "Origin: https://evil.example\r\n";
    for (what, text, expected) in [
        ("our page", upgrade(&cookie, ours), 101),
        ("a session from no page", upgrade(&cookie, ""), 403),
        ("a session from another page", upgrade(&cookie, evil), 403),
        ("a script", upgrade(&key, ""), 101),
        ("a key in another page", upgrade(&key, evil), 403),
    ] {
        let answer = answer(&app, text.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{what}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_earlier_routes_answer_what_they_did() {
    let app = app();
    let asked = async |path: &str| {
        let answer = answer(&app, &request("GET", path, "", "")).await;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
        (status(&answer), serde_json::from_str::<Value>(&body).unwrap_or_default())
    };
    let (code, all) = asked("/api/strategies").await;
    assert_eq!(code, 200);
    assert_eq!(all.as_object().map(serde_json::Map::len), Some(3), "{all}");
    for name in ["one", "two", "three"] {
        assert_eq!(all[name]["name"], name, "{all}");
    }
    let (_, one) = asked("/api/strategy/two").await;
    assert_eq!(
        (&one["name"], &one["equity"], &one["trades"]),
        (&json!("two"), &json!("1"), &json!([]))
    );
    for field in ["status", "capital", "cash", "pnl", "roi", "max_drawdown", "win_rate", "fees"] {
        assert!(one.get(field).is_some(), "{field}: {one}");
    }
    assert_eq!(asked("/api/strategy/nobody").await.0, 404);
    assert_eq!(asked("/api/trades").await.1, json!({ "trades": [] }));
    let (_, sums) = asked("/api/aggregate").await;
    assert_eq!((&sums["strategies"], &sums["totals"][0]["equity"]), (&json!(3), &json!("3")));
    assert_eq!(asked("/api/prices").await.1, json!({}));
    assert_eq!(asked("/api/session").await.1["run"], json!("a-run"));
}
