//! What a strategy can ask of the host: the functions of `trading`, `history`
//! and `report`. Each charges fuel for the work that the host does, so that a
//! flood of calls ends like any other loop.

use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime::{AsContextMut as _, StoreContextMut, Trap};

use super::contract::{canonical, wit};
use super::fault::Breach;
use super::state::State;
use crate::domain::RejectReason;
use crate::strategy::{HistoryRef, Intent, OrderRequest};

/// Fuel for a call into the host, which takes about 80 ns whatever it carries.
pub(super) const CALL_FUEL: u64 = 200;
/// Fuel for each record that the host hands over: it is moved field by field.
pub(super) const RECORD_FUEL: u64 = 32;
/// Fuel for each entry of an order's metadata, besides its bytes.
const ENTRY_FUEL: u64 = 32;

pub(super) type Caller<'a> = StoreContextMut<'a, State>;

/// Defines every import of the contract and nothing else.
pub(super) fn add_to(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add_trading(linker)?;
    add_history(linker)?;
    add_report(linker)
}

fn add_trading(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut trading = linker.instance("sandpaper:strategy/trading@0.1.0")?;
    trading.func_wrap("submit", |mut caller: Caller, (order,): (wit::Order,)| {
        enter(&mut caller, CALL_FUEL + fuel_of(&order))?;
        Ok((submit(caller.data_mut(), order.into()).map_err(wit::RejectReason::from),))
    })?;
    trading.func_wrap("cancel", |mut caller: Caller, (order,): (u64,)| {
        request(&mut caller, Intent::Cancel { order }).map(|taken| (taken,))
    })?;
    trading.func_wrap("cancel-all", |mut caller: Caller, (symbol,): (Option<u16>,)| {
        request(&mut caller, Intent::CancelAll { symbol }).map(|_| ())
    })?;
    type Amend = (u64, Option<f64>, Option<f64>);
    trading.func_wrap("amend", |mut caller: Caller, (order, size, price): Amend| {
        let intent =
            Intent::Amend { order, size: size.map(canonical), price: price.map(canonical) };
        request(&mut caller, intent).map(|taken| (taken,))
    })?;
    trading.func_wrap("account", |mut caller: Caller, (): ()| {
        enter(&mut caller, CALL_FUEL)?;
        let account = history(&caller, "account")?.account();
        charge(&mut caller, RECORD_FUEL * account.positions.len() as u64)?;
        Ok((wit::Account::from(account),))
    })
}

fn add_history(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut look_back = linker.instance("sandpaper:strategy/history@0.1.0")?;
    look_back.func_wrap("candles", |mut caller: Caller, (symbol, interval_s, newest)| {
        let newest = prepay(&mut caller, newest)?;
        let candles = history(&caller, "candles")?.candles(symbol, interval_s, newest);
        Ok((candles.into_iter().map(wit::Candle::from).collect::<Vec<_>>(),))
    })?;
    look_back.func_wrap("trades", |mut caller: Caller, (symbol, newest)| {
        let newest = prepay(&mut caller, newest)?;
        let trades = history(&caller, "trades")?.trades(symbol, newest);
        Ok((trades.into_iter().map(wit::Trade::from).collect::<Vec<_>>(),))
    })?;
    look_back.func_wrap("book", |mut caller: Caller, (symbol, depth)| {
        let depth = prepay(&mut caller, depth)?;
        Ok((wit::Book::from(history(&caller, "book")?.book(symbol, depth)),))
    })
}

fn add_report(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut report = linker.instance("sandpaper:strategy/report@0.1.0")?;
    report.func_wrap("log", |mut caller: Caller, (level, message): (wit::LogLevel, String)| {
        enter(&mut caller, CALL_FUEL + message.len() as u64)?;
        caller.data_mut().log(level.into(), &message);
        Ok(())
    })?;
    report.func_wrap("indicator", |mut caller: Caller, (name, value): (String, f64)| {
        enter(&mut caller, CALL_FUEL + name.len() as u64)?;
        caller.data_mut().effects.indicator(&name, canonical(value));
        Ok(())
    })
}

fn fuel_of(order: &wit::Order) -> u64 {
    let entry = |(key, value): &(String, String)| ENTRY_FUEL + (key.len() + value.len()) as u64;
    order.reason.len() as u64 + order.metadata.iter().map(entry).sum::<u64>()
}

fn submit(state: &mut State, request: OrderRequest) -> Result<u64, RejectReason> {
    if state.takes_orders { state.effects.submit(request) } else { Err(RejectReason::Halted) }
}

fn request(caller: &mut Caller, intent: Intent) -> wasmtime::Result<bool> {
    enter(caller, CALL_FUEL)?;
    let state = caller.data_mut();
    Ok(state.takes_orders && state.effects.request(intent))
}

/// Counts a call into the host and takes fuel for it.
pub(super) fn enter(caller: &mut Caller, fuel: u64) -> wasmtime::Result<()> {
    caller.data_mut().host_calls += 1;
    charge(caller, fuel)
}

/// Takes fuel for host work; what cannot pay stops as if it had run out by
/// itself.
pub(super) fn charge(caller: &mut Caller, fuel: u64) -> wasmtime::Result<()> {
    let mut store = caller.as_context_mut();
    match store.get_fuel()?.checked_sub(fuel) {
        Some(left) => store.set_fuel(left),
        None => Err(Trap::OutOfFuel.into()),
    }
}

/// Charges a look back before it is done, for as many records as it may answer,
/// and gives that number.
fn prepay(caller: &mut Caller, records: u32) -> wasmtime::Result<u32> {
    let records = records.min(caller.data().history_records);
    enter(caller, CALL_FUEL + RECORD_FUEL * u64::from(records))?;
    Ok(records)
}

fn history(caller: &Caller, function: &str) -> wasmtime::Result<HistoryRef> {
    caller.data().history.as_ref().map(Arc::clone).ok_or_else(|| {
        Breach(format!("`{function}` answers only in `start` and `on-order`")).into()
    })
}
