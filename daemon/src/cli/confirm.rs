//! `usherd clock confirm`, `clone keep-this`, `rollback accept`: an administrator's word that ends a stop (L11, L12).

use usher_protocol::refusal::RefusalCode;

use super::{
    Failure, admin,
    print::{self, plain},
};
use crate::{
    admin::{
        client::AdminClient,
        protocol::{Answer, Ask, StatusReport},
    },
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
        "clock",
        Ask::ConfirmClock,
        "the wall clock is believed from now on",
    )
}

/// Names the daemon that stays.
pub(super) fn clone(verb: CloneVerb, places: &Places) -> Result<(), Failure> {
    let CloneVerb::KeepThis = verb;
    let done = "this daemon stays; make sure that the other one never starts again";
    say(
        places,
        RefusalCode::CloneFound.name(),
        Ask::KeepThisClone,
        done,
    )
}

/// Goes on with a store that went back.
pub(super) fn rollback(verb: RollbackVerb, places: &Places) -> Result<(), Failure> {
    let RollbackVerb::Accept = verb;
    let done = "the store is accepted as it is";
    say(
        places,
        RefusalCode::StoreRolledBack.name(),
        Ask::AcceptRollback,
        done,
    )
}

/// Says the word, and what stops granting after it. A trouble begins with its name.
fn say(places: &Places, trouble: &str, ask: Ask, done: &str) -> Result<(), Failure> {
    let mut daemon = admin(places)?;
    let before = status(&mut daemon)?;
    let mut troubles = before.stopped.iter().chain(&before.degraded);
    let is_there = troubles.any(|it| it.split(':').next() == Some(trouble));
    match daemon.ask(ask)? {
        Answer::Done if !is_there => {
            return print::text(&format!(
                "nothing to do: no `{trouble}` is known (usherd status)\n"
            ));
        }
        Answer::Done => {}
        other => return Err(Failure::of_answer(other)),
    }
    let after = status(&mut daemon)?;
    let left = after
        .stopped
        .iter()
        .map(|it| format!("  still: {}\n", plain(it)));
    print::text(&format!("✓ {done}\n{}", left.collect::<String>()))
}

fn status(daemon: &mut AdminClient) -> Result<Box<StatusReport>, Failure> {
    match daemon.ask(Ask::Status)? {
        Answer::Status(status) => Ok(status),
        other => Err(Failure::of_answer(other)),
    }
}
