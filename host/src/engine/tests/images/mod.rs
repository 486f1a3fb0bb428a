//! An engine's image, put into another engine: it goes on as if nothing had been.

mod keeper;
mod market;
mod refusals;
mod whole;
