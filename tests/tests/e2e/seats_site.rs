//! The ground of the tests of seats: a daemon with a test license, and holders on desks of their own.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use usher_client::clock::Clock;
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::holder::{Event, Holder};
use usher_tests::station::Station;

/// A vendor and a daemon that lends seats of its `solver`.
pub(super) struct Seats {
    pub(super) daemon: Daemon,
    pub(super) vendor: Vendor,
}

impl Seats {
    /// On this machine's loopback; `terms` as in `10,lease-default=20s`.
    pub(super) fn here(terms: &str) -> Self {
        let station = Station::here();
        let daemon = Daemon::start(&station);
        Self::licensed(&station, daemon, terms)
    }

    /// On a host, advertised.
    pub(super) fn on_host(station: &Station, terms: &str) -> Self {
        let daemon = Daemon::start_on_host(station);
        Self::licensed(station, daemon, terms)
    }

    fn licensed(station: &Station, daemon: Daemon, terms: &str) -> Self {
        let vendor = Vendor::new(station, "acme");
        let feature = format!("solver:{terms}");
        let terms = ["--environment", "test", "--feature", &feature];
        daemon.install(&vendor.license(&daemon, &terms));
        Self { daemon, vendor }
    }

    /// A holder on a desk of its own, told where the daemon is.
    pub(super) fn desk(&self) -> Desk {
        let station = Station::here();
        let key = self.vendor.directory().join("acme.pub");
        let holder = Holder::start(&station, &key, Some(self.daemon.address()));
        Desk {
            holder,
            _station: station,
        }
    }

    /// So many of them, connected: what they do at once then is what they are told, and no storm of handshakes.
    pub(super) fn desks(&self, count: usize) -> Vec<Desk> {
        let mut desks: Vec<_> = (0..count).map(|_| self.desk()).collect();
        for few in desks.chunks_mut(CONNECTING_MAX) {
            for desk in few.iter_mut() {
                desk.holder.tell("connect");
            }
            for desk in few {
                desk.holder.wait_connected();
            }
        }
        desks
    }

    /// A holder on a host, which finds the daemon by mDNS alone.
    pub(super) fn holder_on(&self, host: &Station) -> Holder {
        Holder::start(host, &self.vendor.directory().join("acme.pub"), None)
    }

    /// What `usherd leases` lists.
    pub(super) fn leases(&self) -> Vec<Value> {
        serde_json::from_str(&self.daemon.ask(&["leases", "--json"])).unwrap()
    }

    /// Their ids.
    pub(super) fn lease_ids(&self) -> BTreeSet<String> {
        let id = |lease: &Value| lease["id"].as_str().unwrap().to_owned();
        self.leases().iter().map(id).collect()
    }

    /// What `usherd status` says.
    pub(super) fn status(&self) -> Value {
        serde_json::from_str(&self.daemon.ask(&["status", "--json"])).unwrap()
    }

    /// Waits until as many leases are out.
    pub(super) fn wait_leases(&self, count: usize) {
        eventually(&format!("{count} leases"), || self.leases().len() == count);
    }

    /// Waits until every lease out before the restart has been heard of.
    pub(super) fn wait_none_held(&self) {
        eventually("every lease heard of", || {
            let status = self.status();
            let pools = status["pools"].as_array();
            let pools = pools.unwrap_or_else(|| panic!("{status}"));
            pools.iter().all(|pool| pool["held"] == 0)
        });
    }
}

/// A workstation on this machine: a home and a client key of its own, and a holder there.
pub(super) struct Desk {
    pub(super) holder: Holder,
    /// Its home goes with it.
    _station: Station,
}

/// Everything that some desks have said.
pub(super) fn all_events(desks: &[Desk]) -> Vec<Vec<Event>> {
    desks.iter().map(|desk| desk.holder.events()).collect()
}

/// The boot clock, in milliseconds.
pub(super) fn boot() -> u64 {
    Clock::new().boot().0
}

/// Waits until something is so.
pub(super) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..POLLS_MAX {
        if is_so() {
            return;
        }
        thread::sleep(POLL);
    }
    panic!("never: {what}");
}

const POLL: Duration = Duration::from_millis(50);
const POLLS_MAX: u32 = 3600;
const CONNECTING_MAX: usize = 8;
