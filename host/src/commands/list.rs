//! `sandpaper list`.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::app::accounting::{UsageNow, Used};
use crate::app::strategies::read_lock;
use crate::app::{Failure, Interrupt};
use crate::cli::{Exit, ListArgs};
use crate::lockfile::{self, Verdict, Wasi};
use crate::output::{self, Align, Table};

use super::Context;

#[derive(Serialize)]
struct Row {
    name: String,
    file: Option<String>,
    sha256: Option<String>,
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
    let mut rows = Vec::new();
    let mut warnings = Vec::new();
    let files = match lockfile::scan(Path::new(&config.strategies.dir)) {
        Ok(files) => files,
        Err(error) => {
            warnings.push(error.to_string());
            Vec::new()
        }
    };
    for path in files {
        let file = path.display().to_string();
        match lockfile::read_candidate(&path, config.sandbox.module_size.0) {
            Ok(candidate) => {
                let sha256 = candidate.sha256();
                let (status, entry) = match lock.lookup(&sha256, now) {
                    Verdict::Allowed(entry) => ("allowed", Some(entry)),
                    Verdict::Expired(entry) => ("expired", Some(entry)),
                    Verdict::Revoked(_) => ("revoked", None),
                    Verdict::Unlisted if lock.entries().iter().any(|e| e.file_hint == file) => {
                        ("changed", None)
                    }
                    Verdict::Unlisted => ("unknown", None),
                };
                rows.push(Row {
                    name: entry.map_or_else(|| candidate.stem(), |e| e.name.clone()),
                    file: Some(file),
                    sha256: Some(sha256.to_string()),
                    status,
                    size: Some(candidate.bytes().len() as u64),
                    allowed_at: entry.map(|e| e.allowed_at.to_string()),
                    expires: entry.and_then(|e| e.expires).map(|t| t.to_string()),
                    note: entry.map(|e| e.note.clone()).unwrap_or_default(),
                    wasi: entry.map_or(Wasi::Refused, |e| e.wasi),
                });
            }
            Err(error) => warnings.push(error.to_string()),
        }
    }
    for entry in lock.entries() {
        let hash = entry.sha256.to_string();
        if rows.iter().all(|row| row.sha256.as_ref() != Some(&hash)) {
            rows.push(Row {
                name: entry.name.clone(),
                file: None,
                sha256: Some(hash),
                status: "missing",
                size: Some(entry.size),
                allowed_at: Some(entry.allowed_at.to_string()),
                expires: entry.expires.map(|t| t.to_string()),
                note: entry.note.clone(),
                wasi: entry.wasi,
            });
        }
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.file.cmp(&b.file)));
    show(context, &rows, &warnings)?;
    Ok(Exit::Done)
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
            if !now.running {
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
