//! Decides how long a granted right stands: L1, and nothing else. Pure arithmetic on two readings
//! of the clocks.

use usher_protocol::time::{BootMs, DurationMs, Now};

/// A right of a known length, counted from before the request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// Both clocks before the very send that the grant answers: `c0`.
    pub since: Now,
    /// The length **R** of the reply.
    pub length: DurationMs,
}

/// What the clocks say of a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Both clocks agree that it stands.
    Stands,
    /// It may stand, but the clocks disagree: only the server knows.
    Unsure,
    /// One of the clocks says that it is over.
    Over,
}

impl Right {
    /// Judges the right by both clocks (L1).
    pub fn standing(&self, now: Now) -> Standing {
        // A boot clock before c0 belongs to another boot.
        let Some(boot) = now.boot.0.checked_sub(self.since.boot.0) else {
            return Standing::Over;
        };
        let wall = i128::from(now.wall.0) - i128::from(self.since.wall.0);
        let (boot, length) = (i128::from(boot), i128::from(self.length.0));
        if boot >= length || wall >= length {
            Standing::Over
        } else if (wall - boot).abs() > i128::from(DIVERGENCE_MS_MAX.0) {
            Standing::Unsure
        } else {
            Standing::Stands
        }
    }

    /// Its end on the boot clock, `c0 + R`; the wall clock may end it sooner.
    pub fn end(&self) -> BootMs {
        self.since.boot.plus(self.length)
    }

    /// What is left of it at `now`, by the clock that leaves less.
    pub fn left(&self, now: Now) -> DurationMs {
        let boot = self.length.minus(now.boot.since(self.since.boot));
        let wall = self.length.minus(now.wall.since(self.since.wall));
        boot.min(wall)
    }
}

/// How far wall and boot clock may drift apart before the server must confirm (L1).
const DIVERGENCE_MS_MAX: DurationMs = DurationMs::seconds(1);

#[cfg(test)]
mod tests {
    use super::*;
    use usher_protocol::time::WallMs;

    const C0: Now = Now {
        boot: BootMs(1_000_000),
        wall: WallMs(1_795_000_000_000),
    };

    fn after(boot: u64, wall: i64) -> Now {
        Now {
            boot: BootMs(C0.boot.0 + boot),
            wall: WallMs(C0.wall.0.checked_add_signed(wall).unwrap()),
        }
    }

    const RIGHT: Right = Right {
        since: C0,
        length: DurationMs(60_000),
    };

    #[test]
    fn l1_it_ends_at_c0_plus_r_by_either_clock() {
        assert_eq!(RIGHT.standing(after(59_999, 59_999)), Standing::Stands);
        assert_eq!(RIGHT.standing(after(60_000, 59_999)), Standing::Over);
        assert_eq!(RIGHT.standing(after(59_999, 60_000)), Standing::Over);
        assert_eq!(RIGHT.standing(after(0, 60_000)), Standing::Over);
    }

    #[test]
    fn l1_clocks_more_than_a_second_apart_leave_it_unsure() {
        assert_eq!(RIGHT.standing(after(10_000, 11_000)), Standing::Stands);
        assert_eq!(RIGHT.standing(after(10_000, 11_001)), Standing::Unsure);
        assert_eq!(RIGHT.standing(after(10_000, 9_000)), Standing::Stands);
        assert_eq!(RIGHT.standing(after(10_000, 8_999)), Standing::Unsure);
        assert_eq!(RIGHT.standing(after(10_000, -3_600_000)), Standing::Unsure);
    }

    #[test]
    fn a_boot_clock_of_another_boot_ends_it() {
        let rebooted = Now {
            boot: BootMs(5),
            ..C0
        };
        assert_eq!(RIGHT.standing(rebooted), Standing::Over);
    }

    #[test]
    fn what_is_left_is_what_the_stricter_clock_leaves() {
        assert_eq!(RIGHT.left(after(10_000, 20_000)), DurationMs(40_000));
        assert_eq!(RIGHT.left(after(10_000, -5)), DurationMs(50_000));
        assert_eq!(RIGHT.left(after(70_000, 0)), DurationMs::ZERO);
    }
}
