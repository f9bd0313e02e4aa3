//! Why a borrowed lease is of no use just now, and what to do about it. Decides words only.

use crate::{clock::local_rfc3339, error::exit, marks::ClockError};
use usher_protocol::{
    names::{FeatureName, Version},
    time::WallMs,
};

/// Why no borrowed seat can be had here and now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BorrowError {
    /// Nothing of it is borrowed.
    #[error("no borrowed lease of `{0}` is kept here")]
    NotBorrowed(FeatureName),
    /// Other processes use as many of its seats as they leave too few of.
    #[error("the borrowed seat of `{feature}` (until {}) is used by another process", local_rfc3339(*.until))]
    InUse {
        /// Of what.
        feature: FeatureName,
        /// Its end.
        until: WallMs,
    },
    /// It has fewer seats than are wanted.
    #[error("{borrowed} seats of `{feature}` are borrowed here, and {wanted} are wanted")]
    TooFewSeats {
        /// Of what.
        feature: FeatureName,
        /// How many it has.
        borrowed: u32,
        /// How many are wanted.
        wanted: u32,
    },
    /// Its license covers only lower versions.
    #[error("the borrowed lease of `{feature}` covers versions up to {served}")]
    OlderVersion {
        /// Of what.
        feature: FeatureName,
        /// The highest it covers.
        served: Version,
    },
    /// Its return was begun, and nobody knows whether the server heard of it.
    #[error("the borrowed lease of `{0}` is being returned")]
    Returning(FeatureName),
    /// The wall clock was set back, or nobody can tell.
    #[error("the borrowed lease of `{feature}` cannot be used: {clock}")]
    Clock {
        /// Of what.
        feature: FeatureName,
        /// What is wrong with it.
        clock: ClockError,
    },
    /// It is not genuine, or of another machine or user.
    #[error("{0}")]
    NotOurs(String),
    /// Its file or the locks beside it cannot be used.
    #[error("{0}")]
    Files(String),
}

impl BorrowError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NotBorrowed(_) | Self::InUse { .. } | Self::TooFewSeats { .. } => exit::NO_SEAT,
            Self::OlderVersion { .. }
            | Self::Returning(_)
            | Self::Clock { .. }
            | Self::NotOurs(_) => exit::REFUSED,
            Self::Files(_) => exit::CONFIGURATION,
        }
    }

    pub(crate) fn next_step(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotBorrowed(_) => "`usher borrow FEATURE --for 7d` while connected",
            Self::InUse { .. } => "end that process, or borrow more seats while connected",
            Self::TooFewSeats { .. } => "ask for fewer, or borrow more while connected",
            Self::OlderVersion { .. } => "use an older version of the program, or ask its vendor",
            Self::Returning(_) => "`usher return` it once more while connected",
            Self::NotOurs(_) => "borrow anew on this machine while connected",
            Self::Files(_) => "see `usher status` for the leases of this machine",
            // It says so itself.
            Self::Clock { .. } => return None,
        })
    }
}
