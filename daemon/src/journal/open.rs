//! Opening a store: what is mended, what is refused, and when a new one may be made (S3, S7).
//!
//! It must never take a lost store for a new one.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::error::NEXT_NEWER;
use super::frame::{META_KEY, STORE_VERSION};
use super::meta::{self, Meta};
use super::pieces::pieces;
use super::store::{Change, Database, Fault, Store, guarded};
use super::{JournalError, SnapshotHeader, StorePaths, backup, files, steps, witness};

/// The version of stored records, and how an older one becomes this one (S7).
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// What this usherd writes.
    pub version: u8,
    /// Gives the records that replace the record of this version, key and value; `Err` says why not.
    pub convert: Convert,
}

/// See [`Format::convert`].
pub type Convert = fn(u8, &[u8], &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, String>;

impl Format {
    /// The format of this usherd. There is no older one yet.
    pub fn current() -> Self {
        Self {
            version: STORE_VERSION,
            convert: |version, _, _| Err(format!("store version {version} is not known")),
        }
    }
}

/// Opens the store of `paths`, or makes one where there never was one.
pub(super) fn open(paths: &StorePaths, format: &Format) -> Result<Store, JournalError> {
    let (store, damage) = open_in_part(paths, format)?;
    match damage {
        Some(damage) => Err(damage),
        None => check_witness(paths, &store.meta).map(|()| store),
    }
}

/// As `open`, but takes a store that went back as well: `usherd repair` goes on from there.
pub(super) fn open_any(paths: &StorePaths, format: &Format) -> Result<Store, JournalError> {
    open_in_part(paths, format).map(|(store, _)| store)
}

/// The store as far as it can be read, and what of its steps cannot.
fn open_in_part(
    paths: &StorePaths,
    format: &Format,
) -> Result<(Store, Option<JournalError>), JournalError> {
    let was_made = paths.marker.exists();
    if was_made && !paths.store.join("db").exists() {
        return Err(lost(paths));
    }
    remove_unfinished_snapshots(&paths.store)?;
    let db = match open_sled(&paths.store) {
        // A first start that a crash or a full disk cut short: it came as far as no log, so it has promised nothing.
        Err(JournalError::Corrupt { .. }) if !was_made && !paths.usage.exists() => {
            fs::remove_dir_all(&paths.store).map_err(JournalError::io("remove", &paths.store))?;
            open_sled(&paths.store)?
        }
        other => other?,
    };
    let Some(bytes) = guarded(&paths.store, || Ok(db.get(META_KEY)?))? else {
        let is_empty = guarded(&paths.store, || Ok(db.is_empty()))?;
        if was_made || !is_empty {
            return Err(lost(paths));
        }
        return create(paths, db, format.version, Meta::default()).map(|store| (store, None));
    };
    let (version, meta) = read_meta(paths, &bytes, format)?;
    let mut store = Store::new(paths, db, version, meta)?;
    let damage = take_in_steps(&mut store)?;
    if version < format.version {
        convert(&mut store, version, format)?;
    }
    if !was_made {
        // A crash came between the store's first step and its marker.
        mark(paths)?;
    }
    Ok((store, damage))
}

/// Brings to sled what a crash left in the steps' files, and gives what is missing there.
fn take_in_steps(store: &mut Store) -> Result<Option<JournalError>, JournalError> {
    let left = steps::read(&store.paths.store, store.meta.sequence)?;
    let epoch = store.meta.epoch;
    // An epoch is sled's before any step of it is written (L12).
    if left.steps.iter().any(|step| step.place().epoch != epoch) {
        let detail = "steps of another daemon life were put beside the store";
        return Ok(Some(JournalError::corrupt(&store.paths.store, detail)));
    }
    // The log may have gone on beyond what the store knows: its writer sees to that (S2).
    for piece in pieces(&left.steps) {
        store.take_in(&left.steps[piece], store.meta.logged)?;
    }
    if !left.steps.is_empty() {
        store.sync()?;
    }
    Ok(left.damage)
}

/// Makes a new store with these numbers; its directory must not hold one.
pub(super) fn create_new(
    paths: &StorePaths,
    format: &Format,
    meta: Meta,
) -> Result<Store, JournalError> {
    let db = open_sled(&paths.store)?;
    create(paths, db, format.version, meta)
}

/// Writes the marker: from now on a store has to be there.
pub(super) fn mark(paths: &StorePaths) -> Result<(), JournalError> {
    let text = "A store was made here. usherd never takes an empty store for a new one.\n";
    fs::write(&paths.marker, text).map_err(JournalError::io("write", &paths.marker))?;
    files::sync_file(&paths.marker)?;
    files::sync_directory(&paths.state)
}

fn create(
    paths: &StorePaths,
    db: Database,
    version: u8,
    meta: Meta,
) -> Result<Store, JournalError> {
    let mut store = Store::new(paths, db, version, meta)?;
    let first = store.meta.clone();
    store.step(&Change::default(), first)?;
    // S1: names and sled's own configuration are not covered by the step's sync.
    files::sync_file(&paths.store.join("conf"))?;
    files::sync_file(&paths.store.join("db"))?;
    files::sync_directory(&paths.store)?;
    files::sync_directory(files::parent_of(&paths.store))?;
    mark(paths)?;
    Ok(store)
}

/// sled writes a snapshot under this name first; a crash leaves it there, and sled stumbles over it.
fn remove_unfinished_snapshots(store: &Path) -> Result<(), JournalError> {
    for path in snapshots(store)? {
        if path
            .extension()
            .is_some_and(|extension| extension == "generating")
        {
            fs::remove_file(&path).map_err(JournalError::io("remove", &path))?;
        }
    }
    Ok(())
}

fn open_sled(store: &Path) -> Result<Database, JournalError> {
    files::create_directory(store)?;
    let opened = match try_sled(store) {
        Ok(Err(sled::Error::Corruption { .. })) => {
            // sled can rebuild its snapshot from its log: the log alone decides.
            for path in snapshots(store)? {
                let aside = files::with_suffix(&store.join("aside"), &name_of(&path));
                fs::rename(&path, &aside).map_err(JournalError::io("move aside", &path))?;
            }
            guarded(store, || Ok(try_sled(store).map_err(|()| unreadable())??))
        }
        other => guarded(store, || Ok(other.map_err(|()| unreadable())??)),
    };
    opened.map(Database::new)
}

/// `Err` when sled panicked.
fn try_sled(store: &Path) -> Result<sled::Result<sled::Db>, ()> {
    let config = sled::Config::new()
        .path(store)
        .cache_capacity(CACHE_BYTES)
        // Every batch is flushed by the step itself.
        .flush_every_ms(None);
    for _ in 1..LOCK_TRIES {
        let outcome = catch_unwind(AssertUnwindSafe(|| config.open())).map_err(|_| ())?;
        if !matches!(&outcome, Err(error) if is_locked(error)) {
            return Ok(outcome);
        }
        thread::sleep(LOCK_PAUSE);
    }
    catch_unwind(AssertUnwindSafe(|| config.open())).map_err(|_| ())
}

/// Whether sled's own lock is taken. Ours is held, so it is a thread of sled's pool that outlives a
/// database just closed, here or in a process about to end: it is gone in milliseconds.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(source) if source.to_string().contains("could not acquire lock"))
}

fn unreadable() -> Fault {
    Fault::Damage("the store is damaged: it cannot be opened".to_owned())
}

fn snapshots(store: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let entries = match fs::read_dir(store) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(JournalError::io("list", store)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(JournalError::io("list", store))?.path();
        if name_of(&path).starts_with("snap.") {
            found.push(path);
        }
    }
    Ok(found)
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn read_meta(
    paths: &StorePaths,
    bytes: &[u8],
    format: &Format,
) -> Result<(u8, Meta), JournalError> {
    let version = meta::version_of(bytes).ok_or_else(|| {
        JournalError::corrupt(&paths.store, "the journal's own record is damaged")
    })?;
    if version > format.version {
        return Err(too_new(&paths.store, version, format));
    }
    Meta::decode(bytes)
        .ok_or_else(|| JournalError::corrupt(&paths.store, "the journal's own record is damaged"))
}

/// S7: a newer version is refused, naming it.
pub(super) fn too_new(path: &Path, version: u8, format: &Format) -> JournalError {
    JournalError::Corrupt {
        path: path.to_owned(),
        detail: format!(
            "store version {version} was written by a newer usherd, this one reads up to {}",
            format.version
        ),
        next: NEXT_NEWER,
    }
}

/// sled mends a damaged end of its log by forgetting it; the witness remembers.
fn check_witness(paths: &StorePaths, meta: &Meta) -> Result<(), JournalError> {
    match witness::read(&paths.witness) {
        Some(sequence) if sequence > meta.sequence => {
            let detail = format!(
                "the store went back: it ends at step {}, but step {sequence} was durable",
                meta.sequence
            );
            Err(JournalError::corrupt(&paths.store, detail))
        }
        _ => Ok(()),
    }
}

/// S7: an older version is converted after a copy of it was made.
fn convert(store: &mut Store, version: u8, format: &Format) -> Result<(), JournalError> {
    let name = format!(
        "store-version-{version}-step-{}.snapshot",
        store.meta.sequence
    );
    let copy = store.paths.state.join(name);
    if copy.exists() {
        // A crash came between an earlier copy and its conversion: it is the same copy.
        backup::verify_snapshot(&copy)?;
    } else {
        write_copy(store, &copy)?;
    }
    store.rewrite(format.version, |key, value| {
        (format.convert)(version, key, value)
    })
}

/// Writes the store's live state into the new file `target`.
pub(super) fn write_copy(
    store: &Store,
    target: &Path,
) -> Result<super::SnapshotInfo, JournalError> {
    let Meta {
        epoch,
        head,
        logged,
        ..
    } = store.meta;
    let header = SnapshotHeader {
        store_version: store.version(),
        epoch,
        head,
        log: logged,
    };
    backup::write_snapshot(target, &header, |take| {
        store.scan(|key, value| take(key, value))
    })
}

fn lost(paths: &StorePaths) -> JournalError {
    let detail = "the store is empty or gone, though one was made here";
    JournalError::corrupt(&paths.store, detail)
}

const CACHE_BYTES: u64 = 128 << 20;
/// Together five seconds.
const LOCK_TRIES: u32 = 1000;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
