//! The network face: sockets, who is let in, and one task for each connection (DESIGN 7).
//!
//! It decides what a socket may cost and how frames become questions. It must not decide about seats:
//! the core does.

mod admission;
mod ask;
mod bind;
mod connection;
mod frames;
#[cfg(fuzzing)]
pub mod fuzzing;
mod reply;
mod server;
mod ties;

pub use bind::BindError;
pub use server::{Server, ServerError, ServerParts};

#[cfg(test)]
mod tests;
