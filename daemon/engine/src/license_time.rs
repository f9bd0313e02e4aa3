//! License time (L11): what the engine believes of the calendar.
//!
//! `max(mark + elapsed boot time, wall)`, but a wall clock that leads too far moves nothing until an
//! administrator confirms it, and one that steps back is said aloud and otherwise ignored.

use usher_protocol::time::{BootMs, DurationMs, Now, WallMs};

/// License time within one life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LicenseTime {
    base: WallMs,
    base_at: BootMs,
    /// Whether a wall reading of this life was ever believed: until then the allowance is the one
    /// across a start.
    wall_seen: bool,
    lead: Option<DurationMs>,
    back: Option<DurationMs>,
}

impl LicenseTime {
    /// License time as a life begins: from the persisted mark, or from the wall of a first start.
    pub(crate) fn start(mark: Option<WallMs>, now: Now) -> Self {
        let mut time = Self {
            base: mark.unwrap_or(now.wall),
            base_at: now.boot,
            wall_seen: mark.is_none(),
            lead: None,
            back: None,
        };
        time.observe(now);
        time
    }

    /// Takes in a reading; says in words when its judgment of the wall clock changed.
    pub(crate) fn observe(&mut self, now: Now) -> Option<String> {
        let (led, stepped) = (self.lead.is_some(), self.back.is_some());
        let believed = self.at(now.boot);
        let lead = now.wall.since(believed);
        let allowed = if self.wall_seen {
            LEAD_MS_MAX
        } else {
            LEAD_MS_MAX_AT_START
        };
        self.lead = (lead > allowed).then_some(lead);
        self.back = Some(believed.since(now.wall)).filter(|back| *back > BACK_MS_MAX);
        if self.lead.is_none() && now.wall >= believed {
            self.believe(now);
        }
        (led != self.lead.is_some() || stepped != self.back.is_some()).then(|| {
            self.worry()
                .unwrap_or_else(|| "the clock is believed again".to_owned())
        })
    }

    /// License time at a moment of this life.
    pub(crate) fn at(&self, now: BootMs) -> WallMs {
        self.base.plus(now.since(self.base_at))
    }

    /// What is wrong with the wall clock, in words, when something is.
    pub(crate) fn worry(&self) -> Option<String> {
        match (self.lead, self.back) {
            (Some(lead), _) => Some(format!(
                "the wall clock leads license time by {lead} and moves nothing: correct it, or confirm it with `usherd clock confirm`"
            )),
            (None, Some(back)) => Some(format!(
                "the wall clock is {back} behind license time: correct it"
            )),
            (None, None) => None,
        }
    }

    /// Whether the wall leads so far that it is not believed.
    pub(crate) fn leads(&self) -> bool {
        self.lead.is_some()
    }

    /// The wall clock as leases may show it, or license time while the wall is not to be believed.
    pub(crate) fn wall_for_leases(&self, now: Now) -> WallMs {
        if self.worry().is_some() {
            self.at(now.boot)
        } else {
            now.wall
        }
    }

    /// An administrator stands for the wall clock.
    pub(crate) fn confirm(&mut self, now: Now) {
        if now.wall >= self.at(now.boot) {
            self.believe(now);
        }
        self.lead = None;
    }

    /// A newer vendor-signed license lowers the mark to its own date or the wall's, never raises it.
    pub(crate) fn lower(&mut self, issued: WallMs, now: Now) {
        let lowered = issued.max(now.wall);
        if lowered < self.at(now.boot) {
            self.base = lowered;
            self.base_at = now.boot;
            self.observe(now);
        }
    }

    fn believe(&mut self, now: Now) {
        self.base = now.wall;
        self.base_at = now.boot;
        self.wall_seen = true;
    }
}

/// A wall lead within one life that still moves license time.
const LEAD_MS_MAX: DurationMs = DurationMs::hours(24);

/// The same across a start, for a daemon that was off.
const LEAD_MS_MAX_AT_START: DurationMs = DurationMs::days(30);

/// A step back that is not worth a word.
const BACK_MS_MAX: DurationMs = DurationMs::minutes(5);

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    fn now(boot: u64, wall: u64) -> Now {
        Now {
            boot: BootMs(boot),
            wall: WallMs(wall),
        }
    }

    #[test]
    fn l11_it_never_goes_back_and_follows_the_wall_forward() {
        let mut time = LicenseTime::start(None, now(0, 100 * DAY));
        time.observe(now(1000, 100 * DAY + 5000));
        assert_eq!(time.at(BootMs(1000)), WallMs(100 * DAY + 5000));
        let word = time.observe(now(2000, 99 * DAY)).unwrap();
        assert!(word.contains("behind"), "{word}");
        assert_eq!(time.at(BootMs(2000)), WallMs(100 * DAY + 6000));
        assert!(!time.leads());
    }

    #[test]
    fn l11_a_far_lead_moves_nothing_until_it_is_confirmed() {
        let mut time = LicenseTime::start(None, now(0, 100 * DAY));
        assert!(time.observe(now(0, 101 * DAY + 1)).is_some());
        assert!(time.leads());
        assert_eq!(time.at(BootMs(0)), WallMs(100 * DAY));
        time.confirm(now(0, 101 * DAY + 1));
        assert!(!time.leads());
        assert_eq!(time.at(BootMs(0)), WallMs(101 * DAY + 1));
    }

    #[test]
    fn l11_one_bad_reading_locks_nobody_out() {
        let mut time = LicenseTime::start(None, now(0, 100 * DAY));
        time.observe(now(10, 900 * DAY));
        assert_eq!(
            time.observe(now(20, 100 * DAY + 20)).as_deref(),
            Some("the clock is believed again")
        );
        assert_eq!(time.at(BootMs(20)), WallMs(100 * DAY + 20));
    }

    #[test]
    fn l11_a_month_may_pass_across_a_start_and_no_more() {
        let mark = Some(WallMs(100 * DAY));
        assert!(!LicenseTime::start(mark, now(0, 130 * DAY)).leads());
        assert!(LicenseTime::start(mark, now(0, 131 * DAY)).leads());
    }

    #[test]
    fn l11_a_newer_license_lowers_it_and_never_raises_it() {
        let mut time = LicenseTime::start(Some(WallMs(300 * DAY)), now(0, 100 * DAY));
        time.lower(WallMs(90 * DAY), now(0, 100 * DAY));
        assert_eq!(time.at(BootMs(0)), WallMs(100 * DAY));
        time.lower(WallMs(400 * DAY), now(0, 100 * DAY));
        assert_eq!(time.at(BootMs(0)), WallMs(100 * DAY));
    }

    #[test]
    fn l11_five_minutes_back_are_not_worth_a_word_and_more_are() {
        let start = || LicenseTime::start(None, now(0, 100 * DAY));
        let mut time = start();
        assert_eq!(time.observe(now(0, 100 * DAY - 300_000)), None);
        assert_eq!(time.worry(), None);
        assert_eq!(
            time.wall_for_leases(now(0, 100 * DAY - 300_000)),
            WallMs(100 * DAY - 300_000)
        );
        let mut time = start();
        let further = now(0, 100 * DAY - 300_001);
        assert!(time.observe(further).is_some());
        assert_eq!(time.observe(further), None, "said once");
        assert_eq!(time.wall_for_leases(further), WallMs(100 * DAY));
    }

    #[test]
    fn l11_a_day_ahead_is_believed_within_a_life_and_more_is_said_once() {
        let start = || LicenseTime::start(None, now(0, 100 * DAY));
        let mut time = start();
        assert_eq!(time.observe(now(0, 101 * DAY)), None);
        assert_eq!(time.at(BootMs(7)), WallMs(101 * DAY + 7));
        let mut time = start();
        let further = now(0, 101 * DAY + 1);
        assert!(time.observe(further).unwrap().contains("leads"));
        assert_eq!(time.observe(further), None);
        assert_eq!(time.wall_for_leases(further), WallMs(100 * DAY));
    }

    #[test]
    fn l11_who_confirms_a_clock_that_is_behind_turns_nothing_back() {
        let mut time = LicenseTime::start(None, now(0, 100 * DAY));
        time.confirm(now(0, 100 * DAY - 1));
        assert_eq!(time.at(BootMs(0)), WallMs(100 * DAY));
    }
}
