//! The off-line verbs on a store: back it up, restore it from a snapshot, repair it (S6, L12).
//!
//! They decide what the new state is made of. Each takes the directory's lock first, so none runs beside
//! a daemon. `rebuild.rs` puts the new store in place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::backup::Record;
use super::base;
use super::meta::Meta;
use super::open::{self, Format};
use super::paths::DirectoryLock;
use super::rebuild::{self, Plan};
use super::survey::{Contents, State, read_copy, read_store, walk_log};
use super::{
    JournalError, RestoreSource, Restored, SledJournal, SledOptions, SnapshotHeader, SnapshotInfo,
    StorePaths, Write, files,
};
use crate::usage::{Entry, LogHead};

/// Live state by key.
pub type Live = BTreeMap<Vec<u8>, Vec<u8>>;

/// Turns one usage-log entry into what it changed in the state that is live by then; `Err` says why it cannot.
pub type Replay<'a> = &'a mut dyn FnMut(&Entry, &Live) -> Result<Vec<Write>, String>;

/// What a restore or repair has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The new epoch, above every one that could be read (L12).
    pub epoch: u64,
    /// The commit number it goes on from.
    pub head: u64,
    /// Number of live keys.
    pub records: u64,
    /// What the daemon will find in [`super::Loaded::restored`].
    pub restored: Restored,
    /// The store that was replaced, kept for inspection.
    pub replaced_store: Option<PathBuf>,
    /// The usage log that was replaced because its chain is broken or of another history.
    pub replaced_log: Option<PathBuf>,
    /// What was wrong with the old store and the old log, for the administrator.
    pub findings: Vec<String>,
}

/// Puts the state back to `snapshot`, and plays what the usage log has since on top, if it can.
///
/// `epoch_floor` is the present in Unix seconds. Errors: `Fenced` while a daemon runs here; `Corrupt` for
/// a damaged snapshot, before anything is touched.
pub fn restore(
    state: &Path,
    snapshot: &Path,
    epoch_floor: u64,
    replay: Option<Replay<'_>>,
    options: &SledOptions,
) -> Result<Rebuilt, JournalError> {
    let paths = StorePaths::new(state);
    let _lock = DirectoryLock::take(&paths)?;
    let (header, live) = read_copy(snapshot, &options.format)?;
    if let Some(cut) = base::cut(&paths)? {
        cut.check_reaches(snapshot, &header)?;
    }
    let mut findings = Vec::new();
    let old = drained(&paths, options, &mut findings)?;
    let base = Base {
        source: RestoreSource::Snapshot,
        state: live,
        head: header.head,
        epoch: header.epoch,
        log: header.log,
        applied: header.log.number,
        proven_last: old.as_ref().map(|old| old.meta.last_number),
    };
    finish(
        &paths,
        base,
        old.as_ref(),
        epoch_floor,
        replay,
        options,
        findings,
    )
}

/// Makes a store that a daemon can start on, out of what is left.
///
/// It goes on from the store itself if its records are whole, else, or where it is newer, from `snapshot` or the usage
/// log's base, else from the usage log alone, else from nothing. Seats are then held as L12 says. Errors as for [`restore`].
pub fn repair(
    state: &Path,
    snapshot: Option<&Path>,
    epoch_floor: u64,
    replay: Option<Replay<'_>>,
    options: &SledOptions,
) -> Result<Rebuilt, JournalError> {
    let paths = StorePaths::new(state);
    let _lock = DirectoryLock::take(&paths)?;
    let mut findings = Vec::new();
    let old = survivor(&paths, &options.format, &mut findings);
    let copy = newest_copy(&paths, snapshot, old.as_ref(), options, &mut findings)?;
    let base = match (&old, copy) {
        (Some(old), None) => Base {
            source: RestoreSource::Snapshot,
            state: old.state.clone(),
            head: old.meta.head,
            epoch: old.meta.epoch,
            log: old.meta.logged,
            applied: old.meta.last_number,
            proven_last: None,
        },
        (_, Some((header, live))) => Base {
            source: RestoreSource::Snapshot,
            state: live,
            head: header.head,
            epoch: header.epoch,
            log: header.log,
            applied: header.log.number,
            proven_last: None,
        },
        (None, None) => Base::nothing(replay.is_some()),
    };
    finish(
        &paths,
        base,
        old.as_ref(),
        epoch_floor,
        replay,
        options,
        findings,
    )
}

/// What a repair goes on from in place of `old`, which may have gone back: the given snapshot, or the log's base.
fn newest_copy(
    paths: &StorePaths,
    snapshot: Option<&Path>,
    old: Option<&Contents>,
    options: &SledOptions,
    findings: &mut Vec<String>,
) -> Result<Option<(SnapshotHeader, State)>, JournalError> {
    let given = match snapshot {
        Some(path) => Some((path, read_copy(path, &options.format)?)),
        None => None,
    };
    let is_newer = |it: &(SnapshotHeader, State)| old.is_none_or(|old| old.meta.head < it.0.head);
    let Some(cut) = base::cut(paths)? else {
        return Ok(given.map(|(_, copy)| copy).filter(is_newer));
    };
    let reaching = match given {
        Some((path, copy)) => match cut.check_reaches(path, &copy.0) {
            Ok(()) => Some(copy),
            Err(error) => {
                findings.push(error.to_string());
                None
            }
        },
        None => None,
    };
    let base = match cut.base(paths, &options.format) {
        Ok(base) => Some(base),
        // S2: with neither, leases would be lost that the retired files still tell of.
        Err(error) if old.is_none() && reaching.is_none() => return Err(error),
        Err(error) => {
            findings.push(error.to_string());
            None
        }
    };
    let copies = [base, reaching].into_iter().flatten().filter(is_newer);
    Ok(copies.max_by_key(|(header, _)| header.head))
}

/// Writes a snapshot of a stopped daemon's store; a running one is asked to write its own (S6).
pub fn backup_stopped(
    state: &Path,
    target: &Path,
    options: &SledOptions,
) -> Result<SnapshotInfo, JournalError> {
    let paths = StorePaths::new(state);
    let _lock = DirectoryLock::take(&paths)?;
    refuse_without_store(&paths)?;
    let info = SledJournal::open_locked(&paths, None, options)?.copy_drained(target)?;
    give_all(&paths, &[])?;
    Ok(info)
}

/// The usage log's head as a stopped daemon's store knows it: what proves that no tail is missing.
pub fn log_head(state: &Path, format: &Format) -> Result<LogHead, JournalError> {
    let paths = StorePaths::new(state);
    let _lock = DirectoryLock::take(&paths)?;
    refuse_without_store(&paths)?;
    let head = open::open(&paths, format)?.meta.logged;
    give_all(&paths, &[])?;
    Ok(head)
}

/// Every live key of a stopped daemon's store, also of one that went back; nothing is changed.
pub fn stopped_records(state: &Path, format: &Format) -> Result<Vec<Record>, JournalError> {
    let paths = StorePaths::new(state);
    let _lock = DirectoryLock::take(&paths)?;
    let contents = read_store(&paths, format)?;
    give_all(&paths, &[])?;
    Ok(contents.state.into_iter().collect())
}

/// What the new state is made of, before the log is played on top.
struct Base {
    source: RestoreSource,
    state: State,
    head: u64,
    epoch: u64,
    log: LogHead,
    /// The last event that the state has in it already, logged or not: an older one must not undo a newer.
    applied: u64,
    /// The last event there ever was, if that is proven.
    proven_last: Option<u64>,
}

impl Base {
    fn nothing(can_replay: bool) -> Self {
        let source = if can_replay {
            RestoreSource::UsageLog
        } else {
            RestoreSource::Nothing
        };
        let log = LogHead::default();
        Self {
            source,
            state: State::new(),
            head: 0,
            epoch: 0,
            log,
            applied: 0,
            proven_last: None,
        }
    }
}

fn finish(
    paths: &StorePaths,
    mut base: Base,
    old: Option<&Contents>,
    epoch_floor: u64,
    replay: Option<Replay<'_>>,
    options: &SledOptions,
    mut findings: Vec<String>,
) -> Result<Rebuilt, JournalError> {
    let copy_head = base.head;
    let (mut replayed_number, mut head) = (0, base.head);
    let mut replay = replay;
    let walk = walk_log(paths, base.log, |entry| {
        // Commit numbers must not go back below what the log has seen, replayed or not (L12).
        head = head.max(entry.head);
        let is_in = entry.number <= base.applied;
        let Some(replay) = replay.as_mut().filter(|_| !is_in) else {
            return Ok(());
        };
        let writes = replay(&entry, &base.state).map_err(|detail| {
            let detail = format!("entry {} cannot be replayed: {detail}", entry.number);
            JournalError::corrupt(&paths.usage, detail)
        })?;
        apply(&mut base.state, writes);
        replayed_number = entry.number;
        Ok(())
    })?;
    findings.extend(walk.broken.as_ref().map(ToString::to_string));
    if let Some(old) = old {
        head = head.max(old.meta.head);
    }
    let is_whole = walk.joined && walk.broken.is_none();
    let complete = is_whole
        && base.proven_last == Some(walk.end.number)
        && (replay.is_some() || walk.end == base.log);
    let restored = Restored {
        source: base.source,
        copy_head,
        replayed_number,
        complete,
    };
    let known = [base.epoch, walk.epoch, old.map_or(0, |old| old.meta.epoch)];
    let epoch = epoch_floor.max(known.into_iter().max().unwrap_or(0) + 1);
    // A log that is whole goes on; another one is moved aside, and a new one goes on from what is known.
    let furthest = std::cmp::max_by_key(walk.end, base.log, |it| it.number);
    let old_waits = old.filter(|old| old.meta.logged == base.log);
    let waiting = old_waits.map_or_else(Vec::new, |old| {
        // A log that goes on tells nothing that the state does not hold.
        let known_last = if is_whole { base.applied } else { u64::MAX };
        old.waiting(furthest.number, known_last)
    });
    let plan = Plan {
        meta: Meta {
            epoch,
            head,
            logged: if is_whole { walk.end } else { furthest },
            committed: true,
            restored: Some(restored),
            ..Meta::default()
        },
        state: base.state,
        new_log: !is_whole,
        waiting,
        findings,
    };
    rebuild::put_in_place(paths, plan, options)
}

/// Opens the old store as a daemon would, so that its last events reach the log; a broken one is `None`.
fn drained(
    paths: &StorePaths,
    options: &SledOptions,
    findings: &mut Vec<String>,
) -> Result<Option<Contents>, JournalError> {
    if !paths.store.join("db").exists() {
        return Ok(None);
    }
    let outcome = SledJournal::open_locked(paths, None, options)
        .map(drop)
        .and_then(|()| read_store(paths, &options.format));
    match outcome {
        Ok(old) => Ok(Some(old)),
        Err(error @ JournalError::Io { .. }) => Err(error),
        Err(error) => {
            findings.push(error.to_string());
            Ok(survivor(paths, &options.format, findings))
        }
    }
}

/// The old store if its records are whole, even if it went back or its log is broken.
fn survivor(paths: &StorePaths, format: &Format, findings: &mut Vec<String>) -> Option<Contents> {
    match read_store(paths, format) {
        Ok(old) => Some(old),
        Err(error) => {
            findings.push(error.to_string());
            None
        }
    }
}

fn apply(state: &mut State, writes: Vec<Write>) {
    for Write { key, value } in writes {
        match value {
            Some(value) => state.insert(key, value),
            None => state.remove(&key),
        };
    }
}

fn refuse_without_store(paths: &StorePaths) -> Result<(), JournalError> {
    if paths.store.join("db").exists() {
        return Ok(());
    }
    Err(JournalError::corrupt(&paths.store, "there is no store"))
}

/// S7: what these verbs touched belongs to the daemon's user.
pub(super) fn give_all(paths: &StorePaths, more: &[&Path]) -> Result<(), JournalError> {
    let StorePaths {
        state,
        store,
        usage,
        marker,
        witness,
        lock,
    } = paths;
    let written: Vec<&Path> = [store, usage, marker, witness, lock]
        .iter()
        .map(|path| path.as_path())
        .collect();
    files::give_to_owner_of(state, &[&written, more].concat())
}
