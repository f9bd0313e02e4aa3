//! Is one checkout one seat, however often it is sent and whatever becomes of the replies (L5)?
//!
//! Speaks the wire's own words, so that the nonce can be chosen and the reply be lost.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use usher_client::connection::{Connection, Dialer, Wanted};
use usher_client::marks::Marks;
use usher_client::paths::{MachineId, Paths};
use usher_protocol::documents::lease::VerifiedLease;
use usher_protocol::documents::vendor::VendorKey;
use usher_protocol::ids::{LeaseId, Nonce, Token};
use usher_protocol::refusal::RefusalCode;
use usher_protocol::wire::{Checkout, Environment, Holder, Reply, Request};

use super::seats_site::{Seats, eventually};

#[test]
fn sent_64_times_at_once_it_is_one_seat() {
    let (seats, desk) = (Seats::here("10"), Caller::new(1));
    let leases = runtime().block_on(async {
        let mut connections = Vec::new();
        for _ in 0..TIMES {
            connections.push(desk.connect(&seats, seats.daemon.address()).await);
        }
        let mut calls = JoinSet::new();
        for connection in connections {
            calls.spawn(async move { lease_of(&connection, checkout(7)).await });
        }
        calls.join_all().await
    });
    assert_eq!(leases.len(), TIMES);
    let leases: BTreeSet<_> = leases.iter().map(ToString::to_string).collect();
    assert_eq!((leases.len(), leases), (1, seats.lease_ids()));
}

#[test]
fn a_lost_reply_is_had_again_over_another_connection_and_after_a_restart() {
    let (mut seats, desk) = (Seats::here("10"), Caller::new(1));
    let address = seats.daemon.address();
    let relay = Relay::before(address);
    let runtime = runtime();
    let deaf = runtime.block_on(desk.connect(&seats, relay.address));
    relay.deafen();
    let (asking, request) = (deaf.clone(), Request::Checkout(checkout(7)));
    let call = runtime.spawn(async move { asking.call(request).await });
    // The grant is durable, and its reply is lost.
    seats.wait_leases(1);
    assert!(!call.is_finished());
    deaf.close();
    assert!(runtime.block_on(call).unwrap().is_err());
    let again = |seats: &Seats| {
        runtime.block_on(async {
            let connection = desk.connect(seats, address).await;
            lease_of(&connection, checkout(7)).await
        })
    };
    let lease = again(&seats);
    assert_eq!(seats.lease_ids(), [lease.to_string()].into());
    seats.daemon.kill();
    seats.daemon.start_again();
    assert_eq!(again(&seats), lease);
    assert_eq!(seats.lease_ids(), [lease.to_string()].into());
}

#[test]
fn with_other_wishes_the_nonce_is_refused_and_of_another_client_it_is_another_lease() {
    let (seats, desk) = (Seats::here("10"), Caller::new(1));
    runtime().block_on(async {
        let connection = desk.connect(&seats, seats.daemon.address()).await;
        let lease = lease_of(&connection, checkout(7)).await;
        let more = Checkout {
            seats: 2,
            ..checkout(7)
        };
        let mut longer = checkout(7);
        longer.length_ms = Some("2m".parse().unwrap());
        let mut other = checkout(7);
        other.holder.user = "bob".to_owned();
        for changed in [more, longer, other] {
            let reply = connection.call(Request::Checkout(changed)).await.unwrap();
            assert_eq!(refusal(&reply), Some(RefusalCode::NonceReused), "{reply:?}");
        }
        assert_eq!(lease_of(&connection, checkout(7)).await, lease);
        let neighbor = Caller::new(2);
        let connection = neighbor.connect(&seats, seats.daemon.address()).await;
        assert_ne!(lease_of(&connection, checkout(7)).await, lease);
    });
    eventually("two leases", || seats.leases().len() == 2);
}

/// A client key with a home for its marks.
struct Caller {
    key: SigningKey,
    home: TempDir,
}

impl Caller {
    fn new(seed: u8) -> Self {
        Self {
            key: SigningKey::from_bytes(&[seed; 32]),
            home: TempDir::new().unwrap(),
        }
    }

    /// Each connection has sockets of its own.
    async fn connect(&self, seats: &Seats, address: SocketAddr) -> Connection {
        let key = fs::read_to_string(seats.vendor.directory().join("acme.pub")).unwrap();
        let wanted = Wanted {
            root: key.parse::<VendorKey>().unwrap().root,
            environment: Environment::Test,
            site: None,
        };
        let home = |_: &str| Some(self.home.path().into());
        let machine = MachineId::of_this_machine();
        let marks = Marks::new(Paths::from_variables(home, machine).unwrap());
        let dialer = Dialer::new(self.key.clone()).unwrap();
        let opened = Connection::open(&dialer, address, &wanted, &marks).await;
        opened.unwrap().0
    }
}

async fn lease_of(connection: &Connection, checkout: Checkout) -> LeaseId {
    let token = checkout.token;
    let reply = connection.call(Request::Checkout(checkout)).await.unwrap();
    let Reply::Granted(grant) = reply else {
        panic!("{reply:?}")
    };
    let lease = VerifiedLease::verify(&grant.lease, &connection.server().site).unwrap();
    assert_eq!(lease.token, token);
    lease.id
}

fn checkout(nonce: u8) -> Checkout {
    Checkout {
        wait: false,
        nonce: Nonce([nonce; 16]),
        token: Token([nonce; 16]),
        feature: "solver".parse().unwrap(),
        environment: Environment::Test,
        seats: 1,
        version: None,
        length_ms: None,
        holder: Holder {
            user: "ann".to_owned(),
            host: "ws1".to_owned(),
            display: None,
            process: 7,
        },
    }
}

fn refusal(reply: &Reply) -> Option<RefusalCode> {
    match reply {
        Reply::Refused(refusal) => Some(refusal.code),
        _ => None,
    }
}

/// Stands between one client and the daemon, and can lose all that the daemon says.
struct Relay {
    address: SocketAddr,
    deaf: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Relay {
    fn before(daemon: SocketAddr) -> Self {
        let near = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let far = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        far.connect(daemon).unwrap();
        for socket in [&near, &far] {
            socket.set_read_timeout(Some(RELAY_LOOKS)).unwrap();
        }
        let relay = Self {
            address: near.local_addr().unwrap(),
            deaf: Arc::default(),
            over: Arc::default(),
        };
        let (over, to) = (Arc::clone(&relay.over), Arc::clone(&far));
        let (client, from) = (Arc::new(std::sync::OnceLock::new()), Arc::clone(&near));
        let known = Arc::clone(&client);
        thread::spawn(move || {
            pass_on(&from, &over, |packet, sender| {
                let _ = (known.get_or_init(|| sender), to.send(packet));
            });
        });
        let (over, deaf) = (Arc::clone(&relay.over), Arc::clone(&relay.deaf));
        thread::spawn(move || {
            pass_on(&far, &over, |packet, _| {
                if let (false, Some(client)) = (deaf.load(Relaxed), client.get()) {
                    let _ = near.send_to(packet, client);
                }
            });
        });
        relay
    }

    /// From now on nothing comes back.
    fn deafen(&self) {
        self.deaf.store(true, Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
    }
}

fn pass_on(from: &UdpSocket, over: &AtomicBool, take: impl Fn(&[u8], SocketAddr)) {
    let mut packet = vec![0; 65_536];
    while !over.load(Relaxed) {
        if let Ok((length, sender)) = from.recv_from(&mut packet) {
            take(&packet[..length], sender);
        }
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

const TIMES: usize = 64;
const RELAY_LOOKS: Duration = Duration::from_millis(100);
