//! Text of any kind as frames of the venue.
#![no_main]

use sandpaper_tests::exchange::fuzz::message;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| message(bytes));
