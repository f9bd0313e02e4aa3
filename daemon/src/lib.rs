//! `usherd` as a library: what its binary, its tests and `usherd demo` share.

pub mod journal;
pub mod usage;
