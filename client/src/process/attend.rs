//! Decides when a child is started, suspended with its wrapper, and reaped: one thread does all
//! three, because the kernel ties a child's death signal to the thread that started it.
//! Must not decide that a child ends.

use super::{Ended, Program, group, leash, terminal};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_current_process_group,
    kill_process_group, waitid,
};
use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};

/// Where a child stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Alive, or suspended.
    Running,
    /// Ended; its number is kept while someone holds it.
    Exited,
    /// Ended and reaped: its number may be anybody's.
    Over(Ended),
}

/// The handle on a child's thread.
#[derive(Clone, Debug)]
pub(super) struct Attendant {
    child: Pid,
    custody: Arc<Custody>,
}

/// Guards the child's number against use after its end.
#[derive(Debug, Default)]
struct Custody {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    reaped: bool,
    holds: usize,
}

/// While it lives, the ended child is not reaped and its group's number stays its own.
pub(super) struct Hold(Arc<Custody>);

impl Attendant {
    pub(super) async fn start(program: Program) -> io::Result<(Attendant, watch::Receiver<Phase>)> {
        let (phase, phases) = watch::channel(Phase::Running);
        let (ready, started) = oneshot::channel();
        let custody = Arc::<Custody>::default();
        let for_thread = Arc::clone(&custody);
        std::thread::Builder::new()
            .name("usher-child".into())
            .spawn(move || attend(&program, &for_thread, ready, &phase))?;
        let child = started.await.map_err(io::Error::other)??;
        Ok((Attendant { child, custody }, phases))
    }

    pub(super) fn id(&self) -> u32 {
        self.child.as_raw_nonzero().get().unsigned_abs()
    }

    pub(super) fn signal(&self, signal: Signal) {
        if self.custody.lock().reaped {
            return;
        }
        if signal == Signal::CONT {
            // The shell may have given us the foreground back with it.
            terminal::give_to(self.child);
        }
        // Nobody left to signal is what was wanted.
        let _ = kill_process_group(self.child, signal);
    }

    pub(super) fn hold(&self) -> Hold {
        self.custody.lock().holds += 1;
        Hold(Arc::clone(&self.custody))
    }

    /// Whether all of the group have ended, reaped or not.
    pub(super) fn group_is_empty(&self) -> bool {
        group::is_empty(self.child)
    }
}

impl Custody {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.lock().holds -= 1;
        self.0.released.notify_all();
    }
}

fn attend(
    program: &Program,
    custody: &Custody,
    ready: oneshot::Sender<io::Result<Pid>>,
    phase: &watch::Sender<Phase>,
) {
    let (child, mut watcher) = match start(program) {
        Ok(started) => started,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    // A caller that is gone has dropped the child, which then lives as long as this process.
    let _ = ready.send(Ok(child));
    let ended = until_exit(child, program);
    terminal::take_back_from(child, &program.leash);
    let _ = phase.send(Phase::Exited);
    // Said before the number is given up: afterwards the watcher would signal a stranger.
    if let Some(mut pipe) = watcher.stdin.take() {
        wait_for_release(custody, || {
            let _ = pipe.write_all(&[1]);
            let _ = waitid(WaitId::Pid(child), WaitIdOptions::EXITED);
        });
    }
    let _ = watcher.wait();
    let _ = phase.send(Phase::Over(ended));
}

fn start(program: &Program) -> io::Result<(Pid, std::process::Child)> {
    let mut command: Command = leash::child(&program.leash);
    command.arg(&program.program).args(&program.arguments);
    command.envs(
        program
            .environment
            .iter()
            .map(|(name, value)| (name, value)),
    );
    let mut child = command.spawn()?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let group = group.ok_or_else(|| io::Error::other("the kernel gave no process number"))?;
    at_gate(group);
    terminal::give_to(group);
    match leash::watcher(&program.leash, group).spawn() {
        Ok(watcher) => {
            let _ = kill_process_group(group, Signal::CONT);
            Ok((group, watcher))
        }
        Err(error) => {
            child.kill()?;
            child.wait()?;
            Err(error)
        }
    }
}

/// Waits until the child has stopped itself before its program starts, so that terminal and watcher
/// are ready before the program's first instruction. One that ended instead is left to be found.
fn at_gate(child: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
    while waitid(WaitId::Pid(child), options).is_err_and(|error| error == rustix::io::Errno::INTR) {
    }
    let _ = waitid(
        WaitId::Pid(child),
        WaitIdOptions::STOPPED | WaitIdOptions::NOHANG,
    );
}

/// Waits for the end without reaping, and suspends this process together with its child.
fn until_exit(child: Pid, program: &Program) -> Ended {
    let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(child), options) {
            Ok(Some(status)) if status.stopped() => {
                let _ = waitid(
                    WaitId::Pid(child),
                    WaitIdOptions::STOPPED | WaitIdOptions::NOHANG,
                );
                suspend_with(child, &status, program);
            }
            Ok(Some(status)) => return ended(&status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            // Only someone who reaped our child behind our back makes it fail.
            Err(_) => return Ended::Exited(1),
        }
    }
}

/// Ctrl-Z stopped the child, which has the terminal: its wrapper and the wrapper's pipeline stop
/// too, as the shell expects of a job. A child stopped in any other way leaves us renewing.
/// What follows SIGCONT is [`Attendant::signal`]'s: this thread may run on for a moment.
fn suspend_with(child: Pid, status: &WaitIdStatus, program: &Program) {
    let by_terminal = [Signal::TSTP, Signal::TTIN, Signal::TTOU].map(Signal::as_raw);
    let by_terminal = status
        .stopping_signal()
        .is_some_and(|it| by_terminal.contains(&it));
    if by_terminal && terminal::is_with(child) {
        terminal::take_back_from(child, &program.leash);
        let _ = kill_current_process_group(Signal::STOP);
    }
}

fn ended(status: &WaitIdStatus) -> Ended {
    let small = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Exited(small(code)),
        (None, Some(signal)) => Ended::Signaled(small(signal)),
        (None, None) => Ended::Exited(1),
    }
}

/// Runs `reap` once nobody holds the child, with nobody able to signal it meanwhile.
fn wait_for_release(custody: &Custody, reap: impl FnOnce()) {
    let state = custody.lock();
    let waiting = custody.released.wait_while(state, |state| state.holds > 0);
    let mut state = waiting.unwrap_or_else(PoisonError::into_inner);
    reap();
    state.reaped = true;
}
