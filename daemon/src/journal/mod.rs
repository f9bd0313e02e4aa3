//! Decides what is durable: one trait, its backends, and the off-line verbs on a store.
//!
//! The journal deals in bytes. It must not know what a key or a value means (`records.rs` does), read
//! a clock, or decide anything about seats. Rules: DESIGN 6 (S1–S7), L12, L13.

use std::path::Path;

use crate::usage::BODY_BYTES_MAX;

pub mod backup;
mod base;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod crash_tests;
mod error;
mod files;
mod frame;
#[cfg(fuzzing)]
pub mod fuzzing;
mod memory;
mod meta;
mod nudge;
mod open;
mod paths;
#[cfg(test)]
mod piece_tests;
mod pieces;
mod rebuild;
mod restore;
#[cfg(test)]
mod restore_tests;
#[cfg(test)]
mod retire_tests;
mod settle;
mod sled;
mod steps;
mod store;
mod survey;
mod witness;

pub use self::sled::{SledJournal, SledOptions};
pub use backup::{SnapshotHeader, SnapshotInfo};
pub use base::{base_of, keep_base, older_bases, retired_base, told_by_base};
pub use error::JournalError;
pub use frame::STORE_VERSION;
pub use memory::{MemoryJournal, MemoryStore};
pub use open::{Convert, Format};
pub use paths::StorePaths;
pub use restore::{
    Live, Rebuilt, Replay, backup_stopped, log_head, repair, restore, stopped_records,
};
pub use settle::LogWatch;

/// Where the daemon's state becomes durable (S1). One thread owns a journal (A2).
///
/// The order of calls is `acquire`, `load`, then any number of `commit` and `snapshot`, then `resign`.
/// After any error the journal is poisoned: every later call is an error and the daemon leaves
/// (S4, L13). What it holds in memory may then be ahead of its disk, so nothing is read back.
pub trait Journal: Send {
    /// Takes office: the new epoch is `max(stored + 1, epoch_floor)` and is durable on return (L12).
    fn acquire(&mut self, epoch_floor: u64) -> Result<u64, JournalError>;

    /// What this life begins with, the live state apart. `epoch` is the one `acquire` gave, or it is `Fenced`.
    fn load(&mut self, epoch: u64) -> Result<Loaded, JournalError>;

    /// Reads and checks the whole live state, and gives every live key with its value to `each`, in the order of the
    /// keys. Nothing that was given counts unless all of it was sound (S3).
    fn records(
        &mut self,
        epoch: u64,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), JournalError>;

    /// The whole live state in memory: for a small one.
    fn all_records(&mut self, epoch: u64) -> Result<Vec<Stored>, JournalError> {
        let mut all = Vec::new();
        self.records(epoch, &mut |key, value| {
            all.push((key.to_vec(), value.to_vec()));
        })?;
        Ok(all)
    }

    /// Makes one batch durable, all of it or nothing (S1).
    ///
    /// `head` is the engine's commit number after the batch and must not decrease. A foreign epoch is
    /// `Fenced`.
    fn commit(&mut self, epoch: u64, head: u64, batch: &Batch) -> Result<(), JournalError>;

    /// Whether everything committed so far is as safe as was promised: the usage log is written beside
    /// the calls, and its failure is an error here as everywhere (L13). Costs no disk.
    fn check(&mut self) -> Result<(), JournalError>;

    /// Has `wake` called once, from any thread, when something fails beside the calls; at once if it
    /// has already. It must not wait, and the error itself is for the next call.
    fn wake_on_failure(&mut self, wake: Wake);

    /// Copies the live state as of the last commit into the new file `target` (S6).
    ///
    /// Every event committed so far is in the usage log when this returns.
    fn snapshot(&mut self, target: &Path) -> Result<SnapshotInfo, JournalError>;

    /// Leaves office cleanly: every event is in the usage log, and nothing can be committed after it.
    fn resign(&mut self) -> Result<(), JournalError>;
}

/// A live key with its value.
pub type Stored = (Vec<u8>, Vec<u8>);

/// Rings for the owner of a journal.
pub type Wake = Box<dyn FnOnce() + Send>;

/// One atomic, durable step (S1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Applied in order: of two writes to one key the later one counts.
    pub writes: Vec<Write>,
    /// Entries for the usage log; they ride in the same step (S2).
    pub events: Vec<Event>,
    /// Removes [`Loaded::restored`]. Set it in the batch that holds the engine's own record of the hold
    /// that L12 asks for, so that a crash can lose neither.
    pub restored_settled: bool,
    /// Everything up to and with this batch's events is to be in the usage log, durably, when `commit`
    /// returns, and not only on its way there (S2).
    pub wait_for_log: bool,
}

/// One key set or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// 1 to [`KEY_BYTES_MAX`] bytes.
    pub key: Vec<u8>,
    /// At most [`VALUE_BYTES_MAX`] bytes; `None` removes the key.
    pub value: Option<Vec<u8>>,
}

/// One usage-log entry. The journal numbers it; numbers start at 1 and go on across daemon lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Opaque, at most [`crate::usage::BODY_BYTES_MAX`] bytes.
    pub body: Vec<u8>,
}

/// What `load` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The last commit number made durable; 0 before the first.
    pub head: u64,
    /// How many stored records there are to read; one that is longer than a piece counts as its pieces.
    pub records: u64,
    /// Set after a restore or a repair until a batch settles it (L12).
    pub restored: Option<Restored>,
    /// No batch was ever committed to this store. With a site key older than this life, seats are to
    /// be held as after a restore (L12).
    pub fresh: bool,
}

/// The state comes from a copy, so leases may be out that it does not know (L12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Where the state came from.
    pub source: RestoreSource,
    /// Commit number of the copy, before anything was replayed.
    pub copy_head: u64,
    /// Number of the last usage-log entry that was replayed on top; 0 if none was.
    pub replayed_number: u64,
    /// Every event since the copy was taken is proven to have been replayed: nothing is to be held.
    pub complete: bool,
}

/// Where a restored state came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreSource {
    /// A snapshot file.
    Snapshot,
    /// The usage log alone.
    UsageLog,
    /// Nothing could be read: an empty store.
    Nothing,
}

/// Longest key in bytes..
pub const KEY_BYTES_MAX: usize = 1024;

/// Longest value in bytes: 1 MiB.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// What every backend refuses before it touches its store: no partial batch, no number that goes back.
fn check_batch(store: &Path, stored: u64, head: u64, batch: &Batch) -> Result<(), JournalError> {
    let refuse = |detail: String| Err(JournalError::corrupt(store, detail));
    if head < stored {
        return refuse(format!(
            "commit number {head} after {stored}: it would go back"
        ));
    }
    for write in &batch.writes {
        if write.key.is_empty() || write.key.len() > KEY_BYTES_MAX {
            return refuse(format!(
                "a key of {} bytes (1 to {KEY_BYTES_MAX})",
                write.key.len()
            ));
        }
        let length = write.value.as_ref().map_or(0, Vec::len);
        if length > VALUE_BYTES_MAX {
            return refuse(format!(
                "a value of {length} bytes (at most {VALUE_BYTES_MAX})"
            ));
        }
    }
    for event in &batch.events {
        if event.body.len() > BODY_BYTES_MAX {
            return refuse(format!(
                "an event of {} bytes (at most {BODY_BYTES_MAX})",
                event.body.len()
            ));
        }
    }
    Ok(())
}
