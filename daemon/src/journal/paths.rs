//! Where the journal keeps what, in the state directory, and who may use it: one process at a time.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::error::NEXT_ONE_DAEMON;
use super::{JournalError, files};

/// The journal's places in one state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePaths {
    /// The state directory itself.
    pub state: PathBuf,
    /// sled's directory: live state only (S2).
    pub store: PathBuf,
    /// The usage log's segments.
    pub usage: PathBuf,
    /// S3: says that a store was once made here, so that an empty one is never taken for a new one.
    pub marker: PathBuf,
    /// Number of the last durable step, written after it and never synced: a store behind it went back.
    pub witness: PathBuf,
    pub(super) lock: PathBuf,
}

impl StorePaths {
    /// The places in the state directory `state`.
    pub fn new(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
            store: state.join("store"),
            usage: state.join("usage"),
            marker: state.join("store.initialized"),
            witness: state.join("store.witness"),
            lock: state.join("store.lock"),
        }
    }
}

/// The office on one machine: who holds it may open the store. Given up when dropped, or at exit.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock or says at once that another process has it.
    pub(super) fn take(paths: &StorePaths) -> Result<Self, JournalError> {
        files::create_directory(&paths.state)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&paths.lock)
            .map_err(JournalError::io("open the lock", &paths.lock))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::Fenced {
                detail: format!("{} is in use by another process", paths.state.display()),
                next: NEXT_ONE_DAEMON,
            }),
            Err(error) => Err(JournalError::io("lock", &paths.lock)(error.into())),
        }
    }
}
