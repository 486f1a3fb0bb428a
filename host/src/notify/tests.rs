use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::Sender;

use super::*;

/// A receiver that answers with these statuses in turn, and hands on what it got.
/// A status of 0 closes without an answer.
fn receiver(statuses: &'static [u16]) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (got, received) = channel();
    std::thread::spawn(move || {
        for status in statuses {
            let Ok((stream, _)) = listener.accept() else { return };
            serve(stream, *status, address, &got);
        }
    });
    (address, received)
}

fn serve(mut stream: std::net::TcpStream, status: u16, own: SocketAddr, got: &Sender<String>) {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    let whole = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| {
            line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
        })?;
        (body.len() >= length).then_some(())
    };
    while whole(&text).is_none() {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => text.extend_from_slice(&buffer[..n]),
        }
    }
    let _ = got.send(String::from_utf8_lossy(&text).into_owned());
    if status > 0 {
        let answer = format!(
            "HTTP/1.1 {status} x\r\nLocation: http://{own}/elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let _ = stream.write_all(answer.as_bytes());
    }
}

fn notice(text: &str) -> Notice {
    Notice {
        event: "trap",
        run: "a-run".into(),
        strategy: Some("<one>".into()),
        ts_ns: "5".into(),
        text: text.into(),
    }
}

fn quick() -> Patience {
    Patience { timeout: Duration::from_secs(5), pause: Duration::from_millis(5) }
}

/// What comes of one notice: requests, and the tally (sent, failed).
fn tell(statuses: &'static [u16]) -> (Vec<String>, (u64, u64)) {
    let (address, received) = receiver(statuses);
    let mut webhook = Webhook::open(format!("http://{address}/hook?x=1"), quick()).unwrap();
    webhook.tell(notice("a \"quoted\" word"));
    let requests: Vec<String> =
        statuses.iter().map_while(|_| received.recv_timeout(Duration::from_secs(2)).ok()).collect();
    webhook.close();
    let tally = webhook.tally();
    (requests, (tally.sent.load(Ordering::Relaxed), tally.failed.load(Ordering::Relaxed)))
}

#[test]
fn a_notice_is_json_that_is_posted_once() {
    let (requests, tally) = tell(&[204]);
    assert_eq!((requests.len(), tally), (1, (1, 0)));
    let request = &requests[0];
    assert!(request.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("content-type: application/json\r\n"), "{request}");
    let body = request.split_once("\r\n\r\n").unwrap().1;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["text"], "a \"quoted\" word");
    assert_eq!((&body["event"], &body["strategy"]), (&"trap".into(), &"<one>".into()));
}

#[test]
fn what_may_go_better_is_tried_again_and_what_will_not_is_not() {
    let (requests, tally) = tell(&[503, 0, 200]);
    assert_eq!((requests.len(), tally), (3, (1, 0)));
    let (requests, tally) = tell(&[404, 200]);
    assert_eq!((requests.len(), tally), (1, (0, 1)), "the receiver calls it wrong");
    let (requests, tally) = tell(&[307, 200]);
    assert_eq!((requests.len(), tally), (1, (0, 1)), "it is never sent elsewhere");
    let (requests, tally) = tell(&[500, 500, 500, 500, 500, 200]);
    assert_eq!((requests.len(), tally), (5, (0, 1)), "and not for ever");
}

#[test]
fn nobody_waits_for_a_receiver_that_is_stuck() {
    // It takes connections and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let patience = Patience { timeout: Duration::from_millis(300), ..quick() };
    let (told, through) = channel();
    std::thread::spawn(move || {
        let webhook = Webhook::open(address, patience).unwrap();
        for number in 0..500 {
            webhook.tell(notice(&number.to_string()));
        }
        let _ = told.send(webhook.tally().dropped.load(Ordering::Relaxed));
        std::mem::forget(webhook);
    });
    let dropped = through.recv_timeout(Duration::from_secs(10)).expect("nobody waited");
    assert!(dropped >= 400, "the queue is bounded: {dropped}");
}

#[test]
fn the_address_is_read_from_a_private_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hook");
    let write = |text: &str, mode: u32| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        read_address(&file)
    };
    assert_eq!(write("https://example.org/x\n", 0o600).unwrap(), "https://example.org/x");
    assert!(write("https://example.org/x", 0o644).unwrap_err().to_string().contains("chmod 600"));
    assert!(write("file:///etc/passwd", 0o600).is_err());
    assert!(write("https://example.org/a b", 0o600).is_err());
}
