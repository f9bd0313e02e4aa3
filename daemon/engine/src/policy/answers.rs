//! What a policy answers to the engine's questions. Decides nothing.

use usher_protocol::{refusal::RuleRef, time::DurationMs};

/// A "no" of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barred {
    /// The rule that decided.
    pub rule: RuleRef,
    /// The administrator's own words.
    pub reason: Option<String>,
    /// Which "no".
    pub kind: BarredKind,
}

/// Why a policy says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarredKind {
    /// A `[[deny]]` rule names the subject.
    Denied,
    /// The feature has `[[allow]]` rules, and none of them names the subject.
    NotAllowed,
}

/// A maximum that holds for a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maximum {
    /// The place of its rule in [`super::Policy::maximum`].
    pub rule: usize,
    /// So many seats at a time.
    pub seats: u32,
    /// Whose seats count.
    pub counted: Counted,
}

/// Whose seats a maximum counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Those of this user, [folded](super::fold).
    User(String),
    /// Those of this host, [folded](super::fold).
    Host(String),
    /// Those of everybody whom the rule names ([`super::Policy::maximum_names`]).
    Group,
}

/// Seats kept for some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The place of its rule in [`super::Policy::reserve`].
    pub index: usize,
    /// So many.
    pub seats: u32,
    /// For whom, in words.
    pub who: String,
}

/// How a subject may borrow.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct BorrowTerms {
    /// None: as the license allows. Zero: not at all.
    pub longest: Option<DurationMs>,
    /// Seats that stay.
    pub at_home: u32,
    /// The rule that says so; none is the license's own terms.
    pub rule: Option<RuleRef>,
}
