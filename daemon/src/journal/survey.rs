//! What is left of a store and its log, for the verbs that rebuild one. It changes neither.

use super::meta::Meta;
use super::open::{self, Format};
use super::{JournalError, SnapshotHeader, StorePaths, backup};
use crate::usage::{Entry, LogHead, Reader, UsageError};

pub(super) use super::restore::Live as State;

/// Everything a store holds.
pub(super) struct Contents {
    pub(super) meta: Meta,
    pub(super) state: State,
    pub(super) outbox: Vec<Entry>,
}

impl Contents {
    /// What the store still kept for the log, after entry `after`, as some of it may be there already, and up to entry `last`.
    pub(super) fn waiting(&self, after: u64, last: u64) -> Vec<Entry> {
        let joins = |it: &&Entry| (after + 1..=last).contains(&it.number);
        self.outbox.iter().filter(joins).cloned().collect()
    }
}

/// Reads a whole store, also one that went back; its database is closed again on return.
pub(super) fn read_store(paths: &StorePaths, format: &Format) -> Result<Contents, JournalError> {
    if !paths.store.join("db").exists() {
        return Err(JournalError::corrupt(&paths.store, "there is no store"));
    }
    let store = open::open_any(paths, format)?;
    let mut state = State::new();
    store.scan(|key, value| {
        state.insert(key.to_vec(), value.to_vec());
        Ok(())
    })?;
    Ok(Contents {
        meta: store.meta.clone(),
        state,
        outbox: store.outbox()?,
    })
}

/// Reads a snapshot's state, converted to the version of `format` (S7).
pub(super) fn read_copy(
    path: &std::path::Path,
    format: &Format,
) -> Result<(SnapshotHeader, State), JournalError> {
    let mut state = State::new();
    let info = backup::read_snapshot(path, |(key, value)| {
        state.insert(key, value);
        Ok(())
    })?;
    let version = info.header.store_version;
    if version > format.version {
        return Err(open::too_new(path, version, format));
    }
    if version == format.version {
        return Ok((info.header, state));
    }
    let mut converted = State::new();
    for (key, value) in &state {
        let records = (format.convert)(version, key, value).map_err(|detail| {
            JournalError::corrupt(path, format!("a record cannot be converted: {detail}"))
        })?;
        converted.extend(records);
    }
    Ok((info.header, converted))
}

/// What a walk through the usage log met.
pub(super) struct Walk {
    /// The last entry that is proven.
    pub(super) end: LogHead,
    /// Epoch of that entry.
    pub(super) epoch: u64,
    /// The place that was looked for is on this chain: what follows it can be replayed.
    pub(super) joined: bool,
    /// What ended the walk early.
    pub(super) broken: Option<UsageError>,
}

/// Walks the log and hands each entry after `base` to `each`, provided `base` is on its chain.
pub(super) fn walk_log(
    paths: &StorePaths,
    base: LogHead,
    mut each: impl FnMut(Entry) -> Result<(), JournalError>,
) -> Result<Walk, JournalError> {
    let empty = Walk {
        end: LogHead::default(),
        epoch: 0,
        joined: base.number == 0,
        broken: None,
    };
    if !paths.usage.is_dir() {
        return Ok(empty);
    }
    let mut walk = empty;
    let mut reader = Reader::open(&paths.usage, None)?;
    while let Some(next) = reader.next() {
        let entry = match next {
            Ok(entry) => entry,
            Err(error @ UsageError::Broken { .. }) => {
                walk.broken = Some(error);
                break;
            }
            Err(error) => return Err(error.into()),
        };
        if reader.verified().entries == 1 {
            walk.joined = reader.verified().begin == base;
        }
        walk.end = reader.verified().head;
        walk.epoch = walk.epoch.max(entry.epoch);
        if entry.number > base.number && walk.joined {
            each(entry)?;
        }
        walk.joined |= walk.end == base;
    }
    if reader.verified().entries == 0 {
        // Segments without an entry still say where they begin.
        walk.end = reader.verified().head;
        walk.joined = walk.end == base;
    }
    Ok(walk)
}
