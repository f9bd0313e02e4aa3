//! Decides how a command runs under `usher run`: in a process group of its own, signals passed on
//! to it, ended whole when asked, and never outliving its wrapper.
//! Must not decide *when* it is stopped: that is the command's, which knows the lease.
//!
//! Two leashes hold a child, since either can be cut: the kernel signals it when the thread that
//! started it dies, and a watching process ends its whole group when the wrapper is gone.

pub mod accounts;
mod attend;
mod group;
mod leash;
mod signals;
mod terminal;

pub use leash::leash_verb;
pub use rustix::process::Signal;
pub use signals::Signals;

use crate::clock::{BootMs, Clock, DurationMs};
use attend::{Attendant, Phase};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// What to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program: a path, or a name looked up in `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables beside those inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// The executable that answers [`leash_verb`]; [`own_executable`] for `usher` itself.
    pub leash: PathBuf,
}

/// How the child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It returned this code; 126 and 127 also say that it could not be started.
    Exited(u8),
    /// This signal ended it.
    Signaled(u8),
}

impl Ended {
    /// The code that `usher run` returns: the child's, or 128 and the signal's number.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Ended::Exited(code) => code,
            Ended::Signaled(signal) => 128_u8.saturating_add(signal),
        }
    }
}

/// A running child and its group.
#[derive(Debug)]
pub struct Child {
    attendant: Attendant,
    phase: watch::Receiver<Phase>,
}

impl Child {
    /// Starts `program` in a group of its own; if this process has the terminal's foreground, the
    /// child gets it. A program that cannot be started shows as exit code 126 or 127.
    ///
    /// # Errors
    /// The leash or its thread could not be started.
    pub async fn spawn(program: Program) -> io::Result<Child> {
        let (attendant, phase) = Attendant::start(program).await?;
        Ok(Child { attendant, phase })
    }

    /// The child's process number, which is its group's.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.attendant.id()
    }

    /// Passes `signal` on to the child's group. SIGCONT also gives it the terminal again, so pass
    /// on what [`Signals`] brings. After the child's end nothing happens.
    pub fn signal(&self, signal: Signal) {
        self.attendant.signal(signal);
    }

    /// Waits for the child's end. Cancelling loses nothing.
    pub async fn wait(&mut self) -> Ended {
        self.until(|phase| match phase {
            Phase::Over(ended) => Some(ended),
            Phase::Running | Phase::Exited => None,
        })
        .await
    }

    /// Ends the whole group: SIGTERM now, SIGKILL to what is left of it after `grace`.
    pub async fn stop(&mut self, grace: DurationMs) -> Ended {
        let clock = Clock::new();
        let deadline = clock.boot().plus(grace);
        // The ended child is kept as a zombie meanwhile, so that its number stays its own.
        let hold = self.attendant.hold();
        self.attendant.signal(Signal::TERM);
        self.attendant.signal(Signal::CONT);
        self.emptied(&clock, deadline).await;
        self.attendant.signal(Signal::KILL);
        // Who is killed is gone a little later: when the kernel lets it run once more.
        let deadline = clock.boot().plus(KILLED_MS_MAX);
        self.emptied(&clock, deadline).await;
        let exited = |phase| (phase != Phase::Running).then_some(());
        self.until(exited).await;
        drop(hold);
        self.wait().await
    }

    /// Waits until the group is empty, or the deadline.
    async fn emptied(&self, clock: &Clock, deadline: BootMs) {
        while clock.boot() < deadline && !self.attendant.group_is_empty() {
            tokio::time::sleep(POLL).await;
        }
    }

    /// The attendant always says `Over` before it ends; should its thread have died, the child's
    /// leash was cut with it.
    async fn until<T>(&mut self, found: impl Fn(Phase) -> Option<T>) -> T
    where
        T: From<Gone>,
    {
        loop {
            let phase = *self.phase.borrow_and_update();
            if let Some(found) = found(phase) {
                return found;
            }
            if self.phase.changed().await.is_err() {
                return T::from(Gone);
            }
        }
    }
}

/// The attendant's thread is gone: its death signalled the child.
struct Gone;

impl From<Gone> for Ended {
    fn from(_: Gone) -> Ended {
        Ended::Signaled(15)
    }
}

impl From<Gone> for () {
    fn from(_: Gone) {}
}

/// This executable, as the kernel knows it: also when its file was replaced while it ran.
#[must_use]
pub fn own_executable() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// How often a group that is being stopped is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How long those killed are waited for: one that hangs in the kernel must not hold its wrapper up for ever.
const KILLED_MS_MAX: DurationMs = DurationMs::seconds(5);
