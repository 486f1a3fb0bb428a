//! The modules of the host that the fuzz targets exercise, from its own sources.
//! The whole library would bring the WebAssembly runtime along, and with it most
//! of a build: minutes before the first input.
#![forbid(unsafe_code)]
#![allow(dead_code, unused_imports, reason = "what the rest of the host uses of them")]

#[path = "../../host/src/domain/mod.rs"]
pub mod domain;
#[path = "../../host/src/input.rs"]
pub mod input;
#[path = "../../host/src/venue/mod.rs"]
pub mod venue;
#[path = "../../host/src/words.rs"]
pub mod words;
