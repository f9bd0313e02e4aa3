//! `usherd backup`, `restore` and `repair` drilled under load, with borrows, and after the oldest part of the usage log was
//! retired: whatever is left of a site, its holders come back to what they hold, and no seat is believed to be held twice
//! (S2, S6, L10, L12).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use usher_protocol::ids::Fingerprint;
use usher_tests::daemon::Daemon;
use usher_tests::peer;
use usher_tests::proof::{Dice, seeds, tell};

use self::book::{Book, POOLS};
use self::desk::Desk;
use crate::storage::ground::{Ground, State, said, side_by_side};

mod book;
mod desk;

/// What is left of the site when the backup is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Everything; somebody wants to go back all the same.
    All,
    /// Everything, as a power cut leaves it.
    AllAfterKill,
    /// The usage log, no store.
    Log,
    /// The usage log without its end, no store.
    LogCut,
    /// The store, no usage log.
    Store,
    /// The site key alone: a new machine.
    Key,
    /// A store that cannot be read, and the log: `usherd repair` with the backup.
    BrokenStore,
}

#[derive(Default)]
struct Drilled {
    left: Option<Left>,
    /// The log began elsewhere by then.
    retired: bool,
    acknowledged: u64,
    borrows: u64,
    /// Of an acknowledged lease whose right runs, and that was not taken back.
    lost: Vec<String>,
    /// Taken back, and not renewed for now: what the copy still has out makes too many.
    crowded: u64,
    /// Not renewed for now: the issue of the license that they show is lost.
    older: u64,
    double: Vec<String>,
    faults: Vec<String>,
}

#[test]
fn l12_a_hundred_restores_under_load_lend_no_seat_twice() {
    let ground = Ground::new(&POOLS.map(|pool| pool.terms), &POOLS.map(|pool| pool.newer));
    let drills = side_by_side(AT_ONCE, seeds(SHORT), |seed| drill(&ground, seed));
    let sum = |count: fn(&Drilled) -> u64| drills.iter().map(count).sum::<u64>();
    for left in EVERYTHING {
        let times = drills.iter().filter(|it| it.left == Some(*left)).count();
        println!("{left:?}: {times} drills");
    }
    tell(
        "restore drills",
        &[
            ("restores and repairs", drills.len() as u64),
            (
                "of them with the whole usage log",
                sum(|it| u64::from(it.left.is_some_and(Left::is_whole))),
            ),
            (
                "of them after a retirement from the usage log",
                sum(|it| u64::from(it.retired)),
            ),
            ("acknowledged leases", sum(|it| it.acknowledged)),
            ("of them borrows", sum(|it| it.borrows)),
            ("not renewed, as too many are out", sum(|it| it.crowded)),
            (
                "not renewed, as the issue they show is lost",
                sum(|it| it.older),
            ),
            ("acknowledged leases lost", sum(|it| it.lost.len() as u64)),
            ("double uses", sum(|it| it.double.len() as u64)),
            ("other faults", sum(|it| it.faults.len() as u64)),
        ],
    );
    let faults: Vec<_> = drills
        .iter()
        .flat_map(|it| it.lost.iter().chain(&it.double).chain(&it.faults))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
    assert!((drills.len() as u64) < SHORT || drills.iter().any(|it| it.retired));
}

fn drill(ground: &Ground, seed: u64) -> Drilled {
    let mut dice = Dice::new(seed);
    let left = EVERYTHING[usize::try_from(seed % EVERYTHING.len() as u64).unwrap()];
    let newer = dice.permille(500);
    let retires = dice.permille(500);
    let (state, book, runtime) = (ground.state(), Arc::<Book>::default(), peer::runtime());
    let mut daemon = ground.daemon(&state);
    daemon.start_again();
    daemon.install(&ground.license);
    let mut site = Site {
        ground,
        daemon,
        state,
        runtime: &runtime,
        retires,
        retired: false,
    };
    let desks = (1..=DESKS)
        .map(|number| Desk::new(number, ground.root, Arc::clone(&book), dice.roll()))
        .collect();

    let mut faults = Vec::new();
    let desks = site.until_lost(desks, left, newer, &mut dice, &mut faults);
    let issue = ground.issue(if newer { 2 } else { 1 });
    let (desks, ()) = site.come_back(desks, issue);
    let mut lost: Vec<String> = desks.iter().flat_map(Desk::lost).collect();
    let crowded: Vec<String> = desks.iter().flat_map(Desk::crowded).collect();
    let older: Vec<String> = desks.iter().flat_map(Desk::older).collect();
    let refused = [&crowded, &older].map(|it| it.len() as u64);
    if left.is_whole() {
        lost.extend(crowded.into_iter().chain(older));
    }
    lost.extend(site.unknown(&book.borrowed()));
    site.until_lent_again(desks, &mut faults);
    let about = |fault: String| format!("seed {seed}, {left:?}, newer license {newer}: {fault}");
    let named = |faults: Vec<String>| faults.into_iter().map(about).collect();
    Drilled {
        left: Some(left),
        retired: site.retired,
        acknowledged: book.acknowledged(),
        borrows: book.borrowed().len() as u64,
        lost: named(lost),
        crowded: refused[0],
        older: refused[1],
        double: named(book.double_uses()),
        faults: named(faults),
    }
}

/// A site that is drilled.
struct Site<'a> {
    ground: &'a Ground,
    daemon: Daemon,
    state: State,
    runtime: &'a Runtime,
    /// The oldest part of the usage log is moved away meanwhile.
    retires: bool,
    retired: bool,
}

impl Site<'_> {
    /// Work, a backup under it, more work, a loss, and what is made of what is left: a daemon that runs again.
    fn until_lost(
        &mut self,
        desks: Vec<Desk>,
        left: Left,
        newer: bool,
        dice: &mut Dice,
        faults: &mut Vec<String>,
    ) -> Vec<Desk> {
        let backup = self.backup_name();
        let (desks, made) = self.work(desks, OPERATIONS, |daemon| {
            thread::sleep(Duration::from_millis(20));
            let mut verb = daemon.admin(&["backup", backup.to_str().unwrap()]);
            said(&verb.output().unwrap())
        });
        if !backup.is_file() {
            faults.push(format!("no backup: {made}"));
        }
        let (desks, ()) = self.work(desks, OPERATIONS, |daemon| {
            if newer {
                daemon.install(&self.ground.newer);
            }
            for _ in 0..if self.retires { 2 } else { 0 } {
                said(&self.retirement(daemon).output().unwrap());
            }
        });
        self.end(left, dice);
        self.lose(left, dice);
        let words = self.rebuild(left, &backup);
        let _ = fs::remove_file(backup);
        if left.is_whole() != words.contains("nothing was lost") {
            faults.push(words.clone());
        }
        if let Err(problem) = self.daemon.try_start() {
            let listed: Vec<_> = files(&self.state.0.join("usage"), "").collect();
            panic!("{left:?}: {words}\n{problem}\n{listed:#?}");
        }
        if newer && left.has_log() && left != Left::LogCut && self.serial() != 2 {
            faults.push(format!("the newer license is not back: {words}"));
        }
        if newer && self.serial() != 2 {
            // The first thing after a restore without the log (S6).
            self.daemon.install(&self.ground.newer);
        }
        if self.is_held() == left.is_whole() {
            faults.push(format!("held: {}\n{}", self.is_held(), self.status()));
        }
        desks
    }

    /// Newcomers ask all the time, until seats are lent again and some have changed hands.
    fn until_lent_again(&self, desks: Vec<Desk>, faults: &mut Vec<String>) {
        let (mut desks, ()) = self.work(desks, OPERATIONS, |_| ());
        for _ in 0..HOLD_ROUNDS_MAX {
            if !self.is_held() {
                break;
            }
            desks = self.work(desks, OPERATIONS, |_| ()).0;
        }
        if self.is_held() {
            faults.push(format!("the hold does not end\n{}", self.status()));
        }
        let _ = self.work(desks, OPERATIONS, |_| ());
        let verified = self.daemon.ask(&["usage", "verify"]);
        if !verified.starts_with("✓ ") {
            faults.push(verified);
        }
    }

    fn is_held(&self) -> bool {
        self.status().contains("holding")
    }

    /// Everybody works; meanwhile something else is done.
    fn work<T>(
        &self,
        desks: Vec<Desk>,
        operations: u32,
        meanwhile: impl FnOnce(&Daemon) -> T,
    ) -> (Vec<Desk>, T) {
        let mut working = JoinSet::new();
        let address = self.daemon.address();
        let _inside = self.runtime.enter();
        for mut desk in desks {
            working.spawn(async move {
                desk.work(address, operations).await;
                desk
            });
        }
        let done = meanwhile(&self.daemon);
        (self.runtime.block_on(working.join_all()), done)
    }

    /// All holders show what they hold.
    fn come_back(&self, desks: Vec<Desk>, issue: Fingerprint) -> (Vec<Desk>, ()) {
        let mut coming = JoinSet::new();
        let address = self.daemon.address();
        let _inside = self.runtime.enter();
        for mut desk in desks {
            coming.spawn(async move {
                desk.come_back(address, issue).await;
                desk
            });
        }
        (self.runtime.block_on(coming.join_all()), ())
    }

    /// Whatever is not in use leaves the log.
    fn retirement(&self, daemon: &Daemon) -> Command {
        let mut verb = daemon.admin(&["usage", "retire", "--before", "2099-01-01", "--to"]);
        verb.arg(self.backup_name().with_extension("retired"));
        verb
    }

    /// The daemon ends, amid a retirement if there is one.
    fn end(&mut self, left: Left, dice: &mut Dice) {
        let retiring = self.retires.then(|| {
            let mut verb = self.retirement(&self.daemon);
            let verb = verb.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            thread::sleep(Duration::from_micros(dice.below(RETIRE_US)));
            verb.unwrap()
        });
        if left == Left::All {
            assert!(self.daemon.terminate().success());
        } else {
            self.daemon.kill();
        }
        if let Some(mut retiring) = retiring {
            retiring.wait().unwrap();
            self.retired = bases(&self.state.0.join("usage")).next().is_some();
        }
    }

    fn lose(&mut self, left: Left, dice: &mut Dice) {
        let (store, usage) = (self.state.0.join("store"), self.state.0.join("usage"));
        match left {
            Left::All | Left::AllAfterKill => {}
            Left::Log => fs::remove_dir_all(store).unwrap(),
            Left::LogCut => {
                fs::remove_dir_all(store).unwrap();
                let last = segments(&usage).pop().unwrap();
                let length = fs::metadata(&last).unwrap().len();
                let file = fs::File::options().write(true).open(last).unwrap();
                file.set_len(60 + dice.below(length - 60)).unwrap();
            }
            Left::Store => fs::remove_dir_all(usage).unwrap(),
            Left::Key => {
                for entry in fs::read_dir(&self.state.0).unwrap().flatten() {
                    let path = entry.path();
                    if path.is_dir() {
                        fs::remove_dir_all(path).unwrap();
                    } else if entry.file_name() != "site.key" {
                        fs::remove_file(path).unwrap();
                    }
                }
            }
            Left::BrokenStore => {
                let db = fs::File::options()
                    .write(true)
                    .open(store.join("db"))
                    .unwrap();
                db.set_len(dice.below(2000)).unwrap();
            }
        }
    }

    fn rebuild(&self, left: Left, backup: &Path) -> String {
        let backup = backup.to_str().unwrap();
        if left == Left::BrokenStore {
            return self.daemon.ask(&["repair", "--yes", "--backup", backup]);
        }
        let mut restore = self.daemon.admin(&["restore", "--yes", backup]);
        let words = said(&restore.output().unwrap());
        if !words.contains("use the log's base instead") {
            return words;
        }
        // As it says: what the backup lacks was moved away, and is in the base.
        let base = bases(&self.state.0.join("usage")).max().unwrap();
        self.daemon
            .ask(&["restore", "--yes", base.to_str().unwrap()])
    }

    fn backup_name(&self) -> PathBuf {
        let name = format!("{}.snapshot", self.daemon.address().port());
        self.ground.station.home().join(name)
    }

    fn serial(&self) -> u64 {
        let list = self.daemon.ask(&["license", "list", "--json"]);
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        list[0]["serial"].as_u64().unwrap_or(0)
    }

    fn status(&self) -> String {
        self.daemon.ask(&["status"])
    }

    /// Leases that are out and that the daemon does not know.
    fn unknown(&self, out: &BTreeSet<String>) -> Vec<String> {
        let list = self.daemon.ask(&["leases", "--json"]);
        let list: Vec<serde_json::Value> = serde_json::from_str(&list).unwrap();
        let known: BTreeSet<_> = list.iter().filter_map(|it| it["id"].as_str()).collect();
        let unknown = out.iter().filter(|id| !known.contains(id.as_str()));
        unknown
            .map(|id| format!("the borrowed lease {id} is not known again"))
            .collect()
    }
}

impl Left {
    /// Nothing can have been lost, and that can be proved.
    fn is_whole(self) -> bool {
        matches!(self, Self::All | Self::AllAfterKill)
    }

    fn has_log(self) -> bool {
        !matches!(self, Self::Store | Self::Key)
    }
}

fn segments(usage: &Path) -> Vec<PathBuf> {
    let mut segments: Vec<_> = files(usage, "usage-").collect();
    segments.sort();
    segments
}

fn bases(usage: &Path) -> impl Iterator<Item = PathBuf> {
    files(usage, "base-")
}

fn files(usage: &Path, prefix: &str) -> impl Iterator<Item = PathBuf> {
    let paths = fs::read_dir(usage).unwrap().flatten().map(|it| it.path());
    paths.filter(move |path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(prefix)
    })
}

const EVERYTHING: &[Left] = &[
    Left::All,
    Left::AllAfterKill,
    Left::Log,
    Left::LogCut,
    Left::Store,
    Left::Key,
    Left::BrokenStore,
];
const SHORT: u64 = 100;
const AT_ONCE: usize = 6;
const DESKS: u8 = 4;
const OPERATIONS: u32 = 12;
const HOLD_ROUNDS_MAX: u32 = 400;
/// About as long as a retirement takes.
const RETIRE_US: u64 = 60_000;
