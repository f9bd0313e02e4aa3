//! A crowd of workstations under load that remember every acknowledgement, and the administrator beside them.
//!
//! Their connections are the client library's own, so each lease is verified and judged as any program's is. What
//! they were told and what they believe is one [`Memory`](memory::Memory); [`audit`] holds a daemon that came
//! back to it. Must not know how the daemon was ended.

pub mod administrator;
pub mod audit;
pub mod memory;
mod workstation;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use usher_client::connection::Wanted;
use usher_client::marks::Marks;
use usher_client::paths::{MachineId, Paths};
use usher_protocol::documents::vendor::VendorKey;
use usher_protocol::ids::PublicKey;
use usher_protocol::wire::Environment;

use crate::daemon::{Daemon, Vendor};
use crate::station::Station;
use memory::Book;
use workstation::{Site, Workstation};

/// The seats that they quarrel about.
pub struct Pool {
    /// Its feature.
    pub feature: &'static str,
    /// So many.
    pub seats: u32,
    /// What else its license says.
    terms: &'static str,
}

/// Workstations, each with a key and connections of its own. Dropping them ends them.
pub struct Crowd {
    book: Book,
    gate: watch::Sender<Option<SocketAddr>>,
    /// Copied by whoever works just now.
    working: Arc<()>,
    /// Copies when nobody does.
    idle: usize,
    /// Ends its tasks when it is dropped.
    _runtime: Runtime,
}

impl Crowd {
    /// So many, who do what the seed says as soon as [`Crowd::open`] lets them.
    pub fn new(station: &Station, vendor: &Vendor, seed: u64, count: u32) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (gate, at) = watch::channel(None);
        let site = Site {
            wanted: wanted(vendor),
            marks: marks(station, "crowd"),
            book: Book::default(),
            working: Arc::default(),
        };
        let inside = runtime.enter();
        for number in 1..=count {
            let workstation = Workstation::new(number, &site, seed);
            runtime.spawn(workstation.run(at.clone()));
        }
        drop(inside);
        let idle = 1 + count as usize;
        Self {
            book: site.book,
            working: site.working,
            idle,
            gate,
            _runtime: runtime,
        }
    }

    /// The daemon is there: they connect, repeat what was not answered, and go on.
    pub fn open(&self, address: SocketAddr) {
        self.gate.send_replace(Some(address));
    }

    /// The daemon is gone: what was not answered by now is not answered.
    pub fn close(&self) {
        self.gate.send_replace(None);
        for _ in 0..POLLS_MAX {
            if Arc::strong_count(&self.working) == self.idle {
                return;
            }
            thread::sleep(POLL);
        }
        panic!("they do not stop to work");
    }

    /// What they remember.
    pub fn book(&self) -> &Book {
        &self.book
    }
}

/// A license for [`POOLS`]; the next serial of the one before for this seed.
pub fn license(vendor: &Vendor, daemon: &Daemon, seed: u64) -> std::path::PathBuf {
    let id = format!("acme-{seed}");
    let features = POOLS
        .iter()
        .map(|pool| format!("{}:{}{}", pool.feature, pool.seats, pool.terms));
    let mut terms: Vec<String> = ["--environment", "test", "--license-id", &id]
        .map(str::to_owned)
        .to_vec();
    for feature in features {
        terms.extend(["--feature".to_owned(), feature]);
    }
    let terms: Vec<&str> = terms.iter().map(String::as_str).collect();
    vendor.license(daemon, &terms)
}

/// The key of a workstation.
fn key(number: u32) -> SigningKey {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    SigningKey::from_bytes(&bytes)
}

fn wanted(vendor: &Vendor) -> Wanted {
    Wanted {
        root: root(vendor),
        environment: Environment::Test,
        site: None,
    }
}

fn root(vendor: &Vendor) -> PublicKey {
    let files = fs::read_dir(vendor.directory()).unwrap().flatten();
    let mut keys = files.map(|file| file.path());
    let key = keys.find(|path| path.extension().is_some_and(|it| it == "pub"));
    let key: VendorKey = fs::read_to_string(key.unwrap()).unwrap().parse().unwrap();
    key.root
}

/// Marks of a machine that has seen no server yet (L12).
fn marks(station: &Station, name: &str) -> Marks {
    let home = station.home().join(name);
    fs::create_dir_all(&home).unwrap();
    let variable = |name: &str| (name == "HOME").then(|| home.clone().into_os_string());
    Marks::new(Paths::from_variables(variable, MachineId::of_this_machine()).unwrap())
}

/// Few seats that change hands all the time, many that stay, some that run out soon, some for the road, and one
/// feature that only the administrator touches.
pub const POOLS: [Pool; 5] = [
    Pool {
        feature: "scarce",
        seats: 6,
        terms: ",lease-default=10m",
    },
    Pool {
        feature: "wide",
        seats: 5000,
        terms: ",lease-default=10m",
    },
    Pool {
        feature: "short",
        seats: 3,
        terms: ",lease-min=2s,lease-default=2s,lease-max=2s",
    },
    Pool {
        feature: "home",
        seats: 5,
        terms: ",borrow-max=7d,early-return=true",
    },
    Pool {
        feature: SPARE,
        seats: 5,
        terms: "",
    },
];
const SPARE: &str = "spare";
const POLL: Duration = Duration::from_millis(1);
const POLLS_MAX: u32 = 60_000;
