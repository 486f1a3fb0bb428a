//! What the integration tests share: the built program, run in a folder of its
//! own, and the way to the repository and to recorded data.
#![forbid(unsafe_code)]

pub mod browser;
pub mod exchange;
pub mod lanes;
pub mod native;
pub mod program;
pub mod repository;

pub use program::{Finished, Folder};
