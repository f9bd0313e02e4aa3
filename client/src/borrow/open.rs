//! Decides which borrowed lease of this machine may be used just now, and whether it still stands
//! while it is. Must not connect to anybody.

use super::{
    BorrowError,
    in_use::{Gate, InUse},
};
use crate::{
    clock::Clock,
    error::Error,
    lease_file::LeaseFile,
    marks::Marks,
    paths::Paths,
    session::{LostWhy, State},
};
use std::{
    fmt, io,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};
use usher_protocol::{
    documents::{lease::Lease, lease_file::Proven},
    ids::PublicKey,
    names::{FeatureName, FeaturePath, Version},
    time::{DurationMs, Now, WallMs},
    wire::Environment,
};

/// What a borrowed seat is wanted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The feature.
    pub feature: FeatureName,
    /// How many seats, at least 1.
    pub seats: u32,
    /// The version of the program, which the license must cover.
    pub version: Option<Version>,
}

impl Use {
    /// One seat of a feature, `solver` or `acme/solver`, of whichever version.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn of(feature: &str) -> Result<Self, Error> {
        let feature = if feature.contains('/') {
            feature.parse::<FeaturePath>()?.feature
        } else {
            feature.parse()?
        };
        Ok(Self {
            feature,
            seats: 1,
            version: None,
        })
    }
}

/// A borrowed seat in use by this process, until dropped. It is not renewed and ends by the clocks.
pub struct Borrowed {
    file: LeaseFile,
    site: PublicKey,
    marks: Marks,
    /// Both clocks when its use began.
    began: Now,
    /// The time that was last kept as seen, by the boot clock.
    kept: AtomicU64,
    _in_use: InUse,
}

impl Borrowed {
    /// Whether the seat is ours at this moment, from the clocks. A program in use for long keeps the
    /// time it has seen: a small write every five minutes at most.
    pub fn state(&self) -> State {
        let now = Clock::new().now();
        self.keep_time(now);
        match self.left_at(now) {
            DurationMs::ZERO => State::Lost(LostWhy::BorrowOver),
            _ => State::Active,
        }
    }

    /// What is left of it.
    pub fn left(&self) -> DurationMs {
        self.left_at(Clock::new().now())
    }

    /// Its end by the wall clock.
    pub fn until(&self) -> WallMs {
        self.lease().not_after
    }

    /// What it is.
    pub fn lease(&self) -> &Lease {
        self.file.lease()
    }

    /// Writes the lease to `path` without its secrets, for others to verify.
    ///
    /// # Errors
    /// [`Error::LeaseFile`].
    pub fn show(&self, path: &Path) -> Result<(), Error> {
        self.file.show_at(path)
    }

    /// The wall clock decides, but not one that is set back meanwhile: what was left when the use began
    /// runs out by the boot clock too.
    fn left_at(&self, now: Now) -> DurationMs {
        let lease = self.lease();
        let ran = now.boot.since(self.began.boot);
        lease
            .left(now.wall)
            .min(lease.left(self.began.wall).minus(ran))
    }

    fn keep_time(&self, now: Now) {
        let kept = self.kept.load(Ordering::Relaxed);
        if now.boot.0.saturating_sub(kept) < KEEP_STEP_MS.0 {
            return;
        }
        self.kept.store(now.boot.0, Ordering::Relaxed);
        self.marks
            .raise_wall(&self.site, now.wall.min(self.until()));
    }
}

impl fmt::Debug for Borrowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Borrowed")
            .field("lease", &self.lease().id)
            .field("feature", &self.lease().feature)
            .field("left", &self.left())
            .finish_non_exhaustive()
    }
}

/// Whose leases, of whom, kept where.
pub(crate) struct Place<'a> {
    pub(crate) root: PublicKey,
    pub(crate) ours: PublicKey,
    pub(crate) environment: Environment,
    pub(crate) paths: &'a Paths,
    pub(crate) display: Option<&'a str>,
}

impl Place<'_> {
    /// The first borrowed lease that will do; otherwise the reason against the one that came closest.
    pub(crate) fn open(&self, wanted: &Use) -> Result<Borrowed, BorrowError> {
        let mut closest = BorrowError::NotBorrowed(wanted.feature.clone());
        for file in self.files(wanted) {
            match self.try_use(file, wanted) {
                Ok(Some(borrowed)) => return Ok(borrowed),
                Ok(None) => {}
                Err(reason) => closest = reason,
            }
        }
        Err(closest)
    }

    fn files(&self, wanted: &Use) -> Vec<LeaseFile> {
        let files = LeaseFile::all(&self.paths.lease_directory());
        let fits = |file: &LeaseFile| {
            let lease = file.lease();
            lease.borrowed
                && lease.feature == wanted.feature
                && lease.environment == self.environment
                && file.root() == self.root
        };
        files.into_iter().filter(fits).collect()
    }

    /// None: it was over, and its file is gone.
    fn try_use(&self, file: LeaseFile, wanted: &Use) -> Result<Option<Borrowed>, BorrowError> {
        let files =
            |error: io::Error| BorrowError::Files(format!("{}: {error}", file.path().display()));
        let proven = file.verify(&self.root, &self.ours);
        let proven = proven.map_err(|error| BorrowError::NotOurs(error.to_string()))?;
        if !proven.is_ours {
            return Err(not_ours(&file));
        }
        let marks = Marks::new(self.paths.clone());
        let now = Clock::new().now();
        let site = proven.endorsement.site;
        if proven.lease.left(now.wall) == DurationMs::ZERO {
            discard(file, &site, &marks);
            return Ok(None);
        }
        check(&file, &proven, wanted, &marks, now.wall)?;
        let gate = Gate::enter(file.path()).map_err(files)?;
        // Returned while we waited for our turn, or its return was begun: the seat may be lent anew.
        if !file.path().exists() {
            gate.remove();
            return Ok(None);
        }
        let now_written = LeaseFile::load(file.path());
        let now_written = now_written.map_err(|error| BorrowError::Files(error.to_string()))?;
        if now_written.is_returning() {
            return Err(BorrowError::Returning(wanted.feature.clone()));
        }
        let in_use = gate.take(&proven.lease, wanted.seats, self.display);
        let in_use = in_use.map_err(files)?.ok_or_else(|| BorrowError::InUse {
            feature: wanted.feature.clone(),
            until: proven.lease.not_after,
        })?;
        marks.raise_wall(&site, now.wall);
        Ok(Some(Borrowed {
            file,
            site,
            marks,
            began: now,
            kept: AtomicU64::new(now.boot.0),
            _in_use: in_use,
        }))
    }
}

fn check(
    file: &LeaseFile,
    proven: &Proven,
    wanted: &Use,
    marks: &Marks,
    now: WallMs,
) -> Result<(), BorrowError> {
    let feature = || wanted.feature.clone();
    let lease = &proven.lease;
    if file.is_returning() {
        return Err(BorrowError::Returning(feature()));
    }
    if let Err(clock) = marks.check_wall(&proven.endorsement.site, lease.issued, now) {
        let feature = feature();
        return Err(BorrowError::Clock { feature, clock });
    }
    if lease.seats < wanted.seats {
        return Err(BorrowError::TooFewSeats {
            feature: feature(),
            borrowed: lease.seats,
            wanted: wanted.seats,
        });
    }
    let served = proven.endorsement.feature(&lease.feature);
    match (served.and_then(|it| it.version), wanted.version) {
        (Some(served), Some(version)) if version > served => Err(BorrowError::OlderVersion {
            feature: feature(),
            served,
        }),
        _ => Ok(()),
    }
}

/// Removes the file of a borrow from `site` that is over, unless a process still runs under it. That it
/// is over is kept as seen, so that a copy is worth nothing by a clock set back (L10).
pub fn discard(file: LeaseFile, site: &PublicKey, marks: &Marks) {
    marks.raise_wall(site, file.lease().not_after);
    let path = file.path().to_owned();
    let gone = Gate::enter(&path).and_then(|gate| {
        if gate.is_idle()? {
            drop(file.forget());
            gate.remove();
        }
        Ok(())
    });
    if let Err(error) = gone {
        tracing::warn!(path = %path.display(), %error, "the lease is over and cannot be removed");
    }
}

fn not_ours(file: &LeaseFile) -> BorrowError {
    let path = file.path().display();
    BorrowError::NotOurs(format!(
        "wrong-device: {path} was borrowed on another machine or by another user (T6)"
    ))
}

const KEEP_STEP_MS: DurationMs = DurationMs::minutes(5);
