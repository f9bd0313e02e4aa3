//! The pure lease state machine (A1): `handle(now, input)` gives records, answers and the next wake-up.
//!
//! It decides who gets a seat, for how long, and when it comes back. It knows no runtime, no storage,
//! no clock and no randomness; it logs nothing. One [`apply`](state) serves live running and reload
//! alike, and expiry is an input like any other.

pub mod api;
pub mod record;
