//! Finds license servers: decides where to look and in which order (DESIGN 7). It proves nothing:
//! the caller's probe does the handshake and verifies the `Welcome` (T4), and what discovery names
//! is a hint until then.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use usher_client::discover::{Budget, Wishes, race};
//! let server = std::env::var("USHER_SERVER").ok();
//! let wishes = Wishes { environment: server.as_deref(), mdns: true, ..Wishes::default() };
//! let found = race(wishes.into_sources()?, Budget::default(), |attempt| async move {
//!     Err::<(), _>(format!("would connect to {}", attempt.addr))
//! });
//! println!("{}", found.await.unwrap_err());
//! # Ok(()) }
//! ```

mod address;
mod browse;
mod candidate;
mod dns_report;
mod dns_sd;
mod domain;
mod feed;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod interfaces;
pub mod last_good;
mod limits;
mod mdns;
mod oneshot;
mod outcome;
mod packet;
mod race;
mod source;

pub use address::{Address, DEFAULT_PORT, Host, MalformedAddress};
pub use candidate::{Candidate, Hints, Origin};
pub use dns_report::{DnsOutcome, DnsReport};
pub use domain::{Domain, MalformedDomain};
pub use mdns::{MdnsReport, Search};
pub use outcome::{Failure, Found, NotFound, Reason, Survey};
pub use packet::SERVICE;
pub use race::{Attempt, Budget, race, survey};
pub use source::{BadWish, DomainWishes, Source, Wishes};
