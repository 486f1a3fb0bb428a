//! Text of any kind as frames of the venue.
#![no_main]

use sandpaper_fuzz::exchange::fuzz::message;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| message(bytes));
