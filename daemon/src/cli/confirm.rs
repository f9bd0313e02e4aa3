//! `usherd clock confirm`, `clone keep-this`, `rollback accept`: an administrator's word that ends a stop (L11, L12).

use super::{Failure, admin, print};
use crate::{
    admin::protocol::{Answer, Ask},
    config::Places,
};

/// What to do about the clock.
#[derive(Debug, Clone, Copy, clap::Subcommand)]
pub(super) enum ClockVerb {
    /// Believe the wall clock although it leads license time
    Confirm,
}

/// What to do about another daemon with this site key.
#[derive(Debug, Clone, Copy, clap::Subcommand)]
pub(super) enum CloneVerb {
    /// This daemon stays, the other one was stopped; it grants again when all leases of the other are over
    KeepThis,
}

/// What to do about a store that went back in time.
#[derive(Debug, Clone, Copy, clap::Subcommand)]
pub(super) enum RollbackVerb {
    /// Go on with this store; it grants again when all leases that it may have lost are over
    Accept,
}

/// Believes the wall clock.
pub(super) fn clock(verb: ClockVerb, places: &Places) -> Result<(), Failure> {
    let ClockVerb::Confirm = verb;
    say(
        places,
        Ask::ConfirmClock,
        "✓ the wall clock is believed from now on\n",
    )
}

/// Names the daemon that stays.
pub(super) fn clone(verb: CloneVerb, places: &Places) -> Result<(), Failure> {
    let CloneVerb::KeepThis = verb;
    let done = "✓ this daemon stays; make sure the other one never starts again (usherd status says what is held)\n";
    say(places, Ask::KeepThisClone, done)
}

/// Goes on with a store that went back.
pub(super) fn rollback(verb: RollbackVerb, places: &Places) -> Result<(), Failure> {
    let RollbackVerb::Accept = verb;
    let done = "✓ the store is accepted as it is (usherd status says what is held)\n";
    say(places, Ask::AcceptRollback, done)
}

fn say(places: &Places, ask: Ask, done: &str) -> Result<(), Failure> {
    match admin(places)?.ask(ask)? {
        Answer::Done => print::text(done),
        other => Err(Failure::of_answer(other)),
    }
}
