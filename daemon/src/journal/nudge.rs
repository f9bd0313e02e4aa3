//! Wakes a durable step that sled left asleep, so that an error of the disk is an error and no silence (L13).
//!
//! When sled 0.34.7 writes in its own background and fails, it notes the error without waking the flush that
//! waits for this write; the next flush, by whomever, reads the error and wakes them all. This makes that next flush.
//! It must not decide what an error means, nor make a step durable: the step itself does both.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Looks after the steps of one store, in a thread of its own. Dropping it waits for that thread.
pub(super) struct Nudge {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Beginnings and ends of steps so far: odd while one is under way.
    turns: AtomicU64,
    closing: Mutex<bool>,
    closed: Condvar,
}

impl Nudge {
    /// Has `flush` called whenever a step has been under way for one to two seconds, and each second from then on.
    pub(super) fn start(flush: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let watcher = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("store-nudge".to_owned())
            .spawn(move || watcher.watch(flush))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// A step, under this eye.
    pub(super) fn watched<T>(&self, step: impl FnOnce() -> T) -> T {
        self.shared.turns.fetch_add(1, Ordering::Relaxed);
        let done = step();
        self.shared.turns.fetch_add(1, Ordering::Relaxed);
        done
    }
}

impl Drop for Nudge {
    fn drop(&mut self) {
        *self
            .shared
            .closing
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.closed.notify_all();
        if let Some(thread) = self.thread.take() {
            // What it calls is guarded, and if it panicked there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn watch(&self, flush: impl Fn()) {
        let mut before = 0;
        while !self.is_closed_within(LOOK_EVERY) {
            let turns = self.turns.load(Ordering::Relaxed);
            if turns == before && turns % 2 == 1 {
                flush();
            }
            before = turns;
        }
    }

    fn is_closed_within(&self, time: Duration) -> bool {
        let closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .closed
            .wait_timeout_while(closing, time, |closing| !*closing);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn l13_a_step_that_sleeps_is_woken_and_others_are_left_alone() {
        let (flushed, seen) = mpsc::channel();
        let nudge = Nudge::start(move || {
            let _ = flushed.send(());
        })
        .unwrap();
        assert_eq!(nudge.watched(|| 7), 7);
        thread::sleep(3 * LOOK_EVERY);
        assert!(seen.try_recv().is_err(), "no step was under way");
        let woken = nudge.watched(|| seen.recv_timeout(Duration::from_mins(1)));
        assert!(woken.is_ok());
    }
}
