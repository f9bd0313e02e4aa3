//! What must hold, judged from the clients' side or from the disk; one file each. None of them asks the
//! daemon what it thinks of itself.

pub mod believers;
pub mod known_after_restart;
pub mod log_is_history;
pub mod nobody_waits_for_ever;
pub mod nothing_outlives_its_license;
pub mod replay_equals_live;
pub mod sets_are_whole;

use std::{collections::BTreeMap, fmt};

use usher_engine::api::Answer;
use usher_protocol::names::LicenseId;

use crate::{
    clock::Moment,
    trace,
    world::{Ticket, World},
};

/// Something that must hold did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant, by its file.
    pub invariant: &'static str,
    /// When.
    pub at: Moment,
    /// What was found instead.
    pub what: String,
}

/// What the invariants remember.
#[derive(Default)]
pub(crate) struct Watch {
    /// A session or a clock changed since believers were counted.
    pub(crate) beliefs_changed: bool,
    /// License and serial of endorsements that were checked, by signature.
    pub(crate) endorsed: BTreeMap<[u8; 64], (LicenseId, u64)>,
    /// Administrators' answers that nobody read yet.
    pub(crate) answers: BTreeMap<Ticket, Answer>,
    /// From which live state on the usage log tells all changes of leases.
    pub(crate) told_from: replay_equals_live::Base,
}

impl Violation {
    pub(crate) fn new(world: &World, invariant: &'static str, what: String) -> Self {
        Self {
            invariant,
            at: world.now(),
            what,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            invariant, what, ..
        } = self;
        write!(f, "{invariant} at {}: {what}", trace::stamp(self.at))
    }
}

/// The daemon does not start, and nobody may need to mend a store that only crashed.
pub(crate) fn start_failed(world: &World, why: &str) -> Violation {
    Violation::new(world, "starts_by_itself", why.to_owned())
}

/// What must hold of a life that has just begun.
pub(crate) fn at_start(world: &mut World) -> Result<(), Violation> {
    // A machine that was started by mistake knows what it knew, and is believed by nobody (L12).
    if !world.is_mixed_up() {
        known_after_restart::judge(world)?;
    }
    log_is_history::judge(world)
}

/// What must hold at the end of a world, after a calm.
///
/// # Errors
/// The first [`Violation`].
pub fn at_end(world: &mut World) -> Result<(), Violation> {
    nobody_waits_for_ever::judge(world)?;
    log_is_history::judge_all(world)?;
    replay_equals_live::judge(world)
}
