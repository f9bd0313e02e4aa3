//! What the administrator's tests share: a client of their own, and verbs that must fail.

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::thread;
use std::time::Duration;

use usher_client::blocking;
use usher_client::paths::Paths;
use usher_client::protocol::wire::Holder;
use usher_client::{Builder, Client};
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::station::Station;

/// A station, its daemon, and a vendor.
pub(crate) struct Site {
    pub(crate) station: Station,
    pub(crate) daemon: Daemon,
    pub(crate) acme: Vendor,
}

impl Site {
    pub(crate) fn new() -> Self {
        let station = Station::here();
        let daemon = Daemon::start(&station);
        let acme = Vendor::new(&station, "acme");
        Self {
            station,
            daemon,
            acme,
        }
    }

    /// With two seats of `solver` in a test license of short leases.
    pub(crate) fn lending() -> Self {
        let site = Self::new();
        let license = site.license(&[]);
        site.daemon.install(&license);
        site
    }

    /// A test license of `acme` for two seats of `solver`.
    pub(crate) fn license(&self, terms: &[&str]) -> PathBuf {
        // Short enough to be waited out, long enough to outlast a restart on a busy machine.
        let feature = "solver:2,lease-min=2s,lease-default=10s,lease-max=10s";
        let usual = ["--environment", "test", "--feature", feature];
        self.acme
            .license(&self.daemon, &[&usual[..], terms].concat())
    }

    /// A client of `acme`, as `anna` on `ws1`.
    pub(crate) fn client(&self) -> blocking::Client {
        blocking::Client::build(self.builder()).unwrap()
    }

    /// The same client, not yet connected.
    pub(crate) fn builder(&self) -> Builder {
        let root = fs::read_to_string(self.acme.directory().join("acme.pub")).unwrap();
        let home = self.station.home().to_owned();
        let variable = move |name: &str| (name == "HOME").then(|| home.clone().into());
        let machine = "0123456789abcdef0123456789abcdef".parse().unwrap();
        Client::builder(root)
            .unwrap()
            .ignore_surroundings()
            .discovery(false)
            .test_licenses()
            .paths(Paths::from_variables(variable, machine).unwrap())
            .holder(Holder {
                user: "anna".to_owned(),
                host: "ws1".to_owned(),
                display: None,
                process: 7,
            })
            .server(self.daemon.address().to_string())
    }

    /// Runs a verb that must fail: its exit code and what it said.
    pub(crate) fn fails(&self, arguments: &[&str]) -> (i32, String) {
        failed(&self.daemon.admin(arguments).output().unwrap())
    }
}

/// Exit code and words of a program that must have failed.
pub(crate) fn failed(output: &Output) -> (i32, String) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it did not fail: {said}");
    (output.status.code().unwrap(), said)
}

/// Waits for something that the clocks of both sides bring about.
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..POLLS_MAX {
        if holds() {
            return;
        }
        thread::sleep(POLL);
    }
    panic!("never seen: {what}");
}

const POLL: Duration = Duration::from_millis(50);
const POLLS_MAX: u32 = 2400;
