//! The engine driven by scripted strategies over hand-made and random markets.

mod accounting;
mod accounts;
mod candles;
mod commands;
mod controls;
mod faults;
mod freshness;
mod honest;
mod images;
mod latency;
mod life;
mod limits;
mod liquidity;
mod orders;
mod properties;
mod resting;
mod rules;
mod startup;
mod steps;
mod support;
mod total;
mod verdicts;
