//! The real `usherd serve` as a process: how it starts, what it tells its service manager, how it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::{
    fs,
    os::unix::net::{UnixDatagram, UnixListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use usherd::admin::{
    client::AdminClient,
    protocol::{Answer, Ask},
};

/// A place for one daemon; all that is started in it ends with it.
struct Place {
    dir: tempfile::TempDir,
    children: Vec<Child>,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            children: Vec::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_usherd"));
        command
            .arg("serve")
            .env_clear()
            .env("USHERD_CONFIG", self.config(""))
            .env("USHERD_STATE_DIR", self.path("state"))
            .env("USHERD_ADMIN_SOCKET", self.path("admin.sock"))
            .env("USHERD_LISTEN", "127.0.0.1:0")
            .env("USHERD_ADVERTISE", "false")
            .stdin(Stdio::null());
        command
    }

    fn config(&self, text: &str) -> PathBuf {
        let path = self.path("usherd.toml");
        fs::write(&path, text).unwrap();
        path
    }

    /// Starts it and waits until it says that it is ready; gives what it said.
    fn start(&mut self, change: impl FnOnce(&mut Command)) -> (UnixDatagram, String) {
        let socket = self.path("notify");
        let _ = fs::remove_file(&socket);
        let notices = UnixDatagram::bind(&socket).unwrap();
        notices
            .set_read_timeout(Some(Duration::from_mins(1)))
            .unwrap();
        let log = fs::File::create(self.path("log")).unwrap();
        let mut command = self.command();
        command.env("NOTIFY_SOCKET", &socket).stderr(log);
        change(&mut command);
        self.children.push(command.spawn().unwrap());
        let ready = wait_for(&notices, "READY=1");
        (notices, ready)
    }

    /// Runs it to its end, which must be a failure; gives the code and what it said.
    fn fails(&self, change: impl FnOnce(&mut Command)) -> (i32, String) {
        let mut command = self.command();
        change(&mut command);
        let Output { status, stderr, .. } = command.output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert!(!status.success(), "it said it did its job: {said}");
        (status.code().unwrap(), said)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.children.last().unwrap()), signal).unwrap();
    }

    fn ask(&self, ask: Ask) -> Answer {
        AdminClient::connect(&self.path("admin.sock"))
            .unwrap()
            .ask(ask)
            .unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn wait_for(notices: &UnixDatagram, line: &str) -> String {
    let mut bytes = [0; 4096];
    loop {
        let length = notices.recv(&mut bytes).unwrap_or_else(|error| {
            panic!("no {line}: {error}");
        });
        let said = String::from_utf8(bytes[..length].to_vec()).unwrap();
        if said.lines().any(|it| it == line) {
            return said;
        }
    }
}

#[test]
fn without_a_license_it_is_ready_and_says_what_to_do() {
    let mut place = Place::new();
    let (notices, ready) = place.start(|_| ());
    assert!(
        ready.contains("STATUS=no license: usherd request"),
        "{ready}"
    );
    assert!(matches!(place.ask(Ask::Status), Answer::Status(report) if report.pools.is_empty()));
    assert!(matches!(place.ask(Ask::Request), Answer::Request(text) if text.contains("site = ")));
    place.signal(Signal::TERM);
    wait_for(&notices, "STOPPING=1");
    let status = place.children.last_mut().unwrap().wait().unwrap();
    assert!(status.success(), "{status}: {}", place.log());
    assert!(!place.path("admin.sock").exists());
}

#[test]
fn an_idle_daemon_feeds_its_watchdog() {
    let mut place = Place::new();
    let (notices, _) = place.start(|command| {
        command.env("WATCHDOG_USEC", "200000");
    });
    for _ in 0..3 {
        wait_for(&notices, "WATCHDOG=1");
    }
}

#[test]
fn a_bad_new_configuration_leaves_the_old_one_running() {
    let mut place = Place::new();
    let (notices, _) = place.start(|_| ());
    let config = place.config("advertize = true\n");
    place.signal(Signal::HUP);
    wait_for(&notices, "READY=1");
    let log = place.log();
    assert!(
        log.contains("the old configuration and policy go on") && log.contains("expected one of"),
        "{log}"
    );
    let Answer::Failed { message } = place.ask(Ask::Reload) else {
        panic!("taken");
    };
    assert!(
        message.contains(&format!("{}:1:1", config.display())),
        "{message}"
    );
    place.config("name = \"other\"\nserve-test = true\n");
    match place.ask(Ask::Reload) {
        Answer::Reloaded(report) => assert_eq!(report.restart_needed_by, ["name"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn kill_9_leaves_nothing_in_the_way_of_the_next_start() {
    let mut place = Place::new();
    place.start(|_| ());
    place.signal(Signal::KILL);
    place.children.last_mut().unwrap().wait().unwrap();
    assert!(place.path("admin.sock").exists());
    place.start(|_| ());
    assert!(matches!(place.ask(Ask::Status), Answer::Status(_)));
}

#[test]
fn a_backup_appears_below_the_state_directory() {
    let mut place = Place::new();
    place.start(|_| ());
    let Answer::Backup(report) = place.ask(Ask::Backup) else {
        panic!("no backup");
    };
    assert!(report.path.starts_with(place.path("state")) && report.path.exists());
    assert!(matches!(place.ask(Ask::Backup), Answer::Backup(_)));
}

#[test]
fn a_taken_port_is_an_error_with_a_next_step() {
    let place = Place::new();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_, said) = place.fails(|command| {
        command.env("USHERD_LISTEN", &address);
    });
    assert!(said.contains("ss -ulpn"), "{said}");
    assert!(!place.path("admin.sock").exists());
}

#[test]
fn a_wrong_configuration_ends_with_78() {
    let place = Place::new();
    let wrong = place.path("wrong.toml");
    fs::write(&wrong, "listen = 7\n").unwrap();
    let (code, said) = place.fails(|command| {
        command.env("USHERD_CONFIG", &wrong);
    });
    assert_eq!(code, 78, "{said}");
    let (code, _) = place.fails(|command| {
        command.env("USHERD_CONFIG", "/nonexistent.toml");
    });
    assert_eq!(code, 78);
    let (code, _) = place.fails(|command| {
        command.env("USHERD_LISTEN", "nonsense");
    });
    assert_eq!(code, 2);
}

#[test]
fn a_state_directory_or_socket_in_use_is_refused() {
    let mut place = Place::new();
    place.start(|_| ());
    let other = Place::new();
    let (_, said) = other.fails(|command| {
        command.env("USHERD_STATE_DIR", place.path("state"));
    });
    assert!(said.contains("stop the other usherd"), "{said}");
    let (_, said) = other.fails(|command| {
        command.env("USHERD_ADMIN_SOCKET", place.path("admin.sock"));
    });
    assert!(said.contains("another usherd answers"), "{said}");
    assert!(matches!(place.ask(Ask::Status), Answer::Status(_)));
}

#[test]
fn a_state_directory_that_cannot_be_is_refused() {
    let place = Place::new();
    let file = place.path("file");
    fs::write(&file, "").unwrap();
    let (_, said) = place.fails(|command| {
        command.env("USHERD_STATE_DIR", file.join("state"));
    });
    assert!(said.contains(file.to_str().unwrap()), "{said}");
}

#[test]
fn a_corrupt_store_is_refused_with_a_next_step() {
    let mut place = Place::new();
    place.start(|_| ());
    place.signal(Signal::KILL);
    place.children.last_mut().unwrap().wait().unwrap();
    for entry in fs::read_dir(place.path("state/store")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::write(&path, [0x5a; 4096]).unwrap();
        }
    }
    let (_, said) = place.fails(|_| ());
    assert!(said.contains("usherd repair"), "{said}");
}

#[test]
fn what_does_not_speak_the_admin_protocol_is_told_so() {
    let mut place = Place::new();
    place.start(|_| ());
    for (line, expected) in [
        ("hello\n", "admin version"),
        (
            "{\"version\":9,\"ask\":{\"verb\":\"status\"}}\n",
            "admin version",
        ),
        (
            "{\"version\":1,\"ask\":{\"verb\":\"dance\"}}\n",
            "unknown variant",
        ),
    ] {
        assert!(said_to(&place.path("admin.sock"), line).contains(expected));
    }
    // And somebody else's socket is no daemon.
    let elsewhere = place.path("other.sock");
    drop(UnixListener::bind(&elsewhere).unwrap());
    let error = AdminClient::connect(&elsewhere).unwrap_err().to_string();
    assert!(error.contains("systemctl start usherd"), "{error}");
}

fn said_to(socket: &Path, line: &str) -> String {
    use std::io::{BufRead as _, BufReader, Write as _};
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    stream.write_all(line.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}
