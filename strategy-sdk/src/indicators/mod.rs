//! Incremental indicators: each update takes constant time, whatever the period.
//!
//! Each holds its own state and is saved with the strategy. A period of 0 is
//! taken as 1, and a value that is not finite is passed over, because one such
//! value would spoil every later one. None of them has a value before it has
//! seen as many inputs as its documentation says.

mod atr;
mod average;
mod bollinger;
mod imbalance;
mod precise;
#[cfg(test)]
mod reference_tests;
mod rsi;
mod vwap;

pub use atr::Atr;
pub use average::{Ema, Sma};
pub use bollinger::{Bands, Bollinger};
pub use imbalance::{BookImbalance, TradeImbalance};
pub use rsi::Rsi;
pub use vwap::RollingVwap;
