//! Decides what time it is (L3): the only file that reads clocks; `clippy.toml` bans the rest.
//! Must not decide what a time *means*: deadlines belong to the engine and to the session.
//!
//! Boot time counts suspend, which neither [`std::time::Instant`] nor a tokio timer does, so
//! sleeping until a deadline goes through [`Alarm`] as well.

mod alarm;
mod calendar;

pub use alarm::{Alarm, AlarmError, NEVER};
pub use calendar::{end_of_date, local_rfc3339, utc_rfc3339};
pub use usher_protocol::{
    ids::BootId,
    time::{BootMs, DurationMs, Now, WallMs},
};

use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(not(target_os = "linux"))]
compile_error!(
    "usher needs a clock that counts suspend and can wake a thread; only Linux's \
     CLOCK_BOOTTIME and timerfd are written: add this platform's equal in clock.rs (L3)"
);

/// Measures how long something takes, for graphs. It stops in a suspend, so no deadline may hang on it (L3).
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Runs from now on.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "L3: this file reads the clocks")]
    pub fn start() -> Stopwatch {
        Stopwatch(std::time::Instant::now())
    }

    /// How long it has run.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "L3: this file reads the clocks")]
    pub fn read(self) -> std::time::Duration {
        self.0.elapsed()
    }
}

/// Both clocks of this machine. Free to copy: it holds nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The clocks of this machine.
    #[must_use]
    pub const fn new() -> Clock {
        Clock
    }

    /// Reads both clocks, boot first.
    #[must_use]
    pub fn now(&self) -> Now {
        Now {
            boot: self.boot(),
            wall: wall(),
        }
    }

    /// Reads the suspend-aware clock alone, rounded down to the millisecond.
    #[must_use]
    pub fn boot(&self) -> BootMs {
        #[expect(clippy::disallowed_methods, reason = "L3: this file reads the clocks")]
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        BootMs(
            seconds
                .saturating_mul(1000)
                .saturating_add(nanos / 1_000_000),
        )
    }

    /// Waits until the suspend-aware clock shows `at`. Cancelled by dropping the future.
    ///
    /// # Errors
    /// The kernel refused the one timer of this process (see [`AlarmError`]).
    pub async fn sleep_until(&self, at: BootMs) -> Result<(), AlarmError> {
        let alarm = Alarm::new()?;
        alarm.wake_at(at);
        alarm.rung().await;
        Ok(())
    }

    /// Waits for `length` of boot time, so that a suspend counts.
    ///
    /// # Errors
    /// As [`Clock::sleep_until`].
    pub async fn sleep(&self, length: DurationMs) -> Result<(), AlarmError> {
        self.sleep_until(self.boot().plus(length)).await
    }

    /// The kernel's id of this boot: boot times of different boots are not comparable.
    /// `None` where the kernel hides it, as systemd's `ProcSubset=pid` does; then the caller must
    /// assume another boot.
    #[must_use]
    pub fn boot_id(&self) -> Option<BootId> {
        parse_boot_id(&std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?)
    }
}

/// A wall clock set before 1970 reads as 1970: harmless, since no license starts so early.
fn wall() -> WallMs {
    #[expect(clippy::disallowed_methods, reason = "L3: this file reads the clocks")]
    let now = SystemTime::now();
    let length = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
}

/// Reads the kernel's form, `8ce8eafe-d960-4f20-a545-54f576ef4d10`.
fn parse_boot_id(text: &str) -> Option<BootId> {
    let digits = text.trim().replace('-', "");
    let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).ok()?;
    Some(BootId(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_is_the_kernels_uptime_with_suspend() {
        let uptime = || -> f64 {
            let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
            uptime.split(' ').next().unwrap().parse().unwrap()
        };
        let (before, boot, after) = (uptime(), Clock::new().boot(), uptime());
        let boot = std::time::Duration::from_millis(boot.0).as_secs_f64();
        assert!(
            (before - 0.1..=after + 0.1).contains(&boot),
            "the boot clock says {boot} s, /proc/uptime between {before} and {after} s"
        );
    }

    #[test]
    fn neither_clock_runs_backwards_between_two_reads() {
        let clock = Clock::new();
        let (first, second) = (clock.now(), clock.now());
        assert!(second.boot >= first.boot);
        assert!(
            first.wall > WallMs(1_600_000_000_000),
            "a wall clock before 2020"
        );
    }

    #[test]
    fn a_boot_id_is_read_in_the_kernels_form_only() {
        let id = parse_boot_id("8ce8eafe-d960-4f20-a545-54f576ef4d10\n").unwrap();
        assert_eq!(id.to_string(), "8ce8eafed9604f20a54554f576ef4d10");
        assert_eq!(parse_boot_id(""), None);
        assert_eq!(parse_boot_id("8ce8eafe"), None);
    }

    #[tokio::test]
    async fn a_sleep_ends_at_its_point_in_boot_time() {
        let clock = Clock::new();
        let start = clock.boot();
        clock.sleep(DurationMs(30)).await.unwrap();
        assert!(clock.boot() >= start.plus(DurationMs(30)));
    }
}
