//! Decides whether a server's store went back in time, as far as this machine can know: the highest
//! epoch seen for each license (L12), and the latest time seen of each
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
use usher_protocol::{documents::endorsement::Endorsement, ids::Epoch, names::LicenseId};

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

    /// Refuses an epoch lower than the highest seen for this license, and remembers a higher one.
    /// A higher license serial begins anew.
    ///
    /// # Errors
    /// [`MarkError`].
    pub fn check(&self, endorsement: &Endorsement, epoch: Epoch) -> Result<(), MarkError> {
        let path = self
            .paths
            .epoch_mark(&endorsement.root, &endorsement.license);
        let shown = Mark {
            serial: endorsement.serial,
            epoch,
        };
        let verdict = |seen: Option<Mark>| {
            Mark::after(seen, shown).map_err(|seen| MarkError::WentBack {
                license: endorsement.license.clone(),
                seen: seen.epoch,
                shown: epoch,
            })
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

/// The highest epoch seen, and the license serial it was seen under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The license's serial.
    pub serial: u64,
    /// The highest epoch seen under it.
    pub epoch: Epoch,
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

    fn forbids(self, shown: Self) -> bool {
        shown.epoch < self.epoch && shown.serial <= self.serial
    }

    fn raised_by(self, shown: Self) -> Self {
        if shown.serial > self.serial {
            shown
        } else {
            Self {
                serial: self.serial,
                epoch: self.epoch.max(shown.epoch),
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (serial, epoch) = text.trim_end().split_once(' ')?;
        Some(Self {
            serial: serial.parse().ok()?,
            epoch: Epoch(epoch.parse().ok()?),
        })
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} {}", self.serial, self.epoch.0)
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
