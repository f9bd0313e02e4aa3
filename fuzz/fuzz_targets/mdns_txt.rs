//! Target `mdns_txt`: `src/targets/mdns_txt.rs` says what it does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| usher_fuzz::targets::mdns_txt::run(data));
