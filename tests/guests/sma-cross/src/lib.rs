//! The template of new projects, compiled like any strategy: the examples in
//! other languages must decide as it does.
#![forbid(unsafe_code)]

include!("../../../../strategy-sdk/templates/sma-cross.rs");
