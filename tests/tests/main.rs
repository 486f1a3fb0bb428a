//! All integration tests, in one binary. `tidy` checks that no file is forgotten
//! here.
#![forbid(unsafe_code)]

mod browser;
mod containment;
mod corpus;
mod crash;
mod crowd;
mod dashboard;
mod ending;
mod exchange;
mod execution;
mod help;
mod languages;
mod ledger;
mod live;
mod logs;
mod opening;
mod operator;
mod oracle;
mod outage;
mod program;
mod record;
mod recording;
mod restart;
mod routes;
mod runs;
mod snapshot;
mod strikes;
mod swap;
mod third_venue;
mod tidy;
mod totals;
mod trust;
mod wasi;
mod web;
mod workloads;
