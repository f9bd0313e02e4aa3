//! Target `log_segment`: `src/targets/log_segment.rs` says what it does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| usher_fuzz::targets::log_segment::run(data));
