//! Builds a new store beside the old one and puts it in its place; the old one is kept.
//!
//! It decides nothing about content. A crash at any point leaves a directory that a daemon refuses to
//! start on, or the finished one.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::meta::Meta;
use super::open;
use super::restore::{Rebuilt, give_all};
use super::store::Change;
use super::survey::{State, read_store};
use super::{JournalError, Restored, SledOptions, StorePaths, Write, files, witness};
use crate::usage::{Entry, Writer};

/// What the new store is to hold.
pub(super) struct Plan {
    /// Its numbers; `restored` is set.
    pub(super) meta: Meta,
    pub(super) state: State,
    /// Moves the old log aside and begins a new one after `meta.logged`.
    pub(super) new_log: bool,
    /// Events that join the log at once.
    pub(super) waiting: Vec<Entry>,
    pub(super) findings: Vec<String>,
}

pub(super) fn put_in_place(
    paths: &StorePaths,
    plan: Plan,
    options: &SledOptions,
) -> Result<Rebuilt, JournalError> {
    let Plan {
        mut meta,
        state,
        new_log,
        waiting,
        findings,
    } = plan;
    let epoch = meta.epoch;
    let replaced_log = if new_log {
        move_aside(&paths.usage, epoch)?
    } else {
        None
    };
    meta.last_number = meta.logged.number;
    if new_log || !waiting.is_empty() {
        let mut writer = log_writer(paths, new_log, &meta, options)?;
        meta.logged = writer.append(waiting.iter().map(Entry::encode))?;
        meta.last_number = meta.logged.number;
    }
    // The witness must never be ahead of the new store.
    meta.sequence = witness::read(&paths.witness).unwrap_or(0);
    let building = StorePaths {
        store: paths.state.join("store.new"),
        ..paths.clone()
    };
    // An unfinished one, or the old store of a swap that a crash cut in two: kept either way.
    move_aside(&building.store, epoch)?;
    build(&building, &state, &meta, options)?;
    let replaced_store = swap(&building.store, &paths.store, epoch)?;
    files::sync_directory(&paths.state)?;
    let kept: Vec<&Path> = [&replaced_store, &replaced_log]
        .into_iter()
        .flatten()
        .map(PathBuf::as_path)
        .collect();
    give_all(paths, &kept)?;
    Ok(Rebuilt {
        epoch,
        head: meta.head,
        records: state.len() as u64,
        restored: meta.restored.unwrap_or_else(nothing),
        replaced_store,
        replaced_log,
        findings,
    })
}

/// The log that goes on after `meta.logged`: the one that is there, or a new one.
fn log_writer(
    paths: &StorePaths,
    new_log: bool,
    meta: &Meta,
    options: &SledOptions,
) -> Result<Writer, JournalError> {
    let bytes_max = options.segment_bytes_max;
    if new_log {
        files::create_directory(&paths.usage)?;
        return Ok(Writer::begin(&paths.usage, meta.logged, bytes_max)?);
    }
    Ok(Writer::open(&paths.usage, meta.known(), bytes_max)?)
}

/// Writes the new store and reads it back once before it counts.
fn build(
    building: &StorePaths,
    state: &State,
    meta: &Meta,
    options: &SledOptions,
) -> Result<(), JournalError> {
    let mut store = open::create_new(building, &options.format, meta.clone())?;
    let records: Vec<_> = state.iter().collect();
    for chunk in records.chunks(BATCH_RECORDS) {
        let writes: Vec<Write> = chunk
            .iter()
            .map(|(key, value)| Write {
                key: (*key).clone(),
                value: Some((*value).clone()),
            })
            .collect();
        let numbers = store.meta.clone();
        store.step(&Change::of(&writes), numbers)?;
    }
    drop(store);
    if read_store(building, &options.format)?.state == *state {
        return Ok(());
    }
    Err(JournalError::corrupt(
        &building.store,
        "the new store does not read as it was written",
    ))
}

/// Puts the finished store in place and keeps the old one aside. Where the file system can exchange two
/// names at once, no crash leaves the directory without a store.
fn swap(finished: &Path, store: &Path, epoch: u64) -> Result<Option<PathBuf>, JournalError> {
    let exchanged = renameat_with(CWD, finished, CWD, store, RenameFlags::EXCHANGE);
    if exchanged.is_ok() {
        files::sync_directory(files::parent_of(store))?;
        return move_aside_as(finished, store, epoch);
    }
    let replaced = move_aside(store, epoch)?;
    fs::rename(finished, store).map_err(JournalError::io("put in place", store))?;
    Ok(replaced)
}

/// Renames `path` after the epoch that replaces it; `None` when there is nothing.
fn move_aside(path: &Path, epoch: u64) -> Result<Option<PathBuf>, JournalError> {
    if !path.exists() {
        return Ok(None);
    }
    move_aside_as(path, path, epoch)
}

/// Renames `path` to what `name` becomes once it is replaced.
fn move_aside_as(path: &Path, name: &Path, epoch: u64) -> Result<Option<PathBuf>, JournalError> {
    let mut aside = files::with_suffix(name, &format!(".replaced-{epoch}"));
    let mut again = 1;
    while aside.exists() {
        again += 1;
        aside = files::with_suffix(name, &format!(".replaced-{epoch}-{again}"));
    }
    fs::rename(path, &aside).map_err(JournalError::io("move aside", path))?;
    files::sync_directory(files::parent_of(path))?;
    Ok(Some(aside))
}

fn nothing() -> Restored {
    let source = super::RestoreSource::Nothing;
    Restored {
        source,
        copy_head: 0,
        replayed_number: 0,
        complete: false,
    }
}

const BATCH_RECORDS: usize = 4096;
