//! `sandpaper check`: would this module be taken, and does it behave?

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::app::Failure;
use crate::app::given::{Given, Runtimes, file_bytes_max, given};
use crate::app::replay::reads_ahead;
use crate::app::smoke::{Calls, smoke};
use crate::app::strategies::{Loaded, load_one, read_lock};
use crate::app::strikes::Strikes;
use crate::cli::{CheckArgs, Exit};
use crate::config::Config;
use crate::engine::{LaneReport, LaneState};
use crate::lockfile::{self, Approved, Candidate, Lock, Verdict};
use crate::output;
use crate::sandbox;
use crate::strategy::{Fault, FaultKind};

use super::Context;

/// One thing looked at.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    /// stable, for scripts
    code: &'static str,
    ok: bool,
    detail: String,
}

#[derive(Serialize)]
struct Checked {
    file: String,
    sha256: Option<String>,
    verdict: &'static str,
    /// what the lock file says of it: allowed, changed, unknown, revoked or expired
    lock: Option<&'static str>,
    findings: Vec<Finding>,
}

/// Looks at one file; the first thing that is wrong ends it.
struct Look<'a> {
    config: &'a Config,
    lock: Option<&'static str>,
    findings: Vec<Finding>,
}

impl Look<'_> {
    fn note(&mut self, code: &'static str, ok: bool, detail: impl Into<String>) -> bool {
        self.findings.push(Finding { code, ok, detail: detail.into() });
        ok
    }
}

pub(super) fn check(context: &Context, args: &CheckArgs) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    let mut all = Vec::new();
    for file in &args.files {
        let (checked, worst) = look(&context.config, file);
        // A module that cannot run weighs more than one that misbehaves.
        if exit == Exit::Done || worst == Exit::Incompatible {
            exit = if worst == Exit::Done { exit } else { worst };
        }
        all.push(checked);
    }
    if context.output.json {
        context.output.print_json_list("sandpaper.check/1", &all, &[])?;
    } else {
        for checked in &all {
            context.output.print(&text(checked))?;
        }
    }
    Ok(exit)
}

fn text(checked: &Checked) -> String {
    let file = output::printable(&checked.file, 1_000);
    let mut text = format!("{file}: {}\n", checked.verdict);
    for finding in &checked.findings {
        let mark = if finding.ok { "ok  " } else { "FAIL" };
        text.push_str(&format!(
            "  {mark} {:<12}{}\n",
            finding.code,
            output::printable(&finding.detail, 1_000)
        ));
    }
    text
}

fn look(config: &Config, file: &Path) -> (Checked, Exit) {
    let mut look = Look { config, lock: None, findings: Vec::new() };
    let (sha256, mut exit) = look.file(file);
    let struck = look.findings.iter().any(|finding| finding.code == "strikes");
    let verdict = match (exit, look.lock) {
        (Exit::Done, _) if struck => "may not run: the program died in its code",
        (Exit::Done, Some("allowed")) => "runs",
        (Exit::Done, Some("revoked")) => "may not run: it was denied",
        (Exit::Done, Some("expired")) => "may not run: its permission has expired",
        (Exit::Done, Some("changed")) => "would run, once it is allowed again",
        (Exit::Done, _) => "would run, once it is allowed",
        (Exit::Findings, _) => "runs, but misbehaves",
        _ => "cannot run",
    };
    if exit == Exit::Done && look.findings.iter().any(|finding| !finding.ok) {
        exit = Exit::Findings;
    }
    let Look { lock, findings, .. } = look;
    let checked = Checked { file: file.display().to_string(), sha256, verdict, lock, findings };
    (checked, exit)
}

impl Look<'_> {
    fn file(&mut self, file: &Path) -> (Option<String>, Exit) {
        let lock = match read_lock(self.config) {
            Ok(lock) => lock,
            Err(failure) => {
                self.note("lock", false, failure.message);
                return (None, failure.exit);
            }
        };
        let candidate = match lockfile::read_named(file, file_bytes_max(self.config, &lock)) {
            Ok(candidate) => candidate,
            Err(error) => {
                let failure = Failure::from(error);
                self.note("file", false, failure.message);
                return (None, failure.exit);
            }
        };
        let sha256 = candidate.sha256();
        let hash = Some(sha256.to_string());
        self.note("file", true, output::bytes(candidate.bytes().len() as u64));
        self.word(&lock, &candidate);
        match Strikes::open(self.config).map(|strikes| strikes.of(&sha256.to_string())) {
            Ok(None) => {}
            Ok(Some(why)) => {
                self.note("strikes", false, why);
            }
            Err(failure) => {
                self.note("strikes", false, failure.message);
            }
        }
        let (wasi, own) = (lock.wasi(&sha256), lock.limits(&sha256));
        let given = given(self.config, &own);
        let approved = Approved::unsigned(candidate, wasi).limited(own);
        let runtime = match Runtimes::new(self.config).and_then(|mut all| all.of(&given)) {
            Ok(runtime) => runtime,
            Err(failure) => {
                self.note("world", false, failure.message);
                return (hash, failure.exit);
            }
        };
        let inspection = sandbox::inspect_vetted(&runtime, &approved, &given.caps);
        let detail = inspection.problem.clone().unwrap_or_else(|| lockfile::WORLD.to_owned());
        if !self.note("world", inspection.loadable, detail) {
            return (hash, Exit::Incompatible);
        }
        match load_one(self.config, approved.clone()) {
            Ok(loaded) => {
                let descriptor = &loaded.descriptor;
                let detail = format!("{} {}", descriptor.name, descriptor.version);
                self.note("describe", true, detail);
                (hash, self.behavior(loaded, approved, &given))
            }
            Err(failure) => {
                self.note("describe", false, failure.message);
                (hash, Exit::Incompatible)
            }
        }
    }

    /// What the lock file says of it.
    fn word(&mut self, lock: &Lock, candidate: &Candidate) {
        let (word, ok, detail) = match lock.lookup(&candidate.sha256(), Timestamp::now()) {
            Verdict::Allowed(entry) => {
                let until = entry.expires.map(|until| format!(" until {until}"));
                ("allowed", true, format!("allowed as {}{}", entry.name, until.unwrap_or_default()))
            }
            Verdict::Unlisted => match lock.changed(candidate) {
                Some(entry) => {
                    let was = &entry.sha256.to_string()[..12];
                    let detail = format!(
                        "changed: what is allowed as {} has the sha256 {was}…; allow it to let it run",
                        entry.name
                    );
                    ("changed", true, detail)
                }
                None => ("unknown", true, "nobody has allowed it yet".to_owned()),
            },
            Verdict::Revoked(revoked) => {
                let why = output::printable(&revoked.reason, 200);
                let why = if why.is_empty() { why } else { format!(": {why}") };
                ("revoked", false, format!("denied at {}{why}", revoked.revoked_at))
            }
            Verdict::Expired(entry) => {
                let until = entry.expires.map(|until| until.to_string()).unwrap_or_default();
                ("expired", false, format!("allowed as {} until {until}", entry.name))
            }
        };
        self.lock = Some(word);
        self.note("lock", ok, detail);
    }

    /// Runs it three times over the same synthetic market: twice alike, and in batches.
    fn behavior(&mut self, loaded: Loaded, approved: Approved, given: &Given) -> Exit {
        let (second, third) = (twin(&loaded, approved.clone()), twin(&loaded, approved));
        let run = |loaded: Result<Loaded, Failure>, calls| smoke(self.config, loaded?, calls);
        let runs = (
            run(Ok(loaded), Calls::Single),
            run(second, Calls::Single),
            run(third, Calls::Batches),
        );
        let (first, second, third) = match runs {
            (Ok(first), Ok(second), Ok(third)) => (first, second, third),
            (Err(failure), ..) | (_, Err(failure), _) | (.., Err(failure)) => {
                self.note("start", false, failure.message);
                return Exit::Incompatible;
            }
        };
        let mut well = true;
        if let LaneState::Quarantined(fault) = &first.state {
            well &= self.note("events", false, fault.to_string());
        } else if first.counters.events == 0 {
            let detail = "it was never called, because it subscribes to nothing that there is";
            well &= self.note("events", false, detail);
        } else {
            let events = output::count(first.counters.events);
            let orders = output::plural(first.counters.orders, "order");
            let rejected = first.counters.rejected;
            well &= self.note(
                "events",
                true,
                format!("{events} events, {orders}, {rejected} rejected"),
            );
        }
        let fuel = self.fuel(&first, given.limits.fuel.event);
        let same = first.chain == second.chain && first.usage == second.usage;
        let detail = if same {
            format!("two runs gave the same chain, {}, and used the same fuel", &first.chain[..16])
        } else {
            "two runs differ".to_owned()
        };
        well = self.note("determinism", same, detail) && fuel && well;
        well &= self.batches(&first, &third);
        if well { Exit::Done } else { Exit::Findings }
    }

    /// Whether it decides in batches as it does event by event.
    fn batches(&mut self, single: &LaneReport, batched: &LaneReport) -> bool {
        let ahead = reads_ahead(single, batched);
        let detail = match ahead {
            true => "it decides otherwise when it is called with several events: it reads ahead",
            false => "the same decisions when it is called with several events",
        };
        self.note("batches", !ahead, detail)
    }

    fn fuel(&mut self, report: &LaneReport, budget: u64) -> bool {
        let fuel = report.spreads.fuel_per_event;
        let share = |fuel: u64| 100.0 * fuel as f64 / budget as f64;
        let detail = format!(
            "p50 {} ({:.2} %), p99 {} ({:.2} %), most {} ({:.2} %) of the {} that an event may use",
            output::count(fuel.p50),
            share(fuel.p50),
            output::count(fuel.p99),
            share(fuel.p99),
            output::count(fuel.max),
            share(fuel.max),
            output::count(budget)
        );
        self.note("fuel", fuel.max <= budget, detail)
    }
}

/// Another instance of the same compiled code, asked what it is as the first one was.
fn twin(loaded: &Loaded, approved: Approved) -> Result<Loaded, Failure> {
    let faulty = |fault: Fault| Failure::new(Exit::Incompatible, fault.to_string());
    let mut guest = loaded
        .guest
        .fresh()
        .unwrap_or_else(|| Err(Fault::new(FaultKind::Host, "it cannot be made a second time")))
        .map_err(faulty)?;
    let descriptor = guest.describe().map_err(faulty)?;
    let Loaded { name, sha256, unsigned, path, .. } = loaded;
    let (name, sha256, path) = (name.clone(), sha256.clone(), path.clone());
    let (imports, compile_ms) = (loaded.imports.clone(), loaded.compile_ms);
    let unsigned = *unsigned;
    Ok(Loaded { name, sha256, unsigned, path, guest, descriptor, approved, imports, compile_ms })
}
