//! Every route, once: method, path, what it is for, what answers. The router and
//! the OpenAPI document are both made of this table.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Router, middleware};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{
    HttpMethod, InfoBuilder, OpenApiBuilder, PathItem, PathsBuilder, Ref, RefOr, Required,
    ResponseBuilder, schema::Schema,
};
use utoipa::{PartialSchema, ToSchema};

use super::auth::Principal;
use super::guard::{Peer, guard, too_many};
use super::{App, Role, assets, earlier, metrics, model, ws};

/// The largest body of a request.
const BODY_MAX: usize = 16 * 1024;
/// The longest that an answer takes.
const ANSWER_MAX: std::time::Duration = std::time::Duration::from_secs(10);
/// The most entries of a page of a list.
const PAGE_MAX: usize = 1_000;

/// Gives a schema with its name.
type Describe = fn() -> (String, RefOr<Schema>);

/// A route.
pub struct Route {
    /// its method
    pub method: Method,
    /// its path, parameters in braces
    pub path: &'static str,
    /// what it gives, in a few words
    pub summary: &'static str,
    /// the schema of a good answer, by name
    schema: Option<Describe>,
    handler: MethodRouter<Arc<App>>,
}

fn schema<T: ToSchema + PartialSchema>() -> (String, RefOr<Schema>) {
    (T::name().into_owned(), T::schema())
}

fn route(path: &'static str, summary: &'static str, handler: MethodRouter<Arc<App>>) -> Route {
    Route { method: Method::GET, path, summary, schema: None, handler }
}

impl Route {
    fn gives<T: ToSchema + PartialSchema>(mut self) -> Self {
        self.schema = Some(schema::<T>);
        self
    }

    fn by(mut self, method: Method) -> Self {
        self.method = method;
        self
    }
}

/// All routes.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        route("/healthz", "Whether the program answers; no credential is needed", get(healthz)),
        route("/readyz", "Whether a run is on", get(readyz)),
        route("/metrics", "Metrics in the Prometheus text format", get(metrics::metrics)),
        route("/api/v1/session", "Log in with a key or a one-time code", post(log_in))
            .by(Method::POST),
        route("/api/v1/session", "Log out", delete(log_out)).by(Method::DELETE),
        route("/api/v1/me", "Who you are", get(me)),
        route("/api/v1/ws-ticket", "A ticket for one WebSocket", post(ws_ticket)).by(Method::POST),
        route("/api/v1/ws", "The WebSocket", get(ws::upgrade)),
        route("/api/v1/run", "The run", get(run)).gives::<model::Run>(),
        route("/api/v1/strategies", "The leaderboard", get(strategies)),
        route("/api/v1/strategies/{name}", "One strategy", get(strategy))
            .gives::<model::StrategyDetail>(),
        route("/api/v1/strategies/{name}/equity", "Its equity over time", get(equity)),
        route("/api/v1/strategies/{name}/trades", "Its closed round trips", get(trades)),
        route("/api/v1/strategies/{name}/fills", "Its fills", get(fills)),
        route("/api/v1/strategies/{name}/orders", "Its orders", get(orders)),
        route("/api/v1/strategies/{name}/logs", "Its log", get(logs)),
        route("/api/v1/strategies/{name}/sandbox", "What it uses", get(sandbox))
            .gives::<model::Sandbox>(),
        route("/api/v1/market", "All symbols", get(market)),
        route("/api/v1/candles", "Candles of a symbol", get(candles)),
        route("/api/v1/book", "An order book", get(book)).gives::<model::Book>(),
        route("/api/v1/tape", "The newest trades of a symbol", get(tape)),
        route("/api/v1/feed", "How market data comes in", get(feed)).gives::<model::Feed>(),
        route("/api/v1/events", "What happened", get(events)),
        route("/api/v1/runs", "The runs that are known", get(runs)),
        route("/api/v1/config", "The settings of the run", get(config)),
        route("/api/v1/openapi.json", "This document", get(openapi)),
        route("/api/strategies", "Earlier route: all strategies", get(earlier::strategies)),
        route("/api/strategy/{name}", "Earlier route: one strategy", get(earlier::strategy)),
        route("/api/trades", "Earlier route: closed trades of all", get(earlier::trades)),
        route("/api/aggregate", "Earlier route: totals", get(earlier::aggregate)),
        route("/api/prices", "Earlier route: prices", get(earlier::prices)),
        route("/api/session", "Earlier route: the run", get(earlier::session)),
        route("/ws/live", "Earlier route: the WebSocket", get(ws::upgrade_earlier)),
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
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWER_MAX))
        .layer(RequestBodyLimitLayer::new(BODY_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard))
        .with_state(Arc::clone(app))
}

/// An error as the API gives it.
#[must_use]
pub fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response()
}

fn not_found(what: &str) -> Response {
    error(StatusCode::NOT_FOUND, "not-found", what)
}

/// A text that is JSON already.
fn raw(text: &str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.to_owned()).into_response()
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

async fn healthz() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

async fn readyz(State(app): State<Arc<App>>) -> Response {
    if app.hub.state().run.state == "running" {
        Json(json!({ "status": "ready" })).into_response()
    } else {
        error(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "no run is on")
    }
}

#[derive(Deserialize)]
struct Login {
    code: Option<String>,
    key: Option<String>,
}

#[allow(clippy::disallowed_methods, reason = "sessions age by the wall")]
async fn log_in(
    State(app): State<Arc<App>>,
    Extension(Peer(address)): Extension<Peer>,
    login: Result<Json<Login>, axum::extract::rejection::JsonRejection>,
) -> Response {
    let now = Instant::now();
    let Ok(Json(login)) = login else {
        return error(StatusCode::BAD_REQUEST, "bad-request", "give a code or a key as JSON");
    };
    let by_code = login.code.is_some();
    let role = match login {
        Login { key: Some(key), code: None } => app.auth.key(&key),
        Login { code: Some(code), key: None } => {
            app.auth.take_code(&code, now).then_some(Role::Admin)
        }
        _ => None,
    };
    let Some(role) = role else {
        app.counts.refused();
        for rates in [&app.logins, &app.all_logins] {
            if let Err(wait) = rates.take(address) {
                app.counts.limited();
                return too_many(wait);
            }
        }
        tracing::warn!(target: "audit", address = %address, "a login failed");
        if by_code && app.auth.wants_code(now) {
            // Who reads the terminal may come in; who only sent a request may not.
            if let Ok(url) = app.login_url() {
                tracing::info!("dashboard: the code was used or is too old; a new one: {url}");
            }
        }
        return error(StatusCode::UNAUTHORIZED, "unauthorized", "not a valid code or key");
    };
    let Ok(id) = app.auth.open(role, now) else {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "no random numbers");
    };
    tracing::info!(target: "audit", address = %address, role = role.name(), "logged in");
    let secure = if app.settings.tls.is_some() { "; Secure" } else { "" };
    let cookie = format!(
        "{}={id}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{secure}",
        app.cookie_name(),
        app.settings.session_max.as_secs()
    );
    ([(header::SET_COOKIE, cookie)], Json(json!({ "role": role.name() }))).into_response()
}

async fn log_out(State(app): State<Arc<App>>, Extension(who): Extension<Principal>) -> Response {
    app.auth.close(&who);
    tracing::info!(target: "audit", role = who.role.name(), "logged out");
    let cookie = format!("{}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0", app.cookie_name());
    ([(header::SET_COOKIE, cookie)], StatusCode::NO_CONTENT).into_response()
}

async fn me(Extension(who): Extension<Principal>) -> Response {
    Json(json!({
        "role": who.role.name(),
        "csrf": null,
        "version": env!("CARGO_PKG_VERSION"),
        "ui_hash": assets::ALL.as_str(),
    }))
    .into_response()
}

#[allow(clippy::disallowed_methods, reason = "tickets age by the wall")]
async fn ws_ticket(State(app): State<Arc<App>>, Extension(who): Extension<Principal>) -> Response {
    match app.auth.ticket(who, Instant::now()) {
        Ok(ticket) => Json(json!({ "ticket": ticket })).into_response(),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "no random numbers"),
    }
}

async fn run(State(app): State<Arc<App>>) -> Response {
    raw(&app.hub.state().run_json())
}

async fn strategies(State(app): State<Arc<App>>) -> Response {
    raw(&app.hub.state().strategies_json())
}

async fn market(State(app): State<Arc<App>>) -> Response {
    raw(&app.hub.state().market_json())
}

async fn feed(State(app): State<Arc<App>>) -> Response {
    raw(&app.hub.state().feed_json())
}

const NO_STRATEGY: &str = "there is no such strategy";
const NO_SYMBOL: &str = "there is no such symbol";

async fn strategy(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    match app.hub.state().lane(&name) {
        Some(lane) => Json(lane).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

async fn sandbox(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    match app.hub.state().lane(&name) {
        Some(lane) => Json(&lane.sandbox).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

async fn equity(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    let points = app.hub.history().lane(&name).map(|l| l.equity.after(f64::NEG_INFINITY).to_vec());
    match points {
        Some(points) => Json(json!({ "points": points })).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page {
    after: Option<u64>,
    limit: Option<usize>,
}

/// A part of a ring under the name of its items, with where the next begins.
fn list<T: Serialize>(name: &str, ring: &super::hub::Ring<T>, page: &Page) -> Value {
    let limit = page.limit.unwrap_or(200).clamp(1, PAGE_MAX);
    let (items, last) = match page.after {
        // What is gone is gone: the oldest that there is comes first.
        Some(after) => ring.after(after, limit).unwrap_or_else(|| ring.oldest(limit)),
        None => ring.newest(limit),
    };
    let next = (last + 1 < ring.next()).then(|| last.to_string());
    let items: Vec<&T> = items.iter().map(|item| &**item).collect();
    json!({ name: items, "next": next })
}

async fn trades(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Response {
    match app.hub.history().lane(&name) {
        Some(lane) => Json(list("trades", &lane.trades, &page)).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

async fn fills(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Response {
    match app.hub.history().lane(&name) {
        Some(lane) => Json(list("fills", &lane.fills, &page)).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

async fn logs(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Response {
    match app.hub.history().lane(&name) {
        Some(lane) => Json(list("logs", &lane.logs, &page)).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

async fn orders(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    let orders: Option<Vec<model::Order>> =
        app.hub.history().lane(&name).map(|lane| lane.orders.values().rev().cloned().collect());
    match orders {
        Some(orders) => Json(json!({ "orders": orders })).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

async fn events(State(app): State<Arc<App>>, Query(page): Query<Page>) -> Response {
    let events = list("events", &app.hub.history().events, &page);
    Json(events).into_response()
}

#[derive(Debug, Deserialize)]
struct Asked {
    symbol: String,
    interval: Option<u32>,
    limit: Option<usize>,
    depth: Option<usize>,
}

async fn candles(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Response {
    let state = app.hub.state();
    let Some(symbol) = state.symbol(&asked.symbol) else { return not_found(NO_SYMBOL) };
    let interval = asked.interval.unwrap_or(60);
    let found = state.candles.iter().find(|c| c.symbol == symbol && c.interval_s == interval);
    let intervals: Vec<u32> =
        state.candles.iter().filter(|c| c.symbol == symbol).map(|c| c.interval_s).collect();
    match found {
        Some(candles) => {
            let limit = asked.limit.unwrap_or(500).clamp(1, 2_000);
            Json(json!({ "candles": candles.newest(limit), "intervals": intervals }))
                .into_response()
        }
        None => not_found("no candles of this interval are kept"),
    }
}

async fn book(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Response {
    let state = app.hub.state();
    let Some(symbol) = state.symbol(&asked.symbol) else { return not_found(NO_SYMBOL) };
    let Some(mut book) = state.books.get(symbol).cloned() else { return not_found(NO_SYMBOL) };
    let depth = asked.depth.unwrap_or(25);
    book.bids.truncate(depth);
    book.asks.truncate(depth);
    Json(book).into_response()
}

async fn tape(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Response {
    let state = app.hub.state();
    match state.symbol(&asked.symbol).and_then(|symbol| state.tapes.get(symbol)) {
        Some(prints) => Json(json!({ "trades": prints })).into_response(),
        None => not_found(NO_SYMBOL),
    }
}

async fn runs(State(app): State<Arc<App>>) -> Response {
    let state = app.hub.state();
    Json(json!({ "runs": [&state.run] })).into_response()
}

async fn config(State(app): State<Arc<App>>) -> Response {
    let sha256 = app.hub.state().run.config_sha256.clone();
    Json(json!({ "settings": &*app.settings.shown, "sha256": sha256 })).into_response()
}

async fn openapi() -> Response {
    raw(&document())
}

/// The OpenAPI document, made of the table of routes.
#[must_use]
pub fn document() -> String {
    let mut paths = PathsBuilder::new();
    let mut components = utoipa::openapi::ComponentsBuilder::new();
    let mut nested = Vec::new();
    model::Run::schemas(&mut nested);
    model::StrategyDetail::schemas(&mut nested);
    model::Sandbox::schemas(&mut nested);
    model::Feed::schemas(&mut nested);
    for (name, one) in nested {
        components = components.schema(name, one);
    }
    for route in routes() {
        let mut operation = OperationBuilder::new().summary(Some(route.summary));
        for name in parameters(route.path) {
            let parameter: Parameter = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .build();
            operation = operation.parameter(parameter);
        }
        let mut good = ResponseBuilder::new().description("what was asked for");
        if let Some(make) = route.schema {
            let (name, one) = make();
            components = components.schema(name.clone(), one);
            let content = utoipa::openapi::ContentBuilder::new()
                .schema(Some(RefOr::Ref(Ref::from_schema_name(name))))
                .build();
            good = good.content("application/json", content);
        }
        operation = operation.response("200", good.build());
        if route.path != "/healthz" {
            let refused = ResponseBuilder::new().description("a credential is needed");
            operation = operation.response("401", refused.build());
        }
        let method = match route.method {
            Method::POST => HttpMethod::Post,
            Method::DELETE => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        paths = paths.path(route.path, PathItem::new(method, operation.build()));
    }
    let info = InfoBuilder::new().title("Sandpaper").version(env!("CARGO_PKG_VERSION")).build();
    OpenApiBuilder::new()
        .info(info)
        .paths(paths.build())
        .components(Some(components.build()))
        .build()
        .to_json()
        .unwrap_or_default()
}

/// The names in braces of a path.
fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
}
