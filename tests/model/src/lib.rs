//! The lease protocol (design 4) in the small, and every state that it can reach.
//!
//! Three clients, two seats, one place in the queue, a restart of the daemon, a change of the lease's
//! length; requests and replies that are lost, late, doubled and overtaken by others. [`Search`] visits
//! all of that and judges each state. What holds here holds for the rules, not for the code: the tests of
//! this crate walk the real engine along the model's paths, so that the two cannot part.
//!
//! Time goes by in ticks of real time, and only what is left of things is known, so that the states are
//! finitely many. Drift is chosen where a length is measured: a right may end some ticks after its
//! length, and a deadline some ticks before its own, which is all that clocks of other speeds can do.
//!
//! It is written out by hand rather than with a model checker from the shelf: the one that Rust has
//! (stateright) brings a web server along, knows states by a hash of 64 bits, so that "all of them" is
//! likely rather than certain, and cannot ask what we ask of each waiter: that it gets its seat *from
//! here*, whoever else falls silent.

mod client;
mod faults;
mod pack;
mod search;
mod server;
mod state;
mod steps;
mod waiting;

pub use faults::Fault;
pub use search::{Figures, Finding, Search};
pub use state::{CLIENTS, Client, Lease, MESSAGES, Message, Phase, Place, State, Stored};
pub use steps::{Action, Bounds};
