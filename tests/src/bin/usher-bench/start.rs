//! How long from the start of `usher run` to the start of its command: three hosts on a network of their own, the real
//! programs, one process after the other. Decides what is cold in each case; must not judge the figures.
//!
//! The clock starts in a process that then becomes `usher` by `execve`, and stops first thing in the command.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use usher_tests::bins;
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::hosts::{self, Host, Lan};
use usher_tests::station::told;

use crate::figures::Figures;
use crate::multicast;
use crate::stopwatch::{now_ns, us_since};
use crate::table::Row;

/// Builds the namespaces and measures inside.
pub(crate) fn outside(runs: usize) {
    let programs = bins::path("usher");
    assert!(programs.is_file());
    let mut inside = hosts::inside("bench");
    let status = inside.args(["start-inside", &runs.to_string()]).status();
    assert!(status.unwrap().success(), "the measurement failed");
}

/// The row of design 8; none where there are no namespaces. A start is short, so there are more of them.
pub(crate) fn rows(runs: usize) -> Vec<Row> {
    assert!(bins::path("usher").is_file());
    let mut inside = hosts::inside("bench");
    let starts = (runs * STARTS_PER_RUN).to_string();
    let output = inside
        .args(["start-inside", &starts, "--cases-alone"])
        .output();
    let Ok(output) = output
        .map_err(|_| ())
        .and_then(|it| if it.status.success() { Ok(it) } else { Err(()) })
    else {
        eprintln!("start: SKIPPED, it needs iproute2 and user namespaces");
        return Vec::new();
    };
    let said = String::from_utf8(output.stdout).unwrap();
    let cases: Vec<Case> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    cases
        .into_iter()
        .map(|it| {
            let aim = if it.what.starts_with("mDNS") {
                "≤ 60"
            } else {
                ""
            };
            let measure = format!("`usher run` to the start of its command, ms: {}", it.what);
            Row::new(
                measure,
                Figures::of(it.ms),
                aim,
                format!("{starts} cold processes"),
            )
        })
        .collect()
}

/// What the inner process tells the outer one.
#[derive(serde::Serialize, serde::Deserialize)]
struct Case {
    what: String,
    ms: Vec<f64>,
}

/// Measures the cases, and prints them for [`rows`]; only inside.
pub(crate) fn cases(runs: usize) {
    let mut lan = Lan::build();
    let ground = Ground::new(&mut lan);
    for (case, prepare, arguments) in CASES {
        let ms = (0..runs).map(|_| {
            prepare(&ground);
            ground.run(arguments)
        });
        let case = Case {
            what: case.to_owned(),
            ms: ms.collect(),
        };
        println!("{}", serde_json::to_string(&case).unwrap());
    }
}

/// Measures; only inside.
pub(crate) fn inside(runs: usize) {
    let mut lan = Lan::build();
    let ground = Ground::new(&mut lan);
    println!("{runs} cold processes each, in ms: min / median / max");
    for (case, prepare, arguments) in CASES {
        let figures = (0..runs).map(|_| {
            prepare(&ground);
            ground.run(arguments)
        });
        println!("  {case:<52} {}", Figures::of(figures).spread(1));
    }
    println!("for comparison, a plain mDNS browse alone, inside a running process");
    for (case, prepare) in BROWSES {
        let figures = (0..runs.min(BROWSES_MAX)).map(|_| {
            prepare(&ground);
            multicast::browse(&ground.desk)
        });
        println!("  {case:<52} {}", Figures::of(figures).spread(1));
    }
}

/// Becomes the program given; the command under it finds out when that was.
pub(crate) fn launch(program: &[OsString]) {
    let mut command = Command::new(&program[0]);
    command.args(&program[1..]).env(BEGAN, now_ns().to_string());
    panic!("{}", command.exec());
}

/// Prints the microseconds since [`launch`].
pub(crate) fn moment() {
    let began = std::env::var(BEGAN).unwrap();
    println!("{}", us_since(began.parse().unwrap()));
}

/// A licensed daemon, a workstation that trusts its vendor, and another one.
struct Ground {
    desk: Host,
    other: Host,
    _server: Host,
    _daemon: Daemon,
}

impl Ground {
    fn new(lan: &mut Lan) -> Self {
        let [server, desk, other] = ["lic01", "desk", "other"].map(|name| lan.host(name));
        let vendor = Vendor::new(&server, "acme");
        let daemon = Daemon::start_on_host(&server);
        daemon.install(&vendor.license(&daemon, &["--feature", "solver:10"]));
        let trusted = desk.home().join(".config/usher/trust.d");
        fs::create_dir_all(&trusted).unwrap();
        fs::copy(
            vendor.directory().join("acme.pub"),
            trusted.join("acme.pub"),
        )
        .unwrap();
        Self {
            desk,
            other,
            _server: server,
            _daemon: daemon,
        }
    }

    /// Milliseconds from the start of `usher run` to the start of its command.
    fn run(&self, arguments: &[&str]) -> f64 {
        let bench = std::env::current_exe().unwrap();
        let bench = bench.to_str().unwrap();
        let mut command = self.desk.command(bench);
        command.args(["launch", "--"]).arg(bins::path("usher"));
        command.args(["run", "acme/solver"]).args(arguments);
        command.args(["--", bench, "moment"]);
        let us: f64 = told(&command.output().unwrap(), "usher run")
            .trim()
            .parse()
            .unwrap();
        us / 1000.0
    }

    /// No trace of earlier starts: no key, no marks, no last good server.
    fn forget_all(&self) {
        let _ = fs::remove_dir_all(self.desk.home().join(".local/state/usher"));
        quiet();
    }

    /// The key is there, the server's address is not.
    fn forget_server(&self) {
        let state = self.desk.home().join(".local/state/usher");
        for machine in fs::read_dir(state).unwrap() {
            let _ = fs::remove_dir_all(machine.unwrap().path().join("servers"));
        }
        quiet();
    }

    fn forget_server_while_another_asks(&self) {
        self.forget_server();
        multicast::ask_all(&self.other);
    }
}

/// Longer than the second for which a server that has answered to all stays silent.
fn quiet() {
    thread::sleep(Duration::from_millis(1300));
}

type Prepare = fn(&Ground);

const CASES: [(&str, Prepare, &[&str]); 5] = [
    (
        "mDNS, first start ever (makes the client key)",
        Ground::forget_all,
        &[],
    ),
    ("mDNS, no last good server", Ground::forget_server, &[]),
    (
        "mDNS, no last good server, another has just asked",
        Ground::forget_server_while_another_asks,
        &[],
    ),
    (
        "server named by address",
        |_| (),
        &["--server", "10.77.0.11"],
    ),
    ("last good server", |_| (), &[]),
];
const BROWSES: [(&str, Prepare); 2] = [
    ("quiet", |_| quiet()),
    ("another has just asked", |ground| {
        quiet();
        multicast::ask_all(&ground.other);
    }),
];
const BROWSES_MAX: usize = 10;
const STARTS_PER_RUN: usize = 2;
/// Carries the moment of the start to the command.
const BEGAN: &str = "USHER_BENCH_BEGAN";
