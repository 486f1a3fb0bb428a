//! Sandpaper: a paper-trading host for strategies that nobody has to trust.
//!
//! The core (`domain`, `words`, `input`, `market`, `strategy`, `risk`,
//! `execution`, `portfolio`, `engine`, `venue`) is synchronous and
//! deterministic: it knows no clock, no I/O and no random numbers. The shell
//! (`feed`, `sandbox`, `lockfile`, `config`, `dashboard`, `notify`, `app`, `commands`, `cli`) feeds it
//! and shows what it says. `ARCHITECTURE.md` has the map.
#![forbid(unsafe_code)]

pub mod app;
pub mod cli;
pub mod commands;
pub mod config;
pub mod dashboard;
pub mod domain;
pub mod engine;
pub mod execution;
pub mod feed;
pub mod input;
pub mod journal;
pub mod lockfile;
pub mod logs;
pub mod market;
pub mod notify;
pub mod output;
pub mod portfolio;
pub mod recorder;
pub mod risk;
pub mod sandbox;
pub mod strategy;
pub mod venue;
pub mod words;
