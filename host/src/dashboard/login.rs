//! Sessions and tickets.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::answers::{LoggedIn, Login, Me, Ticket, Told, error};
use super::audit::Entry;
use super::auth::Principal;
use super::guard::{Peer, Secure, too_many};
use super::{App, Role, assets};

const NO_RANDOM: &str = "the operating system gives no random numbers";

#[allow(clippy::disallowed_methods, reason = "sessions age by the wall")]
pub(super) async fn log_in(
    State(app): State<Arc<App>>,
    Extension(Peer(address)): Extension<Peer>,
    Extension(Secure(secure)): Extension<Secure>,
    Told(login): Told<Login>,
) -> Response {
    let now = Instant::now();
    if let Some(wait) = app.guesses.held(address, now) {
        app.counts.limited();
        return too_many(wait);
    }
    let (by, role) = match login {
        Login::Key { key } => ("key", app.auth.key(&key)),
        Login::Code { code } => ("code", app.auth.take_code(&code, now).then_some(Role::Admin)),
    };
    let entry = Entry { address: Some(address), by: by.into(), ..Entry::of("login") };
    let Some(role) = role else {
        app.counts.refused();
        if let Err(wait) = app.guesses.wrong(address, now) {
            app.counts.limited();
            return too_many(wait);
        }
        app.audit.note(&Entry { result: "refused", ..entry });
        if by == "code" && app.auth.wants_code(now) {
            // Who reads the terminal may come in; who only sent a request may not.
            if let Ok(url) = app.login_url() {
                tracing::info!("dashboard: the code was used or is too old; a new one: {url}");
            }
        }
        return error(StatusCode::UNAUTHORIZED, "unauthorized", "not a valid code or key");
    };
    let Ok(id) = app.auth.open(role, now) else {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "internal", NO_RANDOM);
    };
    app.audit.note(&Entry { role: Some(role), ..entry });
    let cookie = cookie(&app, secure, &id, app.settings.session_max.as_secs());
    let body = LoggedIn { role: role.name().into() };
    ([(header::SET_COOKIE, cookie)], Json(body)).into_response()
}

pub(super) async fn log_out(
    State(app): State<Arc<App>>,
    Extension(Peer(address)): Extension<Peer>,
    Extension(Secure(secure)): Extension<Secure>,
    Extension(who): Extension<Principal>,
) -> Response {
    app.auth.close(&who);
    app.audit.note(&Entry::by("logout", address, &who));
    let cookie = cookie(&app, secure, "", 0);
    ([(header::SET_COOKIE, cookie)], StatusCode::NO_CONTENT).into_response()
}

/// What sets the session's cookie to `id` for so many seconds.
fn cookie(app: &App, secure: bool, id: &str, seconds: u64) -> String {
    let name = app.cookie_name(secure);
    let only = if secure { "; Secure" } else { "" };
    format!("{name}={id}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{only}")
}

pub(super) async fn me(Extension(who): Extension<Principal>) -> Response {
    Json(Me {
        role: who.role.name().into(),
        csrf: None,
        version: env!("CARGO_PKG_VERSION").into(),
        ui_hash: assets::ALL.clone(),
    })
    .into_response()
}

#[allow(clippy::disallowed_methods, reason = "tickets age by the wall")]
pub(super) async fn ws_ticket(
    State(app): State<Arc<App>>,
    Extension(Peer(address)): Extension<Peer>,
    Extension(who): Extension<Principal>,
) -> Response {
    let Ok(ticket) = app.auth.ticket(who, Instant::now()) else {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "internal", NO_RANDOM);
    };
    app.note_some(address, &Entry::by("ticket", address, &who));
    Json(Ticket { ticket }).into_response()
}
