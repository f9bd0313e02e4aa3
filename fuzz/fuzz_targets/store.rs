//! Target `store`: `src/targets/store.rs` says what it does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| usher_fuzz::targets::store::run(data));
