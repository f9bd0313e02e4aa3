//! Doors for `fuzz/`, which is built with `--cfg fuzzing`: stored bytes without a store. Decides nothing.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::{
    JournalError, SnapshotInfo, backup,
    frame::{self, Kind, META_KEY},
    meta::Meta,
    steps,
};

/// Reads what stands under a key of the store: any of its four kinds of record.
pub fn read(key: &[u8], bytes: &[u8]) {
    for kind in [Kind::Value, Kind::Piece, Kind::Meta, Kind::Outbox] {
        let _ = frame::unframe(kind, key, bytes);
    }
    if let Some((version, meta)) = Meta::decode(bytes) {
        assert_eq!(Meta::decode(&meta.encode(version)), Some((version, meta)));
    }
}

/// The journal's own numbers under a checksum that holds, whatever they say.
pub fn write_meta(version: u8, payload: &[u8]) -> Vec<u8> {
    frame::frame(version, Kind::Meta, 1, META_KEY, payload)
}

/// Reads a file of steps.
pub fn read_steps(file: &[u8]) {
    steps::fuzzing::read(file);
}

/// A file with one step whose checksum holds, whatever its numbers and pieces say.
pub fn write_steps(numbers: &[u8], pieces: &[u8]) -> Vec<u8> {
    steps::fuzzing::write(numbers, pieces)
}

/// Reads a snapshot.
///
/// # Errors
/// As [`backup::read_snapshot`].
pub fn read_snapshot(
    bytes: &[u8],
    each: impl FnMut(backup::Record) -> Result<(), JournalError>,
) -> Result<SnapshotInfo, JournalError> {
    backup::read_bytes(Path::new("a.snapshot"), bytes, bytes.len() as u64, each)
}

/// A snapshot of these bytes with the digest that belongs to them.
pub fn write_snapshot(bytes: &[u8]) -> Vec<u8> {
    [bytes, &Sha256::digest(bytes)].concat()
}
