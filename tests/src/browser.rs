//! A page in a headless Chromium, driven over its DevTools protocol. Everything that
//! the browser complains of is kept: a test asks for it in the end.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// The browser's program; `CHROMIUM` in the environment names another one.
const PROGRAM: &str = "chromium";
/// Without a sandbox of its own, because containers and root cannot have one: it shows
/// nothing but pages of this repository. Nothing of it calls home.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-port=0",
    "about:blank",
];
/// How long a page may take for what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to listen before a page that could not be asked is asked again.
const BREATH: Duration = Duration::from_millis(30);

/// What a page should not have done.
#[derive(Clone, Debug)]
pub struct Complaint {
    /// who says so: `network`, `security`, `exception`, `console`, `issue` and so on
    pub source: String,
    /// what it says
    pub text: String,
    /// the address that it is about, if any
    pub url: String,
}

/// A browser with one page and a profile of its own; gone when it is dropped.
#[derive(Debug)]
pub struct Browser {
    runtime: Runtime,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    child: Child,
    session: Option<String>,
    last: u64,
    complaints: Vec<Complaint>,
    _profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its helpers end with it in an orderly way only.
        let close = json!({ "id": 0, "method": "Browser.close" }).to_string();
        let Self { runtime, socket, .. } = self;
        let goodbye = async {
            socket.send(Message::text(close)).await?;
            while let Some(Ok(_)) = socket.next().await {}
            Ok::<(), tokio_tungstenite::tungstenite::Error>(())
        };
        let sent = runtime.block_on(async { timeout(PATIENCE, goodbye).await });
        if !matches!(sent, Ok(Ok(()))) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Browser {
    /// Opens an empty page. Says "skipped" when there is no such browser.
    ///
    /// # Panics
    /// When there is one that does not start.
    #[must_use]
    #[allow(clippy::print_stderr, reason = "a test that is skipped must say so")]
    pub fn open() -> Option<Self> {
        let program = std::env::var("CHROMIUM").unwrap_or_else(|_| PROGRAM.into());
        let profile = tempfile::tempdir().expect("a temporary folder");
        let spawned = Command::new(&program)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(FLAGS)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("skipped: {program} is not installed (make setup-tests)");
                return None;
            }
            Err(error) => panic!("{program}: {error}"),
        };
        let address = listening(&mut child);
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (socket, _) = runtime.block_on(connect_async(&address)).expect("its DevTools answer");
        let mut browser = Self {
            runtime,
            socket,
            child,
            session: None,
            last: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        browser.attach();
        Some(browser)
    }

    fn attach(&mut self) {
        let targets = self.command("Target.getTargets", &json!({}));
        let targets = targets["targetInfos"].as_array().expect("targets");
        let page = targets.iter().find(|target| target["type"] == "page").expect("a page");
        let params = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = self.command("Target.attachToTarget", &params);
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Audits"] {
            self.command(&format!("{domain}.enable"), &json!({}));
        }
        self.command("Emulation.setScrollbarsHidden", &json!({ "hidden": true }));
    }

    /// What a command of the protocol answers.
    ///
    /// # Panics
    /// When it is refused.
    pub fn command(&mut self, method: &str, params: &Value) -> Value {
        self.ask(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    #[allow(clippy::disallowed_methods, reason = "a browser is waited for by the wall")]
    fn ask(&mut self, method: &str, params: &Value) -> Result<Value, String> {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let text = Message::text(message.to_string());
        let sent = self.runtime.block_on(self.socket.send(text));
        sent.map_err(|error| error.to_string())?;
        let end = Instant::now() + 2 * PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut answer = self.receive(left).ok_or("no answer")?;
            if answer["id"] == json!(self.last) {
                return match answer["error"]["message"].as_str() {
                    Some(error) => Err(error.to_owned()),
                    None => Ok(answer["result"].take()),
                };
            }
        }
    }

    /// The next message, after its complaint was taken, if it is one.
    fn receive(&mut self, patience: Duration) -> Option<Value> {
        let socket = &mut self.socket;
        let next = self.runtime.block_on(async { timeout(patience, socket.next()).await });
        let text = next.ok()??.ok()?.into_text().ok()?;
        let message: Value = serde_json::from_str(&text).ok()?;
        self.complaints.extend(complaint(&message));
        Some(message)
    }

    /// Goes to an address.
    pub fn go(&mut self, url: &str) {
        self.command("Page.navigate", &json!({ "url": url }));
    }

    /// The value of an expression in the page; a promise is waited for.
    ///
    /// # Errors
    /// What the page threw, or that there is no page at the moment.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value, String> {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.ask("Runtime.evaluate", &params)?;
        match &answer["exceptionDetails"] {
            Value::Null => Ok(answer["result"]["value"].take()),
            thrown => Err(thrown.to_string()),
        }
    }

    /// The value of an expression that does not fail.
    ///
    /// # Panics
    /// When it does.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        self.evaluate(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until an expression is true, whatever the page loads meanwhile.
    ///
    /// # Panics
    /// When that takes too long, with what the page shows.
    #[track_caller]
    #[allow(clippy::disallowed_methods, reason = "a browser is waited for by the wall")]
    pub fn until(&mut self, what: &str, expression: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now()).as_millis();
            let asked = format!(
                "new Promise((done) => {{ const end = Date.now() + {left}; const look = async () => {{
                    let found = null; try {{ found = await ({expression}); }} catch {{ }}
                    if (found || Date.now() > end) done(found); else setTimeout(look, 25); }}; look(); }})"
            );
            match self.evaluate(&asked) {
                Ok(Value::Null | Value::Bool(false)) => break,
                Ok(found) => return found,
                // While a page loads there is none to ask.
                Err(_) => drop(self.receive(BREATH)),
            }
        }
        let shown = self.evaluate("document.body.innerText.slice(0, 1500)");
        panic!("it never came: {what}. The page says: {shown:?}; {:?}", self.complaints);
    }

    /// Makes the page so large, in a light or dark system.
    pub fn size(&mut self, width: u32, height: u32, scheme: &str) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", &size);
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", &features);
    }

    /// Types a key on the page.
    pub fn key(&mut self, key: &str) {
        let number = match key {
            "Escape" => Some(27),
            "Enter" => Some(13),
            _ => None,
        };
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({ "type": kind, "key": key });
            // What the browser itself does with a key goes by its old number.
            if let Some(number) = number {
                params["windowsVirtualKeyCode"] = json!(number);
            }
            if kind == "keyDown" && key.chars().count() == 1 {
                params["text"] = json!(key);
            }
            self.command("Input.dispatchKeyEvent", &params);
        }
    }

    /// What the page looks like, as PNG.
    ///
    /// # Panics
    /// When no picture comes.
    pub fn png(&mut self) -> Vec<u8> {
        let taken = self.command("Page.captureScreenshot", &json!({ "format": "png" }));
        let data = taken["data"].as_str().expect("a picture");
        BASE64.decode(data.as_bytes()).expect("Base64")
    }

    /// What the page complained of since this was last asked.
    pub fn complaints(&mut self) -> Vec<Complaint> {
        // What was reported before this answer has been received with it.
        let _ = self.evaluate("0");
        std::mem::take(&mut self.complaints)
    }
}

/// The address at which a browser that was just started listens.
fn listening(child: &mut Child) -> String {
    let mut said = BufReader::new(child.stderr.take().expect("its words"));
    let (mut all, mut line) = (String::new(), String::new());
    while said.read_line(&mut line).expect("text") > 0 {
        if let Some(at) = line.find("ws://") {
            let address = line[at..].trim().to_owned();
            // Whoever stops reading would stop the program.
            std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
            return address;
        }
        all.push_str(&line);
        line.clear();
    }
    panic!("the browser ended: {all}");
}

/// The complaint in a message, if it is one.
fn complaint(message: &Value) -> Option<Complaint> {
    let params = &message["params"];
    let of = |source: &str, text: &Value, url: &Value| Complaint {
        source: source.into(),
        text: text.as_str().map_or_else(|| text.to_string(), str::to_owned),
        url: url.as_str().unwrap_or_default().into(),
    };
    let loud = |level: &Value| matches!(level.as_str(), Some("error" | "warning" | "assert"));
    match message["method"].as_str()? {
        "Runtime.exceptionThrown" => {
            let details = &params["exceptionDetails"];
            let text = match &details["exception"]["description"] {
                Value::Null => &details["text"],
                description => description,
            };
            Some(of("exception", text, &details["url"]))
        }
        "Runtime.consoleAPICalled" if loud(&params["type"]) => {
            Some(of("console", &params["args"], &Value::Null))
        }
        "Log.entryAdded" if loud(&params["entry"]["level"]) => {
            let entry = &params["entry"];
            Some(of(entry["source"].as_str()?, &entry["text"], &entry["url"]))
        }
        // A page that goes on without a click is one that a test drives.
        "Audits.issueAdded" if !params.to_string().contains("NavigationEntryMarkedSkippable") => {
            Some(of("issue", &params["issue"], &Value::Null))
        }
        _ => None,
    }
}
