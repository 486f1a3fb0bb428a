//! The dashboard: pages, REST, WebSocket and metrics over HTTP.
//!
//! The engine's thread leaves immutable states and notes of what happened at a
//! [`Desk`], whose thread puts them into a [`Hub`]; a server on threads of its own
//! answers from that. No reader can see half of a state, and none can make the
//! engine wait. Every request passes one guard: without a credential there is no answer but a refusal, the
//! files of the login page, and `/healthz`.

mod accounting;
pub mod answers;
pub mod assets;
pub mod audit;
pub mod auth;
pub mod build;
pub mod desk;
mod doors;
pub mod earlier;
mod feed;
mod figures;
pub mod guard;
pub mod guesses;
pub mod hub;
mod lists;
mod login;
pub mod metrics;
pub mod model;
mod news;
pub mod openapi;
pub mod operate;
mod plots;
pub mod ring;
pub mod routes;
pub mod runs;
pub mod server;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod tls;
mod views;
pub mod ws;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

pub use accounting::{Accounting, Calls, Quantiles};
pub use auth::{Auth, Role};
pub use build::{Builder, Facts, Who};
pub use desk::Desk;
pub use hub::Hub;
pub use operate::{Operator, Refused};
pub use server::{Server, StartError};
pub use settings::{Settings, SettingsError};

use audit::{Audit, Entry};
use guard::Rates;
use guesses::Guesses;

/// Lines of refusals and tickets in the audit log, a minute and address: a viewer
/// must not be able to fill it until what an administrator did is gone.
const LINES_PER_MINUTE: u32 = 20;
/// Uses of keys that are remembered, so that each address is noted once.
const USES_MAX: usize = 1_000;

/// What the server counts of itself.
#[derive(Debug, Default)]
pub struct Counts {
    limited: AtomicU64,
    refused: AtomicU64,
    /// WebSockets that are open
    pub sockets: AtomicUsize,
    /// WebSockets that were dropped because they did not read
    pub stalled: AtomicU64,
}

impl Counts {
    /// A request came too early.
    pub fn limited(&self) {
        self.limited.fetch_add(1, Ordering::Relaxed);
    }

    /// A credential was wrong.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// What every handler has.
#[derive(Debug)]
pub struct App {
    /// where states come from
    pub hub: Arc<Hub>,
    /// how it was configured
    pub settings: Settings,
    /// who may
    pub auth: Auth,
    /// requests by address, of those without a credential
    pub rates: Rates,
    /// requests by key or session
    pub known: Rates<auth::Hash>,
    /// wrong keys and codes
    pub guesses: Guesses,
    /// lines that somebody without much of a right causes in the audit log
    pub lines: Rates,
    /// who did what
    pub audit: Audit,
    operator: Mutex<Option<Arc<dyn Operator>>>,
    uses: Mutex<BTreeSet<(Role, IpAddr)>>,
    /// lines that the audit log was spared since the last one of their sort
    left_out: AtomicU64,
    /// results of earlier runs
    pub runs: Arc<tokio::sync::Mutex<runs::Kept>>,
    /// counters
    pub counts: Counts,
    /// turns true when the program ends
    pub ending: watch::Sender<bool>,
    /// where it listens, as a URL
    pub url: String,
}

impl App {
    /// With these settings, listening at `url`.
    #[must_use]
    pub fn new(hub: Arc<Hub>, settings: Settings, audit: Audit, url: String) -> Self {
        let auth = Auth::new(&settings.keys, settings.session_idle, settings.session_max);
        let every = |count: u32, span: Duration| span / count.max(1);
        let minute = Duration::from_secs(60);
        let pace = every(settings.rate_per_second, Duration::from_secs(1));
        Self {
            rates: Rates::new(settings.rate_burst, pace),
            // Nothing has the hash of zeros.
            known: Rates::by([0; 32], settings.rate_burst, pace),
            guesses: Guesses::new(settings.logins_per_minute),
            lines: Rates::new(LINES_PER_MINUTE, every(LINES_PER_MINUTE, minute)),
            hub,
            auth,
            settings,
            audit,
            operator: Mutex::default(),
            uses: Mutex::default(),
            left_out: AtomicU64::new(0),
            runs: Arc::default(),
            counts: Counts::default(),
            ending: watch::Sender::new(false),
            url,
        }
    }

    /// From now on commands go this way.
    pub fn operated_by(&self, operator: Arc<dyn Operator>) {
        *self.operator.lock().unwrap_or_else(PoisonError::into_inner) = Some(operator);
    }

    /// The way to the engine, while there is one.
    fn operator(&self) -> Option<Arc<dyn Operator>> {
        self.operator.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a key of that role was not used from that address before.
    fn first_use(&self, role: Role, address: IpAddr) -> bool {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        uses.len() < USES_MAX && uses.insert((role, address))
    }

    /// The session cookie's name. `__Host-` binds it to this host where the browser
    /// speaks TLS; elsewhere the port tells apart what runs on one machine.
    #[must_use]
    pub fn cookie_name(&self, secure: bool) -> String {
        let port = self.url.rsplit(':').next().unwrap_or_default();
        if secure { "__Host-sid".into() } else { format!("sid-{port}") }
    }

    /// Notes what anybody with a credential can cause at will: so many a minute and
    /// address. What is left out is counted, and said with the next.
    fn note_some(&self, address: IpAddr, entry: &Entry<'_>) {
        if self.lines.take(address).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let more = self.left_out.swap(0, Ordering::Relaxed);
        if more > 0 {
            let text = format!("{more} lines such as the next were left out");
            self.audit.note(&Entry { detail: Some(&text), ..Entry::of("left-out") });
        }
        self.audit.note(entry);
    }

    /// The address that logs a browser in.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    #[allow(clippy::disallowed_methods, reason = "codes age by the wall")]
    pub fn login_url(&self) -> std::io::Result<String> {
        let code = self.auth.new_code(std::time::Instant::now())?;
        Ok(format!("{}/#code={code}", self.url))
    }
}
