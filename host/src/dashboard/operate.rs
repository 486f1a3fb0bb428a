//! What an operator commands through the dashboard. The guard lets none but an
//! administrator come here; each command is written down before it is given, and
//! answered when the engine has taken it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, post};
use futures_util::future::BoxFuture;
use thiserror::Error;

use super::App;
use super::answers::{Accepted, Name, Reason, Told, error, not_found};
use super::audit::Entry;
use super::auth::Principal;
use super::guard::Peer;
use crate::engine::{Command, CommandAction};
use crate::output::printable;

/// The longest that the engine may take to come to a command.
const TAKEN_MAX: Duration = Duration::from_secs(5);
/// The longest reason.
const REASON_MAX: usize = 200;

/// Why a command was not carried out.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// Others wait already.
    #[error("too many commands wait for the engine")]
    Busy,
    /// There is no run any more.
    #[error("no run is on")]
    Ended,
}

/// The way to the engine.
pub trait Operator: Send + Sync + std::fmt::Debug {
    /// Hands a command over. What comes back ends when the engine has taken it.
    fn give(&self, command: Command) -> BoxFuture<'static, Result<(), Refused>>;
}

/// `POST` of a command for one strategy.
pub(super) fn for_one(action: CommandAction) -> MethodRouter<Arc<App>> {
    post(
        move |State(app): State<Arc<App>>,
              Extension(Peer(address)): Extension<Peer>,
              Extension(who): Extension<Principal>,
              Name(name): Name,
              Told(reason): Told<Reason>| async move {
            let state = app.hub.state();
            let lane = state.lanes.iter().position(|lane| lane.row.name == name);
            let Some(lane) = lane.and_then(|lane| u16::try_from(lane).ok()) else {
                return not_found("there is no such strategy");
            };
            let entry = Entry::by(action.name(), address, &who);
            carry_out(&app, Some(lane), action, &reason, Entry { subject: Some(&name), ..entry })
                .await
        },
    )
}

/// `POST` of a command for all strategies.
pub(super) fn for_all(action: CommandAction) -> MethodRouter<Arc<App>> {
    post(
        move |State(app): State<Arc<App>>,
              Extension(Peer(address)): Extension<Peer>,
              Extension(who): Extension<Principal>,
              Told(reason): Told<Reason>| async move {
            let entry = Entry::by(action.name(), address, &who);
            carry_out(&app, None, action, &reason, Entry { subject: Some("*"), ..entry }).await
        },
    )
}

async fn carry_out(
    app: &App,
    lane: Option<u16>,
    action: CommandAction,
    reason: &Reason,
    entry: Entry<'_>,
) -> Response {
    let too_long = reason.reason.chars().count() > REASON_MAX;
    let reason = printable(reason.reason.trim(), REASON_MAX);
    if reason.is_empty() || too_long {
        let text = "say why, in at most 200 characters: nothing was done";
        return error(StatusCode::UNPROCESSABLE_ENTITY, "reason", text);
    }
    let asked = Entry { detail: Some(&reason), result: "asked", ..entry.clone() };
    if let Err(error_of_disk) = app.audit.write(&asked) {
        tracing::error!("the audit log cannot be written: {error_of_disk}");
        let text = "the audit log cannot be written, so nothing was done";
        return error(StatusCode::INTERNAL_SERVER_ERROR, "audit", text);
    }
    let given = match app.operator() {
        Some(operator) => {
            let command = Command { lane, action, reason: reason.clone() };
            tokio::time::timeout(TAKEN_MAX, operator.give(command)).await
        }
        None => Ok(Err(Refused::Ended)),
    };
    let (result, response) = match given {
        Ok(Ok(())) => {
            let body = Json(Accepted { accepted: true });
            ("taken", (StatusCode::ACCEPTED, body).into_response())
        }
        Ok(Err(refused)) => {
            let (status, code) = match refused {
                Refused::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
                Refused::Ended => (StatusCode::CONFLICT, "ended"),
            };
            (code, error(status, code, &refused.to_string()))
        }
        Err(_) => {
            let text = "the engine has not come to it yet; it will";
            ("late", error(StatusCode::GATEWAY_TIMEOUT, "late", text))
        }
    };
    app.audit.note(&Entry { detail: Some(&reason), result, ..entry });
    response
}
