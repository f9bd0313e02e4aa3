//! Files that appear whole or not at all, and never over another.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use crate::error::Error;

/// A directory only its owner enters (0700), made with its parents.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::file("cannot make the directory", path))
}

/// Writes a new file durably; an existing one is left alone and is an error.
///
/// The content goes to a temporary name first and is then linked, so that two issuers at once
/// cannot overwrite each other and a crash leaves no half file.
pub(crate) fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let temporary = temporary(path);
    write_durably(&temporary, content, mode)?;
    let linked = fs::hard_link(&temporary, path);
    let removed = fs::remove_file(&temporary);
    linked
        .and(removed)
        .map_err(Error::file("will not overwrite, or cannot create,", path))?;
    sync_parent(path)
}

/// Writes a file durably in place of an older one.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let temporary = temporary(path);
    write_durably(&temporary, content, mode)?;
    fs::rename(&temporary, path).map_err(Error::file("cannot replace", path))?;
    sync_parent(path)
}

/// Appends one line durably.
pub(crate) fn append_line(path: &Path, line: &str) -> Result<(), Error> {
    let error = || Error::file("cannot append to", path);
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(error())?;
    file.write_all(format!("{line}\n").as_bytes())
        .map_err(error())?;
    file.sync_all().map_err(error())?;
    sync_parent(path)
}

/// The whole text of a file.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::file("cannot read", path))
}

fn temporary(path: &Path) -> std::path::PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

fn write_durably(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let error = || Error::file("cannot write", path);
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(error())?;
    file.write_all(content).map_err(error())?;
    file.sync_all().map_err(error())
}

fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(Error::file("cannot sync", parent))
}
