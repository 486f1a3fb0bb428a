//! The child process that compiles a file to prove that it can be compiled.

use std::io::{Read as _, Write as _};

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use super::load::{LoadError, compile, prepare};
use super::runtime::Runtime;
use super::vet::{Answer, Request, VetLimits};
use super::wasi;
use crate::lockfile::Sha256;

/// Reads a file from standard input, compiles it within the limits that the
/// request names, and answers in one line on standard output.
///
/// # Errors
/// A request that is none, and a system that sets no limits: the parent takes
/// silence for a refusal.
pub fn compile_child(request: &str) -> std::io::Result<()> {
    let request: Request = serde_json::from_str(request)?;
    // Before the first byte is read.
    restrict(request.limits)?;
    let mut bytes = Vec::new();
    let cap = request.caps.file_bytes;
    std::io::stdin().lock().take(cap.saturating_add(1)).read_to_end(&mut bytes)?;
    let sha256 = Sha256::of(&bytes);
    let refused = if sha256 == request.sha256 { attempt(&request, &bytes).err() } else { None };
    let mut output = std::io::stdout().lock();
    serde_json::to_writer(&mut output, &Answer { sha256, refused })?;
    output.flush()
}

fn attempt(request: &Request, bytes: &[u8]) -> Result<(), LoadError> {
    let component = prepare(bytes, &request.caps, request.wasi)?;
    let runtime = Runtime::new(request.options)?;
    let needs_wasi = component.imports.iter().any(|name| wasi::is_wasi(name));
    compile(&runtime, &component.bytes, needs_wasi).map(|_| ())
}

/// Takes from this process what it does not need.
fn restrict(limits: VetLimits) -> std::io::Result<()> {
    // Nobody waits for it once its parent is gone.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let most = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::Core, most(0))?;
    setrlimit(Resource::Fsize, most(0))?;
    setrlimit(Resource::Nofile, most(16))?;
    // At the soft limit the system sends a signal that says why.
    let cpu = Rlimit { current: Some(limits.cpu_s), maximum: Some(limits.cpu_s + 1) };
    setrlimit(Resource::Cpu, cpu)?;
    setrlimit(Resource::As, most(limits.memory_bytes))?;
    Ok(())
}
