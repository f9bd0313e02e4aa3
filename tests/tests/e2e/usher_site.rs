//! The ground of the tests of `usher`: a daemon with a license, and a user who trusts its vendor.

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::station::Station;

/// A vendor, its licensed daemon, and a user's home.
pub(super) struct Site {
    pub(super) station: Station,
    pub(super) vendor: Vendor,
    pub(super) daemon: Daemon,
}

impl Site {
    /// A running daemon with a license of acme on these terms, and acme trusted.
    pub(super) fn new(terms: &[&str]) -> Self {
        let station = Station::here();
        let vendor = Vendor::new(&station, "acme");
        let daemon = Daemon::start(&station);
        daemon.install(&vendor.license(&daemon, terms));
        let site = Self {
            station,
            vendor,
            daemon,
        };
        let trusted = site.station.home().join(".config/usher/trust.d");
        fs::create_dir_all(&trusted).unwrap();
        let key = site.vendor.directory().join("acme.pub");
        fs::copy(key, trusted.join("acme.pub")).unwrap();
        site
    }

    /// `usher` with the server named.
    pub(super) fn usher(&self) -> Command {
        let mut command = self.station.command("usher");
        command
            .env("USHER_SERVER", self.daemon.address().to_string())
            .env_remove("USHER_TEST")
            .env_remove("USHER_TRUST_DIR")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    /// Runs `usher` with these arguments to its end.
    pub(super) fn call(&self, arguments: &[&str]) -> Output {
        self.usher().args(arguments).output().unwrap()
    }

    /// Runs `usher run` to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        self.usher().arg("run").args(arguments).output().unwrap()
    }

    /// Starts `usher run`, its words piped.
    pub(super) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.usher();
        command.arg("run").args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Waits until so many seats of the one feature are free.
    pub(super) fn wait_free(&self, seats: &str) {
        let mut said = String::new();
        for _ in 0..1200 {
            let mut output = self.call(&["features"]);
            if !output.status.success() {
                output = self.call(&["features", "--test"]);
            }
            said = String::from_utf8(output.stdout.clone()).unwrap() + &stderr(&output);
            let row = said.lines().nth(1).unwrap_or_default();
            if row.split_whitespace().nth(2) == Some(seats) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{seats} seats do not come free:\n{said}");
    }
}

pub(super) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
