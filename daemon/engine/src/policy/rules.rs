//! The kinds of rules, as a policy file writes them. Decides their fields; [`super::Policy`] what they mean.

use usher_protocol::time::DurationMs;

use super::{pattern::FeaturePattern, who::Who};

/// One rule: about these features and these subjects it says `says`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rule<T> {
    /// The line it begins at, from 1.
    pub line: u32,
    /// Which features.
    pub feature: FeaturePattern,
    /// Whom.
    pub who: Who,
    /// What it says.
    pub says: T,
}

impl<T> Rule<T> {
    /// Whether all that `other` is about is decided here already, when this one stands before it.
    pub fn covers<U>(&self, other: &Rule<U>) -> bool {
        self.feature.covers(&other.feature) && self.who.covers(&other.who)
    }
}

/// A line of the file, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line(pub u32);

/// `[[deny]]`: no seat at all.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Deny {
    /// Shown to who is refused, at most [`super::limits::REASON_BYTES_MAX`] bytes.
    pub reason: Option<String>,
}

/// `[[allow]]`: once a feature has one, whom none of them names gets no seat.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Allow;

/// `[[maximum]]`: no more seats at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaximumRule {
    /// At least one.
    pub seats: u32,
    /// Whose seats count together.
    pub per: Per,
}

/// Whose seats count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Per {
    /// Those of one user name.
    User,
    /// Those of one host name.
    Host,
    /// Those of all whom the rule names.
    Group,
}

/// `[[reserve]]`: seats kept for whom it names. Its feature is one, never a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReserveRule {
    /// At least one.
    pub seats: u32,
}

/// `[[priority]]`: who waits, waits before those of a lower level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriorityRule {
    /// From `-`[`super::limits::LEVEL_MAX`] to it; 0 is everybody else's.
    pub level: i32,
}

/// `[[lease]]`: the usual and longest length, within the license's bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRule {
    /// As the engine must still bound it by the license.
    pub length: DurationMs,
}

/// `[[linger]]`: how long a seat stays with its holder after a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LingerRule {
    /// Zero: not at all.
    pub length: DurationMs,
}

/// `[[idle]]`: when a seat is taken back from an application that reports itself idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleRule {
    /// None: never.
    pub after: Option<DurationMs>,
}

/// `[[borrow]]`: how long seats may leave the network, and how many may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BorrowRule {
    /// None: as the license allows. Zero: not at all.
    pub longest: Option<DurationMs>,
    /// Seats that stay.
    pub at_home: u32,
}

/// `[[queue]]`: how a queue moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueRule {
    /// Smaller requests may pass a larger one that waits at the head.
    pub backfill: bool,
}
