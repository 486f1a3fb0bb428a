//! The fake exchange, and the host's protocol on it.

mod controls;
mod dialogue;
mod fuzz;
mod live;
mod socket;
mod trading;
