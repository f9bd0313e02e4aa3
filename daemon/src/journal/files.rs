//! Directory entries made durable, and paths derived from paths. No decision about content.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::path::{Path, PathBuf};

use super::JournalError;
use crate::durable;
pub(crate) use crate::durable::parent_of;

/// Makes the entries of `directory` durable: a file's own sync does not cover its name.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), JournalError> {
    durable::sync(directory).map_err(JournalError::io("sync the directory", directory))
}

/// Makes `file` durable as it is.
pub(crate) fn sync_file(file: &Path) -> Result<(), JournalError> {
    durable::sync(file).map_err(JournalError::io("sync", file))
}

/// Creates `directory` (0700) with its parents, each name durable (S1).
pub(crate) fn create_directory(directory: &Path) -> Result<(), JournalError> {
    if directory.is_dir() {
        return Ok(());
    }
    create_directory(parent_of(directory))?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(JournalError::io("create", directory))?;
    sync_directory(parent_of(directory))
}

/// S7: what root wrote in `directory` belongs to that directory's owner, as if the daemon had.
pub(crate) fn give_to_owner_of(directory: &Path, written: &[&Path]) -> Result<(), JournalError> {
    let owner = std::fs::metadata(directory).map_err(JournalError::io("look at", directory))?;
    if !rustix::process::geteuid().is_root() || owner.uid() == 0 {
        return Ok(());
    }
    written
        .iter()
        .filter(|path| path.symlink_metadata().is_ok())
        .try_for_each(|path| give(path, owner.uid(), owner.gid()))
}

fn give(path: &Path, user: u32, group: u32) -> Result<(), JournalError> {
    lchown(path, Some(user), Some(group)).map_err(JournalError::io("change the owner of", path))?;
    let is_directory = path.symlink_metadata().is_ok_and(|data| data.is_dir());
    if is_directory {
        let failed = || JournalError::io("list", path);
        for entry in std::fs::read_dir(path).map_err(failed())? {
            give(&entry.map_err(failed())?.path(), user, group)?;
        }
    }
    Ok(())
}

/// `path` with `suffix` after its whole name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
