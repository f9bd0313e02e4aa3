//! A real `usherd serve` with a state directory of its own: started, waited for, killed, started again.
//! Decides when it counts as ready (systemd's protocol, as in production); must not reach into its state.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::bins;
use crate::station::{Station, told};

/// A daemon under test. Dropping it kills it, and prints its log where the test has failed.
pub struct Daemon {
    station: Station,
    directory: PathBuf,
    variables: Vec<(String, String)>,
    /// None: this workspace's.
    program: Option<PathBuf>,
    port: u16,
    state: PathBuf,
    child: Option<Child>,
    /// Hears once that the start is over.
    ready: Option<Mutex<Receiver<()>>>,
    /// As long as it is there somebody listens to the running process.
    listened_to: Arc<()>,
}

impl Daemon {
    /// Starts a daemon that serves test licenses on a free port of the station's loopback, without mDNS.
    pub fn start(station: &Station) -> Self {
        let port = free_port();
        let listen = SocketAddr::new(station.loopback(), port).to_string();
        let settings = [("LISTEN", listen.as_str()), ("ADVERTISE", "false")];
        Self::started(station, port, &settings)
    }

    /// Starts a daemon that serves test licenses on the usual port of a host, and advertises itself.
    pub fn start_on_host(station: &Station) -> Self {
        Self::started(station, PORT, &[])
    }

    /// As [`Daemon::start`], but on this state directory and not yet started; see [`Daemon::try_start`].
    pub fn on(station: &Station, state: &Path) -> Self {
        let port = free_port();
        let listen = SocketAddr::new(station.loopback(), port).to_string();
        let mut daemon = Self::prepared(station, port);
        state.clone_into(&mut daemon.state);
        daemon.set("LISTEN", &listen);
        daemon.set("ADVERTISE", "false");
        daemon
    }

    fn started(station: &Station, port: u16, settings: &[(&str, &str)]) -> Self {
        let mut daemon = Self::prepared(station, port);
        for (name, value) in settings {
            daemon.set(name, value);
        }
        daemon.start_again();
        daemon
    }

    fn prepared(station: &Station, port: u16) -> Self {
        let directory = station.home().join(format!("usherd-{port}"));
        fs::create_dir_all(&directory).unwrap();
        Self {
            station: station.clone(),
            state: directory.join("state"),
            directory,
            variables: Vec::new(),
            program: None,
            port,
            child: None,
            ready: None,
            listened_to: Arc::default(),
        }
    }

    /// Lays a setting, named as in `USHERD_NAME`, over the configuration from the next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.set_variable(&format!("USHERD_{name}"), value);
    }

    /// Sets an environment variable of its process from the next start on.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Another build of `usherd` serves from the next start on.
    pub fn set_program(&mut self, program: &Path) {
        self.program = Some(program.to_owned());
    }

    /// Starts the daemon that was killed or has ended, on the same state, and waits until it is ready.
    pub fn start_again(&mut self) {
        let started = self.try_start();
        started.unwrap_or_else(|problem| panic!("{problem}"));
    }

    /// As [`Daemon::start_again`]; the error says how it ended instead, and all that it has printed.
    pub fn try_start(&mut self) -> Result<(), String> {
        self.begin_start();
        self.finish_start()
    }

    /// Starts it and waits for nothing.
    pub fn begin_start(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let socket = self.directory.join("notify");
        let _ = fs::remove_file(&socket);
        self.listened_to = Arc::default();
        let ready = listen(UnixDatagram::bind(&socket).unwrap(), &self.listened_to);
        let child = self.serve().env("NOTIFY_SOCKET", &socket).spawn().unwrap();
        (self.child, self.ready) = (Some(child), Some(Mutex::new(ready)));
    }

    /// Waits until what [`Daemon::begin_start`] began is ready.
    pub fn finish_start(&mut self) -> Result<(), String> {
        let Some(ready) = self.ready.take() else {
            return Ok(());
        };
        let ready = ready.into_inner().unwrap();
        for _ in 0..READY_POLLS_MAX {
            if ready.recv_timeout(POLL).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                self.child = None;
                return Err(format!("usherd did not start: {status}\n{}", self.log()));
            }
        }
        panic!("usherd is not ready");
    }

    /// True from the moment on when it said that it is ready.
    pub fn is_ready(&mut self) -> bool {
        let ready = self.ready.as_ref().map(|it| it.lock().unwrap().try_recv());
        if ready.is_some_and(|it| it.is_ok()) {
            self.ready = None;
        }
        self.ready.is_none()
    }

    /// Runs `usherd serve` to its end, for starts that must fail.
    pub fn start_and_fail(&mut self) -> Output {
        assert!(self.child.is_none(), "it runs already");
        self.serve()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap()
    }

    /// An admin verb, such as `status`, with this daemon's socket and state.
    pub fn admin(&self, arguments: &[&str]) -> Command {
        let mut command = self.with_places(self.station.command("usherd"));
        command.args(arguments);
        command
    }

    /// Runs an admin verb and returns what it printed; panics where it fails.
    pub fn ask(&self, arguments: &[&str]) -> String {
        told(
            &self.admin(arguments).output().unwrap(),
            &format!("usherd {}", arguments.join(" ")),
        )
    }

    /// Installs a license file, confirming the vendor where it is new.
    pub fn install(&self, license: &Path) {
        self.ask(&["license", "add", "--yes", text(license)]);
    }

    /// Where clients on the same station reach it.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.station.loopback(), self.port)
    }

    /// Site key, journal and usage log.
    pub fn state_dir(&self) -> PathBuf {
        self.state.clone()
    }

    /// Where administrators are heard.
    pub fn admin_socket(&self) -> PathBuf {
        self.directory.join("admin.sock")
    }

    /// All that it has printed, over all its lives.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The process that serves.
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// `kill -9`, as a power cut ends it.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        self.ready = None;
    }

    /// SIGTERM, as systemd ends it; returns how it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        for _ in 0..END_POLLS_MAX {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(POLL);
        }
        self.child = Some(child);
        panic!("usherd does not end");
    }

    fn serve(&self) -> Command {
        // Ends with the thread that started it: a test that is killed leaves no daemon behind.
        let mut command = self.with_places(self.station.command("setpriv"));
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(self.program.clone().unwrap_or_else(|| bins::path("usherd")))
            .arg("serve");
        command.env("USHERD_SERVE_TEST", "true");
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        command
    }

    fn with_places(&self, mut command: Command) -> Command {
        command.env("USHERD_STATE_DIR", self.state_dir());
        command.env("USHERD_ADMIN_SOCKET", self.admin_socket());
        command
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("--- log of usherd, port {}\n{}---", self.port, self.log());
        }
    }
}

/// A software vendor with keys of its own, made and used by the real `usher-issuer`.
pub struct Vendor {
    station: Station,
    name: String,
}

impl Vendor {
    /// Makes the vendor's keys in the station's home.
    pub fn new(station: &Station, name: &str) -> Self {
        let vendor = Self {
            station: station.clone(),
            name: name.to_owned(),
        };
        vendor.issuer(&["key", "new", "--vendor", name, "--valid", "30000d"]);
        vendor
    }

    /// Signs a license for the site of a daemon and returns its file.
    ///
    /// `terms` are further arguments of `usher-issuer license new`, such as `["--feature", "solver:10"]`.
    pub fn license(&self, daemon: &Daemon, terms: &[&str]) -> PathBuf {
        let request = self.directory().join("site.request");
        fs::write(&request, daemon.ask(&["request"])).unwrap();
        let number = fs::read_dir(self.directory()).unwrap().count();
        let license = self.directory().join(format!("license-{number}.lic"));
        let files = ["--request", text(&request), "--output", text(&license)];
        let new = ["license", "new", "--expires", "2098-12-31"];
        self.issuer(&[&new[..], &files, terms].concat());
        license
    }

    /// Runs `usher-issuer` with this vendor's keys and returns what it printed.
    pub fn issuer(&self, arguments: &[&str]) -> String {
        let mut command = self.station.command("usher-issuer");
        command
            .env("USHER_ISSUER_DIR", self.directory())
            .env("USHER_ISSUER_PASSPHRASE", "a test's");
        told(
            &command.args(arguments).output().unwrap(),
            &arguments.join(" "),
        )
    }

    /// Where its keys, licenses and log are.
    pub fn directory(&self) -> PathBuf {
        self.station.home().join(format!("vendor-{}", self.name))
    }
}

/// Plays the service manager: hears every notice, as systemd does, and passes on the one that says ready.
///
/// The thread ends some time after `wanted` is dropped.
fn listen(notices: UnixDatagram, wanted: &Arc<()>) -> Receiver<()> {
    let (sender, ready) = mpsc::channel();
    let wanted = Arc::downgrade(wanted);
    notices.set_read_timeout(Some(LISTEN)).unwrap();
    thread::spawn(move || {
        let mut notice = [0; 4096];
        while wanted.strong_count() > 0 {
            let length = notices.recv(&mut notice).unwrap_or(0);
            let mut lines = notice[..length].split(|byte| *byte == b'\n');
            if lines.any(|line| line == b"READY=1") {
                let _ = sender.send(());
            }
        }
    });
    ready
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A port that was free a moment ago: a restarted daemon must come back where its clients look for it, so it lies below
/// those that systems give to clients, who might take it meanwhile, and no other daemon of this process gets it.
fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let draw = || RandomState::new().build_hasher().finish();
    let mut drawn = std::iter::repeat_with(|| PORT_MIN + u16::try_from(draw() % PORTS).unwrap());
    let is_new = |port| {
        GIVEN
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(port)
    };
    drawn.find(|port| is_free(*port) && is_new(*port)).unwrap()
}

/// Looks rather than tries: a socket bound here would live on for a moment in a program that another test is just
/// starting, and be in the daemon's way.
fn is_free(port: u16) -> bool {
    let port = format!(":{port:04X}");
    ["/proc/self/net/udp", "/proc/self/net/udp6"]
        .iter()
        .all(|table| {
            let table = fs::read_to_string(table).unwrap_or_default();
            let mut local = table
                .lines()
                .skip(1)
                .filter_map(|line| line.split_whitespace().nth(1));
            !local.any(|address| address.ends_with(&port))
        })
}

const PORT: u16 = usher_protocol::limits::PORT_DEFAULT;
const PORT_MIN: u16 = 15_000;
const PORTS: u64 = 12_000;
const POLL: Duration = Duration::from_millis(20);
const LISTEN: Duration = Duration::from_secs(1);
const READY_POLLS_MAX: u32 = 6000;
/// SIGTERM drains within 5 s; the rest is for a busy machine.
const END_POLLS_MAX: u32 = 3000;
