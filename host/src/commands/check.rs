//! `sandpaper check`: would this module be taken, and does it behave?

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::app::given::{Given, Runtimes, file_bytes_max, given};
use crate::app::strategies::{Loaded, load_one, read_lock};
use crate::app::{Failure, live, setup};
use crate::cli::{CheckArgs, Exit};
use crate::config::Config;
use crate::engine::{LaneReport, LaneState};
use crate::feed::sim::{SimSymbol, Simulator};
use crate::input::InputBlock;
use crate::lockfile::{self, Approved, Lock, Verdict};
use crate::output;
use crate::sandbox;

use super::Context;

/// Events of the synthetic market, enough for every channel to be heard of.
const SMOKE_EVENTS: usize = 500;

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
    /// what the lock file says of it: allowed, unknown, revoked or expired
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
    let mut text = format!("{}: {}\n", checked.file, checked.verdict);
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
    let verdict = match (exit, look.lock) {
        (Exit::Done, Some("allowed")) => "runs",
        (Exit::Done, Some("revoked")) => "may not run: it was denied",
        (Exit::Done, Some("expired")) => "may not run: its permission has expired",
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
                self.note("file", false, error.to_string());
                return (None, Exit::Incompatible);
            }
        };
        let sha256 = candidate.sha256();
        let hash = Some(sha256.to_string());
        self.note("file", true, output::bytes(candidate.bytes().len() as u64));
        self.word(&lock, &sha256);
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
    fn word(&mut self, lock: &Lock, sha256: &lockfile::Sha256) {
        let (word, ok, detail) = match lock.lookup(sha256, Timestamp::now()) {
            Verdict::Allowed(entry) => {
                let until = entry.expires.map(|until| format!(" until {until}"));
                ("allowed", true, format!("allowed as {}{}", entry.name, until.unwrap_or_default()))
            }
            Verdict::Unlisted => ("unknown", true, "nobody has allowed it yet".to_owned()),
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

    /// Runs it twice over the same synthetic market.
    fn behavior(&mut self, loaded: Loaded, approved: Approved, given: &Given) -> Exit {
        let second = load_one(self.config, approved);
        let runs = [Ok(loaded), second].map(|loaded| loaded.and_then(|l| smoke(self.config, l)));
        let [first, second] = runs;
        let (first, second) = match (first, second) {
            (Ok(first), Ok(second)) => (first, second),
            (Err(failure), _) | (_, Err(failure)) => {
                self.note("start", false, failure.message);
                return Exit::Incompatible;
            }
        };
        let mut well = true;
        if let LaneState::Quarantined(fault) = &first.state {
            well &= self.note("events", false, fault.to_string());
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
        if well { Exit::Done } else { Exit::Findings }
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

/// What a module does on the synthetic market, one event a call.
fn smoke(config: &Config, loaded: Loaded) -> Result<LaneReport, Failure> {
    let fallback: Vec<String> = config.sim.prices.keys().take(1).cloned().collect();
    let loaded = vec![loaded];
    let mut symbols = setup::choose_symbols(config, &loaded, &fallback);
    // A symbol that the simulator does not know is simulated at a made-up price:
    // whether it exists is not this module's fault.
    let wanted = setup::union(config, &symbols);
    let mut simulated = live::sim_config(config, &wanted)?;
    for symbol in wanted.iter().filter(|s| !config.sim.prices.contains_key(*s)) {
        let made_up = SimSymbol::new(symbol, "100");
        simulated.symbols.extend(made_up.ok());
    }
    symbols.iter_mut().for_each(|s| s.truncate(64));
    let mut simulator = Simulator::new(simulated)
        .map_err(|what| Failure::new(Exit::Config, format!("feed.sim: {what}")))?;
    let intervals = setup::candle_intervals(config, &loaded);
    let warm_up = simulator.warm_up(&intervals, 50);
    let mut block = InputBlock::new(simulator.instruments(), warm_up.next_seq());
    while block.len() < SMOKE_EVENTS {
        let next = simulator.next_ts();
        simulator.advance(next, &mut block);
    }
    let instruments = simulator.instruments().clone();
    let mut strict = config.clone();
    strict.engine.strict = true;
    let mut engine =
        setup::engine(&strict, "check", instruments, loaded, symbols, config.sim.start)?;
    engine.step(&warm_up)?;
    engine.step(&block)?;
    engine.finish()?;
    let report = engine.reports().pop();
    report.ok_or_else(|| Failure::new(Exit::Runtime, "no lane was made"))
}
