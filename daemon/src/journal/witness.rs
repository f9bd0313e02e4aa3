//! The witness: the number of the last durable step, beside the store, so that a store that went back is noticed (S3).

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::JournalError;
use crate::little_endian::u64_at;

/// The open witness of a state directory.
pub(super) struct Witness {
    path: PathBuf,
    file: File,
}

impl Witness {
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(JournalError::io("open", path))?;
        let path = path.to_owned();
        Ok(Self { path, file })
    }

    /// Step `sequence` is durable. Never synced: after a power cut the witness may be behind the store, but it is never
    /// ahead of it.
    pub(super) fn write(&self, sequence: u64) -> Result<(), JournalError> {
        self.file
            .write_all_at(&encode(sequence), 0)
            .map_err(JournalError::io("write", &self.path))
    }
}

/// What the witness says of the last durable step; `None` when it says nothing that can be read.
pub(super) fn read(path: &Path) -> Option<u64> {
    let bytes: [u8; 12] = std::fs::read(path).ok()?.try_into().ok()?;
    let sequence = u64_at(&bytes, 0);
    (encode(sequence) == bytes).then_some(sequence)
}

fn encode(sequence: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&sequence.to_le_bytes());
    let check = crc32fast::hash(&bytes[..8]);
    bytes[8..].copy_from_slice(&check.to_le_bytes());
    bytes
}
