//! Decides whether this machine's wall clock was set back, as far as it can know: the latest time
//! that it and a site's server have shown, kept for each site of which something was borrowed (L10).
//!
//! What was borrowed raises the mark as it is used, never beyond its own end. The site's server raises
//! it too, and is the only one that lowers it: when its clock and ours agree, the time is proved, and a
//! mark beyond it came from a clock that was wrong. Another site's word moves nothing, or a daemon of
//! the borrower's own could. Must not decide what follows from a clock that is back.

use super::{Marks, lock};
use crate::{clock::local_rfc3339, paths::files};
use std::{io, path::Path};
use usher_protocol::{
    ids::PublicKey, limits::BORROW_CLOCKS_APART_MS_MAX, time::DurationMs, time::WallMs,
};

/// Why the wall clock is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// It shows less than it has shown.
    #[error(
        "this machine's clock shows {}, and it was {} here before; correct the clock. If it is right \
         now and was wrong then, one connection to the server that lent the lease proves it \
         (`usher features`)",
        local_rfc3339(*.now), local_rfc3339(*.mark)
    )]
    Back {
        /// What it shows.
        now: WallMs,
        /// The latest time known here.
        mark: WallMs,
    },
    /// Nobody knows what it has shown.
    #[error(
        "the record of the latest time seen here cannot be used ({0}); return the lease with \
         `usher return`, then borrow anew"
    )]
    Unknown(String),
}

impl Marks {
    /// Begins the record of a site, or raises it; durable when this returns. Nothing is borrowed
    /// without it.
    ///
    /// # Errors
    /// Whatever the file system answered.
    pub fn begin_wall(&self, site: &PublicKey, wall: WallMs) -> io::Result<()> {
        let path = self.paths.wall_mark(site);
        let _lock = lock(&path);
        let raised = read(&path)?.map_or(wall, |mark| mark.max(wall));
        write(&path, raised)
    }

    /// Raises the mark of a site, if it has one, to a time at which something borrowed of it stood.
    /// Seldom a write: only once the mark is over a minute behind.
    pub fn raise_wall(&self, site: &PublicKey, wall: WallMs) {
        self.move_wall(site, |mark| mark.max(wall));
    }

    /// Takes a site's time from its verified `Welcome`, with our own at that moment.
    pub fn hear_wall(&self, site: &PublicKey, theirs: WallMs, ours: WallMs) {
        let agree = theirs.0.abs_diff(ours.0) <= BORROW_CLOCKS_APART_MS_MAX.0;
        self.move_wall(site, |mark| {
            if agree {
                theirs.max(ours)
            } else {
                mark.max(theirs)
            }
        });
    }

    /// Whether the wall clock may be believed when it says that something borrowed of this site still
    /// stands. `issued` is its signed date, a mark that nobody can remove.
    ///
    /// # Errors
    /// [`ClockError`].
    pub fn check_wall(
        &self,
        site: &PublicKey,
        issued: WallMs,
        now: WallMs,
    ) -> Result<(), ClockError> {
        let mark = read(&self.paths.wall_mark(site));
        let mark = mark.map_err(|error| ClockError::Unknown(error.to_string()))?;
        let mark = mark.ok_or_else(|| ClockError::Unknown("it is gone".to_owned()))?;
        let mark = mark.max(issued);
        if mark.since(now) > BORROW_CLOCKS_APART_MS_MAX {
            return Err(ClockError::Back { now, mark });
        }
        Ok(())
    }

    /// A mark that cannot be kept stops nobody's work; it is noticed when it is gone.
    fn move_wall(&self, site: &PublicKey, moved: impl Fn(WallMs) -> WallMs) {
        let path = self.paths.wall_mark(site);
        let is_far = |mark: WallMs| mark.0.abs_diff(moved(mark).0) >= WRITE_STEP_MS.0;
        let due = || read(&path).ok().flatten().filter(|mark| is_far(*mark));
        if due().is_none() {
            return;
        }
        let _lock = lock(&path);
        if let Some(mark) = due()
            && let Err(error) = write(&path, moved(mark))
        {
            tracing::warn!(path = %path.display(), %error, "the latest time cannot be kept");
        }
    }
}

fn read(path: &Path) -> io::Result<Option<WallMs>> {
    match std::fs::read_to_string(path) {
        Ok(text) => match text.trim_end().parse() {
            Ok(wall) => Ok(Some(WallMs(wall))),
            Err(_) => Err(io::Error::other("it is no time")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, wall: WallMs) -> io::Result<()> {
    files::replace_private(path, format!("{}\n", wall.0).as_bytes())
}

const WRITE_STEP_MS: DurationMs = DurationMs::minutes(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::{MachineId, Paths};
    use usher_protocol::calendar::DAY;

    const NOW: WallMs = WallMs(1_795_348_800_000);

    fn site(seed: u8) -> PublicKey {
        PublicKey::from(&ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
    }

    fn marks(home: &Path) -> Marks {
        let variable = |_: &str| Some(home.as_os_str().to_owned());
        Marks::new(Paths::from_variables(variable, MachineId::of_this_machine()).unwrap())
    }

    fn check(marks: &Marks, now: WallMs) -> Result<(), ClockError> {
        marks.check_wall(&site(1), NOW, now)
    }

    fn before(wall: WallMs, length: DurationMs) -> WallMs {
        WallMs(wall.0 - length.0)
    }

    #[test]
    fn l10_a_clock_set_back_by_more_than_five_minutes_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let marks = marks(home.path());
        marks.begin_wall(&site(1), NOW).unwrap();
        let used = NOW.plus(DAY);
        marks.raise_wall(&site(1), used);
        assert_eq!(check(&marks, before(used, DurationMs::minutes(5))), Ok(()));
        let back = before(used, DurationMs(300_001));
        assert_eq!(
            check(&marks, back),
            Err(ClockError::Back {
                now: back,
                mark: used
            })
        );
    }

    #[test]
    fn l10_the_signed_date_is_a_mark_too_and_a_missing_mark_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let marks = marks(home.path());
        assert!(matches!(check(&marks, NOW), Err(ClockError::Unknown(_))));
        marks.begin_wall(&site(1), before(NOW, DAY)).unwrap();
        let back = before(NOW, DurationMs::hours(1));
        assert!(matches!(
            check(&marks, back),
            Err(ClockError::Back { mark: NOW, .. })
        ));
        std::fs::write(marks.paths.wall_mark(&site(1)), "soon\n").unwrap();
        assert!(matches!(check(&marks, NOW), Err(ClockError::Unknown(_))));
    }

    #[test]
    fn l10_only_its_own_server_with_a_clock_like_ours_lowers_a_mark() {
        let home = tempfile::tempdir().unwrap();
        let marks = marks(home.path());
        let ahead = NOW.plus(DurationMs::days(30));
        marks.begin_wall(&site(1), ahead).unwrap();
        // Another site agrees with us: that proves nothing here.
        marks.hear_wall(&site(2), NOW, NOW);
        assert!(check(&marks, NOW).is_err());
        // Ours does not agree: a clock that was set back stays noticed.
        marks.hear_wall(&site(1), ahead, NOW);
        assert!(check(&marks, NOW).is_err());
        marks.hear_wall(&site(1), NOW.plus(DurationMs::minutes(4)), NOW);
        assert_eq!(check(&marks, NOW), Ok(()));
    }

    #[test]
    fn l10_the_servers_time_raises_the_mark() {
        let home = tempfile::tempdir().unwrap();
        let marks = marks(home.path());
        marks.begin_wall(&site(1), NOW).unwrap();
        marks.hear_wall(&site(1), NOW.plus(DAY), NOW);
        assert!(check(&marks, NOW).is_err());
        assert!(check(&marks, NOW.plus(DAY)).is_ok());
    }

    #[test]
    fn a_mark_is_not_written_at_every_use_nor_for_those_who_never_borrowed() {
        let home = tempfile::tempdir().unwrap();
        let marks = marks(home.path());
        marks.raise_wall(&site(1), NOW);
        marks.hear_wall(&site(1), NOW, NOW);
        let path = marks.paths.wall_mark(&site(1));
        assert!(!path.exists());
        marks.begin_wall(&site(1), NOW).unwrap();
        marks.raise_wall(&site(1), NOW.plus(DurationMs::seconds(59)));
        assert_eq!(read(&path).unwrap(), Some(NOW));
        marks.raise_wall(&site(1), NOW.plus(DurationMs::seconds(60)));
        assert_eq!(
            read(&path).unwrap(),
            Some(NOW.plus(DurationMs::seconds(60)))
        );
        marks.raise_wall(&site(1), NOW);
        assert_eq!(
            read(&path).unwrap(),
            Some(NOW.plus(DurationMs::seconds(60)))
        );
    }
}
