//! Moves a whole file of the log to another directory, durably on both sides.
//!
//! It never leaves less than one whole, durable copy, overwrites nothing, and does not decide what is moved.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::UsageError;
use super::segment::read_fully;
use super::writer::sync_directory;
use crate::durable;

/// Moves `file` into `directory` under its name; gives where it is. One that is there already, byte for byte, is what a
/// move that was cut short has left, and only the first copy goes.
pub(crate) fn relocate(file: &Path, directory: &Path) -> Result<PathBuf, UsageError> {
    let target = directory.join(file.file_name().unwrap_or_default());
    if target.symlink_metadata().is_err()
        && renameat_with(CWD, file, CWD, &target, RenameFlags::NOREPLACE).is_ok()
    {
        sync_directory(directory)?;
        sync_directory(durable::parent_of(file))?;
        return Ok(target);
    }
    // Another file system, or one that cannot rename without replacing.
    if target.symlink_metadata().is_err() {
        copy(file, &target)?;
    }
    if !are_same(file, &target)? {
        let source = io::Error::new(
            io::ErrorKind::AlreadyExists,
            "another file of that name is there: choose another directory",
        );
        return Err(UsageError::io("move there", &target)(source));
    }
    durable::sync(&target).map_err(UsageError::io("sync", &target))?;
    sync_directory(directory)?;
    fs::remove_file(file).map_err(UsageError::io("remove", file))?;
    sync_directory(durable::parent_of(file))?;
    Ok(target)
}

/// Under another name until it is whole and durable. What could not be written takes no space there.
fn copy(file: &Path, target: &Path) -> Result<(), UsageError> {
    let partial = target.with_extension("partial");
    write(file, &partial)
        .and_then(|()| fs::rename(&partial, target).map_err(UsageError::io("name", target)))
        .inspect_err(|_| drop(fs::remove_file(&partial)))
}

fn write(file: &Path, partial: &Path) -> Result<(), UsageError> {
    let failed = || UsageError::io("write", partial);
    let mut from = File::open(file).map_err(UsageError::io("open", file))?;
    let mut to = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(partial)
        .map_err(failed())?;
    io::copy(&mut from, &mut to).map_err(failed())?;
    to.sync_all().map_err(failed())
}

fn are_same(one: &Path, other: &Path) -> Result<bool, UsageError> {
    let open = |path: &Path| {
        File::open(path)
            .map(io::BufReader::new)
            .map_err(UsageError::io("open", path))
    };
    let (mut ones, mut others) = (open(one)?, open(other)?);
    let (mut a, mut b) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    loop {
        let got = read_fully(&mut ones, &mut a).map_err(UsageError::io("read", one))?;
        let too = read_fully(&mut others, &mut b).map_err(UsageError::io("read", other))?;
        if a[..got] != b[..too] {
            return Ok(false);
        }
        if got == 0 {
            return Ok(true);
        }
    }
}

const PIECE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s2_a_move_that_was_cut_short_is_finished_and_nothing_is_overwritten() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = from.path().join("usage-00000000000000000001.log");
        let target = to.path().join("usage-00000000000000000001.log");
        let bytes = vec![7; 3 * PIECE_BYTES + 5];
        fs::write(&file, &bytes).unwrap();
        // A crash between copy and removal, and one amid the copy.
        fs::write(&target, &bytes).unwrap();
        fs::write(target.with_extension("partial"), b"half").unwrap();
        assert_eq!(relocate(&file, to.path()).unwrap(), target);
        assert!(!file.exists());
        assert_eq!(fs::read(&target).unwrap(), bytes);
        // Another file of that name stays, and so does ours.
        fs::write(&file, &bytes[1..]).unwrap();
        let error = relocate(&file, to.path()).unwrap_err().to_string();
        assert!(error.contains("another file of that name"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), bytes[1..]);
        assert_eq!(fs::read(&target).unwrap(), bytes);
        // The way over another file system.
        fs::remove_file(&target).unwrap();
        copy(&file, &target).unwrap();
        assert!(are_same(&file, &target).unwrap());
    }
}
