//! A bar for a person who waits for a long log; nothing where nobody looks.

use std::{fs, path::Path};

use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::usage::Entry;

/// How far the reading is, in bytes.
pub(in crate::cli) struct Progress(ProgressBar);

impl Progress {
    /// Begins, for the log in `directory`.
    pub(in crate::cli) fn start(directory: &Path) -> Self {
        let bytes = bytes_in(directory);
        if bytes < WORTH_A_BAR_BYTES {
            return Self::hidden();
        }
        // Standard error; drawn on a terminal alone.
        Self(ProgressBar::with_draw_target(
            Some(bytes),
            ProgressDrawTarget::stderr(),
        ))
    }

    /// Shows nothing.
    pub(super) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// One more entry is read.
    pub(in crate::cli) fn add(&mut self, entry: &Entry) {
        self.0.inc(entry.body.len() as u64 + ENTRY_FRAME_BYTES);
    }

    /// Leaves no trace.
    pub(in crate::cli) fn end(self) {
        self.0.finish_and_clear();
    }
}

fn bytes_in(directory: &Path) -> u64 {
    let Ok(files) = fs::read_dir(directory) else {
        return 0;
    };
    let lengths = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
    lengths.sum()
}

/// Less is read before a person looks up.
const WORTH_A_BAR_BYTES: u64 = 32 << 20;
/// What an entry has beside its body (docs/formats.md).
const ENTRY_FRAME_BYTES: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_for_long_logs_and_as_long_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let file = fs::File::create(directory.path().join("usage-1.log")).unwrap();
        file.set_len(WORTH_A_BAR_BYTES - 1).unwrap();
        assert_eq!(Progress::start(directory.path()).0.length(), None);
        file.set_len(WORTH_A_BAR_BYTES).unwrap();
        let bar = Progress::start(directory.path()).0;
        assert_eq!(bar.length(), Some(WORTH_A_BAR_BYTES));
    }
}
