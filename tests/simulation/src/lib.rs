//! Usher in virtual time: the real engine, the real core between input and answer, the real records, a
//! journal over a simulated disk, and the real client session, in one thread and from one seed.
//!
//! ```no_run
//! use usher_simulation::{Knobs, World, Wish};
//! # fn main() -> Result<(), usher_simulation::Violation> {
//! let mut world = World::new(1, Knobs::default());      // a daemon, a license of two seats, two stations
//! let seat = world.check_out(0, &Wish::default());
//! assert!(world.run_until(DurationMs::minutes(1), |world| world.holds(seat))?);
//! world.stop_server(Crash::Power);                      // down until `start_server`
//! world.run_for(DurationMs::minutes(3))?;               // every step judges `believers`
//! world.start_server();
//! world.run_for(DurationMs::minutes(3))?;
//! world.calm()?;                                        // no more faults, whoever works finishes
//! usher_simulation::invariants::at_end(&mut world)
//! # }
//! # use usher_protocol::time::DurationMs;
//! # use usher_simulation::Crash;
//! ```
//!
//! **Schedules.** [`Knobs::default`] is a quiet world where only the schedule acts; set what it needs
//! ([`Terms`] of the license, stations, drift, delays). What can be done to a world: `check_out`,
//! `release`, `kill_client`; `cut`, `block`; `crash`, `stop_server`, `start_server`, `set_fuse` (the
//! daemon's last disk operation); `suspend`, `pause`; `jump_station_wall`, `jump_server_wall`,
//! `set_drift`; `install`, `remove_license`, `suspend_license`, `admin` (any verb) and `answer`;
//! `backup`, `restore`; `image`, `revert`. Time passes in `run_for`, `run_until`, `run_to`, `step`; each
//! gives the first [`Violation`].
//!
//! **Random worlds.** [`run`] draws the knobs from the seed, runs the world and judges all invariants;
//! a violation is told with the last events before it.
//!
//! **Planted defects** ([`Planted`]) are switches at the simulator's seams: what a machine's clock
//! shows, what the disk does, what a message says, when an answer leaves. None is in the product.
//!
//! What it does not show: signatures (leases are signed only where one is looked at), the wire's bytes,
//! threads, files and sockets. Those have tests of their own.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "test support: what cannot be set up must fail the test that asked for it"
)]

pub mod clock;
mod disk;
mod figures;
mod frames;
pub mod invariants;
mod journal;
mod knobs;
mod planted;
mod run;
pub mod site;
mod storage;
mod trace;
mod world;

pub use figures::Figures;
pub use invariants::Violation;
pub use knobs::{FaultKnobs, Knobs, NetworkKnobs, WorkKnobs};
pub use planted::Planted;
pub use run::{Found, campaign, find, run, tell};
pub use site::Terms;
pub use storage::{Copy, Storage};
pub use trace::Trace;
pub use world::{Crash, Machine, SeatId, Ticket, Wish, World};
