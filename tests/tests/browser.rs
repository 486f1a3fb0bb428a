//! The dashboard in a real browser: what a person does, against the real program.
//! Whatever the console says fails the test, and so does every violation of the
//! content-security policy.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sandpaper_tests::browser::{Browser, Complaint};
use sandpaper_tests::{Folder, repository};
use serde_json::{Value, json};

mod controls;
mod figures;
mod hands;
mod hostile;
mod outage;
mod runs;
mod said;
mod walk;

const KEY: &str = "a-key-of-more-than-thirty-two-characters";
const VIEWER: &str = "a-viewers-key-of-more-than-thirty-two-characters";
const STRATEGIES: [&str; 3] = ["market-making", "mean-reversion", "order-flow"];
/// The leaderboard's names from the top, without the benchmark.
const NAMES: &str = "[...document.querySelectorAll('[aria-label=Leaderboard] tbody tr')]
    .filter((row) => row.querySelector('input')).map((row) => row.querySelector('td.c-name b').textContent)";

/// The program on the simulated market, with its dashboard.
struct Host {
    folder: Folder,
    child: Child,
    /// what it runs, on which market
    arguments: Vec<String>,
    /// where it listens
    at: String,
    /// the address that logs a browser in
    address: String,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Host {
    /// The reference strategies on the simulated market, without a record.
    fn start() -> Option<Self> {
        Self::with(&STRATEGIES, &["--simulated", "--unsigned", "--no-record"])
    }

    /// Strategies of this repository, with more arguments.
    fn with(strategies: &[&str], more: &[&str]) -> Option<Self> {
        let folder = Folder::new();
        let mut arguments: Vec<String> = more.iter().map(|&argument| argument.into()).collect();
        for name in strategies {
            let (module, file) = (repository::guest(name)?, format!("{name}.wasm"));
            folder.write(&file, std::fs::read(module).expect("readable"));
            arguments.extend(["--wasm".into(), file]);
        }
        Some(Self::of(folder, arguments))
    }

    /// What lies in a folder.
    fn of(folder: Folder, arguments: Vec<String>) -> Self {
        let viewer = folder.write("viewer.key", VIEWER);
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(viewer, private).expect("permissions");
        let (child, address) = spawn(&folder, "127.0.0.1:0", &arguments);
        let at = address.split(['/', '#']).nth(2).expect("an address").to_owned();
        Self { folder, child, arguments, at, address }
    }

    /// Ends it as a power cut would.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends it in order, as Ctrl-C does.
    fn interrupt(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        assert!(self.child.wait().expect("it ends").success());
    }

    /// Starts it anew on the port that it had.
    fn restart(&mut self) {
        (self.child, self.address) = spawn(&self.folder, &self.at, &self.arguments);
    }
}

fn spawn(folder: &Folder, bind: &str, more: &[String]) -> (Child, String) {
    let mut arguments = vec!["run", "--bind", bind];
    arguments.extend(["--set", "web.viewer_key_file=viewer.key"]);
    arguments.extend(more.iter().map(String::as_str));
    let mut child = folder
        .command(&arguments)
        .env("SANDPAPER__WEB__ENABLED", "true")
        .env("SANDPAPER_API_KEY", KEY)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut said = BufReader::new(child.stderr.take().expect("its words"));
    let (mut all, mut line) = (String::new(), String::new());
    while said.read_line(&mut line).expect("text") > 0 {
        if let Some(at) = line.find("http://") {
            let address = line[at..].split_whitespace().next().unwrap_or_default().to_owned();
            // Whoever stops reading would stop the program.
            std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
            return (child, address);
        }
        all.push_str(&line);
        line.clear();
    }
    let _ = child.wait();
    panic!("it printed no address: {all}");
}

/// A browser that is logged in to a host of its own.
fn logged_in() -> Option<(Host, Browser)> {
    let mut browser = Browser::open()?;
    let host = Host::start()?;
    browser.size(1440, 900, "dark");
    enter(&mut browser, &host);
    Some((host, browser))
}

/// Logs in with the code in the address.
fn enter(browser: &mut Browser, host: &Host) {
    browser.go(&host.address);
    browser.until("the leaderboard after logging in", &format!("({NAMES}).length > 0"));
    let href = browser.value("location.href");
    assert!(!href.to_string().contains("code="), "the code stayed in the address: {href}");
    // The login page is the body of a refusal, and a browser says so.
    let said = browser.complaints();
    let home = format!("http://{}/", host.at);
    let page = |it: &Complaint| is_refusal(it) && it.url.split('#').next() == Some(home.as_str());
    let others: Vec<_> = said.iter().filter(|it| !page(it)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

/// What a browser says of a request that needs a credential.
fn is_refusal(complaint: &Complaint) -> bool {
    complaint.source == "network" && complaint.text.contains("status of 401")
}

/// Nothing was complained of.
fn quiet(browser: &mut Browser) -> Result<(), String> {
    let said = browser.complaints();
    if said.is_empty() { Ok(()) } else { Err(format!("{said:#?}")) }
}

/// Waits some frames for a complaint of that kind; without one, gives all others.
fn complains(
    browser: &mut Browser,
    wanted: impl Fn(&Complaint) -> bool,
) -> Result<(), Vec<Complaint>> {
    let mut said = Vec::new();
    for _ in 0..300 {
        browser.value(FRAMES);
        said.extend(browser.complaints());
        if said.iter().any(&wanted) {
            return Ok(());
        }
    }
    Err(said)
}

/// How many dots of a color the charts of the page show.
fn dots(color: &str) -> String {
    format!(
        "(() => {{ const wanted = getComputedStyle(document.documentElement).getPropertyValue('--{color}').trim();
            const [r, g, b] = [1, 3, 5].map((at) => parseInt(wanted.slice(at, at + 2), 16)); let found = 0;
            for (const from of document.querySelectorAll('figure.chart canvas')) {{
                if (from.width === 0 || from.height === 0) continue;
                const copy = new OffscreenCanvas(from.width, from.height).getContext('2d', {{ willReadFrequently: true }});
                copy.drawImage(from, 0, 0);
                const {{ data }} = copy.getImageData(0, 0, from.width, from.height);
                for (let i = 0; i < data.length; i += 4) if (data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255) found += 1;
            }} return found; }})()"
    )
}

/// Two frames of the page.
const FRAMES: &str =
    "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))";

const CLICK_SORT: &str = "[...document.querySelectorAll('[aria-label=Leaderboard] th button')].find((b) => b.textContent.startsWith('Strategy')).click()";

#[test]
fn a_fill_appears_on_chart_and_table_and_the_leaderboard_sorts() {
    let Some((_host, mut browser)) = logged_in() else { return };
    // Sorted by name, down and up.
    for (order, direction) in [(-1, "descending"), (1, "ascending")] {
        browser.value(CLICK_SORT);
        browser.until(direction, &format!("document.querySelector('[aria-label=Leaderboard] th[aria-sort={direction}]')?.textContent.startsWith('Strategy')"));
        let mut names = STRATEGIES.to_vec();
        names.sort_by(|a, b| if order > 0 { a.cmp(b) } else { b.cmp(a) });
        assert_eq!(browser.value(NAMES), json!(names), "{direction}");
    }
    // The page of whoever trades first.
    let name = browser.until(
        "a fill among the events",
        "[...document.querySelectorAll('.events li')].find((li) => li.querySelector('.kind').textContent === 'fill')?.querySelector('.what a').textContent",
    );
    let name = name.as_str().expect("a name");
    assert!(STRATEGIES.contains(&name), "{name}");
    let shown = browser.value("document.querySelector('.last').textContent");
    assert!(
        shown.as_str().is_some_and(|text| text.contains("because") || text.contains("no reason")),
        "{shown}"
    );
    // A chart without fills shows no mark: the control of the dots.
    browser.value("location.hash = '#/m'");
    browser.until("candles of the market", "document.querySelector('figure.chart canvas')");
    assert_eq!(browser.value(&format!("{} + {}", dots("buy"), dots("sell"))), json!(0));
    browser.value(&format!("location.hash = '#/s/{name}?tab=fills'"));
    let rows = "document.querySelectorAll('[aria-label=Fills] tbody tr').length";
    let before = browser.until("fills in the table", rows).as_u64().expect("a number");
    browser.until("another fill in the table", &format!("{rows} > {before}"));
    browser.until("fills on the chart", &format!("{} + {} > 20", dots("buy"), dots("sell")));
    let label = browser.value("document.querySelector('figure.chart').getAttribute('aria-label')");
    assert!(label.as_str().is_some_and(|text| text.contains(" fills")), "{label}");
    assert_eq!(quiet(&mut browser), Ok(()));
}

#[test]
fn the_theme_switches_by_key_and_stays() {
    let Some((_host, mut browser)) = logged_in() else { return };
    let background = "getComputedStyle(document.body).backgroundColor";
    let dark = browser.value(background);
    browser.key("t");
    browser.until("the light theme", &format!("{background} !== {dark}"));
    let light = browser.value(background);
    browser.command("Page.reload", &json!({}));
    browser.until("the page again", &format!("({NAMES}).length === 3"));
    assert_eq!(browser.value(background), light, "the choice is kept");
    browser.key("t");
    browser.until("the dark theme", &format!("{background} === {dark}"));
    assert_eq!(quiet(&mut browser), Ok(()));
}

#[test]
fn the_host_is_lost_and_comes_back() {
    let Some((mut host, mut browser)) = logged_in() else { return };
    browser.value("location.hash = '#/s/order-flow?tab=orders'");
    browser.until(
        "the strategy",
        "document.querySelector('.head h1')?.textContent.startsWith('order-flow')",
    );
    assert_eq!(quiet(&mut browser), Ok(()));
    host.kill();
    browser.until("the banner of a lost host", "document.querySelector('.banner.bad')?.textContent.startsWith('No connection with the host since')");
    assert_eq!(browser.value("document.querySelector('main').className"), json!("aged"));
    assert!(browser.value("document.title").to_string().contains("disconnected"));
    host.restart();
    // Sessions end with the process: the view stays, and asks for a key.
    browser.until(
        "the login over the view",
        "document.querySelector('dialog:modal input[type=password]')",
    );
    browser.value("document.querySelector('dialog:modal input').focus()");
    browser.command("Input.insertText", &json!({ "text": KEY }));
    browser.value("document.querySelector('dialog:modal form').requestSubmit()");
    browser.until("the connection", "document.querySelector('dialog:modal') === null && document.querySelector('main').className === ''");
    browser.until("word of another run", "document.querySelector('.banner.info button')");
    // A host that has just begun has not named its strategies for some moments.
    let early =
        |it: &Complaint| it.text.contains("status of 404") && it.url.contains("/strategies/");
    let lost = browser.complaints();
    let expected = |it: &Complaint| {
        is_refusal(it)
            || early(it)
            || it.text.contains("ERR_CONNECTION")
            || it.text.contains("ERR_SOCKET_NOT_CONNECTED")
            // What was asked and not answered when it ended.
            || it.text.contains("ERR_EMPTY_RESPONSE")
            || it.text.contains("ERR_INCOMPLETE_CHUNKED_ENCODING")
            || it.text.contains("ERR_CONTENT_LENGTH_MISMATCH")
            || it.text.contains("WebSocket connection to")
    };
    let others: Vec<_> = lost.iter().filter(|it| !expected(it)).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(
        lost.iter().any(|it| it.text.contains("ERR_CONNECTION_REFUSED")),
        "it was gone: {lost:#?}"
    );
    browser.value("document.querySelector('.banner.info button').click()");
    browser.until("the new run", "document.querySelector('.banner.info') === null && document.querySelector('.head h1')?.textContent.startsWith('order-flow')");
    assert_eq!(browser.value("location.hash"), json!("#/s/order-flow?tab=orders"));
    assert_eq!(quiet(&mut browser), Ok(()));
}

/// The control of every test here: what must not happen is noticed when it does.
#[test]
fn a_console_error_and_a_policy_violation_are_noticed() {
    let Some((_host, mut browser)) = logged_in() else { return };
    assert_eq!(quiet(&mut browser), Ok(()));
    let deliberate = [
        ("console.error('deliberate')", "console"),
        ("setTimeout(() => { throw new Error('deliberate'); })", "exception"),
        (
            "document.body.append(Object.assign(document.createElement('img'), { src: 'https://elsewhere.example/x.png' }))",
            "security",
        ),
        (
            "document.head.append(Object.assign(document.createElement('style'), { textContent: 'p { color: red }' }))",
            "security",
        ),
        ("document.body.innerHTML = '<p>'", "issue"),
        ("document.createElement('script').text = 'globalThis.ran = 1'", "issue"),
        ("fetch('/absent.js').then(() => 0)", "network"),
    ];
    for (fault, source) in deliberate {
        // Some are refused on the spot, which is as good.
        let _ = browser.evaluate(fault);
        complains(&mut browser, |it| it.source == source)
            .unwrap_or_else(|said| panic!("{fault}: {said:#?}"));
    }
    assert_eq!(browser.value("globalThis.ran ?? null"), Value::Null, "the policy holds");
}
