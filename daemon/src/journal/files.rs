//! Directory entries made durable, and paths derived from paths. No decision about content.

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::JournalError;

/// Makes the entries of `directory` durable: a file's own sync does not cover its name.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), JournalError> {
    File::open(directory)
        .and_then(|handle| handle.sync_all())
        .map_err(JournalError::io("sync the directory", directory))
}

/// Makes `file` durable as it is.
pub(crate) fn sync_file(file: &Path) -> Result<(), JournalError> {
    File::open(file)
        .and_then(|handle| handle.sync_all())
        .map_err(JournalError::io("sync", file))
}

/// Creates `directory` (0700) with its parents, durably.
pub(crate) fn create_directory(directory: &Path) -> Result<(), JournalError> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(JournalError::io("create", directory))?;
    sync_directory(parent_of(directory))
}

/// The directory that holds `path`; `.` for a bare name.
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `path` with `suffix` after its whole name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
