//! Decides who may use a borrowed lease's seats on this machine at one moment (L10): a process for
//! each seat, unless the license lets the processes of this user share one.
//!
//! What counts as use is a lock that the kernel takes back when its process dies. Must not decide
//! whether the lease stands.

use crate::paths::files;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use usher_protocol::documents::{lease::Lease, license::Grouping};

/// Seats in use; given back when dropped, or when the process dies.
#[derive(Debug)]
pub(crate) struct InUse {
    _locks: Vec<File>,
}

/// The turn at a borrowed lease's seats: who has it is alone in taking one, or in removing them all.
#[derive(Debug)]
pub(crate) struct Gate {
    directory: PathBuf,
    _turn: File,
}

impl Gate {
    /// Waits for the turn; the lease file may be gone by then.
    pub(crate) fn enter(lease_file: &Path) -> io::Result<Self> {
        let directory = lease_file.with_extension(EXTENSION);
        loop {
            files::private_directory(&directory)?;
            let turn = File::open(&directory)?;
            flock(&turn, FlockOperation::LockExclusive)?;
            // The one before us may have removed it between our opening and our turn.
            if turn.metadata()?.nlink() > 0 {
                return Ok(Self {
                    directory,
                    _turn: turn,
                });
            }
        }
    }

    /// Takes seats for a process with this display; none if others use too many of them.
    pub(crate) fn take(
        &self,
        lease: &Lease,
        seats: u32,
        display: Option<&str>,
    ) -> io::Result<Option<InUse>> {
        let taken = match lease.grouping {
            Grouping::Process => self.alone(lease.seats, seats)?,
            Grouping::Display => self.with(&display_name(display))?,
            // One user's processes on one machine are of one group, whichever of these it is.
            Grouping::UserHost | Grouping::User | Grouping::Host => self.with("")?,
        };
        Ok(taken.map(|locks| InUse { _locks: locks }))
    }

    /// Whether nobody uses any of the seats.
    pub(crate) fn is_idle(&self) -> io::Result<bool> {
        for entry in std::fs::read_dir(&self.directory)? {
            let slot = File::open(entry?.path())?;
            if !try_lock(&slot, FlockOperation::NonBlockingLockExclusive)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes what stands for the seats, once the lease file is gone. Leftovers are harmless.
    pub(crate) fn remove(self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }

    /// A slot for each seat, shared with nobody.
    fn alone(&self, seats: u32, wanted: u32) -> io::Result<Option<Vec<File>>> {
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let mut taken = Vec::new();
        for index in 0..seats {
            if taken.len() == wanted {
                break;
            }
            let slot = self.slot(index)?;
            if try_lock(&slot, FlockOperation::NonBlockingLockExclusive)? {
                taken.push(slot);
            }
        }
        Ok((taken.len() == wanted).then_some(taken))
    }

    /// One slot for all, shared with those of the same name.
    fn with(&self, name: &str) -> io::Result<Option<Vec<File>>> {
        let mut slot = self.slot(0)?;
        if try_lock(&slot, FlockOperation::NonBlockingLockExclusive)? {
            slot.set_len(0)?;
            slot.write_all(format!("{name}\n").as_bytes())?;
        } else if named(&mut slot)? != name {
            return Ok(None);
        }
        // Others wait at the gate, so nobody comes between the two locks.
        flock(&slot, FlockOperation::NonBlockingLockShared)?;
        Ok(Some(vec![slot]))
    }

    fn slot(&self, index: u32) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.directory.join(index.to_string()))
    }
}

fn named(slot: &mut File) -> io::Result<String> {
    let mut name = String::new();
    slot.rewind()?;
    slot.read_to_string(&mut name)?;
    Ok(name.trim_end_matches('\n').to_owned())
}

/// Names that differ in case are one, and no display is one display of its host.
fn display_name(display: Option<&str>) -> String {
    display.map(str::to_lowercase).unwrap_or_default()
}

fn try_lock(file: &File, how: FlockOperation) -> io::Result<bool> {
    match flock(file, how) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

const EXTENSION: &str = "in-use";

#[cfg(test)]
mod tests {
    use super::*;
    use usher_protocol::{
        documents::license::Grouping,
        ids::{Commit, Epoch, Fingerprint, LeaseId, PublicKey, Token},
        time::{DurationMs, WallMs},
        wire::{Environment, Holder},
    };

    fn lease(grouping: Grouping, seats: u32) -> Lease {
        Lease {
            id: LeaseId {
                epoch: Epoch(1),
                commit: Commit(1),
            },
            root: Fingerprint([1; 32]),
            license: "acme-0042".parse().unwrap(),
            license_hash: Fingerprint([2; 32]),
            environment: Environment::Live,
            feature: "solver".parse().unwrap(),
            seats,
            client: PublicKey::from(&ed25519_dalek::SigningKey::from_bytes(&[4; 32])),
            holder: Holder {
                user: "ada".to_owned(),
                host: "ws01".to_owned(),
                display: None,
                process: 1,
            },
            epoch: Epoch(1),
            commit: Commit(1),
            token: Token([6; 16]),
            issued: WallMs(0),
            length_ms: DurationMs::days(7),
            not_after: WallMs(0).plus(DurationMs::days(7)),
            grouping,
            borrowed: true,
        }
    }

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn gate(&self) -> Gate {
            Gate::enter(&self.0.path().join("a.lease")).unwrap()
        }

        fn take(&self, lease: &Lease, seats: u32, display: Option<&str>) -> Option<InUse> {
            self.gate().take(lease, seats, display).unwrap()
        }
    }

    #[test]
    fn l10_one_borrowed_seat_is_used_by_one_process_at_a_time() {
        let (place, lease) = (Place::new(), lease(Grouping::Process, 1));
        let first = place.take(&lease, 1, None).unwrap();
        assert!(place.take(&lease, 1, None).is_none());
        assert!(!place.gate().is_idle().unwrap());
        drop(first);
        assert!(place.gate().is_idle().unwrap());
        assert!(place.take(&lease, 1, None).is_some());
    }

    #[test]
    fn l10_more_seats_are_for_more_processes() {
        let (place, lease) = (Place::new(), lease(Grouping::Process, 3));
        let two = place.take(&lease, 2, None).unwrap();
        assert!(
            place.take(&lease, 2, None).is_none(),
            "what was tried is let go"
        );
        let one = place.take(&lease, 1, None).unwrap();
        assert!(place.take(&lease, 1, None).is_none());
        drop(two);
        assert!(place.take(&lease, 2, None).is_some());
        drop(one);
        assert!(place.take(&lease, 4, None).is_none());
    }

    #[test]
    fn l10_what_shares_on_line_shares_off_line() {
        for grouping in [Grouping::UserHost, Grouping::User, Grouping::Host] {
            let (place, lease) = (Place::new(), lease(grouping, 1));
            let first = place.take(&lease, 1, Some(":0"));
            let second = place.take(&lease, 1, Some(":1"));
            assert!(first.is_some() && second.is_some(), "{grouping:?}");
            drop(first);
            assert!(!place.gate().is_idle().unwrap());
            drop(second);
            assert!(place.gate().is_idle().unwrap());
        }
    }

    #[test]
    fn l10_a_display_shares_with_itself_alone() {
        let (place, lease) = (Place::new(), lease(Grouping::Display, 1));
        let first = place.take(&lease, 1, Some("Host:0")).unwrap();
        let second = place.take(&lease, 1, Some("host:0")).unwrap();
        assert!(place.take(&lease, 1, Some("host:1")).is_none());
        assert!(place.take(&lease, 1, None).is_none());
        drop(first);
        assert!(place.take(&lease, 1, Some("host:1")).is_none());
        drop(second);
        let none = place.take(&lease, 1, None).unwrap();
        assert!(place.take(&lease, 1, Some("host:1")).is_none());
        assert!(place.take(&lease, 1, None).is_some());
        drop(none);
    }

    #[test]
    fn whoever_waited_while_it_was_removed_finds_a_gate_of_its_own() {
        let (place, lease) = (Place::new(), lease(Grouping::Process, 1));
        let gate = place.gate();
        let waiting = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| place.take(&lease, 1, None));
            gate.remove();
            waiting.join().unwrap()
        });
        assert!(waiting.is_some());
        assert!(!place.gate().is_idle().unwrap());
    }
}
