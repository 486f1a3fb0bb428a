//! Faults in any order against the oracle.
#![no_main]

use sandpaper_fuzz::exchange::fuzz::book;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| book(bytes));
