//! Target `mdns_answer`: `src/targets/mdns_answer.rs` says what it does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| usher_fuzz::targets::mdns_answer::run(data));
