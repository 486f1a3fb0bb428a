//! The dashboard as a stranger meets it: through the real program, over loopback.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sandpaper_tests::{Folder, repository};
use serde_json::Value;

pub const KEY: &str = "a-key-of-more-than-thirty-two-characters";

/// A run that serves its dashboard; ended when it is dropped.
pub struct Served {
    pub folder: Folder,
    child: Child,
    address: String,
    /// what it says on its error stream from then on
    rest: Option<JoinHandle<String>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> Option<Folder> {
    let module = repository::guest("order-flow")?;
    let folder = Folder::new();
    folder.write("of.wasm", std::fs::read(module).expect("readable"));
    Some(folder)
}

fn serve(more: &[&str]) -> Option<Served> {
    Some(serve_in(folder()?, more))
}

/// A run of the module of.wasm in a folder, with more arguments.
pub fn serve_in(folder: Folder, more: &[&str]) -> Served {
    let mut arguments = vec!["run", "--wasm", "of.wasm", "--unsigned", "--bind", "127.0.0.1:0"];
    if !more.contains(&"--feed") {
        arguments.push("--simulated");
    }
    arguments.extend(more);
    start(folder, &arguments)
}

/// What the program serves with these arguments.
pub fn start(folder: Folder, arguments: &[&str]) -> Served {
    let mut child = folder
        .command(arguments)
        .env("SANDPAPER__WEB__ENABLED", "true")
        .env("SANDPAPER_API_KEY", KEY)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut said = BufReader::new(child.stderr.take().expect("its words"));
    let mut address = None;
    let mut line = String::new();
    while address.is_none() && said.read_line(&mut line).expect("a line") > 0 {
        address = line.split("http://").nth(1).map(|rest| {
            rest.split(|c: char| c == '/' || c.is_whitespace()).next().unwrap_or("").to_owned()
        });
        line.clear();
    }
    // Whoever stops reading would stop the program.
    let rest = std::thread::spawn(move || {
        let mut rest = String::new();
        let _ = said.read_to_string(&mut rest);
        rest
    });
    Served { folder, child, address: address.expect("an address"), rest: Some(rest) }
}

impl Served {
    /// The status of a request with the key and a body in JSON.
    pub fn send(&self, method: &str, path: &str, body: &str) -> u16 {
        let headers = format!("{}Content-Type: application/json\r\n", bearer(KEY));
        Self::parts(&self.raw(method, path, &headers, body)).0
    }

    /// The status and the body of a request.
    fn ask(&self, method: &str, path: &str, headers: &str) -> (u16, String) {
        Self::parts(&self.raw(method, path, headers, ""))
    }

    /// The status and the body of a request that tells something in JSON.
    pub fn tell(&self, path: &str, key: &str, body: &str) -> (u16, String) {
        let headers = format!("{}Content-Type: application/json\r\n", bearer(key));
        Self::parts(&self.raw("POST", path, &headers, body))
    }

    /// What a GET with the key answers, as JSON.
    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, &bearer(KEY));
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Waits until something holds of what a path answers.
    pub fn wait(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let (_hold, tick) = std::sync::mpsc::channel::<()>();
        // A minute or more, for machines that do much else.
        for _ in 0..1_200 {
            let answer = self.get(path);
            if holds(&answer) {
                return answer;
            }
            let _ = tick.recv_timeout(Duration::from_millis(50));
        }
        panic!("{path} never came to it: {}", self.get(path));
    }

    /// Ends the run as Ctrl-C does, and waits for its end. Gives what it said.
    pub fn interrupt(&mut self) -> String {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("it runs");
        let ended = self.child.wait().expect("it ends");
        assert_eq!(ended.code(), Some(0), "it ends in order");
        let rest = self.rest.take().expect("once");
        rest.join().expect("its words")
    }

    fn parts(answer: &str) -> (u16, String) {
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        (status, body.unwrap_or_default())
    }

    /// The whole answer to a request.
    fn raw(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let host = if headers.contains("Host:") { "" } else { "Host: 127.0.0.1\r\n" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Every method and path that the program itself lists.
    pub fn routes(&self) -> Vec<(String, String)> {
        let (status, body) = self.ask("GET", "/api/v1/openapi.json", &bearer(KEY));
        assert_eq!(status, 200, "{body}");
        let document: Value = serde_json::from_str(&body).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        let methods = |(path, methods): (&String, &Value)| -> Vec<(String, String)> {
            let path = path.replace("{name}", "of");
            let names = methods.as_object().expect("methods").keys();
            names.map(|method| (method.to_uppercase(), path.clone())).collect()
        };
        paths.iter().flat_map(methods).collect()
    }
}

fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}

#[test]
fn crit_004_every_route_answers_401_without_a_credential() {
    // Each refusal would count against the limits that another test is about.
    let limits =
        ["web.logins_per_minute=10000", "web.rate_per_second=10000", "web.rate_burst=10000"];
    let more: Vec<&str> = limits.iter().flat_map(|limit| ["--set", limit]).collect();
    let Some(served) = serve(&more) else { return };
    let mut routes = served.routes();
    assert!(routes.len() > 25, "{routes:?}");
    for path in ["/", "/index.html", "/app/main.mjs", "/vendor/ui.mjs", "/api/v1/ws", "/ws/live"] {
        routes.push(("GET".into(), path.into()));
    }
    let stranger = bearer("another-key-of-more-than-thirty-two-chars");
    for (method, path) in &routes {
        // Health is open, and the login takes the credential itself.
        if path == "/healthz" || (method == "POST" && path == "/api/v1/session") {
            continue;
        }
        assert_eq!(served.ask(method, path, "").0, 401, "{method} {path} without a key");
        assert_eq!(served.ask(method, path, &stranger).0, 401, "{method} {path}, another key");
        let in_url = format!("{path}?key={KEY}");
        assert_eq!(served.ask(method, &in_url, "").0, 401, "{method} {path}: never in a URL");
        // The control: the same request with the key is not refused for want of it.
        assert_ne!(served.ask(method, path, &bearer(KEY)).0, 401, "{method} {path} with the key");
    }
    assert_eq!(served.ask("GET", "/healthz", "").0, 200);
}

#[test]
fn crit_004_another_host_is_not_answered() {
    let Some(served) = serve(&[]) else { return };
    let evil = format!("Host: evil.example\r\n{}", bearer(KEY));
    assert_eq!(served.ask("GET", "/api/v1/run", &evil).0, 421);
    assert_eq!(served.ask("GET", "/api/v1/run", &bearer(KEY)).0, 200, "the control");
}

#[test]
fn med_010_failed_logins_are_limited_apart_from_the_rest() {
    let Some(served) = serve(&[]) else { return };
    let stranger = bearer("another-key-of-more-than-thirty-two-chars");
    let statuses: Vec<u16> =
        (0..6).map(|_| served.ask("GET", "/api/v1/run", &stranger).0).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429], "five a minute are configured");
    let refused = served.raw("GET", "/api/v1/run", &stranger, "").to_lowercase();
    assert!(refused.contains("retry-after: "), "{refused}");
    assert_eq!(served.ask("GET", "/healthz", "").0, 200, "the control: others are answered");
}

#[test]
fn crit_004_a_page_elsewhere_is_refused_although_it_has_a_key() {
    let Some(served) = serve(&[]) else { return };
    let from = |origin: &str| format!("Origin: {origin}\r\n{}", bearer(KEY));
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"] {
        assert_eq!(served.ask("GET", "/api/v1/run", &from(origin)).0, 403, "{origin}");
        assert_eq!(served.ask("POST", "/api/v1/ws-ticket", &from(origin)).0, 403, "{origin}");
    }
    let twice = format!("Origin: http://127.0.0.1\r\n{}", from("http://evil.example"));
    assert_eq!(served.ask("GET", "/api/v1/run", &twice).0, 403, "two origins");
    // The control: our own page, and a script, which names none.
    let own =
        format!("Host: {0}\r\n{1}", served.address, from(&format!("http://{}", served.address)));
    assert_eq!(served.ask("GET", "/api/v1/run", &own).0, 200);
    assert_eq!(served.ask("POST", "/api/v1/ws-ticket", &bearer(KEY)).0, 200);
}

#[test]
fn the_audit_log_tells_who_did_what_and_no_secret() {
    let Some(served) = serve(&[]) else { return };
    let stranger = "another-key-of-more-than-thirty-two-chars";
    assert_eq!(served.ask("GET", "/api/v1/run", &bearer(KEY)).0, 200);
    assert_eq!(served.ask("GET", "/api/v1/run", &bearer(stranger)).0, 401);
    assert_eq!(served.ask("POST", "/api/v1/ws-ticket", &bearer(KEY)).0, 200);
    let file = served.folder.path("logs/audit.jsonl");
    let text = std::fs::read_to_string(&file).expect("it is written at once");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |action: &str| lines.iter().find(|line| line["action"] == action).expect("a line");
    assert_eq!(of("key used")["role"], "admin");
    assert_eq!(of("refused")["result"], "wrong key");
    assert_eq!(of("ticket")["address"], "127.0.0.1");
    assert!(!text.contains(KEY) && !text.contains(stranger), "a key was written: {text}");
    let end = sandpaper::dashboard::audit::verify(&file).expect("readable").expect("whole");
    assert_eq!(end.lines, lines.len() as u64);
    // The control: a changed word is found.
    let forged = served.folder.path("forged.jsonl");
    std::fs::write(&forged, text.replace("wrong key", "right key")).expect("written");
    assert!(sandpaper::dashboard::audit::verify(&forged).expect("readable").is_err());
}

#[test]
fn crit_004_another_address_needs_a_key_and_tls() {
    let Some(folder) = folder() else { return };
    let run = |key: bool, more: &[&str]| {
        let mut arguments =
            vec!["run", "--simulated", "--wasm", "of.wasm", "--unsigned", "--duration", "1s"];
        arguments.extend(["--bind", "0.0.0.0:0", "--no-record"]);
        arguments.extend(more);
        let mut command = folder.command(&arguments);
        command.env("SANDPAPER__WEB__ENABLED", "true");
        if key {
            command.env("SANDPAPER_API_KEY", KEY);
        }
        command.output().expect("the program starts").status.code()
    };
    assert_eq!(run(false, &[]), Some(3), "no key");
    assert_eq!(run(true, &[]), Some(3), "a key and no TLS");
    let override_it = ["--set", "web.insecure_http=true"];
    assert_eq!(run(true, &override_it), Some(0), "the control: said in so many words");
}

#[allow(clippy::print_stderr, reason = "a skipped test must say so")]
#[test]
fn schemathesis_finds_nothing_that_the_document_does_not_say() {
    let tool = repository::root().join("target/schemathesis/bin/schemathesis");
    if !tool.exists() {
        eprintln!("skipped: schemathesis is not installed: make setup-tests");
        return;
    }
    let limits =
        ["web.logins_per_minute=10000", "web.rate_per_second=1000000", "web.rate_burst=1000000"];
    let more: Vec<&str> = limits.iter().flat_map(|limit| ["--set", limit]).collect();
    let Some(served) = serve(&more) else { return };
    let examples = std::env::var("SANDPAPER_EXAMPLES").unwrap_or_else(|_| "3".into());
    let document = format!("http://{}/api/v1/openapi.json", served.address);
    let key = format!("Authorization: Bearer {KEY}");
    let mut arguments = vec!["run", &document, "-H", &key, "--checks", "all", "--workers", "1"];
    arguments.extend(["--max-examples", &examples, "--seed", "1"]);
    // The WebSocket is no request with an answer, and a kill would end the run.
    arguments.extend(["--exclude-path-regex", "(/ws|/ws/live|/kill)$"]);
    let fuzz = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&tool);
        command.args(arguments).current_dir(served.folder.path(".")).env("NO_COLOR", "1");
        let output = command.output().expect("schemathesis starts");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (passed, said) = fuzz(&arguments);
    assert!(passed, "{said}");
    // The control: a document that promises something else.
    let (_, text) = served.ask("GET", "/api/v1/openapi.json", &bearer(KEY));
    let forged = text.replacen("\"seq\":{\"type\":\"integer\"", "\"seq\":{\"type\":\"string\"", 9);
    assert_ne!(text, forged);
    std::fs::write(served.folder.path("forged.json"), forged).expect("written");
    let server = format!("http://{}", served.address);
    let forged = served.folder.path("forged.json").display().to_string();
    let control = ["run", &forged, "--url", &server, "-H", &key, "--include-path", "/api/v1/run"];
    let (passed, said) = fuzz(&[&control[..], &["--max-examples", "1"]].concat());
    assert!(!passed, "{said}");
}

#[test]
fn add_09_data_that_is_not_current_shows_on_the_dashboard() {
    let Some(folder) = folder() else { return };
    let venue = super::live::venue();
    let more = ["--feed", "kraken", "--url", &venue.url, "--symbols", "BTC/USD"];
    let served = serve_in(folder, &more);
    let symbol = |market: &Value| market["symbols"][0]["status"].clone();
    // The control: while the venue is there it is current, and nothing says otherwise.
    served.wait("/api/v1/market", |market| symbol(market) == "trading");
    let run = served.get("/api/v1/run");
    assert_eq!((&run["mode"], &run["feed"]), (&"live".into(), &"ok".into()));
    drop(venue);
    served.wait("/api/v1/market", |market| symbol(market) == "stale");
    served.wait("/api/v1/run", |run| run["feed"] == "down");
    let feed = served.get("/api/v1/feed");
    assert_eq!(feed["symbols"][0]["status"], "stale", "{feed}");
    let metrics = served.ask("GET", "/metrics", &bearer(KEY)).1;
    assert!(metrics.contains("sandpaper_feed_usable{symbol=\"BTC/USD\"} 0"), "{metrics}");
    assert_eq!(served.get("/api/v1/run")["mode"], "live", "and never simulated");
}

/// The first bytes of a WebSocket of which nothing more is read.
fn upgrade(served: &Served) -> TcpStream {
    let mut stream = TcpStream::connect(&served.address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let request = format!(
        "GET /ws/live HTTP/1.1\r\nHost: 127.0.0.1\r\n{}Upgrade: websocket\r\nConnection: upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
        bearer(KEY)
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut first = [0; 12];
    stream.read_exact(&mut first).expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 101");
    stream
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the end of the program is measured on the wall")]
fn low_009_the_program_takes_leave_of_its_clients_and_says_how_many() {
    let Some(mut served) = serve(&[]) else { return };
    let mut reads = upgrade(&served);
    let _stuck: Vec<TcpStream> = (0..4).map(|_| upgrade(&served)).collect();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = reads.read_to_end(&mut all);
        all
    });
    let began = std::time::Instant::now();
    let said = served.interrupt();
    let took = began.elapsed();
    assert!(took <= Duration::from_secs(5), "it took {took:?} to end");
    assert!(said.contains("closed, 5 connected"), "{said}");
    let all = reader.join().expect("everything");
    let text = String::from_utf8_lossy(&all);
    assert!(text.contains(r#""t":"shutdown""#), "nobody was told");
    // A close frame with code 1001 and its reason is the last of it.
    let reason = b"the host was stopped";
    let mut close = vec![0x88, 2 + reason.len() as u8, 0x03, 0xe9];
    close.extend_from_slice(reason);
    assert!(all.ends_with(&close), "no close 1001 at the end");
}

/// An amount in units of 10⁻¹⁸, exactly.
fn units(amount: &Value) -> Option<i128> {
    let text = amount.as_str()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{part:0<18}");
    assert!(part.len() <= 18, "{text}");
    digits.parse().ok()
}

/// Whether the equities of a leaderboard are its total, to the last digit.
fn adds_up(board: &Value) -> bool {
    let rows = board["strategies"].as_array().expect("rows");
    let rows = rows.iter().filter(|row| row["benchmark"] == false);
    let sum: Option<i128> = rows.map(|row| units(&row["equity"])).sum();
    board["totals"].as_array().is_some_and(|totals| totals.len() == 1)
        && sum.is_some()
        && sum == units(&board["totals"][0]["equity"])
}

#[test]
fn crit_002_what_the_program_tells_of_its_strategies_adds_up_in_every_state() {
    let Some(folder) = folder() else { return };
    for name in ["mean-reversion", "market-making"] {
        let Some(module) = repository::guest(name) else { return };
        folder.write(&format!("{name}.wasm"), std::fs::read(module).expect("readable"));
    }
    // A minute of the market takes a tenth of a second: each state is another.
    let more = ["--no-record", "--wasm", "mean-reversion.wasm", "--wasm", "market-making.wasm"];
    let fast = ["--set", "feed.sim.speed=600", "--set", "web.rate_burst=1000000"];
    let served = serve_in(folder, &[&more[..], &fast].concat());
    let known = |board: &Value| board["totals"][0]["equity"].is_string();
    let path = "/api/v1/strategies";
    let mut board = served.wait(path, known);
    let mut moved = 0;
    for state in 0..25 {
        assert_eq!(
            board["strategies"]
                .as_array()
                .map(|rows| rows.iter().filter(|row| row["benchmark"] == false).count()),
            Some(3)
        );
        assert!(adds_up(&board), "state {state}: {board}");
        let (seq, equity) = (board["seq"].as_u64(), board["totals"][0]["equity"].clone());
        board = served.wait(path, |next| next["seq"].as_u64() > seq);
        moved += u32::from(board["totals"][0]["equity"] != equity);
    }
    assert!(moved > 5, "the equities stood still, and that would add up too");
    // The control: one unit of the last digit, in one row, is found.
    let equity = board["strategies"][0]["equity"].as_str().expect("known").to_owned();
    let last = if equity.ends_with('1') { "2" } else { "1" };
    board["strategies"][0]["equity"] = format!("{}{last}", &equity[..equity.len() - 1]).into();
    assert!(!adds_up(&board), "{board}");
}
