//! The journal without a disk, for tests and the simulator: as strict as the real one, lost at exit.
//!
//! It must not be lenient anywhere the sled backend is not; the contract suite runs on both.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backup::{self, SnapshotHeader};
use super::{
    Batch, Journal, JournalError, Loaded, Restored, STORE_VERSION, SnapshotInfo, Wake, check_batch,
};
use crate::usage::LogHead;

/// A journal in memory, in office on one [`MemoryStore`].
#[derive(Debug)]
pub struct MemoryJournal {
    store: MemoryStore,
    failed: Option<String>,
}

/// What outlives a [`MemoryJournal`], as a disk outlives a process. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    in_office: bool,
    head: u64,
    committed: bool,
    live: BTreeMap<Vec<u8>, Vec<u8>>,
    log: Vec<Vec<u8>>,
    restored: Option<Restored>,
}

impl MemoryStore {
    /// Bodies of all events ever committed; the entry with number `n` is at index `n - 1`.
    pub fn events(&self) -> Vec<Vec<u8>> {
        self.state().log.clone()
    }

    /// Marks the state as restored, as `usherd restore` does to a store on disk (L12).
    pub fn mark_restored(&self, restored: Restored) {
        self.state().restored = Some(restored);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryJournal {
    /// Opens `store`, as a new daemon life opens a directory.
    pub fn open(store: &MemoryStore) -> Self {
        Self {
            store: store.clone(),
            failed: None,
        }
    }

    /// S4: runs `step` unless an earlier one failed, and remembers its failure.
    fn step<T>(
        &mut self,
        step: impl FnOnce(&mut State) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        if let Some(first) = &self.failed {
            return Err(JournalError::poisoned(Path::new(MEMORY), first));
        }
        let outcome = step(&mut self.store.state());
        if let Err(error) = &outcome {
            self.failed = Some(error.to_string());
        }
        outcome
    }
}

impl Journal for MemoryJournal {
    fn acquire(&mut self, epoch_floor: u64) -> Result<u64, JournalError> {
        self.step(|state| {
            state.epoch = epoch_floor.max(state.epoch + 1);
            state.in_office = true;
            Ok(state.epoch)
        })
    }

    fn load(&mut self, epoch: u64) -> Result<Loaded, JournalError> {
        self.step(|state| {
            state.check_office(epoch)?;
            Ok(Loaded {
                head: state.head,
                records: state.live.len() as u64,
                restored: state.restored.clone(),
                fresh: !state.committed,
            })
        })
    }

    fn records(
        &mut self,
        epoch: u64,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), JournalError> {
        self.step(|state| {
            state.check_office(epoch)?;
            state.live.iter().for_each(|(key, value)| each(key, value));
            Ok(())
        })
    }

    fn commit(&mut self, epoch: u64, head: u64, batch: &Batch) -> Result<(), JournalError> {
        self.step(|state| {
            state.check_office(epoch)?;
            check_batch(Path::new(MEMORY), state.head, head, batch)?;
            state.apply(head, batch);
            Ok(())
        })
    }

    fn check(&mut self) -> Result<(), JournalError> {
        self.step(|_| Ok(()))
    }

    /// Nothing happens here beside the calls.
    fn wake_on_failure(&mut self, _: Wake) {}

    fn snapshot(&mut self, target: &Path) -> Result<SnapshotInfo, JournalError> {
        self.step(|state| {
            let header = SnapshotHeader {
                store_version: STORE_VERSION,
                epoch: state.epoch,
                head: state.head,
                // There is no log to prove: its number is kept, its hash is not.
                log: LogHead {
                    number: state.log.len() as u64,
                    hash: [0; 32],
                },
            };
            backup::write_snapshot(target, &header, |take| {
                state
                    .live
                    .iter()
                    .try_for_each(|(key, value)| take(key, value))
            })
        })
    }

    fn resign(&mut self) -> Result<(), JournalError> {
        self.step(|state| {
            state.in_office = false;
            Ok(())
        })
    }
}

impl State {
    fn check_office(&self, epoch: u64) -> Result<(), JournalError> {
        if self.in_office && self.epoch == epoch {
            return Ok(());
        }
        Err(JournalError::foreign_epoch(epoch, self.epoch))
    }

    fn apply(&mut self, head: u64, batch: &Batch) {
        for write in &batch.writes {
            match &write.value {
                Some(value) => self.live.insert(write.key.clone(), value.clone()),
                None => self.live.remove(&write.key),
            };
        }
        // At once, so that whoever waits for the log never has to.
        self.log
            .extend(batch.events.iter().map(|event| event.body.clone()));
        if batch.restored_settled {
            self.restored = None;
        }
        self.head = head;
        self.committed = true;
    }
}

/// Stands where messages name a path.
const MEMORY: &str = "memory";
