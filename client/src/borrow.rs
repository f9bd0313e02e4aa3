//! Decides what it takes to use a seat with the network gone and the server off (L10): a borrowed
//! lease in a private file, genuine down from the vendor's root, of this very client key, not over by a
//! wall clock that was not set back, and not in use by another process.
//!
//! ```no_run
//! # const VENDOR_KEY: &str = "ed25519:…"; // include_str!("acme.pub")
//! # async fn example() -> Result<(), usher_client::Error> {
//! use usher_client::{Client, borrow};
//!
//! // What was borrowed (`usher borrow solver --for 7d`) costs no question; otherwise ask a server.
//! match borrow::borrowed(VENDOR_KEY, "solver") {
//!     Ok(seat) => {
//!         // … work, and look at it now and then:
//!         if !seat.state().holds() { /* save and stop */ }
//!     }
//!     Err(_) => {
//!         let seat = Client::connect(VENDOR_KEY).await?.checkout("solver").await?;
//!         // …
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! [`Client::connect`] never takes a borrowed lease by itself: a program that may run off line says so,
//! since nobody can take such a seat back, and one process at a time may use it. It must not decide
//! who may borrow, and for how long: that is the server's.
//!
//! [`Client::connect`]: crate::Client::connect

mod ask;
mod asked;
mod error;
mod in_use;
mod open;

pub use ask::{BorrowBuilder, Lent};
pub use error::BorrowError;
pub use open::{Borrowed, Use, discard};

pub(crate) use ask::unanswered;
pub(crate) use in_use::Gate;
pub(crate) use open::Place;

use crate::{client::Client, error::Error, paths::Paths};

/// How many borrows were asked for and not answered, those under way just now included. Their seats may
/// be out: [`Client::unanswered_borrow`] or the next borrow of the same feature brings them.
pub fn unanswered_count(paths: &Paths) -> usize {
    asked::files(paths).len()
}

/// A borrowed seat of `feature` that stands and that no other process uses, of the vendor whose key
/// this is. Asks nobody but this machine's disk and clocks.
///
/// # Errors
/// [`Error::Borrow`] says why there is none; the others are about this machine's files.
pub fn borrowed(vendor_key: impl AsRef<[u8]>, feature: &str) -> Result<Borrowed, Error> {
    Client::builder(vendor_key)?.borrowed(&Use::of(feature)?)
}
