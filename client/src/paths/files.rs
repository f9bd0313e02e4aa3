//! Decides how private files come to be: whole or not at all, durable, readable by their owner
//! alone (T6). Must not decide what stands in them.

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Whether a file was made by this call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It was, with the bytes given.
    Now,
    /// It was there before, and is untouched.
    Before,
}

/// Makes `path` with `bytes`, mode 0600, unless it exists: of several processes that race, one
/// makes it and nobody ever sees it half written. Missing directories are made, mode 0700.
///
/// # Errors
/// Whatever the file system answered; then `path` is as it was.
pub fn create_private(path: &Path, bytes: &[u8]) -> io::Result<Created> {
    private_directory(directory_of(path))?;
    let (draft, file) = Draft::write(path, bytes)?;
    file.sync_all()?;
    match publish(&draft.path, path) {
        Ok(()) => sync_directory(directory_of(path)).map(|()| Created::Now),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Created::Before),
        Err(error) => Err(error),
    }
}

/// Makes or replaces `path` with `bytes`, mode 0600: a reader sees the old bytes or the new ones.
/// Missing directories are made, mode 0700.
///
/// # Errors
/// Whatever the file system answered; then `path` has its old bytes or the new ones, whole.
pub fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    private_directory(directory_of(path))?;
    let (draft, file) = Draft::write(path, bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft.path, path)?;
    sync_directory(directory_of(path))
}

/// As [`replace_private`], but not durable, and so without a wait for the disk: for what is worth
/// nothing after a power cut.
///
/// # Errors
/// As [`replace_private`].
pub fn show_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    private_directory(directory_of(path))?;
    let (draft, _) = Draft::write(path, bytes)?;
    std::fs::rename(&draft.path, path)
}

/// Makes `path` and what is missing above it, mode 0700, each name durable; what exists keeps its mode.
///
/// # Errors
/// Whatever the file system answered.
pub fn private_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = directory_of(path);
    if above != path {
        private_directory(above)?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    sync_directory(above)
}

/// A turn at a file that is replaced as a whole, so that it cannot carry the lock itself: a hidden
/// file beside it does, removed when dropped.
#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    _file: File,
}

/// Waits, on a thread of its own, until no other process or task has the turn at `path`.
///
/// # Errors
/// Whatever the file system answered.
pub async fn lock_beside(path: &Path) -> io::Result<FileLock> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let path = path.with_file_name(format!(".{}.lock", name.to_string_lossy()));
    let (tell, told) = tokio::sync::oneshot::channel();
    let wait = std::thread::Builder::new().name("usher-file-lock".to_owned());
    // Whoever gives the wait up drops the lock as soon as it comes.
    wait.spawn(move || drop(tell.send(lock(path))))?;
    told.await.map_err(io::Error::other)?
}

fn lock(path: PathBuf) -> io::Result<FileLock> {
    loop {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        // The one before us may have removed it between our opening and our turn.
        if file.metadata()?.nlink() > 0 {
            return Ok(FileLock { path, _file: file });
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Still locked: who waits for it sees that it is gone. A leftover is harmless.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A complete file under a name that nobody looks for, removed when dropped.
struct Draft {
    path: PathBuf,
}

impl Draft {
    /// Not durable yet: that is for the caller, who gets the open file.
    fn write(target: &Path, bytes: &[u8]) -> io::Result<(Draft, File)> {
        let path = target.with_file_name(draft_name(target)?);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let draft = Draft { path };
        file.write_all(bytes)?;
        Ok((draft, file))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename it is gone already; otherwise a leftover is harmless.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Hidden, and random so that drafts of racing processes never meet.
fn draft_name(target: &Path) -> io::Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let name = target
        .file_name()
        .ok_or(io::ErrorKind::InvalidFilename)?
        .to_string_lossy();
    // A long name is cut, for the file system's own limit of 255 bytes.
    let name: String = name.chars().take(40).collect();
    Ok(format!(
        ".{name}.{}",
        data_encoding::HEXLOWER.encode(&random)
    ))
}

/// Gives `draft` its name unless that is taken. A link does so everywhere but on file systems
/// without links; those are asked for a rename that does not replace.
fn publish(draft: &Path, path: &Path) -> io::Result<()> {
    match std::fs::hard_link(draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => Ok(renameat_with(
            CWD,
            draft,
            CWD,
            path,
            RenameFlags::NOREPLACE,
        )?),
        Ok(()) => Ok(()),
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// A new name is durable only once its directory is.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_and_its_directories_are_private() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/usher/a.key");
        assert_eq!(create_private(&path, b"one").unwrap(), Created::Now);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&home.path().join("state")), 0o700);
        assert_eq!(mode(&home.path().join("state/usher")), 0o700);
    }

    #[test]
    fn an_existing_file_is_left_alone_by_one_and_replaced_by_the_others() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        std::fs::write(&path, "old").unwrap();
        assert_eq!(create_private(&path, b"new").unwrap(), Created::Before);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        for replace in [replace_private, show_private] {
            std::fs::write(&path, "old").unwrap();
            replace(&path, b"new").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"new");
            assert_eq!(mode(&path), 0o600);
        }
        let names: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "a draft was left behind");
    }

    #[test]
    fn of_many_at_once_one_makes_it_and_all_see_it_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("raced");
        let made: Vec<Created> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..16_u8)
                .map(|byte| {
                    let path = &path;
                    scope.spawn(move || {
                        let created = create_private(path, &[byte; 4096]).unwrap();
                        let seen = std::fs::read(path).unwrap();
                        assert!(seen.len() == 4096 && seen.iter().all(|all| *all == seen[0]));
                        created
                    })
                })
                .collect();
            racers
                .into_iter()
                .map(|racer| racer.join().unwrap())
                .collect()
        });
        assert_eq!(
            made.iter()
                .filter(|created| **created == Created::Now)
                .count(),
            1
        );
    }
}
