//! The fake exchange without its sockets, and what the targets do with bytes,
//! from the sources of the tests.
#![forbid(unsafe_code)]
#![allow(dead_code, reason = "what the tests use of it")]

pub mod exchange;
