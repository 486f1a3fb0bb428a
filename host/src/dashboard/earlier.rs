//! The routes of the earlier system, for scripts that were written for it. They
//! answer from the same state as the others, and need the same credential.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use super::App;
use super::answers::error;
use super::hub;
use super::model::StrategyDetail;

/// How many trades of a strategy are given.
const TRADES: usize = 100;

fn summary(lane: &StrategyDetail) -> Value {
    let row = &lane.row;
    json!({
        "name": row.name,
        "status": row.status,
        "capital": row.start_equity,
        "equity": row.equity,
        "cash": row.cash,
        "pnl": row.pnl,
        "roi": row.return_pct,
        "max_drawdown": row.max_drawdown_pct,
        "win_rate": row.win_rate_pct,
        "total_trades": row.trades,
        "fees": row.fees,
        "positions": row.positions,
    })
}

/// All strategies by name.
pub async fn strategies(State(app): State<Arc<App>>) -> Response {
    let state = app.hub.state();
    let all: Map<String, Value> =
        state.lanes.iter().map(|lane| (lane.row.name.clone(), summary(lane))).collect();
    Json(all).into_response()
}

/// One strategy with its newest trades.
pub async fn strategy(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    let state = app.hub.state();
    let Some(lane) = state.lane(&name) else {
        return error(StatusCode::NOT_FOUND, "not-found", "there is no such strategy");
    };
    let mut answer = summary(lane);
    answer["indicators"] = json!(lane.indicators);
    answer["trades"] = json!(newest_trades(&app.hub, &name));
    Json(answer).into_response()
}

fn newest_trades(hub: &hub::Hub, name: &str) -> Vec<Value> {
    let newest = hub.history().lane(name).map(|lane| lane.trades.newest(TRADES).0);
    newest.unwrap_or_default().iter().map(|trade| json!(***trade)).collect()
}

/// The newest closed trades of every strategy.
pub async fn trades(State(app): State<Arc<App>>) -> Response {
    let state = app.hub.state();
    let mut all = Vec::new();
    for lane in &state.lanes {
        for mut trade in newest_trades(&app.hub, &lane.row.name) {
            trade["strategy"] = json!(lane.row.name);
            all.push(trade);
        }
    }
    all.sort_by_key(|trade| {
        trade["exit_ns"].as_str().and_then(|ns| ns.parse::<i64>().ok()).unwrap_or(0)
    });
    Json(json!({ "trades": all })).into_response()
}

/// Totals over all strategies.
pub async fn aggregate(State(app): State<Arc<App>>) -> Response {
    let state = app.hub.state();
    let sum = |count: fn(&StrategyDetail) -> u64| state.lanes.iter().map(count).sum::<u64>();
    Json(json!({
        "totals": state.run.totals,
        "strategies": state.lanes.len(),
        "total_trades": sum(|lane| lane.row.trades),
        "total_fills": sum(|lane| lane.row.fills),
        "open_positions": state.run.open_positions,
        "best": state.run.best,
        "worst": state.run.worst,
    }))
    .into_response()
}

/// The last trade of each symbol, or its best bid.
pub async fn prices(State(app): State<Arc<App>>) -> Response {
    let state = app.hub.state();
    let all: Map<String, Value> = state
        .market
        .iter()
        .map(|symbol| {
            let price = symbol.last.as_ref().or(symbol.bid.as_ref());
            (symbol.symbol.clone(), json!({ "price": price, "bid": symbol.bid, "ask": symbol.ask, "status": symbol.status }))
        })
        .collect();
    Json(all).into_response()
}

/// The run.
pub async fn session(State(app): State<Arc<App>>) -> Response {
    Json(&app.hub.state().run).into_response()
}
