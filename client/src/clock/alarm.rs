//! Decides when a sleeper is woken: one thread of the process blocks on one `CLOCK_BOOTTIME` timer
//! and rings every alarm that is due, suspend included (L3).
//! Must not decide anything else: whoever is rung reads the clock and judges for itself.

use super::{BootMs, Clock};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Why there is no alarm: the kernel refused what the whole process needs once.
#[derive(Debug, thiserror::Error)]
pub enum AlarmError {
    /// No timer: usually out of file descriptors.
    #[error("cannot make a boot-time timer: {0}; raise the limit of open files (ulimit -n)")]
    Timer(#[source] std::io::Error),
    /// No thread for the timer.
    #[error("cannot start the timer's thread: {0}; raise the limit of processes (ulimit -u)")]
    Thread(#[source] std::io::Error),
}

/// Rings once each time it was set and its point in boot time came. Dropped, it rings no more,
/// but for a ring that is under way at that very moment.
pub struct Alarm {
    timer: &'static Timer,
    bell: Arc<Bell>,
    /// Where this alarm stands in the timer's table.
    set: Mutex<Option<Place>>,
}

impl Alarm {
    /// An alarm that is not set; await it with [`Alarm::rung`].
    ///
    /// # Errors
    /// Only the first alarm of a process can fail (see [`AlarmError`]).
    pub fn new() -> Result<Alarm, AlarmError> {
        Alarm::ringing(None)
    }

    /// An alarm that also calls `callback`, on the timer's thread: it must be short and never
    /// block (send a message, unpark a thread), since every other alarm waits for it.
    ///
    /// # Errors
    /// As [`Alarm::new`].
    pub fn with_callback(callback: impl Fn() + Send + Sync + 'static) -> Result<Alarm, AlarmError> {
        Alarm::ringing(Some(Box::new(callback)))
    }

    /// Sets or moves the alarm. A point that is past rings at once; [`NEVER`] never does.
    /// A ring that nobody has awaited yet stays: whoever awaits reads the clock anyway.
    pub fn wake_at(&self, at: BootMs) {
        let mut set = lock(&self.set);
        *set = self.timer.replace(*set, Some(at), &self.bell);
    }

    /// Takes the alarm back.
    pub fn cancel(&self) {
        let mut set = lock(&self.set);
        *set = self.timer.replace(*set, None, &self.bell);
    }

    /// Waits for the next ring; one that came before this call counts, several count once.
    pub async fn rung(&self) {
        self.bell.notify.notified().await;
    }

    fn ringing(callback: Option<Callback>) -> Result<Alarm, AlarmError> {
        let bell = Arc::new(Bell {
            notify: Notify::new(),
            callback,
        });
        Ok(Alarm {
            timer: Timer::of_process()?,
            bell,
            set: Mutex::new(None),
        })
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl std::fmt::Debug for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alarm")
            .field("set", &*lock(&self.set))
            .finish_non_exhaustive()
    }
}

type Callback = Box<dyn Fn() + Send + Sync>;

struct Bell {
    notify: Notify,
    callback: Option<Callback>,
}

impl Bell {
    fn ring(&self) {
        self.notify.notify_one();
        if let Some(callback) = &self.callback {
            // One faulty callback must not silence every other deadline of the process.
            let _ = catch_unwind(AssertUnwindSafe(callback));
        }
    }
}

/// A point and a number that tells apart alarms of one point.
type Place = (BootMs, u64);

/// The process's timer and what is due, shared with its thread.
struct Timer {
    fd: OwnedFd,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    due: BTreeMap<Place, Arc<Bell>>,
    placed: u64,
}

impl Timer {
    /// Made at first use and kept for the life of the process. A failure is not remembered, so
    /// that a process that has closed files can try again.
    fn of_process() -> Result<&'static Timer, AlarmError> {
        static TIMER: Mutex<Option<&'static Timer>> = Mutex::new(None);
        let mut timer = lock(&TIMER);
        if let Some(timer) = *timer {
            return Ok(timer);
        }
        let started = Timer::start()?;
        *timer = Some(started);
        Ok(started)
    }

    fn start() -> Result<&'static Timer, AlarmError> {
        let fd = rustix::time::timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)
            .map_err(|errno| AlarmError::Timer(errno.into()))?;
        let timer = Arc::new(Timer {
            fd,
            table: Mutex::default(),
        });
        let for_thread = Arc::clone(&timer);
        std::thread::Builder::new()
            .name("usher-clock".into())
            .spawn(move || for_thread.run())
            .map_err(AlarmError::Thread)?;
        // The thread never ends, so neither does what it uses.
        Ok(Box::leak(Box::new(timer)))
    }

    fn run(&self) {
        let mut expirations = [0_u8; 8];
        loop {
            // Interrupted or not, what is due is what the clock says.
            let _ = rustix::io::read(&self.fd, &mut expirations);
            for bell in self.take_due() {
                bell.ring();
            }
        }
    }

    fn take_due(&self) -> Vec<Arc<Bell>> {
        let mut table = lock(&self.table);
        let now = Clock::new().boot();
        let later = table.due.split_off(&(BootMs(now.0.saturating_add(1)), 0));
        let due = std::mem::replace(&mut table.due, later);
        self.arm(&table);
        due.into_values().collect()
    }

    /// Moves one alarm from `old` to `at` and re-arms the timer if the earliest point changed.
    fn replace(&self, old: Option<Place>, at: Option<BootMs>, bell: &Arc<Bell>) -> Option<Place> {
        let mut table = lock(&self.table);
        let earliest = table.earliest();
        if let Some(old) = old {
            table.due.remove(&old);
        }
        let place = at.filter(|at| *at != NEVER).map(|at| {
            table.placed += 1;
            (at, table.placed)
        });
        if let Some(place) = place {
            table.due.insert(place, Arc::clone(bell));
        }
        if table.earliest() != earliest {
            self.arm(&table);
        }
        place
    }

    /// Under the table's lock, so that the timer always stands at the table's earliest point.
    fn arm(&self, table: &Table) {
        let at = table.earliest().map_or(DISARMED, timespec);
        let setting = Itimerspec {
            it_interval: DISARMED,
            it_value: at,
        };
        // Fails only for a bad descriptor or a malformed time, and neither can be.
        let armed = rustix::time::timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &setting);
        debug_assert!(armed.is_ok(), "timerfd_settime: {armed:?}");
    }
}

impl Table {
    fn earliest(&self) -> Option<BootMs> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }
}

/// A poisoned lock is taken all the same: each critical section leaves its table whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Zero would disarm the timer, so the first point is a nanosecond after boot.
fn timespec(at: BootMs) -> Timespec {
    let seconds = i64::try_from(at.0 / 1000).unwrap_or(i64::MAX);
    let nanos = i64::try_from(at.0 % 1000 * 1_000_000).unwrap_or(0);
    Timespec {
        tv_sec: seconds,
        tv_nsec: nanos.max(1),
    }
}

/// A point in boot time that does not come: setting an alarm there takes it back.
pub const NEVER: BootMs = BootMs(u64::MAX);

const DISARMED: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::DurationMs;
    use std::sync::mpsc;
    use std::time::Duration;

    /// An alarm that reports the moment of each ring.
    fn reporting() -> (Alarm, mpsc::Receiver<BootMs>) {
        let (sender, receiver) = mpsc::channel();
        let alarm = Alarm::with_callback(move || {
            let _ = sender.send(Clock::new().boot());
        });
        (alarm.unwrap(), receiver)
    }

    fn soon(length_ms: u64) -> BootMs {
        Clock::new().boot().plus(DurationMs(length_ms))
    }

    /// The rings of an alarm that `change` got hold of before it was due: a machine may stall between two lines.
    fn changed_in_time(
        change: impl Fn(Alarm) -> Option<Alarm>,
    ) -> (Option<Alarm>, mpsc::Receiver<BootMs>) {
        loop {
            let (alarm, rings) = reporting();
            let at = soon(50);
            alarm.wake_at(at);
            let alarm = change(alarm);
            if Clock::new().boot() < at {
                return (alarm, rings);
            }
        }
    }

    const PATIENCE: Duration = Duration::from_mins(1);
    const QUIET: Duration = Duration::from_millis(120);

    #[test]
    fn it_rings_once_and_never_early() {
        let (alarm, rings) = reporting();
        let at = soon(40);
        alarm.wake_at(at);
        assert!(rings.recv_timeout(PATIENCE).unwrap() >= at);
        assert!(rings.recv_timeout(QUIET).is_err(), "one setting, one ring");
    }

    #[test]
    fn a_point_in_the_past_rings_at_once_and_never_means_never() {
        let (alarm, rings) = reporting();
        alarm.wake_at(BootMs(0));
        rings.recv_timeout(PATIENCE).unwrap();
        alarm.wake_at(NEVER);
        assert!(rings.recv_timeout(QUIET).is_err());
        alarm.wake_at(BootMs(u64::MAX - 1));
        assert!(rings.recv_timeout(QUIET).is_err());
    }

    #[test]
    fn setting_again_moves_it_in_both_directions() {
        let (alarm, rings) = reporting();
        alarm.wake_at(soon(600_000));
        alarm.wake_at(soon(20));
        rings.recv_timeout(PATIENCE).unwrap();
        let (_alarm, rings) = changed_in_time(|alarm| {
            alarm.wake_at(soon(60_000));
            Some(alarm)
        });
        assert!(
            rings.recv_timeout(QUIET).is_err(),
            "the earlier setting still rang"
        );
    }

    #[test]
    fn dropped_or_cancelled_it_is_silent() {
        let (_, rings) = changed_in_time(|alarm| {
            drop(alarm);
            None
        });
        assert!(rings.recv_timeout(QUIET).is_err());
        let (cancelled, rings) = changed_in_time(|alarm| {
            alarm.cancel();
            Some(alarm)
        });
        assert!(rings.recv_timeout(QUIET).is_err());
        // Kept until it has rung: an alarm that is dropped is silent.
        let cancelled = cancelled.unwrap();
        cancelled.wake_at(soon(0));
        rings.recv_timeout(PATIENCE).unwrap();
    }

    #[test]
    fn many_alarms_share_one_thread_and_each_rings() {
        let (sender, receiver) = mpsc::channel();
        let alarms: Vec<Alarm> = (0..500)
            .map(|number| {
                let sender = sender.clone();
                let alarm = Alarm::with_callback(move || sender.send(number).unwrap()).unwrap();
                alarm.wake_at(soon(20 + number % 7));
                alarm
            })
            .collect();
        let mut rung: Vec<u64> = (0..alarms.len())
            .map(|_| receiver.recv_timeout(PATIENCE).unwrap())
            .collect();
        rung.sort_unstable();
        assert_eq!(rung, (0..500).collect::<Vec<u64>>());
        assert_eq!(clock_threads(), 1);
    }

    #[test]
    fn a_callback_that_panics_leaves_the_others_alive() {
        let faulty = Alarm::with_callback(|| panic!("a faulty callback, on purpose")).unwrap();
        let (alarm, rings) = reporting();
        faulty.wake_at(soon(0));
        alarm.wake_at(soon(30));
        rings.recv_timeout(PATIENCE).unwrap();
    }

    #[tokio::test]
    async fn a_ring_before_the_await_is_not_lost() {
        let alarm = Alarm::new().unwrap();
        alarm.wake_at(BootMs(0));
        std::thread::sleep(Duration::from_millis(30));
        alarm.rung().await;
    }

    fn clock_threads() -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.trim() == "usher-clock").count()
    }
}
