//! Target `engine`: `src/targets/engine.rs` says what it does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| usher_fuzz::targets::engine::run(data));
