//! Write a Sandpaper strategy: one trait, one macro, incremental indicators.
//!
//! A strategy is a struct, the methods of [`Strategy`] that it cares about, and
//! [`export!`]. Compiled for `wasm32-unknown-unknown` it is a module that the
//! host can run and that can reach nothing but the host's three interfaces;
//! compiled natively it is an ordinary struct that `cargo test` can drive with
//! `testing::Harness`. A whole one:
//!
//! ```
#![doc = include_str!("../templates/sma-cross.rs")]
//! # fn main() {}
//! ```
//!
//! Nothing here differs between targets: the same events give the same orders,
//! bit for bit. So there is no hash-map iteration, no clock and no random
//! source, and of floating-point mathematics only what IEEE 754 defines exactly.
#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

mod account;
mod book;
mod context;
mod description;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
mod host;
pub mod indicators;
mod market;
mod order;
mod per_symbol;
mod runner;
mod state;
mod strategy;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod trading;
pub mod types;
mod window;
pub mod words;

pub use account::OpenOrder;
pub use book::Book;
pub use context::{Context, NotAvailable};
pub use description::{
    CANDLES_KEPT_DEFAULT, Channel, Description, FromValue, Numeric, Parameter, Subscription,
    TRADES_KEPT_DEFAULT,
};
pub use host::Host;
pub use market::{RecentCandles, RecentTrades};
pub use order::OrderBuilder;
pub use per_symbol::PerSymbol;
pub use runner::Runner;
pub use state::{decode, encode};
pub use strategy::Strategy;
pub use window::Window;

/// What most strategies need. The derive macros are serde's, so a strategy's
/// package depends on `serde` too.
pub mod prelude {
    pub use serde::{Deserialize, Serialize};

    pub use crate::indicators::{
        Atr, Bands, Bollinger, BookImbalance, Ema, RollingVwap, Rsi, Sma, TradeImbalance,
    };
    pub use crate::types::{
        Action, Candle, Instrument, Level, LogLevel, MarketStatus, OrderCause, OrderId,
        OrderStatus, OrderUpdate, Position, RejectReason, Side, Size, Symbol, TimeInForce, Trade,
    };
    pub use crate::{Book, Context, Description, PerSymbol, Strategy, Window, description, export};
}

/// A [`Description`] with the name and the version of the package that it is
/// written in.
#[macro_export]
macro_rules! description {
    () => {
        $crate::Description::new(env!("CARGO_PKG_NAME")).version(env!("CARGO_PKG_VERSION"))
    };
}

/// Makes a strategy the one that the module exports.
///
/// On targets other than wasm32 it only checks that the type is a strategy.
#[cfg(not(target_arch = "wasm32"))]
#[macro_export]
macro_rules! export {
    ($strategy:ty) => {
        const _: fn() -> $crate::Description = <$strategy as $crate::Strategy>::describe;
    };
}

/// Makes a strategy the one that the module exports.
#[cfg(target_arch = "wasm32")]
#[macro_export]
macro_rules! export {
    ($strategy:ty) => {
        const _: () = {
            struct Exported;

            impl $crate::guest::Exported for Exported {
                type Strategy = $strategy;

                fn with<R>(call: impl FnOnce(&mut $crate::Runner<$strategy>) -> R) -> R {
                    thread_local! {
                        static RUNNER: ::std::cell::RefCell<Option<$crate::Runner<$strategy>>> =
                            const { ::std::cell::RefCell::new(None) };
                    }
                    RUNNER.with_borrow_mut(|runner| {
                        call(runner.get_or_insert_with($crate::Runner::new))
                    })
                }
            }

    $crate::guest::export_component!(Exported with_types_in $crate::guest::bindings);
        };
    };
}
