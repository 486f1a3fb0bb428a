//! The handlers that answer from the state and the histories. They copy
//! references, let the histories go, and then make text.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::answers::{
    Asked, CandleList, Equity, Events, Fills, Levels, LogLines, Name, OfSymbol, Orders, Page, Runs,
    SettingList, Shared, Tape, Trades, not_found, raw,
};
use super::hub::LaneHistory;
use super::runs::RunDetail;
use super::{App, runs};

const NO_STRATEGY: &str = "there is no such strategy";
const NO_SYMBOL: &str = "there is no such symbol";

/// The longest list of candles.
const CANDLES_MAX: usize = 2_000;

pub(super) async fn run(State(app): State<Arc<App>>) -> Response {
    raw(&app.hub.state().run_json())
}

pub(super) async fn strategies(State(app): State<Arc<App>>) -> Response {
    raw(&app.hub.state().strategies_json())
}

pub(super) async fn market(State(app): State<Arc<App>>) -> Response {
    raw(&app.hub.state().market_json())
}

pub(super) async fn feed(State(app): State<Arc<App>>) -> Response {
    raw(&app.hub.state().feed_json())
}

pub(super) async fn strategy(State(app): State<Arc<App>>, Name(name): Name) -> Response {
    match app.hub.state().lane(&name) {
        Some(lane) => Json(lane).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

pub(super) async fn sandbox(State(app): State<Arc<App>>, Name(name): Name) -> Response {
    match app.hub.state().lane(&name) {
        Some(lane) => Json(&lane.sandbox).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

pub(super) async fn equity(State(app): State<Arc<App>>, Name(name): Name) -> Response {
    match app.hub.state().curve(&name) {
        Some(curve) => Json(Equity { points: curve.to_vec() }).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

pub(super) async fn plots(State(app): State<Arc<App>>, Name(name): Name) -> Response {
    let state = app.hub.state();
    let lane = state.lanes.iter().position(|lane| lane.row.name == name);
    match lane.and_then(|lane| state.plots.get(lane)) {
        Some(plots) => Json(&**plots).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

/// What `pick` copies out of a strategy's past.
fn of_lane<T>(app: &App, name: &str, pick: impl FnOnce(&LaneHistory) -> T) -> Option<T> {
    app.hub.history().lane(name).map(pick)
}

pub(super) async fn trades(
    State(app): State<Arc<App>>,
    Name(name): Name,
    Asked(page): Asked<Page>,
) -> Response {
    match of_lane(&app, &name, |lane| page.of(&lane.trades)) {
        Some((trades, next)) => Json(Trades { trades, next }).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

pub(super) async fn fills(
    State(app): State<Arc<App>>,
    Name(name): Name,
    Asked(page): Asked<Page>,
) -> Response {
    match of_lane(&app, &name, |lane| page.of(&lane.fills)) {
        Some((fills, next)) => Json(Fills { fills, next }).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

pub(super) async fn levels(
    State(app): State<Arc<App>>,
    Name(name): Name,
    Asked(page): Asked<Page>,
) -> Response {
    match of_lane(&app, &name, |lane| page.of(&lane.levels)) {
        Some((levels, next)) => Json(Levels { levels, next }).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

pub(super) async fn logs(
    State(app): State<Arc<App>>,
    Name(name): Name,
    Asked(page): Asked<Page>,
) -> Response {
    match of_lane(&app, &name, |lane| page.of(&lane.logs)) {
        Some((logs, next)) => Json(LogLines { logs, next }).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

pub(super) async fn orders(State(app): State<Arc<App>>, Name(name): Name) -> Response {
    let newest_first =
        |lane: &LaneHistory| lane.orders.values().rev().map(|o| Shared(Arc::clone(o))).collect();
    match of_lane(&app, &name, newest_first) {
        Some(orders) => Json(Orders { orders }).into_response(),
        None => not_found(NO_STRATEGY),
    }
}

pub(super) async fn events(State(app): State<Arc<App>>, Asked(page): Asked<Page>) -> Response {
    let (events, next) = page.of(&app.hub.history().events);
    Json(Events { events, next }).into_response()
}

pub(super) async fn candles(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<OfSymbol>,
) -> Response {
    let state = app.hub.state();
    let Some(symbol) = state.symbol(&asked.symbol) else { return not_found(NO_SYMBOL) };
    let interval = asked.interval.unwrap_or(60);
    let of_symbol = || state.candles.iter().filter(|candles| candles.symbol == symbol);
    let Some(found) = of_symbol().find(|candles| candles.interval_s == interval) else {
        return not_found("no candles of this interval are kept");
    };
    let limit = asked.limit.map_or(500, |limit| limit as usize).clamp(1, CANDLES_MAX);
    let intervals = of_symbol().map(|candles| candles.interval_s).collect();
    Json(CandleList { candles: found.newest(limit), intervals }).into_response()
}

pub(super) async fn book(State(app): State<Arc<App>>, Asked(asked): Asked<OfSymbol>) -> Response {
    let state = app.hub.state();
    let found = state.symbol(&asked.symbol).and_then(|symbol| state.books.get(symbol));
    let Some(mut book) = found.cloned() else { return not_found(NO_SYMBOL) };
    let depth = asked.depth.map_or(25, |depth| depth as usize);
    book.bids.truncate(depth);
    book.asks.truncate(depth);
    Json(book).into_response()
}

pub(super) async fn tape(State(app): State<Arc<App>>, Asked(asked): Asked<OfSymbol>) -> Response {
    let state = app.hub.state();
    match state.symbol(&asked.symbol).and_then(|symbol| state.tapes.get(symbol)) {
        Some(prints) => Json(Tape { trades: prints.clone() }).into_response(),
        None => not_found(NO_SYMBOL),
    }
}

pub(super) async fn all_runs(State(app): State<Arc<App>>) -> Response {
    let mut all = vec![runs::row(&app.hub.state())];
    let current = all[0].run.clone();
    if let Some(folder) = app.settings.runs.clone() {
        // One reader at a time, however many ask.
        let mut kept = Arc::clone(&app.runs).lock_owned().await;
        let kept = tokio::task::spawn_blocking(move || kept.list(&folder, &current)).await;
        all.extend(kept.unwrap_or_default());
    }
    Json(Runs { runs: all }).into_response()
}

pub(super) async fn one_run(State(app): State<Arc<App>>, Name(name): Name) -> Response {
    let state = app.hub.state();
    if state.run.run == name {
        return Json(RunDetail::of(&state)).into_response();
    }
    let kept = match app.settings.runs.clone() {
        Some(folder) => {
            let turn = Arc::clone(&app.runs).lock_owned().await;
            let read = move || (runs::read(&folder, &name), drop(turn)).0;
            tokio::task::spawn_blocking(read).await
        }
        None => Ok(None),
    };
    match kept {
        Ok(Some(detail)) => Json(detail).into_response(),
        _ => not_found("there is no such run"),
    }
}

pub(super) async fn config(State(app): State<Arc<App>>) -> Response {
    let sha256 = app.hub.state().run.config_sha256.clone();
    Json(SettingList { settings: app.settings.shown.to_vec(), sha256 }).into_response()
}
