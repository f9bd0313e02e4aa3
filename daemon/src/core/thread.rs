//! The loop of the core thread: drain, handle, commit, release (A2).

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::sync::{broadcast, mpsc, oneshot};
use usher_client::clock::{Alarm, Clock, NEVER, Stopwatch};
use usher_engine::api::Answer;
use usher_protocol::{
    codec::CodecError,
    time::{BootMs, DurationMs},
    wire::Push,
};

use super::{
    batch::{News, Pending, Waiting as _, storage_trouble},
    connections::Connections,
    item::{Item, Outlet},
    meter::Meter,
    works::{Question, Works},
};
use crate::{
    journal::{JournalError, SnapshotInfo},
    limits::{BATCH_INPUTS_MAX, GATHER, GATHER_INPUTS_MIN},
    notify,
};

/// Why the core ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// Nothing can be made durable any more (L13).
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// A record the engine made has no bytes.
    #[error("a record cannot be encoded: {0}; this is a fault of usherd, please report it")]
    Encode(#[from] CodecError),
}

/// All that the core thread owns.
pub(super) struct Core {
    pub(super) works: Works,
    pub(super) queue: mpsc::Receiver<Item>,
    pub(super) news: broadcast::Sender<Push>,
    pub(super) connections: Connections,
    pub(super) clock: Clock,
    pub(super) alarm: Alarm,
    pub(super) watchdog: Option<Watchdog>,
    /// Told to who asks after the end: see [`super::CoreHandle`].
    pub(super) failed: Arc<AtomicBool>,
    pub(super) meter: Meter,
    /// How many inputs the last batch had.
    pub(super) inputs_before: usize,
}

/// When the service manager expects a sign of life.
pub(super) struct Watchdog {
    pub(super) interval_ms: DurationMs,
    pub(super) due: BootMs,
}

/// What ended a drain before the queue was empty.
enum Stopped {
    Snapshot(PathBuf, SnapshotWaiting),
    End,
}

type SnapshotWaiting = oneshot::Sender<Result<SnapshotInfo, String>>;

impl Core {
    /// Runs until told to stop, or until nothing can be made durable (L13).
    pub(super) fn run(mut self) -> Result<(), CoreError> {
        self.set_alarm();
        loop {
            let mut pending = Pending::feeding(self.meter.feed().portion());
            let stopped = match self.fill(&mut pending) {
                Ok(stopped) => stopped,
                Err(error) => return Err(self.fail(pending, error.into())),
            };
            let stopwatch = Stopwatch::start();
            if let Err(error) = self.works.commit(&pending) {
                return Err(self.fail(pending, error.into()));
            }
            if pending.durable().is_some() {
                self.meter.committed(stopwatch.read());
            }
            self.meter.count(std::mem::take(&mut pending.counted));
            self.meter.feed().put(std::mem::take(&mut pending.portion));
            self.release(pending);
            match stopped {
                None => {}
                Some(Stopped::Snapshot(target, waiting)) => self.snapshot(&target, waiting)?,
                Some(Stopped::End) => return Ok(self.works.resign()?),
            }
            self.after_work();
        }
    }

    /// Waits for an input, then takes what else is queued, up to the bound.
    fn fill(&mut self, pending: &mut Pending<Outlet>) -> Result<Option<Stopped>, CodecError> {
        let mut next = self.queue.blocking_recv();
        let mut may_gather = true;
        while let Some(item) = next {
            match item {
                Item::Stop => return Ok(Some(Stopped::End)),
                Item::Snapshot(target, waiting) => {
                    return Ok(Some(Stopped::Snapshot(target, waiting)));
                }
                item => self.take(item, pending)?,
            }
            if pending.inputs >= BATCH_INPUTS_MAX {
                break;
            }
            if may_gather && self.queue.is_empty() && is_short(pending.inputs, self.inputs_before) {
                may_gather = false;
                thread::sleep(GATHER);
            }
            next = match self.queue.try_recv() {
                Ok(item) => Some(item),
                Err(mpsc::error::TryRecvError::Empty) => break,
                // Every handle is gone: nobody can ask any more.
                Err(mpsc::error::TryRecvError::Disconnected) => return Ok(Some(Stopped::End)),
            };
        }
        self.inputs_before = pending.inputs;
        if pending.inputs == 0 {
            return Ok(Some(Stopped::End));
        }
        self.works.tick_when_due(self.clock.now(), pending)?;
        Ok(None)
    }

    /// Hands one item to the engine, with `now` read after it was taken from the queue (L2).
    fn take(&mut self, item: Item, pending: &mut Pending<Outlet>) -> Result<(), CodecError> {
        let now = self.clock.now();
        let question = match item {
            Item::Client(caller, ask, outlet) => Question::Client(caller, ask, outlet),
            Item::Admin(actor, ask, outlet) => Question::Admin(actor, ask, outlet),
            Item::CloneFound(life, address) => Question::CloneFound(life, address),
            Item::Disconnected(connection, orderly) => Question::Disconnected(connection, orderly),
            Item::Ring | Item::Snapshot(..) | Item::Stop => Question::Ring,
        };
        self.works.take(now, question, pending)
    }

    fn release(&self, pending: Pending<Outlet>) {
        let News { pushes, for_all } = pending.release();
        for (connection, push) in pushes {
            self.connections.push(connection, push);
        }
        for push in for_all {
            // Nobody connected is no error.
            drop(self.news.send(push));
        }
    }

    /// Feeds the watchdog after real work, and sets the alarm for what comes next.
    fn after_work(&mut self) {
        let now = self.clock.boot();
        if let Some(watchdog) = &mut self.watchdog
            && watchdog.due <= now
        {
            notify::alive();
            watchdog.due = now.plus(watchdog.interval_ms);
        }
        self.set_alarm();
    }

    fn set_alarm(&self) {
        // An idle core rings itself for the watchdog: its own input is the proof of life.
        let watchdog = self
            .watchdog
            .as_ref()
            .map_or(NEVER, |watchdog| watchdog.due);
        self.alarm
            .wake_at(self.works.wake().unwrap_or(NEVER).min(watchdog));
    }

    /// Between two batches (S6). An error of the disk ends the core (L13, S4).
    fn snapshot(&mut self, target: &Path, waiting: SnapshotWaiting) -> Result<(), CoreError> {
        match self.works.snapshot(target) {
            Ok(info) => {
                drop(waiting.send(Ok(info)));
                Ok(())
            }
            Err(error) => {
                drop(waiting.send(Err(error.to_string())));
                Err(self.fail(Pending::default(), error.into()))
            }
        }
    }

    /// Answers what waits, here and in the queue; nothing is tried again (L13).
    fn fail(&mut self, pending: Pending<Outlet>, error: CoreError) -> CoreError {
        self.failed.store(true, Ordering::Release);
        pending.refuse();
        self.queue.close();
        while let Ok(item) = self.queue.try_recv() {
            if let Item::Client(_, _, outlet) | Item::Admin(_, _, outlet) = item {
                outlet.release(Answer::Refused(storage_trouble()));
            }
        }
        error
    }
}

/// Those of the batch before were answered together and ask again together: whoever is first waits a moment for the others
/// instead of for a disk's sync that is theirs as well. Who asks alone, or among few, never does.
fn is_short(inputs: usize, before: usize) -> bool {
    before >= GATHER_INPUTS_MIN && inputs < before / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_of_many_waits_for_the_others() {
        assert!(is_short(1, GATHER_INPUTS_MIN) && is_short(15, 32));
        assert!(!is_short(16, 32) && !is_short(40, 32));
        assert!(!is_short(1, GATHER_INPUTS_MIN - 1) && !is_short(1, 1) && !is_short(1, 0));
    }
}
