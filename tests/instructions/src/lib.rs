//! What every counted step shares: the function that callgrind counts, and fixed samples to count with. The steps
//! themselves are in the programs `usher-instructions` and, where the daemon's library is needed, `commit-path`.
#![expect(
    clippy::unwrap_used,
    reason = "a step that cannot be prepared must stop"
)]

pub mod counted;
pub mod samples;
