//! Decides what the hidden verb `usher __leash` does: small processes that do for a child what
//! only another process can do without `unsafe`. Must not know anything of leases.

use super::{group, terminal};
use rustix::process::{
    Pid, Signal, getpid, getppid, kill_process, kill_process_group, set_parent_process_death_signal,
};
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Answers `__leash …`, which `usher` runs itself as; `None` for any other arguments. A program
/// that uses [`super::Child`] calls this first thing in `main`.
#[must_use]
pub fn leash_verb(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != VERB {
        return None;
    }
    let part = arguments.next().unwrap_or_default();
    let number = arguments.next().and_then(|number| pid(&number));
    Some(match (part.to_str(), number) {
        (Some("exec"), Some(wrapper)) => exec(wrapper, arguments),
        (Some("watch"), Some(child)) => watch(child),
        (Some("terminal"), Some(group)) => code_of(&terminal::hand_to(group)),
        _ => ExitCode::from(USAGE),
    })
}

/// Becomes the child, its end tied to the thread that starts it.
pub(super) fn child(leash: &Path) -> Command {
    let mut command = Command::new(leash);
    command
        .arg(VERB)
        .arg("exec")
        .arg(decimal(getpid()))
        .process_group(0);
    command
}

/// Ends the child's group when its standard input closes without a farewell byte.
pub(super) fn watcher(leash: &Path, child: Pid) -> Command {
    let mut command = Command::new(leash);
    command
        .arg(VERB)
        .arg("watch")
        .arg(decimal(child))
        .process_group(0);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Gives the terminal to `group`, as a member of `child`'s group.
pub(super) fn terminal(leash: &Path, group: Pid, child: Pid) -> Command {
    let mut command = Command::new(leash);
    command.arg(VERB).arg("terminal").arg(decimal(group));
    command.process_group(child.as_raw_nonzero().get());
    command
}

/// Stops at a gate until the wrapper has its watcher ready, then executes. Its end is tied to the
/// wrapper's all the while: at the gate by SIGKILL, since it is stopped and has nothing to save;
/// afterwards by SIGTERM, which survives `execve`.
fn exec(wrapper: Pid, mut command: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(program) = command.next() else {
        return ExitCode::from(USAGE);
    };
    let passed = tie_to(wrapper, Signal::KILL)
        && kill_process(getpid(), Signal::STOP).is_ok()
        && tie_to(wrapper, Signal::TERM);
    if !passed {
        return ExitCode::from(NOT_STARTED);
    }
    let error = Command::new(&program).args(command).exec();
    eprintln!("usher: cannot start {}: {error}", program.display());
    ExitCode::from(match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_STARTED,
    })
}

/// Whether the kernel will send `signal` at the wrapper's death, and it had not died before.
fn tie_to(wrapper: Pid, signal: Signal) -> bool {
    set_parent_process_death_signal(Some(signal)).is_ok() && getppid() == Some(wrapper)
}

/// The pipe closes when the wrapper is gone, however it went.
fn watch(child: Pid) -> ExitCode {
    let mut farewell = [0];
    if io::stdin().read_exact(&mut farewell).is_ok() {
        return ExitCode::SUCCESS;
    }
    for signal in [Signal::TERM, Signal::CONT] {
        let _ = kill_process_group(child, signal);
    }
    for _ in 0..GRACE.as_millis() / POLL.as_millis() {
        if group::is_empty(child) {
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(POLL);
    }
    code_of(&kill_process_group(child, Signal::KILL).map_err(io::Error::from))
}

fn code_of(done: &io::Result<()>) -> ExitCode {
    if done.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Group 1 and below would mean everybody.
fn pid(number: &OsString) -> Option<Pid> {
    let number: i32 = number.to_str()?.parse().ok()?;
    (number > 1).then(|| Pid::from_raw(number))?
}

fn decimal(pid: Pid) -> String {
    pid.as_raw_nonzero().to_string()
}

const VERB: &str = "__leash";
const USAGE: u8 = 2;
const NOT_STARTED: u8 = 126;
const NOT_FOUND: u8 = 127;

/// What an orphaned child's group has from SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
