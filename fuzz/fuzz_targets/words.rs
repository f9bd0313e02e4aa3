//! Target `words`: `src/targets/words.rs` says what it does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| usher_fuzz::targets::words::run(data));
