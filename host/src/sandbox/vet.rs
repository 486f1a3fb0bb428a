//! Proves that a file can be compiled within limits, in a child process, before
//! this process touches it.
//!
//! Compilers are fast on what compilers make and slow on what is made to be slow,
//! and neither memory nor time of a compilation can be taken back from inside.
//! So the program runs itself with a hidden verb: the child gets the bytes on its
//! standard input, no environment, and limits on memory, CPU time and files. It
//! componentizes, validates and compiles, and says in one line how that went. A
//! wrong line, a long one, none, or one that is late is a refusal.
//!
//! The child's code is not taken over: code that was compiled elsewhere can only
//! be taken on trust. This process compiles the same bytes again, now that they
//! are known to behave, and a proof is kept so that a file needs only one.

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::caps::Caps;
use super::load::LoadError;
use super::runtime::{Runtime, RuntimeOptions};
use crate::lockfile::{Approved, PrivateFolder, Sha256, Wasi};

/// The verb that makes this program the child.
pub const CHILD_VERB: &str = "compile-child";
/// Counts changes of what a proof means; a proof of another number is none.
const POLICY: u32 = 1;
/// The longest line that a child may answer.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// What a child may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VetLimits {
    /// bytes of address space
    pub memory_bytes: u64,
    /// seconds of CPU time
    pub cpu_s: u64,
    /// milliseconds until the parent ends it
    pub wall_ms: u64,
}

impl Default for VetLimits {
    fn default() -> Self {
        Self { memory_bytes: 2 << 30, cpu_s: 30, wall_ms: 60_000 }
    }
}

/// How children are made, and where what they proved is kept.
#[derive(Clone, Debug)]
pub struct Vetting {
    program: PathBuf,
    arguments: Vec<String>,
    limits: VetLimits,
    proofs: Option<Arc<PrivateFolder>>,
}

/// What a child is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) options: RuntimeOptions,
    pub(super) caps: Caps,
    pub(super) wasi: Wasi,
    pub(super) limits: VetLimits,
    pub(super) sha256: Sha256,
}

/// What it answers: the hash of what it compiled, and how that went.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) sha256: Sha256,
    pub(super) refused: Option<LoadError>,
}

impl Vetting {
    /// Children of this very program. Without a folder a proof lasts for one load.
    #[must_use]
    pub fn of_this_program(limits: VetLimits, proofs: Option<Arc<PrivateFolder>>) -> Self {
        // This names the running program even after its file was replaced.
        let program = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe().unwrap_or_else(|_| PathBuf::from("sandpaper"))
        };
        Self { program, arguments: Vec::new(), limits, proofs }
    }

    /// Children of another program, for tests of this one.
    #[must_use]
    pub fn of(program: impl Into<PathBuf>, arguments: &[&str], limits: VetLimits) -> Self {
        let arguments = arguments.iter().map(|&text| text.to_owned()).collect();
        Self { program: program.into(), arguments, limits, proofs: None }
    }

    /// Proves that the file can be compiled within the limits, or finds the proof.
    ///
    /// # Errors
    /// What the child refused it for, or the limit that it broke.
    pub(super) fn vet(
        &self,
        runtime: &Runtime,
        approved: &Approved,
        caps: &Caps,
    ) -> Result<(), LoadError> {
        // The child would read no more of it than that.
        caps.fits(approved.candidate().bytes()).map_err(LoadError::Structure)?;
        let request = Request {
            options: runtime.options,
            caps: *caps,
            wasi: approved.wasi(),
            limits: self.limits,
            sha256: approved.candidate().sha256(),
        };
        let argument = serde_json::to_string(&request)
            .map_err(|error| LoadError::Engine(error.to_string()))?;
        // Everything that the outcome depends on.
        let statement = format!(
            "compile_ok\npolicy {POLICY}\nwasmtime {:016x}\n{argument}\n",
            runtime.fingerprint()
        );
        let name = format!("{}.proof", Sha256::of(statement.as_bytes()));
        if self.proofs.as_ref().and_then(|proofs| proofs.note(&name)).as_ref() == Some(&statement) {
            return Ok(());
        }
        let answer = self.ask(&argument, approved.candidate().bytes())?;
        if answer.sha256 != request.sha256 {
            let detail = format!("the child compiled other bytes, sha256 {}", answer.sha256);
            return Err(LoadError::Limits(detail));
        }
        if let Some(refused) = answer.refused {
            return Err(refused);
        }
        if let Some(proofs) = &self.proofs
            && let Err(error) = proofs.write(&name, &statement)
        {
            tracing::warn!("cannot keep what was proved of a module: {error}");
        }
        Ok(())
    }

    fn ask(&self, request: &str, bytes: &[u8]) -> Result<Answer, LoadError> {
        let failed = |error: std::io::Error| {
            LoadError::Limits(format!("no child process could compile it: {error}"))
        };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(CHILD_VERB)
            .arg(request)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let heard = pipes
            .ok_or_else(|| std::io::Error::other("it has no pipes"))
            .and_then(|(input, output)| talk(input, output, bytes.to_vec()))
            .map(|answer| answer.recv_timeout(Duration::from_millis(self.limits.wall_ms)));
        // Whatever was heard, the child is over now.
        let status = end(&mut child);
        let text = match heard.map_err(failed)? {
            Ok(text) => text,
            Err(_) => {
                let ms = self.limits.wall_ms;
                return Err(LoadError::Limits(format!("compiling it took more than {ms} ms")));
            }
        };
        if text.len() as u64 > ANSWER_BYTES_MAX {
            let detail = format!("the child answered more than {ANSWER_BYTES_MAX} bytes");
            return Err(LoadError::Limits(detail));
        }
        serde_json::from_slice(&text).map_err(|_| LoadError::Limits(self.died(status)))
    }

    /// How a child ended that did not answer.
    fn died(&self, status: Option<ExitStatus>) -> String {
        let VetLimits { memory_bytes, cpu_s, .. } = self.limits;
        match status.and_then(|status| status.signal()) {
            // SIGXCPU at the soft limit; SIGKILL at the hard one.
            Some(24 | 9) => format!("compiling it took more than {cpu_s} s of CPU time"),
            // An allocation that fails ends a Rust program with SIGABRT, a stack
            // or a mapping that cannot grow with SIGSEGV or SIGBUS.
            Some(signal @ (6 | 7 | 11)) => {
                format!("compiling it took more than {memory_bytes} bytes (signal {signal})")
            }
            Some(signal) => format!("compiling it ended with signal {signal}"),
            None => "the child that compiled it gave no answer".to_owned(),
        }
    }
}

/// Hands the bytes over and collects the answer, each in a thread of its own, so
/// that a child that neither reads nor writes blocks nobody.
fn talk(
    mut input: ChildStdin,
    output: ChildStdout,
    bytes: Vec<u8>,
) -> std::io::Result<Receiver<Vec<u8>>> {
    let (tell, hear) = sync_channel(1);
    std::thread::Builder::new().name("vet-write".to_owned()).spawn(move || {
        // A child that stops reading has its reason, and says it.
        let _ = input.write_all(&bytes);
    })?;
    std::thread::Builder::new().name("vet-read".to_owned()).spawn(move || {
        let mut answer = Vec::new();
        let _ = output.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut answer);
        let _ = tell.send(answer);
    })?;
    Ok(hear)
}

/// Ends a child and waits for it. One that has ended keeps its status.
fn end(child: &mut Child) -> Option<ExitStatus> {
    let _ = child.kill();
    child.wait().ok()
}
