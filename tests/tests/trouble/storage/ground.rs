//! Where broken storage is tried: one site with its key and licenses, and as many daemons as wanted, each with a state
//! directory of its own. Decides nothing about what must hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tempfile::TempDir;
use usher_protocol::documents::license::VerifiedLicense;
use usher_protocol::ids::Fingerprint;
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::peer::root_of;
use usher_tests::station::Station;

/// A site key, and licenses for it.
pub(crate) struct Ground {
    pub(crate) station: Station,
    pub(crate) root: Fingerprint,
    /// Installed first.
    pub(crate) license: PathBuf,
    /// The next serial of the same.
    pub(crate) newer: PathBuf,
    /// Holds nothing but the site key.
    key: PathBuf,
    /// Where state directories are made.
    states: TempDir,
    made: AtomicU64,
}

impl Ground {
    /// The two licenses lend these features.
    pub(crate) fn new(features: &[&str], newer: &[&str]) -> Self {
        let station = Station::here();
        let states = memory_directory();
        let key = states.path().join("key");
        fs::create_dir(&key).unwrap();
        let daemon = Daemon::on(&station, &key);
        let vendor = Vendor::new(&station, "acme");
        let license = |features: &[&str]| {
            let mut terms = vec!["--environment", "test", "--license-id", LICENSE];
            terms.extend(features.iter().flat_map(|feature| ["--feature", feature]));
            vendor.license(&daemon, &terms)
        };
        Self {
            root: root_of(&vendor),
            license: license(features),
            newer: license(newer),
            station,
            key,
            states,
            made: AtomicU64::new(0),
        }
    }

    /// What leases under the license of this serial name it by.
    pub(crate) fn issue(&self, serial: u64) -> Fingerprint {
        let file = if serial == 1 {
            &self.license
        } else {
            &self.newer
        };
        VerifiedLicense::verify(&fs::read(file).unwrap())
            .unwrap()
            .hash()
    }

    /// A place for one more state directory, empty but for the site key.
    pub(crate) fn state(&self) -> State {
        let state = self.empty();
        copy(&self.key, &state);
        State(state)
    }

    /// A place for one more copy of this directory.
    pub(crate) fn state_like(&self, other: &Path) -> State {
        let state = self.empty();
        copy(other, &state);
        State(state)
    }

    /// A daemon on it, not yet started.
    pub(crate) fn daemon(&self, state: &State) -> Daemon {
        Daemon::on(&self.station, &state.0)
    }

    fn empty(&self) -> PathBuf {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        self.states.path().join(format!("state-{number}"))
    }
}

/// A state directory; dropping it removes it.
pub(crate) struct State(pub(crate) PathBuf);

impl Drop for State {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A directory in memory where there is one: thousands of states are made and synced.
pub(crate) fn memory_directory() -> TempDir {
    let named = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("usher-trouble");
        builder
    };
    let there = named().tempdir_in("/dev/shm");
    there.or_else(|_| named().tempdir()).unwrap()
}

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Does this for each of them, several at a time; gives the outcomes in order.
pub(crate) fn side_by_side<I: Send, O: Send>(
    threads: usize,
    items: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> O + Sync,
) -> Vec<O> {
    let waiting: Vec<_> = items.into_iter().enumerate().collect();
    let waiting = Mutex::new(waiting.into_iter());
    let done = Mutex::new(Vec::new());
    let next = || waiting.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, item)) = next() {
                    let outcome = work(item);
                    done.lock().unwrap().push((index, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Both streams of a program.
pub(crate) fn said(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr];
    streams
        .map(|it| String::from_utf8_lossy(it).into_owned())
        .concat()
}

/// Whether this tells an administrator what to do next about broken storage.
pub(crate) fn names_next_step(said: &str) -> bool {
    NEXT_STEPS.iter().any(|step| said.contains(step))
}

const NEXT_STEPS: &[&str] = &[
    "free disk space",
    "check the disk",
    "usherd repair",
    "usherd restore",
    "restore it from a backup",
    "let the user that runs usherd write there",
    "use another backup",
    "choose another backup",
    "remove it by hand",
    "install an usherd",
    "use the usherd that wrote it",
    "chmod 600",
];
pub(crate) const LICENSE: &str = "acme-storage";
