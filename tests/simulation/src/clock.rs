//! Virtual time, and how the clocks of one machine run in it. Decides nothing about leases.

use usher_protocol::time::{BootMs, DurationMs, Now, WallMs};

/// A moment of the world, in microseconds from its beginning. No machine can read it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// This moment, `length` later.
    #[must_use]
    pub const fn plus(self, length: DurationMs) -> Self {
        Self(self.0.saturating_add(length.0.saturating_mul(1000)))
    }

    /// Whole milliseconds from `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> DurationMs {
        DurationMs(self.0.saturating_sub(earlier.0) / 1000)
    }
}

/// What an honest wall clock shows when the world begins: a day of 2027.
pub const WALL_AT_BEGINNING: WallMs = WallMs(1_800_000_000_000);

/// Both clocks of one machine: one oscillator, one offset.
#[derive(Debug, Clone)]
pub struct MachineClock {
    /// The last moment at which something about them changed, and what they showed then.
    since: Moment,
    boot_us: u64,
    wall_us: u64,
    /// How much faster the oscillator runs than the world, in parts per million.
    drift_ppm: i64,
    is_paused: bool,
    /// A defect: the boot clock stops while the machine sleeps (L3).
    pub(crate) stops_in_suspend: bool,
    is_asleep: bool,
}

impl MachineClock {
    /// Booted a while before `at`, with an honest wall clock.
    pub fn new(at: Moment, drift_ppm: i64) -> Self {
        Self {
            since: at,
            boot_us: 100_000_000,
            wall_us: WALL_AT_BEGINNING.0 * 1000 + at.0,
            drift_ppm,
            is_paused: false,
            stops_in_suspend: false,
            is_asleep: false,
        }
    }

    /// What both clocks show.
    pub fn now(&self, at: Moment) -> Now {
        let passed = self.passed(at);
        let boot = if self.is_asleep && self.stops_in_suspend {
            self.boot_us
        } else {
            self.boot_us + passed
        };
        Now {
            boot: BootMs(boot / 1000),
            wall: WallMs((self.wall_us + passed) / 1000),
        }
    }

    /// The first moment from `at` on at which the boot clock shows `boot`, if nothing happens to it.
    pub fn moment_of(&self, boot: BootMs, at: Moment) -> Moment {
        let left = boot.0.saturating_mul(1000).saturating_sub(self.boot_us);
        let rate = i128::from(MILLION + self.drift_ppm);
        let passes = i128::from(left) * i128::from(MILLION) / rate + 1;
        let moment = i128::from(self.since.0) + passes;
        Moment(u64::try_from(moment).unwrap_or(u64::MAX)).max(at)
    }

    /// From here on the oscillator runs so much faster than the world.
    pub fn set_drift(&mut self, at: Moment, drift_ppm: i64) {
        self.settle(at);
        self.drift_ppm = drift_ppm;
    }

    /// Somebody sets the wall clock, forward or back.
    pub fn jump_wall(&mut self, at: Moment, by_ms: i64) {
        self.settle(at);
        self.wall_us = self
            .wall_us
            .saturating_add_signed(by_ms.saturating_mul(1000));
    }

    /// The wall clock is set right.
    pub fn correct_wall(&mut self, at: Moment) {
        self.settle(at);
        self.wall_us = WALL_AT_BEGINNING.0 * 1000 + at.0;
    }

    /// By how much the wall clock leads, in milliseconds.
    pub fn wall_leads_ms(&self, at: Moment) -> i64 {
        let honest = i128::from(WALL_AT_BEGINNING.0) + i128::from(at.0 / 1000);
        i64::try_from(i128::from(self.now(at).wall.0) - honest).unwrap_or(i64::MAX)
    }

    /// The hypervisor stops the machine: neither clock goes on, and nobody notices.
    pub fn pause(&mut self, at: Moment) {
        self.settle(at);
        self.is_paused = true;
    }

    /// The hypervisor lets it go on.
    pub fn resume(&mut self, at: Moment) {
        self.settle(at);
        self.is_paused = false;
    }

    /// The machine sleeps, as a lid is closed: the boot clock goes on (L3).
    pub fn suspend(&mut self, at: Moment) {
        self.settle(at);
        self.is_asleep = true;
    }

    /// It wakes.
    pub fn wake(&mut self, at: Moment) {
        self.settle(at);
        self.is_asleep = false;
    }

    /// The machine boots: another boot clock, the same wall clock.
    pub fn reboot(&mut self, at: Moment) {
        self.settle(at);
        self.boot_us = 1_000_000;
        self.is_asleep = false;
        self.is_paused = false;
    }

    fn passed(&self, at: Moment) -> u64 {
        if self.is_paused {
            return 0;
        }
        let passed = i128::from(at.0.saturating_sub(self.since.0));
        let own = passed * i128::from(MILLION + self.drift_ppm) / i128::from(MILLION);
        u64::try_from(own).unwrap_or(0)
    }

    fn settle(&mut self, at: Moment) {
        let passed = self.passed(at);
        if !(self.is_asleep && self.stops_in_suspend) {
            self.boot_us += passed;
        }
        self.wall_us += passed;
        self.since = at;
    }
}

const MILLION: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l2_a_clock_drifts_by_a_hundredth_and_rings_in_time() {
        for drift in [-10_000, 0, 10_000] {
            let clock = MachineClock::new(Moment(5), drift);
            let start = clock.now(Moment(5)).boot;
            let goal = start.plus(DurationMs::hours(1));
            let rings = clock.moment_of(goal, Moment(5));
            assert!(clock.now(rings).boot >= goal, "{drift}");
            assert!(clock.now(Moment(rings.0 - 2000)).boot < goal, "{drift}");
        }
    }

    #[test]
    fn l1_a_pause_stops_both_clocks_and_a_suspend_neither() {
        let mut clock = MachineClock::new(Moment(0), 0);
        let before = clock.now(Moment(0));
        clock.pause(Moment(0));
        assert_eq!(clock.now(Moment(9_000_000)), before);
        clock.resume(Moment(9_000_000));
        clock.suspend(Moment(9_000_000));
        let after = clock.now(Moment(10_000_000));
        assert_eq!(after.boot.since(before.boot), DurationMs::seconds(1));
        assert_eq!(clock.wall_leads_ms(Moment(10_000_000)), -9000);
    }
}
