//! What every request passes before any handler sees it, in this order: address,
//! host, credential, rate, origin, role. A route needs nothing to be guarded, and
//! has no way not to be.
//!
//! The credential comes before the rate because whoever shows a valid one is counted
//! by it, and all others by their address: a flood of strangers, from the same machine
//! or from behind the same router, takes nothing from who may come in.

use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use ipnet::IpNet;

use super::answers::error;
use super::audit::Entry;
use super::auth::{Principal, Role};
use super::routes::page;
use super::{App, assets};

/// Addresses that a table of rates keeps; past it, strangers share one entry.
const ADDRESSES_MAX: usize = 10_000;

/// What the pages may load and do.
pub const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'";

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Whether the browser speaks TLS, with this program or with a proxy before it.
#[derive(Clone, Copy, Debug)]
pub struct Secure(pub bool);

/// A bounded table of rates, by address where nothing else is said.
#[derive(Debug)]
pub struct Rates<K: Hash + Eq + Clone = IpAddr> {
    limiter: RateLimiter<K, HashMapStateStore<K>, DefaultClock>,
    clock: DefaultClock,
    strangers: AtomicU32,
    /// what all that find no room are counted under
    rest: K,
}

impl Rates {
    /// So many at once, refilled one each `every`.
    #[must_use]
    pub fn new(burst: u32, every: Duration) -> Self {
        Self::by(IpAddr::V4(Ipv4Addr::UNSPECIFIED), burst, every)
    }

    /// Counts one of an address. When there were too many: how long to wait.
    ///
    /// # Errors
    /// The time until the next is taken.
    pub fn take(&self, address: IpAddr) -> Result<(), Duration> {
        self.count(network(address))
    }
}

impl<K: Hash + Eq + Clone> Rates<K> {
    /// The same by something else; `rest` is what no caller has.
    #[must_use]
    pub fn by(rest: K, burst: u32, every: Duration) -> Self {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(every).unwrap_or(Quota::per_second(burst));
        let limiter = RateLimiter::hashmap(quota.allow_burst(burst));
        Self { limiter, clock: DefaultClock::default(), strangers: AtomicU32::new(0), rest }
    }

    /// Counts one. When there were too many: how long to wait.
    ///
    /// # Errors
    /// The time until the next is taken.
    pub fn count(&self, mut key: K) -> Result<(), Duration> {
        if self.limiter.len() >= ADDRESSES_MAX {
            // Looking through a full table takes time, so not for each of them.
            if self.strangers.fetch_add(1, Ordering::Relaxed).is_multiple_of(1_024) {
                self.limiter.retain_recent();
            }
            if self.limiter.len() >= ADDRESSES_MAX {
                key = self.rest.clone();
            }
        }
        self.limiter.check_key(&key).map_err(|not| not.wait_time_from(self.clock.now()))
    }
}

/// Whoever has one IPv6 address has 2⁶⁴ of them.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn is_trusted(app: &App, address: &IpAddr) -> bool {
    app.settings.trusted_proxies.iter().any(|net| net.contains(address))
}

/// Whether the browser's way here is encrypted, as far as somebody trusted says so.
fn secure(app: &App, peer: IpAddr, headers: &HeaderMap) -> Secure {
    let said = single(headers, &header::HeaderName::from_static("x-forwarded-proto"));
    let proxied = || said == Some("https") && is_trusted(app, &peer.to_canonical());
    Secure(app.settings.tls.is_some() || proxied())
}

/// Where a request really came from: what a trusted proxy says, else the peer.
fn client(app: &App, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let peer = peer.to_canonical();
    let trusted = |address: &IpAddr| is_trusted(app, address);
    if !trusted(&peer) {
        return peer;
    }
    let hops = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).map(str::trim).collect();
    // From the right: the first that no trusted proxy is. What stands left of it
    // is the client's own claim.
    for hop in hops.iter().rev() {
        match hop.parse::<IpAddr>() {
            Ok(address) if trusted(&address.to_canonical()) => {}
            Ok(address) => return address.to_canonical(),
            Err(_) => return peer,
        }
    }
    peer
}

/// The name in a `Host` or an `Origin`, without scheme and port.
fn host_name(text: &str) -> String {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let name = if let Some(rest) = text.strip_prefix('[') {
        rest.split(']').next().unwrap_or("")
    } else {
        text.split(':').next().unwrap_or("")
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether a browser may reach the dashboard under that name. Names are listed,
/// because a name that an attacker owns can be made to point here.
fn known_host(app: &App, name: &str) -> bool {
    let loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    name == "localhost"
        || loopback
        || name.parse() == Ok(app.settings.bind.ip())
        || app.settings.allowed_hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

/// Whether a page of that origin may act: it came from here, port included, or
/// from a listed name, whose proxy may serve it on another port.
fn known_origin(app: &App, origin: &str, authority: &str) -> bool {
    let Some((_, rest)) = origin.split_once("://") else { return false };
    rest.eq_ignore_ascii_case(authority) || app.settings.allowed_hosts.contains(&host_name(rest))
}

/// Whether the page that sent a request, if a page did, is one of ours. A browser
/// names its origin where it matters; a script names none. A key is no excuse: a
/// page elsewhere may have been given one.
fn known_sender(app: &App, request: &Request, acts: bool, who: Option<&Principal>) -> bool {
    let headers = request.headers();
    let authority = single(headers, &header::HOST).unwrap_or("");
    let named = headers.contains_key(header::ORIGIN);
    if named && !single(headers, &header::ORIGIN).is_some_and(|o| known_origin(app, o, authority)) {
        return false;
    }
    if !acts {
        return true;
    }
    let cookie = who.is_none_or(|who| who.session.is_some());
    let site = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin");
    // A WebSocket by a cookie is a browser's, which always names its origin.
    site && (named || !cookie || !headers.contains_key(header::UPGRADE))
}

/// Exactly one value of a header.
fn single<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

/// The session's cookie.
fn cookie<'a>(app: &App, headers: &'a HeaderMap, secure: Secure) -> Option<&'a str> {
    let wanted = app.cookie_name(secure.0);
    let mut found = None;
    for value in headers.get_all(header::COOKIE) {
        for pair in value.to_str().ok()?.split(';') {
            if let Some((name, value)) = pair.trim().split_once('=')
                && name == wanted
            {
                if found.is_some() {
                    return None;
                }
                found = Some(value);
            }
        }
    }
    found
}

/// Who asks, and whether they showed something that was wrong.
fn credential(
    app: &App,
    headers: &HeaderMap,
    secure: Secure,
    now: Instant,
) -> (Option<Principal>, bool) {
    if headers.contains_key(header::AUTHORIZATION) {
        let key = single(headers, &header::AUTHORIZATION).and_then(|v| v.strip_prefix("Bearer "));
        let who = key.and_then(|key| app.auth.by_key(key));
        return (who, who.is_none());
    }
    let Some(id) = cookie(app, headers, secure) else { return (None, false) };
    (app.auth.session(id, now), false)
}

/// A ticket among the sub-protocols of an upgrade.
fn ticket(app: &App, headers: &HeaderMap, now: Instant) -> Option<Principal> {
    let offered = single(headers, &header::SEC_WEBSOCKET_PROTOCOL)?;
    let ticket = offered.split(',').find_map(|one| one.trim().strip_prefix("ticket."))?;
    app.auth.take_ticket(ticket, now)
}

/// A refusal that says when to come again.
pub fn too_many(wait: Duration) -> Response {
    let seconds = wait.as_secs() + 1;
    let mut response = error(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "slow down");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The guard around everything.
#[allow(clippy::disallowed_methods, reason = "sessions age by the wall")]
pub async fn guard(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let peer =
        request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |p| p.0);
    let address = client(&app, peer, request.headers());
    let secure = secure(&app, peer, request.headers());
    request.extensions_mut().insert(secure);
    let mut response = match check(&app, address, &mut request, Instant::now()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => *refusal,
    };
    harden(&app, &mut response);
    response
}

fn check(
    app: &App,
    address: IpAddr,
    request: &mut Request<Body>,
    now: Instant,
) -> Result<(), Box<Response>> {
    let refuse = |status, code, text| Err(Box::new(error(status, code, text)));
    let allowed = &app.settings.allow_ips;
    if !allowed.is_empty() && !allowed.iter().any(|net: &IpNet| net.contains(&address)) {
        return refuse(StatusCode::FORBIDDEN, "address", "this address is not allowed");
    }
    request.extensions_mut().insert(Peer(address));
    let headers = request.headers();
    let host = single(headers, &header::HOST).map(host_name);
    // A request may name the host a second time, in its first line.
    let other = request.uri().authority().map(|authority| host_name(authority.as_str()));
    let known = |name: Option<&str>| name.is_some_and(|name| known_host(app, name));
    if !known(host.as_deref()) || (other.is_some() && !known(other.as_deref())) {
        let text = "this host name is not one of web.allowed_hosts";
        return refuse(StatusCode::MISDIRECTED_REQUEST, "host", text);
    }
    let path = request.uri().path();
    let method = request.method();
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let upgrade = headers.contains_key(header::UPGRADE);
    if headers.contains_key(header::AUTHORIZATION)
        && let Some(wait) = app.guesses.held(address, now)
    {
        app.counts.limited();
        return Err(Box::new(too_many(wait)));
    }
    let secure = request.extensions().get::<Secure>().copied().unwrap_or(Secure(false));
    let (mut who, wrong) = credential(app, headers, secure, now);
    if who.is_none() && upgrade && !wrong {
        who = ticket(app, headers, now);
    }
    let taken = match &who {
        Some(who) => app.known.count(who.id),
        None => app.rates.take(address),
    };
    if let Err(wait) = taken {
        app.counts.limited();
        return Err(Box::new(too_many(wait)));
    }
    if !known_sender(app, request, !reads || upgrade, who.as_ref()) {
        return refuse(StatusCode::FORBIDDEN, "origin", "this origin is not allowed");
    }
    let free = path == "/healthz" || assets::PUBLIC.contains(&path);
    let open = if reads { free } else { *method == Method::POST && path == "/api/v1/session" };
    if let Some(who) = who {
        let needed =
            *method == Method::POST && path != "/api/v1/session" && path != "/api/v1/ws-ticket";
        let may = match who.role {
            Role::Admin => true,
            Role::Viewer => !needed,
            Role::Metrics => reads && ["/metrics", "/readyz", "/healthz"].contains(&path),
        };
        if !may {
            let entry = Entry::by("refused", address, &who);
            app.note_some(address, &Entry { subject: Some(path), result: "role", ..entry });
            return refuse(StatusCode::FORBIDDEN, "role", "this credential may not do that");
        }
        if who.session.is_none() && app.first_use(who.role, address) {
            app.audit.note(&Entry::by("key used", address, &who));
        }
        request.extensions_mut().insert(who);
        return Ok(());
    }
    if open {
        return Ok(());
    }
    if wrong {
        app.counts.refused();
        if let Err(wait) = app.guesses.wrong(address, now) {
            app.counts.limited();
            return Err(Box::new(too_many(wait)));
        }
        let entry = Entry { address: Some(address), by: "key".into(), ..Entry::of("refused") };
        app.audit.note(&Entry { subject: Some(path), result: "wrong key", ..entry });
    }
    if reads && path == "/" {
        return Err(Box::new(page(StatusCode::UNAUTHORIZED, "/login.html")));
    }
    refuse(StatusCode::UNAUTHORIZED, "unauthorized", "a credential is needed")
}

/// The headers that every answer carries.
fn harden(app: &App, response: &mut Response) {
    let headers = response.headers_mut();
    let mut set = |name: header::HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, CSP);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(
        header::HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    );
    if app.settings.tls.is_some() {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_without_scheme_and_port() {
        for (text, name) in [
            ("127.0.0.1:7878", "127.0.0.1"),
            ("[::1]:7878", "::1"),
            ("http://LOCALHOST:7878", "localhost"),
            ("evil.example", "evil.example"),
            ("localhost.:1", "localhost"),
            ("", ""),
        ] {
            assert_eq!(host_name(text), name);
        }
    }

    #[test]
    fn med_010_the_request_past_the_limit_waits_and_strangers_do_not_grow_the_table() {
        let rates = Rates::new(3, Duration::from_secs(60));
        let one = IpAddr::from([10, 0, 0, 1]);
        for _ in 0..3 {
            assert!(rates.take(one).is_ok());
        }
        let wait = rates.take(one).expect_err("the fourth");
        assert!(wait <= Duration::from_secs(60) && wait > Duration::from_secs(50), "{wait:?}");
        assert!(rates.take(IpAddr::from([10, 0, 0, 2])).is_ok(), "another address");
        for number in 0..20_000_u32 {
            let _ = rates.take(IpAddr::from(number.to_be_bytes()));
        }
        assert!(rates.limiter.len() <= ADDRESSES_MAX + 1, "{}", rates.limiter.len());
        let six = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(network(six("2001:db8::1")), network(six("2001:db8::2")));
    }
}
