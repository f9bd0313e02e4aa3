//! The journal on sled: the default backend (DESIGN 6).
//!
//! It decides the order of epochs, commit numbers and events; `steps` makes a step durable, `settle.rs` brings it to
//! the usage log and to sled, `open.rs` decides what may be opened.

use std::path::Path;

use super::meta::Meta;
use super::open::{self, Format};
use super::paths::DirectoryLock;
use super::settle::{LogWatch, Settler};
use super::steps::{Place, Steps};
use super::store::Change;
use super::witness::Witness;
use super::{Batch, Journal, JournalError, Loaded, SnapshotInfo, StorePaths, Wake, check_batch};
use crate::usage::{Entry, Writer};

/// A journal in a state directory. Holds that directory's lock until it is dropped.
pub struct SledJournal {
    // Dropped in this order: the thread ends, the database closes, then the lock is free.
    settler: Settler,
    steps: Steps,
    witness: Witness,
    paths: StorePaths,
    /// As of the last durable step; what is settled, counted and logged by then, the store knows.
    meta: Meta,
    waiting_events_max: u64,
    in_office: bool,
    failed: Option<String>,
    _lock: Option<DirectoryLock>,
}

/// How a [`SledJournal`] works.
#[derive(Clone, Copy, Debug)]
pub struct SledOptions {
    /// The version of stored records.
    pub format: Format,
    /// A usage-log segment of this many bytes is followed by a new one.
    pub segment_bytes_max: u64,
    /// So many events may wait for the usage log before `commit` waits for it too.
    pub waiting_events_max: u64,
    /// Prepared length in bytes of each of the two steps' files.
    pub steps_bytes: u64,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            format: Format::current(),
            segment_bytes_max: 64 << 20,
            waiting_events_max: 1 << 16,
            steps_bytes: 1 << 20,
        }
    }
}

impl SledJournal {
    /// Opens the store and the usage log in the state directory `state`, or makes them (S3, S7).
    ///
    /// What an earlier life left in the outbox is in the log when this returns.
    pub fn open(state: &Path, options: &SledOptions) -> Result<Self, JournalError> {
        let paths = StorePaths::new(state);
        let lock = DirectoryLock::take(&paths)?;
        Self::open_locked(&paths, Some(lock), options)
    }

    /// Tells how far the usage log is while the journal is at work elsewhere.
    pub fn log_watch(&self) -> LogWatch {
        self.settler.watch()
    }

    /// Opens under a lock that the caller keeps, or hands over as `lock`.
    pub(super) fn open_locked(
        paths: &StorePaths,
        lock: Option<DirectoryLock>,
        options: &SledOptions,
    ) -> Result<Self, JournalError> {
        let store = open::open(paths, &options.format)?;
        super::files::create_directory(&paths.usage)?;
        let writer = Writer::open(&paths.usage, store.meta.known(), options.segment_bytes_max)?;
        // Opening has brought to sled what they held.
        let steps = Steps::prepare(&paths.store, options.steps_bytes)?;
        let meta = store.meta.clone();
        Ok(Self {
            settler: Settler::start(writer, store)?,
            steps,
            witness: Witness::open(&paths.witness)?,
            paths: paths.clone(),
            meta,
            waiting_events_max: options.waiting_events_max,
            in_office: false,
            failed: None,
            _lock: lock,
        })
    }

    /// A snapshot of a store that is in nobody's office.
    pub(super) fn copy_drained(&mut self, target: &Path) -> Result<SnapshotInfo, JournalError> {
        self.once_sound(|journal| {
            journal.drain()?;
            open::write_copy(&journal.settler.store(), target)
        })
    }

    /// S4: runs `work` unless something failed before, and remembers its failure.
    fn once_sound<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        if let Some(first) = &self.failed {
            return Err(JournalError::poisoned(&self.paths.store, first));
        }
        let outcome = work(self);
        if let Err(error) = &outcome {
            self.failed = Some(error.to_string());
        }
        outcome
    }

    fn check_office(&self, epoch: u64) -> Result<(), JournalError> {
        if self.in_office && epoch == self.meta.epoch {
            return Ok(());
        }
        Err(JournalError::foreign_epoch(epoch, self.meta.epoch))
    }

    fn numbered(&self, epoch: u64, head: u64, batch: &Batch) -> Vec<Vec<u8>> {
        let entry = |(number, body): (u64, &Vec<u8>)| {
            let body = body.clone();
            Entry {
                number,
                epoch,
                head,
                body,
            }
            .encode()
        };
        let first = self.meta.last_number + 1;
        let bodies = batch.events.iter().map(|event| &event.body);
        (first..).zip(bodies).map(entry).collect()
    }

    /// Waits until every event is in the log and every step in sled, and takes out of the outbox what was left there.
    fn drain(&mut self) -> Result<(), JournalError> {
        let logged = self.settler.wait_for_sled(self.meta.sequence)?;
        if self.settler.store().meta.logged == logged {
            return Ok(());
        }
        self.step_alone(|meta| Meta { logged, ..meta })
    }

    /// A step that is sled's alone, while nothing waits.
    fn step_alone(&mut self, next: impl FnOnce(Meta) -> Meta) -> Result<(), JournalError> {
        let mut store = self.settler.store();
        let next = next(store.meta.clone());
        store.step(&Change::default(), next)?;
        self.meta = store.meta.clone();
        drop(store);
        self.settler.stepped(self.meta.sequence);
        Ok(())
    }

    /// S1: durable in the steps' files on return. Sled and the log follow.
    fn append(&mut self, place: Place, batch: &Batch) -> Result<(), JournalError> {
        let entries = self.numbered(place.epoch, place.head, batch);
        let Some(step) = self.steps.step(place, batch, &entries) else {
            return Err(JournalError::corrupt(
                &self.paths.store,
                "a step of over four gigabytes",
            ));
        };
        if let Some(sequence) = self.steps.waits_for(step.bytes().len()) {
            self.settler.wait_for_sled(sequence)?;
        }
        self.steps.append(&step, self.settler.settled())?;
        self.settler.push(step);
        self.witness.write(place.sequence)
    }
}

impl Journal for SledJournal {
    fn acquire(&mut self, epoch_floor: u64) -> Result<u64, JournalError> {
        self.once_sound(|journal| {
            let epoch = epoch_floor.max(journal.meta.epoch + 1);
            let logged = journal.settler.wait_for_sled(journal.meta.sequence)?;
            journal.step_alone(|meta| Meta {
                epoch,
                logged,
                ..meta
            })?;
            journal.in_office = true;
            Ok(epoch)
        })
    }

    fn load(&mut self, epoch: u64) -> Result<Loaded, JournalError> {
        self.once_sound(|journal| {
            journal.check_office(epoch)?;
            journal.settler.wait_for_sled(journal.meta.sequence)?;
            let Meta {
                head,
                committed,
                restored,
                records,
                ..
            } = journal.settler.store().meta.clone();
            Ok(Loaded {
                head,
                records,
                restored,
                fresh: !committed,
            })
        })
    }

    fn records(
        &mut self,
        epoch: u64,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), JournalError> {
        self.once_sound(|journal| {
            journal.check_office(epoch)?;
            journal.settler.wait_for_sled(journal.meta.sequence)?;
            journal.settler.store().scan(|key, value| {
                each(key, value);
                Ok(())
            })
        })
    }

    fn commit(&mut self, epoch: u64, head: u64, batch: &Batch) -> Result<(), JournalError> {
        self.once_sound(|journal| {
            journal.check_office(epoch)?;
            check_batch(&journal.paths.store, journal.meta.head, head, batch)?;
            journal.settler.logged()?;
            let place = Place {
                sequence: journal.meta.sequence + 1,
                epoch,
                head,
                last_number: journal.meta.last_number + batch.events.len() as u64,
            };
            journal.append(place, batch)?;
            journal.meta.sequence = place.sequence;
            journal.meta.head = head;
            journal.meta.last_number = place.last_number;
            let lag = if batch.wait_for_log {
                0
            } else {
                journal.waiting_events_max
            };
            if batch.wait_for_log || !batch.events.is_empty() {
                let due = place.last_number.saturating_sub(lag);
                journal.settler.wait_for_log(due)?;
            }
            Ok(())
        })
    }

    fn check(&mut self) -> Result<(), JournalError> {
        self.once_sound(|journal| journal.settler.logged().map(drop))
    }

    fn wake_on_failure(&mut self, wake: Wake) {
        self.settler.wake_on_failure(wake);
    }

    fn snapshot(&mut self, target: &Path) -> Result<SnapshotInfo, JournalError> {
        self.once_sound(|journal| {
            journal.check_office(journal.meta.epoch)?;
            journal.drain()?;
            open::write_copy(&journal.settler.store(), target)
        })
    }

    fn resign(&mut self) -> Result<(), JournalError> {
        self.once_sound(|journal| {
            journal.drain()?;
            journal.in_office = false;
            Ok(())
        })
    }
}

impl std::fmt::Debug for SledJournal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("SledJournal")
            .field("store", &self.paths.store)
            .finish_non_exhaustive()
    }
}
