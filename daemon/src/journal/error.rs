//! The three ways a journal fails. Each message names what to do next; none crosses the network (A4).

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::usage::UsageError;

/// Why the journal cannot go on. After any of them it is poisoned (S4).
#[derive(Debug, Error)]
pub enum JournalError {
    /// The operating system refused: disk full, no permission, a failing disk.
    #[error("cannot {operation} {}: {source}; {}", path.display(), advice(source))]
    Io {
        /// What was tried, as a verb phrase that fits before a path.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// What is stored is damaged, missing, or of another version.
    #[error("{}: {detail}; {next}", path.display())]
    Corrupt {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it, with numbers.
        detail: String,
        /// What the administrator does next.
        next: &'static str,
    },
    /// This process does not hold the office: another one does, or it has resigned.
    #[error("{detail}; {next}")]
    Fenced {
        /// Who holds the office.
        detail: String,
        /// What the administrator does next.
        next: &'static str,
    },
}

/// Next step when the store is damaged.
pub(crate) const NEXT_REPAIR: &str = "run `usherd repair`, or `usherd restore` with a backup";

/// Next step when what is stored is of a newer version (S7).
pub(crate) const NEXT_NEWER: &str = "install an usherd that knows that store version";

/// Next step when another life took over.
pub(crate) const NEXT_ONE_DAEMON: &str =
    "stop the other usherd that uses this state directory, then start this one again";

impl JournalError {
    /// An operation on `path` that the system refused; fits `map_err`.
    pub fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }

    /// Damage that `usherd repair` can deal with.
    pub fn corrupt(path: &Path, detail: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            detail: detail.into(),
            next: NEXT_REPAIR,
        }
    }

    /// A commit, load or snapshot under an epoch that is not in office.
    pub(crate) fn foreign_epoch(epoch: u64, current: u64) -> Self {
        Self::Fenced {
            detail: format!("epoch {epoch} is not in office, epoch {current} is"),
            next: NEXT_ONE_DAEMON,
        }
    }

    /// S4: what every call gives once one call has failed.
    pub(crate) fn poisoned(path: &Path, first: &str) -> Self {
        Self::Io {
            operation: "use the store",
            path: path.to_owned(),
            source: io::Error::other(format!("it stopped after an earlier error: {first}")),
        }
    }

    /// What to do next, without the rest of the message.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Io { source, .. } => advice(source),
            Self::Corrupt { next, .. } | Self::Fenced { next, .. } => next,
        }
    }
}

impl From<UsageError> for JournalError {
    /// L13: an error of the usage log is an error of the journal.
    fn from(error: UsageError) -> Self {
        match error {
            UsageError::Io {
                operation,
                path,
                source,
            } => Self::Io {
                operation,
                path,
                source,
            },
            UsageError::Broken {
                segment,
                number,
                detail,
            } => Self::corrupt(
                &segment,
                format!("entry {number} of the usage log: {detail}"),
            ),
        }
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "free disk space, then start usherd again"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "let the user that runs usherd write there, then start it again"
        }
        io::ErrorKind::NotFound => "check the path, then try again",
        io::ErrorKind::AlreadyExists => "choose another path, or move that file away",
        _ => "check the disk and the kernel's log, then start usherd again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_names_the_next_step() {
        let full = JournalError::io("write", Path::new("/s/db"))(io::ErrorKind::StorageFull.into());
        insta::assert_snapshot!(full, @"cannot write /s/db: no storage space; free disk space, then start usherd again");
        let torn = JournalError::corrupt(Path::new("/s"), "record 3 is damaged");
        insta::assert_snapshot!(torn, @"/s: record 3 is damaged; run `usherd repair`, or `usherd restore` with a backup");
        assert_eq!(torn.next_step(), NEXT_REPAIR);
        let foreign = JournalError::foreign_epoch(4, 5);
        insta::assert_snapshot!(foreign, @"epoch 4 is not in office, epoch 5 is; stop the other usherd that uses this state directory, then start this one again");
    }
}
