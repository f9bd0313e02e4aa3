//! The Usher client library: finds a server, proves it, and holds seats.
//!
//! ```no_run
//! # const VENDOR_KEY: &str = "ed25519:…"; // include_str!("acme.pub")
//! # async fn example() -> Result<(), usher_client::Error> {
//! use usher_client::Client;
//!
//! let seat = Client::connect(VENDOR_KEY).await?.checkout("solver").await?; // renews itself
//! seat.on_change(|change| eprintln!("seat {change}"));
//! // … work, and look at it now and then:
//! if !seat.state().holds() {
//!     // save and stop
//! }
//! seat.release().await?; // or just drop it
//! # Ok(()) }
//! ```
//!
//! Where no seat is free, a checkout may stand in the server's queue, and several features can be had
//! at once or not at all:
//!
//! ```no_run
//! # use std::time::Duration;
//! # async fn example(client: usher_client::Client) -> Result<(), usher_client::Error> {
//! let seats = client
//!     .checkout_all(["solver", "mesher"])
//!     .wait(Duration::from_secs(600))
//!     .on_wait(|place| eprintln!("place {} of {}", place.position, place.waiting))
//!     .await?;
//! # drop(seats); Ok(()) }
//! ```
//!
//! Programs without a runtime use [`blocking`], with the same names.
//!
//! The vendor's root key is all that an application ships (T3): servers are found by explicit
//! address, `USHER_SERVER`, configuration file, last good server, DNS, or mDNS, in this order, and each
//! has to prove a chain of signatures down from that root before it is told anything (T4).

pub mod blocking;
pub mod borrow;
pub mod client;
pub mod clock;
pub mod config;
pub mod connection;
pub mod discover;
pub mod doctor;
mod driver;
pub mod error;
pub mod keyfile;
pub mod lease_file;
pub mod marks;
pub mod paths;
pub mod process;
pub mod seat;
pub mod session;
pub mod socket;
pub mod tls;
pub mod trust;

pub use client::{Builder, CheckoutAllBuilder, CheckoutBuilder, Client};
pub use error::Error;
pub use lease_file::LeaseFile;
pub use seat::Seat;
pub use session::{Change, LostWhy, State, Trouble};
pub use usher_protocol as protocol;
