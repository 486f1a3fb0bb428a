//! Tells a webhook of what somebody should know while away: a POST of JSON.
//!
//! 1. Nobody waits for it: notices go into a short queue, and what does not fit is
//!    counted and said in the log.
//! 2. Each is tried a few times with growing pauses, within a time limit each; what
//!    the receiver calls wrong (4xx) or sends elsewhere (3xx) is not tried again.
//! 3. At the end of a run what waits is sent, for a few seconds at most.

#[cfg(test)]
mod tests;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

/// Notices that may wait.
const QUEUE_MAX: usize = 64;
/// How often one is tried.
const TRIES: u32 = 5;
/// The pause before the second try; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end of a run waits for what is still to be sent: with the logs' and the
/// dashboard's share it stays below five seconds.
const END_MAX: Duration = Duration::from_secs(1);

/// Something to be told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice {
    /// `trap`, `kill`, `drawdown`, `feed-down` or `feed-up`
    pub event: &'static str,
    /// the run's name
    pub run: String,
    /// whom it is about
    pub strategy: Option<String>,
    /// the engine's clock, nanoseconds since the Unix epoch
    pub ts_ns: String,
    /// a sentence for people; chat services show a field of this name
    pub text: String,
}

/// Why there is no webhook.
#[derive(Debug, Error)]
#[error("'notify.webhook_url_file': {file}: {what}")]
pub struct AddressError {
    file: String,
    what: String,
}

/// Reads the address from a file of its owner's alone: with most services whoever
/// knows the address may post to it.
///
/// # Errors
/// A file that others can read, or that holds no address.
pub fn read_address(file: &Path) -> Result<String, AddressError> {
    let wrong = |what: String| AddressError { file: file.display().to_string(), what };
    let meta = fs::metadata(file).map_err(|error| wrong(error.to_string()))?;
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(wrong(format!("others can read it: chmod 600 {}", file.display())));
    }
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let address = text.trim();
    let scheme = address.starts_with("https://") || address.starts_with("http://");
    let plain = address.bytes().all(|byte| byte.is_ascii_graphic());
    if !scheme || !plain || address.len() > 2_000 {
        return Err(wrong("must hold one address that begins with https:// or http://".into()));
    }
    Ok(address.to_owned())
}

/// How a notice is tried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// the longest that one try takes
    pub timeout: Duration,
    /// the pause before the second try
    pub pause: Duration,
}

impl Patience {
    /// With that limit of a try.
    #[must_use]
    pub fn of(timeout: Duration) -> Self {
        Self { timeout, pause: PAUSE }
    }
}

/// What became of notices.
#[derive(Debug, Default)]
pub struct Tally {
    /// taken by the receiver
    pub sent: AtomicU64,
    /// given up
    pub failed: AtomicU64,
    /// not even queued
    pub dropped: AtomicU64,
}

/// The way to the webhook.
#[derive(Debug)]
pub struct Webhook {
    queue: Option<SyncSender<Notice>>,
    done: Receiver<()>,
    stop: Option<std::sync::mpsc::Sender<()>>,
    tally: Arc<Tally>,
}

impl Webhook {
    /// Begins with a thread of its own.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn open(address: String, patience: Patience) -> std::io::Result<Self> {
        let (queue, notices) = sync_channel(QUEUE_MAX);
        let (finished, done) = channel();
        let (stop, stopped) = channel();
        let tally = Arc::new(Tally::default());
        let post = Post { agent: agent(patience.timeout), address };
        let counts = Arc::clone(&tally);
        std::thread::Builder::new().name("webhook".into()).spawn(move || {
            while let Ok(notice) = notices.recv() {
                deliver(&post, &notice, patience.pause, &stopped, &counts);
            }
            let _ = finished.send(());
        })?;
        Ok(Self { queue: Some(queue), done, stop: Some(stop), tally })
    }

    /// Queues a notice.
    pub fn tell(&self, notice: Notice) {
        let taken = self.queue.as_ref().is_some_and(|queue| queue.try_send(notice).is_ok());
        if !taken {
            self.tally.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("the webhook is behind: a notice was left out");
        }
    }

    /// What became of the notices so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Ends: what waits is tried once more, for a short time.
    pub fn close(&mut self) {
        self.stop = None;
        if self.queue.take().is_some()
            && self.done.recv_timeout(END_MAX) == Err(RecvTimeoutError::Timeout)
        {
            tracing::warn!("the webhook did not take everything before the end");
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.close();
    }
}

fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .proxy(None)
        .user_agent(concat!("sandpaper/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

struct Post {
    agent: ureq::Agent,
    address: String,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tried {
    Taken,
    /// it may go better later
    Later(String),
    /// it will not
    Never(String),
}

impl Post {
    fn once(&self, body: &str) -> Tried {
        let sent = self.agent.post(&self.address).content_type("application/json").send(body);
        match sent {
            // The address is a secret, and errors of it may name it.
            Err(ureq::Error::BadUri(_)) => Tried::Never("the address is none".into()),
            Err(error) => Tried::Later(error.to_string()),
            Ok(response) => match response.status().as_u16() {
                200..=299 => Tried::Taken,
                status @ (408 | 425 | 429 | 500..=599) => Tried::Later(format!("status {status}")),
                status => Tried::Never(format!("status {status}")),
            },
        }
    }
}

fn deliver(
    post: &Post,
    notice: &Notice,
    mut pause: Duration,
    stopped: &Receiver<()>,
    tally: &Tally,
) {
    let body = serde_json::to_string(notice).unwrap_or_default();
    for left in (0..TRIES).rev() {
        let why = match post.once(&body) {
            Tried::Taken => {
                tally.sent.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Tried::Never(why) => {
                give_up(notice, &why, tally);
                return;
            }
            Tried::Later(why) => why,
        };
        // When the run is over there is no time for another try.
        let over = stopped.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected);
        if left == 0 || over {
            give_up(notice, &why, tally);
            return;
        }
        pause *= 2;
    }
}

fn give_up(notice: &Notice, why: &str, tally: &Tally) {
    tally.failed.fetch_add(1, Ordering::Relaxed);
    tracing::warn!("the webhook did not take a notice of '{}': {why}", notice.event);
}
