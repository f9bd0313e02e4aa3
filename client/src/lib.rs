//! The Usher client library: finds a server, proves it, and holds seats.

pub mod clock;
pub mod discover;
pub mod keyfile;
pub mod paths;
pub mod process;
pub mod session;
pub mod tls;
