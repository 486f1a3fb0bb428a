//! Who may: keys, one-time codes, sessions, tickets.
//!
//! Secrets are compared by their SHA-256 in constant time, and only the hashes
//! are kept. Everything is bounded; the oldest session or ticket makes room.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

/// How long a one-time code holds.
pub const CODE_TTL: Duration = Duration::from_secs(60);
/// How long a WebSocket ticket holds.
const TICKET_TTL: Duration = Duration::from_secs(30);
/// Sessions and tickets kept at once.
const SESSIONS_MAX: usize = 1_000;
/// Least time between two codes that a wrong one brings forth.
const CODE_EVERY: Duration = Duration::from_secs(10);

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// everything
    Admin,
    /// read
    Viewer,
    /// read the metrics alone
    Metrics,
}

impl Role {
    /// The name used in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
            Self::Metrics => "metrics",
        }
    }
}

/// SHA-256 of a secret.
pub type Hash = [u8; 32];

/// Somebody who has shown a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// what they may do
    pub role: Role,
    /// the session, when they came by a cookie or its ticket
    pub session: Option<Hash>,
    /// the hash of the key or the session: what is counted together
    pub id: Hash,
}

impl Principal {
    /// How the audit log names the credential: a key as such, a session by the
    /// beginning of its hash.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.session {
            None => "key".into(),
            Some(hash) => {
                let start: String = hash.iter().take(4).map(|b| format!("{b:02x}")).collect();
                format!("session {start}")
            }
        }
    }
}

#[derive(Debug)]
struct Session {
    role: Role,
    created: Instant,
    seen: Instant,
}

#[derive(Debug, Default)]
struct Tables {
    sessions: BTreeMap<Hash, Session>,
    tickets: BTreeMap<Hash, (Principal, Instant)>,
    code: Option<(Hash, Instant)>,
    last_code: Option<Instant>,
}

/// All credentials.
#[derive(Debug)]
pub struct Auth {
    keys: Vec<(Hash, Role)>,
    idle: Duration,
    max: Duration,
    tables: Mutex<Tables>,
    revoked: watch::Sender<u64>,
}

fn hash(secret: &[u8]) -> Hash {
    Sha256::digest(secret).into()
}

/// A secret of 256 bits, in hex.
///
/// # Errors
/// When the operating system gives no random numbers.
pub fn random() -> std::io::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Auth {
    /// Without any credential but those keys.
    #[must_use]
    pub fn new(keys: &[(String, Role)], idle: Duration, max: Duration) -> Self {
        let keys = keys.iter().map(|(key, role)| (hash(key.as_bytes()), *role)).collect();
        let (tables, revoked) = (Mutex::default(), watch::Sender::new(0));
        Self { keys, idle, max, tables, revoked }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose key that is. Every key is compared, and none is left early.
    #[must_use]
    pub fn key(&self, key: &str) -> Option<Role> {
        let given = hash(key.as_bytes());
        let mut found = None;
        for (known, role) in &self.keys {
            if bool::from(known.ct_eq(&given)) {
                found = Some(*role);
            }
        }
        found
    }

    /// Who comes by that key.
    #[must_use]
    pub fn by_key(&self, key: &str) -> Option<Principal> {
        let role = self.key(key)?;
        Some(Principal { role, session: None, id: hash(key.as_bytes()) })
    }

    /// A new one-time code; the one before is void.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn new_code(&self, now: Instant) -> std::io::Result<String> {
        let code = format!("c-{}", random()?);
        let mut tables = self.tables();
        tables.code = Some((hash(code.as_bytes()), now));
        tables.last_code = Some(now);
        Ok(code)
    }

    /// Whether that is the code; it is void from then on.
    #[must_use]
    pub fn take_code(&self, code: &str, now: Instant) -> bool {
        let mut tables = self.tables();
        let Some((known, made)) = tables.code else { return false };
        let valid = bool::from(known.ct_eq(&hash(code.as_bytes())))
            && now.saturating_duration_since(made) <= CODE_TTL;
        if valid {
            tables.code = None;
        }
        valid
    }

    /// Whether a wrong code should bring forth another: the last one is used or
    /// old, and it is not a moment ago that one was made.
    #[must_use]
    pub fn wants_code(&self, now: Instant) -> bool {
        let tables = self.tables();
        let old = |at: Instant, than: Duration| now.saturating_duration_since(at) > than;
        tables.code.is_none_or(|(_, made)| old(made, CODE_TTL))
            && tables.last_code.is_none_or(|made| old(made, CODE_EVERY))
    }

    /// Begins a session; its id is the cookie.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn open(&self, role: Role, now: Instant) -> std::io::Result<String> {
        let id = random()?;
        let mut tables = self.tables();
        tables.sessions.retain(|_, session| self.lives(session, now));
        if tables.sessions.len() >= SESSIONS_MAX {
            let oldest = tables.sessions.iter().min_by_key(|(_, s)| s.seen).map(|(id, _)| *id);
            oldest.and_then(|id| tables.sessions.remove(&id));
        }
        tables.sessions.insert(hash(id.as_bytes()), Session { role, created: now, seen: now });
        Ok(id)
    }

    fn lives(&self, session: &Session, now: Instant) -> bool {
        now.saturating_duration_since(session.seen) <= self.idle
            && now.saturating_duration_since(session.created) <= self.max
    }

    /// Whose session that is.
    #[must_use]
    pub fn session(&self, id: &str, now: Instant) -> Option<Principal> {
        let id = hash(id.as_bytes());
        let mut tables = self.tables();
        let session = tables.sessions.get_mut(&id)?;
        if !self.lives(session, now) {
            tables.sessions.remove(&id);
            return None;
        }
        session.seen = now;
        Some(Principal { role: session.role, session: Some(id), id })
    }

    /// Whether somebody's credential still holds.
    #[must_use]
    pub fn holds(&self, principal: &Principal, now: Instant) -> bool {
        let Some(id) = principal.session else { return true };
        self.tables().sessions.get(&id).is_some_and(|session| self.lives(session, now))
    }

    /// Ends a session.
    pub fn close(&self, principal: &Principal) {
        if let Some(id) = principal.session {
            self.tables().sessions.remove(&id);
        }
        self.revoked.send_modify(|count| *count += 1);
    }

    /// Tells whenever a session was ended.
    #[must_use]
    pub fn revocations(&self) -> watch::Receiver<u64> {
        self.revoked.subscribe()
    }

    /// A ticket for one WebSocket.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn ticket(&self, principal: Principal, now: Instant) -> std::io::Result<String> {
        let ticket = random()?;
        let mut tables = self.tables();
        tables.tickets.retain(|_, (_, made)| now.saturating_duration_since(*made) <= TICKET_TTL);
        if tables.tickets.len() >= SESSIONS_MAX {
            tables.tickets.pop_first();
        }
        tables.tickets.insert(hash(ticket.as_bytes()), (principal, now));
        Ok(ticket)
    }

    /// Whose ticket that is; it is void from then on.
    #[must_use]
    pub fn take_ticket(&self, ticket: &str, now: Instant) -> Option<Principal> {
        let (principal, made) = self.tables().tickets.remove(&hash(ticket.as_bytes()))?;
        let fresh = now.saturating_duration_since(made) <= TICKET_TTL;
        (fresh && self.holds(&principal, now)).then_some(principal)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a start for times that are then made up")]
mod tests {
    use super::*;

    fn auth() -> Auth {
        let keys = [("a".repeat(40), Role::Admin), ("v".repeat(40), Role::Viewer)];
        Auth::new(&keys, Duration::from_secs(100), Duration::from_secs(250))
    }

    #[test]
    fn crit_004_only_the_whole_key_is_a_key() {
        let auth = auth();
        assert_eq!(auth.key(&"a".repeat(40)), Some(Role::Admin));
        assert_eq!(auth.key(&"v".repeat(40)), Some(Role::Viewer));
        for wrong in ["", "a", &"a".repeat(39), &"a".repeat(41), &"A".repeat(40)] {
            assert_eq!(auth.key(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn crit_004_a_code_opens_once_and_not_for_long() {
        let (auth, now) = (auth(), Instant::now());
        let code = auth.new_code(now).unwrap();
        assert!(!auth.take_code("c-00", now));
        assert!(auth.take_code(&code, now));
        assert!(!auth.take_code(&code, now), "twice");
        let code = auth.new_code(now).unwrap();
        let later = now + CODE_TTL + Duration::from_secs(1);
        assert!(auth.wants_code(later));
        assert!(!auth.take_code(&code, later), "late");
        let other = auth.new_code(later).unwrap();
        assert!(!auth.wants_code(later));
        assert!(auth.take_code(&other, later));
    }

    #[test]
    fn crit_004_sessions_end_by_idleness_by_age_and_by_logging_out() {
        let (auth, now) = (auth(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        let id = auth.open(Role::Viewer, now).unwrap();
        let somebody = auth.session(&id, at(90)).unwrap();
        assert!(auth.session(&id, at(180)).is_some(), "seen 90 s ago");
        assert!(auth.session(&id, at(251)).is_none(), "too old");
        assert!(!auth.holds(&somebody, at(251)));
        let id = auth.open(Role::Viewer, now).unwrap();
        assert!(auth.session(&id, at(101)).is_none(), "idle");
        let id = auth.open(Role::Viewer, now).unwrap();
        let somebody = auth.session(&id, now).unwrap();
        auth.close(&somebody);
        assert!(auth.session(&id, now).is_none(), "logged out");
    }

    #[test]
    fn crit_004_a_ticket_opens_one_socket_and_ends_with_its_session() {
        let (auth, now) = (auth(), Instant::now());
        let id = auth.open(Role::Viewer, now).unwrap();
        let somebody = auth.session(&id, now).unwrap();
        let ticket = auth.ticket(somebody, now).unwrap();
        assert_eq!(auth.take_ticket(&ticket, now), Some(somebody));
        assert_eq!(auth.take_ticket(&ticket, now), None, "twice");
        let late = auth.ticket(somebody, now).unwrap();
        assert_eq!(auth.take_ticket(&late, now + Duration::from_secs(31)), None, "late");
        let ended = auth.ticket(somebody, now).unwrap();
        auth.close(&somebody);
        assert_eq!(auth.take_ticket(&ended, now), None, "its session is over");
    }
}
