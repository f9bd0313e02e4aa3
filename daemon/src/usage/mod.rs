//! The usage log: who held what and when, append-only and hash-chained (S2).
//!
//! It decides how an entry is written, how its chain is proved, and which files of it may be elsewhere. It must not
//! know what an entry's body says, but for the one that tells of a retirement, nor when an event is due: the
//! journal's outbox feeds it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

#[cfg(fuzzing)]
pub mod fuzzing;
mod reader;
mod relocate;
mod retired;
#[cfg(test)]
mod retired_tests;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{Reader, Verified, verify};
pub(crate) use relocate::relocate;
pub(crate) use retired::{is_joint, told_in};
pub use segment::{BODY_BYTES_MAX, Entry};
pub(crate) use writer::{Known, Writer};

/// A place in the log's chain: the number of its last entry and the hash that covers all up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogHead {
    /// Number of the last entry; 0 for an empty log.
    pub number: u64,
    /// SHA-256 over the chain up to that entry; zeros for an empty log.
    pub hash: [u8; 32],
}

impl LogHead {
    /// The place in the chain after `entry`, which comes next.
    #[must_use]
    pub fn after(&self, entry: &Entry) -> Self {
        segment::link(self, entry.number, &entry.encode())
    }
}

/// Why the usage log cannot be read or written.
#[derive(Debug, Error)]
pub enum UsageError {
    /// The operating system refused.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb phrase that fits before a path.
        operation: &'static str,
        /// The segment or the log's directory.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// The chain is broken: something was edited, removed, cut off or put in another order.
    #[error("{}: entry {number}: {detail}", segment.display())]
    Broken {
        /// The segment in which it shows.
        segment: PathBuf,
        /// The first entry that cannot be trusted.
        number: u64,
        /// What is wrong.
        detail: String,
    },
}

impl UsageError {
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }

    pub(crate) fn broken(segment: &Path, number: u64, detail: impl Into<String>) -> Self {
        Self::Broken {
            segment: segment.to_owned(),
            number,
            detail: detail.into(),
        }
    }
}
