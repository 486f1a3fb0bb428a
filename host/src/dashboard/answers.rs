//! What requests ask with and what they are answered, beside the shapes of
//! [`super::model`]: lists, errors, and extractors whose refusals are JSON too.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;
use utoipa::ToSchema;

use super::model::{Event, Fill, Level, Order, Print, Setting, Strategy, Symbol, Total, Trade};
use super::ring::{Kept, Ring};

/// The most entries of a page of a list.
const PAGE_MAX: usize = 1_000;

/// An error as the API gives it.
#[must_use]
pub fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response()
}

/// What was asked for is not there.
pub(super) fn not_found(what: &str) -> Response {
    error(StatusCode::NOT_FOUND, "not-found", what)
}

/// A text that is JSON already.
pub(super) fn raw(text: &str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.to_owned()).into_response()
}

/// Something that a history still holds too.
#[derive(Debug)]
pub struct Shared<T>(pub(super) Arc<T>);

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// The refusal of a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refusal {
    /// what is wrong
    pub error: RefusalError,
}

/// What is wrong with a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusalError {
    /// for programs
    pub code: String,
    /// for people
    pub message: String,
}

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Serialize, ToSchema)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
        )*
    };
}

answers! {
    /// The leaderboard.
    Strategies {
        /// number of the state that it is of
        seq: u64,
        /// equity by currency: the sum of the strategies'
        totals: Vec<Total>,
        /// its rows; the one that is a benchmark is the last
        strategies: Vec<Strategy>,
    }
    /// Equity over time.
    Equity {
        /// milliseconds, equity, drawdown in percent
        points: Vec<[f64; 3]>,
    }
    /// Closed round trips.
    Trades {
        /// oldest first
        #[schema(value_type = Vec<Trade>)]
        trades: Vec<Shared<Kept<Trade>>>,
        /// what `after` must be for those that follow
        next: Option<String>,
    }
    /// Fills.
    Fills {
        /// oldest first
        #[schema(value_type = Vec<Fill>)]
        fills: Vec<Shared<Kept<Fill>>>,
        /// what `after` must be for those that follow
        next: Option<String>,
    }
    /// Stops and targets of a strategy's positions.
    Levels {
        /// oldest first
        #[schema(value_type = Vec<Level>)]
        levels: Vec<Shared<Kept<Level>>>,
        /// what `after` must be for those that follow
        next: Option<String>,
    }
    /// Lines of a strategy's log.
    LogLines {
        /// oldest first
        #[schema(value_type = Vec<Event>)]
        logs: Vec<Shared<Kept<Event>>>,
        /// what `after` must be for those that follow
        next: Option<String>,
    }
    /// What happened.
    Events {
        /// oldest first
        #[schema(value_type = Vec<Event>)]
        events: Vec<Shared<Kept<Event>>>,
        /// what `after` must be for those that follow
        next: Option<String>,
    }
    /// Orders.
    Orders {
        /// newest first
        #[schema(value_type = Vec<Order>)]
        orders: Vec<Shared<Order>>,
    }
    /// All symbols.
    Market {
        /// in the run's order
        symbols: Vec<Symbol>,
    }
    /// Candles of one symbol and interval.
    CandleList {
        /// opened at in seconds, open, high, low, close, volume
        candles: Vec<[f64; 6]>,
        /// lengths in seconds that are kept of the symbol
        intervals: Vec<u32>,
    }
    /// The newest prints.
    Tape {
        /// newest first
        trades: Vec<Print>,
    }
    /// Runs.
    Runs {
        /// this one, then those that are kept, newest first
        runs: Vec<super::runs::RunRow>,
    }
    /// All settings.
    SettingList {
        /// in the order of the configuration
        settings: Vec<Setting>,
        /// their hash
        sha256: String,
    }
    /// Who asks.
    Me {
        /// `admin`, `viewer` or `metrics`
        role: String,
        /// always null: the cookie is same-site, and origins are checked
        csrf: Option<String>,
        /// the program's version
        version: String,
        /// changes with the pages
        ui_hash: String,
    }
    /// A session begun.
    LoggedIn {
        /// `admin` or `viewer`
        role: String,
    }
    /// A ticket for one WebSocket, as a sub-protocol `ticket.…`.
    Ticket {
        /// holds for 30 s and once
        ticket: String,
    }
    /// Health.
    Status {
        /// `ok`, or `ready`
        status: String,
    }
    /// A command was carried out.
    Accepted {
        /// true: the engine has taken it
        accepted: bool,
    }
}

/// What logs in.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Login {
    /// a key
    Key {
        /// the key
        key: String,
    },
    /// the one-time code
    Code {
        /// the code
        code: String,
    },
}

/// Why a command is given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// in the operator's words
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    pub reason: String,
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Page {
    after: Option<u64>,
    limit: Option<u32>,
}

impl Page {
    /// That part of a ring, with what `after` must be for the next.
    pub(super) fn of<T>(&self, ring: &Ring<T>) -> (Vec<Shared<Kept<T>>>, Option<String>) {
        let limit = self.limit.map_or(200, |limit| limit as usize).clamp(1, PAGE_MAX);
        let (items, last) = match self.after {
            // What is gone is gone: the oldest that there is comes first.
            Some(after) => ring.after(after, limit).unwrap_or_else(|| ring.oldest(limit)),
            None => ring.newest(limit),
        };
        let next = (last + 1 < ring.next()).then(|| last.to_string());
        (items.into_iter().map(Shared).collect(), next)
    }
}

/// Which symbol, and how much of it.
#[derive(Debug, Deserialize)]
pub(super) struct OfSymbol {
    pub(super) symbol: String,
    pub(super) interval: Option<u32>,
    pub(super) limit: Option<u32>,
    pub(super) depth: Option<u32>,
}

/// A query; what is wrong with it is said in JSON.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(refused) => Err(error(refused.status(), "bad-request", &refused.body_text())),
        }
    }
}

/// The name in a path.
#[derive(Debug)]
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(refused) => Err(error(refused.status(), "bad-request", &refused.body_text())),
        }
    }
}

/// A body in JSON.
#[derive(Debug)]
pub(super) struct Told<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Told<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(refused) => Err(wrong_body(&refused)),
        }
    }
}

fn wrong_body(refused: &JsonRejection) -> Response {
    // What the parser says may repeat what it was given: a key, at worst.
    let text = match refused {
        JsonRejection::JsonDataError(_) => "the body is not what this route takes",
        JsonRejection::JsonSyntaxError(_) => "the body is not JSON",
        JsonRejection::MissingJsonContentType(_) => "the body must be application/json",
        _ => "the body cannot be read",
    };
    error(refused.status(), "bad-request", text)
}
