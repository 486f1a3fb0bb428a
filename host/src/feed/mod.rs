//! Sockets, tapes and the simulator: what yields the engine's inputs.

pub mod import;
pub mod live;
pub mod sim;
pub mod tape;
