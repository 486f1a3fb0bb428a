//! The composition root: configuration, modules and market data become a run.

pub mod accounting;
pub mod capture;
pub mod claims;
pub mod console;
pub mod cut_run;
pub mod dashboard;
pub mod export;
pub mod failure;
pub mod given;
pub mod interrupt;
pub mod latency;
pub mod live;
pub mod logs;
pub mod modules;
pub mod notify;
pub mod operator;
pub mod pace;
pub mod record;
mod recorded;
pub mod replay;
pub mod result;
pub mod retrace;
pub mod session;
pub mod setup;
pub mod smoke;
pub mod strategies;
pub mod strikes;
pub mod swap;
mod told;
pub mod trial;
pub mod trust;
pub mod venue;
pub mod verify;

pub use failure::Failure;
pub use interrupt::Interrupt;
