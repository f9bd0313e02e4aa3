//! One daemon life on a disk that may fail: a fixed round of everything that is made durable, and what was acknowledged
//! in it. Decides what counts as acknowledged, and what must be there after the next start.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;
use usher_client::clock::Clock;
use usher_protocol::ids::LeaseId;
use usher_protocol::time::DurationMs;
use usher_protocol::wire::{Borrow, Checkout, Reply, Request};
use usher_tests::daemon::Daemon;
use usher_tests::peer::{self, Held, Peer, a_seat, key};
use usher_tests::shim::Shim;

use super::ground::{Ground, said};

/// What was acknowledged.
#[derive(Default)]
pub(crate) struct Told {
    /// Serial of the license.
    pub(crate) serial: u64,
    /// Granted, with the number of the client key, and not given back or asked to be.
    pub(crate) held: Vec<(u8, Held)>,
    /// Given back.
    pub(crate) released: Vec<LeaseId>,
    pub(crate) evicted: Vec<LeaseId>,
    /// Answered or not.
    pub(crate) evict_asked: Option<LeaseId>,
    pub(crate) suspended: bool,
    /// All of it.
    pub(crate) acknowledged: u64,
    /// What was acknowledged although the disk had failed before it was asked for.
    pub(crate) late: Vec<String>,
}

/// One life, step by step.
pub(crate) struct Visit<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) daemon: &'a mut Daemon,
    pub(crate) shim: &'a Shim,
    pub(crate) told: Told,
    runtime: &'a Runtime,
    peers: Vec<Peer>,
}

impl<'a> Visit<'a> {
    pub(crate) fn new(
        ground: &'a Ground,
        daemon: &'a mut Daemon,
        shim: &'a Shim,
        runtime: &'a Runtime,
    ) -> Self {
        Self {
            ground,
            daemon,
            shim,
            told: Told::default(),
            runtime,
            peers: Vec::new(),
        }
    }

    /// Everything that is made durable, as far as the daemon takes part; true where it did to the end.
    pub(crate) fn run(&mut self) -> bool {
        self.steps().is_some()
    }

    fn steps(&mut self) -> Option<()> {
        self.license(1)?;
        self.connect()?;
        self.checkouts(&[1, 2])?;
        self.renewals()?;
        self.borrow()?;
        self.backup()?;
        self.release()?;
        self.evict()?;
        self.suspend()?;
        self.license(2)?;
        self.verb(&["reload"])?;
        // Whose seat is taken back waits before it gets another.
        self.checkouts(&[1])
    }

    fn license(&mut self, serial: u64) -> Option<()> {
        let file = match serial {
            1 => self.ground.license.clone(),
            _ => self.ground.newer.clone(),
        };
        self.verb(&["license", "add", "--yes", file.to_str().unwrap()])?;
        self.told.serial = serial;
        Some(())
    }

    fn connect(&mut self) -> Option<()> {
        for number in 1..=CLIENTS {
            let (at, root) = (self.daemon.address(), self.ground.root);
            let peer = self.wait_for(Peer::try_welcomed(at, &key(number), root))??;
            self.peers.push(peer);
        }
        Some(())
    }

    fn checkouts(&mut self, clients: &[u8]) -> Option<()> {
        for number in clients {
            for _ in 0..2 {
                let seat = a_seat();
                self.grant(*number, &seat, Request::Checkout(seat.clone()))?;
            }
        }
        Some(())
    }

    fn borrow(&mut self) -> Option<()> {
        let checkout = Checkout {
            feature: "laptop".parse().unwrap(),
            length_ms: Some(DurationMs::hours(24)),
            ..a_seat()
        };
        let wall = Clock::new().now().wall;
        let borrow = Request::Borrow(Borrow {
            checkout: checkout.clone(),
            wall,
        });
        self.grant(1, &checkout, borrow)
    }

    /// A usual renewal needs no disk; the first longer promise does (L4).
    fn renewals(&mut self) -> Option<()> {
        for index in 0..self.told.held.len() {
            let longer = (index == 0).then(|| DurationMs::minutes(30));
            let (number, held) = &self.told.held[index];
            let (request, link) = held.renewing(longer);
            match self.ask(*number, request)? {
                Reply::Granted(grant) => self.told.held[index].1.take(grant, link),
                other => return self.refused(&other),
            }
        }
        Some(())
    }

    fn release(&mut self) -> Option<()> {
        // From here on it is not ours, heard or not.
        let (number, held) = self.told.held.remove(1);
        match self.ask(number, held.release())? {
            Reply::Released => {
                self.told.released.push(held.lease.id);
                Some(())
            }
            other => self.refused(&other),
        }
    }

    fn evict(&mut self) -> Option<()> {
        let id = self.told.held[1].1.lease.id;
        self.told.evict_asked = Some(id);
        self.verb(&["evict", &id.to_string(), "--reason", "a test"])?;
        self.told.evicted.push(id);
        Some(())
    }

    fn suspend(&mut self) -> Option<()> {
        self.verb(&["suspend", "acme/spare", "--reason", "a test"])?;
        self.told.suspended = true;
        Some(())
    }

    fn backup(&mut self) -> Option<()> {
        let target = self.ground.station.home();
        let name = format!("{}.snapshot", self.daemon.address().port());
        let target = target.join(name);
        let made = self.verb(&["backup", target.to_str().unwrap()]);
        let _ = std::fs::remove_file(target);
        made
    }

    fn grant(&mut self, number: u8, seat: &Checkout, request: Request) -> Option<()> {
        match self.ask(number, request)? {
            Reply::Granted(grant) => {
                self.told.held.push((number, Held::of(seat, grant)));
                Some(())
            }
            other => self.refused(&other),
        }
    }

    /// Asks over the connection of this client; any yes is an acknowledgement.
    fn ask(&mut self, number: u8, request: Request) -> Option<Reply> {
        let failed = self.has_failed();
        let mut peer = self.peers.remove(usize::from(number) - 1);
        let words = format!("{request:?}");
        let reply = self.wait_for(peer.try_ask(request));
        self.peers.insert(usize::from(number) - 1, peer);
        let reply = reply??;
        let is_no = matches!(reply, Reply::Refused(_));
        self.acknowledged(!is_no, failed, &words);
        Some(reply)
    }

    /// Only a disk that failed is a reason.
    fn refused(&self, reply: &Reply) -> Option<()> {
        let failed = self.shim.calls().iter().any(|call| call.failed);
        assert!(failed, "{reply:?}");
        None
    }

    /// An administrator's verb; none when it failed.
    fn verb(&mut self, arguments: &[&str]) -> Option<()> {
        let failed = self.has_failed();
        let output = self.daemon.admin(arguments).output().unwrap();
        let is_done = output.status.success();
        self.acknowledged(is_done, failed, &arguments.join(" "));
        let failed = self.shim.calls().iter().any(|call| call.failed);
        assert!(
            is_done || failed,
            "usherd {}: {}",
            arguments.join(" "),
            said(&output)
        );
        is_done.then_some(())
    }

    fn acknowledged(&mut self, is_yes: bool, failed: bool, what: &str) {
        if is_yes {
            self.told.acknowledged += 1;
            if failed {
                self.told.late.push(what.to_owned());
            }
        }
    }

    /// What answers depend on has failed by now. The usage log is written beside them, which its failure does not undo:
    /// what the store has acknowledged is in the outbox.
    fn has_failed(&self) -> bool {
        let counts = |path: &Path| {
            !path.to_string_lossy().contains("/usage/") && !path.ends_with("site.key.unused")
        };
        let calls = self.shim.calls();
        calls.iter().any(|call| call.failed && counts(&call.path))
    }

    fn wait_for<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, what).await.ok() })
    }
}

/// What is not as it was acknowledged, on a daemon that has started anew.
pub(crate) fn missing(
    ground: &Ground,
    daemon: &Daemon,
    told: &Told,
    runtime: &Runtime,
) -> Vec<String> {
    let mut missing = Vec::new();
    let json =
        |arguments: &[&str]| -> Value { serde_json::from_str(&daemon.ask(arguments)).unwrap() };
    let leases = json(&["leases", "--json"]);
    let leases = leases.as_array().unwrap();
    let known: BTreeSet<&str> = leases.iter().filter_map(|it| it["id"].as_str()).collect();
    for (_, held) in &told.held {
        if !known.contains(held.lease.id.to_string().as_str()) {
            missing.push(format!("lease {} was acknowledged", held.lease.id));
        }
    }
    for id in &told.released {
        if known.contains(id.to_string().as_str()) {
            missing.push(format!("lease {id} was given back"));
        }
    }
    let licenses = json(&["license", "list", "--json"]);
    let serial = licenses[0]["serial"].as_u64().unwrap_or(0);
    if serial < told.serial {
        missing.push(format!("license serial {} is now {serial}", told.serial));
    }
    if told.suspended && !daemon.ask(&["status"]).contains("SUSPENDED") {
        missing.push("the suspension".to_owned());
    }
    let verified = daemon.ask(&["usage", "verify"]);
    if !verified.starts_with("✓ ") {
        missing.push(verified);
    }
    missing.extend(unbelieved(ground, daemon, told, runtime));
    missing
}

/// Every holder comes back with its lease (L6).
fn unbelieved(ground: &Ground, daemon: &Daemon, told: &Told, runtime: &Runtime) -> Vec<String> {
    let issue = ground.issue(told.serial);
    let come_back = async |number: u8, held: &Held| {
        let mut peer = Peer::welcomed(daemon.address(), &key(number), ground.root).await;
        let id = held.lease.id;
        let reply = peer.ask(held.attach().0).await;
        let is_right = match &reply {
            Reply::Granted(_) => !told.evicted.contains(&id),
            // L12: while leases may be lost, nobody is extended who shows another issue of the license.
            Reply::Refused(no) if no.code.name() == "holding" => held.lease.license_hash != issue,
            Reply::Refused(no) => no.code.name() == "evicted" && told.evict_asked == Some(id),
            _ => false,
        };
        (!is_right).then(|| format!("lease {id}: {reply:?}"))
    };
    let mut unbelieved = Vec::new();
    for (number, held) in &told.held {
        if !held.lease.borrowed {
            unbelieved.extend(runtime.block_on(come_back(*number, held)));
        }
    }
    unbelieved
}

/// A runtime for one thread's visits.
pub(crate) fn runtime() -> Runtime {
    peer::runtime()
}

const CLIENTS: u8 = 2;
/// A daemon that answers nothing for so long hangs.
const PATIENCE: Duration = Duration::from_mins(1);
