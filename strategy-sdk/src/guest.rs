//! The sandboxed side: the module's imports and exports.
//!
//! The bindings are generated and need `unsafe`; nothing else in this crate does.

#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "strategy",
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "strategy_sdk::guest::bindings",
    });
}

mod convert;

use std::sync::Once;

pub use bindings::export_component;
use bindings::sandpaper::strategy::{history, report, trading, types as wit};

use crate::host::Host;
use crate::runner::Runner;
use crate::strategy::Strategy;
use crate::types::{Account, Candle, Level, LogLevel, Order, OrderId, RejectReason, Symbol, Trade};

/// A module's one runner; the macro `export!` implements it.
pub trait Exported {
    /// The strategy that the module exports.
    type Strategy: Strategy;

    /// Works on the runner, which comes into being when first asked for.
    fn with<R>(call: impl FnOnce(&mut Runner<Self::Strategy>) -> R) -> R;
}

/// The host behind the module's imports.
struct Imports;

impl Host for Imports {
    fn submit(&mut self, order: Order) -> Result<OrderId, RejectReason> {
        trading::submit(&order.into()).map(OrderId).map_err(Into::into)
    }

    fn cancel(&mut self, order: OrderId) -> bool {
        trading::cancel(order.0)
    }

    fn cancel_all(&mut self, symbol: Option<Symbol>) {
        trading::cancel_all(symbol.map(|symbol| symbol.0));
    }

    fn amend(&mut self, order: OrderId, size: Option<f64>, price: Option<f64>) -> bool {
        trading::amend(order.0, size, price)
    }

    fn account(&mut self) -> Account {
        trading::account().into()
    }

    fn candles(&mut self, symbol: Symbol, interval_s: u32, newest: u32) -> Vec<Candle> {
        let candles = history::candles(symbol.0, interval_s, newest);
        candles.into_iter().map(|candle| convert::candle(symbol, candle)).collect()
    }

    fn trades(&mut self, symbol: Symbol, newest: u32) -> Vec<Trade> {
        let trades = history::trades(symbol.0, newest);
        trades.into_iter().map(|trade| convert::trade(symbol, trade)).collect()
    }

    fn book(&mut self, symbol: Symbol, depth: u32) -> (Vec<Level>, Vec<Level>) {
        let book = history::book(symbol.0, depth);
        (convert::levels(book.bids), convert::levels(book.asks))
    }

    fn log(&mut self, level: LogLevel, message: &str) {
        report::log(level.into(), message);
    }

    fn indicator(&mut self, name: &str, value: f64) {
        report::indicator(name, value);
    }
}

/// A panic shows to the host as `unreachable` without a word, so the words are
/// sent ahead.
fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let payload = panic.payload();
            let message = payload
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("panic without a message");
            let line = match panic.location() {
                Some(place) => format!("{}:{}: {message}", place.file(), place.line()),
                None => message.to_owned(),
            };
            report::log(wit::LogLevel::Error, &line);
        }));
    });
}

/// Ends the call in a trap, which undoes whatever it asked for.
#[track_caller]
fn trap(error: &str) -> ! {
    panic!("{error}")
}

impl<E: Exported> bindings::Guest for E {
    fn describe() -> wit::Descriptor {
        report_panics();
        E::with(|runner| runner.describe().into())
    }

    fn start(info: wit::StartInfo) -> Result<(), String> {
        report_panics();
        E::with(|runner| runner.start(&mut Imports, info.into()))
    }

    fn handle(words: Vec<u64>) -> u32 {
        E::with(|runner| runner.handle(&mut Imports, &words)).unwrap_or_else(|error| trap(&error))
    }

    fn on_order(update: wit::OrderUpdate) {
        E::with(|runner| runner.on_order(&mut Imports, &update.into()))
            .unwrap_or_else(|error| trap(&error));
    }

    fn stop() {
        E::with(|runner| runner.stop(&mut Imports)).unwrap_or_else(|error| trap(&error));
    }

    fn save() -> Result<Vec<u8>, String> {
        E::with(|runner| runner.save())
    }

    fn load(state: Vec<u8>, from_version: String) -> Result<(), String> {
        E::with(|runner| runner.load(&state, &from_version))
    }
}
