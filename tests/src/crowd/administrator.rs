//! The administrator at work meanwhile: real commands, each written down before it runs and when it has succeeded.
//! A command that fails leaves open whether it was done. Must not wait for the daemon.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use usher_protocol::ids::PublicKey;

use super::memory::{Book, Fate, Stage};
use super::{POOLS, SPARE, key};
use crate::daemon::Daemon;
use crate::proof::Dice;
use crate::station::Station;

/// Dropping it ends the work.
pub struct Administrator {
    is_done: Arc<AtomicBool>,
    turn: Arc<Mutex<()>>,
    work: Option<JoinHandle<()>>,
}

impl Administrator {
    /// Starts to work on a daemon; `licenses` are installed one after the other, so their serials must rise.
    pub fn start(
        station: &Station,
        daemon: &Daemon,
        book: &Book,
        licenses: Vec<PathBuf>,
        seed: u64,
    ) -> Self {
        let is_done = Arc::new(AtomicBool::new(false));
        let desk = Desk {
            station: station.clone(),
            state: daemon.state_dir(),
            socket: daemon.admin_socket(),
            book: book.clone(),
            licenses,
            dice: Dice::new(!seed),
            accepted: 0,
        };
        let turn = Arc::new(Mutex::new(()));
        let (stop, turns) = (Arc::clone(&is_done), Arc::clone(&turn));
        let work = thread::spawn(move || desk.work(&stop, &turns));
        Self {
            is_done,
            turn,
            work: Some(work),
        }
    }
}

impl Administrator {
    /// Lets the act that is under way end, and keeps the next from beginning for as long as the guard lives.
    pub fn pause(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Administrator {
    fn drop(&mut self) {
        self.is_done.store(true, Relaxed);
        // Its commands end by themselves, and a panic of it has been printed.
        let _ = self.work.take().map(JoinHandle::join);
    }
}

/// Installs the first license, which must succeed, and notes that.
pub fn install_first(daemon: &Daemon, book: &Book, license: &std::path::Path) {
    book.note(|memory| memory.acts.serial_asked = 1);
    daemon.install(license);
    book.note(|memory| {
        memory.acts.serial = 1;
        memory.acts.acknowledged += 1;
    });
}

struct Desk {
    station: Station,
    state: PathBuf,
    socket: PathBuf,
    book: Book,
    licenses: Vec<PathBuf>,
    dice: Dice,
    accepted: u32,
}

impl Desk {
    fn work(mut self, is_done: &AtomicBool, turns: &Mutex<()>) {
        while !is_done.load(Relaxed) {
            let turn = turns.lock().unwrap_or_else(PoisonError::into_inner);
            match self.dice.below(100) {
                0..10 => self.install(),
                10..37 => self.suspend_or_resume(),
                37..64 => self.evict(),
                64..82 => self.accept(),
                82..90 => self.remove(),
                _ => self.retire(),
            }
            drop(turn);
            thread::sleep(Duration::from_millis(self.dice.below(REST_MS)));
        }
    }

    fn install(&mut self) {
        let next = self.book.note(|memory| {
            let next = memory.acts.serial_asked + 1;
            // The first was installed before.
            let index = usize::try_from(next).unwrap() - 2;
            let license = self.licenses.get(index).cloned()?;
            memory.acts.serial_asked = next;
            Some((next, license))
        });
        let Some((serial, license)) = next else {
            return;
        };
        if self.run(&["license", "add", "--yes", license.to_str().unwrap()]) {
            self.book.note(|memory| {
                memory.acts.serial = serial;
                memory.acts.acknowledged += 1;
            });
        }
    }

    fn suspend_or_resume(&mut self) {
        let feature = format!("acme/{SPARE}");
        let before = self
            .book
            .note(|memory| std::mem::replace(&mut memory.acts.suspended, Fate::Maybe));
        let (done, after) = if before == Fate::Yes {
            (self.run(&["resume", &feature]), Fate::No)
        } else {
            let suspend = ["suspend", &feature, "--reason", "a trial"];
            (self.run(&suspend), Fate::Yes)
        };
        if done {
            self.book.note(|memory| {
                memory.acts.suspended = after;
                memory.acts.acknowledged += 1;
            });
        }
    }

    fn evict(&mut self) {
        let chosen = self.book.note(|memory| {
            let mut wide = memory.seats.iter_mut().rev().filter(|(_, seat)| {
                POOLS[seat.pool].feature == "wide"
                    && seat.stage == Stage::Held
                    && seat.evicted == Fate::No
            });
            let (tag, seat) = wide.next()?;
            seat.evicted = Fate::Maybe;
            Some((*tag, seat.proof.as_ref()?.lease))
        });
        let Some((tag, lease)) = chosen else {
            return;
        };
        let lease = lease.to_string();
        let evict = ["evict", &lease, "--reason", "a trial", "--cool-down", "1s"];
        if self.run(&evict) {
            self.book.note(|memory| {
                memory.seats.get_mut(&tag).unwrap().evicted = Fate::Yes;
                memory.acts.acknowledged += 1;
            });
        }
    }

    fn accept(&mut self) {
        self.accepted += 1;
        let name = format!("desk-{}", self.accepted);
        let key = PublicKey::from(&key(KEYS + self.accepted)).to_string();
        self.name(&name, Fate::Maybe);
        if self.run(&["client", "accept", &key, "--name", &name]) {
            self.name(&name, Fate::Yes);
            self.book.note(|memory| memory.acts.acknowledged += 1);
        }
    }

    fn remove(&mut self) {
        let chosen = self.book.note(|memory| {
            let mut known = memory.acts.accepted.iter();
            let name = known.find(|(_, fate)| **fate == Fate::Yes)?.0.clone();
            Some(name)
        });
        let Some(name) = chosen else {
            return;
        };
        self.name(&name, Fate::Maybe);
        if self.run(&["client", "remove", &name]) {
            self.name(&name, Fate::No);
            self.book.note(|memory| memory.acts.acknowledged += 1);
        }
    }

    /// All that is not written to any more leaves the usage log; every second command is killed amid it (S2).
    fn retire(&mut self) {
        let to = retired(&self.station);
        let before = ["usage", "retire", "--before", FUTURE, "--to"];
        let mut command = self.command(&before);
        command.arg(&to);
        let count = || fs::read_dir(&to).map_or(0, Iterator::count);
        let moved = count();
        let mut retiring = command.spawn().unwrap();
        let is_killed = self.dice.permille(500);
        if is_killed {
            thread::sleep(Duration::from_micros(self.dice.below(RETIRE_US)));
            retiring.kill().unwrap();
        }
        let done = retiring.wait().unwrap().success();
        self.book.note(|memory| {
            memory.acts.retirements_killed += u64::from(is_killed && !done);
            memory.acts.retirements += u64::from(count() > moved);
            memory.acts.acknowledged += u64::from(done);
        });
    }

    fn name(&self, name: &str, fate: Fate) {
        self.book
            .note(|memory| memory.acts.accepted.insert(name.to_owned(), fate));
    }

    /// True when the command says that it was done.
    fn run(&self, arguments: &[&str]) -> bool {
        self.command(arguments).status().unwrap().success()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.station.command("usherd");
        command
            .env("USHERD_STATE_DIR", &self.state)
            .env("USHERD_ADMIN_SOCKET", &self.socket)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// Where the administrator at this station keeps what was retired from the usage log; only the oldest part is there.
pub fn retired(station: &Station) -> PathBuf {
    station.home().join("retired")
}

const REST_MS: u64 = 60;
/// About as long as a retirement takes.
const RETIRE_US: u64 = 120_000;
const FUTURE: &str = "2099-01-01";
/// Key numbers from here on are those of clients that only have names.
const KEYS: u32 = 1000;
