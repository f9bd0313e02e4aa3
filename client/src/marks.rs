//! Decides whether a server's store went back in time, as far as this machine can know: the highest
//! epoch seen for each license and the life that lived it (L12), and the latest time seen of each
//! site that lent something for off-line use (L10). Must not decide what follows from it.

mod wall;

pub use wall::ClockError;

use crate::paths::{Paths, files};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};
use usher_protocol::{
    documents::endorsement::Endorsement,
    ids::{Epoch, LifeId},
    names::LicenseId,
};

/// The marks of this user on this machine.
#[derive(Debug, Clone)]
pub struct Marks {
    paths: Paths,
}

/// Why a server is not believed although its vendor endorses it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MarkError {
    /// It lives in an epoch before one that was seen here.
    #[error(
        "epoch went back: the server is in epoch {} of license {license}, this machine has seen {}; \
         its store was restored from an old copy, or another server runs with its key",
        .shown.0, .seen.0
    )]
    WentBack {
        /// The license.
        license: LicenseId,
        /// The highest epoch seen.
        seen: Epoch,
        /// The epoch shown now.
        shown: Epoch,
    },
    /// It lives in an epoch that another of its lives was seen in.
    #[error(
        "epoch lived twice: the server is in epoch {} of license {license}, where this machine has seen another \
         of its lives; its store was restored from an old copy, or another server runs with its key",
        .shown.0
    )]
    LivedTwice {
        /// The license.
        license: LicenseId,
        /// The epoch shown now, and seen before.
        shown: Epoch,
    },
    /// The mark cannot be read.
    #[error("the mark {path} cannot be used: {problem}; move it away if it is damaged", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Marks {
    /// The marks that `paths` name; nothing is read yet.
    pub fn new(paths: Paths) -> Self {
        Self { paths }
    }

    /// Refuses an epoch lower than the highest seen for this license, or the same one in another life, and
    /// remembers a higher one. A higher license serial begins anew.
    ///
    /// # Errors
    /// [`MarkError`].
    pub fn check(
        &self,
        endorsement: &Endorsement,
        (epoch, life): (Epoch, LifeId),
    ) -> Result<(), MarkError> {
        let path = self
            .paths
            .epoch_mark(&endorsement.root, &endorsement.license);
        let shown = Mark {
            serial: endorsement.serial,
            epoch,
            life: Some(life),
        };
        let verdict = |seen: Option<Mark>| {
            Mark::after(seen, shown).map_err(|seen| refused(endorsement, seen.epoch, epoch))
        };
        let seen = read(&path)?;
        if seen == Some(verdict(seen)?) {
            return Ok(());
        }
        // Another process may be raising it too: under the lock the highest wins.
        let Some(_lock) = lock(&path) else {
            return Ok(());
        };
        let raised = verdict(read(&path)?)?;
        if let Err(error) = files::replace_private(&path, raised.to_string().as_bytes()) {
            tracing::warn!(path = %path.display(), %error, "the epoch mark cannot be kept");
        }
        Ok(())
    }
}

fn refused(endorsement: &Endorsement, seen: Epoch, shown: Epoch) -> MarkError {
    let license = endorsement.license.clone();
    if seen == shown {
        MarkError::LivedTwice { license, shown }
    } else {
        MarkError::WentBack {
            license,
            seen,
            shown,
        }
    }
}

/// The highest epoch seen, and the license serial it was seen under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The license's serial.
    pub serial: u64,
    /// The highest epoch seen under it.
    pub epoch: Epoch,
    /// The life that lived it; unknown in a mark that was kept before lives were.
    pub life: Option<LifeId>,
}

impl Mark {
    /// What to remember once `shown` was shown to who has seen `seen`: the rule of L12, without files.
    ///
    /// # Errors
    /// What was seen, where it forbids to believe what is shown.
    pub fn after(seen: Option<Self>, shown: Self) -> Result<Self, Self> {
        match seen {
            Some(seen) if seen.forbids(shown) => Err(seen),
            Some(seen) => Ok(seen.raised_by(shown)),
            None => Ok(shown),
        }
    }

    /// An epoch belongs to one life (its number is durable before anything is granted), so a second life in it
    /// began from an older store.
    fn forbids(self, shown: Self) -> bool {
        let another_life =
            || self.life.is_some() && shown.life.is_some() && self.life != shown.life;
        let went_back = shown.epoch < self.epoch || (shown.epoch == self.epoch && another_life());
        went_back && shown.serial <= self.serial
    }

    fn raised_by(self, shown: Self) -> Self {
        let later = shown.serial > self.serial || shown.epoch > self.epoch || self.life.is_none();
        if later {
            Self {
                serial: self.serial.max(shown.serial),
                ..shown
            }
        } else {
            self
        }
    }

    /// `serial epoch`, and since lives are kept `serial epoch life`.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.trim_end().split(' ');
        let mark = Self {
            serial: words.next()?.parse().ok()?,
            epoch: Epoch(words.next()?.parse().ok()?),
            life: match words.next() {
                Some(life) => Some(life.parse().ok()?),
                None => None,
            },
        };
        words.next().is_none().then_some(mark)
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.serial, self.epoch.0)?;
        self.life.map_or(Ok(()), |life| write!(f, " {life}"))?;
        writeln!(f)
    }
}

fn read(path: &Path) -> Result<Option<Mark>, MarkError> {
    let unreadable = |problem: String| MarkError::Unreadable {
        path: path.to_owned(),
        problem,
    };
    match std::fs::read_to_string(path) {
        Ok(text) => match Mark::parse(&text) {
            Some(mark) => Ok(Some(mark)),
            None => Err(unreadable("it is no mark".to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// Where the directory cannot be written, marks are not kept; that must not stop anybody's work.
fn lock(path: &Path) -> Option<File> {
    let directory = path.parent()?;
    let locked = files::private_directory(directory)
        .and_then(|()| File::open(directory))
        .and_then(|file| Ok(flock(&file, FlockOperation::LockExclusive).map(|()| file)?));
    locked
        .map_err(
            |error| tracing::warn!(path = %path.display(), %error, "the epoch mark cannot be kept"),
        )
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(serial: u64, epoch: u64, life: Option<u8>) -> Mark {
        Mark {
            serial,
            epoch: Epoch(epoch),
            life: life.map(|life| LifeId([life; 16])),
        }
    }

    #[test]
    fn l12_an_epoch_belongs_to_one_life() {
        let seen = mark(1, 7, Some(1));
        let after = |shown| Mark::after(Some(seen), shown);
        assert_eq!(after(seen), Ok(seen));
        assert_eq!(after(mark(1, 7, Some(2))), Err(seen));
        assert_eq!(
            after(mark(0, 7, Some(2))),
            Err(seen),
            "an older license excuses nothing"
        );
        assert_eq!(after(mark(1, 6, Some(1))), Err(seen));
        assert_eq!(after(mark(1, 8, Some(2))), Ok(mark(1, 8, Some(2))));
        assert_eq!(after(mark(0, 8, Some(2))), Ok(mark(1, 8, Some(2))));
        assert_eq!(after(mark(2, 7, Some(2))), Ok(mark(2, 7, Some(2))));
        assert_eq!(after(mark(2, 3, Some(2))), Ok(mark(2, 3, Some(2))));
        assert_eq!(after(mark(0, 7, Some(1))), Ok(seen));
    }

    #[test]
    fn l12_a_mark_without_a_life_takes_the_first_it_is_shown() {
        let old = Mark::parse("3 7\n").unwrap();
        assert_eq!(old, mark(3, 7, None));
        assert_eq!(
            Mark::after(Some(old), mark(3, 7, Some(1))),
            Ok(mark(3, 7, Some(1)))
        );
        assert_eq!(Mark::after(Some(old), mark(3, 6, Some(1))), Err(old));
    }

    #[test]
    fn marks_read_back_and_nothing_else_does() {
        for written in [mark(1, 2, None), mark(u64::MAX, 2, Some(0xab))] {
            assert_eq!(Mark::parse(&written.to_string()), Some(written));
        }
        for damaged in [
            "",
            "1",
            "1 x",
            "1 2 zz",
            "1 2 00",
            &format!("{} x", mark(1, 2, Some(1)).to_string().trim_end()),
        ] {
            assert_eq!(Mark::parse(damaged), None, "{damaged}");
        }
    }
}
