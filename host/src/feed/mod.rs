//! Sockets, tapes and the simulator: what yields the engine's inputs.
