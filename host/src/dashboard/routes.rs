//! Every route, once: method, path, what it is for, what it takes and gives, what
//! answers. The router and the OpenAPI document are both made of this table.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Router, middleware};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::{PartialSchema, ToSchema};

use super::answers::{self, Reason, Status, error, not_found, raw};
use super::guard::guard;
use super::openapi::{Describe, describe, document};
use super::{App, assets, earlier, lists, login, metrics, model, operate, runs, ws};
use crate::engine::CommandAction;

/// The largest body of a request.
pub(super) const BODY_MAX: usize = 16 * 1024;
/// The longest that an answer takes, the time to send the request's body included.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A parameter of a query.
#[derive(Debug)]
pub struct Query {
    /// its name
    pub name: &'static str,
    /// whether there must be one
    pub required: bool,
    /// what it holds
    pub kind: Kind,
    /// what it is for
    pub what: &'static str,
}

/// What a parameter holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// any text
    Text,
    /// a whole number up to that
    Count(u64),
}

/// A route.
pub struct Route {
    /// its method
    pub method: Method,
    /// its path, parameters in braces
    pub path: &'static str,
    /// what it gives, in a few words
    pub summary: &'static str,
    /// true when it needs no credential
    pub open: bool,
    /// status of a good answer
    pub status: u16,
    /// parameters of its query
    pub(super) query: &'static [Query],
    /// the schema of its body
    pub(super) takes: Option<Describe>,
    /// the schema of a good answer
    pub(super) gives: Option<Describe>,
    /// the type of a good answer, when it is no JSON
    pub(super) kind: Option<&'static str>,
    /// refusals beside those that every route gives
    pub(super) fails: &'static [u16],
    handler: MethodRouter<Arc<App>>,
}

fn route(path: &'static str, summary: &'static str, handler: MethodRouter<Arc<App>>) -> Route {
    Route {
        method: Method::GET,
        path,
        summary,
        open: false,
        status: 200,
        query: &[],
        takes: None,
        gives: None,
        kind: None,
        fails: if path.contains('{') { &[404] } else { &[] },
        handler,
    }
}

impl Route {
    fn gives<T: ToSchema + PartialSchema>(mut self) -> Self {
        self.gives = Some(describe::<T>);
        self
    }

    fn takes<T: ToSchema + PartialSchema>(mut self) -> Self {
        self.takes = Some(describe::<T>);
        self
    }

    fn by(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    fn asks(mut self, query: &'static [Query]) -> Self {
        self.query = query;
        self
    }

    fn fails(mut self, fails: &'static [u16]) -> Self {
        self.fails = fails;
        self
    }

    fn kind(mut self, kind: &'static str) -> Self {
        self.kind = Some(kind);
        self
    }

    fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// A command of an administrator.
    fn command(self) -> Self {
        self.by(Method::POST)
            .takes::<Reason>()
            .gives::<answers::Accepted>()
            .status(202)
            .fails(&[404, 409, 500, 503, 504])
    }
}

const fn count(name: &'static str, max: u64, what: &'static str) -> Query {
    Query { name, required: false, kind: Kind::Count(max), what }
}

const SYMBOL: Query =
    Query { name: "symbol", required: true, kind: Kind::Text, what: "such as BTC/USD" };
const PAGE: &[Query] = &[
    count("after", u64::MAX, "number of the last one that is known"),
    count("limit", u32::MAX as u64, "at most so many; more than 1000 are never given"),
];
const CANDLES: &[Query] = &[
    SYMBOL,
    count("interval", u32::MAX as u64, "length in seconds, 60 where it is left out"),
    count("limit", u32::MAX as u64, "at most so many; more than 2000 are never given"),
];
const BOOK: &[Query] = &[SYMBOL, count("depth", u32::MAX as u64, "levels a side")];

/// All routes.
#[must_use]
pub fn routes() -> Vec<Route> {
    let mut all = reading();
    all.extend(sessions());
    all.extend(commands());
    all.extend(earlier());
    all
}

fn sessions() -> Vec<Route> {
    vec![
        route("/api/v1/session", "Log in with a key or a one-time code", post(login::log_in))
            .by(Method::POST)
            .takes::<answers::Login>()
            .gives::<answers::LoggedIn>()
            .fails(&[500])
            .open(),
        route("/api/v1/session", "Log out", delete(login::log_out)).by(Method::DELETE).status(204),
        route("/api/v1/me", "Who you are", get(login::me)).gives::<answers::Me>(),
        route("/api/v1/ws-ticket", "A ticket for one WebSocket", post(login::ws_ticket))
            .by(Method::POST)
            .gives::<answers::Ticket>()
            .fails(&[500]),
    ]
}

fn commands() -> Vec<Route> {
    use CommandAction::{Flatten, Kill, Pause, Resume};
    let one = |path, summary, action| route(path, summary, operate::for_one(action)).command();
    let all = |path, summary, action| route(path, summary, operate::for_all(action)).command();
    vec![
        one("/api/v1/strategies/{name}/pause", "No new orders of it until resumed", Pause),
        one("/api/v1/strategies/{name}/resume", "End its pause", Resume),
        one("/api/v1/strategies/{name}/flatten", "Close its positions", Flatten),
        one("/api/v1/strategies/{name}/kill", "End it for good", Kill),
        all("/api/v1/run/pause", "No new orders of any strategy until resumed", Pause),
        all("/api/v1/run/resume", "End the pause of every strategy", Resume),
        all("/api/v1/run/flatten", "Close the positions of every strategy", Flatten),
        all("/api/v1/run/kill", "End every strategy for good", Kill),
    ]
}

fn reading() -> Vec<Route> {
    vec![
        route("/healthz", "Whether the program answers; no credential is needed", get(healthz))
            .gives::<Status>()
            .open(),
        route("/readyz", "Whether a run is on", get(readyz)).gives::<Status>().fails(&[503]),
        route("/metrics", "Metrics in the Prometheus text format", get(metrics::metrics))
            .kind("application/openmetrics-text"),
        route("/api/v1/ws", "The WebSocket", get(ws::upgrade)).status(101).fails(&[400, 426, 503]),
        route("/api/v1/run", "The run", get(lists::run)).gives::<model::Run>(),
        route("/api/v1/strategies", "The leaderboard", get(lists::strategies))
            .gives::<answers::Strategies>(),
        route("/api/v1/strategies/{name}", "One strategy", get(lists::strategy))
            .gives::<model::StrategyDetail>(),
        route("/api/v1/strategies/{name}/equity", "Its equity over time", get(lists::equity))
            .gives::<answers::Equity>(),
        route("/api/v1/strategies/{name}/trades", "Its closed round trips", get(lists::trades))
            .asks(PAGE)
            .gives::<answers::Trades>(),
        route("/api/v1/strategies/{name}/fills", "Its fills", get(lists::fills))
            .asks(PAGE)
            .gives::<answers::Fills>(),
        route("/api/v1/strategies/{name}/orders", "Its orders", get(lists::orders))
            .gives::<answers::Orders>(),
        route("/api/v1/strategies/{name}/levels", "Its stops and targets", get(lists::levels))
            .asks(PAGE)
            .gives::<answers::Levels>(),
        route("/api/v1/strategies/{name}/plots", "What it published by name", get(lists::plots))
            .gives::<model::Plots>(),
        route("/api/v1/strategies/{name}/logs", "Its log", get(lists::logs))
            .asks(PAGE)
            .gives::<answers::LogLines>(),
        route("/api/v1/strategies/{name}/sandbox", "What it uses", get(lists::sandbox))
            .gives::<model::Sandbox>(),
        route("/api/v1/market", "All symbols", get(lists::market)).gives::<answers::Market>(),
        route("/api/v1/candles", "Candles of a symbol", get(lists::candles))
            .asks(CANDLES)
            .gives::<answers::CandleList>()
            .fails(&[404]),
        route("/api/v1/book", "An order book", get(lists::book))
            .asks(BOOK)
            .gives::<model::Book>()
            .fails(&[404]),
        route("/api/v1/tape", "The newest trades of a symbol", get(lists::tape))
            .asks(&[SYMBOL])
            .gives::<answers::Tape>()
            .fails(&[404]),
        route("/api/v1/feed", "How market data comes in", get(lists::feed)).gives::<model::Feed>(),
        route("/api/v1/events", "What happened", get(lists::events))
            .asks(PAGE)
            .gives::<answers::Events>(),
        route("/api/v1/runs", "The runs that are known", get(lists::all_runs))
            .gives::<answers::Runs>(),
        route("/api/v1/runs/{name}", "One of them, with its curves", get(lists::one_run))
            .gives::<runs::RunDetail>(),
        route("/api/v1/config", "The settings of the run", get(lists::config))
            .gives::<answers::SettingList>(),
        route("/api/v1/openapi.json", "This document", get(openapi)).kind("application/json"),
    ]
}

fn earlier() -> Vec<Route> {
    let json = |route: Route| route.kind("application/json");
    vec![
        json(route("/api/strategies", "Earlier route: strategies", get(earlier::strategies))),
        json(route("/api/strategy/{name}", "Earlier route: one strategy", get(earlier::strategy))),
        json(route("/api/trades", "Earlier route: closed trades of all", get(earlier::trades))),
        json(route("/api/aggregate", "Earlier route: totals", get(earlier::aggregate))),
        json(route("/api/prices", "Earlier route: prices", get(earlier::prices))),
        json(route("/api/session", "Earlier route: the run", get(earlier::session))),
        route("/ws/live", "Earlier route: the WebSocket", get(ws::upgrade_earlier))
            .status(101)
            .fails(&[400, 426, 503]),
    ]
}

/// The whole application.
pub fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for route in routes() {
        router = router.route(route.path, route.handler);
    }
    router
        .fallback(static_file)
        .method_not_allowed_fallback(no_such_method)
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, ANSWER_MAX))
        .layer(RequestBodyLimitLayer::new(BODY_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard))
        .with_state(Arc::clone(app))
}

/// A file of the pages, with a status.
#[must_use]
pub fn page(status: StatusCode, path: &str) -> Response {
    let Some((file, tag)) = assets::find(path) else { return not_found("there is no such file") };
    let mut response = Response::new(Body::from(file.bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(assets::content_type(file.path)));
    if status == StatusCode::OK {
        // The browser may keep it, but asks each time whether it is still true.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{tag}\"")) {
            headers.insert(header::ETAG, tag);
        }
    }
    response
}

async fn static_file(method: Method, uri: axum::http::Uri, headers: HeaderMap) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        return not_found("there is no such route");
    }
    let Some((_, tag)) = assets::find(uri.path()) else {
        return not_found("there is no such route");
    };
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_matches('"') == tag)) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    page(StatusCode::OK, uri.path())
}

async fn no_such_method() -> Response {
    error(StatusCode::METHOD_NOT_ALLOWED, "method", "this route has no such method")
}

async fn healthz() -> Response {
    Json(Status { status: "ok".into() }).into_response()
}

async fn readyz(State(app): State<Arc<App>>) -> Response {
    if app.hub.state().run.state == "running" {
        Json(Status { status: "ready".into() }).into_response()
    } else {
        error(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "no run is on")
    }
}

async fn openapi() -> Response {
    raw(&document())
}
