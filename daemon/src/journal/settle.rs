//! Brings durable steps to where they stay, in a thread of its own: their events to the usage log, then their changes
//! to sled (S1, S2). Until then the steps' files alone have them.
//!
//! It must not lose, double or reorder one. It decides when sled is written to, and never what a step says.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::pieces::pieces;
use super::steps::StepRecord;
use super::store::Store;
use super::{JournalError, Wake};
use crate::usage::{Entry, LogHead, UsageError, Writer};

/// The thread at work. Dropping it brings home what it was given and waits for that.
pub(super) struct Settler {
    shared: Arc<Shared>,
    store: Arc<Mutex<Store>>,
    thread: Option<JoinHandle<()>>,
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

    /// The same once every event that is committed by now is in the log; where that fails, as far as it came. Waits for
    /// the disk.
    pub fn caught_up(&self) -> LogHead {
        let due = self.0.progress().pushed;
        self.0.wait_for_log(due).logged
    }

    /// The next entry begins a new segment, so that the one in use can be retired some day.
    pub fn end_segment(&self) {
        self.0.progress().segment_ends = true;
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
    /// Steps that are in the steps' files alone, in order.
    waiting: Vec<StepRecord>,
    /// The last event that was handed over.
    pushed: u64,
    /// How far the usage log is.
    logged: LogHead,
    /// The last step that sled holds.
    settled: u64,
    failed: Option<JournalError>,
    stopped: bool,
    closing: bool,
    /// Somebody waits for the log to have this event.
    log_wanted: u64,
    /// The log's segment in use gets nothing more.
    segment_ends: bool,
    /// Somebody waits for sled to have this step.
    settle_wanted: u64,
    /// Whom a failure wakes.
    wake: Option<Wake>,
}

impl Settler {
    /// Starts the thread. What an earlier life left in the store's outbox is in the log when this returns.
    pub(super) fn start(mut writer: Writer, store: Store) -> Result<Self, JournalError> {
        let logged = writer.at();
        let waiting = store.outbox()?;
        let left_over = waiting.iter().filter(|entry| entry.number > logged.number);
        let logged = writer.append(left_over.map(Entry::encode))?;
        let shared = Arc::new(Shared::new(logged, store.meta.sequence));
        let store = Arc::new(Mutex::new(store));
        let worker = Worker {
            shared: Arc::clone(&shared),
            store: Arc::clone(&store),
            writer,
            unsettled: Vec::new(),
            heads: Vec::new(),
            rounds: 0,
        };
        let thread = thread::Builder::new()
            .name("usherd-settle".to_owned())
            .spawn(move || worker.run())
            .map_err(|source| UsageError::Io {
                operation: "start the thread that writes",
                path: "the usage log".into(),
                source,
            })?;
        Ok(Self {
            shared,
            store,
            thread: Some(thread),
        })
    }

    pub(super) fn watch(&self) -> LogWatch {
        LogWatch(Arc::clone(&self.shared))
    }

    /// The store as far as it is settled.
    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A failure here says so at once: the journal's owner may have nothing to commit for long (L13).
    pub(super) fn wake_on_failure(&self, wake: Wake) {
        let mut progress = self.shared.progress();
        if progress.stopped {
            drop(progress);
            wake();
        } else {
            progress.wake = Some(wake);
        }
    }

    /// Hands over a durable step.
    pub(super) fn push(&self, step: StepRecord) {
        let mut progress = self.shared.progress();
        let is_first = progress.waiting.is_empty();
        progress.pushed = step.place().last_number;
        progress.waiting.push(step);
        drop(progress);
        if is_first {
            self.shared.changed.notify_all();
        }
    }

    /// How far the log is; an error of log or sled is an error of the journal (L13).
    pub(super) fn logged(&self) -> Result<LogHead, JournalError> {
        let mut progress = self.shared.progress();
        progress.judge()?;
        Ok(progress.logged)
    }

    /// The last step that sled holds.
    pub(super) fn settled(&self) -> u64 {
        self.shared.progress().settled
    }

    /// Waits until the log has event `number`.
    pub(super) fn wait_for_log(&self, number: u64) -> Result<LogHead, JournalError> {
        let mut progress = self.shared.wait_for_log(number);
        progress.judge()?;
        Ok(progress.logged)
    }

    /// Waits until sled holds step `sequence`.
    pub(super) fn wait_for_sled(&self, sequence: u64) -> Result<LogHead, JournalError> {
        let mut progress = self.shared.progress();
        progress.settle_wanted = progress.settle_wanted.max(sequence);
        let mut progress = self.shared.wait(progress, |it| it.settled < sequence);
        progress.judge()?;
        Ok(progress.logged)
    }

    /// The store was changed by a step of its own, when nothing waited.
    pub(super) fn stepped(&self, sequence: u64) {
        self.shared.progress().settled = sequence;
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.shared.progress().closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // What it panics with is caught, and there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    store: Arc<Mutex<Store>>,
    writer: Writer,
    /// In the log, and not in sled yet.
    unsettled: Vec<StepRecord>,
    /// Where the log was after each of them.
    heads: Vec<LogHead>,
    /// How often the log was written to since sled was.
    rounds: u32,
}

impl Worker {
    fn run(mut self) {
        // Whoever asks for a seat goes first; where it may not be set, both are alike.
        let _ = rustix::process::setpriority_process(None, NICE);
        let shared = Arc::clone(&self.shared);
        shared.stop(caught(|| self.work()));
    }

    fn work(&mut self) -> Result<(), JournalError> {
        while let Some(steps) = self.next_steps() {
            let is_quiet = steps.is_empty();
            self.log(steps)?;
            if is_quiet || self.is_settling_due() {
                self.settle()?;
            }
        }
        self.settle()
    }

    /// Everything that waits, or nothing when it is time to settle; `None` when there will be nothing more.
    fn next_steps(&self) -> Option<Vec<StepRecord>> {
        let is_empty =
            |progress: &mut Progress| progress.waiting.is_empty() && !progress.is_hurried();
        let progress = self.shared.progress();
        let mut progress = if self.unsettled.is_empty() {
            let waited = self.shared.changed.wait_while(progress, is_empty);
            waited.unwrap_or_else(PoisonError::into_inner)
        } else {
            self.shared.wait_at_most(SETTLE_LINGER, progress, is_empty)
        };
        if !progress.waiting.is_empty() {
            // One sync of the log for what several commits bring; the steps' files keep it safe meanwhile.
            let linger = |progress: &mut Progress| !progress.is_hurried();
            progress = self.shared.wait_at_most(LOG_LINGER, progress, linger);
        }
        let steps = mem::take(&mut progress.waiting);
        (!steps.is_empty() || !progress.closing).then_some(steps)
    }

    /// S2: an event is in the log before the step that it rode in leaves the steps' files.
    fn log(&mut self, steps: Vec<StepRecord>) -> Result<(), JournalError> {
        if steps.is_empty() {
            return Ok(());
        }
        let segment_ends = mem::take(&mut self.shared.progress().segment_ends);
        if segment_ends {
            self.writer.end_segment()?;
        }
        let heads = self
            .writer
            .append_groups(steps.iter().map(StepRecord::entries))?;
        self.shared.progress().logged = self.writer.at();
        self.shared.changed.notify_all();
        self.rounds += 1;
        self.unsettled.extend(steps);
        self.heads.extend(heads);
        Ok(())
    }

    fn is_settling_due(&self) -> bool {
        let bytes: usize = self.unsettled.iter().map(|step| step.bytes().len()).sum();
        self.rounds >= SETTLE_ROUNDS
            || bytes >= SETTLE_BYTES
            || self.shared.progress().is_settling_wanted()
    }

    /// Many steps are few changes of sled's: what was set and removed meanwhile costs it nothing.
    fn settle(&mut self) -> Result<(), JournalError> {
        self.rounds = 0;
        let (steps, heads) = (mem::take(&mut self.unsettled), mem::take(&mut self.heads));
        let Some(last) = steps.last().map(|step| step.place().sequence) else {
            return Ok(());
        };
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in pieces(&steps) {
            // The log's place after these steps and no later one: a store never knows of more log than of steps (S6).
            store.take_in(&steps[piece.clone()], heads[piece.end - 1])?;
            self.shared.rest(PIECE_REST);
        }
        store.sync()?;
        drop(store);
        self.shared.progress().settled = last;
        self.shared.changed.notify_all();
        Ok(())
    }
}

/// A panic is a failure like others: somebody may be waiting for this thread.
fn caught(work: impl FnOnce() -> Result<(), JournalError>) -> Result<(), JournalError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let fault = "a fault of usherd's own, told above; the steps are safe in their files";
        Err(stopped(fault))
    })
}

fn stopped(why: &str) -> JournalError {
    JournalError::Io {
        operation: "write",
        path: "the usage log and the store".into(),
        source: std::io::Error::other(why),
    }
}

impl Shared {
    fn new(logged: LogHead, settled: u64) -> Self {
        let progress = Progress {
            waiting: Vec::new(),
            pushed: logged.number,
            logged,
            settled,
            failed: None,
            stopped: false,
            closing: false,
            log_wanted: 0,
            segment_ends: false,
            settle_wanted: 0,
            wake: None,
        };
        Self {
            progress: Mutex::new(progress),
            changed: Condvar::new(),
        }
    }

    /// Nothing will be written any more: tells everybody who waits, and where it failed the journal's owner.
    fn stop(&self, outcome: Result<(), JournalError>) {
        let mut progress = self.progress();
        progress.stopped = true;
        let is_failed = outcome.is_err();
        // S4: not tried again; the steps are safe in their files.
        progress.failed = outcome.err();
        let wake = progress.wake.take().filter(|_| is_failed);
        drop(progress);
        self.changed.notify_all();
        if let Some(wake) = wake {
            wake();
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until the log has event `number`, or nothing will be written any more.
    fn wait_for_log(&self, number: u64) -> MutexGuard<'_, Progress> {
        let mut progress = self.progress();
        progress.log_wanted = progress.log_wanted.max(number);
        self.wait(progress, |it| it.logged.number < number)
    }

    /// As long as this is due and the thread is at work.
    fn wait<'a>(
        &self,
        progress: MutexGuard<'a, Progress>,
        is_due: impl Fn(&Progress) -> bool,
    ) -> MutexGuard<'a, Progress> {
        if !is_due(&progress) {
            return progress;
        }
        self.changed.notify_all();
        let waited = self
            .changed
            .wait_while(progress, |it| is_due(it) && !it.stopped);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets others have the processor, unless somebody waits for this thread.
    fn rest(&self, time: Duration) {
        drop(self.wait_at_most(time, self.progress(), |it| !it.is_hurried()));
    }

    fn wait_at_most<'a>(
        &self,
        time: Duration,
        progress: MutexGuard<'a, Progress>,
        goes_on: impl FnMut(&mut Progress) -> bool,
    ) -> MutexGuard<'a, Progress> {
        let waited = self.changed.wait_timeout_while(progress, time, goes_on);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Progress {
    fn is_hurried(&self) -> bool {
        self.closing || self.log_wanted > self.logged.number || self.is_settling_wanted()
    }

    fn is_settling_wanted(&self) -> bool {
        self.settle_wanted > self.settled
    }

    fn judge(&mut self) -> Result<(), JournalError> {
        match self.failed.take() {
            Some(error) => Err(error),
            None if self.stopped => Err(stopped("their thread has stopped")),
            None => Ok(()),
        }
    }
}

/// How far the thread steps back behind those that answer (setpriority(2), which on Linux sets one thread's): a tenth
/// of their weight. It still gets on where they need all there is, and past the steps' bound they wait for it.
const NICE: i32 = 10;
/// After each piece of a change of sled's: whoever was woken meanwhile runs now. The scheduler alone lets it wait for the
/// rest of this thread's slice, however nice.
const PIECE_REST: Duration = Duration::from_micros(200);
/// How long the log waits for more before it syncs.
const LOG_LINGER: Duration = Duration::from_millis(10);
/// With nothing more to log for so long, sled gets what it has not.
const SETTLE_LINGER: Duration = Duration::from_millis(100);
/// Or after so many syncs of the log,
const SETTLE_ROUNDS: u32 = 20;
/// or so many bytes of steps.
const SETTLE_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// L13: nobody waits for a thread that is gone, and its owner hears of it at once.
    #[test]
    fn a_panic_ends_every_wait_and_wakes_the_owner() {
        let shared = Arc::new(Shared::new(LogHead::default(), 0));
        let (tell, told) = std::sync::mpsc::channel();
        shared.progress().wake = Some(Box::new(move || tell.send(()).unwrap()));
        let waits = Arc::clone(&shared);
        let waiter = thread::spawn(move || waits.wait_for_log(1).judge().unwrap_err().to_string());
        while shared.progress().log_wanted == 0 {
            thread::yield_now();
        }
        shared.stop(caught(|| panic!("a count that cannot be")));
        told.recv().unwrap();
        let message = waiter.join().unwrap();
        assert!(message.contains("a fault of usherd's own"), "{message}");
        assert!(message.contains("start usherd again"), "{message}");
    }
}
