//! The whitelist `strategies.lock`: which bytes may run.
