//! What every measurement stands on: a licensed daemon, the floor beside it, load generators, each a process of its own.
//! Decides how they are started and stopped; must not measure.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::station::{Station, told};

use crate::drive::{Load, Work};
use crate::floor::Sizes;

/// A daemon that lends `solver`, and who may ask it.
pub(crate) struct Site {
    station: Station,
    pub(crate) daemon: Daemon,
    vendor_key: PathBuf,
    test: bool,
}

impl Site {
    /// With a live license of so many seats, for an hour at a time.
    pub(crate) fn new(seats: usize) -> Self {
        Self::of_build(seats, None)
    }

    /// The same, served by this build of usherd where one is named.
    pub(crate) fn of_build(seats: usize, program: Option<&Path>) -> Self {
        let terms = format!("solver:{seats},lease-default=1h");
        Self::licensed(&["--feature", &terms], false, program)
    }

    /// With a test license, whose leases may be as short as these seconds.
    pub(crate) fn of_test(seats: usize, lease_seconds: u32) -> Self {
        let terms = format!("solver:{seats},lease-min=2s,lease-default={lease_seconds}s");
        Self::licensed(&["--feature", &terms, "--environment", "test"], true, None)
    }

    /// With the lengths that a license has by default: ten minutes.
    pub(crate) fn of_usual_length(seats: usize) -> Self {
        Self::licensed(&["--feature", &format!("solver:{seats}")], false, None)
    }

    fn licensed(terms: &[&str], test: bool, program: Option<&Path>) -> Self {
        let station = Station::here();
        let vendor = Vendor::new(&station, "acme");
        let mut daemon = Daemon::on(&station, &station.home().join("state"));
        // All workstations are on this machine.
        daemon.set("CONNECTIONS_PER_ADDRESS_MAX", "20000");
        // What a killed load generator held stays out, and the next one comes with the same keys.
        daemon.set("LEASES_PER_CLIENT_MAX", "100000");
        if let Some(it) = program {
            daemon.set_program(it);
        }
        daemon.start_again();
        daemon.install(&vendor.license(&daemon, terms));
        Self {
            vendor_key: vendor.directory().join("acme.pub"),
            station,
            daemon,
            test,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        number(self.daemon.pid())
    }

    /// Puts a load on it and returns what the generator reports.
    pub(crate) fn drive(&self, load: Load) -> Value {
        let mut more = vec!["--vendor", text(&self.vendor_key)];
        more.extend(self.test.then_some("--test"));
        drive(&self.station, self.daemon.address(), load, &more)
    }

    /// Sizes of the frames that are really sent, for the floor.
    pub(crate) fn sizes(&self) -> Sizes {
        let report = self.drive(Load::closed(1, Work::Pairs, 100));
        let sizes: Vec<String> = serde_json::from_value(report["sizes"].clone()).unwrap();
        Sizes::read(&sizes)
    }

    /// Connects workstations that do nothing.
    pub(crate) fn hold(&self, connections: usize, seats: bool) -> Holding {
        self.hold_from(0, connections, seats)
    }

    /// The same with a seat each, beside `before` others.
    pub(crate) fn hold_more(&self, connections: usize, before: usize) -> Holding {
        self.hold_from(before, connections, true)
    }

    fn hold_from(&self, first: usize, connections: usize, seats: bool) -> Holding {
        let first = format!("--first={first}");
        let mut more = vec!["--vendor", text(&self.vendor_key), &first];
        more.extend(seats.then_some("--seats"));
        Holding::start(&self.station, self.daemon.address(), connections, &more)
    }

    /// Another program of this kind at this site: `verb`, the daemon's address, the vendor's key.
    pub(crate) fn run(&self, verb: &str, arguments: &[&str]) -> Value {
        let mut command = bench(&self.station);
        command.args([verb, &self.daemon.address().to_string()]);
        command.args(["--vendor", text(&self.vendor_key)]);
        let said = told(&command.args(arguments).output().unwrap(), verb);
        serde_json::from_str(&said).unwrap()
    }

    /// Stops the daemon, runs the loader on its store and starts the daemon again; `hear` gets the loader's reports.
    pub(crate) fn fill(&mut self, arguments: &[&str], mut hear: impl FnMut(Value)) {
        self.stop();
        let mut command = bench(&self.station);
        command.arg("fill").arg(self.state()).arg(&self.vendor_key);
        command.args(self.test.then_some("--test"));
        let mut child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            hear(serde_json::from_str(&line.unwrap()).unwrap());
        }
        assert!(child.wait().unwrap().success(), "the loader failed");
        self.daemon.start_again();
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.daemon.state_dir()
    }

    /// Kills the daemon and starts it again: its memory begins anew.
    pub(crate) fn restart(&mut self) {
        self.daemon.kill();
        self.daemon.start_again();
    }

    /// As a power cut does, so that no figure hangs on how a stop goes; what was acknowledged is durable.
    pub(crate) fn stop(&mut self) {
        self.daemon.kill();
    }

    /// Runs a shell script beside its state directory.
    pub(crate) fn sh(&self, script: &str) {
        self.station.sh(script);
    }
}

/// The floor's server. Ends when its standard input closes.
pub(crate) struct Floor {
    station: Station,
    child: Child,
    address: SocketAddr,
    sizes: Vec<String>,
}

impl Floor {
    pub(crate) fn start(sizes: Sizes) -> Self {
        let station = Station::here();
        let sizes = sizes.arguments();
        let mut command = bench(&station);
        command.arg("floor-server").args(&sizes);
        let (child, mut words) = piped(command);
        let address = line(&mut words).parse().unwrap();
        Self {
            station,
            child,
            address,
            sizes,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn drive(&self, load: Load) -> Value {
        drive(&self.station, self.address, load, &self.words())
    }

    pub(crate) fn hold(&self, connections: usize) -> Holding {
        Holding::start(&self.station, self.address, connections, &self.words())
    }

    fn words(&self) -> Vec<&str> {
        self.sizes.iter().map(String::as_str).collect()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Workstations that are connected and do nothing. Dropping it disconnects them.
pub(crate) struct Holding {
    child: Child,
    _words: BufReader<ChildStdout>,
}

impl Holding {
    /// Returns once all are connected.
    fn start(station: &Station, address: SocketAddr, connections: usize, more: &[&str]) -> Self {
        let mut command = bench(station);
        command.args(["hold", &address.to_string()]);
        command.args(["--connections", &connections.to_string()]);
        command.args(more);
        let (child, mut words) = piped(command);
        assert_eq!(line(&mut words), "ready", "the workstations do not connect");
        Self {
            child,
            _words: words,
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        // At once: it would otherwise say farewell a thousand times.
        let _ = kill_process(Pid::from_child(&self.child), Signal::KILL);
        end(&mut self.child);
    }
}

fn drive(station: &Station, address: SocketAddr, load: Load, more: &[&str]) -> Value {
    let mut command = bench(station);
    command.args(["drive", &address.to_string()]);
    command.args(load.arguments());
    let said = told(&command.args(more).output().unwrap(), "drive");
    serde_json::from_str(&said).unwrap()
}

/// This program, at a station.
fn bench(station: &Station) -> Command {
    station.command(text(&std::env::current_exe().unwrap()))
}

fn piped(mut command: Command) -> (Child, BufReader<ChildStdout>) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let words = BufReader::new(child.stdout.take().unwrap());
    (child, words)
}

fn line(words: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    words.read_line(&mut line).unwrap();
    line.trim().to_owned()
}

fn end(child: &mut Child) {
    drop(child.stdin.take());
    let _ = child.wait();
}

fn number(pid: Pid) -> u32 {
    u32::try_from(pid.as_raw_nonzero().get()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
