//! Carries events from the store's outbox to the usage log, in a thread of its own (S2).
//!
//! It must not lose, double or reorder one; it decides neither when an event is due nor when it leaves
//! the outbox.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{JournalError, Wake};
use crate::usage::{Entry, LogHead, UsageError, Writer};

/// The log's appender at work. Dropping it writes what it was given and waits for that.
pub(super) struct Outbox {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    waiting_events_max: u64,
}

/// Tells how far the usage log is, while a journal is at work; for `usherd usage verify` on a running
/// daemon.
#[derive(Clone)]
pub struct LogWatch(Arc<Shared>);

impl LogWatch {
    /// The last entry that is durable in the log.
    pub fn head(&self) -> LogHead {
        self.0.progress().logged
    }
}

impl std::fmt::Debug for LogWatch {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?}", self.head())
    }
}

struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
}

struct Progress {
    /// Encoded entries, in order.
    waiting: Vec<Vec<u8>>,
    logged: LogHead,
    failed: Option<UsageError>,
    stopped: bool,
    closing: bool,
    /// Somebody waits for the log.
    hurried: bool,
    /// Whom a failure wakes.
    wake: Option<Wake>,
}

impl Outbox {
    /// Starts the thread; `waiting` is what an earlier life left in the outbox beyond the log's end.
    pub(super) fn start(
        mut writer: Writer,
        waiting: &[Entry],
        waiting_events_max: u64,
    ) -> Result<Self, UsageError> {
        let logged = writer.at();
        let left_over = waiting.iter().filter(|entry| entry.number > logged.number);
        let logged = writer.append(left_over.map(Entry::encode))?;
        let progress = Progress {
            waiting: Vec::new(),
            logged,
            failed: None,
            stopped: false,
            closing: false,
            hurried: false,
            wake: None,
        };
        let shared = Arc::new(Shared {
            progress: Mutex::new(progress),
            changed: Condvar::new(),
        });
        let worker = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("usage-log".to_owned())
            .spawn(move || worker.carry(writer))
            .map_err(|source| UsageError::Io {
                operation: "start the thread that writes",
                path: "the usage log".into(),
                source,
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
            waiting_events_max,
        })
    }

    pub(super) fn watch(&self) -> LogWatch {
        LogWatch(Arc::clone(&self.shared))
    }

    /// A log that fails says so at once: its owner may have nothing to commit for long (L13).
    pub(super) fn wake_on_failure(&self, wake: Wake) {
        let mut progress = self.shared.progress();
        if progress.stopped {
            drop(progress);
            wake();
        } else {
            progress.wake = Some(wake);
        }
    }

    /// Hands over committed entries; waits while too many wait for the log (A3).
    pub(super) fn push(&self, entries: &[Entry]) -> Result<(), JournalError> {
        let Some(last) = entries.last() else {
            return Ok(());
        };
        self.shared
            .progress()
            .waiting
            .extend(entries.iter().map(Entry::encode));
        self.shared.changed.notify_all();
        self.wait_for(last.number.saturating_sub(self.waiting_events_max))
            .map(|_| ())
    }

    /// How far the log is; an error of the log is an error of the journal (L13).
    pub(super) fn logged(&self) -> Result<LogHead, JournalError> {
        self.shared.progress().judge()
    }

    /// Waits until the log has entry `number`.
    pub(super) fn wait_for(&self, number: u64) -> Result<LogHead, JournalError> {
        let mut progress = self.shared.progress();
        if progress.logged.number < number {
            progress.hurried = true;
            self.shared.changed.notify_all();
        }
        let mut progress = self
            .shared
            .changed
            .wait_while(progress, |progress| {
                progress.logged.number < number && !progress.stopped
            })
            .unwrap_or_else(PoisonError::into_inner);
        progress.judge()
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.shared.progress().closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and if it did there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry(&self, mut writer: Writer) {
        while let Some(entries) = self.next_batch() {
            let outcome = writer.append(entries);
            let mut progress = self.progress();
            match outcome {
                Ok(logged) => progress.logged = logged,
                Err(error) => {
                    // S4: not tried again; the entries are safe in the outbox.
                    progress.failed = Some(error);
                    break;
                }
            }
            drop(progress);
            self.changed.notify_all();
        }
        let mut progress = self.progress();
        progress.stopped = true;
        let wake = progress.wake.take().filter(|_| progress.failed.is_some());
        drop(progress);
        self.changed.notify_all();
        if let Some(wake) = wake {
            wake();
        }
    }

    /// Everything that waits, once there is something; `None` when there will be nothing more.
    fn next_batch(&self) -> Option<Vec<Vec<u8>>> {
        let progress = self.progress();
        let progress = self
            .changed
            .wait_while(progress, |progress| {
                progress.waiting.is_empty() && !progress.closing
            })
            .unwrap_or_else(PoisonError::into_inner);
        // One sync for what several commits bring; the outbox keeps it safe meanwhile.
        let (mut progress, _) = self
            .changed
            .wait_timeout_while(progress, LINGER, |progress| {
                !progress.closing && !progress.hurried
            })
            .unwrap_or_else(PoisonError::into_inner);
        progress.hurried = false;
        let entries = mem::take(&mut progress.waiting);
        (!entries.is_empty()).then_some(entries)
    }
}

impl Progress {
    fn judge(&mut self) -> Result<LogHead, JournalError> {
        match self.failed.take() {
            Some(error) => Err(error.into()),
            None if self.stopped => Err(UsageError::Io {
                operation: "write",
                path: "the usage log".into(),
                source: std::io::Error::other("its thread has stopped"),
            }
            .into()),
            None => Ok(self.logged),
        }
    }
}

/// How long the log waits for more before it syncs.
const LINGER: Duration = Duration::from_millis(5);
