//! The admin socket: a Unix socket on which administrators ask and the core answers.
//!
//! It decides how questions and answers travel and who the actor is (peer credentials). It must not
//! decide what an administrator may do: the socket's mode does (0660, group `usherd`), and the engine.

pub mod client;
pub(crate) mod glance;
mod peer;
pub mod protocol;
pub(crate) mod report;
mod resolve;
mod server;
mod socket;

pub use server::{AdminParts, ReloadRequest, serve};
pub use socket::{AdminSocket, SocketError};
