//! Target `config`: `src/targets/config.rs` says what it does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| usher_fuzz::targets::config::run(data));
