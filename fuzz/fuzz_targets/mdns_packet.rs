//! Target `mdns_packet`: `src/targets/mdns_packet.rs` says what it does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| usher_fuzz::targets::mdns_packet::run(data));
