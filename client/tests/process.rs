//! `usher run`'s child with real processes: it gets the signals and the terminal, its code comes
//! back, and nothing of it survives its wrapper.
//!
//! The wrapper is this test's own executable, started again with a script to run ([`wrapper`]).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail loudly, its helpers too"
)]

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::time::Duration;
use usher_client::clock::{BootMs, Clock, DurationMs};
use usher_client::process::{Child, Program, Signals};

const PROGRAM: &str = "USHER_TEST_PROGRAM";
/// The wrapper stops its child once this file is there.
const STOP_AT: &str = "USHER_TEST_STOP_AT";
const GRACE_MS: &str = "USHER_TEST_GRACE_MS";

/// Not a test of its own: with `PROGRAM` set, this process is the wrapper.
#[test]
fn wrapper() {
    let Some(command) = std::env::var_os(PROGRAM) else {
        return;
    };
    let mut words = command
        .to_str()
        .unwrap()
        .split('\u{1f}')
        .map(OsString::from);
    let program = Program {
        program: words.next().unwrap(),
        arguments: words.collect(),
        environment: vec![("USHER_TEST_TOLD".into(), "seat".into())],
        leash: env!("CARGO_BIN_EXE_usher").into(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen().unwrap();
        let mut child = Child::spawn(program).await.unwrap();
        let mut stopping = Box::pin(appears(std::env::var_os(STOP_AT)));
        loop {
            tokio::select! {
                ended = child.wait() => break ended,
                signal = signals.next() => child.signal(signal),
                () = &mut stopping => {
                    let grace = std::env::var(GRACE_MS).unwrap().parse().unwrap();
                    break child.stop(DurationMs(grace)).await;
                }
            }
        }
    });
    std::process::exit(ended.exit_code().into());
}

async fn appears(file: Option<OsString>) {
    let Some(file) = file else {
        return std::future::pending().await;
    };
    while !Path::new(&file).exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A wrapper around `words`, and a directory for its scripts to write to.
struct Stage {
    directory: tempfile::TempDir,
}

impl Stage {
    fn new() -> Stage {
        Stage {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn wrapper(&self, words: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "wrapper", "--nocapture", "-q"]);
        command
            .env(PROGRAM, words.join("\u{1f}"))
            .current_dir(self.directory.path());
        command.stdout(Stdio::null());
        command
    }

    fn shell(&self, script: &str) -> Command {
        self.wrapper(&["sh", "-c", script])
    }

    /// The numbers that a script wrote to `name`, once it has.
    fn numbers(&self, name: &str) -> Vec<u32> {
        let path = self.directory.path().join(name);
        let text = eventually(&format!("{name} is written"), || {
            std::fs::read_to_string(&path)
                .ok()
                .filter(|text| text.ends_with('\n'))
        });
        text.split_whitespace()
            .map(|number| number.parse().unwrap())
            .collect()
    }
}

fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::new();
    let deadline: BootMs = clock.boot().plus(DurationMs::minutes(1));
    while clock.boot() < deadline {
        if let Some(found) = found() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

fn send(process: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// A process's state letter; none once it is gone or only waits to be reaped.
fn state(process: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?
        .1
        .chars()
        .next()
        .filter(|state| *state != 'Z')
}

fn gone(process: u32) {
    eventually(&format!("process {process} ends"), || {
        state(process).is_none().then_some(())
    });
}

fn code(status: ExitStatus) -> i32 {
    status.code().expect("the wrapper itself was killed")
}

#[test]
fn the_childs_code_comes_back() {
    let stage = Stage::new();
    let run = |words: &[&str]| code(stage.wrapper(words).stderr(Stdio::null()).status().unwrap());
    assert_eq!(run(&["sh", "-c", "exit 7"]), 7);
    assert_eq!(run(&["sh", "-c", "exit 0"]), 0);
    assert_eq!(run(&["sh", "-c", "kill -TERM $$"]), 143);
    assert_eq!(run(&["sh", "-c", "kill -KILL $$"]), 137);
    assert_eq!(run(&["no-such-program-anywhere"]), 127);
    assert_eq!(run(&["/etc/passwd"]), 126);
    assert_eq!(run(&["sh", "-c", "test \"$USHER_TEST_TOLD\" = seat"]), 0);
}

#[test]
fn signals_are_passed_on() {
    let signals = [
        ("INT", Signal::INT),
        ("TERM", Signal::TERM),
        ("HUP", Signal::HUP),
        ("QUIT", Signal::QUIT),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("WINCH", Signal::WINCH),
    ];
    std::thread::scope(|scope| {
        for (name, signal) in signals {
            scope.spawn(move || passed_on(name, signal));
        }
    });
}

fn passed_on(name: &str, signal: Signal) {
    let stage = Stage::new();
    let script = format!("trap 'exit 41' {name}; echo $$ > ready; while :; do sleep 0.05; done");
    let mut wrapper = stage.shell(&script).stderr(Stdio::null()).spawn().unwrap();
    stage.numbers("ready");
    send(wrapper.id(), signal);
    assert_eq!(code(wrapper.wait().unwrap()), 41, "{name}");
}

#[test]
fn a_child_is_suspended_and_continued_through_its_wrapper() {
    let stage = Stage::new();
    let mut wrapper = stage
        .shell("echo $$ > ready; exec sleep 300")
        .spawn()
        .unwrap();
    let child = stage.numbers("ready")[0];
    send(wrapper.id(), Signal::TSTP);
    eventually("the child stops", || {
        (state(child) == Some('T')).then_some(())
    });
    assert_ne!(
        state(wrapper.id()),
        Some('T'),
        "without a terminal the wrapper must go on renewing"
    );
    send(wrapper.id(), Signal::CONT);
    eventually("the child goes on", || {
        (state(child) != Some('T')).then_some(())
    });
    send(wrapper.id(), Signal::TERM);
    assert_eq!(code(wrapper.wait().unwrap()), 143);
}

const FAMILY: &str = "sleep 300 & echo $$ $! > family; : > ready; wait";

#[test]
fn a_killed_wrapper_takes_child_and_grandchild_with_it() {
    let stage = Stage::new();
    let mut wrapper = stage.shell(FAMILY).spawn().unwrap();
    let family = stage.numbers("family");
    send(wrapper.id(), Signal::KILL);
    wrapper.wait().unwrap();
    family.into_iter().for_each(gone);
}

#[test]
fn those_who_ignore_the_request_are_killed() {
    let stage = Stage::new();
    let deaf = "trap '' TERM; sh -c 'while :; do sleep 0.1; done' & echo $$ $! > family; \
                while :; do sleep 0.1; done";
    let mut wrapper = stage.shell(deaf).spawn().unwrap();
    let family = stage.numbers("family");
    send(wrapper.id(), Signal::KILL);
    wrapper.wait().unwrap();
    family.into_iter().for_each(gone);
}

/// The child's first act is to kill its wrapper: no leash may come too late for that.
#[test]
fn a_wrapper_killed_at_once_takes_even_a_deaf_child_with_it() {
    let stage = Stage::new();
    let script = "trap '' TERM; kill -KILL $PPID; echo $$ > ready; while :; do sleep 0.1; done";
    stage.shell(script).spawn().unwrap().wait().unwrap();
    stage.numbers("ready").into_iter().for_each(gone);
}

#[test]
fn a_child_ends_even_if_its_watcher_was_killed_first() {
    let stage = Stage::new();
    let mut wrapper = stage
        .shell("echo $$ > ready; exec sleep 300")
        .spawn()
        .unwrap();
    let child = stage.numbers("ready")[0];
    let watcher = eventually("the watcher starts", || watcher_of(wrapper.id()));
    send(watcher, Signal::KILL);
    gone(watcher);
    assert!(state(child).is_some());
    send(wrapper.id(), Signal::KILL);
    wrapper.wait().unwrap();
    gone(child);
}

fn watcher_of(wrapper: u32) -> Option<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{wrapper}/task")).ok()?;
    let children = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let all = children.collect::<Vec<_>>().join(" ");
    let mut all = all
        .split_whitespace()
        .filter_map(|number| number.parse().ok());
    all.find(|process: &u32| {
        let line = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        line.contains("__leash\0watch")
    })
}

#[test]
fn stopping_ends_the_whole_group_after_its_grace() {
    let stage = Stage::new();
    let script = "sh -c 'trap \"\" TERM; echo $$ > deaf; while :; do sleep 0.1; done' & \
                  trap 'exit 3' TERM; while [ ! -s deaf ]; do sleep 0.05; done; : > ready; \
                  while :; do sleep 0.05; done";
    let mut wrapper = stage
        .shell(script)
        .env(STOP_AT, "ready")
        .env(GRACE_MS, "3000")
        .spawn()
        .unwrap();
    let deaf = stage.numbers("deaf")[0];
    assert_eq!(code(wrapper.wait().unwrap()), 3);
    assert_eq!(state(deaf), None, "a grandchild outlived the stop");
}

#[test]
fn stopping_a_willing_group_does_not_wait_for_the_grace() {
    let stage = Stage::new();
    let start = Clock::new().boot();
    let mut wrapper = stage
        .shell(FAMILY)
        .env(STOP_AT, "ready")
        .env(GRACE_MS, "600000")
        .spawn()
        .unwrap();
    let family = stage.numbers("family");
    assert_eq!(code(wrapper.wait().unwrap()), 143);
    assert!(Clock::new().boot().since(start) < DurationMs::minutes(10));
    assert!(family.into_iter().all(|process| state(process).is_none()));
}

#[test]
fn what_a_child_leaves_running_on_purpose_is_left_alone() {
    let stage = Stage::new();
    let mut wrapper = stage.shell("sleep 300 & echo $! > left").spawn().unwrap();
    let left = stage.numbers("left")[0];
    assert_eq!(code(wrapper.wait().unwrap()), 0);
    std::thread::sleep(Duration::from_millis(200));
    assert!(state(left).is_some());
    send(left, Signal::KILL);
}

/// A terminal with `command` as its session, and what it printed.
struct Terminal {
    master: File,
    session: Process,
}

impl Terminal {
    fn run(stage: &Stage, command: &Command) -> Terminal {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let side = || File::options().read(true).write(true).open(&name).unwrap();
        let mut session = Command::new("setsid");
        session
            .args(["--ctty"])
            .arg(command.get_program())
            .args(command.get_args());
        session.envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        session.current_dir(stage.directory.path());
        session.stdin(side()).stdout(side()).stderr(side());
        Terminal {
            session: session.spawn().unwrap(),
            master: File::from(master),
        }
    }

    fn press(&mut self, keys: &[u8]) {
        self.master.write_all(keys).unwrap();
    }

    fn code(mut self) -> i32 {
        // Unread output would keep its writer from ending.
        let mut master = self.master.try_clone().unwrap();
        std::thread::spawn(move || master.read_to_end(&mut Vec::new()));
        code(self.session.wait().unwrap())
    }
}

#[test]
fn ctrl_c_reaches_the_child() {
    let stage = Stage::new();
    let script = "trap 'exit 42' INT; echo $$ > ready; while :; do sleep 0.05; done";
    let mut terminal = Terminal::run(&stage, &stage.shell(script));
    let child = stage.numbers("ready")[0];
    foreground(child);
    terminal.press(b"\x03");
    assert_eq!(terminal.code(), 42);
}

#[test]
fn ctrl_z_suspends_both_and_the_terminal_comes_back_with_them() {
    let stage = Stage::new();
    // One that does not fork: a shell that is stopped amid a vfork hangs, whoever started it.
    let script = "echo $$ > ready; exec sleep 300";
    let mut terminal = Terminal::run(&stage, &stage.shell(script));
    let (child, wrapper) = (stage.numbers("ready")[0], terminal.session.id());
    foreground(child);
    terminal.press(b"\x1a");
    for process in [child, wrapper] {
        eventually("both stop", || (state(process) == Some('T')).then_some(()));
    }
    send(wrapper, Signal::CONT);
    eventually("the child goes on", || {
        (state(child) != Some('T')).then_some(())
    });
    foreground(child);
    terminal.press(b"\x03");
    assert_eq!(terminal.code(), 130);
}

#[test]
fn after_the_child_the_terminal_is_its_callers_again() {
    let stage = Stage::new();
    let wrapper = stage.shell("echo $$ > ready");
    let mut script = Command::new("sh");
    script.args(["-c", "\"$@\"; read line; test \"$line\" = hello", "sh"]);
    script.arg(wrapper.get_program()).args(wrapper.get_args());
    script.envs(
        wrapper
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let mut terminal = Terminal::run(&stage, &script);
    stage.numbers("ready");
    terminal.press(b"hello\n");
    assert_eq!(terminal.code(), 0);
}

/// Waits until the kernel shows `process`'s own group in its terminal's foreground.
fn foreground(process: u32) {
    eventually("the child has the terminal", || {
        let path: PathBuf = Path::new("/proc").join(process.to_string()).join("stat");
        let stat = std::fs::read_to_string(path).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        (fields.get(2)? == fields.get(5)?).then_some(())
    });
}
