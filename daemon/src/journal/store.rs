//! One sled database and how it is changed: batch, flush, our own fdatasync (S1).
//!
//! It decides nothing about epochs or order; `sled.rs` does.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::frame::{self, Kind, META_KEY, OUTBOX_PREFIX, PIECE_PREFIX, VALUE_PREFIX};
use super::meta::Meta;
use super::nudge::Nudge;
use super::steps::StepRecord;
use super::witness::Witness;
use super::{JournalError, StorePaths, Write};
use crate::usage::{Entry, LogHead};

/// An open database. After an error it must be dropped (S4).
pub(super) struct Store {
    pub(super) paths: StorePaths,
    pub(super) meta: Meta,
    version: u8,
    // Dropped before the database that it flushes.
    nudge: Nudge,
    db: Database,
    db_file: File,
    /// The last event that ever joined the outbox.
    outbox_end: u64,
    witness: Witness,
}

/// sled's handle. sled syncs once more when the last one goes, and panics where that fails: what had
/// failed before is said already, and must not be lost with its thread (L13).
pub(super) struct Database(Option<sled::Db>);

impl Database {
    pub(super) fn new(db: sled::Db) -> Self {
        Self(Some(db))
    }
}

impl Deref for Database {
    type Target = sled::Db;

    fn deref(&self) -> &sled::Db {
        match &self.0 {
            Some(db) => db,
            None => unreachable!("only its end takes it"),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let db = self.0.take();
        // Nothing waits for this sync: each step has made its own.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
    }
}

/// What one change makes of the store besides the journal's own numbers.
#[derive(Default)]
pub(super) struct Change<'a> {
    /// Of each key, what it becomes.
    pub(super) writes: BTreeMap<&'a [u8], Option<&'a [u8]>>,
    /// Join the outbox.
    pub(super) entries: Vec<Entry>,
}

impl<'a> Change<'a> {
    /// Of two writes to one key the later counts.
    pub(super) fn of(writes: &'a [Write]) -> Self {
        let pair = |write: &'a Write| (write.key.as_slice(), write.value.as_deref());
        Self {
            writes: writes.iter().map(pair).collect(),
            entries: Vec::new(),
        }
    }
}

impl Store {
    /// Takes an opened database whose numbers are `meta`.
    pub(super) fn new(
        paths: &StorePaths,
        db: Database,
        version: u8,
        meta: Meta,
    ) -> Result<Self, JournalError> {
        let place = paths.store.join("db");
        let db_file = File::options()
            .write(true)
            .open(&place)
            .map_err(JournalError::io("open for syncing", &place))?;
        let witness = Witness::open(&paths.witness)?;
        let flushed = (*db).clone();
        let nudge = Nudge::start(move || {
            // The step that is woken tells what was wrong.
            let _ = catch_unwind(AssertUnwindSafe(|| flushed.flush()));
        })
        .map_err(JournalError::io("start the thread that watches", &place))?;
        Ok(Self {
            paths: paths.clone(),
            outbox_end: meta.last_number,
            meta,
            version,
            nudge,
            db,
            db_file,
            witness,
        })
    }

    /// The version its records have (S7).
    pub(super) fn version(&self) -> u8 {
        self.version
    }

    /// A durable step of its own: all of it is on disk on return, or none of it after a crash (S1).
    ///
    /// `next` needs no sequence, record count or sum: they are worked out here. Events up to
    /// `next.logged` leave the outbox.
    pub(super) fn step(&mut self, change: &Change<'_>, next: Meta) -> Result<(), JournalError> {
        let sequence = self.meta.sequence + 1;
        self.put(change, Meta { sequence, ..next })?;
        self.sync()?;
        self.witness.write(self.meta.sequence)
    }

    /// Takes in steps that are durable already, in order, the first of them the one after the last it has. `logged` is
    /// where the usage log is known to be, not beyond their last event; the events after it join the outbox. A crash finds
    /// all of them taken in or none; [`Store::sync`] makes sure that all are.
    pub(super) fn take_in(
        &mut self,
        steps: &[StepRecord],
        logged: LogHead,
    ) -> Result<(), JournalError> {
        let Some(last) = steps.last().map(StepRecord::place) else {
            return Ok(());
        };
        if logged.number > last.last_number {
            let detail = "more of the usage log than of its steps was to be settled";
            return Err(JournalError::corrupt(&self.paths.store, detail));
        }
        let settled = steps.iter().any(StepRecord::restored_settled);
        let next = Meta {
            sequence: last.sequence,
            head: last.head,
            last_number: last.last_number,
            logged,
            committed: true,
            restored: self.meta.restored.clone().filter(|_| !settled),
            ..self.meta.clone()
        };
        let unlogged = steps
            .iter()
            .filter(|step| step.place().last_number > logged.number);
        let change = Change {
            writes: steps.iter().flat_map(StepRecord::writes).collect(),
            entries: unlogged
                .flat_map(StepRecord::entries)
                .filter_map(Entry::decode)
                .filter(|entry| entry.number > logged.number)
                .collect(),
        };
        self.put(&change, next)
    }

    /// All that was put is on disk on return (S1).
    pub(super) fn sync(&mut self) -> Result<(), JournalError> {
        guarded(&self.paths.store, || {
            self.nudge.watched(|| self.db.flush())?;
            Ok(())
        })?;
        // S1: sled's flush is `sync_file_range`, which survives a killed process but no power cut.
        self.db_file
            .sync_data()
            .map_err(JournalError::io("sync", &self.paths.store.join("db")))
    }

    /// All of it is there after a crash, or none of it; on disk after a [`Store::sync`]. `next` needs no record count or sum.
    fn put(&mut self, change: &Change<'_>, next: Meta) -> Result<(), JournalError> {
        let mut next = Meta {
            records: self.meta.records,
            sum: self.meta.sum,
            ..next
        };
        guarded(&self.paths.store, || {
            let mut batch = sled::Batch::default();
            for (key, value) in &change.writes {
                self.replace(&mut batch, &mut next, key, *value)?;
            }
            for number in self.meta.logged.number + 1..=next.logged.number.min(self.outbox_end) {
                batch.remove(frame::outbox_key(number));
            }
            for entry in &change.entries {
                let place = frame::outbox_key(entry.number);
                let bytes = frame::frame(self.version, Kind::Outbox, 1, &place, &entry.encode());
                batch.insert(place, bytes);
            }
            batch.insert(META_KEY, next.encode(self.version));
            self.nudge.watched(|| self.db.apply_batch(batch))?;
            Ok(())
        })?;
        self.outbox_end = change
            .entries
            .last()
            .map_or(self.outbox_end, |last| last.number);
        self.meta = next;
        Ok(())
    }

    /// Every live record in the order of the keys, each checked, and their sum with them (S3).
    pub(super) fn scan(
        &self,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let (mut records, mut sum, mut stop) = (0_u64, 0_u64, None);
        guarded(&self.paths.store, || {
            for item in self.db.iter() {
                let (place, bytes) = item?;
                if !matches!(place.first(), Some(&VALUE_PREFIX | &PIECE_PREFIX)) {
                    self.check_private(&place)?;
                    continue;
                }
                records += 1;
                sum = sum.wrapping_add(frame::share(&place, &bytes));
                if place[0] == VALUE_PREFIX {
                    let value = self.join_pieces(&place, &bytes)?;
                    stop = each(&place[1..], &value).err();
                    if stop.is_some() {
                        break;
                    }
                }
            }
            Ok(())
        })?;
        if let Some(error) = stop {
            return Err(error);
        }
        if (records, sum) == (self.meta.records, self.meta.sum) {
            return Ok(());
        }
        let detail = format!(
            "{records} records are there, {} should be: some vanished, came back or went back",
            self.meta.records
        );
        Err(JournalError::corrupt(&self.paths.store, detail))
    }

    /// The events that wait for the log, in order, without a gap.
    pub(super) fn outbox(&self) -> Result<Vec<Entry>, JournalError> {
        guarded(&self.paths.store, || {
            (self.meta.logged.number + 1..=self.meta.last_number)
                .map(|number| {
                    let place = frame::outbox_key(number);
                    let bytes = self.db.get(&place)?;
                    bytes
                        .as_deref()
                        .and_then(|bytes| frame::unframe(Kind::Outbox, &place, bytes))
                        .and_then(|framed| Entry::decode(framed.payload))
                        .filter(|entry| entry.number == number)
                        .ok_or_else(|| Fault::Damage(format!("event {number} is lost or damaged")))
                })
                .collect()
        })
    }

    /// S7: gives every record the version `version` and the content `convert` makes of it, in one step.
    pub(super) fn rewrite(
        &mut self,
        version: u8,
        convert: impl Fn(&[u8], &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, String>,
    ) -> Result<(), JournalError> {
        let mut records = Vec::new();
        self.scan(|key, value| {
            records.push((key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        let mut writes = Vec::new();
        for (key, value) in &records {
            writes.push(Write {
                key: key.clone(),
                value: None,
            });
            let converted = convert(key, value).map_err(|detail| {
                JournalError::corrupt(
                    &self.paths.store,
                    format!("a record cannot be converted: {detail}"),
                )
            })?;
            writes.extend(converted.into_iter().map(|(key, value)| Write {
                key,
                value: Some(value),
            }));
        }
        // Removals and new records ride in one batch under the new version; `replace` reads the old.
        let old = std::mem::replace(&mut self.version, version);
        let outcome = self.step(&Change::of(&writes), self.meta.clone());
        if outcome.is_err() {
            self.version = old;
        }
        outcome
    }

    /// Replaces a value's records in `batch` and keeps count and sum right.
    fn replace(
        &self,
        batch: &mut sled::Batch,
        next: &mut Meta,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), Fault> {
        let first = frame::value_key(key, 0);
        if let Some(old) = self.db.get(&first)? {
            let pieces = frame::unframe(Kind::Value, &first, &old)
                .ok_or_else(|| damaged(&first))?
                .pieces;
            drop_record(batch, next, &first, &old);
            for index in 1..pieces {
                let place = frame::value_key(key, index);
                let old = self.db.get(&place)?.ok_or_else(|| damaged(&place))?;
                drop_record(batch, next, &place, &old);
            }
        }
        for (place, bytes) in value
            .map(|value| frame::value_records(self.version, key, value))
            .into_iter()
            .flatten()
        {
            next.records += 1;
            next.sum = next.sum.wrapping_add(frame::share(&place, &bytes));
            batch.insert(place, bytes);
        }
        Ok(())
    }

    fn join_pieces<'a>(&self, place: &[u8], bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, Fault> {
        let first = frame::unframe(Kind::Value, place, bytes)
            .filter(|framed| framed.version == self.version)
            .ok_or_else(|| damaged(place))?;
        if first.pieces == 1 {
            return Ok(Cow::Borrowed(first.payload));
        }
        let mut value = first.payload.to_vec();
        for index in 1..first.pieces {
            let place = frame::value_key(&place[1..], index);
            let bytes = self.db.get(&place)?.ok_or_else(|| damaged(&place))?;
            let piece = frame::unframe(Kind::Piece, &place, &bytes)
                .filter(|piece| piece.pieces == first.pieces)
                .ok_or_else(|| damaged(&place))?;
            value.extend_from_slice(piece.payload);
        }
        Ok(Cow::Owned(value))
    }

    fn check_private(&self, place: &[u8]) -> Result<(), Fault> {
        let number = place
            .strip_prefix(OUTBOX_PREFIX)
            .and_then(|number| number.try_into().ok())
            .map(u64::from_be_bytes);
        let waiting = self.meta.logged.number + 1..=self.meta.last_number;
        if place == META_KEY || number.is_some_and(|number| waiting.contains(&number)) {
            return Ok(());
        }
        Err(damaged(place))
    }
}

/// How sled fails, before it is put into words.
pub(super) enum Fault {
    Sled(sled::Error),
    Damage(String),
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        Self::Sled(error)
    }
}

/// Runs something on sled: on damage it panics as often as it reports (S3).
pub(super) fn guarded<T>(
    store: &Path,
    work: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, JournalError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Fault::Sled(sled::Error::Io(source)))) => {
            Err(JournalError::io("use the store", store)(source))
        }
        Ok(Err(Fault::Sled(error))) => Err(JournalError::corrupt(
            store,
            format!("the store is damaged ({error})"),
        )),
        Ok(Err(Fault::Damage(detail))) => Err(JournalError::corrupt(store, detail)),
        Err(_) => Err(JournalError::corrupt(
            store,
            "the store is damaged: it cannot be read",
        )),
    }
}

fn damaged(place: &[u8]) -> Fault {
    let name = String::from_utf8_lossy(place).into_owned();
    Fault::Damage(format!("the record {name:?} is lost or damaged"))
}

fn drop_record(batch: &mut sled::Batch, next: &mut Meta, place: &[u8], bytes: &[u8]) {
    next.records = next.records.wrapping_sub(1);
    next.sum = next.sum.wrapping_sub(frame::share(place, bytes));
    batch.remove(place);
}
