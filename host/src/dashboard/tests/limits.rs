//! Requests that are too large, too slow, or too many.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::*;
use crate::dashboard::audit::Place;

/// How long the server bears with `stream` while `dribble` is sent to it, a byte a
/// second, and what it says before it closes.
async fn patience(mut stream: DuplexStream, dribble: &[u8]) -> (Duration, String) {
    let began = Instant::now();
    let mut said = Vec::new();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut bytes = dribble.iter();
    let mut buffer = [0; 4096];
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(n) => said.extend_from_slice(&buffer[..n]),
            },
            _ = second.tick() => if let Some(byte) = bytes.next() {
                let _ = stream.write_all(&[*byte]).await;
            },
        }
        assert!(began.elapsed() < Duration::from_secs(600), "it is never closed");
    }
    (began.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_a_slow_body_and_silence_are_closed_in_time_and_others_are_served() {
    let app = app();
    let whole = String::from_utf8(request("GET", "/api/v1/run", "", "")).unwrap();
    let head = format!("{whole}X: {}", "x".repeat(500));
    let body = request("POST", "/api/v1/run/pause", "Content-Type: application/json\r\n", "");
    let body = String::from_utf8(body).unwrap().replace("Content-Length: 0", "Content-Length: 900");
    // Thousands of each at once: none of them may hold another up.
    let mut slow = Vec::new();
    for number in 0..300 {
        let mut stream = connect(&app, 4096);
        let dribble = match number % 3 {
            0 => Vec::new(),
            1 => head.clone().into_bytes(),
            _ => {
                stream.write_all(body.as_bytes()).await.unwrap();
                vec![b' '; 900]
            }
        };
        slow.push(tokio::spawn(async move { (number % 3, patience(stream, &dribble).await) }));
    }
    let began = Instant::now();
    for _ in 0..20 {
        let answer = answer(&app, whole.as_bytes()).await;
        assert_eq!(status(&answer), 200, "{answer}");
    }
    assert!(began.elapsed() < Duration::from_millis(50), "others waited {:?}", began.elapsed());
    for one in slow {
        let (kind, (took, said)) = one.await.unwrap();
        assert!(took <= Duration::from_secs(11), "kind {kind} was borne with for {took:?}");
        assert!(!said.contains("200 OK"), "{said}");
    }
    // The control: a client that takes its time within the limit is answered.
    let mut stream = connect(&app, 4096);
    let (first, rest) = whole.split_at(whole.len() / 2);
    stream.write_all(first.as_bytes()).await.unwrap();
    tokio::time::advance(Duration::from_secs(8)).await;
    stream.write_all(rest.as_bytes()).await.unwrap();
    let (_, said) = patience(stream, b"").await;
    assert_eq!(status(&said), 200, "{said}");
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_of_an_answer_is_closed_in_time() {
    let app = app();
    // Far more than fits the way: every answer is a page, and none is read.
    let mut stream = connect(&app, 4 * 1024);
    let began = Instant::now();
    let asked = request("GET", "/vendor/lwc.mjs", "", "");
    stream.write_all(&asked).await.expect("a request");
    // The control: whoever reads gets all of it.
    let whole = answer(&app, &request("GET", "/vendor/lwc.mjs", "", "")).await;
    assert!(whole.len() > 100_000, "{}", whole.len());
    // Nothing can be written any more once the other end has given up.
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    while stream.write_all(b"x").await.is_ok() {
        tick.tick().await;
        assert!(began.elapsed() < Duration::from_secs(30), "it is held for ever");
    }
    assert!(began.elapsed() > Duration::from_secs(9), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    let app = app();
    let keep = String::from_utf8(request("GET", "/healthz", "", "")).unwrap();
    let mut stream = connect(&app, 1 << 16);
    stream.write_all(keep.replace("Connection: close\r\n", "").as_bytes()).await.unwrap();
    let (took, said) = patience(stream, b"").await;
    assert_eq!(status(&said), 200);
    assert!(took <= Duration::from_secs(11), "it was kept for {took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_refused() {
    let app = app();
    let json = "Content-Type: application/json\r\n";
    let body = |length: usize| format!("{{\"reason\":\"{}\"}}", "x".repeat(length));
    let post = |length| request("POST", "/api/v1/run/pause", json, &body(length));
    let header =
        |length| request("GET", "/api/v1/run", &format!("X: {}\r\n", "x".repeat(length)), "");
    let headers = |count: usize| {
        let all: String = (0..count).map(|number| format!("X-{number}: 1\r\n")).collect();
        request("GET", "/api/v1/run", &all, "")
    };
    let path = |length| request("GET", &format!("/{}", "x".repeat(length)), "", "");
    // Each with what is still taken, as the control.
    for (what, good, bad, refused) in [
        ("a body", post(1_000), post(17_000), [413, 413]),
        ("a header", header(1_000), header(20_000), [431, 400]),
        ("many headers", headers(50), headers(100), [431, 400]),
        ("a path", path(1_000), path(70_000), [414, 431]),
    ] {
        let small = status(&answer(&app, &good).await);
        assert!(![413, 414, 431, 400, 0].contains(&small), "{what}: {small}");
        let large = status(&answer(&app, &bad).await);
        assert!(refused.contains(&large), "{what}: {large}");
    }
    // Without a length, in pieces.
    let mut pieces = String::from_utf8(request("POST", "/api/v1/run/pause", json, "")).unwrap();
    pieces = pieces.replace("Content-Length: 0", "Transfer-Encoding: chunked");
    for _ in 0..40 {
        pieces.push_str(&format!("400\r\n{}\r\n", "x".repeat(0x400)));
    }
    pieces.push_str("0\r\n\r\n");
    let refused = status(&answer(&app, pieces.as_bytes()).await);
    assert!([413, 400].contains(&refused), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn two_lengths_are_no_request() {
    let app = app();
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
    ] {
        let smuggled = format!(
            "POST /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n0\r\n\r\n\
             GET /api/v1/config HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        );
        let answer = timeout(Duration::from_secs(60), answer(&app, smuggled.as_bytes())).await;
        let answer = answer.expect("closed");
        assert!(!answer.contains("settings"), "{headers}: {answer}");
        assert!(!answer.contains(" 200 "), "{headers}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn med_010_the_request_past_the_limit_is_told_when_to_come_again() {
    let app = app_with(|settings| (settings.rate_burst, settings.rate_per_second) = (5, 1));
    let ask = request("GET", "/api/v1/run", "", "");
    for number in 1..=5 {
        assert_eq!(status(&answer(&app, &ask).await), 200, "request {number}");
    }
    let refused = answer(&app, &ask).await.to_lowercase();
    assert_eq!(status(&refused), 429, "{refused}");
    let wait = refused.split("\r\nretry-after: ").nth(1).and_then(|rest| rest.lines().next());
    assert!(wait.is_some_and(|wait| ["1", "2"].contains(&wait)), "{refused}");
    // The control: what the configuration says is what holds.
    let other = app_with(|settings| (settings.rate_burst, settings.rate_per_second) = (6, 1));
    for _ in 0..6 {
        assert_eq!(status(&answer(&other, &ask).await), 200);
    }
    assert_eq!(status(&answer(&other, &ask).await), 429);
}

/// The cookie that an answer sets.
fn cookie(answer: &str) -> &str {
    let line = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    line.unwrap_or_else(|| panic!("no cookie: {answer}"))
}

#[tokio::test(start_paused = true)]
async fn sessions_of_two_programs_on_one_machine_do_not_meet() {
    let body = format!("{{\"key\":\"{KEY}\"}}");
    let log_in = |more: &str| {
        let more = format!("Content-Type: application/json\r\n{more}");
        let request = String::from_utf8(request("POST", "/api/v1/session", &more, &body)).unwrap();
        request.replace(&format!("Authorization: Bearer {KEY}\r\n"), "").into_bytes()
    };
    let own = app();
    let plain = answer(&own, &log_in("")).await;
    assert!(cookie(&plain).starts_with("sid-7878="), "{plain}");
    assert!(!cookie(&plain).contains("Secure"), "a browser would not send it: {plain}");
    // Who says that there is TLS before us must be one of ours.
    let said = log_in("X-Forwarded-Proto: https\r\n");
    assert!(cookie(&answer(&own, &said).await).starts_with("sid-7878="));
    let proxied =
        app_with(|settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let secure = answer(&proxied, &said).await;
    assert!(cookie(&secure).starts_with("__Host-sid="), "{secure}");
    assert!(cookie(&secure).ends_with("; Secure"), "{secure}");
    // Each is good where it was set, and nowhere else.
    for (app, pair, more, expected) in [
        (&own, cookie(&plain), "", 200),
        (&proxied, cookie(&secure), "X-Forwarded-Proto: https\r\n", 200),
        (&proxied, cookie(&secure), "", 401),
        (&own, cookie(&secure), "", 401),
    ] {
        let pair = pair.split(';').next().unwrap();
        let request = format!(
            "GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}Cookie: {pair}\r\n\r\n"
        );
        assert_eq!(status(&answer(app, request.as_bytes()).await), expected, "{request}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_viewer_cannot_fill_the_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place { file: folder.path().join("audit.jsonl"), rotate: 1 << 20, keep: 3 };
    let with = app();
    let audit = Audit::open(place.clone()).unwrap();
    let app =
        Arc::new(App::new(Arc::clone(&with.hub), with.settings.clone(), audit, with.url.clone()));
    let viewer = |path: &str| {
        let json = "Content-Type: application/json\r\n";
        let request = String::from_utf8(request("POST", path, json, "{\"reason\":\"x\"}")).unwrap();
        request.replace(KEY, VIEWER).into_bytes()
    };
    for _ in 0..150 {
        assert_eq!(status(&answer(&app, &viewer("/api/v1/ws-ticket")).await), 200);
        assert_eq!(status(&answer(&app, &viewer("/api/v1/run/kill")).await), 403);
    }
    let lines = std::fs::read_to_string(&place.file).unwrap().lines().count();
    assert!((20..=24).contains(&lines), "{lines} of 300");
    // What an administrator does is always written down.
    for _ in 0..30 {
        let kill = request(
            "POST",
            "/api/v1/run/kill",
            "Content-Type: application/json\r\n",
            "{\"reason\":\"x\"}",
        );
        assert_eq!(status(&answer(&app, &kill).await), 409, "no run is on here");
    }
    let text = std::fs::read_to_string(&place.file).unwrap();
    assert!(
        text.lines().filter(|line| line.contains("\"action\":\"kill\"")).count() >= 30,
        "{text}"
    );
}
