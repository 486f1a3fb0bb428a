//! `sandpaper list`.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::app::accounting::{UsageNow, Used};
use crate::app::given::file_bytes_max;
use crate::app::strategies::read_lock;
use crate::app::strikes::Strikes;
use crate::app::{Failure, Interrupt};
use crate::cli::{Exit, ListArgs};
use crate::lockfile::{self, Candidate, Entry, Lock, Sha256, Verdict, Wasi};
use crate::output::{self, Align, Table};
use crate::recorder;

use super::Context;

#[derive(Serialize)]
struct Row {
    name: String,
    file: Option<String>,
    sha256: Option<String>,
    /// what is allowed in the place of a changed file
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_sha256: Option<String>,
    status: &'static str,
    size: Option<u64>,
    allowed_at: Option<String>,
    expires: Option<String>,
    note: String,
    /// how much of WASI it is granted
    wasi: Wasi,
}

pub(super) fn list(context: &Context, args: &ListArgs) -> Result<Exit, Failure> {
    if args.watch {
        return watch(context);
    }
    let config = &context.config;
    let lock = read_lock(config)?;
    let now = Timestamp::now();
    let (candidates, warnings) = read_all(context, &lock);
    let known: BTreeSet<Sha256> = candidates.iter().map(Candidate::sha256).collect();
    let mut rows: Vec<Row> =
        candidates.iter().map(|candidate| row(candidate, &lock, &known, now)).collect();
    let strikes = Strikes::open(config)?;
    for row in rows.iter_mut().filter(|row| row.status == "allowed") {
        if let Some(why) = row.sha256.as_ref().and_then(|sha256| strikes.of(sha256)) {
            (row.status, row.note) = ("struck", why);
        }
    }
    // The entry of a changed file has its row already.
    let shown: BTreeSet<String> =
        rows.iter().flat_map(|row| row.allowed_sha256.clone().or(row.sha256.clone())).collect();
    let missing = |entry: &&Entry| !shown.contains(&entry.sha256.to_string());
    rows.extend(lock.entries().iter().filter(missing).map(|entry| Row {
        sha256: Some(entry.sha256.to_string()),
        status: "missing",
        size: Some(entry.size),
        ..Row::of(entry)
    }));
    rows.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.file.cmp(&b.file)));
    show(context, &rows, &warnings)?;
    Ok(Exit::Done)
}

impl Row {
    /// What an entry says, without a file.
    fn of(entry: &Entry) -> Self {
        Self {
            name: entry.name.clone(),
            file: None,
            sha256: None,
            allowed_sha256: None,
            status: "allowed",
            size: None,
            allowed_at: Some(entry.allowed_at.to_string()),
            expires: entry.expires.map(|time| time.to_string()),
            note: entry.note.clone(),
            wasi: entry.wasi,
        }
    }
}

/// Every file of the strategies folder that can be read, and what is said of the
/// others.
fn read_all(context: &Context, lock: &Lock) -> (Vec<Candidate>, Vec<String>) {
    let config = &context.config;
    let (mut candidates, mut warnings) = (Vec::new(), Vec::new());
    let files = lockfile::scan(Path::new(&config.strategies.dir)).unwrap_or_else(|error| {
        warnings.push(error.to_string());
        Vec::new()
    });
    for path in files {
        match lockfile::read_candidate(&path, file_bytes_max(config, lock)) {
            Ok(candidate) => candidates.push(candidate),
            Err(error) => warnings.push(error.to_string()),
        }
    }
    (candidates, warnings)
}

/// A file's row.
fn row(candidate: &Candidate, lock: &Lock, known: &BTreeSet<Sha256>, now: Timestamp) -> Row {
    let (sha256, file) = (candidate.sha256(), candidate.path().display().to_string());
    let nobodys = || Row {
        name: candidate.stem(),
        file: None,
        sha256: None,
        allowed_sha256: None,
        status: "unknown",
        size: None,
        allowed_at: None,
        expires: None,
        note: String::new(),
        wasi: Wasi::Refused,
    };
    let row = match lock.lookup(&sha256, now) {
        Verdict::Allowed(entry) => Row::of(entry),
        Verdict::Expired(entry) => Row { status: "expired", ..Row::of(entry) },
        Verdict::Revoked(revoked) => Row {
            name: Some(revoked.name.clone()).filter(|n| !n.is_empty()).unwrap_or(candidate.stem()),
            note: revoked.reason.clone(),
            status: "revoked",
            ..nobodys()
        },
        // Allowed bytes that lie under another name by now were not changed.
        Verdict::Unlisted => match lock.changed(candidate).filter(|e| !known.contains(&e.sha256)) {
            Some(entry) => Row {
                status: "changed",
                allowed_sha256: Some(entry.sha256.to_string()),
                // What the entry grants, it grants to other bytes.
                wasi: Wasi::Refused,
                ..Row::of(entry)
            },
            None => nobodys(),
        },
    };
    let size = Some(candidate.bytes().len() as u64);
    Row { file: Some(file), sha256: Some(sha256.to_string()), size, ..row }
}

fn show(context: &Context, rows: &[Row], warnings: &[String]) -> Result<(), Failure> {
    let output = &context.output;
    if output.json {
        output.print_json_list("sandpaper.list/1", &rows, warnings)?;
        return Ok(());
    }
    for warning in warnings {
        output.note(warning);
    }
    if rows.is_empty() {
        let dir = &context.config.strategies.dir;
        output.note(&format!(
            "no strategies: put a .wasm file in {dir}/, then: sandpaper allow {dir}/NAME.wasm"
        ));
        return Ok(());
    }
    let mut table = Table::new(&[
        ("name", Align::Left),
        ("status", Align::Left),
        ("sha256", Align::Left),
        ("size", Align::Right),
        ("file", Align::Left),
        ("note", Align::Left),
    ]);
    for row in rows {
        let hash = row.sha256.as_deref().unwrap_or("–");
        table.row(vec![
            row.name.clone(),
            match row.wasi {
                Wasi::Refused => row.status.to_owned(),
                granted => format!("{}, {} WASI", row.status, granted.name()),
            },
            hash.chars().take(16).collect(),
            row.size.map_or_else(|| "–".to_owned(), output::bytes),
            row.file.clone().unwrap_or_else(|| "–".to_owned()),
            output::printable(&row.note, 60),
        ]);
    }
    output.print_table(&table)?;
    Ok(())
}

/// Clears a terminal.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Shows what the strategies of the newest run use, each time that it has written it,
/// until the run is over or the user ends it.
fn watch(context: &Context) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(500));
        let mut shown = String::new();
        while !interrupt.is_asked() {
            tokio::select! {
                () = interrupt.asked() => break,
                _ = tick.tick() => {}
            }
            let Some(now) = UsageNow::read(&context.config) else {
                return Err(Failure::new(Exit::Usage, "no run keeps its record here")
                    .hint("start one with: sandpaper run"));
            };
            if now.at != shown {
                shown.clone_from(&now.at);
                show_usage(context, &now)?;
            }
            if !now.running || context.output.is_gone() {
                break;
            }
            // A program that was killed has written no last word.
            if !recorder::Lock::is_held(Path::new(&context.config.record.dir)) {
                context.output.note("the run was cut short: what is shown is its last word");
                break;
            }
        }
        Ok(Exit::Done)
    })
}

fn show_usage(context: &Context, now: &UsageNow) -> Result<(), Failure> {
    let output = &context.output;
    if output.json {
        output.print_json("sandpaper.usage/1", now)?;
        return Ok(());
    }
    let right = [
        "events",
        "calls",
        "of orders",
        "fuel",
        "fuel p50",
        "fuel p99",
        "call p99",
        "memory",
        "at most",
        "traps",
        "host calls",
        "log",
        "dropped",
    ];
    let mut columns =
        vec![("strategy", Align::Left), ("state", Align::Left), ("sha256", Align::Left)];
    columns.extend(right.map(|name| (name, Align::Right)));
    let mut table = Table::new(&columns);
    now.strategies.iter().for_each(|one| table.row(usage_row(one)));
    if output.stdout_terminal {
        output.print(&format!("{CLEAR}{} at {}", output::printable(&now.run, 80), now.at))?;
    }
    output.print_table(&table)?;
    Ok(())
}

fn usage_row(one: &Used) -> Vec<String> {
    let used = &one.sandbox;
    vec![
        output::printable(&one.name, 64),
        output::printable(&one.state, 16),
        one.sha256.chars().filter(char::is_ascii_hexdigit).take(16).collect(),
        output::count(one.events),
        output::count(used.calls.all),
        output::count(used.calls.orders),
        output::count(used.fuel.saturating_add(used.fuel_failed)),
        output::count(used.fuel_per_event.p50),
        output::count(used.fuel_per_event.p99),
        format!("{:.1} µs", used.call_ns.p99 as f64 / 1e3),
        output::bytes(used.memory_bytes),
        output::bytes(used.memory_peak_bytes),
        output::count(used.traps),
        output::count(used.host_calls),
        output::bytes(used.log_bytes),
        output::count(used.logs_dropped + used.requests_dropped),
    ]
}
