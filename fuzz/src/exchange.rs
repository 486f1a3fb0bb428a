//! What of the exchange needs no socket and no clock.

#[path = "../../tests/src/exchange/book.rs"]
pub mod book;
#[path = "../../tests/src/exchange/desk.rs"]
pub mod desk;
#[path = "../../tests/src/exchange/dialogue.rs"]
pub mod dialogue;
#[path = "../../tests/src/exchange/fault.rs"]
pub mod fault;
#[path = "../../tests/src/exchange/fuzz.rs"]
pub mod fuzz;
#[path = "../../tests/src/exchange/mangle.rs"]
pub mod mangle;
#[path = "../../tests/src/exchange/market.rs"]
pub mod market;
#[path = "../../tests/src/exchange/oracle.rs"]
pub mod oracle;
#[path = "../../tests/src/exchange/random.rs"]
pub mod random;
#[path = "../../tests/src/exchange/state.rs"]
mod state;
#[path = "../../tests/src/exchange/truth.rs"]
pub mod truth;
#[path = "../../tests/src/exchange/wire.rs"]
pub mod wire;

pub use fault::{Fault, Place};
pub use state::{Line, State};
