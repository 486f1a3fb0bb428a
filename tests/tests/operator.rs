//! An operator commands a run through its dashboard: what the engine makes of it,
//! what is written down, and who is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use super::dashboard::{KEY, Served, serve_in};
use sandpaper_tests::{Folder, repository};

const VIEWER: &str = "another-key-that-may-only-look-at-things";
const PAUSE: &str = r#"{"reason":"too many losses"}"#;

/// A receiver of notices that takes them all.
fn webhook() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let (got, notices) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().expect("twice"));
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap_or(0);
                }
                line.clear();
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_ok() {
                let _ = got.send(serde_json::from_slice(&body).unwrap_or(Value::Null));
            }
            let _ = stream.write_all(b"HTTP/1.1 204 x\r\nConnection: close\r\n\r\n");
        }
    });
    (url, notices)
}

fn private(folder: &Folder, name: &str, text: &str) {
    folder.write(name, text);
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(folder.path(name), mode).expect("private");
}

/// A run with a viewer's key and a webhook, of two strategies.
fn served() -> Option<(Served, Receiver<Value>)> {
    let module = std::fs::read(repository::guest("order-flow")?).expect("readable");
    let other = std::fs::read(repository::guest("mean-reversion")?).expect("readable");
    let folder = Folder::new();
    folder.write("of.wasm", module);
    folder.write("mr.wasm", other);
    let (url, notices) = webhook();
    private(&folder, "viewer.key", VIEWER);
    private(&folder, "hook", &url);
    let mut more = vec!["--wasm", "mr.wasm"];
    for set in ["web.viewer_key_file=viewer.key", "notify.webhook_url_file=hook"] {
        more.extend(["--set", set]);
    }
    Some((serve_in(folder, &more), notices))
}

fn status<'a>(all: &'a Value, name: &str) -> &'a str {
    let rows = all["strategies"].as_array().expect("rows");
    rows.iter().find(|row| row["name"] == name).expect("a row")["status"].as_str().expect("one")
}

#[test]
fn commands_reach_the_engine_are_written_down_and_replay() {
    let Some((mut served, notices)) = served() else { return };
    let pause = "/api/v1/strategies/of/pause";
    let row = |all: &Value| all["strategies"].as_array().is_some_and(|rows| !rows.is_empty());
    served.wait("/api/v1/strategies", |all| row(all) && status(all, "of") == "running");
    assert_eq!(served.tell(pause, VIEWER, PAUSE).0, 403, "a viewer may only look");
    assert_eq!(served.tell(pause, KEY, r#"{"reason":"  "}"#).0, 422, "without a reason");
    assert_eq!(served.tell("/api/v1/strategies/none/pause", KEY, PAUSE).0, 404);

    let (code, body) = served.tell(pause, KEY, PAUSE);
    assert_eq!((code, body.as_str()), (202, r#"{"accepted":true}"#));
    served.wait("/api/v1/strategies", |all| status(all, "of") == "paused");
    let all = served.get("/api/v1/strategies");
    assert_eq!(status(&all, "mr"), "running", "the other goes on");
    let said = |events: &Value| {
        let events = events["events"].as_array().expect("events");
        events.iter().any(|event| {
            event["kind"] == "operator"
                && event["text"].as_str().is_some_and(|text| text.contains("too many losses"))
        })
    };
    served.wait("/api/v1/events?limit=1000", said);

    assert_eq!(served.tell("/api/v1/strategies/of/resume", KEY, PAUSE).0, 202);
    served.wait("/api/v1/strategies", |all| status(all, "of") == "running");
    assert_eq!(served.tell("/api/v1/run/flatten", KEY, PAUSE).0, 202);
    assert_eq!(served.tell("/api/v1/strategies/mr/kill", KEY, r#"{"reason":"enough"}"#).0, 202);
    served.wait("/api/v1/strategies", |all| status(all, "mr") == "halted");
    let notice = notices.recv_timeout(Duration::from_secs(10)).expect("the webhook is told");
    assert_eq!((&notice["event"], &notice["strategy"]), (&"kill".into(), &"mr".into()));
    assert!(notice["text"].as_str().is_some_and(|text| text.contains("enough")), "{notice}");

    let run = served.get("/api/v1/run")["run"].as_str().expect("a name").to_owned();
    served.interrupt();
    let log = std::fs::read_to_string(served.folder.path("logs/audit.jsonl")).expect("a log");
    let lines: Vec<Value> = log.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let results = |action: &str| -> Vec<&str> {
        let of = lines.iter().filter(|line| line["action"] == action);
        of.filter_map(|line| line["result"].as_str()).collect()
    };
    assert_eq!(results("pause"), ["asked", "taken"], "{log}");
    assert_eq!(results("kill"), ["asked", "taken"], "{log}");
    assert!(lines.iter().any(|l| l["result"] == "role" && l["role"] == "viewer"), "{log}");
    assert!(log.contains("too many losses"));
    let end = sandpaper::dashboard::audit::verify(&served.folder.path("logs/audit.jsonl"));
    assert!(end.expect("readable").is_ok());
    // The run replays with its commands, and what it came to is kept.
    let record = format!("runs/{run}");
    let verified = served.folder.run(&[
        "verify",
        &record,
        "--unsigned",
        "--wasm",
        "of.wasm",
        "--wasm",
        "mr.wasm",
    ]);
    verified.expect(0);
    let kept = std::fs::read_to_string(served.folder.path(&format!("{record}/result.json")));
    let kept: Value = serde_json::from_str(&kept.expect("a result")).expect("JSON");
    assert_eq!((&kept["state"], &kept["run"]), (&"ended".into(), &run.as_str().into()));
    assert_eq!(kept["strategies"][1]["status"], "halted");
}
