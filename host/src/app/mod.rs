//! The composition root: configuration, modules and market data become a run.

pub mod capture;
pub mod console;
pub mod cut_run;
pub mod dashboard;
mod failure;
pub mod given;
pub mod interrupt;
pub mod kraken;
pub mod latency;
pub mod live;
pub mod logs;
pub mod notify;
pub mod operator;
pub mod record;
pub mod replay;
pub mod session;
pub mod setup;
pub mod strategies;
pub mod trust;
pub mod verify;

pub use failure::Failure;
pub use interrupt::Interrupt;
