//! What the end-to-end tests share: the built programs, a daemon of their own, and hosts on a network of their own.
//! Decides nothing about Usher: tests say what must hold, this crate only gives them a place to see it.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "test support: what cannot be set up must fail the test that asked for it"
)]

pub mod bins;
pub mod catalog;
pub mod crowd;
pub mod daemon;
pub mod disk;
pub mod holder;
pub mod hosts;
pub mod peer;
pub mod proof;
pub mod shim;
pub mod station;
pub mod steps;
