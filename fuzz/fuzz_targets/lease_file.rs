//! Target `lease_file`: `src/targets/lease_file.rs` says what it does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| usher_fuzz::targets::lease_file::run(data));
