//! Ctrl-C, SIGTERM and a terminal that closes: the first ends the run in order, a second
//! Ctrl-C or SIGTERM at once.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::cli::Exit;

/// How often it is asked whether the user wants to end, while something is worked at.
const LOOK: Duration = Duration::from_millis(20);
/// The stack of such a thread.
const STACK: usize = 8 << 20;

/// Tells whether the user wants the process to end.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    notify: Arc<Notify>,
    /// removed as soon as the user asks
    marks: Arc<OnceLock<PathBuf>>,
}

impl Interrupt {
    /// Listens from now on, on a thread of its own, so that a busy engine is
    /// interrupted too.
    ///
    /// # Errors
    /// When the operating system gives no thread or no signal handler.
    #[allow(clippy::disallowed_methods, reason = "the second Ctrl-C ends the process at once")]
    pub fn listen() -> std::io::Result<Self> {
        let interrupt = Self::default();
        let copy = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut int, mut term, mut hup, too_large) = {
            let _guard = runtime.enter();
            // Caught, a file-size limit is an ordinary error of the write that
            // met it; left alone, it would end the process in the middle of it.
            let xfsz = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?;
            // Who started it with `nohup` wants it to outlive the terminal.
            let hup = (!hangup_is_ignored()).then(|| signal(SignalKind::hangup())).transpose()?;
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, hup, xfsz)
        };
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async {
                let _caught = too_large;
                loop {
                    let again = tokio::select! {
                        _ = int.recv() => true,
                        _ = term.recv() => true,
                        // A closing terminal may tell twice: its shell and the kernel do.
                        () = hung_up(&mut hup) => false,
                    };
                    if again && copy.asked.swap(true, Ordering::SeqCst) {
                        std::process::exit(Exit::Interrupted as i32);
                    }
                    copy.asked.store(true, Ordering::SeqCst);
                    // Nothing here may wait, not even for a log line to be
                    // written: the second signal must be heard.
                    copy.notify.notify_one();
                    copy.forget();
                }
            });
        })?;
        Ok(interrupt)
    }

    /// Removes this file as soon as the user asks: it holds what a process that dies is
    /// suspected of, and from then on the user ends this one.
    pub fn forgets(&self, path: &Path) {
        let _ = self.marks.set(path.to_owned());
        if self.is_asked() {
            self.forget();
        }
    }

    fn forget(&self) {
        let marks = Arc::clone(&self.marks);
        // On a thread of its own: a disk that hangs must not keep a signal from being
        // heard.
        let remove = move || marks.get().map(std::fs::remove_file);
        let _ = std::thread::Builder::new().name("forget".into()).spawn(remove);
    }

    /// Asks, as the user would.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// What `work` gives, on a thread of its own; `None` as soon as the user asks, and
    /// what it was at is left as it is.
    ///
    /// # Errors
    /// When the operating system gives no thread, or the work panics.
    pub fn unless_asked<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<Option<T>> {
        let (done, result) = sync_channel(1);
        // Compilers recurse as deep as on the main thread.
        let thread = std::thread::Builder::new().name("work".into()).stack_size(STACK);
        thread.spawn(move || drop(done.send(work())))?;
        while !self.is_asked() {
            match result.recv_timeout(LOOK) {
                Ok(result) => return Ok(Some(result)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(std::io::Error::other("a thread of the program panicked"));
                }
            }
        }
        Ok(None)
    }

    /// True once the user asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until the user asks.
    pub async fn asked(&self) {
        while !self.is_asked() {
            self.notify.notified().await;
        }
    }
}

/// The next hang-up; never, where they are ignored.
async fn hung_up(hup: &mut Option<tokio::signal::unix::Signal>) {
    match hup {
        Some(hup) => {
            hup.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// True when this process was started with hang-ups ignored.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, Signal::HUP.as_raw())
}

/// What the kernel's page of a process says of a signal: `SigIgn` has a bit for each.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_kernels_page() {
        let page = |mask: &str| format!("Name:\tx\nSigBlk:\t1\nSigIgn:\t{mask}\nSigCgt:\t1\n");
        assert!(ignores(&page("0000000000000001"), 1));
        assert!(!ignores(&page("0000000000001000"), 1), "another signal's bit");
        assert!(ignores(&page("0000000000001000"), 13));
        assert!(!ignores("", 1) && !ignores(&page("no number"), 1));
    }
}
