//! The HTTPS server: figures, lists and lease verbs for tools that do not speak QUIC, and the dashboard for people.
//!
//! It decides what a request may cost and whose token may ask what. It must not decide about seats: every question
//! goes through the core's queue, as a client's or an administrator's does, and is answered after the commit (A2).
//! Without a token it does not even listen, and unless somebody says otherwise it listens on this machine alone.

mod administer;
mod api;
mod connection;
mod dashboard;
mod failure;
mod figures;
mod guard;
mod headers;
mod ledger;
mod lend;
mod metrics;
mod numbers;
mod openapi;
mod routes;
mod server;
mod signing_key;
mod tls;

pub use server::{Http, HttpError, HttpState};
