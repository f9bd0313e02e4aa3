//! `usherd` as a library: what its binary, its tests and `usherd demo` share.

pub mod admin;
pub mod advert;
pub mod cli;
pub mod config;
pub mod journal;
pub mod limits;
pub mod usage;
