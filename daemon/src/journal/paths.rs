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
    file: File,
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
            Ok(()) => Ok(Self { file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::Fenced {
                detail: format!("{} is in use by another process", paths.state.display()),
                next: NEXT_ONE_DAEMON,
            }),
            Err(error) => Err(JournalError::io("lock", &paths.lock)(error.into())),
        }
    }
}

impl Drop for DirectoryLock {
    /// Unlocks rather than only closes: a program that this process is just starting has a copy of the file until its
    /// own code runs, and a lock that is only closed would last as long as the copy.
    fn drop(&mut self) {
        // It fails only where there is no lock.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_given_up_is_free_although_a_copy_of_its_file_is_open() {
        let state = tempfile::tempdir().unwrap();
        let paths = StorePaths::new(state.path());
        let lock = DirectoryLock::take(&paths).unwrap();
        let copy = lock.file.try_clone().unwrap();
        assert!(matches!(
            DirectoryLock::take(&paths),
            Err(JournalError::Fenced { .. })
        ));
        drop(lock);
        DirectoryLock::take(&paths).unwrap();
        drop(copy);
    }
}
