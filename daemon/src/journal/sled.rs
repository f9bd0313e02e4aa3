//! The journal on sled: the default backend (DESIGN 6).
//!
//! It decides the order of epochs, commit numbers and events; `store.rs` makes a step durable, `open.rs`
//! decides what may be opened, `outbox.rs` feeds the usage log.

use std::path::Path;

use super::meta::Meta;
use super::open::{self, Format};
use super::outbox::{LogWatch, Outbox};
use super::paths::DirectoryLock;
use super::store::{Step, Store};
use super::{Batch, Journal, JournalError, Loaded, SnapshotInfo, StorePaths, Wake, check_batch};
use crate::usage::{Entry, Known, Writer};

/// A journal in a state directory. Holds that directory's lock until it is dropped.
pub struct SledJournal {
    // Dropped in this order: the thread ends, the database closes, then the lock is free.
    outbox: Outbox,
    store: Store,
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
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            format: Format::current(),
            segment_bytes_max: 64 << 20,
            waiting_events_max: 1 << 16,
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
        self.outbox.watch()
    }

    /// Opens under a lock that the caller keeps, or hands over as `lock`.
    pub(super) fn open_locked(
        paths: &StorePaths,
        lock: Option<DirectoryLock>,
        options: &SledOptions,
    ) -> Result<Self, JournalError> {
        let store = open::open(paths, &options.format)?;
        super::files::create_directory(&paths.usage)?;
        let known = Known {
            logged: store.meta.logged,
            last_number: store.meta.last_number,
        };
        let writer = Writer::open(&paths.usage, known, options.segment_bytes_max)?;
        let outbox = Outbox::start(writer, &store.outbox()?, options.waiting_events_max)?;
        Ok(Self {
            outbox,
            store,
            in_office: false,
            failed: None,
            _lock: lock,
        })
    }

    /// A snapshot of a store that is in nobody's office.
    pub(super) fn copy_drained(&mut self, target: &Path) -> Result<SnapshotInfo, JournalError> {
        self.once_sound(|journal| {
            journal.drain()?;
            open::write_copy(&journal.store, target)
        })
    }

    /// S4: runs `work` unless something failed before, and remembers its failure.
    fn once_sound<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        if let Some(first) = &self.failed {
            return Err(JournalError::poisoned(&self.store.paths.store, first));
        }
        let outcome = work(self);
        if let Err(error) = &outcome {
            self.failed = Some(error.to_string());
        }
        outcome
    }

    fn check_office(&self, epoch: u64) -> Result<(), JournalError> {
        if self.in_office && epoch == self.store.meta.epoch {
            return Ok(());
        }
        Err(JournalError::foreign_epoch(epoch, self.store.meta.epoch))
    }

    fn numbered(&self, epoch: u64, head: u64, batch: &Batch) -> Vec<Entry> {
        let first = self.store.meta.last_number + 1;
        (first..)
            .zip(&batch.events)
            .map(|(number, event)| Entry {
                number,
                epoch,
                head,
                body: event.body.clone(),
            })
            .collect()
    }

    /// Waits until every event is in the log, and takes them out of the outbox.
    fn drain(&mut self) -> Result<(), JournalError> {
        let logged = self.outbox.wait_for(self.store.meta.last_number)?;
        let next = Meta {
            logged,
            ..self.store.meta.clone()
        };
        self.store.step(&Step::default(), next)
    }
}

impl Journal for SledJournal {
    fn acquire(&mut self, epoch_floor: u64) -> Result<u64, JournalError> {
        self.once_sound(|journal| {
            let epoch = epoch_floor.max(journal.store.meta.epoch + 1);
            let logged = journal.outbox.logged()?;
            let next = Meta {
                epoch,
                logged,
                ..journal.store.meta.clone()
            };
            journal.store.step(&Step::default(), next)?;
            journal.in_office = true;
            Ok(epoch)
        })
    }

    fn load(&mut self, epoch: u64) -> Result<Loaded, JournalError> {
        self.once_sound(|journal| {
            journal.check_office(epoch)?;
            let mut writes = Vec::new();
            journal.store.scan(|key, value| {
                writes.push((key, value));
                Ok(())
            })?;
            let Meta {
                head,
                committed,
                restored,
                ..
            } = journal.store.meta.clone();
            Ok(Loaded {
                head,
                writes,
                restored,
                fresh: !committed,
            })
        })
    }

    fn commit(&mut self, epoch: u64, head: u64, batch: &Batch) -> Result<(), JournalError> {
        self.once_sound(|journal| {
            journal.check_office(epoch)?;
            let meta = &journal.store.meta;
            check_batch(&journal.store.paths.store, meta.head, head, batch)?;
            let entries = journal.numbered(epoch, head, batch);
            let next = Meta {
                head,
                last_number: meta.last_number + entries.len() as u64,
                logged: journal.outbox.logged()?,
                committed: true,
                restored: meta.restored.clone().filter(|_| !batch.restored_settled),
                ..meta.clone()
            };
            journal.store.step(
                &Step {
                    writes: &batch.writes,
                    entries: &entries,
                },
                next,
            )?;
            journal.outbox.push(&entries)?;
            if batch.wait_for_log {
                journal.outbox.wait_for(journal.store.meta.last_number)?;
            }
            Ok(())
        })
    }

    fn check(&mut self) -> Result<(), JournalError> {
        self.once_sound(|journal| journal.outbox.logged().map(drop))
    }

    fn wake_on_failure(&mut self, wake: Wake) {
        self.outbox.wake_on_failure(wake);
    }

    fn snapshot(&mut self, target: &Path) -> Result<SnapshotInfo, JournalError> {
        self.once_sound(|journal| {
            journal.check_office(journal.store.meta.epoch)?;
            journal.drain()?;
            open::write_copy(&journal.store, target)
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
            .field("store", &self.store.paths.store)
            .finish_non_exhaustive()
    }
}
