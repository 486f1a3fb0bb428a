//! The fake exchange, and the host's protocol on it.

mod dialogue;
mod fuzz;
mod socket;
