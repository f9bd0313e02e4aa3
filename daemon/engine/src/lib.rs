//! The pure lease state machine (A1): `handle(now, input)` gives records, answers and the next wake-up.
//!
//! It decides who gets a seat, for how long, and when it comes back. It knows no runtime, no storage,
//! no clock and no randomness; it logs nothing. One `apply` serves live running and reload
//! alike, and expiry is an input like any other.

mod admission;
pub mod api;
mod borrow;
mod borrow_hold;
mod chain;
mod checkout;
mod cooldown;
mod deadline;
mod decide;
mod denials;
mod dry_run;
mod earliest;
mod ended;
mod engine;
mod enroll;
mod evict;
mod expire;
mod explain;
mod flow;
mod idle;
mod invariants;
mod issue;
mod lapsed;
mod length;
mod license;
mod license_time;
mod limits;
mod line;
mod linger;
mod maximum;
mod offer;
mod overcommit;
mod place;
pub mod policy;
mod pool;
mod queue;
pub mod record;
mod release;
mod renew;
mod reservation;
mod room;
mod several;
mod share;
mod state;
mod step;
mod suspend;
mod tally;
mod trouble;
mod vendor_name;
mod view;
mod wait;
mod write_off;

pub use engine::Engine;
pub use trouble::{hold_length, longest_lease};

#[cfg(test)]
mod tests;
