//! Runs usherd and the floor in turn under the same load, each server and each load generator a process of its own.
//! Decides which loads are put on, and prints both and their ratio; must not judge it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::station::{Station, told};

use crate::figures::Figures;

/// Measures every load `runs` times, `seconds` each, and prints the figures.
pub(crate) fn run(runs: usize, seconds: u64) {
    let ground = Ground::new(seconds);
    println!("{runs} runs of {seconds} s each: min / median / max");
    for (what, connections, work) in LOADS {
        let load = [connections, work];
        let rounds: Vec<(Value, Value)> = (0..runs)
            .map(|_| (ground.usher(load), ground.floor(load)))
            .collect();
        println!("\n{what}");
        for (row, field, decimals) in ROWS {
            print_row(row, field, decimals, &rounds);
        }
    }
}

/// Floor, usherd and their ratio, of one figure.
fn print_row(row: &str, field: &str, decimals: usize, rounds: &[(Value, Value)]) {
    let figure = |report: &Value| report[field].as_f64().unwrap();
    let usher = Figures::of(rounds.iter().map(|(usher, _)| figure(usher)));
    let floor = Figures::of(rounds.iter().map(|(_, floor)| figure(floor)));
    let ratio = Figures::of((rounds.iter()).map(|(usher, floor)| figure(usher) / figure(floor)));
    let (usher, floor) = (usher.spread(decimals), floor.spread(decimals));
    println!(
        "  {row:<18} usherd {usher}   floor {floor}   ratio {}",
        ratio.spread(2)
    );
}

struct Ground {
    station: Station,
    daemon: Daemon,
    vendor_key: PathBuf,
    seconds: String,
    floor: FloorServer,
}

impl Ground {
    fn new(seconds: u64) -> Self {
        let station = Station::here();
        let vendor = Vendor::new(&station, "acme");
        let daemon = Daemon::start(&station);
        daemon.install(&vendor.license(&daemon, &["--feature", "solver:1000"]));
        let vendor_key = vendor.directory().join("acme.pub");
        let seconds = seconds.to_string();
        let vendor = ["--vendor", vendor_key.to_str().unwrap()];
        let warm = drive(&station, daemon.address(), "1", ["1", "pairs"], &vendor);
        let sizes: Vec<String> = serde_json::from_value(warm["sizes"].clone()).unwrap();
        println!("frames in bytes: {}", sizes.join(" "));
        let floor = FloorServer::start(&station, sizes);
        Self {
            station,
            daemon,
            vendor_key,
            seconds,
            floor,
        }
    }

    fn usher(&self, load: [&str; 2]) -> Value {
        let vendor = ["--vendor", self.vendor_key.to_str().unwrap()];
        let address = self.daemon.address();
        drive(&self.station, address, &self.seconds, load, &vendor)
    }

    fn floor(&self, load: [&str; 2]) -> Value {
        let sizes: Vec<&str> = self.floor.sizes.iter().map(String::as_str).collect();
        let address = self.floor.address;
        drive(&self.station, address, &self.seconds, load, &sizes)
    }
}

fn drive(
    station: &Station,
    address: SocketAddr,
    seconds: &str,
    [connections, work]: [&str; 2],
    more: &[&str],
) -> Value {
    let mut command = bench(station);
    command.args(["drive", &address.to_string(), "--seconds", seconds]);
    command.args(["--connections", connections, "--work", work]);
    let said = told(&command.args(more).output().unwrap(), "drive");
    serde_json::from_str(&said).unwrap()
}

/// Ends when its standard input closes.
struct FloorServer {
    child: Child,
    address: SocketAddr,
    sizes: Vec<String>,
}

impl FloorServer {
    fn start(station: &Station, sizes: Vec<String>) -> Self {
        let mut command = bench(station);
        command.arg("floor-server").args(&sizes);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut words = BufReader::new(child.stdout.take().unwrap());
        words.read_line(&mut line).unwrap();
        let address = line.trim().parse().unwrap();
        Self {
            child,
            address,
            sizes,
        }
    }
}

impl Drop for FloorServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn bench(station: &Station) -> Command {
    station.command(std::env::current_exe().unwrap().to_str().unwrap())
}

const LOADS: [(&str, &str, &str); 3] = [
    ("one connection, checkouts and releases", "1", "pairs"),
    ("64 connections, checkouts and releases", "64", "pairs"),
    ("64 connections, renewals", "64", "renewals"),
];
const ROWS: [(&str, &str, usize); 4] = [
    ("requests per s", "per_second", 0),
    ("p50, µs", "p50_us", 0),
    ("p99, µs", "p99_us", 0),
    ("release p50, µs", "release_p50_us", 0),
];
