//! What the fuzz targets do with the bytes they are given: one module for each, named like the target.
//!
//! A target decides nothing about the product. It feeds a parser, or a state, as a hostile peer would, and asserts
//! what must hold of whatever came out. The doors to private parsers are the product's modules `fuzzing`, which
//! exist under `--cfg fuzzing` alone.

mod feed;
mod samples;
mod seeds;
pub mod targets;
mod world;

/// Writes all seeds below the directory that `USHER_TEST_FUZZ_SEEDS` names, and ends.
///
/// # Panics
/// Where it cannot.
pub fn write_seeds() {
    let directory = std::env::var_os("USHER_TEST_FUZZ_SEEDS").unwrap();
    seeds::write(directory.as_ref());
    std::process::exit(0);
}
