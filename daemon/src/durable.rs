//! What makes a file or its name outlast a power cut (S1). No decision about what is written, and no words for a failure:
//! those are the caller's.

use std::{fs::File, io, path::Path};

/// Makes what is at `path` durable as it is: a file's bytes, or the names in a directory, which no file's own sync covers.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path).and_then(|handle| handle.sync_all())
}

/// The directory that holds `path`; `.` for a bare name.
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
