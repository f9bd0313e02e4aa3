//! The journal trait over the simulated disk: the same promises as on a real one (S1, S2, L13).

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use usher_engine::record::Record;
use usher_protocol::time::DurationMs;
use usherd::{
    journal::{
        Batch, Journal, JournalError, Loaded, STORE_VERSION, SnapshotHeader, SnapshotInfo, Wake,
    },
    records,
};

use crate::{
    frames::{self, Frame},
    planted::Planted,
    storage::{self, Damaged, Failed, Open, Storage},
};

/// A daemon life's hold on a storage that outlives it.
#[derive(Debug)]
pub(crate) struct SimJournal {
    storage: Shared,
}

/// A storage that the world and a journal share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Storage>>);

impl Shared {
    /// The storage itself.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Storage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimJournal {
    /// Opens it, as a new life does.
    pub(crate) fn open(storage: &Shared) -> Self {
        Self {
            storage: storage.clone(),
        }
    }
}

impl Journal for SimJournal {
    fn acquire(&mut self, epoch_floor: u64) -> Result<u64, JournalError> {
        let mut storage = self.storage.lock();
        storage.reopen().map_err(damaged)?;
        let stored = in_office(&mut storage)?.state.epoch;
        let epoch = epoch_floor.max(stored + 1);
        write(&mut storage, &Frame::Epoch(epoch), true)?;
        in_office(&mut storage)?.state.epoch = epoch;
        // What an earlier life left in the outbox (S2).
        if storage.planted == Some(Planted::OutboxForgotten) {
            in_office(&mut storage)?.waiting.clear();
        }
        storage.carry().map_err(failed)?;
        storage.compact();
        Ok(epoch)
    }

    fn load(&mut self, epoch: u64) -> Result<Loaded, JournalError> {
        let mut storage = self.storage.lock();
        let planted = storage.planted;
        let state = &check_office(&mut storage, epoch)?.state;
        let mut loaded = Loaded {
            head: state.head,
            records: state.live.len() as u64,
            restored: state.restored.clone(),
            fresh: !state.committed,
        };
        if planted == Some(Planted::NoHoldAfterRestore) {
            loaded.restored = None;
        }
        Ok(loaded)
    }

    fn records(
        &mut self,
        epoch: u64,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), JournalError> {
        let mut storage = self.storage.lock();
        let planted = storage.planted;
        for (key, value) in &check_office(&mut storage, epoch)?.state.live {
            let forgetful = match planted {
                Some(Planted::NoHoldAtStart) => without_length(key, value, false),
                Some(Planted::BorrowsForgotten) => without_length(key, value, true),
                _ => None,
            };
            each(key, forgetful.as_ref().unwrap_or(value));
        }
        Ok(())
    }

    fn commit(&mut self, epoch: u64, head: u64, batch: &Batch) -> Result<(), JournalError> {
        let mut storage = self.storage.lock();
        let stored = check_office(&mut storage, epoch)?.state.head;
        if head < stored {
            return Err(damaged(Damaged(format!(
                "commit number {head} after {stored}"
            ))));
        }
        storage.witness.begin(&batch.events);
        let syncs = storage.planted != Some(Planted::NoSync);
        let mut frame = Some(Frame::Batch(head, batch.clone()));
        if storage.planted == Some(Planted::AnswerBeforeCommit) {
            std::mem::swap(&mut frame, &mut storage.late);
        }
        if let Some(frame) = frame {
            write(&mut storage, &frame, syncs)?;
        }
        let open = check_office(&mut storage, epoch)?;
        let entries = storage::entries(&open.state, head, &batch.events);
        open.waiting.extend(entries);
        storage::apply(&mut open.state, head, batch.clone());
        if batch.wait_for_log {
            storage.carry().map_err(failed)?;
        }
        storage.witness.acknowledge();
        Ok(())
    }

    fn check(&mut self) -> Result<(), JournalError> {
        if self.storage.lock().has_blown {
            return Err(failed(Failed));
        }
        Ok(())
    }

    /// The world looks after every step whether the fuse has blown.
    fn wake_on_failure(&mut self, _: Wake) {}

    fn snapshot(&mut self, target: &Path) -> Result<SnapshotInfo, JournalError> {
        let mut storage = self.storage.lock();
        storage.carry().map_err(failed)?;
        let copy = storage.copy().ok_or_else(|| failed(Failed))?;
        Ok(SnapshotInfo {
            path: target.to_owned(),
            header: SnapshotHeader {
                store_version: STORE_VERSION,
                epoch: copy.epoch,
                head: copy.head,
                log: copy.log,
            },
            records: copy.live.len() as u64,
            bytes: 0,
        })
    }

    fn resign(&mut self) -> Result<(), JournalError> {
        let mut storage = self.storage.lock();
        storage.carry().map_err(failed)?;
        storage.open = None;
        Ok(())
    }
}

/// On purpose: what was promised before counts nothing (L4), or what was taken home (L10). None: it is what it was.
fn without_length(key: &[u8], value: &[u8], only_borrowed: bool) -> Option<Vec<u8>> {
    let Ok(Record::PutLease(mut lease)) = records::read(key, value) else {
        return None;
    };
    if only_borrowed && lease.borrowed.take().is_none() {
        return None;
    }
    lease.length_ms_longest = DurationMs::ZERO;
    records::write(&Record::PutLease(lease)).ok()?.value
}

/// Two disk operations: the write and the sync. Between them anything may happen.
fn write(storage: &mut Storage, frame: &Frame, syncs: bool) -> Result<(), JournalError> {
    storage.operate().map_err(failed)?;
    storage.store.append(frames::encode(frame));
    storage.frames += 1;
    storage.operate().map_err(failed)?;
    if syncs {
        storage.store.sync();
    }
    Ok(())
}

fn in_office(storage: &mut Storage) -> Result<&mut Open, JournalError> {
    storage.open.as_mut().ok_or_else(|| failed(Failed))
}

fn check_office(storage: &mut Storage, epoch: u64) -> Result<&mut Open, JournalError> {
    match &mut storage.open {
        Some(open) if open.state.epoch == epoch => Ok(open),
        _ => Err(damaged(Damaged(format!("epoch {epoch} is not in office")))),
    }
}

fn failed(Failed: Failed) -> JournalError {
    JournalError::io("write", Path::new(DISK))(std::io::Error::other("the simulated disk failed"))
}

fn damaged(Damaged(what): Damaged) -> JournalError {
    JournalError::corrupt(Path::new(DISK), what)
}

const DISK: &str = "the simulated disk";
