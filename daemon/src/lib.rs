//! `usherd` as a library: what its binary, its tests and `usherd demo` share.

pub mod admin;
pub mod advert;
pub mod alerts;
pub mod cli;
pub mod clones;
pub mod compat;
pub mod config;
pub mod core;
pub mod demo;
pub mod doctor;
mod durable;
pub mod facts;
pub mod http;
pub mod journal;
pub mod limits;
mod little_endian;
pub mod log;
pub mod notify;
pub mod policy;
pub mod quic;
pub mod records;
pub mod report;
pub mod serve;
pub mod site;
#[cfg(test)]
mod testing;
pub mod tokens;
pub mod usage;
