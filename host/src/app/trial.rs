//! A suspicion against a module, tried in a process of its own.
//!
//! That a program died while a module ran proves little: somebody may have killed it.
//! Strategies are deterministic, and a run keeps its inputs and its modules. So this
//! program runs itself with a hidden verb, and the child replays the newest run that
//! had the module, and then has it trade on a synthetic market. If code that was
//! compiled here ends that process too, it ends it by a signal that this process
//! sees.
//!
//! A trial takes at most [`LIMIT`], once after each such end; what cannot be found
//! out in that time is held against nobody.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::config::{Config, Sources};
use crate::lockfile::{Approved, Candidate, Lock, Sha256, Verdict, read_candidate, scan};

use super::given::file_bytes_max;
use super::modules::Kept;
use super::smoke::{Calls, smoke};
use super::strategies::{self, Selection};
use super::{Failure, Interrupt, verify};

/// The verb that makes this program the child.
pub const CHILD_VERB: &str = "try-again";
/// The longest that a trial takes.
const LIMIT: Duration = Duration::from_secs(120);
/// How often the child is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Signals by which code ends its own process: ILL, TRAP, ABRT, BUS, FPE, SEGV and
/// SYS. A kill, a hangup or a limit on time comes from outside.
const OWN_SIGNALS: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// the process died of this signal
    Died(i32),
    /// it did not
    Lived,
    /// that could not be found out
    Open(String),
    /// it was not tried, because it may not run: that waits until it may
    Waits,
}

/// What is to be tried.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// the configuration as TOML
    config: String,
    /// SHA-256 of the module's file
    sha256: Sha256,
    /// whether modules run that the lock file does not list
    unsigned: bool,
}

/// True when a module may run at all: a trial runs it, and nothing is run for a mark
/// that is left over which would not be run for its own sake.
fn may_run(lock: &Lock, sha256: &Sha256, unsigned: bool) -> bool {
    match lock.lookup(sha256, Timestamp::now()) {
        Verdict::Allowed(_) => true,
        Verdict::Unlisted => unsigned,
        Verdict::Revoked(_) | Verdict::Expired(_) => false,
    }
}

/// How trials are made.
pub struct Trial {
    program: PathBuf,
    arguments: Vec<String>,
    limit: Duration,
}

impl Trial {
    /// By children of this very program.
    #[must_use]
    pub fn of_this_program() -> Self {
        // This names the running program even after its file was replaced.
        let program = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe().unwrap_or_else(|_| PathBuf::from("sandpaper"))
        };
        Self { program, arguments: vec![CHILD_VERB.to_owned()], limit: LIMIT }
    }

    /// Tries a module under this configuration.
    ///
    /// `unsigned` is whether this run bypasses the lock file: without it, a module that
    /// is not allowed now is not tried.
    pub fn run(
        &self,
        config: &Config,
        sha256: &str,
        unsigned: bool,
        interrupt: &Interrupt,
    ) -> Outcome {
        let Ok(sha256) = sha256.parse() else { return Outcome::Open("it has no hash".to_owned()) };
        match strategies::read_lock(config) {
            Ok(lock) if may_run(&lock, &sha256, unsigned) => {}
            Ok(_) => return Outcome::Waits,
            Err(failure) => return Outcome::Open(failure.message),
        }
        let request = Request { config: config.to_toml(), sha256, unsigned };
        let asked = serde_json::to_vec(&request).map_err(|error| error.to_string());
        let begun = asked.and_then(|request| {
            self.begin(&request).map_err(|error| format!("no process could be started: {error}"))
        });
        match begun {
            Ok(child) => self.wait(child, interrupt),
            Err(why) => Outcome::Open(why),
        }
    }

    fn begin(&self, request: &[u8]) -> std::io::Result<Child> {
        let kept = ["HOME", "XDG_STATE_HOME"];
        let kept = kept.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(kept)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        // A child that does not read it has ended, and how is seen below.
        let _ = child.stdin.take().map(|mut input| input.write_all(request));
        Ok(child)
    }

    #[allow(clippy::disallowed_methods, reason = "how long is waited is no result")]
    fn wait(&self, mut child: Child, interrupt: &Interrupt) -> Outcome {
        let began = Instant::now();
        let over = end_of(&mut child);
        let why = loop {
            match over.recv_timeout(LOOK_EVERY) {
                Err(RecvTimeoutError::Timeout) if interrupt.is_asked() => {
                    break Some("the program is to end".to_owned());
                }
                Err(RecvTimeoutError::Timeout) if began.elapsed() > self.limit => {
                    let limit = self.limit.as_secs();
                    break Some(format!("the trial took more than {limit} s"));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break None,
            }
        };
        if why.is_some() {
            let _ = child.kill();
        }
        let status = child.wait();
        match (why, status) {
            (Some(why), _) => Outcome::Open(why),
            (None, Ok(status)) => judged(status),
            (None, Err(error)) => Outcome::Open(error.to_string()),
        }
    }
}

/// Tells when a process has closed its output, which it does when it ends.
fn end_of(child: &mut Child) -> Receiver<()> {
    let (tell, hear) = sync_channel(1);
    if let Some(mut output) = child.stdout.take() {
        let wait = move || {
            let _ = std::io::copy(&mut output, &mut std::io::sink());
            let _ = tell.send(());
        };
        // Without a thread nobody tells, and the process is waited for at once.
        let _ = std::thread::Builder::new().name("trial".to_owned()).spawn(wait);
    }
    hear
}

fn judged(status: ExitStatus) -> Outcome {
    match status.signal() {
        Some(signal) if OWN_SIGNALS.contains(&signal) => Outcome::Died(signal),
        Some(signal) => Outcome::Open(format!("the trial was ended by signal {signal}")),
        None => Outcome::Lived,
    }
}

/// The child: does again what the module did. It answers by being alive.
///
/// # Errors
/// A request that is none. What else fails is no matter here.
pub fn try_again(request: &[u8]) -> Result<(), Failure> {
    let Request { config, sha256, unsigned } = serde_json::from_slice(request)
        .map_err(|error| Failure::new(crate::cli::Exit::Usage, error.to_string()))?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(std::io::Error::from)?;
    let config = Config::load(&Sources { text: Some(config), ..Sources::default() })?;
    let lock = strategies::read_lock(&config)?;
    if !may_run(&lock, &sha256, unsigned) {
        return Ok(());
    }
    let cap = file_bytes_max(&config, &lock);
    let mut module = None;
    if let Some((run, kept)) = newest(&config, &sha256, cap) {
        let selection = Selection { files: Vec::new(), unsigned };
        let _ = verify::verify(&config, &run, &selection);
        module = Some(kept);
    }
    let module = module.or_else(|| find(&config, &sha256, cap));
    if let Some(module) = module {
        let (wasi, limits) = (lock.wasi(&sha256), lock.limits(&sha256));
        let _ = trade(&config, Approved::unsigned(module, wasi).limited(limits));
    }
    Ok(())
}

fn trade(config: &Config, approved: Approved) -> Result<(), Failure> {
    smoke(config, strategies::load_one(config, approved)?, Calls::Single).map(|_| ())
}

/// The newest run that had the module, and the module: names of runs begin with
/// their times.
fn newest(config: &Config, sha256: &Sha256, cap: u64) -> Option<(PathBuf, Candidate)> {
    let entries = std::fs::read_dir(&config.record.dir).ok()?;
    let mut runs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    runs.sort();
    let had = |run: PathBuf| Kept::of_run(&run).find(sha256, cap).map(|kept| (run, kept));
    runs.into_iter().rev().find_map(had)
}

/// The module where strategies lie.
fn find(config: &Config, sha256: &Sha256, cap: u64) -> Option<Candidate> {
    let paths = scan(Path::new(&config.strategies.dir)).ok()?;
    let read = paths.iter().filter_map(|path| read_candidate(path, cap).ok());
    read.into_iter().find(|found| found.sha256() == *sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(script: &str) -> Outcome {
        let trial = Trial {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            limit: Duration::from_millis(300),
        };
        let config = Config::load(&Sources::default()).expect("built in");
        trial.run(&config, &"ab".repeat(32), true, &Interrupt::default())
    }

    #[test]
    fn x_exc_a_trial_tells_its_own_death_from_being_killed() {
        for (name, signal) in [("SEGV", 11), ("ILL", 4), ("ABRT", 6), ("BUS", 7), ("FPE", 8)] {
            assert_eq!(outcome(&format!("kill -{name} $$")), Outcome::Died(signal), "{name}");
        }
        for name in ["KILL", "TERM", "HUP", "XCPU"] {
            let ended = outcome(&format!("kill -{name} $$"));
            assert!(matches!(&ended, Outcome::Open(why) if why.contains("signal")), "{ended:?}");
        }
        assert_eq!(outcome("exit 0"), Outcome::Lived);
        assert_eq!(outcome("exit 101"), Outcome::Lived);
        let late = outcome("exec sleep 600");
        assert!(matches!(&late, Outcome::Open(why) if why.contains("took more")), "{late:?}");
    }

    #[test]
    fn a_trial_ends_with_the_program() {
        let interrupt = Interrupt::default();
        interrupt.ask();
        let trial = Trial {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), "exec sleep 600".into()],
            limit: LIMIT,
        };
        let config = Config::load(&Sources::default()).expect("built in");
        let ended = trial.run(&config, &"ab".repeat(32), true, &interrupt);
        assert_eq!(ended, Outcome::Open("the program is to end".into()));
    }
}
