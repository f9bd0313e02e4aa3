//! Crashes, power cuts, broken disks, hostile and broken networks: what must hold when nothing works.
//!
//! Each of these runs by itself, prints its seed and reproduces from it. The counts here are the short form;
//! `tests/campaign` runs the long one (docs/reliability.md).
#![expect(
    clippy::unwrap_used,
    reason = "a test whose ground gives way must fail"
)]

mod crash;
mod discovery;
mod flood;
mod impostor;
mod power;
mod restore;
mod storage;
