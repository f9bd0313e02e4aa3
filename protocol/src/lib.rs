//! Usher's words on the wire and on paper: signed documents, wire messages, the one codec and the
//! numbered refusals.
//!
//! This crate decides what is genuine and what is well-formed. It does no I/O, opens no socket and
//! reads no clock; whoever calls it brings the bytes and the time.

pub mod calendar;
pub mod codec;
pub mod documents;
pub mod envelope;
pub mod ids;
pub mod limits;
pub mod names;
pub mod printable;
pub mod refusal;
pub mod time;
mod unpacked;
pub mod wire;
