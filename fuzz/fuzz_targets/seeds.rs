//! No target: writes all seeds below the directory that `USHER_TEST_FUZZ_SEEDS` names, and ends.
#![no_main]

libfuzzer_sys::fuzz_target!(init: usher_fuzz::write_seeds(), |_data: &[u8]| ());
